/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * FAULT_POINT(name, where) - every step at which dying or stalling must not
 * harm anybody else.
 */
// clang-format off

/* producers */
FAULT_POINT(ARENA_ALLOC,	"room found in the arena")
FAULT_POINT(COPY_HALF,		"half of the record is in the arena")
FAULT_POINT(BEFORE_CAS,		"record complete, slot found, not published")
FAULT_POINT(AFTER_CAS,		"published, hint not moved")
FAULT_POINT(AFTER_HINT,		"published, nobody woken")
FAULT_POINT(LIVE_SCANNED,	"minimum known, free_seq not raised")
FAULT_POINT(LIVE_EVICTED,	"laggard evicted, free_seq not raised")

/* wakers and sleepers */
FAULT_POINT(WAKE_TAKEN,		"sleep bit taken, eventfd not written")
FAULT_POINT(SLEEP_SET,		"sleep announced, work not checked")

/* consumers */
FAULT_POINT(READ_HALF,		"half of a record is copied")
FAULT_POINT(READ_DONE,		"copied, own state not checked")
FAULT_POINT(CURSOR,		"delivered, cursor not stored")
FAULT_POINT(JOIN_WANTED,	"JOINING, the scribe not told")
FAULT_POINT(LIVE_JOINED,	"ACTIVE, cursor still at free_seq")

/* the scribe */
FAULT_POINT(DECIDE_HALF,	"half of an index entry is written")
FAULT_POINT(BEFORE_DURABLE,	"committed, durable_seq not moved")
FAULT_POINT(AFTER_DURABLE,	"durable_seq moved, nobody woken")
FAULT_POINT(ADMIT_CURSOR,	"cursor set, consumer not yet ACTIVE")
FAULT_POINT(EVICTED,		"consumer evicted, free_seq not raised")
FAULT_POINT(BEFORE_RAISE,	"minimum known, free_seq not raised")
FAULT_POINT(SPACE_TAKEN,	"space_wait taken, nobody woken")

/* the store that the tests put behind the ring */
FAULT_POINT(MID_BATCH,		"records put, transaction open")
FAULT_POINT(BEFORE_COMMIT,	"transaction complete, not committed")

#undef FAULT_POINT
