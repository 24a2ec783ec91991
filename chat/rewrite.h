/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * rewrite - a JSON string with some places of it written anew.
 */

#ifndef CHAT_REWRITE_H
#define CHAT_REWRITE_H

#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "common/strbuf.h"

/* Bytes of the decoded text, and what comes in their place. */
struct rewrite {
	uint32_t from, to;
};

/*
 * Add the string to 'sb' with its quotes, 'with' (as it stands between the
 * quotes of a JSON string) in the place of each of the 'n' edits.  These are
 * not empty, lie at the bounds of characters, ascend and do not overlap.
 * Everything else stays byte for byte, escapes too.
 */
void rewrite_string(struct strbuf *sb, struct json_value text,
    const struct rewrite *edits, size_t n, struct json_span with);

#endif /* CHAT_REWRITE_H */
