/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/power/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

size_t
ledger_below(const struct ledger *l, uint64_t gseq)
{
	size_t low = 0, high = l->n, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (l->v[mid].gseq < gseq)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void
add(struct ledger *l, const struct journal_event *ev)
{
	const uint8_t *p = journal_payload(ev);
	struct ledger_item *it;
	const uint8_t *rec = p + sizeof(it->ix);
	size_t len = ev->len - sizeof(it->ix);
	int n;

	/* who died before he could tell it says it again */
	l->n = ledger_below(l, ev->a);
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 4096 : l->cap * 2;
		l->v = reallocarray(l->v, l->cap, sizeof(*l->v));
		if (l->v == NULL)
			fatal("memory for a ledger");
	}
	it = &l->v[l->n++];
	memset(it, 0, sizeof(*it));
	it->gseq = ev->a;
	memcpy(&it->ix, p, sizeof(it->ix));
	if (len == 0)
		return;
	memcpy(&it->h, rec, sizeof(it->h));
	if ((n = record_parse(rec, len, it->f)) > 0)
		it->nfields = (unsigned)n;
}

static int
by_room(const void *a, const void *b)
{
	const struct ledger_item *x = *(const struct ledger_item *const *)a;
	const struct ledger_item *y = *(const struct ledger_item *const *)b;

	if (x->ix.room != y->ix.room)
		return x->ix.room < y->ix.room ? -1 : 1;
	return x->ix.seq < y->ix.seq ? -1 : x->ix.seq > y->ix.seq;
}

void
ledger_read(struct ledger *l, const struct journal *j)
{
	const struct journal_event *ev;
	uint64_t at = 0;
	size_t i;

	memset(l, 0, sizeof(*l));
	while ((ev = journal_next(j, &at)) != NULL)
		if (ev->kind == J_ITEM)
			add(l, ev);
	if ((l->msg = calloc(l->n + 1, sizeof(*l->msg))) == NULL)
		fatal("memory for a ledger");
	for (i = 0; i < l->n; i++)
		if (ledger_is_message(&l->v[i]))
			l->msg[l->nmsg++] = &l->v[i];
	qsort(l->msg, l->nmsg, sizeof(*l->msg), by_room);
}

void
ledger_free(struct ledger *l)
{
	free(l->v);
	free(l->msg);
	memset(l, 0, sizeof(*l));
}
