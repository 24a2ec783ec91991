/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/conformance/recovery.h"

#include <sys/mman.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

enum row_state {
	ROW_FREE,
	ROW_HELD,
	ROW_LOST,
};

struct row {
	enum row_state state;
	uint64_t holder;
	uint64_t lost_ms;
	char sid[RECOVERY_ID];
	char pid[RECOVERY_ID];
	char nsp[64];
	/* begins all its offsets, so that no other text is taken for one */
	uint32_t tag;
	/* events are counted from 1: the oldest in the log, the next */
	uint64_t first, next;
	/* bytes of its log in use */
	size_t used;
};

/* In front of each event in a log; all of it copied, never cast to. */
struct head {
	uint64_t number;
	uint32_t tag;
	uint32_t size;
	uint32_t name_len;
	uint32_t args_len;
	uint32_t nattach;
	uint32_t attach_len[SIO_ATTACHMENTS_MAX];
};

struct recovery {
	pthread_mutex_t lock;
	unsigned nrows;
	size_t log_bytes;
	uint64_t window_ms;
	size_t bytes;
	/* rows, then their logs */
	struct row row[];
};

static char *
log_of(struct recovery *r, const struct row *row)
{
	return (char *)(r->row + r->nrows) +
	    (size_t)(row - r->row) * r->log_bytes;
}

static void
lock(struct recovery *r)
{
	CHECK(pthread_mutex_lock(&r->lock) == 0);
}

static void
unlock(struct recovery *r)
{
	CHECK(pthread_mutex_unlock(&r->lock) == 0);
}

struct recovery *
recovery_new(unsigned sockets, size_t log_bytes, uint64_t window_ms)
{
	size_t bytes = sizeof(struct recovery) +
	    sockets * (sizeof(struct row) + log_bytes);
	pthread_mutexattr_t attr;
	struct recovery *r;

	r = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r == MAP_FAILED)
		return NULL;
	CHECK(pthread_mutexattr_init(&attr) == 0 &&
	    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0 &&
	    pthread_mutex_init(&r->lock, &attr) == 0);
	(void)pthread_mutexattr_destroy(&attr);
	r->nrows = sockets;
	r->log_bytes = log_bytes;
	r->window_ms = window_ms;
	r->bytes = bytes;
	return r;
}

void
recovery_free(struct recovery **r)
{
	if (*r != NULL)
		(void)munmap(*r, (*r)->bytes);
	*r = NULL;
}

/* ------------------------------------------------------------------ */
/* Rows. */

static bool
is_expired(const struct recovery *r, const struct row *row, uint64_t now_ms)
{
	return row->state == ROW_LOST && now_ms >= row->lost_ms + r->window_ms;
}

static struct row *
find_free(struct recovery *r, uint64_t now_ms)
{
	struct row *row, *lost = NULL;

	for (unsigned i = 0; i < r->nrows; i++) {
		row = &r->row[i];
		if (row->state == ROW_FREE || is_expired(r, row, now_ms))
			return row;
		if (row->state == ROW_LOST &&
		    (lost == NULL || row->lost_ms < lost->lost_ms))
			lost = row;
	}
	return lost;
}

/* The row, if this is its holder. */
static struct row *
held(struct recovery *r, int row, uint64_t holder)
{
	CHECK(row >= 0 && (unsigned)row < r->nrows);
	if (r->row[row].state != ROW_HELD || r->row[row].holder != holder)
		return NULL;
	return &r->row[row];
}

int
recovery_open(struct recovery *r, uint64_t holder, const char *nsp,
    const char *sid, const char *pid, uint64_t now_ms)
{
	struct row *row;

	lock(r);
	if ((row = find_free(r, now_ms)) != NULL) {
		memset(row, 0, sizeof(*row));
		row->state = ROW_HELD;
		row->holder = holder;
		(void)snprintf(row->sid, sizeof(row->sid), "%s", sid);
		(void)snprintf(row->pid, sizeof(row->pid), "%s", pid);
		(void)snprintf(row->nsp, sizeof(row->nsp), "%s", nsp);
		row->tag = arc4random();
		row->first = row->next = 1;
	}
	unlock(r);
	return row == NULL ? -1 : (int)(row - r->row);
}

bool
recovery_is_held(struct recovery *r, int row, uint64_t holder)
{
	bool yes;

	lock(r);
	yes = held(r, row, holder) != NULL;
	unlock(r);
	return yes;
}

void
recovery_release(struct recovery *r, int row, uint64_t holder, bool lost,
    uint64_t now_ms)
{
	struct row *p;

	lock(r);
	if ((p = held(r, row, holder)) != NULL) {
		p->state = lost ? ROW_LOST : ROW_FREE;
		p->lost_ms = now_ms;
	}
	unlock(r);
}

/* ------------------------------------------------------------------ */
/* The log of a row: whole events, oldest first. */

static void
print_offset(char buf[RECOVERY_OFFSET], uint32_t tag, uint64_t number)
{
	(void)snprintf(buf, RECOVERY_OFFSET, "%08" PRIx32 ".%" PRIu64, tag,
	    number);
}

/* The number in an offset of this row; false if it is none. */
static bool
read_offset(const struct row *row, const char *text, uint64_t *number_r)
{
	char again[RECOVERY_OFFSET];
	const char *dot;

	*number_r = 0;
	if (text[0] == '\0')
		return true;
	if ((dot = strchr(text, '.')) == NULL)
		return false;
	*number_r = strtoull(dot + 1, NULL, 10);
	print_offset(again, row->tag, *number_r);
	return strcmp(again, text) == 0 && *number_r > 0 &&
	    *number_r < row->next;
}

