/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/deflate.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* what zlib reads is const */
#define ZLIB_CONST
#include <zlib.h>

#include "common/log.h"

/* 32 KiB back is as far as a compressor may look (RFC 1951 2) */
#define WINDOW 32768
/*
 * Of what a chat sends level 3 makes a tenth more than level 6, in a third
 * of the time; small messages come out the same.  Window and hash are
 * 256 KiB together, what inflating needs is 40 KiB.
 */
#define LEVEL 3
#define MEM_LEVEL 8
/*
 * Blocks marked as the last one that a message may hold: what follows one
 * costs a copy of the window.  Compressors that write them at all write one.
 */
#define FINALS_MAX 256

/* How a sender flushes, and what a message's payload is without. */
static const uint8_t tail[4] = { 0x00, 0x00, 0xff, 0xff };

struct deflate {
	/* inflates */
	z_stream in;
	/* deflates, without any header or trailer */
	z_stream out;
	/* where the message under way goes */
	uint8_t *buf;
	size_t limit;
	/* a piece of it has come */
	bool begun;
	/* a block marked as the last has ended, and nothing came behind it */
	bool ended;
	unsigned finals;
	/* 'buf' is full: the next byte would be too much, and goes here */
	bool full;
	uint8_t surplus;
};

/* --- coders -------------------------------------------------------------- */

/*
 * zlib makes the window when it first needs it.  Inflating one byte that is
 * not the last one needs it now.
 */
static int
make_window(z_stream *in)
{
	static const uint8_t stored[] = { 0x00, 0x01, 0x00, 0xfe, 0xff, 'x' };
	uint8_t out[2];

	in->next_in = stored;
	in->avail_in = sizeof(stored);
	in->next_out = out;
	in->avail_out = sizeof(out);
	return inflate(in, Z_SYNC_FLUSH) == Z_OK ? 0 : -1;
}

