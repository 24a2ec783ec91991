/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/commit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"

/* waiting for the disk, before senders are told */
#define PATIENCE_NS (5 * CLOCK_S_NS)
#define RETRY_FIRST_NS (20 * CLOCK_MS_NS)
#define RETRY_MAX_NS (1 * CLOCK_S_NS)
/* so much must fit before messages are taken again */
#define TRY_BYTES ((size_t)1 << 20)
/* while refusing there is no commit that would make batches */
#define REFUSE_EVERY_NS (10 * CLOCK_MS_NS)
/* the patience of one who is to end */
#define HURRY_NS (200 * CLOCK_MS_NS)

struct commit {
	struct scribe_log log;
	struct store *store;
	struct sequence *seq;
	commit_done_fn *done;
	void *arg;
	uint64_t min_interval_ns;
	/* whatever the interval is */
	bool urged;
	uint64_t patience_ns;

	commit_ride_fn *ride;
	commit_rode_fn *rode;
	void *rider;

	struct store_ring ring;
	/* the store has not heard of the log that we are in */
	bool moving;
	uint64_t next;
	uint64_t last_begin_ns;

	struct ballast *ballast;
	/* a record that met damage: it is refused, and ends its batch;
	 * UINT64_MAX: none */
	uint64_t bad_pos;
	uint64_t damage_told;
	/* the batch was tried with nothing remembered */
	bool forgot;

	enum commit_state state;
	int err;
	enum disk_fault fault;
	uint64_t failures;
	uint64_t failed_ns;
	uint64_t retry_ns;
	uint64_t retry_wait_ns;
	uint64_t refused_ns;
	struct sequence_leave *leaves;
	size_t nleaves;

	struct commit_batch batch;
	uint8_t *buf;
};

struct commit *
commit_new(const struct scribe_log *log, struct store *s, struct sequence *q,
    commit_done_fn *done, void *arg)
{
	struct commit *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->log = *log;
	c->store = s;
	c->seq = q;
	c->done = done;
	c->arg = arg;
	c->patience_ns = PATIENCE_NS;
	c->bad_pos = UINT64_MAX;
	c->buf = malloc(log->max_record);
	c->leaves = calloc(COMMIT_LEAVES, sizeof(*c->leaves));
	if (c->buf == NULL || c->leaves == NULL) {
		commit_free(&c);
		errno = ENOMEM;
	}
	return c;
}

void
commit_free(struct commit **c)
{
	if (*c == NULL)
		return;
	free((*c)->buf);
	free((*c)->leaves);
	free(*c);
	*c = NULL;
}

void
commit_set_interval(struct commit *c, uint64_t min_interval_ns)
{
	c->min_interval_ns = min_interval_ns;
}

void
commit_set_patience(struct commit *c, uint64_t patience_ns)
{
	c->patience_ns = patience_ns;
}

void
commit_set_rider(struct commit *c, commit_ride_fn *ride, commit_rode_fn *rode,
    void *arg)
{
	c->ride = ride;
	c->rode = rode;
	c->rider = arg;
}

void
commit_set_ballast(struct commit *c, struct ballast *b)
{
	c->ballast = b;
}

void
commit_ballast_back(struct commit *c)
{
	sequence_set_full_from(c->seq, UINT64_MAX);
}

void
commit_urge(struct commit *c)
{
	c->urged = true;
}

void
commit_hurry(struct commit *c)
{
	c->min_interval_ns = 0;
	if (c->patience_ns > HURRY_NS)
		c->patience_ns = HURRY_NS;
	/* it may be a while until the next try */
	c->retry_ns = 0;
	c->retry_wait_ns = RETRY_FIRST_NS;
}

uint64_t
commit_next(const struct commit *c)
{
	return c->next;
}

enum commit_state
commit_state(const struct commit *c)
{
	return c->state;
}

int
commit_error(const struct commit *c)
{
	return c->err;
}

uint64_t
commit_failures(const struct commit *c)
{
	return c->failures;
}

enum disk_fault
commit_fault(const struct commit *c)
{
	return c->fault;
}

/* --- resuming ---------------------------------------------------------- */

/* A log that the store has not seen: the daemon has started, and nobody is
 * present. */
