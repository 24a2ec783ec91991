/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * floor_http - the handshake of the floor server.
 */

#ifndef BENCH_FLOOR_HTTP_H
#define BENCH_FLOOR_HTTP_H

#include <stddef.h>

/*
 * Read a request for an upgrade in the 'len' bytes at 'p'.  Returns its
 * length and writes the answer to 'out' (at least 512 bytes), or returns 0:
 * not all of it is there, or -1: it is something else.
 */
int floor_http(const char *p, size_t len, char *out, size_t size,
    size_t *out_len);

#endif /* BENCH_FLOOR_HTTP_H */
