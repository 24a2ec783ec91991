/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_change_ops - what was changed in the world of fuzz_chat.c, as the
 * store gives it: each change is kept, an item may come more than once.
 */

#ifndef TESTS_FUZZ_CHAT_CHANGE_OPS_H
#define TESTS_FUZZ_CHAT_CHANGE_OPS_H

#include <string.h>

#include "common/log.h"
#include "tests/fuzz/chat_script.h"

static struct chat_row
row_of(const struct message *m)
{
	return (struct chat_row){ .seq = m->seq,
		.gseq = m->gseq,
		.time_ms = 5,
		.revision = m->revision,
		.edited_ms = 6,
		.deleted = m->deleted,
		.id = { "id", 2 },
		.body = { m->body, m->deleted ? 0 : strlen(m->body) } };
}

static enum chat_read
op_seek(void *ctx, void *conn, uint64_t room, uint64_t gseq,
    struct chat_seek *seek_r)
{
	int i;

	CHECK(room > 0 && room <= ROOMS);
	seek_r->pos = w.gseq;
	seek_r->seq = w.last[room] + 1;
	seek_r->changes = false;
	seek_r->revision = 1;
	for (i = w.nmessages - 1; i >= 0; i--) {
		if (w.message[i].room == room && w.message[i].gseq >= gseq)
			seek_r->seq = w.message[i].seq;
	}
	for (i = 0; i < w.nchanges; i++) {
		if (w.change[i].room == room && w.change[i].gseq >= gseq)
			seek_r->changes = true;
		else if (w.change[i].room == room &&
		    w.change[i].revision >= seek_r->revision)
			seek_r->revision = w.change[i].revision + 1;
	}
	return read_store(conn, true);
}

static const struct message *
message_of(const struct change *c)
{
	int i;

	for (i = 0; i < w.nmessages; i++) {
		if (w.message[i].room == c->room && w.message[i].seq == c->seq)
			return &w.message[i];
	}
	return NULL;
}

static enum chat_read
op_changes(void *ctx, void *conn, const struct chat_change_query *q,
    chat_change_fn fn, void *arg, struct chat_page *page_r)
{
	enum chat_read rc = read_store(conn, fn != NULL);
	const struct message *m;
	uint64_t n = 0;
	int i;

	if (rc != CHAT_READ_DONE || fn == NULL)
		return rc;
	CHECK(q->room > 0 && q->room <= ROOMS && q->count > 0);
	page_r->pos = w.gseq;
	page_r->more = false;
	for (i = 0; i < w.nchanges && !page_r->more; i++) {
		const struct change *c = &w.change[i];
		struct chat_change change = { .type = c->type,
			.seq = c->seq,
			.gseq = c->gseq,
			.revision = c->revision,
			.id = { "id", 2 },
			.user_id = { "a", 1 },
			.status = { "error", 5 } };

		if (c->room != q->room ||
		    (q->has_revision ? c->revision <= q->after_revision
				     : c->gseq < q->from))
			continue;
		if (c->type == CHAT_EDIT && (m = message_of(c)) != NULL)
			change.body = row_of(m).body;
		if (!fn(arg, &change))
			break;
		page_r->more = ++n == 2;
	}
	return rc;
}

static enum chat_read
op_receipts(void *ctx, void *conn, uint64_t room, uint64_t user,
    chat_receipt_fn fn, void *arg)
{
	enum chat_read rc = read_store(conn, fn != NULL);

	if (rc == CHAT_READ_DONE && fn != NULL)
		(void)fn(arg, (struct chat_str){ "\"a\"", 3 }, 1);
	return rc;
}

/* The newest, whatever its id is; in two steps. */
static enum chat_read
op_find(void *ctx, void *conn, uint64_t room, struct chat_str id, uint64_t *at,
    chat_row_fn fn, void *arg)
{
	enum chat_read rc = read_store(conn, true);
	struct chat_row row;
	int i;

	CHECK(room > 0 && room <= ROOMS && id.len > 0);
	if (rc != CHAT_READ_DONE)
		return rc;
	if (w.late && *at == 0) {
		*at = 1;
		((struct client *)conn)->wants = true;
		return CHAT_READ_LATER;
	}
	for (i = w.nmessages - 1; i >= 0; i--) {
		if (w.message[i].room != room)
			continue;
		row = row_of(&w.message[i]);
		(void)fn(arg, &row);
		break;
	}
	return rc;
}

#endif /* TESTS_FUZZ_CHAT_CHANGE_OPS_H */
