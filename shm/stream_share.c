/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * One user's streams take at most STREAM_SHARE times what is still free: one
 * user alone three quarters of stream.memory, two of them six sevenths
 * together, and there is some left for who comes next.  While most of the
 * memory is free that holds nobody back, and nothing is counted.
 *
 * Who holds how much is counted by each process for itself, by looking at
 * all rows, and again when the count is old; what the process takes in
 * between it adds.  So there is no number that somebody who dies could leave
 * wrong, and others can take too much for no longer than that.
 */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shm/stream_impl.h"

#define STREAM_SHARE 3
/* what anybody may have if it is there: this part of all */
#define STREAM_LITTLE 64
/* how long a count is believed */
#define CENSUS_NS UINT64_C(50000000)

struct share {
	/* 0: nobody's */
	uint64_t user;
	uint64_t blocks;
};

struct stream_census {
	/* it is there; the users are counted as well */
	bool made, counted;
	uint64_t made_ns;
	uint64_t free;
	/* by hash; a power of two, at most half of them are somebody's */
	uint32_t size, users;
	struct share *share;
};

void
stream_census_free(struct tables *t)
{
	if (t->stream_census != NULL)
		free(t->stream_census->share);
	free(t->stream_census);
	t->stream_census = NULL;
}

/* The user's place, or where it would be. */
static struct share *
share_of(const struct stream_census *c, uint64_t user)
{
	uint32_t i = (uint32_t)(user ^ user >> 32) & (c->size - 1);

	while (c->share[i].user != 0 && c->share[i].user != user)
		i = (i + 1) & (c->size - 1);
	return &c->share[i];
}

/* Room for so many users, none of whom holds anything. */
static void
empty_shares(struct stream_census *c, uint32_t users)
{
	uint32_t size = 64;

	while (size / 2 < users)
		size *= 2;
	if (size > c->size) {
		free(c->share);
		CHECK((c->share = malloc(size * sizeof(*c->share))) != NULL);
		c->size = size;
	}
	memset(c->share, 0, c->size * sizeof(*c->share));
	c->users = 0;
}

static void
hold(struct stream_census *c, struct share *share, uint64_t user,
    uint64_t blocks)
{
	c->users += share->user == 0;
	share->user = user;
	share->blocks += blocks;
}

/* What a row holds; close enough if it changes meanwhile. */
static uint64_t
blocks_of(const struct tables *t, const struct stream_row *s)
{
	uint64_t bytes = stream_preamble(s) +
	    stream_progress_of(A_LOAD(&s->progress, A_RELAXED)).bytes;
	uint64_t tail = (A_LOAD(&s->tail, A_RELAXED) >> 1) & INT32_MAX;

	return stream_blocks_for(t, bytes) + stream_blocks_for(t, tail);
}

static void
count_users(struct tables *t, struct stream_census *c)
{
	uint32_t row, n = stream_backed_rows(t);
	const struct stream_row *s;
	uint64_t user;

	/* some more than hold any now */
	empty_shares(c, n + 64);
	for (row = 0; row < n; row++) {
		if (!stream_runs(A_LOAD(stream_state(t, row), A_ACQUIRE)))
			continue;
		s = stream_row(t, row);
		if ((user = A_LOAD(&s->user, A_RELAXED)) == 0)
			continue;
		hold(c, share_of(c, user), user, blocks_of(t, s));
	}
	c->counted = true;
}

static void
make_census(struct tables *t, struct stream_census *c, uint64_t now_ns)
{
	uint64_t used, backed;

	stream_blocks(t, &used, &backed);
	c->free = t->stream_at->blocks - used;
	c->made = true;
	c->made_ns = now_ns;
	c->counted = false;
}

bool
stream_may_take(struct tables *t, uint64_t user, uint32_t blocks,
    uint64_t now_ns)
{
	struct stream_census *c = t->stream_census;
	struct share *share;

	if (user == 0 || blocks == 0 || t->streams == NULL)
		return true;
	if (c == NULL)
		CHECK((t->stream_census = c = calloc(1, sizeof(*c))) != NULL);
	if (!c->made || now_ns - c->made_ns >= CENSUS_NS)
		make_census(t, c, now_ns);
	/* nobody can hold that much */
	if ((STREAM_SHARE + 1) * c->free >= t->stream_at->blocks + blocks) {
		c->free -= blocks < c->free ? blocks : c->free;
		return true;
	}
	if (!c->counted || c->users >= c->size / 2)
		count_users(t, c);
	share = share_of(c, user);
	if (share->blocks + blocks > STREAM_SHARE * c->free &&
	    share->blocks + blocks > t->stream_at->blocks / STREAM_LITTLE)
		return false;
	hold(c, share, user, blocks);
	c->free -= blocks < c->free ? blocks : c->free;
	return true;
}

void
stream_gives(struct tables *t, uint32_t row)
{
	struct stream_census *c = t->stream_census;
	const struct stream_row *s = stream_row(t, row);
	uint64_t blocks = blocks_of(t, s);
	struct share *share;

	if (c == NULL || !c->made)
		return;
	c->free += blocks;
	if (!c->counted)
		return;
	share = share_of(c, A_LOAD(&s->user, A_RELAXED));
	share->blocks -= blocks < share->blocks ? blocks : share->blocks;
}
