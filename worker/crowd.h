/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * crowd - somebody connects who has limits.connections_per_user already.
 *
 * Some of these connections may be dead and not know it.  So before it is
 * refused all workers ping those of this user at once, and close what does
 * not answer soon; the CONNECT waits for that.  (Contract, "Connections".)
 */

#ifndef WORKER_CROWD_H
#define WORKER_CROWD_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/identity.h"

struct sock;
struct worker;

/* ms that a client may take to answer; and that a CONNECT waits */
#define CROWD_PROBE_MS 2000
#define CROWD_WAIT_MS 2500

/*
 * It waits until there is a place for it: app_chat_again() is asked some ten
 * times a second, and a last time.  Takes the identity over.  At most
 * CROWD_MAX wait: false, and nothing has happened.
 */
#define CROWD_MAX 1000
bool crowd_add(struct worker *w, struct sock *so, struct identity **id);
/* Is it waiting? */
bool crowd_waits(const struct worker *w, const struct sock *so);
/* The socket is gone. */
void crowd_forget(struct worker *w, const struct sock *so);
void crowd_tick(struct worker *w);
void crowd_free_all(struct worker *w);

/* Some worker asks: whoever of this user is here is to answer. */
void crowd_probe(struct worker *w, const char *user_id, size_t len);

#endif /* WORKER_CROWD_H */