static int
begin_log(struct commit *c, const uint8_t id[16], uint64_t base)
{
	struct store_run run = { .base = base, .begun_ms = clock_real_ms() };
	struct store_txn *t;

	memcpy(c->ring.id, id, sizeof(c->ring.id));
	c->ring.base = c->ring.pos = base;
	if ((t = store_begin(c->store)) == NULL)
		return -1;
	store_presence_clear(t);
	store_ring_put(t, &c->ring);
	store_run_put(t, &run);
	FAULT(BEGIN_LOG);
	return store_commit(&t);
}

int
commit_resume(struct commit *c, const uint8_t log_id[16], uint64_t base,
    const char **why_r)
{
	struct store_txn *t;
	uint64_t durable;
	int err = 0;

	*why_r = "the store cannot be read";
	/* what a predecessor committed while it was killed may not be on the
	 * disk yet, and is about to be acknowledged */
	if (store_sync(c->store) == -1 ||
	    (t = store_snapshot(c->store)) == NULL)
		return -1;
	FAULT(SCRIBE_SYNCED);
	memset(&c->ring, 0, sizeof(c->ring));
	if (store_ring_get(t, &c->ring) == -1)
		err = errno;
	store_snapshot_end(&t);
	if (err != 0 && err != ENOENT) {
		errno = err;
		return -1;
	}
	durable = c->log.durable_pos(c->log.ctx);
	if (err == ENOENT || memcmp(c->ring.id, log_id, 16) != 0) {
		if (base < c->ring.pos) {
			*why_r = "the log begins below what the store holds: "
				 "the clock was set back";
			errno = ERANGE;
			return -1;
		}
		*why_r = "the store cannot be written";
		if (begin_log(c, log_id, base) == -1)
			return -1;
	}
	/* pos > durable: killed between commit and telling.  durable > pos:
	 * what was decided last changed nothing. */
	c->next = c->ring.pos > durable ? c->ring.pos : durable;
	FAULT(SCRIBE_RESUME);
	if (c->next > durable)
		c->log.durable(c->log.ctx, durable, c->next);
	return 0;
}

void
commit_move(struct commit *c, const struct scribe_log *log,
    const uint8_t log_id[16], uint64_t base)
{
	uint64_t durable = log->durable_pos(log->ctx);

	CHECK(base >= c->next && log->max_record <= c->log.max_record);
	c->log = *log;
	memcpy(c->ring.id, log_id, sizeof(c->ring.id));
	c->ring.base = base;
	/* a predecessor that could not write may have come further */
	c->next = durable > base ? durable : base;
	c->moving = true;
}

bool
commit_moving(const struct commit *c)
{
	return c->moving;
}

/* --- failing and recovering -------------------------------------------- */

static void
log_failure(struct commit *c)
{
	struct disk_space space;
	int err = c->err;

	c->fault = disk_fault(err, &space);
	errno = err;
	if (c->state != COMMIT_OK)
		return;
	if (c->fault == DISK_FULL)
		log_error("the disk is full, the store cannot be written, "
			  "trying again free=%llu disk=%llu error=\"%s\"",
		    (unsigned long long)space.free,
		    (unsigned long long)space.total, strerror(err));
	else
		log_error_errno("the store cannot be written, trying again "
				"free=%llu",
		    (unsigned long long)space.free);
}

static enum commit_result
failed(struct commit *c, int err, uint64_t *again_ns_r)
{
	uint64_t now = clock_mono_ns();

	c->failures++;
	FAULT(SCRIBE_FAILED);
	c->err = err;
	log_failure(c);
	if (err == ENOTRECOVERABLE) {
		errno = err;
		log_error_errno("the store cannot be used by this process");
		return COMMIT_DEAD;
	}
	if (c->state == COMMIT_OK) {
		c->state = COMMIT_RETRYING;
		c->failed_ns = now;
		c->retry_wait_ns = RETRY_FIRST_NS;
	} else if (c->retry_wait_ns < RETRY_MAX_NS) {
		c->retry_wait_ns *= 2;
	}
	c->retry_ns = *again_ns_r = now + c->retry_wait_ns;
	return COMMIT_WAIT;
}

/* The end of what is published. */
static uint64_t
published(const struct commit *c)
{
	uint64_t pos = c->next;

	while (c->log.waiting(c->log.ctx, pos))
		pos++;
	return pos;
}

