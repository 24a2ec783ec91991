/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_compact - copies, the swap of a smaller one, and who dies in it.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/log.h"
#include "store/compact.h"
#include "store/env.h"
#include "tests/unit/store_fixture.h"

#define MESSAGES 3000
#define KEPT 300
#define KILLS 30
#define COPY "db/data.mdb.compact"

static void
commit_ring(struct store_txn **t, uint64_t pos)
{
	struct store_ring ring = { .base = 64, .pos = pos };

	memset(ring.id, 7, sizeof(ring.id));
	store_ring_put(*t, &ring);
	assert_int_equal(store_commit(t), 0);
}

static void
add(struct store_txn *t, uint64_t seq)
{
	uint64_t hash[2] = { seq, seq };
	struct store_message m = { .room = 1,
		.seq = seq,
		.gseq = seq,
		.user = 3,
		.type = 4,
		.id = text("an id"),
		.body =
		    text("\"body\":\"of some length, so that it counts\"") };

	store_message_add(t, &m, hash);
}

/* Much that is free, and the last messages. */
static void
fill(struct store *s)
{
	struct store_room room = { .room = 1,
		.workspace = text("w"),
		.session = text("s") };
	struct store_trim tr = { .room = 1,
		.below_seq = MESSAGES - KEPT + 1,
		.keep_ids_ms = UINT64_MAX,
		.max = 500 };
	struct store_txn *t;
	uint64_t seq;

	assert_non_null(t = store_begin(s));
	store_room_add(t, &room);
	for (seq = 1; seq <= MESSAGES; seq++)
		add(t, seq);
	commit_ring(&t, MESSAGES + 1);
	do {
		assert_non_null(t = store_begin(s));
		assert_int_equal(store_trim(t, &tr), 0);
		commit_ring(&t, MESSAGES + 1);
	} while (tr.more);
}

