/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * verify - what every member of every room has received, and whether that
 * is what chat-protocol.md promises: each message of the others exactly
 * once, in one order for all, numbered without gaps from where the room
 * stood at the beginning, and acknowledged with that same number.
 *
 * It knows nothing of sockets: the caller says what was sent and what came,
 * and verify counts the violations and prints the first of them.  Messages
 * are known by their index 0, 1, 2... over all rooms, members by theirs;
 * member m is in room m / members and nowhere else.
 *
 * The common case costs a comparison or two.  A member that meets a seq
 * above the next one remembers the hole; what is still a hole at the end
 * and not its own message is lost, what fills a hole later is out of order.
 */

#ifndef BENCH_VERIFY_H
#define BENCH_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault {
#define FAULT(name, word, text) FAULT_##name,
#include "tests/bench/tbl_fault.h"
	FAULT__MAX,
};

struct verify_message {
	uint64_t sent_ns;
	uint32_t room;
	uint32_t member;
	/* place in the room, from 1; 0: not known yet */
	uint32_t seq;
	/* members other than the sender that have it */
	uint32_t delivered;
	/* how often it was sent, announced and acknowledged */
	uint16_t attempts, events, acks;
	uint16_t flags;
};

/* flags of a message; all but COMPLETE belong to the caller */
enum {
	MESSAGE_COMPLETE = 1 << 0,
	/* sent within the measured time */
	MESSAGE_TIMED = 1 << 1,
	/* written to a connection that still stands, no answer yet */
	MESSAGE_IN_FLIGHT = 1 << 2,
	/* refused, to be sent again */
	MESSAGE_REFUSED = 1 << 3,
};

struct verify_room {
	/* the room's last seq before the first message */
	uint64_t base;
	/* order[n]: 1 + the message with seq base + n + 1; 0: none yet */
	uint32_t *order;
	uint32_t size;
	/* highest place that anybody heard of */
	uint32_t last;
	uint32_t sent;
};

struct verify_member {
	/* highest place received */
	uint32_t last;
	uint32_t nholes;
	uint32_t holes_size;
	uint32_t *holes;
};

struct verify {
	unsigned rooms;
	unsigned members;
	struct verify_room *room;
	struct verify_member *member;
	struct verify_message *message;
	uint32_t nmessages;
	uint32_t messages_size;
	uint64_t deliveries;
	uint64_t acked;
	uint64_t complete;
	uint64_t fault[FAULT__MAX];
	/* how many violations are still to be printed */
	unsigned tell;
};

void verify_init(struct verify *v, unsigned rooms, unsigned members);
void verify_clear(struct verify *v);

extern const char *const fault_words[FAULT__MAX];

/* Count a violation; the text says where. */
void verify_fault(struct verify *v, enum fault what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t verify_faults(const struct verify *v);

/* A member joined when the room stood at 'seq', before the first message. */
void verify_base(struct verify *v, uint32_t member, uint64_t seq);

/* A new message of 'member'; it counts as sent once.  Returns its index. */
uint32_t verify_new(struct verify *v, uint32_t member);

/*
 * 'member' received message 'i' as number 'seq'.  'replayed': own messages
 * are expected too.  True if this is a delivery (no duplicate, not its own).
 */
bool verify_received(struct verify *v, uint32_t member, uint32_t i,
    uint64_t seq, bool replayed);

/* The sender was told that message 'i' has number 'seq': by the event, or
 * by the acknowledgement.  True when this was the first of its kind. */
bool verify_sent(struct verify *v, uint32_t i, uint64_t seq, bool is_ack);

/* True once, when everybody has the message and the sender knows it. */
bool verify_complete(struct verify *v, uint32_t i);

/* What 'member' has without a hole, as a seq of the server. */
uint64_t verify_position(const struct verify *v, uint32_t member);

/* History says that message 'i' is number 'seq' of 'room'. */
void verify_history(struct verify *v, unsigned room, uint32_t i, uint64_t seq);

/* Nothing comes any more: find what is missing. */
void verify_finish(struct verify *v);

#endif /* BENCH_VERIFY_H */
