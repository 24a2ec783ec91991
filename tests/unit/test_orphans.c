/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_orphans - members of dead workers leave, once, and nobody else does.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shm/lost.h"
#include "shm/user.h"
#include "tests/unit/scribe_fixture.h"
#include "tests/unit/tables_fixture.h"

static uint64_t
members(struct scribe_fixture *f, uint64_t room)
{
	struct store_txn *t;
	uint64_t n = 0;

	assert_non_null(t = store_snapshot(f->st.s));
	assert_int_equal(store_presence_count(t, room, 0, &n), 0);
	store_snapshot_end(&t);
	return n;
}

/* Let orphans and commits go on until neither has anything to do. */
static void
settle(struct scribe_fixture *f)
{
	int i;
	bool more;

	for (i = 0; i < 1000; i++) {
		more = orphans_turn(f->o, commit_next(f->c));
		fix_turns(f);
		fix_delivered(f);
		if (!more && !ring_published(f->scribe, commit_next(f->c)))
			return;
	}
	fail();
}

static uint64_t
end_of(struct scribe_fixture *f)
{
	struct ring_info info;

	ring_info(f->scribe, &info);
	return info.end;
}

static void
each_member_of_a_dead_worker_leaves_once(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g;
	struct record_field fields[RECORD_MAX_FIELDS];
	struct ring_index ix;
	uint8_t *buf;
	size_t len;

	fix_decided(f, fix_join(f, "w", "a", "ada", "s2"));
	fix_decided(f, fix_join(f, "w", "b", "ada", "s2"));
	g = commit_next(f->c);
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION, g, false),
	    0);
	(void)orphans_turn(f->o, g);
	fix_turns(f);
	assert_int_equal(commit_next(f->c), g + 3);
	assert_int_equal(orphans_count(f->o), 3);

	assert_non_null(buf = malloc(f->log.max_record));
	assert_int_equal(ring_fetch(f->scribe, g, buf, f->log.max_record, &len,
			     &ix),
	    RING_OK);
	assert_int_equal(record_parse(buf, len, fields), 3);
	assert_int_equal(((struct record *)buf)->type, RECORD_LEAVE);
	assert_int_equal(((struct record *)buf)->flags, RECORD_F_ORPHAN);
	assert_int_equal(fields[0].len, 2);
	assert_memory_equal(fields[0].p, "s2", 2);
	assert_memory_equal(fields[1].p, "ada", 3);
	assert_int_equal(fields[2].len, 15);
	assert_memory_equal(fields[2].p, "transport close", 15);
	assert_int_equal(((struct record *)buf)->client, FIX_CLIENT);
	free(buf);

	ix = fix_index(f, g);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.room, room);
	assert_int_equal(ix.user, user);
	assert_int_equal(ix.seq, 1);
	assert_int_equal(ix.members, 1);
	assert_int_equal(fix_index(f, g + 1).seq, 0);
	assert_int_equal(fix_index(f, g + 1).members, 0);
	settle(f);
	assert_int_equal(members(f, room), 0);
	assert_int_equal(commit_next(f->c), g + 3);
}

static void
a_worker_that_was_told_to_end_says_so(void **state)
{
	struct scribe_fixture *f = *state;
	struct record_field fields[RECORD_MAX_FIELDS];
	struct ring_index ix;
	uint8_t *buf;
	uint64_t g;
	size_t len;

	fix_decided(f, fix_join(f, "w", "a", "ada", "s1"));
	g = commit_next(f->c);
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION, g, true),
	    0);
	(void)orphans_turn(f->o, g);
	fix_turns(f);
	assert_non_null(buf = malloc(f->log.max_record));
	assert_int_equal(ring_fetch(f->scribe, g, buf, f->log.max_record, &len,
			     &ix),
	    RING_OK);
	assert_int_equal(record_parse(buf, len, fields), 3);
	assert_int_equal(fields[2].len, 15);
	assert_memory_equal(fields[2].p, "server shutdown", 15);
	free(buf);
	settle(f);
}

