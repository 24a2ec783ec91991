/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check_change - edits, deletions and receipts.
 *
 * An item (a message, what a user has read of a session) has states; each
 * change of a session has a revision.  Who was away is sent each item once,
 * as it is then: so a revision may be left out exactly if the item's next
 * one had been asked for.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/util.h"
#include "tests/torture/check.h"

/* --- what was asked for -------------------------------------------------- */

static size_t
place(const struct check *c, uint64_t item, uint64_t state)
{
	uint64_t x = (item ^ state * UINT64_C(0x9e3779b97f4a7c15)) *
	    UINT64_C(0xbf58476d1ce4e5b9);
	size_t i = (size_t)(x ^ x >> 29) & (c->asked_size - 1);

	while (c->asked[i].ns != 0 &&
	    (c->asked[i].item != item || c->asked[i].state != state))
		i = (i + 1) & (c->asked_size - 1);
	return i;
}

struct asked *
check_asked(const struct check *c, uint64_t item, uint64_t state)
{
	struct asked *a;

	if (c->asked_size == 0)
		return NULL;
	a = &c->asked[place(c, item, state)];
	return a->ns != 0 ? a : NULL;
}

static void
grow(struct check *c)
{
	struct asked *old = c->asked;
	size_t size = c->asked_size, i;

	c->asked_size = size > 0 ? size * 2 : 1024;
	c->asked = xcalloc(c->asked_size, sizeof(*c->asked));
	for (i = 0; i < size; i++)
		if (old[i].ns != 0)
			c->asked[place(c, old[i].item, old[i].state)] = old[i];
	free(old);
}

static void
take_change(struct check *c, const struct ledger_entry *e)
{
	struct asked *a;

	if ((c->nasked + 1) * 2 > c->asked_size)
		grow(c);
	a = &c->asked[place(c, e->message, e->hash)];
	if (a->ns == 0) {
		*a = (struct asked){ .item = e->message,
			.state = e->hash,
			.ns = e->ns };
		c->nasked++;
	} else if (e->ns < a->ns) {
		a->ns = e->ns;
	}
}

/* --- what was told ------------------------------------------------------- */

static struct revision *
revision_at(struct check *c, unsigned room, uint32_t revision)
{
	struct revisions *r = &c->revisions[room];
	uint32_t size;

	if (revision > r->size) {
		size = revision * 2;
		r->list = xreallocarray(r->list, size, sizeof(*r->list));
		memset(&r->list[r->size], 0,
		    (size - r->size) * sizeof(*r->list));
		r->size = size;
	}
	if (revision > r->n)
		r->n = revision;
	return &r->list[revision - 1];
}

/* Somebody was told of a change, or it is in a dump. */
static void
take_told(struct check *c, const struct ledger_entry *e)
{
	struct asked *a = check_asked(c, e->message, e->hash);
	struct revision *r;

	/* who has read nothing is told 0 */
	if (e->seq == 0 && e->message & LEDGER_READS)
		return;
	if (e->seq == 0 || e->seq > 1U << 28) {
		check_fault(c, VIOLATION_REVISION, "session %u: revision %u",
		    e->room, e->seq);
		return;
	}
	if (a == NULL) {
		check_fault(c, VIOLATION_CHANGE_FORGED,
		    "client %u: %" PRIx64 " of session %u, revision %u",
		    e->client, e->message, e->room, e->seq);
		return;
	}
	if (a->revision < e->seq)
		a->revision = e->seq;
	r = revision_at(c, e->room, e->seq);
	if (r->known && (r->item != e->message || r->state != e->hash))
		check_fault(c, VIOLATION_REVISION,
		    "session %u: revision %u is of %" PRIx64 " and %" PRIx64,
		    e->room, e->seq, r->item, e->message);
	r->item = e->message;
	r->state = e->hash;
	r->known = true;
}

static void
take_changed(struct check *c, const struct ledger_entry *e)
{
	struct message *m;

	if (e->message & LEDGER_READS) {
		c->receipts++;
		return;
	}
	c->changes++;
	m = check_message(c, e->message);
	if (m != NULL && m->revision < e->seq) {
		m->revision = e->seq;
		m->changed = e->ns;
	}
}

