/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * deal - gives each new client to a worker, and keeps a duplicate.
 */

#include "master/deal.h"

#include <sys/un.h>

#include <netinet/in.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "master/child.h"
#include "master/choose.h"
#include "master/listen.h"
#include "master/master.h"
#include "master/supervise.h"
#include "shm/address.h"
#include "shm/client.h"
#include "shm/counter.h"

/* How long a slot stays taken after its client has gone. */
#define COLLECT_MS 50
/* A dead worker's clients are closed so many at a time. */
#define BURY_BATCH 512
/* A worker that leaves so many clients lying is stopped or stuck. */
#define WAITING_MAX 1024
/* Descriptors of a worker that are not clients. */
#define WORKER_FILES 256

struct passed {
	uint32_t slot;
	uint32_t generation;
};

/* What one worker has been given. */
struct hand {
	/* not yet seen by the worker: a queue, oldest first */
	struct passed waiting[WAITING_MAX];
	unsigned head, nwaiting;
	/* to be sent at the end of this turn */
	struct passed batch[DEAL_BATCH];
	unsigned nbatch;
};

struct deal {
	struct master *master;
	struct client_pool *pool;
	/* the duplicates by slot; -1 */
	int *fd;
	uint32_t nslots;
	struct hand *hand;
	unsigned turn;
	struct event *collect;
	/* slots of dead workers, whose duplicates are to be closed */
	uint32_t *dead;
	uint32_t ndead;
	struct event *bury;
};

/* ------------------------------------------------------------------ */
/* Slots. */

static const struct tables *
tables_of(const struct deal *d)
{
	return d->master->shared.tables;
}

uint32_t
deal_used(const struct deal *d)
{
	return d->nslots - client_pool_available(d->pool);
}

/* Close the duplicate: the last trace of the connection here. */
static void
let_go(struct deal *d, uint32_t slot)
{
	if (d->fd[slot] != -1)
		(void)close(d->fd[slot]);
	FAULT(DEAL_CLOSED);
	d->fd[slot] = -1;
	client_release(d->pool, slot);
}

static void
on_closed(void *arg, uint32_t slot, uint32_t generation)
{
	let_go(arg, slot);
}

static void
on_collect(evutil_socket_t fd, short what, void *arg)
{
	struct deal *d = arg;

	if (client_collect_closed(tables_of(d), on_closed, d) > 0)
		listeners_room(d->master->listeners);
}

/* ------------------------------------------------------------------ */
/* Choosing. */

/* Has this worker (0: whichever has it) not taken it yet? */
static bool
passed_still(const struct deal *d, const struct passed *p, uint32_t incarnation)
{
	const struct client *c = client_at(tables_of(d), p->slot);
	const struct client_owner o = client_owner(c);

	return c->generation == p->generation && o.state == CLIENT_PASSED &&
	    (incarnation == 0 || o.incarnation == incarnation);
}

/* How many has it not taken yet?  It takes them in the order given. */
static unsigned
waiting(const struct deal *d, struct hand *h)
{
	while (h->nwaiting > 0) {
		if (passed_still(d, &h->waiting[h->head], 0))
			break;
		h->head = (h->head + 1) % WAITING_MAX;
		h->nwaiting--;
	}
	return h->nwaiting;
}

static void
make_choices(struct deal *d, struct choice *c)
{
	const struct master *m = d->master;
	int64_t connections;
	struct hand *h;
	uint64_t most = m->max_files - WORKER_FILES;

	for (unsigned i = 0; i < m->workers; i++) {
		h = &d->hand[i];
		connections = gauge_get(tables_of(d), i, GAUGE_CONNECTIONS);
		c[i].load = (connections > 0 ? (uint64_t)connections : 0) +
		    waiting(d, h);
		c[i].usable = child_takes(supervise_worker(m->supervisor, i)) &&
		    h->nwaiting + DEAL_BATCH <= WAITING_MAX &&
		    c[i].load + DEAL_BATCH <= most;
	}
}

