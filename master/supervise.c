/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * supervise - starts the children, buries and replaces them, ends them.
 *
 * Who may talk to whom: each child to the master, over a socketpair of its
 * own; no child to another but through the rings, and by handing connections
 * over (inbox.h).
 *
 *	            chatctl
 *	               |
 *	   +--------master--------+
 *	   |       |       |      |		ipc: few and small messages
 *	scribe  worker  worker  worker
 *	   |       |       |      |
 *	   +=======+===rings+=====+		everything else
 */

#include "master/supervise.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "master/child.h"
#include "master/clerk.h"
#include "master/deal.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/retention.h"
#include "master/resize.h"
#include "shm/counter.h"
#include "shm/ring.h"
#include "shm/user.h"

/* What each of the two steps of an orderly stop may take. */
#define STOP_MS 5000
/* ... and how much later a straggler is killed */
#define STOP_GRACE_MS 500
/* What a bridge may take to end while the daemon goes on. */
#define BRIDGE_STOP_S 2
/* A ring has no arena left: those of the dead are drained in a moment. */
#define ARENA_WAIT_MS 10

enum stop_step {
	STOP_NOT,
	STOP_WORKERS,
	STOP_SCRIBE,
};

struct supervisor {
	struct master *master;
	struct child child[TABLES_CHILDREN];
	uint32_t incarnations;
	/* a scribe has been ready; all children have been */
	bool scribe_worked, worked;
	struct burst scribe_deaths;
	enum stop_step step;
	struct event *deadline;
	unsigned turn;
};

static void start(struct child *c);
static void step_done(struct supervisor *s);

/* ------------------------------------------------------------------ */
/* Looking up. */

struct child *
supervise_worker(struct supervisor *s, unsigned slot)
{
	CHECK(slot < TABLES_WORKERS);
	return &s->child[slot];
}

struct child *
supervise_scribe(struct supervisor *s)
{
	return &s->child[TABLES_SCRIBE];
}

struct child *
supervise_bridge(struct supervisor *s)
{
	return &s->child[TABLES_BRIDGE];
}

struct child *
supervise_next(struct supervisor *s, struct child *c)
{
	size_t i = c == NULL ? 0 : (size_t)(c - s->child) + 1;

	for (; i < TABLES_CHILDREN; i++)
		if (s->child[i].pid != 0)
			return &s->child[i];
	return NULL;
}

unsigned
supervise_ready(struct supervisor *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->master->workers; i++)
		n += s->child[i].state == TABLES_CHILD_READY;
	return n;
}

