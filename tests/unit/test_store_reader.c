/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_reader - helper threads that read, and who holds old pages.
 */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store/env.h"
#include "tests/unit/store_fixture.h"

#define THREADS 2
#define BATCHES 200
#define BATCH 5

/* A batch of messages, and the position behind them. */
static void
add_batch(struct store *s, uint64_t *seq)
{
	struct store_ring ring = { .base = 64 };
	uint64_t hash[2] = { 1, 2 };
	struct store_txn *t;
	unsigned i;

	assert_non_null(t = store_begin(s));
	for (i = 0; i < BATCH; i++) {
		struct store_message m = { .room = 1,
			.seq = ++*seq,
			.gseq = *seq,
			.type = 4,
			.id = text("id"),
			.body = text("\"a\":\"a body of some length\"") };

		store_message_add(t, &m, hash);
	}
	ring.pos = *seq + 1;
	store_ring_put(t, &ring);
	assert_int_equal(store_commit(&t), 0);
}

static void
two_snapshots_of_a_process_do_not_move_each_other(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *old, *now;
	struct store_reader *r;
	uint64_t seq = 0, n;

	add_batch(f->s, &seq);
	assert_non_null(r = store_reader_new(f->s));
	assert_non_null(old = store_reader_snapshot(r));
	add_batch(f->s, &seq);
	assert_non_null(now = store_snapshot(f->s));
	assert_int_equal(store_last_seq(old, 1, &n), 0);
	assert_int_equal(n, BATCH);
	assert_int_equal(store_pos(old), BATCH + 1);
	assert_int_equal(store_last_seq(now, 1, &n), 0);
	assert_int_equal(n, 2 * BATCH);
	store_snapshot_end(&now);
	assert_int_equal(store_last_seq(old, 1, &n), 0);
	assert_int_equal(n, BATCH);
	store_snapshot_end(&old);
	assert_null(old);
	assert_non_null(old = store_reader_snapshot(r));
	assert_int_equal(store_pos(old), 2 * BATCH + 1);
	store_snapshot_end(&old);
	store_reader_free(&r);
	assert_null(r);
}

struct thread {
	pthread_t id;
	struct store *s;
	_Atomic bool *stop;
	unsigned reads;
	const char *failed;
};

/* What a snapshot holds is what its position says. */
static const char *
read_once(struct store_reader *r)
{
	struct store_query q = { .room = 1,
		.from = UINT64_MAX,
		.backward = true,
		.count = 20 };
	struct store_message m[20];
	struct store_txn *t;
	const char *what = NULL;
	uint64_t last;
	unsigned n;
	bool more;

	if ((t = store_reader_snapshot(r)) == NULL)
		return "snapshot";
	if (store_page(t, &q, m, &n, &more) == -1 ||
	    store_last_seq(t, 1, &last) == -1)
		what = "read";
	else if (store_pos(t) != (n == 0 ? 0 : last + 1))
		what = "position";
	else if (n > 0 && m[n - 1].seq != last)
		what = "page";
	store_snapshot_end(&t);
	return what;
}

static void *
reads(void *arg)
{
	struct thread *th = arg;
	struct store_reader *r;

	if ((r = store_reader_new(th->s)) == NULL)
		th->failed = "memory";
	while (th->failed == NULL && !*th->stop) {
		th->failed = read_once(r);
		th->reads++;
	}
	store_reader_free(&r);
	return NULL;
}

static void
threads_read_while_another_writes(void **state)
{
	struct store_fixture *f = *state;
	struct thread th[THREADS];
	_Atomic bool stop = false;
	uint64_t seq = 0;
	unsigned i;

	memset(th, 0, sizeof(th));
	for (i = 0; i < THREADS; i++) {
		th[i].s = f->s;
		th[i].stop = &stop;
		assert_int_equal(pthread_create(&th[i].id, NULL, reads, &th[i]),
		    0);
	}
	for (i = 0; i < BATCHES; i++)
		add_batch(f->s, &seq);
	stop = true;
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(th[i].id, NULL), 0);
		if (th[i].failed != NULL)
			fail_msg("%s", th[i].failed);
		assert_true(th[i].reads > 0);
	}
	assert_int_equal(store_bad_values(f->s), 0);
	assert_int_equal(store_bad_pages(f->s), 0);
}

static void *
reads_damaged(void *arg)
{
	struct thread *th = arg;
	struct store_reader *r = store_reader_new(th->s);
	struct store_message m;
	struct store_txn *t;
	unsigned i;

	for (i = 0; r != NULL && i < 500; i++) {
		if ((t = store_reader_snapshot(r)) == NULL)
			break;
		if (store_message_get(t, 1, 1, &m) != -1 || errno != EUCLEAN)
			th->failed = "served";
		store_snapshot_end(&t);
		th->reads++;
	}
	store_reader_free(&r);
	return NULL;
}

