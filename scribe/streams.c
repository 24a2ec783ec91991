/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/streams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "shm/stream.h"

#define LOOK_NS CLOCK_S_NS
/* so long batches may take them along, before they have their own commit */
#define GRACE_NS (200 * CLOCK_MS_NS)
/* after the store could not take them */
#define FAILED_NS (10 * CLOCK_S_NS)
/* streams and bytes of text that a batch takes along; a commit of its own */
#define RIDE_STREAMS 64
#define RIDE_BYTES ((size_t)128 << 10)
#define OWN_STREAMS 256
#define OWN_BYTES ((size_t)512 << 10)
/* streams that are gone: each may have many pieces */
#define RIDE_GONE 16
#define OWN_GONE 256
/* at the end: they hold all that stream.memory usually has */
#define STOP_COMMITS 256
/* a piece that is smaller is replaced by a longer one: it fits in a leaf */
#define PIECE_BYTES 1800
/* rows of the store that are looked at together, at the start */
#define WALK 256

#define BUF_BYTES (STREAM_MAX_TEXT + STREAM_MAX_HEAD + STREAM_MAX_TAIL)

/* What is known of the stream in a row of the table. */
struct known {
	bool used;
	/* there is something of it in the store ... */
	bool in_store;
	/* ... and what is told below */
	bool whole;
	bool queued;
	uint32_t generation;
	uint64_t seen;
	uint64_t room;
	uint32_t id_len;
	char id[STREAM_MAX_ID];
	/* index of the chunk behind what is stored, and the tail's number */
	uint64_t next;
	uint32_t tails;
	/* bytes of text; the last piece and where it begins */
	uint32_t bytes;
	uint32_t piece, piece_at;
};

/* A stream that is gone. */
struct gone {
	uint64_t room;
	uint32_t id_len;
	char id[STREAM_MAX_ID];
};

struct streams_store {
	const struct tables *tables;
	struct store *store;
	/* which run of the daemon this is; 0: not looked up */
	uint64_t run;
	/* by row */
	struct known *known;
	uint32_t nknown;
	uint64_t serial;
	/* rows to be written: a ring buffer of nknown places */
	uint32_t *queue;
	uint32_t first, queued;
	struct gone *gone;
	size_t ngone, gone_cap;

	/* the transaction under way: what it made of the first rows in the
	 * queue, and how many that are gone it has deleted */
	struct known *done;
	uint32_t ndone;
	size_t ngone_done;

	/* what a predecessor stored is compared with what runs */
	struct store_place place;
	uint64_t look_ns, due_ns, wait_ns;
	uint64_t now_ms, now_ns;
	bool failing;
	uint64_t told;
	uint64_t puts;
	char *buf;
};

struct streams_store *
streams_store_new(const struct tables *t, struct store *s)
{
	uint32_t n = stream_rows(t);
	struct streams_store *ss;

	if ((ss = calloc(1, sizeof(*ss))) == NULL)
		return NULL;
	ss->tables = t;
	ss->store = s;
	ss->nknown = n;
	ss->known = calloc(n + 1, sizeof(*ss->known));
	ss->queue = calloc(n + 1, sizeof(*ss->queue));
	ss->done = calloc(OWN_STREAMS, sizeof(*ss->done));
	ss->buf = malloc(BUF_BYTES);
	if (ss->known == NULL || ss->queue == NULL || ss->done == NULL ||
	    ss->buf == NULL) {
		streams_store_free(&ss);
		errno = ENOMEM;
	}
	return ss;
}

void
streams_store_free(struct streams_store **ss)
{
	if (*ss == NULL)
		return;
	free((*ss)->known);
	free((*ss)->queue);
	free((*ss)->done);
	free((*ss)->gone);
	free((*ss)->buf);
	free(*ss);
	*ss = NULL;
}

uint64_t
streams_store_puts(const struct streams_store *ss)
{
	return ss->puts;
}

/* --- what runs ------------------------------------------------------------ */

