/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/address.h"

#include <sys/socket.h>

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include <xxhash.h>

#include "shm/atomic.h"
#include "shm/gcra.h"
#include "shm/tables.h"

#define MINUTE_US UINT64_C(60000000)
#define TAT_BITS 48
#define TAT_MASK ((UINT64_C(1) << TAT_BITS) - 1)

/* The bytes that stand for an address; 0 of them: not limited. */
static size_t
significant(const struct sockaddr *sa, uint8_t key[8])
{
	const struct sockaddr_in6 *in6;
	const struct sockaddr_in *in;

	if (sa->sa_family == AF_INET) {
		in = (const void *)sa;
		memcpy(key, &in->sin_addr, 4);
		return 4;
	}
	if (sa->sa_family != AF_INET6)
		return 0;
	in6 = (const void *)sa;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(key, &in6->sin6_addr.s6_addr[12], 4);
		return 4;
	}
	memcpy(key, &in6->sin6_addr, 8);
	return 8;
}

/* The way of this tag, or the one that was quiet for longest. */
static unsigned
choose(_Atomic uint64_t *set, uint64_t tag, uint64_t *word_r)
{
	uint64_t word, tat, oldest = UINT64_MAX;
	unsigned way, found = 0;

	for (way = 0; way < ADDRESS_WAYS; way++) {
		word = atomic_load_explicit(&set[way], memory_order_relaxed);
		if (word >> TAT_BITS == tag) {
			*word_r = word;
			return way;
		}
		tat = word & TAT_MASK;
		if (tat < oldest) {
			oldest = tat;
			*word_r = word;
			found = way;
		}
	}
	return found;
}

uint64_t
address_rate(struct tables *t, const struct sockaddr *sa, uint32_t per_minute,
    uint64_t now_ns)
{
	const uint64_t now = now_ns / 1000;
	uint64_t hash, tag, word, tat, wait, next = 0;
	_Atomic uint64_t *set;
	uint8_t key[8];
	unsigned way;
	size_t len;

	if (per_minute == 0 || (len = significant(sa, key)) == 0)
		return 0;
	hash = XXH3_64bits_withSecret(key, len, t->secret, TABLES_SECRET);
	/* an empty word has tag 0 */
	if ((tag = hash >> TAT_BITS) == 0)
		tag = 1;
	set = t->addresses +
	    ADDRESS_WAYS * (hash & (t->geometry.addresses / ADDRESS_WAYS - 1));
	do {
		way = choose(set, tag, &word);
		tat = word >> TAT_BITS == tag ? word & TAT_MASK : 0;
		wait = gcra_charge(tat, now, MINUTE_US, per_minute, 0, &next);
		if (wait != 0)
			return wait * 1000;
		next = tag << TAT_BITS | (next & TAT_MASK);
	} while (!atomic_compare_exchange_strong_explicit(&set[way], &word,
	    next, memory_order_relaxed, memory_order_relaxed));
	return 0;
}
