/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/steer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "scribe/sequence_impl.h"

/* digits of a number, and its NUL */
#define NUMBER_MAX 24

/* The fields of a STEER (shm/record.h). */
enum {
	F_ACTION,
	F_USER,
	F_ID,
	F_UNTIL,
	F_REASON,
	F_BY,
	F_WORKSPACE,
	F_SESSION,
};

struct action {
	const char *name;
	/* enum store_ban_kind; 0: it leaves no row */
	unsigned kind;
	/* whom it is about */
	unsigned field;
	bool removes;
	/* it is of use for a moment only */
	bool brief;
};

static const struct action actions[] = {
	{ "ban", STORE_BAN_BAN, F_USER, false, false },
	{ "unban", STORE_BAN_BAN, F_USER, true, false },
	{ "mute", STORE_BAN_MUTE, F_USER, false, false },
	{ "unmute", STORE_BAN_MUTE, F_USER, true, false },
	{ "revoke-token", STORE_BAN_TOKEN, F_ID, false, false },
	{ "revoke-user", STORE_BAN_USER, F_USER, false, false },
	{ "kick", STORE_BAN_KICK, F_USER, false, true },
	{ "kick-socket", STORE_BAN_KICK_SOCKET, F_ID, false, true },
	{ "broadcast", 0, F_ID, false, true },
};

static const struct action *
find_action(struct store_text name)
{
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strlen(actions[i].name) == name.len &&
		    memcmp(actions[i].name, name.p, name.len) == 0)
			return &actions[i];
	}
	return NULL;
}

/* In decimal; an empty one is 'otherwise'. */
static bool
read_number(struct store_text text, uint64_t otherwise, uint64_t *n_r)
{
	char copy[NUMBER_MAX];
	size_t i;

	if (text.len == 0) {
		*n_r = otherwise;
		return true;
	}
	if (text.len >= sizeof(copy))
		return false;
	for (i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		copy[i] = text.p[i];
	}
	copy[i] = '\0';
	errno = 0;
	*n_r = strtoull(copy, NULL, 10);
	return errno == 0;
}

static bool
make_row(const struct sequence *q, const struct sequence_event *ev,
    const struct action *a, struct store_ban *row_r)
{
	row_r->kind = a->kind;
	row_r->id = event_text(ev, a->field);
	row_r->gseq = ev->gseq;
	row_r->reason = event_text(ev, F_REASON);
	row_r->by = event_text(ev, F_BY);
	row_r->since_ms = q->now_ms;
	if (row_r->id.len == 0 || row_r->id.len > STORE_MAX_NAME ||
	    row_r->reason.len > UINT16_MAX || row_r->by.len > UINT16_MAX ||
	    !read_number(event_text(ev, F_UNTIL), UINT64_MAX, &row_r->until_ms))
		return false;
	if (a->brief)
		row_r->until_ms = q->now_ms + STEER_KICK_MS;
	/* when it was asked for: the same again must not revoke more */
	return a->kind != STORE_BAN_USER ||
	    read_number(event_text(ev, F_ID), q->now_ms, &row_r->since_ms);
}

bool
steer_has_kicked(const struct sequence *q, const struct store_recovery *row)
{
	const struct {
		unsigned kind;
		struct store_text id;
	} whom[] = { { STORE_BAN_KICK, row->user_id },
		{ STORE_BAN_KICK_SOCKET, row->socket } };
	struct store_ban kick;
	unsigned i, k;

	for (i = 0; i < 2; i++) {
		if (store_ban_get(q->t, whom[i].kind, whom[i].id, &kick) ==
			-1 ||
		    kick.until_ms <= q->now_ms)
			continue;
		for (k = 0; k < row->nrooms; k++)
			if (row->room[k].gseq < kick.gseq)
				return true;
	}
	return false;
}

static enum ring_verdict
remove_row(struct sequence *q, const struct sequence_event *ev,
    const struct store_ban *row)
{
	/* one that was published again may have been done before */
	if (!store_ban_del(q->t, row->kind, row->id))
		return ev->h->flags & RECORD_F_AGAIN ? RING_DUPLICATE
						     : RING_NOT_FOUND;
	q->dirty = true;
	return RING_STORED;
}

enum ring_verdict
steer_decide(struct sequence *q, const struct sequence_event *ev)
{
	const struct action *a = find_action(event_text(ev, F_ACTION));
	struct store_ban row;

	ev->ix->room = ev->ix->user = 0;
	if (a == NULL || !make_row(q, ev, a, &row)) {
		q->counts.bad++;
		return RING_REJECTED;
	}
	if (q->refuse)
		return a->brief ? RING_STORED : RING_STORE_UNAVAILABLE;
	if (a->kind == 0)
		return RING_STORED;
	if (a->removes)
		return remove_row(q, ev, &row);
	store_ban_put(q->t, &row);
	FAULT(SEQ_STEER);
	q->dirty = true;
	return RING_STORED;
}

/* --- what has ended ----------------------------------------------------- */

void
steer_sweep_init(struct steer_sweep *sw, struct store *s)
{
	memset(sw, 0, sizeof(*sw));
	sw->store = s;
}

uint64_t
steer_sweep_next(const struct steer_sweep *sw)
{
	return sw->next_ns;
}

/* One transaction; 0, or -1 with errno. */
static int
slice(struct steer_sweep *sw, uint64_t now_ms)
{
	struct store_place place = sw->place;
	unsigned removed = 0;
	struct store_txn *t;
	int rc, err;

	if ((t = store_begin(sw->store)) == NULL)
		return -1;
	rc = store_ban_sweep(t, &place, now_ms, &removed);
	FAULT(STEER_SWEEP);
	if (rc == 0 && removed > 0)
		rc = store_commit(&t);
	err = errno;
	store_abort(&t);
	errno = err;
	if (rc == -1)
		return -1;
	sw->place = place;
	sw->removed += removed;
	return 0;
}

int
steer_sweep_turn(struct steer_sweep *sw, uint64_t now_ns, uint64_t now_ms)
{
	sw->next_ns = now_ns + STEER_SLICE_NS;
	if (slice(sw, now_ms) == -1) {
		/* a page that cannot be read: from the front, next time */
		if (errno != EUCLEAN)
			return -1;
		sw->place.done = true;
	}
	if (sw->place.done) {
		memset(&sw->place, 0, sizeof(sw->place));
		sw->next_ns = now_ns + STEER_PASS_NS;
	}
	return 0;
}
