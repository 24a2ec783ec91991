/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/rewrite.h"

/* Bytes of a character in UTF-8. */
static uint32_t
utf8_length(uint32_t c)
{
	return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

void
rewrite_string(struct strbuf *sb, struct json_value text,
    const struct rewrite *edits, size_t n, struct json_span with)
{
	struct json_span in = json_inside(text);
	const char *at = NULL, *before = in.p, *copied = in.p;
	uint32_t c, offset = 0;
	size_t i = 0;

	sb_addc(sb, '"');
	for (; i < n && json_next_char(text, &at, &c); before = at) {
		if (offset == edits[i].from) {
			sb_add(sb, copied, (size_t)(before - copied));
			sb_add(sb, with.p, with.len);
		}
		if (offset >= edits[i].from)
			copied = at;
		offset += utf8_length(c);
		if (offset >= edits[i].to)
			i++;
	}
	sb_add(sb, copied, (size_t)(in.p + in.len - copied));
	sb_addc(sb, '"');
}
