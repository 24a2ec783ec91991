/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * The steering commands as data, and what they are told.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/steer.h"
#include "common/clock.h"
#include "worker/steer_impl.h"

#define BIT(o) (1u << OPTION_##o)
#define NAME_MAX_BYTES 128
/* of an id that is made */
#define MADE_ID 22

/* --- words ------------------------------------------------------------------------ */

static const char *
take_user(struct steering *st)
{
	st->about_user = true;
	st->whom = st->args.at[0];
	return steer_args_is_user(st->whom) ? NULL
					    : "that is no user's id: 1 to 128 "
					      "bytes, no control characters";
}

/* --for; and the reason, which may also be the word 'at'. */
static const char *
take_terms(struct steering *st, size_t at)
{
	const char *span = st->args.option[OPTION_FOR];
	const char **reason = &st->args.option[OPTION_REASON];
	uint64_t ms;

	if (st->args.n > at + 1)
		return "too many arguments; what has blanks stands in quotes";
	if (at < st->args.n && *reason == NULL)
		*reason = st->args.at[at];
	else if (at < st->args.n)
		return "there are two reasons";
	if (*reason != NULL && !steer_args_is_line(*reason, STEER_REASON_MAX))
		return "a reason is a line of at most 500 bytes";
	st->text = *reason;
	st->until_ms = STEER_EVER;
	if (span == NULL)
		return NULL;
	if (!steer_args_duration(span, &ms))
		return "--for wants a whole number and ms, s, m, h or d";
	st->until_ms = clock_real_ms() + ms;
	return NULL;
}

static const char *
read_listed(struct steering *st)
{
	const char *bad = take_user(st);

	st->action = st->cmd->name;
	return bad == NULL ? take_terms(st, 1) : bad;
}

/* A user, or what stands behind 'option' instead. */
static const char *
read_target(struct steering *st, unsigned option, const char *of_user,
    const char *of_other)
{
	const char *other = st->args.option[option];

	if (other == NULL && st->args.n == 0)
		return "whom?  Name a user";
	if (other == NULL) {
		st->action = of_user;
		return take_user(st);
	}
	st->action = of_other;
	st->whom = other;
	return steer_args_is_user(other) ? NULL : "that is no id";
}

static const char *
read_kick(struct steering *st)
{
	const char *bad = read_target(st, OPTION_CONN, "kick", "kick-socket");

	return bad == NULL ? take_terms(st, st->about_user ? 1 : 0) : bad;
}

static const char *
read_revoke(struct steering *st)
{
	const char *bad =
	    read_target(st, OPTION_TOKEN, "revoke-user", "revoke-token");

	if (st->about_user)
		(void)snprintf(st->since, sizeof(st->since), "%" PRIu64,
		    clock_real_ms());
	return bad == NULL ? take_terms(st, st->about_user ? 1 : 0) : bad;
}

/* --- what is said -------------------------------------------------------------------- */

static void
make_id(struct steering *st)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz"
				     "0123456789-_";
	uint8_t random[MADE_ID];
	size_t i;

	arc4random_buf(random, sizeof(random));
	for (i = 0; i < sizeof(random); i++)
		st->id[i] = digits[random[i] & 63];
	st->id[i] = '\0';
}

static const char *
take_said(struct steering *st, size_t at)
{
	const char *name = st->args.option[OPTION_NAME];

	st->text = st->args.at[at];
	if (strspn(st->text, " \t\r\n") == strlen(st->text))
		return "there is nothing to say";
	if (strlen(st->text) > STEER_TEXT_MAX)
		return "the text is too long: 16384 bytes at most";
	if (name != NULL && !steer_args_is_line(name, NAME_MAX_BYTES))
		return "a name is a line of at most 128 bytes";
	make_id(st);
	return NULL;
}

static const char *
take_session(struct steering *st)
{
	st->whom = st->args.at[0];
	return steer_args_is_session(st->whom)
	    ? NULL
	    : "a session is named workspace/session";
}

static const char *
read_say(struct steering *st)
{
	const char *bad = take_session(st);

	return bad == NULL ? take_said(st, 1) : bad;
}

static const char *
read_broadcast(struct steering *st)
{
	const char *workspace = st->args.option[OPTION_WORKSPACE];
	const char *session = st->args.option[OPTION_SESSION];

	st->action = "broadcast";
	st->until_ms = STEER_EVER;
	if (workspace != NULL && session != NULL)
		return "--session names its workspace already";
	if (workspace != NULL) {
		if (!steer_args_is_id(workspace, strlen(workspace)))
			return "that is no workspace's id";
		st->workspace = workspace;
		st->workspace_len = strlen(workspace);
	}
	if (session != NULL) {
		if (!steer_args_is_session(session))
			return "a session is named workspace/session";
		st->workspace = session;
		st->workspace_len = strcspn(session, "/");
		st->session = session + st->workspace_len + 1;
	}
	st->whom = session != NULL ? session : workspace;
	return take_said(st, 0);
}

/* --- sessions and messages -------------------------------------------------------------- */

