/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * request - one line of a chatctl, taken apart.
 */

#include "master/request.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "master/control.h"

static int
get_args(struct request *r, const struct json_tree *args, const char **why_r)
{
	const char *text;

	if (args == NULL)
		return 0;
	if (json_tree_kind(args) != JSON_KIND_ARRAY) {
		*why_r = "args is not an array";
		return -1;
	}
	if (json_tree_size(args) > REQUEST_MAX_ARGS) {
		*why_r = "too many arguments";
		return -1;
	}
	for (size_t i = 0; i < json_tree_size(args); i++) {
		if ((text = json_tree_text(json_tree_at(args, i))) == NULL) {
			*why_r = "an argument is not a string";
			return -1;
		}
		if ((r->args[i] = strdup(text)) == NULL) {
			*why_r = "out of memory";
			return -1;
		}
		r->nargs++;
	}
	return 0;
}

static int
get_all(struct request *r, const struct json_tree *t, const char **why_r)
{
	const char *command;
	double version;

	if (json_tree_kind(t) != JSON_KIND_OBJECT) {
		*why_r = "a request is a JSON object";
		return -1;
	}
	if (!json_tree_number(json_tree_get(t, "v"), &version) ||
	    version != CONTROL_VERSION) {
		*why_r = "the request is of another version: chatctl and "
			 "chatd do not belong together";
		return -1;
	}
	command = json_tree_text(json_tree_get(t, "command"));
	if (command == NULL || strlen(command) >= sizeof(r->command)) {
		*why_r = "there is no command in the request";
		return -1;
	}
	memcpy(r->command, command, strlen(command) + 1);
	return get_args(r, json_tree_get(t, "args"), why_r);
}

int
request_parse(struct request *r, const char *line, size_t len,
    const char **why_r)
{
	struct json_tree *t;
	int rc;

	memset(r, 0, sizeof(*r));
	if ((t = json_tree_parse(line, len, why_r)) == NULL)
		return -1;
	rc = get_all(r, t, why_r);
	json_tree_free(&t);
	if (rc == -1)
		request_clear(r);
	return rc;
}

void
request_clear(struct request *r)
{
	for (size_t i = 0; i < r->nargs; i++)
		free(r->args[i]);
	r->nargs = 0;
}
