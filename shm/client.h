/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * client - the table of all connections, one record of 512 bytes each.
 *
 * A record holds what is needed to go on with a connection in another
 * process; there is no pointer in it.  Everywhere a client is referred to
 * by slot and generation, never by slot alone.
 *
 * Who it belongs to is one word, changed by compare-and-swap only:
 *
 *   incarnation:32 | generation:16 | to:6 | worker:6 | state:4
 *
 *          pass                  open                 hand
 *   FREE --------> PASSED to A ------> OPEN of A <------------> HANDED by A
 *     ^       (master)  |       (A)       |  |     take_back        to B
 *     |                 |                 |  |        (A)            |
 *     |     mark_closed v                 |  |                       |
 *     +-------------- CLOSED <------------+  |      take_handed (B)  |
 *     |  release       (A)                   |   OPEN of B <---------+
 *     |                                      v
 *     +------------- BURIED <--------- anything of a worker that was
 *        release             bury      reaped; HANDED to one that was
 *
 * In PASSED, OPEN and CLOSED the rest of the record is its worker's, in
 * HANDED nobody's, in FREE and BURIED the master's.  Every change hands over
 * what was written before it (release and acquire).
 *
 * Giving a connection away is: hand(), then the message with the descriptor
 * to the receiver's inbox, then close.  Whoever dies at whatever point:
 *
 *   A before the message	the record is buried with A
 *   A after it			whoever is first gets it: B takes it, or it is
 *				buried, and B finds nothing to take
 *   B before it reads		buried with B; its replacement reads the
 *				message and finds nothing to take
 *   B after it has read	the same
 *   the message got no room	A takes it back, unless it was buried
 *				meanwhile, with B
 *   it was sent when B had	B's replacement takes it; if there is none, it
 *   just been buried		is buried at the next try to start one
 *
 * The worker closes its descriptor before it marks the client closed; the
 * master closes its duplicate before it releases the slot.  So a slot is
 * free when no descriptor of the connection is left but in messages that
 * nobody will take (shut down before).
 */

#ifndef SHM_CLIENT_H
#define SHM_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/atomic.h"
#include "shm/iobuf.h"

struct tables;

#define CLIENT_ROOMS 4
/* Engine.IO's and Socket.IO's ids are 20 characters, without a NUL */
#define CLIENT_SID 20

enum client_state {
	CLIENT_FREE,
	/* given to a worker, not yet taken by it */
	CLIENT_PASSED,
	/* served by its worker */
	CLIENT_OPEN,
	/* given to another worker, not yet taken by it */
	CLIENT_HANDED,
	/* its worker is done with it; the master closes its duplicate */
	CLIENT_CLOSED,
	/* the master has taken it from a worker that is dead */
	CLIENT_BURIED,
};

/* Who has it, in one piece. */
struct client_owner {
	enum client_state state;
	/* which worker, and which one of those that lived in that slot */
	unsigned worker;
	uint32_t incarnation;
	/* HANDED: to whom */
	unsigned to;
};

/* flags, set by the master when it passes the client */
enum {
	/* over max_connections: answer 503 and close */
	CLIENT_F_REFUSED = 1 << 0,
	/* came in on a Unix socket: no kernel counts, no address */
	CLIENT_F_UNIX = 1 << 1,
	/* over limits.connect_rate: answer 429 and close */
	CLIENT_F_LIMITED = 1 << 2,
	/* begins with a PROXY protocol header, which has not been read; the
	 * worker puts what it says into the peer fields and takes the flag
	 * away */
	CLIENT_F_PROXY = 1 << 3,
	/* the peer is one of trusted_proxies: X-Forwarded-For counts; behind
	 * a PROXY header it is the worker that sees whether it is */
	CLIENT_F_TRUSTED = 1 << 4,
	/* limits.connect_rate has not been asked: the address was not known;
	 * the worker asks with the one that it finds out (address_rate()) */
	CLIENT_F_UNCOUNTED = 1 << 5,
};

/* A session that the client has joined. */
struct client_room {
	/* room number; 0: this place is empty */
	uint64_t room;
	/* the last seq delivered */
	uint64_t seq;
	/* position of the JOIN in the log ring */
	uint64_t joined;
	/* the worker's */
	uint32_t flags;
	uint32_t reserved;
};

struct client {
	/* --- line 0: touched by each event --- */

	/* see above; client_owner() takes it apart */
	_Atomic uint64_t owner;
	/* counts the uses of this slot, never 0; master, while FREE */
	_Atomic uint32_t generation;
	uint16_t flags;
	uint16_t reserved;
	/* bytes given to the kernel; bytes read and dealt with */
	uint64_t out_off;
	uint64_t in_off;
	/* the last position of the log ring encoded for this client */
	uint64_t cursor;
	/* the unsent rest; what is there of an unfinished message */
	struct chain out;
	struct chain in;
	/* the connection's own deadline, CLOCK_MONOTONIC ms; 0: none.  The
	 * heartbeat is the session's */
	uint64_t due;
	/* the worker's: which transport speaks, where it and the heartbeat
	 * are, why it is being closed */
	uint8_t transport;
	uint8_t phase;
	uint8_t heartbeat;
	uint8_t close_why;
	uint32_t reserved0;
	uint64_t reserved1[3];
	/* bytes read and not parsed yet: part of a head, of a header */
	struct chain raw;

