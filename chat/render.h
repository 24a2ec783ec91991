/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * render - the objects that clients see.
 */

#ifndef CHAT_RENDER_H
#define CHAT_RENDER_H

#include "chat/engine.h"

/* A ChatMessage: body, sessionId, timestamp, seq. */
void render_message(struct json_out *o, const char *session,
    struct chat_str body, uint64_t time_ms, uint64_t seq);

/* The same as it is now; one that was deleted is only its place. */
void render_row(struct json_out *o, const char *session,
    const struct chat_row *row);
/*
 * The payload of what was changed; returns the name of its event:
 * chat:message-updated, chat:message-deleted, chat:read-receipt,
 * chat:session-status-changed.
 */
const char *render_change(struct json_out *o, const char *session,
    const struct chat_change *c);

/* The members of the answer to a message, chat:message-sent. */
void render_sent(struct json_out *o, struct chat_str id, const char *session,
    uint64_t time_ms, uint64_t seq);

/* A ChatPresence. */
void render_presence(struct json_out *o, const char *session,
    const struct chat_member *m);

/* A TypingIndicator; 'agent' is told unless it is empty. */
void render_typing(struct json_out *o, const char *session,
    struct chat_str user_id, struct chat_str agent, bool on, uint64_t time_ms);

/* The payload of chat:user-left; 'reason' is told unless it is empty. */
void render_left(struct json_out *o, const char *session,
    const struct chat_delivery *d, uint64_t time_ms);

/* "roomId": the name of the session's room. */
void render_room_id(struct json_out *o, const char *session);

#endif /* CHAT_RENDER_H */
