/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_crowd - what is due to the members of a room takes as long as
 * there are many of them, and no longer.
 *
 * One engine, whose world says yes to everything and counts.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat/chat.h"
#include "common/config.h"
#include "tests/unit/cpu_time.h"

#define FEW 2000
#define MANY 8000
/* four times as many take four times as long, and not sixteen times; the
 * machine may be at something else meanwhile */
#define RATIO 10
#define TRIES 5

static struct {
	struct config cfg;
	struct chat *chat;
	struct chat_socket **s;
	unsigned n;
	uint64_t now_ms, pos;
	uint32_t request;
	/* events that were published for nobody; frames that were sent */
	unsigned published, sent;
} f;

/* --- its world --------------------------------------------------------------- */

static void
op_publish(void *ctx, struct chat_socket *from, uint32_t request,
    const struct chat_event *ev)
{
	if (request == 0)
		f.published++;
	else
		f.request = request;
}

static struct chat_frame
op_encode(void *ctx, const char *name, const char *json, size_t len,
    const char *offset)
{
	return (struct chat_frame){ 0, (uint32_t)len };
}

static void
op_send(void *ctx, void *conn, struct chat_frame frame, enum chat_priority prio)
{
	f.sent++;
}

static void
op_nothing(void *ctx, void *conn)
{
}

static uint64_t
op_rate(void *ctx, void *conn, enum chat_rate kind, bool *busy_r)
{
	*busy_r = false;
	return 0;
}

static bool
op_was_lost(void *ctx, void *conn, const char *workspace, const char *session)
{
	return false;
}

static void
op_lost(void *ctx, void *conn, const char *workspace, const char *session)
{
}

static void
op_interest(void *ctx, uint64_t room, bool on)
{
}

static void
op_each_stream(void *ctx, uint64_t room, chat_stream_fn fn, void *arg)
{
}

static void
op_lost_streams(void *ctx, chat_stream_fn fn, void *arg)
{
}

/* As of just now. */
static enum chat_read
op_roster(void *ctx, void *conn, const struct chat_roster_query *q,
    chat_member_fn fn, void *arg, struct chat_roster *roster_r)
{
	if (fn == NULL)
		return CHAT_READ_DONE;
	roster_r->pos = f.pos + 1;
	roster_r->more = true;
	roster_r->count = 1;
	return CHAT_READ_DONE;
}

static uint64_t
op_ms(void *ctx)
{
	return f.now_ms;
}

static void
op_count(void *ctx, unsigned what)
{
}

static const struct chat_ops ops = {
	.publish = op_publish,
	.encode = op_encode,
	.send = op_send,
	.want_produce = op_nothing,
	.rate = op_rate,
	.lost = op_lost,
	.was_lost = op_was_lost,
	.interest = op_interest,
	.roster = op_roster,
	.streams = op_each_stream,
	.streams_lost = op_lost_streams,
	.mono_ms = op_ms,
	.real_ms = op_ms,
	.count = op_count,
};

/* --- its room ------------------------------------------------------------------ */

static struct chat_str
str(const char *s)
{
	return (struct chat_str){ s, strlen(s) };
}

static struct chat_delivery
delivery(enum chat_event_type type, unsigned i)
{
	return (struct chat_delivery){
		.ev = { .type = type,
		    .room = 1,
		    .user = i + 1,
		    .owner = { i, i + 1 } },
		.gseq = ++f.pos,
		.members = i + 1,
		.time_ms = f.now_ms,
		.own = true,
		.socket = f.s[i],
	};
}

static void
connect_all(void)
{
	char json[100], id[32], pid[32];
	struct chat_connect options = { .pid = pid, .offsets = true };
	struct identity *identity;
	enum chat_error err;
	unsigned i;

	for (i = 0; i < f.n; i++) {
		snprintf(json, sizeof(json), "{\"userId\":\"u%u\"}", i);
		snprintf(id, sizeof(id), "sock%016u", i);
		snprintf(pid, sizeof(pid), "pid-%016u", i);
		options.owner = (struct chat_owner){ i, i + 1 };
		identity = identity_authenticate(&f.cfg, json, strlen(json),
		    NULL, 0, f.now_ms, &err);
		assert_non_null(identity);
		f.s[i] = chat_connect(f.chat, &f.s[i], &identity, id, &options);
	}
}

static void
join_all(void)
{
	struct chat_delivery d;
	char user[32], id[32];
	unsigned i;

	for (i = 0; i < f.n; i++) {
		chat_receive(f.chat, f.s[i], str("chat:join-session"),
		    str("{\"sessionId\":\"s\",\"workspaceId\":\"w\"}"), 60,
		    false, 0);
		d = delivery(CHAT_JOIN, i);
		d.request = f.request;
		snprintf(user, sizeof(user), "u%u", i);
		snprintf(id, sizeof(id), "sock%016u", i);
		d.ev.nfields = 8;
		d.ev.field[0] = str("w");
		d.ev.field[1] = str("s");
		d.ev.field[2] = d.ev.field[3] = str(user);
		d.ev.field[4] = str(id);
		d.ev.field[5] = d.ev.field[6] = d.ev.field[7] = str("");
		chat_deliver(f.chat, &d);
	}
}

/* What 'what' takes, of so many who have just joined. */
static double
time_of(void (*what)(void), unsigned n)
{
	double began;
	unsigned i;

	memset(&f, 0, sizeof(f));
	f.n = n;
	f.now_ms = 1000000;
	f.cfg.auth_mode = AUTH_MODE_NONE;
	f.cfg.presence_delta_above = 500;
	f.cfg.recovery_window = 120000;
	assert_non_null(f.s = calloc(n, sizeof(*f.s)));
	assert_non_null(f.chat = chat_new(&f.cfg, &ops, NULL));
	connect_all();
	join_all();
	assert_int_equal(f.published, 0);
	f.sent = 0;
	began = cpu_ms();
	what();
	began = cpu_ms() - began;
	for (i = 0; i < n; i++)
		chat_forget(f.chat, &f.s[i]);
	chat_free(&f.chat);
	free(f.s);
	return began;
}

static void
assert_linear(void (*what)(void))
{
	double few, many, best = 1e9;
	int i;

	for (i = 0; i < TRIES && best > RATIO; i++) {
		few = time_of(what, FEW);
		many = time_of(what, MANY);
		best = many / few < best ? many / few : best;
	}
	if (best > RATIO)
		fail_msg("%u take %.0f times as long as %u", MANY, best, FEW);
}

/* --- promises -------------------------------------------------------------------- */

static void
tell_all(void)
{
	f.now_ms += 1000;
	chat_tick(f.chat);
	assert_true(f.sent >= 500);
}

static void
those_who_come_at_once_are_told_of_each_other(void **state)
{
	assert_linear(tell_all);
}

static void
ask_all(void)
{
	struct chat_delivery d;
	char id[32];
	unsigned i;

	for (i = 0; i < f.n; i++) {
		d = delivery(CHAT_ASK, i);
		snprintf(id, sizeof(id), "sock%016u", i);
		d.ev.nfields = 2;
		d.ev.field[0] = str(id);
		d.ev.field[1] = str("u");
		chat_deliver(f.chat, &d);
	}
	/* all are there */
	assert_int_equal(f.published, 0);
}

static void
a_new_scribe_asks_for_all_of_them(void **state)
{
	assert_linear(ask_all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_who_come_at_once_are_told_of_each_other),
		cmocka_unit_test(a_new_scribe_asks_for_all_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
