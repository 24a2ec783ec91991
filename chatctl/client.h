/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * client - one question to the daemon, and its answer.
 */

#ifndef CHATCTL_CLIENT_H
#define CHATCTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "chatctl/command.h"

/* Called with each document of the answer, in order. */
typedef void (*client_fn)(const char *json, size_t len, void *arg);

struct client {
	/* the daemon's socket */
	const char *path;
	enum command_how how;
	/* say nothing on stderr */
	bool quiet;
	/* the answer takes as long as it takes */
	bool patient;
	/* 'file' goes with the request; it stays the caller's */
	bool with_file;
	int file;
	client_fn fn;
	void *arg;
};

/*
 * Ask and wait: for the answer; HOW_STREAM: as long as it takes; HOW_END:
 * until the daemon's process is gone as well.  Returns an exit status
 * (chatctl/command.h); unless it is 0, stderr has been told why.
 */
int client_ask(const struct client *c, const char *command, char *const *args,
    int nargs);

/* The answer alone, from whoever is at the other end of a socket. */
int client_listen(const struct client *c, int fd);

#endif /* CHATCTL_CLIENT_H */
