/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * rights - as whom the daemon runs, and what it may have.
 */

#ifndef MASTER_RIGHTS_H
#define MASTER_RIGHTS_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

struct config;
struct config_errors;
struct stat;

struct rights {
	/* started by root: will run as uid and gid, else it already does */
	bool root;
	uid_t uid;
	gid_t gid;
	/* for messages */
	char user[64];
};

/*
 * As whom this configuration runs.  -1 and an entry in *errors for each
 * name that does not exist.  Started by somebody else than root, the
 * daemon stays what it is.
 */
int rights_find(const struct config *cfg, struct rights *r,
    struct config_errors *errors);

/* Could it write a file or directory like this? */
bool rights_can_write(const struct rights *r, const struct stat *st);

/*
 * Having become that user: which files that a reload reads, 'file' with the
 * options among them, it could not read.
 */
void rights_unreadable(const struct rights *r, const struct config *cfg,
    const char *file, void (*fn)(const char *text, void *arg), void *arg);

/*
 * Become that user for good; of root's powers only binding of low ports is
 * kept.  No return on failure.
 */
void rights_drop(const struct rights *r);

/* Raise the limit of descriptors as far as it goes; returns it. */
uint64_t rights_raise_files(void);

#endif /* MASTER_RIGHTS_H */
