/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Readers: state word, bytes, fence, state word again.  And the sweep of what
 * the dead have left.
 */

#include <errno.h>
#include <string.h>

#include <xxhash.h>

#include "common/fault.h"
#include "shm/stream_impl.h"

static int
stale(void)
{
	errno = ESTALE;
	return -1;
}

uint64_t
stream_make_key(const struct tables *t, uint64_t room, const void *id,
    size_t len)
{
	uint8_t buf[sizeof(room) + STREAM_MAX_ID];
	uint64_t key;

	memcpy(buf, &room, sizeof(room));
	memcpy(buf + sizeof(room), id, len);
	key = XXH3_64bits_withSecret(buf, sizeof(room) + len, t->secret,
	    TABLES_SECRET);
	return key == 0 ? 1 : key;
}

/* --- finding ------------------------------------------------------------- */

int
stream_find(const struct tables *t, uint64_t room, const void *id, size_t len,
    struct stream_ref *r_r)
{
	uint32_t row, n = stream_backed_rows(t);
	uint64_t key = 0, w;
	a_u64 *keys;

	errno = ENOENT;
	if (n == 0 || len == 0 || len > STREAM_MAX_ID)
		return -1;
	key = stream_make_key(t, room, id, len);
	keys = stream_key(t, 0);
	for (row = 0; row < n; row++) {
		if (A_LOAD(&keys[row], A_ACQUIRE) != key)
			continue;
		w = A_LOAD(stream_state(t, row), A_ACQUIRE);
		/* the key may have been that of the stream before */
		if (!stream_runs(w) || A_LOAD(&keys[row], A_ACQUIRE) != key)
			continue;
		*r_r = (struct stream_ref){ row, stream_word_generation(w), 0 };
		return 0;
	}
	errno = ENOENT;
	return -1;
}

static void
read_info(const struct tables *t, const struct stream_ref *r, uint64_t w,
    struct stream_info *info)
{
	const struct stream_row *s = stream_row(t, r->row);
	uint64_t us = A_LOAD(&s->cancel, A_RELAXED) & STREAM_CANCEL_MASK;

	info->room = A_LOAD(stream_room(t, r->row), A_RELAXED);
	info->user = A_LOAD(&s->user, A_RELAXED);
	info->state = stream_word_state(w) == STREAM_WORD_OPEN
	    ? STREAM_OPEN
	    : STREAM_DETACHED;
	info->owner = stream_word_owner(w);
	info->begun_ms = A_LOAD(&s->begun_ms, A_RELAXED);
	info->active_ns = A_LOAD(&s->active_ns, A_RELAXED);
	info->until_ns = A_LOAD(&s->until_ns, A_RELAXED);
	info->cancel_ns = us * STREAM_US;
	info->max_text = (uint32_t)A_LOAD(&s->sizes, A_RELAXED);
	info->tails = (uint32_t)(A_LOAD(&s->tail, A_RELAXED) >> 32);
	info->at = stream_progress_of(A_LOAD(&s->progress, A_ACQUIRE));
}

/* All but 'alive'. */
static int
get_info(const struct tables *t, const struct stream_ref *r,
    struct stream_info *info_r)
{
	struct stream_info info = { .room = 0 };
	uint64_t w, again;

	for (w = stream_word_of(t, r); stream_is(r, w); w = again) {
		read_info(t, r, w, &info);
		A_FENCE(A_ACQUIRE);
		again = A_LOAD(stream_state(t, r->row), A_ACQUIRE);
		if (again != w)
			continue;
		*info_r = info;
		return 0;
	}
	return stale();
}

int
stream_info(const struct tables *t, const struct stream_ref *r,
    struct stream_info *info_r)
{
	if (get_info(t, r, info_r) == -1)
		return -1;
	info_r->alive = !stream_dead(t, info_r->owner);
	return 0;
}

void
stream_each(const struct tables *t, uint64_t room, stream_fn *fn, void *arg)
{
	uint32_t row, n = stream_backed_rows(t);
	struct stream_info info;
	struct stream_ref r;
	uint64_t w;

	for (row = 0; row < n; row++) {
		if (room != 0 && A_LOAD(stream_room(t, row), A_RELAXED) != room)
			continue;
		w = A_LOAD(stream_state(t, row), A_ACQUIRE);
		r = (struct stream_ref){ row, stream_word_generation(w), 0 };
		if (stream_runs(w) && stream_info(t, &r, &info) == 0 &&
		    (room == 0 || info.room == room))
			fn(&r, &info, arg);
	}
}

