/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * steps - what becomes of windows of time when the clock is set.
 *
 * The wall clock is compared with the monotonic one.  A step is a jump of
 * more than STEPS_MIN_MS from one look to the next; smaller ones are drift.
 *
 *   ahead   windows (of duplicates, of recovery) go on at the pace of the
 *           monotonic clock until they have passed once in truth: what was
 *           within a window before the step stays in it as long as it would
 *           have without
 *   back    a window is longer than it should be until the clock is again
 *           where it was; nothing is lost by that
 *
 * Retention by age, which destroys, waits for STEPS_HOLD_NS after either:
 * time for somebody to set the clock right again.
 */

#ifndef SCRIBE_STEPS_H
#define SCRIBE_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#define STEPS_MIN_MS 3600000ULL
#define STEPS_HOLD_NS 3600000000000ULL

/* All that a successor in the same daemon needs to know. */
struct steps_state {
	/* so much of the wall clock's time has not passed; and since when */
	uint64_t ahead_ms;
	uint64_t ahead_ns;
	/* retention by age waits until then; 0: it does not */
	uint64_t held_ns;
};

struct steps {
	struct steps_state now;
	/* the last look */
	uint64_t real_ms;
	uint64_t mono_ns;
};

/*
 * Begin; 'written_ms': when the store was written last, by the wall clock
 * (0: not known).  Whether the clock was set meanwhile or the daemon was
 * down cannot be told: it counts as a step.  'before' (may be NULL): what a
 * predecessor left.  Returns the step in ms, 0 if there is none.
 */
int64_t steps_begin(struct steps *st, uint64_t mono_ns, uint64_t real_ms,
    uint64_t written_ms, const struct steps_state *before);

/* Look at the clocks.  Returns the step in ms since the last look, or 0. */
int64_t steps_look(struct steps *st, uint64_t mono_ns, uint64_t real_ms);

/* Does retention by age have to wait? */
bool steps_held(const struct steps *st, uint64_t mono_ns);

/* What to take for the time of the last look when judging a window. */
uint64_t steps_window_now(const struct steps *st, uint64_t window_ms);

#endif /* SCRIBE_STEPS_H */