void
check_changes(struct check *c)
{
	const struct ledger_entry *e;
	unsigned i;
	size_t k;

	for (i = 0; i < c->nledgers; i++)
		for (k = 0, e = c->ledger[i].entry; k < c->ledger[i].n;
		     k++, e++)
			if (e->kind == LEDGER_CHANGE)
				take_change(c, e);
	for (i = 0; i < c->nledgers; i++) {
		e = c->ledger[i].entry;
		for (k = 0; k < c->ledger[i].n; k++, e++) {
			if (e->kind == LEDGER_CHANGED)
				take_changed(c, e);
			if (e->kind == LEDGER_CHANGED ||
			    e->kind == LEDGER_REVISED || e->kind == LEDGER_ITEM)
				take_told(c, e);
		}
	}
}

bool
check_may_say(const struct check *c, const struct message *m,
    const struct ledger_entry *e)
{
	uint32_t n;

	if (e->code & FLAG_DELETED)
		return check_asked(c, e->message, 0) != NULL;
	if (m->stream == 0)
		return m->hash == e->hash ||
		    check_asked(c, e->message, e->hash) != NULL;
	for (n = 1; n <= c->stream[m->stream - 1].sent; n++)
		if (c->stream[m->stream - 1].hash[n] == e->hash)
			return true;
	return false;
}

/* --- a session's revisions ----------------------------------------------- */

