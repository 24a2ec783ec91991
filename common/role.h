/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * role - the processes that chatd is made of.
 */

#ifndef COMMON_ROLE_H
#define COMMON_ROLE_H

enum role {
	ROLE_MASTER,
	ROLE_WORKER,
	ROLE_SCRIBE,
	/* one command of chatctl that reads the whole store; also started by
	 * chatctl itself, without a daemon */
	ROLE_CLERK,
	/* asks the web application whose token it is (auth.mode webhook) */
	ROLE_BRIDGE,
	ROLE__MAX,
};

/* Where the binary finds which role it is: "worker", "scribe", "clerk",
 * "bridge". */
#define ROLE_ENV "CHATD_ROLE"

/* The descriptor on which a child finds its connection to the master. */
#define ROLE_IPC_FD 3

/*
 * The scribe also inherits the lock of the data directory and never touches
 * it: so the lock is held until the last writer has ended, even when the
 * master was killed before.
 */
#define ROLE_LOCK_FD 4

/*
 * The scribe's exit status when the log ring begins below a position that
 * the store has seen (the clock was set back): start again with a higher
 * base.
 */
#define ROLE_EXIT_BASE 3

/* What each role does from its start to its exit; returns the exit status. */
int worker_main(void);
int scribe_main(void);
int clerk_main(void);
int bridge_main(void);

/* chatd -V: what the master cannot know, a name and a value each. */
typedef void (*role_version_fn)(const char *what, const char *value, void *arg);
void scribe_version(role_version_fn fn, void *arg);
void bridge_version(role_version_fn fn, void *arg);

#endif /* COMMON_ROLE_H */
