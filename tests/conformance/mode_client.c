/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * mode_client - what the test-suite of the official JavaScript client
 * expects of its server.
 */

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "proto/address.h"
#include "tests/conformance/handshake.h"
#include "tests/conformance/peer.h"
#include "worker/session.h"

/* Is argument 'i' bytes? */
static bool
is_bytes(const struct call *c, unsigned i)
{
	return call_is_binary(c, call_arg(c, i));
}

/* {hello: something, message: bytes, goodbye: something}? */
static bool
is_letter(const struct call *c)
{
	struct json_value v = call_arg(c, 0);

	return json_is_true(json_member(v, "hello")) &&
	    call_is_binary(c, json_member(v, "message")) &&
	    json_is_true(json_member(v, "goodbye"));
}

/* --- what the handshake was -------------------------------------------- */

static void
write_handshake(const struct peer *p, struct json_out *o)
{
	const struct session *s = p->so->session;
	struct handshake h = {
		.head = session_head(s),
		.auth = { p->auth, p->auth_len },
		.issued_ms = p->issued_ms,
	};
	struct net_address a = session_peer(s);
	char address[NET_ADDRESS_TEXT];

	a.port = 0;
	net_address_print(&a, address);
	h.address = address;
	handshake_json(o, &h);
}

static void
emit_handshake(struct peer *p)
{
	struct json_out o = { 0 };

	write_handshake(p, &o);
	peer_emit(p, "handshake", o.p, o.len);
	json_out_clear(&o);
}

static void
on_get_handshake(struct peer *p, const struct call *c)
{
	struct json_out o = { 0 };

	write_handshake(p, &o);
	peer_answer(p, c, o.p, o.len);
	json_out_clear(&o);
}

static void
on_get_id(struct peer *p, const struct call *c)
{
	char json[RECOVERY_ID + 2];
	int n;

	n = snprintf(json, sizeof(json), "\"%s\"", p->so->sid);
	peer_answer(p, c, json, (size_t)n);
}

/* --- text -------------------------------------------------------------- */

static void
on_hi(struct peer *p, const struct call *c)
{
	peer_emit_text(p, "hi", "");
}

static void
on_ack(struct peer *p, const struct call *c)
{
	peer_ask(p, "ack", "", 0);
}

static void
answered(struct peer *p, uint32_t tag, const struct call *c)
{
	int64_t five;

	if (json_to_int(call_arg(c, 0), 5, 5, &five) &&
	    json_is_true(json_member(call_arg(c, 1), "test")))
		peer_emit_text(p, "got it", "");
}

/* The time as JSON, in quotes. */
static void
date_now(char buf[ISO_SIZE + 2])
{
	char date[ISO_SIZE];

	iso_date(date, clock_real_ms());
	(void)snprintf(buf, ISO_SIZE + 2, "\"%s\"", date);
}

static void
on_get_ack_date(struct peer *p, const struct call *c)
{
	char date[ISO_SIZE + 2];

	date_now(date);
	peer_answer(p, c, date, strlen(date));
}

static void
on_get_date(struct peer *p, const struct call *c)
{
	char date[ISO_SIZE + 2];

	date_now(date);
	peer_emit_text(p, "takeDate", date);
}

static void
on_get_date_obj(struct peer *p, const struct call *c)
{
	char date[ISO_SIZE + 2], json[ISO_SIZE + 16];

	date_now(date);
	(void)snprintf(json, sizeof(json), "{\"date\":%s}", date);
	peer_emit_text(p, "takeDateObj", json);
}