/* Forget the oldest until 'size' bytes fit; all of them if they never do. */
static void
make_room(struct recovery *r, struct row *row, size_t size)
{
	char *log = log_of(r, row);
	struct head h;
	size_t at = 0;

	while (at < row->used && row->used - at + size > r->log_bytes) {
		memcpy(&h, log + at, sizeof(h));
		at += h.size;
		row->first = h.number + 1;
	}
	memmove(log, log + at, row->used - at);
	row->used -= at;
}

static void
fill_head(struct head *h, const struct row *row,
    const struct recovery_event *ev)
{
	size_t size = sizeof(*h) + strlen(ev->name) + 1 + ev->args.len;

	memset(h, 0, sizeof(*h));
	h->number = row->next;
	h->tag = row->tag;
	h->name_len = (uint32_t)strlen(ev->name) + 1;
	h->args_len = (uint32_t)ev->args.len;
	h->nattach = ev->nattach;
	for (unsigned i = 0; i < ev->nattach; i++) {
		h->attach_len[i] = (uint32_t)ev->attachments[i].len;
		size += ev->attachments[i].len;
	}
	h->size = (uint32_t)size;
}

static char *
put(char *at, const void *p, size_t len)
{
	if (len > 0)
		memcpy(at, p, len);
	return at + len;
}

static void
append(struct recovery *r, struct row *row, const struct recovery_event *ev)
{
	struct head h;
	char *at;

	fill_head(&h, row, ev);
	make_room(r, row, h.size);
	row->next++;
	if (row->used + h.size > r->log_bytes) {
		/* larger than the whole log: it is not there for those who
		 * have not seen it */
		row->first = row->next;
		return;
	}
	at = put(log_of(r, row) + row->used, &h, sizeof(h));
	at = put(at, ev->name, h.name_len);
	at = put(at, ev->args.p, ev->args.len);
	for (unsigned i = 0; i < ev->nattach; i++)
		at = put(at, ev->attachments[i].p, ev->attachments[i].len);
	row->used += h.size;
}

bool
recovery_put(struct recovery *r, int row, uint64_t holder,
    const struct recovery_event *ev, char offset_r[RECOVERY_OFFSET])
{
	struct row *p;

	CHECK(ev->nattach <= SIO_ATTACHMENTS_MAX);
	lock(r);
	if ((p = held(r, row, holder)) != NULL) {
		print_offset(offset_r, p->tag, p->next);
		append(r, p, ev);
	}
	unlock(r);
	return p != NULL;
}

/* ------------------------------------------------------------------ */
/* Taking up again. */

static void
copy_missed(struct recovery *r, const struct row *row, uint64_t number,
    struct strbuf *sb)
{
	const char *log = log_of(r, row);
	struct head h;

	for (size_t at = 0; at < row->used; at += h.size) {
		memcpy(&h, log + at, sizeof(h));
		if (h.number <= number)
			continue;
		sb_add(sb, log + at, row->used - at);
		break;
	}
}

static struct row *
find_pid(struct recovery *r, const char *nsp, const char *pid, uint64_t now_ms)
{
	struct row *row;

	for (unsigned i = 0; i < r->nrows; i++) {
		row = &r->row[i];
		if (row->state != ROW_FREE && strcmp(row->pid, pid) == 0 &&
		    strcmp(row->nsp, nsp) == 0 && !is_expired(r, row, now_ms))
			return row;
	}
	return NULL;
}

int
recovery_resume(struct recovery *r, uint64_t holder, const char *nsp,
    const char *pid, const char *offset, uint64_t now_ms,
    char sid_r[RECOVERY_ID], struct recovery_missed *missed_r)
{
	uint64_t number;
	struct row *row;
	int found = -1;

	missed_r->at = 0;
	sb_init(&missed_r->bytes);
	sb_init(&missed_r->args);
	lock(r);
	row = find_pid(r, nsp, pid, now_ms);
	if (row != NULL && read_offset(row, offset, &number) &&
	    number + 1 >= row->first) {
		row->state = ROW_HELD;
		row->holder = holder;
		memcpy(sid_r, row->sid, RECOVERY_ID);
		copy_missed(r, row, number, &missed_r->bytes);
		found = (int)(row - r->row);
	}
	unlock(r);
	return found;
}

bool
recovery_missed_next(struct recovery_missed *m, struct recovery_event *ev_r)
{
	char offset[RECOVERY_OFFSET];
	struct head h;
	const char *p;

	if (m->at == m->bytes.len)
		return false;
	p = m->bytes.data + m->at;
	memcpy(&h, p, sizeof(h));
	m->at += h.size;
	p += sizeof(h);
	ev_r->name = p;
	p += h.name_len;
	print_offset(offset, h.tag, h.number);
	sb_reset(&m->args);
	sb_add(&m->args, p, h.args_len);
	sb_addf(&m->args, "%s\"%s\"", h.args_len > 0 ? "," : "", offset);
	p += h.args_len;
	ev_r->args = (struct span){ m->args.data, m->args.len };
	for (unsigned i = 0; i < h.nattach; i++) {
		m->attachments[i] = (struct span){ p, h.attach_len[i] };
		p += h.attach_len[i];
	}
	ev_r->attachments = m->attachments;
	ev_r->nattach = h.nattach;
	return true;
}

void
recovery_missed_clear(struct recovery_missed *m)
{
	sb_clear(&m->bytes);
	sb_clear(&m->args);
	m->at = 0;
}
