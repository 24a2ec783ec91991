/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * reader_store - what the reader's thread does: questions to the store, and
 * rows copied out of it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "worker/reader.h"

/* rows of the store that are looked at together */
#define PAGE 32
#define FIRST_BYTES 4096

/* Before each row; 'back' is the size of the one before it. */
struct row_head {
	uint32_t size, back;
	uint32_t len[READ_TEXTS];
	uint64_t n[READ_NUMBERS];
};

bool
reader_row(const struct read_answer *a, size_t *at, struct read_row *row)
{
	struct row_head h;
	const uint8_t *p;
	size_t place = *at, i;

	/* 0: at the first; else one more than where the next is */
	if (a->nrows == 0 || place == SIZE_MAX)
		return false;
	place = place > 0 ? place - 1 : a->backward ? a->last : 0;
	if (place >= a->len)
		return false;
	memcpy(&h, a->bytes + place, sizeof(h));
	p = a->bytes + place + sizeof(h);
	memcpy(row->n, h.n, sizeof(row->n));
	for (i = 0; i < READ_TEXTS; i++) {
		row->text[i] = (struct store_text){ (const char *)p, h.len[i] };
		p += h.len[i];
	}
	if (a->backward)
		*at = place == 0 ? SIZE_MAX : place - h.back + 1;
	else
		*at = place + h.size + 1;
	return true;
}

/* --- rows ------------------------------------------------------------------ */

struct copy {
	struct read_answer *a;
	const struct read_row *row;
	size_t size;
};

/* What is copied may be on a page that the disk does not give. */
static void
copy_row(void *arg)
{
	const struct copy *c = arg;
	struct read_answer *a = c->a;
	struct row_head h = { .size = (uint32_t)c->size };
	uint8_t *p = a->bytes + a->len;
	size_t i;

	h.back = a->nrows == 0 ? 0 : (uint32_t)(a->len - a->last);
	memcpy(h.n, c->row->n, sizeof(h.n));
	for (i = 0; i < READ_TEXTS; i++)
		h.len[i] = (uint32_t)c->row->text[i].len;
	memcpy(p, &h, sizeof(h));
	p += sizeof(h);
	for (i = 0; i < READ_TEXTS; i++) {
		if (h.len[i] > 0)
			memcpy(p, c->row->text[i].p, h.len[i]);
		p += h.len[i];
	}
}

static int
reserve(struct read_answer *a, size_t size)
{
	size_t n = a->size == 0 ? FIRST_BYTES : a->size;
	uint8_t *p;

	while (n - a->len < size)
		n *= 2;
	if (n == a->size)
		return 0;
	if ((p = realloc(a->bytes, n)) == NULL)
		return -1;
	a->bytes = p;
	a->size = n;
	return 0;
}

int
reader_put_row(struct store_txn *t, struct read_answer *a,
    const struct read_row *row)
{
	struct copy c = { a, row, sizeof(struct row_head) };
	size_t i;

	for (i = 0; i < READ_TEXTS; i++)
		c.size += row->text[i].len;
	c.size = (c.size + 7) & ~(size_t)7;
	if (reserve(a, c.size) == -1 || store_guarded(t, copy_row, &c) == -1)
		return -1;
	a->last = a->len;
	a->len += c.size;
	a->nrows++;
	return 0;
}

/* --- messages --------------------------------------------------------------- */

struct page {
	struct store_txn *t;
	const struct read_query *q;
	struct read_answer *a;
	size_t bytes;
};

struct read_row
reader_message_row(const struct store_message *m)
{
	return (struct read_row){
		.n = { m->seq, m->gseq, m->time_ms, m->revision, m->edited_ms,
		    m->deleted },
		.text = { m->id, m->body },
	};
}

/* 1: it is in; 0: the page is full; -1. */
static int
page_add(struct page *p, const struct store_message *m)
{
	const struct read_query *q = p->q;
	const struct read_row row = reader_message_row(m);
	size_t bytes = m->body.len + q->extra;

	if (p->a->nrows == q->count ||
	    (p->a->nrows > 0 && p->bytes + bytes > q->bytes)) {
		p->a->more = true;
		return 0;
	}
	p->bytes += bytes;
	return reader_put_row(p->t, p->a, &row) == -1 ? -1 : 1;
}

static int
read_messages(struct store_txn *t, uint64_t room, const struct read_query *q,
    struct read_answer *a)
{
	struct page p = { .t = t, .q = q, .a = a };
	struct store_message m[PAGE];
	struct store_query sq = { .room = room,
		.from = q->from,
		.backward = q->backward,
		.count = PAGE,
		.bytes = q->bytes };
	bool more = true;
	unsigned i, n;
	int rc = 1;

