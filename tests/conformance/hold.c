/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/conformance/hold.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* as much of a request as is looked at */
#define PEEK 4096
/* a connection without a request goes on after this time */
#define SILENT_MS 1000

struct held {
	LIST_ENTRY(held) entry;
	struct hold *hold;
	struct event *ev;
	struct sockaddr_in peer;
	int fd;
};

struct hold {
	LIST_HEAD(, held) list;
	struct event_base *base;
	struct timeval delay;
	hold_fn fn;
	void *arg;
	unsigned count;
};

struct hold *
hold_new(struct event_base *base, unsigned ms, hold_fn fn, void *arg)
{
	struct hold *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return NULL;
	LIST_INIT(&h->list);
	h->base = base;
	h->delay.tv_sec = ms / 1000;
	h->delay.tv_usec = ms % 1000 * 1000;
	h->fn = fn;
	h->arg = arg;
	return h;
}

static void
held_free(struct held *d)
{
	LIST_REMOVE(d, entry);
	d->hold->count--;
	event_free(d->ev);
	free(d);
}

void
hold_free(struct hold **h)
{
	struct held *d;

	if (*h == NULL)
		return;
	while ((d = LIST_FIRST(&(*h)->list)) != NULL) {
		(void)close(d->fd);
		held_free(d);
	}
	free(*h);
	*h = NULL;
}

bool
hold_is_handshake(const char *buf, size_t len)
{
	const char *end = memchr(buf, '\n', len);
	size_t line = end == NULL ? len : (size_t)(end - buf);

	return memmem(buf, line, "EIO=", 4) != NULL &&
	    memmem(buf, line, "sid=", 4) == NULL;
}

/* It has waited: what else it wants is the worker's affair. */
static void
on_over(evutil_socket_t fd, short what, void *arg)
{
	struct held *d = arg;
	struct hold *h = d->hold;
	struct sockaddr_in peer = d->peer;

	held_free(d);
	h->fn(h->arg, fd, &peer);
}

static void
on_request(evutil_socket_t fd, short what, void *arg)
{
	struct held *d = arg;
	char buf[PEEK];
	ssize_t n;

	n = recv(fd, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0 || !hold_is_handshake(buf, (size_t)n)) {
		on_over(fd, what, d);
		return;
	}
	if (event_del(d->ev) == -1 ||
	    event_assign(d->ev, d->hold->base, fd, 0, on_over, d) == -1 ||
	    event_add(d->ev, &d->hold->delay) == -1)
		on_over(fd, what, d);
}

int
hold_take(struct hold *h, int fd, const struct sockaddr_in *peer)
{
	const struct timeval silent = { .tv_sec = SILENT_MS / 1000 };
	struct held *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -1;
	d->hold = h;
	d->fd = fd;
	d->peer = *peer;
	d->ev = event_new(h->base, fd, EV_READ, on_request, d);
	if (d->ev == NULL || event_add(d->ev, &silent) == -1) {
		if (d->ev != NULL)
			event_free(d->ev);
		free(d);
		return -1;
	}
	LIST_INSERT_HEAD(&h->list, d, entry);
	h->count++;
	return 0;
}

unsigned
hold_count(const struct hold *h)
{
	return h->count;
}
