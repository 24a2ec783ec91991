/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_stream_table - what stream.h promises.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/stream_fixture.h"
#include "tests/unit/tables_fixture.h"

#define A 11
#define B 12
#define SECOND UINT64_C(1000000000)
#define BLOCK 4096
#define MANY 1000

static int
setup(void **state)
{
	if (small_tables_setup(state) == -1)
		return -1;
	stream_worker(*state, 0, A, TABLES_CHILD_READY);
	stream_worker(*state, 1, B, TABLES_CHILD_READY);
	return 0;
}

static struct stream_usage
usage(const struct tables *t)
{
	struct stream_usage u;

	stream_usage(t, &u);
	return u;
}

static void
nothing_is_left(const struct tables *t)
{
	struct stream_usage u = usage(t);

	assert_int_equal(u.streams, 0);
	assert_int_equal(u.rows, 0);
	assert_int_equal(u.used, 0);
}

static struct stream_ref
begun(struct tables *t, uint32_t incarnation, const char *id)
{
	struct stream_ref r;

	assert_int_equal(stream_start(t, incarnation, id, &r), 0);
	return r;
}

/* By a user each: one alone may not have all the memory. */
static struct stream_ref
begun_of(struct tables *t, uint64_t user, const char *id)
{
	struct stream_ref r;

	assert_int_equal(stream_start_of(t, A, user, id, 1000, &r), 0);
	return r;
}

static int
append(struct tables *t, const struct stream_ref *r, const char *text)
{
	return stream_append(t, r, text, strlen(text), 2000, NULL);
}

static void
reads(const struct tables *t, const struct stream_ref *r, uint32_t from,
    uint32_t to, const char *text)
{
	char buf[64];

	assert_int_equal(to - from, strlen(text));
	assert_int_equal(stream_copy(t, r, from, to, buf), 0);
	assert_memory_equal(buf, text, to - from);
}

#define fails(call, error) \
	do { \
		errno = 0; \
		assert_int_equal((call), -1); \
		assert_int_equal(errno, (error)); \
	} while (0)

/* --- one stream ---------------------------------------------------------- */

static void
what_it_was_begun_with_can_be_read(void **state)
{
	struct tables *t = *state, *other = small_tables_again(t);
	struct stream_ref r = begun(t, A, "m1"), found;
	struct stream_names n;
	struct stream_info i;
	char buf[64];

	assert_int_equal(stream_find(other, STREAM_ROOM, "m1", 2, &found), 0);
	assert_int_equal(found.row, r.row);
	assert_int_equal(found.generation, r.generation);
	assert_int_equal(found.owner, 0);
	assert_int_equal(stream_info(other, &found, &i), 0);
	assert_int_equal(i.room, STREAM_ROOM);
	assert_int_equal(i.user, STREAM_USER);
	assert_int_equal(i.state, STREAM_OPEN);
	assert_int_equal(i.owner, A);
	assert_true(i.alive);
	assert_int_equal(i.begun_ms, 1700000000000);
	assert_int_equal(i.active_ns, 1000);
	assert_int_equal(i.cancel_ns, 0);
	assert_int_equal(i.max_text, 256 << 10);
	assert_int_equal(i.at.next, 0);
	assert_int_equal(i.at.bytes, 0);
	assert_int_equal(stream_names(other, &found, &n), 0);
	assert_int_equal(n.id_len, 2);
	assert_memory_equal(n.id, "m1", 2);
	assert_int_equal(n.user_id_len, 9);
	assert_memory_equal(n.user_id, "auth0|bot", 9);
	assert_int_equal(n.user_name_len, 7);
	assert_memory_equal(n.user_name, "The Bot", 7);
	assert_int_equal(n.agent_id_len, 7);
	assert_memory_equal(n.agent_id, "agent-1", 7);
	assert_int_equal(stream_head(other, &found, buf, sizeof(buf)), 20);
	assert_memory_equal(buf, "\"id\":\"m\",\"content\":\"", 20);
	assert_int_equal(stream_tail(other, &found, buf, sizeof(buf)), 20);
	assert_memory_equal(buf, "\",\"type\":\"assistant\"", 20);
	fails(stream_head(other, &found, buf, 19), ERANGE);
	fails(stream_tail(other, &found, buf, 19), ERANGE);
	assert_int_equal(stream_end(t, &r), 0);
	tables_free(&other);
}

