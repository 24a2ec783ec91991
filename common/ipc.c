/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ipc - messages between the master and its children.
 *
 * A packet:	version 8 | type 8 | descriptors 16 | fields...
 * A field:	its bytes in the order of the host; strings and bytes have
 *		their length (32 bits) before them.
 */

#include "common/ipc.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define QUEUE_MAX 1024

struct packet_head {
	uint8_t version;
	uint8_t type;
	uint16_t nfds;
};

/* A packet that the kernel did not take; its descriptors are duplicates. */
struct queued {
	STAILQ_ENTRY(queued) link;
	struct packet_head head;
	size_t len;
	int fds[IPC_MAX_FDS];
	uint8_t data[];
};

struct ipc {
	int fd;
	enum ipc_side may_send, may_receive;
	STAILQ_HEAD(, queued) queue;
	size_t nqueued;
};

/* The alignment of a cmsghdr, and room for all descriptors. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
};

static const struct {
	const char *name;
	enum ipc_side from;
} types[] = {
	[IPC_NONE] = { "none", 0 },
#define IPC(name, text, from) [IPC_##name] = { text, from },
#include "common/tbl_ipc.h"
};
_Static_assert(sizeof(types) / sizeof(types[0]) == IPC__MAX,
    "a type without a row");
_Static_assert(IPC__MAX <= UINT8_MAX, "a type is one byte");

static void
close_all(int *fds, int n)
{
	int saved = errno;

	for (int i = 0; i < n; i++)
		if (fds[i] != -1)
			(void)close(fds[i]);
	errno = saved;
}

struct ipc *
ipc_new(int fd, enum ipc_side side)
{
	struct ipc *ipc;
	int flags;

	if ((flags = fcntl(fd, F_GETFL)) == -1 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		return NULL;
	if ((ipc = calloc(1, sizeof(*ipc))) == NULL)
		return NULL;
	ipc->fd = fd;
	ipc->may_send = side;
	ipc->may_receive = side == IPC_FROM_BOTH ? side : IPC_FROM_BOTH ^ side;
	STAILQ_INIT(&ipc->queue);
	return ipc;
}

static void
queue_pop(struct ipc *ipc)
{
	struct queued *q = STAILQ_FIRST(&ipc->queue);

	STAILQ_REMOVE_HEAD(&ipc->queue, link);
	ipc->nqueued--;
	close_all(q->fds, q->head.nfds);
	free(q);
}

void
ipc_free(struct ipc **ipcp)
{
	struct ipc *ipc = *ipcp;

	*ipcp = NULL;
	if (ipc == NULL)
		return;
	while (!STAILQ_EMPTY(&ipc->queue))
		queue_pop(ipc);
	(void)close(ipc->fd);
	free(ipc);
}

int
ipc_fd(const struct ipc *ipc)
{
	return ipc->fd;
}

const char *
ipc_name(enum ipc_type type)
{
	return (unsigned)type < IPC__MAX ? types[type].name : "unknown";
}

/* ------------------------------------------------------------------ */
/* Writing. */

void
ipc_begin(struct ipc_msg *m, enum ipc_type type)
{
	m->type = type;
	m->bad = false;
	m->len = m->pos = 0;
	m->nfds = m->nextfd = 0;
}

static void
put(struct ipc_msg *m, const void *p, size_t len)
{
	if (m->bad || len > sizeof(m->data) - m->len) {
		m->bad = true;
		return;
	}
	if (len != 0)
		memcpy(m->data + m->len, p, len);
	m->len += len;
}

void
ipc_put_u8(struct ipc_msg *m, uint8_t v)
{
	put(m, &v, sizeof(v));
}

void
ipc_put_u32(struct ipc_msg *m, uint32_t v)
{
	put(m, &v, sizeof(v));
}

void
ipc_put_u64(struct ipc_msg *m, uint64_t v)
{
	put(m, &v, sizeof(v));
}

