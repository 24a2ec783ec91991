/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * stream - what the chat asks for about streams, in shared memory.
 *
 * The chat's handle of a stream is its row and generation; that we own one is
 * told by our incarnation.
 */

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "shm/stream.h"
#include "worker/stream.h"
#include "worker/worker.h"

#define NS_PER_MS UINT64_C(1000000)

/* 0 is no handle */
static uint64_t
handle_of(const struct stream_ref *r)
{
	return (uint64_t)r->generation << 32 | (r->row + 1);
}

static struct stream_ref
ref_of(const struct worker *w, uint64_t handle)
{
	return (struct stream_ref){
		.row = (uint32_t)handle - 1,
		.generation = (uint32_t)(handle >> 32),
		.owner = w->incarnation,
	};
}

static struct stream_text
text_of(struct chat_str s)
{
	return (struct stream_text){ s.p, s.len };
}

static enum chat_stream_result
result(int rc)
{
	if (rc == 0)
		return CHAT_STREAM_DONE;
	switch (errno) {
	case ENOSPC:
		return CHAT_STREAM_FULL;
	case EDQUOT:
		return CHAT_STREAM_SHARE;
	case EMSGSIZE:
		return CHAT_STREAM_LONG;
	case EBUSY:
	case EPERM:
	case EEXIST:
		return CHAT_STREAM_TAKEN;
	default:
		return CHAT_STREAM_GONE;
	}
}

/* --- ours ---------------------------------------------------------------- */

enum chat_stream_result
ops_stream_open(void *ctx, const struct chat_stream_new *st, uint64_t *handle_r)
{
	struct worker *w = ctx;
	const struct stream_new n = {
		.room = st->room,
		.user = st->user,
		.id = text_of(st->id),
		.user_id = text_of(st->user_id),
		.user_name = text_of(st->user_name),
		.agent_id = text_of(st->agent),
		.head = text_of(st->head),
		.tail = text_of(st->tail),
		.max_text = (uint32_t)w->cfg->stream_max_text,
		.begun_ms = clock_real_ms(),
	};
	struct stream_ref ref = { .row = STREAM_NO_ROW };
	int rc;

	rc = stream_begin(w->tables, w->incarnation, &n, clock_mono_ns(), &ref);
	*handle_r = ref.row == STREAM_NO_ROW ? 0 : handle_of(&ref);
	return result(rc);
}

enum chat_stream_result
ops_stream_append(void *ctx, uint64_t handle, struct chat_str text)
{
	struct worker *w = ctx;
	const struct stream_ref ref = ref_of(w, handle);

	return result(stream_append(w->tables, &ref, text.p, text.len,
	    clock_mono_ns(), NULL));
}

uint64_t
ops_stream_rate(void *ctx, uint64_t handle)
{
	struct worker *w = ctx;
	const struct stream_ref ref = ref_of(w, handle);
	uint64_t wait;

	wait = stream_rate(w->tables, &ref, w->cfg->limits_chunk_rate,
	    clock_mono_ns());
	if (wait > 0)
		WORKER_COUNT(w, LIMITED_CHUNK, 1);
	return wait;
}

enum chat_stream_result
ops_stream_tail(void *ctx, uint64_t handle, struct chat_str tail)
{
	struct worker *w = ctx;
	const struct stream_ref ref = ref_of(w, handle);

	return result(stream_set_tail(w->tables, &ref, tail.p, tail.len));
}

void
ops_stream_detach(void *ctx, uint64_t handle)
{
	struct worker *w = ctx;
	struct stream_ref ref = ref_of(w, handle);

	(void)stream_detach(w->tables, &ref,
	    clock_mono_ns() + w->cfg->stream_resume * NS_PER_MS);
}

enum chat_stream_result
ops_stream_claim(void *ctx, uint64_t handle, uint64_t user)
{
	struct worker *w = ctx;
	struct stream_ref ref = ref_of(w, handle);
	int rc;

	ref.owner = 0;
	rc = stream_claim(w->tables, &ref, w->incarnation, user,
	    clock_mono_ns());
	if (rc == -1 && errno == EALREADY)
		rc = 0;
	return result(rc);
}

void
ops_stream_end(void *ctx, uint64_t handle)
{
	struct worker *w = ctx;
	struct stream_ref ref = ref_of(w, handle);

	(void)stream_end(w->tables, &ref);
}

/* --- anybody's ------------------------------------------------------------ */

enum chat_stream_result
ops_stream_cancel(void *ctx, uint64_t handle, uint64_t ms)
{
	struct worker *w = ctx;
	const struct stream_ref ref = ref_of(w, handle);
	int rc;

	rc = stream_cancel(w->tables, &ref, clock_mono_ns() + ms * NS_PER_MS);
	if (rc == -1 && errno == EALREADY)
		return CHAT_STREAM_TAKEN;
	return result(rc);
}

