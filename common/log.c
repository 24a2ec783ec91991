/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * log - one line an event, to a descriptor that somebody else opened.
 */

#include "common/log.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log_line.h"

#define PATH_SYSLOG "/dev/log"
#define PATH_JOURNAL "/run/systemd/journal/socket"
/* how journald's socket is told from syslog's, wherever it is mounted */
#define JOURNAL_SUFFIX "/journal/socket"

#define ONCE_A_MINUTE_MS 60000

static const char *const role_names[] = {
	[ROLE_MASTER] = "master",
	[ROLE_WORKER] = "worker",
	[ROLE_SCRIBE] = "scribe",
	[ROLE_CLERK] = "clerk",
	[ROLE_BRIDGE] = "bridge",
};

/* Set while there is one thread; then only read, but for the counters. */
static struct {
	const char *ident;
	const char *role;
	int slot;
	int fd;
	enum log_kind kind;
	enum log_format format;
	enum log_level level;
	/* log_set() was called */
	bool set;
	/* fd must be asked with poll() before a write that could block */
	bool may_block;
	/* fd takes send() with its flags */
	bool is_socket;
	bool lost;
	/* lines that nobody took, and how many of them were told */
	uint64_t dropped, told;
} self = {
	.ident = "chatd",
	.role = "master",
	.slot = -1,
	.fd = STDERR_FILENO,
	.kind = LOG_KIND_STDERR,
	.format = LOG_FORMAT_TEXT,
	.level = LOG_LEVEL_INFO,
	.may_block = true,
};

void
log_init(const char *ident, enum role role, int slot)
{
	CHECK((unsigned)role < ROLE__MAX);
	self.ident = ident;
	self.role = role_names[role];
	self.slot = slot;
	/* localtime_r() must find its zone loaded: a sandbox opens nothing */
	tzset();
	(void)signal(SIGPIPE, SIG_IGN);
}

void
log_set(int fd, enum log_kind kind, enum log_format format,
    enum log_level level)
{
	struct stat st;
	int flags, saved = errno;

	if (self.fd != fd && self.fd > STDERR_FILENO)
		(void)close(self.fd);
	/* a terminal has a reader, not a parser */
	if (kind == LOG_KIND_STDERR && isatty(fd))
		format = LOG_FORMAT_TEXT;
	self.fd = fd;
	self.kind = kind;
	self.format = format;
	self.level = level;
	flags = fcntl(fd, F_GETFL);
	memset(&st, 0, sizeof(st));
	(void)fstat(fd, &st);
	self.is_socket = S_ISSOCK(st.st_mode);
	self.may_block = (flags == -1 || (flags & O_NONBLOCK) == 0) &&
	    (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
	__atomic_store_n(&self.lost, false, __ATOMIC_RELAXED);
	self.set = true;
	errno = saved;
}

void
log_set_level(enum log_level level)
{
	self.level = level;
}

bool
log_enabled(enum log_level level)
{
	return level <= self.level;
}

uint64_t
log_dropped(void)
{
	return __atomic_load_n(&self.dropped, __ATOMIC_RELAXED);
}

bool
log_target_lost(void)
{
	return __atomic_load_n(&self.lost, __ATOMIC_RELAXED);
}

bool
log_due(uint64_t *last)
{
	uint64_t now = clock_mono_ms();

	if (*last != 0 && now - *last < ONCE_A_MINUTE_MS)
		return false;
	*last = now == 0 ? 1 : now;
	return true;
}

/* ------------------------------------------------------------------ */
/* Targets. */

static int
open_socket(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, saved;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		saved = errno;
		(void)close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/*
 * A pipe or a terminal is opened anew, so that it can be non-blocking
 * without the shell that also has it noticing.
 */
static int
open_stderr(void)
{
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st) == -1)
		return -1;
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		fd = open("/proc/self/fd/2",
		    O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd != -1)
			return fd;
	}
	return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static int
