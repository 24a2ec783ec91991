/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * clerk - the commands that take their time.
 */

#include "chatctl/clerk.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chatctl/client.h"
#include "chatctl/command.h"
#include "chatctl/local.h"
#include "chatctl/show.h"
#include "chatctl/sink.h"
#include "common/json.h"

#define BEYOND ((int64_t)1 << 53)

/* One command under way. */
struct job {
	const struct options *opt;
	/* where what is said goes */
	FILE *fp;
	/* a line of progress stands on the terminal */
	bool line;
	/* the outcome is not printed as it comes, but used */
	bool silent;
	/* of the last outcome, where it tells them */
	int64_t position, rows, bytes, ms, errors;
};

/* --- what is told ------------------------------------------------------ */

static void
wipe(struct job *j)
{
	if (j->line)
		(void)fprintf(stderr, "\r\033[K");
	j->line = false;
}

static void
show_progress(struct job *j, struct json_value v)
{
	int64_t done = 0, of = 0;

	(void)json_to_int(json_member(v, "done"), 0, BEYOND, &done);
	(void)json_to_int(json_member(v, "of"), 0, BEYOND, &of);
	wipe(j);
	show_string(json_member(v, "progress"), stderr);
	(void)fprintf(stderr, " %" PRId64, done);
	if (of > 0)
		(void)fprintf(stderr, " of %" PRId64 " (%d %%)", of,
		    (int)(done < of ? 100 * (double)done / (double)of : 100));
	(void)fflush(stderr);
	j->line = true;
}

static void
remember(struct json_value v, const char *key, int64_t *n_r)
{
	int64_t n;

	if (json_to_int(json_member(v, key), 0, BEYOND, &n))
		*n_r = n;
}

static void
on_document(const char *json, size_t len, void *arg)
{
	struct json_value v = json_value(json, len);
	struct job *j = arg;
	bool progress = json_member(v, "progress").kind != JSON_KIND_NONE;

	if (!progress) {
		wipe(j);
		remember(v, "position", &j->position);
		remember(v, "rows", &j->rows);
		remember(v, "bytes", &j->bytes);
		remember(v, "took_ms", &j->ms);
		remember(v, "errors_found", &j->errors);
	}
	if (j->opt->json && (progress || !j->silent)) {
		(void)fprintf(j->fp, "%.*s\n", (int)len, json);
		(void)fflush(j->fp);
	} else if (progress && isatty(STDERR_FILENO)) {
		show_progress(j, v);
	} else if (!progress && !j->silent) {
		show_document(json, len, j->fp);
	}
}

static int
ask(struct job *j, const char *command, const struct sink *sink,
    char *const *args, int nargs)
{
	const struct client client = {
		.path = j->opt->socket,
		.how = HOW_CLERK,
		.patient = true,
		.with_file = sink != NULL,
		.file = sink == NULL ? -1 : sink->fd,
		.fn = on_document,
		.arg = j,
	};
	int status = client_ask(&client, command, args, nargs);

	wipe(j);
	return status;
}

static int
ask_local(struct job *j, int store)
{
	const struct client client = {
		.how = HOW_CLERK,
		.patient = true,
		.fn = on_document,
		.arg = j,
	};
	int status = local_ask(&client, "verify", store);

	wipe(j);
	return status;
}

/* A document of our own. */
static void
tell(struct job *j, struct json_out *o)
{
	json_out_object_end(o);
	if (o->failed)
		(void)fprintf(stderr, "chatctl: out of memory\n");
	else if (j->opt->json)
		(void)fprintf(j->fp, "%.*s\n", (int)o->len, o->p);
	else
		show_document(o->p, o->len, j->fp);
	json_out_clear(o);
}

static void
put_i64(struct json_out *o, const char *key, int64_t n)
{
	json_out_key(o, key);
	json_out_i64(o, n);
}

static int
usage(const struct command *cmd)
{
	command_usage(cmd, stderr);
	return EXIT_USAGE;
}

/* --- backup ------------------------------------------------------------ */

static void
tell_backup(struct job *j, const char *path, int64_t bytes, int64_t ms,
    bool verified)
{
	struct json_out o = { 0 };

	json_out_object(&o);
	json_out_key(&o, "file");
	json_out_cstring(&o, path);
	put_i64(&o, "position", j->position);
	if (verified)
		put_i64(&o, "rows", j->rows);
	put_i64(&o, "bytes", bytes);
	put_i64(&o, "took_ms", ms);
	json_out_key(&o, "verified");
	json_out_bool(&o, verified);
	tell(j, &o);
}

