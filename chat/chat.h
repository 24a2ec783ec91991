/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat - the chat itself: one engine a worker.
 *
 * It knows events, sessions, members, identities and limits, and neither
 * sockets nor bytes on the wire nor LMDB nor shared memory: what it wants
 * done it asks for through struct chat_ops.  Events that change something
 * go out by ops->publish(); they come back, in the one order that all
 * workers share, by chat_deliver(), and only then take effect.
 *
 * Everything is single-threaded.
 *
 * Connection state recovery (contract, "Reconnecting"): the store keeps a
 * row for each pid, with the sessions of its socket.  It is made and changed
 * by JOIN, LEAVE, RESUME and RELEASE.  Clients remember an offset (offset.h)
 * from the last event that carried one: every stored event below it has been
 * sent to them.
 *
 *   CONNECT {pid, offset} -- chat_resume() -- no row for this user: NULL,
 *        |                                    a new socket as any other
 *     RESUME ---------- REJECTED: a new socket after all
 *        |              each worker that has the old one closes it
 *     the row is read again
 *     a JOIN a session - access gone, session full: join-session-error
 *        |
 *     the missed events, from the store
 *        |
 *     CONNECT with the old ids, chat:presence-sync, live
 *
 * What is missed comes before CONNECT as far as one piece (some 64 KiB) holds
 * it, and the rest behind it: the stock client keeps what comes before
 * CONNECT, and counts it as received only then, so that a connection cut in
 * the middle of a long replay would give it everything twice.
 */

#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/event.h"
#include "chat/identity.h"
#include "chat/ops.h"
#include "common/config.h"

struct chat;

/* NULL with errno ENOMEM.  'cfg' must outlive the engine or the next
 * chat_configure(). */
struct chat *chat_new(const struct config *cfg, const struct chat_ops *ops,
    void *ctx);
void chat_free(struct chat **chat);
/* New limits after a reload; what is under way goes on. */
void chat_configure(struct chat *chat, const struct config *cfg);

/* What is told of a socket with its CONNECT. */
struct chat_connect {
	/* CHAT_SID_LEN characters, known to nobody else; NULL: it cannot be
	 * recovered.  Ignored without offsets and without recovery.window. */
	const char *pid;
	/* its client takes an offset as an additional argument */
	bool offsets;
	struct chat_owner owner;
};

/*
 * A socket that has been let in, and whose CONNECT is answered by the caller
 * (with the pid, if chat_socket_pid() has one).  Takes the identity over;
 * 'socket_id' is the public Socket.IO id.  NULL with errno ENOMEM.
 */
struct chat_socket *chat_connect(struct chat *chat, void *conn,
    struct identity **identity, const char *socket_id,
    const struct chat_connect *options);
/* NULL if it has none. */
const char *chat_socket_pid(const struct chat_socket *s);

/* What a client says of a connection that it had. */
struct chat_resume {
	/* as they stand in the JSON, escapes and all; offset without a text
	 * (p NULL): it has got none */
	struct chat_str pid, offset;
	/* Its user has as many connections as it may: only the place of one
	 * that is still there is to be taken. */
	bool crowded;
};

/*
 * Does the payload of a CONNECT ask for recovery?  It was accepted by
 * identity_authenticate(); spans point into it.
 */
bool chat_wants_resume(const char *payload, size_t len,
    struct chat_resume *resume_r);

/*
 * Take a socket up again.  NULL: there is nothing to take up: go on with
 * chat_connect(), or refuse if it is crowded; 'identity' is untouched.
 * Otherwise takes the identity over, and ops->connected() or ops->refused()
 * will be called from a later chat_produce(), unless the socket is
 * disconnected before.  Events that come meanwhile are kept (at most some)
 * and done then.  options->pid is not used: ops->new_ids() makes one if it
 * is needed.
 */
struct chat_socket *chat_resume(struct chat *chat, void *conn,
    struct identity **identity, const struct chat_resume *resume,
    const struct chat_connect *options);

