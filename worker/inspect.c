/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * inspect - chatctl history and tail: what only a worker can tell.
 *
 * The master passes chatctl's connection and its request; the answer goes
 * straight to it, a line of JSON a message, and a last line with "done".
 * A reader that does not keep up with tail is told how much it missed.
 */

#include <sys/socket.h>

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "worker/worker.h"

#define HISTORY_DEFAULT 50
#define HISTORY_MAX 10000
/* bytes that may wait for a chatctl that does not read */
#define QUEUE_MAX (4 << 20)

struct inspector {
	TAILQ_ENTRY(inspector) entry;
	struct worker *worker;
	struct event *ev;
	int fd;
	/* tail: the room that is watched, and its names */
	uint64_t room;
	char *session;
	/* bytes to be written */
	char *buf;
	size_t len, sent;
	uint64_t missed;
	/* the answer is complete: close when it is written */
	bool done;
};

static void
inspector_free(struct inspector *in)
{
	struct worker *w = in->worker;

	TAILQ_REMOVE(&w->inspectors, in, entry);
	if (in->room != 0)
		ring_interest(w->log, w->slot, in->room, false);
	event_del(in->ev);
	event_free(in->ev);
	close(in->fd);
	free(in->session);
	free(in->buf);
	free(in);
}

static void inspector_watch(struct inspector *in, short what);

/* Write what there is; false when the inspector is gone. */
static bool
inspector_write(struct inspector *in)
{
	ssize_t n;

	while (in->sent < in->len) {
		n = send(in->fd, in->buf + in->sent, in->len - in->sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
			inspector_watch(in, EV_READ | EV_WRITE);
			return true;
		}
		if (n == -1) {
			inspector_free(in);
			return false;
		}
		in->sent += (size_t)n;
	}
	in->len = in->sent = 0;
	free(in->buf);
	in->buf = NULL;
	if (in->done) {
		inspector_free(in);
		return false;
	}
	inspector_watch(in, EV_READ);
	return true;
}

static void
inspector_on_event(int fd, short what, void *arg)
{
	struct inspector *in = arg;
	char byte[256];
	ssize_t n;

	if (what & EV_READ) {
		/* there is nothing more to say to us: it is the end */
		n = recv(fd, byte, sizeof(byte), MSG_DONTWAIT);
		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR)) {
			inspector_free(in);
			return;
		}
	}
	if (what & EV_WRITE)
		(void)inspector_write(in);
}

static void
inspector_watch(struct inspector *in, short what)
{
	event_del(in->ev);
	if (event_assign(in->ev, in->worker->base, in->fd, what | EV_PERSIST,
		inspector_on_event, in) == -1 ||
	    event_add(in->ev, NULL) == -1)
		fatalx("event of chatctl");
}

/* Queue bytes; what is too much for it is dropped and counted. */
static void
inspector_put(struct inspector *in, const char *p, size_t len)
{
	char *buf;

	if (in->len - in->sent + len > QUEUE_MAX) {
		in->missed++;
		return;
	}
	if ((buf = realloc(in->buf, in->len + len)) == NULL) {
		in->missed++;
		return;
	}
	memcpy(buf + in->len, p, len);
	in->buf = buf;
	in->len += len;
}

static struct inspector *
inspector_new(struct worker *w, int fd)
{
	struct inspector *in;

	if ((in = calloc(1, sizeof(*in))) == NULL)
		fatal("memory for chatctl");
	in->worker = w;
	in->fd = fd;
	TAILQ_INSERT_TAIL(&w->inspectors, in, entry);
	in->ev = event_new(w->base, fd, EV_READ | EV_PERSIST,
	    inspector_on_event, in);
	if (in->ev == NULL || event_add(in->ev, NULL) == -1)
		fatalx("event of chatctl");
	return in;
}

static void
inspector_finish(struct inspector *in, const char *error)
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
	json_out_object_end(&o);
	inspector_put(in, o.p, o.len);
	inspector_put(in, "\n", 1);
	json_out_clear(&o);
	in->done = true;
	(void)inspector_write(in);
}

/* {"data":{<body>,"sessionId":...,"timestamp":...,"seq":...}} */
static void
inspector_message(struct inspector *in, struct chat_str body, uint64_t time_ms,
    uint64_t seq)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	json_out_key(&o, "data");
	json_out_object(&o);
	json_out_inside(&o, body.p, body.len);
	json_out_key(&o, "sessionId");
	json_out_cstring(&o, in->session);
	json_out_key(&o, "timestamp");
	json_out_u64(&o, time_ms);
	json_out_key(&o, "seq");
	json_out_u64(&o, seq);
	json_out_object_end(&o);
	json_out_object_end(&o);
	if (!o.failed) {
		inspector_put(in, o.p, o.len);
		inspector_put(in, "\n", 1);
	}
	json_out_clear(&o);
}