struct child *
supervise_any_worker(struct supervisor *s)
{
	unsigned n = s->master->workers;

	for (unsigned i = 0; i < n; i++) {
		struct child *c = &s->child[(s->turn + i) % n];

		if (child_takes(c)) {
			s->turn = (unsigned)(c - s->child) + 1;
			return c;
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ */
/* Starting. */

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;

	/* a bridge that was told to stop, and nobody else */
	if (c->pid != 0)
		child_kill(c, "did not end in time");
	else
		start(c);
}

static void
start_later(struct child *c, uint64_t ms)
{
	struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	(void)evtimer_add(c->again, &tv);
	if (c->role == ROLE_WORKER)
		deal_worker_absent(c->master->deal, c->slot);
}

/* What a worker needs in the rings and tables.  0, or -1 with errno. */
static int
equip_worker(struct child *c)
{
	struct shared *sh = &c->master->shared;
	int log, live;

	if (tables_open_slot(sh->tables, c->slot) == -1)
		return -1;
	log = ring_arena_take(sh->log, c->slot, c->incarnation);
	if (log == -1)
		return -1;
	FAULT(EQUIP_HALF);
	live = ring_arena_take(sh->live, c->slot, c->incarnation);
	if (live == -1) {
		(void)ring_worker_dead(sh->log, c->slot, (unsigned)log);
		errno = EAGAIN;
		return -1;
	}
	c->log_arena = (unsigned)log;
	c->live_arena = (unsigned)live;
	return 0;
}

static void
count_restart(struct child *c)
{
	const struct tables *t = c->master->shared.tables;
	_Atomic uint32_t *restarts = &t->state->child[c->slot].restarts;

	if (c->state != TABLES_CHILD_DEAD)
		return;
	atomic_fetch_add_explicit(restarts, 1, memory_order_relaxed);
	counter_add(t, COUNTER_MASTER,
	    c->role == ROLE_SCRIBE	 ? COUNTER_SCRIBE_RESTARTS
		: c->role == ROLE_BRIDGE ? COUNTER_BRIDGE_RESTARTS
					 : COUNTER_WORKER_RESTARTS,
	    1);
}

/* Is it tried again whatever happens? */
static bool
has_worked(const struct supervisor *s, const struct child *c)
{
	return s->worked || c->role == ROLE_BRIDGE;
}

/* Start the child of this place, now or as soon as it is possible. */
static void
start(struct child *c)
{
	struct supervisor *s = c->master->supervisor;
	struct shared *sh = &c->master->shared;

	c->incarnation = ++s->incarnations;
	if (c->role == ROLE_WORKER && equip_worker(c) == -1) {
		if (errno != EAGAIN)
			log_error_errno("cannot equip child=\"%s\"",
			    child_name(c));
		start_later(c,
		    errno == EAGAIN ? ARENA_WAIT_MS : BACKOFF_MAX_WORKED_MS);
		return;
	}
	FAULT(EQUIPPED);
	count_restart(c);
	if (child_start(c, !s->scribe_worked) == 0) {
		FAULT(HELLO_SENT);
		resize_child_started(c);
		reload_child_started(c->master->reload, c);
		return;
	}
	log_error_errno("cannot start child=\"%s\"", child_name(c));
	if (c->role == ROLE_WORKER) {
		(void)ring_worker_dead(sh->log, c->slot, c->log_arena);
		(void)ring_worker_dead(sh->live, c->slot, c->live_arena);
	}
	if (!has_worked(s, c))
		master_give_up(c->master, "cannot start the %s: %s",
		    child_name(c), strerror(errno));
	else
		start_later(c, backoff_died(&c->backoff, 0, true));
}

void
supervise_start(struct supervisor *s)
{
	start(supervise_scribe(s));
	supervise_bridge_follow(s);
}

/* One that is told to stop is started again when it has ended. */
void
supervise_bridge_follow(struct supervisor *s)
{
	const struct timeval tv = { .tv_sec = BRIDGE_STOP_S };
	const bool wanted = bridge_is_wanted(s->master);
	struct child *c = supervise_bridge(s);
	struct ipc_msg *msg;

	if (s->step != STOP_NOT)
		return;
	if (wanted && c->pid == 0 && !evtimer_pending(c->again, NULL)) {
		start(c);
	} else if (!wanted && c->pid == 0) {
		(void)evtimer_del(c->again);
		child_set_state(c, TABLES_CHILD_NONE);
	} else if (!wanted && c->state != TABLES_CHILD_STOPPING) {
		msg = child_message(IPC_STOP);
		ipc_put_u32(msg, BRIDGE_STOP_S * 1000);
		child_set_state(c, TABLES_CHILD_STOPPING);
		(void)child_send(c, msg);
		(void)evtimer_add(c->again, &tv);
	}
}

static void
child_ready(struct child *c)
{
	struct supervisor *s = c->master->supervisor;

	if (c->state != TABLES_CHILD_STARTING)
		return;
	child_set_state(c, TABLES_CHILD_READY);
	c->ready_ms = clock_mono_ms();
	FAULT(MASTER_READY);
	log_info("child ready child=\"%s\" child_pid=%d incarnation=%u",
	    child_name(c), (int)c->pid, (unsigned)c->incarnation);
	if (c->role == ROLE_SCRIBE && !s->scribe_worked) {
		s->scribe_worked = true;
		for (unsigned i = 0; i < c->master->workers; i++)
			start(&s->child[i]);
	}
	if (c->role == ROLE_WORKER)
		deal_worker_ready(c->master->deal, c->slot);
	if (!s->worked && c->role == ROLE_WORKER &&
	    supervise_ready(s) == c->master->workers) {
		s->worked = true;
		master_ready(c->master);
	}
}

/* ------------------------------------------------------------------ */
/* Burying. */

static void
bury_worker(struct supervisor *s, struct child *c)
{
	struct child *scribe = supervise_scribe(s);
	struct shared *sh = &s->master->shared;
	struct ipc_msg *msg;
	uint64_t pos;

	pos = ring_worker_dead(sh->log, c->slot, c->log_arena);
	FAULT(BURY_RING);
	(void)ring_worker_dead(sh->live, c->slot, c->live_arena);
	pos = resize_child_dead(c, pos);
	users_clear_column(sh->tables, c->slot);
	FAULT(BURY_USERS);
	counter_row_dead(sh->tables, c->slot);
	deal_worker_dead(s->master->deal, c->slot, c->incarnation);
	FAULT(BURY_CLIENTS);
	/* a scribe that starts later finds out by itself who is missing */
	if (scribe->pid == 0)
		return;
	msg = child_message(IPC_WORKER_DEAD);
	ipc_put_u32(msg, c->slot);
	ipc_put_u32(msg, c->incarnation);
	ipc_put_u64(msg, pos);
	/* was it told to end? */
	ipc_put_u32(msg, c->state == TABLES_CHILD_STOPPING);
	(void)child_send(scribe, msg);
}

static void
bury_scribe(struct supervisor *s)
{
	struct shared *sh = &s->master->shared;
	struct tables_store *store = &sh->tables->state->store;

	ring_scribe_dead(sh->log);
	retention_scribe_dead(s->master->retention);
	(void)resize_child_dead(supervise_scribe(s), 0);
	FAULT(BURY_SCRIBE);
	counter_row_dead(sh->tables, COUNTER_SCRIBE);
	if (!burst_add(&s->scribe_deaths, clock_mono_ms()) || !s->worked)
		return;
	/* messages are refused instead of waiting; the next scribe that
	 * works says otherwise */
	atomic_store_explicit(&store->why, TABLES_STORE_WHY_SCRIBE,
	    memory_order_relaxed);
	atomic_store_explicit(&store->state, TABLES_STORE_FAILED,
	    memory_order_relaxed);
	log_error("the scribe keeps dying: nothing is stored until one stays "
		  "alive");
}

/* The same of the bridge while the daemon goes on. */
static void
bury_bridge(struct child *c)
{
	counter_row_dead(c->master->shared.tables, COUNTER_BRIDGE);
	(void)evtimer_del(c->again);
}

static void
log_death(const struct child *c, int status)
{
	bool ordered = c->state == TABLES_CHILD_STOPPING;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && ordered)
		log_info("child ended child=\"%s\" child_pid=%d", child_name(c),
		    (int)c->pid);
	else if (WIFSIGNALED(status))
		log_error("child died child=\"%s\" child_pid=%d signal=%d%s",
		    child_name(c), (int)c->pid, WTERMSIG(status),
		    WCOREDUMP(status) ? " core=yes" : "");
	else
		log_error("child died child=\"%s\" child_pid=%d status=%d",
		    child_name(c), (int)c->pid, WEXITSTATUS(status));
}

/*
 * The start is not over: is there any sense in another try?  A child that
 * ends with 1 has found something that will be the same again, and has said
 * what.
 */
static bool
first_start_goes_on(struct supervisor *s, struct child *c, int status)
{
	struct master *m = s->master;

	if (c->role == ROLE_SCRIBE && !s->scribe_worked && WIFEXITED(status) &&
	    WEXITSTATUS(status) == ROLE_EXIT_BASE &&
	    shared_raise(&m->shared) == 0) {
		c->backoff.early = 0;
		return true;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		master_give_up(m, "the %s cannot start (status %d)",
		    child_name(c), WEXITSTATUS(status));
		return false;
	}
	if (backoff_hopeless(&c->backoff, false)) {
		master_give_up(m, "the %s died %u times while starting",
		    child_name(c), c->backoff.early);
		return false;
	}
	return true;
}

/* While the workers end, the scribe stores what they have published. */
static bool
still_needed(const struct supervisor *s, const struct child *c)
{
	return s->step == STOP_WORKERS && c->role == ROLE_SCRIBE && s->worked;
}

static void
replace(struct supervisor *s, struct child *c, int status)
{
	uint64_t ready_for = 0, delay;

	if (s->step != STOP_NOT && !still_needed(s, c)) {
		step_done(s);
		return;
	}
	if (c->role == ROLE_BRIDGE && c->state == TABLES_CHILD_NONE) {
		supervise_bridge_follow(s);
		return;
	}
	if (c->ready_ms != 0)
		ready_for = clock_mono_ms() - c->ready_ms;
	delay = backoff_died(&c->backoff, ready_for, has_worked(s, c));
	if (!has_worked(s, c) && !first_start_goes_on(s, c, status))
		return;
	if (delay > 0)
		log_warn("child will be started again child=\"%s\" ms=%llu",
		    child_name(c), (unsigned long long)delay);
	if (delay == 0)
		start(c);
	else
		start_later(c, delay);
}

static void
child_died(struct supervisor *s, struct child *c, int status)
{
	/* a bridge that nobody wants any more */
	const bool dismissed = c->role == ROLE_BRIDGE &&
	    (c->state == TABLES_CHILD_STOPPING || !bridge_is_wanted(s->master));

	log_death(c, status);
	if (c->role == ROLE_WORKER)
		bury_worker(s, c);
	else if (c->role == ROLE_SCRIBE)
		bury_scribe(s);
	else
		bury_bridge(c);
	child_gone(c);
	child_set_state(c,
	    !dismissed && (s->step == STOP_NOT || still_needed(s, c))
		? TABLES_CHILD_DEAD
		: TABLES_CHILD_NONE);
	FAULT(BURY_KICK);
	/* it may have taken somebody's wake-up with it */
	wake_kick_all(s->master->shared.wake);
	reload_child_gone(s->master->reload, c);
	replace(s, c, status);
}

void
supervise_reap(struct supervisor *s)
{
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		FAULT(MASTER_REAPED);
		for (c = NULL; (c = supervise_next(s, c)) != NULL;)
			if (c->pid == pid)
				break;
		if (c != NULL)
			child_died(s, c, status);
		else
			(void)clerk_reaped(s->master->clerk, pid, status);
	}
}