static int
check_all(struct store *s, uint64_t last)
{
	struct store_message m;
	struct store_txn *t;
	uint64_t seq, n;
	int rc = 0;

	if ((t = store_snapshot(s)) == NULL)
		return 1;
	if (store_last_seq(t, 1, &n) == -1 || n != last)
		rc = 2;
	for (seq = MESSAGES - KEPT + 1; rc == 0 && seq <= last; seq++)
		if (store_message_get(t, 1, seq, &m) == -1)
			rc = 3;
	if (rc == 0 && store_message_get(t, 1, MESSAGES - KEPT, &m) == 0)
		rc = 4;
	if (rc == 0 && store_pos(t) != last + 1)
		rc = 5;
	store_snapshot_end(&t);
	return rc;
}

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static uint64_t
make_copy(struct store *s)
{
	uint64_t txn = 0;
	int fd;

	fd = open(COPY, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(store_compact(s, fd, &txn), 0);
	close(fd);
	return txn;
}

static void
reopen(struct store_fixture *f)
{
	const char *why = NULL;

	if (f->s != NULL)
		store_close(&f->s);
	if ((f->s = store_open(STORE_WRITE, &why)) == NULL)
		fail_msg("%s", why);
}

/* --- copies ------------------------------------------------------------ */

static void
a_copy_is_a_store(void **state)
{
	struct store_fixture *f = *state;
	const char *why = NULL;
	struct store *s;
	unsigned compact;
	int fd;

	fill(f->s);
	for (compact = 0; compact < 2; compact++) {
		assert_int_equal(mkdir(compact ? "c" : "p", 0700), 0);
		fd = open(compact ? "c/data.mdb" : "p/data.mdb",
		    O_RDWR | O_CREAT, 0600);
		assert_true(fd >= 0);
		assert_int_equal(store_copy(f->s, fd, compact), 0);
		close(fd);
	}
	store_close(&f->s);
	assert_true(size_of("c/data.mdb") < size_of("db/data.mdb") / 2);
	assert_true(size_of("p/data.mdb") > size_of("c/data.mdb"));
	for (compact = 0; compact < 2; compact++) {
		s = store_open_dir(compact ? "c" : "p", STORE_LOOK_OFFLINE,
		    &why);
		assert_non_null(s);
		assert_int_equal(check_all(s, MESSAGES), 0);
		store_close(&s);
	}
}

static void
a_copy_goes_into_a_pipe_too(void **state)
{
	struct store_fixture *f = *state;
	int fds[2], status;
	char buf[4096];
	pid_t pid;
	ssize_t n, total = 0;

	fill(f->s);
	assert_int_equal(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		close(fds[1]);
		while ((n = read(fds[0], buf, sizeof(buf))) > 0)
			total += n;
		_exit(n == 0 && total > 50000 ? 0 : 1);
	}
	close(fds[0]);
	assert_int_equal(store_copy(f->s, fds[1], true), 0);
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
a_copy_for_the_swap_wants_an_empty_file(void **state)
{
	struct store_fixture *f = *state;
	uint64_t txn;
	int fd, fds[2];

	fd = open("x", O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(store_compact(f->s, fd, &txn), -1);
	assert_int_equal(errno, EINVAL);
	close(fd);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(store_compact(f->s, fds[1], &txn), -1);
	assert_int_equal(errno, EINVAL);
	close(fds[0]);
	close(fds[1]);
}

/* --- the swap ---------------------------------------------------------- */

static void
without_a_copy_nothing_happens(void **state)
{
	struct store_fixture *f = *state;

	fill(f->s);
	store_close(&f->s);
	assert_int_equal(store_compact_swap("db"), STORE_SWAP_NONE);
	reopen(f);
	assert_int_equal(check_all(f->s, MESSAGES), 0);
}

static void
a_copy_that_is_current_takes_the_stores_place(void **state)
{
	struct store_fixture *f = *state;
	struct store_stat st;
	struct store_txn *t;
	off_t was;

	fill(f->s);
	assert_int_equal(store_stat(f->s, &st), 0);
	assert_int_equal(make_copy(f->s), st.last_txn);
	store_close(&f->s);
	was = size_of("db/data.mdb");
	assert_int_equal(store_compact_swap("db"), STORE_SWAP_DONE);
	assert_true(size_of("db/data.mdb") < was / 2);
	assert_int_equal(size_of("db/data.mdb") % 4096, 0);
	assert_int_equal(size_of(COPY), -1);
	reopen(f);
	assert_int_equal(check_all(f->s, MESSAGES), 0);
	/* and it can be written */
	assert_non_null(t = store_begin(f->s));
	add(t, MESSAGES + 1);
	commit_ring(&t, MESSAGES + 2);
	assert_int_equal(check_all(f->s, MESSAGES + 1), 0);
}

static void
a_copy_that_is_older_is_made_again(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *t;
	off_t was;

	fill(f->s);
	(void)make_copy(f->s);
	assert_non_null(t = store_begin(f->s));
	add(t, MESSAGES + 1);
	commit_ring(&t, MESSAGES + 2);
	store_close(&f->s);
	was = size_of("db/data.mdb");
	assert_int_equal(store_compact_swap("db"), STORE_SWAP_AGAIN);
	assert_true(size_of("db/data.mdb") < was / 2);
	assert_int_equal(size_of(COPY), -1);
	reopen(f);
	assert_int_equal(check_all(f->s, MESSAGES + 1), 0);
}

static void
opening_to_write_swaps(void **state)
{
	struct store_fixture *f = *state;
	off_t was;

	fill(f->s);
	(void)make_copy(f->s);
	was = size_of("db/data.mdb");
	reopen(f);
	assert_true(size_of("db/data.mdb") < was / 2);
	assert_int_equal(size_of(COPY), -1);
	assert_int_equal(check_all(f->s, MESSAGES), 0);
}

static void
while_somebody_has_it_open_the_store_stays(void **state)
{
	struct store_fixture *f = *state;
	int ready[2], go[2], status;
	const char *why;
	struct store *s;
	off_t was;
	pid_t pid;
	char c;

	fill(f->s);
	(void)make_copy(f->s);
	store_close(&f->s);
	was = size_of("db/data.mdb");
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	if ((pid = fork()) == 0) {
		s = store_open(STORE_READ, &why);
		(void)!write(ready[1], "r", 1);
		(void)!read(go[0], &c, 1);
		_exit(s == NULL || check_all(s, MESSAGES) != 0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(store_compact_swap("db"), STORE_SWAP_BUSY);
	assert_int_equal(size_of("db/data.mdb"), was);
	assert_true(size_of(COPY) > 0);
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	close(go[1]);
	assert_int_equal(store_compact_swap("db"), STORE_SWAP_DONE);
	reopen(f);
	assert_int_equal(check_all(f->s, MESSAGES), 0);
}

static void
a_copy_that_is_not_whole_is_dropped(void **state)
{
	struct store_fixture *f = *state;
	off_t size, was;
	unsigned i;
	int fd;

	fill(f->s);
	for (i = 0; i < 4; i++) {
		(void)make_copy(f->s);
		store_close(&f->s);
		size = size_of(COPY);
		was = size_of("db/data.mdb");
		assert_true((fd = open(COPY, O_RDWR)) >= 0);
		if (i == 0)
			assert_int_equal(ftruncate(fd, size - 1), 0);
		else if (i == 1)
			assert_int_equal(ftruncate(fd, 0), 0);
		else if (i == 2)
			assert_int_equal(pwrite(fd, "\1", 1, size - 30), 1);
		else
			assert_int_equal(pwrite(fd, "more", 4, size), 4);
		close(fd);
		assert_int_equal(store_compact_swap("db"), STORE_SWAP_DROPPED);
		assert_int_equal(size_of("db/data.mdb"), was);
		assert_int_equal(size_of(COPY), -1);
		reopen(f);
		assert_int_equal(check_all(f->s, MESSAGES), 0);
	}
}

static void
a_copy_of_another_store_is_not_taken(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *t;

	fill(f->s);
	(void)make_copy(f->s);
	/* as after a backup was put back: same numbers, another history */
	assert_int_equal(rename(COPY, "kept"), 0);
	assert_non_null(t = store_begin(f->s));
	add(t, MESSAGES + 1);
	commit_ring(&t, MESSAGES + 2);
	assert_int_equal(rename("kept", COPY), 0);
	store_close(&f->s);
	assert_int_equal(store_compact_swap("db"), STORE_SWAP_AGAIN);
	reopen(f);
	assert_int_equal(check_all(f->s, MESSAGES + 1), 0);
}

static void
without_space_the_old_one_stays(void **state)
{
	struct store_fixture *f = *state;
	struct rlimit l = { 65536, 65536 };
	struct store_txn *t;
	int status;
	off_t was;
	pid_t pid;

	fill(f->s);
	(void)make_copy(f->s);
	assert_non_null(t = store_begin(f->s));
	add(t, MESSAGES + 1);
	commit_ring(&t, MESSAGES + 2);
	store_close(&f->s);
	was = size_of("db/data.mdb");
	if ((pid = fork()) == 0) {
		signal(SIGXFSZ, SIG_IGN);
		log_set_level(LOG_LEVEL_ERROR);
		if (setrlimit(RLIMIT_FSIZE, &l) == -1)
			_exit(9);
		_exit(store_compact_swap("db") == STORE_SWAP_DROPPED ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(size_of("db/data.mdb"), was);
	assert_int_equal(size_of(COPY), -1);
	reopen(f);
	assert_int_equal(check_all(f->s, MESSAGES + 1), 0);
}

static void
killed_at_any_instant_nothing_is_lost(void **state)
{
	struct store_fixture *f = *state;
	uint64_t last = MESSAGES;
	struct store_txn *t;
	unsigned i, kills = 0;
	int status;
	pid_t pid;

	fill(f->s);
	srandom(3);
	for (i = 0; i < KILLS; i++) {
		(void)unlink(COPY);
		(void)make_copy(f->s);
		if (i % 2 == 0) {
			assert_non_null(t = store_begin(f->s));
			add(t, ++last);
			commit_ring(&t, last + 1);
		}
		store_close(&f->s);
		if ((pid = fork()) == 0) {
			log_set_level(LOG_LEVEL_ERROR);
			_exit(store_compact_swap("db") > STORE_SWAP_AGAIN);
		}
		usleep((useconds_t)(random() % 12000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		kills += WIFSIGNALED(status) ? 1 : 0;
		reopen(f);
		assert_int_equal(check_all(f->s, last), 0);
		assert_int_equal(size_of(COPY), -1);
	}
	assert_true(kills > 0);
}

int
main(void)
{
#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(a_copy_is_a_store),
		T(a_copy_goes_into_a_pipe_too),
		T(a_copy_for_the_swap_wants_an_empty_file),
		T(without_a_copy_nothing_happens),
		T(a_copy_that_is_current_takes_the_stores_place),
		T(a_copy_that_is_older_is_made_again),
		T(opening_to_write_swaps),
		T(while_somebody_has_it_open_the_store_stays),
		T(a_copy_that_is_not_whole_is_dropped),
		T(a_copy_of_another_store_is_not_taken),
		T(without_space_the_old_one_stays),
		T(killed_at_any_instant_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
