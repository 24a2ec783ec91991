/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/ask.h"

#include <sys/socket.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"

/* Both ends are this program: the heads are structures. */
struct question_head {
	uint32_t magic;
	uint32_t incarnation;
	uint32_t number;
	uint32_t recheck;
	uint32_t token, address, agent;
	uint32_t reserved;
	uint64_t until_ms;
};

struct answer_head {
	uint32_t magic;
	uint32_t incarnation;
	uint32_t number;
	uint32_t outcome;
	uint32_t retry_after;
	uint32_t claims;
};

#define QUESTION_MAGIC 0x3161736bU /* "ask1" */
#define ANSWER_MAGIC 0x31736e61U /* "ans1" */

_Static_assert(sizeof(struct question_head) <= 64 &&
	sizeof(struct answer_head) <= 64,
    "the sizes of the buffers count 64 bytes for a head");

/* Some iovecs as one packet; 0, or -1 with errno. */
static int
send_packet(int fd, struct iovec *iov, size_t n)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t rc;

	do
		rc = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (rc == -1 && errno == EINTR);
	if (rc != -1)
		return 0;
	/* as long as nobody reads, it is the same */
	if (errno == ENOBUFS || errno == ENOMEM)
		errno = EAGAIN;
	return -1;
}

/* sendmsg() does not write there */
static struct iovec
vec(const void *p, size_t len)
{
	return (struct iovec){ (void *)(uintptr_t)p, len };
}

int
ask_send_question(int fd, const struct ask_question *q)
{
	struct question_head h = { .magic = QUESTION_MAGIC,
		.incarnation = q->incarnation,
		.number = q->number,
		.recheck = q->recheck,
		.until_ms = q->until_ms,
		.token = (uint32_t)q->token.len,
		.address = (uint32_t)q->address.len,
		.agent = (uint32_t)q->agent.len };
	struct iovec iov[] = { vec(&h, sizeof(h)),
		vec(q->token.p, q->token.len),
		vec(q->address.p, q->address.len),
		vec(q->agent.p, q->agent.len) };

	if (q->token.len > ASK_TOKEN_MAX || q->address.len > ASK_ADDRESS_MAX ||
	    q->agent.len > ASK_AGENT_MAX) {
		errno = EINVAL;
		return -1;
	}
	FAULT(ASK_SEND);
	return send_packet(fd, iov, sizeof(iov) / sizeof(iov[0]));
}

int
ask_send_answer(int fd, const struct ask_answer *a)
{
	struct answer_head h = { .magic = ANSWER_MAGIC,
		.incarnation = a->incarnation,
		.number = a->number,
		.outcome = (uint32_t)a->outcome,
		.retry_after = a->retry_after,
		.claims = (uint32_t)a->claims.len };
	struct iovec iov[] = { vec(&h, sizeof(h)),
		vec(a->claims.p, a->claims.len) };

	if (a->claims.len > ASK_CLAIMS_MAX) {
		errno = EINVAL;
		return -1;
	}
	FAULT(ASK_ANSWER);
	return send_packet(fd, iov, sizeof(iov) / sizeof(iov[0]));
}

/* Bytes of the packet in 'buf'; 0: none; -1 with errno. */
static ssize_t
receive_packet(int fd, char *buf, size_t size)
{
	struct iovec iov = { buf, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == -1 && (errno == EAGAIN || errno == ENOBUFS))
		return 0;
	if (n == 0) {
		errno = ENOTCONN;
		return -1;
	}
	if (n > 0 && (msg.msg_flags & MSG_TRUNC) != 0) {
		errno = EBADMSG;
		return -1;
	}
	return n;
}

static int
bad(void)
{
	errno = EBADMSG;
	return -1;
}

int
ask_receive_question(int fd, char *buf, struct ask_question *q_r)
{
	struct question_head h;
	const char *at = buf + sizeof(h);
	ssize_t n;

	if ((n = receive_packet(fd, buf, ASK_QUESTION_SIZE)) <= 0)
		return (int)n;
	if ((size_t)n < sizeof(h))
		return bad();
	memcpy(&h, buf, sizeof(h));
	if (h.magic != QUESTION_MAGIC || h.token > ASK_TOKEN_MAX ||
	    h.address > ASK_ADDRESS_MAX || h.agent > ASK_AGENT_MAX ||
	    (size_t)n != sizeof(h) + h.token + h.address + h.agent)
		return bad();
	*q_r = (struct ask_question){ .incarnation = h.incarnation,
		.number = h.number,
		.recheck = h.recheck == 1,
		.until_ms = h.until_ms,
		.token = { at, h.token },
		.address = { at + h.token, h.address },
		.agent = { at + h.token + h.address, h.agent } };
	return 1;
}

int
ask_receive_answer(int fd, char *buf, struct ask_answer *a_r)
{
	struct answer_head h;
	ssize_t n;

	if ((n = receive_packet(fd, buf, ASK_ANSWER_SIZE)) <= 0)
		return (int)n;
	if ((size_t)n < sizeof(h))
		return bad();
	memcpy(&h, buf, sizeof(h));
	if (h.magic != ANSWER_MAGIC || h.outcome >= ASK_OUTCOME__MAX ||
	    h.claims > ASK_CLAIMS_MAX || (size_t)n != sizeof(h) + h.claims)
		return bad();
	*a_r = (struct ask_answer){ .incarnation = h.incarnation,
		.number = h.number,
		.outcome = (enum ask_outcome)h.outcome,
		.retry_after = h.retry_after,
		.claims = { buf + sizeof(h), h.claims } };
	return 1;
}
