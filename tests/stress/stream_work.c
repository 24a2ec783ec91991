/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/stress/stream_work.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/stream_fixture.h"

#define IDS 12
#define HEAD 16
#define MAX_TEXT 40000
#define MS UINT64_C(1000000)
/* how long a stream may be nobody's */
#define DETACHED_MS 2
#define TAIL_BYTES 9000

void
stream_work_wrong(struct stream_worker *w, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "[%u] WRONG: %s (%s)\n", (unsigned)w->incarnation,
	    line, strerror(errno));
	w->board->errors++;
	_exit(9);
}

static uint64_t
next_random(struct stream_worker *w)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed;
}

static unsigned
any(struct stream_worker *w, unsigned n)
{
	return (unsigned)(next_random(w) >> 11) % n;
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) +
	    (uint64_t)ts.tv_nsec;
}

/* --- what a stream is made of ---------------------------------------------- */

/* Chunk 'index' of a stream: mostly short, some longer than a block. */
static uint32_t
chunk_len(uint64_t which, uint64_t index)
{
	uint64_t x = (which + index * 77) * UINT64_C(0x9e3779b97f4a7c15);

	x ^= x >> 31;
	return x % 11 == 0 ? (uint32_t)(x >> 20) % 6000
			   : (uint32_t)(x >> 20) % 60;
}

static uint32_t
text_len(uint64_t which, uint64_t next)
{
	uint32_t len = 0;
	uint64_t i;

	for (i = 0; i < next; i++)
		len += chunk_len(which, i);
	return len;
}

/* The n'th tail: which, n, and more of it. */
static size_t
make_tail(uint64_t which, uint32_t n, char *buf)
{
	size_t len = 24 + (which + n * 1237) % (TAIL_BYTES - 24), at;

	at = (size_t)snprintf(buf, 32, "%016llx%08x", (unsigned long long)which,
	    (unsigned)n);
	stream_fill(which + n, at, buf + at, len - at);
	return len;
}

static bool
is_tail(uint64_t which, const char *buf, size_t len)
{
	char want[TAIL_BYTES + 32], n[9];

	if (len < 24)
		return false;
	memcpy(n, buf + 16, 8);
	n[8] = '\0';
	return make_tail(which, (uint32_t)strtoul(n, NULL, 16), want) == len &&
	    memcmp(want, buf, len) == 0;
}

static bool
which_of(struct stream_worker *w, const struct stream_ref *r, uint64_t *which_r)
{
	char head[HEAD + 1];
	int len = stream_head(w->tables, r, head, HEAD);

	if (len == -1 && errno == ESTALE)
		return false;
	if (len != HEAD)
		stream_work_wrong(w, "head of %d bytes", len);
	head[HEAD] = '\0';
	*which_r = strtoull(head, NULL, 16);
	return true;
}

/* --- who writes ------------------------------------------------------------ */

static void
is_ours(struct stream_worker *w, const struct stream_ref *r, bool taken)
{
	_Atomic uint64_t *word = &w->board->writer[r->row];
	uint64_t mine = (uint64_t)r->generation << 32 | w->incarnation;

	if (taken)
		atomic_store(word, mine);
	else if (atomic_load(word) != mine)
		stream_work_wrong(w, "row %u has two owners: %016llx", r->row,
		    (unsigned long long)atomic_load(word));
}

static void
keep(struct stream_worker *w, const struct stream_ref *r)
{
	is_ours(w, r, true);
	w->own[w->nown++] = *r;
}

static void
drop(struct stream_worker *w, unsigned i)
{
	w->own[i] = w->own[--w->nown];
}

/* --- what a worker does ----------------------------------------------------- */

static void
begin(struct stream_worker *w)
{
	struct stream_new n = stream_described(1 + any(w, 2), "m");
	char id[8], head[HEAD + 1], tail[TAIL_BYTES + 32];
	uint64_t which = next_random(w);
	struct stream_ref r;

	(void)snprintf(id, sizeof(id), "m%u", any(w, IDS));
	(void)snprintf(head, sizeof(head), "%016llx",
	    (unsigned long long)which);
	n.id = stream_str(id);
	n.head = stream_str(head);
	n.tail.p = tail;
	n.tail.len = make_tail(which, 0, tail);
	n.max_text = MAX_TEXT;
	if (stream_begin(w->tables, w->incarnation, &n, now_ns(), &r) == 0) {
		w->board->begun++;
		keep(w, &r);
	} else if (errno == EEXIST) {
		w->board->twice++;
	} else if (errno == ENOSPC || errno == EDQUOT) {
		w->board->full++;
	} else {
		stream_work_wrong(w, "begin");
	}
}

