/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * bans - chatctl bans: what is in force of what operators decided.
 */

#include <stdlib.h>
#include <string.h>

#include "chat/steer.h"
#include "common/clock.h"
#include "common/log.h"
#include "worker/ctl.h"
#include "worker/reader.h"
#include "worker/worker.h"

#define A_PAGE 1024
/* of the document; more than anybody reads */
#define BYTES_MAX (32 << 20)

struct listing {
	struct json_out o;
	uint8_t place[CHAT_PLACE_MAX];
	size_t len;
};

static const char *const kinds[STEER__MAX] = {
	[STEER_BAN] = "ban",
	[STEER_MUTE] = "mute",
	[STEER_TOKEN] = "token",
	[STEER_USER] = "tokens",
};

static void
put_text(struct json_out *o, const char *key, struct store_text text)
{
	json_out_key(o, key);
	json_out_string(o, text.p, text.len);
}

static void
put_row(struct json_out *o, const struct read_row *row, uint64_t now_ms)
{
	const char *kind = row->n[0] < STEER__MAX ? kinds[row->n[0]] : NULL;

	/* a kick is over when it is done */
	if (kind == NULL || row->n[1] <= now_ms)
		return;
	json_out_object(o);
	json_out_key(o, "kind");
	json_out_cstring(o, kind);
	put_text(o, "id", row->text[0]);
	json_out_key(o, "since_at_ms");
	json_out_u64(o, row->n[2]);
	json_out_key(o, "until_at_ms");
	json_out_u64(o, row->n[1] == STEER_EVER ? 0 : row->n[1]);
	put_text(o, "by", row->text[2]);
	put_text(o, "reason", row->text[1]);
	json_out_object_end(o);
}

/* True: there are others behind them. */
static bool
take_page(struct listing *l, const struct read_answer *a)
{
	uint64_t now_ms = clock_real_ms();
	struct read_row row;
	size_t at = 0;

	while (reader_row(a, &at, &row) && row.n[0] != 0)
		put_row(&l->o, &row, now_ms);
	if (!a->more || row.n[0] != 0 || row.text[0].len > sizeof(l->place))
		return false;
	l->len = row.text[0].len;
	memcpy(l->place, row.text[0].p, l->len);
	return true;
}

static void
finish(struct ctl *c)
{
	struct listing *l = c->state;

	json_out_array_end(&l->o);
	json_out_object_end(&l->o);
	if (l->o.len > BYTES_MAX) {
		ctl_done(c, "there are too many to tell");
		return;
	}
	ctl_put(c, &l->o, false);
	ctl_done(c, NULL);
}

static void
on_page(void *arg)
{
	struct ctl *c = arg;
	struct listing *l = c->state;
	struct worker *w = c->worker;
	const struct read_answer *a;
	bool more = true;

	while (more && l->o.len <= BYTES_MAX) {
		const struct read_query q = { .kind = READ_BANS,
			.count = A_PAGE,
			.text = { (const char *)l->place, l->len },
			.decided = w->log_cursor,
			.notify = on_page };

		if ((a = reader_ask(w->reader, c, &q, w->now_ms)) == NULL)
			return;
		if (a->error != 0) {
			reader_taken(w->reader, a);
			ctl_done(c, "the store cannot be read");
			return;
		}
		more = take_page(l, a);
		reader_taken(w->reader, a);
	}
	finish(c);
}

static void
on_free(struct ctl *c)
{
	struct listing *l = c->state;

	json_out_clear(&l->o);
	free(l);
}

static const struct ctl_ops listing_ops = {
	.free = on_free,
};

void
bans_serve(struct ctl *c, const char *command, const struct json_tree *args)
{
	struct listing *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		fatal("memory for chatctl");
	c->ops = &listing_ops;
	c->state = l;
	json_out_object(&l->o);
	json_out_key(&l->o, "bans");
	json_out_array(&l->o);
	on_page(c);
}
