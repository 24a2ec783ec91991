/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_env - opening, snapshots and transactions of the store.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store/env.h"
#include "tests/unit/store_fixture.h"

/* Run 'fn' in a process of its own, as LMDB demands for a second opening. */
static int
in_child(int (*fn)(void *), void *arg)
{
	pid_t pid;
	int status;

	if ((pid = fork()) == 0)
		_exit(fn(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
put_ring(struct store *s, uint64_t pos)
{
	struct store_ring ring = { .base = 64, .pos = pos };
	struct store_txn *t;

	memset(ring.id, 7, sizeof(ring.id));
	assert_non_null(t = store_begin(s));
	store_ring_put(t, &ring);
	assert_int_equal(store_commit(&t), 0);
	assert_null(t);
}

static void
the_files_are_private_and_the_lock_file_has_its_blocks(void **state)
{
	struct stat st;

	assert_int_equal(stat("db", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat("db/data.mdb", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat("db/lock.mdb", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(st.st_blocks * 512 >= st.st_size);
}

static void
no_descriptor_of_the_store_survives_exec(void **state)
{
	struct store_fixture *f = *state;
	int fd;

	assert_int_equal(mdb_env_get_fd(f->s->env, &fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	for (fd = 3; fd < 64; fd++) {
		char link[64], path[256];
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, path, sizeof(path) - 1);
		if (n <= 0)
			continue;
		path[n] = '\0';
		if (strstr(path, ".mdb") != NULL)
			assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
}

static void
a_new_store_has_seen_no_ring(void **state)
{
	struct store_fixture *f = *state;
	struct store_ring ring;
	struct store_txn *t;

	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_pos(t), 0);
	errno = 0;
	assert_int_equal(store_ring_get(t, &ring), -1);
	assert_int_equal(errno, ENOENT);
	store_snapshot_end(&t);
	assert_null(t);
}

static void
a_snapshot_knows_its_position_and_does_not_move(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *t;

	put_ring(f->s, 100);
	assert_non_null(t = store_snapshot(f->s));
	put_ring(f->s, 200);
	assert_int_equal(store_pos(t), 100);
	store_snapshot_end(&t);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_pos(t), 200);
	store_snapshot_end(&t);
}

static int
child_reads_pos(void *arg)
{
	const char *why;
	struct store_txn *t;
	struct store *s;
	uint64_t pos;

	if ((s = store_open(STORE_READ, &why)) == NULL)
		return 1;
	if ((t = store_snapshot(s)) == NULL)
		return 2;
	pos = store_pos(t);
	store_snapshot_end(&t);
	store_close(&s);
	return pos == 300 ? 0 : 3;
}

static void
another_process_reads_what_was_committed(void **state)
{
	struct store_fixture *f = *state;

	put_ring(f->s, 300);
	assert_int_equal(in_child(child_reads_pos, NULL), 0);
}

static int
child_waits_for_writer(void *arg)
{
	const char *why;
	struct store *s;

	if ((s = store_open(STORE_READ, &why)) == NULL)
		return 1;
	store_close(&s);
	return 0;
}

static void
a_reader_waits_until_the_writer_has_made_the_store(void **state)
{
	struct store_fixture f;
	const char *why;
	int status;
	pid_t pid;

	memset(&f, 0, sizeof(f));
	assert_int_equal(store_fixture_enter(&f), 0);
	if ((pid = fork()) == 0)
		_exit(child_waits_for_writer(NULL));
	usleep(100000);
	assert_non_null(f.s = store_open(STORE_WRITE, &why));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(store_fixture_close(&f), 0);
}

static void
what_is_aborted_never_was(void **state)
{
	struct store_fixture *f = *state;
	struct store_ring ring = { .pos = 5 };
	struct store_txn *t;

	put_ring(f->s, 1);
	assert_non_null(t = store_begin(f->s));
	store_ring_put(t, &ring);
	store_abort(&t);
	assert_null(t);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_pos(t), 1);
	store_snapshot_end(&t);
}

static void
the_first_error_sticks_and_the_commit_tells_it(void **state)
{
	struct store_fixture *f = *state;
	struct store_room room = { .room = 1,
		.workspace = text("w"),
		.session = text("s") };
	struct store_ring ring = { .pos = 9 };
	struct store_txn *t;

	put_ring(f->s, 1);
	assert_non_null(t = store_begin(f->s));
	store_room_add(t, &room);
	assert_int_equal(store_error(t), 0);
	store_room_add(t, &room);
	assert_int_equal(store_error(t), EEXIST);
	store_ring_put(t, &ring);
	errno = 0;
	assert_int_equal(store_commit(&t), -1);
	assert_int_equal(errno, EEXIST);
	/* and nothing of it is there, also not what was before the error */
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_pos(t), 1);
	assert_int_equal(store_room_get(t, 1, &room), -1);
	store_snapshot_end(&t);
}

static void
a_store_that_wants_a_newer_chatd_is_refused_in_words(void **state)
{
	struct store_fixture *f = *state;
	struct store_put put;
	struct store_key k;
	struct store_txn *t;
	const char *why;

	store_key_begin(&k);
	assert_true(store_key_bytes(&k, "schema", 6));
	assert_non_null(t = store_begin(f->s));
	store_put_begin(t, STORE_META, &k, 0, 8, false, &put);
	store_add_u32(&put.f, STORE_SCHEMA + 2);
	store_add_u32(&put.f, STORE_SCHEMA + 1);
	store_put_end(&put);
	assert_int_equal(store_commit(&t), 0);
	store_close(&f->s);

	errno = 0;
	assert_null(store_open(STORE_WRITE, &why));
	assert_int_equal(errno, ENOTSUP);
	assert_non_null(strstr(why, "schema"));
	assert_null(store_open(STORE_READ, &why));
	assert_int_equal(errno, ENOTSUP);
}

static void
a_newer_store_that_older_chatds_may_read_is_opened(void **state)
{
	struct store_fixture *f = *state;
	struct store_put put;
	struct store_key k;
	struct store_txn *t;
	const char *why;

	store_key_begin(&k);
	assert_true(store_key_bytes(&k, "schema", 6));
	assert_non_null(t = store_begin(f->s));
	store_put_begin(t, STORE_META, &k, 0, 8, false, &put);
	store_add_u32(&put.f, STORE_SCHEMA + 1);
	store_add_u32(&put.f, STORE_SCHEMA);
	store_put_end(&put);
	assert_int_equal(store_commit(&t), 0);
	store_close(&f->s);
	assert_non_null(f->s = store_open(STORE_WRITE, &why));
}

static void
a_directory_that_cannot_be_written_is_a_sentence(void **state)
{
	struct store_fixture f;
	const char *why;

	memset(&f, 0, sizeof(f));
	assert_int_equal(store_fixture_enter(&f), 0);
	/* a file where the directory should be */
	assert_int_not_equal(close(open("db", O_CREAT | O_WRONLY, 0600)), -1);
	assert_null(store_open(STORE_WRITE, &why));
	assert_non_null(strstr(why, "cannot open the store"));
	assert_int_equal(store_fixture_close(&f), 0);
}

/* Overwrite one byte of a value in place, below LMDB's own checks. */
static void
damage(struct store *s, enum store_table table, const struct store_key *k,
    size_t at)
{
	MDB_val key = { k->len, (void *)(uintptr_t)k->b }, val, copy;
	MDB_txn *txn;
	uint8_t *buf;

	assert_int_equal(mdb_txn_begin(s->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_get(txn, s->dbi[table], &key, &val), 0);
	assert_true(at < val.mv_size);
	buf = malloc(val.mv_size);
	assert_non_null(buf);
	memcpy(buf, val.mv_data, val.mv_size);
	buf[at] ^= 1;
	copy.mv_size = val.mv_size;
	copy.mv_data = buf;
	assert_int_equal(mdb_put(txn, s->dbi[table], &key, &copy, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	free(buf);
}

static void
any_damaged_byte_of_a_value_is_found_and_counted(void **state)
{
	struct store_fixture *f = *state;
	struct store_ring ring;
	struct store_key k;
	struct store_txn *t;
	size_t at, len = STORE_VALUE_HEAD + 32;

	put_ring(f->s, 77);
	store_key_begin(&k);
	assert_true(store_key_bytes(&k, "ring", 4));
	for (at = 0; at < len; at++) {
		damage(f->s, STORE_META, &k, at);
		assert_non_null(t = store_begin(f->s));
		errno = 0;
		assert_int_equal(store_ring_get(t, &ring), -1);
		assert_int_equal(errno, EBADMSG);
		assert_int_equal(store_bad_values(f->s), at + 1);
		store_abort(&t);
		damage(f->s, STORE_META, &k, at);
	}
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_pos(t), 77);
	store_snapshot_end(&t);
}

static void
a_value_under_another_key_is_found(void **state)
{
	struct store_fixture *f = *state;
	struct store_next next = { 3, 4 };
	struct store_txn *t;
	MDB_val key = { 4, (void *)(uintptr_t) "ring" }, val, copy;
	uint8_t buf[64];

	assert_non_null(t = store_begin(f->s));
	store_next_put(t, &next);
	assert_int_equal(store_commit(&t), 0);
	put_ring(f->s, 77);
	assert_non_null(t = store_begin(f->s));
	assert_int_equal(mdb_get(t->txn, f->s->dbi[STORE_META], &key, &val), 0);
	copy.mv_size = val.mv_size;
	copy.mv_data = memcpy(buf, val.mv_data, val.mv_size);
	key.mv_data = (void *)(uintptr_t) "next";
	assert_int_equal(mdb_put(t->txn, f->s->dbi[STORE_META], &key, &copy, 0),
	    0);
	errno = 0;
	assert_int_equal(store_next_get(t, &next), -1);
	assert_int_equal(errno, EBADMSG);
	store_abort(&t);
}

static int
child_leaves_a_reader(void *arg)
{
	const char *why;
	struct store *s;

	if ((s = store_open(STORE_READ, &why)) == NULL)
		return 1;
	if (store_snapshot(s) == NULL)
		return 2;
	/* dies in the middle of it */
	_exit(0);
}

static void
the_place_of_a_dead_reader_is_freed(void **state)
{
	struct store_fixture *f = *state;

	put_ring(f->s, 1);
	assert_int_equal(in_child(child_leaves_a_reader, NULL), 0);
	assert_int_equal(store_reader_check(f->s), 1);
	assert_int_equal(store_reader_check(f->s), 0);
}

static void
the_statistics_count_rows_and_bytes(void **state)
{
	struct store_fixture *f = *state;
	struct store_stat before, after;

	assert_int_equal(store_stat(f->s, &before), 0);
	put_ring(f->s, 1);
	assert_int_equal(store_stat(f->s, &after), 0);
	assert_string_equal(after.table[STORE_META].name, "meta");
	/* the schema, and now the ring */
	assert_int_equal(before.table[STORE_META].entries, 1);
	assert_int_equal(after.table[STORE_META].entries, 2);
	assert_int_equal(after.last_txn, before.last_txn + 1);
	assert_true(after.map_used > 0 && after.map_used < 1 << 20);
	assert_int_equal(after.map_max, 1ULL << 40);
}

static void
trying_leaves_nothing_but_free_pages(void **state)
{
	struct store_fixture *f = *state;
	struct store_stat before, once, often;
	int i;

	assert_int_equal(store_stat(f->s, &before), 0);
	assert_int_equal(store_try(f->s, 1 << 20), 0);
	assert_int_equal(store_stat(f->s, &once), 0);
	assert_int_equal(once.table[STORE_META].entries,
	    before.table[STORE_META].entries);
	assert_true(once.map_used > 1 << 20);
	for (i = 0; i < 20; i++)
		assert_int_equal(store_try(f->s, 1 << 20), 0);
	assert_int_equal(store_stat(f->s, &often), 0);
	assert_true(often.map_used < 4 << 20);
}

static int
child_with_full_disk(void *arg)
{
	/* the nearest to a full disk that needs no file system: the file may
	 * not grow */
	struct rlimit small = { 256 << 10, 256 << 10 };
	struct store_message m = { .room = 1, .type = 4 };
	static char body[4096];
	uint64_t hash[2] = { 1, 2 }, seq;
	const char *why;
	struct store_txn *t;
	struct store *s;
	int rc = 0;

	(void)signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &small) == -1 ||
	    (s = store_open(STORE_WRITE, &why)) == NULL)
		return 1;
	m.body.p = body;
	m.body.len = sizeof(body);
	for (m.seq = 1; rc == 0 && m.seq < 1000; m.seq++) {
		if ((t = store_begin(s)) == NULL)
			return 2;
		m.gseq = m.seq;
		store_message_add(t, &m, hash);
		rc = store_commit(&t);
	}
	if (rc == 0 || (errno != EFBIG && errno != EIO && errno != ENOSPC))
		return 3;
	if (store_try(s, 1 << 20) == 0)
		return 6;
	/* what was committed before is there, and only that */
	if ((t = store_snapshot(s)) == NULL || store_last_seq(t, 1, &seq) == -1)
		return 4;
	store_snapshot_end(&t);
	return seq == m.seq - 2 ? 0 : 5;
}

static void
a_file_that_cannot_grow_fails_the_commit_and_nothing_else(void **state)
{
	struct store_fixture *f = *state;

	store_close(&f->s);
	assert_int_equal(in_child(child_with_full_disk, NULL), 0);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_files_are_private_and_the_lock_file_has_its_blocks),
		T(no_descriptor_of_the_store_survives_exec),
		T(a_new_store_has_seen_no_ring),
		T(a_snapshot_knows_its_position_and_does_not_move),
		T(another_process_reads_what_was_committed),
		T(a_reader_waits_until_the_writer_has_made_the_store),
		T(what_is_aborted_never_was),
		T(the_first_error_sticks_and_the_commit_tells_it),
		T(a_store_that_wants_a_newer_chatd_is_refused_in_words),
		T(a_newer_store_that_older_chatds_may_read_is_opened),
		T(a_directory_that_cannot_be_written_is_a_sentence),
		T(any_damaged_byte_of_a_value_is_found_and_counted),
		T(a_value_under_another_key_is_found),
		T(the_place_of_a_dead_reader_is_freed),
		T(the_statistics_count_rows_and_bytes),
		T(trying_leaves_nothing_but_free_pages),
		T(a_file_that_cannot_grow_fails_the_commit_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