unsigned
deal_room(struct deal *d)
{
	struct choice c[TABLES_WORKERS];
	uint32_t room = client_pool_available(d->pool);
	bool usable = false;

	make_choices(d, c);
	for (unsigned i = 0; i < d->master->workers; i++)
		usable = usable || c[i].usable;
	if (!usable)
		return 0;
	return room < DEAL_BATCH ? (unsigned)room : DEAL_BATCH;
}

/* ------------------------------------------------------------------ */
/* Passing. */

struct peer {
	uint16_t family, port;
	/* as in struct client */
	uint8_t addr[16];
};

static struct peer
peer_of(const struct sockaddr_storage *ss)
{
	union {
		const struct sockaddr_storage *ss;
		const struct sockaddr_in *in;
		const struct sockaddr_in6 *in6;
	} u = { .ss = ss };
	struct peer p = { .family = ss->ss_family };

	if (ss->ss_family == AF_INET) {
		memcpy(p.addr, &u.in->sin_addr, sizeof(u.in->sin_addr));
		p.port = u.in->sin_port;
	} else if (ss->ss_family == AF_INET6) {
		memcpy(p.addr, &u.in6->sin6_addr, sizeof(u.in6->sin6_addr));
		p.port = u.in6->sin6_port;
	}
	return p;
}

/* Is the address that of a client, and not of somebody in between? */
static uint16_t
origin_flags(const struct deal *d, const struct deal_client *dc)
{
	const struct peer p = peer_of(&dc->peer);
	uint16_t flags = 0;

	if (p.family == AF_UNIX)
		flags |= CLIENT_F_UNIX;
	if (dc->proxy)
		flags |= CLIENT_F_PROXY;
	else if (config_trusts(d->master->cfg, p.family, p.addr))
		flags |= CLIENT_F_TRUSTED;
	if (flags != 0)
		flags |= CLIENT_F_UNCOUNTED;
	return flags;
}

/* Shall it be let in?  The flags of its record. */
static uint16_t
judge(struct deal *d, const struct deal_client *dc)
{
	const struct master *m = d->master;
	uint16_t flags = origin_flags(d, dc);

	if (deal_used(d) >= m->max_clients) {
		counter_add(tables_of(d), COUNTER_MASTER, COUNTER_REFUSED, 1);
		return flags | CLIENT_F_REFUSED;
	}
	if (flags & CLIENT_F_UNCOUNTED)
		return flags;
	if (address_rate(m->shared.tables, (const struct sockaddr *)&dc->peer,
		m->cfg->limits_connect_rate, clock_mono_ns()) != 0) {
		counter_add(tables_of(d), COUNTER_MASTER,
		    COUNTER_CONNECT_LIMITED, 1);
		return flags | CLIENT_F_LIMITED;
	}
	return flags;
}

/* Give it a slot and put it into the batch of this worker. */
static void
take(struct deal *d, unsigned worker, const struct deal_client *dc,
    uint16_t flags)
{
	const struct child *w = supervise_worker(d->master->supervisor, worker);
	const struct peer p = peer_of(&dc->peer);
	struct hand *h = &d->hand[worker];
	struct client *c;
	int64_t slot;

	slot = client_pass(d->pool, worker, w->incarnation);
	/* deal_room() said so */
	CHECK(slot >= 0 && h->nbatch < DEAL_BATCH);
	FAULT(DEAL_SLOT_TAKEN);
	c = client_at(tables_of(d), (uint32_t)slot);
	c->flags = flags;
	c->peer_family = p.family;
	c->peer_port = p.port;
	memcpy(c->peer, p.addr, sizeof(c->peer));
	d->fd[slot] = dc->fd;
	FAULT(DEAL_KEPT);
	h->batch[h->nbatch].slot = (uint32_t)slot;
	h->batch[h->nbatch].generation = c->generation;
	h->nbatch++;
}

