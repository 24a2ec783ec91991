/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/child.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"

/* one message at a time; too large for a stack */
static struct ipc_msg hello;

/* --- hello ------------------------------------------------------------- */

static void
hello_receive(struct child *c, enum role role)
{
	struct pollfd p = { .fd = ROLE_IPC_FD, .events = POLLIN };
	int rc;

	if ((c->master = ipc_new(ROLE_IPC_FD, IPC_FROM_CHILD)) == NULL)
		fatal("connection to the master");
	while ((rc = ipc_recv(c->master, &hello)) == 0)
		(void)poll(&p, 1, -1);
	if (rc != 1 || hello.type != IPC_HELLO || ipc_get_u8(&hello) != role)
		fatalx("no hello from the master");
	c->role = role;
}

/* Returns whether the next rings follow. */
static bool
hello_numbers(struct child *c, unsigned arenas[2])
{
	uint32_t n;
	bool next;

	c->slot = ipc_get_u32(&hello);
	c->incarnation = ipc_get_u32(&hello);
	arenas[0] = ipc_get_u32(&hello);
	arenas[1] = ipc_get_u32(&hello);
	/* that the daemon has just started is seen in the store, which does
	 * not know the ring */
	next = (ipc_get_u8(&hello) & 2) != 0;
	for (n = ipc_get_u32(&hello); n > 0 && !hello.bad; n--) {
		if (c->nliving == TABLES_WORKERS)
			fatalx("hello from the master makes no sense");
		(void)ipc_get_u32(&hello);
		c->living[c->nliving++] = ipc_get_u32(&hello);
	}
	return next;
}

static void
hello_segments(struct child *c)
{
	const char *why;

	if ((c->tables = tables_attach(ipc_get_fd(&hello), &why)) == NULL)
		fatalx("tables: %s", why);
	if (segment_attach(&c->log_seg, ipc_get_fd(&hello), ring_abi(),
		SEGMENT_DONTDUMP, &why) == -1)
		fatalx("log ring: %s", why);
	if (segment_attach(&c->live_seg, ipc_get_fd(&hello), ring_abi(),
		SEGMENT_DONTDUMP, &why) == -1)
		fatalx("live ring: %s", why);
}

static void
hello_places(struct child *c)
{
	int fd;

	if ((fd = ipc_get_fd(&hello)) == -1 || fchdir(fd) == -1)
		fatal("data directory");
	close(fd);
	if ((fd = ipc_get_fd(&hello)) == -1)
		fatalx("no log target from the master");
	log_set(fd, log_kind_of(fd), c->cfg->log_format, c->cfg->log_level);
}

/* A worker's inbox and the ways to all, its own too. */
static void
hello_inboxes(struct child *c, unsigned n)
{
	if (n > TABLES_WORKERS || (c->role == ROLE_WORKER) != (n > 0))
		fatalx("hello from the master makes no sense");
	if (n == 0)
		return;
	c->inbox = ipc_get_fd(&hello);
	for (c->noutbox = 0; c->noutbox < n; c->noutbox++)
		c->outbox[c->noutbox] = ipc_get_fd(&hello);
	c->ask[0] = ipc_get_fd(&hello);
	c->nask = 1;
}

static void
hello_clear(struct child *c)
{
	c->inbox = c->bundle = c->next_bundle = -1;
	c->next_log_seg.fd = c->next_live_seg.fd = -1;
	for (size_t i = 0; i < TABLES_WORKERS; i++)
		c->outbox[i] = c->ask[i] = -1;
}

/* Attach to a ring; a stray write shall hit us and nobody else. */
static struct ring *
attach_ring(struct child *c, struct segment *seg, unsigned arena,
    const char **why_r)
{
	struct ring *r;

	if ((r = ring_attach(seg->mem, seg->size, c->wake, why_r)) == NULL)
		return NULL;
	FAULT(CHILD_ATTACHED);
	ring_producer_init(r, arena);
	if (ring_protect(r, arena) == -1) {
		*why_r = "the ring cannot be protected";
		ring_detach(&r);
	}
	return r;
}

static struct ring *
hello_ring(struct child *c, struct segment *seg, unsigned arena)
{
	const char *why;
	struct ring *r;

	if ((r = attach_ring(c, seg, arena, &why)) == NULL)
		fatalx("ring: %s", why);
	return r;
}

