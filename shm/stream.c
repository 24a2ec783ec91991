/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * Two who begin the same id at once: each stores its key and then looks at
 * all other keys, both sequentially consistent, so at least one sees the
 * other.  Who sees a stream that runs gives up.  Of two that are only
 * BEGINNING the one in the higher row gives up; the one in the lower row
 * makes sure of that (BEGINNING to ABORTED by compare-and-swap) before it
 * confirms itself (BEGINNING to OPEN by compare-and-swap).  So never two
 * run; and a dead one in BEGINNING stands in nobody's way, for it can never
 * confirm.
 */

#include "shm/stream.h"

#include <errno.h>
#include <string.h>

#include <xxhash.h>

#include "common/fault.h"
#include "common/log.h"
#include "shm/gcra.h"
#include "shm/stream_impl.h"

#define MINUTE_NS UINT64_C(60000000000)

_Static_assert(STREAM_MAX_TEXT < (1 << STREAM_BYTES_BITS),
    "a text's length fits");

static int
fail(int error)
{
	errno = error;
	return -1;
}

bool
stream_dead(const struct tables *t, uint32_t incarnation)
{
	const struct tables_child *c;
	uint32_t state;
	unsigned i;

	for (i = 0; i < TABLES_WORKERS; i++) {
		c = &t->state->child[i];
		if (atomic_load_explicit(&c->incarnation,
			memory_order_acquire) != incarnation)
			continue;
		state = atomic_load_explicit(&c->state, memory_order_acquire);
		return state == TABLES_CHILD_NONE || state == TABLES_CHILD_DEAD;
	}
	return true;
}

static bool
owned(const struct tables *t, const struct stream_ref *r)
{
	return r->owner != 0 &&
	    stream_word_of(t, r) ==
	    stream_word(STREAM_WORD_OPEN, r->generation, r->owner);
}

/* --- freeing ------------------------------------------------------------- */

void
stream_free_row(struct tables *t, uint32_t row, uint64_t word)
{
	const struct stream_holder h = { row, stream_word_generation(word) };
	struct stream_row *s = stream_row(t, row);

	A_STORE(stream_key(t, row), 0, A_RELEASE);
	A_STORE(stream_room(t, row), 0, A_RELEASE);
	stream_give(t, &h, s->tails[0], STREAM_TAIL_LIST, 0);
	stream_give(t, &h, s->tails[1], STREAM_TAIL_LIST, 0);
	stream_give(t, &h, s->list, STREAM_LIST, 0);
	FAULT(STREAM_EMPTY);
	A_STORE(stream_state(t, row),
	    stream_word(STREAM_WORD_FREE, h.generation, 0), A_RELEASE);
}

/* A row of ours, from whatever it is in. */
static void
drop(struct tables *t, uint32_t row, uint32_t generation, uint32_t incarnation)
{
	uint64_t ending =
	    stream_word(STREAM_WORD_ENDING, generation, incarnation);

	A_STORE(stream_state(t, row), ending, A_SEQ_CST);
	stream_free_row(t, row, ending);
}

int
stream_end(struct tables *t, struct stream_ref *r)
{
	uint64_t was = stream_word(STREAM_WORD_OPEN, r->generation, r->owner);
	uint64_t ending =
	    stream_word(STREAM_WORD_ENDING, r->generation, r->owner);

	if (!owned(t, r) ||
	    !A_CAS(stream_state(t, r->row), &was, ending, A_SEQ_CST))
		return fail(ESTALE);
	FAULT(STREAM_ENDING);
	stream_gives(t, r->row);
	stream_free_row(t, r->row, ending);
	r->row = STREAM_NO_ROW;
	return 0;
}

/* --- beginning ----------------------------------------------------------- */

/* Take a row that is free: 0 and its new generation, or -1. */
static int
take_row(struct tables *t, uint32_t incarnation, struct stream_ref *r)
{
	uint32_t row, generation, n = stream_backed_rows(t);
	a_u64 *state;
	uint64_t w;

	for (row = 0;; row++) {
		if (row == n && stream_back_rows(t, n) == -1)
			return fail(ENOSPC);
		if (row == n)
			n = stream_backed_rows(t);
		state = stream_state(t, 0);
		w = A_LOAD(&state[row], A_ACQUIRE);
		if (stream_word_state(w) != STREAM_WORD_FREE)
			continue;
		generation =
		    (stream_word_generation(w) + 1) & STREAM_GENERATION;
		if (A_CAS(stream_state(t, row), &w,
			stream_word(STREAM_WORD_BEGINNING, generation,
			    incarnation),
			A_SEQ_CST))
			break;
	}
	A_FENCE(A_RELEASE);
	*r = (struct stream_ref){ row, generation, incarnation };
	return 0;
}

