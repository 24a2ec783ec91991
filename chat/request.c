/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "chat/request.h"

#include "chat/idle.h"

#include <string.h>

#include "chat/security.h"
#include "common/log.h"

#define NS_PER_S UINT64_C(1000000000)

/* A session that was lost with its connection is joined again. */
static bool
join_is_free(struct request *r)
{
	return r->chat->ops->was_lost(r->chat->ctx, r->s->conn,
	    r->workspace.text, r->session.text);
}

static const struct command commands[] = {
	{
	    .name = "chat:join-session",
	    .rate = CHAT_RATE_JOIN,
	    .parse = join_parse,
	    .free = join_is_free,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .handle = join_handle,
	    .tells_agent = true,
	    .error_event = EVENT_JOIN_ERROR,
	    .errors = CHAT_COUNT_JOIN_ERRORS,
	},
	{
	    .name = "chat:leave-session",
	    .rate = CHAT_RATE_PRESENCE,
	    .parse = leave_parse,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .needs_join = true,
	    .handle = leave_handle,
	    .error_event = EVENT_LEAVE_ERROR,
	    .errors = CHAT_COUNT_OTHER_ERRORS,
	},
	{
	    .name = "chat:send-message",
	    .rate = CHAT_RATE_MESSAGE,
	    .parse = send_parse,
	    .invalid = CHAT_E_INVALID_MESSAGE,
	    .needs_join = true,
	    .handle = send_handle,
	    .over_rate = send_over_rate,
	    .error_event = EVENT_SEND_ERROR,
	    .errors = CHAT_COUNT_MESSAGE_ERRORS,
	},
	{
	    .name = "chat:typing",
	    .rate = CHAT_RATE_TYPING,
	    .parse = typing_parse,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .needs_join = true,
	    .handle = typing_handle,
	    .errors = CHAT_COUNT_OTHER_ERRORS,
	},
	{
	    .name = "chat:update-presence",
	    .rate = CHAT_RATE_PRESENCE,
	    .parse = presence_parse,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .needs_join = true,
	    .handle = presence_handle,
	    .errors = CHAT_COUNT_OTHER_ERRORS,
	},
	{
	    .name = "chat:request-history",
	    .rate = CHAT_RATE_HISTORY,
	    .parse = history_parse,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .needs_join = true,
	    .handle = history_handle,
	    .error_event = EVENT_HISTORY_ERROR,
	    .errors = CHAT_COUNT_OTHER_ERRORS,
	},
	{
	    .name = "chat:edit-message",
	    .rate = CHAT_RATE_MESSAGE,
	    .parse = edit_parse,
	    .invalid = CHAT_E_INVALID_MESSAGE,
	    .needs_join = true,
	    .handle = edit_handle,
	    .errors = CHAT_COUNT_MESSAGE_ERRORS,
	},
	{
	    .name = "chat:delete-message",
	    .rate = CHAT_RATE_MESSAGE,
	    .parse = delete_parse,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .needs_join = true,
	    .handle = delete_handle,
	    .errors = CHAT_COUNT_MESSAGE_ERRORS,
	},
	{
	    .name = "chat:mark-read",
	    .rate = CHAT_RATE_PRESENCE,
	    .parse = read_parse,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .needs_join = true,
	    .handle = read_handle,
	    .errors = CHAT_COUNT_OTHER_ERRORS,
	},
	{
	    .name = "chat:agent-message-stream",
	    .unrated = true,
	    .parse = stream_parse,
	    .invalid = CHAT_E_INVALID_MESSAGE,
	    .needs_join = true,
	    .handle = stream_handle,
	    .error_event = EVENT_SEND_ERROR,
	    .errors = CHAT_COUNT_MESSAGE_ERRORS,
	},
	{
	    .name = "chat:cancel-stream",
	    .rate = CHAT_RATE_PRESENCE,
	    .parse = cancel_parse,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .needs_join = true,
	    .handle = cancel_handle,
	    .errors = CHAT_COUNT_OTHER_ERRORS,
	},
	{
	    .name = "chat:refresh-token",
	    .rate = CHAT_RATE_PRESENCE,
	    .parse = refresh_parse,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .handle = refresh_handle,
	    .errors = CHAT_COUNT_OTHER_ERRORS,
	},
	{
	    .name = "chat:request-presence",
	    .rate = CHAT_RATE_HISTORY,
	    .parse = roster_parse,
	    .invalid = CHAT_E_INVALID_REQUEST,
	    .needs_join = true,
	    .handle = roster_handle,
	    .errors = CHAT_COUNT_OTHER_ERRORS,
	},
};

