/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * scribe_edit - scribe_fixture.h with edits, deletions, receipts and status.
 */

#ifndef TESTS_UNIT_SCRIBE_EDIT_H
#define TESTS_UNIT_SCRIBE_EDIT_H

#include <stdio.h>

#include "store/rows.h"
#include "tests/unit/scribe_fixture.h"

/* 'in' is the verdict of the message. */
static inline uint64_t
fix_edit(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const struct ring_index *in, const char *id, const char *body,
    unsigned flags)
{
	char seq[24], time[24];
	const char *const fields[] = { id, "sock", seq, body, time };
	struct record h = { .type = RECORD_EDIT,
		.flags = (uint16_t)flags,
		.room = room,
		.user = user };

	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)in->seq);
	snprintf(time, sizeof(time), "%llu", (unsigned long long)in->time_ms);
	return fix_publish(f, &h, fields, 5);
}

static inline struct ring_index
fix_edited(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const struct ring_index *in, const char *id, const char *body,
    unsigned flags)
{
	return fix_decided(f, fix_edit(f, room, user, in, id, body, flags));
}

static inline uint64_t
fix_delete(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const struct ring_index *in, const char *id, unsigned flags)
{
	char seq[24];
	const char *const fields[] = { id, "sock", seq };
	struct record h = { .type = RECORD_DELETE,
		.flags = (uint16_t)flags,
		.room = room,
		.user = user };

	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)in->seq);
	return fix_publish(f, &h, fields, 3);
}

static inline struct ring_index
fix_deleted(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const struct ring_index *in, const char *id, unsigned flags)
{
	return fix_decided(f, fix_delete(f, room, user, in, id, flags));
}

static inline uint64_t
fix_receipt(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const char *seq, unsigned flags)
{
	const char *const fields[] = { "sock", "u", seq };
	struct record h = { .type = RECORD_RECEIPT,
		.flags = (uint16_t)flags,
		.room = room,
		.user = user };

	return fix_publish(f, &h, fields, 3);
}

static inline struct ring_index
fix_read(struct scribe_fixture *f, uint64_t room, uint64_t user,
    const char *seq, unsigned flags)
{
	return fix_decided(f, fix_receipt(f, room, user, seq, flags));
}

static inline struct ring_index
fix_status(struct scribe_fixture *f, uint64_t room, const char *status,
    const char *reason, unsigned flags)
{
	const char *const fields[] = { status, reason, "op", "w", "s" };
	struct record h = { .type = RECORD_STATUS,
		.flags = (uint16_t)flags,
		.room = room };

	return fix_decided(f, fix_publish(f, &h, fields, 5));
}

/* A message as it is in the store; its texts are gone. */
static inline struct store_message
fix_stored(struct scribe_fixture *f, uint64_t room, uint64_t seq)
{
	struct store_message m;
	struct store_txn *t;

	if ((t = store_snapshot(f->st.s)) == NULL ||
	    store_message_get(t, room, seq, &m) == -1)
		abort();
	store_snapshot_end(&t);
	return m;
}

static inline bool
fix_count_change(const struct store_change *c, void *arg)
{
	++*(unsigned *)arg;
	return c->revision > 0;
}

/* How many items of the room have been changed. */
static inline unsigned
fix_changes(struct scribe_fixture *f, uint64_t room)
{
	struct store_txn *t;
	unsigned n = 0;

	if ((t = store_snapshot(f->st.s)) == NULL ||
	    store_change_each(t, room, 0, fix_count_change, &n) == -1)
		abort();
	store_snapshot_end(&t);
	return n;
}

#endif /* TESTS_UNIT_SCRIBE_EDIT_H */
