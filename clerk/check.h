/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check - is the store what it should be?
 *
 * Every row of every table is looked at: its key's shape and order, its
 * version and checksum (store/check.h), and then what it says of others:
 * whatever it names must be there, and name it in turn where it does.  All
 * of it in one snapshot.
 *
 * A row that is damaged is one error, not one more for each row that refers
 * to it.
 */

#ifndef CLERK_CHECK_H
#define CLERK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clerk/clerk.h"
#include "store/check.h"

/* errors that are told; all are counted */
#define CHECK_ERRORS 100
/* rows that are looked at in one step */
#define CHECK_STEP 256

struct check_error {
	/* a name of store_table(), or "free" and "main" for LMDB's own */
	char table[16];
	char key[160];
	char what[200];
};

/* What is known of the room that rows are about, one at a time. */
struct check_room {
	uint64_t room;
	/* -1 not looked up, 0 not there, 1 there */
	int there;
	struct store_floor floor;
	uint64_t last_seq;
	uint64_t last_revision;
};

/* The stream whose pieces come. */
struct check_text {
	/* its row has been seen, and all before it was sound */
	bool known;
	uint64_t room;
	char id[STORE_MAX_NAME];
	size_t id_len;
	/* of the next piece */
	uint32_t no;
	uint64_t start;
};

struct check {
	struct clerk *clerk;
	struct store_txn *txn;
	struct growth growth;
	/* of 'meta' */
	uint64_t pos;
	struct store_next next;
	struct check_room room;
	struct check_text stream;
	/* a page of this table could not be read before this row */
	bool lost;
	/* users that were found, by their number's low bits */
	uint64_t user[4096];

	/* rows seen so far, and about how many there are */
	uint64_t done, of;
	struct check_table {
		uint64_t rows;
		/* keys and values */
		uint64_t bytes;
		uint64_t errors;
	} table[STORE_TABLES];
	/* pages that are in use, and errors of pages */
	uint64_t pages, page_errors;
	uint64_t errors;
	struct check_error error[CHECK_ERRORS];
};

/* Everything; 0, or -1 after answer_failed(): it could not be done. */
int check_all(struct check *ck);

/* --- for the files of check_* ------------------------------------------ */

/* One more error, about this row. */
void check_fail(struct check *ck, const struct store_row *row, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));

/*
 * Look at the room with that number: false, and an error of the row, if
 * there is none.  ck->room is about it then.
 */
bool check_has_room(struct check *ck, const struct store_row *row,
    uint64_t room);
bool check_has_user(struct check *ck, const struct store_row *row,
    uint64_t user);
/* Each row that has a key; and before the first one, as behind a page that is
 * lost, with row == NULL. */
typedef void check_row_fn(struct check *ck, const struct store_row *row);
check_row_fn check_session, check_user, check_message, check_log,
    check_presence, check_recovery, check_dedupe, check_member, check_change,
    check_receipt, check_stream, check_ban;

/* A key as people read it. */
void check_key(char *buf, size_t size, const struct store_row *row);

#endif /* CLERK_CHECK_H */
