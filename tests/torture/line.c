/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * line - one connection of a client of the torture.
 */

#include <sys/epoll.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/util.h"
#include "tests/torture/clients.h"

static const char handshake[] =
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
    "Host: localhost\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n";

/* How long a step of coming up may take; a stopped process makes it long. */
#define STEP (8 * SECOND)

void
line_watch(struct clients *t, struct player *p)
{
	struct epoll_event ev = { .data.u32 = p->id - t->first };

	if (p->slow_until == 0)
		ev.events |= EPOLLIN;
	if (p->out_len > 0 || p->state == STATE_CONNECTING)
		ev.events |= EPOLLOUT;
	if (p->fd == -1 || ev.events == p->events)
		return;
	p->events = ev.events;
	if (epoll_ctl(t->epfd, EPOLL_CTL_MOD, p->fd, &ev) == -1)
		die(EXIT_FAILED, "epoll_ctl: %s", strerror(errno));
}

static void
hang_up(struct clients *t, struct player *p)
{
	if (p->state == STATE_READY) {
		t->status->ready--;
		t->status->reconnects++;
	}
	close(p->fd);
	p->fd = -1;
	p->in_len = p->out_len = 0;
	p->state = STATE_OFF;
	p->slow_until = p->pause_until = 0;
	p->paging = false;
	p->nrequests = 0;
	send_landed(t, p);
	p->due = t->now + clients_between(t, 10 * MS, 250 * MS);
}

void
line_cut(struct clients *t, struct player *p, bool reset)
{
	struct linger at_once = { .l_onoff = 1 };

	if (p->fd == -1)
		return;
	if (reset)
		(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once,
		    sizeof(at_once));
	if (p->state > STATE_NAMESPACE)
		clients_note(t, p, (struct ledger_entry){ .kind = LEDGER_CUT });
	hang_up(t, p);
}

void
line_start(struct clients *t, struct player *p)
{
	struct epoll_event ev = { .events = EPOLLOUT,
		.data.u32 = p->id - t->first };
	int on = 1;

	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd == -1)
		die(EXIT_FAILED, "socket: %s", strerror(errno));
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	p->state = STATE_CONNECTING;
	p->due = t->now + STEP;
	p->conn++;
	p->events = ev.events;
	if (epoll_ctl(t->epfd, EPOLL_CTL_ADD, p->fd, &ev) == -1)
		die(EXIT_FAILED, "epoll_ctl: %s", strerror(errno));
	if (connect(p->fd, (struct sockaddr *)&t->to, t->to_len) == -1 &&
	    errno != EINPROGRESS)
		hang_up(t, p);
}

static void
put(struct clients *t, struct player *p, const char *bytes, size_t len)
{
	ssize_t n = 0;

	if (p->out_len == 0)
		n = send(p->fd, bytes, len, MSG_NOSIGNAL);
	/* an error is seen when it is read */
	if (n == -1)
		n = 0;
	len -= (size_t)n;
	if (len == 0)
		return;
	if (p->out_len + len > p->out_size) {
		p->out_size = (p->out_len + len) * 2;
		p->out = xreallocarray(p->out, p->out_size, 1);
	}
	memcpy(p->out + p->out_len, bytes + n, len);
	p->out_len += len;
	line_watch(t, p);
}

static void
put_frame(struct clients *t, struct player *p, unsigned opcode,
    const char *text, size_t len)
{
	put(t, p, t->frame,
	    frame_write(t->frame, opcode, text, len,
		(uint32_t)clients_random(t)));
}

void
line_packet(struct clients *t, struct player *p, const char *text, size_t len)
{
	put_frame(t, p, FRAME_TEXT, text, len);
}

/* What the handshake was answered; returns its length, 0: more is to come. */
static size_t
take_head(struct clients *t, struct player *p)
{
	const char *end = memmem(p->in, p->in_len, "\r\n\r\n", 4);

	if (end == NULL)
		return 0;
	if (strncmp(p->in, "HTTP/1.1 101", 12) != 0) {
		hang_up(t, p);
		return 0;
	}
	p->state = STATE_OPENING;
	return (size_t)(end - p->in) + 4;
}

static void
take_frame(struct clients *t, struct player *p, const struct frame *f)
{
	struct span packet = { f->payload, f->len };

	switch (f->opcode) {
	case FRAME_TEXT:
		talk_packet(t, p, packet);
		break;
	case FRAME_PING:
		put_frame(t, p, FRAME_PONG, f->payload, f->len);
		break;
	case FRAME_CLOSE:
		line_cut(t, p, false);
		break;
	default:
		talk_garbled(t, p, packet);
	}
}

static void
take_bytes(struct clients *t, struct player *p)
{
	enum frame_result r = FRAME_MORE;
	uint32_t conn = p->conn;
	struct frame f;
	size_t pos = 0;

	if (p->state == STATE_UPGRADING && (pos = take_head(t, p)) == 0)
		return;
	while (p->conn == conn && p->fd != -1 &&
	    (r = frame_read(p->in + pos, p->in_len - pos, &f)) == FRAME_OK) {
		take_frame(t, p, &f);
		pos += f.total;
	}
	if (p->conn != conn || p->fd == -1)
		return;
	if (r == FRAME_BAD) {
		talk_garbled(t, p, (struct span){ p->in + pos, 0 });
		line_cut(t, p, true);
		return;
	}
	p->in_len -= pos;
	memmove(p->in, p->in + pos, p->in_len);
}

static void
pull(struct clients *t, struct player *p)
{
	ssize_t n;

	if (p->in_size - p->in_len < 65536) {
		p->in_size = p->in_len + 131072;
		p->in = xreallocarray(p->in, p->in_size, 1);
	}
	n = recv(p->fd, p->in + p->in_len, p->in_size - p->in_len, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		line_cut(t, p, false);
		return;
	}
	p->in_len += (size_t)n;
	t->now = now_ns();
	take_bytes(t, p);
}

static void
push(struct clients *t, struct player *p)
{
	ssize_t n;

	if (p->state == STATE_CONNECTING) {
		p->state = STATE_UPGRADING;
		put(t, p, handshake, sizeof(handshake) - 1);
	}
	if (p->out_len > 0) {
		n = send(p->fd, p->out, p->out_len, MSG_NOSIGNAL);
		if (n > 0) {
			p->out_len -= (size_t)n;
			memmove(p->out, p->out + n, p->out_len);
		}
	}
	line_watch(t, p);
}

void
line_event(struct clients *t, struct player *p, uint32_t events)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (p->fd == -1)
		return;
	if (p->state == STATE_CONNECTING) {
		(void)getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error != 0) {
			hang_up(t, p);
			return;
		}
	}
	if (events & EPOLLOUT)
		push(t, p);
	/* who does not read does not see the end either */
	if (p->slow_until == 0 && p->fd != -1 &&
	    events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		pull(t, p);
	else if (events & (EPOLLHUP | EPOLLERR))
		line_cut(t, p, false);
}
