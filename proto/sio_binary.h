/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sio_binary - placeholders: where a binary packet's attachments belong.
 *
 * {"_placeholder":true,"num":0} stands for the first attachment, and so on.
 * sio_decode() has checked them.
 */

#ifndef PROTO_SIO_BINARY_H
#define PROTO_SIO_BINARY_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/sio.h"

/* An array or object that is open. */
struct sio_level {
	/* of an object; NULL: an array */
	const char *begin;
	/* placeholders that ended before it began */
	unsigned found_before;
	/* says that it is a placeholder, for this attachment */
	bool marked;
	bool numbered;
	unsigned num;
};

/* A walk through one packet; everything in it is private. */
struct sio_walk {
	const char *p, *end;
	unsigned nattach;
	unsigned found;
	unsigned depth;
	bool key_is_next;
	struct sio_level levels[SIO_DEPTH_MAX];
};

/*
 * Walk over the placeholders in a binary packet's 'raw_args', in order of
 * appearance: the whole object's text, and the attachment that it stands
 * for.  The same attachment may come more than once, or never.  Other
 * packets have none, whatever is in them.
 */
void sio_walk_begin(struct sio_walk *walk, const struct sio_packet *pkt);
bool sio_walk_next(struct sio_walk *walk, struct span *object_r,
    unsigned *num_r);

/*
 * Write the packet's 'raw_args' as its sender would: placeholders are
 * numbered in order of appearance, and order_r[i] is the attachment of the
 * packet that becomes the i-th.  *count_r of them; only the first
 * SIO_ATTACHMENTS_MAX are in 'order_r', and nobody takes a packet with more.
 * Returns the exact length, as an encoder does.
 */
size_t sio_renumber(char *buf, size_t size, const struct sio_packet *pkt,
    unsigned order_r[SIO_ATTACHMENTS_MAX], unsigned *count_r);

/*
 * The check of sio_decode(): false with a sentence if a placeholder is none
 * or holds another one.  *deep_r, and true: nothing was checked behind more
 * than SIO_DEPTH_MAX levels.
 */
bool sio_placeholders_fit(struct span args, unsigned nattach, bool *deep_r,
    const char **why_r);

#endif /* PROTO_SIO_BINARY_H */
