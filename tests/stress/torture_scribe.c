/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The tortured scribe: reads, decides, commits, publishes what is durable,
 * keeps the gate; now and then publishes records of its own.
 */

#include <sys/prctl.h>

#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/record.h"
#include "tests/stress/torture.h"

#define BATCH 512

struct scribe {
	const struct torture *t;
	struct wake *wake;
	struct ring *ring;
	struct torture_store store;
	struct ring_index index[BATCH];
	uint64_t next, counter, turn;
	uint32_t incarnation;
	void *buf;
};

static void
must(const struct scribe *s, int rc, const char *what)
{
	if (rc != 0)
		torture_fail(s->t, "scribe: %s: %s", what, mdb_strerror(rc));
}

/* Fetch and decide position 'n'; its row goes to *row_r. */
static void
decide(struct scribe *s, uint64_t n, struct torture_row *row_r)
{
	const struct record *rec = s->buf;
	struct ring_index ix;
	enum ring_result res;
	size_t len;

	res =
	    ring_fetch(s->ring, n, s->buf, ring_max_record(s->ring), &len, &ix);
	if (res != RING_OK)
		torture_fail(s->t, "scribe: fetch %llu: result %d",
		    (unsigned long long)n, res);
	if (rec->client != ix.incarnation && ix.arena != RING_SCRIBE_ARENA)
		torture_fail(s->t, "scribe: %llu: author %u in arena of %u",
		    (unsigned long long)n, rec->client, ix.incarnation);
	row_r->counter = rec->user;
	row_r->incarnation = rec->client;
	row_r->reserved = 0;
	ix.verdict = RING_STORED;
	ix.seq = n;
	/* the scribe's arena has no owner's number; its records do */
	ix.incarnation = rec->client;
	ring_decide(s->ring, n, &ix);
}

/* Drop what the auditor has seen and nobody can want any more. */
static void
retain(struct scribe *s, MDB_txn *txn)
{
	uint64_t audited = s->t->board->audited, gseq;
	MDB_val key, value;
	MDB_cursor *cursor;
	unsigned i;

	if (audited < s->t->base + TORTURE_KEEP)
		return;
	must(s, mdb_cursor_open(txn, s->store.log, &cursor), "cursor");
	for (i = 0; i < 2 * BATCH; i++) {
		if (mdb_cursor_get(cursor, &key, &value, MDB_FIRST) != 0)
			break;
		memcpy(&gseq, key.mv_data, sizeof(gseq));
		if (be64toh(gseq) >= audited - TORTURE_KEEP)
			break;
		must(s, mdb_cursor_del(cursor, 0), "delete");
	}
	mdb_cursor_close(cursor);
}

static void
commit(struct scribe *s, uint64_t from, uint64_t to,
    const struct torture_row *rows)
{
	MDB_val key, value;
	uint64_t n, be;
	MDB_txn *txn;

	must(s, mdb_txn_begin(s->store.env, NULL, 0, &txn), "begin");
	for (n = from; n < to; n++) {
		be = htobe64(n);
		key = (MDB_val){ sizeof(be), &be };
		value = (MDB_val){ sizeof(rows[0]),
			(void *)(uintptr_t)&rows[n - from] };
		must(s, mdb_put(txn, s->store.log, &key, &value, MDB_APPEND),
		    "put");
		if (n == from)
			FAULT(MID_BATCH);
	}
	retain(s, txn);
	key = (MDB_val){ 3, (void *)(uintptr_t) "pos" };
	value = (MDB_val){ sizeof(to), &to };
	must(s, mdb_put(txn, s->store.meta, &key, &value, 0), "put pos");
	FAULT(BEFORE_COMMIT);
	must(s, mdb_txn_commit(txn), "commit");
}

/* One batch; whether there was anything. */
static bool
sequence(struct scribe *s)
{
	static struct torture_row rows[BATCH];
	uint64_t n = s->next, i;

	while (n < s->next + BATCH && ring_published(s->ring, n)) {
		decide(s, n, &rows[n - s->next]);
		n++;
	}
	if (n == s->next)
		return false;
	commit(s, s->next, n, rows);
	for (i = s->next; i < n; i++)
		s->t->board->durable_ns[i % TORTURE_TIMES] = torture_now();
	ring_durable(s->ring, s->next, n);
	s->next = n;
	return true;
}

