/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * look - chatctl workspaces, sessions, session show, members, presence,
 * users, user show, limits: what there is and who is there.
 *
 * Lists are read page by page and told as one document.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "chat/steer.h"
#include "common/clock.h"
#include "common/log.h"
#include "worker/ctl.h"
#include "worker/reader.h"
#include "worker/worker.h"

#define A_PAGE 500
/* of a document; more than anybody reads */
#define BYTES_MAX (32 << 20)
/* a place, or two lines of a roster */
#define PLACE_MAX 600

struct workspace {
	uint64_t sessions, sockets;
	UT_hash_handle hh;
	char id[];
};

struct look;

struct look_command {
	const char *name;
	enum read_kind kind;
	/* the member that is a list; NULL: the answer is one object */
	const char *list;
	/* why there is nothing of that name */
	const char *unknown;
	/* what to do with a row; 'first': of this command */
	void (*row)(struct look *l, const struct read_row *row, bool first);
	/* behind the last of them; or NULL */
	void (*end)(struct look *l);
	/* its rows are those of the room that 'kind' finds */
	bool roster;
};

struct look {
	const struct look_command *cmd;
	struct worker *worker;
	struct json_out o;
	/* what was named; only this workspace; also who is not here */
	const char *name;
	bool all, first;
	/* of a roster */
	uint64_t room;
	/* where the next page begins */
	char place[PLACE_MAX];
	size_t len;
	/* workspaces */
	struct workspace *workspaces;
	/* members: the user whose sockets are being counted */
	uint64_t user, sockets;
};

/* --- rows -------------------------------------------------------------------- */

static void
put_text(struct json_out *o, const char *key, struct store_text text)
{
	json_out_key(o, key);
	json_out_string(o, text.p, text.len);
}

static void
put_number(struct json_out *o, const char *key, uint64_t n)
{
	json_out_key(o, key);
	json_out_u64(o, n);
}

static void
put_session(struct json_out *o, const struct read_row *row)
{
	put_text(o, "workspace", row->text[0]);
	put_text(o, "session", row->text[1]);
	put_number(o, "last_seq", row->n[2]);
	put_number(o, "sockets", row->n[4]);
	json_out_key(o, "status");
	if (row->text[2].len > 0)
		json_out_string(o, row->text[2].p, row->text[2].len);
	else
		json_out_cstring(o, "active");
	put_number(o, "created_at_ms", row->n[1]);
}

static void
row_sessions(struct look *l, const struct read_row *row, bool first)
{
	if (l->name != NULL &&
	    (strlen(l->name) != row->text[0].len ||
		memcmp(l->name, row->text[0].p, row->text[0].len) != 0))
		return;
	json_out_object(&l->o);
	put_session(&l->o, row);
	json_out_object_end(&l->o);
}

static void
row_session(struct look *l, const struct read_row *row, bool first)
{
	put_session(&l->o, row);
	put_text(&l->o, "status_reason", row->text[3]);
	put_number(&l->o, "last_revision", row->n[3]);
	put_number(&l->o, "removed_up_to_seq", row->n[5]);
	put_number(&l->o, "number", row->n[0]);
}

static void
row_workspaces(struct look *l, const struct read_row *row, bool first)
{
	struct store_text id = row->text[0];
	struct workspace *w;

	HASH_FIND(hh, l->workspaces, id.p, id.len, w);
	if (w == NULL) {
		if ((w = calloc(1, sizeof(*w) + id.len + 1)) == NULL)
			fatal("memory for chatctl");
		memcpy(w->id, id.p, id.len);
		HASH_ADD_KEYPTR(hh, l->workspaces, w->id, id.len, w);
	}
	w->sessions++;
	w->sockets += row->n[4];
}

static void
end_workspaces(struct look *l)
{
	struct workspace *w, *next;

	HASH_ITER(hh, l->workspaces, w, next) {
		json_out_object(&l->o);
		json_out_key(&l->o, "workspace");
		json_out_cstring(&l->o, w->id);
		put_number(&l->o, "sessions", w->sessions);
		put_number(&l->o, "sockets", w->sockets);
		json_out_object_end(&l->o);
	}
}

/* A socket in a session, and what names it from the other side. */
static void
put_socket(struct look *l, const struct read_row *row, const char *first,
    const char *second)
{
	json_out_object(&l->o);
	put_text(&l->o, first, row->text[0]);
	put_text(&l->o, second, row->text[1]);
	put_text(&l->o, "socket", row->text[2]);
	put_text(&l->o, "status", row->text[3]);
	put_number(&l->o, "joined_at_ms", row->n[1]);
	put_number(&l->o, "active_at_ms", row->n[2]);
	json_out_object_end(&l->o);
}