/* --- the next rings ------------------------------------------------------ */

static void
child_send(struct child *c, const struct ipc_msg *m)
{
	if (ipc_send(c->master, m) == -1)
		log_error_errno("answer to the master");
}

static void
next_clear(struct child *c)
{
	ring_detach(&c->next_live);
	ring_detach(&c->next_log);
	segment_close(&c->next_live_seg);
	segment_close(&c->next_log_seg);
	c->next_generation = 0;
}

/* The descriptor is closed if it is not the segment's. */
static int
next_segment(struct segment *seg, int fd, const char **why_r)
{
	if (segment_attach(seg, fd, ring_abi(), SEGMENT_DONTDUMP, why_r) == 0)
		return 0;
	if (fd != -1)
		close(fd);
	return -1;
}

static int
next_attach(struct child *c, int log, int live, const unsigned arenas[2],
    const char **why_r)
{
	int rc = next_segment(&c->next_log_seg, log, why_r);

	if (c->role == ROLE_SCRIBE) {
		if (rc == 0)
			c->next_log = attach_ring(c, &c->next_log_seg,
			    RING_SCRIBE_ARENA, why_r);
		return c->next_log != NULL ? 0 : -1;
	}
	if (next_segment(&c->next_live_seg, live, why_r) == -1 || rc == -1)
		return -1;
	c->next_log = attach_ring(c, &c->next_log_seg, arenas[0], why_r);
	c->next_live = attach_ring(c, &c->next_live_seg, arenas[1], why_r);
	if (c->next_log == NULL || c->next_live == NULL)
		return -1;
	ring_follow_interest(c->next_live, c->next_log);
	ring_mirror_interest(c->log, c->slot, c->next_log);
	ring_seat(c->next_log, c->slot, c->incarnation);
	ring_seat(c->next_live, c->slot, c->incarnation);
	FAULT(RINGS_SEATED);
	return 0;
}

static void
on_rings_next(struct child *c, struct ipc_msg *m)
{
	static struct ipc_msg out;
	uint64_t generation = ipc_get_u64(m);
	int log = ipc_get_fd(m), live = -1;
	const char *why = "";
	unsigned arenas[2];
	bool ok;

	arenas[0] = ipc_get_u32(m);
	arenas[1] = ipc_get_u32(m);
	if (c->role == ROLE_WORKER)
		live = ipc_get_fd(m);
	if (m->bad || c->next_generation != 0)
		fatalx("the master sent rings that make no sense");
	ok = next_attach(c, log, live, arenas, &why) == 0;
	if (ok)
		c->next_generation = generation;
	else
		next_clear(c);
	if (ok && c->rings != NULL)
		c->rings(c->arg);
	ipc_begin(&out, IPC_RINGS_MAPPED);
	ipc_put_u64(&out, generation);
	ipc_put_u8(&out, ok);
	ipc_put_str(&out, why);
	child_send(c, &out);
}

static void
on_rings_forget(struct child *c, struct ipc_msg *m)
{
	struct ring *log = c->next_log, *live = c->next_live;

	if (ipc_get_u64(m) != c->next_generation || c->next_generation == 0)
		return;
	c->next_log = c->next_live = NULL;
	if (c->role == ROLE_WORKER)
		ring_mirror_interest(c->log, c->slot, NULL);
	if (c->rings != NULL)
		c->rings(c->arg);
	ring_detach(&live);
	ring_detach(&log);
	next_clear(c);
}

void
child_leave_rings(struct child *c)
{
	static struct ipc_msg out;

	CHECK(c->next_log != NULL);
	ring_detach(&c->live);
	ring_detach(&c->log);
	if (c->role == ROLE_WORKER)
		segment_close(&c->live_seg);
	segment_close(&c->log_seg);
	c->log = c->next_log;
	c->live = c->next_live;
	c->log_seg = c->next_log_seg;
	c->live_seg = c->next_live_seg;
	c->next_log = c->next_live = NULL;
	c->next_log_seg = c->next_live_seg = (struct segment){ .fd = -1 };
	FAULT(RINGS_LEFT);
	ipc_begin(&out, IPC_RINGS_LEFT);
	ipc_put_u64(&out, c->next_generation);
	c->next_generation = 0;
	if (c->master != NULL)
		child_send(c, &out);
}

