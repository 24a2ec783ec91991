/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_chat_stream_model - agents write, viewers look, and all that can go
 * wrong does.  What holds:
 *
 * - what a viewer has added up is the message's text, and its end is seen
 *   before the message;
 * - each stream becomes one message, which has every chunk that was
 *   acknowledged, each once and in order.
 *
 * CHATD_SEED=17 repeats one life.
 */

#include "tests/unit/chat_screen.h"

#define LIVES 150
#define STEPS 120
#define AGENTS 2
#define VIEWERS 4
#define WRITINGS 40

/* A stream as its agent knows it. */
struct writing {
	char id[40];
	int agent;
	/* chunks of "N " that were acknowledged */
	int n;
	bool ended;
};

struct life {
	struct world *w;
	struct conn *agent[AGENTS];
	struct screen screen[VIEWERS];
	struct writing writing[WRITINGS];
	int nwritings;
	unsigned seed;
	uint64_t ack;
};

static unsigned
dice(struct life *l, unsigned n)
{
	l->seed = l->seed * 1103515245 + 12345;
	return (l->seed >> 16 & 0x7fff) % n;
}

static void
read_screens(struct life *l)
{
	int i;

	for (i = 0; i < VIEWERS; i++)
		screen_read(&l->screen[i]);
}

static void
go_on(struct life *l)
{
	run(l->w);
	read_screens(l);
}

static void
connect_agent(struct life *l, int i)
{
	char user[20];

	snprintf(user, sizeof(user), "bot%d", i);
	l->agent[i] = agent(l->w, (int)dice(l, WORKERS), user);
	join(l->agent[i], "w1", "s1");
}

static void
connect_viewer(struct life *l, int i)
{
	char user[20];
	struct conn *c;

	snprintf(user, sizeof(user), "eye%d", i);
	c = client(l->w, (int)dice(l, WORKERS), user);
	screen_move(&l->screen[i], c);
	join(c, "w1", "s1");
}

/* What was said of a chunk. */
static bool
acknowledged(struct life *l, struct conn *c, struct json_value *v_r)
{
	char event[40];
	int i;

	snprintf(event, sizeof(event), "ack:%llu", (unsigned long long)l->ack);
	for (i = c->nout - 1; i >= 0; i--) {
		if (event_is(c->out[i], event, v_r))
			return true;
	}
	return false;
}

static struct writing *
choose(struct life *l)
{
	struct writing *t;

	if (l->nwritings > 0 && dice(l, 5) > 0) {
		t = &l->writing[dice(l, (unsigned)l->nwritings)];
		if (!t->ended)
			return t;
	}
	if (l->nwritings == WRITINGS)
		return NULL;
	t = &l->writing[l->nwritings];
	memset(t, 0, sizeof(*t));
	snprintf(t->id, sizeof(t->id), "m%d", l->nwritings++);
	t->agent = (int)dice(l, AGENTS);
	return t;
}

static void
write_chunk(struct life *l)
{
	struct writing *t = choose(l);
	struct conn *c;
	struct json_value v;
	char text[30], more[40];
	bool complete = dice(l, 8) == 0;

	if (t == NULL || (c = l->agent[t->agent])->s == NULL)
		return;
	snprintf(text, sizeof(text), "%d ", t->n);
	snprintf(more, sizeof(more), ",\"index\":%d", t->n);
	l->ack++;
	chunk_with(c, t->id, text, complete, more, l->ack);
	if (dice(l, 3) == 0)
		go_on(l);
	if (!acknowledged(l, c, &v)) {
		/* the last one is told when it is stored, and that a stream is
		 * over when it has been looked for */
		t->ended = true;
		return;
	}
	if (is_true(v, "duplicate")) {
		t->ended = true;
	} else if (is_true(v, "ok")) {
		t->n++;
		t->ended = complete;
	} else if (strstr(v.text.p, "STREAM_UNKNOWN") != NULL ||
	    strstr(v.text.p, "INVALID") != NULL) {
		/* it was ended without us */
		t->ended = true;
	}
}

static void
lose_agent(struct life *l)
{
	int i = (int)dice(l, AGENTS);
	static const char *const reasons[] = { "transport close",
		"ping timeout", "client namespace disconnect" };

	if (l->agent[i]->s != NULL)
		hang_up(l->agent[i], reasons[dice(l, 3)]);
	if (dice(l, 2) == 0)
		go_on(l);
	connect_agent(l, i);
}

static void
move_viewer(struct life *l)
{
	int i = (int)dice(l, VIEWERS);
	struct screen *v = &l->screen[i];
	struct conn *old = v->c;
	char user[20];

	screen_read(v);
	switch (dice(l, 4)) {
	case 0:
		say(old, "chat:leave-session", "{\"sessionId\":\"s1\"}", 0);
		go_on(l);
		screen_move(v, old);
		v->at = old->nout;
		join(old, "w1", "s1");
		break;
	case 1:
		/* again: it is told all once more */
		join(old, "w1", "s1");
		break;
	default:
		hang_up(old, "transport close");
		snprintf(user, sizeof(user), "eye%d", i);
		screen_move(v, come_back(old, (int)dice(l, WORKERS), user));
		go_on(l);
	}
}

