/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * deal - gives each new client to a worker, and keeps a duplicate.
 *
 * The duplicate is what a connection outlives its worker by.  The master
 * never reads from it, writes to it or waits for it; when the worker says
 * that it is done (in the client table), the duplicate is closed and the
 * slot is free again.
 *
 * A client beyond max_connections or limits.connect_rate is given to a
 * worker as well, marked to be refused, because refusing needs somebody who
 * speaks HTTP.  Some slots are kept for those.  Whose address is not known
 * here (?proxy, Unix sockets, trusted_proxies) is not limited here, but by
 * the worker that finds it out.
 */

#ifndef MASTER_DEAL_H
#define MASTER_DEAL_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>

/* What listen hands over at once, and one message to a worker holds. */
#define DEAL_BATCH 64

struct deal;
struct master;

struct deal_client {
	/* becomes ours, whatever happens to it */
	int fd;
	struct sockaddr_storage peer;
	/* of a listener with ?proxy: who it is will be told in the first
	 * bytes */
	bool proxy;
};

struct deal *deal_new(struct master *m);
void deal_free(struct deal **d);

/* How many clients could be taken now; at most DEAL_BATCH. */
unsigned deal_room(struct deal *d);
void deal_clients(struct deal *d, const struct deal_client *c, unsigned n);

/* Slots in use, and clients that wait for their worker to take them. */
uint32_t deal_used(const struct deal *d);

void deal_worker_ready(struct deal *d, unsigned slot);
/*
 * Give what it had not taken yet to others, and close what it had: nobody
 * adopts a connection yet.
 */
void deal_worker_dead(struct deal *d, unsigned slot, uint32_t incarnation);
/* It will not be back at once: close what was handed to it meanwhile. */
void deal_worker_absent(struct deal *d, unsigned slot);

#endif /* MASTER_DEAL_H */
