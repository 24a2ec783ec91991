/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_changes - the part of chat_scribe.h that decides about edits,
 * deletions, receipts and status.  All of them are kept, so that a late read
 * can tell what there was at its position.
 */

#ifndef CHAT_CHANGES_FIXTURE_H
#define CHAT_CHANGES_FIXTURE_H

#include "tests/unit/chat_state.h"

static struct change_row *
change_add(struct world *w, struct stored *e, bool revises)
{
	struct room_row *room = &w->room[e->d.ev.room - 1];
	struct change_row *c;

	assert_true(w->nchanges < ROWS);
	c = &w->change[w->nchanges++];
	c->type = e->d.ev.type;
	c->room = e->d.ev.room;
	c->gseq = e->d.gseq;
	c->time_ms = e->d.time_ms;
	if (revises)
		c->revision = e->d.revision = ++room->revision;
	return c;
}

/* Of the same message, of the same user's receipt, of the same session. */
static bool
same_item(const struct change_row *a, const struct change_row *b)
{
	bool a_is_message = a->type == CHAT_EDIT || a->type == CHAT_DELETE;
	bool b_is_message = b->type == CHAT_EDIT || b->type == CHAT_DELETE;

	if (a->room != b->room)
		return false;
	if (a_is_message || b_is_message)
		return a_is_message && b_is_message && a->seq == b->seq;
	return a->type == b->type &&
	    (a->type != CHAT_RECEIPT || strcmp(a->user, b->user) == 0);
}

/* The last change of this item below 'pos'; NULL: there is none. */
static const struct change_row *
change_of_item(const struct world *w, const struct change_row *item,
    uint64_t pos)
{
	int i;

	for (i = w->nchanges - 1; i >= 0; i--) {
		if (w->change[i].gseq < pos && same_item(&w->change[i], item))
			return &w->change[i];
	}
	return NULL;
}

static const struct change_row *
change_of_message(const struct world *w, const struct message_row *m,
    uint64_t pos)
{
	const struct change_row item = { .type = CHAT_EDIT,
		.room = m->room,
		.seq = m->seq };

	return change_of_item(w, &item, pos);
}

/* A message as it was at that position. */
static struct chat_row
row_at(const struct world *w, const struct message_row *m, uint64_t pos)
{
	const struct change_row *c = change_of_message(w, m, pos);
	struct chat_row row = { .seq = m->seq,
		.gseq = m->gseq,
		.time_ms = m->time_ms,
		.id = str_of(m->id),
		.body = str_of(m->body) };

	if (c == NULL)
		return row;
	row.revision = c->revision;
	row.edited_ms = c->time_ms;
	row.deleted = c->type == CHAT_DELETE;
	row.body = row.deleted ? str_of("") : str_of(c->text);
	return row;
}

static struct message_row *
message_at(struct world *w, uint64_t room, uint64_t seq)
{
	int i;

	for (i = 0; i < w->nmessages; i++) {
		if (w->message[i].room == room && w->message[i].seq == seq)
			return &w->message[i];
	}
	return NULL;
}

static void
decide_edit(struct world *w, struct stored *e)
{
	uint64_t seq = strtoull(e->field[2], NULL, 10);
	struct message_row *m = message_at(w, e->d.ev.room, seq);
	const struct change_row *was;
	struct change_row *c;

	e->d.outcome = CHAT_NOT_FOUND;
	e->d.seq = seq;
	if (m == NULL || strcmp(m->id, e->field[0]) != 0)
		return;
	was = change_of_message(w, m, UINT64_MAX);
	if (was != NULL && was->type == CHAT_DELETE)
		return;
	e->d.outcome = CHAT_FORBIDDEN;
	if (strcmp(m->user, w->users[e->d.ev.user - 100]) != 0 &&
	    (e->d.ev.flags & CHAT_F_SERVICE) == 0)
		return;
	e->d.outcome = CHAT_STORED;
	c = change_add(w, e, true);
	c->seq = seq;
	if (c->type == CHAT_EDIT) {
		assert_int_equal(strtoull(e->field[4], NULL, 10), m->time_ms);
		c->text = strdup(e->field[3]);
	}
}

static void
decide_receipt(struct world *w, struct stored *e)
{
	struct change_row item = { .type = CHAT_RECEIPT, .room = e->d.ev.room };
	const struct change_row *was;
	struct change_row *c;

	e->d.seq = strtoull(e->field[2], NULL, 10);
	if (e->d.seq > w->room[e->d.ev.room - 1].last) {
		e->d.outcome = CHAT_REJECTED;
		return;
	}
	snprintf(item.user, sizeof(item.user), "%s", e->field[1]);
	was = change_of_item(w, &item, UINT64_MAX);
	if (e->d.seq <= (was == NULL ? 0 : was->seq)) {
		e->d.outcome = CHAT_DUPLICATE;
		e->d.seq = was == NULL ? 0 : was->seq;
		e->d.revision = was == NULL ? 0 : was->revision;
		return;
	}
	c = change_add(w, e, true);
	c->seq = e->d.seq;
	memcpy(c->user, item.user, sizeof(c->user));
}

static void
decide_status(struct world *w, struct stored *e)
{
	struct change_row *c = change_add(w, e, false);

	c->text = strdup(e->field[0]);
	c->reason = strdup(e->field[1]);
}

static void
changes_free(struct world *w)
{
	int i;

	for (i = 0; i < w->nchanges; i++) {
		free(w->change[i].text);
		free(w->change[i].reason);
	}
}

#endif /* CHAT_CHANGES_FIXTURE_H */