/*
 * The disk is full: can it be helped?  What is published now will be stored,
 * what comes later is refused.
 */
static bool
use_ballast(struct commit *c, int err)
{
	struct disk_space space;

	if (c->ballast == NULL || disk_fault(err, &space) != DISK_FULL ||
	    !ballast_use(c->ballast))
		return false;
	log_error("new messages are refused until the disk has space "
		  "free=%llu disk=%llu",
	    (unsigned long long)space.free, (unsigned long long)space.total);
	sequence_set_full_from(c->seq, published(c));
	c->failures++;
	c->err = err;
	c->fault = DISK_FULL;
	return true;
}

/* --- damage ------------------------------------------------------------ */

static void
name_room(struct commit *c, const struct store_damage *d)
{
	struct store_room row = { .room = d->room };
	struct store_txn *t;

	if ((t = store_snapshot(c->store)) == NULL)
		return;
	if (store_room_get(t, d->room, &row) == -1)
		row.workspace.len = row.session.len = 0;
	log_error("a session is refused, the store is damaged there "
		  "workspace=%s session=%s room=%llu table=%s page=%llu",
	    log_text(row.workspace.p, row.workspace.len),
	    log_text(row.session.p, row.session.len),
	    (unsigned long long)d->room, d->table, (unsigned long long)d->page);
	store_snapshot_end(&t);
}

/*
 * The batch met damage when it decided about the record at 'pos': what of it
 * has to be refused?  False: that has been tried.
 */
static bool
refuse_damage(struct commit *c, uint64_t pos)
{
	struct store_damage d = { .table = "?" };
	bool again = pos == c->bad_pos;

	if (store_take_damage(c->store, &d) && d.room != 0 &&
	    !sequence_room_refused(c->seq, d.room)) {
		sequence_refuse_room(c->seq, d.room, clock_mono_ns());
		name_room(c, &d);
	} else if (!again && log_due(&c->damage_told)) {
		log_error("a record is refused, the store is damaged where it "
			  "belongs table=%s page=%llu",
		    d.table, (unsigned long long)d.page);
	}
	c->bad_pos = pos;
	sequence_refuse_record(c->seq, pos);
	return !again;
}

/*
 * A batch failed while it was decided; 'n' is behind the record that did it.
 * True: decide again, without what cannot be.
 */
static bool
may_decide_again(struct commit *c, int err, uint64_t n)
{
	if (err != EUCLEAN && err != EEXIST)
		return false;
	/* not a record: nothing can be left out */
	if (n == c->next)
		return false;
	if (err == EEXIST && !c->forgot) {
		/* what we remember is not what the store holds */
		log_error("the store holds what is not known, reading again "
			  "position=%llu",
		    (unsigned long long)(n - 1));
		c->forgot = true;
		sequence_forget(c->seq);
		return true;
	}
	return refuse_damage(c, n - 1);
}

static void
decided(struct commit *c)
{
	c->forgot = false;
	if (c->bad_pos == UINT64_MAX || c->next <= c->bad_pos)
		return;
	c->bad_pos = UINT64_MAX;
	sequence_refuse_record(c->seq, UINT64_MAX);
}

static void
recovered(struct commit *c)
{
	if (c->state == COMMIT_OK)
		return;
	log_notice("the store can be written again after=%llums",
	    (unsigned long long)((clock_mono_ns() - c->failed_ns) /
		CLOCK_MS_NS));
	c->state = COMMIT_OK;
	c->err = 0;
}

static void
start_refusing(struct commit *c)
{
	log_error("messages are refused until the store can be written");
	c->state = COMMIT_REFUSING;
}

/* --- a batch ----------------------------------------------------------- */

/* Decide about what is there, at most 'max'; returns the position behind. */
static uint64_t
fill(struct commit *c, unsigned max)
{
	struct ring_index ix;
	enum ring_result rc;
	uint64_t n = c->next;
	size_t len, bytes = 0;

	/* the one that met damage is the last of its batch, so that there is
	 * never more than one in a batch */
	while (n - c->next < max && bytes < COMMIT_BATCH_BYTES &&
	    sequence_error(c->seq) == 0 && n != c->bad_pos + 1) {
		memset(&ix, 0, sizeof(ix));
		len = 0;
		rc = c->log.fetch(c->log.ctx, n, c->buf, c->log.max_record,
		    &len, &ix);
		if (rc == RING_EMPTY)
			break;
		FAULT(SCRIBE_FETCHED);
		sequence_decide(c->seq, n, rc == RING_OK ? c->buf : NULL, len,
		    &ix);
		FAULT(SCRIBE_DECIDED);
		c->log.decide(c->log.ctx, n, &ix);
		FAULT(MID_BATCH);
		bytes += len;
		n++;
	}
	return n;
}