static uint32_t
preamble_size(const struct stream_new *n)
{
	return (uint32_t)(n->id.len + n->user_id.len + n->user_name.len +
	    n->agent_id.len + n->head.len + n->tail.len);
}

static int
fill(struct tables *t, const struct stream_ref *r, const struct stream_new *n,
    uint64_t now_ns)
{
	const struct stream_holder h = { r->row, r->generation };
	const struct stream_text *parts[] = { &n->id, &n->user_id,
		&n->user_name, &n->agent_id, &n->head, &n->tail };
	struct stream_row *s = stream_row(t, r->row);
	uint32_t size = preamble_size(n);
	size_t i, pos = 0;

	if (stream_take(t, &h, s->list, stream_blocks_for(t, size)) == -1)
		return -1;
	A_FENCE(A_RELEASE);
	for (i = 0; i < 6; pos += parts[i++]->len)
		CHECK(stream_put(t, s->list, STREAM_LIST, pos, parts[i]->p,
		    parts[i]->len));
	A_STORE(&s->progress, 0, A_RELAXED);
	A_STORE(&s->active_ns, now_ns, A_RELAXED);
	A_STORE(&s->until_ns, 0, A_RELAXED);
	A_STORE(&s->cancel,
	    (uint64_t)(r->generation & 0xffff) << STREAM_CANCEL_BITS,
	    A_RELAXED);
	A_STORE(&s->rate, 0, A_RELAXED);
	A_STORE(&s->begun_ms, n->begun_ms, A_RELAXED);
	A_STORE(&s->user, n->user, A_RELAXED);
	A_STORE(&s->sizes, (uint64_t)size << 32 | n->max_text, A_RELAXED);
	A_STORE(&s->names,
	    n->id.len | n->user_id.len << 16 | n->user_name.len << 32 |
		n->agent_id.len << 48,
	    A_RELAXED);
	A_STORE(&s->ends, n->head.len << 32 | n->tail.len, A_RELAXED);
	A_STORE(&s->tail, 0, A_RELAXED);
	A_STORE(stream_room(t, r->row), n->room, A_RELEASE);
	FAULT(STREAM_FILLED);
	return 0;
}

enum rival {
	RIVAL_NONE,
	RIVAL_RUNS,
	/* it begins as we do, and comes first */
	RIVAL_BEGINS,
};

/* What is in a row with our key, seen from row 'own'? */
static enum rival
look_at_rival(struct tables *t, uint64_t key, uint32_t row, uint32_t own,
    struct stream_ref *rival_r)
{
	uint64_t w;

	for (;;) {
		w = A_LOAD(stream_state(t, row), A_SEQ_CST);
		/* not the key of the row's stream before this one? */
		if (A_LOAD(stream_key(t, row), A_SEQ_CST) != key)
			return RIVAL_NONE;
		*rival_r = (struct stream_ref){ STREAM_NO_ROW, 0, 0 };
		if (stream_runs(w))
			*rival_r = (struct stream_ref){ row,
				stream_word_generation(w), 0 };
		if (stream_runs(w))
			return RIVAL_RUNS;
		if (stream_word_state(w) != STREAM_WORD_BEGINNING)
			return RIVAL_NONE;
		if (row < own)
			return stream_dead(t, stream_word_owner(w))
			    ? RIVAL_NONE
			    : RIVAL_BEGINS;
		if (A_CAS(stream_state(t, row), &w,
			stream_word(STREAM_WORD_ABORTED,
			    stream_word_generation(w), stream_word_owner(w)),
			A_SEQ_CST))
			return RIVAL_NONE;
	}
}

/* Is there another with this key, but for row 'own'? */
static bool
has_rival(struct tables *t, uint64_t key, uint32_t own,
    struct stream_ref *rival_r)
{
	uint32_t row, n = stream_backed_rows(t);
	a_u64 *keys = stream_key(t, 0);

	for (row = 0; row < n; row++)
		if (row != own && A_LOAD(&keys[row], A_SEQ_CST) == key &&
		    look_at_rival(t, key, row, own, rival_r) != RIVAL_NONE)
			return true;
	return false;
}

static int
check_new(const struct stream_new *n)
{
	if (n->room == 0 || n->id.len == 0)
		return fail(EINVAL);
	if (n->id.len > STREAM_MAX_ID || n->user_id.len > STREAM_MAX_ID ||
	    n->user_name.len > STREAM_MAX_NAME ||
	    n->agent_id.len > STREAM_MAX_ID || n->head.len > STREAM_MAX_HEAD ||
	    n->tail.len > STREAM_MAX_TAIL || n->max_text > STREAM_MAX_TEXT)
		return fail(EMSGSIZE);
	return 0;
}

