/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * mode_sio - what the suite of the Socket.IO protocol expects of a server.
 */

#include "tests/conformance/peer.h"

static void
emit_auth(struct peer *p)
{
	peer_emit(p, "auth", p->auth, p->auth_len);
}

static void
on_message(struct peer *p, const struct call *c)
{
	peer_emit_back(p, "message-back", c);
}

static const struct handler handlers[] = {
	{ "message", on_message },
	{ "message-with-ack", peer_answer_back },
	{ NULL, NULL },
};

static const struct place places[] = {
	{ .name = "/", .connected = emit_auth, .handlers = handlers },
	{ .name = "/custom", .connected = emit_auth },
	{ .name = NULL },
};

const struct mode mode_sio = {
	.name = "sio",
	.path = "/socket.io/",
	.ops = &peer_ops,
	.places = places,
};
