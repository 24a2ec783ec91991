/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fault - places where a test may kill, stop or delay the process, or let a
 * call fail.
 *
 * In production FAULT() is nothing and FAULT_ERROR() is false.  With
 * CHATD_FAULTS (`make BUILD=fault') each process maps, before main(), the
 * file that the environment names in CHATD_FAULT_FILE: a row for each point
 * that counts the hits and says what shall happen there, at which hit, in
 * whose process.  Nothing is opened later, so it works in a sandbox; tests
 * change the rows while the daemon runs (tests/fault/faults.py, chatctl
 * faults).
 *
 * The rings are also compiled with CHATD_FAULTS into a torture of their own,
 * which brings another fault_hit() (tests/stress/fault.c).
 */

#ifndef COMMON_FAULT_H
#define COMMON_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_point {
#define FAULT_POINT(name, who, text) FAULT_##name,
#include "common/tbl_fault.h"
	FAULT__MAX,
};

/* those before it are the rings' own */
#define FAULT__RINGS (FAULT_BEFORE_COMMIT + 1)

#define FAULT_FILE_ENV "CHATD_FAULT_FILE"

#ifdef CHATD_FAULTS

enum fault_action {
	FAULT_ACTION_NONE,
	/* SIGKILL to its own process */
	FAULT_ACTION_KILL,
	/* SIGSTOP, until somebody sends SIGCONT */
	FAULT_ACTION_STOP,
	FAULT_ACTION_ABORT,
	/* sleep for 'value' ms */
	FAULT_ACTION_DELAY,
	/* FAULT_ERROR() is true, errno is 'value'; FAULT() takes no notice */
	FAULT_ACTION_FAIL,
	FAULT_ACTION__MAX,
};

/*
 * A row of the file, 64 bytes; all fields change while others look.  Who
 * arms writes 'action' last, and to disarm first.
 */
struct fault_row {
	uint32_t action;
	/* fires when this matching hit comes (1: the next), then 'times'
	 * times in a row */
	int32_t left;
	int32_t times;
	/* bits, 1 << enum role; 0: whoever comes */
	uint32_t roles;
	/* the worker's, or -1 */
	int32_t slot;
	/* errno or milliseconds */
	int32_t value;
	/* all hits, and how often it fired, since the file was made */
	uint32_t hits, fired;
	/* to whom it happened last */
	uint32_t pid;
	/* who stands still there, or stood; 0: nobody since it was armed */
	uint32_t stopped;
	uint32_t reserved[6];
};

#define FAULT_FILE_MAGIC 0x746c6661U

struct fault_file {
	uint32_t magic;
	/* FAULT__MAX, sizeof(struct fault_row) */
	uint32_t npoints, row_size;
	uint32_t reserved[13];
	struct fault_row row[FAULT__MAX];
};

#define FAULT(name) fault_hit(FAULT_##name)
/* An expression: true, errno set: do as if the call had failed. */
#define FAULT_ERROR(name) fault_error(FAULT_##name)

void fault_hit(enum fault_point point);
bool fault_error(enum fault_point point);

/* "BEFORE_CAS"; who comes there, letters: m(aster), w(orker), s(cribe),
 * (cler)k, b(ridge), and e if it may fail; a text. */
const char *fault_point_name(enum fault_point point);
const char *fault_point_who(enum fault_point point);
const char *fault_point_text(enum fault_point point);
const char *fault_action_name(enum fault_action action);

/* The mapped file; NULL when there is none. */
struct fault_file *fault_file(void);

/*
 * Arm one: at the 'hit'th from now, once, in one of 'roles' and in 'slot'.
 * FAULT_ACTION_NONE disarms.
 */
void fault_set(enum fault_point point, enum fault_action action, int32_t hit,
    uint32_t roles, int32_t slot, int32_t value);

#else

#define FAULT(name) ((void)0)
#define FAULT_ERROR(name) false

#endif /* CHATD_FAULTS */

#endif /* COMMON_FAULT_H */
