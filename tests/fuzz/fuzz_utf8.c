/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_utf8 - UTF-8: the whole text, the text in any two pieces, and one
 * character after the other say the same; what was repaired is right, and
 * what was right is not repaired.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/utf8.h"
#include "proto/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One character after the other; also counts UTF-16 units. */
static bool
walk(const char *p, size_t len, size_t *units_r)
{
	char back[4];
	uint32_t c;
	size_t n;

	for (*units_r = 0; len > 0; p += n, len -= n) {
		if ((n = utf8_decode(p, len, &c)) == 0)
			return false;
		CHECK(n <= len && c <= 0x10ffff);
		CHECK(c < 0xd800 || c > 0xdfff);
		CHECK(utf8_encode(c, back) == n && memcmp(back, p, n) == 0);
		*units_r += c > 0xffff ? 2 : 1;
	}
	return true;
}

/* In two pieces: a piece that is wrong stays wrong. */
static bool
in_pieces(const char *p, size_t len, size_t cut)
{
	struct utf8 u = { 0 };

	if (!utf8_feed(&u, p, cut))
		return false;
	return utf8_feed(&u, p + cut, len - cut) && utf8_complete(&u);
}

static void
check_repair(const char *p, size_t len, bool valid)
{
	size_t n = payload_repair_size(p, len);
	char *to = malloc(n > 0 ? n : 1);

	CHECK(to != NULL && n <= 3 * len);
	payload_repair(to, p, len);
	CHECK(utf8_valid(to, n));
	CHECK(payload_repair_size(to, n) == n);
	if (valid)
		CHECK(n == len && memcmp(to, p, len) == 0);
	free(to);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = calloc(1, size > 0 ? size : 1);
	size_t cut, units;
	bool valid;

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	valid = utf8_valid(copy, size);
	CHECK(walk(copy, size, &units) == valid);
	if (valid)
		CHECK(utf8_utf16_length(copy, size) == units);
	for (cut = 0; cut <= size; cut++)
		CHECK(in_pieces(copy, size, cut) == valid);
	check_repair(copy, size, valid);
	free(copy);
	return 0;
}
