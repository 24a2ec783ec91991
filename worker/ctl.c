/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/ctl.h"

#include <sys/socket.h>

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "worker/reader.h"
#include "worker/worker.h"

/* bytes that may wait for a chatctl that does not read */
#define QUEUE_MAX (4 << 20)

/* To look at, or to change. */
static void
session_serve(struct ctl *c, const char *command, const struct json_tree *args)
{
	const char *what = json_tree_text(json_tree_at(args, 0));

	if (what != NULL && strcmp(what, "show") == 0)
		look_serve(c, command, args);
	else
		steer_serve(c, command, args);
}

static const struct ctl_command {
	const char *name;
	ctl_serve_fn *serve;
} commands[] = {
	{ "history", inspect_serve },
	{ "tail", inspect_serve },
	{ "kick", steer_serve },
	{ "ban", steer_serve },
	{ "unban", steer_serve },
	{ "mute", steer_serve },
	{ "unmute", steer_serve },
	{ "revoke", steer_serve },
	{ "broadcast", steer_serve },
	{ "say", steer_serve },
	{ "session", session_serve },
	{ "message", steer_serve },
	{ "workspaces", look_serve },
	{ "sessions", look_serve },
	{ "members", look_serve },
	{ "presence", look_serve },
	{ "users", look_serve },
	{ "user", look_serve },
	{ "limits", limits_serve },
	{ "bans", bans_serve },
	{ "events", events_serve },
	{ "filter", filter_serve },
};

static void
ctl_free(struct ctl *c)
{
	struct worker *w = c->worker;

	TAILQ_REMOVE(&w->ctls, c, entry);
	if (c->room != 0)
		ring_interest(w->log, w->slot, c->room, false);
	event_del(c->ev);
	event_free(c->ev);
	(void)close(c->fd);
	reader_forget(w->reader, c);
	if (c->ops != NULL && c->ops->free != NULL)
		c->ops->free(c);
	json_tree_free(&c->request);
	free(c->buf);
	free(c);
}

static void
on_event(int fd, short what, void *arg)
{
	struct ctl *c = arg;
	char byte[256];
	ssize_t n;

	if (what & EV_READ) {
		/* there is nothing more to say to us: it is the end */
		n = recv(fd, byte, sizeof(byte), MSG_DONTWAIT);
		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR)) {
			ctl_free(c);
			return;
		}
	}
	if (what & EV_WRITE)
		(void)ctl_flush(c);
}

static void
watch(struct ctl *c, short what)
{
	event_del(c->ev);
	if (event_assign(c->ev, c->worker->base, c->fd, what | EV_PERSIST,
		on_event, c) == -1 ||
	    event_add(c->ev, NULL) == -1)
		fatalx("event of chatctl");
}

bool
ctl_flush(struct ctl *c)
{
	ssize_t n;

	while (c->sent < c->len) {
		n = send(c->fd, c->buf + c->sent, c->len - c->sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
			watch(c, EV_READ | EV_WRITE);
			return true;
		}
		if (n == -1) {
			ctl_free(c);
			return false;
		}
		c->sent += (size_t)n;
	}
	c->len = c->sent = c->size = 0;
	free(c->buf);
	c->buf = NULL;
	if (c->done) {
		ctl_free(c);
		return false;
	}
	watch(c, EV_READ);
	return true;
}

static void
put(struct ctl *c, const char *p, size_t len)
{
	size_t size = c->size == 0 ? 4096 : c->size;
	char *buf;

	/* who reads all the time and never all: what it has makes room */
	if (c->sent > 0 && c->sent >= c->len / 2 && c->size - c->len < len) {
		c->len -= c->sent;
		memmove(c->buf, c->buf + c->sent, c->len);
		c->sent = 0;
	}
	while (size - c->len < len)
		size *= 2;
	if (size > c->size) {
		if ((buf = realloc(c->buf, size)) == NULL)
			fatal("memory for chatctl");
		c->buf = buf;
		c->size = size;
	}
	memcpy(c->buf + c->len, p, len);
	c->len += len;
}

static void
put_missed(struct ctl *c)
{
	char text[64];
	int n;

	n = snprintf(text, sizeof(text), "{\"missed\":%llu}\n",
	    (unsigned long long)c->missed);
	c->missed = 0;
	put(c, text, (size_t)n);
}

void
ctl_put(struct ctl *c, const struct json_out *o, bool may_miss)
{
	if (o->failed)
		fatalx("memory for chatctl");
	if (may_miss && c->len - c->sent + o->len > QUEUE_MAX) {
		c->missed++;
		return;
	}
	if (c->missed > 0)
		put_missed(c);
	put(c, "{\"data\":", sizeof("{\"data\":") - 1);
	put(c, o->p, o->len);
	put(c, "}\n", 2);
}

