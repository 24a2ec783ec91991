/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * server - the parent: what the master does for workers, as far as a test
 * needs it.  Connections go round, so that with several workers the requests
 * of one session arrive at different ones.  A worker that dies is not
 * replaced: the test shall fail.
 */

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/ipc.h"
#include "common/log.h"
#include "master/inbox.h"
#include "shm/client.h"
#include "shm/tables.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/hold.h"
#include "tests/conformance/recovery.h"

#define MAX_CLIENTS 4096
#define MAX_WORKERS 16
#define COLLECT_MS 50
#define READY_MS 30000
/* workers that have not ended by then are killed */
#define STOP_MS 25000
#define ACCEPT_AT_ONCE 64

#define RECOVERY_SOCKETS 4096
#define RECOVERY_LOG (256 << 10)

struct server {
	const struct options *options;
	struct tables *tables;
	struct recovery *recovery;
	struct inboxes inboxes;
	struct client_pool *pool;
	int listener;
	/* by slot: the duplicate, or -1 */
	int client[MAX_CLIENTS];
	/* 0: has ended */
	pid_t pid[MAX_WORKERS];
	struct ipc *ipc[MAX_WORKERS];
	unsigned nworkers;
	/* of the next connection */
	unsigned turn;
	struct event_base *base;
	struct event *accept;
	/* NULL: handshakes go on at once */
	struct hold *hold;
	/* the pool is empty, or descriptors are: try when some are back */
	bool full;
	bool stopping;
	int status;
};

static struct server server;
/* too large for a stack */
static struct ipc_msg msg;

/* ------------------------------------------------------------------ */
/* Memory, socket, workers. */

static void
make_memory(struct server *sv)
{
	const struct options *o = sv->options;
	const char *why = "out of memory";
	struct tables_geometry g;

	tables_geometry_init(&g, MAX_CLIENTS, o->cfg->engine_max_payload);
	if ((sv->tables = tables_create(&g, &why)) == NULL)
		fatal("cannot make the tables: %s", why);
	if ((sv->pool = client_pool_new(sv->tables)) == NULL)
		fatal("pool of clients");
	for (unsigned i = 0; i < MAX_CLIENTS; i++)
		sv->client[i] = -1;
	inboxes_open(&sv->inboxes, sv->nworkers);
	if (!o->recovery)
		return;
	sv->recovery = recovery_new(RECOVERY_SOCKETS, RECOVERY_LOG,
	    o->cfg->recovery_window);
	if (sv->recovery == NULL)
		fatal("memory for recovery");
}

static unsigned
open_listener(struct server *sv)
{
	union {
		struct sockaddr_in in;
		struct sockaddr sa;
	} addr = { .in = { .sin_family = AF_INET,
		       .sin_port = htons((uint16_t)sv->options->port),
		       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	const int on = 1;

	sv->listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sv->listener == -1)
		fatal("socket");
	/* accepted sockets inherit what the master gives its own */
	(void)setsockopt(sv->listener, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on));
	(void)setsockopt(sv->listener, SOL_SOCKET, SO_OOBINLINE, &on,
	    sizeof(on));
	(void)setsockopt(sv->listener, IPPROTO_TCP, TCP_NODELAY, &on,
	    sizeof(on));
	if (bind(sv->listener, &addr.sa, sizeof(addr)) == -1 ||
	    listen(sv->listener, SOMAXCONN) == -1 ||
	    getsockname(sv->listener, &addr.sa, &len) == -1)
		fatal("cannot listen on 127.0.0.1:%u",
		    (unsigned)sv->options->port);
	return ntohs(addr.in.sin_port);
}

/* The worker's side of the fork. */
static void
become_worker(struct server *sv, unsigned slot, int channel)
{
	const struct serve in = {
		.options = sv->options,
		.tables = sv->tables,
		.recovery = sv->recovery,
		.slot = slot,
		.incarnation = slot + 1,
		.parent = channel,
		.inboxes = &sv->inboxes,
	};

	(void)close(sv->listener);
	for (unsigned i = 0; i < slot; i++)
		ipc_free(&sv->ipc[i]);
	client_pool_free(&sv->pool);
	exit(serve(&in));
}

static void
start_worker(struct server *sv, unsigned slot)
{
	const int type = SOCK_SEQPACKET | SOCK_CLOEXEC;
	int sp[2];

	if (tables_open_slot(sv->tables, slot) == -1)
		fatal("memory of a worker");
	if (socketpair(AF_UNIX, type, 0, sp) == -1)
		fatal("socketpair");
	if ((sv->pid[slot] = fork()) == -1)
		fatal("fork");
	if (sv->pid[slot] == 0) {
		(void)close(sp[0]);
		become_worker(sv, slot, sp[1]);
	}
	(void)close(sp[1]);
	if ((sv->ipc[slot] = ipc_new(sp[0], IPC_FROM_MASTER)) == NULL)
		fatal("channel of a worker");
}

