/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * logs - the log target of all processes; the master opens it.
 */

#include "master/logs.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/log.h"

const char *
logs_target(const struct config *cfg, bool foreground)
{
	return foreground ? "stderr" : cfg->log_target;
}

bool
logs_on_gone_stderr(const struct config *cfg, bool foreground)
{
	return !foreground && strcmp(cfg->log_target, "stderr") == 0;
}

int
logs_open(const struct config *cfg, bool foreground)
{
	enum log_kind kind;

	return log_open_target(logs_target(cfg, foreground), &kind);
}

void
logs_use(int fd, const struct config *cfg)
{
	int own;

	/* log_set() wants one for itself, ours goes to the children */
	if ((own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)) == -1) {
		log_error_errno("cannot change the log target");
		return;
	}
	log_set(own, log_kind_of(own), cfg->log_format, cfg->log_level);
}
