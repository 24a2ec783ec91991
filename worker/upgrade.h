/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * upgrade - from a request to a WebSocket, and from polling to WebSocket
 * (wire page 2.12).
 */

#ifndef WORKER_UPGRADE_H
#define WORKER_UPGRADE_H

#include <stdbool.h>

#include "proto/http.h"

struct conn;
struct exchange;
struct session;

/*
 * Answer 101 and speak WebSocket from now on, in 'phase' (OPEN, PROBE).
 * False: refused and answered.
 */
bool upgrade_accept(struct conn *c, const struct http_request *req,
    const struct exchange *x, int phase);
/* A WebSocket for a session that is there: the probe. */
void upgrade_begin(struct conn *c, struct session *s,
    const struct http_request *req, const struct exchange *x);
/* 101, and a close frame: it comes at the wrong time. */
void upgrade_turn_away(struct conn *c, const struct http_request *req,
    const struct exchange *x);
/* The probe's connection is gone; the session goes on polling. */
void upgrade_lost(struct session *s);
/* It took too long, or the session ends. */
void upgrade_abort(struct session *s);

#endif /* WORKER_UPGRADE_H */
