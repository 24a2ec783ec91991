/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_reader_roster - pages of who is in a room.
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

#include "common/log.h"
#include "tests/unit/store_fixture.h"
#include "worker/reader.h"

#define ROOM 7
#define MEMBERS 25

struct world {
	struct store_fixture f;
	struct store_reader *sr;
};

/* User n + 1 is "user n" with the socket "socket n"; the last has two. */
static void
fill(struct store *s)
{
	char user_id[20], socket[20];
	struct store_presence p = { .room = ROOM,
		.status = text("active"),
		.user_name = text("Name") };
	struct store_user user = { .user = 0 };
	struct store_txn *t;
	int i;

	assert_non_null(t = store_begin(s));
	for (i = 0; i < MEMBERS; i++) {
		snprintf(user_id, sizeof(user_id), "user %d", i);
		snprintf(socket, sizeof(socket), "socket %02d", i);
		user.user = p.user = (uint64_t)i + 1;
		user.id = p.user_id = text(user_id);
		p.socket = text(socket);
		store_user_add(t, &user);
		store_presence_put(t, &p);
	}
	p.socket = text("another");
	store_presence_put(t, &p);
	/* others are in other rooms */
	p.room = ROOM + 1;
	store_presence_put(t, &p);
	p.room = ROOM - 1;
	store_presence_put(t, &p);
	assert_int_equal(store_commit(&t), 0);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -1;
	*state = w;
	log_set_level(LOG_LEVEL_ERROR);
	if (store_fixture_open(&w->f) == -1)
		return -1;
	fill(w->f.s);
	return (w->sr = store_reader_new(w->f.s)) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	store_reader_free(&w->sr);
	store_fixture_close(&w->f);
	free(w);
	return 0;
}

static struct read_answer
ask(struct world *w, uint64_t user, const char *lines, uint64_t count)
{
	struct read_query q = { .kind = READ_ROSTER,
		.room = ROOM,
		.from = user,
		.count = count,
		.offset = 1,
		.text = text(lines) };
	struct read_answer a = { .error = 0 };

	reader_read(w->sr, &q, &a);
	assert_int_equal(a.error, 0);
	assert_int_equal(a.seq, MEMBERS + 1);
	return a;
}

/* Its sockets are these, separated by commas. */
static void
expect(struct read_answer *a, const char *sockets, bool more)
{
	char got[1000] = "";
	struct read_row row;
	size_t at = 0;

	while (reader_row(a, &at, &row))
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s",
		    got[0] == '\0' ? "" : ",", (int)row.text[2].len,
		    row.text[2].p);
	assert_string_equal(got, sockets);
	assert_true(a->more == more);
	free(a->bytes);
}

static void
it_begins_at_the_beginning(void **state)
{
	struct world *w = *state;
	struct read_answer a = ask(w, 0, "\n\n", 3);

	expect(&a, "socket 00,socket 01,socket 02", true);
	a = ask(w, 0, "\n\n", 1000);
	assert_int_equal(a.nrows, MEMBERS + 1);
	assert_false(a.more);
	free(a.bytes);
}

static void
it_goes_on_behind_a_socket(void **state)
{
	struct world *w = *state;
	struct read_answer a = ask(w, 0, "\nsocket 01\nuser 1", 2);

	expect(&a, "socket 02,socket 03", true);
	/* without the user it is looked for */
	a = ask(w, 0, "\nsocket 22\n", 2);
	expect(&a, "socket 23,another", true);
	a = ask(w, 0, "\nsocket 22\n", 3);
	expect(&a, "socket 23,another,socket 24", false);
	a = ask(w, 0, "\nsocket 24\nuser 24", 3);
	expect(&a, "", false);
	a = ask(w, 0, "\nsocket 24\n", 3);
	expect(&a, "", false);
}

static void
who_has_left_has_a_place_if_its_user_is_told(void **state)
{
	struct world *w = *state;
	struct read_answer a = ask(w, 0, "\nsocket 99\nuser 3", 2);

	expect(&a, "socket 04,socket 05", true);
	/* and none otherwise */
	a = ask(w, 0, "\nsocket 99\n", 2);
	expect(&a, "socket 00,socket 01", true);
	a = ask(w, 0, "\nsocket 99\nnobody", 2);
	expect(&a, "socket 00,socket 01", true);
}

static void
ones_own_is_always_among_them(void **state)
{
	struct world *w = *state;
	struct read_answer a = ask(w, 25, "socket 24\n\n", 3);

	expect(&a, "socket 00,socket 01,socket 24", true);
	/* once */
	a = ask(w, 2, "socket 01\n\n", 3);
	expect(&a, "socket 00,socket 01,socket 02", true);
	a = ask(w, 3, "socket 02\n\n", 3);
	expect(&a, "socket 00,socket 01,socket 02", true);
	a = ask(w, 25, "socket 24\n\n", MEMBERS + 1);
	assert_int_equal(a.nrows, MEMBERS + 1);
	assert_false(a.more);
	free(a.bytes);
	/* unless it is not there */
	a = ask(w, 25, "socket 77\n\n", 2);
	expect(&a, "socket 00,socket 01", true);
	a = ask(w, 1000, "socket 24\n\n", 2);
	expect(&a, "socket 00,socket 01", true);
}

static void
odd_questions_have_answers(void **state)
{
	struct world *w = *state;
	struct read_answer a = ask(w, 0, "", 1);

	expect(&a, "socket 00", true);
	a = ask(w, 0, "x", 1);
	expect(&a, "socket 00", true);
	a = ask(w, 0, "\n\nuser 3", 1);
	expect(&a, "socket 00", true);
	a = ask(w, 0, "\n\n", 0);
	expect(&a, "", true);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_begins_at_the_beginning),
		T(it_goes_on_behind_a_socket),
		T(who_has_left_has_a_place_if_its_user_is_told),
		T(ones_own_is_always_among_them),
		T(odd_questions_have_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
