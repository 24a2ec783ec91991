/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * client - one connection of the load generator: from connect(2) to a
 * joined session, and back to it when it was lost.
 *
 * Edge-triggered: a socket is registered once and read until a read comes
 * back short.  Bytes of unfinished frames are all that is kept.
 */

#include <sys/epoll.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/frame.h"
#include "tests/bench/load.h"
#include "tests/bench/util.h"

/* The key of RFC 6455's example, and what a server has to make of it. */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define MS UINT64_C(1000000)

static uint64_t
random_next(struct load *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

static uint64_t
random_between(struct load *l, uint64_t low, uint64_t high)
{
	return low + random_next(l) % (high - low);
}

static void
send_bytes(struct client *c, const char *p, size_t len)
{
	ssize_t n = 0;

	/* an error is seen when the socket is read */
	if (c->out_len == 0) {
		n = send(c->fd, p, len, MSG_NOSIGNAL);
		if (n == -1)
			n = 0;
		if ((size_t)n == len)
			return;
	}
	c->out = xreallocarray(c->out, c->out_len + len - (size_t)n, 1);
	memcpy(c->out + c->out_len, p + n, len - (size_t)n);
	c->out_len += len - (size_t)n;
}

static void
flush(struct client *c)
{
	ssize_t n;

	if (c->out_len == 0)
		return;
	n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
	if (n <= 0)
		return;
	memmove(c->out, c->out + n, c->out_len - (size_t)n);
	c->out_len -= (size_t)n;
}

static void
send_frame(struct load *l, struct client *c, unsigned opcode, const char *p,
    size_t len)
{
	send_bytes(c, l->frame,
	    frame_write(l->frame, opcode, p, len, (uint32_t)random_next(l)));
}

void
client_packet(struct load *l, struct client *c, size_t len)
{
	send_frame(l, c, FRAME_TEXT, l->text, len);
}

static void
send_request(struct load *l, struct client *c)
{
	int n;

	n = snprintf(l->text, l->text_size,
	    "GET %s?EIO=4&transport=websocket HTTP/1.1\r\n"
	    "Host: %s\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Key: " WS_KEY "\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n",
	    l->opt.path, l->opt.host);
	send_bytes(c, l->text, (size_t)n);
	c->state = CLIENT_UPGRADING;
}

bool
client_start(struct load *l, struct client *c)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP |
		    EPOLLET };
	int on = 1;

	c->state = CLIENT_CONNECTING;
	c->due = l->now + (uint64_t)(l->opt.step_timeout * 1e9);
	l->connecting++;
	c->fd = socket(l->to.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		die(EXIT_FAILED, "socket: %s", strerror(errno));
	if (l->to.ss_family != AF_UNIX)
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
	if (connect(c->fd, (struct sockaddr *)&l->to, l->to_len) == -1 &&
	    errno != EINPROGRESS) {
		if (errno == EAGAIN) {
			/* a Unix socket's backlog is full: a little later */
			close(c->fd);
			c->fd = -1;
			c->state = CLIENT_OFF;
			l->connecting--;
			return false;
		}
		client_lost(l, c, strerror(errno));
		return true;
	}
	ev.data.ptr = c;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		die(EXIT_FAILED, "epoll_ctl: %s", strerror(errno));
	return true;
}

/* The handshake's answer; returns its length, 0: not all there yet. */
static size_t
read_head(struct load *l, struct client *c, const char *p, size_t len)
{
	const char *end = memmem(p, len, "\r\n\r\n", 4);
	size_t n;
	int i;

	if (end == NULL)
		return 0;
	n = (size_t)(end - p) + 4;
	if (strncmp(p, "HTTP/1.1 101", 12) != 0 ||
	    memmem(p, n, WS_ACCEPT, strlen(WS_ACCEPT)) == NULL) {
		for (i = 0; p[i] != '\r'; i++)
			;
		snprintf(l->failure, sizeof(l->failure), "answered %.*s",
		    i < 100 ? i : 100, p);
		client_lost(l, c, "no upgrade");
		return n;
	}
	c->state = CLIENT_OPENING;
	return n;
}

static void
read_frame(struct load *l, struct client *c, const struct frame *f)
{
	struct span packet = { f->payload, f->len };

	l->frames++;
	switch (f->opcode) {
	case FRAME_TEXT:
		answer_packet(l, c, packet);
		break;
	case FRAME_PING:
		send_frame(l, c, FRAME_PONG, f->payload, f->len);
		break;
	case FRAME_CLOSE:
		client_lost(l, c, "close frame");
		break;
	default:
		verify_fault(&l->v, FAULT_GARBLED, "opcode %u", f->opcode);
	}
}

static void
make_room(struct load *l, size_t size)
{
	if (size <= l->buf_size)
		return;
	l->buf_size = size;
	l->buf = xreallocarray(l->buf, size, 1);
}

