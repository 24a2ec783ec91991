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
 *   check_change.c  edits, deletions, receipts, and their revisions
 *   check_stream.c  messages that are written chunk by chunk
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
	/* the latest change that was acknowledged, and when */
	uint32_t revision;
	uint64_t changed;
	/* its place in c->stream, from 1; 0: it was sent whole */
	uint32_t stream;
	/* it was sent behind an edit of its session: so it waits for what
	 * the others of its connection need not */
	bool behind;
};

/* A change that somebody has asked for: an item, and its new state. */
struct asked {
	uint64_t item, state;
	/* when first; 0: this place is free */
	uint64_t ns;
	/* the latest that it was given; 0: it is not known */
	uint32_t revision;
};

/* What a session's revision is: which item, and its state. */
struct revision {
	uint64_t item, state;
	bool known;
	/* the item's next one; 0: this is the latest */
	uint32_t next;
	/* when that was asked for */
	uint64_t next_ns;
};

struct revisions {
	/* list[revision - 1] */
	struct revision *list;
	uint32_t n, size;
	/* in the last dump */
	uint32_t last;
};

/* A message that an agent has written chunk by chunk. */
struct stream {
	uint64_t message;
	/* hash[n]: of the first n chunks; so many were sent */
	uint64_t hash[16];
	uint32_t sent;
	/* of chunk i: when somebody was first told that it is there */
	uint64_t told[16];
	/* so many are stored */
	uint32_t stored;
	bool is_stored;
};

/* What a client has seen of a stream. */
struct view {
	uint16_t have;
	/* the seat's epoch to which this belongs */
	uint16_t epoch;
	/* the last chunk has come; the message has, ever */
	bool done, final;
	/* the last chunk said that it could not have all of it */
	bool cut;
};

/* One client in one session. */
struct seat {
	bool in;
	/* the first seq that is owed, and all behind it */
	uint32_t next;
	/* when the join was answered */
	uint64_t joined;
	/* all changes behind this one are owed */
	uint32_t revision;
	/* counts joins and connections: what was shown before is void */
	uint16_t epoch;
};

/* One client while its ledger is read. */
struct reader {
	uint32_t sock, conn;
	/* that socket was kicked */
	bool kicked;
	struct seat *seat;
	/* by stream */
	struct view *view;
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
	struct stream *stream;
	uint32_t nstreams;
	/* a hash table of a power of two; and how many are in it */
	struct asked *asked;
	size_t asked_size, nasked;
	/* by session */
	struct revisions *revisions;
	/* when the daemon was ended, and how far back that may reach */
	const struct ledger_entry **died;
	size_t ndied;
	/* figures */
	uint64_t changes, revised, receipts, ended, chunks, cut;
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

/* Did anybody ever ask for the message to say that? */
bool check_may_say(const struct check *c, const struct message *m,
    const struct ledger_entry *e);

/* check_change.c */
/* What was asked for, acknowledged and told, by all. */
void check_changes(struct check *c);
/* NULL: nobody has asked for it. */
struct asked *check_asked(const struct check *c, uint64_t item, uint64_t state);
/* The revisions of all sessions, and what the store has of them. */
void check_revisions(struct check *c);
/* A dump that was made after a kill, at its beginning. */
void check_changes_kept(struct check *c, const struct ledger *l);
void check_revised(struct check *c, struct seat *s,
    const struct ledger_entry *e);
void check_quiet_revisions(struct check *c, const struct seat *s,
    const struct ledger_entry *e);
/* A page shows the message as it was at that revision or later. */
void check_old_text(struct check *c, const struct ledger_entry *page,
    const struct ledger_entry *e);

/* check_stream.c */
/* One is sent; the message's place in c->stream. */
void check_stream_sent(struct check *c, struct message *m,
    const struct ledger_entry *e);
/* Its message is stored. */
void check_stream_stored(struct check *c, const struct message *m,
    const struct ledger_entry *e);
/* What a client sees: a chunk, what is in progress, its message. */
void check_stream_seen(struct check *c, struct reader *rd,
    const struct ledger_entry *e);
void check_stream_final(struct check *c, struct reader *rd,
    const struct message *m, const struct ledger_entry *e);
/* The writer is told that all of it is stored. */
void check_stream_ended(struct check *c, const struct ledger_entry *e);
/* All that anybody has of them is stored. */
void check_streams(struct check *c);

/* check_order.c */
void check_causality(struct check *c);
void check_fifo(struct check *c);
void check_fresh(struct check *c);

#endif /* TORTURE_CHECK_H */
