/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * deflate - messages and bodies, smaller (RFC 1951, 1952, 7692).
 *
 * Nothing is remembered from one message to the next ("no context
 * takeover"), so that one coder serves all connections of a process.  It
 * takes 300 KiB, all of it when it is made: what a connection costs does not
 * depend on compression, and no message fails for want of memory.
 */

#ifndef PROTO_DEFLATE_H
#define PROTO_DEFLATE_H

#include <stddef.h>

/* Both directions; opaque; of one thread. */
struct deflate;

/* NULL with ENOMEM. */
struct deflate *deflate_new(void);
void deflate_free(struct deflate **d);

/* --- a message that came ------------------------------------------------- */

enum deflate_result {
	DEFLATE_OK,
	/* more than the limit: a bomb, or just too long */
	DEFLATE_TOO_BIG,
	/* not what a compressor writes */
	DEFLATE_BAD,
};

/*
 * Inflate a message that comes in pieces into 'out', which holds 'limit'
 * bytes and stays the caller's; a message without a piece is empty.  It
 * stops at the first byte too much, when that is produced; after another
 * result than DEFLATE_OK nothing but a new begin may follow.  *why_r is a
 * sentence then.  What is inflated has not been looked at: text has to be
 * checked for UTF-8.
 */
void deflate_begin(struct deflate *d, void *out, size_t limit);
enum deflate_result deflate_feed(struct deflate *d, const void *p, size_t len,
    const char **why_r);
/* The message ends here; *len_r bytes are in 'out'. */
enum deflate_result deflate_end(struct deflate *d, size_t *len_r,
    const char **why_r);

/* The same for one that is in one piece. */
enum deflate_result deflate_inflate(struct deflate *d, const void *p,
    size_t len, void *out, size_t limit, size_t *len_r, const char **why_r);

/* --- what goes out ------------------------------------------------------- */

/*
 * Each returns the bytes written, or 0 if they would not fit into 'size':
 * with 'size' less than 'len' that is when it does not pay, and the sender
 * sends what it has.
 */

/* windows that deflate_message() keeps to, as a power of two */
#define DEFLATE_BITS_MIN 9
#define DEFLATE_BITS_MAX 15
/* so much of 'size' must be left behind a message for it to fit */
#define DEFLATE_SPARE 5

/* The payload of a whole message, without the tail 00 00 ff ff. */
size_t deflate_message(struct deflate *d, unsigned bits, const void *p,
    size_t len, void *out, size_t size);

/* Content codings of HTTP: "gzip", and "deflate", which is zlib's format. */
enum deflate_coding {
	DEFLATE_GZIP,
	DEFLATE_ZLIB,
};
size_t deflate_body(struct deflate *d, enum deflate_coding coding,
    const void *p, size_t len, void *out, size_t size);

#endif /* PROTO_DEFLATE_H */
