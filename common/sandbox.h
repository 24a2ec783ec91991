/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sandbox - what a role may still ask the kernel for once it has started.
 *
 * An allow-list a role.  Everything else, above all open, connect, socket,
 * execve and the like, kills the process (SIGSYS, with an audit record that
 * names the call).  There is no way out of a sandbox.  The bridge may make
 * sockets, connect, and open files to read them: it goes out, and looks up
 * names.
 */

#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include "common/role.h"

/*
 * Enter the sandbox of a role; call it when everything is open, while the
 * process still has one thread.  The master's only forbids to gain rights.
 * 0, or -1 with errno: then the role must not go on.  A sanitizer build
 * logs that there is no sandbox, and returns 0.
 */
int sandbox_enter(enum role role);

#endif /* COMMON_SANDBOX_H */
