/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * content - what becomes of what people write.
 *
 *   measured -> rules (etc/content.rules) -> HTML (content.html) -> stored
 *
 * and what HTML has changed goes through rules and HTML once more.
 *
 * A text is a JSON string as it stands in its source, quotes and all.  What
 * is not changed stays byte for byte as its client wrote it, escapes too:
 * only the places that a rule names are written anew.
 */

#ifndef CHAT_CONTENT_H
#define CHAT_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/error.h"
#include "common/json.h"

struct chat;
struct chat_socket;
struct config;
struct content;

enum content_verdict {
	CONTENT_ALLOW,
	/* 'text' is another than it was */
	CONTENT_SANITIZE,
	/* CHAT_E_CONTENT_BLOCKED */
	CONTENT_BLOCK,
	/* CHAT_E_SPAM_BLOCKED */
	CONTENT_SPAM,
};

struct content_result {
	enum content_verdict verdict;
	/* something about it is odd: delivered, and counted */
	bool flagged;
	/* the rule that decided, or the first that changed or flagged it;
	 * NULL if there was none.  Lives as long as the content. */
	const char *rule;
	/* one that could not be finished, or NULL: it counts as met */
	const char *limited;
	/* what to store, unless it is refused: the text itself, or one that
	 * lives until the next content_judge() */
	struct json_value text;
};

/*
 * The rules of a configuration; ends the process if there is no memory or
 * cfg->blob[CONFIG_BLOB_RULES] has an error (config_load() has looked).
 * content_new() keeps 'cfg'.
 */
struct content *content_new(const struct config *cfg);
void content_free(struct content **c);
/* For any string; the same text always gets the same answer. */
void content_judge(struct content *c, struct json_value text,
    struct content_result *result_r);

/* Nothing in it, by what JavaScript's trim() takes away? */
bool content_is_blank(struct json_value text);
/*
 * CHAT_E_CONTENT_EMPTY or CHAT_E_CONTENT_TOO_LONG (limits.message_length), as
 * its client wrote it; else CHAT_OK.
 */
enum chat_error content_measure(const struct chat *chat,
    struct json_value text);
/* All of that, for whoever wants to know: nothing is counted or logged. */
enum chat_error content_try(struct chat *chat, struct json_value text,
    struct content_result *result_r);
/*
 * Judge *text, and on CHAT_OK leave in it what to store; it lives until the
 * next call.  Else CHAT_E_CONTENT_BLOCKED or CHAT_E_SPAM_BLOCKED.  Counts
 * and logs security events; 's' may be NULL: its socket is gone.
 */
enum chat_error content_pass(struct chat *chat, const struct chat_socket *s,
    const char *session, struct json_value *text);
/*
 * The user says something like this: CHAT_E_SPAM_BLOCKED if that was said
 * content.burst times in the last minute.  For messages and edits, behind
 * content_pass(), with what their client wrote.  *mark_r is 0, or to be given
 * back if it turns out that it was a retry.
 */
enum chat_error content_burst(struct chat *chat, const struct chat_socket *s,
    struct json_value text, uint64_t *mark_r);
void content_burst_give_back(struct chat *chat, const struct chat_socket *s,
    uint64_t mark);
/* It is refused for that: count and log it. */
void content_burst_refused(struct chat *chat, const struct chat_socket *s,
    const char *session);

#endif /* CHAT_CONTENT_H */