static void
row_presence(struct look *l, const struct read_row *row, bool first)
{
	put_socket(l, row, "user", "name");
}

static void
end_members(struct look *l)
{
	if (l->sockets == 0)
		return;
	put_number(&l->o, "sockets", l->sockets);
	json_out_object_end(&l->o);
}

/* Sockets of one user come one behind the other. */
static void
row_members(struct look *l, const struct read_row *row, bool first)
{
	if (l->sockets == 0 || l->user != row->n[0]) {
		end_members(l);
		json_out_object(&l->o);
		put_text(&l->o, "user", row->text[0]);
		put_text(&l->o, "name", row->text[1]);
		put_number(&l->o, "joined_at_ms", row->n[1]);
		l->user = row->n[0];
		l->sockets = 0;
	}
	l->sockets++;
}

/* How often it is connected, to all workers. */
static uint32_t
connections(const struct look *l, struct store_text id)
{
	struct user_ref user;

	return user_find(l->worker->tables, id.p, id.len, &user) == -1
	    ? 0
	    : user_connections(l->worker->tables, &user);
}

static void
row_users(struct look *l, const struct read_row *row, bool first)
{
	uint32_t n = connections(l, row->text[0]);

	if (n == 0 && !l->all)
		return;
	json_out_object(&l->o);
	put_text(&l->o, "user", row->text[0]);
	put_text(&l->o, "name", row->text[1]);
	put_number(&l->o, "connections", n);
	put_number(&l->o, "seen_at_ms", row->n[1]);
	json_out_object_end(&l->o);
}

/* Banned or muted until then; 0 for ever. */
static void
put_until(struct look *l, const char *key, bool is, uint64_t until_ms)
{
	if (is)
		put_number(&l->o, key, until_ms == STEER_EVER ? 0 : until_ms);
}

static void
user_head(struct look *l, const struct read_row *row)
{
	const struct chat *chat = l->worker->chat;
	uint64_t until = 0;
	bool is;

	put_text(&l->o, "user", row->text[0]);
	put_text(&l->o, "name", row->text[1]);
	put_number(&l->o, "number", row->n[0]);
	put_number(&l->o, "connections", connections(l, row->text[0]));
	put_number(&l->o, "seen_at_ms", row->n[1]);
	is = steer_is_banned(chat, l->name, &until);
	put_until(l, "banned_until_at_ms", is, until);
	is = steer_is_muted(chat, l->name, &until);
	put_until(l, "muted_until_at_ms", is, until);
	json_out_key(&l->o, "sessions");
	json_out_array(&l->o);
}

static void
row_user(struct look *l, const struct read_row *row, bool first)
{
	if (first)
		user_head(l, row);
	else
		put_socket(l, row, "workspace", "session");
}

static void
end_user(struct look *l)
{
	json_out_array_end(&l->o);
}

/* --- pages --------------------------------------------------------------------- */

/* Where the page behind this one begins; false: there is none. */
static bool
next_page(struct look *l, const struct read_answer *a,
    const struct read_row *last)
{
	int n;

	if (!a->more)
		return false;
	if (l->cmd->roster) {
		n = snprintf(l->place, sizeof(l->place), READ_ROSTER_TEXT, 0,
		    "", (int)last->text[2].len, last->text[2].p,
		    (int)last->text[0].len, last->text[0].p);
		l->len = (size_t)n;
		return l->len < sizeof(l->place);
	}
	if (last->text[0].len > sizeof(l->place))
		return false;
	l->len = last->text[0].len;
	memcpy(l->place, last->text[0].p, l->len);
	return true;
}

/* True: there are others behind them. */
static bool
take_page(struct look *l, const struct read_answer *a)
{
	bool places = l->cmd->kind == READ_ROOMS || l->cmd->kind == READ_USERS;
	struct read_row row = { .n = { 0 } };
	unsigned n = a->nrows - places;
	size_t at = 0;

	for (; n > 0 && reader_row(a, &at, &row); n--) {
		l->cmd->row(l, &row, l->first);
		l->first = false;
	}
	if (places)
		(void)reader_row(a, &at, &row);
	return next_page(l, a, &row);
}

/* Somebody who was never here can be kept out all the same. */
static bool
is_only_decided_about(struct look *l)
{
	const struct chat *chat = l->worker->chat;
	uint64_t until;

	return l->cmd->kind == READ_USER &&
	    (steer_is_banned(chat, l->name, &until) ||
		steer_is_muted(chat, l->name, &until));
}

