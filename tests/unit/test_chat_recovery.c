/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_recovery - a client that is cut off again and again, at any
 * frame, and comes back each time: in the end its list of messages is the
 * store's, each once and in order, and its own are answered once.
 *
 * Two kinds of client.  One counts an event when it reads it.  The stock one
 * keeps what comes before CONNECT, counts it only behind that, and forgets
 * none of it when its connection is lost meanwhile: so it is never cut
 * between the frames of one piece (which leave in one write).
 */

#include "tests/unit/chat_return.h"

#define SESSIONS 3
#define LIST 3000

struct model {
	struct world *w;
	struct conn *c;
	/* frames of it that the client has read */
	int read;
	bool stock, connected;
	char pid[40], offset[OFFSET_TEXT_SIZE];
	bool has_offset;
	/* by session: the next seq, and whether the join was answered */
	int next[SESSIONS];
	bool joined[SESSIONS], asked[SESSIONS];
	unsigned seed;
	int cuts, takeovers, seen, sent, said;
};

static unsigned
any(struct model *m, unsigned n)
{
	m->seed = m->seed * 1103515245 + 12345;
	return (m->seed >> 16) % n;
}

static int
session_of(struct json_value v)
{
	struct json_value s = json_member(v, "sessionId");

	assert_int_equal(s.kind, JSON_KIND_STRING);
	return s.text.p[2] - '0';
}

static int
number_of(struct json_value v, const char *key)
{
	int64_t n;

	assert_true(json_to_int(json_member(v, key), 0, 1 << 30, &n));
	return (int)n;
}

/* The next message of its session, once. */
static void
model_message(struct model *m, const char *text, bool own)
{
	const char *json = strchr(text, ' ') + 1;
	struct json_value v = json_value(json, strlen(json));
	int i = session_of(v), seq = number_of(v, "seq");

	if (!m->joined[i])
		fail_msg("not joined: %s", text);
	if (seq != m->next[i])
		fail_msg("not %d: %s", m->next[i], text);
	if (own != (strstr(text, "\"own") != NULL))
		fail_msg("wrong kind: %s", text);
	m->next[i]++;
	m->seen++;
}

static void
model_joined(struct model *m, const char *text)
{
	const char *json = strchr(text, ' ') + 1;
	struct json_value v = json_value(json, strlen(json));
	int i = session_of(v);

	if (m->joined[i] || !m->asked[i])
		fail_msg("joined twice: %s", text);
	m->joined[i] = true;
	/* afterSeq 0 in the last, all others are live from here on */
	m->next[i] = i == SESSIONS - 1 ? 1 : number_of(v, "lastSeq") + 1;
}

/* Only who is in nothing may have to begin anew. */
static void
model_new(struct model *m)
{
	int i;

	for (i = 0; i < SESSIONS; i++) {
		if (m->joined[i])
			fail_msg("not recovered");
		m->asked[i] = false;
	}
	snprintf(m->pid, sizeof(m->pid), "%s", m->c->pid);
	m->has_offset = false;
}

static void
model_event(struct model *m, int n)
{
	const char *text = m->c->out[n], *offset = m->c->offset[n];

	if (strncmp(text, "chat:message-received ", 22) == 0)
		model_message(m, text, false);
	else if (strncmp(text, "chat:message-sent ", 18) == 0)
		model_message(m, text, true);
	else if (strncmp(text, "chat:join-session-success ", 26) == 0)
		model_joined(m, text);
	else if (strncmp(text, "chat:join-session-error ", 24) == 0 ||
	    strncmp(text, "CONNECT_ERROR", 13) == 0)
		fail_msg("%s", text);
	else if (strcmp(text, "CONNECT new") == 0)
		model_new(m);
	if (offset != NULL) {
		m->has_offset = true;
		snprintf(m->offset, sizeof(m->offset), "%s", offset);
	}
}

/* Where the answer to its CONNECT is; -1: not there yet. */
static int
connect_at(const struct conn *c)
{
	int i;

	for (i = 0; i < c->nout; i++) {
		if (strncmp(c->out[i], "CONNECT ", 8) == 0)
			return i;
	}
	return -1;
}

