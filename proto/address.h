/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * address - where somebody comes from, as proxies write it.
 */

#ifndef PROTO_ADDRESS_H
#define PROTO_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/span.h"

struct net_address {
	/* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC (0): not known */
	uint8_t family;
	/* network byte order, IPv4 in the first 4; else zero */
	uint8_t addr[16];
	/* host byte order; 0: not known */
	uint16_t port;
};

/*
 * 1.2.3.4, 1.2.3.4:567, 1:2::3, [1:2::3], [1:2::3]:567; no blanks, no names,
 * no zones.  IPv4 in IPv6 clothes (::ffff:1.2.3.4) becomes IPv4.  False if
 * it is anything else.
 */
bool net_address_parse(struct span text, struct net_address *addr_r);

/* As net_address_parse() would take it apart; "unix", "unknown". */
#define NET_ADDRESS_TEXT 56
void net_address_print(const struct net_address *addr,
    char buf[NET_ADDRESS_TEXT]);

/* ::ffff:1.2.3.4 becomes 1.2.3.4; the port stays. */
void net_address_unmap(struct net_address *addr);

#endif /* PROTO_ADDRESS_H */
