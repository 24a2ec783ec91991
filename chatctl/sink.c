/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sink - a file that exists only when it is complete.
 */

#include "chatctl/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

/* What a signal removes; a named sink's path. */
static const char *volatile partial;

static void
on_end(int sig)
{
	const char *path = partial;

	if (path != NULL)
		(void)unlink(path);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

static void
catch_signals(void (*handler)(int))
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		(void)signal(ends[i], handler);
}

static int
complain(const char *path, const char *what)
{
	(void)fprintf(stderr, "chatctl: %s: %s%s%s\n", path, what,
	    errno == 0 ? "" : ": ", errno == 0 ? "" : strerror(errno));
	return -1;
}

/* Descriptor of the directory that 'path' is in, or -1. */
static int
open_parent(const char *path, int flags)
{
	char copy[PATH_MAX];

	if (strlen(path) >= sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(copy, path, strlen(path) + 1);
	return open(dirname(copy), flags | O_CLOEXEC, 0600);
}

static int
open_named(struct sink *s)
{
	s->fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (s->fd == -1)
		return complain(s->path, "cannot be made");
	s->named = true;
	partial = s->path;
	catch_signals(on_end);
	return 0;
}

int
sink_open(struct sink *s, const char *path, bool named)
{
	memset(s, 0, sizeof(*s));
	s->path = path;
	s->stream = strcmp(path, "-") == 0;
	if (s->stream) {
		s->fd = STDOUT_FILENO;
		return 0;
	}
	s->fd = -1;
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = 0;
		return complain(path, "exists, and is not overwritten");
	}
	/* there would be nothing in the end */
	if (path[0] == '\0' || path[strlen(path) - 1] == '/') {
		errno = 0;
		return complain(path, "is no name of a file");
	}
	if (!named)
		s->fd = open_parent(path, O_TMPFILE | O_RDWR);
	if (s->fd != -1)
		return 0;
	/* not all file systems have files without a name */
	return open_named(s);
}

static void
sink_close(struct sink *s)
{
	if (s->fd != -1 && !s->stream)
		(void)close(s->fd);
	s->fd = -1;
	if (s->named)
		catch_signals(SIG_DFL);
	partial = NULL;
}

static int
sync_parent(const char *path)
{
	int fd = open_parent(path, O_RDONLY | O_DIRECTORY), rc;

	if (fd == -1)
		return -1;
	rc = fsync(fd);
	(void)close(fd);
	return rc;
}

static int
give_name(const struct sink *s, const char *name)
{
	char self[64];

	if (s->named)
		return name == s->path ? 0
				       : renameat2(AT_FDCWD, s->path, AT_FDCWD,
					     name, RENAME_NOREPLACE);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", s->fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

int
sink_commit(struct sink *s, const char *suffix)
{
	const char *name = s->path;
	char longer[PATH_MAX];

	if (s->stream) {
		sink_close(s);
		return 0;
	}
	if (suffix[0] != '\0') {
		(void)snprintf(longer, sizeof(longer), "%s%s", s->path, suffix);
		name = longer;
	}
	if (fsync(s->fd) == -1 || give_name(s, name) == -1) {
		(void)complain(name, "cannot be given its name");
		sink_abandon(s);
		return -1;
	}
	sink_close(s);
	if (sync_parent(name) == -1)
		return complain(name,
		    "it is there, but its name may not survive a power cut");
	return 0;
}

void
sink_abandon(struct sink *s)
{
	if (s->named && unlink(s->path) == -1)
		(void)complain(s->path,
		    "is not complete, and cannot be "
		    "removed");
	sink_close(s);
}
