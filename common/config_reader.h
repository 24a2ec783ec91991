/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * config_reader - the lines of a configuration file; knows no option.
 *
 *	# a comment
 *	option = value			dotted name
 *	[section]
 *	option = value, "another one"	short name
 *	include path
 *
 * Reads on after an error, so that all of them are found.
 */

#ifndef COMMON_CONFIG_READER_H
#define COMMON_CONFIG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/config_table.h"

/* A place in a text, as errors name it. */
struct config_place {
	const char *file;
	unsigned line;
};

struct config_reader {
	struct config_errors *errors;
	/*
	 * "[section]" was read.  May put the one that must have been meant
	 * in its place (having said so); false: its lines are skipped.
	 */
	bool (*section)(void *arg, const struct config_place *at,
	    struct strbuf *section);
	/*
	 * A value.  'section' is "" above the first; 'unit' counts the files
	 * read, an included one anew each time.
	 */
	void (*option)(void *arg, const struct config_place *at, unsigned unit,
	    const char *section, const char *name,
	    const struct config_items *items);
	void *arg;
	/* private */
	unsigned units;
	const struct config_frame *stack;
};

/* A file that is not there is an error if it is 'required'. */
void config_read_file(struct config_reader *rd, const char *path,
    bool required);
/* Text that is in memory; cannot include. */
void config_read_text(struct config_reader *rd, const char *name,
    const char *text, size_t len);

/*
 * A file that an option or the command line names: open() and read(), but a
 * pipe into which nobody writes does not hold up a daemon that reads it
 * again: -1 with EAGAIN after a second.
 */
int config_open(const char *path);
ssize_t config_read(int fd, void *buf, size_t size);

/*
 * The part behind "=", up to the end or a comment.  0, or -1 and a sentence.
 * *items holds what was understood; the caller clears it.
 */
int config_read_value(const char *s, const char *end,
    struct config_items *items, const char **why_r);

#endif /* COMMON_CONFIG_READER_H */
