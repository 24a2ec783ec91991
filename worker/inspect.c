/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * inspect - chatctl history and tail: the messages of a session.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
put_message(struct ctl *c, struct chat_str body, uint64_t time_ms, uint64_t seq)
{
	const struct inspector *in = c->state;
	struct json_out o = { 0 };

	json_out_object(&o);
	json_out_inside(&o, body.p, body.len);
	json_out_key(&o, "sessionId");
	json_out_cstring(&o, in->session);
	json_out_key(&o, "timestamp");
	json_out_u64(&o, time_ms);
	json_out_key(&o, "seq");
	json_out_u64(&o, seq);
	json_out_object_end(&o);
	ctl_put(c, &o, true);
	json_out_clear(&o);
}

/* Newest first they were looked for, oldest first they are told. */
static void
put_history(struct ctl *c, const struct read_answer *a)
{
	struct read_row row;
	size_t at = 0;

	while (reader_row(a, &at, &row))
		put_message(c,
		    (struct chat_str){ row.text[1].p, row.text[1].len },
		    row.n[2], row.n[0]);
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

static void
on_deliver(struct ctl *c, const struct chat_delivery *d)
{
	if (d->ev.type != CHAT_MESSAGE || d->outcome != CHAT_STORED)
		return;
	put_message(c, d->ev.field[2], d->time_ms, d->seq);
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
		ctl_done(c, "name a session: workspace/session");
	} else if (limit == 0) {
		ctl_done(c, "the number is from 1 to 10000");
	} else if (slash == NULL || slash == name || slash[1] == '\0') {
		ctl_done(c, "a session is named workspace/session");
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