static void
a_text_grows_by_chunks(void **state)
{
	struct tables *t = *state, *other = small_tables_again(t);
	struct stream_ref r = begun(t, A, "m1"), look = r;
	struct stream_progress at;
	struct stream_info i;

	look.owner = 0;
	assert_int_equal(stream_append(t, &r, "Hello", 5, 5000, &at), 0);
	assert_int_equal(at.next, 0);
	assert_int_equal(at.bytes, 0);
	assert_int_equal(stream_append(t, &r, "", 0, 6000, &at), 0);
	assert_int_equal(at.next, 1);
	assert_int_equal(at.bytes, 5);
	assert_int_equal(stream_append(t, &r, ", world", 7, 7000, &at), 0);
	assert_int_equal(at.next, 2);
	assert_int_equal(at.bytes, 5);
	assert_int_equal(stream_progress(other, &look, &at), 0);
	assert_int_equal(at.next, 3);
	assert_int_equal(at.bytes, 12);
	reads(other, &look, 0, 12, "Hello, world");
	reads(other, &look, 4, 8, "o, w");
	reads(other, &look, 12, 12, "");
	fails(stream_copy(other, &look, 0, 13, NULL), ERANGE);
	fails(stream_copy(other, &look, 9, 8, NULL), ERANGE);
	assert_int_equal(stream_info(other, &look, &i), 0);
	assert_int_equal(i.active_ns, 7000);
	assert_int_equal(i.at.bytes, 12);
	assert_int_equal(stream_end(t, &r), 0);
	tables_free(&other);
}

/* Any lengths, so that chunks begin and end anywhere in words and blocks. */
static void
a_long_text_is_whole_wherever_it_is_cut(void **state)
{
	struct tables *t = *state;
	struct stream_new n = stream_described(STREAM_ROOM, "long");
	struct stream_ref r;
	static char text[STREAM_MAX_TEXT], got[STREAM_MAX_TEXT];
	size_t len = 0, step, i, from;

	n.max_text = STREAM_MAX_TEXT;
	stream_fill(3, 0, text, sizeof(text));
	assert_int_equal(stream_begin(t, A, &n, 1, &r), 0);
	for (i = 0; len < sizeof(text); i++, len += step) {
		step = i * 7919 % 5000;
		if (step > sizeof(text) - len)
			step = sizeof(text) - len;
		assert_int_equal(stream_append(t, &r, text + len, step, 1,
				     NULL),
		    0);
		from = len > 10000 ? len - 10000 + i % 13 : 0;
		assert_int_equal(stream_copy(t, &r, (uint32_t)from,
				     (uint32_t)(len + step), got),
		    0);
		assert_memory_equal(got, text + from, len + step - from);
	}
	fails(stream_append(t, &r, "x", 1, 1, NULL), EMSGSIZE);
	assert_int_equal(stream_copy(t, &r, 0, sizeof(text), got), 0);
	assert_memory_equal(got, text, sizeof(text));
	assert_int_equal(stream_end(t, &r), 0);
	nothing_is_left(t);
}

