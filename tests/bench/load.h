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

struct options {
	unsigned rooms, members, senders;
	/* messages under way in a room; with a rate: none */
	unsigned window;
	/* messages a second, all rooms together; 0: as fast as they complete */
	double rate;
	/* stop after so many messages, or so many seconds */
	uint64_t count;
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
	CLIENT_CONNECTING,
	CLIENT_UPGRADING,
	CLIENT_OPENING,
	CLIENT_NAMESPACE,
	CLIENT_JOINING,
	CLIENT_READY,
};

struct client {
	int fd;
	enum client_state state;
	/* was ready before: the next join asks for what was missed */
	bool rejoins;
	/* when to start again, or to give up waiting for an answer */
	uint64_t due;
	/* when to send again what was refused; 0: nothing was */
	uint64_t resend;
	/* up to here own messages come too: they are a replay */
	uint64_t replay_end;
	/* a piece of a frame, and what the socket did not take */
	char *in, *out;
	size_t in_len, out_len;
	/* messages not acknowledged yet, in the order of sending */
	uint32_t *pending;
	unsigned npending, pending_size;
};

/* What others may read while it runs (--status-file). */
struct load_status {
	uint64_t phase;
	/* written to connections that stand, not acknowledged */
	uint64_t in_flight;
	uint64_t sent, acked, ready, reconnects;
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
	uint64_t sent, acked, deliveries, bytes;
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
	unsigned started, connecting, ready, waiting;
	uint64_t next_check;
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

	struct hist sent_after, delivered_after, late;
	bool timed;
	uint64_t bytes, frames, other_events, reconnects, resent;
	struct load_status own_status, *status;
	struct mark setup[2], measured[2];
};

/* client.c */
/* False: not now, try again. */
bool client_start(struct load *l, struct client *c);
void client_event(struct load *l, struct client *c, uint32_t events);
/* Start, restart, resend and give up what is due. */
void client_check(struct load *l);
/* Send a new message of this client. */
void client_message(struct load *l, struct client *c);
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

/* client.c, called by answer.c */
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
