/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * logs - the log target of all processes; the master opens it.
 */

#ifndef MASTER_LOGS_H
#define MASTER_LOGS_H

#include <stdbool.h>

struct config;

/* The target's name under this configuration: -d logs to stderr. */
const char *logs_target(const struct config *cfg, bool foreground);

/* Is it a stderr that cannot be opened again?  In the background there is none
 * but the one that we were started with. */
bool logs_on_gone_stderr(const struct config *cfg, bool foreground);

/* Open it; close-on-exec.  -1 with errno. */
int logs_open(const struct config *cfg, bool foreground);

/* Log there from now on, as configured.  'fd' stays the caller's. */
void logs_use(int fd, const struct config *cfg);

#endif /* MASTER_LOGS_H */
