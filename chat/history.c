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
/* what sessionId, timestamp, seq, editedAt and revision add to a body, but for
 * the session id */
#define MESSAGE_EXTRA 150

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
	uint64_t first, last;
	struct json_out *o;
	const char *session;
};

static bool
page_put(void *arg, const struct chat_row *row)
{
	struct page *page = arg;

	render_row(page->o, page->session, row);
	if (page->first == 0)
		page->first = row->seq;
	page->last = row->seq;
	return true;
}

/* Where the page is; false if nothing can be there. */
static bool
page_query(const struct job *job, struct chat_query *q)
{
	q->room = job->room->number;
	q->count = job->limit;
	q->bytes = PAGE_BYTES;
	q->extra = MESSAGE_EXTRA + strlen(job->room->session);
	q->newest = job->room->last_seq;
	if (job->has_after) {
		q->from = job->after + 1;
		return true;
	}
	q->backward = true;
	q->from = UINT64_MAX;
	if (job->has_before)
		q->from = job->before == 0 ? 0 : job->before - 1;
	q->offset = job->offset;
	return q->from > 0;
}

static enum chat_read
page_render(struct chat *chat, const struct chat_socket *s,
    const struct job *job, struct page *page, bool *more_r, uint64_t *pos_r)
{
	struct chat_query q = { .room = 0 };
	struct chat_page found = { .pos = UINT64_MAX };
	enum chat_read rc = CHAT_READ_DONE;
	struct json_out *o = reply_begin(chat);

	page->first = page->last = 0;
	page->o = o;
	page->session = job->room->session;
	json_out_key(o, "sessionId");
	json_out_cstring(o, page->session);
	json_out_key(o, "messages");
	json_out_array(o);
	if (page_query(job, &q))
		rc = chat->ops->messages(chat->ctx, s->conn, &q, page_put, page,
		    &found);
	json_out_array_end(o);
	*more_r = found.more;
	*pos_r = found.pos;
	return rc;
}

/* The same, not older than the request. */
static enum chat_read
page_make(struct chat *chat, const struct chat_socket *s, const struct job *job,
    struct page *page, bool *more_r)
{
	enum chat_read rc;
	uint64_t pos;

	do {
		rc = page_render(chat, s, job, page, more_r, &pos);
	} while (rc == CHAT_READ_DONE && pos < job->since);
	return rc;
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

enum produced
history_produce(struct chat *chat, struct chat_socket *s, const struct job *job)
{
	struct page page = { .first = 0 };
	struct json_out *o = &chat->reply;
	bool more;

	/* it may have left since it asked */
	if (room_member(job->room, s) == NULL) {
		history_refused(chat, s, job, CHAT_E_NOT_JOINED);
		return PRODUCED_ALL;
	}
	switch (page_make(chat, s, job, &page, &more)) {
	case CHAT_READ_LATER:
		return PRODUCED_LATER;
	case CHAT_READ_FAILED:
		history_refused(chat, s, job, CHAT_E_STORE_UNAVAILABLE);
		return PRODUCED_ALL;
	case CHAT_READ_DONE:
		break;
	}
	json_out_key(o, "limit");
	json_out_u64(o, job->limit);
	json_out_key(o, "offset");
	json_out_u64(o, job->offset);
	json_out_key(o, "hasMore");
	json_out_bool(o, more);
	json_out_key(o, "timestamp");
	json_out_u64(o, chat_real_ms(chat));
	json_out_key(o, "firstSeq");
	json_out_u64(o, page.first);
	json_out_key(o, "lastSeq");
	json_out_u64(o, page.last);
	reply_end(chat, s, EVENT_HISTORY, job->has_ack, job->ack);
	chat_count(chat, CHAT_COUNT_HISTORY);
	return PRODUCED_ALL;
}
