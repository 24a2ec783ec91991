/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream_fixture - tables with workers that live or are dead, and streams
 * whose text tells whether it is whole.
 */

#ifndef TESTS_UNIT_STREAM_FIXTURE_H
#define TESTS_UNIT_STREAM_FIXTURE_H

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "shm/stream.h"
#include "shm/tables.h"

#define STREAM_ROOM 7
#define STREAM_USER 42

static inline struct stream_text
stream_str(const char *s)
{
	return (struct stream_text){ s, strlen(s) };
}

/* What the master notes of a worker. */
static inline void
stream_worker(struct tables *t, unsigned slot, uint32_t incarnation,
    enum tables_child_state state)
{
	struct tables_child *c = &t->state->child[slot];

	atomic_store(&c->incarnation, incarnation);
	atomic_store(&c->state, state);
}

static inline struct stream_new
stream_described(uint64_t room, const char *id)
{
	return (struct stream_new){
		.room = room,
		.user = STREAM_USER,
		.id = stream_str(id),
		.user_id = stream_str("auth0|bot"),
		.user_name = stream_str("The Bot"),
		.agent_id = stream_str("agent-1"),
		.head = stream_str("\"id\":\"m\",\"content\":\""),
		.tail = stream_str("\",\"type\":\"assistant\""),
		.max_text = 256 << 10,
		.begun_ms = 1700000000000,
	};
}

/* Of this user; 0: nobody's, whose share is all there is. */
static inline int
stream_start_of(struct tables *t, uint32_t incarnation, uint64_t user,
    const char *id, uint64_t now_ns, struct stream_ref *r_r)
{
	struct stream_new n = stream_described(STREAM_ROOM, id);

	n.user = user;
	return stream_begin(t, incarnation, &n, now_ns, r_r);
}

static inline int
stream_start(struct tables *t, uint32_t incarnation, const char *id,
    struct stream_ref *r_r)
{
	struct stream_new n = stream_described(STREAM_ROOM, id);

	return stream_begin(t, incarnation, &n, 1000, r_r);
}

/* The byte at 'pos' of the text of stream 'which'. */
static inline char
stream_byte(uint64_t which, size_t pos)
{
	uint64_t x = which * UINT64_C(0x9e3779b97f4a7c15) + pos / 8 + 1;

	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 32;
	return (char)('!' + (x >> (pos % 8 * 7) & 0x3f));
}

static inline void
stream_fill(uint64_t which, size_t from, char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = stream_byte(which, from + i);
}

static inline int
stream_is_text(uint64_t which, size_t from, const char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (buf[i] != stream_byte(which, from + i))
			return 0;
	return 1;
}

#endif /* TESTS_UNIT_STREAM_FIXTURE_H */