/*
 * The copy is there: read all of it again, as whoever restores it would,
 * before anybody may rely on it.
 */
static int
verify_backup(struct job *j, struct sink *s)
{
	int64_t bytes = j->bytes, ms = j->ms;
	int status;

	if (s->stream) {
		tell_backup(j, "-", bytes, ms, false);
		(void)fprintf(stderr,
		    "chatctl: a stream cannot be read again: verify what "
		    "became of it with chatctl verify --offline\n");
		return sink_commit(s, "") == 0 ? EXIT_DONE : EXIT_FAILED;
	}
	j->silent = true;
	status = ask_local(j, s->fd);
	j->silent = false;
	if (status != EXIT_DONE && j->errors == 0) {
		(void)fprintf(stderr,
		    "chatctl: the copy could not be verified, and is "
		    "not kept\n");
		sink_abandon(s);
		return EXIT_FAILED;
	}
	if (j->errors > 0) {
		/* better than nothing, but not to be taken for a backup */
		if (sink_commit(s, ".damaged") == 0)
			(void)fprintf(stderr,
			    "chatctl: the copy has errors (chatctl verify "
			    "names the store's); kept as %s.damaged\n",
			    s->path);
		return EXIT_FAILED;
	}
	if (sink_commit(s, "") == -1)
		return EXIT_FAILED;
	tell_backup(j, s->path, bytes, ms + j->ms, true);
	return EXIT_DONE;
}

static int
backup(struct job *j, const struct command *cmd, int argc, char *argv[])
{
	bool growth = argc == 4 && strcmp(argv[1], "--max-growth") == 0;
	struct sink s;
	int status;

	if (argc != 2 && !growth)
		return usage(cmd);
	if (sink_open(&s, argv[argc - 1], false) == -1)
		return EXIT_FAILED;
	if (s.stream)
		j->fp = stderr;
	j->silent = true;
	status = ask(j, "backup", &s, argv + 2, growth ? 1 : 0);
	j->silent = false;
	if (status != EXIT_DONE) {
		sink_abandon(&s);
		if (s.stream)
			(void)fprintf(stderr,
			    "chatctl: what was written is not complete\n");
		return status;
	}
	return verify_backup(j, &s);
}

/* --- export ------------------------------------------------------------ */

static int export(struct job *j, const struct command *cmd, int argc,
    char *argv[])
{
	struct sink s;
	int status;

	if (argc > 3)
		return usage(cmd);
	if (sink_open(&s, argc == 3 ? argv[2] : "-", false) == -1)
		return EXIT_FAILED;
	if (s.stream)
		j->fp = stderr;
	/* a reader of the messages wants nothing but the messages */
	j->silent = s.stream && !isatty(STDERR_FILENO);
	status = ask(j, "export", &s, argv + 1, 1);
	if (status == EXIT_DONE)
		return sink_commit(&s, "") == 0 ? EXIT_DONE : EXIT_FAILED;
	sink_abandon(&s);
	return status;
}

/* --- the others -------------------------------------------------------- */

static int
verify(struct job *j, const struct command *cmd, int argc, char *argv[])
{
	int fd, status;

	if (argc == 1) {
		status = ask(j, "verify", NULL, NULL, 0);
	} else if (argc == 3 && strcmp(argv[1], "--offline") == 0) {
		if ((fd = open(argv[2], O_RDONLY | O_CLOEXEC)) == -1) {
			(void)fprintf(stderr, "chatctl: %s: %s\n", argv[2],
			    strerror(errno));
			return EXIT_FAILED;
		}
		status = ask_local(j, fd);
		(void)close(fd);
	} else {
		return usage(cmd);
	}
	return status == EXIT_DONE && j->errors > 0 ? EXIT_FAILED : status;
}

static int
plain(struct job *j, const struct command *cmd, int argc, char *argv[])
{
	if (strcmp(cmd->name, "retention") == 0 && strcmp(argv[1], "run") != 0)
		return usage(cmd);
	return ask(j, cmd->name, NULL, argv + 1, argc - 1);
}

int
clerk_main(const struct options *opt, const struct command *cmd, int argc,
    char *argv[])
{
	struct job j = { .opt = opt, .fp = stdout };

	if (strcmp(cmd->name, "backup") == 0)
		return backup(&j, cmd, argc, argv);
	if (strcmp(cmd->name, "export") == 0)
		return export(&j, cmd, argc, argv);
	if (strcmp(cmd->name, "verify") == 0)
		return verify(&j, cmd, argc, argv);
	return plain(&j, cmd, argc, argv);
}