/* ------------------------------------------------------------------ */
/* Stopping. */

static bool
step_covers(const struct supervisor *s, const struct child *c)
{
	return (c->role == ROLE_SCRIBE) == (s->step == STOP_SCRIBE);
}

static void
kill_step(struct supervisor *s, const char *why)
{
	struct child *c;

	for (c = NULL; (c = supervise_next(s, c)) != NULL;)
		if (step_covers(s, c))
			child_kill(c, why);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	kill_step(arg, "did not end in time");
}

static void
begin_step(struct supervisor *s, enum stop_step step)
{
	struct timeval tv = {
		.tv_sec = (STOP_MS + STOP_GRACE_MS) / 1000,
		.tv_usec = (STOP_MS + STOP_GRACE_MS) % 1000 * 1000,
	};
	struct ipc_msg *msg = child_message(IPC_STOP);
	struct child *c;

	s->step = step;
	ipc_put_u32(msg, STOP_MS);
	for (unsigned i = 0; i < TABLES_CHILDREN; i++) {
		c = &s->child[i];
		if (!step_covers(s, c))
			continue;
		(void)evtimer_del(c->again);
		if (c->pid == 0)
			continue;
		child_set_state(c, TABLES_CHILD_STOPPING);
		(void)child_send(c, msg);
		FAULT(STOP_STEP);
	}
	(void)evtimer_add(s->deadline, &tv);
	step_done(s);
}

