/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Retention: messages go from the front of a room.
 *
 * 'msg' and 'log' of a room are in the same order, so the log is trimmed up
 * to the same seq, whether or not both rows of a message can be read.
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define TRIM_MAX 512

/* What is to go, collected before anything moves. */
struct front {
	struct store_trim *trim;
	unsigned n;
	/* of them: decided to go; those behind are damaged, and go with the
	 * next one that is readable, or stay */
	unsigned sure;
	struct front_row {
		uint64_t seq;
		uint64_t gseq;
		uint64_t time_ms;
		uint64_t revision;
		bool sound;
	} row[TRIM_MAX];
};

static bool
may_go(const struct store_trim *trim, uint64_t seq, uint64_t time_ms)
{
	return seq < trim->below_seq || time_ms < trim->before_ms;
}

static int
look(struct store_txn *t, struct front *fr)
{
	struct store_trim *trim = fr->trim;
	struct store_message m;
	struct store_scan sc;
	struct store_key k;
	struct front_row *r;
	bool sound;
	int rc;

	store_room_key(&k, trim->room, 0);
	if (store_scan_begin(&sc, t, STORE_MSG, &k, 8, false) == -1)
		return -1;
	while (
	    (rc = store_scan_any(&sc, store_decode_message, &m, &sound)) == 1) {
		if (sc.key.mv_size != 16)
			continue;
		if (fr->n == trim->max || fr->n == TRIM_MAX) {
			trim->more = !sound || may_go(trim, m.seq, m.time_ms);
			break;
		}
		r = &fr->row[fr->n];
		memset(r, 0, sizeof(*r));
		r->sound = sound;
		r->seq = store_key_get(&sc.key, 8);
		/* the age of what is damaged is that of the next one */
		if (sound) {
			if (!may_go(trim, m.seq, m.time_ms))
				break;
			r->gseq = m.gseq;
			r->time_ms = m.time_ms;
			r->revision = m.revision;
		}
		fr->n++;
		if (sound || r->seq < trim->below_seq)
			fr->sure = fr->n;
	}
	store_scan_end(&sc);
	return rc == -1 ? -1 : 0;
}

/* --- ids --------------------------------------------------------------- */

struct ids {
	struct store_merged merged;
	bool known;
	bool changed;
};

/* The id of a message that goes is still a duplicate of what comes. */
static int
keep_id(struct store_txn *t, struct front *fr, const struct front_row *r,
    struct ids *ids)
{
	uint64_t room = fr->trim->room;
	char id[STORE_MAX_NAME];
	struct store_dedupe d = { .room = room,
		.seq = r->seq,
		.time_ms = r->time_ms };
	struct store_dedupe was;
	struct store_message m;

	if (store_message_get(t, room, r->seq, &m) == -1 ||
	    m.id.len > sizeof(id))
		return errno == EBADMSG || errno == ENOENT ? 0 : -1;
	memcpy(id, m.id.p, m.id.len);
	d.id.p = id;
	d.id.len = m.id.len;
	d.user = m.user;
	d.hash = XXH3_128bits(id, m.id.len).low64;
	if (store_dedupe_find(t, room, d.hash, d.id, &was) == 0 &&
	    was.seq == d.seq)
		return 0;
	if (t->err != 0)
		return -1;
	store_dedupe_put(t, &d);
	ids->merged.count++;
	ids->changed = true;
	fr->trim->ids_kept++;
	return 0;
}

static int
keep_ids(struct store_txn *t, struct front *fr)
{
	struct store_trim *trim = fr->trim;
	struct ids ids = { .merged.room = trim->room };
	const struct front_row *last;
	unsigned i;

	if (store_merged_get(t, trim->room, &ids.merged) == 0)
		ids.known = true;
	else if (errno != ENOENT && errno != EBADMSG)
		return -1;
	for (i = 0; i < fr->sure; i++)
		if (fr->row[i].sound &&
		    fr->row[i].time_ms >= trim->keep_ids_ms &&
		    keep_id(t, fr, &fr->row[i], &ids) == -1)
			return -1;
	last = &fr->row[fr->sure - 1];
	if ((ids.known || ids.changed) && last->seq > ids.merged.seq) {
		ids.merged.seq = last->seq;
		if (last->gseq > ids.merged.gseq)
			ids.merged.gseq = last->gseq;
		ids.changed = true;
	}
	if (ids.changed)
		store_merged_put(t, &ids.merged);
	return 0;
}

/* --- what goes --------------------------------------------------------- */

/* All of the room's log rows up to 'seq'; at most so many a call. */
static int
trim_log(struct store_txn *t, uint64_t room, uint64_t seq)
{
	uint64_t gone[2 * TRIM_MAX];
	unsigned n = 0, sure = 0, i;
	struct store_log log;
	struct store_scan sc;
	struct store_key k;
	bool sound;
	int rc = 0;

	store_room_key(&k, room, 0);
	if (store_scan_begin(&sc, t, STORE_LOG, &k, 8, false) == -1)
		return -1;
	while (n < 2 * TRIM_MAX &&
	    (rc = store_scan_any(&sc, store_decode_log, &log, &sound)) == 1) {
		if (sc.key.mv_size != 16)
			continue;
		if (sound && log.seq > seq)
			break;
		gone[n++] = store_key_get(&sc.key, 8);
		if (sound)
			sure = n;
	}
	store_scan_end(&sc);
	if (rc == -1)
		return -1;
	for (i = 0; i < sure; i++) {
		store_room_key(&k, room, gone[i]);
		(void)store_del(t, STORE_LOG, &k);
	}
	return 0;
}

static void
trim_messages(struct store_txn *t, struct front *fr)
{
	struct store_trim *trim = fr->trim;
	struct store_key k;
	unsigned i;

	for (i = 0; i < fr->sure; i++) {
		const struct front_row *r = &fr->row[i];

		store_room_key(&k, trim->room, r->seq);
		(void)store_del(t, STORE_MSG, &k);
		if (r->revision != 0) {
			store_room_key(&k, trim->room, r->revision);
			(void)store_del(t, STORE_CHANGE, &k);
		}
		if (r->revision > trim->floor.revision)
			trim->floor.revision = r->revision;
		if (r->time_ms > trim->floor.ms)
			trim->floor.ms = r->time_ms;
		if (r->seq > trim->floor.seq)
			trim->floor.seq = r->seq;
	}
	trim->removed = fr->sure;
}

int
store_trim(struct store_txn *t, struct store_trim *trim)
{
	struct front fr = { .trim = trim };

	trim->removed = trim->ids_kept = 0;
	trim->more = false;
	if (store_floor_get(t, trim->room, &trim->floor) == -1)
		return -1;
	if (look(t, &fr) == -1)
		return -1;
	if (fr.sure == 0)
		return 0;
	if (keep_ids(t, &fr) == -1)
		return -1;
	trim_messages(t, &fr);
	if (trim_log(t, trim->room, trim->floor.seq) == -1)
		return -1;
	if (store_floor_put(t, trim->room, &trim->floor) == -1)
		return -1;
	if (t->err != 0) {
		errno = t->err;
		return -1;
	}
	return 0;
}