static void
what_is_too_long_is_refused(void **state)
{
	struct tables *t = *state;
	static char big[STREAM_MAX_TAIL + 1];
	struct stream_new n = stream_described(STREAM_ROOM, "m1");
	struct stream_new bad[8];
	struct stream_ref r;
	size_t i;

	memset(big, 'x', sizeof(big));
	for (i = 0; i < 8; i++)
		bad[i] = n;
	bad[0].id = (struct stream_text){ big, STREAM_MAX_ID + 1 };
	bad[1].user_id = (struct stream_text){ big, STREAM_MAX_ID + 1 };
	bad[2].user_name = (struct stream_text){ big, STREAM_MAX_NAME + 1 };
	bad[3].agent_id = (struct stream_text){ big, STREAM_MAX_ID + 1 };
	bad[4].head = (struct stream_text){ big, STREAM_MAX_HEAD + 1 };
	bad[5].tail = (struct stream_text){ big, STREAM_MAX_TAIL + 1 };
	bad[6].max_text = STREAM_MAX_TEXT + 1;
	for (i = 0; i < 7; i++)
		fails(stream_begin(t, A, &bad[i], 1, &r), EMSGSIZE);
	bad[7].id.len = 0;
	fails(stream_begin(t, A, &bad[7], 1, &r), EINVAL);
	bad[7] = n;
	bad[7].room = 0;
	fails(stream_begin(t, A, &bad[7], 1, &r), EINVAL);
	nothing_is_left(t);

	n.max_text = 10;
	assert_int_equal(stream_begin(t, A, &n, 1, &r), 0);
	assert_int_equal(append(t, &r, "12345678"), 0);
	fails(append(t, &r, "901"), EMSGSIZE);
	assert_int_equal(append(t, &r, "90"), 0);
	fails(append(t, &r, "1"), EMSGSIZE);
	assert_int_equal(append(t, &r, ""), 0);
	reads(t, &r, 0, 10, "1234567890");
	fails(stream_set_tail(t, &r, big, sizeof(big)), EMSGSIZE);
	assert_int_equal(stream_end(t, &r), 0);
}

static void
the_longest_of_everything_fits(void **state)
{
	struct tables *t = *state;
	static char big[STREAM_MAX_TAIL], got[STREAM_MAX_TAIL];
	struct stream_new n = stream_described(STREAM_ROOM, "m1");
	struct stream_names names;
	struct stream_ref r;

	stream_fill(1, 0, big, sizeof(big));
	n.id = (struct stream_text){ big, STREAM_MAX_ID };
	n.user_id = (struct stream_text){ big + 1, STREAM_MAX_ID };
	n.user_name = (struct stream_text){ big + 2, STREAM_MAX_NAME };
	n.agent_id = (struct stream_text){ big + 3, STREAM_MAX_ID };
	n.head = (struct stream_text){ big + 4, STREAM_MAX_HEAD };
	n.tail = (struct stream_text){ big, STREAM_MAX_TAIL };
	assert_int_equal(stream_begin(t, A, &n, 1, &r), 0);
	assert_int_equal(stream_find(t, STREAM_ROOM, big, STREAM_MAX_ID, &r),
	    0);
	assert_int_equal(stream_names(t, &r, &names), 0);
	assert_memory_equal(names.id, big, STREAM_MAX_ID);
	assert_memory_equal(names.user_id, big + 1, STREAM_MAX_ID);
	assert_memory_equal(names.user_name, big + 2, STREAM_MAX_NAME);
	assert_memory_equal(names.agent_id, big + 3, STREAM_MAX_ID);
	assert_int_equal(stream_head(t, &r, got, sizeof(got)), STREAM_MAX_HEAD);
	assert_memory_equal(got, big + 4, STREAM_MAX_HEAD);
	assert_int_equal(stream_tail(t, &r, got, sizeof(got)), STREAM_MAX_TAIL);
	assert_memory_equal(got, big, STREAM_MAX_TAIL);
}

