/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/conn.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "proto/ws.h"
#include "proto/http.h"
#include "worker/exchange.h"
#include "worker/handoff.h"
#include "worker/poll.h"
#include "worker/upgrade.h"
#include "worker/worker.h"

/* the peer's close must follow ours within this time */
#define CLOSE_TIMEOUT_MS 10000
/* bytes of one read: a turn belongs to all */
#define READ_AT_ONCE (64 * 1024)
/* bytes that may wait behind a request that is not answered yet */
#define WAITING_MAX (16 * 1024)

/* all of it goes with the connection when its request is another's */
_Static_assert(READ_AT_ONCE + WAITING_MAX <= HANDOFF_MAX &&
	READ_AT_ONCE + HTTP_HEAD_MAX <= HANDOFF_MAX,
    "what may have been read fits into one message");

static void conn_on_event(int fd, short what, void *arg);

/* Is there a use for what it sends? */
static bool
conn_reads(const struct conn *c)
{
	if (c->paused || c->choked)
		return false;
	/* a request that waits: its end must be seen, not all behind it */
	if (c->client->phase == CONN_WAIT || c->client->phase == CONN_FILE)
		return c->client->raw.bytes < WAITING_MAX;
	return c->client->phase != CONN_PASSING;
}

void
conn_watch(struct conn *c)
{
	short what = EV_PERSIST;

	if (conn_reads(c))
		what |= EV_READ;
	if (c->writing)
		what |= EV_WRITE;
	if (event_initialized(&c->ev)) {
		if (what ==
		    (event_get_events(&c->ev) &
			(EV_READ | EV_WRITE | EV_PERSIST)))
			return;
		event_del(&c->ev);
	}
	if (event_assign(&c->ev, c->worker->base, c->fd, what, conn_on_event,
		c) == -1 ||
	    ((what & (EV_READ | EV_WRITE)) != 0 &&
		event_add(&c->ev, NULL) == -1))
		fatalx("event of a client");
}

void
conn_set_due(struct conn *c, uint64_t due_ms)
{
	c->client->due = due_ms;
	wheel_set(&c->worker->conn_wheel, &c->timer, due_ms);
}

void
conn_set_peer(struct conn *c, const struct net_address *a)
{
	struct client *cl = c->client;

	cl->peer_family = a->family;
	memcpy(cl->peer, a->addr, sizeof(cl->peer));
	cl->peer_port = htons(a->port);
}

static struct conn *
conn_new(struct worker *w, struct client *cl, int fd, uint32_t slot,
    uint32_t generation)
{
	struct conn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("memory for a connection");
	c->worker = w;
	c->client = cl;
	c->fd = fd;
	c->slot = slot;
	c->generation = generation;
	LIST_INSERT_HEAD(&w->conns, c, entry);
	gauge_add(w->tables, w->slot, GAUGE_CONNECTIONS, 1);
	return c;
}

void
conn_open(struct worker *w, int fd, uint32_t slot, uint32_t generation,
    enum conn_refusal refusal)
{
	struct client *cl;
	struct conn *c;

	cl = client_open(w->tables, slot, generation, w->slot, w->incarnation);
	if (cl == NULL) {
		close(fd);
		return;
	}
	FAULT(CLIENT_OPEN);
	c = conn_new(w, cl, fd, slot, generation);
	c->refusal = (uint8_t)refusal;
	cl->opened_ms = w->now_ms;
	cl->phase = cl->flags & CLIENT_F_PROXY ? CONN_PROXY : CONN_HEAD;
	conn_set_due(c, w->now_ms + EXCHANGE_HEAD_MS);
	conn_watch(c);
}

static void
conn_unpause(struct conn *c)
{
	c->choked = false;
	if (!c->paused)
		return;
	TAILQ_REMOVE(&c->worker->paused, c, queue_entry);
	c->worker->npaused--;
	c->paused = false;
}

