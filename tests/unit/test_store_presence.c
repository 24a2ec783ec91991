/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_presence - who is in a room.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/store_fixture.h"

static void
put(struct store_txn *t, uint64_t room, uint64_t user, const char *socket,
    uint32_t incarnation)
{
	struct store_presence p = { .room = room,
		.user = user,
		.socket = text(socket),
		.user_id = text("ada"),
		.user_name = text("Ada L."),
		.status = text("active"),
		.agent = text(""),
		.joined_ms = 100,
		.activity_ms = 200,
		.gseq = 300,
		.incarnation = incarnation,
		.client = 17,
		.generation = 3 };

	store_presence_put(t, &p);
}

struct seen {
	char sockets[512];
	int count;
	int stop;
};

static bool
see(const struct store_presence *p, void *arg)
{
	struct seen *seen = arg;
	size_t len = strlen(seen->sockets);

	if (++seen->count == seen->stop)
		return false;
	snprintf(seen->sockets + len, sizeof(seen->sockets) - len,
	    "%llu/%llu/%.*s ", (unsigned long long)p->room,
	    (unsigned long long)p->user, (int)p->socket.len, p->socket.p);
	return true;
}

static void
a_row_comes_out_as_it_went_in(void **state)
{
	struct store_fixture *f = *state;
	struct store_presence p;
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	put(t, 1, 2, "sock", 9);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_presence_get(t, 1, 2, text("sock"), &p), 0);
	assert_int_equal(p.room, 1);
	assert_int_equal(p.user, 2);
	assert_memory_equal(p.socket.p, "sock", 4);
	assert_memory_equal(p.user_id.p, "ada", 3);
	assert_int_equal(p.user_name.len, 6);
	assert_memory_equal(p.user_name.p, "Ada L.", 6);
	assert_memory_equal(p.status.p, "active", 6);
	assert_int_equal(p.agent.len, 0);
	assert_int_equal(p.joined_ms, 100);
	assert_int_equal(p.activity_ms, 200);
	assert_int_equal(p.gseq, 300);
	assert_int_equal(p.incarnation, 9);
	assert_int_equal(p.client, 17);
	assert_int_equal(p.generation, 3);
	errno = 0;
	assert_int_equal(store_presence_get(t, 1, 2, text("soc"), &p), -1);
	assert_int_equal(errno, ENOENT);
	store_snapshot_end(&t);
}

static void
a_pid_is_kept_with_the_row_and_not_invented(void **state)
{
	struct store_fixture *f = *state;
	struct store_presence p;
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	put(t, 1, 2, "sock", 9);
	assert_int_equal(store_presence_get(t, 1, 2, text("sock"), &p), 0);
	assert_int_equal(p.pid.len, 0);
	p.user_id = text("ada");
	p.user_name = text("Ada");
	p.status = text("idle");
	p.agent = text("helper");
	p.pid = text("abcdefghijklmnopqrst");
	store_presence_put(t, &p);
	assert_int_equal(store_presence_get(t, 1, 2, text("sock"), &p), 0);
	assert_int_equal(p.pid.len, 20);
	assert_memory_equal(p.pid.p, "abcdefghijklmnopqrst", 20);
	assert_int_equal(p.agent.len, 6);
	assert_memory_equal(p.agent.p, "helper", 6);
	store_abort(&t);
}

static void
a_roster_is_the_rooms_own_by_user_and_socket(void **state)
{
	struct store_fixture *f = *state;
	struct seen seen = { .stop = 0 };
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	put(t, 2, 1, "other", 1);
	put(t, 1, 300, "a", 1);
	put(t, 1, 2, "c", 1);
	put(t, 1, 2, "b", 1);
	put(t, 0, 9, "other", 1);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_roster(t, 1, see, &seen), 0);
	assert_string_equal(seen.sockets, "1/2/b 1/2/c 1/300/a ");
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(store_roster(t, 7, see, &seen), 0);
	assert_int_equal(seen.count, 0);
	store_snapshot_end(&t);
}

