/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * hearing - what children write to stderr when there is no terminal.
 */

#include "master/hearing.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/log.h"
#include "master/spawn.h"

#define LINE_SIZE 400
/* one event of the loop reads at most this */
#define READS 16

struct hearing {
	int fd[2];
	struct event *readable;
	/* the line that is coming in, and the last whole one */
	char line[LINE_SIZE];
	size_t len;
	char last[LINE_SIZE];
};

static void
line_ends(struct hearing *h)
{
	if (h->len == 0)
		return;
	h->line[h->len] = '\0';
	memcpy(h->last, h->line, h->len + 1);
	log_warn("a child wrote to stderr text=%s", log_text(h->line, h->len));
	h->len = 0;
}

static void
take(struct hearing *h, const char *p, size_t len)
{
	for (; len > 0; p++, len--) {
		if (*p == '\n' || h->len == sizeof(h->line) - 1)
			line_ends(h);
		if (*p != '\n')
			h->line[h->len++] = *p;
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	char buf[4096];
	ssize_t n;

	for (int i = 0; i < READS; i++) {
		if ((n = read(fd, buf, sizeof(buf))) <= 0)
			return;
		take(arg, buf, (size_t)n);
	}
}

const char *
hearing_last(struct hearing *h)
{
	if (h == NULL)
		return "";
	on_readable(h->fd[0], EV_READ, h);
	line_ends(h);
	return h->last;
}

struct hearing *
hearing_new(struct event_base *base)
{
	struct hearing *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		fatal("calloc");
	/* a child must not wait for us with what it has to say */
	if (pipe2(h->fd, O_CLOEXEC | O_NONBLOCK) == -1)
		fatal("pipe");
	h->readable =
	    event_new(base, h->fd[0], EV_READ | EV_PERSIST, on_readable, h);
	if (h->readable == NULL || event_add(h->readable, NULL) == -1)
		fatalx("out of memory");
	spawn_set_stderr(h->fd[1]);
	return h;
}

void
hearing_free(struct hearing **hp)
{
	struct hearing *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	event_free(h->readable);
	(void)close(h->fd[0]);
	(void)close(h->fd[1]);
	free(h);
}
