/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/request.h"

void
status_deliver(struct chat *chat, const struct chat_delivery *d)
{
}