static void
model_read(struct model *m, int n)
{
	int at;

	/* its buffer is emptied by CONNECT, or it has not been filled */
	if (m->stock && !m->connected) {
		if ((at = connect_at(m->c)) == -1 || n <= at)
			return;
	}
	for (; m->read < n; m->read++) {
		if (strncmp(m->c->out[m->read], "CONNECT ", 8) == 0)
			m->connected = true;
		model_event(m, m->read);
	}
}

static void
free_frames(struct world *w)
{
	while (w->nframes > 0) {
		free(w->frame[--w->nframes]);
		free(w->frame_offset[w->nframes]);
	}
}

static void
model_connect(struct model *m)
{
	m->c = come_back_as(m->w, (int)any(m, WORKERS), "ada", m->pid,
	    m->has_offset ? m->offset : NULL);
	m->read = 0;
	m->connected = false;
}

/* The client has read some of what it was sent when its connection goes;
 * the server notices at once, or only when it comes back. */
static void
model_cut(struct model *m)
{
	struct conn *old = m->c;
	int n = old->nout - m->read;

	model_read(m, m->read + (int)any(m, (unsigned)n + 1));
	m->cuts++;
	if (old->s != NULL && any(m, 2) == 0) {
		hang_up(old, "transport close");
		model_connect(m);
	} else {
		m->takeovers += old->s != NULL;
		model_connect(m);
		if (old->s != NULL && any(m, 3) == 0)
			hang_up(old, "ping timeout");
	}
}

static void
model_join(struct model *m)
{
	int i = (int)any(m, SESSIONS);
	char json[120];

	if (!m->connected || m->asked[i])
		return;
	m->asked[i] = true;
	snprintf(json, sizeof(json),
	    "{\"sessionId\":\"s%d\",\"workspaceId\":\"w1\"%s}", i,
	    i == SESSIONS - 1 ? ",\"afterSeq\":0" : "");
	say(m->c, "chat:join-session", json, 0);
}

static void
model_say(struct model *m)
{
	char id[20], session[8];
	int i = (int)any(m, SESSIONS);

	if (!m->connected || !m->joined[i])
		return;
	snprintf(id, sizeof(id), "own%d", m->said++);
	snprintf(session, sizeof(session), "s%u", (unsigned)i % 8);
	message(m->c, session, id, "\\\"own");
}

static void
other_says(struct model *m, struct conn *b, int *n)
{
	static char big[1500];
	char id[20], session[8];
	unsigned i;

	/* long ones, so that a replay takes some pieces */
	memset(big, 'x', sizeof(big) - 1);
	for (i = 1 + any(m, 3); i > 0; i--) {
		snprintf(id, sizeof(id), "b%d", (*n)++);
		snprintf(session, sizeof(session), "s%u", any(m, SESSIONS));
		{
			char json[1700];

			snprintf(json, sizeof(json),
			    "{\"message\":{\"id\":\"%s\",\"content\":\"%s\","
			    "\"sessionId\":\"%s\"}}",
			    id, big, session);
			say(b, "chat:send-message", json, 0);
		}
	}
}

static void
model_step(struct model *m, struct conn *b, int *n)
{
	struct world *w = m->w;
	struct conn *c = m->c;

	switch (any(m, 16)) {
	case 0:
	case 1:
	case 2:
		other_says(m, b, n);
		break;
	case 3:
		model_say(m);
		break;
	case 4:
		model_join(m);
		break;
	case 5:
	case 6:
	case 7:
		sequence(w);
		break;
	case 8:
	case 9:
	case 10:
		deliver(w, 1 + (int)any(m, 6));
		close_told(w);
		break;
	case 11:
	case 12:
		if (c->s == NULL || !c->want_produce)
			break;
		c->want_produce = false;
		chat_produce(w->chat[c->worker], c->s,
		    w->engine[c->worker].delivered);
		/* what comes before CONNECT leaves with it */
		if (m->cuts > 0 && connect_at(c) == -1)
			assert_int_equal(c->nout, 0);
		break;
	case 13:
		model_read(m, c->nout);
		break;
	case 14:
		w->mono_ms += 500;
		chat_tick(w->chat[0]);
		chat_tick(w->chat[1]);
		break;
	case 15:
		if (w->nconns < CONNS && any(m, 3) == 0)
			model_cut(m);
		break;
	}
	/* who lost his socket to nobody comes back by himself */
	if (m->c->s == NULL && w->nconns < CONNS)
		model_cut(m);
	free_frames(w);
}

