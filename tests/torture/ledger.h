/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ledger - what the clients of the torture write down, and what the checker
 * reads: a file of entries of one size, in the order in which they happened
 * to one process.  Times are CLOCK_MONOTONIC, which all processes share.
 *
 * A dump of the store is a ledger too.
 */

#ifndef TORTURE_LEDGER_H
#define TORTURE_LEDGER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* KIND(NAME, what happened) */
enum ledger_kind {
#define KIND(name, text) LEDGER_##name,
#include "tests/torture/tbl_kind.h"
#undef KIND
	LEDGER__MAX
};

/* What a request was refused with; the contract's codes. */
enum ledger_code {
#define CODE(name, allowed) CODE_##name,
#include "tests/torture/tbl_code.h"
#undef CODE
	CODE__MAX
};

/* CONNECT, JOINED, ACK, PAGE, QUIET, DUMP: flags in 'code' */
enum {
	/* CONNECT: the old socket is back, with its sessions */
	FLAG_RECOVERED = 1,
	/* JOINED: afterSeq was given; it is in 'message' */
	FLAG_AFTER = 1,
	FLAG_TRUNCATED = 2,
	/* ACK, SENT */
	FLAG_DUPLICATE = 1,
	/* PAGE: which way */
	FLAG_NEWEST = 1,
	FLAG_BEFORE = 2,
	/* neither: behind */
	FLAG_MORE = 4,
	/* QUIET: everything up to 'seq' has come */
	FLAG_COMPLETE = 1,
	/* DUMP: out of the files, 'ns' of its rows are positions in the log */
	FLAG_POSITIONS = 1,
	/* DUMP: the last one, with nothing under way */
	FLAG_FINAL = 2,
	/* DELIVER, HISTORY, STORED: only its place is left */
	FLAG_DELETED = 8,
	/* STREAM, CHUNK: the last one; without a text; and why */
	FLAG_LAST = 1,
	FLAG_EMPTY = 2,
	FLAG_INTERRUPTED = 4,
	FLAG_CANCELLED = 8,
	/* QUIET: all changes up to the revision in 'hash' have come */
	FLAG_REVISIONS = 2,
};

/*
 *	kind		ns	message		stamp	hash	seq	room
 *	CONNECT		answer	socket's number	-	-	worker	-
 *	SEND, STEAL	begin	id		-	text	-	yes
 *	ACK, SENT	answer	id		time	-	seq	yes
 *	REFUSED, KEPT	answer	id		-	-	-	yes
 *	DELIVER		arrival	id		time	text	seq	yes
 *	JOIN		begin	afterSeq	-	-	-	yes
 *	JOINED		answer	afterSeq	begin	-	lastSeq	yes
 *	LEAVE, LEFT	begin, answer		-	-	-	yes
 *	PAGE		answer	firstSeq	begin	asked	lastSeq	yes
 *	HISTORY		answer	id		time	text	seq	yes
 *	QUIET		-	-		-	-	seq	yes
 *	STORED		gseq	id		time	text	seq	yes
 *	DUMP		begin	-		-	-	-	-
 *	STREAM		begin	id		-	text	number	yes
 *	TAKEN		answer	id		-	-	number	yes
 *	ENDED		answer	id		time	chunks	seq	yes
 *	CHUNK		arrival	id		first	index	chunks	yes
 *	SHOWN		arrival	id		-	index	chunks	yes
 *	CHANGE		begin	item		-	state	-	yes
 *	CHANGED		answer	item		-	state	revision yes
 *	REVISED		arrival	item		-	state	revision yes
 *	ITEM		-	item		-	state	revision yes
 *	REVISION	-	-		-	-	last	yes
 *	DIED		time	-		-	-	see below -
 *
 * STORED has its revision in 'conn'.  JOIN and JOINED have in the lower half
 * of 'hash' afterRevision + 1, or 0; JOINED in the upper half lastRevision.
 * The text of a STREAM is that of all chunks up to this one; 'chunks' is how
 * many there are by then.  An item is a message, or LEDGER_READS, the session
 * and the user; its state the hash of its text, 0 for a deletion, or the seq
 * that was read.  DIED: what was written so many ms before may be gone.
 */
#define LEDGER_READS (UINT64_C(1) << 63)

struct ledger_entry {
	uint64_t ns;
	/* the sender's client in the upper half, its count in the lower */
	uint64_t message;
	uint64_t stamp;
	/* of the text and of who wrote it */
	uint64_t hash;
	uint32_t client;
	/* which of the client's connections */
	uint32_t conn;
	uint32_t seq;
	uint16_t room;
	uint8_t kind;
	uint8_t code;
};

_Static_assert(sizeof(struct ledger_entry) == 48, "python reads it too");

/* --- writing ------------------------------------------------------------- */

/* Make the file; ends the process if that fails. */
FILE *ledger_create(const char *path);
void ledger_put(FILE *f, const struct ledger_entry *e);
/* Everything is in the file; ends the process if it is not. */
void ledger_close(FILE *f, const char *path);

/* --- reading ------------------------------------------------------------- */

struct ledger {
	const char *path;
	const struct ledger_entry *entry;
	size_t n;
};

/* Map the file for the life of the process, which ends if that fails. */
void ledger_map(struct ledger *l, const char *path);

const char *ledger_kind_name(unsigned kind);
const char *ledger_code_name(unsigned code);

#endif /* TORTURE_LEDGER_H */
