/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * filter - chatctl filter test: what would become of a text.
 *
 * Under the rules that this worker has in force, in the order in which a
 * message is looked at; nothing is counted, and nobody's burst.
 */

#include <string.h>

#include "chat/content.h"
#include "worker/ctl.h"
#include "worker/worker.h"

static const char *const verdicts[] = {
	[CONTENT_ALLOW] = "allow",
	[CONTENT_SANITIZE] = "sanitize",
	[CONTENT_BLOCK] = "block",
	[CONTENT_SPAM] = "spam",
};

static void
put_string(struct json_out *o, const char *key, const char *value)
{
	if (value == NULL)
		return;
	json_out_key(o, key);
	json_out_cstring(o, value);
}

static void
put_result(struct json_out *o, enum chat_error err,
    const struct content_result *r)
{
	json_out_object(o);
	put_string(o, "verdict", verdicts[r->verdict]);
	if (err != CHAT_OK)
		put_string(o, "code", chat_error_code(err));
	put_string(o, "rule", r->rule);
	json_out_key(o, "flagged");
	json_out_bool(o, r->flagged);
	put_string(o, "limited", r->limited);
	if (err == CHAT_OK) {
		json_out_key(o, "text");
		json_out_raw(o, r->text.text.p, r->text.text.len);
	}
	json_out_object_end(o);
}

static void
filter_text(struct ctl *c, const char *text)
{
	struct json_out string = { 0 }, o = { 0 };
	struct json_value v = { .kind = JSON_KIND_STRING };
	struct content_result result;
	enum chat_error err;

	json_out_cstring(&string, text);
	v.text.p = string.p;
	v.text.len = string.len;
	if (string.failed) {
		ctl_done(c, "out of memory");
	} else {
		err = content_try(c->worker->chat, v, &result);
		put_result(&o, err, &result);
		ctl_put(c, &o, false);
		ctl_done(c, NULL);
	}
	json_out_clear(&o);
	json_out_clear(&string);
}

void
filter_serve(struct ctl *c, const char *command, const struct json_tree *args)
{
	const char *what = json_tree_text(json_tree_at(args, 0));
	const char *text = json_tree_text(json_tree_at(args, 1));

	if (what == NULL || strcmp(what, "test") != 0 || text == NULL ||
	    json_tree_size(args) != 2)
		ctl_usage(c, "filter knows only: filter test text");
	else
		filter_text(c, text);
}