static void
await_ready(struct server *sv, unsigned slot)
{
	struct pollfd p = { .fd = ipc_fd(sv->ipc[slot]), .events = POLLIN };
	int rc;

	while ((rc = ipc_recv(sv->ipc[slot], &msg)) == 0)
		if (poll(&p, 1, READY_MS) == 0)
			fatalx("worker %u does not start", slot);
	if (rc == -1 || msg.type != IPC_READY || ipc_end(&msg) == -1)
		fatalx("worker %u has not started", slot);
	/* now others may hand connections over to it */
	atomic_store_explicit(&sv->tables->state->child[slot].incarnation,
	    slot + 1, memory_order_relaxed);
	atomic_store_explicit(&sv->tables->state->child[slot].state,
	    TABLES_CHILD_READY, memory_order_release);
}

static void
start_workers(struct server *sv)
{
	for (unsigned i = 0; i < sv->nworkers; i++)
		start_worker(sv, i);
	for (unsigned i = 0; i < sv->nworkers; i++)
		await_ready(sv, i);
}

/* ------------------------------------------------------------------ */
/* Connections. */

static void
let_go(struct server *sv, uint32_t slot)
{
	if (sv->client[slot] != -1)
		(void)close(sv->client[slot]);
	sv->client[slot] = -1;
	client_release(sv->pool, slot);
}

static void
on_closed(void *arg, uint32_t slot, uint32_t generation)
{
	let_go(arg, slot);
}

static void
on_collect(evutil_socket_t fd, short what, void *arg)
{
	struct server *sv = arg;

	(void)client_collect_closed(sv->tables, on_closed, sv);
	if (sv->full && !sv->stopping && event_add(sv->accept, NULL) == 0)
		sv->full = false;
}

/* Give it to the next worker; the descriptor stays as the duplicate. */
static void
pass(void *arg, int fd, const struct sockaddr_in *peer)
{
	struct server *sv = arg;
	unsigned to = sv->turn++ % sv->nworkers;
	struct pollfd p = { .fd = ipc_fd(sv->ipc[to]), .events = POLLOUT };
	struct client *c;
	int64_t slot;

	slot = client_pass(sv->pool, to, to + 1);
	CHECK(slot >= 0);
	c = client_at(sv->tables, (uint32_t)slot);
	c->peer_family = AF_INET;
	memcpy(c->peer, &peer->sin_addr, sizeof(peer->sin_addr));
	c->peer_port = peer->sin_port;
	sv->client[slot] = fd;
	ipc_begin(&msg, IPC_CLIENTS);
	ipc_put_u32(&msg, 1);
	ipc_put_u32(&msg, (uint32_t)slot);
	ipc_put_u32(&msg, c->generation);
	ipc_put_u8(&msg, 0);
	ipc_put_fd(&msg, fd);
	if (ipc_send(sv->ipc[to], &msg) == -1) {
		/* it has just died: that ends us soon */
		let_go(sv, (uint32_t)slot);
		return;
	}
	while (ipc_flush(sv->ipc[to]) == 1)
		(void)poll(&p, 1, COLLECT_MS);
}

static bool
has_room(const struct server *sv)
{
	unsigned held = sv->hold == NULL ? 0 : hold_count(sv->hold);

	return client_pool_available(sv->pool) > held;
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct server *sv = arg;
	union {
		struct sockaddr_in in;
		struct sockaddr sa;
	} peer;
	socklen_t len;
	int fd;

	for (unsigned i = 0; i < ACCEPT_AT_ONCE; i++) {
		if (!has_room(sv))
			break;
		len = sizeof(peer);
		fd = accept4(listener, &peer.sa, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE)
				break;
			return;
		}
		if (sv->hold == NULL || hold_take(sv->hold, fd, &peer.in) == -1)
			pass(sv, fd, &peer.in);
		if (i + 1 == ACCEPT_AT_ONCE)
			return;
	}
	sv->full = event_del(sv->accept) == 0;
}

/* ------------------------------------------------------------------ */
/* The end. */

static bool
is_alone(const struct server *sv)
{
	for (unsigned i = 0; i < sv->nworkers; i++)
		if (sv->pid[i] != 0)
			return false;
	return true;
}

