/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check_refs - presence, recovery, known ids, changes, receipts and the
 * rest: what they name is there.
 */

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "clerk/check.h"

static bool
same(struct store_text a, struct store_text b)
{
	return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

/* --- who is where ------------------------------------------------------ */

/* The recovery row of its pid knows of this room. */
static void
look_for_recovery(struct check *ck, const struct store_row *row)
{
	static struct store_recovery r;
	const struct store_presence *p = &row->u.presence;

	if (p->pid.len == 0)
		return;
	if (store_recovery_get(ck->txn, p->pid, &r) == -1) {
		if (errno == ENOENT)
			check_fail(ck, row, "its recovery row is not there");
		return;
	}
	for (unsigned i = 0; i < r.nrooms; i++)
		if (r.room[i].room == p->room)
			return;
	/* a socket may be in more rooms than a row holds */
	if (!r.partial)
		check_fail(ck, row,
		    "its recovery row does not hold the "
		    "session");
}

void
check_presence(struct check *ck, const struct store_row *row)
{
	const struct store_presence *p;
	struct store_user user;

	if (row == NULL || row->fault != STORE_SOUND)
		return;
	p = &row->u.presence;
	(void)check_has_room(ck, row, p->room);
	if (check_has_user(ck, row, p->user) &&
	    store_user_get(ck->txn, p->user, &user) == 0 &&
	    !same(user.id, p->user_id))
		check_fail(ck, row, "user %" PRIu64 " has another id", p->user);
	if (p->gseq >= ck->pos)
		check_fail(ck, row,
		    "its position %" PRIu64 " is not below the store's",
		    p->gseq);
	look_for_recovery(ck, row);
}

void
check_recovery(struct check *ck, const struct store_row *row)
{
	static struct store_recovery r;
	struct store_presence p;

	if (row == NULL || row->fault != STORE_SOUND)
		return;
	if (store_recovery_get(ck->txn, row->u.pid, &r) == -1)
		return;
	(void)check_has_user(ck, row, r.user);
	for (unsigned i = 0; i < r.nrooms; i++) {
		if (!check_has_room(ck, row, r.room[i].room) ||
		    !r.room[i].present)
			continue;
		if (store_presence_get(ck->txn, r.room[i].room, r.user,
			r.socket, &p) == -1) {
			if (errno == ENOENT)
				check_fail(ck, row,
				    "is not present in session %" PRIu64,
				    r.room[i].room);
		} else if (!same(p.pid, row->u.pid)) {
			check_fail(ck, row,
			    "its presence in session %" PRIu64
			    " belongs to another pid",
			    r.room[i].room);
		}
	}
}

/* --- known ids --------------------------------------------------------- */

static void
look_at_merged(struct check *ck, const struct store_row *row)
{
	const struct store_merged *m = &row->u.merged;

	if (!check_has_room(ck, row, m->room))
		return;
	if (m->seq > ck->room.last_seq)
		check_fail(ck, row,
		    "is merged up to seq %" PRIu64 ", the last one is %" PRIu64,
		    m->seq, ck->room.last_seq);
	if (m->gseq >= ck->pos)
		check_fail(ck, row,
		    "its position %" PRIu64 " is not below the store's",
		    m->gseq);
}

void
check_dedupe(struct check *ck, const struct store_row *row)
{
	const struct store_dedupe *d;
	struct store_merged merged;
	struct store_message m;

	if (row == NULL || row->fault != STORE_SOUND)
		return;
	if (row->kind == STORE_ROW_MERGED) {
		look_at_merged(ck, row);
		return;
	}
	d = &row->u.dedupe;
	if (!check_has_room(ck, row, d->room))
		return;
	if (d->seq > ck->room.last_seq)
		check_fail(ck, row,
		    "names seq %" PRIu64 ", the last one is %" PRIu64, d->seq,
		    ck->room.last_seq);
	if (store_merged_get(ck->txn, d->room, &merged) == -1 &&
	    errno == ENOENT)
		check_fail(ck, row, "its session has no row that counts it");
	/* what retention took is gone; what is there is that message */
	if (store_message_get(ck->txn, d->room, d->seq, &m) == 0 &&
	    (!same(m.id, d->id) || m.user != d->user))
		check_fail(ck, row, "message %" PRIu64 " has another id",
		    d->seq);
}

/* --- members, receipts and changes ------------------------------------- */

void
check_member(struct check *ck, const struct store_row *row)
{
	if (row == NULL || row->fault != STORE_SOUND)
		return;
	(void)check_has_room(ck, row, row->u.member.room);
	(void)check_has_user(ck, row, row->u.member.user);
}

static bool
is_change(const struct store_change *c, void *arg)
{
	*(struct store_change *)arg = *c;
	return false;
}

void
check_receipt(struct check *ck, const struct store_row *row)
{
	struct store_change c = { .revision = 0 };
	const struct store_receipt *r;

	if (row == NULL || row->fault != STORE_SOUND)
		return;
	r = &row->u.receipt;
	if (!check_has_room(ck, row, r->room))
		return;
	(void)check_has_user(ck, row, r->user);
	if (r->seq > ck->room.last_seq)
		check_fail(ck, row,
		    "has read seq %" PRIu64 ", the last one is %" PRIu64,
		    r->seq, ck->room.last_seq);
	if (store_change_each(ck->txn, r->room, r->revision, is_change, &c) ==
	    -1)
		return;
	if (c.revision != r->revision || c.user != r->user)
		check_fail(ck, row,
		    "there is no change for its revision %" PRIu64,
		    r->revision);
}

/* The item that was changed says so: with the row's revision. */
static void
look_for_item(struct check *ck, const struct store_row *row)
{
	const struct store_change *c = &row->u.change;
	struct store_receipt r;
	struct store_message m;
	uint64_t revision;

	if (c->kind == STORE_CHANGE_RECEIPT) {
		if (store_receipt_get(ck->txn, c->room, c->user, &r) == -1) {
			if (errno == ENOENT)
				check_fail(ck, row,
				    "the receipt of user %" PRIu64
				    " is not there",
				    c->user);
			return;
		}
		revision = r.revision;
	} else {
		if (store_message_get(ck->txn, c->room, c->seq, &m) == -1) {
			if (errno == ENOENT)
				check_fail(ck, row,
				    "message %" PRIu64 " is not there", c->seq);
			return;
		}
		revision = m.revision;
		if (m.deleted != (c->kind == STORE_CHANGE_DELETE))
			check_fail(ck, row, "message %" PRIu64 " is%s deleted",
			    c->seq, m.deleted ? "" : " not");
	}
	if (revision != c->revision)
		check_fail(ck, row, "what was changed has revision %" PRIu64,
		    revision);
}

void
check_change(struct check *ck, const struct store_row *row)
{
	const struct store_change *c;

	if (row == NULL || row->fault != STORE_SOUND)
		return;
	c = &row->u.change;
	if (!check_has_room(ck, row, c->room))
		return;
	if (c->gseq >= ck->pos)
		check_fail(ck, row,
		    "its position %" PRIu64 " is not below the store's",
		    c->gseq);
	if (c->revision == 0)
		check_fail(ck, row, "revisions begin at 1");
	look_for_item(ck, row);
}

/* --- streams ----------------------------------------------------------- */

static void
begin_text(struct check_text *text, const struct store_stream *st)
{
	text->known = st->id.len <= sizeof(text->id);
	if (!text->known)
		return;
	text->room = st->room;
	memcpy(text->id, st->id.p, st->id.len);
	text->id_len = st->id.len;
	text->no = 1;
	text->start = st->text.len;
}

/* The key is the stream's, a 0, and the number. */
static bool
belongs_to(const struct store_row *row, const struct check_text *text)
{
	const char *key = row->key;
	uint64_t room;

	memcpy(&room, key, sizeof(room));
	return be64toh(room) == text->room &&
	    row->key_len == sizeof(room) + text->id_len + 5 &&
	    memcmp(key + sizeof(room), text->id, text->id_len) == 0;
}

static void
check_piece(struct check *ck, const struct store_row *row)
{
	const struct store_piece *p = &row->u.piece;
	struct check_text *text = &ck->stream;

	if (!text->known && ck->lost)
		return;
	if (!text->known || !belongs_to(row, text)) {
		check_fail(ck, row, "there is no stream that it belongs to");
		return;
	}
	if (p->no != text->no || p->start != text->start) {
		check_fail(ck, row,
		    "piece %" PRIu32 " begins at %" PRIu64
		    " and not at %" PRIu64,
		    p->no, p->start, text->start);
		text->known = false;
		ck->lost = true;
		return;
	}
	text->no++;
	text->start += p->text.len;
}

void
check_stream(struct check *ck, const struct store_row *row)
{
	if (row == NULL || row->fault != STORE_SOUND) {
		/* what comes next is not its fault */
		ck->stream.known = false;
		ck->lost = ck->lost || row != NULL;
		return;
	}
	if (row->kind == STORE_ROW_PIECE) {
		check_piece(ck, row);
		return;
	}
	ck->lost = false;
	begin_text(&ck->stream, &row->u.stream);
	(void)check_has_room(ck, row, row->u.stream.room);
	(void)check_has_user(ck, row, row->u.stream.user);
}

/* --- what operators decided ---------------------------------------------- */

/* kinds of chat/steer.h */
#define BAN_KINDS 6

void
check_ban(struct check *ck, const struct store_row *row)
{
	const struct store_ban *ban;

	if (row == NULL || row->fault != STORE_SOUND)
		return;
	ban = &row->u.ban;
	if (ban->kind == 0 || ban->kind > BAN_KINDS)
		check_fail(ck, row, "its kind is %u", ban->kind);
	if (ban->gseq >= ck->pos)
		check_fail(ck, row,
		    "its position %" PRIu64 " is not below the store's, "
		    "%" PRIu64,
		    ban->gseq, ck->pos);
}
