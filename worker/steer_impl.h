/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * steer_impl - shared by steer.c, which carries a decision out, and
 * steer_command.c, which makes it of what chatctl says.
 */

#ifndef WORKER_STEER_IMPL_H
#define WORKER_STEER_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/event.h"
#include "common/json.h"
#include "worker/steer_args.h"

struct report;
struct steering;

enum steer_effect {
	/* into the list, or out of it */
	STEER_DOES_LIST,
	STEER_DOES_KICK,
	STEER_DOES_REVOKE,
	STEER_DOES_BROADCAST,
	STEER_DOES_STATUS,
	STEER_DOES_SAY,
	STEER_DOES_DELETE,
};

struct steer_command {
	const char *name;
	/* in the log, and of the answer */
	const char *audit;
	/* what 'whom' is called in the answer */
	const char *key;
	enum steer_effect effect;
	/* options that it knows, and words without one */
	unsigned options;
	size_t min, max;
	/* reads what follows the first word; NULL, or what is wrong */
	const char *(*read)(struct steering *st);
	/* what is told behind 'whom'; if there is none such */
	const char *said, *none;
	/* it may end by itself */
	bool lasts;
	/* all workers tell how many sockets they met; it must be one */
	bool told, must_meet;
	/* 'whom' is a session */
	bool needs_session;
};

struct steering {
	const struct steer_command *cmd;
	struct steer_args args;
	/* of the STEER */
	const char *action;
	/* spans of the request */
	const char *whom, *session, *text, *status;
	const char *workspace;
	size_t workspace_len;
	/* 'whom' is a user (or else a socket, or a token) */
	bool about_user;
	/* UINT64_MAX: for ever */
	uint64_t until_ms;
	/* tokens issued before are revoked, in decimal */
	char since[24];
	/* of a message; made, or told */
	char id[104];
	struct json_out body;
	/* what was looked up, and where that goes on */
	uint64_t room, found, from;

	/* it has its verdict, and this is where it stands */
	bool decided;
	uint64_t gseq, seq;
	/* sockets at the workers that have told so far */
	uint64_t sockets;
	unsigned nreports, nworkers;
	/* until when the verdict, and then the reports, are waited for */
	uint64_t until_mono_ms;
	/* reports that came before the verdict */
	struct report *early;
	unsigned nearly;
};

/*
 * Which command it is and what about; NULL, or a sentence that says what is
 * wrong with it.
 */
const char *steer_command(struct steering *st, const char *command,
    const struct json_tree *args, char *why, size_t size);

#endif /* WORKER_STEER_IMPL_H */