static void
stop(struct server *sv)
{
	const struct timeval tv = { .tv_sec = STOP_MS / 1000 };

	if (sv->stopping)
		return;
	sv->stopping = true;
	(void)event_del(sv->accept);
	hold_free(&sv->hold);
	for (unsigned i = 0; i < sv->nworkers; i++) {
		if (sv->pid[i] == 0)
			continue;
		ipc_begin(&msg, IPC_STOP);
		ipc_put_u32(&msg, STOP_MS);
		(void)ipc_send(sv->ipc[i], &msg);
	}
	if (is_alone(sv))
		(void)event_base_loopbreak(sv->base);
	else
		(void)event_base_loopexit(sv->base, &tv);
}

static void
on_stop(evutil_socket_t signo, short what, void *arg)
{
	stop(arg);
}

/* 'slot' has ended with this status; was it to? */
static void
worker_ended(struct server *sv, unsigned slot, int status)
{
	int pid = (int)sv->pid[slot];

	sv->pid[slot] = 0;
	if (sv->stopping && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (WIFSIGNALED(status))
		log_error("worker died slot=%u pid=%d signal=%d", slot, pid,
		    WTERMSIG(status));
	else
		log_error("worker ended slot=%u pid=%d status=%d", slot, pid,
		    WEXITSTATUS(status));
	sv->status = 1;
	stop(sv);
}

static void
on_child(evutil_socket_t signo, short what, void *arg)
{
	struct server *sv = arg;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned i = 0; i < sv->nworkers; i++)
			if (sv->pid[i] == pid)
				worker_ended(sv, i, status);
	if (sv->stopping && is_alone(sv))
		(void)event_base_loopbreak(sv->base);
}

static void
kill_the_rest(struct server *sv)
{
	for (unsigned i = 0; i < sv->nworkers; i++) {
		if (sv->pid[i] == 0)
			continue;
		log_error("worker does not end slot=%u pid=%d", i,
		    (int)sv->pid[i]);
		(void)kill(sv->pid[i], SIGKILL);
		(void)waitpid(sv->pid[i], NULL, 0);
		sv->status = 1;
	}
}

/* ------------------------------------------------------------------ */

static void
raise_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return;
	rl.rlim_cur = rl.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &rl);
}

static void
run(struct server *sv, unsigned port)
{
	const struct timeval interval = { .tv_usec = COLLECT_MS * 1000 };
	unsigned delay = sv->options->mode->open_delay_ms;
	struct event *ev[5];

	if ((sv->base = event_base_new()) == NULL)
		fatalx("event base");
	if (delay > 0 &&
	    (sv->hold = hold_new(sv->base, delay, pass, sv)) == NULL)
		fatal("memory for connections");
	ev[0] = sv->accept = event_new(sv->base, sv->listener,
	    EV_READ | EV_PERSIST, on_accept, sv);
	ev[1] = event_new(sv->base, -1, EV_PERSIST, on_collect, sv);
	ev[2] = evsignal_new(sv->base, SIGTERM, on_stop, sv);
	ev[3] = evsignal_new(sv->base, SIGINT, on_stop, sv);
	ev[4] = evsignal_new(sv->base, SIGCHLD, on_child, sv);
	for (unsigned i = 0; i < 5; i++)
		if (ev[i] == NULL ||
		    event_add(ev[i], i == 1 ? &interval : NULL) == -1)
			fatalx("events");
	/* one that has died before is not heard of */
	on_child(SIGCHLD, EV_SIGNAL, sv);
	/* who reads this may send SIGTERM at once */
	(void)printf("listening on 127.0.0.1:%u\n", port);
	(void)fflush(stdout);
	(void)event_base_dispatch(sv->base);
	kill_the_rest(sv);
	for (unsigned i = 0; i < 5; i++)
		event_free(ev[i]);
	event_base_free(sv->base);
}

static void
clean_up(struct server *sv)
{
	for (unsigned i = 0; i < sv->nworkers; i++)
		ipc_free(&sv->ipc[i]);
	for (unsigned i = 0; i < MAX_CLIENTS; i++)
		if (sv->client[i] != -1)
			(void)close(sv->client[i]);
	(void)close(sv->listener);
	client_pool_free(&sv->pool);
	inboxes_close(&sv->inboxes);
	recovery_free(&sv->recovery);
	tables_free(&sv->tables);
}

int
server_run(const struct options *o)
{
	struct server *sv = &server;
	unsigned port;

	log_init("chatd-conformance", ROLE_MASTER, -1);
	raise_files();
	sv->options = o;
	sv->nworkers = (unsigned)o->workers;
	make_memory(sv);
	port = open_listener(sv);
	start_workers(sv);
	run(sv, port);
	clean_up(sv);
	return sv->status;
}
