/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/handoff.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "shm/client.h"
#include "worker/conn.h"
#include "worker/worker.h"

/* A turn belongs to all: so many are taken at once. */
#define BUDGET 64

/* What a message begins with; the connection's bytes follow. */
struct handoff_head {
	uint32_t slot;
	uint32_t generation;
	/* of the bytes */
	uint32_t len;
	uint32_t reserved;
};

/* One descriptor, aligned as a cmsghdr. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

bool
handoff_is_ready(const struct worker *w, unsigned slot)
{
	const struct tables_state *st = w->tables->state;

	return slot < w->child.noutbox &&
	    atomic_load_explicit(&st->child[slot].state,
		memory_order_relaxed) == TABLES_CHILD_READY;
}

/* --- giving ------------------------------------------------------------ */

/* 0, or -1 with errno. */
static int
send_message(int to, const struct conn *c, const void *buf, size_t len)
{
	struct handoff_head head = { .slot = c->slot,
		.generation = c->generation,
		.len = (uint32_t)len };
	/* sendmsg() does not write there */
	struct iovec iov[2] = { { &head, sizeof(head) },
		{ (void *)(uintptr_t)buf, len } };
	union control control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &c->fd, sizeof(c->fd));
	do
		n = sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

/* Why a message was not sent; the connection is ours again. */
static enum handoff_result
not_sent(struct worker *w, unsigned to, int error)
{
	switch (error) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
	/* more descriptors under way than a user may have: it gets better
	 * when somebody reads */
	case ETOOMANYREFS:
		WORKER_COUNT(w, HANDOFFS_LATER, 1);
		return HANDOFF_LATER;
	}
	log_error_errno("cannot send to the inbox of worker=%u", to);
	return HANDOFF_GONE;
}

enum handoff_result
handoff_send(struct worker *w, const struct conn *c, unsigned to,
    const void *buf, size_t len)
{
	struct chain raw;
	int error;

	CHECK(len <= HANDOFF_MAX && to != w->slot);
	if (!handoff_is_ready(w, to))
		return HANDOFF_GONE;
	/* nobody else knows our chunks */
	raw = c->client->raw;
	c->client->raw = (struct chain){ 0 };
	client_hand(w->tables, c->slot, to);
	FAULT(CLIENT_HANDED);
	if (send_message(w->child.outbox[to], c, buf, len) == -1) {
		error = errno;
		if (client_take_back(w->tables, c->slot, c->generation, w->slot,
			w->incarnation)) {
			c->client->raw = raw;
			errno = error;
			return not_sent(w, to, error);
		}
		/* buried with the worker that was to get it: that it was not
		 * sent makes no difference any more */
	}
	FAULT(HANDOFF_SENT);
	chain_free(&w->io, &raw);
	WORKER_COUNT(w, HANDOFFS, 1);
	return HANDOFF_SENT;
}

/* --- taking ------------------------------------------------------------ */

/* The descriptor that came with a message; -1: it was lost. */
static int
descriptor_of(struct msghdr *msg)
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(msg);
	int fd;

	if (cm == NULL || cm->cmsg_level != SOL_SOCKET ||
	    cm->cmsg_type != SCM_RIGHTS || cm->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	return fd;
}

static void
take(struct worker *w, const struct handoff_head *head, int fd,
    const void *bytes)
{
	static uint64_t told;

	if (client_take_handed(w->tables, head->slot, head->generation, w->slot,
		w->incarnation) == NULL) {
		/* buried meanwhile; shut down, too */
		if (fd != -1)
			(void)close(fd);
		return;
	}
	FAULT(CLIENT_TAKEN);
	WORKER_COUNT(w, HANDOFFS_TAKEN, 1);
	if (fd == -1) {
		if (log_due(&told))
			log_error("no room for the descriptor of a connection "
				  "that was handed over");
		WORKER_COUNT(w, CLOSED, 1);
		WORKER_COUNT(w, CLOSED_OVERLOAD, 1);
		client_mark_closed(w->tables, head->slot);
		return;
	}
	conn_receive(w, fd, head->slot, head->generation, bytes, head->len);
}

/* 1 one was taken, 0 there is none. */
static int
receive_message(struct worker *w)
{
	/* one at a time; too large for a stack */
	static uint8_t bytes[HANDOFF_MAX];
	struct handoff_head head;
	struct iovec iov[2] = { { &head, sizeof(head) },
		{ bytes, sizeof(bytes) } };
	union control control;
	struct msghdr msg = { .msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n;

	do
		n = recvmsg(w->child.inbox, &msg,
		    MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN)
		return 0;
	if (n == -1)
		fatal("inbox");
	/* workers are one program: this cannot be */
	if ((size_t)n < sizeof(head) || (msg.msg_flags & MSG_TRUNC) != 0 ||
	    head.len != (size_t)n - sizeof(head))
		fatalx("a message in the inbox makes no sense");
	FAULT(HANDOFF_RECEIVED);
	take(w, &head, descriptor_of(&msg), bytes);
	return 1;
}

void
handoff_on_readable(struct worker *w)
{
	for (int i = 0; i < BUDGET; i++)
		if (receive_message(w) == 0)
			return;
}
