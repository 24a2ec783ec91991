/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_resize - what resize.h promises: other rings for all, or for nobody.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/log.h"
#include "master/child.h"
#include "master/master.h"
#include "master/resize.h"
#include "master/supervise.h"
#include "shm/record.h"

#define WORKERS 2
#define NCHILDREN (WORKERS + 1)
#define SCRIBE WORKERS

static struct {
	struct master m;
	struct child child[NCHILDREN];
	struct config *next;
	/* what each was sent last: type, generation, arenas, descriptors */
	enum ipc_type sent[NCHILDREN];
	uint64_t generation[NCHILDREN];
	uint32_t arena[NCHILDREN][2];
	int nfds[NCHILDREN];
	const char *why;
} f;

/* --- the rest of the master ------------------------------------------------ */

const char *
child_name(const struct child *c)
{
	static char name[16];

	(void)snprintf(name, sizeof(name), "child %u", c->slot);
	return name;
}

struct ipc_msg *
child_message(enum ipc_type type)
{
	static struct ipc_msg msg;

	ipc_begin(&msg, type);
	return &msg;
}

int
child_send(struct child *c, const struct ipc_msg *m)
{
	struct ipc_msg copy = *m;
	size_t i = (size_t)(c - f.child);

	f.sent[i] = m->type;
	f.generation[i] = ipc_get_u64(&copy);
	f.nfds[i] = m->nfds;
	if (m->type == IPC_RINGS_NEXT) {
		f.arena[i][0] = ipc_get_u32(&copy);
		f.arena[i][1] = ipc_get_u32(&copy);
	}
	assert_false(copy.bad);
	return 0;
}

bool
child_serves(const struct child *c)
{
	return c->pid != 0;
}

struct child *
supervise_next(struct supervisor *s, struct child *c)
{
	for (c = c == NULL ? f.child : c + 1; c < f.child + NCHILDREN; c++)
		if (c->pid != 0)
			return c;
	return NULL;
}

/* --- fixture --------------------------------------------------------------- */

static struct config *
load(const char *slots, const char *arena, const char *event)
{
	const char *const overrides[] = { slots, arena, event,
		"engine.max_payload=64k" };
	const struct config_source src = { .overrides = overrides,
		.noverrides = 4,
		.without_files = true };
	struct config_errors errors;
	struct config *cfg = config_load(&src, &errors);

	assert_non_null(cfg);
	return cfg;
}

static void
want(const char *slots, const char *arena, const char *event)
{
	config_free(&f.next);
	f.next = load(slots, arena, event);
}

static void
start(unsigned i)
{
	struct child *c = &f.child[i];
	struct shared *sh = &f.m.shared;

	c->master = &f.m;
	c->slot = i == SCRIBE ? TABLES_SCRIBE : i;
	c->role = i == SCRIBE ? ROLE_SCRIBE : ROLE_WORKER;
	c->pid = 100 + (pid_t)i;
	c->incarnation++;
	c->generation = sh->generation;
	c->rings = CHILD_RINGS_SAME;
	if (i == SCRIBE)
		return;
	c->log_arena =
	    (unsigned)ring_arena_take(sh->log, c->slot, c->incarnation);
	c->live_arena =
	    (unsigned)ring_arena_take(sh->live, c->slot, c->incarnation);
}

static int
setup(void **state)
{
	memset(&f, 0, sizeof(f));
	f.why = "";
	f.m.cfg = load("ring.slots=64", "ring.arena_bytes=64k",
	    "limits.event_bytes=8k");
	f.m.workers = WORKERS;
	shared_create(&f.m.shared, f.m.cfg, WORKERS, 16);
	for (unsigned i = 0; i < NCHILDREN; i++)
		start(i);
	want("ring.slots=256", "ring.arena_bytes=128k",
	    "limits.event_bytes=8k");
	return 0;
}

static int
teardown(void **state)
{
	shared_free(&f.m.shared);
	config_free(&f.m.cfg);
	config_free(&f.next);
	return 0;
}

static int
says_mapped(unsigned i, uint64_t generation, bool ok)
{
	struct ipc_msg *m = child_message(IPC_RINGS_MAPPED);

	ipc_put_u64(m, generation);
	ipc_put_u8(m, ok);
	ipc_put_str(m, ok ? "" : "no room");
	return resize_mapped(&f.child[i], m, &f.why);
}

static void
says_left(unsigned i, uint64_t generation)
{
	struct ipc_msg *m = child_message(IPC_RINGS_LEFT);

	ipc_put_u64(m, generation);
	resize_left(&f.child[i], m);
	assert_false(m->bad);
}

static void
begin(void)
{
	assert_int_equal(resize_begin(&f.m, f.next, &f.why), 0);
	for (unsigned i = 0; i < NCHILDREN; i++)
		assert_int_equal(says_mapped(i, f.m.shared.generation + 1,
				     true),
		    0);
	assert_null(resize_missing(&f.m));
}