/* --- reading ------------------------------------------------------------- */

int
stream_progress(const struct tables *t, const struct stream_ref *r,
    struct stream_progress *p_r)
{
	struct stream_progress p;

	if (!stream_is(r, stream_word_of(t, r)))
		return stale();
	p = stream_progress_of(
	    A_LOAD(&stream_row(t, r->row)->progress, A_ACQUIRE));
	if (!stream_still(t, r))
		return stale();
	*p_r = p;
	return 0;
}

int
stream_copy(const struct tables *t, const struct stream_ref *r, uint32_t from,
    uint32_t to, void *buf)
{
	struct stream_row *s;
	struct stream_progress p;
	bool there;

	if (stream_progress(t, r, &p) == -1)
		return -1;
	errno = ERANGE;
	if (from > to || to > p.bytes)
		return -1;
	s = stream_row(t, r->row);
	there = stream_get(t, s->list, STREAM_LIST,
	    (size_t)stream_preamble(s) + from, buf, to - from);
	return there && stream_still(t, r) ? 0 : stale();
}

/* A part of the preamble, which may be torn. */
static int
read_part(const struct tables *t, const struct stream_ref *r, size_t pos,
    size_t len, void *buf, size_t size)
{
	struct stream_row *s = stream_row(t, r->row);
	bool there, fits = len <= size;

	there = fits && stream_get(t, s->list, STREAM_LIST, pos, buf, len);
	if (!stream_still(t, r))
		return stale();
	errno = ERANGE;
	return there ? (int)len : -1;
}

static uint32_t
cut(uint64_t word, unsigned at, uint32_t max)
{
	uint32_t n = (uint32_t)(word >> at) & 0xffff;

	return n <= max ? n : max;
}

/* Where head and tail stand in the preamble. */
struct ends {
	uint32_t head_at, head, tail_at, tail;
};

static void
find_ends(const struct stream_row *s, struct ends *e)
{
	uint64_t names = A_LOAD(&s->names, A_RELAXED);
	uint64_t ends = A_LOAD(&s->ends, A_RELAXED);

	e->head_at = cut(names, 0, STREAM_MAX_ID) +
	    cut(names, 16, STREAM_MAX_ID) + cut(names, 32, STREAM_MAX_NAME) +
	    cut(names, 48, STREAM_MAX_ID);
	e->head = (uint32_t)(ends >> 32);
	e->tail_at = e->head_at + e->head;
	e->tail = (uint32_t)ends;
}

int
stream_names(const struct tables *t, const struct stream_ref *r,
    struct stream_names *names_r)
{
	struct stream_names n;
	struct stream_row *s;
	uint64_t w;
	bool there;

	if (!stream_is(r, stream_word_of(t, r)))
		return stale();
	s = stream_row(t, r->row);
	w = A_LOAD(&s->names, A_RELAXED);
	n.id_len = cut(w, 0, STREAM_MAX_ID);
	n.user_id_len = cut(w, 16, STREAM_MAX_ID);
	n.user_name_len = cut(w, 32, STREAM_MAX_NAME);
	n.agent_id_len = cut(w, 48, STREAM_MAX_ID);
	there = stream_get(t, s->list, STREAM_LIST, 0, n.id, n.id_len) &&
	    stream_get(t, s->list, STREAM_LIST, n.id_len, n.user_id,
		n.user_id_len) &&
	    stream_get(t, s->list, STREAM_LIST, n.id_len + n.user_id_len,
		n.user_name, n.user_name_len) &&
	    stream_get(t, s->list, STREAM_LIST,
		n.id_len + n.user_id_len + n.user_name_len, n.agent_id,
		n.agent_id_len);
	if (!there || !stream_still(t, r))
		return stale();
	*names_r = n;
	return 0;
}

int
stream_head(const struct tables *t, const struct stream_ref *r, void *buf,
    size_t size)
{
	struct ends e;

	if (!stream_is(r, stream_word_of(t, r)))
		return stale();
	find_ends(stream_row(t, r->row), &e);
	return read_part(t, r, e.head_at, e.head, buf, size);
}

