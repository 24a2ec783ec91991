/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * inbox - the sockets by which workers hand connections to each other.
 */

#include "master/inbox.h"

#include <sys/socket.h>

#include <unistd.h>

#include "common/log.h"

/* What may wait; a message is a request head as a rule, at most 96 KiB. */
#define BUFFER (4 * 1024 * 1024)

void
inbox_enlarge(int fd)
{
	const int size = BUFFER;

	/* the second is cut at net.core.wmem_max, which will do */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) ==
		-1 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == -1)
		log_warn_errno("cannot enlarge an inbox");
}

void
inboxes_open(struct inboxes *in, unsigned n)
{
	const int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
	int sv[2];

	CHECK(n <= TABLES_WORKERS);
	for (in->n = 0; in->n < n; in->n++) {
		if (socketpair(AF_UNIX, type, 0, sv) == -1)
			fatal("socketpair");
		in->receive[in->n] = sv[0];
		in->send[in->n] = sv[1];
		inbox_enlarge(sv[1]);
	}
}

void
inboxes_close(struct inboxes *in)
{
	for (unsigned i = 0; i < in->n; i++) {
		(void)close(in->receive[i]);
		(void)close(in->send[i]);
	}
	in->n = 0;
}
