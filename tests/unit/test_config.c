/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_config - what config.h promises about sources, names and errors.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"

struct fixture {
	char dir[64];
	char file[128], secret[128];
	const char *overrides[8];
	size_t noverrides;
	char *env[8];
	struct config *cfg;
	/* all errors, a line each, without the folder's name */
	struct strbuf errors;
};

static void
put(const char *path, const char *text)
{
	FILE *fp = fopen(path, "w");

	assert_non_null(fp);
	assert_true(fputs(text, fp) >= 0);
	assert_int_equal(fclose(fp), 0);
}

static int
setup(void **state)
{
	struct fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_config.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	(void)snprintf(f->file, sizeof(f->file), "%s/c", f->dir);
	(void)snprintf(f->secret, sizeof(f->secret), "%s/key", f->dir);
	put(f->secret, "0123456789abcdef0123456789abcdef\n");
	sb_init(&f->errors);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];
	int rc;

	config_free(&f->cfg);
	sb_clear(&f->errors);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", f->dir);
	rc = system(cmd);
	free(f);
	return rc;
}

/* Loads it; 'text' is the file, unless it is NULL. */
static bool
load_as(struct fixture *f, const char *text, bool without_files)
{
	struct config_source src = {
		.file = text == NULL ? NULL : f->file,
		.file_required = true,
		.overrides = f->overrides,
		.noverrides = f->noverrides,
		.env = f->env,
		.without_files = without_files,
	};
	struct config_errors errors;
	const char *e;

	if (text != NULL)
		put(f->file, text);
	config_free(&f->cfg);
	f->cfg = config_load(&src, &errors);
	assert_int_equal(f->cfg == NULL, errors.n > 0);
	sb_reset(&f->errors);
	for (size_t i = 0; i < errors.n; i++) {
		for (e = errors.v[i]; *e != '\0';) {
			if (strncmp(e, f->dir, strlen(f->dir)) == 0)
				e += strlen(f->dir) + 1;
			else
				sb_addc(&f->errors, *e++);
		}
		sb_addc(&f->errors, '\n');
	}
	config_errors_clear(&errors);
	return f->cfg != NULL;
}

static bool
load(struct fixture *f, const char *text)
{
	return load_as(f, text, true);
}

static void
defaults_are_those_of_the_contract(void **state)
{
	struct fixture *f = *state;
	const struct config *c;

	assert_true(load(f, NULL));
	c = f->cfg;
	assert_int_equal(c->listen.n, 1);
	assert_string_equal(c->listen.v[0], "127.0.0.1:3002");
	assert_string_equal(c->run_dir, "/run/chatd");
	assert_string_equal(c->data_dir, "/var/lib/chatd");
	assert_string_equal(c->user, "chatd");
	assert_string_equal(c->group, "chatd");
	assert_in_range(c->workers, 1, 32);
	assert_int_equal(c->max_connections, 100000);
	assert_string_equal(c->path, "/socket.io/");
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	assert_string_equal(c->log_target, "syslog");
	assert_int_equal(c->log_format, LOG_FORMAT_LOGFMT);
	assert_int_equal(c->auth_mode, AUTH_MODE_JWT);
	assert_string_equal(c->auth_issuer, "");
	assert_int_equal(c->engine_ping_interval, 25000);
	assert_int_equal(c->engine_ping_timeout, 20000);
	assert_int_equal(c->engine_connect_timeout, 45000);
	assert_int_equal(c->engine_max_payload, 1000000);
	assert_true(c->engine_polling && c->engine_websocket);
	assert_int_equal(c->engine_upgrade_timeout, 10000);
	assert_false(c->engine_compression);
	assert_string_equal(c->engine_cookie, "");
	assert_false(c->engine_eio3);
	assert_int_equal(c->cors_origins.n, 0);
	assert_false(c->cors_credentials);
	assert_int_equal(c->trusted_proxies.n, 0);
	assert_false(c->trusted_unix);
	assert_int_equal(c->recovery_window, 120000);
	assert_string_equal(c->client_dir, "/usr/share/chatd/client");
	assert_int_equal(c->limits_message_rate, 30);
	assert_int_equal(c->limits_typing_rate, 60);
	assert_int_equal(c->limits_join_rate, 10);
	assert_int_equal(c->limits_history_rate, 30);
	assert_int_equal(c->limits_presence_rate, 30);
	assert_int_equal(c->limits_connections_per_user, 5);
	assert_int_equal(c->limits_connect_rate, 600);
	assert_int_equal(c->limits_sessions_per_socket, 20);
	assert_int_equal(c->limits_members_per_session, 100000);
	assert_int_equal(c->limits_message_length, 10000);
	assert_int_equal(c->limits_metadata_bytes, 8192);
	assert_int_equal(c->limits_event_bytes, 65536);
	assert_int_equal(c->limits_send_queue, 1048576);
	assert_int_equal(c->limits_history_page, 200);
	assert_int_equal(c->typing_coalesce, 3000);
	assert_int_equal(c->typing_expiry, 6000);
	assert_int_equal(c->replay_max, 500);
	assert_int_equal(c->store_min_commit_interval, 0);
	assert_true(c->store_dedupe_window == 7ULL * 86400000);
	assert_true(c->store_max_bytes == 64ULL << 30);
	assert_int_equal(c->ring_slots, 65536);
	assert_int_equal(c->ring_arena_bytes, 4 << 20);
	for (unsigned i = 0; i < CONFIG__MAX; i++)
		assert_string_equal(c->where[i], "default");
}

