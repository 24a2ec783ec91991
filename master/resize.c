/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * resize - rings of another size, while everybody works.
 */

#include "master/resize.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/log.h"
#include "master/child.h"
#include "master/master.h"
#include "master/supervise.h"

/* what a record has besides the event, at the most (config_check.c) */
#define EVENT_ADDED 4096

static char reason[256];

/* The bridge is in no ring. */
static bool
has_rings(const struct child *c)
{
	return c->role != ROLE_BRIDGE && child_serves(c);
}

bool
resize_wanted(const struct master *m, const struct config *next)
{
	return m->cfg->ring_slots != next->ring_slots ||
	    m->cfg->ring_arena_bytes != next->ring_arena_bytes;
}

/* ------------------------------------------------------------------ */
/* Who is where. */

const char *
resize_staying(const struct master *m)
{
	struct child *c;

	for (c = NULL; (c = supervise_next(m->supervisor, c)) != NULL;)
		if (has_rings(c) && c->generation != m->shared.generation)
			return child_name(c);
	return NULL;
}

const char *
resize_missing(const struct master *m)
{
	struct child *c;

	if (m->shared.next_log == NULL)
		return NULL;
	for (c = NULL; (c = supervise_next(m->supervisor, c)) != NULL;)
		if (has_rings(c) && c->rings != CHILD_RINGS_MAPPED)
			return child_name(c);
	return NULL;
}

/* ------------------------------------------------------------------ */
/* Before the switch. */

/*
 * What was accepted under the old configuration, and waits for a place in
 * the ring, has to fit the new one.
 */
static int
check_events(const struct config *old, const struct config *next,
    const char **why_r)
{
	uint64_t event = old->limits_event_bytes;
	uint64_t record = next->ring_arena_bytes / 4;

	if (event == 0 || event > old->engine_max_payload)
		event = old->engine_max_payload;
	if (record > RING_RECORD_LIMIT)
		record = RING_RECORD_LIMIT;
	if (event + EVENT_ADDED <= record)
		return 0;
	(void)snprintf(reason, sizeof(reason),
	    "ring.arena_bytes: events of %llu bytes may be under way and would "
	    "not fit; lower limits.event_bytes first, by a reload of its own",
	    (unsigned long long)event);
	*why_r = reason;
	return -1;
}

/* A worker's arenas in the rings to come.  Nobody publishes there yet, so
 * those of the dead are free at once. */
static int
take_arenas(struct child *c)
{
	struct shared *sh = &c->master->shared;
	int log, live;

	if (c->role != ROLE_WORKER)
		return 0;
	log = ring_arena_take(sh->next_log, c->slot, c->incarnation);
	live = ring_arena_take(sh->next_live, c->slot, c->incarnation);
	if (log == -1 || live == -1)
		return -1;
	c->next_log_arena = (unsigned)log;
	c->next_live_arena = (unsigned)live;
	return 0;
}

static void
send_next(struct child *c, uint64_t generation, int log_fd, int live_fd)
{
	struct ipc_msg *msg = child_message(IPC_RINGS_NEXT);

	ipc_put_u64(msg, generation);
	ipc_put_u32(msg, c->next_log_arena);
	ipc_put_u32(msg, c->next_live_arena);
	ipc_put_fd(msg, log_fd);
	if (c->role == ROLE_WORKER)
		ipc_put_fd(msg, live_fd);
	(void)child_send(c, msg);
}

static void
offer(struct child *c)
{
	struct shared *sh = &c->master->shared;

	if (take_arenas(c) == -1) {
		/* as many as in the old rings, where it has one */
		log_error("no arena in the next rings child=\"%s\"",
		    child_name(c));
		return;
	}
	c->rings = CHILD_RINGS_ASKED;
	send_next(c, sh->generation + 1, sh->next_log_seg.fd,
	    sh->next_live_seg.fd);
}

