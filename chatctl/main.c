/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * main - chatctl: looks into a running chatd and steers it.
 */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chatctl/clerk.h"
#include "chatctl/client.h"
#include "chatctl/command.h"
#include "chatctl/complete.h"
#include "chatctl/filter.h"
#include "chatctl/show.h"
#include "chatctl/token.h"
#include "common/json.h"

#define SOCKET_DEFAULT "/run/chatd/chatd.sock"
#define ENV_SOCKET "CHATD_SOCKET"

struct printing {
	bool json;
	enum command_how how;
	/* a document said that all is not well */
	bool unhealthy;
};

static void
on_document(const char *json, size_t len, void *arg)
{
	struct printing *p = arg;
	struct json_value status = json_member(json_value(json, len), "status");

	if (status.kind == JSON_KIND_STRING && json_is(status, "unhealthy"))
		p->unhealthy = true;
	if (p->json)
		(void)printf("%.*s\n", (int)len, json);
	else if (p->how == HOW_TABLE)
		show_document(json, len, stdout);
	else if (p->how == HOW_LINE)
		show_result(json, len, stdout);
	else
		show_message(json, len, stdout);
	/* whoever reads along wants it now; a stream has no other end */
	if (p->how == HOW_STREAM && fflush(stdout) == EOF) {
		(void)fprintf(stderr, "chatctl: cannot write the answer\n");
		_exit(EXIT_FAILED);
	}
}

/* ^C is how a stream ends; all that was printed has been flushed. */
static void
on_interrupt(int sig)
{
	_exit(EXIT_DONE);
}

static int
run_remote(const struct options *opt, const struct command *c, int argc,
    char *argv[])
{
	struct printing p = { .json = opt->json, .how = c->how };
	const struct client ask = {
		.path = opt->socket,
		.how = c->how,
		.fn = on_document,
		.arg = &p,
	};
	int status;

	if (c->how == HOW_STREAM) {
		(void)signal(SIGINT, on_interrupt);
		(void)signal(SIGTERM, on_interrupt);
	}
	status = client_ask(&ask, c->name, argv + 1, argc - 1);
	/* the daemon has said what is wrong */
	if (status == EXIT_USAGE)
		command_usage(c, stderr);
	return status == EXIT_DONE && p.unhealthy ? EXIT_FAILED : status;
}

static int
no_command(const char *name)
{
	const char *meant = command_nearest(name);

	(void)fprintf(stderr, "chatctl: there is no command \"%s\"", name);
	if (meant != NULL)
		(void)fprintf(stderr, "; did you mean %s?", meant);
	(void)fprintf(stderr, "\n");
	return EXIT_USAGE;
}

static int
run_help(int argc, char *argv[])
{
	const struct command *c = NULL;

	/* "help user show" is "help user" */
	if (argc >= 2 && (c = command_find(argv[1])) == NULL)
		return no_command(argv[1]);
	command_help(c, stdout);
	return EXIT_DONE;
}

static int
run(const struct options *opt, int argc, char *argv[])
{
	const struct command *c;

	if ((c = command_find(argv[0])) == NULL)
		return no_command(argv[0]);
	if (argc - 1 < c->min_args || argc - 1 > c->max_args) {
		if (c->how == HOW_LINE && argc - 1 > c->max_args)
			(void)fprintf(stderr,
			    "chatctl: too many arguments; what has blanks "
			    "stands in quotes\n");
		command_usage(c, stderr);
		return EXIT_USAGE;
	}
	if (strcmp(c->name, "help") == 0)
		return run_help(argc, argv);
	if (strcmp(c->name, "completion") == 0) {
		if (complete_print(argv[1], stdout) == 0)
			return EXIT_DONE;
		command_usage(c, stderr);
		return EXIT_USAGE;
	}
	if (strcmp(c->name, "token") == 0)
		return token_main(opt, argc, argv);
	if (strcmp(c->name, "filter") == 0)
		return filter_main(opt, c, argc, argv);
	if (c->how == HOW_CLERK)
		return clerk_main(opt, c, argc, argv);
	return run_remote(opt, c, argc, argv);
}

int
main(int argc, char *argv[])
{
	static const struct option longopts[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options opt = { .socket = getenv(ENV_SOCKET) };
	int c, status;

	if (opt.socket == NULL || opt.socket[0] == '\0')
		opt.socket = SOCKET_DEFAULT;
	/* +: what comes behind the command is the command's */
	while ((c = getopt_long(argc, argv, "+hjs:", longopts, NULL)) != -1) {
		switch (c) {
		case 'h':
			command_help(NULL, stdout);
			return EXIT_DONE;
		case 'j':
			opt.json = true;
			break;
		case 's':
			opt.socket = optarg;
			break;
		default:
			command_usage(NULL, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		command_usage(NULL, stderr);
		return EXIT_USAGE;
	}
	status = run(&opt, argc - optind, argv + optind);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		(void)fprintf(stderr, "chatctl: cannot write the answer\n");
		return EXIT_FAILED;
	}
	return status;
}