static void
what_its_clients_lost_is_remembered(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t ada, bob, now = clock_mono_ms();
	struct tables *t;

	assert_int_equal(small_tables_setup((void **)&t), 0);
	ada = user_key(t, "ada", 3);
	bob = user_key(t, "bob", 3);
	fix_decided(f, fix_join(f, "w", "a", "ada", "s1"));
	fix_decided(f, fix_join(f, "w", "b", "ada", "s1"));
	fix_decided(f, fix_join(f, "v", "a", "bob", "s2"));
	orphans_remember(f->o, t, 60000);
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION,
			     commit_next(f->c), false),
	    0);
	settle(f);
	assert_true(lost_take(t, ada, "w", "a", now));
	assert_false(lost_take(t, ada, "w", "a", now));
	assert_true(lost_take(t, ada, "w", "b", now));
	assert_false(lost_take(t, ada, "v", "a", now));
	assert_true(lost_take(t, bob, "v", "a", now + 59000));
	/* without recovery there is no window */
	orphans_remember(f->o, t, 0);
	fix_decided(f, fix_join(f, "w", "a", "ada", "s1"));
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION,
			     commit_next(f->c), false),
	    0);
	settle(f);
	assert_int_equal(orphans_count(f->o), 4);
	assert_false(lost_take(t, ada, "w", "a", now));
	orphans_remember(f->o, NULL, 0);
	small_tables_teardown((void **)&t);
}

static void
nothing_happens_before_its_last_record_is_decided(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t g;

	(void)fix_room(f, "a", NULL);
	g = fix_join(f, "w", "a", "ada", "s2");
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION, g + 1,
			     false),
	    0);
	assert_false(orphans_turn(f->o, g));
	assert_int_equal(orphans_count(f->o), 0);
	fix_turns(f);
	settle(f);
	assert_int_equal(orphans_count(f->o), 2);
	assert_int_equal(members(f, 1), 0);
}

static void
members_of_other_workers_stay(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t room = fix_room(f, "a", NULL);
	struct ring *first = fix_other_worker(f);

	(void)fix_join(f, "w", "a", "bob", "s9");
	fix_first_worker(f, first);
	fix_turns(f);
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION,
			     commit_next(f->c), false),
	    0);
	settle(f);
	assert_int_equal(orphans_count(f->o), 1);
	assert_int_equal(members(f, room), 1);
}

static void
who_came_back_with_another_worker_is_not_thrown_out(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t user, room = fix_room(f, "a", &user), g = commit_next(f->c);
	struct ring *first = fix_other_worker(f);

	/* published before the leave, decided after it was published */
	(void)fix_join(f, "w", "a", "ada", "sock");
	fix_first_worker(f, first);
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION, g, false),
	    0);
	(void)orphans_turn(f->o, g);
	assert_int_equal(orphans_count(f->o), 1);
	fix_turns(f);
	assert_int_equal(fix_index(f, g).verdict, RING_DUPLICATE);
	assert_int_equal(fix_index(f, g + 1).verdict, RING_REJECTED);
	assert_int_equal(members(f, room), 1);
}

static void
many_orphans_go_on_while_the_ring_is_full(void **state)
{
	struct scribe_fixture *f = *state;
	const unsigned n = 3000;
	uint64_t room = fix_room(f, "a", NULL);
	char socket[16];
	unsigned i, full = 0;

	for (i = 1; i < n; i++) {
		snprintf(socket, sizeof(socket), "s%u", i);
		(void)fix_join(f, "w", "a", "ada", socket);
		if (i % 500 == 0)
			fix_turns(f);
		fix_delivered(f);
	}
	fix_turns(f);
	fix_delivered(f);
	assert_int_equal(members(f, room), n);
	assert_int_equal(orphans_worker_dead(f->o, FIX_INCARNATION,
			     commit_next(f->c), false),
	    0);
	/* nobody delivers: the ring fills up */
	for (i = 0; i < 100; i++) {
		if (!orphans_turn(f->o, commit_next(f->c)))
			break;
		full += i > 50;
	}
	assert_true(full > 0);
	assert_true(orphans_count(f->o) < n);
	settle(f);
	assert_int_equal(orphans_count(f->o), n);
	assert_int_equal(members(f, room), 0);
}

