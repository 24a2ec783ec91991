/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_bans - the part of chat_world.h that keeps what operators decide: the
 * rules of scribe/steer.c, and the list as the store has it.
 */

#ifndef CHAT_BANS_H
#define CHAT_BANS_H

#include "tests/unit/chat_state.h"

static struct ban_row *
ban_find(struct world *w, int kind, const char *id)
{
	int i;

	for (i = 0; i < w->nbans; i++) {
		if (w->ban[i].kind == kind && strcmp(w->ban[i].id, id) == 0)
			return &w->ban[i];
	}
	return NULL;
}

static void
ban_put(struct world *w, const struct stored *e, int kind, const char *id)
{
	struct ban_row *b = ban_find(w, kind, id);

	if (b == NULL) {
		assert_true(w->nbans < BANS);
		b = &w->ban[w->nbans++];
	}
	b->kind = kind;
	snprintf(b->id, sizeof(b->id), "%s", id);
	snprintf(b->reason, sizeof(b->reason), "%s", e->field[4]);
	b->until_ms = e->field[3][0] == '\0' ? UINT64_MAX
					     : strtoull(e->field[3], NULL, 10);
	if (kind == STEER_KICK || kind == STEER_KICK_SOCKET)
		b->until_ms = w->real_ms + 120000;
	b->since_ms =
	    kind == STEER_USER ? strtoull(e->field[2], NULL, 10) : w->real_ms;
	b->gseq = e->d.gseq;
}

static void
ban_del(struct world *w, struct stored *e, int kind)
{
	struct ban_row *b = ban_find(w, kind, e->field[1]);

	if (b == NULL)
		e->d.outcome = CHAT_NOT_FOUND;
	else
		*b = w->ban[--w->nbans];
}

static void
decide_steer(struct world *w, struct stored *e)
{
	const char *action = e->field[0];

	if (strcmp(action, "ban") == 0)
		ban_put(w, e, STEER_BAN, e->field[1]);
	else if (strcmp(action, "mute") == 0)
		ban_put(w, e, STEER_MUTE, e->field[1]);
	else if (strcmp(action, "revoke-token") == 0)
		ban_put(w, e, STEER_TOKEN, e->field[2]);
	else if (strcmp(action, "revoke-user") == 0)
		ban_put(w, e, STEER_USER, e->field[1]);
	else if (strcmp(action, "kick") == 0)
		ban_put(w, e, STEER_KICK, e->field[1]);
	else if (strcmp(action, "kick-socket") == 0)
		ban_put(w, e, STEER_KICK_SOCKET, e->field[2]);
	else if (strcmp(action, "unban") == 0)
		ban_del(w, e, STEER_BAN);
	else if (strcmp(action, "unmute") == 0)
		ban_del(w, e, STEER_MUTE);
}

/* A page of three; 'key' is the place in w->ban. */
static enum chat_read
op_bans(void *ctx, struct chat_place *place, uint64_t pos, chat_steered_fn fn,
    void *arg)
{
	struct world *w = ((struct engine *)ctx)->w;
	struct ban_row *b;
	struct chat_steered row;
	int i, n;

	w->bans_asked++;
	if (w->fail_bans)
		return CHAT_READ_FAILED;
	if (w->late_bans > 0) {
		w->late_bans--;
		return CHAT_READ_LATER;
	}
	assert_true(pos <= w->gseq);
	i = place->len == 0 ? 0 : place->key[0];
	for (n = 0; i < w->nbans && n < 3; i++, n++) {
		b = &w->ban[i];
		row = (struct chat_steered){ .kind = (enum steer_kind)b->kind,
			.id = str_of(b->id),
			.until_ms = b->until_ms,
			.since_ms = b->since_ms,
			.gseq = b->gseq,
			.reason = str_of(b->reason) };
		if (!fn(arg, &row))
			break;
	}
	place->key[0] = (uint8_t)i;
	place->len = 1;
	place->done = i == w->nbans;
	return CHAT_READ_DONE;
}

static void
op_address(void *ctx, void *conn, char *buf, size_t size)
{
	snprintf(buf, size, "192.0.2.1");
}

#endif /* CHAT_BANS_H */
