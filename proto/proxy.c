/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/proxy.h"

#include <arpa/inet.h>

/* "PROXY TCP4 source destination source-port destination-port" CR LF */
static const char v1_start[] = "PROXY ";
#define V1_START (sizeof(v1_start) - 1)

/* signature:12 version:4 command:4 family:4 transport:4 length:16 */
static const uint8_t v2_start[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a,
	0x51, 0x55, 0x49, 0x54, 0x0a };
#define V2_FIXED 16

enum {
	V2_LOCAL = 0x20,
	V2_PROXY = 0x21,
};

/* type of the field that holds the checksum */
#define TLV_CRC32C 3

static enum proxy_result
bad(const char **why_r, const char *why)
{
	*why_r = why;
	return PROXY_BAD;
}

/* --- version 1 ----------------------------------------------------------- */

/* Cut off the word in front of the next blank; false if it is empty. */
static bool
cut_word(struct span *rest, struct span *word_r)
{
	const char *blank = memchr(rest->p, ' ', rest->len);
	size_t n = blank == NULL ? rest->len : (size_t)(blank - rest->p);

	*word_r = (struct span){ rest->p, n };
	rest->p += n;
	rest->len -= n;
	/* the blank stays if nothing follows it: then a word is missing */
	if (rest->len > 1) {
		rest->p++;
		rest->len--;
	}
	return n > 0;
}

/* "0" to "65535", no leading zeros. */
static bool
parse_port(struct span s, uint16_t *port_r)
{
	unsigned port = 0;
	size_t i;

	if (s.len == 0 || s.len > 5 || (s.len > 1 && s.p[0] == '0'))
		return false;
	for (i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		port = port * 10 + (unsigned)(s.p[i] - '0');
	}
	*port_r = (uint16_t)port;
	return port <= UINT16_MAX;
}

/* An address alone, of that family as it is written. */
static bool
parse_host(struct span s, int family, struct net_address *addr)
{
	bool colon = memchr(s.p, ':', s.len) != NULL;

	return s.p[0] != '[' && colon == (family == AF_INET6) &&
	    net_address_parse(s, addr);
}

static bool
parse_line(struct span line, struct net_address *source)
{
	struct span family, from, to, from_port, to_port;
	struct net_address destination;
	uint16_t port;
	int af;

	if (!cut_word(&line, &family))
		return false;
	/* what else stands in such a line is to be ignored */
	if (span_is(family, "UNKNOWN"))
		return true;
	if (span_is(family, "TCP4"))
		af = AF_INET;
	else if (span_is(family, "TCP6"))
		af = AF_INET6;
	else
		return false;
	if (!cut_word(&line, &from) || !cut_word(&line, &to) ||
	    !cut_word(&line, &from_port) || !cut_word(&line, &to_port))
		return false;
	return line.len == 0 && parse_host(from, af, source) &&
	    parse_host(to, af, &destination) && parse_port(to_port, &port) &&
	    parse_port(from_port, &source->port);
}

static enum proxy_result
parse_v1(const char *buf, size_t len, struct net_address *source_r,
    size_t *used_r, const char **why_r)
{
	struct net_address source = { 0 };
	size_t i;

	/* the last of them must be an LF, and the one in front of it a CR */
	for (i = V1_START; i < len && i < PROXY_V1_MAX - 1; i++)
		if (buf[i] < ' ' || buf[i] > '~')
			break;
	if (i == PROXY_V1_MAX - 1)
		return bad(why_r, "PROXY line too long");
	if (i == len)
		return PROXY_MORE;
	if (buf[i] != '\r')
		return bad(why_r, "character not allowed in PROXY line");
	if (i + 1 == len)
		return PROXY_MORE;
	if (buf[i + 1] != '\n' ||
	    !parse_line((struct span){ buf + V1_START, i - V1_START }, &source))
		return bad(why_r, "malformed PROXY line");
	*source_r = source;
	*used_r = i + 2;
	return PROXY_OK;
}

/* --- version 2 ----------------------------------------------------------- */

