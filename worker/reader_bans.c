/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * reader_bans - what operators decided, page by page.
 */

#include <errno.h>
#include <string.h>

#include "worker/reader.h"

struct page {
	struct store_txn *t;
	struct read_answer *a;
	int error;
};

static bool
add(const struct store_ban *ban, void *arg)
{
	struct page *p = arg;
	const struct read_row row = {
		.n = { ban->kind, ban->until_ms, ban->since_ms, ban->gseq },
		.text = { ban->id, ban->reason, ban->by },
	};

	if (reader_put_row(p->t, p->a, &row) == -1)
		p->error = errno;
	return p->error == 0;
}

int
reader_bans(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct page p = { .t = t, .a = a };
	struct store_place place = { .len = q->text.len };
	struct read_row end = { .n = { 0 } };

	if (place.len > sizeof(place.key)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(place.key, q->text.p, place.len);
	if (store_ban_walk(t, &place, (unsigned)q->count, add, &p) == -1)
		return -1;
	errno = p.error;
	if (p.error != 0)
		return -1;
	a->more = !place.done;
	end.text[0].p = (const char *)place.key;
	end.text[0].len = place.len;
	return reader_put_row(t, a, &end);
}