const struct identity *chat_socket_identity(const struct chat_socket *s);
/* Call 'fn' with the 'conn' of each socket of this user; it frees none. */
void chat_each_of(const struct chat *chat, struct chat_str user_id,
    void (*fn)(void *conn, void *arg), void *arg);
/* What chat_connect() or chat_resume() got as 'conn'. */
void *chat_socket_conn(const struct chat_socket *s);
/*
 * The socket is gone; 'reason' is Socket.IO's name for why.  Its sessions
 * are left (LEAVE is published for each), its typing ends.  It can be resumed
 * unless it was meant: "client namespace disconnect", "server namespace
 * disconnect", "kicked", "access-revoked", "parse error".
 */
void chat_disconnect(struct chat *chat, struct chat_socket **s,
    const char *reason);

/*
 * The answer to ops->verify(): whose token it is, which the socket may take
 * over; or *identity is NULL and 'err' says why, 'retry_after' (seconds, 0:
 * not known) when to try again.  Returns whether the socket goes by this
 * token from now on.
 */
bool chat_verified(struct chat *chat, struct chat_socket *s, uint32_t request,
    struct identity **identity, enum chat_error err, unsigned retry_after);
/*
 * What the application says now of the token that a live socket goes by:
 * whose it is (taken over), or NULL: it is not valid any more.
 */
void chat_rechecked(struct chat *chat, struct chat_socket *s,
    struct identity **identity);

/* The same without telling anybody: the daemon ends, and all with it. */
void chat_forget(struct chat *chat, struct chat_socket **s);

/*
 * An event from a client: its name, the JSON text of the arguments after
 * the name (an array's inside: "" or "{...}" or "{...},2"), and the
 * acknowledgement id, if it asked for one.  The text has passed the strict
 * scanner.  'size' is the whole event's length in bytes as received.
 */
void chat_receive(struct chat *chat, struct chat_socket *s,
    struct chat_str name, struct chat_str args, size_t size, bool has_ack,
    uint64_t ack);

/*
 * An event in its turn, from the stored or the ephemeral path.  Those with a
 * room may be left out if chat_has_room() says so and they are not own.  A
 * RESUME that was STORED is for all workers, an ASK for the one it asks: to
 * be woken for them a worker sets its interest in room 0.
 */
void chat_deliver(struct chat *chat, const struct chat_delivery *d);

/* Does this worker have members in the room? */
bool chat_has_room(const struct chat *chat, uint64_t room);

/*
 * Send the next piece of what this socket asked for (at most some 64 KiB);
 * 'delivered' is the position below which everything has been delivered to
 * this worker.  The socket may be gone when this returns: a resume that
 * could not be finished.
 */
void chat_produce(struct chat *chat, struct chat_socket *s, uint64_t delivered);

/*
 * The worker had fallen behind and goes on at 'pos': send each member what
 * it missed of the store below 'pos', and a chat:presence-sync; close those
 * that were taken over meanwhile.
 */
void chat_resync(struct chat *chat, uint64_t pos);
/* Ephemeral events were lost: nobody is typing any more. */
void chat_resync_live(struct chat *chat);

/* Called about ten times a second: what expires, and what is tried again. */
void chat_tick(struct chat *chat);

/* Tell every socket {code, message} by chat:disconnect-reason. */
void chat_announce(struct chat *chat, const char *code, const char *message);

/* A stream that a former run of the daemon has left in its store. */
struct chat_leftover {
	uint64_t room, user;
	struct chat_str id;
	/* of the message's body: what stands before the text, the text, and
	 * what stands behind it */
	struct chat_str head, text, tail;
};

/*
 * Publish its message, or (if there is nothing to be stored) that it is to be
 * forgotten.  Its row is gone when that has been decided.
 */
void chat_store_leftover(struct chat *chat, const struct chat_leftover *left);

/*
 * May more text come to a stream whose row has this tail (ops.h)?  Else its
 * message was published, or is about to be.
 */
bool chat_stream_is_open(struct chat_str tail);

/* For chatctl and gauges. */
struct chat_totals {
	size_t sockets, rooms, members;
};
void chat_totals(const struct chat *chat, struct chat_totals *t_r);

#endif /* CHAT_CHAT_H */
