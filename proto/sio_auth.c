/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The payload of CONNECT: what is the application's, and what is for
 * recovery.
 */

#include "common/json.h"
#include "proto/put.h"
#include "proto/sio.h"

#define PID "pid"
#define OFFSET "offset"

static bool
is_sid_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

static bool
read_pid(struct json_value v, char pid_r[EIO_SID_LEN + 1])
{
	char pid[EIO_SID_LEN + 1];
	size_t i;

	if (v.kind != JSON_KIND_STRING ||
	    json_decode(v, pid, sizeof(pid)) != EIO_SID_LEN)
		return false;
	for (i = 0; i < EIO_SID_LEN; i++)
		if (!is_sid_char(pid[i]))
			return false;
	memcpy(pid_r, pid, sizeof(pid));
	return true;
}

bool
sio_recovery(struct span payload, char pid_r[EIO_SID_LEN + 1], char *offset_r,
    size_t size)
{
	struct json_value auth, offset;

	if (payload.len == 0)
		return false;
	auth = json_value(payload.p, payload.len);
	if (!read_pid(json_member(auth, PID), pid_r))
		return false;
	offset = json_member(auth, OFFSET);
	if (offset.kind != JSON_KIND_STRING ||
	    json_decode(offset, offset_r, size) < 0)
		offset_r[0] = '\0';
	return true;
}

size_t
sio_auth(char *buf, size_t size, struct span payload)
{
	struct put w = { buf, size, 0 };
	struct json_value key, v;
	struct json_iter it = { NULL, NULL };
	bool comma = false;

	if (payload.len > 0)
		it = json_iter(json_value(payload.p, payload.len));
	put_char(&w, '{');
	while (json_next_member(&it, &key, &v)) {
		if (json_is(key, PID) || json_is(key, OFFSET))
			continue;
		if (comma)
			put_char(&w, ',');
		put_bytes(&w, key.text.p, key.text.len);
		put_char(&w, ':');
		put_bytes(&w, v.text.p, v.text.len);
		comma = true;
	}
	put_char(&w, '}');
	return w.len;
}
