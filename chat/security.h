/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * security - the contract's security events: each is counted, and told by a
 * line of the log and to who watches (SECURITY events, chatctl events).
 *
 * Never a message's text, never a token.  Of each kind at most
 * SECURITY_LINES are told in a second of a worker; how many were left out is
 * told behind it, so that nobody can flood the log, nor hide behind another.
 */

#ifndef CHAT_SECURITY_H
#define CHAT_SECURITY_H

#include "chat/engine.h"

#define SECURITY_LINES 20

/* All but 'what' may be NULL. */
struct security {
	/* one of the five */
	enum chat_count what;
	/* the user and the address are this one's, unless they are told */
	const struct chat_socket *s;
	const char *user_id, *address;
	/* the workspace is looked up if the socket is in the session */
	const char *workspace, *session;
	/* a rule's name, an error's code, an event's name; the server's own
	 * words, never the client's */
	const char *details;
};

void security_report(struct chat *chat, const struct security *sec);

/* A CONNECT was refused, of this user (or NULL: not known). */
void security_refused(struct chat *chat, const char *user_id,
    const char *address, enum chat_error err);

#endif /* CHAT_SECURITY_H */
