/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * load - the parts of the load generator.
 *
 *   load.c     options, phases, the loop
 *   client.c   one connection: Engine.IO 4 and Socket.IO 5 over WebSocket
 *   pace.c     when to send the next message, and whose
 *   history.c  reads all of history at the end
 *   report.c   what was measured
 *   verify.c   what was promised
 *
 * One thread, one epoll; client i is member i of verify.h.
 */

#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/hist.h"
#include "tests/bench/scan.h"
#include "tests/bench/verify.h"

/* How far a connection goes before it counts as ready. */
enum stage {
	/* WebSocket stands, the open packet came */
	STAGE_OPEN,
	/* the namespace is connected */
	STAGE_CONNECT,
	/* the session is joined */
	STAGE_JOIN,
};

enum phase {
	PHASE_SETUP,
	PHASE_RUN,
	/* everything acknowledged and delivered, or given up */
	PHASE_HISTORY,
	PHASE_DONE,
};

enum transport {
	TRANSPORT_WEBSOCKET,
	TRANSPORT_POLLING,
	/* begins with polling and goes on with a websocket */
	TRANSPORT_UPGRADE,
};

struct options {
	enum transport transport;
	/* polling: requests of all clients share their connections */
	bool mix;
	/* come back with the pid and the offset, to be recovered */
	bool recover;
	/* connections cut by the clients a second */
	double cut;
	unsigned rooms, members, senders;
	/* messages under way in a room; with a rate: none */
	unsigned window;
	/* messages a second, all rooms together; 0: as fast as they complete */
	double rate;
	/* stop after so many messages, HTTP requests, or seconds */
	uint64_t count, requests;
	double seconds, warmup, grace, setup_timeout, step_timeout;
	unsigned size;
	/* connections that are being set up at a time, and a second */
	unsigned burst;
	double connect_rate;
	uint64_t seed;
	enum stage stage;
	bool json, reconnect, history, hold;
	pid_t server_pid;
	const char *address, *path, *host;
	const char *token_file, *status_file;
};

enum client_state {
	/* not started, or lost for good */
	CLIENT_OFF,
	/* lost, will be started again at 'due' */
	CLIENT_WAITING,
	CLIENT_UPGRADING,
	CLIENT_OPENING,
	CLIENT_NAMESPACE,
	CLIENT_JOINING,
	CLIENT_READY,
};

enum wire_kind {
	/* the websocket, from its first byte on */
	WIRE_SOCKET,
	/* the requests of polling */
	WIRE_GET,
	WIRE_POST,
	WIRE__MAX,
};

/* One TCP connection.  Closed ones are kept and used again. */
struct wire {
	int fd;
	enum wire_kind kind;
	/* whose it is; NULL: of nobody, when clients share them */
	struct client *client;
	bool connecting;
	/* a websocket: the handshake's answer is still to come;
	 * else: a request is under way */
	bool waiting;
	/* a piece of what comes, and what the socket did not take */
	char *in, *out;
	size_t in_len, out_len;
	/* grows when it is closed: the next one has another number */
	uint32_t serial;
	/* the list of those that are closed, or shared and idle */
	struct wire *next;
};

/* How far a client is with its way from polling to websocket. */
enum upgrade {
	UPGRADE_NONE,
	UPGRADE_PROBING,
	/* 3probe came: what polls is awaited, nothing new begins */
	UPGRADE_PAUSING,
	UPGRADE_DONE,
};

struct client {
	/* NULL: none of that kind */
	struct wire *wire[WIRE__MAX];
	enum client_state state;
	enum upgrade upgrade;
	/* when the upgrade began */
	uint64_t upgrade_ns;
	/* polling: the session, and packets that wait for the next POST */
	char sid[32];
	char *body;
	size_t body_len, body_size;
	/* recovery: who we are, and what came last */
	char pid[32], socket_id[32], offset[160];
	/* was ready before: the next join asks for what was missed */
	bool rejoins;
	/* when to start again, or to give up waiting for an answer */
	uint64_t due;
	/* when to send again what was refused; 0: nothing was */
	uint64_t resend;
	/* up to here own messages come too: they are a replay */
	uint64_t replay_end;
	/* messages not acknowledged yet, in the order of sending */
	uint32_t *pending;
	unsigned npending, pending_size;
};

/* What others may read while it runs (--status-file). */
struct load_status {
	uint64_t phase;
	/* written to connections that stand, not acknowledged */
	uint64_t in_flight;
	uint64_t sent, acked, ready, reconnects, recovered;
};

/* Where one room's two walks through history stand. */
struct history {
	/* next place upwards, next place downwards; done when past the end */
	uint64_t up, down;
};

struct pace_room {
	unsigned in_flight;
	unsigned next_sender;
	/* stands in the list of those that may send */
	bool listed;
};

struct pace {
	struct pace_room *room;
	unsigned *list;
	unsigned listed;
	/* fixed rate: when the next message is due, and whose turn it is */
	uint64_t due;
	uint64_t turn;
	bool running;
};

/* Counts at one instant; what was measured is the difference of two. */
struct mark {
	uint64_t ns;
	uint64_t sent, acked, deliveries, bytes, requests;
	double server_cpu, own_cpu;
};

