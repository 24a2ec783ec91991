/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/record.h"

#include <string.h>

#include <xxhash.h>

/* The number of fields by type, as record.h lists them. */
static const unsigned char nfields[RECORD__MAX] = {
	[RECORD_JOIN] = 8,
	[RECORD_LEAVE] = 3,
	[RECORD_PRESENCE] = 5,
	[RECORD_MESSAGE] = 3,
	[RECORD_RESUME] = 3,
	[RECORD_RELEASE] = 3,
	[RECORD_ASK] = 2,
	[RECORD_TYPING] = 3,
	[RECORD_EDIT] = 5,
	[RECORD_DELETE] = 3,
	[RECORD_RECEIPT] = 3,
	[RECORD_STATUS] = 5,
	[RECORD_STEER] = 8,
	[RECORD_CHUNK] = 6,
	[RECORD_CANCEL] = 2,
	[RECORD_SECURITY] = 1,
	[RECORD_STEERED] = 2,
	[RECORD_PING] = 1,
};

unsigned
record_nfields(unsigned type)
{
	return type < RECORD__MAX ? nfields[type] : 0;
}

/* Header and body are hashed apart, so that the header's copy with no sum in
 * it need not be followed by a copy of the body. */
static uint32_t
record_sum(const struct record *h, const void *body, size_t len)
{
	struct record copy = *h;
	uint64_t sum;

	copy.sum = 0;
	sum = XXH3_64bits(&copy, sizeof(copy));
	if (len > 0)
		sum = sum * 0x9e3779b97f4a7c15u + XXH3_64bits(body, len);
	return (uint32_t)(sum ^ sum >> 32);
}

bool
record_intact(const void *rec, size_t len)
{
	struct record h;

	if (len < sizeof(h))
		return false;
	memcpy(&h, rec, sizeof(h));
	return h.len == len &&
	    h.sum ==
	    record_sum(&h, (const char *)rec + sizeof(h), len - sizeof(h));
}

void
record_set_again(void *rec)
{
	struct record h;

	memcpy(&h, rec, sizeof(h));
	h.flags |= RECORD_F_AGAIN;
	h.sum =
	    record_sum(&h, (const char *)rec + sizeof(h), h.len - sizeof(h));
	memcpy(rec, &h, sizeof(h));
}

size_t
record_length(const struct record_field *fields, unsigned n)
{
	size_t len = sizeof(struct record);
	unsigned i;

	for (i = 0; i < n; i++)
		len += sizeof(uint32_t) + fields[i].len;
	return len;
}

size_t
record_build(void *buf, size_t size, const struct record *h,
    const struct record_field *fields, unsigned n)
{
	size_t len = record_length(fields, n);
	struct record head = *h;
	char *p = buf;
	unsigned i;

	if (h->type == RECORD_NONE || h->type >= RECORD__MAX ||
	    n != record_nfields(h->type))
		return 0;
	if (len > size || len > UINT32_MAX)
		return 0;
	p += sizeof(head);
	for (i = 0; i < n; i++) {
		memcpy(p, &fields[i].len, sizeof(fields[i].len));
		p += sizeof(fields[i].len);
		if (fields[i].len > 0)
			memcpy(p, fields[i].p, fields[i].len);
		p += fields[i].len;
	}
	head.len = (uint32_t)len;
	head.sum = record_sum(&head, (const char *)buf + sizeof(head),
	    len - sizeof(head));
	memcpy(buf, &head, sizeof(head));
	return len;
}

int
record_parse(const void *rec, size_t len,
    struct record_field fields[RECORD_MAX_FIELDS])
{
	struct record_field found[RECORD_MAX_FIELDS];
	const char *p = rec, *end = p + len;
	struct record h;
	unsigned i, n;

	if (!record_intact(rec, len))
		return -1;
	memcpy(&h, rec, sizeof(h));
	if (h.type == RECORD_NONE || h.type >= RECORD__MAX)
		return -1;
	n = record_nfields(h.type);
	p += sizeof(h);
	for (i = 0; i < n; i++) {
		if ((size_t)(end - p) < sizeof(found[i].len))
			return -1;
		memcpy(&found[i].len, p, sizeof(found[i].len));
		p += sizeof(found[i].len);
		if ((size_t)(end - p) < found[i].len)
			return -1;
		found[i].p = p;
		p += found[i].len;
	}
	if (p != end)
		return -1;
	if (n > 0)
		memcpy(fields, found, n * sizeof(found[0]));
	return (int)n;
}