static void
the_stronger_source_wins_and_is_named(void **state)
{
	struct fixture *f = *state;

	assert_true(load(f, "limits.message_rate = 1\n"));
	assert_int_equal(f->cfg->limits_message_rate, 1);
	assert_non_null(
	    strstr(f->cfg->where[CONFIG_limits_message_rate], "/c:1"));
	f->env[0] = strdup("CHAT_MESSAGE_RATE_LIMIT=2");
	assert_true(load(f, "limits.message_rate = 1\n"));
	assert_int_equal(f->cfg->limits_message_rate, 2);
	assert_string_equal(f->cfg->where[CONFIG_limits_message_rate],
	    "environment CHAT_MESSAGE_RATE_LIMIT");
	f->overrides[f->noverrides++] = "limits.message_rate=3";
	assert_true(load(f, "limits.message_rate = 1\n"));
	assert_int_equal(f->cfg->limits_message_rate, 3);
	assert_string_equal(f->cfg->where[CONFIG_limits_message_rate], "-o");
	/* the last -o wins */
	f->overrides[f->noverrides++] = "limits.message_rate = 4";
	assert_true(load(f, NULL));
	assert_int_equal(f->cfg->limits_message_rate, 4);
	/* and a weaker one that is wrong is still told */
	assert_false(load(f, "limits.message_rate = x\n"));
	free(f->env[0]);
}

static void
the_environment_has_the_names_of_the_contract(void **state)
{
	struct fixture *f = *state;
	char *const env[] = { (char[]){ "SOCKET_PORT=8080" },
		(char[]){ "CHAT_CONNECTION_LIMIT=7" },
		(char[]){ "CHAT_MESSAGE_MAX_LENGTH=9" },
		(char[]){ "CHAT_MESSAGE_RATE_LIMIT=" },
		(char[]){ "SOCKET_PORTS=1" }, NULL };

	memcpy(f->env, env, sizeof(env));
	assert_true(load(f, NULL));
	assert_int_equal(f->cfg->nlisteners, 1);
	assert_string_equal(f->cfg->listen.v[0], "0.0.0.0:8080");
	assert_int_equal(f->cfg->limits_connections_per_user, 7);
	assert_int_equal(f->cfg->limits_message_length, 9);
	/* empty is not set */
	assert_int_equal(f->cfg->limits_message_rate, 30);
	f->env[0] = (char[]){ "SOCKET_PORT=http" };
	f->env[1] = (char[]){ "CHAT_CONNECTION_LIMIT=many" };
	f->env[2] = NULL;
	assert_false(load(f, NULL));
	assert_string_equal(f->errors.data,
	    "environment CHAT_CONNECTION_LIMIT: limits.connections_per_user: "
	    "many is not a number\n"
	    "environment SOCKET_PORT: listen: 0.0.0.0:http: a port is a "
	    "number from 1 to 65535\n");
}

