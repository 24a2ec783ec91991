/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * count - numbers for the rows of tbl_counts.h: chat_ops.count()'s 'what'.
 */

#ifndef CHAT_COUNT_H
#define CHAT_COUNT_H

enum chat_count {
#define CHAT_COUNT(NAME, name, text) CHAT_COUNT_##NAME,
#include "chat/tbl_counts.h"
	CHAT_COUNT__MAX,
};

#endif /* CHAT_COUNT_H */