/* Is anybody left of this step?  If not, take the next one. */
static void
step_done(struct supervisor *s)
{
	struct child *c;

	for (c = NULL; (c = supervise_next(s, c)) != NULL;)
		if (step_covers(s, c))
			return;
	(void)evtimer_del(s->deadline);
	if (s->step == STOP_WORKERS)
		begin_step(s, STOP_SCRIBE);
	else
		master_children_gone(s->master);
}

void
supervise_stop(struct supervisor *s)
{
	if (s->step == STOP_NOT)
		begin_step(s, STOP_WORKERS);
}

void
supervise_hurry(struct supervisor *s)
{
	if (s->step != STOP_NOT)
		kill_step(s, "we are in a hurry");
}

/* ------------------------------------------------------------------ */
/* Messages. */

void
supervise_log_target(struct supervisor *s)
{
	struct ipc_msg *msg;
	struct child *c;

	for (c = NULL; (c = supervise_next(s, c)) != NULL;) {
		msg = child_message(IPC_LOG_TARGET);
		ipc_put_fd(msg, s->master->log_fd);
		(void)child_send(c, msg);
	}
}

/*
 * The scribe names the one who holds up the reuse of pages.  A worker whose
 * snapshot is seconds old is stopped, or lost; anybody else (a backup, an
 * operator's tool) knows what they do.
 */
