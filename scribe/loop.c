/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * loop - a turn: one batch, then a slice of upkeep, then whoever wants to
 * join or needs space, then the master.  Without work the scribe sleeps
 * until it is woken.
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "scribe/scribe.h"

/* a wake-up may be lost with the one who was to send it */
#define TICK_NS (250 * CLOCK_MS_NS)
/* while somebody waits for space, or a leave does */
#define BUSY_NS CLOCK_MS_NS

/*
 * Everything that ends a sleep; after wake_prepare().  'busy': somebody who
 * waits for space is looked after already, every BUSY_NS.
 */
static bool
has_work(const struct scribe *s, enum commit_result rc, bool busy)
{
	if (ring_join_wanted(s->ring))
		return true;
	if (!busy && ring_space_wanted(s->ring))
		return true;
	/* COMMIT_WAIT: what is there has to wait all the same */
	return rc == COMMIT_IDLE &&
	    s->log.waiting(s->log.ctx, commit_next(s->commit));
}

static void
wait_until(struct scribe *s, uint64_t until_ns, uint64_t now_ns)
{
	struct pollfd p[2] = {
		{ .fd = s->child.efd[WAKE_SCRIBE], .events = POLLIN },
		{ .fd = s->mastered ? ipc_fd(s->child.master) : -1,
		    .events = POLLIN },
	};
	struct timespec ts;
	uint64_t ns = until_ns > now_ns ? until_ns - now_ns : 0;

	if (s->mastered && ipc_pending(s->child.master))
		p[1].events |= POLLOUT;
	ts.tv_sec = (time_t)(ns / CLOCK_S_NS);
	ts.tv_nsec = (long)(ns % CLOCK_S_NS);
	if (ppoll(p, 2, &ts, NULL) == -1 && errno != EINTR)
		fatal("ppoll");
}

static void
sleep_until(struct scribe *s, enum commit_result rc, bool busy,
    uint64_t until_ns)
{
	wake_prepare(s->wake, WAKE_SCRIBE);
	if (!has_work(s, rc, busy))
		wait_until(s, until_ns, clock_mono_ns());
	wake_cancel(s->wake, WAKE_SCRIBE);
}

/* Not on a disk that fails: those who wait for it come first. */
static bool
may_keep_up(const struct scribe *s)
{
	return s->phase == SCRIBE_SERVING &&
	    commit_state(s->commit) == COMMIT_OK;
}

/* What space there is is for messages. */
static bool
may_store_streams(const struct scribe *s)
{
	return may_keep_up(s) && !sequence_full(s->seq);
}

/* What is done between two batches; -1: only a new process can go on. */
static int
keep_up(struct scribe *s, uint64_t now_ns)
{
	uint64_t now_ms = clock_real_ms();

	report_step(s, steps_look(&s->steps, now_ns, now_ms));
	if (ballast_turn(&s->ballast, now_ns))
		commit_ballast_back(s->commit);
	(void)readers_turn(&s->readers, now_ns);
	if (may_store_streams(s) &&
	    streams_store_turn(s->streams, now_ns, now_ms) == -1)
		return -1;
	if (may_keep_up(s))
		return upkeep_turn(&s->upkeep, now_ns, now_ms);
	upkeep_wait(&s->upkeep);
	return 0;
}

/* When to come back if nobody wakes us. */
static uint64_t
next_time(const struct scribe *s, enum commit_result rc, uint64_t again_ns,
    bool busy, uint64_t now_ns)
{
	uint64_t until = now_ns + (busy ? BUSY_NS : TICK_NS);

	if (rc == COMMIT_WAIT && again_ns < until)
		until = again_ns;
	if (may_keep_up(s) && upkeep_next(&s->upkeep, now_ns) < until)
		until = upkeep_next(&s->upkeep, now_ns);
	if (may_store_streams(s) &&
	    streams_store_next(s->streams, now_ns) < until)
		until = streams_store_next(s->streams, now_ns);
	if (s->phase == SCRIBE_STOPPING && s->stop_ns < until)
		until = s->stop_ns;
	return until;
}

/*
 * Nobody publishes any more when the master stops the scribe; what is there
 * is committed before it goes.
 */
static bool
may_stop(struct scribe *s, bool orphans, uint64_t now)
{
	if (s->phase != SCRIBE_STOPPING)
		return false;
	if (now >= s->stop_ns) {
		if (s->log.waiting(s->log.ctx, commit_next(s->commit)))
			log_error("stopped with records that are not stored");
		return true;
	}
	/* without a master there may be workers that still publish; and what
	 * was published last may be our own.  On a disk that fails all of it
	 * is refused: that is an end, too */
	return s->mastered && !orphans &&
	    !s->log.waiting(s->log.ctx, commit_next(s->commit));
}

int
scribe_loop(struct scribe *s)
{
	uint64_t again_ns = 0, now;
	enum commit_result rc;
	bool orphans, space;

	for (;;) {
		if (ring_space_wanted(s->ring))
			commit_urge(s->commit);
		rc = commit_turn(s->commit, &again_ns);
		if (rc == COMMIT_DEAD)
			return 1;
		if (scribe_rings_turn(s))
			continue;
		now = clock_mono_ns();
		orphans = orphans_turn(s->orphans, commit_next(s->commit));
		if (keep_up(s, now) == -1)
			return 1;
		(void)ring_gate(s->ring, now);
		report_turn(s, now);
		scribe_on_master(s);
		if (rc == COMMIT_WORKED)
			continue;
		if (may_stop(s, orphans, now)) {
			if (commit_state(s->commit) == COMMIT_OK)
				streams_store_stop(s->streams, now,
				    clock_real_ms());
			FAULT(SCRIBE_STOP);
			return 0;
		}
		space = ring_space_wanted(s->ring);
		sleep_until(s, rc, orphans || space,
		    next_time(s, rc, again_ns, orphans || space, now));
	}
}
