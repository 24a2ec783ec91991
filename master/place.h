/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * place - the directories of a daemon, and that they are ours alone.
 *
 * data_dir/chatd.lock is locked by the master and by each scribe (which
 * inherits the lock), so that there is never a second writer, not even
 * while the children of a killed master still drain.  It holds the pid of
 * the master.  run_dir itself is locked by the master; chatd.pid in it is
 * for people.
 *
 * Everything is reached through descriptors of the two directories: once
 * the privileges are dropped, their paths may lead through directories that
 * we cannot enter.
 */

#ifndef MASTER_PLACE_H
#define MASTER_PLACE_H

#include <stdbool.h>

#define PLACE_SOCKET "chatd.sock"

struct config;
struct config_errors;
struct rights;

struct place {
	int run_fd;
	int data_fd;
	int lock_fd;
	bool pid_written;
};

/* chatd -t: could place_take() succeed?  Changes nothing. */
void place_check(const struct config *cfg, const struct rights *r,
    struct config_errors *errors);

/*
 * Make the directories and lock them; before the privileges are dropped.
 * No return on failure, which names the daemon that has them.
 */
void place_take(struct place *p, const struct config *cfg,
    const struct rights *r);

/* chatd.pid; after the privileges are dropped.  No return on failure. */
void place_write_pid(struct place *p);

/* Remove the pid file, unlock everything. */
void place_leave(struct place *p);

#endif /* MASTER_PLACE_H */
