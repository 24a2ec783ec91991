/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clients - clients that write down all they do and see, while others kill
 * the server: the parts of the program.
 *
 *   clients.c  options, the loop, how fast
 *   wire.c     one TCP connection
 *   line.c     a client's connection: a websocket, or polling by two of TCP
 *   talk.c     what comes: Socket.IO and the chat's events
 *   act.c      what a client does of its own accord
 *   send.c     messages: new ones, retries, duplicates, other users' ids
 *   change.c   edits, deletions, receipts
 *   stream.c   streams: who writes, who looks
 *
 * One thread, one epoll.  All choices come out of the seed.
 */

#ifndef TORTURE_CLIENTS_H
#define TORTURE_CLIENTS_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/bench/frame.h"
#include "tests/torture/heard.h"
#include "tests/torture/ledger.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum {
	/* sessions that a client may be in */
	SEATS = 3,
	/* messages that a client may have under way */
	WINDOW = 16,
	/* acknowledged messages that a client remembers */
	PAST = 64,
	REQUESTS = 96,
};

/* What the harness says, through the status file. */
enum command {
	/* talk */
	COMMAND_RUN,
	/* no new messages; go on until all is acknowledged and delivered */
	COMMAND_FINISH,
	COMMAND_QUIT,
};

enum phase {
	PHASE_SETUP,
	PHASE_RUN,
	PHASE_FINISH,
	/* the ledger is complete */
	PHASE_DONE,
};

/* Mapped by the harness, which writes 'command' and reads the rest. */
struct status {
	uint64_t command, phase;
	/* written to connections that stand, and not answered */
	uint64_t in_flight;
	uint64_t sent, acked, ready, deliveries, reconnects, recovered,
	    unrecovered, refused, duplicates, stolen, pages, edits, erased,
	    receipts, streams, ended, chunks, cancelled, kicked;
	/* 'in_flight' by the worker that has the connection */
	uint64_t in_flight_at[64];
};

enum state {
	/* will connect at 'due' */
	STATE_OFF,
	/* until 'due': */
	STATE_CONNECTING,
	STATE_UPGRADING,
	STATE_OPENING,
	STATE_NAMESPACE,
	/* for as long as it lasts */
	STATE_READY,
};

enum seat_state {
	SEAT_FREE,
	/* shall be joined when there is a socket */
	SEAT_WANTED,
	SEAT_JOINING,
	SEAT_IN,
	SEAT_LEAVING,
};

struct seat {
	enum seat_state state;
	unsigned room;
	/* was joined before; everything up to here has come, or was not
	 * owed */
	bool known;
	uint32_t have;
	/* at the end: 'have' is all that there is */
	bool complete;
	/* all changes up to here have come, or were not owed; at the end:
	 * one that is to come */
	uint32_t revision, to_come;
	bool changes_complete;
	/* the join under way asks for what was changed behind it */
	bool has_revision;
	uint32_t after_revision;
	/* the join under way: of who is in already; what it asks for */
	bool again;
	bool has_after;
	uint32_t after;
	/* when the request was written; when to ask again, or to give up */
	uint64_t begin, due;
};

/* A message that is not acknowledged yet. */
struct pending {
	uint64_t message;
	unsigned room;
	/* written to the connection that stands */
	bool in_flight;
	/* the event came, the acknowledgement did not */
	bool told;
	/* when to send it again; 0: it is on its way */
	uint64_t due;
};

enum request_kind {
	REQUEST_NONE,
	REQUEST_MESSAGE,
	/* a duplicate on purpose */
	REQUEST_AGAIN,
	/* another user's id */
	REQUEST_STEAL,
	REQUEST_JOIN,
	REQUEST_LEAVE,
	REQUEST_HISTORY,
	/* the last page, which tells where the end is */
	REQUEST_END,
	/* an edit, a deletion, a receipt */
	REQUEST_CHANGE,
	REQUEST_CHUNK,
	/* typing, presence: nobody waits */
	REQUEST_NOISE,
};

struct request {
	enum request_kind kind;
	uint32_t id;
	unsigned room;
	uint64_t message, begin;
	/* history: FLAG_NEWEST, FLAG_BEFORE or 0, and the seq; a chunk: its
	 * FLAG_... and number */
	unsigned way;
	uint32_t asked;
	/* a change: as in the ledger */
	uint64_t state;
};

/* A stream that a client writes: one chunk under way at a time. */
struct writing {
	bool on;
	uint64_t message;
	unsigned room;
	/* the first that is not acknowledged, and the last one */
	unsigned next, last;
	/* it was told, or found out, that somebody wants it to end */
	bool cancelled;
	/* a chunk is under way */
	bool waits;
	/* the first one was sent */
	bool begun;
	/* when the next one is sent, or the client gives its socket up */
	uint64_t due;
};

enum change {
	CHANGE_UPDATED,
	CHANGE_DELETED,
	CHANGE_RECEIPT,
};

/* One TCP connection. */
struct wire {
	/* -1: there is none */
	int fd;
	bool connecting;
	/* an HTTP request on it is not answered */
	bool asking;
	uint32_t events;
	/* what is not whole yet, and what the socket did not take */
	char *in, *out;
	size_t in_len, in_size, out_len, out_size;
};

enum wire_kind {
	/* the websocket, or the GET that waits */
	WIRE_MAIN,
	/* of those who poll: what they say */
	WIRE_POST,
	WIRE__MAX,
};

