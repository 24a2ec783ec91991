/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/core.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "proto/http.h"
#include "worker/asset.h"
#include "worker/compress.h"
#include "worker/handoff.h"
#include "worker/worker.h"

_Static_assert(sizeof(((struct worker *)0)->date) == HTTP_DATE_SIZE,
    "a date fits");

char *
scratch(struct worker *w, enum scratch which, size_t len)
{
	if (w->scratch[which].size < len || w->scratch[which].p == NULL) {
		free(w->scratch[which].p);
		len = len < 65536 ? 65536 : len;
		if ((w->scratch[which].p = malloc(len)) == NULL)
			fatal("memory for a message");
		w->scratch[which].size = len;
	}
	return w->scratch[which].p;
}

const char *
worker_date(struct worker *w)
{
	int64_t second = (int64_t)(clock_real_ms() / 1000);

	if (second != w->date_second) {
		http_date(w->date, second);
		w->date_second = second;
	}
	return w->date;
}

static void
on_inbox(int fd, short what, void *arg)
{
	struct worker *w = arg;

	w->now_ms = clock_mono_ms();
	handoff_on_readable(w);
}

void
core_start(struct worker *w)
{
	struct event_config *ec;

	LIST_INIT(&w->conns);
	LIST_INIT(&w->dead);
	LIST_INIT(&w->sessions);
	LIST_INIT(&w->dead_sessions);
	TAILQ_INIT(&w->producers);
	TAILQ_INIT(&w->paused);
	w->now_ms = clock_mono_ms();
	wheel_init(&w->conn_wheel, w->now_ms);
	wheel_init(&w->poll_wheel, w->now_ms);
	iobuf_open(&w->io, w->tables, w->slot);
	if ((ec = event_config_new()) == NULL ||
	    event_config_set_flag(ec, EVENT_BASE_FLAG_NOLOCK) == -1 ||
	    (w->base = event_base_new_with_config(ec)) == NULL)
		fatalx("event base");
	event_config_free(ec);
	if (w->child.inbox == -1)
		return;
	w->inbox_ev = event_new(w->base, w->child.inbox, EV_READ | EV_PERSIST,
	    on_inbox, w);
	if (w->inbox_ev == NULL || event_add(w->inbox_ev, NULL) == -1)
		fatalx("event of the inbox");
}

/* Has it taken what it was given, so that it may have more? */
static bool
has_room(const struct session *s)
{
	if (s->conn != NULL)
		return !s->conn->writing;
	return s->poll != NULL && s->poll->out.bytes == 0;
}

/* Each gets one more piece of what it asked for. */
static void
produce(struct worker *w)
{
	struct session *s;
	uint32_t n;

	for (n = w->nproducers; n > 0; n--) {
		/* producing ends sessions, and takes them out of the queue */
		if ((s = TAILQ_FIRST(&w->producers)) == NULL)
			return;
		if (output_full(w)) {
			w->again = true;
			return;
		}
		TAILQ_REMOVE(&w->producers, s, produce_entry);
		if (!has_room(s)) {
			TAILQ_INSERT_TAIL(&w->producers, s, produce_entry);
			continue;
		}
		w->nproducers--;
		s->producing = false;
		w->out.by_piece = true;
		sock_produce(s);
		w->out.by_piece = false;
		w->again = w->again || (s->producing && has_room(s));
	}
}

bool
core_turn(struct worker *w)
{
	w->now_ms = clock_mono_ms();
	w->again = false;
	if (!TAILQ_EMPTY(&w->paused))
		conn_resume_all(w);
	produce(w);
	sock_run_orders(w);
	output_flush(w);
	wheel_run(&w->conn_wheel, w->now_ms, conn_on_timer, w);
	wheel_run(&w->poll_wheel, w->now_ms, session_on_poll_timer, w);
	output_flush(w);
	session_reap(w);
	conn_reap(w);
	/* those who were paused may go on; some have just got something */
	return w->again || w->npolls > 0 || w->out.ndirty > 0 ||
	    (!TAILQ_EMPTY(&w->paused) && !app_congested(w));
}

void
core_goodbye(struct worker *w, const char *reason)
{
	struct session *s, *next;
	struct conn *c, *other;

	LIST_FOREACH_SAFE(s, &w->sessions, entry, next)
		session_close(s, COUNTER_CLOSED_SERVER, reason);
	output_flush(w);
	/* nobody can ask for the rest any more */
	LIST_FOREACH_SAFE(s, &w->sessions, entry, next)
		session_finish(s);
	output_flush(w);
	/* what is answered still leaves, and nothing more is taken */
	LIST_FOREACH_SAFE(c, &w->conns, entry, other) {
		if (c->client->phase == CONN_CLOSING)
			continue;
		if (c->writing)
			conn_end(c);
		else
			conn_drop(c, COUNTER_CLOSED_SERVER, reason);
	}
}

void
core_stop(struct worker *w)
{
	struct conn *c;
	unsigned i;

	session_free_all(w);
	while ((c = LIST_FIRST(&w->conns)) != NULL)
		conn_drop(c, COUNTER_CLOSED_SERVER, "server shutting down");
	session_reap(w);
	conn_reap(w);
	output_free(&w->out);
	compress_free(w);
	assets_unref(&w->assets);
	for (i = 0; i < SCRATCH__MAX; i++)
		free(w->scratch[i].p);
	free(w->polls);
	free(w->orders);
	if (w->inbox_ev != NULL)
		event_free(w->inbox_ev);
	event_base_free(w->base);
}
