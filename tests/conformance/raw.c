/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * raw - modes without Socket.IO: every message comes back as it is.
 */

#include "tests/conformance/conformance.h"
#include "worker/session.h"

static void
opened(void *ctx, struct session *s)
{
}

static void
echo(void *ctx, struct session *s, char *data, size_t len, bool binary)
{
	if (binary)
		session_send_binary(s, data, len, CHAT_ANSWER);
	else
		session_send_text(s, data, len, CHAT_ANSWER);
}

static void
closed(void *ctx, struct session *s, const char *reason)
{
}

static const struct app_ops engine_ops = {
	.kind = APP_ENGINEIO,
	.keep_binary = true,
	.open = opened,
	.message = echo,
	.closed = closed,
};

static const struct app_ops websocket_ops = {
	.kind = APP_WEBSOCKET,
	.keep_binary = true,
	.open = opened,
	.message = echo,
	.closed = closed,
};

const struct mode mode_eio_echo = {
	.name = "eio-echo",
	.path = "/engine.io/",
	.ops = &engine_ops,
};

const struct mode mode_ws_echo = {
	.name = "ws-echo",
	.path = "/echo",
	.ops = &websocket_ops,
};
