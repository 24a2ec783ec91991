/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/frame.h"

#include "proto/base64.h"
#include "proto/ws.h"

/*
 * The header and the '4' of a message in front of 'len' bytes that the
 * caller writes at *at_r.  The whole length; *at_r is NULL if that is too
 * much.
 */
static size_t
begin(char *buf, size_t size, size_t len, char **at_r)
{
	size_t head = ws_header_size(len + 1);
	size_t whole = head + 1 + len;

	*at_r = NULL;
	if (whole > size)
		return whole;
	(void)ws_header(buf, WS_TEXT, len + 1);
	buf[head] = eio_type_char(EIO_MESSAGE);
	*at_r = buf + head + 1;
	return whole;
}

size_t
frame_packet(char *buf, size_t size, enum eio_type type)
{
	if (size < FRAME_PACKET_SIZE)
		return FRAME_PACKET_SIZE;
	(void)ws_header(buf, WS_TEXT, 1);
	buf[2] = eio_type_char(type);
	return FRAME_PACKET_SIZE;
}

size_t
frame_open(char *buf, size_t size, const struct eio_open *o)
{
	char text[EIO_OPEN_MAX];
	size_t len = eio_open_encode(text, sizeof(text), o);
	size_t head = ws_header_size(len);

	if (head + len > size)
		return head + len;
	(void)ws_header(buf, WS_TEXT, len);
	memcpy(buf + head, text, len);
	return head + len;
}

size_t
frame_message(char *buf, size_t size, const char *text, size_t len)
{
	char *at;
	size_t whole = begin(buf, size, len, &at);

	if (at != NULL && len > 0)
		memcpy(at, text, len);
	return whole;
}

/* Header and prefix of a binary message; *at_r as in begin(). */
static size_t
begin_binary(char *buf, size_t size, size_t len, unsigned revision, bool base64,
    char **at_r)
{
	char prefix[2];
	size_t n = eio_binary_prefix(prefix, revision, base64);
	size_t head = ws_header_size(n + len);
	size_t whole = head + n + len;

	*at_r = NULL;
	if (whole > size)
		return whole;
	(void)ws_header(buf, base64 ? WS_TEXT : WS_BINARY, n + len);
	memcpy(buf + head, prefix, n);
	*at_r = buf + head + n;
	return whole;
}

size_t
frame_binary(char *buf, size_t size, const void *data, size_t len,
    unsigned revision)
{
	char *at;
	size_t whole = begin_binary(buf, size, len, revision, false, &at);

	if (at != NULL && len > 0)
		memcpy(at, data, len);
	return whole;
}

size_t
frame_binary_b64(char *buf, size_t size, const void *data, size_t len,
    unsigned revision)
{
	char *at;
	size_t whole =
	    begin_binary(buf, size, base64_size(len), revision, true, &at);

	if (at != NULL && len > 0)
		base64_encode(at, data, len);
	return whole;
}

size_t
frame_sio(char *buf, size_t size, const struct sio_message *m)
{
	size_t len = sio_encode(NULL, 0, m);
	char *at;
	size_t whole = begin(buf, size, len, &at);

	if (at != NULL)
		(void)sio_encode(at, len, m);
	return whole;
}

size_t
frame_connect_to(char *buf, size_t size, const struct span *nsp,
    const char *sid, const char *pid)
{
	size_t len = sio_connect(NULL, 0, nsp, sid, pid);
	char *at;
	size_t whole = begin(buf, size, len, &at);

	if (at != NULL)
		(void)sio_connect(at, len, nsp, sid, pid);
	return whole;
}

size_t
frame_connect_error(char *buf, size_t size, const struct span *nsp,
    const char *message, const char *json, size_t json_len)
{
	size_t len = sio_connect_error(NULL, 0, nsp, message, json, json_len);
	char *at;
	size_t whole = begin(buf, size, len, &at);

	if (at != NULL)
		(void)sio_connect_error(at, len, nsp, message, json, json_len);
	return whole;
}

size_t
frame_event_offset(char *buf, size_t size, const char *name, const char *json,
    size_t json_len, const char *offset)
{
	size_t len =
	    sio_event_offset(NULL, 0, NULL, name, json, json_len, offset);
	char *at;
	size_t whole = begin(buf, size, len, &at);

	if (at != NULL)
		(void)sio_event_offset(at, len, NULL, name, json, json_len,
		    offset);
	return whole;
}

size_t
frame_event(char *buf, size_t size, const char *name, const char *json,
    size_t json_len)
{
	return frame_event_offset(buf, size, name, json, json_len, NULL);
}

size_t
frame_ack(char *buf, size_t size, uint64_t id, const char *json,
    size_t json_len)
{
	size_t len = sio_ack(NULL, 0, NULL, id, json, json_len);
	char *at;
	size_t whole = begin(buf, size, len, &at);

	if (at != NULL)
		(void)sio_ack(at, len, NULL, id, json, json_len);
	return whole;
}
