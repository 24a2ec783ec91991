/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * atomic - the only door to atomics in shared memory.
 *
 * One source serves three compilers of the same algorithm: production, the
 * threads of the TSan stress test, and Relacy, which explores what a weak
 * memory model allows.  For Relacy, tests/model/relacy_atomic.h defines the
 * same names on rl::atomic; nothing else in shm/ may use <stdatomic.h>.
 *
 * There is one type, 64 bits wide.  Wider atomics are not lock-free, and a
 * lock of libatomic's is private to a process; narrower ones are not needed.
 */

#ifndef SHM_ATOMIC_H
#define SHM_ATOMIC_H

/* What shares a cache line, or the line that the prefetcher fetches with it,
 * is slow together. */
#define A_LINE 128

#ifdef CHATD_RELACY
#include "tests/model/relacy_atomic.h"
#else

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* gcc warns that TSan ignores fences.  All that several processes touch is
 * atomic here, so there is nothing that TSan could misjudge. */
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif

typedef _Atomic(uint64_t) a_u64;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics take no locks");
_Static_assert(sizeof(a_u64) == 8, "an atomic is as large as its value");
_Static_assert(_Alignof(a_u64) == 8, "an atomic is aligned as its value");

#define A_RELAXED memory_order_relaxed
#define A_ACQUIRE memory_order_acquire
#define A_RELEASE memory_order_release
#define A_ACQ_REL memory_order_acq_rel
#define A_SEQ_CST memory_order_seq_cst

#define A_LOAD(p, order) atomic_load_explicit((p), (order))
#define A_STORE(p, v, order) atomic_store_explicit((p), (v), (order))
#define A_SWAP(p, v, order) atomic_exchange_explicit((p), (v), (order))
#define A_OR(p, v, order) atomic_fetch_or_explicit((p), (v), (order))
#define A_AND(p, v, order) atomic_fetch_and_explicit((p), (v), (order))
#define A_ADD(p, v, order) atomic_fetch_add_explicit((p), (v), (order))
/* true and 'v' stored if *p was *expected, else false and *expected is *p */
#define A_CAS(p, expected, v, order) \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), (order), \
	    memory_order_relaxed)
#define A_FENCE(order) atomic_thread_fence(order)

#endif /* CHATD_RELACY */

#endif /* SHM_ATOMIC_H */