/* What it carried goes on without it, or does not. */
static void
conn_tell_session(struct conn *c, enum counter count, const char *reason)
{
	struct session *s = c->session;

	c->session = NULL;
	if (s == NULL)
		return;
	switch (c->client->phase) {
	case CONN_OPEN:
		s->conn = NULL;
		session_lost(s, count, reason);
		break;
	case CONN_PROBE:
		upgrade_lost(s);
		break;
	default:
		poll_lost(s, c, count);
		break;
	}
}

void
conn_drop(struct conn *c, enum counter count, const char *reason)
{
	struct worker *w = c->worker;
	struct client *cl = c->client;

	if (cl == NULL)
		return;
	/* why a connection in its close was closed has been counted, and a
	 * session counts for the one that carries it */
	if (cl->phase != CONN_CLOSING && cl->phase != CONN_OPEN)
		counter_add(w->tables, w->slot, count, 1);
	counter_add(w->tables, w->slot, COUNTER_CLOSED, 1);
	conn_tell_session(c, count, reason);
	FAULT(CONN_DROP);
	exchange_free(&c->exchange);
	conn_unpause(c);
	wheel_clear(&c->timer);
	chain_free(&w->io, &cl->out);
	chain_free(&w->io, &cl->in);
	chain_free(&w->io, &cl->raw);
	/* DEL before close: the master's duplicate keeps the socket alive,
	 * and epoll would go on reporting it */
	event_del(&c->ev);
	(void)shutdown(c->fd, SHUT_RDWR);
	close(c->fd);
	cl->phase = CONN_DEAD;
	c->client = NULL;
	LIST_REMOVE(c, entry);
	LIST_INSERT_HEAD(&w->dead, c, entry);
	client_mark_closed(w->tables, c->slot);
	gauge_add(w->tables, w->slot, GAUGE_CONNECTIONS, -1);
}

void
conn_forget(struct conn *c)
{
	struct worker *w = c->worker;

	conn_unpause(c);
	wheel_clear(&c->timer);
	event_del(&c->ev);
	close(c->fd);
	c->client = NULL;
	LIST_REMOVE(c, entry);
	LIST_INSERT_HEAD(&w->dead, c, entry);
	gauge_add(w->tables, w->slot, GAUGE_CONNECTIONS, -1);
}

void
conn_reap(struct worker *w)
{
	struct conn *c;

	while ((c = LIST_FIRST(&w->dead)) != NULL) {
		LIST_REMOVE(c, entry);
		free(c);
	}
}

/* The peer sees the end after our last byte; what it still sends is read and
 * dropped, so that no reset overtakes that byte. */
static void
conn_shut(struct conn *c)
{
	if (shutdown(c->fd, SHUT_WR) == -1)
		conn_drop(c, COUNTER_CLOSED_PEER, "transport close");
}

void
conn_end(struct conn *c)
{
	struct client *cl = c->client;

	conn_unpause(c);
	exchange_free(&c->exchange);
	chain_free(&c->worker->io, &cl->in);
	chain_free(&c->worker->io, &cl->raw);
	c->session = NULL;
	cl->phase = CONN_CLOSING;
	conn_set_due(c, c->worker->now_ms + CLOSE_TIMEOUT_MS);
	conn_watch(c);
	if (!c->dirty && !c->writing)
		conn_shut(c);
}

void
conn_close(struct conn *c, unsigned code, const char *why)
{
	char frame[WS_CLOSE_MAX];

	if (c->client == NULL || c->client->phase == CONN_CLOSING)
		return;
	output_bytes(c, frame, ws_close_frame(frame, code, why), CHAT_ANSWER);
	conn_end(c);
}

void
conn_drained(struct conn *c)
{
	switch (c->client->phase) {
	case CONN_CLOSING:
		conn_shut(c);
		break;
	case CONN_PASSING:
		request_pass(c);
		break;
	case CONN_FILE:
		request_file(c);
		break;
	default:
		break;
	}
}