open_file(const char *path)
{
	if (path[0] != '/') {
		errno = EINVAL;
		return -1;
	}
	return open(path,
	    O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
	    0640);
}

int
log_open_target(const char *target, enum log_kind *kind_r)
{
	enum log_kind kind;
	int fd;

	if (strcmp(target, "stderr") == 0) {
		kind = LOG_KIND_STDERR;
		fd = open_stderr();
	} else if (strcmp(target, "syslog") == 0) {
		kind = LOG_KIND_SYSLOG;
		fd = open_socket(PATH_SYSLOG);
	} else if (strcmp(target, "journal") == 0) {
		kind = LOG_KIND_JOURNAL;
		fd = open_socket(PATH_JOURNAL);
	} else {
		kind = LOG_KIND_FILE;
		fd = open_file(target);
	}
	if (fd != -1)
		*kind_r = kind;
	return fd;
}

enum log_kind
log_kind_of(int fd)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sun) - 1;
	size_t n, sfx = strlen(JOURNAL_SUFFIX);
	struct stat st;

	if (fstat(fd, &st) == -1)
		return LOG_KIND_STDERR;
	if (S_ISREG(st.st_mode))
		return LOG_KIND_FILE;
	if (!S_ISSOCK(st.st_mode) ||
	    getpeername(fd, (struct sockaddr *)&sun, &len) == -1 ||
	    sun.sun_family != AF_UNIX)
		return LOG_KIND_STDERR;
	/* a stderr that is a socketpair has no name */
	if ((n = strlen(sun.sun_path)) == 0)
		return LOG_KIND_STDERR;
	if (n >= sfx && strcmp(sun.sun_path + n - sfx, JOURNAL_SUFFIX) == 0)
		return LOG_KIND_JOURNAL;
	return LOG_KIND_SYSLOG;
}

/* ------------------------------------------------------------------ */
/* Lines. */

static size_t
format_line(const struct log_event *ev, char *buf)
{
	switch (self.kind) {
	case LOG_KIND_SYSLOG:
		return log_line_syslog(ev, self.format, buf);
	case LOG_KIND_JOURNAL:
		return log_line_journal(ev, buf);
	case LOG_KIND_STDERR:
	case LOG_KIND_FILE:
	case LOG_KIND__MAX:
		break;
	}
	switch (self.format) {
	case LOG_FORMAT_TEXT:
		return log_line_text(ev, buf);
	case LOG_FORMAT_JSON:
		return log_line_json(ev, buf);
	case LOG_FORMAT_LOGFMT:
	case LOG_FORMAT__MAX:
		break;
	}
	return log_line_logfmt(ev, buf);
}

/* 0, or -1 when the target did not take it. */
static int
put_line(const char *buf, size_t len)
{
	struct pollfd pfd = { .fd = self.fd, .events = POLLOUT };
	ssize_t n;

	if (self.may_block && poll(&pfd, 1, 0) != 1)
		return -1;
	do
		n = self.is_socket
		    ? send(self.fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL)
		    : write(self.fd, buf, len);
	while (n == -1 && errno == EINTR);
	if (n == -1 &&
	    (errno == ECONNREFUSED || errno == ENOTCONN || errno == EPIPE ||
		errno == EIO || errno == ECONNRESET))
		__atomic_store_n(&self.lost, true, __ATOMIC_RELAXED);
	/* what a full disk took half of is lost as well */
	return n == (ssize_t)len ? 0 : -1;
}

static int
emit(enum log_level level, const char *text)
{
	char buf[LOG_LINE_MAX];
	struct log_event ev = {
		.level = level,
		.time_ms = clock_real_ms(),
		.ident = self.ident,
		.role = self.role,
		.slot = self.slot,
		.pid = (int)getpid(),
		.text = text,
	};

	return put_line(buf, format_line(&ev, buf));
}