static void
change(void)
{
	bool begun;

	begin();
	assert_int_equal(resize_switch(&f.m, &begun), 0);
}

static int
publish(struct ring *r, unsigned arena)
{
	_Alignas(8) char rec[256];
	struct record h = { .type = RECORD_PROBE };
	uint64_t gseq;
	size_t len = record_build(rec, sizeof(rec), &h, NULL, 0);

	ring_producer_init(r, arena);
	return ring_publish(r, rec, len, &gseq);
}

/* --- tests ----------------------------------------------------------------- */

static void
only_slots_and_arenas_want_other_rings(void **state)
{
	assert_true(resize_wanted(&f.m, f.next));
	want("ring.slots=64", "ring.arena_bytes=128k", "limits.event_bytes=8k");
	assert_true(resize_wanted(&f.m, f.next));
	want("ring.slots=64", "ring.arena_bytes=64k", "limits.event_bytes=4k");
	assert_false(resize_wanted(&f.m, f.next));
}

static void
all_are_sent_the_rings_and_are_waited_for(void **state)
{
	assert_int_equal(resize_begin(&f.m, f.next, &f.why), 0);
	for (unsigned i = 0; i < NCHILDREN; i++) {
		assert_int_equal(f.sent[i], IPC_RINGS_NEXT);
		assert_int_equal(f.generation[i], 2);
		/* the live ring is not the scribe's */
		assert_int_equal(f.nfds[i], i == SCRIBE ? 1 : 2);
	}
	assert_int_not_equal(f.arena[0][0], f.arena[1][0]);
	assert_int_not_equal(f.arena[0][1], f.arena[1][1]);
	assert_string_equal(resize_missing(&f.m), "child 0");
	assert_int_equal(says_mapped(0, 2, true), 0);
	assert_string_equal(resize_missing(&f.m), "child 1");
	/* about others, or twice: no news */
	assert_int_equal(says_mapped(1, 1, true), 0);
	assert_int_equal(says_mapped(0, 2, false), 0);
	assert_string_equal(resize_missing(&f.m), "child 1");
	assert_int_equal(says_mapped(1, 2, true), 0);
	assert_int_equal(says_mapped(SCRIBE, 2, true), 0);
	assert_null(resize_missing(&f.m));
	/* nothing has changed yet */
	assert_int_equal(ring_slots(f.m.shared.log), 64);
	assert_int_equal(publish(f.m.shared.log, f.child[0].log_arena), 0);
}

static void
who_cannot_have_them_says_why(void **state)
{
	assert_int_equal(resize_begin(&f.m, f.next, &f.why), 0);
	assert_int_equal(says_mapped(1, 2, false), -1);
	assert_string_equal(f.why, "child 1 cannot have the rings: no room");
}

static void
what_is_forgotten_can_be_begun_again(void **state)
{
	for (unsigned n = 0; n < 3; n++) {
		begin();
		resize_forget(&f.m);
		for (unsigned i = 0; i < NCHILDREN; i++) {
			assert_int_equal(f.sent[i], IPC_RINGS_FORGET);
			assert_int_equal(f.generation[i], 2);
		}
		assert_null(f.m.shared.next_log);
		assert_null(resize_missing(&f.m));
	}
	assert_int_equal(publish(f.m.shared.log, f.child[0].log_arena), 0);
	change();
	assert_int_equal(ring_slots(f.m.shared.log), 256);
}

static void
after_the_switch_the_next_rings_are_the_rings(void **state)
{
	struct shared *sh = &f.m.shared;
	uint64_t run = ring_run(sh->log), base = ring_base(sh->log);

	assert_int_equal(publish(sh->log, f.child[0].log_arena), 0);
	change();
	assert_int_equal(sh->generation, 2);
	assert_int_equal(ring_slots(sh->log), 256);
	assert_int_equal(ring_slots(sh->live), 256);
	assert_int_equal(ring_arena_bytes(sh->live), 128 << 10);
	assert_true(ring_base(sh->log) > base + 16 * 64);
	assert_int_equal(ring_run(sh->log), run);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(f.child[i].log_arena, f.arena[i][0]);
		assert_int_equal(f.child[i].live_arena, f.arena[i][1]);
	}
	assert_int_equal(publish(sh->log, f.child[0].log_arena), 0);
	assert_int_equal(publish(sh->live, f.child[0].live_arena), 0);
}

