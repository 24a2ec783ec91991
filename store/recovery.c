/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'recovery':
 *
 *   pid 20   (kind: whole or partial)
 *       run 8, incarnation 4, client 4, generation 4, lost 8, user 8,
 *       socket id, user id, and to the end rooms:
 *           room 8, gseq 8, after 8, flags 1, agent
 *       version 2: behind the flags that say so a revision 8
 *
 * A row says 'lost' only about its own run.  When another has begun nobody
 * of the row's is there any more, and that is what is given out.
 */

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "store/env.h"

#define ROW_FIXED (8 + 4 + 4 + 4 + 8 + 8)
#define ROOM_FIXED (8 + 8 + 8 + 1)

enum row_kind {
	ROW_WHOLE,
	ROW_PARTIAL,
};

enum {
	ROOM_HAS_AFTER = 1 << 0,
	ROOM_PRESENT = 1 << 1,
	ROOM_HAS_REVISION = 1 << 2,
};

static bool
pid_key(struct store_key *k, struct store_text pid)
{
	store_key_begin(k);
	return pid.len == STORE_PID && store_key_bytes(k, pid.p, pid.len);
}

static void
take_room(struct store_fields *f, struct store_recovery_room *room)
{
	const uint8_t *flags;

	room->room = store_take_u64(f);
	room->gseq = store_take_u64(f);
	room->after_seq = store_take_u64(f);
	flags = store_take_raw(f, 1);
	room->has_after = flags != NULL && (*flags & ROOM_HAS_AFTER) != 0;
	room->present = flags != NULL && (*flags & ROOM_PRESENT) != 0;
	room->has_revision = flags != NULL && (*flags & ROOM_HAS_REVISION) != 0;
	room->after_revision = room->has_revision ? store_take_u64(f) : 0;
	room->agent = store_take_text(f);
}

/* Nobody of a former run is there. */
static void
bury(struct store_recovery *row, const struct store_run *run)
{
	unsigned i;

	if (row->run == run->base)
		return;
	for (i = 0; i < row->nrooms; i++)
		row->room[i].present = false;
	if (row->lost_ms == 0)
		row->lost_ms = run->begun_ms;
	/* 0 says that it is there */
	if (row->lost_ms == 0)
		row->lost_ms = 1;
}

/* As it was written: what another run means is bury()'s. */
bool
store_decode_recovery(struct store_txn *t, const MDB_val *key,
    const MDB_val *val, void *arg)
{
	struct store_recovery *row = arg;
	struct store_fields f;
	uint8_t kind;

	if (!store_value_open(t, STORE_RECOVERY, key, val, &f, &kind))
		return false;
	row->partial = kind == ROW_PARTIAL;
	row->run = store_take_u64(&f);
	row->incarnation = store_take_u32(&f);
	row->client = store_take_u32(&f);
	row->generation = store_take_u32(&f);
	row->lost_ms = store_take_u64(&f);
	row->user = store_take_u64(&f);
	row->socket = store_take_text(&f);
	row->user_id = store_take_text(&f);
	row->nrooms = 0;
	while (!f.bad && f.left > 0 && row->nrooms < STORE_RECOVERY_ROOMS)
		take_room(&f, &row->room[row->nrooms++]);
	if (row->nrooms == 0)
		f.bad = true;
	return store_value_done(t, &f);
}

