/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/content.h"

#include <stdlib.h>

#include "chat/socket.h"
#include "chat/spam.h"
#include "common/log.h"

struct content {
	const struct config *cfg;
};

struct content *
content_new(const struct config *cfg)
{
	struct content *c = chat_alloc(sizeof(*c));

	c->cfg = cfg;
	return c;
}

void
content_free(struct content **cp)
{
	free(*cp);
	*cp = NULL;
}

void
content_judge(struct content *c, struct json_value text,
    struct content_result *result_r)
{
	*result_r = (struct content_result){ .text = text };
}

bool
content_is_blank(struct json_value text)
{
	const char *at = NULL;
	uint32_t c;

	while (json_next_char(text, &at, &c)) {
		if (!spam_is_space(c))
			return false;
	}
	return true;
}

enum chat_error
content_measure(const struct chat *chat, struct json_value text)
{
	const uint32_t max = chat->cfg->limits_message_length;

	if (content_is_blank(text))
		return CHAT_E_CONTENT_EMPTY;
	/* there are never more units than bytes */
	if (max > 0 && text.text.len > max && json_utf16_length(text) > max)
		return CHAT_E_CONTENT_TOO_LONG;
	return CHAT_OK;
}

/* Whose socket is gone has nobody to be named; it counts all the same. */
static void
report(struct chat *chat, const struct chat_socket *s, enum chat_count what,
    const char *session)
{
	if (s != NULL)
		security_event(chat, s, what, session);
	else
		chat_count(chat, what);
}

enum chat_error
content_pass(struct chat *chat, const struct chat_socket *s,
    const char *session, struct json_value *text)
{
	struct content_result result;

	content_judge(chat->content, *text, &result);
	switch (result.verdict) {
	case CONTENT_BLOCK:
		report(chat, s, CHAT_COUNT_MESSAGE_BLOCKED, session);
		return CHAT_E_CONTENT_BLOCKED;
	case CONTENT_SPAM:
		report(chat, s, CHAT_COUNT_MESSAGE_BLOCKED, session);
		return CHAT_E_SPAM_BLOCKED;
	case CONTENT_ALLOW:
	case CONTENT_SANITIZE:
		break;
	}
	if (result.flagged)
		report(chat, s, CHAT_COUNT_SUSPICIOUS_ACTIVITY, session);
	*text = result.text;
	return CHAT_OK;
}

enum chat_error
content_burst(struct chat *chat, const struct chat_socket *s,
    struct json_value text, uint64_t *mark_r)
{
	uint64_t mark = 0;

	if (chat->cfg->content_burst > 0 && (mark = spam_mark(text)) != 0 &&
	    !chat->ops->burst(chat->ctx, s->conn, mark))
		return CHAT_E_SPAM_BLOCKED;
	*mark_r = mark;
	return CHAT_OK;
}

void
content_burst_give_back(struct chat *chat, const struct chat_socket *s,
    uint64_t mark)
{
	if (mark != 0)
		chat->ops->burst_give_back(chat->ctx, s->conn, mark);
}

void
content_burst_refused(struct chat *chat, const struct chat_socket *s,
    const char *session)
{
	report(chat, s, CHAT_COUNT_MESSAGE_BLOCKED, session);
}
