/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/request.h"

bool
edit_parse(struct request *r)
{
	return false;
}

enum chat_error
edit_handle(struct request *r)
{
	return CHAT_E_INTERNAL;
}

bool
delete_parse(struct request *r)
{
	return false;
}

enum chat_error
delete_handle(struct request *r)
{
	return CHAT_E_INTERNAL;
}

void
edit_deliver(struct chat *chat, const struct chat_delivery *d)
{
}
