/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include <openssl/evp.h>

#include "proto/put.h"
#include "proto/ws.h"

/* base64 of 16 bytes */
#define KEY_LEN 24
#define SHA1_LEN 20
/* more than anybody offers; they are compared with each other */
#define PROTOCOLS_MAX 32

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static bool
bad(struct http_error *err, int status, const char *why)
{
	err->status = status;
	err->why = why;
	return false;
}

static bool
is_base64_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || c == '+' || c == '/';
}

static bool
key_is_valid(struct span key)
{
	size_t i;

	if (key.len != KEY_LEN)
		return false;
	for (i = 0; i < KEY_LEN - 2; i++)
		if (!is_base64_char(key.p[i]))
			return false;
	return key.p[KEY_LEN - 2] == '=' && key.p[KEY_LEN - 1] == '=';
}

/* RFC 6455 4.2.2: base64(SHA-1(key + GUID)) */
static int
make_accept(struct span key, char accept[29])
{
	char text[KEY_LEN + sizeof(guid) - 1];
	unsigned char sum[SHA1_LEN];

	memcpy(text, key.p, KEY_LEN);
	memcpy(text + KEY_LEN, guid, sizeof(guid) - 1);
	if (EVP_Digest(text, sizeof(text), sum, NULL, EVP_sha1(), NULL) != 1)
		return -1;
	(void)EVP_EncodeBlock((unsigned char *)accept, sum, sizeof(sum));
	return 0;
}

int
ws_prepare(void)
{
	char accept[29];

	return make_accept((struct span){ "dGhlIHNhbXBsZSBub25jZQ==", KEY_LEN },
	    accept);
}

/* RFC 6455 4.1: tokens, none of them twice; the first is what we echo. */
static bool
choose_protocol(const struct http_request *req, struct span *protocol_r)
{
	struct span offered[PROTOCOLS_MAX], element;
	struct http_list list = { 0 };
	unsigned i, n = 0;

	while (http_list_next(req, "Sec-WebSocket-Protocol", &list, &element)) {
		if (n == PROTOCOLS_MAX || !http_is_token(element))
			return false;
		for (i = 0; i < n; i++)
			if (offered[i].len == element.len &&
			    memcmp(offered[i].p, element.p, element.len) == 0)
				return false;
		offered[n++] = element;
	}
	*protocol_r = n > 0 ? offered[0] : (struct span){ "", 0 };
	return n > 0 || http_header(req, "Sec-WebSocket-Protocol", NULL) == 0;
}

bool
ws_handshake(const struct http_request *req, struct ws_handshake *hs_r,
    struct http_error *err_r)
{
	struct ws_handshake hs = { 0 };
	struct span key, version;

	if (req->method != HTTP_GET)
		return bad(err_r, 405, "Invalid HTTP method");
	if (!req->upgrade_websocket)
		return bad(err_r, 400, "Invalid Upgrade header");
	/* the frames begin behind the head: there can be no body between */
	if (req->content_length > 0 || req->chunked)
		return bad(err_r, 400, "Unexpected request body");
	if (http_header(req, "Sec-WebSocket-Key", &key) != 1 ||
	    !key_is_valid(key))
		return bad(err_r, 400,
		    "Missing or invalid Sec-WebSocket-Key header");
	if (http_header(req, "Sec-WebSocket-Version", &version) != 1 ||
	    !(span_is(version, "13") || span_is(version, "8")))
		return bad(err_r, 400,
		    "Missing or invalid Sec-WebSocket-Version header");
	if (!choose_protocol(req, &hs.protocol))
		return bad(err_r, 400, "Invalid Sec-WebSocket-Protocol header");
	if (make_accept(key, hs.accept) == -1)
		return bad(err_r, 500, "No SHA-1");
	*hs_r = hs;
	return true;
}

size_t
ws_accept(char *buf, size_t size, const struct ws_handshake *hs,
    const char *headers)
{
	struct put w = { buf, size, 0 };
	char extension[WS_DEFLATE_ANSWER_MAX];

	put_text(&w,
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: ");
	put_text(&w, hs->accept);
	put_text(&w, "\r\n");
	if (hs->protocol.len > 0) {
		put_text(&w, "Sec-WebSocket-Protocol: ");
		put_bytes(&w, hs->protocol.p, hs->protocol.len);
		put_text(&w, "\r\n");
	}
	if (hs->deflate.bits > 0) {
		(void)ws_deflate_answer(extension, sizeof(extension),
		    &hs->deflate);
		put_text(&w, "Sec-WebSocket-Extensions: ");
		put_text(&w, extension);
		put_text(&w, "\r\n");
	}
	if (headers != NULL)
		put_text(&w, headers);
	put_text(&w, "\r\n");
	return w.len <= size ? w.len : 0;
}

size_t
ws_reject(char *buf, size_t size, const struct http_error *err)
{
	const struct http_response res = {
		.status = err->status,
		.close = true,
		.type = "text/html",
		.headers = err->status == 405
		    ? "Allow: GET\r\n"
		    : "Sec-WebSocket-Version: 13, 8\r\n",
		.body = err->why,
		.body_len = strlen(err->why),
	};

	return http_respond(buf, size, &res);
}
