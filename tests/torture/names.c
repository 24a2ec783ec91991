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

bool
names_is_user(struct span id, unsigned *user_r)
{
	uint64_t n;

	if (!is_name(id, 'u', &n) || n > UINT32_MAX)
		return false;
	*user_r = (unsigned)n;
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

size_t
names_chunk(uint64_t message, unsigned index, char *out)
{
	uint64_t r = names_mix(names_mix(message) + index);
	size_t len = 4 + r % 60, n;

	if ((r >> 32 & 7) == 0)
		len += 300;
	n = (size_t)snprintf(out, NAMES_CHUNK, "%u:", index);
	for (len += n; n < len;) {
		r = names_mix(r);
		out[n++] = (char)('a' + (r >> 8) % 26);
	}
	out[n++] = ' ';
	out[n] = '\0';
	return n;
}

bool
names_are_chunks(uint64_t message, struct span text, unsigned *first_r,
    unsigned *end_r)
{
	char want[NAMES_CHUNK];
	uint64_t n = 0;
	unsigned i;
	size_t len;

	*first_r = *end_r = 0;
	if (text.len == 0)
		return true;
	if (!span_number(text, &n) || n >= NAMES_CHUNKS)
		return false;
	*first_r = (unsigned)n;
	for (i = *first_r; text.len > 0; i++) {
		len = names_chunk(message, i, want);
		if (i >= NAMES_CHUNKS || text.len < len ||
		    memcmp(text.p, want, len) != 0)
			return false;
		text.p += len;
		text.len -= len;
	}
	*end_r = i;
	return true;
}

uint64_t
names_chunks_hash(uint64_t message, unsigned user, unsigned n)
{
	char text[NAMES_CHUNK * NAMES_CHUNKS], name[NAMES_SIZE];
	struct span who = { name, names_user(user, name) };
	size_t len = 0;
	unsigned i;

	for (i = 0; i < n && i < NAMES_CHUNKS; i++)
		len += names_chunk(message, i, text + len);
	return names_hash(who, (struct span){ text, len });
}
