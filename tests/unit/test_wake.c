/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_wake - what wake.h promises.
 */

#include <sys/eventfd.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <poll.h>

#include <cmocka.h>

#include "shm/wake.h"

struct fixture {
	void *mem;
	int efd[WAKE_CONSUMERS];
	/* two processes' views of one area */
	struct wake *a, *b;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	unsigned i;

	assert_non_null(f);
	f->mem = aligned_alloc(128, wake_size());
	assert_non_null(f->mem);
	memset(f->mem, 0, wake_size());
	for (i = 0; i < WAKE_CONSUMERS; i++)
		f->efd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->a = wake_attach(f->mem, f->efd);
	f->b = wake_attach(f->mem, f->efd);
	*state = f;
	return f->a == NULL || f->b == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	wake_detach(&f->a);
	wake_detach(&f->b);
	for (i = 0; i < WAKE_CONSUMERS; i++)
		close(f->efd[i]);
	free(f->mem);
	free(f);
	return 0;
}

/* What the eventfd counts; empties it. */
static uint64_t
written(struct fixture *f, unsigned who)
{
	uint64_t n;

	return read(f->efd[who], &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void
wake_leaves_alone_who_is_awake(void **state)
{
	struct fixture *f = *state;

	assert_false(wake_one(f->a, 0));
	assert_false(wake_one(f->a, WAKE_SCRIBE));
	wake_workers(f->a, UINT64_MAX);
	assert_int_equal(written(f, 0), 0);
	assert_int_equal(written(f, WAKE_SCRIBE), 0);
}

static void
wake_reaches_each_consumer_by_itself(void **state)
{
	struct fixture *f = *state;
	unsigned who, other;

	for (who = 0; who < WAKE_CONSUMERS; who++) {
		wake_prepare(f->a, who);
		for (other = 0; other < WAKE_CONSUMERS; other++)
			if (other != who)
				assert_false(wake_one(f->b, other));
		assert_true(wake_one(f->b, who));
		assert_int_equal(written(f, who), 1);
	}
}

static void
wake_writes_once_for_one_sleep(void **state)
{
	struct fixture *f = *state;

	wake_prepare(f->a, 5);
	assert_true(wake_one(f->b, 5));
	assert_false(wake_one(f->b, 5));
	wake_workers(f->b, UINT64_MAX);
	assert_int_equal(written(f, 5), 1);
}

static void
wake_of_many_wakes_those_who_sleep_and_are_meant(void **state)
{
	struct fixture *f = *state;

	wake_prepare(f->a, 1);
	wake_prepare(f->a, 2);
	wake_prepare(f->a, 63);
	assert_int_equal(wake_sleepers(f->b), 1u << 1 | 1u << 2 | 1ull << 63);
	wake_workers(f->b, 1u << 2 | 1u << 3 | 1ull << 63);
	assert_int_equal(written(f, 1), 0);
	assert_int_equal(written(f, 2), 1);
	assert_int_equal(written(f, 3), 0);
	assert_int_equal(written(f, 63), 1);
	assert_int_equal(wake_sleepers(f->b), 1u << 1);
}

static void
wake_cancel_takes_the_announcement_back(void **state)
{
	struct fixture *f = *state;

	wake_prepare(f->a, 7);
	wake_cancel(f->a, 7);
	assert_int_equal(wake_sleepers(f->b), 0);
	assert_false(wake_one(f->b, 7));
}

/* A waker may stand still between taking the bit and writing; what it writes
 * later must not keep the sleeper from ever sleeping again. */
static void
wake_cancel_empties_a_late_write(void **state)
{
	struct fixture *f = *state;
	uint64_t one = 1;

	wake_prepare(f->a, 7);
	assert_int_equal(write(f->efd[7], &one, sizeof(one)), sizeof(one));
	wake_cancel(f->a, 7);
	assert_int_equal(written(f, 7), 0);
}

static void
wake_kick_writes_to_all_and_forgets_who_slept(void **state)
{
	struct fixture *f = *state;
	unsigned who;

	wake_prepare(f->a, 3);
	wake_prepare(f->a, WAKE_SCRIBE);
	wake_kick_all(f->b);
	assert_int_equal(wake_sleepers(f->a), 0);
	for (who = 0; who < WAKE_CONSUMERS; who++)
		assert_int_equal(written(f, who), 1);
	assert_false(wake_one(f->b, WAKE_SCRIBE));
}

static void
wake_leaves_errno_alone(void **state)
{
	struct fixture *f = *state;

	errno = EXDEV;
	wake_prepare(f->a, 1);
	wake_cancel(f->a, 1);
	wake_kick_all(f->a);
	assert_int_equal(errno, EXDEV);
}

static void
wake_does_without_an_eventfd(void **state)
{
	struct fixture *f = *state;
	int none[WAKE_CONSUMERS];
	struct wake *w;

	memset(none, 0xff, sizeof(none));
	w = wake_attach(f->mem, none);
	assert_non_null(w);
	wake_prepare(w, 9);
	assert_true(wake_one(w, 9));
	wake_cancel(w, 9);
	wake_detach(&w);
	assert_null(w);
}

/* A waker that makes work and a sleeper that consumes it, often; a lost
 * wake-up shows as a poll() that times out. */
#define ITEMS 20000

struct handover {
	struct wake *w;
	_Atomic unsigned made, taken;
};

static void *
maker(void *arg)
{
	struct handover *h = arg;
	unsigned i;

	for (i = 0; i < ITEMS; i++) {
		atomic_fetch_add(&h->made, 1);
		(void)wake_one(h->w, WAKE_SCRIBE);
		while (i % 3 == 0 && atomic_load(&h->taken) <= i)
			continue;
	}
	return NULL;
}

static void
wake_is_never_lost(void **state)
{
	struct fixture *f = *state;
	struct handover h = { .w = f->b };
	struct pollfd p = { f->efd[WAKE_SCRIBE], POLLIN, 0 };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, maker, &h), 0);
	while (atomic_load(&h.taken) < ITEMS) {
		if (atomic_load(&h.taken) < atomic_load(&h.made)) {
			atomic_fetch_add(&h.taken, 1);
			continue;
		}
		wake_prepare(f->a, WAKE_SCRIBE);
		if (atomic_load(&h.taken) == atomic_load(&h.made))
			assert_int_equal(poll(&p, 1, 20000), 1);
		wake_cancel(f->a, WAKE_SCRIBE);
	}
	pthread_join(thread, NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(wake_leaves_alone_who_is_awake),
		T(wake_reaches_each_consumer_by_itself),
		T(wake_writes_once_for_one_sleep),
		T(wake_of_many_wakes_those_who_sleep_and_are_meant),
		T(wake_cancel_takes_the_announcement_back),
		T(wake_cancel_empties_a_late_write),
		T(wake_kick_writes_to_all_and_forgets_who_slept),
		T(wake_leaves_errno_alone),
		T(wake_does_without_an_eventfd),
		T(wake_is_never_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
