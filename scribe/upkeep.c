/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/upkeep.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

/* of the time in which there is a slice, at most a fifth is its */
#define PAUSE 4
/* after a slice that could not be written */
#define FAILED_NS (2 * CLOCK_S_NS)

void
upkeep_init(struct upkeep *u, struct store *s, struct sequence *q,
    const struct steps *steps, const struct upkeep_limits *limits)
{
	memset(u, 0, sizeof(*u));
	u->store = s;
	u->seq = q;
	u->steps = steps;
	u->limits = *limits;
	merge_init(&u->merge, s);
	retention_init(&u->retention, s);
	sweep_init(&u->sweep, s);
	expire_init(&u->expire, s);
	steer_sweep_init(&u->bans, s);
}

void
upkeep_clear(struct upkeep *u)
{
	merge_clear(&u->merge);
}

void
upkeep_configure(struct upkeep *u, const struct upkeep_limits *limits)
{
	u->limits = *limits;
	/* what may go now is not to wait for a walk's turn */
	u->retention.next_ns = 0;
}

void
upkeep_listen(struct upkeep *u, upkeep_done_fn *done, upkeep_slice_fn *slice,
    void *arg)
{
	u->done = done;
	u->slice = slice;
	u->arg = arg;
}

/* --- a run on demand --------------------------------------------------- */

static void
end_run(struct upkeep *u, const char *why)
{
	if (u->run == UPKEEP_RUN_NOT)
		return;
	u->run = UPKEEP_RUN_NOT;
	u->result.why = why;
	if (why == NULL)
		log_notice("retention has been run rooms=%llu messages=%llu "
			   "ids=%llu",
		    (unsigned long long)u->result.rooms,
		    (unsigned long long)u->result.messages,
		    (unsigned long long)u->result.ids);
	if (u->done != NULL)
		u->done(u->arg, &u->result);
}

void
upkeep_run(struct upkeep *u, uint64_t serial)
{
	end_run(u, "another run has begun");
	memset(&u->result, 0, sizeof(u->result));
	u->result.serial = serial;
	u->run = UPKEEP_RUN_WALK;
	retention_now(&u->retention);
}

/* The age of messages counts again when the clock can be trusted. */
static bool
held(const struct upkeep *u, uint64_t now_ns)
{
	return u->limits.retention_ms > 0 && steps_held(u->steps, now_ns);
}

static void
walked(struct upkeep *u)
{
	if (u->run != UPKEEP_RUN_WALK)
		return;
	u->result.rooms = u->retention.rooms;
	u->result.messages = u->retention.walk_removed;
	u->run = UPKEEP_RUN_PASS;
	expire_now(&u->expire);
}

static void
passed(struct upkeep *u, uint64_t now_ns)
{
	if (u->run != UPKEEP_RUN_PASS)
		return;
	u->result.ids = u->expire.pass_removed;
	end_run(u,
	    held(u, now_ns) ? "the clock was set: for an hour no message is "
			      "removed because of its age"
			    : NULL);
}

void
upkeep_wait(struct upkeep *u)
{
	end_run(u, "the store cannot be written");
}

/* --- slices ------------------------------------------------------------ */

static void
limits_of(const struct upkeep *u, uint64_t now_ns, uint64_t now_ms,
    struct retention_limits *l)
{
	uint64_t window = u->limits.dedupe_window_ms, now;

	memset(l, 0, sizeof(*l));
	l->max_messages = u->limits.max_messages;
	if (u->limits.retention_ms > 0 && now_ms > u->limits.retention_ms &&
	    !held(u, now_ns))
		l->before_ms = now_ms - u->limits.retention_ms;
	l->keep_ids_ms = UINT64_MAX;
	if (window == 0)
		return;
	now = steps_window_now(u->steps, window);
	l->keep_ids_ms = now > window ? now - window : 0;
}

static bool
retention_due(const struct upkeep *u, uint64_t now_ns)
{
	if (u->run == UPKEEP_RUN_WALK)
		return true;
	if (u->limits.retention_ms == 0 && u->limits.max_messages == 0)
		return false;
	return now_ns >= retention_next(&u->retention);
}

static int
retention_step(struct upkeep *u, uint64_t now_ns, uint64_t now_ms)
{
	uint64_t stored = sequence_counts(u->seq)->stored;
	struct retention_limits limits;
	int rc;

	limits_of(u, now_ns, now_ms, &limits);
	rc = retention_slice(&u->retention, sequence_rooms(u->seq), &limits,
	    stored, now_ns);
	if (rc == 1)
		walked(u);
	return rc;
}

static void
sweep_step(struct upkeep *u, uint64_t now_ns, uint64_t now_ms)
{
	uint64_t window = u->limits.recovery_window_ms;

	/* a clock that was set back may yet be set forward again */
	sweep_turn(&u->sweep, now_ns, steps_window_now(u->steps, window),
	    window,
	    steps_held(u->steps, now_ns) ? UINT64_MAX : now_ms + STEPS_MIN_MS);
}