static void
a_tail_can_be_replaced_again_and_again(void **state)
{
	struct tables *t = *state;
	static char tail[STREAM_MAX_TAIL], got[STREAM_MAX_TAIL];
	static const size_t lens[] = { 10, 5000, 3, STREAM_MAX_TAIL, 0, 8192, 1,
		4096 };
	struct stream_ref r = begun(t, A, "m1");
	uint64_t before = usage(t).used;
	size_t i;

	assert_int_equal(append(t, &r, "text"), 0);
	for (i = 0; i < 8; i++) {
		stream_fill(i, 0, tail, lens[i]);
		assert_int_equal(stream_set_tail(t, &r, tail, lens[i]), 0);
		assert_int_equal(stream_tail(t, &r, got, sizeof(got)), lens[i]);
		assert_memory_equal(got, tail, lens[i]);
		assert_int_equal(usage(t).used,
		    before + (lens[i] + BLOCK - 1) / BLOCK * BLOCK);
	}
	reads(t, &r, 0, 4, "text");
	assert_int_equal(stream_end(t, &r), 0);
	nothing_is_left(t);
}

static void
the_rate_is_the_streams(void **state)
{
	struct tables *t = *state;
	struct stream_ref r = begun(t, A, "m1");
	unsigned i;

	for (i = 0; i < 600; i++)
		assert_int_equal(stream_rate(t, &r, 600, 90 * SECOND), 0);
	assert_int_equal(stream_rate(t, &r, 600, 90 * SECOND), SECOND / 10);
	assert_int_equal(stream_rate(t, &r, 0, 90 * SECOND), 0);
	assert_int_equal(stream_detach(t, &r, 100 * SECOND), 0);
	assert_int_equal(stream_claim(t, &r, B, 0, 90 * SECOND), 0);
	/* it was taken over, and so was its rate */
	assert_int_equal(stream_rate(t, &r, 600, 90 * SECOND), SECOND / 10);
	assert_int_equal(stream_rate(t, &r, 600, 90 * SECOND + SECOND / 10), 0);
}

static void
it_is_cancelled_once(void **state)
{
	struct tables *t = *state;
	struct stream_ref r = begun(t, A, "m1"), look = r, old;
	struct stream_info i;

	look.owner = 0;
	assert_int_equal(stream_cancel(t, &look, 5 * SECOND), 0);
	fails(stream_cancel(t, &look, 6 * SECOND), EALREADY);
	assert_int_equal(stream_detach(t, &r, 1), 0);
	assert_int_equal(stream_claim(t, &r, B, STREAM_USER, 1), 0);
	assert_int_equal(stream_info(t, &r, &i), 0);
	assert_int_equal(i.cancel_ns, 5 * SECOND);
	old = r;
	assert_int_equal(stream_end(t, &r), 0);
	fails(stream_cancel(t, &old, 7 * SECOND), ESTALE);
	r = begun(t, A, "m2");
	assert_int_equal(r.row, old.row);
	fails(stream_cancel(t, &old, 7 * SECOND), ESTALE);
	assert_int_equal(stream_info(t, &r, &i), 0);
	assert_int_equal(i.cancel_ns, 0);
}

/* --- which one ----------------------------------------------------------- */

static void
an_id_runs_once_in_a_room(void **state)
{
	struct tables *t = *state;
	struct stream_new elsewhere = stream_described(8, "m1");
	struct stream_ref r = begun(t, A, "m1"), s, look;

	fails(stream_start(t, B, "m1", &s), EEXIST);
	assert_int_equal(s.row, r.row);
	assert_int_equal(s.generation, r.generation);
	assert_int_equal(s.owner, 0);
	fails(stream_start(t, A, "m1", &s), EEXIST);
	assert_int_equal(stream_begin(t, B, &elsewhere, 1, &s), 0);
	assert_int_equal(stream_find(t, 8, "m1", 2, &look), 0);
	assert_int_equal(look.row, s.row);
	assert_int_equal(stream_find(t, STREAM_ROOM, "m1", 2, &look), 0);
	assert_int_equal(look.row, r.row);
	fails(stream_find(t, STREAM_ROOM, "m", 1, &look), ENOENT);
	fails(stream_find(t, STREAM_ROOM, "", 0, &look), ENOENT);
	fails(stream_find(t, 9, "m1", 2, &look), ENOENT);
	assert_int_equal(stream_end(t, &r), 0);
	assert_int_equal(stream_start(t, B, "m1", &r), 0);
}