void
ipc_put_bytes(struct ipc_msg *m, const void *p, size_t len)
{
	if (len > sizeof(m->data)) {
		m->bad = true;
		return;
	}
	ipc_put_u32(m, (uint32_t)len);
	put(m, p, len);
}

void
ipc_put_str(struct ipc_msg *m, const char *s)
{
	ipc_put_bytes(m, s, strlen(s));
}

void
ipc_put_fd(struct ipc_msg *m, int fd)
{
	if (m->nfds == IPC_MAX_FDS || fd < 0) {
		m->bad = true;
		return;
	}
	m->fds[m->nfds++] = fd;
}

/* 0 sent, 1 not now, -1 with errno. */
static int
send_packet(int fd, const struct packet_head *head, const void *data,
    size_t len, const int *fds)
{
	struct packet_head h = *head;
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	union control control;
	struct cmsghdr *c;
	size_t size = head->nfds * sizeof(int);
	ssize_t n;

	iov[0] = (struct iovec){ .iov_base = &h, .iov_len = sizeof(h) };
	/* sendmsg() does not write there */
	iov[1].iov_base = (void *)(uintptr_t)data;
	iov[1].iov_len = len;
	if (size > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(size);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(c), fds, size);
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n != -1)
		return 0;
	/* the last: more descriptors under way than a user may have; they
	 * get fewer when the peer reads */
	if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
		return 1;
	if (errno == ECONNRESET || errno == ENOTCONN || errno == ECONNREFUSED)
		errno = EPIPE;
	return -1;
}

static int
enqueue(struct ipc *ipc, const struct packet_head *head,
    const struct ipc_msg *m)
{
	struct queued *q;

	if (ipc->nqueued == QUEUE_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if ((q = malloc(sizeof(*q) + m->len)) == NULL)
		return -1;
	q->head = *head;
	q->len = m->len;
	memcpy(q->data, m->data, m->len);
	for (int i = 0; i < m->nfds; i++) {
		q->fds[i] = fcntl(m->fds[i], F_DUPFD_CLOEXEC, 0);
		if (q->fds[i] == -1) {
			close_all(q->fds, i);
			free(q);
			return -1;
		}
	}
	STAILQ_INSERT_TAIL(&ipc->queue, q, link);
	ipc->nqueued++;
	return 0;
}

int
ipc_send(struct ipc *ipc, const struct ipc_msg *m)
{
	struct packet_head head = { .version = IPC_VERSION };

	if (m->bad || m->type <= IPC_NONE || m->type >= IPC__MAX ||
	    (types[m->type].from & ipc->may_send) == 0) {
		errno = EINVAL;
		return -1;
	}
	head.type = (uint8_t)m->type;
	head.nfds = (uint16_t)m->nfds;
	if (STAILQ_EMPTY(&ipc->queue)) {
		switch (send_packet(ipc->fd, &head, m->data, m->len, m->fds)) {
		case 0:
			return 0;
		case -1:
			return -1;
		}
	}
	return enqueue(ipc, &head, m);
}

int
ipc_flush(struct ipc *ipc)
{
	struct queued *q;
	int rc;

	while ((q = STAILQ_FIRST(&ipc->queue)) != NULL) {
		rc = send_packet(ipc->fd, &q->head, q->data, q->len, q->fds);
		if (rc != 0)
			return rc;
		queue_pop(ipc);
	}
	return 0;
}

bool
ipc_pending(const struct ipc *ipc)
{
	return !STAILQ_EMPTY(&ipc->queue);
}

/* ------------------------------------------------------------------ */
/* Reading. */

/*
 * All descriptors that came, whatever the packet is worth: those that are
 * not taken over have to be closed.
 */
static void
take_fds(struct ipc_msg *m, struct msghdr *msg)
{
	struct cmsghdr *c;
	size_t n;

	m->nfds = 0;
	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		/* the kernel never gives more than there was room for */
		CHECK(n <= (size_t)(IPC_MAX_FDS - m->nfds));
		memcpy(m->fds + m->nfds, CMSG_DATA(c), n * sizeof(int));
		m->nfds += (int)n;
	}
}

