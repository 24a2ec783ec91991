/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/output.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "worker/compress.h"
#include "worker/exchange.h"
#include "worker/poll.h"
#include "worker/worker.h"

/* a frame's offset with this bit is the number of a spilled one */
#define SPILLED 0x80000000u
/* references from which on the turn's output should leave */
#define FULL_REFS 32768
/* pieces of one writev() */
#define MAX_PIECES 64
/* bytes of answers that may wait while more is asked */
#define UNREAD_MAX (256 * 1024)

/* Make room for one more element of 'size' bytes; memory is fatal. */
static void *
grow(void *p, uint32_t used, uint32_t *max, size_t size, uint32_t first)
{
	if (used < *max)
		return p;
	*max = *max == 0 ? first : *max * 2;
	if ((p = reallocarray(p, *max, size)) == NULL)
		fatal("memory for output");
	return p;
}

char *
output_reserve(struct worker *w, size_t len)
{
	struct output *o = &w->out;
	uint8_t *p;

	o->reserved_len = len;
	if ((p = iobuf_encode_reserve(&w->io, len)) != NULL) {
		o->reserved = (char *)p;
		return o->reserved;
	}
	/* an answer larger than what the arena has left in this turn */
	WORKER_COUNT(w, ENCODE_FULL, 1);
	o->spill =
	    grow(o->spill, o->nspill, &o->maxspill, sizeof(*o->spill), 8);
	if ((o->reserved = malloc(len == 0 ? 1 : len)) == NULL)
		fatal("memory for a frame");
	o->spill[o->nspill++] = o->reserved;
	return o->reserved;
}

struct chat_frame
output_commit(struct worker *w)
{
	struct output *o = &w->out;
	struct chat_frame frame;

	frame.len = (uint32_t)o->reserved_len;
	if (o->nspill > 0 && o->spill[o->nspill - 1] == o->reserved)
		frame.off = SPILLED | (o->nspill - 1);
	else
		frame.off =
		    (uint32_t)iobuf_encode_commit(&w->io, o->reserved_len);
	o->reserved = NULL;
	return frame;
}

struct chat_frame
output_commit_part(struct worker *w, size_t len)
{
	CHECK(len <= w->out.reserved_len);
	w->out.reserved_len = len;
	return output_commit(w);
}

static char *
output_at(const struct worker *w, uint32_t off)
{
	if (off & SPILLED)
		return w->out.spill[off & ~SPILLED];
	return (char *)w->io.encode + off;
}

char *
output_frame(const struct worker *w, struct chat_frame frame)
{
	return output_at(w, frame.off);
}

size_t
output_queued(const struct conn *c)
{
	return (size_t)c->client->out.bytes + c->out_bytes;
}

bool
output_is_unread(const struct conn *c)
{
	return c->unread_bytes >= UNREAD_MAX;
}

/* Something may have left; answers are taken to be the last to do so. */
static void
output_left(struct conn *c)
{
	size_t queued = output_queued(c);

	if (c->answer_bytes > queued)
		c->answer_bytes = (uint32_t)queued;
	if (c->unread_bytes > queued)
		c->unread_bytes = (uint32_t)queued;
	if (c->choked && c->unread_bytes < UNREAD_MAX / 2)
		conn_unchoke(c);
}

void
output_doom(struct conn *c)
{
	struct output *o = &c->worker->out;

	c->doomed = true;
	if (c->dirty)
		return;
	c->dirty = true;
	o->dirty =
	    grow(o->dirty, o->ndirty, &o->maxdirty, sizeof(*o->dirty), 256);
	o->dirty[o->ndirty++] = c;
}

/* May this be queued?  What the client asked for itself is not counted. */
static bool
output_allowed(struct conn *c, uint32_t len, enum chat_priority prio)
{
	struct worker *w = c->worker;
	uint64_t limit = w->cfg->limits_send_queue;
	size_t counted;

	if (prio == CHAT_ANSWER) {
		c->answer_bytes += len;
		if (!w->out.by_piece)
			c->unread_bytes += len;
		return true;
	}
	if (limit == 0)
		return true;
	counted = output_queued(c);
	counted -= counted < c->answer_bytes ? counted : c->answer_bytes;
	/* half the budget is for what must arrive */
	if (prio == CHAT_DROPPABLE && counted + len > limit / 2) {
		WORKER_COUNT(w, DROPPED, 1);
		return false;
	}
	if (counted + len > limit) {
		output_doom(c);
		return false;
	}
	return true;
}

void
output_send(struct conn *c, struct chat_frame frame, enum chat_priority prio)
{
	struct output *o = &c->worker->out;
	struct output_ref *ref;

	if (c->doomed || c->client == NULL)
		return;
	if (!output_allowed(c, frame.len, prio))
		return;
	o->refs = grow(o->refs, o->nrefs, &o->maxrefs, sizeof(*o->refs), 1024);
	ref = &o->refs[o->nrefs++];
	ref->off = frame.off;
	ref->len = frame.len;
	ref->next = 0;
	if (c->out_last != 0)
		o->refs[c->out_last - 1].next = o->nrefs;
	else
		c->out_first = o->nrefs;
	c->out_last = o->nrefs;
	c->out_bytes += frame.len;
	if (!c->dirty) {
		c->dirty = true;
		o->dirty = grow(o->dirty, o->ndirty, &o->maxdirty,
		    sizeof(*o->dirty), 256);
		o->dirty[o->ndirty++] = c;
	}
}

void
output_bytes(struct conn *c, const void *bytes, size_t len,
    enum chat_priority prio)
{
	memcpy(output_reserve(c->worker, len), bytes, len);
	output_send(c, output_commit(c->worker), prio);
}

