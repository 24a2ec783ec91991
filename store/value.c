/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include <endian.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/log.h"
#include "store/env.h"

#define VALUE_NEWEST 3

/* --- keys -------------------------------------------------------------- */

void
store_key_begin(struct store_key *k)
{
	k->len = 0;
}

bool
store_key_bytes(struct store_key *k, const void *p, size_t len)
{
	if (len > sizeof(k->b) - k->len)
		return false;
	if (len > 0)
		memcpy(k->b + k->len, p, len);
	k->len += len;
	return true;
}

void
store_key_u8(struct store_key *k, uint8_t v)
{
	CHECK(store_key_bytes(k, &v, sizeof(v)));
}

void
store_key_u64(struct store_key *k, uint64_t v)
{
	v = htobe64(v);
	CHECK(store_key_bytes(k, &v, sizeof(v)));
}

uint64_t
store_key_get(const MDB_val *key, size_t at)
{
	uint64_t v;

	CHECK(at + sizeof(v) <= key->mv_size);
	memcpy(&v, (const uint8_t *)key->mv_data + at, sizeof(v));
	return be64toh(v);
}

/* --- fields ------------------------------------------------------------ */

void
store_add_raw(struct store_fields *f, const void *p, size_t len)
{
	if (f->bad)
		return;
	/* who writes knows the length before: see store_put_begin() */
	CHECK(len <= f->left);
	if (len > 0)
		memcpy(f->w, p, len);
	f->w += len;
	f->left -= len;
}

void
store_add_u32(struct store_fields *f, uint32_t v)
{
	v = htobe32(v);
	store_add_raw(f, &v, sizeof(v));
}

void
store_add_u64(struct store_fields *f, uint64_t v)
{
	v = htobe64(v);
	store_add_raw(f, &v, sizeof(v));
}

void
store_add_text(struct store_fields *f, struct store_text text)
{
	uint16_t len = htobe16((uint16_t)text.len);

	CHECK(text.len <= UINT16_MAX);
	store_add_raw(f, &len, sizeof(len));
	store_add_raw(f, text.p, text.len);
}

const uint8_t *
store_take_raw(struct store_fields *f, size_t len)
{
	const uint8_t *p = f->p;

	if (f->bad || len > f->left) {
		f->bad = true;
		return NULL;
	}
	f->p += len;
	f->left -= len;
	return p;
}

uint32_t
store_take_u32(struct store_fields *f)
{
	const uint8_t *p;
	uint32_t v;

	if ((p = store_take_raw(f, sizeof(v))) == NULL)
		return 0;
	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

uint64_t
store_take_u64(struct store_fields *f)
{
	const uint8_t *p;
	uint64_t v;

	if ((p = store_take_raw(f, sizeof(v))) == NULL)
		return 0;
	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

struct store_text
store_take_text(struct store_fields *f)
{
	struct store_text text = { "", 0 };
	const uint8_t *p;
	uint16_t len;

	if ((p = store_take_raw(f, sizeof(len))) == NULL)
		return text;
	memcpy(&len, p, sizeof(len));
	len = be16toh(len);
	if ((p = store_take_raw(f, len)) == NULL)
		return text;
	text.p = (const char *)p;
	text.len = len;
	return text;
}

struct store_text
store_take_rest(struct store_fields *f)
{
	struct store_text text = { "", 0 };

	if (f->bad)
		return text;
	text.p = (const char *)f->p;
	text.len = f->left;
	f->p += f->left;
	f->left = 0;
	return text;
}

/* --- sums -------------------------------------------------------------- */

/* Over the key, the head without the sum, and all fields. */
static uint32_t
value_sum(const void *key, size_t klen, const uint8_t *v, size_t len)
{
	uint64_t h[3];

	memset(h, 0, sizeof(h));
	memcpy(h, v, 4);
	h[1] = XXH3_64bits(key, klen);
	h[2] = XXH3_64bits(v + STORE_VALUE_HEAD, len - STORE_VALUE_HEAD);
	return (uint32_t)XXH3_64bits(h, sizeof(h));
}

void
store_value_seal(const struct store_key *key, uint8_t *v, size_t len,
    uint8_t version, uint8_t kind)
{
	uint32_t sum;

	memset(v, 0, STORE_VALUE_HEAD);
	v[0] = version;
	v[1] = kind;
	sum = htobe32(value_sum(key->b, key->len, v, len));
	memcpy(v + 4, &sum, sizeof(sum));
}

static bool
bad_value(struct store_txn *t, enum store_table table, const MDB_val *key,
    const void *value, enum store_fault fault)
{
	t->fault = fault;
	store_name_value(t, table, key, value, store_fault_name(fault));
	return false;
}

bool
store_value_open(struct store_txn *t, enum store_table table,
    const MDB_val *key, const MDB_val *val, struct store_fields *f,
    uint8_t *kind_r)
{
	const uint8_t *v = val->mv_data;
	uint32_t sum;

	if (val->mv_size < STORE_VALUE_HEAD || val->mv_size > STORE_VALUE_MAX)
		return bad_value(t, table, key, v, STORE_FAULT_SIZE);
	memcpy(&sum, v + 4, sizeof(sum));
	if (be32toh(sum) !=
	    value_sum(key->mv_data, key->mv_size, v, val->mv_size))
		return bad_value(t, table, key, v, STORE_FAULT_SUM);
	if (v[0] == 0 || v[0] > VALUE_NEWEST)
		return bad_value(t, table, key, v, STORE_FAULT_VERSION);
	memset(f, 0, sizeof(*f));
	f->p = v + STORE_VALUE_HEAD;
	f->left = val->mv_size - STORE_VALUE_HEAD;
	f->version = v[0];
	f->table = table;
	f->key = *key;
	f->value = v;
	if (kind_r != NULL)
		*kind_r = v[1];
	return true;
}

bool
store_value_done(struct store_txn *t, const struct store_fields *f)
{
	return f->bad || f->left > 0 ? store_value_odd(t, f) : true;
}

bool
store_value_odd(struct store_txn *t, const struct store_fields *f)
{
	return bad_value(t, f->table, &f->key, f->value, STORE_FAULT_FIELDS);
}

uint64_t
store_key_room(enum store_table table, const void *key, size_t len)
{
	uint64_t room;
	size_t at = 0;

	switch (table) {
	case STORE_META:
	case STORE_USER:
	case STORE_RECOVERY:
	case STORE_BAN:
	case STORE__TABLES:
		return 0;
	case STORE_SESSION:
		if (len == 0 || *(const uint8_t *)key != '#')
			return 0;
		at = 1;
		break;
	default:
		break;
	}
	if (len < at + sizeof(room))
		return 0;
	memcpy(&room, (const uint8_t *)key + at, sizeof(room));
	return be64toh(room);
}

void
store_room_key(struct store_key *k, uint64_t room, uint64_t number)
{
	store_key_begin(k);
	store_key_u64(k, room);
	store_key_u64(k, number);
}