/* The run that this transaction sees: 0, or -1 with errno. */
static int
current_run(struct store_txn *t, struct store_run *run_r)
{
	if (store_run_get(t, run_r) == 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	memset(run_r, 0, sizeof(*run_r));
	return 0;
}

int
store_recovery_get(struct store_txn *t, struct store_text pid,
    struct store_recovery *row_r)
{
	struct store_run run;
	struct store_key k;

	if (!pid_key(&k, pid)) {
		errno = ENOENT;
		return -1;
	}
	if (current_run(t, &run) == -1 ||
	    store_get_row(t, STORE_RECOVERY, &k, store_decode_recovery,
		row_r) == -1)
		return -1;
	bury(row_r, &run);
	return 0;
}

bool
store_recovery_usable(const struct store_recovery *row,
    struct store_text user_id, uint64_t now_ms, uint64_t window_ms)
{
	if (window_ms == 0 || row->partial || row->user_id.len != user_id.len ||
	    memcmp(row->user_id.p, user_id.p, user_id.len) != 0)
		return false;
	return !store_recovery_over(row, now_ms, window_ms);
}

bool
store_recovery_over(const struct store_recovery *row, uint64_t now_ms,
    uint64_t window_ms)
{
	/* the clock may have been set back */
	return row->lost_ms != 0 && now_ms > row->lost_ms &&
	    now_ms - row->lost_ms > window_ms;
}

/* --- writing ----------------------------------------------------------- */

static size_t
row_bytes(const struct store_recovery *row)
{
	size_t n = ROW_FIXED + 2 + row->socket.len + 2 + row->user_id.len;
	unsigned i;

	for (i = 0; i < row->nrooms; i++)
		n += ROOM_FIXED + (row->room[i].has_revision ? 8 : 0) + 2 +
		    row->room[i].agent.len;
	return n;
}

static void
add_room(struct store_fields *f, const struct store_recovery_room *room)
{
	uint8_t flags = 0;

	if (room->has_after)
		flags |= ROOM_HAS_AFTER;
	if (room->present)
		flags |= ROOM_PRESENT;
	if (room->has_revision)
		flags |= ROOM_HAS_REVISION;
	store_add_u64(f, room->room);
	store_add_u64(f, room->gseq);
	store_add_u64(f, room->after_seq);
	store_add_raw(f, &flags, 1);
	if (room->has_revision)
		store_add_u64(f, room->after_revision);
	store_add_text(f, room->agent);
}

void
store_recovery_put(struct store_txn *t, struct store_text pid,
    const struct store_recovery *row)
{
	struct store_put put;
	struct store_key k;
	unsigned i;

	CHECK(row->nrooms > 0 && row->nrooms <= STORE_RECOVERY_ROOMS);
	if (!pid_key(&k, pid)) {
		store_fail(t, EINVAL);
		return;
	}
	store_put_begin(t, STORE_RECOVERY, &k,
	    row->partial ? ROW_PARTIAL : ROW_WHOLE, row_bytes(row), false,
	    &put);
	store_add_u64(&put.f, row->run);
	store_add_u32(&put.f, row->incarnation);
	store_add_u32(&put.f, row->client);
	store_add_u32(&put.f, row->generation);
	store_add_u64(&put.f, row->lost_ms);
	store_add_u64(&put.f, row->user);
	store_add_text(&put.f, row->socket);
	store_add_text(&put.f, row->user_id);
	for (i = 0; i < row->nrooms; i++) {
		add_room(&put.f, &row->room[i]);
		if (row->room[i].has_revision)
			put.version = 2;
	}
	store_put_end(&put);
}

void
store_recovery_del(struct store_txn *t, struct store_text pid)
{
	struct store_key k;

	if (pid_key(&k, pid))
		(void)store_del(t, STORE_RECOVERY, &k);
}

struct walk {
	struct store_run run;
	store_recovery_fn *fn;
	void *arg;
};

static bool
walk_row(const MDB_val *key, bool sound, void *row, void *arg)
{
	struct store_text pid = { key->mv_data, key->mv_size };
	const struct walk *w = arg;

	if (sound)
		bury(row, &w->run);
	return w->fn(pid, sound ? row : NULL, w->arg);
}

int
store_recovery_walk(struct store_txn *t, struct store_place *place,
    unsigned max, store_recovery_fn *fn, void *arg)
{
	struct walk w = { .fn = fn, .arg = arg };
	struct store_recovery row;
	struct store_walk walk = { .table = STORE_RECOVERY,
		.max = max,
		.decode = store_decode_recovery,
		.row = &row,
		.fn = walk_row,
		.arg = &w };

	if (current_run(t, &w.run) == -1)
		return -1;
	return store_walk(t, place, &walk);
}
