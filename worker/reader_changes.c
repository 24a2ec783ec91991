/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * reader_changes - what was changed in a room, how far its users have read,
 * and one message by its id.
 */

#include <errno.h>
#include <string.h>

#include <xxhash.h>

#include "worker/reader.h"

/* changes that are looked at together */
#define PAGE 64

/* What a snapshot passes by: it cannot be read, or is not there. */
static bool
is_passed_by(int error)
{
	return error == ENOENT || error == EBADMSG || error == EUCLEAN;
}

static bool
same(struct store_text a, struct store_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* --- changes ----------------------------------------------------------------- */

struct changes {
	struct store_txn *t;
	const struct read_query *q;
	struct read_answer *a;
	size_t bytes;
	/* the status comes among them, by its position; or it is not due */
	bool has_status;
	struct store_room room;
	struct store_change page[PAGE];
	unsigned n;
};

/* 1: it is in, 0: there is no more room, -1. */
static int
changes_put(struct changes *c, const struct read_row *row)
{
	size_t len = row->text[0].len + row->text[1].len;

	if (c->a->nrows > 0 &&
	    (c->a->nrows >= c->q->count || c->bytes + len > c->q->bytes)) {
		c->a->more = true;
		return 0;
	}
	c->bytes += len;
	return reader_put_row(c->t, c->a, row) == -1 ? -1 : 1;
}

static int
put_message(struct changes *c, const struct store_change *change)
{
	struct store_message m;
	struct read_row row = {
		.n = { STORE_CHANGE_EDIT, change->seq, change->gseq,
		    change->revision, change->time_ms },
	};

	if (store_message_get(c->t, c->q->room, change->seq, &m) == -1)
		return is_passed_by(errno) ? 1 : -1;
	row.n[5] = m.time_ms;
	row.text[0] = m.id;
	if (m.deleted)
		row.n[0] = STORE_CHANGE_DELETE;
	else
		row.text[1] = m.body;
	return changes_put(c, &row);
}

static int
put_receipt(struct changes *c, const struct store_change *change)
{
	struct store_receipt r;
	struct store_user user;
	struct read_row row = {
		.n = { STORE_CHANGE_RECEIPT, 0, change->gseq, change->revision,
		    change->time_ms },
	};

	if (store_receipt_get(c->t, c->q->room, change->user, &r) == -1 ||
	    store_user_get(c->t, change->user, &user) == -1)
		return is_passed_by(errno) ? 1 : -1;
	row.n[1] = r.seq;
	row.text[0] = user.id;
	return changes_put(c, &row);
}

static int
put_status(struct changes *c)
{
	const struct read_row row = {
		.n = { READ_CHANGE_STATUS, 0, c->room.status_gseq, 0,
		    c->room.status_ms },
		.text = { c->room.status, c->room.status_reason },
	};

	c->has_status = false;
	return changes_put(c, &row);
}

static int
put_change(struct changes *c, const struct store_change *change)
{
	int rc = 1;

	if (c->has_status && c->room.status_gseq < change->gseq)
		rc = put_status(c);
	if (rc != 1)
		return rc;
	return change->kind == STORE_CHANGE_RECEIPT ? put_receipt(c, change)
						    : put_message(c, change);
}

static bool
page_add(const struct store_change *change, void *arg)
{
	struct changes *c = arg;

	c->page[c->n++] = *change;
	return c->n < PAGE;
}

/* Whether the room was said to be something since. */
static void
look_for_status(struct changes *c)
{
	if (store_room_get(c->t, c->q->room, &c->room) == 0)
		c->has_status =
		    c->room.status.len > 0 && c->room.status_gseq >= c->q->from;
}

int
reader_changes(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct changes c = { .t = t, .q = q, .a = a };
	uint64_t from = q->offset;
	unsigned i;
	int rc = 1;

	look_for_status(&c);
	if (from == 0 && store_change_seek(t, q->room, q->from, &from) == -1)
		return -1;
	do {
		c.n = 0;
		if (store_change_each(t, q->room, from, page_add, &c) == -1)
			return -1;
		for (i = 0; i < c.n && rc == 1; i++)
			rc = put_change(&c, &c.page[i]);
		if (c.n > 0)
			from = c.page[c.n - 1].revision + 1;
	} while (rc == 1 && c.n == PAGE);
	if (rc == 1 && c.has_status)
		rc = put_status(&c);
	return rc == -1 ? -1 : 0;
}

bool
reader_changed_since(struct store_txn *t, uint64_t room, uint64_t gseq)
{
	struct store_change last;
	struct store_room row;

	if (store_change_last(t, room, &last) == 0) {
		if (last.gseq >= gseq)
			return true;
	} else if (errno != ENOENT) {
		return true;
	}
	return store_room_get(t, room, &row) == 0 && row.status.len > 0 &&
	    row.status_gseq >= gseq;
}

/* --- receipts ---------------------------------------------------------------- */

struct receipts {
	struct store_txn *t;
	const struct read_query *q;
	struct read_answer *a;
	int error;
};

static bool
receipt_put(struct receipts *r, const struct store_receipt *receipt)
{
	struct store_user user;
	struct read_row row = { .n = { receipt->seq } };

	if (store_user_get(r->t, receipt->user, &user) == -1) {
		r->error = is_passed_by(errno) ? 0 : errno;
		return r->error == 0;
	}
	row.text[0] = user.id;
	if (reader_put_row(r->t, r->a, &row) == -1)
		r->error = errno;
	return r->error == 0;
}

static bool
receipt_add(const struct store_receipt *receipt, void *arg)
{
	struct receipts *r = arg;

	/* it came first */
	if (receipt->user == r->q->from)
		return true;
	if (r->a->nrows >= r->q->count)
		return false;
	return receipt_put(r, receipt);
}

int
reader_receipts(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct receipts r = { .t = t, .q = q, .a = a };
	struct store_receipt own;

	if (store_receipt_get(t, q->room, q->from, &own) == 0)
		(void)receipt_put(&r, &own);
	else if (!is_passed_by(errno))
		return -1;
	if (r.error == 0 &&
	    store_receipt_each(t, q->room, receipt_add, &r) == -1)
		return -1;
	errno = r.error;
	return r.error == 0 ? 0 : -1;
}

/* --- one message ---------------------------------------------------------------- */

/* Why the walk through the log has stopped. */
enum find_stop {
	/* there are no more rows */
	FIND_END,
	/* the hash is that of the id */
	FIND_HASH,
	/* from here on the ids are in 'dedupe' as well */
	FIND_MERGED,
	/* enough for one piece */
	FIND_PIECE,
};

/* In the place where a search goes on: not all before it could be read. */
#define FIND_UNSURE ((uint64_t)1 << 63)

struct find {
	uint64_t hash;
	/* ids up to here were merged */
	uint64_t merged_seq;
	uint64_t left;
	bool unsure;
	enum find_stop stop;
	struct store_log at;
};

static bool
find_row(const struct store_log *log, void *arg)
{
	struct find *f = arg;

	f->at = *log;
	if (log->seq <= f->merged_seq)
		f->stop = FIND_MERGED;
	else if (log->id_hash[0] == f->hash)
		f->stop = FIND_HASH;
	else if (f->left-- == 0)
		f->stop = FIND_PIECE;
	else
		return true;
	return false;
}

/* Is it not there (0), or could that not be read? */
static int
find_none(struct find *f)
{
	if (!is_passed_by(errno))
		return -1;
	if (errno != ENOENT)
		f->unsure = true;
	return 0;
}

/* Is this the message?  1: it is in the answer, 0, -1. */
static int
find_put(struct find *f, struct store_txn *t, const struct read_query *q,
    uint64_t seq, struct read_answer *a)
{
	struct store_message m;
	struct read_row row;

	if (store_message_get(t, q->room, seq, &m) == -1)
		return find_none(f);
	if (!same(m.id, q->text))
		return 0;
	row = reader_message_row(&m);
	return reader_put_row(t, a, &row) == -1 ? -1 : 1;
}

/* 1: that is the end of the search, 0, -1. */
static int
find_merged(struct find *f, struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct store_dedupe d;

	if (store_dedupe_find(t, q->room, f->hash, q->text, &d) == -1)
		return find_none(f);
	/* the newest of that id, which retention may have taken */
	return find_put(f, t, q, d.seq, a) == -1 ? -1 : 1;
}

/* The next piece; 1: found, or taken by retention; 0: 'more', or not there. */
static int
find_piece(struct find *f, struct store_txn *t, const struct read_query *q,
    struct read_answer *a, uint64_t from)
{
	bool sure;
	int rc = 0;

	while (rc == 0) {
		f->stop = FIND_END;
		if (store_log_back(t, q->room, from, find_row, f, &sure) == -1)
			return -1;
		f->unsure |= !sure;
		from = f->at.gseq;
		if (f->stop == FIND_HASH) {
			rc = find_put(f, t, q, f->at.seq, a);
			from--;
		} else if (f->stop == FIND_MERGED) {
			rc = find_merged(f, t, q, a);
			f->merged_seq = 0;
		} else {
			a->more = f->stop == FIND_PIECE;
			a->seq = from | (f->unsure ? FIND_UNSURE : 0);
			break;
		}
	}
	return rc;
}

int
reader_find(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct store_merged merged = { .seq = 0 };
	struct find f = { .left = q->count };
	uint64_t from = q->from & ~FIND_UNSURE;

	f.unsure = (q->from & FIND_UNSURE) != 0;
	if (store_merged_get(t, q->room, &merged) == -1 && find_none(&f) == -1)
		return -1;
	f.merged_seq = merged.seq;
	f.hash = XXH3_128bits(q->text.p, q->text.len).low64;
	if (find_piece(&f, t, q, a, from == 0 ? UINT64_MAX : from) == -1)
		return -1;
	if (f.unsure && a->nrows == 0 && !a->more) {
		errno = EUCLEAN;
		return -1;
	}
	return 0;
}