/* What only the scribe can say; with the ring full it tries again later. */
static void
speak(struct scribe *s)
{
	static _Alignas(8) char rec[512];
	uint64_t gseq;
	size_t len;

	if (s->t->board->phase != TORTURE_RUN)
		return;
	len = torture_record(rec, sizeof(rec), RECORD_MESSAGE,
	    1 + s->turn % TORTURE_ROOMS, s->incarnation, s->counter + 1, 0,
	    s->turn % 300);
	s->t->board->attempted[s->incarnation] = s->counter + 1;
	if (ring_publish(s->ring, rec, len, &gseq) == -1) {
		if (errno != EAGAIN)
			torture_fail(s->t, "scribe: ring_publish: errno %d",
			    errno);
		s->t->board->attempted[s->incarnation] = s->counter;
		return;
	}
	s->counter++;
}

/* Everything that has to be looked at between announcing and sleeping. */
static bool
has_work(const struct scribe *s)
{
	return ring_published(s->ring, s->next) || ring_join_wanted(s->ring) ||
	    s->t->board->phase == TORTURE_EXIT;
}

/* We slept for the whole tick: is there a record that came long ago? */
static void
check_wake(struct scribe *s)
{
	const struct record *rec = s->buf;
	struct ring_index ix;
	size_t len;

	if (!s->t->calm || !ring_published(s->ring, s->next))
		return;
	if (ring_fetch(s->ring, s->next, s->buf, ring_max_record(s->ring), &len,
		&ix) == RING_OK &&
	    torture_now() - rec->received_ns > TORTURE_LATE_NS)
		torture_fail(s->t, "scribe: wake-up lost at %llu",
		    (unsigned long long)s->next);
}

static void
rest(struct scribe *s)
{
	bool hurry = ring_space_wanted(s->ring);

	wake_prepare(s->wake, WAKE_SCRIBE);
	if (!has_work(s) && (hurry || !ring_space_wanted(s->ring)) &&
	    !torture_sleep(s->t, WAKE_SCRIBE, hurry ? 1 : torture_tick(s->t)) &&
	    !hurry)
		check_wake(s);
	wake_cancel(s->wake, WAKE_SCRIBE);
}

void
scribe_run(const struct torture *t, uint32_t incarnation, unsigned seed)
{
	struct scribe s = { .t = t, .incarnation = incarnation };
	uint64_t pos, durable;
	bool worked;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	srand(seed);
	s.wake = torture_wake(t);
	s.ring = torture_attach(t, t->log_mem, t->log_size, s.wake);
	s.buf = aligned_alloc(8, ring_max_record(s.ring));
	store_open(&s.store, t, true);
	must(&s, mdb_env_sync(s.store.env, 1), "sync");
	(void)mdb_reader_check(s.store.env, NULL);
	ring_producer_init(s.ring, RING_SCRIBE_ARENA);
	if (ring_protect(s.ring, RING_SCRIBE_ARENA) == -1)
		torture_fail(t, "scribe: ring_protect");
	durable = ring_durable_seq(s.ring);
	if ((pos = store_pos(&s.store)) == 0)
		pos = t->base;
	if (pos < durable)
		torture_fail(t, "scribe: durable %llu, but the store has %llu",
		    (unsigned long long)durable, (unsigned long long)pos);
	s.next = pos;
	ring_durable(s.ring, durable, pos);
	while (t->board->phase != TORTURE_EXIT) {
		s.turn++;
		worked = sequence(&s);
		(void)ring_gate(s.ring, torture_now());
		if (s.turn % 7 == 0)
			speak(&s);
		if (s.turn % 1000 == 0)
			(void)mdb_reader_check(s.store.env, NULL);
		if (!worked)
			rest(&s);
	}
	_exit(0);
}

/* --- the auditor ------------------------------------------------------- */

struct audit {
	const struct torture *t;
	uint64_t next;
	uint32_t incarnation;
};

static void
audit_row(uint64_t gseq, const struct torture_row *row, void *arg)
{
	struct audit *a = arg;
	_Atomic uint64_t *last =
	    &a->t->board->stored[row->incarnation % TORTURE_AUTHORS];

	if (gseq != a->next)
		torture_fail(a->t, "store: %llu follows %llu",
		    (unsigned long long)gseq, (unsigned long long)a->next - 1);
	if (row->counter != *last + 1)
		torture_fail(a->t,
		    "store: %llu: author %u wrote %llu after %llu",
		    (unsigned long long)gseq, row->incarnation,
		    (unsigned long long)row->counter,
		    (unsigned long long)*last);
	*last = row->counter;
	a->next = gseq + 1;
}

void
auditor_run(const struct torture *t)
{
	struct audit a = { .t = t, .next = t->base };
	struct torture_store store;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	store_open(&store, t, false);
	while (t->board->phase != TORTURE_EXIT) {
		(void)store_scan(&store, a.next, a.next + 100000, audit_row,
		    &a);
		t->board->audited = a.next;
		usleep(20000);
	}
	_exit(0);
}
