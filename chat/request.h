/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * request - an event of a client from its name to its answer.
 *
 * The protocol is the table in request.c: a row a command.  The order of
 * checks is the contract's: rate, payload, joined, then what the command
 * itself checks.
 */

#ifndef CHAT_REQUEST_H
#define CHAT_REQUEST_H

#include "chat/socket.h"

/* A socket's id, a blank, and its user's. */
#define ROSTER_AFTER_MAX (CHAT_SOCKET_ID_MAX + 1 + 128)

struct request {
	struct chat *chat;
	struct chat_socket *s;
	const struct command *cmd;
	/* the first argument, an object */
	struct json_value payload;
	bool has_ack;
	uint64_t ack;
	/* until its rate allows it; 0: it does.  'busy': it would, but there
	 * is too much to do */
	uint64_t wait_ns;
	bool busy;
	/* what it names; length 0: nothing, or nothing valid */
	struct chat_id session, workspace, agent, message;
	/* of commands that need it */
	struct room *room;
	struct member *member;
	union {
		struct {
			bool has_after, has_revision;
			uint64_t after_seq, after_revision;
		} join;
		struct {
			struct json_value content, metadata;
			/* NULL: not named */
			const char *type;
		} send;
		struct {
			bool on;
		} typing;
		struct {
			/* enum status */
			int status;
		} presence;
		struct {
			bool has_before, has_after;
			uint64_t before, after, offset;
			uint64_t limit;
		} history;
		struct {
			struct json_value content;
		} edit;
		struct {
			uint64_t seq;
		} read;
		struct {
			struct json_value chunk, metadata;
			bool complete, has_index;
			uint64_t index;
		} stream;
		struct {
			struct json_value token;
		} refresh;
		struct {
			/* behind whom the page begins (roster.c); or "" */
			char after[ROSTER_AFTER_MAX + 1];
			bool has_limit;
			uint64_t limit;
		} roster;
	} u;
};

struct command {
	const char *name;
	enum chat_rate rate;
	/* reads the payload into the request; false: it makes no sense */
	bool (*parse)(struct request *r);
	/* what is told then */
	enum chat_error invalid;
	bool needs_join;
	/* the handler does the limiting */
	bool unrated;
	/* this one does not count; or NULL */
	bool (*free)(struct request *r);
	/* CHAT_OK: it is answered, or will be */
	enum chat_error (*handle)(struct request *r);
	/* what can be done although its rate is exceeded; or NULL */
	enum chat_error (*over_rate)(struct request *r);
	/* NULL: only the acknowledgement tells */
	const char *error_event;
	/* its errors tell the agentId as well */
	bool tells_agent;
	enum chat_count errors;
};

/* Names of events that more than one place sends. */
#define EVENT_JOIN_ERROR "chat:join-session-error"
#define EVENT_LEAVE_ERROR "chat:leave-session-error"
#define EVENT_SEND_ERROR "chat:send-message-error"
#define EVENT_HISTORY_ERROR "chat:request-history-error"
#define EVENT_MESSAGE "chat:message-received"
#define EVENT_SENT "chat:message-sent"
#define EVENT_UPDATED "chat:message-updated"
#define EVENT_DELETED "chat:message-deleted"
#define EVENT_RECEIPT "chat:read-receipt"
#define EVENT_STATUS "chat:session-status-changed"
#define EVENT_CHUNK "chat:agent-stream-chunk"
#define EVENT_STREAM_SYNC "chat:stream-sync"
#define EVENT_STREAM_CANCELLED "chat:stream-cancelled"
#define EVENT_PRESENCE_SYNC "chat:presence-sync"
#define EVENT_DISCONNECT_REASON "chat:disconnect-reason"

/* Members of a payload.  Optional: absent is fine, null or empty is not. */
bool read_id(struct json_value v, struct chat_id *id_r);
bool read_optional_id(struct json_value v, struct chat_id *id_r);
bool read_optional_u64(struct json_value v, uint64_t min, uint64_t *n_r,
    bool *has_r);

/*
 * An answer: reply_begin(), members into what it returns, reply_end(), which
 * sends the event (unless NULL) and then the acknowledgement, if there is
 * one to answer, with "ok" in front.
 */
struct json_out *reply_begin(struct chat *chat);
void reply_end(struct chat *chat, struct chat_socket *s, const char *event,
    bool has_ack, uint64_t ack);
/* The same for what is stored: the event has the socket's offset. */
void reply_end_stored(struct chat *chat, struct chat_socket *s,
    const char *event, bool has_ack, uint64_t ack);

/* What an error tells besides itself. */
struct error_context {
	const char *event;
	/* of the client's event, for who looks after security; may be NULL */
	const char *name;
	/* the session is named by what is no name */
	bool bad_name;
	enum chat_count errors;
	bool has_ack;
	uint64_t ack;
	uint64_t wait_ns;
	/* NULL: not told */
	const struct chat_id *session, *workspace, *agent, *message;
};
void reply_error(struct chat *chat, struct chat_socket *s, enum chat_error err,
    const struct error_context *ctx);
/* The same for a request that has come back with 'outcome'. */
enum chat_error error_of(enum chat_outcome outcome);
/*
 * An event of the socket is refused for its rate: for how many ns it is held
 * off.  Who does not stop is disconnected (contract, details 13).
 */
uint64_t request_limited(struct chat *chat, struct chat_socket *s,
    enum chat_rate kind, uint64_t wait_ns);

/* The commands, one file each. */
bool join_parse(struct request *r);
enum chat_error join_handle(struct request *r);
bool leave_parse(struct request *r);
enum chat_error leave_handle(struct request *r);
bool send_parse(struct request *r);
enum chat_error send_handle(struct request *r);
enum chat_error send_over_rate(struct request *r);
bool typing_parse(struct request *r);
enum chat_error typing_handle(struct request *r);
bool presence_parse(struct request *r);
enum chat_error presence_handle(struct request *r);
bool history_parse(struct request *r);
enum chat_error history_handle(struct request *r);
/* edit.c */
bool edit_parse(struct request *r);
enum chat_error edit_handle(struct request *r);
bool delete_parse(struct request *r);
enum chat_error delete_handle(struct request *r);
/* receipt.c */
bool read_parse(struct request *r);
enum chat_error read_handle(struct request *r);
/* stream.c */
bool stream_parse(struct request *r);
enum chat_error stream_handle(struct request *r);
bool cancel_parse(struct request *r);
enum chat_error cancel_handle(struct request *r);
/* refresh.c */
bool refresh_parse(struct request *r);
enum chat_error refresh_handle(struct request *r);
/* roster.c */
bool roster_parse(struct request *r);
enum chat_error roster_handle(struct request *r);

#endif /* CHAT_REQUEST_H */