struct deflate *
deflate_new(void)
{
	struct deflate *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	if (inflateInit2(&d->in, -DEFLATE_BITS_MAX) != Z_OK)
		goto fail;
	if (deflateInit2(&d->out, LEVEL, Z_DEFLATED, -DEFLATE_BITS_MAX,
		MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK ||
	    make_window(&d->in) == -1) {
		(void)inflateEnd(&d->in);
		(void)deflateEnd(&d->out);
		goto fail;
	}
	return d;
fail:
	free(d);
	errno = ENOMEM;
	return NULL;
}

void
deflate_free(struct deflate **d)
{
	if (*d == NULL)
		return;
	(void)inflateEnd(&(*d)->in);
	(void)deflateEnd(&(*d)->out);
	free(*d);
	*d = NULL;
}

/* --- a message that came ------------------------------------------------- */

static void
use_surplus(struct deflate *d)
{
	d->full = true;
	d->in.next_out = &d->surplus;
	d->in.avail_out = 1;
}

static size_t
produced(const struct deflate *d)
{
	return d->full ? d->limit : (size_t)(d->in.next_out - d->buf);
}

void
deflate_begin(struct deflate *d, void *out, size_t limit)
{
	CHECK(limit <= UINT_MAX);
	CHECK(inflateReset(&d->in) == Z_OK);
	d->buf = out;
	d->limit = limit;
	d->begun = false;
	d->ended = false;
	d->finals = 0;
	d->full = false;
	d->in.next_out = out;
	d->in.avail_out = (uInt)limit;
	if (limit == 0)
		use_surplus(d);
}

/*
 * RFC 7692 7.2.1: blocks may follow one that is marked as the last, and may
 * refer to what stands in front of it.
 */
static bool
go_on_behind_end(struct deflate *d)
{
	size_t have = produced(d);
	size_t n = have < WINDOW ? have : WINDOW;

	d->ended = false;
	if (++d->finals > FINALS_MAX)
		return false;
	CHECK(inflateReset(&d->in) == Z_OK);
	CHECK(n == 0 ||
	    inflateSetDictionary(&d->in, d->buf + have - n, (uInt)n) == Z_OK);
	return true;
}

/* Inflate what is at in.next_in, all of it. */
static enum deflate_result
run(struct deflate *d, const char **why_r)
{
	while (d->in.avail_in > 0) {
		int result;

		if (d->ended && !go_on_behind_end(d)) {
			*why_r = "too many last blocks";
			return DEFLATE_BAD;
		}
		result = inflate(&d->in, Z_SYNC_FLUSH);
		/* before what may be wrong behind it, wherever it is cut */
		if (d->full && d->in.avail_out == 0) {
			*why_r = "inflated message too big";
			return DEFLATE_TOO_BIG;
		}
		if (result == Z_STREAM_END) {
			d->ended = true;
		} else if (result != Z_OK) {
			CHECK(result == Z_DATA_ERROR);
			*why_r = d->in.msg;
			return DEFLATE_BAD;
		}
		if (d->in.avail_out == 0)
			use_surplus(d);
	}
	return DEFLATE_OK;
}

enum deflate_result
deflate_feed(struct deflate *d, const void *p, size_t len, const char **why_r)
{
	CHECK(len <= UINT_MAX);
	if (len == 0)
		return DEFLATE_OK;
	d->begun = true;
	d->in.next_in = p;
	d->in.avail_in = (uInt)len;
	return run(d, why_r);
}

/* zlib.h, of inflate() */
static bool
is_between_blocks(const struct deflate *d)
{
	return (d->in.data_type & 128) != 0;
}

enum deflate_result
deflate_end(struct deflate *d, size_t *len_r, const char **why_r)
{
	enum deflate_result result;

	/*
	 * Neither without anything nor behind a last block there is something
	 * that the tail would complete.
	 */
	if (d->begun && !d->ended) {
		result = deflate_feed(d, tail, sizeof(tail), why_r);
		if (result != DEFLATE_OK)
			return result;
		if (!is_between_blocks(d)) {
			*why_r = "deflated message ends too early";
			return DEFLATE_BAD;
		}
	}
	*len_r = produced(d);
	return DEFLATE_OK;
}

enum deflate_result
deflate_inflate(struct deflate *d, const void *p, size_t len, void *out,
    size_t limit, size_t *len_r, const char **why_r)
{
	enum deflate_result result;

	deflate_begin(d, out, limit);
	result = deflate_feed(d, p, len, why_r);
	if (result != DEFLATE_OK)
		return result;
	return deflate_end(d, len_r, why_r);
}

/* --- what goes out ------------------------------------------------------- */

static void
write_to(struct deflate *d, void *out, size_t size)
{
	CHECK(size <= UINT_MAX);
	CHECK(deflateReset(&d->out) == Z_OK);
	d->out.next_out = out;
	d->out.avail_out = (uInt)size;
}

static void
read_from(struct deflate *d, const void *p, size_t len)
{
	CHECK(len <= UINT_MAX);
	d->out.next_in = p;
	d->out.avail_in = (uInt)len;
}

/* A piece of a message, all of it; false if there is no room. */
static bool
write_piece(struct deflate *d, const void *p, size_t len, int flush)
{
	read_from(d, p, len);
	(void)deflate(&d->out, flush);
	/* it has flushed everything if it leaves room (zlib.h) */
	return d->out.avail_out > 0;
}

/*
 * One coder with the largest window serves them all: it cannot look further
 * back than where a full flush made it forget.
 */
size_t
deflate_message(struct deflate *d, unsigned bits, const void *p, size_t len,
    void *out, size_t size)
{
	size_t piece = bits < DEFLATE_BITS_MAX ? (size_t)1 << bits : len;
	const uint8_t *at = p;

	CHECK(bits >= DEFLATE_BITS_MIN && bits <= DEFLATE_BITS_MAX);
	if (size == 0)
		return 0;
	write_to(d, out, size);
	for (; len > piece; at += piece, len -= piece)
		if (!write_piece(d, at, piece, Z_FULL_FLUSH))
			return 0;
	if (!write_piece(d, at, len, Z_SYNC_FLUSH))
		return 0;
	return d->out.total_out - sizeof(tail);
}

static void
put_number(uint8_t *b, unsigned long n, bool big_endian)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		b[big_endian ? 3 - i : i] = (uint8_t)(n >> (8 * i));
}

size_t
deflate_body(struct deflate *d, enum deflate_coding coding, const void *p,
    size_t len, void *out, size_t size)
{
	/* no time, no name, from Unix (RFC 1952); window, default (RFC 1950) */
	static const uint8_t gzip[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };
	static const uint8_t zlib[2] = { 0x78, 0x9c };
	bool is_gzip = coding == DEFLATE_GZIP;
	size_t head = is_gzip ? sizeof(gzip) : sizeof(zlib), n;
	size_t foot = is_gzip ? 8 : 4;
	uint8_t *b = out;

	if (size < head + foot)
		return 0;
	memcpy(b, is_gzip ? gzip : zlib, head);
	/* it is at its end only when it has room left: the foot's */
	write_to(d, b + head, size - head);
	read_from(d, p, len);
	if (deflate(&d->out, Z_FINISH) != Z_STREAM_END ||
	    d->out.avail_out < foot)
		return 0;
	n = head + d->out.total_out;
	if (is_gzip) {
		put_number(b + n, crc32_z(0, p, len), false);
		put_number(b + n + 4, len, false);
	} else {
		put_number(b + n, adler32_z(1, p, len), true);
	}
	return n + foot;
}
