/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * notify - tells the service manager how we are (sd_notify(3)).
 */

#include "master/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#define ENV "NOTIFY_SOCKET"

/* sun_path is empty when there is nobody to tell */
static struct sockaddr_un manager;
static socklen_t manager_len;

void
notify_init(void)
{
	const char *path = getenv(ENV);
	size_t len;

	manager_len = 0;
	if (path == NULL)
		return;
	len = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || len < 2 ||
	    len >= sizeof(manager.sun_path)) {
		log_warn(ENV " makes no sense path=%s", log_text(path, len));
		(void)unsetenv(ENV);
		return;
	}
	manager.sun_family = AF_UNIX;
	memcpy(manager.sun_path, path, len);
	/* an abstract name begins with a NUL, and has none at its end */
	if (path[0] == '@')
		manager.sun_path[0] = '\0';
	manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	(void)unsetenv(ENV);
}

static void
tell(const char *text)
{
	int fd;

	if (manager_len == 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 ||
	    sendto(fd, text, strlen(text), MSG_NOSIGNAL,
		(const struct sockaddr *)&manager, manager_len) == -1)
		log_warn_errno("cannot tell the service manager");
	if (fd != -1)
		(void)close(fd);
}

void
notify_ready(void)
{
	tell("READY=1");
}

void
notify_reloading(void)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)clock_mono_ns() / 1000);
	tell(text);
}

void
notify_stopping(void)
{
	tell("STOPPING=1");
}