uint64_t
ops_stream_find(void *ctx, uint64_t room, struct chat_str id)
{
	struct worker *w = ctx;
	struct stream_ref ref;

	if (stream_find(w->tables, room, id.p, id.len, &ref) == -1)
		return 0;
	return handle_of(&ref);
}

static enum chat_stream_owner
owner_of(const struct worker *w, const struct stream_info *info)
{
	if (info->state == STREAM_DETACHED || !info->alive)
		return CHAT_STREAM_NOBODYS;
	return info->owner == w->incarnation ? CHAT_STREAM_OURS
					     : CHAT_STREAM_OTHERS;
}

/* Its tail, in scratch memory; length 0: it has ended. */
static struct chat_str
tail_of(struct worker *w, const struct stream_ref *ref)
{
	struct chat_str tail = { scratch(w, SCRATCH_STREAM, STREAM_MAX_TAIL),
		0 };
	int len;

	len = stream_tail(w->tables, ref, (char *)(uintptr_t)tail.p,
	    STREAM_MAX_TAIL);
	if (len > 0)
		tail.len = (size_t)len;
	return tail;
}

/* Call 'fn' with it; false if it has ended.  *more_r: what 'fn' said. */
static bool
show(struct worker *w, const struct stream_ref *ref,
    const struct stream_info *info, chat_stream_fn fn, void *arg, bool *more_r)
{
	struct stream_names names;
	struct chat_stream st = {
		.handle = handle_of(ref),
		.room = info->room,
		.user = info->user,
		.owner = owner_of(w, info),
		.cancelled = info->cancel_ns != 0,
		.nchunks = info->at.next,
		.len = info->at.bytes,
	};

	st.tail = tail_of(w, ref);
	if (st.tail.len == 0 || stream_names(w->tables, ref, &names) == -1)
		return false;
	st.id = (struct chat_str){ names.id, names.id_len };
	st.user_id = (struct chat_str){ names.user_id, names.user_id_len };
	st.agent = (struct chat_str){ names.agent_id, names.agent_id_len };
	*more_r = fn(arg, &st);
	return true;
}

bool
ops_stream_look(void *ctx, uint64_t handle, chat_stream_fn fn, void *arg)
{
	struct worker *w = ctx;
	const struct stream_ref ref = ref_of(w, handle);
	struct stream_info info;
	bool more;

	return stream_info(w->tables, &ref, &info) == 0 &&
	    show(w, &ref, &info, fn, arg, &more);
}

bool
ops_stream_progress(void *ctx, uint64_t handle, uint64_t *nchunks_r,
    uint64_t *len_r)
{
	struct worker *w = ctx;
	const struct stream_ref ref = ref_of(w, handle);
	struct stream_progress at;

	if (stream_progress(w->tables, &ref, &at) == -1)
		return false;
	*nchunks_r = at.next;
	*len_r = at.bytes;
	return true;
}

struct showing {
	struct worker *w;
	chat_stream_fn fn;
	void *arg;
	bool more;
};

static void
show_each(const struct stream_ref *ref, const struct stream_info *info,
    void *arg)
{
	struct showing *s = arg;

	if (s->more)
		(void)show(s->w, ref, info, s->fn, s->arg, &s->more);
}

void
ops_streams(void *ctx, uint64_t room, chat_stream_fn fn, void *arg)
{
	struct worker *w = ctx;
	struct showing s = { .w = w, .fn = fn, .arg = arg, .more = true };

	stream_each(w->tables, room, show_each, &s);
}

/*
 * Those of a dead worker may be taken up for a while; the chat is told of the
 * others, and of those whose agent has said its last word.
 */
static void
show_orphan(const struct stream_ref *ref, const struct stream_info *info,
    void *arg)
{
	struct showing *s = arg;
	struct worker *w = s->w;
	struct stream_ref mine = *ref;
	uint64_t now = clock_mono_ns();

	if (info->state == STREAM_OPEN && w->cfg->stream_resume > 0 &&
	    chat_stream_is_open(tail_of(w, ref))) {
		if (stream_claim(w->tables, &mine, w->incarnation, 0, now) == 0)
			(void)stream_detach(w->tables, &mine,
			    now + w->cfg->stream_resume * NS_PER_MS);
		return;
	}
	if (s->more)
		(void)show(w, ref, info, s->fn, s->arg, &s->more);
}

void
ops_streams_lost(void *ctx, chat_stream_fn fn, void *arg)
{
	struct worker *w = ctx;
	struct showing s = { .w = w, .fn = fn, .arg = arg, .more = true };

	(void)stream_orphans(w->tables, w->incarnation, clock_mono_ns(),
	    show_orphan, &s);
}

bool
ops_stream_text(void *ctx, uint64_t handle, uint64_t from, uint64_t to,
    char *buf)
{
	struct worker *w = ctx;
	const struct stream_ref ref = ref_of(w, handle);

	return stream_copy(w->tables, &ref, (uint32_t)from, (uint32_t)to,
		   buf) == 0;
}