/* The line got through: tell how many before it did not. */
static void
tell_dropped(void)
{
	uint64_t dropped = log_dropped();
	uint64_t told = __atomic_load_n(&self.told, __ATOMIC_RELAXED);
	char text[80];

	if (dropped == told ||
	    !__atomic_compare_exchange_n(&self.told, &told, dropped, false,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	(void)snprintf(text, sizeof(text), "log lines dropped n=%llu",
	    (unsigned long long)(dropped - told));
	/* next time then */
	if (emit(LOG_LEVEL_WARN, text) == -1)
		__atomic_sub_fetch(&self.told, dropped - told,
		    __ATOMIC_RELAXED);
}

static void vlog(enum log_level level, int error, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void
vlog(enum log_level level, int error, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX];
	int saved = errno;
	size_t len;
	int n;

	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n < 0)
		text[0] = '\0';
	len = strlen(text);
	if (error != 0)
		(void)snprintf(text + len, sizeof(text) - len, " error=\"%s\"",
		    strerror(error));
	if (emit(level, text) == 0)
		tell_dropped();
	else
		__atomic_add_fetch(&self.dropped, 1, __ATOMIC_RELAXED);
	errno = saved;
}

#define DEFINE_LOG(name, level, error) \
	void name(const char *fmt, ...) \
	{ \
		va_list ap; \
\
		if (!log_enabled(level)) \
			return; \
		va_start(ap, fmt); \
		vlog(level, error, fmt, ap); \
		va_end(ap); \
	}

DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG, 0)
DEFINE_LOG(log_info, LOG_LEVEL_INFO, 0)
DEFINE_LOG(log_notice, LOG_LEVEL_NOTICE, 0)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN, 0)
DEFINE_LOG(log_error, LOG_LEVEL_ERROR, 0)
DEFINE_LOG(log_warn_errno, LOG_LEVEL_WARN, errno)
DEFINE_LOG(log_error_errno, LOG_LEVEL_ERROR, errno)

/* ------------------------------------------------------------------ */
/* The end. */

/* Does the log go where stderr goes? */
static bool
is_stderr(void)
{
	struct stat a, b;

	if (self.fd == STDERR_FILENO)
		return true;
	return fstat(self.fd, &a) == 0 && fstat(STDERR_FILENO, &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void vfatal(int error, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0), noreturn));

static void
vfatal(int error, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX / 2], safe[LOG_LINE_MAX / 2];
	va_list again;

	va_copy(again, ap);
	if (self.set)
		vlog(LOG_LEVEL_ERROR, error, fmt, again);
	va_end(again);
	if (!self.set || !is_stderr()) {
		(void)vsnprintf(text, sizeof(text), fmt, ap);
		(void)log_escape(safe, sizeof(safe), text, strlen(text), false);
		(void)dprintf(STDERR_FILENO, "%s: %s%s%s\n", self.ident, safe,
		    error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
	}
	exit(1);
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfatal(errno, fmt, ap);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfatal(0, fmt, ap);
}

void
log_check_failed(const char *what, const char *file, int line, const char *func)
{
	log_error("check failed what=%s at=%s:%d in=%s",
	    log_text(what, strlen(what)), file, line, func);
	abort();
}

const char *
log_text(const void *bytes, size_t len)
{
	static _Thread_local char bufs[8][256];
	static _Thread_local unsigned turn;
	const unsigned char *p = bytes;
	char *buf = bufs[turn++ % 8];
	bool quote = len == 0 || len > 200;
	size_t took, n;

	for (size_t i = 0; i < len && !quote; i++)
		quote = p[i] <= ' ' || p[i] == '"' || p[i] == '\\' ||
		    p[i] == '=' || p[i] >= 0x7f;
	if (!quote) {
		memcpy(buf, p, len);
		buf[len] = '\0';
		return buf;
	}
	buf[0] = '"';
	took = log_escape(buf + 1, 201, p, len, true);
	n = strlen(buf);
	(void)snprintf(buf + n, sizeof(bufs[0]) - n, "%s\"",
	    took < len ? "..." : "");
	return buf;
}
