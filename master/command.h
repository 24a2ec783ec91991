/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * command - what chatctl can ask the master.
 */

#ifndef MASTER_COMMAND_H
#define MASTER_COMMAND_H

#include <stddef.h>
#include <stdint.h>

struct master;
struct request;

/*
 * Do it, and answer the asker (control.h), now or later.  'line' is the
 * request as it came, for those commands that a worker answers; it is gone
 * once the asker has its last line.
 */
void command_run(struct master *m, uint64_t asker, const struct request *r,
    const char *line, size_t len);

#endif /* MASTER_COMMAND_H */
