/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_worker_stream - the chat's streams in shared memory: two workers, one
 * of which dies.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/log.h"
#include "tests/unit/stream_fixture.h"
#include "tests/unit/tables_fixture.h"
#include "worker/stream.h"
#include "worker/worker.h"

#define OPEN_TAIL \
	"\",\"type\":\"assistant\",\"metadata\":{\"isStreaming\":true," \
	"\"isComplete\":false}"
#define CLOSED_TAIL \
	"\",\"type\":\"assistant\",\"metadata\":{\"isStreaming\":false," \
	"\"isComplete\":true}"

static struct worker one, two;
static struct config cfg;
static char memory[STREAM_MAX_TAIL];

/* worker/core.c has more of these */
char *
scratch(struct worker *w, enum scratch which, size_t len)
{
	assert_true(len <= sizeof(memory));
	return memory;
}

static struct chat_str
str(const char *s)
{
	return (struct chat_str){ s, strlen(s) };
}

static int
setup(void **state)
{
	struct tables *t;

	if (small_tables_setup(state) == -1)
		return -1;
	t = *state;
	cfg.stream_max_text = 100;
	cfg.stream_resume = 10000;
	one = (struct worker){ .slot = 0, .incarnation = 5 };
	two = (struct worker){ .slot = 1, .incarnation = 6 };
	one.tables = two.tables = t;
	one.cfg = two.cfg = &cfg;
	stream_worker(t, 0, 5, TABLES_CHILD_READY);
	stream_worker(t, 1, 6, TABLES_CHILD_READY);
	return 0;
}

static uint64_t
begin(struct worker *w, const char *id)
{
	const struct chat_stream_new n = {
		.room = 7,
		.user = 42,
		.id = str(id),
		.user_id = str("bot"),
		.user_name = str("Bot"),
		.agent = str("helper"),
		.head = str("\"id\":\"m\",\"content\":\""),
		.tail = str(OPEN_TAIL),
	};
	uint64_t handle = 0;

	assert_int_equal(ops_stream_open(w, &n, &handle), CHAT_STREAM_DONE);
	assert_int_not_equal(handle, 0);
	return handle;
}

struct seen {
	int n;
	uint64_t handle;
	enum chat_stream_owner owner;
	bool open, cancelled;
	uint64_t nchunks, len;
	char id[40], agent[40];
};

static bool
see(void *arg, const struct chat_stream *st)
{
	struct seen *seen = arg;

	seen->n++;
	seen->handle = st->handle;
	seen->owner = st->owner;
	seen->open = chat_stream_is_open(st->tail);
	seen->cancelled = st->cancelled;
	seen->nchunks = st->nchunks;
	seen->len = st->len;
	snprintf(seen->id, sizeof(seen->id), "%.*s", (int)st->id.len, st->id.p);
	snprintf(seen->agent, sizeof(seen->agent), "%.*s", (int)st->agent.len,
	    st->agent.p);
	return true;
}

static void
all_see_what_one_writes(void **state)
{
	uint64_t h = begin(&one, "m1"), n, len;
	struct seen seen = { 0 };
	char text[8] = "";

	assert_int_equal(ops_stream_append(&one, h, str("ab")),
	    CHAT_STREAM_DONE);
	assert_int_equal(ops_stream_append(&one, h, str("")), CHAT_STREAM_DONE);
	assert_int_equal(ops_stream_append(&two, h, str("x")),
	    CHAT_STREAM_GONE);
	assert_int_equal(ops_stream_find(&two, 7, str("m1")), h);
	assert_int_equal(ops_stream_find(&two, 8, str("m1")), 0);
	assert_true(ops_stream_look(&two, h, see, &seen));
	assert_string_equal(seen.id, "m1");
	assert_string_equal(seen.agent, "helper");
	assert_int_equal(seen.owner, CHAT_STREAM_OTHERS);
	assert_true(seen.open);
	assert_int_equal(seen.nchunks, 2);
	assert_int_equal(seen.len, 2);
	assert_true(ops_stream_progress(&two, h, &n, &len));
	assert_int_equal(n, 2);
	assert_true(ops_stream_text(&two, h, 0, 2, text));
	assert_string_equal(text, "ab");
	assert_true(ops_stream_look(&one, h, see, &seen));
	assert_int_equal(seen.owner, CHAT_STREAM_OURS);
	assert_int_equal(ops_stream_tail(&one, h, str(CLOSED_TAIL)),
	    CHAT_STREAM_DONE);
	assert_true(ops_stream_look(&two, h, see, &seen));
	assert_false(seen.open);
	ops_stream_end(&one, h);
	assert_false(ops_stream_look(&two, h, see, &seen));
	assert_false(ops_stream_progress(&two, h, &n, &len));
	assert_false(ops_stream_text(&two, h, 0, 2, text));
}

