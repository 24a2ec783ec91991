/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * frame - whole WebSocket frames around Engine.IO and Socket.IO packets.
 *
 * A frame is encoded once and may then be sent to any number of clients.
 *
 * Each function returns the exact length of the frame; if that is more than
 * 'size' (0 with buf NULL is fine) nothing is written.
 */

#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "proto/eio.h"
#include "proto/sio.h"
#include "proto/span.h"

/* an Engine.IO packet without data: ping, pong, close, noop */
#define FRAME_PACKET_SIZE 3
size_t frame_packet(char *buf, size_t size, enum eio_type type);

/* what a handshake ends with */
size_t frame_open(char *buf, size_t size, const struct eio_open *o);

/* a text message of any content: '4' is put in front */
size_t frame_message(char *buf, size_t size, const char *text, size_t len);

/*
 * A binary message, for a session of that revision; as base64 in a text
 * frame for a client that asked for it (b64 in its handshake's query).
 */
size_t frame_binary(char *buf, size_t size, const void *data, size_t len,
    unsigned revision);
size_t frame_binary_b64(char *buf, size_t size, const void *data, size_t len,
    unsigned revision);

/* Any Socket.IO packet, in any namespace: proto/sio.h. */
size_t frame_sio(char *buf, size_t size, const struct sio_message *m);
size_t frame_connect_to(char *buf, size_t size, const struct span *nsp,
    const char *sid, const char *pid);

/*
 * Frequent ones, all but the error in the namespace "/"; arguments as in
 * proto/sio.h.
 */
size_t frame_connect_error(char *buf, size_t size, const struct span *nsp,
    const char *message, const char *json, size_t len);
size_t frame_event(char *buf, size_t size, const char *name, const char *json,
    size_t len);
/* 'offset' may be NULL: none */
size_t frame_event_offset(char *buf, size_t size, const char *name,
    const char *json, size_t len, const char *offset);
size_t frame_ack(char *buf, size_t size, uint64_t id, const char *json,
    size_t len);

#endif /* PROTO_FRAME_H */