int
stream_tail(const struct tables *t, const struct stream_ref *r, void *buf,
    size_t size)
{
	struct stream_row *s;
	uint64_t w, again;
	struct ends e;
	uint32_t len;
	bool there;

	if (!stream_is(r, stream_word_of(t, r)))
		return stale();
	s = stream_row(t, r->row);
	for (w = A_LOAD(&s->tail, A_ACQUIRE); w != 0; w = again) {
		len = (uint32_t)(w >> 1) & INT32_MAX;
		there = len <= size &&
		    stream_get(t, s->tails[w & STREAM_TAIL_SIDE],
			STREAM_TAIL_LIST, 0, buf, len);
		if (!stream_still(t, r))
			return stale();
		/* each tail has another word */
		again = A_LOAD(&s->tail, A_ACQUIRE);
		errno = ERANGE;
		if (again == w)
			return there ? (int)len : -1;
	}
	find_ends(s, &e);
	return read_part(t, r, e.tail_at, e.tail, buf, size);
}

/* --- what the dead have left --------------------------------------------- */

/* Is this one in need of somebody?  What is half made or half freed is freed
 * here. */
static bool
is_orphan(struct tables *t, uint32_t row, uint32_t incarnation, uint64_t w,
    uint64_t now_ns)
{
	uint64_t ending;

	switch (stream_word_state(w)) {
	case STREAM_WORD_OPEN:
		return stream_word_owner(w) != incarnation &&
		    stream_dead(t, stream_word_owner(w));
	case STREAM_WORD_DETACHED:
		return A_LOAD(&stream_row(t, row)->until_ns, A_RELAXED) <=
		    now_ns;
	case STREAM_WORD_BEGINNING:
	case STREAM_WORD_ABORTED:
	case STREAM_WORD_ENDING:
		ending = stream_word(STREAM_WORD_ENDING,
		    stream_word_generation(w), incarnation);
		if (stream_word_owner(w) != incarnation &&
		    stream_dead(t, stream_word_owner(w)) &&
		    A_CAS(stream_state(t, row), &w, ending, A_SEQ_CST))
			stream_free_row(t, row, ending);
		return false;
	case STREAM_WORD_FREE:
		break;
	}
	return false;
}

unsigned
stream_orphans(struct tables *t, uint32_t incarnation, uint64_t now_ns,
    stream_fn *fn, void *arg)
{
	uint32_t row, rows = stream_backed_rows(t);
	struct stream_info info;
	struct stream_ref r;
	unsigned n = 0;
	uint64_t w;

	for (row = 0; row < rows; row++) {
		w = A_LOAD(stream_state(t, row), A_ACQUIRE);
		if (!is_orphan(t, row, incarnation, w, now_ns))
			continue;
		r = (struct stream_ref){ row, stream_word_generation(w), 0 };
		if (stream_info(t, &r, &info) == -1)
			continue;
		fn(&r, &info, arg);
		n++;
	}
	if (rows > 0)
		stream_punch(t, incarnation);
	return n;
}

/* --- how much there is --------------------------------------------------- */

uint32_t
stream_rows(const struct tables *t)
{
	return t->streams == NULL ? 0 : t->stream_at->rows;
}

uint32_t
stream_rows_used(const struct tables *t)
{
	return stream_backed_rows(t);
}

void
stream_usage(const struct tables *t, struct stream_usage *usage_r)
{
	struct stream_usage u = { .streams = 0 };
	uint32_t row, n = stream_backed_rows(t);
	enum stream_word state;

	for (row = 0; row < n; row++) {
		state =
		    stream_word_state(A_LOAD(stream_state(t, row), A_RELAXED));
		u.rows += state != STREAM_WORD_FREE;
		u.streams +=
		    state == STREAM_WORD_OPEN || state == STREAM_WORD_DETACHED;
		u.detached += state == STREAM_WORD_DETACHED;
	}
	if (t->streams != NULL) {
		u.rows_max = t->stream_at->rows;
		stream_blocks(t, &u.used, &u.backed);
		u.max = (uint64_t)t->stream_at->blocks * t->stream_at->block;
		u.used *= t->stream_at->block;
		u.backed *= t->stream_at->block;
	}
	*usage_r = u;
}