/* What HELLO announced, by the same way. */
static void
hello_next(struct child *c)
{
	struct pollfd p = { .fd = ROLE_IPC_FD, .events = POLLIN };
	int rc;

	while ((rc = ipc_recv(c->master, &hello)) == 0)
		(void)poll(&p, 1, -1);
	if (rc != 1 || hello.type != IPC_RINGS_NEXT)
		fatalx("no rings from the master");
	on_rings_next(c, &hello);
	if (ipc_end(&hello) == -1 || c->next_log == NULL)
		fatalx("the next rings cannot be used");
}

/*
 * The bridge's is another: it talks to the outside, so it gets no rings, no
 * store, and of the tables nothing that a client wrote.
 */
static void
hello_bridge(struct child *c)
{
	const char *why;
	int fd;

	c->slot = TABLES_BRIDGE;
	c->incarnation = ipc_get_u32(&hello);
	c->nask = ipc_get_u32(&hello);
	log_init("chatd", ROLE_BRIDGE, -1);
	fd = ipc_get_fd(&hello);
	if ((c->cfg = config_from_fd(fd)) == NULL)
		fatal("configuration from the master");
	close(fd);
	if ((c->tables = tables_attach(ipc_get_fd(&hello), &why)) == NULL)
		fatalx("tables: %s", why);
	if (tables_narrow(c->tables) == -1)
		fatal("protect the tables");
	if ((fd = ipc_get_fd(&hello)) == -1 || c->nask > TABLES_WORKERS)
		fatalx("hello from the master makes no sense");
	log_set(fd, log_kind_of(fd), c->cfg->log_format, c->cfg->log_level);
	for (unsigned i = 0; i < c->nask; i++)
		c->ask[i] = ipc_get_fd(&hello);
	if (ipc_end(&hello) == -1)
		fatalx("hello from the master makes no sense");
}

void
child_hello(struct child *c, enum role role)
{
	unsigned arenas[2], ninboxes;
	bool bundle, next;
	int i, fd;

	hello_clear(c);
	hello_receive(c, role);
	FAULT(CHILD_HELLO);
	if (role == ROLE_BRIDGE) {
		hello_bridge(c);
		return;
	}
	next = hello_numbers(c, arenas);
	/* its place among the children, in the tables */
	if (role == ROLE_SCRIBE)
		c->slot = TABLES_SCRIBE;
	ninboxes = ipc_get_u32(&hello);
	bundle = ipc_get_u8(&hello) == 1;
	log_init("chatd", role, role == ROLE_WORKER ? (int)c->slot : -1);
	fd = ipc_get_fd(&hello);
	if ((c->cfg = config_from_fd(fd)) == NULL)
		fatal("configuration from the master");
	close(fd);
	hello_segments(c);
	hello_places(c);
	for (i = 0; i < WAKE_CONSUMERS; i++)
		c->efd[i] = ipc_get_fd(&hello);
	hello_inboxes(c, ninboxes);
	if (bundle)
		c->bundle = ipc_get_fd(&hello);
	if (ipc_end(&hello) == -1 ||
	    (role == ROLE_WORKER && c->slot >= TABLES_WORKERS))
		fatalx("hello from the master makes no sense");
	if ((c->wake = wake_attach(c->tables->wake, c->efd)) == NULL)
		fatal("wake area");
	if (tables_protect(c->tables,
		role == ROLE_WORKER ? c->slot : TABLES_SCRIBE) == -1)
		fatal("protect the tables");
	if (role == ROLE_SCRIBE) {
		/* it neither reads the live ring nor publishes there */
		c->log = hello_ring(c, &c->log_seg, RING_SCRIBE_ARENA);
		segment_close(&c->live_seg);
	} else {
		c->log = hello_ring(c, &c->log_seg, arenas[0]);
		c->live = hello_ring(c, &c->live_seg, arenas[1]);
		ring_follow_interest(c->live, c->log);
	}
	if (next)
		hello_next(c);
}

/* --- later ------------------------------------------------------------- */

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

void
child_beat(struct child *c)
{
	struct tables_child *row = &c->tables->state->child[c->slot];

	(void)atomic_fetch_add_explicit(&row->beats, 1, memory_order_relaxed);
	if (log_target_lost())
		atomic_store_explicit(&row->log_lost, 1, memory_order_relaxed);
}