static void
each_thread_is_guarded_for_itself(void **state)
{
	struct store_fixture *f = *state;
	struct thread th[THREADS];
	uint64_t seq = 0;
	unsigned i;

#ifdef __SANITIZE_THREAD__
	/* it does not follow a handler that is left by siglongjmp() */
	skip();
#endif
	add_batch(f->s, &seq);
	memset(th, 0, sizeof(th));
	/* the test's frame has set its own since the store was opened */
	store_guard_install();
	/* the rest of the file is not there any more */
	assert_int_equal(truncate("db/data.mdb", 8192), 0);
	for (i = 0; i < THREADS; i++) {
		th[i].s = f->s;
		assert_int_equal(pthread_create(&th[i].id, NULL, reads_damaged,
				     &th[i]),
		    0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(th[i].id, NULL), 0);
		assert_null(th[i].failed);
		assert_int_equal(th[i].reads, 500);
	}
	assert_true(store_bad_pages(f->s) >= 500 * THREADS);
}

struct copying {
	char to[64];
	struct store_text from;
};

static void
copy(void *arg)
{
	struct copying *c = arg;

	memcpy(c->to, c->from.p, c->from.len);
}

static void
text_can_be_copied_out_under_the_guard(void **state)
{
	struct store_fixture *f = *state;
	struct store_message m;
	struct copying c;
	struct store_txn *t;
	uint64_t seq = 0;

	store_guard_install();
	add_batch(f->s, &seq);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_message_get(t, 1, 1, &m), 0);
	c.from = m.body;
	assert_int_equal(store_guarded(t, copy, &c), 0);
	assert_memory_equal(c.to, "\"a\":", 4);
	assert_int_equal(truncate("db/data.mdb", 8192), 0);
	assert_int_equal(store_guarded(t, copy, &c), -1);
	assert_int_equal(errno, EUCLEAN);
	store_snapshot_end(&t);
}

/* --- who looks, and how much there is ---------------------------------- */

struct holders {
	unsigned n;
	struct store_holder last;
};

static bool
note(const struct store_holder *h, void *arg)
{
	struct holders *hs = arg;

	hs->n++;
	hs->last = *h;
	return true;
}

static void
a_process_that_holds_a_snapshot_is_found(void **state)
{
	struct store_fixture *f = *state;
	struct holders hs = { .n = 0 };
	struct store_space space;
	int ready[2], go[2], status;
	uint64_t seq = 0;
	const char *why;
	struct store *s;
	pid_t pid;
	char c;

	add_batch(f->s, &seq);
	assert_int_equal(store_holder_each(f->s, note, &hs), 0);
	assert_int_equal(hs.n, 0);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	if ((pid = fork()) == 0) {
		if ((s = store_open(STORE_READ, &why)) == NULL ||
		    store_snapshot(s) == NULL)
			_exit(1);
		(void)!write(ready[1], "r", 1);
		(void)!read(go[0], &c, 1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	add_batch(f->s, &seq);
	add_batch(f->s, &seq);
	add_batch(f->s, &seq);
	assert_int_equal(store_holder_each(f->s, note, &hs), 0);
	assert_int_equal(hs.n, 1);
	assert_int_equal(hs.last.pid, pid);
	assert_int_equal(hs.last.age, 3);
	assert_int_equal(store_space(f->s, &space), 0);
	assert_int_equal(space.last_txn - space.oldest_txn, 3);
	assert_true(space.held_bytes > 0);
	assert_true(space.held_bytes <= space.free_bytes);
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(store_reader_check(f->s), 1);
	hs.n = 0;
	assert_int_equal(store_holder_each(f->s, note, &hs), 0);
	assert_int_equal(hs.n, 0);
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	close(go[1]);
}

static void
what_is_free_is_counted(void **state)
{
	struct store_fixture *f = *state;
	struct store_space before, after;
	struct store_trim tr = { .room = 1,
		.below_seq = 400,
		.keep_ids_ms = UINT64_MAX,
		.max = 500 };
	struct store_room room = { .room = 1,
		.workspace = text("w"),
		.session = text("s") };
	struct store_txn *t;
	uint64_t seq = 0;
	struct stat st;
	unsigned i;

	for (i = 0; i < 100; i++)
		add_batch(f->s, &seq);
	assert_int_equal(store_space(f->s, &before), 0);
	assert_int_equal(stat("db/data.mdb", &st), 0);
	assert_int_equal(before.file_bytes, st.st_size);
	assert_true(before.page_bytes >= 4096);
	assert_true(before.used_bytes > 100000);
	assert_non_null(t = store_begin(f->s));
	store_room_add(t, &room);
	assert_int_equal(store_trim(t, &tr), 0);
	assert_int_equal(store_commit(&t), 0);
	assert_int_equal(store_space(f->s, &after), 0);
	assert_true(after.free_bytes > before.free_bytes + 10 * 4096);
	/* also while a snapshot is held */
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_space(f->s, &after), 0);
	store_snapshot_end(&t);
}

int
main(void)
{
#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(two_snapshots_of_a_process_do_not_move_each_other),
		T(threads_read_while_another_writes),
		T(each_thread_is_guarded_for_itself),
		T(text_can_be_copied_out_under_the_guard),
		T(a_process_that_holds_a_snapshot_is_found),
		T(what_is_free_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
