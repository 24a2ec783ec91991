/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clerk - starts the process that does one long command of chatctl.
 *
 * The clerk gets chatctl's connection and answers by itself, so nothing of
 * its answer passes through the master.  There is one clerk at a time.
 */

#ifndef MASTER_CLERK_H
#define MASTER_CLERK_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

struct clerk;
struct master;
struct request;

struct clerk *clerk_new(struct master *m);
/* Waits a moment for the one that runs, which has been told, or kills it. */
void clerk_free(struct clerk **c);

/*
 * Have a clerk do what was asked for; it takes the asker over.  'output': it
 * writes to the file that came with the request.
 */
void clerk_begin(struct clerk *c, uint64_t asker, const struct request *r,
    bool output);

/* A process was reaped; false: it was no clerk. */
bool clerk_reaped(struct clerk *c, pid_t pid, int status);

/* The daemon stops: tell it, so that it can say so. */
void clerk_stop(struct clerk *c);

/* What runs, and since when (CLOCK_MONOTONIC, ms); NULL: nothing. */
const char *clerk_running(const struct clerk *c, uint64_t *since_ms_r,
    pid_t *pid_r);

#endif /* MASTER_CLERK_H */
