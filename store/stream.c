/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'stream':
 *
 *   room 8, message id             user 8, next 8, time 8, run 8, begun 8,
 *                                  user id, user name, agent, head: texts,
 *                                  bytes of the tail 4, tail, text
 *   room 8, message id, 0, no 4    start 8, next 8, time 8, text
 *
 * A text that grows is not written anew each time: what came since is another
 * piece, and only the last one is replaced while it is small.
 */

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "store/env.h"

#define PIECE_KEY 5
#define HEAD_FIXED (5 * 8 + 4 * 2 + 4)

/* Text of a stream's row or of a piece; the key tells which. */
struct any_row {
	bool piece;
	struct store_stream st;
	struct store_piece p;
};

static bool
stream_key(struct store_key *k, uint64_t room, struct store_text id)
{
	if (id.len == 0 || id.len > STORE_MAX_NAME ||
	    memchr(id.p, 0, id.len) != NULL)
		return false;
	store_key_begin(k);
	store_key_u64(k, room);
	return store_key_bytes(k, id.p, id.len);
}

static bool
piece_key(struct store_key *k, uint64_t room, struct store_text id, uint32_t no)
{
	uint32_t big = htobe32(no);

	if (!stream_key(k, room, id))
		return false;
	store_key_u8(k, 0);
	return store_key_bytes(k, &big, sizeof(big));
}

/* Bytes of the id in a key; 0: it is no key of this table. */
static size_t
id_length(const MDB_val *key, bool *piece_r)
{
	const uint8_t *id = (const uint8_t *)key->mv_data + 8, *end;
	size_t len;

	if (key->mv_size <= 8)
		return 0;
	len = key->mv_size - 8;
	end = memchr(id, 0, len);
	*piece_r = end != NULL;
	if (end == NULL)
		return len;
	return (size_t)(end - id) + PIECE_KEY == len ? (size_t)(end - id) : 0;
}

bool
store_stream_is_piece(const MDB_val *key)
{
	bool piece;

	return id_length(key, &piece) > 0 && piece;
}

static struct store_text
key_id(const MDB_val *key)
{
	struct store_text id = { (const char *)key->mv_data + 8, 0 };
	bool piece;

	id.len = id_length(key, &piece);
	return id;
}

/* --- rows -------------------------------------------------------------- */

bool
store_decode_stream(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_stream *st = row;
	struct store_fields f;
	uint32_t tail;

	if (!store_value_open(t, STORE_STREAM, key, val, &f, NULL))
		return false;
	st->id = key_id(key);
	if (st->id.len == 0)
		return store_value_odd(t, &f);
	st->room = store_key_get(key, 0);
	st->user = store_take_u64(&f);
	st->next = store_take_u64(&f);
	st->time_ms = store_take_u64(&f);
	st->run = store_take_u64(&f);
	st->begun_ms = store_take_u64(&f);
	st->user_id = store_take_text(&f);
	st->user_name = store_take_text(&f);
	st->agent = store_take_text(&f);
	st->head = store_take_text(&f);
	tail = store_take_u32(&f);
	st->tail.len = tail;
	st->tail.p = (const char *)store_take_raw(&f, tail);
	st->text = store_take_rest(&f);
	return store_value_done(t, &f);
}

bool
store_decode_piece(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct store_piece *p = row;
	struct store_fields f;
	uint32_t no;

	if (!store_value_open(t, STORE_STREAM, key, val, &f, NULL))
		return false;
	if (!store_stream_is_piece(key))
		return store_value_odd(t, &f);
	memcpy(&no, (const uint8_t *)key->mv_data + key->mv_size - sizeof(no),
	    sizeof(no));
	p->no = be32toh(no);
	p->start = store_take_u64(&f);
	p->next = store_take_u64(&f);
	p->time_ms = store_take_u64(&f);
	p->text = store_take_rest(&f);
	return store_value_done(t, &f);
}

static bool
decode_any(struct store_txn *t, const MDB_val *key, const MDB_val *val,
    void *row)
{
	struct any_row *any = row;

	any->piece = store_stream_is_piece(key);
	if (any->piece)
		return store_decode_piece(t, key, val, &any->p);
	return store_decode_stream(t, key, val, &any->st);
}

/* --- reading ----------------------------------------------------------- */

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

int
store_piece_each(struct store_txn *t, const struct store_stream *st,
    store_piece_fn *fn, void *arg)
{
	uint64_t start = st->text.len;
	struct store_piece p;
	struct store_key k;
	uint32_t no;

	for (no = 1; piece_key(&k, st->room, st->id, no); no++) {
		if (store_get_row(t, STORE_STREAM, &k, store_decode_piece,
			&p) == -1)
			return errno == ENOENT || errno == EBADMSG ? 0 : -1;
		if (p.start != start || !fn(&p, arg))
			break;
		start += p.text.len;
	}
	return 0;
}

/* Where the next stream's row is: behind this row and all its pieces. */
static void
place_behind(struct store_place *place, const MDB_val *key)
{
	size_t len = 8 + key_id(key).len;

	if (len == 8)
		len = key->mv_size < sizeof(place->key) ? key->mv_size
							: key->mv_size - 1;
	memcpy(place->key, key->mv_data, len);
	/* no id has a byte that is lower */
	place->key[len] = 1;
	place->len = len + 1;
}

