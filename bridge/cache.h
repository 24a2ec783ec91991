/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * cache - answers that the application allowed us to remember.
 *
 * By token, of which only a keyed hash is kept.  Bounded: the one that was
 * put in first goes first.
 */

#ifndef BRIDGE_CACHE_H
#define BRIDGE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "shm/ask.h"

#define CACHE_KEY_SIZE 32
#define CACHE_ENTRIES 16384
#define CACHE_BYTES (32UL * 1024 * 1024)
/* however long the application allows */
#define CACHE_MAX_S 3600

/* Names a text without showing it. */
struct cache_key {
	uint8_t hash[CACHE_KEY_SIZE];
};

struct cache;

/* Ends the process if there is no memory. */
struct cache *cache_new(void);
void cache_free(struct cache **c);

/* HMAC-SHA-256 under a key of this process. */
struct cache_key cache_key(const struct cache *c, const char *p, size_t len);

/* Remember, in the place of what was there; 'seconds' are cut at
 * CACHE_MAX_S. */
void cache_put(struct cache *c, const struct cache_key *key,
    struct ask_text claims, uint64_t now_ms, uint64_t seconds);
/* The claims, valid until the next call; p NULL: not known (any more). */
struct ask_text cache_get(struct cache *c, const struct cache_key *key,
    uint64_t now_ms);
/* It is not true any more. */
void cache_drop(struct cache *c, const struct cache_key *key);
/* Nothing of it: another application is asked now. */
void cache_clear(struct cache *c);

size_t cache_entries(const struct cache *c);
size_t cache_bytes(const struct cache *c);

#endif /* BRIDGE_CACHE_H */
