/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/request.h"

bool
read_parse(struct request *r)
{
	return false;
}

enum chat_error
read_handle(struct request *r)
{
	return CHAT_E_INTERNAL;
}

void
receipt_deliver(struct chat *chat, const struct chat_delivery *d)
{
}