static void
a_section_saves_typing(void **state)
{
	struct fixture *f = *state;

	assert_true(load(f,
	    "workers = 3\n[limits]\nmessage_rate = 5\n"
	    "log.level = debug\n[typing]\nexpiry = 9s\n"));
	assert_int_equal(f->cfg->workers, 3);
	assert_int_equal(f->cfg->limits_message_rate, 5);
	/* a dotted name means the same everywhere */
	assert_int_equal(f->cfg->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(f->cfg->typing_expiry, 9000);
}

static void
all_errors_come_at_once_with_the_nearest_name(void **state)
{
	struct fixture *f = *state;

	f->overrides[0] = "lgo.level=debug";
	f->overrides[1] = "nonsense";
	f->overrides[2] = "=x";
	f->noverrides = 3;
	assert_false(load(f,
	    "lisen = 127.0.0.1:1\n"
	    "wombat = 3\n"
	    "[limit]\n"
	    "mesage_rate = 3\n"
	    "[wombats]\n"
	    "nothing = is looked at\n"
	    "[engine]\n"
	    "listen = 127.0.0.1:1\n"
	    "ping_interval = 25\n"));
	assert_string_equal(f->errors.data,
	    "c:1: unknown option lisen; did you mean listen?\n"
	    "c:2: unknown option wombat; chatd.conf(5) lists them all\n"
	    "c:3: unknown section [limit]; did you mean [limits]?\n"
	    "c:4: unknown option limits.mesage_rate; did you mean "
	    "limits.message_rate?\n"
	    "c:5: unknown section [wombats]; chatd.conf(5) lists them all\n"
	    "c:8: unknown option engine.listen; listen has no section, put "
	    "it above the first one\n"
	    "c:9: engine.ping_interval: 25 has no unit; a duration is a "
	    "whole number and ms, s, m, h or d\n"
	    "-o: unknown option lgo.level; did you mean log.level?\n"
	    "-o: nonsense is not option=value\n"
	    "-o: \"=x\" is not option=value\n");
}

static void
an_option_twice_in_a_file_names_both_lines(void **state)
{
	struct fixture *f = *state;
	char path[192];

	assert_false(load(f,
	    "workers = 1\n\n[log]\nworkers = 2\n"
	    "log.level = info\nlevel = debug\n"));
	assert_string_equal(f->errors.data,
	    "c:4: unknown option log.workers; workers has no section, put "
	    "it above the first one\n"
	    "c:6: log.level was set in line 5 already; keep one of the "
	    "two\n");
	/* an included file may say it again: the later wins */
	(void)snprintf(path, sizeof(path), "%s/local", f->dir);
	put(path, "workers = 2\n");
	assert_true(load(f, "workers = 1\ninclude local\n"));
	assert_int_equal(f->cfg->workers, 2);
}

static void
values_from_a_shell_are_taken_as_they_stand(void **state)
{
	struct fixture *f = *state;

	f->overrides[0] = "auth.issuer=a b, c # d";
	f->overrides[1] = "listen=127.0.0.1:1 , [::1]:2,unix:/tmp/a b";
	f->overrides[2] = "auth.audience=\"x y\"";
	f->noverrides = 3;
	assert_true(load(f, NULL));
	assert_string_equal(f->cfg->auth_issuer, "a b, c # d");
	assert_string_equal(f->cfg->auth_audience, "x y");
	assert_int_equal(f->cfg->listen.n, 3);
	assert_string_equal(f->cfg->listen.v[2], "unix:/tmp/a b");
	f->overrides[0] = "auth.issuer=";
	f->overrides[1] = "auth.issuer=a\nb";
	f->overrides[2] = "auth.issuer=\"a";
	assert_false(load(f, NULL));
	assert_string_equal(f->errors.data,
	    "-o: auth.issuer: the value holds a byte that is not text\n"
	    "-o: auth.issuer: the closing \" is missing\n");
	f->overrides[0] = "listen=127.0.0.1:1,,127.0.0.1:2";
	f->noverrides = 1;
	assert_false(load(f, NULL));
	assert_string_equal(f->errors.data,
	    "-o: listen: a part of the list is empty\n");
}

static void
a_named_file_that_is_missing_is_an_error(void **state)
{
	struct config_source src = { .file = "/nonexistent/chatd.conf",
		.without_files = true };
	struct config_errors errors;
	struct config *cfg = config_load(&src, &errors);

	assert_non_null(cfg);
	config_free(&cfg);
	src.file_required = true;
	cfg = config_load(&src, &errors);
	assert_null(cfg);
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.v[0],
	    "/nonexistent/chatd.conf: No such file or directory");
	config_errors_clear(&errors);
}