/* Keep what is left of 'len' bytes in l->buf behind 'pos'. */
static void
keep_rest(struct load *l, struct client *c, size_t pos, size_t len)
{
	c->in_len = len - pos;
	if (c->in_len == 0) {
		if (c->in != NULL)
			free(c->in);
		c->in = NULL;
		return;
	}
	c->in = xreallocarray(c->in, c->in_len, 1);
	memcpy(c->in, l->buf + pos, c->in_len);
}

/* Take what is whole out of 'len' bytes in l->buf. */
static void
consume(struct load *l, struct client *c, size_t len)
{
	enum frame_result r = FRAME_MORE;
	struct frame f;
	size_t pos = 0;

	if (c->state == CLIENT_UPGRADING)
		pos = read_head(l, c, l->buf, len);
	while (c->state >= CLIENT_OPENING &&
	    (r = frame_read(l->buf + pos, len - pos, &f)) == FRAME_OK) {
		read_frame(l, c, &f);
		pos += f.total;
	}
	if (c->fd == -1)
		return;
	if (r == FRAME_BAD) {
		verify_fault(&l->v, FAULT_GARBLED, "a frame's head");
		client_lost(l, c, "bad frame");
		return;
	}
	keep_rest(l, c, pos, len);
	if (c->state >= CLIENT_OPENING && f.total > l->buf_size - 65536)
		make_room(l, f.total + 65536);
}

static void
client_read(struct load *l, struct client *c, bool to_the_end)
{
	size_t room;
	ssize_t n;

	do {
		make_room(l, c->in_len + 65536);
		if (c->in_len > 0)
			memcpy(l->buf, c->in, c->in_len);
		room = l->buf_size - c->in_len;
		n = recv(c->fd, l->buf + c->in_len, room, 0);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			client_lost(l, c, n == 0 ? "closed" : strerror(errno));
			return;
		}
		l->now = l->heard = now_ns();
		l->bytes += (uint64_t)n;
		consume(l, c, c->in_len + (size_t)n);
	} while (c->fd != -1 && (to_the_end || (size_t)n == room));
}

void
client_event(struct load *l, struct client *c, uint32_t events)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (c->fd == -1)
		return;
	if (c->state == CLIENT_CONNECTING) {
		(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error != 0) {
			client_lost(l, c, strerror(error));
			return;
		}
		if ((events & EPOLLOUT) == 0)
			return;
		send_request(l, c);
	}
	if (events & EPOLLOUT)
		flush(c);
	if (events & ~(uint32_t)EPOLLOUT)
		client_read(l, c, (events & ~(uint32_t)(EPOLLOUT | EPOLLIN)));
}

static void
land(struct load *l, struct client *c)
{
	struct verify_message *m;
	unsigned i;

	for (i = 0; i < c->npending; i++) {
		m = &l->v.message[c->pending[i]];
		if (m->flags & MESSAGE_IN_FLIGHT)
			l->status->in_flight--;
		m->flags &= (uint16_t)~MESSAGE_IN_FLIGHT;
	}
}

void
client_lost(struct load *l, struct client *c, const char *why)
{
	unsigned id = (unsigned)(c - l->client);

	if (c->state == CLIENT_READY)
		l->ready--;
	else
		l->connecting--;
	if (l->failure[0] == '\0')
		snprintf(l->failure, sizeof(l->failure), "%s", why);
	close(c->fd);
	c->fd = -1;
	free(c->in);
	free(c->out);
	c->in = c->out = NULL;
	c->in_len = c->out_len = 0;
	land(l, c);
	if (!l->opt.reconnect) {
		if (c->state == CLIENT_READY)
			verify_fault(&l->v, FAULT_CLOSED, "member %u: %s", id,
			    why);
		c->state = CLIENT_OFF;
		return;
	}
	if (c->state == CLIENT_READY)
		l->reconnects++;
	c->state = CLIENT_WAITING;
	c->due = l->now + random_between(l, 50 * MS, 500 * MS);
	l->waiting++;
}

void
client_join(struct load *l, struct client *c)
{
	unsigned id = (unsigned)(c - l->client);
	char session[64];
	int n;

	load_session(l, id / l->opt.members, session, sizeof(session));
	n = snprintf(l->text, l->text_size,
	    "42%d[\"chat:join-session\","
	    "{\"sessionId\":\"%s\",\"workspaceId\":\"bench\"",
	    REQUEST_JOIN, session);
	if (c->rejoins)
		n += snprintf(l->text + n, l->text_size - (size_t)n,
		    ",\"afterSeq\":%llu",
		    (unsigned long long)verify_position(&l->v, id));
	n += snprintf(l->text + n, l->text_size - (size_t)n, "}]");
	client_packet(l, c, (size_t)n);
	c->state = CLIENT_JOINING;
}

