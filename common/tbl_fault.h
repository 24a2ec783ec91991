/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * FAULT_POINT(name, who, where) - every step at which dying or stalling must
 * not harm anybody else.
 *
 * who: m(aster), w(orker), s(cribe), (cler)k come there; e: it may also
 * fail there (FAULT_ERROR).  The rings' own stand first, and what the torture
 * of the rings knows by its order stays in that order.
 */
// clang-format off

/* producers */
FAULT_POINT(ARENA_ALLOC,	"w", "room found in the arena")
FAULT_POINT(COPY_HALF,		"w", "half of the record is in the arena")
FAULT_POINT(BEFORE_CAS,		"w", "record complete, slot found, not published")
FAULT_POINT(AFTER_CAS,		"w", "published, hint not moved")
FAULT_POINT(AFTER_HINT,		"w", "published, nobody woken")
FAULT_POINT(LIVE_SCANNED,	"w", "minimum known, free_seq not raised")
FAULT_POINT(LIVE_EVICTED,	"w", "laggard evicted, free_seq not raised")

/* wakers and sleepers */
FAULT_POINT(WAKE_TAKEN,		"ws", "sleep bit taken, eventfd not written")
FAULT_POINT(SLEEP_SET,		"ws", "sleep announced, work not checked")

/* consumers */
FAULT_POINT(READ_HALF,		"w", "half of a record is copied")
FAULT_POINT(READ_DONE,		"w", "copied, own state not checked")
FAULT_POINT(CURSOR,		"w", "delivered, cursor not stored")
FAULT_POINT(JOIN_WANTED,	"w", "JOINING, the scribe not told")
FAULT_POINT(LIVE_JOINED,	"w", "ACTIVE, cursor still at free_seq")

/* the scribe */
FAULT_POINT(DECIDE_HALF,	"s", "half of an index entry is written")
FAULT_POINT(BEFORE_DURABLE,	"s", "committed, durable_seq not moved")
FAULT_POINT(AFTER_DURABLE,	"s", "durable_seq moved, nobody woken")
FAULT_POINT(ADMIT_CURSOR,	"s", "cursor set, consumer not yet ACTIVE")
FAULT_POINT(EVICTED,		"s", "consumer evicted, free_seq not raised")
FAULT_POINT(BEFORE_RAISE,	"s", "minimum known, free_seq not raised")
FAULT_POINT(SPACE_TAKEN,	"s", "space_wait taken, nobody woken")

/* the store that the tests put behind the ring */
FAULT_POINT(MID_BATCH,		"s", "records put, transaction open")
FAULT_POINT(BEFORE_COMMIT,	"s", "transaction complete, not committed")

#undef FAULT_POINT