static void
kill_one(struct life *l)
{
	int k = (int)dice(l, WORKERS), i;
	struct conn *old[VIEWERS] = { NULL };
	char user[20];

	read_screens(l);
	kill_worker(l->w, k);
	for (i = 0; i < VIEWERS; i++) {
		if (l->screen[i].c->s == NULL)
			old[i] = l->screen[i].c;
	}
	for (i = 0; i < VIEWERS; i++) {
		snprintf(user, sizeof(user), "eye%d", i);
		if (old[i] != NULL)
			screen_move(&l->screen[i],
			    come_back(old[i], (int)dice(l, WORKERS), user));
	}
	go_on(l);
	for (i = 0; i < AGENTS; i++) {
		if (l->agent[i]->s == NULL)
			connect_agent(l, i);
	}
}

/* A worker misses what is live for a while, or what is stored. */
static void
miss(struct life *l)
{
	int k = (int)dice(l, WORKERS);
	struct engine *en = &l->w->engine[k];

	if (dice(l, 3) == 0) {
		sequence(l->w);
		read_screens(l);
		fall_behind(l->w, k);
		go_on(l);
		return;
	}
	en->deaf = true;
	write_chunk(l);
	write_chunk(l);
	deliver_live(l->w);
	en->deaf = false;
	chat_resync_live(l->w->chat[k]);
	go_on(l);
}

static void
step(struct life *l)
{
	struct world *w = l->w;
	struct conn *c = l->screen[dice(l, VIEWERS)].c;
	char id[40];

	switch (dice(l, 24)) {
	case 0:
		lose_agent(l);
		break;
	case 1:
	case 2:
		move_viewer(l);
		break;
	case 3:
		if (w->nconns < CONNS - 12)
			kill_one(l);
		break;
	case 4:
		miss(l);
		break;
	case 5:
		c->slow = !c->slow;
		break;
	case 6:
		snprintf(id, sizeof(id), "m%u",
		    dice(l, (unsigned)l->nwritings + 1));
		if (c->s != NULL)
			cancel(c, id, 0);
		break;
	case 7:
		pass(w, dice(l, 4000));
		read_screens(l);
		break;
	case 8:
		w->force = !w->force && dice(l, 3) == 0;
		w->forced = CHAT_STORE_UNAVAILABLE;
		if (w->force) {
			sequence(w);
			w->force = false;
		}
		break;
	case 9:
	case 10:
	case 11:
		go_on(l);
		break;
	default:
		write_chunk(l);
	}
}

/* The text of a stream's message, which is stored once; or NULL. */
static const char *
stored_text(const struct life *l, const char *id)
{
	const char *body = NULL;
	int i;

	for (i = 0; i < l->w->nmessages; i++) {
		if (strcmp(l->w->message[i].id, id) != 0)
			continue;
		assert_null(body);
		body = l->w->message[i].body;
	}
	return body;
}

static void
check_writing(const struct life *l, const struct writing *t)
{
	const char *body = stored_text(l, t->id);
	char want[1000];
	int i, n = 0;

	if (body == NULL) {
		if (t->n > 0)
			fail_msg("%s with %d chunks is not stored", t->id,
			    t->n);
		return;
	}
	n = snprintf(want, sizeof(want), "\"content\":\"");
	for (i = 0; i < t->n; i++)
		n += snprintf(want + n, sizeof(want) - (size_t)n, "%d ", i);
	body = strstr(body, "\"content\":");
	if (strncmp(body, want, (size_t)n) != 0)
		fail_msg("%s: %d chunks, stored %.60s", t->id, t->n, body);
}

static void
live(struct world *w, unsigned seed)
{
	struct life *l = calloc(1, sizeof(*l));
	int i;

	assert_non_null(l);
	l->w = w;
	l->seed = seed;
	for (i = 0; i < AGENTS; i++)
		connect_agent(l, i);
	for (i = 0; i < VIEWERS; i++)
		connect_viewer(l, i);
	for (i = 0; i < STEPS && w->nconns < CONNS - 8; i++)
		step(l);
	for (i = 0; i < VIEWERS; i++)
		l->screen[i].c->slow = false;
	go_on(l);
	for (i = 0; i < AGENTS; i++) {
		if (l->agent[i]->s != NULL)
			hang_up(l->agent[i], "transport close");
	}
	pass(w, 30000);
	read_screens(l);
	for (i = 0; i < l->nwritings; i++)
		check_writing(l, &l->writing[i]);
	for (i = 0; i < TABLE_ROWS; i++)
		assert_int_equal(w->streams.row[i].handle, 0);
	for (i = 0; i < VIEWERS; i++)
		screen_free(&l->screen[i]);
	free(l);
}

static void
run_lives(unsigned late)
{
	const char *seed = getenv("CHATD_SEED");
	unsigned i;
	void *state = NULL;

	for (i = 1; i <= LIVES; i++) {
		struct world *w;

		if (seed != NULL && strtoul(seed, NULL, 10) != i)
			continue;
		assert_int_equal(world_setup(&state), 0);
		w = state;
		w->late = late;
		w->late_seed = i;
		print_message("life %u\n", i);
		live(w, i);
		world_teardown(&state);
	}
}

static void
every_stream_becomes_what_was_shown_of_it(void **state)
{
	run_lives(0);
}

static void
also_when_the_store_answers_late(void **state)
{
	run_lives(70);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_stream_becomes_what_was_shown_of_it),
		cmocka_unit_test(also_when_the_store_answers_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