static void
a_new_scribe_finds_who_died_meanwhile(void **state)
{
	struct scribe_fixture *f = *state;
	uint32_t living[] = { FIX_OTHER_INCARNATION };
	uint64_t room = fix_room(f, "a", NULL);
	struct ring *first = fix_other_worker(f);

	(void)fix_join(f, "w", "a", "bob", "s9");
	fix_first_worker(f, first);
	fix_stop(f);
	assert_int_equal(fix_start(f), 0);
	assert_int_equal(orphans_takeover(f->o, 7, living, 1, end_of(f)), 0);
	/* bob's join is not decided yet */
	assert_false(orphans_turn(f->o, commit_next(f->c)));
	fix_turns(f);
	settle(f);
	assert_int_equal(orphans_count(f->o), 1);
	assert_int_equal(members(f, room), 1);
}

static void
a_new_scribe_leaves_those_alone_who_started_later(void **state)
{
	struct scribe_fixture *f = *state;
	uint64_t room = fix_room(f, "a", NULL);

	assert_int_equal(orphans_takeover(f->o, FIX_INCARNATION - 1, NULL, 0,
			     end_of(f)),
	    0);
	settle(f);
	assert_int_equal(orphans_count(f->o), 0);
	assert_int_equal(members(f, room), 1);
	assert_int_equal(orphans_takeover(f->o, FIX_INCARNATION + 1, NULL, 0,
			     end_of(f)),
	    0);
	settle(f);
	assert_int_equal(orphans_count(f->o), 1);
	assert_int_equal(members(f, room), 0);
}

static void
a_new_scribe_asks_the_living_about_their_own(void **state)
{
	struct scribe_fixture *f = *state;
	uint32_t living[] = { FIX_INCARNATION };
	struct fix_socket s = { 17, 3, "", "ada", "s2" };
	struct record_field fields[RECORD_MAX_FIELDS];
	struct ring_index in, ix;
	struct store_stat before, after;
	const struct record *h;
	uint8_t *buf;
	uint64_t g;
	size_t len;

	in = fix_decided(f, fix_sock_join(f, &s, "a", 0, NULL));
	g = end_of(f);
	assert_int_equal(store_stat(f->st.s, &before), 0);
	assert_int_equal(orphans_takeover(f->o, 9, living, 1, g), 0);
	settle(f);
	assert_int_equal(end_of(f), g + 1);
	assert_int_equal(orphans_count(f->o), 0);
	assert_int_equal(members(f, in.room), 1);
	/* which costs no transaction */
	assert_int_equal(store_stat(f->st.s, &after), 0);
	assert_int_equal(after.last_txn, before.last_txn);

	assert_non_null(buf = malloc(f->log.max_record));
	assert_int_equal(ring_fetch(f->scribe, g, buf, f->log.max_record, &len,
			     &ix),
	    RING_OK);
	h = (const void *)buf;
	assert_int_equal(record_parse(buf, len, fields), 2);
	assert_int_equal(h->type, RECORD_ASK);
	assert_int_equal(h->room, in.room);
	assert_int_equal(h->user, in.user);
	assert_int_equal(h->id_hash[0], FIX_INCARNATION);
	assert_int_equal(h->client, 17);
	assert_int_equal(h->generation, 3);
	assert_memory_equal(fields[0].p, "s2", 2);
	assert_memory_equal(fields[1].p, "ada", 3);
	free(buf);
	ix = fix_index(f, g);
	assert_int_equal(ix.verdict, RING_STORED);
	assert_int_equal(ix.type, RECORD_ASK);
	/* so that every worker that waits for it wakes up */
	assert_int_equal(ix.room, 0);
}

#undef T
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_member_of_a_dead_worker_leaves_once),
		T(a_worker_that_was_told_to_end_says_so),
		T(what_its_clients_lost_is_remembered),
		T(nothing_happens_before_its_last_record_is_decided),
		T(members_of_other_workers_stay),
		T(who_came_back_with_another_worker_is_not_thrown_out),
		T(many_orphans_go_on_while_the_ring_is_full),
		T(a_new_scribe_finds_who_died_meanwhile),
		T(a_new_scribe_leaves_those_alone_who_started_later),
		T(a_new_scribe_asks_the_living_about_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
