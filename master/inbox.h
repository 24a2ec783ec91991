/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * inbox - the sockets by which workers hand connections to each other.
 *
 * One a worker's slot, for the daemon's life: what was sent to a worker that
 * died is read by the next one in that slot.  All workers send through one
 * end, so its buffer is what waits in an inbox at the most.
 */

#ifndef MASTER_INBOX_H
#define MASTER_INBOX_H

#include "shm/tables.h"

struct inboxes {
	unsigned n;
	/* by slot: for its worker, and for all */
	int receive[TABLES_WORKERS];
	int send[TABLES_WORKERS];
};

/*
 * Make so many; while there are privileges, which make their buffers larger.
 * No return on failure.
 */
void inboxes_open(struct inboxes *in, unsigned n);
void inboxes_close(struct inboxes *in);

/* Let some MiB wait in this socket, if the system allows it. */
void inbox_enlarge(int fd);

#endif /* MASTER_INBOX_H */
