/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * wire - the TCP connections of the load generator.
 *
 * Edge-triggered: a socket is registered once and read until a read comes
 * back short.  Bytes of unfinished frames and answers are all that is kept.
 */

#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/load.h"
#include "tests/bench/util.h"

/* A closed one, or a new one: what epoll still reports of a closed one must
 * find memory, so they are only freed at the end. */
static struct wire *
fresh(struct load *l)
{
	struct wire *w = l->closed;

	if (w != NULL) {
		l->closed = w->next;
		return w;
	}
	w = xcalloc(1, sizeof(*w));
	l->wires = xreallocarray(l->wires, l->nwires + 1, sizeof(*l->wires));
	l->wires[l->nwires++] = w;
	return w;
}

struct wire *
wire_open(struct load *l, struct client *c, enum wire_kind kind)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP |
		    EPOLLET };
	struct wire *w;
	int fd, on = 1;

	fd = socket(l->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1)
		die(EXIT_FAILED, "socket: %s", strerror(errno));
	if (l->to.ss_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&l->to, l->to_len) == -1 &&
	    errno != EINPROGRESS) {
		on = errno;
		close(fd);
		errno = on;
		return NULL;
	}
	w = fresh(l);
	w->fd = fd;
	w->kind = kind;
	w->client = c;
	w->connecting = true;
	w->waiting = false;
	w->next = NULL;
	c->wire[kind] = w;
	l->opened++;
	ev.data.ptr = w;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
		die(EXIT_FAILED, "epoll_ctl: %s", strerror(errno));
	return w;
}

void
wire_send(struct wire *w, const char *p, size_t len)
{
	ssize_t n = 0;

	if (w->out_len == 0 && !w->connecting) {
		n = send(w->fd, p, len, MSG_NOSIGNAL);
		if (n == -1)
			n = 0;
		if ((size_t)n == len)
			return;
	}
	w->out = xreallocarray(w->out, w->out_len + len - (size_t)n, 1);
	memcpy(w->out + w->out_len, p + n, len - (size_t)n);
	w->out_len += len - (size_t)n;
}

static void
flush(struct wire *w)
{
	ssize_t n;

	if (w->out_len == 0)
		return;
	n = send(w->fd, w->out, w->out_len, MSG_NOSIGNAL);
	if (n <= 0)
		return;
	memmove(w->out, w->out + n, w->out_len - (size_t)n);
	w->out_len -= (size_t)n;
}

static void
unlist(struct load *l, const struct wire *w)
{
	struct wire **at = &l->idle;

	while (*at != NULL && *at != w)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = w->next;
	if (l->idle_end == &w->next)
		l->idle_end = at;
}

void
wire_close(struct load *l, struct wire *w)
{
	if (w->client == NULL)
		unlist(l, w);
	else if (w->client->wire[w->kind] == w)
		w->client->wire[w->kind] = NULL;
	close(w->fd);
	free(w->in);
	free(w->out);
	w->in = w->out = NULL;
	w->in_len = w->out_len = 0;
	w->fd = -1;
	w->serial++;
	w->client = NULL;
	w->next = l->closed;
	l->closed = w;
}

void
wire_reset(struct load *l, struct wire *w)
{
	struct linger at_once = { .l_onoff = 1 };

	(void)setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &at_once,
	    sizeof(at_once));
	wire_close(l, w);
}

void
wire_share(struct load *l, struct wire *w)
{
	if (l->idle_end == NULL)
		l->idle_end = &l->idle;
	w->client->wire[w->kind] = NULL;
	w->client = NULL;
	w->next = NULL;
	*l->idle_end = w;
	l->idle_end = &w->next;
}

struct wire *
wire_take(struct load *l)
{
	struct wire *w = l->idle;

	if (w == NULL)
		return NULL;
	l->idle = w->next;
	if (l->idle == NULL)
		l->idle_end = &l->idle;
	w->next = NULL;
	return w;
}

/* Nobody waits for anything on it: it is only closed. */
static void
lost(struct load *l, struct wire *w, const char *why)
{
	struct client *c = w->client;
	bool missed = c != NULL && (w->waiting || w->kind == WIRE_SOCKET);

	wire_close(l, w);
	if (missed)
		client_lost(l, c, why);
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
keep_rest(struct load *l, struct wire *w, size_t pos, size_t len)
{
	w->in_len = len - pos;
	if (w->in_len == 0) {
		free(w->in);
		w->in = NULL;
		return;
	}
	w->in = xreallocarray(w->in, w->in_len, 1);
	memcpy(w->in, l->buf + pos, w->in_len);
}

/* Take what is whole out of 'len' bytes in l->buf; false: it was closed. */
static bool
consume(struct load *l, struct wire *w, size_t len)
{
	uint32_t serial = w->serial;
	size_t pos, need = 0;

	pos = w->kind == WIRE_SOCKET ? client_bytes(l, w, len, &need)
				     : poll_bytes(l, w, len, &need);
	if (w->serial != serial)
		return false;
	keep_rest(l, w, pos, len);
	if (need > l->buf_size - 65536)
		make_room(l, need + 65536);
	return true;
}

static void
wire_read(struct load *l, struct wire *w, bool to_the_end)
{
	size_t room;
	ssize_t n;

	do {
		make_room(l, w->in_len + 65536);
		if (w->in_len > 0)
			memcpy(l->buf, w->in, w->in_len);
		room = l->buf_size - w->in_len;
		n = recv(w->fd, l->buf + w->in_len, room, 0);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			lost(l, w, n == 0 ? "closed" : strerror(errno));
			return;
		}
		l->now = l->heard = now_ns();
		l->bytes += (uint64_t)n;
		if (!consume(l, w, w->in_len + (size_t)n))
			return;
	} while (to_the_end || (size_t)n == room);
}

void
wire_event(struct load *l, struct wire *w, uint32_t events)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (w->fd == -1)
		return;
	if (w->connecting) {
		(void)getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error != 0) {
			lost(l, w, strerror(error));
			return;
		}
		if ((events & EPOLLOUT) == 0)
			return;
		w->connecting = false;
	}
	if (events & EPOLLOUT)
		flush(w);
	if (events & ~(uint32_t)EPOLLOUT)
		wire_read(l, w, (events & ~(uint32_t)(EPOLLOUT | EPOLLIN)));
}

void
wire_free_all(struct load *l)
{
	unsigned i;

	for (i = 0; i < l->nwires; i++) {
		if (l->wires[i]->fd != -1)
			close(l->wires[i]->fd);
		free(l->wires[i]->in);
		free(l->wires[i]->out);
		free(l->wires[i]);
	}
	free(l->wires);
}