static void
on_reader_stuck(struct supervisor *s, struct ipc_msg *msg)
{
	pid_t pid = (pid_t)ipc_get_u32(msg);
	struct child *c;

	(void)ipc_get_u64(msg);
	if (ipc_end(msg) == -1)
		return;
	for (c = NULL; (c = supervise_next(s, c)) != NULL;) {
		if (c->pid != pid || c->role != ROLE_WORKER)
			continue;
		counter_add(s->master->shared.tables, COUNTER_MASTER,
		    COUNTER_READERS_KILLED, 1);
		child_kill(c, "held a snapshot of the store for too long");
	}
}

void
supervise_message(struct child *c, struct ipc_msg *msg)
{
	switch (msg->type) {
	case IPC_READY:
		if (ipc_end(msg) == 0)
			child_ready(c);
		break;
	case IPC_CONFIG_PREPARED:
		reload_prepared(c->master->reload, c, msg);
		break;
	case IPC_CONFIG_SWITCHED:
		reload_switched(c->master->reload, c, msg);
		break;
	case IPC_READER_STUCK:
		on_reader_stuck(c->master->supervisor, msg);
		break;
	case IPC_RETENTION_DONE:
		retention_done(c->master->retention, msg);
		break;
	case IPC_RINGS_MAPPED:
		reload_mapped(c->master->reload, c, msg);
		break;
	case IPC_RINGS_LEFT:
		resize_left(c, msg);
		reload_left(c->master->reload);
		break;
	/* ipc.c lets nothing through that a child may not send */
	case IPC_NONE:
	case IPC_HELLO:
	case IPC_CLIENTS:
	case IPC_CONFIG_PREPARE:
	case IPC_CONFIG_SWITCH:
	case IPC_RINGS_NEXT:
	case IPC_RINGS_FORGET:
	case IPC_LOG_TARGET:
	case IPC_WORKER_DEAD:
	case IPC_RETENTION:
	case IPC_CTL_REQUEST:
	case IPC_CLERK:
	case IPC_STOP:
	case IPC__MAX:
		msg->bad = true;
		break;
	}
	if (msg->bad)
		child_kill(c, "sent a message that makes no sense");
}

/* ------------------------------------------------------------------ */

struct supervisor *
supervisor_new(struct master *m)
{
	struct supervisor *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("calloc");
	s->master = m;
	for (unsigned i = 0; i < TABLES_CHILDREN; i++) {
		struct child *c = &s->child[i];

		c->master = m;
		c->slot = i;
		c->role = i == TABLES_SCRIBE ? ROLE_SCRIBE
		    : i == TABLES_BRIDGE     ? ROLE_BRIDGE
					     : ROLE_WORKER;
		c->again = evtimer_new(m->base, on_again, c);
		if (c->again == NULL)
			fatalx("out of memory");
	}
	if ((s->deadline = evtimer_new(m->base, on_deadline, s)) == NULL)
		fatalx("out of memory");
	return s;
}

void
supervisor_free(struct supervisor **sp)
{
	struct supervisor *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	for (unsigned i = 0; i < TABLES_CHILDREN; i++)
		event_free(s->child[i].again);
	event_free(s->deadline);
	free(s);
}