struct load {
	struct options opt;
	struct verify v;
	/* a token a client, in turn; NULL: identities without one */
	char **token;
	unsigned ntokens;
	struct client *client;
	unsigned nclients;
	struct sockaddr_storage to;
	socklen_t to_len;

	int epfd;
	enum phase phase;
	uint64_t now;
	/* last time that anything came */
	uint64_t heard;
	unsigned started, connecting, ready, waiting, upgrading;
	uint64_t next_check;
	/* when to cut the next connection */
	uint64_t cut_due;
	/* closed, and open without a request under way (oldest first) */
	struct wire *closed, *idle, **idle_end;
	/* all that there are */
	struct wire **wires;
	unsigned nwires;
	bool stdin_closed;
	/* why a connection could not be set up; empty: none failed */
	char failure[128];

	char *buf;
	size_t buf_size;
	char *text, *frame;
	size_t text_size;
	/* begins every message id of this run */
	char tag[24];
	uint64_t random;

	struct pace pace;
	struct history *walk;
	unsigned walks_open;
	uint64_t history_pages, history_messages;

	struct hist sent_after, delivered_after, late, upgraded_after;
	bool timed;
	uint64_t bytes, frames, other_events, reconnects, resent;
	/* HTTP requests answered, connections opened, upgrades done; of those
	 * that came back, how many were recovered and how many were not */
	uint64_t requests, opened, upgrades, recovered, unrecovered, cuts;
	struct load_status own_status, *status;
	struct mark setup[2], measured[2];
};

/* wire.c */
/* Connect; NULL: it failed at once, see errno. */
struct wire *wire_open(struct load *l, struct client *c, enum wire_kind kind);
/* Errors are seen when the connection is read. */
void wire_send(struct wire *w, const char *p, size_t len);
void wire_event(struct load *l, struct wire *w, uint32_t events);
void wire_close(struct load *l, struct wire *w);
/* Close so that the other end sees a reset. */
void wire_reset(struct load *l, struct wire *w);
/* Put it among those that any client may use, and take one from there. */
void wire_share(struct load *l, struct wire *w);
struct wire *wire_take(struct load *l);
void wire_free_all(struct load *l);

/*
 * What came, 'len' bytes in l->buf; returns how many were used, and in
 * 'need_r' how many the next piece has in all if that is known.
 */
size_t client_bytes(struct load *l, struct wire *w, size_t len, size_t *need_r);
size_t poll_bytes(struct load *l, struct wire *w, size_t len, size_t *need_r);

/* poll.c */
/* Ask for what comes next, on a connection of its own. */
bool poll_get(struct load *l, struct client *c);
/* Queue 'len' bytes of l->text as one packet. */
void poll_packet(struct load *l, struct client *c, size_t len);
/* Go on as a websocket, if that is the transport. */
void poll_upgrade(struct load *l, struct client *c);
/* What came on the websocket before the upgrade was complete. */
void poll_probe(struct load *l, struct client *c, struct span packet);

/* client.c */
/* False: not now, try again. */
bool client_start(struct load *l, struct client *c);
/* Open a websocket, for a new session or for the one that there is. */
void client_request(struct load *l, struct client *c);
/* Start, restart, resend and give up what is due. */
void client_check(struct load *l);
/* Send a new message of this client. */
void client_message(struct load *l, struct client *c);
/* Send a frame on the websocket. */
void client_frame(struct load *l, struct client *c, unsigned opcode,
    const char *p, size_t len);
/* Send 'len' bytes of l->text as one packet. */
void client_packet(struct load *l, struct client *c, size_t len);
void client_free(struct client *c);

/* answer.c: what a client makes of the events and acknowledgements */
void answer_packet(struct load *l, struct client *c, struct span packet);
/* The index in the id of a message of this run. */
bool answer_index(struct load *l, struct span id, uint32_t *i);
/* Is this message's text what was sent? */
bool answer_text_fits(struct load *l, const struct scan_message *m);
size_t load_session(struct load *l, unsigned room, char *out, size_t size);

/* numbers of requests; a message's is its index plus the last */
enum {
	REQUEST_JOIN = 1,
	REQUEST_HISTORY_UP,
	REQUEST_HISTORY_DOWN,
	REQUEST_MESSAGE = 16,
};

/* client.c, called by answer.c and poll.c */
void client_ready(struct load *l, struct client *c);
void client_lost(struct load *l, struct client *c, const char *why);
void client_acked(struct load *l, struct client *c, uint32_t i);
void client_refused(struct load *l, struct client *c, uint32_t i);
void client_join(struct load *l, struct client *c);

/* pace.c */
void pace_start(struct load *l);
void pace_stop(struct load *l);
void pace_turn(struct load *l);
/* A message of this room is complete: the next one may go. */
void pace_complete(struct load *l, unsigned room);
/* How long the loop may sleep, in ns. */
uint64_t pace_timeout(const struct load *l);

/* history.c */
void history_start(struct load *l);
void history_page(struct load *l, struct client *c, bool up,
    const struct scan_message *m);
/* A client that reads history was lost and is back. */
void history_resume(struct load *l, struct client *c);

/* report.c */
void report_mark(const struct load *l, struct mark *m);
void report_ready(const struct load *l);
void report_print(const struct load *l);

#endif /* BENCH_LOAD_H */
