/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_ws_handshake - what ws.h promises about the handshake.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/ws.h"

#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

static char text[HTTP_HEAD_MAX];
static char out[1024];
static struct ws_handshake hs;
static struct http_error err;

static bool
shake(const char *method, const char *fields)
{
	static struct http_request req;
	struct http_scan scan = { 0 };
	int len = snprintf(text, sizeof(text),
	    "%s / HTTP/1.1\r\nHost: x\r\n%s\r\n", method, fields);

	assert_int_equal(http_parse(text, (size_t)len, &scan, &req, &err),
	    HTTP_OK);
	return ws_handshake(&req, &hs, &err);
}

static void
good(const char *fields)
{
	if (!shake("GET", fields))
		fail_msg("%s: %s", fields, err.why);
}

static void
bad(const char *fields, const char *why)
{
	assert_false(shake("GET", fields));
	assert_int_equal(err.status, 400);
	assert_string_equal(err.why, why);
}

static void
the_accept_value_is_the_rfc_s(void **state)
{
	assert_int_equal(ws_prepare(), 0);
	good(UPGRADE KEY VERSION);
	assert_string_equal(hs.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_int_equal(hs.protocol.len, 0);
}

static void
an_upgrade_is_a_get(void **state)
{
	assert_false(shake("POST", UPGRADE KEY VERSION));
	assert_int_equal(err.status, 405);
	assert_false(shake("HEAD", UPGRADE KEY VERSION));
	bad(KEY VERSION, "Invalid Upgrade header");
	bad("Connection: Upgrade\r\nUpgrade: h2c\r\n" KEY VERSION,
	    "Invalid Upgrade header");
}

static void
an_upgrade_has_no_body(void **state)
{
	bad(UPGRADE KEY VERSION "Content-Length: 1\r\n",
	    "Unexpected request body");
	bad(UPGRADE KEY VERSION "Transfer-Encoding: chunked\r\n",
	    "Unexpected request body");
	good(UPGRADE KEY VERSION "Content-Length: 0\r\n");
}

static void
the_key_is_16_bytes_in_base64_and_alone(void **state)
{
	static const char why[] = "Missing or invalid Sec-WebSocket-Key header";

	bad(UPGRADE VERSION, why);
	bad(UPGRADE VERSION "Sec-WebSocket-Key:\r\n", why);
	bad(UPGRADE VERSION KEY KEY, why);
	bad(UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
	    why);
	bad(UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===\r\n",
	    why);
	bad(UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQQ=\r\n",
	    why);
	bad(UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\r\n",
	    why);
	bad(UPGRADE VERSION "Sec-WebSocket-Key: dGhl-HNhbXBsZSBub25jZQ==\r\n",
	    why);
	bad(UPGRADE VERSION "Sec-WebSocket-Key: dGhl HNhbXBsZSBub25jZQ==\r\n",
	    why);
	good(UPGRADE VERSION
	    "Sec-WebSocket-Key: \t++//++//++//++//++//++==  \r\n");
	good(UPGRADE VERSION "Sec-WebSocket-Key: 09azAZ+/09azAZ+/09azAZ==\r\n");
}

static void
versions_are_13_and_8(void **state)
{
	static const char why[] =
	    "Missing or invalid Sec-WebSocket-Version header";

	good(UPGRADE KEY "Sec-WebSocket-Version: 8\r\n");
	bad(UPGRADE KEY, why);
	bad(UPGRADE KEY "Sec-WebSocket-Version: 7\r\n", why);
	bad(UPGRADE KEY "Sec-WebSocket-Version: 14\r\n", why);
	bad(UPGRADE KEY "Sec-WebSocket-Version: 013\r\n", why);
	bad(UPGRADE KEY "Sec-WebSocket-Version: 13, 8\r\n", why);
	bad(UPGRADE KEY VERSION VERSION, why);
	bad(UPGRADE KEY "Sec-WebSocket-Version:\r\n", why);
}

static void
the_first_subprotocol_is_echoed(void **state)
{
	good(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: chat.v1 , b\r\n");
	assert_true(span_is(hs.protocol, "chat.v1"));
	good(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a\r\n"
				 "Sec-WebSocket-Protocol: b\r\n");
	assert_true(span_is(hs.protocol, "a"));
}

static void
subprotocols_are_tokens_and_none_comes_twice(void **state)
{
	static const char why[] = "Invalid Sec-WebSocket-Protocol header";

	bad(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a b\r\n", why);
	bad(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a, a\r\n", why);
	bad(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a, b(\r\n", why);
	bad(UPGRADE KEY VERSION "Sec-WebSocket-Protocol:\r\n", why);
	bad(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: ,\r\n", why);
	bad(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a\r\n"
				"Sec-WebSocket-Protocol: a\r\n",
	    why);
	good(UPGRADE KEY VERSION
	    "Sec-WebSocket-Protocol: "
	    "0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,"
	    "v\r\n");
	bad(UPGRADE KEY VERSION
	    "Sec-WebSocket-Protocol: "
	    "0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,"
	    "v,w\r\n",
	    why);
}

static void
cve_2021_32640_a_sea_of_blanks(void **state)
{
	static char fields[16000];
	size_t n = sizeof(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: b") - 1;

	memcpy(fields, UPGRADE KEY VERSION "Sec-WebSocket-Protocol: b", n);
	memset(fields + n, ' ', sizeof(fields) - n);
	memcpy(fields + sizeof(fields) - 4, "x\r\n", 4);
	bad(fields, "Invalid Sec-WebSocket-Protocol header");
}

static void
ghsa_5v72_no_extension_spoils_a_handshake(void **state)
{
	good(UPGRADE KEY VERSION "Sec-WebSocket-Extensions: constructor\r\n");
	good(UPGRADE KEY VERSION "Sec-WebSocket-Extensions: ;\r\n");
	good(UPGRADE KEY VERSION
	    "Sec-WebSocket-Extensions: "
	    "permessage-deflate; client_max_window_bits\r\n");
	/* and none is agreed to by itself */
	assert_int_equal(hs.deflate.bits, 0);
}

static void
case_74_upgrades_as_browsers_write_them(void **state)
{
	/* Firefox; RFC 6455 4.2.1: "websocket" in any case, in any list */
	good("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" KEY
		VERSION);
	good("connection: upgrade\r\nupgrade: WebSocket\r\n" KEY VERSION);
	good("Connection: close,\tUPGRADE\r\nUpgrade: WEBSOCKET\r\n" KEY
		VERSION);
	good("Connection: keep-alive\r\nConnection: Upgrade\r\n"
	     "Upgrade: h2c, websocket\r\n" KEY VERSION);
	bad("Connection: keep-alive\r\nUpgrade: websocket\r\n" KEY VERSION,
	    "Invalid Upgrade header");
	bad("Upgrade: websocket\r\n" KEY VERSION, "Invalid Upgrade header");
	bad("Connection: Upgraded\r\nUpgrade: websocket\r\n" KEY VERSION,
	    "Invalid Upgrade header");
	bad("Connection: Upgrade\r\nUpgrade: websockets\r\n" KEY VERSION,
	    "Invalid Upgrade header");
}

/* What a whole head comes to; 0: it may be shaken hands with. */
static int
status_of(const char *head)
{
	static struct http_request req;
	struct http_scan scan = { 0 };

	(void)snprintf(text, sizeof(text), "%s", head);
	err.status = 0;
	if (http_parse(text, strlen(text), &scan, &req, &err) != HTTP_OK)
		return err.status;
	return ws_handshake(&req, &hs, &err) ? 0 : err.status;
}

static void
case_75_http_1_0_and_a_missing_host(void **state)
{
	assert_int_equal(status_of(
			     "GET / HTTP/1.1\r\nHost: x\r\n" UPGRADE KEY VERSION
			     "\r\n"),
	    0);
	assert_int_equal(status_of(
			     "GET / HTTP/1.1\r\nHost:\r\n" UPGRADE KEY VERSION
			     "\r\n"),
	    0);
	assert_int_equal(status_of(
			     "GET / HTTP/1.1\r\n" UPGRADE KEY VERSION "\r\n"),
	    400);
	assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: x\r\n"
				   "Host: x\r\n" UPGRADE KEY VERSION "\r\n"),
	    400);
	/* RFC 9110 7.8: an Upgrade in HTTP/1.0 is ignored */
	assert_int_equal(status_of(
			     "GET / HTTP/1.0\r\nHost: x\r\n" UPGRADE KEY VERSION
			     "\r\n"),
	    400);
	assert_string_equal(err.why, "Invalid Upgrade header");
	assert_int_equal(status_of(
			     "GET / HTTP/1.0\r\n" UPGRADE KEY VERSION "\r\n"),
	    400);
}

static void
a_handshake_is_answered(void **state)
{
	static const char want[] =
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	    "Sec-WebSocket-Protocol: p\r\n"
	    "Vary: Origin\r\n\r\n";
	size_t len;

	good(UPGRADE KEY VERSION
	    "Sec-WebSocket-Protocol: p, q\r\n"
	    "Sec-WebSocket-Extensions: permessage-deflate\r\n");
	len = ws_accept(out, sizeof(out), &hs, "Vary: Origin\r\n");
	assert_int_equal(len, strlen(want));
	assert_memory_equal(out, want, len);
	assert_int_equal(ws_accept(out, len - 1, &hs, "Vary: Origin\r\n"), 0);
	assert_int_equal(ws_accept(out, len, &hs, "Vary: Origin\r\n"), len);
	good(UPGRADE KEY VERSION);
	len = ws_accept(out, sizeof(out), &hs, NULL);
	assert_int_equal(len, strlen(want) - 27 - 14);
}

static void
a_refusal_tells_what_we_speak(void **state)
{
	size_t len;

	bad(UPGRADE KEY, "Missing or invalid Sec-WebSocket-Version header");
	len = ws_reject(out, sizeof(out), &err);
	out[len] = '\0';
	assert_string_equal(out,
	    "HTTP/1.1 400 Bad Request\r\n"
	    "Content-Type: text/html\r\n"
	    "Content-Length: 47\r\n"
	    "Sec-WebSocket-Version: 13, 8\r\n"
	    "Connection: close\r\n\r\n"
	    "Missing or invalid Sec-WebSocket-Version header");
	assert_false(shake("POST", UPGRADE KEY VERSION));
	len = ws_reject(out, sizeof(out), &err);
	out[len] = '\0';
	assert_non_null(strstr(out, "\r\nAllow: GET\r\n"));
	assert_int_equal(ws_reject(out, len - 1, &err), 0);
}

static void
case_59_frames_may_stand_right_behind_the_request(void **state)
{
	/* "40", masked with zeros */
	static const char frame[] = "\x81\x82\0\0\0\0"
				    "40";
	static struct http_request req;
	struct http_scan scan = { 0 };
	struct ws_parser p;
	struct ws_event ev;
	size_t head, used;

	good(UPGRADE KEY VERSION);
	head = strlen(text);
	memcpy(text + head, frame, sizeof(frame) - 1);
	assert_int_equal(http_parse(text, head + sizeof(frame) - 1, &scan, &req,
			     &err),
	    HTTP_OK);
	assert_int_equal(req.head_len, head);
	ws_init(&p, 100);
	assert_int_equal(ws_next(&p, text + req.head_len, sizeof(frame) - 1,
			     &used, &ev),
	    WS_DATA);
	assert_int_equal(used, sizeof(frame) - 1);
	assert_int_equal(ev.len, 2);
	assert_memory_equal(ev.data, "40", 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_accept_value_is_the_rfc_s),
		cmocka_unit_test(an_upgrade_is_a_get),
		cmocka_unit_test(an_upgrade_has_no_body),
		cmocka_unit_test(the_key_is_16_bytes_in_base64_and_alone),
		cmocka_unit_test(versions_are_13_and_8),
		cmocka_unit_test(the_first_subprotocol_is_echoed),
		cmocka_unit_test(subprotocols_are_tokens_and_none_comes_twice),
		cmocka_unit_test(cve_2021_32640_a_sea_of_blanks),
		cmocka_unit_test(ghsa_5v72_no_extension_spoils_a_handshake),
		cmocka_unit_test(case_74_upgrades_as_browsers_write_them),
		cmocka_unit_test(case_75_http_1_0_and_a_missing_host),
		cmocka_unit_test(a_handshake_is_answered),
		cmocka_unit_test(a_refusal_tells_what_we_speak),
		cmocka_unit_test(
		    case_59_frames_may_stand_right_behind_the_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