static void
the_secret_is_read_without_its_line_end(void **state)
{
	struct fixture *f = *state;
	char text[256];

	(void)snprintf(text, sizeof(text), "auth.secret_file = %s\n",
	    f->secret);
	assert_true(load_as(f, text, false));
	assert_int_equal(f->cfg->auth_secret_len, 32);
	assert_memory_equal(f->cfg->auth_secret,
	    "0123456789abcdef0123456789abcdef", 32);
	/* only one line end, and none is needed */
	put(f->secret, "0123456789abcdef0123456789abcdef\n\n");
	assert_true(load_as(f, text, false));
	assert_int_equal(f->cfg->auth_secret_len, 33);
	put(f->secret, "0123456789abcdef0123456789abcdef");
	assert_true(load_as(f, text, false));
	assert_int_equal(f->cfg->auth_secret_len, 32);
	/* a tool that only looks something up need not be allowed to */
	assert_true(load_as(f, text, true));
	assert_null(f->cfg->auth_secret);
}

static void
a_secret_that_is_missing_or_short_is_refused(void **state)
{
	struct fixture *f = *state;
	char text[256];

	assert_false(load_as(f, "", false));
	assert_string_equal(f->errors.data,
	    "default: auth.secret_file: auth.mode jwt (default) needs one; "
	    "name a file that holds at least 32 bytes\n");
	(void)snprintf(text, sizeof(text), "\nauth.secret_file = %s\n",
	    f->secret);
	put(f->secret, "0123456789abcdef0123456789abcde\n");
	assert_false(load_as(f, text, false));
	assert_string_equal(f->errors.data,
	    "c:2: auth.secret_file: key holds 31 bytes; a secret has at "
	    "least 32\n");
	assert_int_equal(unlink(f->secret), 0);
	assert_false(load_as(f, text, false));
	assert_string_equal(f->errors.data,
	    "c:2: auth.secret_file: key: No such file or directory\n");
	assert_false(load_as(f, "auth.secret_file = key\n", false));
	assert_string_equal(f->errors.data,
	    "c:1: auth.secret_file: key is not an absolute path\n");
	assert_true(load_as(f, "auth.mode = none\n", false));
	/* one mistake is told once */
	assert_false(load_as(f, "auth.mode = nome\n", false));
	assert_string_equal(f->errors.data,
	    "c:1: auth.mode: nome is unknown; it is one of none, jwt, webhook; "
	    "did you mean none?\n");
}

static void
free_takes_null(void **state)
{
	struct config *cfg = NULL;

	config_free(&cfg);
	assert_null(cfg);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(defaults_are_those_of_the_contract),
		T(the_stronger_source_wins_and_is_named),
		T(the_environment_has_the_names_of_the_contract),
		T(a_section_saves_typing),
		T(all_errors_come_at_once_with_the_nearest_name),
		T(an_option_twice_in_a_file_names_both_lines),
		T(values_from_a_shell_are_taken_as_they_stand),
		T(a_named_file_that_is_missing_is_an_error),
		T(the_secret_is_read_without_its_line_end),
		T(a_secret_that_is_missing_or_short_is_refused),
		T(free_takes_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