static void
append(struct stream_worker *w, unsigned i)
{
	static _Thread_local char text[8192];
	const struct stream_ref *r = &w->own[i];
	struct stream_progress p, at;
	uint64_t which;
	uint32_t len;

	if (!which_of(w, r, &which) ||
	    stream_progress(w->tables, r, &p) == -1) {
		stream_work_wrong(w, "our stream is gone");
		return;
	}
	len = chunk_len(which, p.next);
	stream_fill(which, p.bytes, text, len);
	is_ours(w, r, false);
	if (stream_append(w->tables, r, text, len, now_ns(), &at) == 0) {
		w->board->appended++;
		if (at.next != p.next || at.bytes != p.bytes)
			stream_work_wrong(w, "somebody else appended");
	} else if (errno == EMSGSIZE || errno == ENOSPC || errno == EDQUOT) {
		w->board->full++;
	} else {
		stream_work_wrong(w, "append");
	}
	is_ours(w, r, false);
}

static void
retail(struct stream_worker *w, unsigned i)
{
	char tail[TAIL_BYTES + 32];
	uint64_t which;
	size_t len;

	if (!which_of(w, &w->own[i], &which))
		stream_work_wrong(w, "our stream is gone");
	len = make_tail(which, any(w, 1000), tail);
	if (stream_set_tail(w->tables, &w->own[i], tail, len) == 0)
		w->board->tails++;
	else if (errno != ENOSPC)
		stream_work_wrong(w, "set tail");
}

static void
end(struct stream_worker *w, unsigned i)
{
	is_ours(w, &w->own[i], false);
	if (stream_end(w->tables, &w->own[i]) == -1)
		stream_work_wrong(w, "end");
	w->board->ended++;
	drop(w, i);
}

static void
detach(struct stream_worker *w, unsigned i)
{
	is_ours(w, &w->own[i], false);
	if (stream_detach(w->tables, &w->own[i],
		now_ns() + any(w, DETACHED_MS) * MS) == -1)
		stream_work_wrong(w, "detach");
	drop(w, i);
}

static void
claim(struct stream_worker *w, const struct stream_ref *ref)
{
	struct stream_ref r = *ref;

	if (w->nown == STREAM_WORK_OWN)
		return;
	if (stream_claim(w->tables, &r, w->incarnation,
		any(w, 4) == 0 ? STREAM_USER : 0, now_ns()) == 0) {
		w->board->claimed++;
		keep(w, &r);
	} else if (errno != EBUSY && errno != ESTALE && errno != EALREADY) {
		stream_work_wrong(w, "claim");
	}
}

static void
on_orphan(const struct stream_ref *r, const struct stream_info *info, void *arg)
{
	struct stream_worker *w = arg;

	w->board->orphans++;
	claim(w, r);
}

static void
take_up(struct stream_worker *w)
{
	struct stream_ref r;
	char id[8];

	(void)snprintf(id, sizeof(id), "m%u", any(w, IDS));
	if (stream_find(w->tables, 1 + any(w, 2), id, strlen(id), &r) == 0)
		claim(w, &r);
}

void
stream_work(struct stream_worker *w)
{
	unsigned what = any(w, 100);

	if (what < 8)
		(void)stream_orphans(w->tables, w->incarnation, now_ns(),
		    on_orphan, w);
	else if (what < 20)
		stream_work_read(w);
	else if (what < 24)
		take_up(w);
	else if (w->nown == 0 || (what < 40 && w->nown < STREAM_WORK_OWN))
		begin(w);
	else if (what < 46)
		end(w, any(w, w->nown));
	else if (what < 52)
		detach(w, any(w, w->nown));
	else if (what < 60)
		retail(w, any(w, w->nown));
	else
		append(w, any(w, w->nown));
}

/* --- what a reader finds ----------------------------------------------------- */

static void
pick(const struct stream_ref *r, const struct stream_info *info, void *arg)
{
	struct stream_worker *w = arg;

	if (info->user != STREAM_USER || info->max_text != MAX_TEXT ||
	    info->at.bytes > MAX_TEXT)
		stream_work_wrong(w, "info of row %u", r->row);
	if (any(w, 3) == 0) {
		w->look = *r;
		w->seen = info->at;
	}
}