static void
one_id_is_one_stream(void **state)
{
	uint64_t h = begin(&one, "m1"), other = 0;
	const struct chat_stream_new n = { .room = 7,
		.user = 1,
		.id = str("m1"),
		.head = str("h"),
		.tail = str("t") };
	struct seen seen = { 0 };
	char big[200];

	assert_int_equal(ops_stream_open(&two, &n, &other), CHAT_STREAM_TAKEN);
	assert_int_equal(other, h);
	(void)begin(&two, "m2");
	ops_streams(&one, 7, see, &seen);
	assert_int_equal(seen.n, 2);
	ops_streams(&one, 8, see, &seen);
	assert_int_equal(seen.n, 2);
	memset(big, 'x', sizeof(big));
	assert_int_equal(ops_stream_append(&one, h,
			     (struct chat_str){ big, 101 }),
	    CHAT_STREAM_LONG);
	cfg.limits_chunk_rate = 1;
	assert_int_equal(ops_stream_rate(&one, h), 0);
	assert_true(ops_stream_rate(&one, h) > 0);
	cfg.limits_chunk_rate = 0;
	assert_int_equal(ops_stream_cancel(&two, h, 5000), CHAT_STREAM_DONE);
	assert_int_equal(ops_stream_cancel(&one, h, 5000), CHAT_STREAM_TAKEN);
	assert_true(ops_stream_look(&one, h, see, &seen));
	assert_true(seen.cancelled);
}

static void
what_is_given_up_can_be_claimed(void **state)
{
	uint64_t h = begin(&one, "m1");
	struct seen seen = { 0 };

	assert_int_equal(ops_stream_claim(&two, h, 42), CHAT_STREAM_TAKEN);
	ops_stream_detach(&one, h);
	assert_true(ops_stream_look(&two, h, see, &seen));
	assert_int_equal(seen.owner, CHAT_STREAM_NOBODYS);
	assert_int_equal(ops_stream_claim(&two, h, 41), CHAT_STREAM_TAKEN);
	assert_int_equal(ops_stream_claim(&two, h, 42), CHAT_STREAM_DONE);
	assert_int_equal(ops_stream_claim(&two, h, 0), CHAT_STREAM_DONE);
	assert_int_equal(ops_stream_append(&two, h, str("x")),
	    CHAT_STREAM_DONE);
	/* too late */
	cfg.stream_resume = 0;
	ops_stream_detach(&two, h);
	seen.n = 0;
	ops_streams_lost(&one, see, &seen);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.handle, h);
}

static void
a_dead_workers_can_be_taken_up_or_are_ended(void **state)
{
	uint64_t open = begin(&one, "m1"), closed = begin(&one, "m2");
	struct seen seen = { 0 };

	assert_int_equal(ops_stream_tail(&one, closed, str(CLOSED_TAIL)),
	    CHAT_STREAM_DONE);
	ops_streams_lost(&two, see, &seen);
	assert_int_equal(seen.n, 0);
	stream_worker(*state, 0, 5, TABLES_CHILD_DEAD);
	/* its agent has said its last word: that is not waited for */
	ops_streams_lost(&two, see, &seen);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.handle, closed);
	assert_true(ops_stream_look(&two, open, see, &seen));
	assert_int_equal(seen.owner, CHAT_STREAM_NOBODYS);
	assert_int_equal(ops_stream_claim(&two, open, 42), CHAT_STREAM_DONE);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, setup, small_tables_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_see_what_one_writes),
		TEST(one_id_is_one_stream),
		TEST(what_is_given_up_can_be_claimed),
		TEST(a_dead_workers_can_be_taken_up_or_are_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
