/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/request.h"

bool
stream_parse(struct request *r)
{
	return false;
}

enum chat_error
stream_handle(struct request *r)
{
	return CHAT_E_INTERNAL;
}

bool
cancel_parse(struct request *r)
{
	return false;
}

enum chat_error
cancel_handle(struct request *r)
{
	return CHAT_E_INTERNAL;
}

void
chunk_deliver(struct chat *chat, const struct chat_delivery *d)
{
}

void
cancel_deliver(struct chat *chat, const struct chat_delivery *d)
{
}
