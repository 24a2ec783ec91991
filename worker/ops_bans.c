/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ops_bans - the chat's list of what operators decided, out of the store.
 */

#include <string.h>

#include "chat/steer.h"
#include "worker/reader.h"
#include "worker/worker.h"

/* entries that are read at a time */
#define BANS_A_PAGE 1024

static struct chat_str
chat_text(struct store_text t)
{
	return (struct chat_str){ t.p, t.len };
}

/* What the store keeps is the chat's, which does not know the store. */
#define SAME(a) \
	_Static_assert((int)STEER_##a == (int)STORE_BAN_##a, "one number")
SAME(BAN);
SAME(MUTE);
SAME(TOKEN);
SAME(USER);
SAME(KICK);
SAME(KICK_SOCKET);

/* The last row is the place. */
static enum chat_read
bans_page(const struct read_answer *a, struct chat_place *place,
    chat_steered_fn fn, void *arg)
{
	struct chat_steered e;
	struct read_row row;
	size_t at = 0;

	while (reader_row(a, &at, &row) && row.n[0] != 0) {
		e.kind = (enum steer_kind)row.n[0];
		e.until_ms = row.n[1];
		e.since_ms = row.n[2];
		e.gseq = row.n[3];
		e.id = chat_text(row.text[0]);
		e.reason = chat_text(row.text[1]);
		if (!fn(arg, &e))
			return CHAT_READ_DONE;
	}
	if (row.text[0].len > sizeof(place->key))
		return CHAT_READ_FAILED;
	memcpy(place->key, row.text[0].p, row.text[0].len);
	place->len = row.text[0].len;
	place->done = !a->more;
	return CHAT_READ_DONE;
}

static void
on_bans(void *chat)
{
	(void)steer_turn(chat);
}

enum chat_read
worker_bans(void *ctx, struct chat_place *place, uint64_t pos,
    chat_steered_fn fn, void *arg)
{
	struct worker *w = ctx;
	const struct read_query q = { .kind = READ_BANS,
		.decided = w->log_cursor,
		.count = BANS_A_PAGE,
		.text = { (const char *)place->key, place->len },
		.notify = on_bans };
	const struct read_answer *a;
	enum chat_read rc;

	if ((a = reader_ask(w->reader, w->chat, &q, w->now_ms)) == NULL)
		return CHAT_READ_LATER;
	if (a->error != 0) {
		reader_taken(w->reader, a);
		return CHAT_READ_FAILED;
	}
	/* something was decided since it was read */
	if (a->pos < pos) {
		reader_taken(w->reader, a);
		return worker_bans(ctx, place, pos, fn, arg);
	}
	rc = bans_page(a, place, fn, arg);
	reader_taken(w->reader, a);
	return rc;
}