static void
what_has_ended_is_stale_for_ever(void **state)
{
	struct tables *t = *state;
	struct stream_ref r = begun(t, A, "m1"), old = r, look = r;
	struct stream_progress p;
	struct stream_names n;
	struct stream_info i;
	char buf[64];
	unsigned round;

	look.owner = 0;
	assert_int_equal(append(t, &r, "text"), 0);
	assert_int_equal(stream_end(t, &r), 0);
	assert_int_equal(r.row, STREAM_NO_ROW);
	for (round = 0; round < 3; round++) {
		fails(append(t, &old, "x"), ESTALE);
		fails(stream_end(t, &old), ESTALE);
		fails(stream_detach(t, &old, 1), ESTALE);
		fails(stream_set_tail(t, &old, "x", 1), ESTALE);
		fails(stream_claim(t, &look, B, 0, 1), ESTALE);
		fails(stream_progress(t, &look, &p), ESTALE);
		fails(stream_copy(t, &look, 0, 4, buf), ESTALE);
		fails(stream_head(t, &look, buf, sizeof(buf)), ESTALE);
		fails(stream_tail(t, &look, buf, sizeof(buf)), ESTALE);
		fails(stream_names(t, &look, &n), ESTALE);
		fails(stream_info(t, &look, &i), ESTALE);
		/* its row belongs to another one now */
		r = begun(t, A, round == 0 ? "m1" : "m2");
		assert_int_equal(r.row, old.row);
		assert_int_equal(append(t, &r, "other"), 0);
		if (round == 1)
			assert_int_equal(stream_end(t, &r), 0);
		else if (round == 0)
			assert_int_equal(stream_end(t, &r), 0);
	}
	r = (struct stream_ref){ .row = STREAM_NO_ROW };
	fails(stream_progress(t, &r, &p), ESTALE);
	fails(append(t, &r, "x"), ESTALE);
}

struct seen {
	unsigned n;
	uint64_t rooms;
};

static void
see(const struct stream_ref *r, const struct stream_info *info, void *arg)
{
	struct seen *s = arg;

	s->n++;
	s->rooms |= UINT64_C(1) << info->room;
}

static void
all_of_a_room_are_found(void **state)
{
	struct tables *t = *state;
	struct stream_new n;
	struct stream_ref r;
	struct seen s;
	char id[8];
	uint64_t i;

	for (i = 0; i < 60; i++) {
		(void)snprintf(id, sizeof(id), "m%u", (unsigned)i);
		n = stream_described(1 + i % 3, id);
		assert_int_equal(stream_begin(t, A, &n, 1, &r), 0);
		if (i % 6 == 0)
			assert_int_equal(stream_end(t, &r), 0);
		else if (i % 6 == 1)
			assert_int_equal(stream_detach(t, &r, 1), 0);
	}
	s = (struct seen){ .n = 0 };
	stream_each(t, 1, see, &s);
	assert_int_equal(s.n, 10);
	assert_int_equal(s.rooms, 1 << 1);
	s = (struct seen){ .n = 0 };
	stream_each(t, 2, see, &s);
	assert_int_equal(s.n, 20);
	s = (struct seen){ .n = 0 };
	stream_each(t, 0, see, &s);
	assert_int_equal(s.n, 50);
	assert_int_equal(s.rooms, 1 << 1 | 1 << 2 | 1 << 3);
	stream_each(t, 9, see, &s);
	assert_int_equal(s.n, 50);
	assert_int_equal(usage(t).streams, 50);
	assert_int_equal(usage(t).detached, 10);
}

/* --- whose --------------------------------------------------------------- */

