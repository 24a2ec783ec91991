/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * proxy - the PROXY protocol, versions 1 and 2 (haproxy's
 * doc/proxy-protocol.txt): who is behind a proxy's connection.
 *
 * A listener that expects it must get it: there is no guessing, and a
 * connection that begins otherwise is closed.
 */

#ifndef PROTO_PROXY_H
#define PROTO_PROXY_H

#include <stddef.h>

#include "proto/address.h"

/* a version 1 line, CR LF included */
#define PROXY_V1_MAX 107
/*
 * A version 2 header, its 16 fixed bytes included.  The protocol would allow
 * 64 KiB; what proxies send (two addresses, TLS details, a name of 255, a
 * unique id of 128) stays below 2 KiB, and this much fits into the buffers
 * that a request head fits into.
 */
#define PROXY_V2_MAX 4096

enum proxy_result {
	PROXY_OK,
	/* come again with more bytes behind the same ones */
	PROXY_MORE,
	/* close: whoever this is, it is no proxy of ours */
	PROXY_BAD,
};

/*
 * Read a header at 'buf'.  On OK *used_r is its length, and what follows is
 * the client's; *source_r is the client's address, or of family AF_UNSPEC
 * if there is none to be told (LOCAL, UNKNOWN, a family that is not known):
 * then the connection's own address counts.  Of AF_UNIX only the family is
 * told.  Bytes that cannot become a header are BAD at once.
 * The fields behind the addresses are skipped, but they must be whole, and a
 * checksum (CRC32c) among them must be right.
 */
enum proxy_result proxy_parse(const void *buf, size_t len,
    struct net_address *source_r, size_t *used_r, const char **why_r);

#endif /* PROTO_PROXY_H */
