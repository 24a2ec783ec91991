/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/put.h"
#include "proto/sio.h"

static void
put_nsp(struct put *w, struct span nsp)
{
	if (nsp.len == 0 || span_is(nsp, "/"))
		return;
	put_bytes(w, nsp.p, nsp.len);
	put_char(w, ',');
}

static void
put_head(struct put *w, enum sio_type type, const struct span *nsp)
{
	put_char(w, (char)('0' + type));
	if (nsp != NULL)
		put_nsp(w, *nsp);
}

/* --- any packet ---------------------------------------------------------- */

static bool
is_event(const struct sio_message *m)
{
	return m->type == SIO_EVENT || m->type == SIO_BINARY_EVENT;
}

static bool
is_ack(const struct sio_message *m)
{
	return m->type == SIO_ACK || m->type == SIO_BINARY_ACK;
}

static enum sio_type
type_of(const struct sio_message *m)
{
	if (is_event(m))
		return m->nattach > 0 ? SIO_BINARY_EVENT : SIO_EVENT;
	if (is_ack(m))
		return m->nattach > 0 ? SIO_BINARY_ACK : SIO_ACK;
	return m->type;
}

static void
put_element(struct put *w, bool *comma, const char *p, size_t len)
{
	if (len == 0)
		return;
	if (*comma)
		put_char(w, ',');
	put_bytes(w, p, len);
	*comma = true;
}

static void
put_array(struct put *w, const struct sio_message *m)
{
	bool comma = false;

	put_char(w, '[');
	put_element(w, &comma, m->name.p, m->name.len);
	put_element(w, &comma, m->args.p, m->args.len);
	if (m->offset.len > 0) {
		put_text(w, comma ? ",\"" : "\"");
		put_bytes(w, m->offset.p, m->offset.len);
		put_char(w, '"');
	}
	put_char(w, ']');
}

size_t
sio_encode(char *buf, size_t size, const struct sio_message *m)
{
	struct put w = { buf, size, 0 };

	put_char(&w, (char)('0' + type_of(m)));
	if (m->nattach > 0) {
		put_u64(&w, m->nattach);
		put_char(&w, '-');
	}
	put_nsp(&w, m->nsp);
	if (m->has_id)
		put_u64(&w, m->id);
	if (is_event(m) || is_ack(m))
		put_array(&w, m);
	else
		put_bytes(&w, m->args.p, m->args.len);
	return w.len;
}

/* --- frequent ones ------------------------------------------------------- */

size_t
sio_connect(char *buf, size_t size, const struct span *nsp, const char *sid,
    const char *pid)
{
	struct put w = { buf, size, 0 };

	put_head(&w, SIO_CONNECT, nsp);
	put_text(&w, "{\"sid\":\"");
	put_text(&w, sid);
	if (pid != NULL) {
		put_text(&w, "\",\"pid\":\"");
		put_text(&w, pid);
	}
	put_text(&w, "\"}");
	return w.len;
}

size_t
sio_connect_error(char *buf, size_t size, const struct span *nsp,
    const char *message, const char *json, size_t len)
{
	struct put w = { buf, size, 0 };

	put_head(&w, SIO_CONNECT_ERROR, nsp);
	put_text(&w, "{\"message\":\"");
	put_text(&w, message);
	put_char(&w, '"');
	if (json != NULL) {
		put_text(&w, ",\"data\":");
		put_bytes(&w, json, len);
	}
	put_char(&w, '}');
	return w.len;
}

/* 'json' and what stands behind it */
static void
put_rest(struct put *w, const char *json, size_t len, const char *offset)
{
	put_bytes(w, json, len);
	if (offset != NULL) {
		put_text(w, ",\"");
		put_text(w, offset);
		put_char(w, '"');
	}
	put_char(w, ']');
}

size_t
sio_event_offset(char *buf, size_t size, const struct span *nsp,
    const char *name, const char *json, size_t len, const char *offset)
{
	struct put w = { buf, size, 0 };

	put_head(&w, SIO_EVENT, nsp);
	put_text(&w, "[\"");
	put_text(&w, name);
	put_text(&w, len > 0 ? "\"," : "\"");
	put_rest(&w, json, len, offset);
	return w.len;
}

size_t
sio_event(char *buf, size_t size, const struct span *nsp, const char *name,
    const char *json, size_t len)
{
	return sio_event_offset(buf, size, nsp, name, json, len, NULL);
}

size_t
sio_ack(char *buf, size_t size, const struct span *nsp, uint64_t id,
    const char *json, size_t len)
{
	struct put w = { buf, size, 0 };

	put_head(&w, SIO_ACK, nsp);
	put_u64(&w, id);
	put_char(&w, '[');
	put_rest(&w, json, len, NULL);
	return w.len;
}
