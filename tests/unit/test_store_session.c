/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_store_session - numbers and names of rooms and users.
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
add_room(struct store_txn *t, uint64_t n, const char *workspace,
    const char *session)
{
	struct store_room room = { .room = n,
		.workspace = text(workspace),
		.session = text(session),
		.created_ms = 1000 + n };

	store_room_add(t, &room);
}

static void
a_room_is_found_by_its_name_and_by_its_number(void **state)
{
	struct store_fixture *f = *state;
	struct store_room room;
	struct store_txn *t;
	uint64_t n = 0;

	assert_non_null(t = store_begin(f->s));
	add_room(t, 7, "acme", "support");
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_room_find(t, text("acme"), text("support"), &n),
	    0);
	assert_int_equal(n, 7);
	assert_int_equal(store_room_get(t, 7, &room), 0);
	assert_int_equal(room.room, 7);
	assert_int_equal(room.created_ms, 1007);
	assert_int_equal(room.workspace.len, 4);
	assert_memory_equal(room.workspace.p, "acme", 4);
	assert_int_equal(room.session.len, 7);
	assert_memory_equal(room.session.p, "support", 7);
	store_snapshot_end(&t);
}

static void
the_same_session_in_another_workspace_is_another_room(void **state)
{
	struct store_fixture *f = *state;
	struct store_txn *t;
	uint64_t n = 0;

	assert_non_null(t = store_begin(f->s));
	add_room(t, 1, "ab", "c");
	/* the border between the names counts */
	add_room(t, 2, "a", "bc");
	assert_int_equal(store_room_find(t, text("ab"), text("c"), &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_room_find(t, text("a"), text("bc"), &n), 0);
	assert_int_equal(n, 2);
	errno = 0;
	assert_int_equal(store_room_find(t, text("abc"), text("c"), &n), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(n, 2);
	store_abort(&t);
}

static void
names_that_cannot_be_are_not_found_and_not_made(void **state)
{
	struct store_fixture *f = *state;
	struct store_text nul = { "a\0b", 3 }, empty = { "", 0 };
	static char longname[STORE_MAX_NAME + 1];
	struct store_text toolong = { longname, sizeof(longname) };
	struct store_room room = { .room = 1,
		.workspace = text("w"),
		.session = toolong };
	struct store_txn *t;
	uint64_t n;

	memset(longname, 'x', sizeof(longname));
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_room_find(t, nul, text("c"), &n), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_room_find(t, text("w"), empty, &n), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_room_find(t, text("w"), toolong, &n), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_user_find(t, empty, &n), -1);
	assert_int_equal(errno, ENOENT);
	store_snapshot_end(&t);
	assert_non_null(t = store_begin(f->s));
	store_room_add(t, &room);
	assert_int_equal(store_commit(&t), -1);
	assert_int_equal(errno, EINVAL);
}

static void
the_longest_names_fit(void **state)
{
	struct store_fixture *f = *state;
	static char longname[STORE_MAX_NAME];
	struct store_text name = { longname, sizeof(longname) };
	struct store_room room = { .room = 1,
		.workspace = name,
		.session = name };
	struct store_user user = { .user = 1, .id = name, .name = name };
	struct store_txn *t;
	uint64_t n = 0;

	memset(longname, 'x', sizeof(longname));
	assert_non_null(t = store_begin(f->s));
	store_room_add(t, &room);
	store_user_add(t, &user);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_room_find(t, name, name, &n), 0);
	assert_int_equal(store_user_find(t, name, &n), 0);
	store_snapshot_end(&t);
}

struct seen {
	uint64_t n[8];
	size_t count;
	size_t stop;
};

static bool
see(const struct store_room *room, void *arg)
{
	struct seen *seen = arg;

	seen->n[seen->count++] = room->room;
	return seen->count != seen->stop;
}

static void
rooms_are_walked_by_number(void **state)
{
	struct store_fixture *f = *state;
	struct seen seen = { .stop = 0 };
	struct store_txn *t;

	assert_non_null(t = store_begin(f->s));
	add_room(t, 300, "zz", "z");
	add_room(t, 2, "w", "b");
	add_room(t, 1, "w", "c");
	assert_int_equal(store_room_each(t, 0, see, &seen), 0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.n[0], 1);
	assert_int_equal(seen.n[1], 2);
	assert_int_equal(seen.n[2], 300);
	memset(&seen, 0, sizeof(seen));
	seen.stop = 1;
	assert_int_equal(store_room_each(t, 2, see, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.n[0], 2);
	store_abort(&t);
}

static void
a_user_keeps_number_and_id_and_changes_name(void **state)
{
	struct store_fixture *f = *state;
	struct store_user user = { .user = 5,
		.id = text("auth0|17"),
		.name = text("Ada"),
		.last_seen_ms = 10 };
	struct store_txn *t;
	uint64_t n = 0;

	assert_non_null(t = store_begin(f->s));
	store_user_add(t, &user);
	user.name = text("Ada L.");
	user.last_seen_ms = 20;
	store_user_update(t, &user);
	assert_int_equal(store_commit(&t), 0);
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_user_find(t, text("auth0|17"), &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(store_user_get(t, 5, &user), 0);
	assert_int_equal(user.last_seen_ms, 20);
	assert_int_equal(user.id.len, 8);
	assert_memory_equal(user.id.p, "auth0|17", 8);
	assert_int_equal(user.name.len, 6);
	assert_memory_equal(user.name.p, "Ada L.", 6);
	errno = 0;
	assert_int_equal(store_user_get(t, 6, &user), -1);
	assert_int_equal(errno, ENOENT);
	store_snapshot_end(&t);
}

static void
numbers_begin_at_one_and_go_on_after_a_restart(void **state)
{
	struct store_fixture *f = *state;
	struct store_next next;
	struct store_txn *t;
	const char *why;

	assert_non_null(t = store_begin(f->s));
	assert_int_equal(store_next_get(t, &next), 0);
	assert_int_equal(next.room, 1);
	assert_int_equal(next.user, 1);
	next.room = 10;
	next.user = 20;
	store_next_put(t, &next);
	assert_int_equal(store_commit(&t), 0);
	store_close(&f->s);
	assert_non_null(f->s = store_open(STORE_WRITE, &why));
	memset(&next, 0, sizeof(next));
	assert_non_null(t = store_snapshot(f->s));
	assert_int_equal(store_next_get(t, &next), 0);
	assert_int_equal(next.room, 10);
	assert_int_equal(next.user, 20);
	store_snapshot_end(&t);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, \
	    store_fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_room_is_found_by_its_name_and_by_its_number),
		T(the_same_session_in_another_workspace_is_another_room),
		T(names_that_cannot_be_are_not_found_and_not_made),
		T(the_longest_names_fit),
		T(rooms_are_walked_by_number),
		T(a_user_keeps_number_and_id_and_changes_name),
		T(numbers_begin_at_one_and_go_on_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
