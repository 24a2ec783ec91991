/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * log - one line an event, to a descriptor that somebody else opened.
 *
 * Every role logs through a descriptor that the master opened, because a
 * child in its sandbox can open nothing.  A line is one write() of at most
 * LOG_LINE_MAX bytes; it never blocks for ever: what the target does not
 * take at once is dropped and counted, and the next line that gets through
 * tells how many there were.
 *
 * A message is text followed by key=value pairs:
 *
 *	log_info("%s message room=%s seq=%llu", sid, log_text(r, n), seq);
 *
 * The pairs become fields of their own in logfmt, json and the journal.
 * Control characters never reach the target, whatever the text holds; text
 * that a client chose goes through log_text(), so that it cannot pretend to
 * be fields.
 *
 * May be used by several threads.  errno is as it was before.
 */

#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/role.h"

/* With its line end; also what a pipe takes in one piece (PIPE_BUF). */
#define LOG_LINE_MAX 4096

enum log_level {
	/* something is lost or does not work */
	LOG_LEVEL_ERROR,
	/* somebody should look at this */
	LOG_LEVEL_WARN,
	/* rare and normal: started, reloaded, a child replaced */
	LOG_LEVEL_NOTICE,
	/* what happens every day */
	LOG_LEVEL_INFO,
	/* for developers; also what misbehaving clients do */
	LOG_LEVEL_DEBUG,
	LOG_LEVEL__MAX,
};

enum log_format {
	/* for people */
	LOG_FORMAT_TEXT,
	/* time=... level=info role=worker slot=3 pid=9 msg="..." key=value */
	LOG_FORMAT_LOGFMT,
	/* the same as one JSON object */
	LOG_FORMAT_JSON,
	LOG_FORMAT__MAX,
};

/* What the descriptor is. */
enum log_kind {
	/* a terminal or what stands in its place; a terminal gets text */
	LOG_KIND_STDERR,
	/* a file, opened for appending */
	LOG_KIND_FILE,
	/* a datagram socket connected to /dev/log: RFC 3164 lines */
	LOG_KIND_SYSLOG,
	/* a datagram socket connected to journald's: its native fields */
	LOG_KIND_JOURNAL,
	LOG_KIND__MAX,
};

/*
 * Who is talking; slot -1 means there is only one of this role.  Call it
 * before the sandbox closes.  Until log_set() lines go to stderr as text.
 * 'ident' is not copied.  Also ignores SIGPIPE: a log that nobody reads any
 * more must not end a daemon.
 */
void log_init(const char *ident, enum role role, int slot);

/*
 * Where to and how.  Takes 'fd' over; the one in use before is closed,
 * unless it is the same or stderr.
 */
void log_set(int fd, enum log_kind kind, enum log_format format,
    enum log_level level);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/*
 * Open "stderr", "syslog", "journal" or the path of a file (absolute).
 * Returns a new descriptor, close-on-exec, and its kind; -1 with errno.
 */
int log_open_target(const char *target, enum log_kind *kind_r);
/* What log_open_target() said about a descriptor that came by mail. */
enum log_kind log_kind_of(int fd);

/* Lines that the target did not take, since the start. */
uint64_t log_dropped(void);
/*
 * Whoever read at the other end has gone (the syslog daemon was restarted):
 * the master opens the target anew and sends it to all.
 */
bool log_target_lost(void);

/* "error", ...; NULL when there is no such thing. */
const char *log_level_name(enum log_level level);

#define LOG_PRINTF __attribute__((format(printf, 1, 2)))

void log_debug(const char *fmt, ...) LOG_PRINTF;
void log_info(const char *fmt, ...) LOG_PRINTF;
void log_notice(const char *fmt, ...) LOG_PRINTF;
void log_warn(const char *fmt, ...) LOG_PRINTF;
void log_error(const char *fmt, ...) LOG_PRINTF;

/* The same with error="text of errno" behind it. */
void log_warn_errno(const char *fmt, ...) LOG_PRINTF;
void log_error_errno(const char *fmt, ...) LOG_PRINTF;

/*
 * The start cannot go on: logs, says so in one line on stderr as well, and
 * exits with 1.  fatal() adds the text of errno.  For the start of a role,
 * for memory that is not there, and for a peer we must be able to trust;
 * never for what a client sent.
 */
void fatal(const char *fmt, ...) LOG_PRINTF __attribute__((noreturn));
void fatalx(const char *fmt, ...) LOG_PRINTF __attribute__((noreturn));

/*
 * For what may happen thousands of times: true at most once a minute for
 * each *last, which is 0 at first.
 */
bool log_due(uint64_t *last);

/*
 * Text that somebody else chose, as one safe value for a %s: at most 200
 * bytes of it, quoted when it has to be.  The answer is one of eight buffers
 * of the calling thread, used in turn.
 */
const char *log_text(const void *bytes, size_t len);

/* What must be true; always compiled in. */
#define CHECK(x) \
	do { \
		if (__builtin_expect(!(x), 0)) \
			log_check_failed(#x, __FILE__, __LINE__, __func__); \
	} while (0)

void log_check_failed(const char *what, const char *file, int line,
    const char *func) __attribute__((noreturn));

#endif /* COMMON_LOG_H */
