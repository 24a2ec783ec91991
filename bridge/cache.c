/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "bridge/cache.h"

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <uthash.h>

#include "common/log.h"

#define MS_PER_S 1000

struct entry {
	UT_hash_handle hh;
	TAILQ_ENTRY(entry) order;
	struct cache_key key;
	uint64_t until_ms;
	size_t len;
	char claims[];
};

struct cache {
	struct entry *entries;
	/* the oldest first */
	TAILQ_HEAD(, entry) order;
	size_t bytes;
	uint8_t secret[CACHE_KEY_SIZE];
};

struct cache *
cache_new(void)
{
	struct cache *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("memory for answers");
	TAILQ_INIT(&c->order);
	arc4random_buf(c->secret, sizeof(c->secret));
	return c;
}

void
cache_free(struct cache **cp)
{
	struct cache *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	cache_clear(c);
	explicit_bzero(c->secret, sizeof(c->secret));
	free(c);
}

struct cache_key
cache_key(const struct cache *c, const char *p, size_t len)
{
	struct cache_key key;
	unsigned n = 0;

	if (HMAC(EVP_sha256(), c->secret, sizeof(c->secret),
		(const unsigned char *)p, len, key.hash, &n) == NULL ||
	    n != CACHE_KEY_SIZE)
		fatalx("libcrypto does not work");
	return key;
}

static size_t
size_of(const struct entry *e)
{
	return sizeof(*e) + e->len;
}

static struct entry *
find(struct cache *c, const struct cache_key *key)
{
	struct entry *e;

	HASH_FIND(hh, c->entries, key, sizeof(*key), e);
	return e;
}

static void
drop(struct cache *c, struct entry *e)
{
	HASH_DELETE(hh, c->entries, e);
	TAILQ_REMOVE(&c->order, e, order);
	c->bytes -= size_of(e);
	free(e);
}

void
cache_put(struct cache *c, const struct cache_key *key, struct ask_text claims,
    uint64_t now_ms, uint64_t seconds)
{
	struct entry *e;

	cache_drop(c, key);
	if (seconds == 0 || sizeof(*e) + claims.len > CACHE_BYTES)
		return;
	if (seconds > CACHE_MAX_S)
		seconds = CACHE_MAX_S;
	/* one that cannot be remembered is asked for again */
	if ((e = malloc(sizeof(*e) + claims.len)) == NULL)
		return;
	e->key = *key;
	e->until_ms = now_ms + seconds * MS_PER_S;
	e->len = claims.len;
	memcpy(e->claims, claims.p, claims.len);
	HASH_ADD(hh, c->entries, key, sizeof(e->key), e);
	TAILQ_INSERT_TAIL(&c->order, e, order);
	c->bytes += size_of(e);
	while (HASH_COUNT(c->entries) > CACHE_ENTRIES || c->bytes > CACHE_BYTES)
		drop(c, TAILQ_FIRST(&c->order));
}

struct ask_text
cache_get(struct cache *c, const struct cache_key *key, uint64_t now_ms)
{
	struct entry *e = find(c, key);

	if (e != NULL && e->until_ms <= now_ms) {
		drop(c, e);
		e = NULL;
	}
	return e == NULL ? (struct ask_text){ NULL, 0 }
			 : (struct ask_text){ e->claims, e->len };
}

void
cache_drop(struct cache *c, const struct cache_key *key)
{
	struct entry *e = find(c, key);

	if (e != NULL)
		drop(c, e);
}

void
cache_clear(struct cache *c)
{
	while (!TAILQ_EMPTY(&c->order))
		drop(c, TAILQ_FIRST(&c->order));
}

size_t
cache_entries(const struct cache *c)
{
	return HASH_COUNT(c->entries);
}

size_t
cache_bytes(const struct cache *c)
{
	return c->bytes;
}
