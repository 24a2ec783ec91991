/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sio2 - what differs for clients of Socket.IO version 2 (revision 4 of the
 * protocol, over revision 3 of Engine.IO).
 *
 * The text of packets is the same: sio_decode() and the encoders serve them,
 * too.  A CONNECT is answered without a payload (struct sio_message with
 * nothing in 'args'), an error is any JSON, most often a string ('args'), a
 * socket's id is the session's, behind "/nsp#" in other namespaces than "/",
 * and they join "/" without asking.
 */

#ifndef PROTO_SIO2_H
#define PROTO_SIO2_H

#include <stddef.h>

#include "proto/sio.h"

/*
 * Cut the query off a packet's namespace, as of "/nsp?token=x": the packet
 * is of "/nsp" then.  *query_r is empty if there is none.
 */
void sio2_split(struct sio_packet *pkt, struct span *query_r);

/* bytes and pairs of a query that sio2_auth() takes */
#define SIO2_QUERY_MAX 16384
#define SIO2_PAIRS_MAX 64
/* bytes of a key or of a value, decoded */
#define SIO2_VALUE_MAX 8192

/*
 * A query as such clients authenticate with it, of the handshake or of a
 * CONNECT, as an object of strings: {"token":"x"}.  The last value of a
 * repeated key counts; what is not UTF-8 becomes U+FFFD.  Returns the exact
 * length, as an encoder does, or 0 if there is more than we take.
 */
size_t sio2_auth(char *buf, size_t size, struct span query);

/*
 * UTF-8 as a JSON string, quotes and all, for the 'args' of an error: such
 * clients are told no more than err.message.  The exact length.
 */
size_t sio2_string(char *buf, size_t size, struct span text);

#endif /* PROTO_SIO2_H */
