/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/crowd.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/worker.h"

struct crowd {
	TAILQ_ENTRY(crowd) entry;
	struct sock *so;
	struct identity *id;
	uint64_t until_ms;
};

static void
crowd_free(struct worker *w, struct crowd *c)
{
	TAILQ_REMOVE(&w->crowds, c, entry);
	w->ncrowds--;
	identity_free(&c->id);
	free(c);
}

/* All workers, this one as well. */
static void
ask_all(struct worker *w, const char *user_id)
{
	const struct chat_event ev = { .type = CHAT_PING,
		.nfields = 1,
		.field = { { user_id, strlen(user_id) } } };

	publisher_put(w->publisher, NULL, &ev, w->now_ms);
}

bool
crowd_add(struct worker *w, struct sock *so, struct identity **id)
{
	const struct crowd *other;
	struct crowd *c;

	if (w->ncrowds >= CROWD_MAX)
		return false;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("memory for a client that waits");
	c->so = so;
	c->id = *id;
	*id = NULL;
	c->until_ms = w->now_ms + CROWD_WAIT_MS;
	TAILQ_FOREACH(other, &w->crowds, entry) {
		if (strcmp(other->id->user_id, c->id->user_id) == 0)
			break;
	}
	/* they are being asked already */
	if (other == NULL)
		ask_all(w, c->id->user_id);
	TAILQ_INSERT_TAIL(&w->crowds, c, entry);
	w->ncrowds++;
	return true;
}

static struct crowd *
crowd_find(const struct worker *w, const struct sock *so)
{
	struct crowd *c;

	TAILQ_FOREACH(c, &w->crowds, entry) {
		if (c->so == so)
			break;
	}
	return c;
}

bool
crowd_waits(const struct worker *w, const struct sock *so)
{
	return crowd_find(w, so) != NULL;
}

void
crowd_forget(struct worker *w, const struct sock *so)
{
	struct crowd *c = crowd_find(w, so);

	if (c != NULL)
		crowd_free(w, c);
}

void
crowd_free_all(struct worker *w)
{
	struct crowd *c;

	while ((c = TAILQ_FIRST(&w->crowds)) != NULL)
		crowd_free(w, c);
}

void
crowd_tick(struct worker *w)
{
	struct crowd *c, *next;
	struct identity *id;
	struct sock *so;
	bool last;

	TAILQ_FOREACH_SAFE(c, &w->crowds, entry, next) {
		last = w->now_ms >= c->until_ms;
		if (!last && !app_chat_has_place(c->so, c->id))
			continue;
		/* what follows may end the socket, and ask for the entry */
		so = c->so;
		id = c->id;
		c->id = NULL;
		crowd_free(w, c);
		app_chat_again(so, &id);
		identity_free(&id);
	}
}

static void
probe(void *conn, void *arg)
{
	const struct sock *so = conn;

	session_probe(so->session, CROWD_PROBE_MS);
}

void
crowd_probe(struct worker *w, const char *user_id, size_t len)
{
	chat_each_of(w->chat, (struct chat_str){ user_id, len }, probe, NULL);
}
