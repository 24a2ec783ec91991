/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check_stream - messages that are written chunk by chunk.
 *
 * Whatever somebody has of a stream, its writer by an acknowledgement or a
 * viewer, is in its message; but what was written shortly before the whole
 * daemon has died.
 */

#include <inttypes.h>
#include <string.h>

#include "tests/bench/util.h"
#include "tests/torture/check.h"

static struct stream *
stream_of(const struct check *c, const struct message *m)
{
	return m == NULL || m->stream == 0 ? NULL : &c->stream[m->stream - 1];
}

void
check_stream_sent(struct check *c, struct message *m,
    const struct ledger_entry *e)
{
	struct stream *st;
	uint32_t n = c->nstreams;

	if (m->stream == 0) {
		if ((n & (n - 1)) == 0)
			c->stream = xreallocarray(c->stream, n > 0 ? n * 2 : 1,
			    sizeof(*c->stream));
		c->stream[n] = (struct stream){ .message = e->message };
		m->stream = ++c->nstreams;
		/* which attempt was stored is not told by its order */
		m->attempts = 2;
	}
	st = stream_of(c, m);
	if (e->seq >= 15 || (e->code & FLAG_EMPTY))
		return;
	st->hash[e->seq + 1] = e->hash;
	if (st->sent < e->seq + 1)
		st->sent = e->seq + 1;
}

void
check_stream_stored(struct check *c, const struct message *m,
    const struct ledger_entry *e)
{
	struct stream *st = stream_of(c, m);
	uint32_t n;

	if (st == NULL)
		return;
	st->is_stored = true;
	for (n = 1; n <= st->sent; n++)
		if (st->hash[n] == e->hash)
			st->stored = n;
}

/* Somebody has chunk 'n' - 1 and all before it. */
static void
told(struct stream *st, uint32_t n, uint64_t ns)
{
	if (n > 0 && n <= 15 && (st->told[n - 1] == 0 || st->told[n - 1] > ns))
		st->told[n - 1] = ns;
}

/* May what was there at 'ns' be gone? */
static bool
may_be_lost(const struct check *c, uint64_t ns)
{
	uint64_t from, to;
	size_t i;

	for (i = 0; i < c->ndied; i++) {
		to = c->died[i]->ns + UINT64_C(1000000000);
		from = c->died[i]->ns - c->died[i]->seq * UINT64_C(1000000);
		if (ns >= from && ns <= to)
			return true;
	}
	return false;
}

/* --- viewers ------------------------------------------------------------- */

static void
check_chunk(struct check *c, struct stream *st, struct view *v,
    const struct ledger_entry *e)
{
	bool last = e->code & FLAG_LAST, empty = e->code & FLAG_EMPTY;

	if (v->done || v->final) {
		check_fault(c, VIOLATION_STREAM_LATE,
		    "client %u, connection %u: %" PRIx64 " chunk %" PRIu64,
		    e->client, e->conn, e->message, e->hash);
		return;
	}
	v->done = last;
	if (empty) {
		/* its end could not be had any more: the message has it */
		v->cut = last && e->hash > v->have + 1U;
		c->cut += v->cut;
		return;
	}
	if (e->stamp != v->have)
		check_fault(c,
		    e->stamp > v->have ? VIOLATION_STREAM_HOLE
				       : VIOLATION_STREAM_TWICE,
		    "client %u, connection %u: %" PRIx64 " from chunk %" PRIu64
		    ", %u was due",
		    e->client, e->conn, e->message, e->stamp, v->have);
	else if (!last && e->hash + 1 != e->seq)
		check_fault(c, VIOLATION_STREAM_HOLE,
		    "client %u, connection %u: %" PRIx64 " index %" PRIu64
		    ", chunk %u",
		    e->client, e->conn, e->message, e->hash, e->seq - 1);
	v->have = (uint16_t)e->seq;
	told(st, e->seq, e->ns);
}

