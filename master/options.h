/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * options - chatd's command line.
 */

#ifndef MASTER_OPTIONS_H
#define MASTER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct config_source;

struct options {
	/* -d: do not detach, log to stderr */
	bool foreground;
	/* -t, -n: check and exit */
	bool check;
	/* -T: print the effective configuration and exit */
	bool dump;
	/* -V */
	bool version;
	/* -c, or the default, which need not exist */
	const char *file;
	bool file_required;
	/* -o, in the order given; points into argv */
	const char **overrides;
	size_t noverrides;
};

/* 0; -1 with the usage on stderr, and nothing to clear. */
int options_parse(struct options *opt, int argc, char *argv[]);
void options_clear(struct options *opt);

/* Where the configuration comes from, now and at each reload. */
void options_source(const struct options *opt, struct config_source *src);

#endif /* MASTER_OPTIONS_H */
