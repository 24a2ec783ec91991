/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * rights - as whom the daemon runs, and what it may have.
 */

#include "master/rights.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/log.h"

int
rights_find(const struct config *cfg, struct rights *r,
    struct config_errors *errors)
{
	struct passwd *pw;
	struct group *gr;
	int rc = 0;

	r->uid = geteuid();
	r->gid = getegid();
	r->root = r->uid == 0;
	(void)snprintf(r->user, sizeof(r->user), "uid %u", (unsigned)r->uid);
	if (!r->root)
		return 0;
	(void)snprintf(r->user, sizeof(r->user), "%s", cfg->user);
	if ((pw = getpwnam(cfg->user)) != NULL) {
		r->uid = pw->pw_uid;
	} else {
		config_errors_add(errors,
		    "%s: user: there is no user \"%s\"; create it, or name "
		    "one that exists (-o user=...)",
		    cfg->where[CONFIG_user], cfg->user);
		rc = -1;
	}
	if ((gr = getgrnam(cfg->group)) != NULL) {
		r->gid = gr->gr_gid;
	} else {
		config_errors_add(errors,
		    "%s: group: there is no group \"%s\"; create it, or name "
		    "one that exists (-o group=...)",
		    cfg->where[CONFIG_group], cfg->group);
		rc = -1;
	}
	return rc;
}

bool
rights_can_write(const struct rights *r, const struct stat *st)
{
	if (r->uid == 0)
		return true;
	if (st->st_uid == r->uid)
		return (st->st_mode & S_IWUSR) != 0;
	if (st->st_gid == r->gid)
		return (st->st_mode & S_IWGRP) != 0;
	return (st->st_mode & S_IWOTH) != 0;
}

void
rights_unreadable(const struct rights *r, const struct config *cfg,
    const char *file, void (*fn)(const char *text, void *arg), void *arg)
{
	const struct {
		const char *option, *path;
	} files[] = {
		{ "the configuration", file },
		{ "auth.secret_file", cfg->auth_secret_file },
		{ "auth.key_file", cfg->auth_key_file },
		{ "auth.jwks_file", cfg->auth_jwks_file },
		{ "content.rules", cfg->content_rules },
	};
	char text[PATH_MAX + 256];
	int fd;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (files[i].path == NULL || files[i].path[0] == '\0')
			continue;
		/* what is not there is no matter of rights */
		fd = open(files[i].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd == -1 && errno == EACCES) {
			(void)snprintf(text, sizeof(text),
			    "%s: user %s may not read %s: a reload will be "
			    "refused",
			    files[i].option, r->user,
			    log_text(files[i].path, strlen(files[i].path)));
			fn(text, arg);
		}
		if (fd != -1)
			(void)close(fd);
	}
}

/* libc has no capset(); the kernel's own interface is two structures. */
static void
keep_bind_only(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	uint32_t keep = 1U << CAP_NET_BIND_SERVICE;

	memset(data, 0, sizeof(data));
	if (syscall(SYS_capget, &head, data) == -1)
		fatal("capget");
	/* a container may have taken it away before us */
	keep &= data[0].permitted;
	memset(data, 0, sizeof(data));
	data[0].permitted = data[0].effective = keep;
	if (syscall(SYS_capset, &head, data) == -1)
		fatal("capset");
}

void
rights_drop(const struct rights *r)
{
	if (!r->root || r->uid == 0) {
		if (r->uid == 0)
			log_warn("all processes run as root user=%s", r->user);
		return;
	}
	if (prctl(PR_SET_KEEPCAPS, 1) == -1)
		fatal("prctl");
	/* the user's other groups, so that it can read what they may */
	if (initgroups(r->user, r->gid) == -1)
		fatal("cannot take the groups of user %s", r->user);
	if (setresgid(r->gid, r->gid, r->gid) == -1)
		fatal("cannot become group %u", (unsigned)r->gid);
	if (setresuid(r->uid, r->uid, r->uid) == -1)
		fatal("cannot become user %s", r->user);
	keep_bind_only();
	if (setuid(0) != -1)
		fatalx("still able to become root");
}

uint64_t
rights_raise_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("getrlimit");
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("setrlimit");
	return rl.rlim_max;
}
