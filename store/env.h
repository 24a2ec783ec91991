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

#include "store/check.h"
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

/* nothing that is stored is longer */
#define STORE_VALUE_MAX ((size_t)16 << 20)

_Static_assert(STORE__TABLES == STORE_TABLES, "store/write.h tells all");

struct store_txn {
	struct store *s;
	MDB_txn *txn;
	/* a snapshot that met a damaged page goes on in 'txn', which is newer
	 * perhaps; this one still holds the pages that callers look at */
	MDB_txn *pinned;
	/* errno of the first failure */
	int err;
	bool writes;
	/* 'txn' may see more than the snapshot should */
	bool moved;
	/* say nothing of what is damaged, count nothing */
	bool quiet;
	/* of the last row that was not sound */
	enum store_fault fault;
	uint64_t fault_page;
	uint64_t pos;
	/* of a transaction that writes: the tables' roots before it, and
	 * which of them are known (bits) */
	uint64_t root[STORE__TABLES];
	uint32_t roots;
};

#define STORE_NAMED 256

struct store {
	MDB_env *env;
	MDB_dbi dbi[STORE__TABLES];
	/* a table that an older schema does not have: STORE_LOOK */
	bool missing[STORE__TABLES];
	enum store_mode mode;
	/* 'dir' is the file itself */
	bool file;
	char dir[256];
	/* where LMDB has mapped the file; NULL: not found out */
	const uint8_t *map;
	size_t page_bytes;
	_Atomic uint64_t bad;
	_Atomic uint64_t bad_pages;
	/* hashes of what the log has named already */
	_Atomic uint64_t named[STORE_NAMED];
	_Atomic bool damaged;
	struct store_damage damage;
	/* the environment cannot be used any more */
	_Atomic bool broken;
	/* pages that store_probe() has looked at since then, a bit each */
	uint64_t known_ns;
	uint8_t *known;
	size_t known_bytes;
	/* the reader's transaction, reset and renewed; the two that callers
	 * hold */
	MDB_txn *reader;
	struct store_txn snapshot;
	struct store_txn write;
};

/* The only place that knows LMDB's codes: 0 or an errno. */
int store_errno(int rc);
const char *store_table_name(enum store_table table);

/* What meta says about itself: the schema into *schema_r, 0 or an errno. */
int store_schema_check(struct store_txn *t, uint32_t *schema_r,
    const char **why_r);
/* 'oldest' is the oldest program that may read it. */
void store_schema_put(struct store_txn *t, uint32_t schema, uint32_t oldest);

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
	/* of a value that is read */
	uint8_t version;
	enum store_table table;
	MDB_val key;
	const void *value;
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
    uint8_t version, uint8_t kind);

/*
 * Check version and sum of a value; on true 'f' reads its fields, f->version
 * is its version and *kind_r (may be NULL) its kind.  On false it has been
 * counted and named, and t->fault says why.
 */
bool store_value_open(struct store_txn *t, enum store_table table,
    const MDB_val *key, const MDB_val *val, struct store_fields *f,
    uint8_t *kind_r);
/* A row that lacks fields is as bad as one with a wrong sum. */
bool store_value_done(struct store_txn *t, const struct store_fields *f);
/* It was sealed like this, but makes no sense; returns false. */
bool store_value_odd(struct store_txn *t, const struct store_fields *f);

/* --- guards ------------------------------------------------------------ */

/* Catch SIGSEGV and SIGBUS from now on; where the map is. */
void store_guard_install(void);
void store_guard_map(struct store_txn *t);

/*
 * Run 'fn' so that a fault in the map, or an assertion of LMDB's, makes it
 * -1 with EUCLEAN.  Within another one it is just called.  'fn' may be left
 * anywhere: it holds nothing.
 */
int store_guard(struct store_txn *t, enum store_table table, uint64_t room,
    int (*fn)(void *arg), void *arg);

/* Count and name a page (0: not known) or a value that is damaged. */
void store_name_page(struct store_txn *t, enum store_table table, uint64_t room,
    uint64_t page, const char *what);
void store_name_value(struct store_txn *t, enum store_table table,
    const MDB_val *key, const void *value, const char *what);
/* The number of the page that holds 'p', 0 if it is not in the map. */
uint64_t store_page_of(const struct store *s, const void *p);
/* The room that a key begins with, 0 when the table has none. */
uint64_t store_key_room(enum store_table table, const void *key, size_t len);

/* --- transactions ------------------------------------------------------ */

/* Go on reading after MDB_BAD_TXN: 0, or -1 with errno. */
int store_go_on(struct store_txn *t);
/* Remember the first failure. */
void store_fail(struct store_txn *t, int err);

/* Look up one value: 0, or -1 with errno (ENOENT). */
int store_get(struct store_txn *t, enum store_table table,
    const struct store_key *key, MDB_val *val_r);

/*
 * Make a row out of a value.  false: it is not sound, or (t->fault is
 * STORE_SOUND) the snapshot should not see it.
 */
typedef bool store_decode_fn(struct store_txn *t, const MDB_val *key,
    const MDB_val *val, void *row);

/* Look up one row: 0, or -1 with errno (ENOENT, EBADMSG). */
int store_get_row(struct store_txn *t, enum store_table table,
    const struct store_key *key, store_decode_fn *decode, void *row);

/* Delete a row; that there is none is not an error: it returns false. */
bool store_del(struct store_txn *t, enum store_table table,
    const struct store_key *key);

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
	/* 1, or what the caller says before store_put_end() */
	uint8_t version;
};

void store_put_begin(struct store_txn *t, enum store_table table,
    const struct store_key *key, uint8_t kind, size_t len, bool must_be_new,
    struct store_put *put);
