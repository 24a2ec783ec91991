/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * steer - what operators decided about users: bans, mutes, revocations.
 *
 * Each worker has the whole list.  It is read from the store at the start,
 * before anybody is served, and again after a gap; between the two STEER
 * events keep it.  What has an end ends by the wall clock.
 *
 * The actions of a STEER event, and what its fields hold:
 *
 *   action        user id  id          until   reason  by
 *   ban           who                  or ever may be  who asked
 *   unban         who
 *   mute          who                  or ever may be
 *   unmute        who
 *   revoke-token           the jti     or ever may be
 *   revoke-user   who      issued      or ever may be
 *                          before (ms)
 *   kick          who                          may be
 *   kick-socket            socket id           may be
 *   broadcast              message id          text    sender
 *
 * A broadcast names a workspace, or a workspace and a session, or neither.
 * Every event is handled by all workers in its turn, and each of them says
 * in a STEERED event how many of its sockets it met (fields: the STEER's
 * position in the log, how many).
 *
 * A ban, a revocation and a kick end the sockets that are there
 * (socket_disconnect()), for good: their recovery rows go as well.  A mute
 * only keeps its user from saying anything.  A broadcast is one
 * chat:message-received of type "system" in each session of a socket, all
 * with one id and without a seq, and, if it names no workspace, one with the
 * sessionId "" to a socket that is in no session; it is not stored.
 */

#ifndef CHAT_STEER_H
#define CHAT_STEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/chat.h"

struct request;

/* Characters of a reason, in bytes; of a broadcast's text. */
#define STEER_REASON_MAX 500
#define STEER_TEXT_MAX 16384
/* no end */
#define STEER_EVER UINT64_MAX

/*
 * Is it in force now?  *until_r (may be NULL) is when it ends (ms since the
 * epoch), or STEER_EVER; untouched if it is not.  Costs nothing while there
 * is no entry of that kind.
 */
bool steer_is_banned(const struct chat *chat, const char *user_id,
    uint64_t *until_r);
bool steer_is_muted(const struct chat *chat, const char *user_id,
    uint64_t *until_r);
/*
 * A token of that user: 'token_id' is its jti (NULL or empty: it has none),
 * 'issued_ms' its iat (0: not told; then it counts as old).
 */
bool steer_is_revoked(const struct chat *chat, const char *user_id,
    const char *token_id, uint64_t issued_ms);

/* How long until then, for retryAfter; 0: for ever, or no time is known. */
uint64_t steer_wait_ns(const struct chat *chat, uint64_t until_ms);

/*
 * For who wants to say something: CHAT_OK, or CHAT_E_MUTED with r->wait_ns
 * set for the answer.
 */
enum chat_error steer_check_mute(struct request *r);

/* Who wants in. */
struct steer_who {
	const char *user_id;
	/* false: there is none that could be revoked */
	bool has_token;
	/* as for steer_is_revoked() */
	const char *token_id;
	uint64_t issued_ms;
};

/*
 * At CONNECT, by whoever has checked the identity, before chat_connect() or
 * chat_resume(): CHAT_OK; CHAT_E_BANNED with *wait_ns_r;
 * CHAT_E_SESSION_INVALID for a token that was revoked.
 */
enum chat_error steer_admit(const struct chat *chat,
    const struct steer_who *who, uint64_t *wait_ns_r);

/* Begin to read the list (again); what is there stays in force meanwhile. */
void steer_load(struct chat *chat);
/*
 * Go on with that; true when nothing is left to read.  To be called when an
 * answer of ops->bans() has come, and some ten times a second.
 */
bool steer_turn(struct chat *chat);
/* The list could not be read the last time it was tried. */
bool steer_failed(const struct chat *chat);
/* How many entries there are, those that have ended included. */
size_t steer_count(const struct chat *chat);

#endif /* CHAT_STEER_H */
