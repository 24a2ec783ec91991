/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'stream':
 *
 *   room 8, message id   user 8, next 8, time 8, text
 */

#include <errno.h>
#include <string.h>

#include "store/env.h"

static bool
stream_key(struct store_key *k, uint64_t room, struct store_text id)
{
	if (id.len == 0 || id.len > STORE_MAX_NAME)
		return false;
	store_key_begin(k);
	store_key_u64(k, room);
	return store_key_bytes(k, id.p, id.len);
}

bool
store_decode_stream(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_stream *st = row;
	struct store_fields f;

	if (!store_value_open(t, STORE_STREAM, key, val, &f, NULL))
		return false;
	if (key->mv_size <= 8)
		return store_value_odd(t, &f);
	st->room = store_key_get(key, 0);
	st->id.p = (const char *)key->mv_data + 8;
	st->id.len = key->mv_size - 8;
	st->user = store_take_u64(&f);
	st->next = store_take_u64(&f);
	st->time_ms = store_take_u64(&f);
	st->text = store_take_rest(&f);
	return store_value_done(t, &f);
}

int
store_stream_get(struct store_txn *t, uint64_t room, struct store_text id,
    struct store_stream *st_r)
{
	struct store_stream st;
	struct store_key k;

	if (!stream_key(&k, room, id)) {
		errno = ENOENT;
		return -1;
	}
	if (store_get_row(t, STORE_STREAM, &k, store_decode_stream, &st) == -1)
		return -1;
	st.id = id;
	*st_r = st;
	return 0;
}

struct walk {
	store_stream_fn *fn;
	void *arg;
};

static bool
walk_row(const MDB_val *key, bool sound, void *row, void *arg)
{
	const struct walk *w = arg;

	return !sound || w->fn(row, w->arg);
}

int
store_stream_walk(struct store_txn *t, struct store_place *place, unsigned max,
    store_stream_fn *fn, void *arg)
{
	struct walk w = { fn, arg };
	struct store_stream st;
	struct store_walk walk = { .table = STORE_STREAM,
		.max = max,
		.decode = store_decode_stream,
		.row = &st,
		.fn = walk_row,
		.arg = &w };

	return store_walk(t, place, &walk);
}

void
store_stream_put(struct store_txn *t, const struct store_stream *st)
{
	struct store_put put;
	struct store_key k;

	if (!stream_key(&k, st->room, st->id)) {
		store_fail(t, EINVAL);
		return;
	}
	store_put_begin(t, STORE_STREAM, &k, 0, 24 + st->text.len, false, &put);
	store_add_u64(&put.f, st->user);
	store_add_u64(&put.f, st->next);
	store_add_u64(&put.f, st->time_ms);
	store_add_raw(&put.f, st->text.p, st->text.len);
	store_put_end(&put);
}

void
store_stream_del(struct store_txn *t, uint64_t room, struct store_text id)
{
	struct store_key k;

	if (stream_key(&k, room, id))
		(void)store_del(t, STORE_STREAM, &k);
}
