/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * bundle - the browser's files out of client_dir, for the workers to serve.
 */

#ifndef MASTER_BUNDLE_H
#define MASTER_BUNDLE_H

#include <stdbool.h>

struct config;

/*
 * Read the files that are there into a sealed memfd (common/bundle.h),
 * close-on-exec.  -1: there are none.  That is no error; it is told in the
 * log when a directory was named and cannot be read or holds none of them,
 * and when a file cannot be taken.
 */
int bundle_make(const struct config *cfg);

/* Do both hold the same?  -1 is the same as -1 only. */
bool bundle_same(int a, int b);

#endif /* MASTER_BUNDLE_H */
