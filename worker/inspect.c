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
#include "worker/reader.h"
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
	/* workspace/session, which is being looked for; and the second of it */
	char *name;
	const char *session;
	/* history: how many; tail: 0, and the room that is watched */
	unsigned limit;
	uint64_t room;
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
	reader_forget(w->reader, in);
	free(in->name);
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

/* Newest first they were looked for, oldest first they are told. */
static void
inspector_history(struct inspector *in, const struct read_answer *a)
{
	struct read_row row;
	size_t at = 0;

	while (reader_row(a, &at, &row))
		inspector_message(in,
		    (struct chat_str){ row.text[1].p, row.text[1].len },
		    row.n[2], row.n[0]);
}

static void
inspector_read(void *arg)
{
	struct inspector *in = arg;
	struct worker *w = in->worker;
	const struct read_query q = { .kind = READ_SESSION,
		.from = UINT64_MAX,
		.backward = true,
		.count = in->limit,
		.bytes = QUEUE_MAX / 2,
		.text = { in->name, strlen(in->name) },
		.notify = inspector_read };
	const struct read_answer *a;
	uint64_t room;
	int error;

	if ((a = reader_ask(w->reader, in, &q, w->now_ms)) == NULL)
		return;
	error = a->error;
	room = a->room;
	if (error == 0)
		inspector_history(in, a);
	reader_taken(w->reader, a);
	if (error != 0) {
		inspector_finish(in,
		    error == ENOENT ? "no such session"
				    : "the store cannot be read");
	} else if (in->limit > 0) {
		inspector_finish(in, NULL);
	} else {
		ring_interest(w->log, w->slot, room, true);
		in->room = room;
	}
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
	const char *name = json_tree_text(json_tree_at(args, 0));
	const char *slash = name == NULL ? NULL : strchr(name, '/');
	const char *error = NULL;

	in->limit = inspect_limit(args);
	if (name == NULL)
		error = "name a session: workspace/session";
	else if (in->limit == 0)
		error = "the number is from 1 to 10000";
	else if (slash == NULL || slash == name || slash[1] == '\0')
		error = "a session is named workspace/session";
	else if (strcmp(command, "tail") == 0)
		in->limit = 0;
	else if (strcmp(command, "history") != 0)
		error = "unknown command";
	if (error != NULL) {
		inspector_finish(in, error);
		return;
	}
	if ((in->name = strdup(name)) == NULL)
		fatal("memory for chatctl");
	in->session = strchr(in->name, '/') + 1;
	inspector_read(in);
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
