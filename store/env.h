/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * env - the environment and its transactions, for the files of store/ only.
 *
 * A key is at most 511 bytes, integers in it are big-endian, so that the
 * order of bytes is the order of numbers.  A value is
 *
 *   version 1 | kind 1 | 0 2 | sum 4 | fields, big-endian
 *
 * where sum is XXH3 over key and value.
 */

#ifndef STORE_ENV_H
#define STORE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lmdb.h>

#include "store/store.h"
#include "store/write.h"

enum store_table {
	STORE_META,
	STORE_SESSION,
	STORE_USER,
	STORE_MSG,
	STORE_LOG,
	STORE_PRESENCE,
	STORE_RECOVERY,
	STORE_DEDUPE,
	STORE_MEMBER,
	STORE_CHANGE,
	STORE_RECEIPT,
	STORE_STREAM,
	STORE_BAN,
	STORE__TABLES,
};

_Static_assert(STORE__TABLES == STORE_TABLES, "store/write.h tells all");

struct store_txn {
	struct store *s;
	MDB_txn *txn;
	/* errno of the first failure */
	int err;
	bool writes;
	uint64_t pos;
};

struct store {
	MDB_env *env;
	MDB_dbi dbi[STORE__TABLES];
	enum store_mode mode;
	uint64_t bad;
	/* the reader's transaction, reset and renewed; the two that callers
	 * hold */
	MDB_txn *reader;
	struct store_txn snapshot;
	struct store_txn write;
};

/* The only place that knows LMDB's codes: 0 or an errno. */
int store_errno(int rc);
const char *store_table_name(enum store_table table);

/* What meta says about itself. */
int store_schema_check(struct store_txn *t, const char **why_r);
void store_schema_put(struct store_txn *t);

/* --- keys -------------------------------------------------------------- */

#define STORE_KEY_MAX 511

struct store_key {
	size_t len;
	uint8_t b[STORE_KEY_MAX];
};

void store_key_begin(struct store_key *k);
void store_key_u8(struct store_key *k, uint8_t v);
void store_key_u64(struct store_key *k, uint64_t v);
/* Returns false, and adds nothing, if it does not fit. */
bool store_key_bytes(struct store_key *k, const void *p, size_t len);
/* The number at 'at' of a key in the map. */
uint64_t store_key_get(const MDB_val *key, size_t at);

/* --- values ------------------------------------------------------------ */

#define STORE_VALUE_HEAD 8

/* Fields being written, or read; reading past the end sticks. */
struct store_fields {
	uint8_t *w;
	const uint8_t *p;
	size_t left;
	bool bad;
};

void store_add_u32(struct store_fields *f, uint32_t v);
void store_add_u64(struct store_fields *f, uint64_t v);
void store_add_raw(struct store_fields *f, const void *p, size_t len);
/* 16 bits of length before it */
void store_add_text(struct store_fields *f, struct store_text text);

uint32_t store_take_u32(struct store_fields *f);
uint64_t store_take_u64(struct store_fields *f);
const uint8_t *store_take_raw(struct store_fields *f, size_t len);
struct store_text store_take_text(struct store_fields *f);
struct store_text store_take_rest(struct store_fields *f);

/* Fill in the head of a value of 'len' bytes, head included. */
void store_value_seal(const struct store_key *key, uint8_t *v, size_t len,
    uint8_t kind);

/*
 * Check version and sum of a value; on true 'f' reads its fields and
 * *kind_r (may be NULL) is its kind.  On false it has been counted.
 */
bool store_value_open(struct store *s, const MDB_val *key, const MDB_val *val,
    struct store_fields *f, uint8_t *kind_r);
/* A row that lacks fields is as bad as one with a wrong sum. */
bool store_value_done(struct store *s, const struct store_fields *f);

/* --- transactions ------------------------------------------------------ */

/* Remember the first failure. */
void store_fail(struct store_txn *t, int err);

/* Look up one value: 0, or -1 with errno (ENOENT). */
int store_get(struct store_txn *t, enum store_table table,
    const struct store_key *key, MDB_val *val_r);

/*
 * Make room for a value of 'len' field bytes and begin to write them;
 * store_put_end() seals it.  f->bad when the transaction has failed.
 */
struct store_put {
	struct store_fields f;
	const struct store_key *key;
	uint8_t *value;
	size_t len;
	uint8_t kind;
};

void store_put_begin(struct store_txn *t, enum store_table table,
    const struct store_key *key, uint8_t kind, size_t len, bool must_be_new,
    struct store_put *put);
void store_put_end(struct store_put *put);

/* A walk; opaque to all but txn.c. */
struct store_scan {
	struct store_txn *t;
	MDB_cursor *cur;
	MDB_val key;
	MDB_val val;
	/* bytes of 'key' that all rows have in common */
	uint8_t prefix[16];
	size_t prefix_len;
	bool backward;
	bool started;
};

/*
 * Walk the rows of a table whose keys begin with the first 'prefix' bytes
 * of 'from', starting at 'from' (backward: at the last key not above it).
 * 0 or -1.
 */
int store_scan_begin(struct store_scan *sc, struct store_txn *t,
    enum store_table table, const struct store_key *from, size_t prefix,
    bool backward);
/* The next row into sc->key and sc->val: 1, 0 at the end, -1 with errno. */
int store_scan_next(struct store_scan *sc);
void store_scan_end(struct store_scan *sc);

/*
 * Go on from *place through a whole table, in another transaction than
 * before perhaps, with at most 'max' rows.  A row at which 'fn' returns
 * false is met again by the next call; place->done is set at the end.
 * 0 or -1.
 */
typedef bool store_raw_fn(const MDB_val *key, const MDB_val *val, void *arg);
int store_walk(struct store_txn *t, enum store_table table,
    struct store_place *place, unsigned max, store_raw_fn *fn, void *arg);

#endif /* STORE_ENV_H */
