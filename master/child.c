/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * child - one child process and the master's connection to it.
 */

#include "master/child.h"

#include <sys/socket.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "master/master.h"
#include "master/spawn.h"
#include "master/supervise.h"

/* One event of the loop reads at most so many messages of one child. */
#define BATCH 64

const char *
child_name(const struct child *c)
{
	static char name[32];

	if (c->role == ROLE_SCRIBE)
		return "scribe";
	if (c->role == ROLE_BRIDGE)
		return "bridge";
	(void)snprintf(name, sizeof(name), "worker %u", c->slot);
	return name;
}

static struct tables_child *
shared_row(const struct child *c)
{
	return &c->master->shared.tables->state->child[c->slot];
}

void
child_set_state(struct child *c, enum tables_child_state state)
{
	c->state = state;
	/* whoever sees that it is dead may take what was its own */
	atomic_store_explicit(&shared_row(c)->state, state,
	    memory_order_release);
}

static void
publish_process(const struct child *c)
{
	struct tables_child *row = shared_row(c);

	atomic_store_explicit(&row->pid, (uint32_t)c->pid,
	    memory_order_relaxed);
	if (c->pid == 0)
		return;
	atomic_store_explicit(&row->incarnation, c->incarnation,
	    memory_order_relaxed);
	atomic_store_explicit(&row->started_ms, clock_real_ms(),
	    memory_order_relaxed);
}

struct ipc_msg *
child_message(enum ipc_type type)
{
	/* 64 KiB: too much for a stack, and there is one at a time */
	static struct ipc_msg msg;

	ipc_begin(&msg, type);
	return &msg;
}

/* ------------------------------------------------------------------ */
/* Events. */

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	static struct ipc_msg msg;
	struct child *c = arg;
	int rc;

	for (int i = 0; i < BATCH && c->ipc != NULL; i++) {
		if ((rc = ipc_recv(c->ipc, &msg)) == 0)
			return;
		if (rc == 1) {
			supervise_message(c, &msg);
			continue;
		}
		/* its end; SIGCHLD tells the rest */
		(void)event_del(c->readable);
		if (errno != 0)
			child_kill(c, "sent what no child of ours sends");
		return;
	}
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;

	if (ipc_flush(c->ipc) == 1)
		return;
	/* all sent, or nobody there any more */
	(void)event_del(c->writable);
}

static int
watch(struct child *c, int fd)
{
	struct event_base *base = c->master->base;

	c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable =
	    event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	if (c->readable == NULL || c->writable == NULL)
		return -1;
	return event_add(c->readable, NULL);
}

/* ------------------------------------------------------------------ */
/* Sending. */

int
child_send(struct child *c, const struct ipc_msg *m)
{
	if (c->ipc == NULL)
		return -1;
	if (ipc_send(c->ipc, m) == -1) {
		/* it has ended: SIGCHLD is on its way */
		if (errno == EPIPE)
			return -1;
		log_error_errno("cannot send to child child=\"%s\" "
				"message=\"%s\"",
		    child_name(c), ipc_name(m->type));
		child_kill(c, "does not read its messages");
		return -1;
	}
	if (ipc_pending(c->ipc))
		(void)event_add(c->writable, NULL);
	return 0;
}

bool
child_serves(const struct child *c)
{
	return c->pid != 0 &&
	    (c->state == TABLES_CHILD_STARTING ||
		c->state == TABLES_CHILD_READY);
}

bool
child_takes(const struct child *c)
{
	return c->state == TABLES_CHILD_READY && !ipc_pending(c->ipc);
}

void
child_kill(struct child *c, const char *why)
{
	if (c->pid == 0)
		return;
	log_error("child killed child=\"%s\" child_pid=%d reason=\"%s\"",
	    child_name(c), (int)c->pid, why);
	(void)kill(c->pid, SIGKILL);
}

/* ------------------------------------------------------------------ */
/* Starting. */