/* 0, or -1: the worker got nothing. */
static int
send_batch(struct deal *d, struct child *w, struct hand *h)
{
	struct ipc_msg *msg = child_message(IPC_CLIENTS);
	unsigned tail;

	ipc_put_u32(msg, h->nbatch);
	for (unsigned i = 0; i < h->nbatch; i++) {
		ipc_put_u32(msg, h->batch[i].slot);
		ipc_put_u32(msg, h->batch[i].generation);
		ipc_put_u8(msg,
		    (uint8_t)client_at(tables_of(d), h->batch[i].slot)->flags);
		ipc_put_fd(msg, d->fd[h->batch[i].slot]);
	}
	FAULT(DEAL_BEFORE_SEND);
	if (child_send(w, msg) == -1)
		return -1;
	FAULT(DEAL_AFTER_SEND);
	for (unsigned i = 0; i < h->nbatch; i++) {
		tail = (h->head + h->nwaiting) % WAITING_MAX;
		h->waiting[tail] = h->batch[i];
		h->nwaiting++;
	}
	return 0;
}

/*
 * Their worker has ended before it took them: these go to others, as long as
 * there are any; they have been judged already.
 */
static void
deal_again(struct deal *d, struct hand *h, struct choice *c)
{
	struct passed batch[DEAL_BATCH];
	struct deal_client dc = { .fd = -1 };
	uint16_t flags;
	unsigned n = h->nbatch;
	socklen_t len;
	int worker;

	memcpy(batch, h->batch, sizeof(batch));
	h->nbatch = 0;
	for (unsigned i = 0; i < n; i++) {
		worker = choose_worker(c, d->master->workers, &d->turn);
		if (worker == -1) {
			let_go(d, batch[i].slot);
			continue;
		}
		dc.fd = d->fd[batch[i].slot];
		len = sizeof(dc.peer);
		memset(&dc.peer, 0, sizeof(dc.peer));
		(void)getpeername(dc.fd, (struct sockaddr *)&dc.peer, &len);
		d->fd[batch[i].slot] = -1;
		flags = client_at(tables_of(d), batch[i].slot)->flags;
		client_release(d->pool, batch[i].slot);
		take(d, (unsigned)worker, &dc, flags);
		c[worker].load++;
	}
}

static void
send_batches(struct deal *d, struct choice *c)
{
	struct supervisor *s = d->master->supervisor;
	bool again;

	do {
		again = false;
		for (unsigned i = 0; i < d->master->workers; i++) {
			struct hand *h = &d->hand[i];

			if (h->nbatch == 0)
				continue;
			if (send_batch(d, supervise_worker(s, i), h) == 0) {
				h->nbatch = 0;
				continue;
			}
			c[i].usable = false;
			deal_again(d, h, c);
			again = true;
		}
	} while (again);
}

void
deal_clients(struct deal *d, const struct deal_client *dc, unsigned n)
{
	struct choice c[TABLES_WORKERS];
	int worker;

	CHECK(n <= DEAL_BATCH);
	counter_add(tables_of(d), COUNTER_MASTER, COUNTER_ACCEPTED, n);
	make_choices(d, c);
	for (unsigned i = 0; i < n; i++) {
		worker = choose_worker(c, d->master->workers, &d->turn);
		/* deal_room() said that there is one */
		CHECK(worker != -1);
		take(d, (unsigned)worker, &dc[i], judge(d, &dc[i]));
		c[worker].load++;
	}
	send_batches(d, c);
}

/* ------------------------------------------------------------------ */
/* Workers come and go. */

void
deal_worker_ready(struct deal *d, unsigned slot)
{
	d->hand[slot].nwaiting = 0;
	listeners_room(d->master->listeners);
}

static void
on_buried(void *arg, uint32_t slot, uint32_t generation)
{
	struct deal *d = arg;

	CHECK(d->ndead < d->nslots);
	d->dead[d->ndead++] = slot;
}

