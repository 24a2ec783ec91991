/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include <stddef.h>

#include <lmdb.h>

#include "store/store.h"

const char *
store_library(void)
{
	return mdb_version(NULL, NULL, NULL);
}