void store_put_end(struct store_put *put);

/* A walk; opaque to all but scan.c. */
struct store_scan {
	struct store_txn *t;
	enum store_table table;
	MDB_cursor *cur;
	MDB_val key;
	MDB_val val;
	/* where it began, then the key of the row before */
	struct store_key last;
	/* bytes of 'key' that all rows have in common */
	size_t prefix_len;
	bool backward;
	bool started;
	/* the row before was there: 'last' is its key */
	bool passed;
	/* the leaf of the row at hand (if it is in the map), and which of its
	 * nodes it is */
	const uint8_t *leaf;
	uint64_t number;
	unsigned node;
	/* something was met that cannot be read; where it was, if so far */
	bool damaged;
	/* backward: the row behind the first one counts too, since it may be
	 * one of the range whose key is damaged */
	bool careful;
	uint64_t page;
	/* how many in a row were not sound */
	unsigned unsound;
	unsigned strays;
	/* where the last one led to */
	struct store_key skipped;
	bool has_skipped;
	/* told of a page that was skipped, or (stray) of a row at hand that is
	 * out of order; false: stop */
	bool (*gap_fn)(struct store_scan *sc, void *arg);
	void *gap_arg;
	bool stray;
};

/*
 * Walk the rows of a table whose keys begin with the first 'prefix' bytes
 * of 'from', starting at 'from' (backward: at the last key not above it).
 * 0 or -1.
 */
int store_scan_begin(struct store_scan *sc, struct store_txn *t,
    enum store_table table, const struct store_key *from, size_t prefix,
    bool backward);
/*
 * The next row that is sound: 1, 0 at the end, -1 with errno.  Its bytes are
 * sc->key and sc->val.  A snapshot passes by what cannot be read.
 */
int store_scan_row(struct store_scan *sc, store_decode_fn *decode, void *row);
/* The next row, sound or not. */
int store_scan_any(struct store_scan *sc, store_decode_fn *decode, void *row,
    bool *sound_r);
/* Get behind what cannot be read: 0, or -1 when there is no way. */
int store_scan_skip(struct store_scan *sc);
void store_scan_end(struct store_scan *sc);

/*
 * Go on from *place through the rows whose keys begin with the first
 * 'prefix' bytes of 'from', in another transaction than before perhaps, with
 * at most 'max' rows.  A row at which 'fn' returns false is met again by the
 * next call; place->done is set at the end.  0 or -1.
 */
typedef bool store_walk_fn(const MDB_val *key, bool sound, void *row,
    void *arg);

struct store_walk {
	enum store_table table;
	/* keys that begin with this byte; 0: all */
	uint8_t prefix;
	unsigned max;
	store_decode_fn *decode;
	void *row;
	store_walk_fn *fn;
	void *arg;
};

int store_walk(struct store_txn *t, struct store_place *place,
    const struct store_walk *w);

/* --- rows -------------------------------------------------------------- */

store_decode_fn store_decode_room;
store_decode_fn store_decode_name;
store_decode_fn store_decode_user;
store_decode_fn store_decode_user_name;
store_decode_fn store_decode_message;
store_decode_fn store_decode_log;
store_decode_fn store_decode_presence;
store_decode_fn store_decode_recovery;
store_decode_fn store_decode_dedupe;
store_decode_fn store_decode_merged;
store_decode_fn store_decode_member;
store_decode_fn store_decode_change;
store_decode_fn store_decode_receipt;
store_decode_fn store_decode_stream;
store_decode_fn store_decode_piece;
store_decode_fn store_decode_ban;

/* Of the table 'stream'. */
bool store_stream_is_piece(const MDB_val *key);

/* A key of a room and a number. */
void store_room_key(struct store_key *k, uint64_t room, uint64_t number);

int store_floor_get(struct store_txn *t, uint64_t room,
    struct store_floor *floor_r);
int store_floor_put(struct store_txn *t, uint64_t room,
    const struct store_floor *floor);
void store_message_put(struct store_txn *t, const struct store_message *m,
    bool must_be_new);
void store_change_put(struct store_txn *t, const struct store_change *c);

/* --- paths ------------------------------------------------------------- */

/*
 * The first key behind 'from' (backward: before it) in a leaf that is sound:
 * 0, or -1 when there is none.  Also the first page on the way that was not,
 * and what is wrong with it (NULL: none was).
 */
int store_path_next(struct store_txn *t, enum store_table table,
    const struct store_key *from, bool backward, struct store_key *next_r,
    uint64_t *page_r, const char **what_r);

/* Forget from time to time which pages were sound: they need not be still. */
void store_probe_again(struct store *s);

/*
 * Is what LMDB will touch for a change of this row sound (for a deletion
 * with the neighbours)?  0, or -1 with EUCLEAN, and the page is named.
 */
int store_probe(struct store_txn *t, enum store_table table,
    const struct store_key *key, bool neighbours);

/* --- opening ----------------------------------------------------------- */

/* How far the step from one schema to the next has come. */
struct store_migration {
	/* the schema that it comes from */
	uint32_t schema;
	/* rows so far */
	uint64_t rows;
	struct store_place place;
};

int store_migration_get(struct store_txn *t, struct store_migration *m_r);
void store_migration_put(struct store_txn *t, const struct store_migration *m);
void store_migration_del(struct store_txn *t);

/*
 * Bring a store of an older schema to this one, in as many transactions as
 * it takes: 0 or an errno.  All tables are open.
 */
int store_migrate(struct store *s, uint32_t schema, const char **why_r);

#endif /* STORE_ENV_H */
