/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * frame - whole WebSocket frames around Engine.IO and Socket.IO packets.
 *
 * A frame is encoded once and may then be sent to any number of clients.
 * All of the namespace "/".
 *
 * Each function returns the exact length of the frame; if that is more than
 * 'size' (0 with buf NULL is fine) nothing is written.
 */

#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "proto/eio.h"
#include "proto/span.h"

/* an Engine.IO packet without data: ping, pong, close, noop */
#define FRAME_PACKET_SIZE 3
size_t frame_packet(char *buf, size_t size, enum eio_type type);

/* what a handshake ends with */
size_t frame_open(char *buf, size_t size, const struct eio_open *o);

/* a text message of any content: '4' is put in front */
size_t frame_message(char *buf, size_t size, const char *text, size_t len);

/* Socket.IO packets: arguments as in proto/sio.h */
size_t frame_connect(char *buf, size_t size, const char *sid, const char *pid);
size_t frame_connect_error(char *buf, size_t size, const struct span *nsp,
    const char *message, const char *json, size_t len);
size_t frame_event(char *buf, size_t size, const char *name, const char *json,
    size_t len);
size_t frame_ack(char *buf, size_t size, uint64_t id, const char *json,
    size_t len);
size_t frame_disconnect(char *buf, size_t size);

/*
 * For JSON that is written straight into the frame: everything in front of
 * 'len' bytes of it; FRAME_EVENT_TAIL has to follow them.
 */
#define FRAME_EVENT_TAIL "]"
size_t frame_event_head(char *buf, size_t size, const char *name, size_t len);
size_t frame_ack_head(char *buf, size_t size, uint64_t id, size_t len);

#endif /* PROTO_FRAME_H */
