/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * reader_roster - pages of who is in a room.
 */

#include <errno.h>
#include <string.h>

#include "worker/reader.h"

struct roster {
	struct store_txn *t;
	const struct read_query *q;
	struct read_answer *a;
	struct store_text self, after, after_user;
	/* it is to come, and keeps a place */
	bool self_due;
	/* rows before the one that is looked for, or behind which all are */
	bool found;
	int error;
};

static bool
same(struct store_text a, struct store_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static struct store_text
line_of(struct store_text *text)
{
	const char *end =
	    text->len == 0 ? NULL : memchr(text->p, '\n', text->len);
	struct store_text line = { text->p,
		end == NULL ? text->len : (size_t)(end - text->p) };
	size_t used = line.len + (end != NULL);

	text->p += used;
	text->len -= used;
	return line;
}

static void
put(struct roster *r, const struct store_presence *p)
{
	const struct read_row row = {
		.n = { p->user, p->joined_ms, p->activity_ms, p->gseq },
		.text = { p->user_id, p->user_name, p->socket, p->status },
	};

	if (reader_put_row(r->t, r->a, &row) == -1)
		r->error = errno;
}

static bool
roster_add(const struct store_presence *p, void *arg)
{
	struct roster *r = arg;
	bool self = p->user == r->q->from && same(p->socket, r->self);

	if (!self && r->a->nrows + r->self_due >= r->q->count) {
		r->a->more = true;
		return false;
	}
	r->self_due = r->self_due && !self;
	put(r, p);
	return r->error == 0;
}

/* Pass by all up to the socket 'after'. */
static bool
roster_find(const struct store_presence *p, void *arg)
{
	struct roster *r = arg;

	if (r->found)
		return roster_add(p, arg);
	r->found = same(p->socket, r->after);
	return true;
}

static int
walk(struct roster *r)
{
	uint64_t room = r->q->room, user;

	if (r->after.len == 0)
		return store_roster(r->t, room, roster_add, r);
	if (r->after_user.len > 0) {
		if (store_user_find(r->t, r->after_user, &user) == 0)
			return store_roster_behind(r->t, room, user, r->after,
			    roster_add, r);
		if (errno != ENOENT)
			return -1;
	}
	if (store_roster(r->t, room, roster_find, r) == -1)
		return -1;
	/* it has left, and nobody knows where it stood: once more from the
	 * beginning misses nobody */
	return r->found ? 0 : store_roster(r->t, room, roster_add, r);
}

int
reader_roster(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct roster r = { .t = t, .q = q, .a = a };
	struct store_text text = q->text;
	struct store_presence self;

	r.self = line_of(&text);
	r.after = line_of(&text);
	r.after_user = text;
	if (q->from != 0 && r.self.len > 0) {
		r.self_due =
		    store_presence_get(t, q->room, q->from, r.self, &self) == 0;
		if (!r.self_due && errno != ENOENT && errno != EBADMSG)
			return -1;
	}
	if (q->offset != 0 &&
	    store_presence_count(t, q->room, 0, &a->seq) == -1)
		return -1;
	if (walk(&r) == -1)
		return -1;
	if (r.self_due && r.error == 0)
		put(&r, &self);
	errno = r.error;
	return r.error == 0 ? 0 : -1;
}