static const char *
shift(struct steering *st)
{
	memmove(&st->args.at[0], &st->args.at[1],
	    (STEER_ARGS_POSITIONS - 1) * sizeof(st->args.at[0]));
	st->args.n--;
	return take_session(st);
}

static const char *
read_status(struct steering *st)
{
	static const char *const known[] = { "active", "paused", "completed",
		"abandoned", "error" };
	const char *bad;
	size_t i;

	if (strcmp(st->args.at[0], "status") != 0)
		return "session knows only show and status";
	if ((bad = shift(st)) != NULL)
		return bad;
	st->status = st->args.at[1];
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(st->status, known[i]) == 0)
			return take_terms(st, 2);
	}
	return "a status is active, paused, completed, abandoned or error";
}

static const char *
read_delete(struct steering *st)
{
	const char *bad, *id;

	if (strcmp(st->args.at[0], "delete") != 0)
		return "message knows only delete";
	if ((bad = shift(st)) != NULL)
		return bad;
	id = st->args.at[1];
	if (!steer_args_is_id(id, strlen(id)))
		return "that is no message's id";
	(void)snprintf(st->id, sizeof(st->id), "%s", id);
	return NULL;
}

/* --- all of them ---------------------------------------------------------------------------- */

static const struct steer_command commands[] = {
	{
	    .name = "kick",
	    .audit = "kick",
	    .key = "whom",
	    .effect = STEER_DOES_KICK,
	    .options = BIT(CONN) | BIT(REASON),
	    .max = 2,
	    .read = read_kick,
	    .said = " was disconnected",
	    .told = true,
	    .must_meet = true,
	},
	{
	    .name = "ban",
	    .audit = "ban",
	    .key = "user",
	    .effect = STEER_DOES_LIST,
	    .options = BIT(FOR) | BIT(REASON),
	    .min = 1,
	    .max = 2,
	    .read = read_listed,
	    .said = " is banned",
	    .lasts = true,
	    .told = true,
	},
	{
	    .name = "unban",
	    .audit = "unban",
	    .key = "user",
	    .effect = STEER_DOES_LIST,
	    .min = 1,
	    .max = 1,
	    .read = read_listed,
	    .said = " is no longer banned",
	    .none = " is not banned",
	},
	{
	    .name = "mute",
	    .audit = "mute",
	    .key = "user",
	    .effect = STEER_DOES_LIST,
	    .options = BIT(FOR) | BIT(REASON),
	    .min = 1,
	    .max = 2,
	    .read = read_listed,
	    .said = " is muted",
	    .lasts = true,
	},
	{
	    .name = "unmute",
	    .audit = "unmute",
	    .key = "user",
	    .effect = STEER_DOES_LIST,
	    .min = 1,
	    .max = 1,
	    .read = read_listed,
	    .said = " is no longer muted",
	    .none = " is not muted",
	},
	{
	    .name = "revoke",
	    .audit = "revoke",
	    .key = "whom",
	    .effect = STEER_DOES_REVOKE,
	    .options = BIT(TOKEN) | BIT(FOR) | BIT(REASON),
	    .max = 2,
	    .read = read_revoke,
	    .said = " is revoked",
	    .lasts = true,
	    .told = true,
	},
	{
	    .name = "broadcast",
	    .audit = "broadcast",
	    .key = "to",
	    .effect = STEER_DOES_BROADCAST,
	    .options = BIT(WORKSPACE) | BIT(SESSION) | BIT(NAME),
	    .min = 1,
	    .max = 1,
	    .read = read_broadcast,
	    .said = " was told",
	    .told = true,
	},
	{
	    .name = "say",
	    .audit = "say",
	    .key = "session",
	    .effect = STEER_DOES_SAY,
	    .options = BIT(NAME),
	    .min = 2,
	    .max = 2,
	    .read = read_say,
	    .said = " was told",
	    .needs_session = true,
	},
	{
	    .name = "session",
	    .audit = "session status",
	    .key = "session",
	    .effect = STEER_DOES_STATUS,
	    .options = BIT(REASON),
	    .min = 3,
	    .max = 4,
	    .read = read_status,
	    .said = " has the status ",
	    .none = ": there is no such session",
	    .needs_session = true,
	},
	{
	    .name = "message",
	    .audit = "message delete",
	    .key = "session",
	    .effect = STEER_DOES_DELETE,
	    .min = 3,
	    .max = 3,
	    .read = read_delete,
	    .said = ": the message is deleted",
	    .none = ": there is no such message",
	    .needs_session = true,
	},
};

const char *
steer_command(struct steering *st, const char *command,
    const struct json_tree *args, char *why, size_t size)
{
	const struct steer_command *cmd = NULL;
	const char *bad;
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, command) == 0)
			cmd = &commands[i];
	}
	if (cmd == NULL)
		return "unknown command";
	st->cmd = cmd;
	st->workspace = "";
	bad = steer_args_parse(&st->args, args, cmd->options, why, size);
	if (bad != NULL)
		return bad;
	if (st->args.n < cmd->min || st->args.n > cmd->max)
		return st->args.n < cmd->min
		    ? "something is missing"
		    : "too many arguments; what has blanks stands in quotes";
	return cmd->read(st);
}