static int
check_packet(const struct ipc *ipc, const struct packet_head *head,
    const struct ipc_msg *m, ssize_t n, int flags)
{
	errno = EPROTO;
	if ((size_t)n < sizeof(*head) || (flags & MSG_TRUNC) != 0)
		return -1;
	if (head->version != IPC_VERSION || head->type == IPC_NONE ||
	    head->type >= IPC__MAX ||
	    (types[head->type].from & ipc->may_receive) == 0)
		return -1;
	if ((flags & MSG_CTRUNC) != 0 && head->nfds <= IPC_MAX_FDS) {
		errno = EMFILE;
		return -1;
	}
	return head->nfds == m->nfds ? 0 : -1;
}

int
ipc_recv(struct ipc *ipc, struct ipc_msg *m)
{
	struct packet_head head;
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	union control control;
	ssize_t n;

	ipc_begin(m, IPC_NONE);
	iov[0] = (struct iovec){ .iov_base = &head, .iov_len = sizeof(head) };
	iov[1].iov_base = m->data;
	iov[1].iov_len = sizeof(m->data);
	msg.msg_control = control.bytes;
	msg.msg_controllen = sizeof(control.bytes);
	do
		n = recvmsg(ipc->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN)
		return 0;
	if (n == 0 || (n == -1 && errno == ECONNRESET)) {
		errno = 0;
		return -1;
	}
	if (n == -1)
		return -1;
	take_fds(m, &msg);
	if (check_packet(ipc, &head, m, n, msg.msg_flags) == -1) {
		close_all(m->fds, m->nfds);
		ipc_begin(m, IPC_NONE);
		return -1;
	}
	m->type = (enum ipc_type)head.type;
	m->len = (size_t)n - sizeof(head);
	return 1;
}

/* Copies 'len' bytes, or makes the message bad and gives zeros. */
static void
get(struct ipc_msg *m, void *p, size_t len)
{
	if (m->bad || len > m->len - m->pos) {
		m->bad = true;
		memset(p, 0, len);
		return;
	}
	memcpy(p, m->data + m->pos, len);
	m->pos += len;
}

uint8_t
ipc_get_u8(struct ipc_msg *m)
{
	uint8_t v;

	get(m, &v, sizeof(v));
	return v;
}

uint32_t
ipc_get_u32(struct ipc_msg *m)
{
	uint32_t v;

	get(m, &v, sizeof(v));
	return v;
}

uint64_t
ipc_get_u64(struct ipc_msg *m)
{
	uint64_t v;

	get(m, &v, sizeof(v));
	return v;
}

const void *
ipc_get_bytes(struct ipc_msg *m, size_t *len_r)
{
	uint32_t len = ipc_get_u32(m);
	const void *p;

	*len_r = 0;
	if (m->bad || len > m->len - m->pos) {
		m->bad = true;
		return NULL;
	}
	p = m->data + m->pos;
	m->pos += len;
	*len_r = len;
	return p;
}

void
ipc_get_str(struct ipc_msg *m, char *buf, size_t size)
{
	size_t len;
	const void *p = ipc_get_bytes(m, &len);

	buf[0] = '\0';
	if (p == NULL || len >= size || memchr(p, '\0', len) != NULL) {
		m->bad = true;
		return;
	}
	memcpy(buf, p, len);
	buf[len] = '\0';
}

int
ipc_get_fd(struct ipc_msg *m)
{
	int fd;

	if (m->nextfd == m->nfds) {
		m->bad = true;
		return -1;
	}
	fd = m->fds[m->nextfd];
	m->fds[m->nextfd++] = -1;
	return fd;
}

int
ipc_end(struct ipc_msg *m)
{
	if (m->nextfd < m->nfds) {
		m->bad = true;
		close_all(m->fds + m->nextfd, m->nfds - m->nextfd);
		m->nextfd = m->nfds;
	}
	if (m->bad || m->pos != m->len) {
		m->bad = true;
		errno = EPROTO;
		return -1;
	}
	return 0;
}