static void
only_its_owner_writes(void **state)
{
	struct tables *t = *state, *other = small_tables_again(t);
	struct stream_ref r = begun(t, A, "m1"), look = r, forged = r;

	look.owner = 0;
	forged.owner = B;
	fails(append(other, &look, "x"), ESTALE);
	fails(append(other, &forged, "x"), ESTALE);
	fails(stream_end(other, &forged), ESTALE);
	fails(stream_detach(other, &forged, 1), ESTALE);
	fails(stream_claim(other, &look, B, 0, 1), EBUSY);
	fails(stream_claim(other, &look, A, 0, 1), EALREADY);
	assert_int_equal(look.owner, A);
	assert_int_equal(append(t, &r, "x"), 0);
	tables_free(&other);
}

static void
who_is_lost_may_come_back(void **state)
{
	struct tables *t = *state;
	struct stream_ref r = begun(t, A, "m1"), was = r, look = r;
	struct stream_info i;

	look.owner = 0;
	assert_int_equal(append(t, &r, "one "), 0);
	assert_int_equal(stream_detach(t, &r, 9 * SECOND), 0);
	assert_int_equal(r.owner, 0);
	fails(append(t, &was, "x"), ESTALE);
	assert_int_equal(stream_info(t, &look, &i), 0);
	assert_int_equal(i.state, STREAM_DETACHED);
	assert_int_equal(i.until_ns, 9 * SECOND);
	reads(t, &look, 0, 4, "one ");
	fails(stream_claim(t, &look, B, STREAM_USER + 1, 1), EPERM);
	assert_int_equal(stream_claim(t, &look, B, STREAM_USER, SECOND), 0);
	assert_int_equal(stream_info(t, &look, &i), 0);
	assert_int_equal(i.state, STREAM_OPEN);
	assert_int_equal(i.owner, B);
	assert_int_equal(i.active_ns, SECOND);
	fails(stream_claim(t, &was, A, STREAM_USER, SECOND), EBUSY);
	assert_int_equal(append(t, &look, "two"), 0);
	reads(t, &was, 0, 7, "one two");
	assert_int_equal(stream_end(t, &look), 0);
	nothing_is_left(t);
}

struct orphans {
	struct tables *t;
	unsigned n;
	struct stream_ref r;
	struct stream_info info;
};

static void
note(const struct stream_ref *r, const struct stream_info *info, void *arg)
{
	struct orphans *o = arg;

	o->n++;
	o->r = *r;
	o->info = *info;
}

static void
the_dead_are_inherited(void **state)
{
	struct tables *t = *state;
	struct stream_ref r = begun(t, A, "m1");
	struct orphans o = { .n = 0 };

	assert_int_equal(append(t, &r, "last words"), 0);
	assert_int_equal(stream_orphans(t, B, SECOND, note, &o), 0);
	stream_worker(t, 0, A, TABLES_CHILD_STOPPING);
	assert_int_equal(stream_orphans(t, B, SECOND, note, &o), 0);
	stream_worker(t, 0, A, TABLES_CHILD_DEAD);
	assert_int_equal(stream_orphans(t, B, SECOND, note, &o), 1);
	assert_int_equal(o.n, 1);
	assert_int_equal(o.info.state, STREAM_OPEN);
	assert_false(o.info.alive);
	/* the place is another's, who was somebody else */
	stream_worker(t, 0, A + 5, TABLES_CHILD_READY);
	assert_int_equal(stream_orphans(t, B, SECOND, note, &o), 1);
	assert_int_equal(stream_claim(t, &o.r, B, 0, SECOND), 0);
	assert_int_equal(stream_orphans(t, A + 5, SECOND, note, &o), 0);
	assert_int_equal(append(t, &o.r, "!"), 0);
	reads(t, &o.r, 0, 11, "last words!");
	assert_int_equal(stream_detach(t, &o.r, 3 * SECOND), 0);
	stream_worker(t, 1, B, TABLES_CHILD_NONE);
	/* it is nobody's, so nobody has died; but its time will be over */
	assert_int_equal(stream_orphans(t, A + 5, 2 * SECOND, note, &o), 0);
	assert_int_equal(stream_orphans(t, A + 5, 3 * SECOND, note, &o), 1);
	assert_int_equal(o.info.state, STREAM_DETACHED);
	assert_int_equal(stream_claim(t, &o.r, A + 5, 0, SECOND), 0);
	assert_int_equal(stream_end(t, &o.r), 0);
	nothing_is_left(t);
}