static void
check_texts(struct stream_worker *w, uint64_t which)
{
	static _Thread_local char buf[MAX_TEXT + TAIL_BYTES];
	struct stream_names names;
	uint32_t from, to;
	int len;

	to = w->seen.bytes;
	from = any(w, to + 1);
	if (stream_copy(w->tables, &w->look, from, to, buf) == 0) {
		if (!stream_is_text(which, from, buf, to - from))
			stream_work_wrong(w, "text of row %u", w->look.row);
	} else if (errno != ESTALE) {
		stream_work_wrong(w, "copy %u..%u", from, to);
	}
	len = stream_tail(w->tables, &w->look, buf, sizeof(buf));
	if (len >= 0 && !is_tail(which, buf, (size_t)len))
		stream_work_wrong(w, "tail of row %u", w->look.row);
	if (len == -1 && errno != ESTALE)
		stream_work_wrong(w, "tail");
	if (stream_names(w->tables, &w->look, &names) == 0 &&
	    (names.id[0] != 'm' || names.user_id_len != 9 ||
		memcmp(names.user_id, "auth0|bot", 9) != 0))
		stream_work_wrong(w, "names of row %u", w->look.row);
}

void
stream_work_read(struct stream_worker *w)
{
	struct stream_progress p;
	uint64_t which;

	w->board->reads++;
	if (w->look.row == STREAM_NO_ROW || any(w, 8) == 0)
		stream_each(w->tables, any(w, 3), pick, w);
	if (w->look.row == STREAM_NO_ROW)
		return;
	if (any(w, 20) == 0 &&
	    stream_cancel(w->tables, &w->look, now_ns()) == 0)
		w->board->cancelled++;
	if (stream_progress(w->tables, &w->look, &p) == -1 ||
	    !which_of(w, &w->look, &which)) {
		w->board->stale++;
		w->look.row = STREAM_NO_ROW;
		return;
	}
	if (p.next < w->seen.next || p.bytes < w->seen.bytes ||
	    p.bytes != text_len(which, p.next))
		stream_work_wrong(w,
		    "row %u: %llu chunks, %u bytes, before %llu, %u; of "
		    "%016llx %u",
		    w->look.row, (unsigned long long)p.next, p.bytes,
		    (unsigned long long)w->seen.next, w->seen.bytes,
		    (unsigned long long)which, text_len(which, p.next));
	w->seen = p;
	check_texts(w, which);
}

struct twins {
	struct stream_worker *w;
	unsigned n;
	struct stream_ref r[STREAM_WORK_ROWS];
	struct stream_names names[STREAM_WORK_ROWS];
	uint64_t room[STREAM_WORK_ROWS];
};

static void
note(const struct stream_ref *r, const struct stream_info *info, void *arg)
{
	struct twins *x = arg;

	if (x->n == STREAM_WORK_ROWS ||
	    stream_names(x->w->tables, r, &x->names[x->n]) == -1)
		return;
	x->r[x->n] = *r;
	x->room[x->n++] = info->room;
}

/* Both were there, and the first one still is: they were at the same time. */
void
stream_work_twins(struct stream_worker *w)
{
	static _Thread_local struct twins x;
	struct stream_progress p;
	unsigned i, k;

	x.w = w;
	x.n = 0;
	stream_each(w->tables, 0, note, &x);
	for (i = 0; i < x.n; i++)
		for (k = i + 1; k < x.n; k++)
			if (x.room[i] == x.room[k] &&
			    x.names[i].id_len == x.names[k].id_len &&
			    memcmp(x.names[i].id, x.names[k].id,
				x.names[i].id_len) == 0 &&
			    stream_progress(w->tables, &x.r[i], &p) == 0)
				stream_work_wrong(w,
				    "rows %u and %u have one id", x.r[i].row,
				    x.r[k].row);
}

static void
finish(const struct stream_ref *ref, const struct stream_info *info, void *arg)
{
	struct stream_worker *w = arg;
	struct stream_ref r = *ref;

	w->look = r;
	w->seen = (struct stream_progress){ .next = 0 };
	stream_work_read(w);
	if (stream_claim(w->tables, &r, w->incarnation, 0, now_ns()) == -1 ||
	    stream_end(w->tables, &r) == -1)
		stream_work_wrong(w, "what is left cannot be ended");
}

void
stream_work_clean(struct stream_worker *w)
{
	struct stream_usage u;

	w->look.row = STREAM_NO_ROW;
	(void)stream_orphans(w->tables, w->incarnation, UINT64_MAX, finish, w);
	(void)stream_orphans(w->tables, w->incarnation, UINT64_MAX, finish, w);
	w->look.row = STREAM_NO_ROW;
	stream_usage(w->tables, &u);
	if (u.rows != 0 || u.used != 0)
		stream_work_wrong(w, "lost: %u rows, %llu bytes", u.rows,
		    (unsigned long long)u.used);
}