/* One row: 1, 0 at the end, -1; the place moves behind it. */
static int
walk_one(struct store_txn *t, struct store_place *place, store_stream_fn *fn,
    void *arg, bool *go_on_r)
{
	struct store_scan sc;
	struct store_key k;
	struct any_row row;
	bool sound;
	int rc;

	store_key_begin(&k);
	if (place->len == 0)
		store_key_u8(&k, 0);
	else
		(void)store_key_bytes(&k, place->key, place->len);
	if (store_scan_begin(&sc, t, STORE_STREAM, &k, 0, false) == -1)
		return -1;
	rc = store_scan_any(&sc, decode_any, &row, &sound);
	if (rc == 1) {
		memcpy(place->key, sc.key.mv_data, sc.key.mv_size);
		place->len = sc.key.mv_size;
		*go_on_r = !sound || row.piece || fn(&row.st, arg);
		if (*go_on_r)
			place_behind(place, &sc.key);
	}
	store_scan_end(&sc);
	return rc;
}

int
store_stream_walk(struct store_txn *t, struct store_place *place, unsigned max,
    store_stream_fn *fn, void *arg)
{
	bool go_on = true;
	int rc = 1;

	/* one look more than there may be rows: it may be the end */
	for (; rc == 1 && go_on && max > 0; max--)
		rc = walk_one(t, place, fn, arg, &go_on);
	if (rc == 0)
		place->done = true;
	return rc == -1 ? -1 : 0;
}

/* --- writing ----------------------------------------------------------- */

static bool
texts_fit(const struct store_stream *st)
{
	return st->user_id.len <= UINT16_MAX &&
	    st->user_name.len <= UINT16_MAX && st->agent.len <= UINT16_MAX &&
	    st->head.len <= UINT16_MAX && st->tail.len <= UINT32_MAX;
}

void
store_stream_put(struct store_txn *t, const struct store_stream *st)
{
	struct store_put put;
	struct store_key k;

	if (!stream_key(&k, st->room, st->id) || !texts_fit(st)) {
		store_fail(t, EINVAL);
		return;
	}
	store_put_begin(t, STORE_STREAM, &k, 0,
	    HEAD_FIXED + st->user_id.len + st->user_name.len + st->agent.len +
		st->head.len + st->tail.len + st->text.len,
	    false, &put);
	store_add_u64(&put.f, st->user);
	store_add_u64(&put.f, st->next);
	store_add_u64(&put.f, st->time_ms);
	store_add_u64(&put.f, st->run);
	store_add_u64(&put.f, st->begun_ms);
	store_add_text(&put.f, st->user_id);
	store_add_text(&put.f, st->user_name);
	store_add_text(&put.f, st->agent);
	store_add_text(&put.f, st->head);
	store_add_u32(&put.f, (uint32_t)st->tail.len);
	store_add_raw(&put.f, st->tail.p, st->tail.len);
	store_add_raw(&put.f, st->text.p, st->text.len);
	store_put_end(&put);
}

void
store_piece_put(struct store_txn *t, uint64_t room, struct store_text id,
    const struct store_piece *p)
{
	struct store_put put;
	struct store_key k;

	if (p->no == 0 || !piece_key(&k, room, id, p->no)) {
		store_fail(t, EINVAL);
		return;
	}
	store_put_begin(t, STORE_STREAM, &k, 0, 3 * 8 + p->text.len, false,
	    &put);
	store_add_u64(&put.f, p->start);
	store_add_u64(&put.f, p->next);
	store_add_u64(&put.f, p->time_ms);
	store_add_raw(&put.f, p->text.p, p->text.len);
	store_put_end(&put);
}

/* A row on a damaged page stays: the message comes first. */
static bool
del_row(struct store_txn *t, const struct store_key *k)
{
	return store_error(t) == 0 &&
	    store_probe(t, STORE_STREAM, k, true) == 0 &&
	    store_del(t, STORE_STREAM, k);
}

/* The first piece that there is, whatever its number. */
static bool
find_piece(struct store_txn *t, uint64_t room, struct store_text id,
    struct store_key *k)
{
	struct store_scan sc;
	struct any_row row;
	bool sound, found;

	if (!piece_key(k, room, id, 0) ||
	    store_scan_begin(&sc, t, STORE_STREAM, k, k->len - 4, false) == -1)
		return false;
	found = store_scan_any(&sc, decode_any, &row, &sound) == 1 &&
	    sc.key.mv_size == k->len;
	if (found)
		memcpy(k->b, sc.key.mv_data, k->len);
	store_scan_end(&sc);
	return found;
}

bool
store_stream_del(struct store_txn *t, uint64_t room, struct store_text id)
{
	struct store_key k;
	bool there;
	uint32_t no;

	if (!stream_key(&k, room, id))
		return false;
	there = del_row(t, &k);
	for (no = 1; piece_key(&k, room, id, no); no++)
		if (!del_row(t, &k))
			break;
	/* behind a hole, or a page that was damaged */
	while (find_piece(t, room, id, &k) && del_row(t, &k))
		there = true;
	return there || no > 1;
}