/* Everything below 'n' is decided, and stored if it is to be. */
static void
publish(struct commit *c, uint64_t n, bool committed)
{
	uint64_t from = c->next;

	c->next = n;
	c->batch.n = (unsigned)(n - from);
	c->batch.committed = committed;
	if (n > from)
		c->log.durable(c->log.ctx, from, n);
	FAULT(SCRIBE_DONE);
	if (c->done != NULL)
		c->done(c->arg, &c->batch);
}

/* Write the position with the rest and commit: 0 or an errno. */
static int
write_out(struct commit *c, struct store_txn **t, uint64_t n)
{
	struct store_ring ring = c->ring;
	uint64_t begin_ns = clock_mono_ns();

	ring.pos = n;
	store_ring_put(*t, &ring);
	FAULT(BEFORE_COMMIT);
	if (store_commit(t) == -1)
		return errno;
	FAULT(AFTER_COMMIT);
	c->ring = ring;
	c->moving = false;
	c->batch.commit_ns = clock_mono_ns() - begin_ns;
	return 0;
}

/* What can wait goes along when the disk is well; false: it spoiled the
 * batch. */
static bool
ride_along(struct commit *c, struct store_txn *t)
{
	struct store_damage d;

	if (c->ride == NULL || c->state != COMMIT_OK)
		return true;
	c->ride(c->rider, t);
	if (store_error(t) == 0)
		return true;
	(void)store_take_damage(c->store, &d);
	return false;
}

static void
rode(struct commit *c, bool committed)
{
	if (c->rode != NULL)
		c->rode(c->rider, committed);
}

static enum commit_result
normal_batch(struct commit *c, struct store_txn *t, uint64_t *again_ns_r)
{
	uint64_t n = fill(c, COMMIT_BATCH);
	/* after a failure only a commit shows that the store is back */
	bool dirty =
	    sequence_dirty(c->seq) || c->state != COMMIT_OK || c->moving;
	int err = sequence_error(c->seq);
	bool deciding = err != 0, spoiled;

	spoiled = err == 0 && dirty && !ride_along(c, t);
	if (err == 0 && dirty && !spoiled)
		err = write_out(c, &t, n);
	store_abort(&t);
	rode(c, dirty && err == 0 && !spoiled);
	if (spoiled) {
		sequence_rollback(c->seq);
		return COMMIT_WORKED;
	}
	if (err != 0) {
		sequence_rollback(c->seq);
		if (deciding && may_decide_again(c, err, n))
			return COMMIT_WORKED;
		if (use_ballast(c, err))
			return COMMIT_WORKED;
		return failed(c, err, again_ns_r);
	}
	sequence_commit(c->seq);
	if (dirty)
		recovered(c);
	publish(c, n, dirty);
	decided(c);
	return COMMIT_WORKED;
}

/* One that meets damage is forgotten: nobody can read its row either. */
static void
apply_leaves(struct commit *c, bool probe)
{
	size_t i;

	for (i = 0; i < c->nleaves; i++) {
		sequence_leave_again(c->seq, &c->leaves[i], probe);
		if (sequence_error(c->seq) != EUCLEAN)
			continue;
		c->nleaves--;
		memmove(&c->leaves[i], &c->leaves[i + 1],
		    (c->nleaves - i) * sizeof(c->leaves[0]));
		break;
	}
}

static void
remember_leaves(struct commit *c)
{
	const struct sequence_leave *l;
	size_t n;

	l = sequence_leaves(c->seq, &n);
	CHECK(c->nleaves + n <= COMMIT_LEAVES);
	if (n > 0)
		memcpy(&c->leaves[c->nleaves], l, n * sizeof(*l));
	c->nleaves += n;
}

