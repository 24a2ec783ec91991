/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * detach - going to the background, but only once everything works.
 *
 * Whoever starts chatd in the foreground waits for the process that was
 * started; that one ends when the daemon behind it is ready, with 0, or has
 * failed, with the daemon's own exit status.
 */

#ifndef MASTER_DETACH_H
#define MASTER_DETACH_H

/*
 * Split.  Returns in the daemon only, with the descriptor for
 * detach_ready().
 */
int detach_start(void);

/* Everything works: let the terminal go, and the waiting process end. */
void detach_ready(int *fd);

#endif /* MASTER_DETACH_H */