void
check_stream_seen(struct check *c, struct reader *rd,
    const struct ledger_entry *e)
{
	const struct seat *s = &rd->seat[e->room];
	const struct message *m = check_message(c, e->message);
	struct stream *st = stream_of(c, m);
	struct view *v;

	c->chunks++;
	if (st == NULL || m->room != e->room || e->seq > st->sent) {
		check_fault(c, VIOLATION_PHANTOM,
		    "client %u: %" PRIx64 ", session %u chunk %" PRIu64,
		    e->client, e->message, e->room, e->hash);
		return;
	}
	if (!s->in) {
		check_fault(c, VIOLATION_STRAY,
		    "client %u, connection %u: session %u, %" PRIx64, e->client,
		    e->conn, e->room, e->message);
		return;
	}
	v = &rd->view[m->stream - 1];
	if (v->epoch != s->epoch) {
		*v = (struct view){ .epoch = s->epoch, .final = v->final };
	}
	if (e->kind == LEDGER_CHUNK) {
		check_chunk(c, st, v, e);
		return;
	}
	if (v->final || v->done)
		check_fault(c, VIOLATION_STREAM_LATE,
		    "client %u, connection %u: %" PRIx64 " is in progress",
		    e->client, e->conn, e->message);
	if (e->hash + 1 != e->seq)
		check_fault(c, VIOLATION_STREAM_HOLE,
		    "client %u, connection %u: %" PRIx64 " index %" PRIu64
		    ", with %u chunks",
		    e->client, e->conn, e->message, e->hash, e->seq);
	v->have = (uint16_t)e->seq;
	told(st, e->seq, e->ns);
}

void
check_stream_final(struct check *c, struct reader *rd, const struct message *m,
    const struct ledger_entry *e)
{
	const struct stream *st = stream_of(c, m);
	struct view *v;

	if (st == NULL)
		return;
	v = &rd->view[m->stream - 1];
	v->final = true;
	if (v->epoch != rd->seat[e->room].epoch)
		return;
	if (!v->done)
		check_fault(c, VIOLATION_STREAM_OPEN,
		    "client %u, connection %u: %" PRIx64 " with %u chunks",
		    e->client, e->conn, e->message, v->have);
	else if (v->cut ? v->have > st->stored : v->have != st->stored)
		check_fault(c, VIOLATION_STREAM_TEXT,
		    "client %u, connection %u: %" PRIx64
		    " was shown %u chunks, has %u",
		    e->client, e->conn, e->message, v->have, st->stored);
}

/* --- writers ------------------------------------------------------------- */

void
check_stream_ended(struct check *c, const struct ledger_entry *e)
{
	const struct stream *st = stream_of(c, check_message(c, e->message));

	c->ended++;
	if (st != NULL && (e->code & FLAG_DUPLICATE) == 0 &&
	    st->stored != e->hash)
		check_fault(c, VIOLATION_STREAM_ENDED,
		    "client %u: %" PRIx64 " has %u chunks of %" PRIu64,
		    e->client, e->message, st->stored, e->hash);
}

static void
take_taken(struct check *c, const struct ledger_entry *e)
{
	struct stream *st = stream_of(c, check_message(c, e->message));

	if (st != NULL)
		told(st, e->seq + 1, e->ns);
}

void
check_streams(struct check *c)
{
	const struct ledger_entry *e;
	const struct stream *st;
	uint32_t k, n;
	unsigned i;
	size_t j;

	for (i = 0; i < c->nledgers; i++)
		for (j = 0, e = c->ledger[i].entry; j < c->ledger[i].n;
		     j++, e++)
			if (e->kind == LEDGER_TAKEN)
				take_taken(c, e);
	for (k = 0; k < c->nstreams; k++) {
		st = &c->stream[k];
		for (n = st->stored; n < st->sent; n++) {
			if (st->told[n] == 0 || may_be_lost(c, st->told[n]))
				continue;
			check_fault(c, VIOLATION_STREAM_CUT,
			    "%" PRIx64 "%s has %u chunks, %u was there at "
			    "%" PRIu64,
			    st->message,
			    st->is_stored ? "" : " is not stored, it",
			    st->stored, n, st->told[n]);
			break;
		}
	}
}
