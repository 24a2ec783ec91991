/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * mode_edge - for the edge cases of the wire page.
 */

#include <stdio.h>

#include "tests/conformance/peer.h"

/* as much as a test may ask for */
#define BIG_MAX (32 << 20)
#define ASK_MAX 100000

static int64_t
number_of(const struct call *c, int64_t max)
{
	int64_t n;

	return json_to_int(call_arg(c, 0), 0, max, &n) ? n : 0;
}

/* A string of so many characters. */
static void
on_big(struct peer *p, const struct call *c)
{
	size_t n = (size_t)number_of(c, BIG_MAX);
	struct strbuf sb = STRBUF_INIT;
	char *text;

	text = sb_reserve(&sb, n + 2);
	memset(text, 'x', n + 2);
	text[0] = text[n + 1] = '"';
	peer_emit(p, "bigb", text, n + 2);
	sb_clear(&sb);
}

static void
on_kick(struct peer *p, const struct call *c)
{
	sock_disconnect(p->so, json_is_true(call_arg(c, 0)),
	    "server namespace disconnect");
}

/* So many events that ask for an answer. */
static void
on_ask(struct peer *p, const struct call *c)
{
	int64_t n = number_of(c, ASK_MAX);
	char json[24];

	for (uint32_t i = 0; i < n; i++) {
		(void)snprintf(json, sizeof(json), "%u", (unsigned)i);
		peer_ask(p, "asked", json, i);
	}
}

static void
answered(struct peer *p, uint32_t tag, const struct call *c)
{
	struct packed pk = { .json = STRBUF_INIT };

	sb_addf(&pk.json, "%u", (unsigned)tag);
	if (call_pack(c, &pk))
		peer_emit_packed(p, "answered", &pk);
	sb_clear(&pk.json);
}

static bool
admit_ok(struct peer *p, struct refusal *why_r)
{
	if (json_is_true(json_member(peer_auth(p), "ok")))
		return true;
	why_r->message = "not authorized";
	why_r->data = "{\"content\":\"Please retry later\"}";
	return false;
}

static const struct handler handlers[] = {
	{ "big", on_big },
	{ "kick", on_kick },
	{ "ask", on_ask },
	{ NULL, NULL },
};

/* clang-format off */
#define PLACE \
	.any = peer_answer_back, .answered = answered, .handlers = handlers
static const struct place places[] = {
	{ .name = "/", PLACE },
	{ .name = "/a", PLACE },
	{ .name = "/mw", .admit = admit_ok, PLACE },
	{ .name = NULL },
};
/* clang-format on */

const struct mode mode_edge = {
	.name = "edge",
	.path = "/socket.io/",
	.ops = &peer_ops,
	.places = places,
};