static void
inspect_history(struct inspector *in, struct store_txn *t, uint64_t room,
    unsigned limit)
{
	struct store_query q = { .room = room,
		.from = UINT64_MAX,
		.backward = true,
		.count = limit,
		.bytes = QUEUE_MAX / 2 };
	struct store_message *m;
	unsigned i, n;
	bool more;
	const char *error = NULL;

	if ((m = calloc(limit, sizeof(*m))) == NULL) {
		store_snapshot_end(&t);
		inspector_finish(in, "out of memory");
		return;
	}
	if (store_page(t, &q, m, &n, &more) == -1)
		error = "the store cannot be read";
	else
		for (i = 0; i < n; i++)
			inspector_message(in,
			    (struct chat_str){ m[i].body.p, m[i].body.len },
			    m[i].time_ms, m[i].seq);
	store_snapshot_end(&t);
	free(m);
	inspector_finish(in, error);
}

/* "workspace/session" to its number. */
static const char *
inspect_find(struct store_txn *t, const char *name, uint64_t *room_r)
{
	const char *slash = strchr(name, '/');
	struct store_text workspace, session;

	if (slash == NULL || slash == name || slash[1] == '\0')
		return "a session is named workspace/session";
	workspace.p = name;
	workspace.len = (size_t)(slash - name);
	session.p = slash + 1;
	session.len = strlen(session.p);
	if (workspace.len > STORE_MAX_NAME || session.len > STORE_MAX_NAME)
		return "no such session";
	if (store_room_find(t, workspace, session, room_r) == -1)
		return errno == ENOENT ? "no such session"
				       : "the store cannot be read";
	return NULL;
}

static unsigned
inspect_limit(const struct json_tree *args)
{
	const char *text = json_tree_text(json_tree_at(args, 1));
	char *end;
	unsigned long n;

	if (text == NULL)
		return HISTORY_DEFAULT;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || n == 0 || n > HISTORY_MAX)
		return 0;
	return (unsigned)n;
}

static void
inspect_serve(struct inspector *in, const char *command,
    const struct json_tree *args)
{
	struct worker *w = in->worker;
	const char *name = json_tree_text(json_tree_at(args, 0));
	const char *error;
	struct store_txn *t;
	unsigned limit = inspect_limit(args);
	uint64_t room;

	if (name == NULL || limit == 0) {
		inspector_finish(in,
		    name == NULL ? "name a session: workspace/session"
				 : "the number is from 1 to 10000");
		return;
	}
	if ((t = store_snapshot(w->store)) == NULL) {
		inspector_finish(in, "the store cannot be read");
		return;
	}
	if ((error = inspect_find(t, name, &room)) != NULL) {
		store_snapshot_end(&t);
		inspector_finish(in, error);
		return;
	}
	if ((in->session = strdup(strchr(name, '/') + 1)) == NULL)
		fatal("memory for chatctl");
	if (strcmp(command, "history") == 0) {
		inspect_history(in, t, room, limit);
		return;
	}
	store_snapshot_end(&t);
	if (strcmp(command, "tail") != 0) {
		inspector_finish(in, "unknown command");
		return;
	}
	ring_interest(w->log, w->slot, room, true);
	in->room = room;
}

void
inspect_request(struct worker *w, int fd, const char *line, size_t len)
{
	struct inspector *in = inspector_new(w, fd);
	struct json_tree *request;
	const char *why, *command;

	if ((request = json_tree_parse(line, len, &why)) == NULL) {
		inspector_finish(in, why);
		return;
	}
	command = json_tree_text(json_tree_get(request, "command"));
	if (command == NULL)
		inspector_finish(in, "no command");
	else
		inspect_serve(in, command, json_tree_get(request, "args"));
	json_tree_free(&request);
}

bool
inspect_watches(const struct worker *w, uint64_t room)
{
	const struct inspector *in;

	TAILQ_FOREACH(in, &w->inspectors, entry)
		if (in->room == room && room != 0)
			return true;
	return false;
}

void
inspect_deliver(struct worker *w, const struct chat_delivery *d)
{
	struct inspector *in, *next;
	char text[64];
	int n;

	if (d->ev.type != CHAT_MESSAGE || d->outcome != CHAT_STORED)
		return;
	TAILQ_FOREACH_SAFE(in, &w->inspectors, entry, next) {
		if (in->room != d->ev.room)
			continue;
		if (in->missed > 0 && in->len == in->sent) {
			n = snprintf(text, sizeof(text), "{\"missed\":%llu}\n",
			    (unsigned long long)in->missed);
			in->missed = 0;
			inspector_put(in, text, (size_t)n);
		}
		inspector_message(in, d->ev.field[2], d->time_ms, d->seq);
		(void)inspector_write(in);
	}
}

void
inspect_free_all(struct worker *w)
{
	struct inspector *in;

	while ((in = TAILQ_FIRST(&w->inspectors)) != NULL)
		inspector_free(in);
}
