/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * command - the commands as data.
 */

#include "chatctl/command.h"

#include <string.h>

#include "common/nearest.h"

#define WIDTH 78
/* of the second line of a usage, and the others */
#define USAGE_INDENT 11

static const struct command commands[] = {
#define COMMAND(name, group, args, min, max, how, help) \
	{ name, group, args, min, max, HOW_##how, help },
#include "chatctl/tbl_commands.h"
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

const struct command *
command_at(size_t i)
{
	return i < NCOMMANDS ? &commands[i] : NULL;
}

const struct command *
command_find(const char *name)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

const char *
command_nearest(const char *name)
{
	struct nearest n;

	nearest_init(&n, name);
	for (size_t i = 0; i < NCOMMANDS; i++)
		nearest_try(&n, commands[i].name);
	return nearest_get(&n);
}

/* What must stand together: an option and what it takes, in brackets. */
static size_t
word(const char *text, const char *end)
{
	const char *p = text;

	if (*p == '[')
		p = memchr(p, ']', (size_t)(end - p));
	p = p == NULL ? NULL : memchr(p, ' ', (size_t)(end - p));
	return (size_t)((p == NULL ? end : p) - text);
}

/*
 * Words in lines of a terminal's width, the first of which has 'col' columns
 * already; the others begin at 'indent'.
 */
static void
fill(const char *text, const char *end, unsigned col, unsigned indent, FILE *fp)
{
	unsigned begin = col;
	size_t len;

	for (; text < end; text += len) {
		if (*text == ' ') {
			len = 1;
			continue;
		}
		len = word(text, end);
		if (col > indent && col + (col > begin) + len > WIDTH) {
			(void)fprintf(fp, "\n%*s", (int)indent, "");
			col = begin = indent;
		}
		col += (unsigned)fprintf(fp, "%s%.*s", col > begin ? " " : "",
		    (int)len, text);
	}
	(void)fputc('\n', fp);
}

void
command_usage(const struct command *c, FILE *fp)
{
	int col;

	if (c == NULL) {
		(void)fprintf(fp,
		    "usage: chatctl [-j] [-s socket] command "
		    "[argument]...\n"
		    "       chatctl help [command]\n");
		return;
	}
	col = fprintf(fp, "usage: chatctl [-j] [-s socket] %s%s", c->name,
	    c->args[0] == '\0' ? "" : " ");
	fill(c->args, strchr(c->args, '\0'), (unsigned)col, USAGE_INDENT, fp);
}

/* The first sentence of a command's help. */
static void
print_brief(const struct command *c, unsigned width, FILE *fp)
{
	int col = fprintf(fp, "  %-*s  ", (int)width, c->name);

	fill(c->help, c->help + strcspn(c->help, "."), (unsigned)col,
	    (unsigned)col, fp);
}

void
command_help(const struct command *c, FILE *fp)
{
	const char *group = "";
	size_t width = 0;

	command_usage(c, fp);
	if (c != NULL) {
		(void)fputs("    ", fp);
		fill(c->help, strchr(c->help, '\0'), 4, 4, fp);
		return;
	}
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (strlen(commands[i].name) > width)
			width = strlen(commands[i].name);
	for (size_t i = 0; i < NCOMMANDS; i++) {
		if (strcmp(group, commands[i].group) != 0)
			(void)fprintf(fp, "\n%s\n", commands[i].group);
		group = commands[i].group;
		print_brief(&commands[i], (unsigned)width, fp);
	}
	(void)fprintf(fp,
	    "\n\"chatctl help command\" tells more of one, chatctl(1) all.\n");
}
