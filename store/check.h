/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check - look at each row of a store, whatever state it is in.
 *
 * For verifying, exporting and repairing by hand, on a store that was opened
 * with STORE_LOOK or STORE_LOOK_OFFLINE (or any other).
 */

#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/write.h"

enum store_fault {
	STORE_SOUND,
	/* the key has not the shape of the table's keys */
	STORE_FAULT_KEY,
	/* not above the one before it */
	STORE_FAULT_ORDER,
	/* shorter than its head, or far too long */
	STORE_FAULT_SIZE,
	/* of a version that is not known */
	STORE_FAULT_VERSION,
	/* the checksum is wrong */
	STORE_FAULT_SUM,
	/* the fields do not fill the value, or make no sense */
	STORE_FAULT_FIELDS,
	/* no row: a page that cannot be read */
	STORE_FAULT_PAGE,
	STORE_FAULT__MAX,
};

enum store_row_kind {
	/* 'meta' */
	STORE_ROW_META,
	/* a name of a session, of a user: u.number */
	STORE_ROW_ROOM_NAME,
	STORE_ROW_USER_NAME,
	STORE_ROW_ROOM,
	STORE_ROW_USER,
	STORE_ROW_MESSAGE,
	STORE_ROW_LOG,
	STORE_ROW_PRESENCE,
	/* u.pid only: store_recovery_get() has the rest */
	STORE_ROW_RECOVERY,
	STORE_ROW_DEDUPE,
	STORE_ROW_MERGED,
	STORE_ROW_MEMBER,
	STORE_ROW_CHANGE,
	STORE_ROW_RECEIPT,
	STORE_ROW_STREAM,
	/* a part of the text of the stream before it */
	STORE_ROW_PIECE,
	STORE_ROW_BAN,
};

struct store_row {
	/* its number, below STORE_TABLES */
	unsigned table;
	enum store_fault fault;
	/* bytes in the map; none for STORE_FAULT_PAGE */
	const void *key;
	size_t key_len;
	size_t value_len;
	/* where it lies in the file, or what cannot be read; 0: not known */
	uint64_t page;
	/* of the value; 0 when it has none */
	unsigned version;
	/* what follows is only there when fault is STORE_SOUND */
	enum store_row_kind kind;
	union {
		uint64_t number;
		struct store_text pid;
		struct store_room room;
		struct store_user user;
		struct store_message message;
		struct store_log log;
		struct store_presence presence;
		struct store_dedupe dedupe;
		struct store_merged merged;
		struct store_member member;
		struct store_change change;
		struct store_receipt receipt;
		struct store_stream stream;
		struct store_piece piece;
		struct store_ban ban;
	} u;
};

/* "msg", "sum", ... */
const char *store_table(unsigned table);
const char *store_fault_name(enum store_fault fault);

typedef bool store_row_fn(const struct store_row *row, void *arg);
/*
 * Go on from *place with at most 'max' rows of a table, sound or not, in the
 * order of their keys; sets place->done behind the last one.  If 'fn'
 * returns false, the walk stops before that row.  A page that cannot be read
 * is given as a row of its own, and the walk goes on behind it.  A table
 * that an older schema does not have is empty.
 */
int store_row_walk(struct store_txn *t, unsigned table,
    struct store_place *place, unsigned max, store_row_fn *fn, void *arg);

/* How many rows LMDB says that a table has: 0 or -1. */
int store_table_rows(struct store_txn *t, unsigned table, uint64_t *rows_r);

/* The store's schema, which STORE_LOOK takes as it is: 0 or -1. */
int store_schema(struct store_txn *t, unsigned *schema_r);

/*
 * A damaged page or free list that no row shows: look at every page that the
 * snapshot reaches, each once.  'fn' gets the page's number, its table
 * ("free", "main" for LMDB's own) and what is wrong with it in words.  With
 * the number of pages seen.  0, or -1 when it could not be done at all.
 */
typedef bool store_page_fn(uint64_t page, const char *table, const char *what,
    void *arg);
int store_check_pages(struct store_txn *t, store_page_fn *fn, void *arg,
    uint64_t *pages_r);

#endif /* STORE_CHECK_H */
