/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * main - chatd from its command line to its exit status.
 *
 * The same binary is all processes: started by the master it finds its role
 * in the environment.
 */

#include <sys/prctl.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/config.h"
#include "common/log.h"
#include "common/role.h"
#include "master/detach.h"
#include "master/listen.h"
#include "master/logs.h"
#include "master/master.h"
#include "master/place.h"
#include "master/rights.h"
#include "master/spawn.h"
#include "master/version.h"

static int
role_main(const char *role)
{
	static const struct {
		const char *name, *process;
		int (*run)(void);
	} roles[] = {
		{ "worker", "chatd-worker", worker_main },
		{ "scribe", "chatd-scribe", scribe_main },
		{ "clerk", "chatd-clerk", clerk_main },
		{ "bridge", "chatd-bridge", bridge_main },
	};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(role, roles[i].name) != 0)
			continue;
		(void)unsetenv(ROLE_ENV);
		/* the executable's own name, /proc/self/exe, tells nothing */
		(void)prctl(PR_SET_NAME, roles[i].process);
		return roles[i].run();
	}
	(void)fprintf(stderr, "chatd: " ROLE_ENV " is not for you\n");
	return 2;
}

static struct config *
load(const struct options *opt)
{
	struct config_errors errors;
	struct config_source src;
	struct config *cfg;

	options_source(opt, &src);
	if ((cfg = config_load(&src, &errors)) == NULL)
		config_errors_print(&errors, stderr);
	config_errors_clear(&errors);
	return cfg;
}

static void
print_warning(const char *text, void *arg)
{
	(void)fprintf(stderr, "warning: %s\n", text);
}

/* chatd -t: all that can be seen without starting. */
static int
check(const struct options *opt, const struct config *cfg)
{
	const char *target = logs_target(cfg, opt->foreground);
	struct config_errors errors = { 0 };
	struct rights rights;
	bool good;
	int fd = -1;

	(void)rights_find(cfg, &rights, &errors);
	listeners_check(cfg, &errors);
	place_check(cfg, &rights, &errors);
	good = errors.n == 0;
	config_warnings(cfg, print_warning, NULL);
	/* it may be there when the daemon starts; a file need not be */
	if (target[0] != '/' && (fd = logs_open(cfg, opt->foreground)) == -1)
		(void)fprintf(stderr,
		    "warning: log.target: cannot open %s: %s; a start "
		    "fails now\n",
		    target, strerror(errno));
	else if (target[0] != '/')
		(void)close(fd);
	if (good && rights.root && rights.uid != 0) {
		rights_drop(&rights);
		rights_unreadable(&rights, cfg, opt->file, print_warning, NULL);
	}
	config_errors_print(&errors, stderr);
	config_errors_clear(&errors);
	if (good)
		(void)printf("chatd: the configuration is good\n");
	return good ? 0 : 1;
}

/* All of what was asked for is printed. */
static int
printed(void)
{
	if (fflush(stdout) != EOF && !ferror(stdout))
		return 0;
	(void)fprintf(stderr, "chatd: cannot write the answer\n");
	return 1;
}

int
main(int argc, char *argv[])
{
	const char *role = getenv(ROLE_ENV);
	struct options opt;
	struct config *cfg;
	int status = 0;

	if (role != NULL)
		return role_main(role);
	if (options_parse(&opt, argc, argv) == -1)
		return 2;
	if (opt.version) {
		version_print();
		status = printed();
	} else if ((cfg = load(&opt)) == NULL) {
		status = 1;
	} else if (opt.dump || opt.check) {
		if (opt.dump) {
			config_dump(cfg, stdout);
			status = printed();
		}
		if (opt.check && check(&opt, cfg) != 0)
			status = 1;
		config_free(&cfg);
	} else {
		status = master_main(&opt, cfg);
	}
	options_clear(&opt);
	return status;
}