static const struct command *
command_find(struct chat_str name)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strlen(commands[i].name) == name.len &&
		    memcmp(commands[i].name, name.p, name.len) == 0)
			return &commands[i];
	}
	return NULL;
}

/* --- members of a payload ------------------------------------------------- */

bool
read_id(struct json_value v, struct chat_id *id_r)
{
	struct chat_id id;
	ssize_t len;
	char c;
	size_t i;

	if (v.kind != JSON_KIND_STRING ||
	    (len = json_decode(v, id.text, sizeof(id.text))) <= 0)
		return false;
	id.len = (size_t)len;
	for (i = 0; i < id.len; i++) {
		c = id.text[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	*id_r = id;
	return true;
}

bool
read_optional_id(struct json_value v, struct chat_id *id_r)
{
	return v.kind == JSON_KIND_NONE || read_id(v, id_r);
}

bool
read_optional_u64(struct json_value v, uint64_t min, uint64_t *n_r, bool *has_r)
{
	int64_t n;

	if (v.kind == JSON_KIND_NONE)
		return true;
	if (!json_to_int(v, (int64_t)min, (INT64_C(1) << 53) - 1, &n))
		return false;
	*n_r = (uint64_t)n;
	*has_r = true;
	return true;
}

/* --- answers --------------------------------------------------------------- */

/* The same text is the event's payload and, with "ok" in front, the
 * acknowledgement's: the comma behind "ok" becomes the event's brace. */
#define OK_TRUE "{\"ok\":true"
#define OK_FALSE "{\"ok\":false"

struct json_out *
reply_begin(struct chat *chat)
{
	struct json_out *o = &chat->reply;

	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "ok");
	json_out_bool(o, true);
	return o;
}

static void
reply_send(struct chat *chat, struct chat_socket *s, const char *event,
    size_t skip, const char *offset, bool has_ack, uint64_t ack)
{
	struct json_out *o = &chat->reply;
	struct chat_frame frame;

	json_out_object_end(o);
	chat_check_out(o);
	if (event != NULL) {
		CHECK(o->len > skip && o->p[skip] == ',');
		o->p[skip] = '{';
		frame = chat->ops->encode(chat->ctx, event, o->p + skip,
		    o->len - skip, offset);
		chat->ops->send(chat->ctx, s->conn, frame, CHAT_ANSWER);
		o->p[skip] = ',';
	}
	if (has_ack)
		chat->ops->ack(chat->ctx, s->conn, ack, o->p, o->len);
}

void
reply_end(struct chat *chat, struct chat_socket *s, const char *event,
    bool has_ack, uint64_t ack)
{
	reply_send(chat, s, event, sizeof(OK_TRUE) - 1, NULL, has_ack, ack);
}

void
reply_end_stored(struct chat *chat, struct chat_socket *s, const char *event,
    bool has_ack, uint64_t ack)
{
	reply_send(chat, s, event, sizeof(OK_TRUE) - 1, socket_offset(chat, s),
	    has_ack, ack);
}

static void
reply_id(struct json_out *o, const char *key, const struct chat_id *id)
{
	if (id == NULL || id->len == 0)
		return;
	json_out_key(o, key);
	json_out_string(o, id->text, id->len);
}

static void
count_error(struct chat *chat, const struct chat_socket *s, enum chat_error err,
    const struct error_context *ctx)
{
	struct security sec = { .s = s,
		.workspace = ctx->workspace == NULL || ctx->workspace->len == 0
		    ? NULL
		    : ctx->workspace->text,
		.session = ctx->session == NULL ? NULL : ctx->session->text,
		.details = ctx->name };

	chat_count(chat, ctx->errors);
	switch (err) {
	case CHAT_E_INVALID_MESSAGE:
	case CHAT_E_INVALID_REQUEST:
		chat_count(chat, CHAT_COUNT_INVALID_PAYLOADS);
		if (!ctx->bad_name)
			break;
		sec.what = CHAT_COUNT_SESSION_VALIDATION_FAILED;
		security_report(chat, &sec);
		break;
	case CHAT_E_STORE_UNAVAILABLE:
		chat_count(chat, CHAT_COUNT_STORE_ERRORS);
		break;
	case CHAT_E_RATE_LIMITED:
		sec.what = CHAT_COUNT_RATE_LIMIT_EXCEEDED;
		security_report(chat, &sec);
		break;
	case CHAT_E_NOT_JOINED:
		sec.what = CHAT_COUNT_SESSION_VALIDATION_FAILED;
		security_report(chat, &sec);
		break;
	case CHAT_E_ACCESS_DENIED:
	case CHAT_E_FORBIDDEN:
	case CHAT_E_TOKEN_INVALID:
	case CHAT_E_SESSION_INVALID:
		sec.what = CHAT_COUNT_UNAUTHORIZED_ACCESS;
		security_report(chat, &sec);
		break;
	default:
		break;
	}
}

void
reply_error(struct chat *chat, struct chat_socket *s, enum chat_error err,
    const struct error_context *ctx)
{
	struct json_out *o = &chat->reply;
	char text[CHAT_ERROR_TEXT_MAX];

	count_error(chat, s, err, ctx);
	if (ctx->event == NULL && !ctx->has_ack)
		return;
	json_out_reset(o);
	json_out_object(o);
	json_out_key(o, "ok");
	json_out_bool(o, false);
	json_out_key(o, "error");
	json_out_cstring(o,
	    chat_error_text(chat->cfg, err, text, sizeof(text)));
	json_out_key(o, "code");
	json_out_cstring(o, chat_error_code(err));
	json_out_key(o, "retryable");
	json_out_bool(o, chat_error_retryable(err));
	if (ctx->wait_ns > 0) {
		json_out_key(o, "retryAfter");
		json_out_u64(o, (ctx->wait_ns - 1) / NS_PER_S + 1);
	}
	reply_id(o, "sessionId", ctx->session);
	reply_id(o, "workspaceId", ctx->workspace);
	reply_id(o, "agentId", ctx->agent);
	reply_id(o, "messageId", ctx->message);
	reply_send(chat, s, ctx->event, sizeof(OK_FALSE) - 1, NULL,
	    ctx->has_ack, ctx->ack);
}

enum chat_error
error_of(enum chat_outcome outcome)
{
	switch (outcome) {
	case CHAT_STORED:
	case CHAT_DUPLICATE:
		return CHAT_OK;
	case CHAT_ID_TAKEN:
		return CHAT_E_ID_TAKEN;
	case CHAT_SESSION_FULL:
		return CHAT_E_SESSION_FULL;
	case CHAT_STORE_UNAVAILABLE:
		return CHAT_E_STORE_UNAVAILABLE;
	case CHAT_NOT_FOUND:
		return CHAT_E_NOT_FOUND;
	case CHAT_FORBIDDEN:
		return CHAT_E_FORBIDDEN;
	case CHAT_REJECTED:
		break;
	}
	return CHAT_E_INTERNAL;
}

/* --- from a name to an answer ---------------------------------------------- */

uint64_t
request_limited(struct chat *chat, struct chat_socket *s, enum chat_rate kind,
    uint64_t wait_ns)
{
	char text[CHAT_ERROR_TEXT_MAX];
	bool out = false;

	wait_ns =
	    chat->ops->rate_refused(chat->ctx, s->conn, kind, wait_ns, &out);
	if (out)
		socket_disconnect(chat, s, chat_error_code(CHAT_E_RATE_LIMITED),
		    chat_error_text(chat->cfg, CHAT_E_RATE_LIMITED, text,
			sizeof(text)),
		    (wait_ns - 1) / NS_PER_S + 1);
	return wait_ns;
}

/* Does it name a session by what cannot be a session's name? */
static bool
names_badly(const struct request *r)
{
	struct json_value v = json_member(r->payload, "sessionId");
	struct chat_id id;

	if (v.kind == JSON_KIND_NONE)
		v = json_member(json_member(r->payload, "message"),
		    "sessionId");
	return v.kind == JSON_KIND_STRING && !read_id(v, &id);
}

static void
request_fail(struct request *r, enum chat_error err)
{
	struct error_context ctx = {
		.event = r->cmd->error_event,
		.name = r->cmd->name,
		.errors = r->cmd->errors,
		.has_ack = r->has_ack,
		.ack = r->ack,
		.session = &r->session,
		.workspace = &r->workspace,
		.agent = r->cmd->tells_agent ? &r->agent : NULL,
		.message = &r->message,
	};

	if (err == CHAT_E_RATE_LIMITED || err == CHAT_E_MUTED || r->busy)
		ctx.wait_ns = r->wait_ns;
	if (err == CHAT_E_RATE_LIMITED && !r->cmd->unrated)
		ctx.wait_ns =
		    request_limited(r->chat, r->s, r->cmd->rate, r->wait_ns);
	if (err == r->cmd->invalid)
		ctx.bad_name = names_badly(r);
	reply_error(r->chat, r->s, err, &ctx);
}

static enum chat_error
find_member(struct request *r)
{
	const struct joined *j = socket_joined(r->s, r->session.text);

	if (j == NULL)
		return CHAT_E_NOT_JOINED;
	r->room = j->room;
	r->member = &j->room->members[j->index];
	return CHAT_OK;
}

static enum chat_error
request_run(struct request *r, bool sane)
{
	enum chat_error err = CHAT_OK;

	if (!r->cmd->unrated &&
	    (!sane || r->cmd->free == NULL || !r->cmd->free(r)))
		r->wait_ns = r->chat->ops->rate(r->chat->ctx, r->s->conn,
		    r->cmd->rate, &r->busy);
	if (r->busy)
		return CHAT_E_OVERLOADED;
	if (r->wait_ns > 0 && (r->cmd->over_rate == NULL || !sane))
		return CHAT_E_RATE_LIMITED;
	if (!sane)
		return r->cmd->invalid;
	if (r->cmd->needs_join)
		err = find_member(r);
	if (r->wait_ns > 0)
		return err == CHAT_OK ? r->cmd->over_rate(r)
				      : CHAT_E_RATE_LIMITED;
	return err == CHAT_OK ? r->cmd->handle(r) : err;
}

static void
unknown_event(struct chat *chat, struct chat_socket *s, bool has_ack,
    uint64_t ack)
{
	struct error_context ctx = {
		.errors = CHAT_COUNT_UNKNOWN_EVENTS,
		.has_ack = has_ack,
		.ack = ack,
	};

	reply_error(chat, s, CHAT_E_UNKNOWN_EVENT, &ctx);
}

void
chat_receive(struct chat *chat, struct chat_socket *s, struct chat_str name,
    struct chat_str args, size_t size, bool has_ack, uint64_t ack)
{
	const struct config *cfg = chat->cfg;
	struct request r = { .chat = chat,
		.s = s,
		.has_ack = has_ack,
		.ack = ack };
	struct json_iter it = json_iter_inside(args.p, args.len);
	enum chat_error err;
	bool sane;

	if (s->taken || s->end != SOCKET_STAYS)
		return;
	/* it comes before the answer to its CONNECT: done behind it */
	if (s->resume != NULL &&
	    socket_defer(s, name, args, size, has_ack, ack))
		return;
	if ((r.cmd = command_find(name)) == NULL) {
		unknown_event(chat, s, has_ack, ack);
		return;
	}
	/* read first, so that a refusal can say what it is about */
	sane = json_next(&it, &r.payload) &&
	    r.payload.kind == JSON_KIND_OBJECT && r.cmd->parse(&r);
	if (cfg->limits_event_bytes > 0 && size > cfg->limits_event_bytes)
		sane = false;
	if (s->resume == NULL)
		idle_heard(chat, s,
		    r.cmd->handle == presence_handle ? r.session.text : NULL);
	if (s->resume != NULL)
		err = CHAT_E_OVERLOADED;
	else if (r.session.len == 0 || !socket_busy(s, r.session.text))
		err = request_run(&r, sane);
	else if (socket_defer(s, name, args, size, has_ack, ack))
		err = CHAT_OK;
	else
		err = CHAT_E_OVERLOADED;
	if (err != CHAT_OK)
		request_fail(&r, err);
}