void
conn_next_request(struct conn *c)
{
	exchange_free(&c->exchange);
	c->session = NULL;
	c->begun = false;
	c->client->phase = CONN_HEAD;
	memset(c->client->ws, 0, sizeof(c->client->ws));
	conn_set_due(c, c->worker->now_ms + EXCHANGE_IDLE_MS);
	/* not at once: this may be the middle of something else */
	if (c->client->raw.bytes > 0)
		conn_pause(c);
	else
		conn_watch(c);
}

static size_t
conn_holds(const struct conn *c)
{
	const struct client *cl = c->client;

	return (size_t)cl->out.bytes + cl->in.bytes + cl->raw.bytes;
}

/*
 * Who holds more than 'holds' bytes loses them, and is dropped at the end of
 * the turn: this may be the middle of what the application sends to many.
 */
static int
worker_make_room(struct worker *w, size_t holds)
{
	struct session *s, *rich = NULL;
	struct conn *other, *most = NULL;

	LIST_FOREACH(other, &w->conns, entry) {
		if (conn_holds(other) > holds) {
			holds = conn_holds(other);
			most = other;
		}
	}
	LIST_FOREACH(s, &w->sessions, entry) {
		if (s->poll != NULL && s->poll->out.bytes > holds) {
			holds = s->poll->out.bytes;
			rich = s;
		}
	}
	if (rich != NULL) {
		poll_rob(rich);
		return 0;
	}
	if (most == NULL)
		return -1;
	log_debug("no chunk left client=%u holds=%zu", most->slot, holds);
	chain_free(&w->io, &most->client->out);
	chain_free(&w->io, &most->client->in);
	chain_free(&w->io, &most->client->raw);
	most->robbed = true;
	output_doom(most);
	return 0;
}

int
worker_keep(struct worker *w, struct chain *chain, const void *data, size_t len,
    size_t holds)
{
	while (chain_append(&w->io, chain, data, len) == -1) {
		WORKER_COUNT(w, CHUNKS_EMPTY, 1);
		if (worker_make_room(w, holds + len) == -1)
			return -1;
	}
	return 0;
}

int
conn_keep(struct conn *c, struct chain *chain, const void *data, size_t len)
{
	return worker_keep(c->worker, chain, data, len, conn_holds(c));
}

/* Hand bytes to the layer whose turn it is; how many it is done with. */
static size_t
conn_step(struct conn *c, char *buf, size_t len)
{
	switch (c->client->phase) {
	case CONN_PROXY:
		return request_proxy(c, buf, len);
	case CONN_HEAD:
		return request_input(c, buf, len);
	case CONN_BODY:
		return request_body(c, buf, len);
	case CONN_PROBE:
	case CONN_OPEN:
		return ws_input(c, buf, len);
	case CONN_CLOSING:
		return len;
	default:
		/* WAIT, FILE, PASSING: not its turn yet */
		return 0;
	}
}

/* What was read goes up; what is left of it is kept. */
static void
conn_input(struct conn *c, char *buf, size_t len)
{
	size_t used = 0, n;
	uint8_t phase;

	/* a request may be followed by frames, or the next, in one piece */
	do {
		phase = c->client->phase;
		n = conn_step(c, buf + used, len - used);
		used += n;
		if (c->client == NULL || c->doomed)
			return;
	} while (used < len && (n > 0 || c->client->phase != phase) &&
	    !c->paused && !c->choked);
	if (c->client->phase == CONN_CLOSING || used == len)
		return;
	if (conn_keep(c, &c->client->raw, buf + used, len - used) == -1) {
		conn_drop(c, COUNTER_CLOSED_OVERLOAD, "transport error");
		return;
	}
	conn_watch(c);
	/* everything it was waiting for may have been written already */
	if (c->client->phase == CONN_PASSING && !c->writing && !c->dirty)
		request_pass(c);
}