/* The workers that are alive, but for itself. */
static void
put_living(struct ipc_msg *msg, const struct child *c)
{
	const struct master *m = c->master;
	struct child *w;
	uint32_t n = 0;

	for (w = NULL; (w = supervise_next(m->supervisor, w)) != NULL;)
		n += w->role == ROLE_WORKER && w != c;
	ipc_put_u32(msg, n);
	for (w = NULL; (w = supervise_next(m->supervisor, w)) != NULL;) {
		if (w->role != ROLE_WORKER || w == c)
			continue;
		ipc_put_u32(msg, w->slot);
		ipc_put_u32(msg, w->incarnation);
	}
}

/* Everything that it will hold; tbl_ipc.h lists the fields. */
static int
send_hello(struct child *c, bool daemon_just_started)
{
	struct ipc_msg *msg = child_message(IPC_HELLO);
	const struct master *m = c->master;
	const struct shared *sh = &m->shared;
	const struct inboxes *in = &m->inboxes;
	const bool worker = c->role == ROLE_WORKER;
	const bool bundle = worker && m->bundle_fd != -1;
	/* the log ring before, and that which follows comes next */
	const bool both = c->generation != sh->generation;

	ipc_put_u8(msg, (uint8_t)c->role);
	if (c->role == ROLE_BRIDGE) {
		bridge_put_hello(c, msg);
		return child_send(c, msg);
	}
	ipc_put_u32(msg, worker ? c->slot : 0);
	ipc_put_u32(msg, c->incarnation);
	ipc_put_u32(msg, c->log_arena);
	ipc_put_u32(msg, c->live_arena);
	ipc_put_u8(msg, (daemon_just_started ? 1 : 0) | (both ? 2 : 0));
	put_living(msg, c);
	ipc_put_u32(msg, worker ? in->n : 0);
	ipc_put_u8(msg, bundle);
	ipc_put_fd(msg, m->cfg_fd);
	ipc_put_fd(msg, sh->tables->seg.fd);
	ipc_put_fd(msg, both ? sh->old_log_seg.fd : sh->log_seg.fd);
	ipc_put_fd(msg, sh->live_seg.fd);
	ipc_put_fd(msg, m->place.data_fd);
	ipc_put_fd(msg, m->log_fd);
	for (unsigned i = 0; i < WAKE_CONSUMERS; i++)
		ipc_put_fd(msg, sh->efd[i]);
	if (worker) {
		ipc_put_fd(msg, in->receive[c->slot]);
		for (unsigned i = 0; i < in->n; i++)
			ipc_put_fd(msg, in->send[i]);
		ipc_put_fd(msg, m->pairs.worker[c->slot]);
	}
	if (bundle)
		ipc_put_fd(msg, m->bundle_fd);
	return child_send(c, msg);
}

static void
forget(struct child *c)
{
	if (c->readable != NULL)
		event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	c->readable = c->writable = NULL;
	ipc_free(&c->ipc);
}

int
child_start(struct child *c, bool daemon_just_started)
{
	struct master *m = c->master;
	int sv[2], saved;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1)
		return -1;
	if ((c->ipc = ipc_new(sv[0], IPC_FROM_MASTER)) == NULL) {
		saved = errno;
		(void)close(sv[0]);
	} else if (watch(c, sv[0]) == -1) {
		saved = ENOMEM;
	} else {
		c->pid = spawn_role(c->role, c->slot, sv[1],
		    c->role == ROLE_SCRIBE ? m->place.lock_fd : -1);
		saved = errno;
	}
	(void)close(sv[1]);
	if (c->pid <= 0) {
		c->pid = 0;
		forget(c);
		errno = saved;
		return -1;
	}
	c->ready_ms = 0;
	c->silent = 0;
	c->rings = CHILD_RINGS_SAME;
	c->generation = m->shared.generation;
	/* no scribe has left the log ring before */
	if (c->role == ROLE_SCRIBE && m->shared.old_log_seg.mem != NULL)
		c->generation--;
	publish_process(c);
	child_set_state(c, TABLES_CHILD_STARTING);
	log_debug("child started child=\"%s\" child_pid=%d incarnation=%u",
	    child_name(c), (int)c->pid, (unsigned)c->incarnation);
	FAULT(SPAWNED);
	/* if that fails it is gone, and will be reaped */
	(void)send_hello(c, daemon_just_started);
	return 0;
}

void
child_gone(struct child *c)
{
	forget(c);
	c->pid = 0;
	publish_process(c);
}
