/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/conn.h"

#include <sys/socket.h>

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "proto/ws.h"
#include "worker/worker.h"

/* a request head must be here after this time */
#define HEAD_TIMEOUT_MS 10000
/* and the peer's close after ours */
#define CLOSE_TIMEOUT_MS 10000
/* bytes of one read: a turn belongs to all */
#define READ_AT_ONCE (64 * 1024)

static void conn_on_event(int fd, short what, void *arg);

void
conn_watch(struct conn *c)
{
	short what = EV_PERSIST | EV_READ;

	if (c->paused || c->choked)
		what &= ~EV_READ;
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
conn_set_timer(struct conn *c)
{
	const struct client *cl = c->client;
	uint64_t due = cl->ping_due;

	if (cl->pong_due != 0 && (due == 0 || cl->pong_due < due))
		due = cl->pong_due;
	if (cl->connect_due != 0 && (due == 0 || cl->connect_due < due))
		due = cl->connect_due;
	wheel_set(&c->worker->wheel, &c->timer, due);
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
	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("memory for a connection");
	c->worker = w;
	c->client = cl;
	c->fd = fd;
	c->slot = slot;
	c->generation = generation;
	c->refusal = (uint8_t)refusal;
	cl->phase = CONN_HEAD;
	cl->opened_ms = w->now_ms;
	cl->connect_due = w->now_ms + HEAD_TIMEOUT_MS;
	w->by_client[slot] = c;
	LIST_INSERT_HEAD(&w->conns, c, entry);
	gauge_add(w->tables, w->slot, GAUGE_CONNECTIONS, 1);
	conn_set_timer(c);
	conn_watch(c);
}

struct conn *
conn_find(const struct worker *w, uint32_t slot, uint32_t generation)
{
	struct conn *c;

	if (slot >= w->tables->geometry.max_clients)
		return NULL;
	c = w->by_client[slot];
	return c != NULL && c->generation == generation ? c : NULL;
}

/* The chat socket leaves; its place in the user's count is free. */
void
conn_leave(struct conn *c, const char *reason)
{
	struct worker *w = c->worker;

	if (c->chat != NULL) {
		chat_disconnect(w->chat, &c->chat, reason);
		gauge_add(w->tables, w->slot, GAUGE_SOCKETS, -1);
	}
	if (c->counted) {
		user_disconnect(w->tables, &c->user, w->slot, clock_mono_ns());
		c->counted = false;
	}
	if (c->producing) {
		TAILQ_REMOVE(&w->producers, c, queue_entry);
		c->producing = false;
	}
	c->resume_producing = false;
}

static void
conn_unpause(struct conn *c)
{
	c->choked = false;
	if (!c->paused)
		return;
	TAILQ_REMOVE(&c->worker->paused, c, queue_entry);
	c->paused = false;
}

void
conn_drop(struct conn *c, enum counter count, const char *reason)
{
	struct worker *w = c->worker;
	struct client *cl = c->client;

	if (cl == NULL)
		return;
	/* why a connection in its close was closed has been counted */
	if (cl->phase != CONN_CLOSING)
		counter_add(w->tables, w->slot, count, 1);
	counter_add(w->tables, w->slot, COUNTER_CLOSED, 1);
	conn_leave(c, reason);
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
	w->by_client[c->slot] = NULL;
	LIST_REMOVE(c, entry);
	LIST_INSERT_HEAD(&w->dead, c, entry);
	client_mark_closed(w->tables, c->slot);
	gauge_add(w->tables, w->slot, GAUGE_CONNECTIONS, -1);
}

void
conn_reap(struct worker *w)
{
	struct conn *c;

	while ((c = LIST_FIRST(&w->dead)) != NULL) {
		LIST_REMOVE(c, entry);
		free(c->bearer);
		free(c);
	}
}

void
conn_close(struct conn *c, enum counter count, const char *reason,
    unsigned code, const char *why)
{
	struct client *cl = c->client;
	char frame[WS_CLOSE_MAX];
	size_t len;

	if (cl == NULL || cl->phase == CONN_CLOSING)
		return;
	if (cl->phase != CONN_OPEN) {
		conn_drop(c, count, reason);
		return;
	}
	/* counted now: what follows is only politeness */
	counter_add(c->worker->tables, c->worker->slot, count, 1);
	conn_leave(c, reason);
	conn_unpause(c);
	chain_free(&c->worker->io, &cl->in);
	chain_free(&c->worker->io, &cl->raw);
	len = ws_close_frame(frame, code, why);
	output_bytes(c, frame, len, CHAT_ANSWER);
	cl->phase = CONN_CLOSING;
	cl->ping_due = cl->pong_due = 0;
	cl->connect_due = c->worker->now_ms + CLOSE_TIMEOUT_MS;
	conn_set_timer(c);
	conn_watch(c);
}

void
conn_finish(struct conn *c)
{
	/* the peer sees the end after our last byte; what it still sends is
	 * read and dropped, so that no reset overtakes that byte */
	if (shutdown(c->fd, SHUT_WR) == -1)
		conn_drop(c, COUNTER_CLOSED_PEER, "transport close");
}

static size_t
conn_holds(const struct conn *c)
{
	const struct client *cl = c->client;

	return (size_t)cl->out.bytes + cl->in.bytes + cl->raw.bytes;
}

/* Drop who holds more than 'c' would with 'len' bytes. */
static int
conn_make_room(struct conn *c, size_t len)
{
	struct conn *other, *most = NULL;
	size_t holds = conn_holds(c) + len;

	LIST_FOREACH(other, &c->worker->conns, entry) {
		if (conn_holds(other) > holds) {
			holds = conn_holds(other);
			most = other;
		}
	}
	if (most == NULL)
		return -1;
	log_debug("no chunk left client=%u holds=%zu", most->slot, holds);
	conn_drop(most, COUNTER_CLOSED_OVERLOAD, "transport error");
	return 0;
}

int
conn_keep(struct conn *c, struct chain *chain, const void *data, size_t len)
{
	struct worker *w = c->worker;

	while (chain_append(&w->io, chain, data, len) == -1) {
		WORKER_COUNT(w, CHUNKS_EMPTY, 1);
		if (conn_make_room(c, len) == -1)
			return -1;
	}
	return 0;
}

/* Hand what was read to the layer whose turn it is; keep what is left. */
static void
conn_input(struct conn *c, char *buf, size_t len)
{
	size_t used = 0, n;
	uint8_t phase;

	/* a request may be followed by frames in the same bytes */
	do {
		phase = c->client->phase;
		if (phase == CONN_HEAD)
			n = request_input(c, buf + used, len - used);
		else if (phase == CONN_OPEN)
			n = ws_input(c, buf + used, len - used);
		else
			return;
		used += n;
		if (c->client == NULL)
			return;
	} while (c->client->phase != phase && used < len);
	if (c->client->phase == CONN_CLOSING || used == len)
		return;
	if (conn_keep(c, &c->client->raw, buf + used, len - used) == -1)
		conn_drop(c, COUNTER_CLOSED_OVERLOAD, "transport error");
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
	WORKER_COUNT(w, READS, 1);
	WORKER_COUNT(w, BYTES_IN, (uint64_t)n);
	cl->in_off += (uint64_t)n;
	if (cl->phase == CONN_CLOSING)
		return;
	if (have > 0) {
		chain_copy(&w->io, &cl->raw, 0, w->io.read, have);
		chain_free(&w->io, &cl->raw);
	}
	conn_input(c, (char *)w->io.read, have + (size_t)n);
}

static void
conn_on_event(int fd, short what, void *arg)
{
	struct conn *c = arg;

	if (c->client != NULL && (what & EV_WRITE))
		output_on_writable(c);
	if (c->client != NULL && (what & EV_READ) && !c->paused && !c->choked)
		conn_on_readable(c);
}

void
conn_pause(struct conn *c)
{
	if (c->paused)
		return;
	/* one queue at a time: what it asked for is taken up again after */
	if (c->producing) {
		TAILQ_REMOVE(&c->worker->producers, c, queue_entry);
		c->producing = false;
		c->resume_producing = true;
	}
	c->paused = true;
	TAILQ_INSERT_TAIL(&c->worker->paused, c, queue_entry);
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
	size_t have;

	while ((c = TAILQ_FIRST(&w->paused)) != NULL) {
		if (publisher_congested(w->publisher))
			return;
		conn_unpause(c);
		if (c->resume_producing) {
			c->resume_producing = false;
			c->producing = true;
			TAILQ_INSERT_TAIL(&w->producers, c, queue_entry);
		}
		conn_watch(c);
		have = c->client->raw.bytes;
		if (have == 0)
			continue;
		chain_copy(&w->io, &c->client->raw, 0, w->io.read, have);
		chain_free(&w->io, &c->client->raw);
		conn_input(c, (char *)w->io.read, have);
	}
}

void
conn_on_timer(void *arg, struct wheel_entry *e)
{
	struct conn *c =
	    (struct conn *)(void *)((char *)e - offsetof(struct conn, timer));

	if (c->client->phase == CONN_OPEN)
		engine_on_timer(c);
	else
		conn_drop(c, COUNTER_CLOSED_TIMEOUT, "transport close");
}

void
conn_new_sid(const struct worker *w, char sid[CONN_SID_SIZE])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz"
				     "0123456789-_";
	uint8_t b[15];
	unsigned i;

	arc4random_buf(b, sizeof(b));
	/* whose it is: any worker can tell by looking */
	b[14] = (uint8_t)w->slot;
	for (i = 0; i < 5; i++) {
		sid[i * 4] = digits[b[i * 3] >> 2];
		sid[i * 4 + 1] =
		    digits[(b[i * 3] & 3) << 4 | b[i * 3 + 1] >> 4];
		sid[i * 4 + 2] =
		    digits[(b[i * 3 + 1] & 15) << 2 | b[i * 3 + 2] >> 6];
		sid[i * 4 + 3] = digits[b[i * 3 + 2] & 63];
	}
	sid[20] = '\0';
}
