/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clock - the two times there are.
 */

#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

#define CLOCK_MS_NS 1000000ULL
#define CLOCK_S_NS 1000000000ULL

/* For deadlines and durations: never jumps, the same in all processes. */
uint64_t clock_mono_ns(void);
uint64_t clock_mono_ms(void);

/* For people: milliseconds since 1970; may jump. */
uint64_t clock_real_ms(void);

/*
 * For tests: what the two clocks are ahead of the kernel's.  May lie in
 * memory that several processes share and change at any time; the monotonic
 * one must not go back.
 */
struct clock_shift {
	volatile int64_t real_ms;
	volatile int64_t mono_ns;
};

/* NULL: as the kernel has them.  'shift' must outlive its use. */
void clock_set_shift(const struct clock_shift *shift);

#endif /* COMMON_CLOCK_H */