/*
 * The verdicts of such a batch hold whether it can be written or not.  Now
 * and then it is tried: first the little that there is, so that leaves do
 * not wait for a large disk, then whether messages would fit.
 */
static enum commit_result
refusing_batch(struct commit *c, struct store_txn *t, bool probe,
    uint64_t *again_ns_r)
{
	bool full = c->nleaves + COMMIT_BATCH > COMMIT_LEAVES;
	uint64_t n = fill(c, full ? 0 : COMMIT_BATCH);
	int err = sequence_error(c->seq);

	if (err != 0) {
		store_abort(&t);
		sequence_rollback(c->seq);
		return may_decide_again(c, err, n) ? COMMIT_WORKED
						   : failed(c, err, again_ns_r);
	}
	if (probe)
		err = write_out(c, &t, n);
	store_abort(&t);
	if (probe && err == 0)
		c->nleaves = 0;
	else
		remember_leaves(c);
	sequence_commit(c->seq);
	publish(c, n, probe && err == 0);
	decided(c);
	if (!probe)
		return COMMIT_WORKED;
	if (err == 0 && store_try(c->store, TRY_BYTES) == -1)
		err = errno;
	if (err != 0)
		return failed(c, err, again_ns_r) == COMMIT_DEAD
		    ? COMMIT_DEAD
		    : COMMIT_WORKED;
	recovered(c);
	return COMMIT_WORKED;
}

/* --- a turn ------------------------------------------------------------ */

/*
 * So many records are there that nobody waits for more: a batch, or half of
 * what one publisher may have under way.
 */
static bool
is_full_batch(const struct commit *c)
{
	uint64_t n = COMMIT_BATCH;

	if (c->log.slots != 0 && c->log.slots / 8 < n)
		n = c->log.slots / 8;
	return c->log.waiting(c->log.ctx, c->next + n - 1);
}

/* COMMIT_WORKED: go ahead. */
static enum commit_result
may_begin(const struct commit *c, uint64_t now, uint64_t *again_ns_r)
{
	switch (c->state) {
	case COMMIT_OK:
		if (!c->log.waiting(c->log.ctx, c->next) && !c->moving)
			return COMMIT_IDLE;
		*again_ns_r = c->last_begin_ns + c->min_interval_ns;
		if (now < *again_ns_r && !c->urged && !is_full_batch(c))
			return COMMIT_WAIT;
		return COMMIT_WORKED;
	case COMMIT_RETRYING:
		*again_ns_r = c->retry_ns;
		return now < c->retry_ns ? COMMIT_WAIT : COMMIT_WORKED;
	case COMMIT_REFUSING:
		*again_ns_r = c->retry_ns;
		if (now >= c->retry_ns)
			return COMMIT_WORKED;
		if (c->nleaves + COMMIT_BATCH > COMMIT_LEAVES ||
		    !c->log.waiting(c->log.ctx, c->next))
			return COMMIT_WAIT;
		if (c->refused_ns + REFUSE_EVERY_NS < *again_ns_r)
			*again_ns_r = c->refused_ns + REFUSE_EVERY_NS;
		return now < *again_ns_r ? COMMIT_WAIT : COMMIT_WORKED;
	}
	return COMMIT_IDLE;
}

enum commit_result
commit_turn(struct commit *c, uint64_t *again_ns_r)
{
	uint64_t now = clock_mono_ns();
	enum commit_result rc;
	struct store_txn *t;
	bool refuse;

	if ((rc = may_begin(c, now, again_ns_r)) != COMMIT_WORKED)
		return rc;
	if (c->state == COMMIT_RETRYING && now - c->failed_ns >= c->patience_ns)
		start_refusing(c);
	refuse = c->state == COMMIT_REFUSING;
	c->last_begin_ns = now;
	c->urged = false;
	if ((t = store_begin(c->store)) == NULL)
		return failed(c, errno, again_ns_r);
	if (sequence_begin(c->seq, t, clock_real_ms(), refuse) == -1) {
		int err = errno;

		store_abort(&t);
		return failed(c, err, again_ns_r);
	}
	if (!refuse)
		return normal_batch(c, t, again_ns_r);
	apply_leaves(c, now >= c->retry_ns);
	c->refused_ns = now;
	return refusing_batch(c, t, now >= c->retry_ns, again_ns_r);
}
