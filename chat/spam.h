/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * spam - what tells of a text that nobody wrote to be read.
 */

#ifndef CHAT_SPAM_H
#define CHAT_SPAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"

/* one character so often in a row is fine, once more is not */
#define SPAM_RUN 20
/* texts with less characters than this are not counted as a burst */
#define SPAM_SHORT 20

/*
 * Is one character there over SPAM_RUN times in a row?  Not blanks, not what
 * rulers are made of, and not within code: between backticks as Markdown has
 * them, or in lines that begin with four blanks or a tab.
 */
bool spam_repeats(struct json_value text);

/*
 * The same for texts that are the same without case, digits and blanks;
 * never 0.  0 for those that are too short.
 */
uint64_t spam_mark(struct json_value text);

/* A character that JavaScript's trim() takes away. */
bool spam_is_space(uint32_t c);

#endif /* CHAT_SPAM_H */
