/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * poll - HTTP long-polling (wire page 2.4, 2.7 - 2.9).
 */

#ifndef WORKER_POLL_H
#define WORKER_POLL_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/chat.h"
#include "proto/eio.h"
#include "proto/http.h"
#include "shm/counter.h"

struct conn;
struct exchange;
struct session;
struct worker;

/* how long a session that was closed waits for a GET that takes the rest */
#define POLL_CLOSE_MS 30000

struct poll *poll_new(struct session *s);
/* The session polls no more: what waits in it is dropped. */
void poll_free(struct session *s);

/* A GET of the session: answered when there is something. */
void poll_get(struct conn *c, struct session *s, const struct exchange *x);
/* A POST: the body is to come; or it is refused. */
void poll_post(struct conn *c, struct session *s,
    const struct http_request *req, const struct exchange *x);
/* Its body is here; 'body' may be changed. */
void poll_body(struct conn *c, char *body, size_t len);
/* Its body was dropped: the session has changed its transport. */
void poll_late(struct conn *c);
/* Its body is too large. */
void poll_too_large(struct conn *c);

/* So much is not fetched yet that what it asks has to wait. */
bool poll_must_wait(const struct session *s);

/* A frame for the session: to be fetched by a GET. */
void poll_send(struct session *s, struct chat_frame frame,
    enum chat_priority prio);
/* What it holds is needed: it is closed at the end of the turn. */
void poll_rob(struct session *s);
/* A ping for it; it takes no room until then. */
void poll_ping(struct session *s);
/* The session may have something for its GET. */
void poll_mark(struct session *s);
/* It is no more. */
void poll_unmark(struct session *s);
/* At the end of a turn: answer those who have something. */
void poll_flush(struct worker *w);

/*
 * The session ends: a pending GET is answered with what is queued or, if that
 * is nothing, with this packet; other requests are dropped.
 */
void poll_end(struct session *s, enum eio_type last);
/* The session polls no more: a pending GET gets a noop. */
void poll_dismiss(struct session *s);
/* A connection with one of its requests is lost. */
void poll_lost(struct session *s, const struct conn *c, enum counter count);

#endif /* WORKER_POLL_H */
