/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * leftover - streams that were running when a former run of the daemon ended.
 *
 * The worker in slot 0 reads them when it starts, and has each of them stored
 * as far as it came.  A row goes with its message's verdict, so it reads
 * until there is none: what the store could not take is tried again, and what
 * a killed worker had begun is begun anew; the message's id is known then.
 */

#include <string.h>

#include "shm/ring.h"
#include "worker/reader.h"
#include "worker/worker.h"

/* streams of one read, and bytes of their texts */
#define PAGE_STREAMS 16
#define PAGE_BYTES (1024 * 1024)
/* when it is looked again, and when what could not be read is read again */
#define AGAIN_MS 2000

static struct chat_str
chat_text(struct store_text t)
{
	return (struct chat_str){ t.p, t.len };
}

/* Have all of them stored, and go on behind them. */
static void
take_page(struct worker *w, const struct read_answer *a)
{
	struct leftovers *l = &w->leftovers;
	struct read_row who, what;
	struct chat_leftover left;
	size_t at = 0;

	while (reader_row(a, &at, &who) && who.n[0] != 0 &&
	    reader_row(a, &at, &what)) {
		left.room = who.n[0];
		left.user = who.n[1];
		left.id = chat_text(who.text[0]);
		left.head = chat_text(what.text[0]);
		left.text = chat_text(what.text[1]);
		left.tail = chat_text(what.text[2]);
		chat_store_leftover(w->chat, &left);
		l->any = true;
	}
	l->len = 0;
	if (a->more && who.n[0] == 0 && who.text[0].len <= sizeof(l->key)) {
		l->len = who.text[0].len;
		memcpy(l->key, who.text[0].p, l->len);
	}
}

void
leftovers_tick(struct worker *w)
{
	struct leftovers *l = &w->leftovers;
	struct read_query q = { .kind = READ_STREAMS,
		.count = PAGE_STREAMS,
		.bytes = PAGE_BYTES };
	const struct read_answer *a;

	if (w->slot != 0 || l->done || w->now_ms < l->due_ms ||
	    w->phase != WORKER_SERVING || publisher_congested(w->publisher))
		return;
	q.from = ring_run(w->log);
	q.text.p = (const char *)l->key;
	q.text.len = l->len;
	q.decided = w->log_cursor;
	if ((a = reader_ask(w->reader, l, &q, w->now_ms)) == NULL)
		return;
	if (a->error != 0)
		l->due_ms = w->now_ms + AGAIN_MS;
	else
		take_page(w, a);
	if (a->error == 0 && l->len == 0) {
		l->done = !l->any;
		l->any = false;
		l->due_ms = w->now_ms + AGAIN_MS;
	}
	reader_taken(w->reader, a);
}