static void
sockets_are_counted_by_user_and_by_room(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *t;
	uint64_t n = 0;

	assert_non_null(t = store_begin(f->s));
	put(t, 1, 2, "b", 1);
	put(t, 1, 2, "c", 1);
	put(t, 1, 2, "c", 1);
	put(t, 1, 3, "a", 1);
	put(t, 2, 2, "d", 1);
	assert_int_equal(store_presence_count(t, 1, 2, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(store_presence_count(t, 1, 0, &n), 0);
	assert_int_equal(n, 3);
	store_presence_del(t, 1, 2, text("b"));
	store_presence_del(t, 1, 2, text("never"));
	assert_int_equal(store_presence_count(t, 1, 2, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_commit(&t), 0);
}

static void
clearing_leaves_nobody_anywhere(void **state)
{
	struct store_fixture *f = *state;
	struct store_place place;
	struct seen seen = { .stop = 0 };
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	put(t, 1, 2, "b", 1);
	put(t, 2, 2, "d", 1);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_begin(f->s));
	store_presence_clear(t);
	put(t, 3, 3, "new", 1);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_snapshot(f->s));
	memset(&place, 0, sizeof(place));
	assert_int_equal(store_presence_walk(t, &place, 99, see, &seen), 0);
	assert_true(place.done);
	assert_string_equal(seen.sockets, "3/3/new ");
	store_snapshot_end(&t);
}

static void
a_walk_goes_on_where_it_stopped_each_row_once(void **state)
{
	struct store_fixture *f = *state;
	struct store_place place;
	struct seen seen = { .stop = 0 };
	struct store_txn *t;
	int turns;

	assert_non_null(t = store_begin(f->s));
	put(t, 1, 1, "a", 1);
	put(t, 1, 1, "b", 1);
	put(t, 1, 2, "c", 1);
	put(t, 2, 1, "d", 1);
	put(t, 2, 2, "e", 1);
	assert_int_equal(store_commit(&t), 0);
	memset(&place, 0, sizeof(place));
	for (turns = 0; !place.done && turns < 9; turns++) {
		assert_non_null(t = store_snapshot(f->s));
		assert_int_equal(store_presence_walk(t, &place, 2, see, &seen),
		    0);
		store_snapshot_end(&t);
	}
	assert_int_equal(turns, 3);
	assert_string_equal(seen.sockets, "1/1/a 1/1/b 1/2/c 2/1/d 2/2/e ");
}

static void
a_walk_that_is_stopped_meets_the_same_row_again(void **state)
{
	struct store_fixture *f = *state;
	struct store_place place;
	struct seen seen = { .stop = 2 };
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	put(t, 1, 1, "a", 1);
	put(t, 1, 1, "b", 1);
	put(t, 1, 2, "c", 1);
	assert_int_equal(store_commit(&t), 0);
	memset(&place, 0, sizeof(place));
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_presence_walk(t, &place, 9, see, &seen), 0);
	assert_false(place.done);
	assert_string_equal(seen.sockets, "1/1/a ");
	assert_int_equal(store_presence_walk(t, &place, 9, see, &seen), 0);
	assert_true(place.done);
	assert_string_equal(seen.sockets, "1/1/a 1/1/b 1/2/c ");
	store_snapshot_end(&t);
}

static void
a_walk_survives_the_removal_of_its_row(void **state)
{
	struct store_fixture *f = *state;
	struct store_place place;
	struct seen seen = { .stop = 2 };
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	put(t, 1, 1, "a", 1);
	put(t, 1, 1, "b", 1);
	put(t, 1, 2, "c", 1);
	memset(&place, 0, sizeof(place));
	assert_int_equal(store_presence_walk(t, &place, 9, see, &seen), 0);
	store_presence_del(t, 1, 1, text("b"));
	assert_int_equal(store_presence_walk(t, &place, 9, see, &seen), 0);
	assert_string_equal(seen.sockets, "1/1/a 1/2/c ");
	assert_true(place.done);
	store_abort(&t);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_row_comes_out_as_it_went_in),
		T(a_pid_is_kept_with_the_row_and_not_invented),
		T(a_roster_is_the_rooms_own_by_user_and_socket),
		T(sockets_are_counted_by_user_and_by_room),
		T(clearing_leaves_nobody_anywhere),
		T(a_walk_goes_on_where_it_stopped_each_row_once),
		T(a_walk_that_is_stopped_meets_the_same_row_again),
		T(a_walk_survives_the_removal_of_its_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
