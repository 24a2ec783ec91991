/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * command - the commands as data.
 */

#include "chatctl/command.h"

#include <string.h>

#include "common/nearest.h"

#define WIDTH 76

static const struct command commands[] = {
#define COMMAND(name, group, args, min, max, how, help) \
	{ name, group, args, min, max, HOW_##how, help },
#include "chatctl/tbl_commands.h"
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

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

void
command_usage(const struct command *c, FILE *fp)
{
	if (c == NULL)
		(void)fprintf(fp,
		    "usage: chatctl [-j] [-s socket] command "
		    "[argument]...\n"
		    "       chatctl help [command]\n");
	else
		(void)fprintf(fp, "usage: chatctl [-j] [-s socket] %s%s%s\n",
		    c->name, c->args[0] == '\0' ? "" : " ", c->args);
}

/* Words in lines of a terminal's width. */
static void
fill(const char *text, unsigned indent, FILE *fp)
{
	unsigned col = 0;
	size_t len;

	while (*text != '\0') {
		len = strcspn(text, " ");
		if (col > 0 && col + 1 + len > WIDTH) {
			(void)fputc('\n', fp);
			col = 0;
		}
		if (col == 0)
			col = (unsigned)fprintf(fp, "%*s", (int)indent, "");
		else
			col += (unsigned)fprintf(fp, " ");
		col += (unsigned)fprintf(fp, "%.*s", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
	(void)fputc('\n', fp);
}

/* The first sentence of a command's help. */
static void
print_brief(const struct command *c, FILE *fp)
{
	size_t len = strcspn(c->help, ".");

	(void)fprintf(fp, "  %-9s %.*s\n", c->name, (int)len, c->help);
}

void
command_help(const struct command *c, FILE *fp)
{
	const char *group = "";

	command_usage(c, fp);
	if (c != NULL) {
		fill(c->help, 4, fp);
		return;
	}
	for (size_t i = 0; i < NCOMMANDS; i++) {
		if (strcmp(group, commands[i].group) != 0)
			(void)fprintf(fp, "\n%s\n", commands[i].group);
		group = commands[i].group;
		print_brief(&commands[i], fp);
	}
}
