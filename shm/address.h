/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * address - how often an address may connect.
 *
 * Who has not said yet who it is can only be limited by where it comes
 * from.  Attackers choose their addresses, so the table never grows: sets of
 * 8 words in one cache line, found by a keyed hash; a newcomer replaces the
 * address that has been quiet for longest.  Two addresses that meet share
 * one allowance: collisions only make it stricter.
 *
 *   word = tag:16 | theoretical arrival time:48 (us, CLOCK_MONOTONIC)
 *
 * IPv6 addresses are taken by their /64, which is what one customer gets;
 * IPv4 in IPv6 clothes is IPv4.
 */

#ifndef SHM_ADDRESS_H
#define SHM_ADDRESS_H

#include <stdint.h>

struct sockaddr;
struct tables;

#define ADDRESS_WAYS 8

/*
 * Charge one connection of this address: 'per_minute' at once, then one
 * each 60 / per_minute seconds.  Returns 0, or how many ns to wait; then
 * nothing was charged.  per_minute 0 and addresses that are neither IPv4
 * nor IPv6: no limit.
 */
uint64_t address_rate(struct tables *t, const struct sockaddr *sa,
    uint32_t per_minute, uint64_t now_ns);

#endif /* SHM_ADDRESS_H */
