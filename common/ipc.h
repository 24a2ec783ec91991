/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ipc - messages between the master and its children.
 *
 * A socketpair of type SOCK_SEQPACKET a child; one message is one packet:
 * version, type, fields written one by one, and descriptors (SCM_RIGHTS).
 * The rows of tbl_ipc.h are the whole list: who may send what, and what it
 * holds.  Reading is with capacity and ends with ipc_end(), which insists
 * that no byte is left over.
 *
 * Sending never blocks: what the kernel does not take is queued (bounded)
 * and sent when the socket is writable.  Descriptors handed to a message are
 * dup'ed by the kernel; the caller's stay the caller's.  A queued message
 * keeps duplicates of its own.
 */

#ifndef COMMON_IPC_H
#define COMMON_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPC_VERSION 1
#define IPC_MAX_FDS 200
#define IPC_MAX_BYTES 65536

enum ipc_type {
	IPC_NONE,
#define IPC(name, text, from) IPC_##name,
#include "common/tbl_ipc.h"
	IPC__MAX,
};

/* Who may send a type. */
enum ipc_side {
	IPC_FROM_MASTER = 1,
	IPC_FROM_CHILD = 2,
	IPC_FROM_BOTH = 3,
};

/* One message, being written or being read. */
struct ipc_msg {
	enum ipc_type type;
	/* sticky: a field did not fit, or was not there */
	bool bad;
	size_t len, pos;
	int nfds, nextfd;
	int fds[IPC_MAX_FDS];
	uint8_t data[IPC_MAX_BYTES];
};

/* One end of a connection; opaque. */
struct ipc;

/*
 * Take over the descriptor 'fd' (made non-blocking and close-on-exec).
 * 'side' is what this end may send.  NULL with errno.
 */
struct ipc *ipc_new(int fd, enum ipc_side side);
/* Closes the descriptor and everything queued. */
void ipc_free(struct ipc **ipc);
int ipc_fd(const struct ipc *ipc);

const char *ipc_name(enum ipc_type type);

void ipc_begin(struct ipc_msg *m, enum ipc_type type);
void ipc_put_u8(struct ipc_msg *m, uint8_t v);
void ipc_put_u32(struct ipc_msg *m, uint32_t v);
void ipc_put_u64(struct ipc_msg *m, uint64_t v);
void ipc_put_bytes(struct ipc_msg *m, const void *p, size_t len);
void ipc_put_str(struct ipc_msg *m, const char *s);
/* The descriptor stays the caller's. */
void ipc_put_fd(struct ipc_msg *m, int fd);

/*
 * Send or queue.  0; -1 with errno: EAGAIN the queue is full (more than
 * 1,024 messages: the peer hangs), EPIPE the peer is gone, EINVAL the
 * message is bad or this side may not send it.
 */
int ipc_send(struct ipc *ipc, const struct ipc_msg *m);
/* Send what is queued.  0 all sent, 1 still some, -1 peer gone. */
int ipc_flush(struct ipc *ipc);
bool ipc_pending(const struct ipc *ipc);

/*
 * Receive one message into *m.  1 a message; 0 nothing there now; -1 the
 * peer has gone (errno 0) or broke the rules (errno EPROTO: unknown type,
 * wrong version, wrong direction, truncated), or descriptors were lost
 * because this process has no room for them (EMFILE).  Descriptors in it
 * belong to the caller once taken with ipc_get_fd(); ipc_end() closes the
 * others.
 */
int ipc_recv(struct ipc *ipc, struct ipc_msg *m);

uint8_t ipc_get_u8(struct ipc_msg *m);
uint32_t ipc_get_u32(struct ipc_msg *m);
uint64_t ipc_get_u64(struct ipc_msg *m);
/* Points into the message; NULL and *len_r = 0 when there is none. */
const void *ipc_get_bytes(struct ipc_msg *m, size_t *len_r);
/* Copies at most size - 1 bytes; too long makes the message bad. */
void ipc_get_str(struct ipc_msg *m, char *buf, size_t size);
/* -1 when there is none. */
int ipc_get_fd(struct ipc_msg *m);
/*
 * Everything was read, descriptors too, and nothing was missing.  0 or -1
 * (EPROTO).  Every message that was received has to be ended.
 */
int ipc_end(struct ipc_msg *m);

#endif /* COMMON_IPC_H */
