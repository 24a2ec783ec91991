/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/error.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/log.h"

static const struct {
	const char *code;
	const char *text;
	bool retryable;
} rows[CHAT_E__MAX] = {
	[CHAT_OK] = { "OK", "OK", false },
#define CHAT_ERROR(name, code, text, retryable) \
	[CHAT_E_##name] = { code, text, retryable },
#include "chat/tbl_errors.h"
};

const char *
chat_error_code(enum chat_error err)
{
	CHECK(err < CHAT_E__MAX);
	return rows[err].code;
}

bool
chat_error_retryable(enum chat_error err)
{
	CHECK(err < CHAT_E__MAX);
	return rows[err].retryable;
}

/* The number that stands for {}. */
static uint64_t
number_of(const struct config *cfg, enum chat_error err)
{
	if (err == CHAT_E_TOO_MANY_CONNECTIONS)
		return cfg->limits_connections_per_user;
	if (err == CHAT_E_CONTENT_TOO_LONG)
		return cfg->limits_message_length;
	CHECK(err == CHAT_E_METADATA_TOO_LARGE);
	return cfg->limits_metadata_bytes;
}

const char *
chat_error_text(const struct config *cfg, enum chat_error err, char *buf,
    size_t size)
{
	const char *text, *hole;

	CHECK(err < CHAT_E__MAX);
	text = rows[err].text;
	if ((hole = strstr(text, "{}")) == NULL)
		snprintf(buf, size, "%s", text);
	else
		snprintf(buf, size, "%.*s%" PRIu64 "%s", (int)(hole - text),
		    text, number_of(cfg, err), hole + 2);
	return buf;
}
