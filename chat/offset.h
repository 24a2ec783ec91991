/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * offset - how far a client is: the text that stands behind stored events,
 * and that comes back when it wants its socket again (wire page 4.8).
 *
 *   P		every stored event of its sessions below the position P has
 *		been sent to it
 *   P.r:s	but of the session with the number r the message s is the next
 *   P.r:s:o	and up to o its own messages come as any other's; behind that
 *		as the answers to its requests
 *   P.r:s:o:c	and of the session's changes only those below the position
 *		c have been sent; 1: those that its join asked for
 *   P.r:0	but r has not even been answered that it is joined
 *   0		it cannot go on from here
 *
 * Several sessions stand one behind the other, the smallest number first.
 * All numbers are base 36 with small letters and no zeros in front.  The
 * client can write into it what it likes: it only ever speaks about itself.
 */

#ifndef CHAT_OFFSET_H
#define CHAT_OFFSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OFFSET_MAX_PAIRS 64
/* room for the longest text, and its NUL */
#define OFFSET_TEXT_SIZE (13 + OFFSET_MAX_PAIRS * 4 * 14 + 1)

/* c: changes are to be sent from where the join said */
#define OFFSET_AS_JOINED 1

struct offset_pair {
	/* at least 1 */
	uint64_t room;
	uint64_t next;
	/* 0, or not below 'next' */
	uint64_t own_to;
	/* 0: all changes below the offset's position have been sent */
	uint64_t changed;
};

struct offset {
	uint64_t pos;
	unsigned npairs;
	/* sorted by room, each once */
	struct offset_pair pair[OFFSET_MAX_PAIRS];
};

/* Write it with its NUL and return the text, which stands in 'buf'. */
const char *offset_write(const struct offset *o, char buf[OFFSET_TEXT_SIZE]);

/* False with *why_r a sentence: 'p' is no text that offset_write() writes. */
bool offset_parse(const char *p, size_t len, struct offset *o_r,
    const char **why_r);

/* Add a room; its place is found.  False if there is no more room. */
bool offset_add(struct offset *o, struct offset_pair pair);
/* NULL if there is none. */
const struct offset_pair *offset_find(const struct offset *o, uint64_t room);

#endif /* CHAT_OFFSET_H */