/* --- how many ------------------------------------------------------------ */

static void
a_thousand_streams_at_once(void **state)
{
	struct tables *t = *state;
	static struct stream_ref r[MANY];
	static char text[64 * 50], got[sizeof(text)];
	char id[24];
	uint32_t c, n;
	unsigned i;

	for (i = 0; i < MANY; i++) {
		(void)snprintf(id, sizeof(id), "stream-%u", i);
		r[i] = begun_of(t, i, id);
	}
	assert_int_equal(usage(t).streams, MANY);
	for (c = 0; c < 50; c++)
		for (i = 0; i < MANY; i++) {
			n = c * (20 + i % 40);
			stream_fill(i, n, text, 20 + i % 40);
			assert_int_equal(stream_append(t, &r[i], text,
					     20 + i % 40, c, NULL),
			    0);
		}
	for (i = 0; i < MANY; i++) {
		n = 50 * (20 + i % 40);
		assert_int_equal(stream_copy(t, &r[i], 0, n, got), 0);
		assert_true(stream_is_text(i, 0, got, n));
	}
	for (i = 0; i < MANY; i++)
		assert_int_equal(stream_end(t, &r[i]), 0);
	nothing_is_left(t);
}

static void
rows_and_memory_come_to_an_end(void **state)
{
	struct tables *t = *state;
	static struct stream_ref r[1024];
	static char block[BLOCK];
	struct stream_ref more;
	char id[24];
	uint32_t i, max = stream_rows(t);

	assert_int_equal(max, 1024);
	assert_int_equal(usage(t).max, 4 << 20);
	for (i = 0; i < max; i++) {
		(void)snprintf(id, sizeof(id), "stream-%u", i);
		r[i] = begun_of(t, i, id);
	}
	assert_int_equal(usage(t).used, usage(t).max);
	fails(stream_start(t, A, "one more", &more), ENOSPC);
	/* what is left of its first block it has */
	assert_int_equal(append(t, &r[3], "some"), 0);
	fails(stream_append(t, &r[3], block, BLOCK, 1, NULL), ENOSPC);
	reads(t, &r[3], 0, 4, "some");
	assert_int_equal(stream_end(t, &r[9]), 0);
	assert_int_equal(stream_append(t, &r[3], block, BLOCK, 1, NULL), 0);
	fails(stream_start(t, A, "one more", &more), ENOSPC);
	fails(stream_set_tail(t, &r[3], "tail", 4), ENOSPC);
	for (i = 0; i < max; i++)
		if (i != 9)
			assert_int_equal(stream_end(t, &r[i]), 0);
	nothing_is_left(t);
	more = begun(t, A, "one more");
	assert_int_equal(stream_end(t, &more), 0);
}

