/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * frame - WebSocket frames as a client writes and reads them.
 */

#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_TEXT = 1,
	FRAME_CLOSE = 8,
	FRAME_PING = 9,
	FRAME_PONG = 10,
};

/* Room for a masked frame's header. */
#define FRAME_HEAD 14

/*
 * Write a masked frame with 'len' bytes of payload to 'out', which holds
 * len + FRAME_HEAD; returns its length.
 */
size_t frame_write(char *out, unsigned opcode, const char *payload, size_t len,
    uint32_t mask);

struct frame {
	unsigned opcode;
	const char *payload;
	size_t len;
	/* with its header */
	size_t total;
};

enum frame_result {
	FRAME_OK,
	/* not all of it is there yet; total is set once it is known, else 0 */
	FRAME_MORE,
	/* masked, fragmented, with reserved bits or over 2^31 bytes */
	FRAME_BAD,
};

/* Read the frame at 'p', as a server writes it. */
enum frame_result frame_read(const char *p, size_t len, struct frame *f);

#endif /* BENCH_FRAME_H */
