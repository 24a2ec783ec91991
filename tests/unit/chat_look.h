/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_look - the part of chat_world.h that reads changes, receipts and one
 * message by its id.
 */

#ifndef CHAT_LOOK_H
#define CHAT_LOOK_H

#include "tests/unit/chat_reads.h"

static struct chat_change
change_at(const struct world *w, const struct change_row *c)
{
	struct chat_change change = { .type = c->type,
		.revision = c->revision,
		.gseq = c->gseq,
		.changed_ms = c->time_ms,
		.seq = c->seq };
	const struct message_row *m;

	switch (c->type) {
	case CHAT_EDIT:
	case CHAT_DELETE:
		m = message_at((struct world *)(uintptr_t)w, c->room, c->seq);
		assert_non_null(m);
		change.id = str_of(m->id);
		change.time_ms = m->time_ms;
		if (c->type == CHAT_EDIT)
			change.body = str_of(c->text);
		break;
	case CHAT_RECEIPT:
		change.user_id = str_of(c->user);
		break;
	default:
		change.status = str_of(c->text);
		change.reason = str_of(c->reason);
		break;
	}
	return change;
}

static bool
is_wanted(const struct world *w, const struct read *r,
    const struct chat_change_query *q, const struct change_row *c)
{
	if (c->room != q->room || c->gseq >= r->pos ||
	    change_of_item(w, c, r->pos) != c)
		return false;
	return q->has_revision && c->type != CHAT_STATUS
	    ? c->revision > q->after_revision
	    : c->gseq >= q->from;
}

static enum chat_read
op_changes(void *ctx, void *conn, const struct chat_change_query *q,
    chat_change_fn fn, void *arg, struct chat_page *page_r)
{
	struct world *w = ((struct engine *)ctx)->w;
	struct read r = read_of(ctx, conn, READ_CHANGES);
	struct chat_change c;
	enum chat_read rc;
	int i, n = 0;

	r.room = q->room;
	r.from = q->from;
	r.after = q->has_revision ? q->after_revision + 1 : 0;
	if (fn == NULL)
		return read_ask_only(w, &r);
	if ((rc = read_ask(w, &r)) != CHAT_READ_DONE)
		return rc;
	page_r->pos = r.pos;
	page_r->more = false;
	for (i = 0; i < w->nchanges; i++) {
		if (!is_wanted(w, &r, q, &w->change[i]))
			continue;
		if (n++ == w->changes_a_page) {
			page_r->more = true;
			break;
		}
		c = change_at(w, &w->change[i]);
		if (!fn(arg, &c))
			break;
	}
	return rc;
}

static enum chat_read
op_receipts(void *ctx, void *conn, uint64_t room, uint64_t user,
    chat_receipt_fn fn, void *arg)
{
	struct world *w = ((struct engine *)ctx)->w;
	struct read r = read_of(ctx, conn, READ_RECEIPTS);
	const struct change_row *c;
	enum chat_read rc;
	int i;

	r.room = room;
	r.from = user;
	if (fn == NULL)
		return read_ask_only(w, &r);
	if ((rc = read_ask(w, &r)) != CHAT_READ_DONE)
		return rc;
	for (i = 0; i < w->nchanges; i++) {
		c = &w->change[i];
		if (c->type != CHAT_RECEIPT || c->room != room ||
		    c->gseq >= r.pos || change_of_item(w, c, r.pos) != c)
			continue;
		if (!fn(arg, str_of(c->user), c->seq))
			break;
	}
	return rc;
}

/* As the worker does: an old one takes several reads. */
static enum chat_read
op_find(void *ctx, void *conn, uint64_t room, struct chat_str id, uint64_t *at,
    chat_row_fn fn, void *arg)
{
	struct world *w = ((struct engine *)ctx)->w;
	struct chat_row row;
	enum chat_read rc;
	struct read r;
	int i;

	for (i = w->nmessages - (int)*at; i > 0; i = w->nmessages - (int)*at) {
		r = read_of(ctx, conn, READ_FIND);
		r.room = room;
		r.from = *at;
		if ((rc = read_ask(w, &r)) != CHAT_READ_DONE)
			return rc;
		row = row_at(w, &w->message[i - 1], r.pos);
		if (w->message[i - 1].room == room && row.id.len == id.len &&
		    memcmp(row.id.p, id.p, id.len) == 0 && row.gseq < r.pos) {
			(void)fn(arg, &row);
			return CHAT_READ_DONE;
		}
		++*at;
	}
	return CHAT_READ_DONE;
}

#endif /* CHAT_LOOK_H */