/* The row is filled in: 0 it runs, or -1 with EEXIST. */
static int
confirm(struct tables *t, const struct stream_ref *r, uint64_t key,
    struct stream_ref *rival_r)
{
	uint64_t was =
	    stream_word(STREAM_WORD_BEGINNING, r->generation, r->owner);

	A_STORE(stream_key(t, r->row), key, A_SEQ_CST);
	FAULT(STREAM_KEYED);
	if (has_rival(t, key, r->row, rival_r))
		return fail(EEXIST);
	FAULT(STREAM_ALONE);
	if (!A_CAS(stream_state(t, r->row), &was,
		stream_word(STREAM_WORD_OPEN, r->generation, r->owner),
		A_SEQ_CST))
		return fail(EEXIST);
	FAULT(STREAM_BEGUN);
	return 0;
}

int
stream_begin(struct tables *t, uint32_t incarnation, const struct stream_new *n,
    uint64_t now_ns, struct stream_ref *r_r)
{
	struct stream_ref r, rival = { .row = STREAM_NO_ROW };
	uint64_t key;
	int error;

	CHECK(incarnation != 0);
	if (check_new(n) == -1)
		return -1;
	if (t->streams == NULL)
		return fail(ENOSPC);
	/* most who come too late need no row to find out */
	if (stream_find(t, n->room, n->id.p, n->id.len, r_r) == 0)
		return fail(EEXIST);
	if (!stream_may_take(t, n->user, stream_blocks_for(t, preamble_size(n)),
		now_ns))
		return fail(EDQUOT);
	key = stream_make_key(t, n->room, n->id.p, n->id.len);
	if (take_row(t, incarnation, &r) == -1)
		return -1;
	FAULT(STREAM_ROW);
	if (fill(t, &r, n, now_ns) == 0 && confirm(t, &r, key, &rival) == 0) {
		*r_r = r;
		return 0;
	}
	error = errno;
	drop(t, r.row, r.generation, incarnation);
	if (error == EEXIST)
		*r_r = rival;
	return fail(error);
}

/* --- writing ------------------------------------------------------------- */

int
stream_append(struct tables *t, const struct stream_ref *r, const void *text,
    size_t len, uint64_t now_ns, struct stream_progress *at_r)
{
	const struct stream_holder h = { r->row, r->generation };
	struct stream_progress at;
	struct stream_row *s;
	size_t pos;

	if (!owned(t, r))
		return fail(ESTALE);
	s = stream_row(t, r->row);
	at = stream_progress_of(A_LOAD(&s->progress, A_RELAXED));
	if (len > (uint32_t)A_LOAD(&s->sizes, A_RELAXED) - at.bytes)
		return fail(EMSGSIZE);
	pos = stream_preamble(s) + at.bytes;
	if (!stream_may_take(t, A_LOAD(&s->user, A_RELAXED),
		stream_blocks_for(t, pos + len) - stream_blocks_for(t, pos),
		now_ns))
		return fail(EDQUOT);
	if (stream_take(t, &h, s->list, stream_blocks_for(t, pos + len)) == -1)
		return -1;
	/* partner: the acquire fence in stream_still() */
	A_FENCE(A_RELEASE);
	if (!stream_put(t, s->list, STREAM_LIST, pos, text, len))
		return fail(ENOSPC);
	FAULT(STREAM_COPIED);
	A_STORE(&s->active_ns, now_ns, A_RELAXED);
	/* partner: the acquire load in stream_progress() */
	A_STORE(&s->progress,
	    (at.next + 1) << STREAM_BYTES_BITS | (at.bytes + (uint32_t)len),
	    A_RELEASE);
	FAULT(STREAM_APPENDED);
	if (at_r != NULL)
		*at_r = at;
	return 0;
}

uint64_t
stream_rate(struct tables *t, const struct stream_ref *r, uint32_t per_minute,
    uint64_t now_ns)
{
	uint64_t tat, wait;
	a_u64 *rate;

	if (per_minute == 0 || !owned(t, r))
		return 0;
	rate = &stream_row(t, r->row)->rate;
	tat = A_LOAD(rate, A_RELAXED);
	wait = gcra_charge(tat, now_ns, MINUTE_NS, per_minute, 0, &tat);
	if (wait == 0)
		A_STORE(rate, tat, A_RELAXED);
	return wait;
}

