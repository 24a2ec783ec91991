/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * names - see names.h.
 */

#include "tests/torture/names.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static char tag[24];

void
names_tag(uint64_t seed)
{
	snprintf(tag, sizeof(tag), "t%llx-", (unsigned long long)seed);
}

size_t
names_message(uint64_t message, char *out)
{
	return (size_t)snprintf(out, NAMES_SIZE, "%sm%llx", tag,
	    (unsigned long long)message);
}

size_t
names_room(unsigned room, char *out)
{
	return (size_t)snprintf(out, NAMES_SIZE, "%sr%x", tag, room);
}

size_t
names_user(unsigned user, char *out)
{
	return (size_t)snprintf(out, NAMES_SIZE, "%su%x", tag, user);
}

/* The number behind the tag and 'kind'. */
static bool
is_name(struct span id, char kind, uint64_t *n_r)
{
	size_t at = strlen(tag), i;
	uint64_t n = 0;
	char ch;

	if (id.len < at + 2 || id.len > at + 17 || memcmp(id.p, tag, at) != 0 ||
	    id.p[at] != kind)
		return false;
	for (i = at + 1; i < id.len; i++) {
		ch = id.p[i];
		if (ch >= '0' && ch <= '9')
			n = n << 4 | (uint64_t)(ch - '0');
		else if (ch >= 'a' && ch <= 'f')
			n = n << 4 | (uint64_t)(ch - 'a' + 10);
		else
			return false;
	}
	*n_r = n;
	return true;
}

bool
names_is_message(struct span id, uint64_t *message_r)
{
	return is_name(id, 'm', message_r);
}

bool
names_is_room(struct span id, unsigned *room_r)
{
	uint64_t n;

	if (!is_name(id, 'r', &n) || n > UINT16_MAX)
		return false;
	*room_r = (unsigned)n;
	return true;
}

uint64_t
names_mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Letters that differ from message to message, some of two bytes. */
size_t
names_text(uint64_t message, char *out)
{
	uint64_t r = names_mix(message);
	size_t len = 20 + r % 180, n = 0;

	/* a few are long: they go round a small arena soon */
	if (r >> 32 & 0x3f) {
		if ((r >> 38 & 0xf) == 0)
			len += 400;
	} else {
		len += 1000 + (r >> 40) % 2000;
	}
	while (n < len) {
		r = names_mix(r);
		if ((r & 0x3f) == 0) {
			out[n++] = '\xc3';
			out[n++] = (char)(0xa0 + (r >> 8) % 0x1f);
		} else if ((r & 0x3f) < 10 && n > 0) {
			out[n++] = ' ';
		} else {
			out[n++] = (char)('a' + (r >> 8) % 26);
		}
	}
	out[n++] = '.';
	return n;
}

uint64_t
names_hash(struct span user, struct span text)
{
	return XXH3_64bits_withSeed(text.p, text.len,
	    XXH3_64bits(user.p, user.len));
}