static unsigned
get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Castagnoli's, over a header with its own four bytes at 'at' as zeros. */
static uint32_t
crc32c(const uint8_t *p, size_t len, size_t at)
{
	uint32_t crc = UINT32_MAX;
	size_t i;
	int bit;

	for (i = 0; i < len; i++) {
		crc ^= i >= at && i < at + 4 ? 0 : p[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* The fields from 'pos' to the end are whole, the checksum is right. */
static const char *
check_fields(const uint8_t *p, size_t len, size_t pos)
{
	while (pos < len) {
		unsigned type, n;

		if (len - pos < 3)
			return "PROXY field is cut off";
		type = p[pos];
		n = get16(p + pos + 1);
		pos += 3;
		if (n > len - pos)
			return "PROXY field longer than the header";
		if (type == TLV_CRC32C) {
			if (n != 4)
				return "malformed PROXY checksum";
			if (crc32c(p, len, pos) !=
			    ((uint32_t)get16(p + pos) << 16 |
				get16(p + pos + 2)))
				return "wrong PROXY checksum";
		}
		pos += n;
	}
	return NULL;
}

/* What a family byte stands for: address bytes, or false if nothing. */
static bool
v2_family(uint8_t byte, int *family_r, size_t *size_r)
{
	/* the lower half is the transport: unspecified, stream, datagram */
	switch (byte) {
	case 0x00:
		*family_r = AF_UNSPEC;
		*size_r = 0;
		return true;
	case 0x11:
	case 0x12:
		*family_r = byte == 0x11 ? AF_INET : AF_UNSPEC;
		*size_r = 12;
		return true;
	case 0x21:
	case 0x22:
		*family_r = byte == 0x21 ? AF_INET6 : AF_UNSPEC;
		*size_r = 36;
		return true;
	case 0x31:
	case 0x32:
		*family_r = byte == 0x31 ? AF_UNIX : AF_UNSPEC;
		*size_r = 216;
		return true;
	}
	return false;
}

static enum proxy_result
parse_v2_body(const uint8_t *p, size_t len, struct net_address *source,
    const char **why_r)
{
	int family;
	size_t size;
	const char *why;

	if (!v2_family(p[13], &family, &size))
		return bad(why_r, "unknown PROXY address family");
	if (size > len - V2_FIXED)
		return bad(why_r, "PROXY addresses are cut off");
	/* where fields begin behind unspecified addresses is not told */
	if (p[13] != 0 && (why = check_fields(p, len, V2_FIXED + size)) != NULL)
		return bad(why_r, why);
	source->family = (uint8_t)family;
	if (family == AF_INET) {
		memcpy(source->addr, p + V2_FIXED, 4);
		source->port = (uint16_t)get16(p + V2_FIXED + 8);
	} else if (family == AF_INET6) {
		memcpy(source->addr, p + V2_FIXED, 16);
		source->port = (uint16_t)get16(p + V2_FIXED + 32);
		net_address_unmap(source);
	}
	return PROXY_OK;
}

static enum proxy_result
parse_v2(const uint8_t *p, size_t len, struct net_address *source_r,
    size_t *used_r, const char **why_r)
{
	struct net_address source = { 0 };
	size_t whole;

	if (len > 12 && p[12] != V2_LOCAL && p[12] != V2_PROXY)
		return bad(why_r, "unknown PROXY version or command");
	if (len < V2_FIXED)
		return PROXY_MORE;
	whole = V2_FIXED + get16(p + 14);
	if (whole > PROXY_V2_MAX)
		return bad(why_r, "PROXY header too long");
	if (len < whole)
		return PROXY_MORE;
	/* LOCAL: whatever the rest says, it is the proxy itself */
	if (p[12] == V2_PROXY &&
	    parse_v2_body(p, whole, &source, why_r) == PROXY_BAD)
		return PROXY_BAD;
	*source_r = source;
	*used_r = whole;
	return PROXY_OK;
}

enum proxy_result
proxy_parse(const void *buf, size_t len, struct net_address *source_r,
    size_t *used_r, const char **why_r)
{
	size_t v1 = len < V1_START ? len : V1_START;
	size_t v2 = len < sizeof(v2_start) ? len : sizeof(v2_start);

	if (len == 0)
		return PROXY_MORE;
	if (memcmp(buf, v1_start, v1) == 0) {
		if (v1 < V1_START)
			return PROXY_MORE;
		return parse_v1(buf, len, source_r, used_r, why_r);
	}
	if (memcmp(buf, v2_start, v2) == 0)
		return parse_v2(buf, len, source_r, used_r, why_r);
	return bad(why_r, "no PROXY header");
}