/* Write message 'i', new or again. */
static void
transmit(struct load *l, struct client *c, uint32_t i)
{
	struct verify_message *m = &l->v.message[i];
	char session[64], id[48];
	int n, fill;

	load_session(l, m->room, session, sizeof(session));
	n = snprintf(id, sizeof(id), "%s%x", l->tag, i);
	fill = (int)l->opt.size > n ? (int)l->opt.size - n : 0;
	n = snprintf(l->text, l->text_size,
	    "42%u[\"chat:send-message\",{\"message\":{\"id\":\"%s\","
	    "\"content\":\"%s",
	    REQUEST_MESSAGE + i, id, id);
	memset(l->text + n, 'x', (size_t)fill);
	n += fill;
	n += snprintf(l->text + n, l->text_size - (size_t)n,
	    "\",\"type\":\"user\",\"sessionId\":\"%s\"}}]", session);
	client_packet(l, c, (size_t)n);
	m->flags |= MESSAGE_IN_FLIGHT;
	m->flags &= (uint16_t)~MESSAGE_REFUSED;
	l->status->in_flight++;
}

void
client_message(struct load *l, struct client *c)
{
	uint32_t i = verify_new(&l->v, (uint32_t)(c - l->client));

	if (c->npending == c->pending_size) {
		c->pending_size = c->pending_size ? c->pending_size * 2 : 4;
		c->pending = xreallocarray(c->pending, c->pending_size,
		    sizeof(*c->pending));
	}
	c->pending[c->npending++] = i;
	l->v.message[i].sent_ns = now_ns();
	l->v.message[i].flags = l->timed ? MESSAGE_TIMED : 0;
	l->status->sent++;
	transmit(l, c, i);
}

/* Send again what is pending; only what was refused, if so asked. */
static void
resend(struct load *l, struct client *c, bool refused)
{
	struct verify_message *m;
	unsigned i;

	for (i = 0; i < c->npending; i++) {
		m = &l->v.message[c->pending[i]];
		if (refused && (m->flags & MESSAGE_REFUSED) == 0)
			continue;
		m->attempts++;
		l->resent++;
		transmit(l, c, c->pending[i]);
	}
}

void
client_ready(struct load *l, struct client *c)
{
	c->state = CLIENT_READY;
	l->connecting--;
	l->ready++;
	if (c->rejoins) {
		resend(l, c, false);
		history_resume(l, c);
	}
	c->rejoins = true;
}

void
client_acked(struct load *l, struct client *c, uint32_t i)
{
	struct verify_message *m = &l->v.message[i];
	unsigned k;

	if (m->flags & MESSAGE_IN_FLIGHT) {
		m->flags &= (uint16_t)~MESSAGE_IN_FLIGHT;
		l->status->in_flight--;
	}
	if (m->acks == 0 || m->events == 0)
		return;
	for (k = 0; k < c->npending && c->pending[k] != i; k++)
		;
	if (k == c->npending)
		return;
	l->status->acked++;
	c->npending--;
	memmove(&c->pending[k], &c->pending[k + 1],
	    (c->npending - k) * sizeof(*c->pending));
}

void
client_refused(struct load *l, struct client *c, uint32_t i)
{
	struct verify_message *m = &l->v.message[i];

	if (m->flags & MESSAGE_IN_FLIGHT)
		l->status->in_flight--;
	m->flags &= (uint16_t)~MESSAGE_IN_FLIGHT;
	m->flags |= MESSAGE_REFUSED;
	if (c->resend == 0)
		c->resend = l->now + random_between(l, 100 * MS, 300 * MS);
}

static void
check_one(struct load *l, struct client *c)
{
	if (c->state == CLIENT_WAITING && l->now >= c->due) {
		l->waiting--;
		if (!client_start(l, c)) {
			c->state = CLIENT_WAITING;
			l->waiting++;
		}
	} else if (c->state > CLIENT_WAITING && c->state < CLIENT_READY &&
	    l->now >= c->due) {
		verify_fault(&l->v, FAULT_STUCK, "member %u in state %d",
		    (unsigned)(c - l->client), (int)c->state);
		client_lost(l, c, "no answer");
	} else if (c->state == CLIENT_READY && c->resend != 0 &&
	    l->now >= c->resend) {
		c->resend = 0;
		resend(l, c, true);
	}
}

static bool
may_start(const struct load *l)
{
	double elapsed = (double)(l->now - l->setup[0].ns) / 1e9;

	return l->started < l->nclients && l->connecting < l->opt.burst &&
	    (l->opt.connect_rate == 0 ||
		l->started < elapsed * l->opt.connect_rate);
}

void
client_check(struct load *l)
{
	unsigned i;

	while (may_start(l) && client_start(l, &l->client[l->started]))
		l->started++;
	if (!l->opt.reconnect || l->now < l->next_check)
		return;
	l->next_check = l->now + 5 * MS;
	for (i = 0; i < l->started; i++)
		check_one(l, &l->client[i]);
}

void
client_free(struct client *c)
{
	if (c->fd != -1)
		close(c->fd);
	free(c->in);
	free(c->out);
	free(c->pending);
}
