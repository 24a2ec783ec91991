/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/address.h"

#include <arpa/inet.h>
#include <stdio.h>

/* inet_pton() wants a string; it must not see less than there is. */
static bool
parse_host(struct span text, int family, struct net_address *addr)
{
	char host[INET6_ADDRSTRLEN];

	if (text.len == 0 || text.len >= sizeof(host) ||
	    memchr(text.p, '\0', text.len) != NULL)
		return false;
	memcpy(host, text.p, text.len);
	host[text.len] = '\0';
	addr->family = (uint8_t)family;
	return inet_pton(family, host, addr->addr) == 1;
}

static bool
parse_port(struct span text, struct net_address *addr)
{
	unsigned port = 0;
	size_t i;

	if (text.len == 0 || text.len > 5)
		return false;
	for (i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text.p[i] - '0');
	}
	if (port > UINT16_MAX)
		return false;
	addr->port = (uint16_t)port;
	return true;
}

/* [host] or [host]:port */
static bool
parse_bracketed(struct span text, struct net_address *addr)
{
	const char *end = memchr(text.p, ']', text.len);
	struct span host, rest;

	if (end == NULL)
		return false;
	host = (struct span){ text.p + 1, (size_t)(end - text.p - 1) };
	rest = (struct span){ end + 1, text.len - host.len - 2 };
	if (!parse_host(host, AF_INET6, addr))
		return false;
	if (rest.len == 0)
		return true;
	rest.len--;
	return *rest.p++ == ':' && parse_port(rest, addr);
}

static bool
parse(struct span text, struct net_address *addr)
{
	const char *colon;
	struct span host = text, port;

	if (text.len == 0)
		return false;
	if (text.p[0] == '[')
		return parse_bracketed(text, addr);
	colon = memchr(text.p, ':', text.len);
	if (colon == NULL)
		return parse_host(text, AF_INET, addr);
	host.len = (size_t)(colon - text.p);
	port = (struct span){ colon + 1, text.len - host.len - 1 };
	if (memchr(port.p, ':', port.len) != NULL)
		return parse_host(text, AF_INET6, addr);
	return parse_host(host, AF_INET, addr) && parse_port(port, addr);
}

bool
net_address_parse(struct span text, struct net_address *addr_r)
{
	struct net_address addr = { 0 };

	if (!parse(text, &addr))
		return false;
	net_address_unmap(&addr);
	*addr_r = addr;
	return true;
}

void
net_address_print(const struct net_address *addr, char buf[NET_ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "unknown", port[8] = "";
	bool brackets = addr->family == AF_INET6 && addr->port != 0;

	if (addr->family == AF_UNIX)
		(void)snprintf(host, sizeof(host), "unix");
	if (addr->family == AF_INET || addr->family == AF_INET6) {
		(void)inet_ntop(addr->family, addr->addr, host, sizeof(host));
		if (addr->port != 0)
			(void)snprintf(port, sizeof(port), ":%u", addr->port);
	}
	(void)snprintf(buf, NET_ADDRESS_TEXT, "%s%s%s%s", brackets ? "[" : "",
	    host, brackets ? "]" : "", port);
}

void
net_address_unmap(struct net_address *addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (addr->family != AF_INET6 || memcmp(addr->addr, mapped, 12) != 0)
		return;
	addr->family = AF_INET;
	memcpy(addr->addr, addr->addr + 12, 4);
	memset(addr->addr + 4, 0, 12);
}