static bool
bury(struct streams_store *ss, uint64_t room, const char *id, size_t len)
{
	struct gone *g;
	size_t cap;

	if (ss->ngone == ss->gone_cap) {
		cap = ss->gone_cap == 0 ? 64 : 2 * ss->gone_cap;
		if ((g = realloc(ss->gone, cap * sizeof(*g))) == NULL)
			return false;
		ss->gone = g;
		ss->gone_cap = cap;
	}
	g = &ss->gone[ss->ngone++];
	g->room = room;
	g->id_len = (uint32_t)len;
	memcpy(g->id, id, len);
	return true;
}

/* The row's stream is gone: forget it.  False: not now. */
static bool
forget(struct streams_store *ss, struct known *k)
{
	bool queued = k->queued;

	if (k->in_store && !bury(ss, k->room, k->id, k->id_len))
		return false;
	memset(k, 0, sizeof(*k));
	/* its place in the queue is the next one's */
	k->queued = queued;
	return true;
}

static struct known *
know(struct streams_store *ss, const struct stream_ref *r, uint64_t room)
{
	struct known *k = &ss->known[r->row];
	struct stream_names names;

	if (r->row >= ss->nknown)
		return NULL;
	if (k->used && k->generation == r->generation)
		return k;
	if (stream_names(ss->tables, r, &names) == -1 || !forget(ss, k))
		return NULL;
	k->used = true;
	k->generation = r->generation;
	k->room = room;
	k->id_len = names.id_len;
	memcpy(k->id, names.id, names.id_len);
	return k;
}

static void
look_at(const struct stream_ref *r, const struct stream_info *info, void *arg)
{
	struct streams_store *ss = arg;
	struct known *k;

	if ((k = know(ss, r, info->room)) == NULL)
		return;
	k->seen = ss->serial;
	if (k->queued || info->at.bytes == 0 ||
	    (k->whole && k->next == info->at.next && k->tails == info->tails))
		return;
	k->queued = true;
	ss->queue[(ss->first + ss->queued++) % ss->nknown] = r->row;
}

static void
look(struct streams_store *ss)
{
	struct known *k;
	uint32_t i;

	ss->serial++;
	stream_each(ss->tables, 0, look_at, ss);
	for (i = 0; i < stream_rows_used(ss->tables); i++) {
		k = &ss->known[i];
		if (k->used && k->seen != ss->serial)
			(void)forget(ss, k);
	}
}

/* --- writing -------------------------------------------------------------- */

static struct store_text
id_of(const struct known *k)
{
	return (struct store_text){ k->id, k->id_len };
}

/* How the stream began: 0, or -1 it has ended. */
static int
put_row(struct streams_store *ss, struct store_txn *t,
    const struct stream_ref *r, const struct known *k,
    const struct stream_info *info)
{
	char *head = ss->buf, *tail = ss->buf + STREAM_MAX_HEAD;
	struct stream_names n;
	struct store_stream st;
	int hlen, tlen;

	hlen = stream_head(ss->tables, r, head, STREAM_MAX_HEAD);
	tlen = stream_tail(ss->tables, r, tail, STREAM_MAX_TAIL);
	if (hlen == -1 || tlen == -1 || stream_names(ss->tables, r, &n) == -1)
		return -1;
	st = (struct store_stream){ .room = k->room,
		.id = id_of(k),
		.user = info->user,
		.time_ms = ss->now_ms,
		.run = ss->run,
		.begun_ms = info->begun_ms,
		.user_id = { n.user_id, n.user_id_len },
		.user_name = { n.user_name, n.user_name_len },
		.agent = { n.agent_id, n.agent_id_len },
		.head = { head, (size_t)hlen },
		.tail = { tail, (size_t)tlen } };
	if (!k->whole)
		(void)store_stream_del(t, k->room, id_of(k));
	store_stream_put(t, &st);
	ss->puts++;
	return 0;
}

/* When the last chunk came, by the wall clock. */
static uint64_t
active_ms(const struct streams_store *ss, const struct stream_info *info)
{
	uint64_t ago = 0;

	if (ss->now_ns > info->active_ns)
		ago = (ss->now_ns - info->active_ns) / CLOCK_MS_NS;
	return ss->now_ms > ago ? ss->now_ms - ago : 0;
}