struct player {
	/* of all clients of all processes; and whose it is */
	uint32_t id, user;
	enum state state;
	struct wire wire[WIRE__MAX];
	/* by polling; its session, and packets that wait for the next POST */
	bool polls;
	char sid[32];
	char *body;
	size_t body_len, body_size;
	/* numbers of connections and of sockets */
	uint32_t conn, sock;
	unsigned worker;
	/* the next message's count */
	uint32_t count;
	uint64_t due;
	char pid[32], socket_id[32], offset[1024];
	struct seat seat[SEATS];
	/* it may stream */
	bool agent;
	struct writing writing;
	/* an edit, deletion or receipt is under way; the next one's count */
	bool changing;
	uint32_t changes;
	struct pending pending[WINDOW];
	unsigned npending;
	struct request request[REQUESTS];
	unsigned nrequests;
	uint32_t next_request;
	/* messages of its own that were acknowledged, and their rooms */
	uint64_t past[PAST];
	uint16_t past_room[PAST];
	uint64_t npast;
	/* when it does something; until when it does not read, or write */
	uint64_t act, slow_until, pause_until;
	/* a page is asked for */
	bool paging;
};

struct clients {
	const char *address, *ledger_path, *status_path;
	unsigned n, first, rooms;
	double rate;
	uint64_t seed;
	struct sockaddr_storage to;
	socklen_t to_len;
	int epfd;
	uint64_t now, start, next_check, finish;
	struct player *player;
	/* messages that were due so far, and that were sent */
	uint64_t random, scheduled;
	FILE *ledger;
	struct status *status;
	char text[16384], frame[16384 + FRAME_HEAD];
};

/* clients.c */
uint64_t clients_random(struct clients *t);
uint64_t clients_between(struct clients *t, uint64_t low, uint64_t high);
/* Write down 'e', whose time, client and connection are filled in. */
void clients_note(struct clients *t, const struct player *p,
    struct ledger_entry e);

/* wire.c */
/* False: it failed at once. */
bool wire_open(struct clients *t, struct player *p, enum wire_kind kind);
void wire_close(struct wire *w);
/* Errors are seen when it is read. */
void wire_put(struct clients *t, struct player *p, enum wire_kind kind,
    const char *bytes, size_t len);
void wire_watch(struct clients *t, struct player *p, enum wire_kind kind);
/* Read what there is; false: it has ended. */
bool wire_pull(struct clients *t, struct wire *w);
/* Drop the first 'n' bytes that were read. */
void wire_used(struct wire *w, size_t n);

/* line.c */
void line_start(struct clients *t, struct player *p);
/* Write one packet. */
void line_packet(struct clients *t, struct player *p, const char *text,
    size_t len);
void line_event(struct clients *t, struct player *p, enum wire_kind kind,
    uint32_t events);
/* The connection is gone, or goes now: 'reset' with an RST. */
void line_cut(struct clients *t, struct player *p, bool reset);
/* Which events are waited for, after slow_until has changed. */
void line_watch(struct clients *t, struct player *p);

/* talk.c */
void talk_packet(struct clients *t, struct player *p, struct span packet);
struct seat *talk_seat(struct player *p, unsigned room);
/* Join what is wanted, and leave again what was being left. */
void talk_take_seats(struct clients *t, struct player *p);
void talk_join(struct clients *t, struct player *p, struct seat *s);
void talk_leave(struct clients *t, struct player *p, struct seat *s);
void talk_history(struct clients *t, struct player *p, struct seat *s,
    enum request_kind kind, unsigned way, uint32_t asked);
/* A new request; NULL: too many are under way. */
struct request *talk_request(struct clients *t, struct player *p,
    enum request_kind kind, unsigned room);
/* Something came that no server may send. */
void talk_garbled(struct clients *t, struct player *p, struct span what);

/* send.c */
/* False: this client cannot say anything just now. */
bool send_new(struct clients *t, struct player *p);
void send_due(struct clients *t, struct player *p);
void send_again(struct clients *t, struct player *p);
void send_stolen(struct clients *t, struct player *p);
/* The answers. */
void send_acked(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h);
void send_refused(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h);
void send_told(struct clients *t, struct player *p, const struct heard *h);
/* The CODE_... of a refusal. */
unsigned send_code(const struct player *p, const struct heard *h);
/* The connection is lost: nothing is under way. */
void send_landed(struct clients *t, struct player *p);

/* change.c */
/* Edit, delete, read. */
void change_any(struct clients *t, struct player *p);
/* At the end: a receipt tells which changes are to come. */
void change_last(struct clients *t, struct player *p, struct seat *s);
void change_answer(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h);
/* message-updated, message-deleted, read-receipt; false: it makes no sense. */
bool change_told(struct clients *t, struct player *p, const struct heard *h,
    enum change change);

/* stream.c */
/* What the client writes, if it is an agent. */
void stream_due(struct clients *t, struct player *p);
/* The connection is lost; the session is left. */
void stream_lost(struct clients *t, struct player *p);
void stream_left(struct player *p, unsigned room);
void stream_answer(struct clients *t, struct player *p, const struct request *r,
    const struct heard *h);
/* Ask somebody to stop. */
void stream_cancel(struct clients *t, struct player *p);
/* What comes; false: it makes no sense. */
bool stream_chunk(struct clients *t, struct player *p, const struct heard *h);
bool stream_shown(struct clients *t, struct player *p, unsigned room,
    struct span list);
bool stream_cancelled(struct clients *t, struct player *p,
    const struct heard *h);

/* act.c */
/* Lose the connection, for a while. */
void act_fall_off(struct clients *t, struct player *p);
/* What is due: a start, a retry, a whim. */
void act(struct clients *t, struct player *p);
/* True: all is acknowledged, and all seats are complete. */
bool act_done(const struct player *p);
/* Write down how far it is. */
void act_quiet(struct clients *t, const struct player *p);

#endif /* TORTURE_CLIENTS_H */
