/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * notify - tells the service manager how we are (sd_notify(3)).
 *
 * Without one (no NOTIFY_SOCKET in the environment) nothing happens.
 */

#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

/* Take NOTIFY_SOCKET out of the environment: it is not for children. */
void notify_init(void);

void notify_ready(void);
/* To be followed by notify_ready(). */
void notify_reloading(void);
void notify_stopping(void);

#endif /* MASTER_NOTIFY_H */
