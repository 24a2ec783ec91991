/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:request-history.  A page is made when the client has taken what it
 * was sent before, so that asking for much costs no memory.
 */

#include <string.h>

#include "chat/render.h"
#include "chat/replay.h"
#include "chat/request.h"

#define EVENT_HISTORY "chat:history-response"
#define DEFAULT_LIMIT 50
/* what sessionId, timestamp and seq add to a body, but for the session id */
#define MESSAGE_EXTRA 80

bool
history_parse(struct request *r)
{
	struct json_value p = r->payload;
	bool has_limit = false, has_offset = false, ok;

	r->u.history.limit = DEFAULT_LIMIT;
	ok = read_id(json_member(p, "sessionId"), &r->session) &&
	    read_optional_u64(json_member(p, "limit"), 1, &r->u.history.limit,
		&has_limit) &&
	    read_optional_u64(json_member(p, "offset"), 0, &r->u.history.offset,
		&has_offset) &&
	    read_optional_u64(json_member(p, "beforeSeq"), 0,
		&r->u.history.before, &r->u.history.has_before) &&
	    read_optional_u64(json_member(p, "afterSeq"), 0,
		&r->u.history.after, &r->u.history.has_after);
	/* one way to say where the page is */
	return ok &&
	    has_offset + r->u.history.has_before + r->u.history.has_after <= 1;
}

enum chat_error
history_handle(struct request *r)
{
	uint64_t max = r->chat->cfg->limits_history_page;
	struct job *job;

	if (socket_work(r->s)->njobs >= JOBS_MAX)
		return CHAT_E_OVERLOADED;
	job = job_add(r->chat, r->s, JOB_HISTORY, r->room, false);
	job->limit = r->u.history.limit;
	if (max > 0 && job->limit > max)
		job->limit = max;
	job->offset = r->u.history.offset;
	job->before = r->u.history.before;
	job->has_before = r->u.history.has_before;
	job->after = r->u.history.after;
	job->has_after = r->u.history.has_after;
	job->has_ack = r->has_ack;
	job->ack = r->ack;
	return CHAT_OK;
}

/* --- the page ------------------------------------------------------------------ */

struct page {
	/* where to look, and which way */
	uint64_t from, to;
	bool descending;
	/* how much it may hold */
	uint64_t limit;
	size_t extra;
	/* what it holds */
	uint64_t count, first, last;
	size_t bytes;
	bool more;
	/* of the second pass */
	struct json_out *o;
	const char *session;
};

/* First pass: which messages are in. */
static bool
page_measure(void *arg, const struct chat_row *row)
{
	struct page *page = arg;
	size_t bytes = row->body.len + page->extra;

	if (page->count == page->limit ||
	    (page->count > 0 && page->bytes + bytes > PAGE_BYTES)) {
		page->more = true;
		return false;
	}
	page->count++;
	page->bytes += bytes;
	if (page->first == 0 || row->seq < page->first)
		page->first = row->seq;
	if (row->seq > page->last)
		page->last = row->seq;
	return true;
}

static bool
page_put(void *arg, const struct chat_row *row)
{
	const struct page *page = arg;

	render_message(page->o, page->session, row->body, row->time_ms,
	    row->seq);
	return true;
}

static int
page_begin(struct chat *chat, const struct job *job, struct page *page)
{
	uint64_t last;

	page->limit = job->limit;
	page->session = job->room->session;
	page->extra = MESSAGE_EXTRA + strlen(page->session);
	if (job->has_after) {
		page->from = job->after + 1;
		page->to = UINT64_MAX;
		return 0;
	}
	page->descending = true;
	page->from = 1;
	if (job->has_before) {
		page->to = job->before == 0 ? 0 : job->before - 1;
		return 0;
	}
	if (chat->ops->last_seq(chat->ctx, job->room->number, &last) == -1)
		return -1;
	page->to = job->offset < last ? last - job->offset : 0;
	return 0;
}

static int
page_render(struct chat *chat, const struct job *job, struct page *page)
{
	const struct chat_ops *ops = chat->ops;
	uint64_t room = job->room->number;
	struct json_out *o;

	if (page_begin(chat, job, page) == -1)
		return -1;
	if (page->to > 0 &&
	    ops->messages(chat->ctx, room, page->from, page->to,
		page->descending, page_measure, page) == -1)
		return -1;
	page->o = o = reply_begin(chat);
	json_out_key(o, "sessionId");
	json_out_cstring(o, page->session);
	json_out_key(o, "messages");
	json_out_array(o);
	if (page->count > 0 &&
	    ops->messages(chat->ctx, room, page->first, page->last, false,
		page_put, page) == -1)
		return -1;
	json_out_array_end(o);
	return 0;
}

static void
history_refused(struct chat *chat, struct chat_socket *s, const struct job *job,
    enum chat_error err)
{
	struct chat_id session;
	struct error_context ctx = {
		.event = EVENT_HISTORY_ERROR,
		.errors = CHAT_COUNT_OTHER_ERRORS,
		.has_ack = job->has_ack,
		.ack = job->ack,
		.session = &session,
	};

	chat_id_set(&session, chat_cstr(job->room->session));
	reply_error(chat, s, err, &ctx);
}

void
history_produce(struct chat *chat, struct chat_socket *s, const struct job *job)
{
	struct page page = { .first = 0 };
	struct json_out *o = &chat->reply;

	/* it may have left since it asked */
	if (room_member(job->room, s) == NULL) {
		history_refused(chat, s, job, CHAT_E_NOT_JOINED);
		return;
	}
	if (page_render(chat, job, &page) == -1) {
		history_refused(chat, s, job, CHAT_E_STORE_UNAVAILABLE);
		return;
	}
	json_out_key(o, "limit");
	json_out_u64(o, job->limit);
	json_out_key(o, "offset");
	json_out_u64(o, job->offset);
	json_out_key(o, "hasMore");
	json_out_bool(o, page.more);
	json_out_key(o, "timestamp");
	json_out_u64(o, chat_real_ms(chat));
	json_out_key(o, "firstSeq");
	json_out_u64(o, page.first);
	json_out_key(o, "lastSeq");
	json_out_u64(o, page.last);
	reply_end(chat, s, EVENT_HISTORY, job->has_ack, job->ack);
	chat_count(chat, CHAT_COUNT_HISTORY);
}