static int
put_text(struct streams_store *ss, struct store_txn *t,
    const struct stream_ref *r, struct known *k, const struct stream_info *info)
{
	struct store_piece p = { .next = info->at.next };

	if (k->piece == 0 || k->bytes - k->piece_at >= PIECE_BYTES) {
		k->piece++;
		k->piece_at = k->bytes;
	}
	if (stream_copy(ss->tables, r, k->piece_at, info->at.bytes, ss->buf) ==
	    -1)
		return -1;
	p.no = k->piece;
	p.start = k->piece_at;
	p.time_ms = active_ms(ss, info);
	p.text = (struct store_text){ ss->buf, info->at.bytes - k->piece_at };
	store_piece_put(t, k->room, id_of(k), &p);
	ss->puts++;
	k->bytes = info->at.bytes;
	k->next = info->at.next;
	return 0;
}

/* Its row is gone: what comes now is its end, and no text. */
static bool
message_took_it(struct store_txn *t, const struct known *k)
{
	struct store_stream st;

	return store_stream_get(t, k->room, id_of(k), &st) == -1 &&
	    errno == ENOENT;
}

/* What is new of one stream; *k is as it will be when that is committed. */
static void
put_stream(struct streams_store *ss, struct store_txn *t, uint32_t row,
    struct known *k)
{
	struct stream_ref r = { row, k->generation, 0 };
	struct stream_info info;

	if (!k->used || stream_info(ss->tables, &r, &info) == -1)
		return;
	if (!k->whole) {
		k->piece = k->piece_at = k->bytes = 0;
		k->next = 0;
	}
	if (k->whole && message_took_it(t, k)) {
		k->in_store = false;
		k->next = info.at.next;
		k->tails = info.tails;
		return;
	}
	if (!k->whole || k->tails != info.tails) {
		if (put_row(ss, t, &r, k, &info) == -1)
			return;
		k->in_store = k->whole = true;
		k->tails = info.tails;
	}
	if (k->next != info.at.next)
		(void)put_text(ss, t, &r, k, &info);
	FAULT(STREAMS_PUT);
}

static void
put_some(struct streams_store *ss, struct store_txn *t, uint32_t max,
    size_t max_bytes, size_t max_gone)
{
	size_t bytes = 0;
	struct known *k;
	uint32_t row;

	/* a stream with the same id may have begun since */
	for (; ss->ngone_done < ss->ngone && ss->ngone_done < max_gone;
	     ss->ngone_done++) {
		const struct gone *g = &ss->gone[ss->ngone_done];

		(void)store_stream_del(t, g->room,
		    (struct store_text){ g->id, g->id_len });
		FAULT(STREAMS_GONE);
	}
	if (ss->ngone_done < ss->ngone)
		return;
	while (ss->ndone < max && ss->ndone < ss->queued && bytes < max_bytes &&
	    store_error(t) == 0) {
		row = ss->queue[(ss->first + ss->ndone) % ss->nknown];
		k = &ss->done[ss->ndone++];
		*k = ss->known[row];
		bytes -= k->bytes;
		put_stream(ss, t, row, k);
		bytes += k->bytes;
	}
}

static int
learn_run(struct streams_store *ss, struct store_txn *t)
{
	struct store_run run = { .base = 0 };

	if (ss->run == 0 && store_run_get(t, &run) == 0)
		ss->run = run.base;
	return ss->run == 0 ? -1 : 0;
}

static bool
nothing_to_do(const struct streams_store *ss)
{
	return ss->queued == 0 && ss->ngone == 0;
}

void
streams_store_ride(void *arg, struct store_txn *t)
{
	struct streams_store *ss = arg;

	ss->ndone = 0;
	ss->ngone_done = 0;
	if (nothing_to_do(ss) || ss->failing || learn_run(ss, t) == -1)
		return;
	put_some(ss, t, RIDE_STREAMS, RIDE_BYTES, RIDE_GONE);
}

