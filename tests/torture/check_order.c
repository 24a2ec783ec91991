/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check_order - real time: what somebody had seen before it, a message comes
 * behind.
 *
 * An order is total, so one scan along it is complete: with M the latest
 * begin of all messages up to here, there is a contradiction exactly if one
 * that comes behind was seen before M.
 */

#include <inttypes.h>
#include <stdlib.h>

#include "tests/bench/util.h"
#include "tests/torture/check.h"

static int
by_position(const void *a, const void *b)
{
	const struct row *const *x = a, *const *y = b;

	return (*x)->stored->ns < (*y)->stored->ns ? -1
	    : (*x)->stored->ns > (*y)->stored->ns  ? 1
						   : 0;
}

/* All rows in the order of the log, which is one for all sessions. */
static struct row **
along_the_log(struct check *c, size_t *n_r)
{
	struct row **list = xcalloc(c->stored + 1, sizeof(struct row *));
	size_t n = 0;
	uint32_t k;
	unsigned i;

	for (i = 0; i < c->nrooms; i++)
		for (k = 0; k < c->room[i].n; k++)
			if (c->room[i].row[k].stored != NULL)
				list[n++] = &c->room[i].row[k];
	qsort(list, n, sizeof(struct row *), by_position);
	*n_r = n;
	return list;
}

void
check_causality(struct check *c)
{
	const struct ledger_entry *latest = NULL, *e;
	const struct message *m;
	struct row **list;
	uint64_t begin = 0;
	size_t i, n;

	list = along_the_log(c, &n);
	for (i = 0; i < n; i++) {
		e = list[i]->stored;
		if (list[i]->seen < begin)
			check_fault(c, VIOLATION_CAUSALITY,
			    "session %u seq %u was seen %" PRIu64
			    " ns before session %u seq %u was sent, which "
			    "comes first",
			    e->room, e->seq, begin - list[i]->seen,
			    latest->room, latest->seq);
		m = check_message(c, e->message);
		if (m != NULL && m->begin > begin) {
			begin = m->begin;
			latest = e;
		}
	}
	free(list);
}

/* What of each connection of a client came last. */
struct last {
	uint32_t *count, n;
};

/* Counts begin with 0, places here with 1. */
static uint32_t *
last_of(struct last *l, uint32_t conn)
{
	uint32_t n;

	for (n = l->n; n <= conn; n++) {
		l->count = xreallocarray(l->count, n + 1UL, sizeof(uint32_t));
		l->count[n] = 0;
		l->n = n + 1;
	}
	return &l->count[conn];
}

static void
check_in_turn(struct check *c, struct last *client,
    const struct ledger_entry *e)
{
	const struct message *m = check_message(c, e->message);
	uint32_t owner = (uint32_t)(e->message >> 32), *last;

	/* of those that were sent again nobody knows which attempt it was */
	if (m == NULL || m->attempts != 1 || m->conn > 1U << 24)
		return;
	last = last_of(&client[owner], m->conn);
	if ((uint32_t)e->message + 1 <= *last)
		check_fault(c, VIOLATION_FIFO,
		    "client %u, connection %u: message %u in session %u comes "
		    "behind message %u",
		    owner, m->conn, (uint32_t)e->message, m->room, *last - 1);
	*last = (uint32_t)e->message + 1;
}

static void
forget(const struct check *c, struct last *client)
{
	uint32_t i;

	for (i = 0; i < c->nclients; i++) {
		free(client[i].count);
		client[i] = (struct last){ 0 };
	}
}

/*
 * Messages that were sent once, on one connection, come in the order in
 * which they were sent: in a session always; in all of them unless some wait
 * for an edit of their session.
 */
void
check_fifo(struct check *c)
{
	struct last *client = xcalloc(c->nclients, sizeof(*client));
	const struct message *m;
	const struct row *row;
	struct row **list;
	uint32_t k;
	size_t i, n;

	list = along_the_log(c, &n);
	for (i = 0; i < n; i++) {
		m = check_message(c, list[i]->stored->message);
		if (m != NULL && !m->behind)
			check_in_turn(c, client, list[i]->stored);
	}
	free(list);
	for (i = 0; i < c->nrooms; i++) {
		forget(c, client);
		for (k = 0; k < c->room[i].n; k++) {
			row = &c->room[i].row[k];
			if (row->stored != NULL)
				check_in_turn(c, client, row->stored);
		}
	}
	forget(c, client);
	free(client);
}

/* When the first was seen of all that stand at 'seq' and behind it. */
static uint64_t **
first_seen(struct check *c)
{
	uint64_t **seen = xcalloc(c->nrooms, sizeof(uint64_t *)), least;
	unsigned i;
	uint32_t k;

	for (i = 0; i < c->nrooms; i++) {
		seen[i] = xcalloc(c->room[i].n + 1, sizeof(uint64_t));
		seen[i][c->room[i].n] = least = UINT64_MAX;
		for (k = c->room[i].n; k-- > 0;) {
			if (c->room[i].row[k].stored != NULL &&
			    c->room[i].row[k].seen < least)
				least = c->room[i].row[k].seen;
			seen[i][k] = least;
		}
	}
	return seen;
}

/* Who asked at 'begin' and was told that 'last' is the last one. */
static void
check_last(struct check *c, uint64_t **seen, const struct ledger_entry *e,
    uint64_t last)
{
	if (last > c->room[e->room].n)
		check_fault(c, VIOLATION_PAGE,
		    "client %u: session %u is said to have %" PRIu64, e->client,
		    e->room, last);
	else if (seen[e->room][last] < e->stamp)
		check_fault(c, VIOLATION_STALE,
		    "client %u: session %u has %" PRIu64
		    ", one behind it was seen %" PRIu64 " ns before (%s)",
		    e->client, e->room, last, e->stamp - seen[e->room][last],
		    ledger_kind_name(e->kind));
}

void
check_fresh(struct check *c)
{
	const struct ledger_entry *e;
	uint64_t **seen = first_seen(c), last;
	unsigned i;
	size_t k;

	for (k = 0; k < c->nentered; k++)
		check_last(c, seen, c->entered[k], c->entered[k]->seq);
	for (i = 0; i < c->nledgers; i++) {
		e = c->ledger[i].entry;
		for (k = 0; k < c->ledger[i].n; k++, e++) {
			if (e->kind == LEDGER_PAGE &&
			    (e->code & FLAG_BEFORE) == 0 &&
			    (e->code & FLAG_NEWEST || !(e->code & FLAG_MORE))) {
				last = e->seq;
				if ((e->code & FLAG_NEWEST) == 0 &&
				    e->hash > last)
					last = e->hash;
				check_last(c, seen, e, last);
			}
		}
	}
	for (i = 0; i < c->nrooms; i++)
		free(seen[i]);
	free(seen);
}
