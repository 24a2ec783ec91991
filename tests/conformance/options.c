/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "tests/conformance/conformance.h"

#define MAX_OVERRIDES 16

enum kind {
	/* a number that is stored as it is: tests want smaller ones than
	 * chatd's own options allow */
	KIND_NUMBER,
	KIND_CONFIG_NUMBER,
	/* the value of one of chatd's options */
	KIND_CONFIG,
	KIND_FLAG,
	KIND_CONFIG_FLAG,
	KIND_MODE,
	KIND_HELP,
};

struct option_row {
	const char *name;
	enum kind kind;
	/* of the number or flag, in struct options or in struct config */
	size_t offset;
	uint64_t min, max;
	/* chatd's option */
	const char *option;
	const char *help;
};

#define IN_OPTIONS(field) offsetof(struct options, field)
#define IN_CONFIG(field) offsetof(struct config, field)
#define HOUR_MS 3600000

/* clang-format off */
static const struct option_row rows[] = {
	{ "port", KIND_NUMBER, IN_OPTIONS(port), 0, 65535, NULL,
	    "N  listen on 127.0.0.1:N; 0: any free one" },
	{ "workers", KIND_NUMBER, IN_OPTIONS(workers), 1, 16, NULL,
	    "K  processes that serve" },
	{ "mode", KIND_MODE, 0, 0, 0, NULL,
	    "MODE  eio-echo, ws-echo, sio, edge or client" },
	{ "ping-interval", KIND_CONFIG_NUMBER,
	    IN_CONFIG(engine_ping_interval), 1, HOUR_MS, NULL, "MS" },
	{ "ping-timeout", KIND_CONFIG_NUMBER,
	    IN_CONFIG(engine_ping_timeout), 1, HOUR_MS, NULL, "MS" },
	{ "max-payload", KIND_CONFIG_NUMBER, IN_CONFIG(engine_max_payload),
	    1, 64 << 20, NULL, "BYTES" },
	{ "connect-timeout", KIND_CONFIG_NUMBER,
	    IN_CONFIG(engine_connect_timeout), 1, HOUR_MS, NULL, "MS" },
	{ "upgrade-timeout", KIND_CONFIG_NUMBER,
	    IN_CONFIG(engine_upgrade_timeout), 1, HOUR_MS, NULL, "MS" },
	{ "transports", KIND_CONFIG, 0, 0, 0, "engine.transports",
	    "LIST  polling,websocket" },
	{ "cors-origin", KIND_CONFIG, 0, 0, 0, "cors.origins",
	    "LIST  URLs, or *" },
	{ "cors-credentials", KIND_CONFIG_FLAG, 0, 0, 0, "cors.credentials",
	    "" },
	{ "cookie", KIND_CONFIG, 0, 0, 0, "engine.cookie", "NAME" },
	{ "deflate", KIND_CONFIG_FLAG, 0, 0, 0, "engine.compression",
	    "permessage-deflate, and gzip for polling" },
	{ "eio3", KIND_CONFIG_FLAG, 0, 0, 0, "engine.eio3",
	    "clients of revision 3, too" },
	{ "recovery", KIND_FLAG, IN_OPTIONS(recovery), 0, 0, NULL,
	    "connection state recovery" },
	{ "recovery-window", KIND_CONFIG_NUMBER, IN_CONFIG(recovery_window),
	    1, HOUR_MS, NULL, "MS  how long a lost socket is kept" },
	{ "handshake-delay", KIND_NUMBER, IN_OPTIONS(handshake_delay_ms), 0,
	    HOUR_MS, NULL, "MS  from a CONNECT to its answer" },
	{ "help", KIND_HELP, 0, 0, 0, NULL, "this text" },
};
/* clang-format on */

#define NROWS (sizeof(rows) / sizeof(rows[0]))

static const struct mode *const modes[] = {
	&mode_eio_echo,
	&mode_ws_echo,
	&mode_sio,
	&mode_edge,
	&mode_client,
};

/* What the command line says, before it is put into a configuration. */
struct reading {
	/* numbers by row; which of them were given */
	uint64_t number[NROWS];
	bool given[NROWS];
	char *override[MAX_OVERRIDES];
	size_t noverrides;
};

static void
usage(FILE *fp)
{
	(void)fprintf(fp,
	    "usage: chatd-conformance --mode MODE [option ...]\n");
	for (size_t i = 0; i < NROWS; i++)
		(void)fprintf(fp, "  --%-18s%s\n", rows[i].name, rows[i].help);
}

static int
wrong(const char *name, const char *value, const char *what)
{
	(void)fprintf(stderr, "chatd-conformance: --%s %s: %s\n", name, value,
	    what);
	return -1;
}

static int
read_number(const struct option_row *row, const char *text, uint64_t *n_r)
{
	char *end;

	errno = 0;
	*n_r = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
		return wrong(row->name, text, "not a number");
	if (*n_r < row->min || *n_r > row->max)
		return wrong(row->name, text, "out of range");
	return 0;
}

