/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * log_line - how an event of the log looks; knows no descriptor.
 *
 * Whatever the text holds, a line has no control characters but its end, is
 * valid UTF-8, and fits LOG_LINE_MAX; what does not fit ends in "...".
 */

#ifndef COMMON_LOG_LINE_H
#define COMMON_LOG_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "common/log.h"

struct log_event {
	enum log_level level;
	/* since 1970 */
	uint64_t time_ms;
	/* "chatd", "worker" */
	const char *ident, *role;
	/* -1: none */
	int slot;
	int pid;
	/* words, then key=value pairs; any bytes */
	const char *text;
};

/*
 * Each writes a whole line (a datagram, for the last two) to 'buf' of
 * LOG_LINE_MAX bytes and returns its length.
 */
size_t log_line_text(const struct log_event *ev, char *buf);
size_t log_line_logfmt(const struct log_event *ev, char *buf);
size_t log_line_json(const struct log_event *ev, char *buf);
size_t log_line_syslog(const struct log_event *ev, enum log_format format,
    char *buf);
size_t log_line_journal(const struct log_event *ev, char *buf);

/*
 * Copy bytes to 'dst' (a string of at most 'size' bytes with its NUL) with
 * everything that is not harmless text escaped; 'quoted' escapes " and \ as
 * well.  Returns how many bytes of 'src' were taken.
 */
size_t log_escape(char *dst, size_t size, const void *src, size_t len,
    bool quoted);

#endif /* COMMON_LOG_LINE_H */