static int
by_item(const void *a, const void *b)
{
	const struct revision *x = *(struct revision *const *)a,
			      *y = *(struct revision *const *)b;

	if (x->item != y->item)
		return x->item < y->item ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* 'b' is the next change of the item that 'a' has changed. */
static void
follow(struct check *c, unsigned room, struct revision *a,
    const struct revision *b)
{
	const struct revision *list = c->revisions[room].list;
	const struct asked *asked = check_asked(c, b->item, b->state);

	a->next = (uint32_t)(b - list) + 1;
	a->next_ns = asked == NULL ? 0 : asked->ns;
	if (a->item & LEDGER_READS && b->state <= a->state)
		check_fault(c, VIOLATION_RUNS_BACK,
		    "session %u: %" PRIx64 " has read %" PRIu64
		    " (revision %td), then %" PRIu64 " (%u)",
		    room, a->item, a->state, a - list + 1, b->state, a->next);
}

static void
check_room_revisions(struct check *c, unsigned room)
{
	struct revisions *r = &c->revisions[room];
	struct revision **list = xcalloc(r->n + 1UL, sizeof(*list));
	uint32_t i, n = 0;

	for (i = 0; i < r->n; i++)
		if (r->list[i].known)
			list[n++] = &r->list[i];
	qsort(list, n, sizeof(*list), by_item);
	for (i = 1; i < n; i++)
		if (list[i - 1]->item == list[i]->item)
			follow(c, room, list[i - 1], list[i]);
	free(list);
	if (r->n > r->last)
		check_fault(c, VIOLATION_CHANGE_LOST,
		    "session %u: revision %u, the store has %u", room, r->n,
		    r->last);
}

/* Each item in the store is in its latest state of all that are known. */
static void
check_items(struct check *c)
{
	const struct ledger_entry *e;
	const struct revision *r;
	size_t i;

	for (i = 0; i < c->truth->n; i++) {
		e = &c->truth->entry[i];
		if (e->kind != LEDGER_ITEM || e->seq == 0 ||
		    e->seq > c->revisions[e->room].n)
			continue;
		r = &c->revisions[e->room].list[e->seq - 1];
		if (r->known && r->next != 0)
			check_fault(c, VIOLATION_CHANGE_LOST,
			    "session %u: %" PRIx64 " has revision %u, not %u",
			    e->room, e->message, e->seq, r->next);
	}
}

void
check_revisions(struct check *c)
{
	const struct ledger_entry *e;
	const struct message *m;
	const struct row *row;
	uint32_t k, n;
	size_t i;

	for (i = 0; i < c->truth->n; i++) {
		e = &c->truth->entry[i];
		if (e->kind == LEDGER_REVISION)
			c->revisions[e->room].last = e->seq;
	}
	for (i = 0; i < c->nrooms; i++)
		check_room_revisions(c, (unsigned)i);
	check_items(c);
	for (k = 0; k < c->nclients; k++) {
		for (n = 0; n < c->client[k].n; n++) {
			m = &c->client[k].message[n];
			row = check_row(c, m->room, m->seq);
			if (m->revision > 0 && row != NULL &&
			    row->stored->conn < m->revision)
				check_fault(c, VIOLATION_CHANGE_LOST,
				    "client %u: its message %u, revision %u, "
				    "has %u",
				    k, n, m->revision, row->stored->conn);
		}
	}
}

/* --- after a kill -------------------------------------------------------- */

void
check_changes_kept(struct check *c, const struct ledger *l)
{
	uint32_t *last = xcalloc(c->nrooms, sizeof(*last));
	const struct ledger_entry *e;
	unsigned i;
	size_t k;

	for (k = 0; k < l->n; k++)
		if (l->entry[k].kind == LEDGER_REVISION)
			last[l->entry[k].room] = l->entry[k].seq;
	for (i = 0; i < c->nledgers; i++) {
		e = c->ledger[i].entry;
		for (k = 0; k < c->ledger[i].n; k++, e++)
			if ((e->kind == LEDGER_CHANGED ||
				e->kind == LEDGER_REVISED) &&
			    e->ns < l->entry[0].ns && e->seq > last[e->room])
				check_fault(c, VIOLATION_CHANGE_LOST_BY_KILL,
				    "%s: session %u has %u, revision %u was "
				    "told",
				    l->path, e->room, last[e->room], e->seq);
	}
	free(last);
}

/* --- what a client sees -------------------------------------------------- */

/* From behind s->revision up to 'end' (not included). */
static void
check_skipped(struct check *c, const struct seat *s,
    const struct ledger_entry *e, uint32_t end)
{
	const struct revision *r;
	uint32_t q;

	for (q = s->revision + 1; q < end; q++) {
		r = q <= c->revisions[e->room].n
		    ? &c->revisions[e->room].list[q - 1]
		    : NULL;
		/* what nobody was told of was replaced before that */
		if (r == NULL || !r->known)
			continue;
		if (r->next == 0 || (r->next_ns > e->ns && e->ns != 0))
			check_fault(c, VIOLATION_REVISION_HOLE,
			    "client %u, connection %u, session %u: revision "
			    "%u before %u",
			    e->client, e->conn, e->room, q, end);
	}
}

void
check_revised(struct check *c, struct seat *s, const struct ledger_entry *e)
{
	c->revised++;
	if (!s->in) {
		check_fault(c, VIOLATION_STRAY,
		    "client %u, connection %u: session %u revision %u",
		    e->client, e->conn, e->room, e->seq);
		return;
	}
	if (e->seq <= s->revision) {
		check_fault(c, VIOLATION_REVISION_TWICE,
		    "client %u, connection %u: session %u revision %u, behind "
		    "%u",
		    e->client, e->conn, e->room, e->seq, s->revision);
		return;
	}
	check_skipped(c, s, e, e->seq);
	s->revision = e->seq;
}

void
check_quiet_revisions(struct check *c, const struct seat *s,
    const struct ledger_entry *e)
{
	if ((e->code & FLAG_REVISIONS) == 0 ||
	    (s->in && s->revision != e->hash))
		check_fault(c, VIOLATION_REVISION_TAIL,
		    "client %u has session %u only up to revision %u",
		    e->client, e->room, s->revision);
}

void
check_old_text(struct check *c, const struct ledger_entry *page,
    const struct ledger_entry *e)
{
	const struct message *m = check_message(c, e->message);
	const struct asked *a = check_asked(c, e->message, e->hash);

	if (m->revision == 0 || m->changed >= page->stamp ||
	    (e->code & FLAG_DELETED))
		return;
	/* the text is the first one, or of an earlier revision */
	if (a == NULL || (a->revision != 0 && a->revision < m->revision))
		check_fault(c, VIOLATION_OLD_TEXT,
		    "client %u: session %u seq %u is at revision %u, not %u",
		    e->client, e->room, e->seq, a == NULL ? 0 : a->revision,
		    m->revision);
}