static void
memory_is_the_machines_until_it_is_needed(void **state)
{
	struct tables *t = *state;
	size_t before = backed_bytes(t->seg.fd), used;
	struct stream_ref r[2];
	static char big[1 << 18];
	uint64_t backed;
	unsigned i;

	assert_int_equal(usage(t).backed, 0);
	r[0] = begun(t, A, "m1");
	/* one slab of blocks, a group of rows */
	assert_in_range(backed_bytes(t->seg.fd) - before, 64 * BLOCK,
	    128 * BLOCK);
	r[1] = begun(t, A, "m2");
	for (i = 0; i < 2; i++)
		assert_int_equal(stream_append(t, &r[i], big, sizeof(big), 1,
				     NULL),
		    0);
	backed = usage(t).backed;
	assert_true(backed >= 2 * sizeof(big));
	used = backed_bytes(t->seg.fd);
	assert_int_equal(stream_orphans(t, A, 1, see, NULL), 0);
	assert_int_equal(stream_orphans(t, A, 1, see, NULL), 0);
	assert_int_equal(usage(t).backed, backed);
	assert_int_equal(stream_end(t, &r[0]), 0);
	assert_int_equal(stream_end(t, &r[1]), 0);
	assert_int_equal(usage(t).backed, backed);
	/* not at the first look: somebody may still read there */
	assert_int_equal(stream_orphans(t, A, 1, see, NULL), 0);
	assert_int_equal(usage(t).backed, backed);
	assert_int_equal(stream_orphans(t, A, 1, see, NULL), 0);
	assert_int_equal(usage(t).backed, 64 * BLOCK);
	assert_true(backed_bytes(t->seg.fd) <= used - (backed - 64 * BLOCK));
	/* and it can be had again */
	r[0] = begun(t, B, "m1");
	stream_fill(5, 0, big, sizeof(big));
	assert_int_equal(stream_append(t, &r[0], big, sizeof(big), 1, NULL), 0);
	memset(big, 0, sizeof(big));
	assert_int_equal(stream_copy(t, &r[0], 0, sizeof(big), big), 0);
	assert_true(stream_is_text(5, 0, big, sizeof(big)));
	assert_int_equal(stream_end(t, &r[0]), 0);
}

/* Tables that were given none have none. */
static void
there_may_be_no_streams_at_all(void **state)
{
	struct tables_geometry g = small_geometry();
	struct stream_ref r;
	struct tables *t;
	const char *why;

	g.stream_bytes = 0;
	assert_non_null(t = tables_create(&g, &why));
	fails(stream_start(t, A, "m1", &r), ENOSPC);
	fails(stream_find(t, STREAM_ROOM, "m1", 2, &r), ENOENT);
	stream_each(t, 0, see, NULL);
	assert_int_equal(stream_orphans(t, A, 1, see, NULL), 0);
	assert_int_equal(usage(t).max, 0);
	assert_int_equal(stream_rows(t), 0);
	tables_free(&t);
	g.stream_bytes = 4096;
	assert_null(tables_create(&g, &why));
}

static void
a_large_memory_has_larger_blocks(void **state)
{
	static const size_t memory[] = { 1 << 20, 64 << 20, 1 << 30,
		(size_t)16 << 30 };
	struct stream_usage u;
	struct tables *t;
	const char *why;
	struct stream_ref r;
	struct tables_geometry g;
	size_t i;

	for (i = 0; i < 4; i++) {
		g = small_geometry();
		g.stream_bytes = memory[i];
		assert_non_null(t = tables_create(&g, &why));
		u = usage(t);
		assert_int_equal(u.max, memory[i]);
		assert_in_range(u.rows_max, 256, 1 << 16);
		r = begun(t, A, "m1");
		assert_int_equal(append(t, &r, "text"), 0);
		reads(t, &r, 0, 4, "text");
		assert_int_equal(stream_end(t, &r), 0);
		nothing_is_left(t);
		tables_free(&t);
	}
}

#undef T
#define T(name) \
	cmocka_unit_test_setup_teardown(name, setup, small_tables_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_it_was_begun_with_can_be_read),
		T(a_text_grows_by_chunks),
		T(a_long_text_is_whole_wherever_it_is_cut),
		T(what_is_too_long_is_refused),
		T(the_longest_of_everything_fits),
		T(a_tail_can_be_replaced_again_and_again),
		T(the_rate_is_the_streams),
		T(it_is_cancelled_once),
		T(an_id_runs_once_in_a_room),
		T(what_has_ended_is_stale_for_ever),
		T(all_of_a_room_are_found),
		T(only_its_owner_writes),
		T(who_is_lost_may_come_back),
		T(the_dead_are_inherited),
		T(a_thousand_streams_at_once),
		T(rows_and_memory_come_to_an_end),
		T(memory_is_the_machines_until_it_is_needed),
		T(there_may_be_no_streams_at_all),
		T(a_large_memory_has_larger_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
