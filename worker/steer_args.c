/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/steer_args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

#define USER_MAX 128
#define ID_MAX 100
/* longer than anybody bans: 100 years */
#define DURATION_MAX_MS (UINT64_C(100) * 365 * 86400 * 1000)

static const char *const names[OPTION__MAX] = {
	[OPTION_FOR] = "--for",
	[OPTION_REASON] = "--reason",
	[OPTION_WORKSPACE] = "--workspace",
	[OPTION_SESSION] = "--session",
	[OPTION_NAME] = "--name",
	[OPTION_CONN] = "--conn",
	[OPTION_TOKEN] = "--token",
};

/* OPTION__MAX: it is none of them. */
static unsigned
option_of(const char *text, unsigned allowed)
{
	unsigned i;

	for (i = 0; i < OPTION__MAX; i++) {
		if ((allowed & 1u << i) != 0 && strcmp(names[i], text) == 0)
			break;
	}
	return i;
}

const char *
steer_args_parse(struct steer_args *args_r, const struct json_tree *args,
    unsigned allowed, char *why, size_t size)
{
	size_t i, n = args == NULL ? 0 : json_tree_size(args);
	bool options = true;
	const char *text;
	unsigned option;

	memset(args_r, 0, sizeof(*args_r));
	for (i = 0; i < n; i++) {
		if ((text = json_tree_text(json_tree_at(args, i))) == NULL)
			return "an argument is not a string";
		if (options && strcmp(text, "--") == 0) {
			options = false;
			continue;
		}
		if (!options || strncmp(text, "--", 2) != 0) {
			if (args_r->n == STEER_ARGS_POSITIONS)
				return "too many arguments; what has blanks "
				       "stands in quotes";
			args_r->at[args_r->n++] = text;
			continue;
		}
		option = option_of(text, allowed);
		if (option == OPTION__MAX) {
			(void)snprintf(why, size, "there is no option %s here",
			    text);
			return why;
		}
		if (++i == n) {
			(void)snprintf(why, size, "%s needs a value", text);
			return why;
		}
		args_r->option[option] = json_tree_text(json_tree_at(args, i));
	}
	return NULL;
}

bool
steer_args_duration(const char *text, uint64_t *ms_r)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60000 },
		{ "h", 3600000 },
		{ "d", 86400000 },
	};
	unsigned long long n;
	char *end;
	size_t i;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0 || n == 0)
		return false;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (n > DURATION_MAX_MS / units[i].ms)
			return false;
		*ms_r = n * units[i].ms;
		return true;
	}
	return false;
}

bool
steer_args_is_line(const char *text, size_t max)
{
	size_t len = strlen(text), i, n;
	uint32_t c;

	if (len == 0 || len > max || !utf8_valid(text, len))
		return false;
	for (i = 0; i < len; i += n) {
		n = utf8_decode(text + i, len - i, &c);
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
	}
	return true;
}

bool
steer_args_is_user(const char *id)
{
	return steer_args_is_line(id, USER_MAX);
}

bool
steer_args_is_id(const char *id, size_t len)
{
	size_t i;
	char c;

	if (len == 0 || len > ID_MAX)
		return false;
	for (i = 0; i < len; i++) {
		c = id[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return true;
}

bool
steer_args_is_session(const char *name)
{
	const char *slash = strchr(name, '/');

	return slash != NULL &&
	    steer_args_is_id(name, (size_t)(slash - name)) &&
	    steer_args_is_id(slash + 1, strlen(slash + 1));
}