int
resize_begin(struct master *m, const struct config *next, const char **why_r)
{
	const char *name = resize_staying(m), *why = "";
	struct child *c;

	if (name != NULL) {
		(void)snprintf(reason, sizeof(reason),
		    "the rings cannot change again: %s has not left the old "
		    "ones",
		    name);
		*why_r = reason;
		return -1;
	}
	if (check_events(m->cfg, next, why_r) == -1)
		return -1;
	if (shared_next(&m->shared, next, m->workers, &why) == -1) {
		(void)snprintf(reason, sizeof(reason),
		    "cannot make the rings: %s: %s", why, strerror(errno));
		*why_r = reason;
		return -1;
	}
	for (c = NULL; (c = supervise_next(m->supervisor, c)) != NULL;)
		if (has_rings(c))
			offer(c);
	return 0;
}

void
resize_child_started(struct child *c)
{
	struct shared *sh = &c->master->shared;

	if (c->role == ROLE_BRIDGE)
		return;
	if (sh->next_log != NULL)
		offer(c);
	else if (c->generation != sh->generation)
		/* a scribe's; its HELLO says that this follows */
		send_next(c, sh->generation, sh->log_seg.fd, -1);
}

int
resize_mapped(struct child *c, struct ipc_msg *msg, const char **why_r)
{
	struct shared *sh = &c->master->shared;
	uint64_t generation = ipc_get_u64(msg);
	bool ok = ipc_get_u8(msg) != 0;
	char why[128];

	ipc_get_str(msg, why, sizeof(why));
	if (ipc_end(msg) == -1 || sh->next_log == NULL ||
	    generation != sh->generation + 1 || c->rings != CHILD_RINGS_ASKED)
		return 0;
	if (ok) {
		c->rings = CHILD_RINGS_MAPPED;
		return 0;
	}
	(void)snprintf(reason, sizeof(reason), "%s cannot have the rings: %s",
	    child_name(c), why);
	*why_r = reason;
	return -1;
}

void
resize_forget(struct master *m)
{
	struct shared *sh = &m->shared;
	struct ipc_msg *msg;
	struct child *c;
	uint64_t end;

	if (sh->next_log == NULL)
		return;
	/* half a switch when the daemon ends: let them have both */
	for (c = NULL; (c = supervise_next(m->supervisor, c)) != NULL;) {
		if (c->rings == CHILD_RINGS_SAME)
			continue;
		c->rings = CHILD_RINGS_SAME;
		if (ring_closed(sh->log, &end))
			continue;
		msg = child_message(IPC_RINGS_FORGET);
		ipc_put_u64(msg, sh->generation + 1);
		(void)child_send(c, msg);
	}
	shared_next_free(sh);
}

/* ------------------------------------------------------------------ */
/* The switch and after. */

int
resize_switch(struct master *m, bool *begun_r)
{
	struct shared *sh = &m->shared;
	struct child *c;

	if (shared_switch(sh, begun_r) == -1)
		return -1;
	for (c = NULL; (c = supervise_next(m->supervisor, c)) != NULL;) {
		c->rings = CHILD_RINGS_SAME;
		c->log_arena = c->next_log_arena;
		c->live_arena = c->next_live_arena;
	}
	log_notice("the rings are others now slots=%llu arena_bytes=%zu "
		   "base=%llu",
	    (unsigned long long)ring_slots(sh->log), ring_arena_bytes(sh->log),
	    (unsigned long long)ring_base(sh->log));
	return 0;
}

void
resize_left(struct child *c, struct ipc_msg *msg)
{
	struct shared *sh = &c->master->shared;
	uint64_t generation = ipc_get_u64(msg);

	if (ipc_end(msg) == -1 || generation != sh->generation)
		return;
	c->generation = generation;
	if (c->role == ROLE_SCRIBE)
		shared_old_free(sh);
}

uint64_t
resize_child_dead(struct child *c, uint64_t pos)
{
	struct shared *sh = &c->master->shared;
	bool asked = c->rings != CHILD_RINGS_SAME;
	uint64_t end, closed;

	c->rings = CHILD_RINGS_SAME;
	if (!asked)
		return pos;
	if (c->role == ROLE_SCRIBE) {
		ring_scribe_dead(sh->next_log);
		return pos;
	}
	(void)ring_worker_dead(sh->next_live, c->slot, c->next_live_arena);
	end = ring_worker_dead(sh->next_log, c->slot, c->next_log_arena);
	/* the switch may be half done */
	return ring_closed(sh->log, &closed) ? end : pos;
}
