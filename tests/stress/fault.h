/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fault - arming one of the fault points (common/fault.h) in this process.
 */

#ifndef TESTS_STRESS_FAULT_H
#define TESTS_STRESS_FAULT_H

#include "common/fault.h"

#ifndef CHATD_FAULTS
enum fault_action {
	FAULT_ACTION_KILL,
	/* until somebody sends SIGCONT */
	FAULT_ACTION_STOP,
};
#endif

/* "BEFORE_CAS (record complete, ...)" */
const char *fault_name(enum fault_point point);
/* By the first word of that, or FAULT__MAX. */
enum fault_point fault_find(const char *name);

/*
 * At the 'hits'th time that this process comes to 'point', count it in
 * fired[point] (shared memory; may be NULL) and let it die or stop there.
 * One point at a time; FAULT__MAX disarms.
 */
void fault_arm(enum fault_point point, unsigned hits, enum fault_action action,
    _Atomic unsigned fired[FAULT__MAX]);

#ifndef CHATD_FAULTS
void fault_hit(enum fault_point point);
bool fault_error(enum fault_point point);
#endif

#endif /* TESTS_STRESS_FAULT_H */
