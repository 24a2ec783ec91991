/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/claims.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define USER_ID_MAX 128
#define USER_NAME_MAX 128
#define ID_MAX 100
#define TOKEN_ID_MAX 256

static void *
must(void *p)
{
	if (p == NULL)
		fatalx("out of memory for an identity");
	return p;
}

/* A string without control characters, decoded; NULL if it is none. */
static char *
read_text(struct json_value v)
{
	const char *at = NULL;
	uint32_t c;
	char *p;

	if (v.kind != JSON_KIND_STRING || json_inside(v).len == 0)
		return NULL;
	while (json_next_char(v, &at, &c)) {
		if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
			return NULL;
	}
	p = must(malloc(v.text.len));
	CHECK(json_decode(v, p, v.text.len) > 0);
	return p;
}

/* The same of at most 'max' bytes. */
static char *
read_short(struct json_value v, size_t max)
{
	char *p = read_text(v);

	if (p != NULL && strlen(p) > max) {
		free(p);
		p = NULL;
	}
	return p;
}

static char *
read_user_id(struct json_value v)
{
	return read_short(v, USER_ID_MAX);
}

static char *
read_token_id(struct json_value v)
{
	return read_short(v, TOKEN_ID_MAX);
}

static char *
read_user_name(struct json_value v)
{
	return json_utf16_length(v) <= USER_NAME_MAX ? read_text(v) : NULL;
}

static char *
read_id(struct json_value v)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-";
	char *p = read_text(v);

	if (p != NULL &&
	    (strlen(p) > ID_MAX || p[strspn(p, allowed)] != '\0')) {
		free(p);
		p = NULL;
	}
	return p;
}

/* Absent is fine and leaves *role_r. */
static bool
read_role(struct json_value v, enum identity_role *role_r)
{
	if (json_is(v, "user"))
		*role_r = IDENTITY_USER;
	else if (json_is(v, "agent"))
		*role_r = IDENTITY_AGENT;
	else if (json_is(v, "service"))
		*role_r = IDENTITY_SERVICE;
	else
		return v.kind == JSON_KIND_NONE;
	return true;
}

static size_t
count(struct json_value array)
{
	struct json_iter it = json_iter(array);
	struct json_value v;
	size_t n = 0;

	while (json_next(&it, &v))
		n++;
	return n;
}

static bool
read_sessions(struct json_value v, struct identity_workspace *w)
{
	struct json_iter it = json_iter(v);
	struct json_value e;

	if (v.kind == JSON_KIND_NONE) {
		w->all_sessions = true;
		return true;
	}
	if (v.kind != JSON_KIND_ARRAY)
		return false;
	w->sessions = must(calloc(count(v) + 1, sizeof(*w->sessions)));
	while (json_next(&it, &e)) {
		if ((w->sessions[w->nsessions] = read_id(e)) == NULL)
			return false;
		w->nsessions++;
	}
	return true;
}

static bool
read_workspace(struct json_value v, struct identity_workspace *w)
{
	if (v.kind == JSON_KIND_STRING) {
		w->all_sessions = true;
		return (w->id = read_id(v)) != NULL;
	}
	if (v.kind != JSON_KIND_OBJECT)
		return false;
	return (w->id = read_id(json_member(v, "id"))) != NULL &&
	    read_role(json_member(v, "role"), &w->role) &&
	    read_sessions(json_member(v, "sessions"), w);
}

static bool
read_workspaces(struct json_value v, struct identity *id)
{
	struct json_iter it = json_iter(v);
	struct identity_workspace *w;
	struct json_value e;

	if (v.kind != JSON_KIND_ARRAY)
		return v.kind == JSON_KIND_NONE;
	id->workspaces = must(calloc(count(v) + 1, sizeof(*w)));
	while (json_next(&it, &e)) {
		w = &id->workspaces[id->nworkspaces++];
		w->role = id->role;
		if (!read_workspace(e, w))
			return false;
	}
	return true;
}

static void
workspace_clear(struct identity_workspace *w)
{
	size_t i;

	free(w->id);
	for (i = 0; i < w->nsessions; i++)
		free(w->sessions[i]);
	free(w->sessions);
}

/* What was read, piece by piece. */
static void
identity_clear(struct identity *id)
{
	size_t i;

	for (i = 0; i < id->nworkspaces; i++)
		workspace_clear(&id->workspaces[i]);
	free(id->workspaces);
	free(id->user_id);
	free(id->user_name);
	free(id->token_id);
}

/* --- one allocation for all of it: there are as many as connections --------- */

/* The identity, then its arrays, then its texts. */
static size_t
packed_size(const struct identity *id)
{
	size_t size = sizeof(*id) + strlen(id->user_id) +
	    strlen(id->user_name) + 2,
	       i, k;
	const struct identity_workspace *w;

	if (id->token_id != NULL)
		size += strlen(id->token_id) + 1;
	for (i = 0; i < id->nworkspaces; i++) {
		w = &id->workspaces[i];
		size += sizeof(*w) + strlen(w->id) + 1;
		for (k = 0; k < w->nsessions; k++)
			size += sizeof(char *) + strlen(w->sessions[k]) + 1;
	}
	return size;
}

static char *
pack_text(char **to, const char *text)
{
	size_t size = strlen(text) + 1;
	char *p = *to;

	memcpy(p, text, size);
	*to += size;
	return p;
}

static struct identity *
pack(const struct identity *from)
{
	struct identity *id = must(malloc(packed_size(from)));
	struct identity_workspace *w;
	char **sessions, *to;
	size_t i, k, n = 0;

	*id = *from;
	id->workspaces = (struct identity_workspace *)(id + 1);
	sessions = (char **)(id->workspaces + id->nworkspaces);
	for (i = 0; i < id->nworkspaces; i++)
		n += from->workspaces[i].nsessions;
	to = (char *)(sessions + n);
	id->user_id = pack_text(&to, from->user_id);
	id->user_name = pack_text(&to, from->user_name);
	if (from->token_id != NULL)
		id->token_id = pack_text(&to, from->token_id);
	for (i = 0; i < id->nworkspaces; i++) {
		w = &id->workspaces[i];
		*w = from->workspaces[i];
		w->id = pack_text(&to, w->id);
		w->sessions = sessions;
		for (k = 0; k < w->nsessions; k++)
			*sessions++ =
			    pack_text(&to, from->workspaces[i].sessions[k]);
	}
	return id;
}

/* Piece by piece; what is wrong, or NULL. */
static const char *
read_claims(const struct claims *c, struct identity *id)
{
	if ((id->user_id = read_user_id(c->user_id)) == NULL)
		return "sub is missing or no user id";
	id->user_name = c->user_name.kind == JSON_KIND_NONE
	    ? must(strdup(id->user_id))
	    : read_user_name(c->user_name);
	if (id->user_name == NULL)
		return "name is no user name";
	if (!read_role(c->role, &id->role))
		return "role is unknown";
	if (!read_workspaces(c->workspaces, id))
		return "workspaces is no list of workspaces";
	if (c->token_id.kind != JSON_KIND_NONE &&
	    (id->token_id = read_token_id(c->token_id)) == NULL)
		return "jti is no id";
	return NULL;
}

struct identity *
claims_identity_why(const struct claims *c, const char **why_r)
{
	struct identity id = { .user_id = NULL };
	struct identity *packed = NULL;
	const char *why = read_claims(c, &id);

	if (why == NULL)
		packed = pack(&id);
	else
		*why_r = why;
	identity_clear(&id);
	return packed;
}

struct identity *
claims_identity(const struct claims *c)
{
	const char *why;

	return claims_identity_why(c, &why);
}
