/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * wire - one TCP connection of a client of the torture.
 */

#include <sys/epoll.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/util.h"
#include "tests/torture/clients.h"

static struct epoll_event
watched(const struct clients *t, const struct player *p, enum wire_kind kind)
{
	const struct wire *w = &p->wire[kind];
	struct epoll_event ev = {
		.data.u64 = (uint64_t)kind << 32 | (p->id - t->first),
	};

	if (p->slow_until == 0)
		ev.events |= EPOLLIN;
	if (w->out_len > 0 || w->connecting)
		ev.events |= EPOLLOUT;
	return ev;
}

void
wire_watch(struct clients *t, struct player *p, enum wire_kind kind)
{
	struct epoll_event ev = watched(t, p, kind);
	struct wire *w = &p->wire[kind];

	if (w->fd == -1 || ev.events == w->events)
		return;
	w->events = ev.events;
	if (epoll_ctl(t->epfd, EPOLL_CTL_MOD, w->fd, &ev) == -1)
		die(EXIT_FAILED, "epoll_ctl: %s", strerror(errno));
}

bool
wire_open(struct clients *t, struct player *p, enum wire_kind kind)
{
	struct wire *w = &p->wire[kind];
	struct epoll_event ev;
	int on = 1;

	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->fd == -1)
		die(EXIT_FAILED, "socket: %s", strerror(errno));
	(void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	w->connecting = true;
	w->asking = false;
	ev = watched(t, p, kind);
	w->events = ev.events;
	if (epoll_ctl(t->epfd, EPOLL_CTL_ADD, w->fd, &ev) == -1)
		die(EXIT_FAILED, "epoll_ctl: %s", strerror(errno));
	return connect(w->fd, (struct sockaddr *)&t->to, t->to_len) == 0 ||
	    errno == EINPROGRESS;
}

void
wire_close(struct wire *w)
{
	if (w->fd != -1)
		close(w->fd);
	w->fd = -1;
	w->in_len = w->out_len = 0;
	w->connecting = w->asking = false;
}

void
wire_put(struct clients *t, struct player *p, enum wire_kind kind,
    const char *bytes, size_t len)
{
	struct wire *w = &p->wire[kind];
	ssize_t n = 0;

	if (w->out_len == 0 && !w->connecting)
		n = send(w->fd, bytes, len, MSG_NOSIGNAL);
	if (n == -1)
		n = 0;
	len -= (size_t)n;
	if (len == 0)
		return;
	if (w->out_len + len > w->out_size) {
		w->out_size = (w->out_len + len) * 2;
		w->out = xreallocarray(w->out, w->out_size, 1);
	}
	memcpy(w->out + w->out_len, bytes + n, len);
	w->out_len += len;
	wire_watch(t, p, kind);
}

bool
wire_pull(struct clients *t, struct wire *w)
{
	ssize_t n;

	if (w->in_size - w->in_len < 65536) {
		w->in_size = w->in_len + 131072;
		w->in = xreallocarray(w->in, w->in_size, 1);
	}
	n = recv(w->fd, w->in + w->in_len, w->in_size - w->in_len, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	w->in_len += (size_t)n;
	t->now = now_ns();
	return true;
}

void
wire_used(struct wire *w, size_t n)
{
	w->in_len -= n;
	memmove(w->in, w->in + n, w->in_len);
}
