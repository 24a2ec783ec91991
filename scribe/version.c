/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * version - what chatd -V says about the store.
 */

#include <stdio.h>

#include "common/role.h"
#include "store/store.h"

void
scribe_version(role_version_fn fn, void *arg)
{
	char schema[12];

	fn("lmdb", store_library(), arg);
	(void)snprintf(schema, sizeof(schema), "%d", STORE_SCHEMA);
	fn("store_schema", schema, arg);
}