void
streams_store_rode(void *arg, bool committed)
{
	struct streams_store *ss = arg;
	uint32_t i, row;

	if (!committed) {
		if (ss->ndone > 0 || ss->ngone_done > 0) {
			ss->failing = true;
			ss->wait_ns = clock_mono_ns() + FAILED_NS;
		}
		ss->ndone = 0;
		ss->ngone_done = 0;
		return;
	}
	for (i = 0; i < ss->ndone; i++) {
		row = ss->queue[ss->first];
		ss->done[i].queued = false;
		ss->known[row] = ss->done[i];
		ss->first = (ss->first + 1) % ss->nknown;
		ss->queued--;
	}
	ss->ngone -= ss->ngone_done;
	if (ss->ngone_done > 0)
		memmove(ss->gone, ss->gone + ss->ngone_done,
		    ss->ngone * sizeof(*ss->gone));
	ss->ndone = 0;
	ss->ngone_done = 0;
}

/* --- what a predecessor stored -------------------------------------------- */

static bool
compare(const struct store_stream *st, void *arg)
{
	struct streams_store *ss = arg;
	struct stream_ref r;
	struct known *k;

	/* those of former runs are a worker's */
	if (st->run != ss->run || st->id.len > STREAM_MAX_ID)
		return true;
	if (stream_find(ss->tables, st->room, st->id.p, st->id.len, &r) == -1)
		return bury(ss, st->room, st->id.p, st->id.len);
	if ((k = know(ss, &r, st->room)) != NULL && !k->whole)
		k->in_store = true;
	return true;
}

static void
compare_some(struct streams_store *ss)
{
	struct store_txn *t;

	if ((t = store_snapshot(ss->store)) == NULL)
		return;
	if (learn_run(ss, t) == 0 &&
	    store_stream_walk(t, &ss->place, WALK, compare, ss) == -1) {
		log_error_errno("streams cannot be read");
		ss->place.done = true;
	}
	store_snapshot_end(&t);
}

/* --- turns ---------------------------------------------------------------- */

static int
own_commit(struct streams_store *ss)
{
	struct store_txn *t;
	int rc = 0;

	if ((t = store_begin(ss->store)) == NULL) {
		ss->failing = true;
		ss->wait_ns = ss->now_ns + FAILED_NS;
		return errno == ENOTRECOVERABLE ? -1 : 0;
	}
	ss->ndone = 0;
	ss->ngone_done = 0;
	if (learn_run(ss, t) == 0)
		put_some(ss, t, OWN_STREAMS, OWN_BYTES, OWN_GONE);
	FAULT(STREAMS_COMMIT);
	if (store_commit(&t) == -1) {
		if (log_due(&ss->told))
			log_warn_errno("streams in progress are not stored");
		rc = errno == ENOTRECOVERABLE ? -1 : 0;
		streams_store_rode(ss, false);
		return rc;
	}
	FAULT(STREAMS_COMMITTED);
	streams_store_rode(ss, true);
	return 0;
}

int
streams_store_turn(struct streams_store *ss, uint64_t now_ns, uint64_t now_ms)
{
	ss->now_ns = now_ns;
	ss->now_ms = now_ms;
	if (now_ns < ss->wait_ns)
		return 0;
	ss->failing = false;
	if (now_ns >= ss->look_ns) {
		if (!ss->place.done)
			compare_some(ss);
		look(ss);
		ss->look_ns = now_ns + LOOK_NS;
		ss->due_ns = nothing_to_do(ss) ? UINT64_MAX : now_ns + GRACE_NS;
	}
	if (now_ns < ss->due_ns || nothing_to_do(ss))
		return 0;
	ss->due_ns = UINT64_MAX;
	return own_commit(ss);
}

void
streams_store_stop(struct streams_store *ss, uint64_t now_ns, uint64_t now_ms)
{
	unsigned commits;

	ss->now_ns = now_ns;
	ss->now_ms = now_ms;
	look(ss);
	for (commits = 0; commits < STOP_COMMITS; commits++)
		if (nothing_to_do(ss) || own_commit(ss) == -1 || ss->failing)
			return;
}

uint64_t
streams_store_next(const struct streams_store *ss, uint64_t now_ns)
{
	uint64_t next = ss->look_ns;

	/* nobody may be left for that, if batches took them all */
	if (!nothing_to_do(ss) && ss->due_ns < next)
		next = ss->due_ns;
	if (next < ss->wait_ns)
		next = ss->wait_ns;
	return next > now_ns ? next : now_ns;
}