static void
on_bury(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval at_once = { 0 };
	struct deal *d = arg;

	for (unsigned i = 0; i < BURY_BATCH && d->ndead > 0; i++) {
		uint32_t slot = d->dead[--d->ndead];

		/* the worker may have had no time for it */
		if (d->fd[slot] != -1)
			(void)shutdown(d->fd[slot], SHUT_RDWR);
		FAULT(DEAL_BURIED);
		let_go(d, slot);
	}
	if (d->ndead > 0)
		(void)evtimer_add(d->bury, &at_once);
	listeners_room(d->master->listeners);
}

/* 'n' are buried: what is left of them goes at once, but not all in one. */
static void
lost(struct deal *d, unsigned slot, uint32_t n)
{
	const struct timeval at_once = { 0 };

	if (n == 0)
		return;
	counter_add(tables_of(d), COUNTER_MASTER, COUNTER_CLOSED_WORKER, n);
	log_warn("connections lost with their worker slot=%u n=%u", slot,
	    (unsigned)n);
	(void)evtimer_add(d->bury, &at_once);
}

/*
 * What it was given and never took: nobody has read a byte of these, so
 * another worker can do all for them.
 */
static void
rescue(struct deal *d, unsigned slot, uint32_t incarnation)
{
	struct hand *h = &d->hand[slot];
	struct choice c[TABLES_WORKERS];
	const struct passed *p;
	unsigned turn = d->turn;

	for (; waiting(d, h) > 0; send_batches(d, c)) {
		make_choices(d, c);
		c[slot].usable = false;
		if (choose_worker(c, d->master->workers, &turn) == -1)
			break;
		FAULT(DEAL_RESCUE);
		h->nbatch = 0;
		for (; h->nwaiting > 0 && h->nbatch < DEAL_BATCH;
		     h->nwaiting--) {
			p = &h->waiting[h->head];
			h->head = (h->head + 1) % WAITING_MAX;
			if (passed_still(d, p, incarnation))
				h->batch[h->nbatch++] = *p;
		}
		deal_again(d, h, c);
	}
	/* nobody takes them now: they are buried with the others */
	h->nwaiting = 0;
}

void
deal_worker_dead(struct deal *d, unsigned slot, uint32_t incarnation)
{
	/* those that it had closed itself: they are not lost */
	(void)client_collect_closed(tables_of(d), on_closed, d);
	rescue(d, slot, incarnation);
	lost(d, slot,
	    client_bury(tables_of(d), slot, incarnation, on_buried, d));
}

void
deal_worker_absent(struct deal *d, unsigned slot)
{
	lost(d, slot, client_bury_handed(tables_of(d), slot, on_buried, d));
}

/* ------------------------------------------------------------------ */

struct deal *
deal_new(struct master *m)
{
	const struct timeval interval = { .tv_usec = COLLECT_MS * 1000 };
	struct deal *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("calloc");
	d->master = m;
	d->nslots = m->max_clients + m->refuse_slots;
	d->fd = malloc(d->nslots * sizeof(*d->fd));
	d->dead = malloc(d->nslots * sizeof(*d->dead));
	d->hand = calloc(m->workers, sizeof(*d->hand));
	d->pool = client_pool_new(m->shared.tables);
	d->bury = evtimer_new(m->base, on_bury, d);
	d->collect = event_new(m->base, -1, EV_PERSIST, on_collect, d);
	if (d->fd == NULL || d->dead == NULL || d->hand == NULL ||
	    d->pool == NULL || d->bury == NULL || d->collect == NULL)
		fatalx("out of memory");
	for (uint32_t i = 0; i < d->nslots; i++)
		d->fd[i] = -1;
	(void)event_add(d->collect, &interval);
	return d;
}

void
deal_free(struct deal **dp)
{
	struct deal *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	for (uint32_t i = 0; i < d->nslots; i++)
		if (d->fd[i] != -1)
			(void)close(d->fd[i]);
	event_free(d->bury);
	event_free(d->collect);
	client_pool_free(&d->pool);
	free(d->fd);
	free(d->dead);
	free(d->hand);
	free(d);
}
