/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * relacy_atomic - the names of shm/atomic.h on Relacy's atomics, and the
 * orders of shm/order.h as variables, so that one program can weaken them
 * one at a time.
 */

#ifndef TESTS_MODEL_RELACY_ATOMIC_H
#define TESTS_MODEL_RELACY_ATOMIC_H

#include <stdint.h>

#include <relacy/relacy.hpp>

typedef rl::atomic<uint64_t> a_u64;

#define A_RELAXED rl::mo_relaxed
#define A_ACQUIRE rl::mo_acquire
#define A_RELEASE rl::mo_release
#define A_ACQ_REL rl::mo_acq_rel
#define A_SEQ_CST rl::mo_seq_cst

#define A_LOAD(p, order) (p)->load(order, $)
#define A_STORE(p, v, order) (p)->store(v, order, $)
#define A_SWAP(p, v, order) (p)->exchange(v, order, $)
#define A_OR(p, v, order) (p)->fetch_or(v, order, $)
#define A_AND(p, v, order) (p)->fetch_and(v, order, $)
#define A_ADD(p, v, order) (p)->fetch_add(v, order, $)
#define A_CAS(p, expected, v, order) \
	(p)->compare_exchange_strong(*(expected), v, order, $, rl::mo_relaxed, \
	    $)
/* a fence weakened to relaxed is none */
#define A_FENCE(order) \
	do { \
		if ((order) != rl::mo_relaxed) \
			rl::atomic_thread_fence(order, $); \
	} while (0)

/* ORDER(name, as in shm/order.h) */
#define ORDERS \
	ORDER(SLOT_PUBLISH, A_SEQ_CST) \
	ORDER(SLOT_SEEN, A_ACQUIRE) \
	ORDER(SLOT_RECHECK, A_SEQ_CST) \
	ORDER(FREE_RAISE, A_RELEASE) \
	ORDER(FREE_SEEN, A_ACQUIRE) \
	ORDER(DURABLE, A_SEQ_CST) \
	ORDER(DURABLE_SEEN, A_ACQUIRE) \
	ORDER(DURABLE_RECHECK, A_SEQ_CST) \
	ORDER(CURSOR, A_RELEASE) \
	ORDER(CURSOR_SEEN, A_ACQUIRE) \
	ORDER(STATE_JOIN, A_SEQ_CST) \
	ORDER(STATE_SCAN, A_SEQ_CST) \
	ORDER(STATE_ADMIT, A_SEQ_CST) \
	ORDER(STATE_EVICT, A_SEQ_CST) \
	ORDER(STATE_SEEN, A_ACQUIRE) \
	ORDER(STATE_CHECK, A_RELAXED) \
	ORDER(COPY, A_RELAXED) \
	ORDER(WRITE_FENCE, A_RELEASE) \
	ORDER(READ_FENCE, A_ACQUIRE) \
	ORDER(HINT, A_RELAXED) \
	ORDER(SLEEP_SET, A_SEQ_CST) \
	ORDER(SLEEP_SEEN, A_SEQ_CST) \
	ORDER(SLEEP_TAKE, A_SEQ_CST) \
	ORDER(WANT, A_SEQ_CST)

enum order_name {
#define ORDER(name, order) ORDER_##name,
	ORDERS
#undef ORDER
	    ORDER__MAX
};

extern rl::memory_order orders[ORDER__MAX];

#define O_SLOT_PUBLISH orders[ORDER_SLOT_PUBLISH]
#define O_SLOT_SEEN orders[ORDER_SLOT_SEEN]
#define O_SLOT_RECHECK orders[ORDER_SLOT_RECHECK]
#define O_FREE_RAISE orders[ORDER_FREE_RAISE]
#define O_FREE_SEEN orders[ORDER_FREE_SEEN]
#define O_DURABLE orders[ORDER_DURABLE]
#define O_DURABLE_SEEN orders[ORDER_DURABLE_SEEN]
#define O_DURABLE_RECHECK orders[ORDER_DURABLE_RECHECK]
#define O_CURSOR orders[ORDER_CURSOR]
#define O_CURSOR_SEEN orders[ORDER_CURSOR_SEEN]
#define O_STATE_JOIN orders[ORDER_STATE_JOIN]
#define O_STATE_SCAN orders[ORDER_STATE_SCAN]
#define O_STATE_ADMIT orders[ORDER_STATE_ADMIT]
#define O_STATE_EVICT orders[ORDER_STATE_EVICT]
#define O_STATE_SEEN orders[ORDER_STATE_SEEN]
#define O_STATE_CHECK orders[ORDER_STATE_CHECK]
#define O_COPY orders[ORDER_COPY]
#define O_WRITE_FENCE orders[ORDER_WRITE_FENCE]
#define O_READ_FENCE orders[ORDER_READ_FENCE]
#define O_HINT orders[ORDER_HINT]
#define O_SLEEP_SET orders[ORDER_SLEEP_SET]
#define O_SLEEP_SEEN orders[ORDER_SLEEP_SEEN]
#define O_SLEEP_TAKE orders[ORDER_SLEEP_TAKE]
#define O_WANT orders[ORDER_WANT]

#endif /* TESTS_MODEL_RELACY_ATOMIC_H */
