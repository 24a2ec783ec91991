/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * error - the errors of the contract: a constant for programs, a sentence
 * for people, and whether to try again.  The rows are in tbl_errors.h.
 */

#ifndef CHAT_ERROR_H
#define CHAT_ERROR_H

#include <stdbool.h>
#include <stddef.h>

struct config;

enum chat_error {
	CHAT_OK,
#define CHAT_ERROR(name, code, text, retryable) CHAT_E_##name,
#include "chat/tbl_errors.h"
	CHAT_E__MAX,
};

/* Room for the longest text with its number, and the NUL. */
#define CHAT_ERROR_TEXT_MAX 96

/* The constant, such as "RATE_LIMITED". */
const char *chat_error_code(enum chat_error err);
bool chat_error_retryable(enum chat_error err);
/*
 * The sentence, with the number that 'cfg' has for it; at most
 * CHAT_ERROR_TEXT_MAX bytes.  Returns buf.
 */
const char *chat_error_text(const struct config *cfg, enum chat_error err,
    char *buf, size_t size);

#endif /* CHAT_ERROR_H */