	a->backward = q->backward;
	if (store_last_seq(t, room, &a->seq) == -1)
		return -1;
	if (q->backward && q->from == UINT64_MAX)
		sq.from = q->offset < a->seq ? a->seq - q->offset : 0;
	while (more && rc == 1 && sq.from > 0) {
		if (store_page(t, &sq, m, &n, &more) == -1)
			return -1;
		for (i = 0; i < n && rc == 1; i++)
			rc = page_add(&p, &m[q->backward ? n - 1 - i : i]);
		if (n == 0)
			break;
		sq.from = q->backward ? m[0].seq - 1 : m[n - 1].seq + 1;
	}
	return rc == -1 ? -1 : 0;
}

static int
read_session(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	const char *slash = memchr(q->text.p, '/', q->text.len);
	struct store_text workspace, session;

	errno = ENOENT;
	if (slash == NULL)
		return -1;
	workspace.p = q->text.p;
	workspace.len = (size_t)(slash - q->text.p);
	session.p = slash + 1;
	session.len = q->text.len - workspace.len - 1;
	if (workspace.len > STORE_MAX_NAME || session.len > STORE_MAX_NAME ||
	    store_room_find(t, workspace, session, &a->room) == -1)
		return -1;
	return q->count == 0 ? 0 : read_messages(t, a->room, q, a);
}

/* --- the others ------------------------------------------------------------- */

static int
read_seek(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct store_log log;

	a->more = reader_changed_since(t, q->room, q->from);
	if (store_change_seek(t, q->room, q->from, &a->revision) == -1)
		return -1;
	if (store_log_seek(t, q->room, q->from, &log) == 0) {
		a->seq = log.seq;
		return 0;
	}
	if (errno != ENOENT || store_last_seq(t, q->room, &a->seq) == -1)
		return -1;
	a->seq++;
	return 0;
}

static int
put_recovery(struct store_txn *t, const struct store_recovery *from,
    struct read_answer *a)
{
	struct read_row row = {
		.n = { from->user, from->lost_ms, from->run, from->incarnation,
		    (uint64_t)from->client << 32 | from->generation,
		    from->partial },
		.text = { from->user_id, from->socket },
	};
	const struct store_recovery_room *r;
	struct store_room names;
	unsigned i;

	if (reader_put_row(t, a, &row) == -1)
		return -1;
	for (i = 0; i < from->nrooms; i++) {
		r = &from->room[i];
		memset(&row, 0, sizeof(row));
		row.n[0] = r->room;
		row.n[1] = r->gseq;
		row.n[2] = r->has_after;
		row.n[3] = r->after_seq;
		row.n[4] = r->has_revision;
		row.n[5] = r->after_revision;
		row.text[0] = r->agent;
		/* a room whose names are lost has none here */
		if (store_room_get(t, r->room, &names) == 0) {
			row.text[1] = names.workspace;
			row.text[2] = names.session;
		} else if (errno != ENOENT && errno != EBADMSG) {
			return -1;
		}
		if (reader_put_row(t, a, &row) == -1)
			return -1;
	}
	return 0;
}

static int
read_recovery(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct store_recovery row;

	if (store_recovery_get(t, q->text, &row) == 0)
		return put_recovery(t, &row, a);
	/* none, or one that is damaged: as if there were none */
	return errno == ENOENT || errno == EBADMSG ? 0 : -1;
}

static int
read_kind(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	switch (q->kind) {
	case READ_MESSAGES:
		return read_messages(t, q->room, q, a);
	case READ_ROSTER:
		return reader_roster(t, q, a);
	case READ_SEEK:
		return read_seek(t, q, a);
	case READ_RECOVERY:
		return read_recovery(t, q, a);
	case READ_BANS:
		return reader_bans(t, q, a);
	case READ_CHANGES:
		return reader_changes(t, q, a);
	case READ_RECEIPTS:
		return reader_receipts(t, q, a);
	case READ_FIND:
		return reader_find(t, q, a);
	case READ_STREAMS:
		return reader_streams(t, q, a);
	case READ_ROOMS:
		return reader_rooms(t, q, a);
	case READ_ROOM:
		return reader_room(t, q, a);
	case READ_USERS:
		return reader_users(t, q, a);
	case READ_USER:
		return reader_user(t, q, a);
	case READ_SESSION:
		break;
	}
	return read_session(t, q, a);
}

void
reader_read(struct store_reader *sr, const struct read_query *q,
    struct read_answer *a)
{
	struct store_txn *t = NULL;

	FAULT(STORE_READ);
	if (FAULT_ERROR(STORE_READ) ||
	    (t = store_reader_snapshot(sr)) == NULL) {
		a->error = errno == 0 ? EIO : errno;
		return;
	}
	a->pos = store_pos(t);
	/* what is refused changes nothing, so a batch of nothing else is not
	 * committed, and the store's position stays behind */
	if (a->pos < q->decided)
		a->pos = q->decided;
	if (read_kind(t, q, a) == -1)
		a->error = errno == 0 ? EIO : errno;
	store_snapshot_end(&t);
}
