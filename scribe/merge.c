/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/fault.h"
#include "common/log.h"

/* messages of one page */
#define PAGE 256

void
merge_init(struct merge *m, struct store *s)
{
	memset(m, 0, sizeof(*m));
	m->store = s;
	m->max_runs = MERGE_RUNS;
}

void
merge_stop(struct merge *m)
{
	free(m->id);
	m->id = NULL;
	m->n = m->cap = m->done = 0;
	m->nruns = 0;
	m->room = 0;
}

void
merge_clear(struct merge *m)
{
	merge_stop(m);
}

bool
merge_active(const struct merge *m)
{
	return m->room != 0;
}

uint64_t
merge_count(const struct merge *m)
{
	return m->put;
}

/* Where the room stands: 0, or -1 with errno. */
static int
look(struct merge *m, struct store_txn *t, uint64_t room)
{
	struct store_floor floor = { .seq = 0 };
	struct store_room row;

	memset(&m->from, 0, sizeof(m->from));
	m->from.room = room;
	if (store_merged_get(t, room, &m->from) == -1 && errno != ENOENT)
		return -1;
	if (store_room_get(t, room, &row) == 0)
		floor = row.floor;
	else if (errno != EBADMSG)
		return -1;
	/* those that retention removed it has put itself */
	m->next_seq = (m->from.seq > floor.seq ? m->from.seq : floor.seq) + 1;
	return store_last_seq(t, room, &m->target);
}

int
merge_begin(struct merge *m, uint64_t room, uint64_t since_ms)
{
	struct store_txn *t;
	int rc, err;

	merge_stop(m);
	if ((t = store_snapshot(m->store)) == NULL)
		return -1;
	rc = look(m, t, room);
	err = errno;
	store_snapshot_end(&t);
	errno = err;
	if (rc == -1)
		return -1;
	FAULT(MERGE_BEGIN);
	m->room = room;
	m->since_ms = since_ms;
	m->target_gseq = m->from.gseq;
	m->gathered = false;
	return 0;
}

/* --- gathering --------------------------------------------------------- */

static int
add(struct merge *m, const struct store_message *msg)
{
	struct merge_id *id;
	size_t cap;

	m->target_gseq = msg->gseq;
	if (msg->time_ms < m->since_ms)
		return 0;
	if (m->n == m->cap) {
		cap = m->cap == 0 ? PAGE : m->cap * 2;
		if ((id = reallocarray(m->id, cap, sizeof(*id))) == NULL)
			return -1;
		m->id = id;
		m->cap = cap;
	}
	/* the same that the publisher put into the record */
	m->id[m->n].hash = XXH3_128bits(msg->id.p, msg->id.len).low64;
	m->id[m->n++].seq = msg->seq;
	return 0;
}

static int
by_hash(const void *a, const void *b)
{
	const struct merge_id *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* One page; *more_r: there is another before the target. */
static int
gather_page(struct merge *m, struct store_txn *t, bool *more_r)
{
	struct store_message msg[PAGE];
	struct store_query q = { .room = m->room,
		.from = m->next_seq,
		.count = PAGE };
	unsigned i, n;

	if (store_page(t, &q, msg, &n, more_r) == -1)
		return -1;
	for (i = 0; i < n && msg[i].seq <= m->target; i++) {
		if (add(m, &msg[i]) == -1)
			return -1;
		m->next_seq = msg[i].seq + 1;
	}
	if (i < n || m->next_seq > m->target)
		*more_r = false;
	return 0;
}

/* What was read since the last run is one. */
static void
end_run(struct merge *m, bool *more)
{
	size_t begin = m->nruns == 0 ? 0 : m->run[m->nruns - 1].end;

	if (m->n > begin) {
		qsort(&m->id[begin], m->n - begin, sizeof(*m->id), by_hash);
		m->run[m->nruns].next = begin;
		m->run[m->nruns++].end = m->n;
	}
	if (*more && m->nruns == m->max_runs) {
		m->target = m->next_seq - 1;
		*more = false;
	}
}

static int
gather(struct merge *m)
{
	struct store_txn *t;
	bool more = true;
	unsigned i;
	int rc = 0, err;

	if ((t = store_snapshot(m->store)) == NULL)
		return -1;
	for (i = 0; rc == 0 && more && i < MERGE_READ; i += PAGE)
		rc = gather_page(m, t, &more);
	err = errno;
	store_snapshot_end(&t);
	errno = err;
	if (rc == -1)
		return -1;
	end_run(m, &more);
	m->gathered = !more;
	return 0;
}

/* --- putting ----------------------------------------------------------- */

/* The message's own row holds all of it. */
static int
put_one(struct merge *m, struct store_txn *t, const struct merge_id *id)
{
	char text[STORE_MAX_NAME];
	struct store_message msg;
	struct store_dedupe d = { .room = m->room,
		.hash = id->hash,
		.seq = id->seq };

	if (store_message_get(t, m->room, id->seq, &msg) == -1) {
		/* retention took it, and has put its id; or nobody can read
		 * it any more */
		if (errno == ENOENT || errno == EBADMSG)
			return 0;
		return -1;
	}
	if (msg.id.len > sizeof(text))
		return 0;
	/* the store's own text moves with a put */
	memcpy(text, msg.id.p, msg.id.len);
	d.time_ms = msg.time_ms;
	d.user = msg.user;
	d.id.p = text;
	d.id.len = msg.id.len;
	store_dedupe_put(t, &d);
	return 0;
}

/* The least one that is left; there is one. */
static const struct merge_id *
next_id(struct merge *m)
{
	struct merge_run *least = NULL, *run;
	unsigned i;

	for (i = 0; i < m->nruns; i++) {
		run = &m->run[i];
		if (run->next < run->end &&
		    (least == NULL ||
			m->id[run->next].hash < m->id[least->next].hash))
			least = run;
	}
	CHECK(least != NULL);
	return &m->id[least->next++];
}

/* What retention has added to the count meanwhile stays in it. */
static int
put_merged(struct merge *m, struct store_txn *t)
{
	struct store_merged now = { .room = m->room };

	if (store_merged_get(t, m->room, &now) == -1 && errno != ENOENT)
		return -1;
	/* retention may have come further */
	if (m->target > now.seq) {
		now.seq = m->target;
		now.gseq = m->target_gseq;
	}
	now.count += m->n;
	store_merged_put(t, &now);
	m->from = now;
	return 0;
}

static int
put(struct merge *m, unsigned max)
{
	size_t end = m->n - m->done > max ? m->done + max : m->n, i;
	struct store_txn *t;
	int rc = 0, err;

	if ((t = store_begin(m->store)) == NULL)
		return -1;
	for (i = m->done; rc == 0 && i < end; i++)
		rc = put_one(m, t, next_id(m));
	FAULT(MERGE_PUT);
	if (rc == 0 && end == m->n)
		rc = put_merged(m, t);
	if (rc == 0)
		rc = store_commit(&t);
	err = errno;
	store_abort(&t);
	errno = err;
	if (rc == -1)
		return -1;
	m->put += end - m->done;
	m->done = end;
	return end == m->n;
}

int
merge_slice(struct merge *m, struct rooms *rs, unsigned max)
{
	int rc, err;

	rc = m->gathered ? put(m, max) : gather(m);
	if (rc == 0)
		return 0;
	FAULT(MERGE_DONE);
	if (rc == 1)
		rooms_merged(rs, m->room, m->from.seq, m->from.count);
	err = errno;
	merge_stop(m);
	errno = err;
	return rc;
}