/*
 * Nobody is sent more in a turn than is encoded in it: who reads all the time
 * is not to be found slow before the kernel has been asked to take it.
 */
bool
output_full(const struct worker *w)
{
	uint64_t queue = w->cfg->limits_send_queue / 2;
	size_t full = w->io.encode_size / 2;

	if (queue > 0 && queue < full)
		full = (size_t)queue;
	return w->out.nrefs >= FULL_REFS || w->out.nspill > 0 ||
	    w->io.encode_used > full;
}

/* Not writev(): a socket's own call spares the file's position. */
static ssize_t
output_pieces(int fd, struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)n };

	if (n == 1)
		return send(fd, iov->iov_base, iov->iov_len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* What came of an attempt to write. */
static bool
output_written(struct conn *c, ssize_t n)
{
	struct worker *w = c->worker;

	if (n >= 0) {
		WORKER_COUNT(w, WRITES, 1);
		WORKER_COUNT(w, BYTES_OUT, (uint64_t)n);
		c->client->out_off += (uint64_t)n;
		return true;
	}
	if (errno == EAGAIN || errno == EINTR)
		return true;
	conn_drop(c,
	    errno == EPIPE || errno == ECONNRESET ? COUNTER_CLOSED_PEER
						  : COUNTER_CLOSED_ERROR,
	    errno == EPIPE || errno == ECONNRESET ? "transport close"
						  : "transport error");
	return false;
}

/* Keep what the kernel did not take: from byte 'skip' of reference 'i' on. */
static void
output_keep(struct conn *c, uint32_t i, size_t skip)
{
	struct worker *w = c->worker;
	struct output_ref ref;

	for (; i != 0; i = ref.next, skip = 0) {
		/* a copy: others may leave, which may add references */
		ref = w->out.refs[i - 1];
		if (conn_keep(c, &c->client->out, output_at(w, ref.off) + skip,
			ref.len - skip) == -1) {
			conn_drop(c, COUNTER_CLOSED_OVERLOAD,
			    "transport error");
			return;
		}
	}
	c->writing = true;
	conn_watch(c);
}

/* Write this turn's references of one connection. */
static void
output_write(struct conn *c)
{
	struct worker *w = c->worker;
	struct iovec iov[MAX_PIECES];
	const struct output_ref *ref;
	uint32_t i = c->out_first, first;
	size_t skip = 0, want;
	ssize_t n;
	int pieces;

	while (i != 0) {
		first = i;
		want = 0;
		for (pieces = 0; i != 0 && pieces < MAX_PIECES; pieces++) {
			ref = &w->out.refs[i - 1];
			iov[pieces].iov_base = output_at(w, ref->off);
			iov[pieces].iov_len = ref->len;
			want += ref->len;
			i = ref->next;
		}
		FAULT(OUT_WRITE);
		n = output_pieces(c->fd, iov, pieces);
		FAULT(OUT_WRITTEN);
		if (!output_written(c, n))
			return;
		if (n >= 0 && (size_t)n == want)
			continue;
		for (skip = n < 0 ? 0 : (size_t)n;
		     skip >= w->out.refs[first - 1].len;
		     first = w->out.refs[first - 1].next)
			skip -= w->out.refs[first - 1].len;
		output_keep(c, first, skip);
		return;
	}
}

static void
output_flush_conn(struct conn *c)
{
	c->dirty = false;
	FAULT(OUT_FLUSH);
	if (c->client != NULL && c->out_first != 0 && !c->robbed) {
		if (c->client->out.bytes > 0)
			output_keep(c, c->out_first, 0);
		else
			output_write(c);
	}
	c->out_first = c->out_last = c->out_bytes = 0;
	if (c->client == NULL)
		return;
	output_left(c);
	if (c->doomed) {
		log_debug("slow client client=%u queued=%zu", c->slot,
		    output_queued(c));
		conn_drop(c,
		    c->robbed ? COUNTER_CLOSED_OVERLOAD : COUNTER_CLOSED_SLOW,
		    "transport close");
	} else if (!c->writing) {
		conn_drained(c);
	}
}

void
output_flush(struct worker *w)
{
	struct output *o = &w->out;
	uint32_t i;

	poll_flush(w);
	/* closing one makes others leave rooms, which may add output */
	for (i = 0; i < o->ndirty; i++)
		output_flush_conn(o->dirty[i]);
	o->ndirty = 0;
	compress_forget(w);
	WORKER_COUNT(w, FRAMES_OUT, o->nrefs);
	o->nrefs = 0;
	while (o->nspill > 0)
		free(o->spill[--o->nspill]);
	iobuf_encode_reset(&w->io);
}

void
output_on_writable(struct conn *c)
{
	struct worker *w = c->worker;
	struct chain *out = &c->client->out;
	struct iovec iov[MAX_PIECES];
	ssize_t n;
	int pieces;

	pieces = chain_iov(&w->io, out, 0, iov, MAX_PIECES);
	if (pieces > 0) {
		n = output_pieces(c->fd, iov, pieces);
		if (!output_written(c, n))
			return;
		if (n > 0) {
			chain_consume(&w->io, out, (size_t)n);
			exchange_progress(c, (size_t)n);
		}
	}
	output_left(c);
	if (out->bytes > 0)
		return;
	c->writing = false;
	conn_watch(c);
	if (!c->dirty)
		conn_drained(c);
}

void
output_free(struct output *o)
{
	while (o->nspill > 0)
		free(o->spill[--o->nspill]);
	free(o->spill);
	free(o->refs);
	free(o->dirty);
	memset(o, 0, sizeof(*o));
}
