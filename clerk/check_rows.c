/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check_rows - what a message, its entry in the log, a session and a user
 * say of each other.
 */

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "clerk/check.h"

/* --- sessions and users ------------------------------------------------ */

static bool
same(struct store_text a, struct store_text b)
{
	return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

/* 'n' workspace NUL session */
static bool
is_name_of(const struct store_row *row, const struct store_room *room)
{
	const char *key = row->key;
	size_t wlen = room->workspace.len;

	return row->key_len == 1 + wlen + 1 + room->session.len &&
	    memcmp(key + 1, room->workspace.p, wlen) == 0 &&
	    memcmp(key + 2 + wlen, room->session.p, room->session.len) == 0;
}

void
check_session(struct check *ck, const struct store_row *row)
{
	const struct store_room *r;
	struct store_room room;
	uint64_t number;
	int rc;

	if (row == NULL || row->fault != STORE_SOUND)
		return;
	if (row->kind == STORE_ROW_ROOM_NAME) {
		rc = store_room_get(ck->txn, row->u.number, &room);
		if (rc == -1 && errno == ENOENT)
			check_fail(ck, row,
			    "its session %" PRIu64 " is not "
			    "there",
			    row->u.number);
		else if (rc == 0 && !is_name_of(row, &room))
			check_fail(ck, row,
			    "its session %" PRIu64 " has "
			    "another name",
			    row->u.number);
		return;
	}
	r = &row->u.room;
	if (r->room == 0 || r->room >= ck->next.room)
		check_fail(ck, row,
		    "its number was not given out: the next one is %" PRIu64,
		    ck->next.room);
	if (r->status.len > 0 && r->status_gseq >= ck->pos)
		check_fail(ck, row,
		    "its status' position %" PRIu64 " is not below the store's",
		    r->status_gseq);
	rc = store_room_find(ck->txn, r->workspace, r->session, &number);
	if (rc == -1 && errno == ENOENT)
		check_fail(ck, row, "is not found by its name");
	else if (rc == 0 && number != r->room)
		check_fail(ck, row, "its name leads to session %" PRIu64,
		    number);
}

void
check_user(struct check *ck, const struct store_row *row)
{
	const struct store_user *u;
	const char *key;
	struct store_user user;
	uint64_t number;
	int rc;

	if (row == NULL || row->fault != STORE_SOUND)
		return;
	if (row->kind == STORE_ROW_USER_NAME) {
		key = row->key;
		rc = store_user_get(ck->txn, row->u.number, &user);
		if (rc == -1 && errno == ENOENT)
			check_fail(ck, row, "its user %" PRIu64 " is not there",
			    row->u.number);
		else if (rc == 0 &&
		    !same(user.id,
			(struct store_text){ key + 1, row->key_len - 1 }))
			check_fail(ck, row,
			    "its user %" PRIu64 " has another "
			    "id",
			    row->u.number);
		return;
	}
	u = &row->u.user;
	if (u->user == 0 || u->user >= ck->next.user)
		check_fail(ck, row,
		    "its number was not given out: the next one is %" PRIu64,
		    ck->next.user);
	rc = store_user_find(ck->txn, u->id, &number);
	if (rc == -1 && errno == ENOENT)
		check_fail(ck, row, "is not found by its id");
	else if (rc == 0 && number != u->user)
		check_fail(ck, row, "its id leads to user %" PRIu64, number);
}

/* --- messages ---------------------------------------------------------- */

/* The message before, in the same room. */
static struct {
	/* false: it is not known which one that was */
	bool known;
	uint64_t room, seq, time_ms, gseq;
} before;

/* The change that an edit or deletion left behind. */
static bool
is_change(const struct store_change *c, void *arg)
{
	*(struct store_change *)arg = *c;
	return false;
}

static void
look_for_change(struct check *ck, const struct store_row *row)
{
	const struct store_message *m = &row->u.message;
	struct store_change c = { .revision = 0 };

	if (m->revision == 0)
		return;
	if (store_change_each(ck->txn, m->room, m->revision, is_change, &c) ==
	    -1)
		return;
	if (c.revision != m->revision || c.seq != m->seq)
		check_fail(ck, row,
		    "there is no change for its revision %" PRIu64,
		    m->revision);
}

/* Its entry in the log says the same. */
static void
look_for_log(struct check *ck, const struct store_row *row)
{
	const struct store_message *m = &row->u.message;
	struct store_log log;
	XXH128_hash_t h;
	int rc = store_log_get(ck->txn, m->room, m->gseq, &log);

	if (rc == -1) {
		if (errno == ENOENT)
			check_fail(ck, row, "has no entry in log at %" PRIu64,
			    m->gseq);
		return;
	}
	if (log.seq != m->seq || log.user != m->user ||
	    log.time_ms != m->time_ms) {
		check_fail(ck, row,
		    "its entry in log is another's: seq %" PRIu64
		    ", user %" PRIu64,
		    log.seq, log.user);
		return;
	}
	h = XXH3_128bits(m->id.p, m->id.len);
	if (log.id_hash[0] != h.low64 || log.id_hash[1] != h.high64)
		check_fail(ck, row, "its entry in log has another id's hash");
}

/* Its place behind the one before it. */
static void
look_at_place(struct check *ck, const struct store_row *row, uint64_t seq)
{
	uint64_t expected = ck->room.floor.seq + 1;

	if (before.known && before.room == ck->room.room)
		expected = before.seq + 1;
	else if (!before.known && ck->lost)
		/* whatever stood on that page */
		expected = seq;
	if (seq != expected)
		check_fail(ck, row, "seq %" PRIu64 " was expected here",
		    expected);
}

static void
look_at_message(struct check *ck, const struct store_row *row)
{
	const struct store_message *m = &row->u.message;
	bool behind = before.known && before.room == m->room;

	if (m->gseq >= ck->pos)
		check_fail(ck, row,
		    "its position %" PRIu64 " is not below the store's, "
		    "%" PRIu64,
		    m->gseq, ck->pos);
	if (behind && before.gseq != 0 && m->gseq <= before.gseq)
		check_fail(ck, row,
		    "its position is not above the one before "
		    "it");
	if (m->time_ms < (behind ? before.time_ms : ck->room.floor.ms))
		check_fail(ck, row, "its time is before the one before it");
	/* 0: the server said it */
	if (m->user != 0)
		(void)check_has_user(ck, row, m->user);
	look_for_log(ck, row);
	look_for_change(ck, row);
	before.time_ms = m->time_ms;
	before.gseq = m->gseq;
}

static uint64_t
key_number(const struct store_row *row, size_t at)
{
	uint64_t n;

	memcpy(&n, (const char *)row->key + at, sizeof(n));
	return be64toh(n);
}

void
check_message(struct check *ck, const struct store_row *row)
{
	uint64_t room, seq;

	if (row == NULL) {
		before.known = false;
		return;
	}
	/* a damaged message still has its place */
	if (row->key_len != 16 || row->fault == STORE_FAULT_KEY)
		return;
	room = key_number(row, 0);
	seq = key_number(row, 8);
	if (!check_has_room(ck, row, room))
		return;
	look_at_place(ck, row, seq);
	if (!before.known || before.room != room)
		before.time_ms = before.gseq = 0;
	before.room = room;
	before.seq = seq;
	if (row->fault == STORE_SOUND)
		look_at_message(ck, row);
	before.known = true;
}

/* --- the log ----------------------------------------------------------- */

void
check_log(struct check *ck, const struct store_row *row)
{
	const struct store_log *log;
	struct store_message m;
	int rc;

	if (row == NULL || row->fault != STORE_SOUND)
		return;
	log = &row->u.log;
	if (!check_has_room(ck, row, log->room))
		return;
	rc = store_message_get(ck->txn, log->room, log->seq, &m);
	if (rc == -1 && errno == ENOENT)
		check_fail(ck, row,
		    "its message, seq %" PRIu64 ", is not "
		    "there",
		    log->seq);
	else if (rc == 0 && m.gseq != log->gseq)
		check_fail(ck, row,
		    "its message, seq %" PRIu64 ", is at "
		    "position %" PRIu64,
		    log->seq, m.gseq);
}
