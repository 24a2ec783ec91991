/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * spawn - starting a role in an address space of its own.
 *
 * The master holds a descriptor for every client, and fork() would copy
 * them all, only for exec to close them.  So the child is cloned with the
 * descriptor table shared, unshares it while keeping only the lowest few,
 * and executes /proc/self/exe; meanwhile the master is stopped (CLONE_VFORK),
 * so that nobody uses the shared table.  Descriptors 3 to 5 are kept free
 * for this in the master: the child needs what it gets at a low number.
 */

#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include <sys/types.h>

#include "common/role.h"

/*
 * Close what was inherited above stderr, and keep ROLE_IPC_FD and
 * ROLE_LOCK_FD for us.  Call it before anything else is opened.
 */
void spawn_init(void);

/*
 * From now on stdout and stderr of children are this descriptor, which is
 * copied; before, they are ours.
 */
void spawn_set_stderr(int fd);

/*
 * Start a role with 'ipc_fd' as ROLE_IPC_FD and, unless it is -1, 'lock_fd'
 * as ROLE_LOCK_FD; both stay the caller's.  The terminal's and the service
 * manager's signals are ignored by the child: it is the master that ends
 * it.  Returns its pid, or -1 with errno.
 */
pid_t spawn_role(enum role role, unsigned slot, int ipc_fd, int lock_fd);

/* Start a clerk for that command, in the same way. */
pid_t spawn_clerk(const char *command, int ipc_fd);

#endif /* MASTER_SPAWN_H */
