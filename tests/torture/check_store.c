/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check_store - the store by itself, and one dump against another.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/util.h"
#include "tests/torture/check.h"

/* Put a row of the truth where it belongs. */
static void
take_row(struct check *c, const struct ledger_entry *e)
{
	struct room *r = &c->room[e->room];
	uint32_t n;

	if (e->seq == 0 || e->seq > c->truth->n) {
		check_fault(c, VIOLATION_GAP, "session %u: seq %u", e->room,
		    e->seq);
		return;
	}
	if (e->seq > r->n) {
		n = r->n;
		/* in powers of two, to be linear */
		if ((n & (n - 1)) == 0 || e->seq > n + 1)
			r->row = xreallocarray(r->row, (size_t)e->seq * 2,
			    sizeof(*r->row));
		memset(&r->row[n], 0, (e->seq - n) * sizeof(*r->row));
		r->n = e->seq;
	}
	if (r->row[e->seq - 1].stored != NULL) {
		check_fault(c, VIOLATION_GAP, "session %u: seq %u twice",
		    e->room, e->seq);
		return;
	}
	r->row[e->seq - 1] = (struct row){ .stored = e, .seen = UINT64_MAX };
	c->stored++;
}

static void
check_stored_row(struct check *c, const struct ledger_entry *e)
{
	struct message *m = check_message(c, e->message);

	if (m == NULL) {
		check_fault(c, VIOLATION_FORGED, "session %u, seq %u: %" PRIx64,
		    e->room, e->seq, e->message);
		return;
	}
	if (m->seq != 0) {
		check_fault(c, VIOLATION_STORED_TWICE,
		    "%" PRIx64 ": session %u seq %u, and session %u seq %u",
		    e->message, m->room, m->seq, e->room, e->seq);
		return;
	}
	check_stream_stored(c, m, e);
	if (!check_may_say(c, m, e) || m->room != e->room)
		check_fault(c, VIOLATION_ALTERED,
		    "session %u, seq %u: %" PRIx64, e->room, e->seq,
		    e->message);
	m->seq = e->seq;
	m->room = e->room;
}

static void
check_room(struct check *c, unsigned room)
{
	const struct ledger_entry *e, *before = NULL;
	uint32_t i;

	for (i = 0; i < c->room[room].n; i++) {
		e = c->room[room].row[i].stored;
		if (e == NULL) {
			check_fault(c, VIOLATION_GAP, "session %u: seq %u",
			    room, i + 1);
			continue;
		}
		check_stored_row(c, e);
		if (before != NULL && e->stamp < before->stamp)
			check_fault(c, VIOLATION_TIME,
			    "session %u: seq %u at %" PRIu64
			    ", seq %u at %" PRIu64,
			    room, before->seq, before->stamp, e->seq, e->stamp);
		if (before != NULL && e->ns <= before->ns)
			check_fault(c, VIOLATION_POSITION,
			    "session %u: seq %u at %" PRIu64
			    ", seq %u at %" PRIu64,
			    room, before->seq, before->ns, e->seq, e->ns);
		before = e;
	}
}

void
check_store(struct check *c)
{
	size_t i;

	for (i = 0; i < c->truth->n; i++)
		if (c->truth->entry[i].kind == LEDGER_STORED)
			take_row(c, &c->truth->entry[i]);
	for (i = 0; i < c->nrooms; i++)
		check_room(c, (unsigned)i);
}

/* What was acknowledged before the dump is in it; 'n' rows of each room
 * are, all numbered up to 'last'. */
static void
check_kept(struct check *c, const struct ledger *l, const uint32_t *last)
{
	const struct message *m;
	uint32_t i, k;

	for (i = 0; i < c->nclients; i++) {
		for (k = 0; k < c->client[i].n; k++) {
			m = &c->client[i].message[k];
			if (m->acked != 0 && m->acked < l->entry[0].ns &&
			    m->seq > last[m->room])
				check_fault(c, VIOLATION_LOST_BY_KILL,
				    "%s: session %u has %u, seq %u was "
				    "acknowledged",
				    l->path, m->room, last[m->room], m->seq);
		}
	}
}

/* It is not as it was, or is to be; an earlier dump may not know a change. */
static bool
rewritten(const struct ledger_entry *t, const struct ledger_entry *e,
    bool positions)
{
	bool deleted = (e->code & FLAG_DELETED) != 0;

	if (positions && t->conn > e->conn)
		return t->stamp != e->stamp;
	return t->hash != e->hash || (positions && t->conn != e->conn) ||
	    (t->code & FLAG_DELETED) != (e->code & FLAG_DELETED) ||
	    ((positions || !deleted) && t->stamp != e->stamp);
}

static void
check_dump(struct check *c, const struct ledger *l)
{
	uint32_t *n = xcalloc(c->nrooms, sizeof(*n));
	uint32_t *last = xcalloc(c->nrooms, sizeof(*last));
	const struct ledger_entry *e, *t;
	bool positions = l->entry[0].code & FLAG_POSITIONS;
	const struct row *row;
	size_t i;

	for (i = 0; i < l->n; i++) {
		e = &l->entry[i];
		if (e->kind != LEDGER_STORED)
			continue;
		n[e->room]++;
		if (e->seq > last[e->room])
			last[e->room] = e->seq;
		row = check_row(c, e->room, e->seq);
		t = row == NULL ? NULL : row->stored;
		if (t == NULL || t->message != e->message ||
		    rewritten(t, e, positions) || (positions && t->ns != e->ns))
			check_fault(c, VIOLATION_REWRITTEN,
			    "%s: session %u, seq %u: %" PRIx64, l->path,
			    e->room, e->seq, e->message);
	}
	for (i = 0; i < c->nrooms; i++) {
		if (n[i] != last[i] ||
		    (l->entry[0].code & FLAG_FINAL && n[i] != c->room[i].n))
			check_fault(c, VIOLATION_REWRITTEN,
			    "%s: session %zu: %u rows up to %u of %u", l->path,
			    i, n[i], last[i], c->room[i].n);
	}
	check_kept(c, l, last);
	if (positions)
		check_changes_kept(c, l);
	free(n);
	free(last);
}

void
check_dumps(struct check *c)
{
	unsigned i;

	for (i = 0; i < c->nledgers; i++)
		if (c->ledger[i].entry[0].kind == LEDGER_DUMP &&
		    &c->ledger[i] != c->truth)
			check_dump(c, &c->ledger[i]);
}
