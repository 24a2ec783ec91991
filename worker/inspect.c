/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * inspect - chatctl history and tail: the messages of a session.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/render.h"
#include "common/json.h"
#include "common/log.h"
#include "worker/ctl.h"
#include "worker/reader.h"
#include "worker/worker.h"

#define HISTORY_DEFAULT 50
#define HISTORY_MAX 10000
/* bytes of bodies that are read */
#define HISTORY_BYTES (2 << 20)

struct inspector {
	/* history: how many; tail: 0 */
	unsigned limit;
	/* the second part of 'name' */
	const char *session;
	/* workspace/session */
	char name[];
};

static void
put_message(struct ctl *c, const struct chat_row *row)
{
	const struct inspector *in = c->state;
	struct json_out o = { 0 };

	render_row(&o, in->session, row);
	ctl_put(c, &o, true);
	json_out_clear(&o);
}

/* Newest first they were looked for, oldest first they are told. */
static void
put_history(struct ctl *c, const struct read_answer *a)
{
	struct chat_row row;
	struct read_row r;
	size_t at = 0;

	while (reader_row(a, &at, &r)) {
		row = worker_message_of(&r);
		put_message(c, &row);
	}
}

static void
on_read(void *arg)
{
	struct ctl *c = arg;
	const struct inspector *in = c->state;
	struct worker *w = c->worker;
	const struct read_query q = { .kind = READ_SESSION,
		.from = UINT64_MAX,
		.backward = true,
		.count = in->limit,
		.bytes = HISTORY_BYTES,
		.text = { in->name, strlen(in->name) },
		.notify = on_read };
	const struct read_answer *a;
	uint64_t room;
	int error;

	if ((a = reader_ask(w->reader, c, &q, w->now_ms)) == NULL)
		return;
	error = a->error;
	room = a->room;
	if (error == 0)
		put_history(c, a);
	reader_taken(w->reader, a);
	if (error != 0)
		ctl_done(c,
		    error == ENOENT ? "no such session"
				    : "the store cannot be read");
	else if (in->limit > 0)
		ctl_done(c, NULL);
	else
		ctl_watch(c, room);
}

/* A message, and what becomes of it. */
static void
on_deliver(struct ctl *c, const struct chat_delivery *d)
{
	const struct chat_event *ev = &d->ev;
	struct chat_row row = { .seq = d->seq,
		.time_ms = d->time_ms,
		.id = ev->field[0],
		.body = ev->field[2] };

	if (d->outcome != CHAT_STORED)
		return;
	switch (ev->type) {
	case CHAT_MESSAGE:
		break;
	case CHAT_EDIT:
		row.body = ev->field[3];
		row.time_ms = chat_number(ev->field[4]);
		row.edited_ms = d->time_ms;
		row.revision = d->revision;
		break;
	case CHAT_DELETE:
		row.deleted = true;
		break;
	default:
		return;
	}
	put_message(c, &row);
	(void)ctl_flush(c);
}

static void
on_free(struct ctl *c)
{
	free(c->state);
}

static const struct ctl_ops inspector_ops = {
	.deliver = on_deliver,
	.free = on_free,
	.ring = CTL_LOG,
};

static unsigned
read_limit(const struct json_tree *args)
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

void
inspect_serve(struct ctl *c, const char *command, const struct json_tree *args)
{
	const char *name = json_tree_text(json_tree_at(args, 0));
	const char *slash = name == NULL ? NULL : strchr(name, '/');
	unsigned limit = read_limit(args);
	struct inspector *in;

	if (name == NULL) {
		ctl_usage(c, "name a session: workspace/session");
	} else if (limit == 0) {
		ctl_usage(c, "the limit is a number from 1 to 10000");
	} else if (slash == NULL || slash == name || slash[1] == '\0') {
		ctl_usage(c, "a session is named workspace/session");
	} else {
		if ((in = calloc(1, sizeof(*in) + strlen(name) + 1)) == NULL)
			fatal("memory for chatctl");
		memcpy(in->name, name, strlen(name) + 1);
		in->session = in->name + (slash - name) + 1;
		in->limit = strcmp(command, "tail") == 0 ? 0 : limit;
		c->ops = &inspector_ops;
		c->state = in;
		on_read(c);
	}
}
