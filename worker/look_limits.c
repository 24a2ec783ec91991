/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * look_limits - chatctl limits: what is allowed, and what of it a user has
 * left.
 */

#include <string.h>

#include "common/clock.h"
#include "worker/ctl.h"
#include "worker/worker.h"

#define NS_PER_S UINT64_C(1000000000)

static void
put_number(struct json_out *o, const char *key, uint64_t n)
{
	json_out_key(o, key);
	json_out_u64(o, n);
}

static uint64_t
seconds(uint64_t ns)
{
	return ns == 0 ? 0 : (ns - 1) / NS_PER_S + 1;
}

/* Each rate; of a user, how much of it is left. */
static void
put_rates(struct json_out *o, struct worker *w, const struct user_ref *user)
{
	const struct {
		const char *name;
		enum user_rate kind;
		uint32_t per_minute;
	} rates[] = {
		{ "message", USER_RATE_MESSAGE, w->cfg->limits_message_rate },
		{ "typing", USER_RATE_TYPING, w->cfg->limits_typing_rate },
		{ "join", USER_RATE_JOIN, w->cfg->limits_join_rate },
		{ "history", USER_RATE_HISTORY, w->cfg->limits_history_rate },
		{ "presence", USER_RATE_PRESENCE,
		    w->cfg->limits_presence_rate },
	};
	uint64_t wait;
	size_t i;

	json_out_key(o, "rates");
	json_out_array(o);
	for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		json_out_object(o);
		json_out_key(o, "rate");
		json_out_cstring(o, rates[i].name);
		put_number(o, "a_minute", rates[i].per_minute);
		if (user != NULL) {
			put_number(o, "left",
			    user_rate_left(w->tables, user, rates[i].kind,
				rates[i].per_minute, clock_mono_ns(), &wait));
			put_number(o, "retry_after_s", seconds(wait));
		}
		json_out_object_end(o);
	}
	json_out_array_end(o);
}

static void
put_user(struct json_out *o, struct worker *w, const char *name,
    const struct user_ref *user)
{
	json_out_key(o, "user");
	json_out_cstring(o, name);
	put_number(o, "connections", user_connections(w->tables, user));
	put_number(o, "connections_allowed",
	    w->cfg->limits_connections_per_user);
	put_number(o, "refusals",
	    user_strikes(w->tables, user, clock_mono_ns()));
	put_number(o, "held_s",
	    seconds(user_held(w->tables, user, clock_mono_ns())));
}

static void
put_all(struct json_out *o, struct worker *w)
{
	const struct config *cfg = w->cfg;

	put_number(o, "overload", w->overload.level);
	put_number(o, "chunks_a_minute", cfg->limits_chunk_rate);
	put_number(o, "connects_a_minute", cfg->limits_connect_rate);
	put_number(o, "connections_per_user", cfg->limits_connections_per_user);
	put_number(o, "sessions_per_socket", cfg->limits_sessions_per_socket);
	put_number(o, "members_per_session", cfg->limits_members_per_session);
	put_number(o, "message_length", cfg->limits_message_length);
	put_number(o, "metadata_bytes", cfg->limits_metadata_bytes);
	put_number(o, "event_bytes", cfg->limits_event_bytes);
	put_number(o, "backoff_max_s", cfg->limits_backoff_max / 1000);
}

void
limits_serve(struct ctl *c, const char *command, const struct json_tree *args)
{
	const char *name = json_tree_text(json_tree_at(args, 0));
	struct worker *w = c->worker;
	struct json_out o = { 0 };
	struct user_ref user;
	bool found = name != NULL &&
	    user_find(w->tables, name, strlen(name), &user) == 0;

	if (name != NULL && !found) {
		ctl_done(c, "this user is not connected, and under no limit");
		return;
	}
	json_out_object(&o);
	if (found)
		put_user(&o, w, name, &user);
	else
		put_all(&o, w);
	put_rates(&o, w, found ? &user : NULL);
	json_out_object_end(&o);
	ctl_put(c, &o, false);
	json_out_clear(&o);
	ctl_done(c, NULL);
}