static int
read_mode(struct options *o, const struct option_row *row, const char *text)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i]->name, text) != 0)
			continue;
		o->mode = modes[i];
		return 0;
	}
	return wrong(row->name, text,
	    "must be eio-echo, ws-echo, sio, edge or client");
}

static int
add_override(struct reading *rd, const char *option, const char *value)
{
	if (rd->noverrides == MAX_OVERRIDES)
		return wrong(option, value, "too many options");
	if (asprintf(&rd->override[rd->noverrides], "%s=%s", option, value) ==
	    -1)
		return wrong(option, value, "no memory");
	rd->noverrides++;
	return 0;
}

static int
read_row(struct options *o, struct reading *rd, size_t i, const char *text)
{
	const struct option_row *row = &rows[i];

	rd->given[i] = true;
	switch (row->kind) {
	case KIND_NUMBER:
	case KIND_CONFIG_NUMBER:
		return read_number(row, text, &rd->number[i]);
	case KIND_CONFIG:
		return add_override(rd, row->option, text);
	case KIND_CONFIG_FLAG:
		return add_override(rd, row->option, "on");
	case KIND_MODE:
		return read_mode(o, row, text);
	case KIND_HELP:
		usage(stdout);
		return 1;
	case KIND_FLAG:
		break;
	}
	return 0;
}

static int
read_command_line(struct options *o, struct reading *rd, int argc, char **argv)
{
	struct option longs[NROWS + 1] = { 0 };
	int at, rc;

	for (size_t i = 0; i < NROWS; i++) {
		longs[i].name = rows[i].name;
		longs[i].has_arg = rows[i].kind == KIND_FLAG ||
			rows[i].kind == KIND_HELP ||
			rows[i].kind == KIND_CONFIG_FLAG
		    ? no_argument
		    : required_argument;
	}
	optind = 1;
	while ((rc = getopt_long(argc, argv, "", longs, &at)) != -1) {
		if (rc == '?')
			return -1;
		rc = read_row(o, rd, (size_t)at, optarg);
		if (rc != 0)
			return rc;
	}
	if (optind < argc) {
		(void)fprintf(stderr, "chatd-conformance: %s: not an option\n",
		    argv[optind]);
		return -1;
	}
	return 0;
}

static void
put_numbers(struct options *o, const struct reading *rd)
{
	char *base;

	for (size_t i = 0; i < NROWS; i++) {
		if (!rd->given[i])
			continue;
		base = rows[i].kind == KIND_CONFIG_NUMBER ? (char *)o->cfg
							  : (char *)o;
		if (rows[i].kind == KIND_FLAG)
			*(bool *)(base + rows[i].offset) = true;
		else if (rows[i].kind == KIND_NUMBER ||
		    rows[i].kind == KIND_CONFIG_NUMBER)
			memcpy(base + rows[i].offset, &rd->number[i],
			    sizeof(rd->number[i]));
	}
}

static int
set_path(struct config *cfg, const char *path)
{
	free(cfg->path);
	cfg->path = strdup(path);
	return cfg->path == NULL ? -1 : 0;
}

/* What must fit together. */
static int
check(struct options *o)
{
	if (set_path(o->cfg, o->mode->path) == -1) {
		perror("chatd-conformance");
		return -1;
	}
	/* one message may be as large as the payload, and no event less */
	o->cfg->limits_event_bytes = 0;
	o->recovery = o->recovery || o->mode->recovery;
	if (o->recovery && o->mode->places == NULL) {
		(void)fprintf(stderr,
		    "chatd-conformance: --recovery: not in "
		    "mode %s\n",
		    o->mode->name);
		return -1;
	}
	return 0;
}

static int
make_config(struct options *o, struct reading *rd)
{
	/* nothing from outside: a test gets what it says and no more */
	const struct config_source src = {
		.overrides = (const char *const *)rd->override,
		.noverrides = rd->noverrides,
		.without_files = true,
	};
	struct config_errors errors;

	o->cfg = config_load(&src, &errors);
	if (o->cfg == NULL)
		config_errors_print(&errors, stderr);
	config_errors_clear(&errors);
	return o->cfg == NULL ? -1 : 0;
}

int
options_read(struct options *o, int argc, char **argv)
{
	struct reading rd = { 0 };
	int rc;

	memset(o, 0, sizeof(*o));
	o->workers = 1;
	rc = read_command_line(o, &rd, argc, argv);
	if (rc == 0 && o->mode == NULL) {
		usage(stderr);
		rc = -1;
	}
	if (rc == 0)
		rc = add_override(&rd, "auth.mode", "none");
	if (rc == 0)
		rc = make_config(o, &rd);
	if (rc == 0) {
		put_numbers(o, &rd);
		rc = check(o);
	}
	for (size_t i = 0; i < rd.noverrides; i++)
		free(rd.override[i]);
	if (rc != 0)
		options_free(o);
	return rc;
}

void
options_free(struct options *o)
{
	config_free(&o->cfg);
}