static void
look_finish(struct ctl *c, int error)
{
	struct look *l = c->state;

	if (error == ENOENT && is_only_decided_about(l)) {
		user_head(l,
		    &(struct read_row){
			.text = { { l->name, strlen(l->name) }, { "", 0 } } });
		error = 0;
	}
	if (error != 0) {
		ctl_done(c,
		    error == ENOENT ? l->cmd->unknown
				    : "the store cannot be read");
		return;
	}
	if (l->cmd->end != NULL)
		l->cmd->end(l);
	if (l->cmd->list != NULL)
		json_out_array_end(&l->o);
	json_out_object_end(&l->o);
	if (l->o.len > BYTES_MAX) {
		ctl_done(c, "there are too many to tell");
		return;
	}
	ctl_put(c, &l->o, false);
	ctl_done(c, NULL);
}

static void look_read(void *arg);

static struct read_query
look_query(const struct look *l)
{
	struct read_query q = { .kind = l->cmd->kind,
		.count = A_PAGE,
		.text = { l->place, l->len },
		.decided = l->worker->log_cursor,
		.notify = look_read };

	if (l->cmd->roster && l->room == 0) {
		q.kind = READ_ROOM;
		q.text = (struct store_text){ l->name, strlen(l->name) };
	} else if (l->cmd->roster) {
		q.room = l->room;
	} else if (l->cmd->kind == READ_ROOM || l->cmd->kind == READ_USER) {
		q.text = (struct store_text){ l->name, strlen(l->name) };
	}
	return q;
}

static void
look_read(void *arg)
{
	struct ctl *c = arg;
	struct look *l = c->state;
	struct worker *w = l->worker;
	const struct read_answer *a;
	bool more = true, finds;
	int error = 0;

	while (more && error == 0 && l->o.len <= BYTES_MAX) {
		const struct read_query q = look_query(l);

		finds = l->cmd->roster && l->room == 0;
		if ((a = reader_ask(w->reader, c, &q, w->now_ms)) == NULL)
			return;
		error = a->error;
		if (error == 0 && finds)
			l->room = a->room;
		else if (error == 0)
			more = take_page(l, a);
		reader_taken(w->reader, a);
	}
	look_finish(c, error);
}

static void
on_free(struct ctl *c)
{
	struct look *l = c->state;
	struct workspace *w, *next;

	HASH_ITER(hh, l->workspaces, w, next) {
		HASH_DEL(l->workspaces, w);
		free(w);
	}
	json_out_clear(&l->o);
	free(l);
}

static const struct ctl_ops look_ops = {
	.free = on_free,
};

static const char no_session[] = "no such session";

static const struct look_command commands[] = {
	{ "workspaces", READ_ROOMS, "workspaces", NULL, row_workspaces,
	    end_workspaces, false },
	{ "sessions", READ_ROOMS, "sessions", NULL, row_sessions, NULL, false },
	{ "session", READ_ROOM, NULL, no_session, row_session, NULL, false },
	{ "members", READ_ROSTER, "members", no_session, row_members,
	    end_members, true },
	{ "presence", READ_ROSTER, "presence", no_session, row_presence, NULL,
	    true },
	{ "users", READ_USERS, "users", NULL, row_users, NULL, false },
	{ "user", READ_USER, NULL, "no such user", row_user, end_user, false },
};

/* Names what is shown; the master has counted the arguments. */
static const char *
look_arguments(struct look *l, const struct json_tree *args)
{
	const char *first = json_tree_text(json_tree_at(args, 0));
	const char *second = json_tree_text(json_tree_at(args, 1));

	if (l->cmd->kind == READ_ROOM || l->cmd->kind == READ_USER) {
		if (first == NULL || strcmp(first, "show") != 0)
			return "it knows only: show";
		l->name = second;
	} else if (l->cmd->kind == READ_USERS) {
		l->all = first != NULL && strcmp(first, "--all") == 0;
		return first != NULL && !l->all
		    ? "users knows only --all; of one user tells: user show id"
		    : NULL;
	} else {
		l->name = first;
	}
	if (l->name == NULL && l->cmd->unknown != NULL)
		return "say which";
	if ((l->cmd->kind == READ_ROOM || l->cmd->roster) &&
	    strchr(l->name, '/') == NULL)
		return "a session is named workspace/session";
	return NULL;
}

void
look_serve(struct ctl *c, const char *command, const struct json_tree *args)
{
	const struct look_command *cmd = commands;
	const char *wrong;
	struct look *l;

	while (strcmp(cmd->name, command) != 0)
		cmd++;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		fatal("memory for chatctl");
	l->cmd = cmd;
	l->worker = c->worker;
	l->first = true;
	c->ops = &look_ops;
	c->state = l;
	if ((wrong = look_arguments(l, args)) != NULL) {
		ctl_usage(c, wrong);
		return;
	}
	json_out_object(&l->o);
	if (cmd->list != NULL) {
		json_out_key(&l->o, cmd->list);
		json_out_array(&l->o);
	}
	look_read(c);
}
