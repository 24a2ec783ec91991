/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * complete - the commands for a shell that completes words.
 */

#include "chatctl/complete.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* What stands in usages for something else. */
static const char *const places[] = { "action", "algorithm", "command",
	"directory", "file", "hit", "id", "jti", "kid", "limit", "name",
	"pattern", "point", "reason", "role", "session", "size", "slot", "text",
	"time", "user", "value", "workspace", "workspace/session" };

/* Is it typed as it stands in the usage of 'c'? */
static bool
is_word(const struct command *c, const char *p, size_t len)
{
	if (len > 2 && p[0] == '-' && p[1] == '-')
		return true;
	for (size_t i = 0; i < len; i++)
		if (!islower((unsigned char)p[i]) && p[i] != '/')
			return false;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (strlen(places[i]) == len && memcmp(places[i], p, len) == 0)
			return false;
	return strlen(c->name) != len || memcmp(c->name, p, len) != 0;
}

static void
put_words(const struct command *c, FILE *fp)
{
	static const char between[] = " []|.";
	const char *p = c->args;
	bool first = true;
	size_t len;

	while (*(p += strspn(p, between)) != '\0') {
		len = strcspn(p, between);
		if (is_word(c, p, len)) {
			(void)fprintf(fp, "%s%.*s", first ? "" : " ", (int)len,
			    p);
			first = false;
		}
		p += len;
	}
}

static void
put_names(FILE *fp)
{
	const struct command *c;

	for (size_t i = 0; (c = command_at(i)) != NULL; i++)
		(void)fprintf(fp, " %s", c->name);
}

static void
put_cases(FILE *fp)
{
	const struct command *c;

	for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
		(void)fprintf(fp, "\t\t%s) words=\"", c->name);
		if (strcmp(c->name, "help") == 0)
			put_names(fp);
		else
			put_words(c, fp);
		(void)fputs("\" ;;\n", fp);
	}
}

int
complete_print(const char *shell, FILE *fp)
{
	bool zsh = strcmp(shell, "zsh") == 0;

	if (!zsh && strcmp(shell, "bash") != 0)
		return -1;
	(void)fprintf(fp,
	    "# source <(chatctl completion %s)\n%s"
	    "_chatctl() {\n"
	    "\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" i=1 words=\n"
	    "\tCOMPREPLY=()\n"
	    "\tif [ \"${COMP_WORDS[COMP_CWORD-1]}\" = -s ]; then return; fi\n"
	    "\twhile [ $i -lt $COMP_CWORD ]; do\n"
	    "\t\tcase \"${COMP_WORDS[i]}\" in\n"
	    "\t\t-s) i=$((i + 2)) ;;\n"
	    "\t\t-*) i=$((i + 1)) ;;\n"
	    "\t\t*) break ;;\n"
	    "\t\tesac\n"
	    "\tdone\n"
	    "\tif [ $i -ge $COMP_CWORD ]; then\n"
	    "\t\twords=\"-h -j -s",
	    shell, zsh ? "autoload -U +X bashcompinit && bashcompinit\n" : "");
	put_names(fp);
	(void)fputs("\"\n\telse\n\t\tcase \"${COMP_WORDS[i]}\" in\n", fp);
	put_cases(fp);
	(void)fputs("\t\tesac\n"
		    "\tfi\n"
		    "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
		    "\treturn 0\n"
		    "}\n"
		    "complete -o default -F _chatctl chatctl\n",
	    fp);
	return 0;
}
