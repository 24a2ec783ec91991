/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * conformance - a server over the worker's own connection code that does what
 * suites for the protocols want of one: echo, refuse, ask, close.
 *
 *   main      from the command line to an exit status
 *   options   the command line
 *   server    the parent: accepts, deals connections out, watches workers
 *   hold      handshakes that wait a moment
 *   serve     a worker process
 *   raw       modes eio-echo and ws-echo
 *   peer      what the Socket.IO modes have in common: handlers by name,
 *             CONNECT with a delay, recovery
 *   mode_*    the Socket.IO modes, each a table of handlers
 *   call      an event's arguments
 *   recovery  sessions that can be taken up again, in shared memory
 *   handshake the object that the reference shows of a handshake
 */

#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/app.h"

struct call;
struct config;
struct peer;
struct recovery;
struct worker;

/* --- modes --------------------------------------------------------------- */

struct handler {
	/* the event's; NULL ends the table */
	const char *name;
	void (*fn)(struct peer *p, const struct call *c);
};

/* Why a CONNECT is refused; data is JSON or NULL. */
struct refusal {
	const char *message;
	const char *data;
};

/* A namespace. */
struct place {
	const char *name;
	/* NULL: everybody is let in.  False: refused, for *why_r. */
	bool (*admit)(struct peer *p, struct refusal *why_r);
	/* behind the answer to CONNECT; NULL: nothing */
	void (*connected)(struct peer *p);
	/* each event, before its handler; NULL: nothing */
	void (*any)(struct peer *p, const struct call *c);
	/* the answer to an event that asked for one, number 'tag' of those
	 * sent by peer_ask(); NULL: nothing */
	void (*answered)(struct peer *p, uint32_t tag, const struct call *c);
	/* NULL: none */
	const struct handler *handlers;
};

struct mode {
	const char *name;
	const char *path;
	const struct app_ops *ops;
	/* of the Socket.IO modes; one without a name ends the table */
	const struct place *places;
	/* recovery is on, whatever the command line says */
	bool recovery;
	/* a handshake waits so long: for suites of clients' timeouts */
	unsigned open_delay_ms;
};

extern const struct mode mode_eio_echo, mode_ws_echo, mode_sio, mode_edge,
    mode_client;

/* of the Socket.IO modes; the context is a struct conformance */
extern const struct app_ops peer_ops;

/* --- options ------------------------------------------------------------- */

/* 64 bits wide whatever they count: one reader for all. */
struct options {
	uint64_t port;
	uint64_t workers;
	uint64_t handshake_delay_ms;
	bool recovery;
	const struct mode *mode;
	/* chatd's own configuration, with what the options change */
	struct config *cfg;
};

/* 0, or -1 when what is wrong has been printed; 1: help was asked for. */
int options_read(struct options *o, int argc, char **argv);
void options_free(struct options *o);

/* --- processes ----------------------------------------------------------- */

/* What the modes know of the process around them. */
struct conformance {
	const struct options *options;
	struct worker *worker;
	/* NULL: recovery is off */
	struct recovery *recovery;
	/* all peers of this process (peer.h) */
	struct peer *peers;
	/* counts them: the next one's number */
	uint32_t serial;
};

/* Serve until SIGTERM; the exit status. */
int server_run(const struct options *o);

/* What a worker process is given. */
struct serve {
	const struct options *options;
	struct tables *tables;
	struct recovery *recovery;
	unsigned slot;
	uint32_t incarnation;
	/* to the parent, and to the other workers (master/inbox.h) */
	int parent;
	const struct inboxes *inboxes;
};

/* The whole life of a worker; the exit status. */
int serve(const struct serve *in);

#endif /* CONFORMANCE_H */