int
stream_set_tail(struct tables *t, const struct stream_ref *r, const void *tail,
    size_t len)
{
	const struct stream_holder h = { r->row, r->generation };
	struct stream_row *s;
	unsigned list;
	uint64_t w;

	if (len > STREAM_MAX_TAIL)
		return fail(EMSGSIZE);
	if (!owned(t, r))
		return fail(ESTALE);
	s = stream_row(t, r->row);
	w = A_LOAD(&s->tail, A_RELAXED);
	list = w == 0 ? 0 : 1 - (w & STREAM_TAIL_SIDE);
	if (stream_take(t, &h, s->tails[list], stream_blocks_for(t, len)) ==
	    -1) {
		stream_give(t, &h, s->tails[list], STREAM_TAIL_LIST, 0);
		return fail(ENOSPC);
	}
	A_FENCE(A_RELEASE);
	if (!stream_put(t, s->tails[list], STREAM_TAIL_LIST, 0, tail, len))
		return fail(ENOSPC);
	/* partner: the acquire load in stream_tail() */
	A_STORE(&s->tail, ((w >> 32) + 1) << 32 | len << 1 | list, A_RELEASE);
	FAULT(STREAM_RETAILED);
	stream_give(t, &h, s->tails[1 - list], STREAM_TAIL_LIST, 0);
	return 0;
}

/* --- ownership ----------------------------------------------------------- */

int
stream_detach(struct tables *t, struct stream_ref *r, uint64_t until_ns)
{
	uint64_t was = stream_word(STREAM_WORD_OPEN, r->generation, r->owner);

	if (!owned(t, r))
		return fail(ESTALE);
	A_STORE(&stream_row(t, r->row)->until_ns, until_ns, A_RELAXED);
	FAULT(STREAM_DETACHING);
	if (!A_CAS(stream_state(t, r->row), &was,
		stream_word(STREAM_WORD_DETACHED, r->generation, r->owner),
		A_ACQ_REL))
		return fail(ESTALE);
	FAULT(STREAM_DETACHED);
	r->owner = 0;
	return 0;
}

static void
settle(struct tables *t, const struct stream_ref *r)
{
	const struct stream_holder h = { r->row, r->generation };
	struct stream_row *s = stream_row(t, r->row);

	stream_settle(t, &h, s->list, STREAM_LIST);
	stream_settle(t, &h, s->tails[0], STREAM_TAIL_LIST);
	stream_settle(t, &h, s->tails[1], STREAM_TAIL_LIST);
}

int
stream_claim(struct tables *t, struct stream_ref *r, uint32_t incarnation,
    uint64_t user, uint64_t now_ns)
{
	uint64_t w, mine, whose;

	CHECK(incarnation != 0);
	w = stream_word_of(t, r);
	if (!stream_is(r, w))
		return fail(ESTALE);
	mine = stream_word(STREAM_WORD_OPEN, r->generation, incarnation);
	whose = A_LOAD(&stream_row(t, r->row)->user, A_RELAXED);
	if (!stream_still(t, r))
		return fail(ESTALE);
	if (user != 0 && user != whose)
		return fail(EPERM);
	if (w == mine) {
		r->owner = incarnation;
		return fail(EALREADY);
	}
	if (stream_word_state(w) == STREAM_WORD_OPEN &&
	    !stream_dead(t, stream_word_owner(w)))
		return fail(EBUSY);
	/* what the one before us wrote comes before what we do */
	if (!A_CAS(stream_state(t, r->row), &w, mine, A_ACQ_REL))
		return fail(
		    stream_is(r, A_LOAD(stream_state(t, r->row), A_ACQUIRE))
			? EBUSY
			: ESTALE);
	FAULT(STREAM_CLAIMED);
	settle(t, r);
	A_STORE(&stream_row(t, r->row)->active_ns, now_ns, A_RELAXED);
	r->owner = incarnation;
	return 0;
}

int
stream_cancel(struct tables *t, const struct stream_ref *r,
    uint64_t deadline_ns)
{
	uint64_t us = deadline_ns / STREAM_US, w, tag;
	a_u64 *cancel;

	if (!stream_is(r, stream_word_of(t, r)))
		return fail(ESTALE);
	tag = r->generation & 0xffff;
	cancel = &stream_row(t, r->row)->cancel;
	w = A_LOAD(cancel, A_ACQUIRE);
	/* the next stream of this row has another tag */
	if (w >> STREAM_CANCEL_BITS != tag)
		return fail(ESTALE);
	if ((w & STREAM_CANCEL_MASK) != 0 ||
	    !A_CAS(cancel, &w,
		tag << STREAM_CANCEL_BITS |
		    (us == 0 ? 1 : us & STREAM_CANCEL_MASK),
		A_ACQ_REL))
		return fail(EALREADY);
	return stream_still(t, r) ? 0 : fail(ESTALE);
}