static void
finish(struct ctl *c, const char *error, bool usage)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	json_out_key(&o, "done");
	json_out_bool(&o, true);
	json_out_key(&o, "ok");
	json_out_bool(&o, error == NULL);
	if (error != NULL) {
		json_out_key(&o, "error");
		json_out_cstring(&o, error);
	}
	if (usage) {
		json_out_key(&o, "usage");
		json_out_bool(&o, true);
	}
	json_out_object_end(&o);
	put(c, o.p, o.len);
	put(c, "\n", 1);
	json_out_clear(&o);
	c->done = true;
	FAULT(CTL_DONE);
	(void)ctl_flush(c);
}

void
ctl_done(struct ctl *c, const char *error)
{
	finish(c, error, false);
}

void
ctl_usage(struct ctl *c, const char *error)
{
	finish(c, error, true);
}

void
ctl_publish(struct ctl *c, const struct chat_event *ev)
{
	const struct publish_waiter waiter = { .number = PUBLISH_CTL,
		.request = c->id };

	publisher_put(c->worker->publisher, &waiter, ev, c->worker->now_ms);
}

void
ctl_watch(struct ctl *c, uint64_t room)
{
	c->room = room;
	ring_interest(c->worker->log, c->worker->slot, room, true);
}

/* --- the beginning ------------------------------------------------------------ */

static struct ctl *
ctl_new(struct worker *w, int fd)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred cred;
	struct ctl *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("memory for chatctl");
	c->worker = w;
	c->fd = fd;
	if (++w->last_ctl == 0)
		w->last_ctl = 1;
	c->id = w->last_ctl;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		(void)snprintf(c->by, sizeof(c->by), "uid %u pid %d",
		    (unsigned)cred.uid, (int)cred.pid);
	TAILQ_INSERT_TAIL(&w->ctls, c, entry);
	c->ev = event_new(w->base, fd, EV_READ | EV_PERSIST, on_event, c);
	if (c->ev == NULL || event_add(c->ev, NULL) == -1)
		fatalx("event of chatctl");
	return c;
}

static void
serve(struct ctl *c)
{
	const char *name = json_tree_text(json_tree_get(c->request, "command"));
	size_t i;

	for (i = 0; name != NULL && i < sizeof(commands) / sizeof(commands[0]);
	     i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		commands[i].serve(c, name, json_tree_get(c->request, "args"));
		return;
	}
	ctl_done(c, "unknown command");
}

void
ctl_request(struct worker *w, int fd, const char *line, size_t len)
{
	struct ctl *c = ctl_new(w, fd);
	const char *why;

	FAULT(CTL_REQUEST);
	if ((c->request = json_tree_parse(line, len, &why)) == NULL)
		ctl_done(c, why);
	else
		serve(c);
}

/* --- events --------------------------------------------------------------------- */

bool
ctl_watches(const struct worker *w, uint64_t room)
{
	const struct ctl *c;

	TAILQ_FOREACH(c, &w->ctls, entry)
		if (c->room == room && room != 0)
			return true;
	return false;
}

void
ctl_deliver(struct worker *w, const struct chat_delivery *d)
{
	struct ctl *c, *next;

	TAILQ_FOREACH_SAFE(c, &w->ctls, entry, next) {
		if (c->done || c->ops == NULL || c->ops->deliver == NULL)
			continue;
		if (d->ev.room == 0 || d->ev.room == c->room)
			c->ops->deliver(c, d);
	}
}

void
ctl_evicted(struct worker *w, bool live, uint64_t records)
{
	struct ctl *c, *next;

	TAILQ_FOREACH_SAFE(c, &w->ctls, entry, next) {
		if (c->done || c->ops == NULL || records == 0 ||
		    c->ops->ring != (live ? CTL_LIVE : CTL_LOG))
			continue;
		c->missed += records;
		put_missed(c);
		(void)ctl_flush(c);
	}
}

void
ctl_verdict(struct worker *w, uint32_t id, const struct chat_delivery *d)
{
	struct ctl *c;

	TAILQ_FOREACH(c, &w->ctls, entry)
		if (c->id == id)
			break;
	if (c != NULL && !c->done && c->ops != NULL && c->ops->verdict != NULL)
		c->ops->verdict(c, d);
}

void
ctl_tick(struct worker *w)
{
	struct ctl *c, *next;

	TAILQ_FOREACH_SAFE(c, &w->ctls, entry, next) {
		if (!c->done && c->ops != NULL && c->ops->tick != NULL)
			c->ops->tick(c);
	}
}

void
ctl_free_all(struct worker *w)
{
	struct ctl *c;

	while ((c = TAILQ_FIRST(&w->ctls)) != NULL)
		ctl_free(c);
}
