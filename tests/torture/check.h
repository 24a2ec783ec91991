/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * check - proves from the ledgers and the store that nothing was broken.
 *
 *   check.c         what to read, and what came out
 *   check_store.c   the store by itself, and one dump against another
 *   check_client.c  each client's ledger against the store
 *   check_order.c   real time: causality, and how fresh what was read is
 *
 * The last dump with positions is the truth that all else is compared with.
 */

#ifndef TORTURE_CHECK_H
#define TORTURE_CHECK_H

#include <stdbool.h>

#include "tests/torture/ledger.h"

enum violation {
#define VIOLATION(name, text) VIOLATION_##name,
#include "tests/torture/tbl_violation.h"
#undef VIOLATION
	VIOLATION__MAX
};

/* A stored message. */
struct row {
	const struct ledger_entry *stored;
	/* who of all saw first that it is there: answered, or delivered */
	uint64_t seen;
};

struct room {
	/* row[seq - 1] */
	struct row *row;
	uint32_t n;
};

/* What is known of a message that somebody has sent. */
struct message {
	/* the first attempt; 0: never sent */
	uint64_t begin;
	/* the first answer that it is stored; 0: none */
	uint64_t acked;
	uint64_t hash;
	/* where it is stored; 0: nowhere */
	uint32_t seq;
	uint16_t room;
	/* attempts; answers that called it new */
	uint16_t attempts, news;
	/* of its owner: on which sockets, and on which connection first */
	uint32_t first_sock, last_sock, conn;
	/* the same user's other client, if it has sent it too: likewise */
	uint32_t mate, mate_first_sock, mate_last_sock;
};

struct check_client {
	struct message *message;
	uint32_t n;
};

struct check {
	struct ledger *ledger;
	unsigned nledgers;
	/* the truth */
	const struct ledger *truth;
	struct room *room;
	unsigned nrooms;
	struct check_client *client;
	uint32_t nclients;
	uint64_t found[VIOLATION__MAX];
	/* figures */
	uint64_t stored, sent, acks, deliveries, joins, pages, retries, steals,
	    refused, connects, recovered;
	/* joins that went through the log: of who was not in already */
	const struct ledger_entry **entered;
	size_t nentered;
	/* a join with afterSeq is sent at most so many */
	uint32_t replay_max;
};

/* One more; prints the first few of each kind. */
void check_fault(struct check *c, enum violation v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* NULL: nobody has sent it. */
struct message *check_message(struct check *c, uint64_t message);
/* NULL: nothing is stored there. */
struct row *check_row(struct check *c, unsigned room, uint64_t seq);

/* check_store.c */
/* The truth, and then the other dumps against it. */
void check_store(struct check *c);
void check_dumps(struct check *c);

/* check_client.c */
/* What was sent, by all; must come before check_clients(). */
void check_sends(struct check *c);
void check_clients(struct check *c);
/* Each message is answered in the end. */
void check_answers(struct check *c);

/* check_order.c */
void check_causality(struct check *c);
void check_fifo(struct check *c);
void check_fresh(struct check *c);

#endif /* TORTURE_CHECK_H */
