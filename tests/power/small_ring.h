/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * small_ring - a log ring with one worker, for whoever plays both sides.
 */

#ifndef TESTS_POWER_SMALL_RING_H
#define TESTS_POWER_SMALL_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/record.h"
#include "shm/ring.h"

#define SMALL_SLOT 0

struct small_ring {
	void *mem;
	size_t size;
	/* the worker's view, who it is, and what it has seen */
	struct ring *worker;
	uint32_t incarnation;
	uint64_t cursor;
	uint8_t rec[65536] __attribute__((aligned(8)));
};

/* In memory that processes share, or fatal. */
void small_ring_make(struct small_ring *r, const uint8_t id[16], uint64_t base,
    uint32_t incarnation);
void small_ring_drop(struct small_ring *r);

/* The scribe's own view; each scribe makes one. */
struct ring *small_ring_scribe(const struct small_ring *r);

/* Publish a record; the position, or 0 if there is no room. */
uint64_t small_ring_publish(struct small_ring *r, const struct record *h,
    const struct record_field *f, unsigned n);
/* A message with the hash of its id. */
uint64_t small_ring_message(struct small_ring *r, uint64_t room, uint64_t user,
    struct record_field id, struct record_field body);

/* The next verdict; false: there is none. */
bool small_ring_next(struct small_ring *r, uint64_t *gseq_r,
    struct ring_index *ix_r);

#endif /* TESTS_POWER_SMALL_RING_H */