static bool
expire_due(const struct upkeep *u, uint64_t now_ns)
{
	return u->run == UPKEEP_RUN_PASS || now_ns >= expire_next(&u->expire);
}

static int
expire_step(struct upkeep *u, uint64_t now_ns)
{
	uint64_t window = u->limits.dedupe_window_ms;
	int rc;

	rc = expire_slice(&u->expire, steps_window_now(u->steps, window),
	    window, now_ns);
	if (rc == 1)
		passed(u, now_ns);
	return rc;
}

static int
bans_step(struct upkeep *u, uint64_t now_ns, uint64_t now_ms)
{
	/* a clock that was set forward may yet be set back again */
	if (steps_held(u->steps, now_ns)) {
		u->bans.next_ns = now_ns + STEER_PASS_NS;
		return 0;
	}
	return steer_sweep_turn(&u->bans, now_ns, now_ms);
}

/* Is there a room to merge, or one under way? */
static bool
merge_due(struct upkeep *u)
{
	struct rooms *rs = sequence_rooms(u->seq);
	uint64_t room, now, window = u->limits.dedupe_window_ms;

	if (window == 0) {
		merge_stop(&u->merge);
		return false;
	}
	if (merge_active(&u->merge))
		return true;
	if ((room = rooms_merge_next(rs)) == 0)
		return false;
	now = steps_window_now(u->steps, window);
	if (merge_begin(&u->merge, room, now > window ? now - window : 0) == 0)
		return true;
	rooms_merge_failed(rs, room);
	return false;
}

static int
merge_step(struct upkeep *u, bool urgent)
{
	struct rooms *rs = sequence_rooms(u->seq);
	uint64_t room = u->merge.room;
	int rc;

	rc = merge_slice(&u->merge, rs, urgent ? MERGE_PUT_URGENT : MERGE_PUT);
	if (rc == -1 && (errno == EUCLEAN || errno == EBADMSG)) {
		log_error("message ids of a session cannot be merged, they "
			  "stay in memory room=%llu",
		    (unsigned long long)room);
		rooms_merge_failed(rs, room);
		return 0;
	}
	return rc;
}

/*
 * One slice: what was done (0 or 1), 2 there was nothing to do, -1 with
 * errno.  *hurry_r: the next one should not wait for long.
 */
static int
step(struct upkeep *u, uint64_t now_ns, uint64_t now_ms, bool *hurry_r)
{
	bool merging = merge_due(u), urgent;

	urgent = merging &&
	    rooms_merge_urgent(sequence_rooms(u->seq), u->merge.room);
	*hurry_r = urgent || u->run != UPKEEP_RUN_NOT;
	/* neither may keep the other from it for long */
	u->merged_last =
	    merging && (!u->merged_last || !retention_due(u, now_ns));
	if (u->merged_last)
		return merge_step(u, urgent);
	if (retention_due(u, now_ns))
		return retention_step(u, now_ns, now_ms);
	if (now_ns >= sweep_next(&u->sweep)) {
		sweep_step(u, now_ns, now_ms);
		return 0;
	}
	if (expire_due(u, now_ns))
		return expire_step(u, now_ns);
	if (now_ns >= steer_sweep_next(&u->bans))
		return bans_step(u, now_ns, now_ms);
	return 2;
}

static int
step_failed(struct upkeep *u, uint64_t now_ns)
{
	u->failures++;
	u->next_ns = now_ns + FAILED_NS;
	if (!u->failing)
		log_warn_errno("upkeep of the store has to wait");
	u->failing = true;
	end_run(u, "the store cannot be written");
	return errno == ENOTRECOVERABLE ? -1 : 0;
}

int
upkeep_turn(struct upkeep *u, uint64_t now_ns, uint64_t now_ms)
{
	uint64_t took;
	bool hurry;
	int rc;

	if (now_ns < u->next_ns)
		return 0;
	if ((rc = step(u, now_ns, now_ms, &hurry)) == 2)
		return 0;
	if (rc == -1)
		return step_failed(u, now_ns);
	u->failing = false;
	took = clock_mono_ns() - now_ns;
	u->next_ns = now_ns + took + took * (hurry ? 1 : PAUSE);
	if (u->slice != NULL)
		u->slice(u->arg, took);
	return 0;
}

uint64_t
upkeep_next(const struct upkeep *u, uint64_t now_ns)
{
	uint64_t next = sweep_next(&u->sweep);

	if (expire_next(&u->expire) < next)
		next = expire_next(&u->expire);
	if (steer_sweep_next(&u->bans) < next)
		next = steer_sweep_next(&u->bans);
	if ((u->limits.retention_ms > 0 || u->limits.max_messages > 0) &&
	    retention_next(&u->retention) < next)
		next = retention_next(&u->retention);
	if (merge_active(&u->merge) || u->run != UPKEEP_RUN_NOT ||
	    next < now_ns)
		next = now_ns;
	return next > u->next_ns ? next : u->next_ns;
}
