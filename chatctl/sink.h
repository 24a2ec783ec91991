/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sink - a file that exists only when it is complete.
 *
 * It is written without a name where the file system can do that, and gets
 * its name when all is well: whoever is killed leaves nothing behind.
 * Elsewhere it has its name from the start, and is removed on failure and
 * by the signals that ask us to end.
 */

#ifndef CHATCTL_SINK_H
#define CHATCTL_SINK_H

#include <stdbool.h>

struct sink {
	/* -1: closed */
	int fd;
	const char *path;
	/* "-": standard output, which cannot be taken back */
	bool stream;
	/* it has its name already */
	bool named;
};

/*
 * A new file, mode 0600, for reading and writing; "-" is standard output.
 * With 'named' it gets its name at once.  -1: stderr was told why.
 */
int sink_open(struct sink *s, const char *path, bool named);

/*
 * It is complete: give it its name, with 'suffix' behind it, and bring that
 * to the disk.  -1: stderr was told why, and the file is gone.
 */
int sink_commit(struct sink *s, const char *suffix);

/* Never mind. */
void sink_abandon(struct sink *s);

#endif /* CHATCTL_SINK_H */
