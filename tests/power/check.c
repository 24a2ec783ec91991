/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/power/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/power/life.h"

#define PAGE 64
#define TRIES 8
#define NEW_MESSAGES 3

/* Of one image. */
struct state {
	const struct check *c;
	struct life life;
	/* the store holds what was decided below this */
	uint64_t pos;
	uint64_t rnd;
	uint64_t removed;
	int bad;
};

__attribute__((format(printf, 2, 3))) static bool
wrong(struct state *st, const char *fmt, ...)
{
	va_list ap;

	/* the first few tell enough */
	if (st->bad++ < 5) {
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		fputc('\n', stderr);
	}
	return false;
}

static uint64_t
chance(struct state *st, uint64_t n)
{
	st->rnd ^= st->rnd << 13;
	st->rnd ^= st->rnd >> 7;
	st->rnd ^= st->rnd << 17;
	return (st->rnd >> 11) % n;
}

static bool
same(struct store_text a, struct store_text b)
{
	return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

/* --- all rows ---------------------------------------------------------- */

/* What a transaction left is there whole, or nothing of it. */
static void
check_whole(struct state *st)
{
	const struct check *c = st->c;
	struct check_txn now;
	const char *why;
	size_t i;

	if (check_digest(&now, &why) == -1) {
		wrong(st, "the store cannot be read: %s", why);
		return;
	}
	if (now.txn == 0)
		return;
	for (i = c->ntxns; i-- > 0;)
		if (c->txn[i].txn == now.txn) {
			if (c->txn[i].digest != now.digest)
				wrong(st,
				    "transaction %" PRIu64 " is not what it "
				    "was when it was made",
				    now.txn);
			return;
		}
	if (c->ntxns > 0)
		wrong(st, "transaction %" PRIu64 " was never made", now.txn);
}

/*
 * Up to where a room's messages have been removed: those that are more than
 * there may be, and no others.
 */
static uint64_t
floor_of(struct state *st, struct store_txn *t, uint64_t room)
{
	struct store_room row;
	uint64_t last;

	if (store_room_get(t, room, &row) == -1)
		return 0;
	if (row.floor.seq > 0 && st->c->max_messages > 0 &&
	    (store_last_seq(t, room, &last) == -1 ||
		last < row.floor.seq + st->c->max_messages))
		wrong(st,
		    "room %" PRIu64 ": up to seq %" PRIu64
		    " removed of %" PRIu64,
		    room, row.floor.seq, last);
	return row.floor.seq;
}

/* --- messages ---------------------------------------------------------- */

static void
check_message(struct state *st, const struct ledger_item *it,
    const struct store_message *m)
{
	if (m->seq != it->ix.seq || m->gseq != it->gseq ||
	    m->time_ms != it->ix.time_ms || m->user != it->ix.user ||
	    !same(m->id, ledger_text(it, 0)) ||
	    !same(m->body, ledger_text(it, 2)))
		wrong(st,
		    "room %" PRIu64 " seq %" PRIu64 ": another message than "
		    "the one that was told",
		    it->ix.room, it->ix.seq);
}

/*
 * A row that is not the one of the next message that was told.  A scribe may
 * have died between commit and telling, and the daemon with it: then nobody
 * was ever told, and nobody may have been.
 */
static void
check_untold(struct state *st, const struct store_message *m)
{
	const struct ledger *l = st->c->ledger;
	size_t i = ledger_below(l, m->gseq);

	if (i < l->n && l->v[i].gseq == m->gseq)
		wrong(st,
		    "room %" PRIu64 " seq %" PRIu64
		    " is not what was told at %" PRIu64,
		    m->room, m->seq, m->gseq);
}

/* Where a walk through a room has come to. */
struct walk {
	const struct ledger_item *const *msg;
	size_t i, all;
	uint64_t seq;
};

static void
check_row(struct state *st, struct walk *w, const struct store_message *m)
{
	if (m->seq != w->seq + 1)
		wrong(st, "room %" PRIu64 ": seq %" PRIu64 " follows %" PRIu64,
		    m->room, m->seq, w->seq);
	w->seq = m->seq;
	if (w->i < w->all && w->msg[w->i]->ix.seq <= m->seq &&
	    w->msg[w->i]->gseq < st->pos)
		check_message(st, w->msg[w->i++], m);
	else
		check_untold(st, m);
}

/*
 * A room from its first message: everything that was told below st->pos.
 * Returns how many of the ledger's are the room's.
 */
static size_t
check_room(struct state *st, struct store_txn *t,
    const struct ledger_item *const *msg, size_t n)
{
	uint64_t room = msg[0]->ix.room;
	struct store_message m[PAGE];
	struct store_query q = { .room = room, .from = 1, .count = PAGE };
	struct walk w = { .msg = msg };
	unsigned got = 0, k;
	bool more = true;

	while (w.all < n && msg[w.all]->ix.room == room)
		w.all++;
	w.seq = floor_of(st, t, room);
	st->removed += w.seq;
	while (w.i < w.all && msg[w.i]->ix.seq <= w.seq)
		w.i++;
	while (more) {
		if (store_page(t, &q, m, &got, &more) == -1) {
			wrong(st, "room %" PRIu64 ": %s", room,
			    strerror(errno));
			return w.all;
		}
		for (k = 0; k < got; k++)
			check_row(st, &w, &m[k]);
		if (got > 0)
			q.from = m[got - 1].seq + 1;
	}
	if (w.i < w.all && msg[w.i]->gseq < st->pos)
		wrong(st,
		    "room %" PRIu64 " seq %" PRIu64 " was told at %" PRIu64
		    " and is not there",
		    room, msg[w.i]->ix.seq, msg[w.i]->gseq);
	return w.all;
}

static void
check_messages(struct state *st, struct store_txn *t)
{
	const struct ledger *l = st->c->ledger;
	size_t i;

	for (i = 0; i < l->nmsg;)
		i += check_room(st, t, l->msg + i, l->nmsg - i);
}

/* --- verdicts ---------------------------------------------------------- */

static void
check_join(struct state *st, struct store_txn *t, const struct ledger_item *it)
{
	uint64_t room = 0, user = 0;

	if (store_room_find(t, ledger_text(it, 0), ledger_text(it, 1), &room) ==
		-1 ||
	    room != it->ix.room)
		wrong(st,
		    "the JOIN at %" PRIu64 " was told room %" PRIu64
		    ", which has the number %" PRIu64,
		    it->gseq, it->ix.room, room);
	if (store_user_find(t, ledger_text(it, 2), &user) == -1 ||
	    user != it->ix.user)
		wrong(st,
		    "the JOIN at %" PRIu64 " was told user %" PRIu64
		    ", who has the number %" PRIu64,
		    it->gseq, it->ix.user, user);
}

static void
check_duplicate(struct state *st, struct store_txn *t,
    const struct ledger_item *it)
{
	struct store_message m;

	if (it->ix.seq <= floor_of(st, t, it->ix.room))
		return;
	if (store_message_get(t, it->ix.room, it->ix.seq, &m) == -1 ||
	    m.time_ms != it->ix.time_ms || !same(m.id, ledger_text(it, 0)))
		wrong(st,
		    "the duplicate at %" PRIu64 " was told room %" PRIu64
		    " seq %" PRIu64 ", which is another one",
		    it->gseq, it->ix.room, it->ix.seq);
}

static void
check_verdicts(struct state *st, struct store_txn *t)
{
	const struct ledger *l = st->c->ledger;
	const struct ledger_item *it;
	size_t i, n = ledger_below(l, st->c->told);

	for (i = 0; i < n && st->bad == 0; i++) {
		it = &l->v[i];
		if (it->nfields == 0)
			continue;
		if (it->ix.type == RECORD_JOIN && it->ix.verdict == RING_STORED)
			check_join(st, t, it);
		if (it->ix.type == RECORD_MESSAGE &&
		    it->ix.verdict == RING_DUPLICATE)
			check_duplicate(st, t, it);
		/* whoever acts on a verdict that changes the store */
		if (it->gseq >= st->pos && it->ix.verdict == RING_STORED &&
		    it->ix.type != RECORD_ASK && it->ix.type != RECORD_PROBE &&
		    it->ix.type != RECORD_RELEASE &&
		    it->ix.type != RECORD_RESUME)
			wrong(st,
			    "what was told at %" PRIu64
			    " is not in the store, which ends at %" PRIu64,
			    it->gseq, st->pos);
	}
}

/* --- who is there ------------------------------------------------------ */

/*
 * That both tables are what one transaction left is told by the digest; here
 * they are read as the daemon reads them.
 */
static bool
on_presence(const struct store_presence *p, void *arg)
{
	struct state *st = arg;

	if (p->room == 0 || p->user == 0 || p->socket.len == 0)
		wrong(st, "a member of room %" PRIu64 " is nobody", p->room);
	return true;
}

static bool
on_recovery(struct store_text pid, const struct store_recovery *row, void *arg)
{
	struct state *st = arg;

	if (row == NULL || row->nrooms == 0)
		wrong(st, "a recovery row cannot be read");
	return true;
}

static void
check_members(struct state *st, struct store_txn *t)
{
	struct store_place place;

	memset(&place, 0, sizeof(place));
	if (store_presence_walk(t, &place, UINT32_MAX, on_presence, st) == -1)
		wrong(st, "presence: %s", strerror(errno));
	memset(&place, 0, sizeof(place));
	if (store_recovery_walk(t, &place, UINT32_MAX, on_recovery, st) == -1)
		wrong(st, "recovery: %s", strerror(errno));
}

/* --- going on ---------------------------------------------------------- */

/* Let one record be decided. */
static struct ring_index
decided(struct state *st, struct small_ring *r, uint64_t gseq)
{
	struct ring_index ix = { .verdict = RING_UNDECIDED };
	uint64_t at;

	if (gseq == 0 || life_turns(&st->life) == -1)
		return ix;
	while (small_ring_next(r, &at, &ix))
		if (at == gseq)
			return ix;
	ix.verdict = RING_UNDECIDED;
	return ix;
}

/* Messages that were told are sent again. */
static void
send_again(struct state *st, struct small_ring *r)
{
	const struct ledger *l = st->c->ledger;
	size_t n = ledger_below(l, st->c->told);
	const struct ledger_item *it;
	struct ring_index ix;
	unsigned i;

	for (i = 0; i < TRIES && n > 0; i++) {
		/* mostly of those that were told last */
		it = &l->v[n - 1 - chance(st, i % 2 == 0 && n > 40 ? 40 : n)];
		if (!ledger_is_message(it))
			continue;
		ix = decided(st, r,
		    small_ring_message(r, it->ix.room, it->ix.user, it->f[0],
			it->f[2]));
		if (ix.verdict != RING_DUPLICATE || ix.seq != it->ix.seq ||
		    ix.time_ms != it->ix.time_ms)
			wrong(st,
			    "room %" PRIu64 " seq %" PRIu64
			    ", sent again: verdict %u seq %" PRIu64,
			    it->ix.room, it->ix.seq, ix.verdict, ix.seq);
	}
}

/* New ones follow those that are there; returns their room, 0: none. */
static uint64_t
send_new(struct state *st, struct small_ring *r, uint64_t *seq_r)
{
	const struct ledger *l = st->c->ledger;
	struct record h = { .type = RECORD_JOIN, .client = 1 };
	struct record_field f[8] = { { "w", 1 }, { "after", 5 }, { "eve", 3 },
		{ "Eve", 3 }, { "socket", 6 }, { "", 0 }, { "", 0 },
		{ "", 0 } };
	struct ring_index in, ix;
	char id[32];
	unsigned i;

	if (l->nmsg > 0) {
		const struct ledger_item *it = l->msg[chance(st, l->nmsg)];
		size_t k;

		/* a room that is known, if its JOIN has been told */
		for (k = 0; k < ledger_below(l, st->c->told); k++)
			if (l->v[k].ix.type == RECORD_JOIN &&
			    l->v[k].ix.verdict == RING_STORED &&
			    l->v[k].ix.room == it->ix.room)
				memcpy(f, l->v[k].f, 2 * sizeof(f[0]));
	}
	in = decided(st, r, small_ring_publish(r, &h, f, 8));
	if (in.verdict != RING_STORED) {
		wrong(st, "a JOIN got the verdict %u", in.verdict);
		return 0;
	}
	for (i = 1; i <= NEW_MESSAGES; i++) {
		struct record_field fid = { id, 0 };

		fid.len = (uint32_t)snprintf(id, sizeof(id), "after-%u", i);
		ix = decided(st, r,
		    small_ring_message(r, in.room, in.user, fid, fid));
		if (ix.verdict != RING_STORED || ix.seq != in.seq + i)
			wrong(st,
			    "a new message got verdict %u and seq %" PRIu64
			    " behind %" PRIu64,
			    ix.verdict, ix.seq, in.seq);
	}
	*seq_r = in.seq + NEW_MESSAGES;
	return in.room;
}

static bool
open_again(struct state *st)
{
	const char *why = NULL;

	if (life_open(&st->life, &why) == -1)
		return wrong(st, "the store does not open: %s", why);
	return true;
}

/* The daemon starts: a new ring, which begins where no position was. */
static void
go_on(struct state *st)
{
	static struct small_ring r;
	const uint8_t id[16] = { 0xee };
	const char *why = NULL;
	uint64_t room, seq = 0;
	struct store_message m;
	struct store_txn *t;

	small_ring_make(&r, id,
	    (st->c->told > st->pos ? st->c->told : st->pos) + (1 << 20), 1000);
	if (life_resume(&st->life, &r, 1001, &why) == -1 ||
	    life_turns(&st->life) == -1) {
		wrong(st, "the scribe does not go on: %s", why);
		return;
	}
	send_again(st, &r);
	room = send_new(st, &r, &seq);
	life_end(&st->life);
	if (room == 0 || !open_again(st))
		return;
	if ((t = store_snapshot(st->life.store)) == NULL ||
	    store_message_get(t, room, seq, &m) == -1)
		wrong(st, "what was written later is not there");
	check_members(st, t);
	store_snapshot_end(&t);
	store_close(&st->life.store);
	small_ring_drop(&r);
}

/* --- an image ---------------------------------------------------------- */

static void
check_content(struct state *st)
{
	struct store_txn *t;
	uint64_t before = st->c->told;

	if ((t = store_snapshot(st->life.store)) == NULL) {
		wrong(st, "no snapshot: %s", strerror(errno));
		return;
	}
	/* what was told last may have changed nothing */
	st->pos = store_pos(t);
	check_verdicts(st, t);
	if (st->pos < before)
		st->pos = before;
	check_messages(st, t);
	check_members(st, t);
	store_snapshot_end(&t);
	*st->c->removed_r = st->removed;
	if (store_bad_values(st->life.store) != 0)
		wrong(st, "%" PRIu64 " values fail their check",
		    store_bad_values(st->life.store));
}

int
check_image(const struct check *c)
{
	static struct state st;

	st.c = c;
	st.rnd = c->seed | 1;
	check_whole(&st);
	if (!open_again(&st))
		return 1;
	check_content(&st);
	if (st.bad == 0)
		go_on(&st);
	return st.bad > 0;
}
