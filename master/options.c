/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * options - chatd's command line.
 */

#include "master/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/log.h"

extern char **environ;

static int
usage(struct options *opt)
{
	options_clear(opt);
	(void)fprintf(stderr,
	    "usage: chatd [-dntTV] [-c file] [-o option=value]...\n"
	    "  -c  the configuration (" CONFIG_DEFAULT_FILE ")\n"
	    "  -d  stay in the foreground, log to stderr\n"
	    "  -o  set an option, whatever the file says\n"
	    "  -t  check the configuration, as -n; tell all that is wrong\n"
	    "  -T  print what is in force, and where it comes from\n"
	    "  -V  versions\n"
	    "See chatd(8); chatctl looks into one that runs.\n");
	return -1;
}

int
options_parse(struct options *opt, int argc, char *argv[])
{
	int c;

	memset(opt, 0, sizeof(*opt));
	opt->file = CONFIG_DEFAULT_FILE;
	/* each -o takes at least one element of argv */
	opt->overrides = calloc((size_t)argc + 1, sizeof(*opt->overrides));
	if (opt->overrides == NULL)
		fatal("calloc");
	while ((c = getopt(argc, argv, "dntTVc:o:")) != -1) {
		switch (c) {
		case 'd':
			opt->foreground = true;
			break;
		case 'n':
		case 't':
			opt->check = true;
			break;
		case 'T':
			opt->dump = true;
			break;
		case 'V':
			opt->version = true;
			break;
		case 'c':
			opt->file = optarg;
			opt->file_required = true;
			break;
		case 'o':
			opt->overrides[opt->noverrides++] = optarg;
			break;
		default:
			return usage(opt);
		}
	}
	return optind == argc ? 0 : usage(opt);
}

void
options_clear(struct options *opt)
{
	free(opt->overrides);
	opt->overrides = NULL;
	opt->noverrides = 0;
}

void
options_source(const struct options *opt, struct config_source *src)
{
	memset(src, 0, sizeof(*src));
	src->file = opt->file;
	src->file_required = opt->file_required;
	src->overrides = opt->overrides;
	src->noverrides = opt->noverrides;
	src->env = environ;
}
