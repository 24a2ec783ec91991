/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The table 'meta':
 *
 *   "schema"  schema number 4, oldest program that may read it 4
 *   "ring"    id 16, base 8, pos 8
 *   "run"     base 8, begun 8
 *   "next"    room 8, user 8
 *   "migrate" schema 4, rows 8, key: how far a migration has come
 *   "try"     zeroes, for a moment: store_try()
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/env.h"

static void
meta_key(struct store_key *k, const char *name)
{
	store_key_begin(k);
	(void)store_key_bytes(k, name, strlen(name));
}

/* The fields of one row: 0, or -1 with errno. */
static int
meta_get(struct store_txn *t, const char *name, struct store_fields *f)
{
	struct store_key k;
	MDB_val key, val;

	meta_key(&k, name);
	if (store_get(t, STORE_META, &k, &val) == -1)
		return -1;
	key.mv_size = k.len;
	key.mv_data = k.b;
	if (!store_value_open(t, STORE_META, &key, &val, f, NULL)) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

static int
meta_done(struct store_txn *t, const struct store_fields *f)
{
	if (!store_value_done(t, f)) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

int
store_schema_check(struct store_txn *t, uint32_t *schema_r, const char **why_r)
{
	static char why[200];
	struct store_fields f;
	uint32_t schema, oldest;

	if (meta_get(t, "schema", &f) == -1)
		return errno;
	schema = store_take_u32(&f);
	oldest = store_take_u32(&f);
	if (meta_done(t, &f) == -1)
		return EBADMSG;
	if (oldest > STORE_SCHEMA) {
		snprintf(why, sizeof(why),
		    "the store has schema %u and wants "
		    "a chatd that knows schema %u: this one knows %u; run the "
		    "newer chatd again",
		    schema, oldest, STORE_SCHEMA);
		*why_r = why;
		return ENOTSUP;
	}
	*schema_r = schema;
	return 0;
}

void
store_schema_put(struct store_txn *t, uint32_t schema, uint32_t oldest)
{
	struct store_key k;
	struct store_put put;

	meta_key(&k, "schema");
	store_put_begin(t, STORE_META, &k, 0, 8, false, &put);
	store_add_u32(&put.f, schema);
	store_add_u32(&put.f, oldest);
	store_put_end(&put);
}

int
store_schema(struct store_txn *t, unsigned *schema_r)
{
	const char *why;
	uint32_t schema;
	int err;

	if ((err = store_schema_check(t, &schema, &why)) != 0) {
		errno = err;
		return -1;
	}
	*schema_r = schema;
	return 0;
}

int
store_migration_get(struct store_txn *t, struct store_migration *m_r)
{
	struct store_migration m;
	struct store_fields f;
	struct store_text key;

	if (meta_get(t, "migrate", &f) == -1)
		return -1;
	m.schema = store_take_u32(&f);
	m.rows = store_take_u64(&f);
	key = store_take_rest(&f);
	if (key.len > sizeof(m.place.key))
		f.bad = true;
	if (meta_done(t, &f) == -1)
		return -1;
	memset(&m.place, 0, sizeof(m.place));
	memcpy(m.place.key, key.p, key.len);
	m.place.len = key.len;
	*m_r = m;
	return 0;
}

void
store_migration_put(struct store_txn *t, const struct store_migration *m)
{
	struct store_key k;
	struct store_put put;

	meta_key(&k, "migrate");
	store_put_begin(t, STORE_META, &k, 0, 12 + m->place.len, false, &put);
	store_add_u32(&put.f, m->schema);
	store_add_u64(&put.f, m->rows);
	store_add_raw(&put.f, m->place.key, m->place.len);
	store_put_end(&put);
}

void
store_migration_del(struct store_txn *t)
{
	struct store_key k;

	meta_key(&k, "migrate");
	(void)store_del(t, STORE_META, &k);
}

int
store_ring_get(struct store_txn *t, struct store_ring *ring_r)
{
	struct store_fields f;
	struct store_ring ring;
	const uint8_t *id;

	if (meta_get(t, "ring", &f) == -1)
		return -1;
	if ((id = store_take_raw(&f, sizeof(ring.id))) != NULL)
		memcpy(ring.id, id, sizeof(ring.id));
	ring.base = store_take_u64(&f);
	ring.pos = store_take_u64(&f);
	if (meta_done(t, &f) == -1)
		return -1;
	*ring_r = ring;
	return 0;
}

void
store_ring_put(struct store_txn *t, const struct store_ring *ring)
{
	struct store_key k;
	struct store_put put;

	meta_key(&k, "ring");
	store_put_begin(t, STORE_META, &k, 0, sizeof(ring->id) + 16, false,
	    &put);
	store_add_raw(&put.f, ring->id, sizeof(ring->id));
	store_add_u64(&put.f, ring->base);
	store_add_u64(&put.f, ring->pos);
	store_put_end(&put);
}

int
store_run_get(struct store_txn *t, struct store_run *run_r)
{
	struct store_fields f;
	struct store_run run;

	if (meta_get(t, "run", &f) == -1)
		return -1;
	run.base = store_take_u64(&f);
	run.begun_ms = store_take_u64(&f);
	if (meta_done(t, &f) == -1)
		return -1;
	*run_r = run;
	return 0;
}

void
store_run_put(struct store_txn *t, const struct store_run *run)
{
	struct store_key k;
	struct store_put put;

	meta_key(&k, "run");
	store_put_begin(t, STORE_META, &k, 0, 16, false, &put);
	store_add_u64(&put.f, run->base);
	store_add_u64(&put.f, run->begun_ms);
	store_put_end(&put);
}

int
store_next_get(struct store_txn *t, struct store_next *next_r)
{
	struct store_fields f;
	struct store_next next;

	if (meta_get(t, "next", &f) == -1) {
		if (errno != ENOENT)
			return -1;
		next_r->room = next_r->user = 1;
		return 0;
	}
	next.room = store_take_u64(&f);
	next.user = store_take_u64(&f);
	if (meta_done(t, &f) == -1)
		return -1;
	*next_r = next;
	return 0;
}

void
store_next_put(struct store_txn *t, const struct store_next *next)
{
	struct store_key k;
	struct store_put put;

	meta_key(&k, "next");
	store_put_begin(t, STORE_META, &k, 0, 16, false, &put);
	store_add_u64(&put.f, next->room);
	store_add_u64(&put.f, next->user);
	store_put_end(&put);
}

int
store_try(struct store *s, size_t bytes)
{
	struct store_txn *t;
	struct store_key k;
	struct store_put put;

	meta_key(&k, "try");
	if ((t = store_begin(s)) == NULL)
		return -1;
	store_put_begin(t, STORE_META, &k, 0, bytes, false, &put);
	if (!put.f.bad) {
		memset(put.f.w, 0, bytes);
		put.f.left = 0;
	}
	store_put_end(&put);
	if (store_commit(&t) == -1 || (t = store_begin(s)) == NULL)
		return -1;
	(void)store_del(t, STORE_META, &k);
	return store_commit(&t);
}
