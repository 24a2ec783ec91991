/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * hearing - what children write to stderr when there is no terminal.
 *
 * A detached daemon has nobody who reads its stderr, but a child's last
 * words (why it cannot start, what an allocator or a sanitizer found) are
 * worth keeping: they go to the log, a line each.
 */

#ifndef MASTER_HEARING_H
#define MASTER_HEARING_H

struct event_base;
struct hearing;

/* From now on for all children that are started. */
struct hearing *hearing_new(struct event_base *base);
void hearing_free(struct hearing **h);

/* Read what is there, and tell the last line; empty: none, or h is NULL. */
const char *hearing_last(struct hearing *h);

#endif /* MASTER_HEARING_H */
