/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chatctl/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chatctl/client.h"
#include "chatctl/show.h"
#include "common/utf8.h"

static void
on_document(const char *json, size_t len, void *arg)
{
	const struct options *opt = arg;

	if (opt->json)
		(void)printf("%.*s\n", (int)len, json);
	else
		show_document(json, len, stdout);
}

/* One byte more than fits tells that there is too much. */
static char *
read_all(FILE *fp, const char **why_r)
{
	char *text = calloc(1, FILTER_MAX + 2);
	size_t len;

	if (text == NULL) {
		*why_r = "out of memory";
		return NULL;
	}
	len = fread(text, 1, FILTER_MAX + 1, fp);
	if (ferror(fp))
		*why_r = strerror(errno);
	else if (len > FILTER_MAX)
		*why_r = "the text is too long; at most 60000 bytes";
	else if (memchr(text, '\0', len) != NULL || !utf8_valid(text, len))
		*why_r = "the text is not UTF-8 without NUL";
	if (*why_r == NULL)
		return text;
	free(text);
	return NULL;
}

static char *
read_file(const char *path, const char **why_r)
{
	char *text;
	FILE *fp;

	if (strcmp(path, "-") == 0)
		return read_all(stdin, why_r);
	if ((fp = fopen(path, "re")) == NULL) {
		*why_r = strerror(errno);
		return NULL;
	}
	text = read_all(fp, why_r);
	(void)fclose(fp);
	return text;
}

char *
filter_text(int argc, char *argv[], const char **why_r)
{
	char *text;

	*why_r = NULL;
	if (argc == 0)
		return read_file("-", why_r);
	if (strcmp(argv[0], "--file") == 0)
		return argc == 2 ? read_file(argv[1], why_r) : NULL;
	if (argc != 1)
		return NULL;
	if (strlen(argv[0]) > FILTER_MAX)
		*why_r = "the text is too long; at most 60000 bytes";
	else if (!utf8_valid(argv[0], strlen(argv[0])))
		*why_r = "the text is not UTF-8";
	if (*why_r != NULL)
		return NULL;
	if ((text = strdup(argv[0])) == NULL)
		*why_r = "out of memory";
	return text;
}

int
filter_main(const struct options *opt, const struct command *c, int argc,
    char *argv[])
{
	struct options copy = *opt;
	const struct client ask = {
		.path = opt->socket,
		.how = HOW_TABLE,
		.fn = on_document,
		.arg = &copy,
	};
	char test[] = "test", *args[2] = { test, NULL };
	const char *why;
	int status;

	if (strcmp(argv[1], "test") != 0 ||
	    ((args[1] = filter_text(argc - 2, argv + 2, &why)) == NULL &&
		why == NULL)) {
		command_usage(c, stderr);
		return EXIT_USAGE;
	}
	if (args[1] == NULL) {
		(void)fprintf(stderr, "chatctl: %s%s%s\n",
		    argc == 4 ? argv[3] : "", argc == 4 ? ": " : "", why);
		return EXIT_FAILED;
	}
	status = client_ask(&ask, c->name, args, 2);
	free(args[1]);
	return status;
}
