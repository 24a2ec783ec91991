/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * reader_streams - streams that a former run of the daemon left, with their
 * text put together.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/reader.h"

/* streams that are looked at in one read; most are of this run */
#define LOOK 256

struct leftovers {
	struct store_txn *t;
	const struct read_query *q;
	struct read_answer *a;
	unsigned n;
	size_t bytes;
	/* of the stream at hand */
	char *text;
	size_t len, size;
	uint64_t next, ms;
	/* what is to be copied to its end */
	struct store_text part;
	bool full;
	int error;
};

static void
copy_part(void *arg)
{
	struct leftovers *l = arg;

	memcpy(l->text + l->len, l->part.p, l->part.len);
}

static bool
add_text(struct leftovers *l, struct store_text part)
{
	size_t size = l->size == 0 ? 4096 : l->size;
	char *p;

	while (size - l->len < part.len)
		size *= 2;
	if (size != l->size) {
		if ((p = realloc(l->text, size)) == NULL) {
			l->error = errno;
			return false;
		}
		l->text = p;
		l->size = size;
	}
	l->part = part;
	if (part.len > 0 && store_guarded(l->t, copy_part, l) == -1) {
		l->error = errno;
		return false;
	}
	l->len += part.len;
	return true;
}

static bool
add_piece(const struct store_piece *p, void *arg)
{
	struct leftovers *l = arg;

	l->next = p->next;
	l->ms = p->time_ms;
	return add_text(l, p->text);
}

static void
put(struct leftovers *l, const struct store_stream *st)
{
	const struct read_row who = {
		.n = { st->room, st->user, l->next, l->ms, st->begun_ms },
		.text = { st->id, st->user_id, st->user_name, st->agent },
	};
	const struct read_row what = {
		.text = { st->head, { l->text, l->len }, st->tail },
	};

	if (reader_put_row(l->t, l->a, &who) == -1 ||
	    reader_put_row(l->t, l->a, &what) == -1)
		l->error = errno;
}

static bool
add_stream(const struct store_stream *st, void *arg)
{
	struct leftovers *l = arg;

	if (st->run == l->q->from)
		return true;
	l->full = l->n == l->q->count || (l->n > 0 && l->bytes >= l->q->bytes);
	if (l->full)
		return false;
	l->len = 0;
	l->next = st->next;
	l->ms = st->time_ms;
	if (add_text(l, st->text) &&
	    store_piece_each(l->t, st, add_piece, l) == -1)
		l->error = errno;
	if (l->error == 0)
		put(l, st);
	l->bytes += l->len;
	l->n++;
	return l->error == 0;
}

int
reader_streams(struct store_txn *t, const struct read_query *q,
    struct read_answer *a)
{
	struct leftovers l = { .t = t, .q = q, .a = a };
	struct store_place place = { .len = q->text.len };
	struct read_row end = { .n = { 0 } };
	int rc;

	errno = EINVAL;
	if (place.len > sizeof(place.key))
		return -1;
	if (place.len > 0)
		memcpy(place.key, q->text.p, place.len);
	rc = store_stream_walk(t, &place, LOOK, add_stream, &l);
	free(l.text);
	if (rc == -1)
		return -1;
	errno = l.error;
	if (l.error != 0)
		return -1;
	a->more = !place.done;
	end.text[0].p = (const char *)place.key;
	end.text[0].len = place.len;
	return reader_put_row(t, a, &end);
}
