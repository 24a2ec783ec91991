/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * handoff - a connection goes to the worker whose session it asks for.
 *
 * Every worker has an inbox, a socket that all workers may send to and that
 * outlives it (the master keeps both ends).  One message is one connection:
 * its record's slot and generation, the bytes that were read and not used,
 * and its descriptor.  The record itself changes hands by client_hand() and
 * client_take_handed(); shm/client.h says what happens when somebody dies.
 * The master takes no part.
 */

#ifndef WORKER_HANDOFF_H
#define WORKER_HANDOFF_H

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct worker;

/* The most bytes that go with a connection. */
#define HANDOFF_MAX (96 * 1024)

enum handoff_result {
	/* it is gone: close the descriptor and forget it; the record must
	 * not be touched, and not be marked closed */
	HANDOFF_SENT,
	/* the inbox is full: it still is ours, try again later */
	HANDOFF_LATER,
	/* that worker is not there: it still is ours */
	HANDOFF_GONE,
};

/* Does somebody read that inbox?  It may have changed by the next line. */
bool handoff_is_ready(const struct worker *w, unsigned slot);

/*
 * Give a connection to the worker in slot 'to', with the bytes that it has
 * to begin with (at most HANDOFF_MAX).  All answers must have been written:
 * the record's chains 'out' and 'in' are empty.  What is in 'raw' is freed
 * when the connection is gone, and stays when it is not: 'buf' holds a copy.
 */
enum handoff_result handoff_send(struct worker *w, const struct conn *c,
    unsigned to, const void *buf, size_t len);

/*
 * The inbox (w->child.inbox) is readable: take what is there, up to a
 * budget, and call conn_receive() for each.
 */
void handoff_on_readable(struct worker *w);

#endif /* WORKER_HANDOFF_H */
