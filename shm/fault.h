/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fault - places where a test may kill or stop the process.
 *
 * In production FAULT() is nothing.  Objects compiled with CHATD_FAULTS call
 * fault_hit() (tests/stress/fault.c), which counts, and at the armed hit of
 * the armed point sends SIGKILL or SIGSTOP to its own process.
 */

#ifndef SHM_FAULT_H
#define SHM_FAULT_H

enum fault_point {
#define FAULT_POINT(name, text) FAULT_##name,
#include "shm/tbl_fault.h"
	FAULT__MAX,
};

#ifdef CHATD_FAULTS
#define FAULT(name) fault_hit(FAULT_##name)
void fault_hit(enum fault_point point);
#else
#define FAULT(name) ((void)0)
#endif

#endif /* SHM_FAULT_H */