void
child_ready(struct child *c)
{
	static struct ipc_msg m;

	FAULT(CHILD_READY);
	ipc_begin(&m, IPC_READY);
	child_send(c, &m);
}

static void
on_config_prepare(struct child *c, struct ipc_msg *m)
{
	static struct ipc_msg out;
	uint64_t serial = ipc_get_u64(m);
	bool bundle = ipc_get_u8(m) == 1;
	int fd = ipc_get_fd(m);

	config_free(&c->next_cfg);
	close_fd(&c->next_bundle);
	if (bundle)
		c->next_bundle = ipc_get_fd(m);
	if (fd != -1) {
		c->next_cfg = config_from_fd(fd);
		close(fd);
	}
	FAULT(CHILD_PREPARED);
	c->next_serial = serial;
	ipc_begin(&out, IPC_CONFIG_PREPARED);
	ipc_put_u64(&out, serial);
	ipc_put_u8(&out, c->next_cfg != NULL);
	ipc_put_str(&out, c->next_cfg != NULL ? "" : "cannot be decoded");
	child_send(c, &out);
}

static void
on_config_switch(struct child *c, struct ipc_msg *m)
{
	static struct ipc_msg out;
	uint64_t serial = ipc_get_u64(m);
	bool take = ipc_get_u8(m) == 1;
	struct config *old;

	if (c->next_cfg == NULL || serial != c->next_serial)
		return;
	if (!take) {
		config_free(&c->next_cfg);
		close_fd(&c->next_bundle);
		return;
	}
	old = c->cfg;
	c->cfg = c->next_cfg;
	c->next_cfg = NULL;
	close_fd(&c->bundle);
	c->bundle = c->next_bundle;
	c->next_bundle = -1;
	log_set_level(c->cfg->log_level);
	if (c->configure != NULL)
		c->configure(c->arg);
	config_free(&old);
	FAULT(CHILD_SWITCHED);
	ipc_begin(&out, IPC_CONFIG_SWITCHED);
	ipc_put_u64(&out, serial);
	child_send(c, &out);
}

static void
on_log_target(struct child *c, struct ipc_msg *m)
{
	int fd = ipc_get_fd(m);

	if (fd != -1)
		log_set(fd, log_kind_of(fd), c->cfg->log_format,
		    c->cfg->log_level);
}

void
child_end(struct ipc_msg *m)
{
	if (ipc_end(m) == -1)
		fatalx("%s from the master makes no sense", ipc_name(m->type));
}

int
child_receive(struct child *c, struct ipc_msg *m)
{
	int rc;

	if (ipc_pending(c->master))
		(void)ipc_flush(c->master);
	while ((rc = ipc_recv(c->master, m)) == 1) {
		if (m->type == IPC_CONFIG_PREPARE)
			on_config_prepare(c, m);
		else if (m->type == IPC_CONFIG_SWITCH)
			on_config_switch(c, m);
		else if (m->type == IPC_LOG_TARGET)
			on_log_target(c, m);
		else if (m->type == IPC_RINGS_NEXT)
			on_rings_next(c, m);
		else if (m->type == IPC_RINGS_FORGET)
			on_rings_forget(c, m);
		else
			return 1;
		child_end(m);
	}
	if (rc == -1 && errno == EMFILE) {
		log_error("descriptors from the master were lost: no room");
		return 0;
	}
	if (rc == -1 && errno != 0)
		fatal("message from the master");
	return rc;
}

void
child_free(struct child *c)
{
	close_fd(&c->inbox);
	for (size_t i = 0; i < TABLES_WORKERS; i++)
		close_fd(&c->outbox[i]);
	for (size_t i = 0; i < c->nask; i++)
		close_fd(&c->ask[i]);
	close_fd(&c->bundle);
	close_fd(&c->next_bundle);
	next_clear(c);
	ring_detach(&c->live);
	ring_detach(&c->log);
	wake_detach(&c->wake);
	if (c->role != ROLE_SCRIBE)
		segment_close(&c->live_seg);
	segment_close(&c->log_seg);
	tables_free(&c->tables);
	config_free(&c->next_cfg);
	config_free(&c->cfg);
	ipc_free(&c->master);
}
