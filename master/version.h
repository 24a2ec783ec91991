/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * version - what this binary is, and what it was built from.
 */

#ifndef MASTER_VERSION_H
#define MASTER_VERSION_H

#include "common/role.h"

void version_each(role_version_fn fn, void *arg);

/* chatd -V */
void version_print(void);

#endif /* MASTER_VERSION_H */
