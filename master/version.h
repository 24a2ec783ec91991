/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * version - what this binary is, and what it was built from.
 */

#ifndef MASTER_VERSION_H
#define MASTER_VERSION_H

typedef void (*version_fn)(const char *what, const char *value, void *arg);

void version_each(version_fn fn, void *arg);

/* chatd -V */
void version_print(void);

#endif /* MASTER_VERSION_H */
