/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_screen - what a client shows of the streams of one session: it adds
 * chunk to chunk, begins with what a join's answer or a chat:stream-sync has,
 * and compares all of it with the message.
 */

#ifndef CHAT_SCREEN_H
#define CHAT_SCREEN_H

#include "tests/unit/chat_return.h"

#define SCREEN_STREAMS 64

struct screen_stream {
	char id[64];
	char *text;
	size_t len;
	int64_t index;
	/* the last chunk was seen; and why it was the last */
	bool last, interrupted, cancelled;
	/* it has come as a message */
	int messages;
	bool partial;
};

struct screen {
	struct conn *c;
	/* the next of c->out to be looked at */
	int at;
	struct screen_stream stream[SCREEN_STREAMS];
	int n;
	int chunks, syncs;
};

static UNUSED struct screen_stream *
screen_find(struct screen *v, const char *id)
{
	int i;

	for (i = 0; i < v->n; i++) {
		if (strcmp(v->stream[i].id, id) == 0)
			return &v->stream[i];
	}
	return NULL;
}

static struct screen_stream *
screen_get(struct screen *v, struct json_value id)
{
	char text[64];
	struct screen_stream *st;

	assert_true(json_decode(id, text, sizeof(text)) > 0);
	if ((st = screen_find(v, text)) != NULL)
		return st;
	assert_true(v->n < SCREEN_STREAMS);
	st = &v->stream[v->n++];
	snprintf(st->id, sizeof(st->id), "%s", text);
	st->index = -1;
	return st;
}

static void
screen_add(struct screen_stream *st, struct json_value text)
{
	struct json_span s = json_inside(text);

	st->text = realloc(st->text, st->len + s.len + 1);
	assert_non_null(st->text);
	memcpy(st->text + st->len, s.p, s.len);
	st->len += s.len;
	st->text[st->len] = '\0';
}

static bool
is_true(struct json_value object, const char *key)
{
	bool b = false;

	return json_to_bool(json_member(object, key), &b) && b;
}

static int64_t
number_of(struct json_value object, const char *key)
{
	int64_t n;

	assert_true(
	    json_to_int(json_member(object, key), 0, INT64_C(1) << 40, &n));
	return n;
}

static void
screen_chunk(struct screen *v, struct json_value c)
{
	struct screen_stream *st = screen_get(v, json_member(c, "messageId"));
	int64_t index = number_of(c, "index");

	v->chunks++;
	if (st->last)
		fail_msg("%s: a chunk behind the last", st->id);
	st->last = is_true(c, "isComplete");
	if (index <= st->index && !st->last)
		fail_msg("%s: index %lld after %lld", st->id, (long long)index,
		    (long long)st->index);
	st->index = index;
	st->interrupted = is_true(c, "interrupted");
	st->cancelled = is_true(c, "cancelled");
	screen_add(st, json_member(c, "chunk"));
}

static void
screen_sync(struct screen *v, struct json_value streams)
{
	struct json_iter it = json_iter(streams);
	struct screen_stream *st;
	struct json_value s;

	while (json_next(&it, &s)) {
		st = screen_get(v, json_member(s, "messageId"));
		assert_false(st->last);
		st->len = 0;
		screen_add(st, json_member(s, "content"));
		st->index = number_of(s, "index");
		st->partial = false;
		v->syncs++;
	}
}

/* 'whole' : it was shown all of it, so that it must be the same. */
static void
screen_message(struct screen *v, struct json_value m)
{
	struct screen_stream *st = screen_get(v, json_member(m, "id"));
	struct json_span text = json_inside(json_member(m, "content"));

	st->messages++;
	if (st->partial || st->index < 0)
		return;
	if (!st->last)
		fail_msg("%s: its message comes before its end", st->id);
	if (st->len != text.len || memcmp(st->text, text.p, text.len) != 0)
		fail_msg("%s: shown %s, stored %.*s", st->id, st->text,
		    (int)text.len, text.p);
}

static bool
event_is(const char *text, const char *event, struct json_value *v_r)
{
	size_t n = strlen(event);

	if (strncmp(text, event, n) != 0 || text[n] != ' ')
		return false;
	*v_r = json_value(text + n + 1, strlen(text + n + 1));
	return true;
}

/* Look at what has come. */
static UNUSED void
screen_read(struct screen *v)
{
	struct json_value j;
	const char *text;

	for (; v->c != NULL && v->at < v->c->nout; v->at++) {
		text = v->c->out[v->at];
		if (event_is(text, "chat:agent-stream-chunk", &j))
			screen_chunk(v, j);
		else if (event_is(text, "chat:join-session-success", &j) ||
		    event_is(text, "chat:stream-sync", &j))
			screen_sync(v, json_member(j, "streams"));
		else if (event_is(text, "chat:message-received", &j))
			screen_message(v, j);
	}
}

/* It has another connection; what it missed of streams that it shows comes
 * as a sync, or only as their messages. */
static UNUSED void
screen_move(struct screen *v, struct conn *c)
{
	int i;

	screen_read(v);
	for (i = 0; i < v->n; i++)
		v->stream[i].partial = !v->stream[i].last;
	v->c = c;
	v->at = 0;
}

static UNUSED void
screen_free(struct screen *v)
{
	int i;

	for (i = 0; i < v->n; i++)
		free(v->stream[i].text);
	memset(v, 0, sizeof(*v));
}

/* --- agents ------------------------------------------------------------------- */

#define AGENT_AUTH \
	"{\"userId\":\"%s\",\"userName\":\"Name of %s\",\"role\":\"agent\"}"

static UNUSED struct conn *
agent(struct world *w, int worker, const char *user)
{
	char auth[200];

	snprintf(auth, sizeof(auth), AGENT_AUTH, user, user);
	return client_as(w, worker, auth);
}

/* 'more': members behind, beginning with a comma. */
static UNUSED void
chunk_with(struct conn *c, const char *id, const char *text, bool complete,
    const char *more, uint64_t ack)
{
	char json[2000];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"messageId\":\"%s\",\"chunk\":\"%s\","
	    "\"isComplete\":%s%s}",
	    id, text, complete ? "true" : "false", more);
	say(c, "chat:agent-message-stream", json, ack);
}

static UNUSED void
chunk(struct conn *c, const char *id, const char *text, bool complete)
{
	chunk_with(c, id, text, complete, "", 0);
}

static UNUSED void
cancel(struct conn *c, const char *id, uint64_t ack)
{
	char json[200];

	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s1\",\"messageId\":\"%s\"}", id);
	say(c, "chat:cancel-stream", json, ack);
}

/* Time passes, a tick at a time. */
static UNUSED void
pass(struct world *w, uint64_t ms)
{
	uint64_t step;
	int k;

	for (; ms > 0; ms -= step) {
		step = ms < 100 ? ms : 100;
		w->mono_ms += step;
		w->real_ms += step;
		for (k = 0; k < WORKERS; k++)
			chat_tick(w->chat[k]);
		run(w);
	}
}

/* The next acknowledgement among what was sent. */
static UNUSED struct json_value
expect_ack(struct conn *c, uint64_t ack)
{
	char event[40];
	struct json_value v;

	snprintf(event, sizeof(event), "ack:%llu", (unsigned long long)ack);
	for (; c->next < c->nout; c->next++) {
		if (event_is(c->out[c->next], event, &v)) {
			c->next++;
			return v;
		}
	}
	fail_msg("no %s", event);
	return json_value("", 0);
}

#endif /* CHAT_SCREEN_H */