static void
on_get_utf8(struct peer *p, const struct call *c)
{
	static const char *const texts[] = { "\"てすと\"", "\"Я Б Г Д Ж Й\"",
		"\"Ä ä Ü ü ß\"", "\"utf8 — string\"", "\"utf8 — string\"" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		peer_emit_text(p, "takeUtf8", texts[i]);
}

static void
on_false(struct peer *p, const struct call *c)
{
	peer_emit_text(p, "false", "false");
}

/* --- bytes ------------------------------------------------------------- */

static void
emit_bytes(struct peer *p, const char *name)
{
	struct packed pk = { .json = STRBUF_INIT, .n = 1 };

	sb_adds(&pk.json, "{\"_placeholder\":true,\"num\":0}");
	pk.attachments[0] = (struct span){ "asdfasdf", 8 };
	peer_emit_packed(p, name, &pk);
	sb_clear(&pk.json);
}

static void
on_doge(struct peer *p, const struct call *c)
{
	emit_bytes(p, "doge");
}

/* the bytes that come with it, if any do */
static void
on_getbin(struct peer *p, const struct call *c)
{
	if (call_arg(c, 0).kind == JSON_KIND_NONE)
		emit_bytes(p, "takebin");
	else
		peer_emit_back(p, "takebin", c);
}

static void
on_buffa(struct peer *p, const struct call *c)
{
	if (is_bytes(c, 0))
		peer_emit_text(p, "buffack", "");
}

static void
on_jsonbuff(struct peer *p, const struct call *c)
{
	if (is_letter(c))
		peer_emit_text(p, "jsonbuff-ack", "");
}

static void
on_jsonblob(struct peer *p, const struct call *c)
{
	if (is_letter(c))
		peer_emit_text(p, "jsonblob-ack", "");
}

static void
on_blob(struct peer *p, const struct call *c)
{
	peer_emit_back(p, "back", c);
}

/*
 * Two series whose order is looked at: p->step is what has come of one of
 * them, and whatever does not follow begins anew.
 */
enum step {
	STEP_NONE,
	STEP_ABUFF1,
	STEP_BLOB1,
	STEP_BLOB2,
};

static void
on_abuff1(struct peer *p, const struct call *c)
{
	p->step = is_bytes(c, 0) ? STEP_ABUFF1 : STEP_NONE;
}

static void
on_abuff2(struct peer *p, const struct call *c)
{
	if (p->step == STEP_ABUFF1 && call_arg(c, 0).kind == JSON_KIND_STRING)
		peer_emit_text(p, "abuff2-ack", "");
	p->step = STEP_NONE;
}

static void
on_blob1(struct peer *p, const struct call *c)
{
	p->step = is_bytes(c, 0) ? STEP_BLOB1 : STEP_NONE;
}

static void
on_blob2(struct peer *p, const struct call *c)
{
	struct json_value v = call_arg(c, 0);

	p->step = p->step == STEP_BLOB1 && v.kind == JSON_KIND_STRING &&
		json_is(v, "second")
	    ? STEP_BLOB2
	    : STEP_NONE;
}

static void
on_blob3(struct peer *p, const struct call *c)
{
	if (p->step == STEP_BLOB2 && is_bytes(c, 0))
		peer_emit_text(p, "blob3-ack", "");
	p->step = STEP_NONE;
}

/* --- who is let in ----------------------------------------------------- */

static bool
admit_main(struct peer *p, struct refusal *why_r)
{
	why_r->message = "Auth failed (main namespace)";
	return !handshake_has(session_head(p->so->session), "fail");
}

static bool
admit_nobody(struct peer *p, struct refusal *why_r)
{
	why_r->message = "Auth failed (custom namespace)";
	return false;
}

static const struct handler main_handlers[] = {
	{ "hi", on_hi },
	{ "echo", peer_answer_back },
	{ "ack", on_ack },
	{ "getAckDate", on_get_ack_date },
	{ "getDate", on_get_date },
	{ "getDateObj", on_get_date_obj },
	{ "getUtf8", on_get_utf8 },
	{ "false", on_false },
	{ "doge", on_doge },
	{ "getbin", on_getbin },
	{ "buffa", on_buffa },
	{ "jsonbuff", on_jsonbuff },
	{ "abuff1", on_abuff1 },
	{ "abuff2", on_abuff2 },
	{ "blob", on_blob },
	{ "jsonblob", on_jsonblob },
	{ "blob1", on_blob1 },
	{ "blob2", on_blob2 },
	{ "blob3", on_blob3 },
	{ "getHandshake", on_get_handshake },
	{ "getId", on_get_id },
	{ NULL, NULL },
};

static const struct handler foo_handlers[] = {
	{ "getId", on_get_id },
	{ NULL, NULL },
};

static const struct place places[] = {
	{ .name = "/",
	    .admit = admit_main,
	    .answered = answered,
	    .handlers = main_handlers },
	{ .name = "/foo", .handlers = foo_handlers },
	{ .name = "/timeout_socket" },
	{ .name = "/valid" },
	{ .name = "/asd" },
	{ .name = "/abc", .connected = emit_handshake },
	{ .name = "/no", .admit = admit_nobody },
	{ .name = NULL },
};

const struct mode mode_client = {
	.name = "client",
	.path = "/socket.io/",
	.ops = &peer_ops,
	.places = places,
	.recovery = true,
	.open_delay_ms = 10,
};