static void
model_end(struct model *m)
{
	struct world *w = m->w;
	int i;

	run(w);
	model_read(m, m->c->nout);
	assert_non_null(m->c->s);
	assert_true(m->connected);
	for (i = 0; i < SESSIONS; i++) {
		assert_int_equal(m->joined[i], m->asked[i]);
		if (m->joined[i])
			assert_int_equal(m->next[i], w->room[i].last + 1);
	}
	/* nobody is there twice, nobody is left behind */
	for (i = 0; i < ROWS; i++) {
		if (w->presence[i].used &&
		    strcmp(w->presence[i].user_id, "ada") == 0) {
			assert_string_equal(w->presence[i].socket_id, m->c->id);
			m->asked[w->presence[i].room - 1] = false;
		}
	}
	for (i = 0; i < SESSIONS; i++)
		assert_false(m->asked[i]);
}

/* One life of a client. */
static void
live(unsigned seed, bool stock, bool kills, int *cuts, int *takeovers,
    int *seen)
{
	struct model m = { .stock = stock, .seed = seed };
	struct world *w;
	struct conn *b;
	void *state = NULL;
	int step, n = 0, i;

	assert_int_equal(world_setup(&state), 0);
	w = m.w = state;
	w->cfg.limits_message_length = 0;
	w->real_ms += seed;
	b = client(w, 0, "bob");
	for (i = 0; i < SESSIONS; i++) {
		char name[8];

		snprintf(name, sizeof(name), "s%u", (unsigned)i % 8);
		join(b, "w1", name);
		message(b, name, "first", "x");
		run(w);
	}
	m.c = client(w, 1, "ada");
	m.connected = true;
	snprintf(m.pid, sizeof(m.pid), "%s", m.c->pid);
	for (step = 0; step < 700; step++) {
		model_step(&m, b, &n);
		/* bob lives on worker 0 */
		if (kills && any(&m, 100) == 0 && w->nconns < CONNS) {
			model_read(&m,
			    m.read +
				(int)any(&m,
				    (unsigned)(m.c->nout - m.read) + 1));
			kill_worker(w, 1);
			model_cut(&m);
		} else if (kills && any(&m, 200) == 0 && w->npublished == 0 &&
		    m.connected && m.c->worker == 1) {
			sequence(w);
			run(w);
			other_says(&m, b, &n);
			sequence(w);
			fall_behind(w, 1);
		}
	}
	model_end(&m);
	*cuts += m.cuts;
	*takeovers += m.takeovers;
	*seen += m.seen;
	assert_int_equal(world_teardown(&state), 0);
}

static void
lives(bool stock, bool kills)
{
	int cuts = 0, takeovers = 0, seen = 0;
	unsigned seed, first = 1, last = 60;
	const char *env = getenv("CHATD_SEED");

	/* one life again: CHATD_SEED=17 */
	if (env != NULL)
		first = last = (unsigned)strtoul(env, NULL, 10);
	for (seed = first; seed <= last; seed++)
		live(seed, stock, kills, &cuts, &takeovers, &seen);
	if (env == NULL) {
		assert_true(cuts > 500);
		assert_true(takeovers > 100);
		assert_true(seen > 10000);
	}
}

static void
a_client_that_counts_at_once_gets_each_once(void **state)
{
	lives(false, false);
}

static void
a_stock_client_gets_each_once(void **state)
{
	lives(true, false);
}

static void
and_so_when_workers_die_and_fall_behind(void **state)
{
	lives(false, true);
	lives(true, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_that_counts_at_once_gets_each_once),
		cmocka_unit_test(a_stock_client_gets_each_once),
		cmocka_unit_test(and_so_when_workers_die_and_fall_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