	/* --- line 1: the protocols --- */

	/* the WebSocket parser's state, opaque here */
	uint8_t ws[64];
	char engine_sid[CLIENT_SID];
	char socket_sid[CLIENT_SID];
	/* CLOCK_MONOTONIC ms */
	uint64_t opened_ms;
	/* IPv4 in the first 4 bytes; network byte order, as the port; the
	 * master's, and the worker's if a PROXY header says otherwise */
	uint8_t peer[16];

	/* --- line 2: who --- */

	uint16_t peer_port;
	/* AF_INET, AF_INET6, AF_UNIX */
	uint16_t peer_family;
	/* the row of the user table in which this connection is counted */
	uint32_t user_row;
	uint64_t user_key;
	/* the user's number in the store; 0: not known */
	uint64_t user;
	/* how many rooms it has joined; where those that do not fit are */
	uint32_t nrooms;
	uint32_t more_rooms;
	/* for connection state recovery */
	char recovery_pid[CLIENT_SID];
	/* blocks for identity and rights */
	uint32_t identity;
	uint64_t reserved2[8];

	/* --- line 3 --- */

	struct client_room rooms[CLIENT_ROOMS];
} __attribute__((aligned(128)));

_Static_assert(sizeof(struct client) == 512, "a client record is 512 bytes");

/* The record of a slot (below max_clients; checked). */
struct client *client_at(const struct tables *t, uint32_t slot);

/* Who has it now, by an acquiring look. */
struct client_owner client_owner(const struct client *c);
enum client_state client_state(const struct client *c);

/*
 * The record if it still is this generation and not FREE, or NULL.  Whether
 * it is the caller's to use is told by client_owner().
 */
struct client *client_find(const struct tables *t, uint32_t slot,
    uint32_t generation);

/* --- worker ------------------------------------------------------------ */

/*
 * Take a client that the master has passed to this worker: PASSED to OPEN.
 * NULL if the slot does not say so (it was released meanwhile).
 */
struct client *client_open(const struct tables *t, uint32_t slot,
    uint32_t generation, unsigned worker, uint32_t incarnation);

/*
 * Give a client of this worker to another: OPEN to HANDED.  Its chains must
 * be empty, and the record is not to be touched any more.  The descriptor
 * follows in a message to the inbox of 'to' (worker/handoff.h).
 */
void client_hand(const struct tables *t, uint32_t slot, unsigned to);
/*
 * That message could not be sent: HANDED to OPEN again.  False if the master
 * has buried it meanwhile with 'to': then it is nobody's, and is not marked
 * closed either.  Only the one who gave it, and only if nothing was sent.
 */
bool client_take_back(const struct tables *t, uint32_t slot,
    uint32_t generation, unsigned worker, uint32_t incarnation);

/*
 * Take a client that another worker has given to this one: HANDED to OPEN.
 * NULL if the slot does not say so: the giver or our predecessor is dead,
 * and it was buried.
 */
struct client *client_take_handed(const struct tables *t, uint32_t slot,
    uint32_t generation, unsigned worker, uint32_t incarnation);

/*
 * This worker's descriptor is closed and the record is not used any more:
 * the master shall close its duplicate.  The record is not to be touched
 * afterwards.
 */
void client_mark_closed(const struct tables *t, uint32_t slot);

/* --- master ------------------------------------------------------------ */

/* The master's list of free slots; opaque. */
struct client_pool;

/*
 * Build the list from the states in the table (a new table: without
 * touching it).  NULL with errno ENOMEM.
 */
struct client_pool *client_pool_new(struct tables *t);
void client_pool_free(struct client_pool **pool);
uint32_t client_pool_available(const struct client_pool *pool);

/*
 * Take a free slot, clear its record, give it a new generation and to this
 * worker: FREE to PASSED.  The rest of the record (address, flags) may be
 * filled in until the descriptor is sent.  Returns the slot, or -1 if all
 * are in use.
 */
int64_t client_pass(struct client_pool *pool, unsigned worker,
    uint32_t incarnation);

/*
 * The master's duplicate is closed: the slot is free.  From CLOSED, BURIED,
 * and PASSED if the descriptor was not sent.
 */
void client_release(struct client_pool *pool, uint32_t slot);

typedef void (*client_fn)(void *arg, uint32_t slot, uint32_t generation);

/*
 * Call 'fn' for each client marked closed since the last call, once; it
 * closes the duplicate and releases the slot.  Cheap when there is none.
 * Returns how many.
 */
uint32_t client_collect_closed(const struct tables *t, client_fn fn, void *arg);

/*
 * After this worker was reaped: take what it had (in whatever state) or was
 * to get away from it, to BURIED, and call 'fn' for each, which shuts the
 * connection down, closes the duplicate and releases the slot, now or later.
 * Returns how many.
 */
uint32_t client_bury(const struct tables *t, unsigned worker,
    uint32_t incarnation, client_fn fn, void *arg);
/* The same only for what was to be handed to the worker in this slot. */
uint32_t client_bury_handed(const struct tables *t, unsigned to, client_fn fn,
    void *arg);

#endif /* SHM_CLIENT_H */
