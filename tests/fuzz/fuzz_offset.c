/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * fuzz_offset - offsets that clients send.  What is accepted is written
 * again as the very same text; what is refused leaves the offset alone.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat/offset.h"
#include "common/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char buf[OFFSET_TEXT_SIZE], *text;
	const char *why = NULL;
	struct offset o = { .pos = 1 };
	unsigned i;

	/* in memory of its own: nothing is read behind it */
	CHECK((text = malloc(size + 1)) != NULL);
	memcpy(text, data, size);
	text = realloc(text, size > 0 ? size : 1);
	CHECK(text != NULL);
	if (offset_parse(text, size, &o, &why)) {
		CHECK(strlen(offset_write(&o, buf)) == size);
		CHECK(memcmp(buf, text, size) == 0);
		for (i = 0; i < o.npairs; i++)
			CHECK(offset_find(&o, o.pair[i].room) == &o.pair[i]);
	} else {
		CHECK(why != NULL && o.pos == 1 && o.npairs == 0);
	}
	free(text);
	return 0;
}
