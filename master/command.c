/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * command - what chatctl can ask the master.
 */

#include "master/command.h"

#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/json.h"
#include "common/log.h"
#include "master/child.h"
#include "master/clerk.h"
#include "master/control.h"
#include "master/faults.h"
#include "master/health.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/report.h"
#include "master/request.h"
#include "master/retention.h"
#include "master/supervise.h"

/* One document, written from what stands in shared memory. */
typedef void (
    *report_fn)(struct master *m, const struct request *r, struct json_out *o);
/* Something to do; answers by itself. */
typedef void (
    *action_fn)(struct master *m, uint64_t asker, const char *line, size_t len);
/* Something that takes its time. */
typedef void (
    *clerk_fn)(struct master *m, uint64_t asker, const struct request *r);

struct command {
	const char *name;
	size_t min_args, max_args;
	report_fn report;
	action_fn action;
	clerk_fn clerk;
};

static void
do_reload(struct master *m, uint64_t asker, const char *line, size_t len)
{
	reload_begin(m->reload, asker);
}

static void
do_stop(struct master *m, uint64_t asker, const char *line, size_t len)
{
	/* answered when there is nothing left but the last exit */
	master_stop(m);
}

/* The worker gets the request and the connection, and answers by itself. */
static void
do_forward(struct master *m, uint64_t asker, const char *line, size_t len)
{
	struct child *w = supervise_any_worker(m->supervisor);
	struct ipc_msg *msg = child_message(IPC_CTL_REQUEST);
	int fd;

	ipc_put_bytes(msg, line, len);
	if (w == NULL || msg->bad) {
		control_failed(m->control, asker, "%s",
		    w == NULL ? "no worker is alive that could tell"
			      : "the request is too long");
		return;
	}
	/* 'line' goes with the asker */
	if ((fd = control_take(m->control, asker)) == -1)
		return;
	FAULT(CONTROL_FORWARD);
	ipc_put_fd(msg, fd);
	/* if the worker has just ended chatctl sees the end, as it would
	 * have a moment later */
	(void)child_send(w, msg);
	(void)close(fd);
}

/* --- what takes its time ------------------------------------------------ */

static void
clerk_alone(struct master *m, uint64_t asker, const struct request *r)
{
	clerk_begin(m->clerk, asker, r, false);
}

static void
clerk_writes(struct master *m, uint64_t asker, const struct request *r)
{
	clerk_begin(m->clerk, asker, r, true);
}

static void
do_retention(struct master *m, uint64_t asker, const struct request *r)
{
	if (strcmp(r->args[0], "run") != 0)
		control_failed(m->control, asker,
		    "retention knows only: retention run");
	else
		retention_begin(m->retention, asker);
}

static const struct command commands[] = {
	{ .name = "health", .report = report_health },
	{ .name = "backup", .max_args = 1, .clerk = clerk_writes },
	{ .name = "export",
	    .min_args = 1,
	    .max_args = 1,
	    .clerk = clerk_writes },
	{ .name = "verify", .clerk = clerk_alone },
	{ .name = "compact", .clerk = clerk_alone },
	{ .name = "retention",
	    .min_args = 1,
	    .max_args = 1,
	    .clerk = do_retention },
	{ .name = "status", .report = report_status },
	{ .name = "workers", .report = report_workers },
	{ .name = "ring", .report = report_ring },
	{ .name = "store", .report = report_store },
	{ .name = "stats", .max_args = 1, .report = report_stats },
	{ .name = "config", .report = report_config },
	{ .name = "version", .report = report_version },
	{ .name = "workspaces", .action = do_forward },
	{ .name = "sessions", .max_args = 1, .action = do_forward },
	{ .name = "members",
	    .min_args = 1,
	    .max_args = 1,
	    .action = do_forward },
	{ .name = "presence",
	    .min_args = 1,
	    .max_args = 1,
	    .action = do_forward },
	{ .name = "users", .max_args = 1, .action = do_forward },
	{ .name = "user", .min_args = 2, .max_args = 2, .action = do_forward },
	{ .name = "limits", .max_args = 1, .action = do_forward },
	{ .name = "history",
	    .min_args = 1,
	    .max_args = 2,
	    .action = do_forward },
	{ .name = "tail", .min_args = 1, .max_args = 1, .action = do_forward },
	/* what these are told is looked at by the worker */
	{ .name = "say", .max_args = REQUEST_MAX_ARGS, .action = do_forward },
	{ .name = "kick", .max_args = REQUEST_MAX_ARGS, .action = do_forward },
	{ .name = "ban", .max_args = REQUEST_MAX_ARGS, .action = do_forward },
	{ .name = "unban", .max_args = REQUEST_MAX_ARGS, .action = do_forward },
	{ .name = "mute", .max_args = REQUEST_MAX_ARGS, .action = do_forward },
	{ .name = "unmute",
	    .max_args = REQUEST_MAX_ARGS,
	    .action = do_forward },
	{ .name = "revoke",
	    .max_args = REQUEST_MAX_ARGS,
	    .action = do_forward },
	{ .name = "broadcast",
	    .max_args = REQUEST_MAX_ARGS,
	    .action = do_forward },
	{ .name = "session",
	    .max_args = REQUEST_MAX_ARGS,
	    .action = do_forward },
	{ .name = "message",
	    .max_args = REQUEST_MAX_ARGS,
	    .action = do_forward },
	{ .name = "bans", .action = do_forward },
	{ .name = "events", .action = do_forward },
	{ .name = "filter",
	    .min_args = 2,
	    .max_args = 2,
	    .action = do_forward },
	{ .name = "reload", .action = do_reload },
	{ .name = "stop", .action = do_stop },
#ifdef CHATD_FAULTS
	{ .name = "faults", .max_args = 7, .report = report_faults },
#endif
};

static const struct command *
find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void
run_report(struct master *m, uint64_t asker, const struct request *r,
    report_fn report)
{
	struct json_out o = { 0 };

	report(m, r, &o);
	if (o.failed) {
		control_failed(m->control, asker, "out of memory");
	} else {
		control_data(m->control, asker, o.p, o.len);
		control_done(m->control, asker);
	}
	json_out_clear(&o);
}

void
command_run(struct master *m, uint64_t asker, const struct request *r,
    const char *line, size_t len)
{
	const struct command *c = find(r->command);

	if (c == NULL)
		control_failed(m->control, asker, "there is no command %s",
		    log_text(r->command, strlen(r->command)));
	else if (r->nargs < c->min_args || r->nargs > c->max_args)
		control_failed(m->control, asker,
		    "%s: wrong number of arguments", c->name);
	else if (c->report != NULL)
		run_report(m, asker, r, c->report);
	else if (c->clerk != NULL)
		c->clerk(m, asker, r);
	else
		c->action(m, asker, line, len);
}