/* Take up what was kept, with 'n' bytes behind it in the read buffer. */
static void
conn_input_kept(struct conn *c, size_t n)
{
	struct worker *w = c->worker;
	struct chain *raw = &c->client->raw;
	size_t have = raw->bytes;

	if (c->doomed)
		return;
	if (have > 0) {
		chain_copy(&w->io, raw, 0, w->io.read, have);
		chain_free(&w->io, raw);
	}
	/* a body without a byte may be waiting, too */
	if (have + n > 0 || c->client->phase == CONN_BODY)
		conn_input(c, (char *)w->io.read, have + n);
}

void
conn_receive(struct worker *w, int fd, uint32_t slot, uint32_t generation,
    const void *bytes, size_t len)
{
	struct client *cl = client_at(w->tables, slot);
	struct conn *c = conn_new(w, cl, fd, slot, generation);

	cl->phase = CONN_HEAD;
	memset(cl->ws, 0, sizeof(cl->ws));
	conn_set_due(c, w->now_ms + EXCHANGE_HEAD_MS);
	conn_watch(c);
	CHECK(len <= w->io.read_size);
	memcpy(w->io.read, bytes, len);
	if (len > 0)
		conn_input(c, (char *)w->io.read, len);
}

static void
conn_on_readable(struct conn *c)
{
	struct worker *w = c->worker;
	struct client *cl = c->client;
	size_t have, room;
	ssize_t n;

	have = cl->raw.bytes;
	room = w->io.read_size - have;
	if (room > READ_AT_ONCE)
		room = READ_AT_ONCE;
	n = recv(c->fd, w->io.read + have, room, MSG_DONTWAIT);
	if (n == -1) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		conn_drop(c, COUNTER_CLOSED_PEER, "transport error");
		return;
	}
	if (n == 0) {
		conn_drop(c, COUNTER_CLOSED_PEER, "transport close");
		return;
	}
	FAULT(CONN_READ);
	WORKER_COUNT(w, READS, 1);
	WORKER_COUNT(w, BYTES_IN, (uint64_t)n);
	cl->in_off += (uint64_t)n;
	if (cl->phase == CONN_CLOSING)
		return;
	conn_input_kept(c, (size_t)n);
}

static void
conn_on_event(int fd, short what, void *arg)
{
	struct conn *c = arg;

	if (c->doomed)
		return;
	/* a deadline that has passed during our sleep has passed */
	c->worker->now_ms = clock_mono_ms();
	if (c->client != NULL && (what & EV_WRITE))
		output_on_writable(c);
	if (c->client != NULL && (what & EV_READ) && conn_reads(c))
		conn_on_readable(c);
}

void
conn_pause(struct conn *c)
{
	if (c->paused)
		return;
	c->paused = true;
	TAILQ_INSERT_TAIL(&c->worker->paused, c, queue_entry);
	c->worker->npaused++;
	conn_watch(c);
}

void
conn_choke(struct conn *c)
{
	c->choked = true;
	conn_watch(c);
}

void
conn_unchoke(struct conn *c)
{
	c->choked = false;
	conn_pause(c);
}

void
conn_resume_all(struct worker *w)
{
	struct conn *c;
	uint32_t n;

	/* those who are paused again have their turn later */
	for (n = w->npaused; n > 0; n--) {
		if ((c = TAILQ_FIRST(&w->paused)) == NULL || app_congested(w))
			return;
		TAILQ_REMOVE(&w->paused, c, queue_entry);
		w->npaused--;
		c->paused = false;
		conn_watch(c);
		conn_input_kept(c, 0);
	}
}

void
conn_on_timer(void *arg, struct wheel_entry *e)
{
	struct conn *c =
	    (struct conn *)(void *)((char *)e - offsetof(struct conn, timer));

	if (c->doomed)
		return;
	if (c->client->phase == CONN_OPEN)
		session_on_timer(c->session);
	/* the other worker's inbox was full */
	else if (c->client->phase == CONN_PASSING &&
	    c->worker->now_ms < c->pass_by_ms)
		request_pass(c);
	else
		conn_drop(c, COUNTER_CLOSED_TIMEOUT, "transport close");
}