static void
the_old_log_ring_is_kept_until_a_scribe_has_left_it(void **state)
{
	struct shared *sh = &f.m.shared;

	change();
	assert_string_equal(resize_staying(&f.m), "child 0");
	says_left(0, 2);
	says_left(1, 2);
	assert_string_equal(resize_staying(&f.m), "child 64");
	assert_non_null(sh->old_log_seg.mem);
	/* it dies; the next one has both from its HELLO */
	assert_int_equal(resize_child_dead(&f.child[SCRIBE], 7), 7);
	start(SCRIBE);
	f.child[SCRIBE].generation = 1;
	f.sent[SCRIBE] = IPC_NONE;
	resize_child_started(&f.child[SCRIBE]);
	assert_int_equal(f.sent[SCRIBE], IPC_RINGS_NEXT);
	assert_int_equal(f.generation[SCRIBE], 2);
	assert_int_equal(f.nfds[SCRIBE], 1);
	/* of no interest: nobody is asked now */
	assert_int_equal(says_mapped(SCRIBE, 2, true), 0);
	says_left(SCRIBE, 1);
	assert_non_null(sh->old_log_seg.mem);
	says_left(SCRIBE, 2);
	assert_null(sh->old_log_seg.mem);
	assert_null(resize_staying(&f.m));
	/* and one after that only the new one */
	start(SCRIBE);
	f.sent[SCRIBE] = IPC_NONE;
	resize_child_started(&f.child[SCRIBE]);
	assert_int_equal(f.sent[SCRIBE], IPC_NONE);
}

static void
they_do_not_change_again_before_all_have_left(void **state)
{
	change();
	says_left(0, 2);
	says_left(SCRIBE, 2);
	want("ring.slots=64", "ring.arena_bytes=64k", "limits.event_bytes=8k");
	assert_int_equal(resize_begin(&f.m, f.next, &f.why), -1);
	assert_non_null(strstr(f.why, "child 1 has not left the old"));
	assert_null(f.m.shared.next_log);
	says_left(1, 2);
	change();
	assert_int_equal(f.m.shared.generation, 3);
	assert_int_equal(ring_slots(f.m.shared.log), 64);
}

static void
who_dies_meanwhile_is_buried_in_both(void **state)
{
	struct child *c = &f.child[1];
	struct shared *sh = &f.m.shared;
	bool begun;

	for (unsigned n = 0; n < 20; n++) {
		if (n == 0)
			begin();
		assert_int_equal(resize_child_dead(c, 5), 5);
		(void)ring_worker_dead(sh->log, 1, c->log_arena);
		(void)ring_worker_dead(sh->live, 1, c->live_arena);
		assert_int_equal(c->rings, CHILD_RINGS_SAME);
		start(1);
		resize_child_started(c);
		/* more than there are arenas: they are free at once */
		assert_int_equal(f.sent[1], IPC_RINGS_NEXT);
		assert_string_equal(resize_missing(&f.m), "child 1");
		assert_int_equal(says_mapped(1, 2, true), 0);
	}
	assert_null(resize_missing(&f.m));
	assert_int_equal(resize_switch(&f.m, &begun), 0);
	assert_int_equal(publish(sh->log, c->log_arena), 0);
}

static void
a_full_log_ring_is_tried_again(void **state)
{
	struct shared *sh = &f.m.shared;
	struct ring_index ix = { 0 };
	bool begun = true;
	uint64_t n;

	begin();
	for (n = 0; n < 64; n += 4) {
		/* the quota starts anew each time, as the test forgets */
		assert_int_equal(publish(sh->log, 0), 0);
		assert_int_equal(publish(sh->log, 1), 0);
		assert_int_equal(publish(sh->log, 2), 0);
		assert_int_equal(publish(sh->log, 3), 0);
	}
	errno = 0;
	assert_int_equal(resize_switch(&f.m, &begun), -1);
	assert_int_equal(errno, EAGAIN);
	assert_false(begun);
	assert_int_equal(sh->generation, 1);
	for (n = ring_base(sh->log); ring_published(sh->log, n); n++)
		ring_decide(sh->log, n, &ix);
	ring_durable(sh->log, n, n);
	(void)ring_gate(sh->log, 1);
	assert_int_equal(resize_switch(&f.m, &begun), 0);
	assert_int_equal(ring_slots(sh->log), 256);
}

static void
events_under_way_must_fit(void **state)
{
	config_free(&f.m.cfg);
	f.m.cfg = load("ring.slots=64", "ring.arena_bytes=512k",
	    "limits.event_bytes=64k");
	want("ring.slots=64", "ring.arena_bytes=64k", "limits.event_bytes=8k");
	assert_int_equal(resize_begin(&f.m, f.next, &f.why), -1);
	assert_non_null(strstr(f.why, "lower limits.event_bytes first"));
	assert_null(f.m.shared.next_log);
	want("ring.slots=64", "ring.arena_bytes=272k", "limits.event_bytes=8k");
	assert_int_equal(resize_begin(&f.m, f.next, &f.why), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(only_slots_and_arenas_want_other_rings),
		T(all_are_sent_the_rings_and_are_waited_for),
		T(who_cannot_have_them_says_why),
		T(what_is_forgotten_can_be_begun_again),
		T(after_the_switch_the_next_rings_are_the_rings),
		T(the_old_log_ring_is_kept_until_a_scribe_has_left_it),
		T(they_do_not_change_again_before_all_have_left),
		T(who_dies_meanwhile_is_buried_in_both),
		T(a_full_log_ring_is_tried_again),
		T(events_under_way_must_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
