/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/request.h"

bool
refresh_parse(struct request *r)
{
	return false;
}

enum chat_error
refresh_handle(struct request *r)
{
	return CHAT_E_INTERNAL;
}
