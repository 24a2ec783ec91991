/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat_reads - the part of chat_world.h that reads the store: at once, or
 * (w->late) in three steps that come when they like: asked, read, answered.
 * What is answered is what there was when it was read.
 */

#ifndef CHAT_READS_H
#define CHAT_READS_H

#include "tests/unit/chat_scribe.h"

static void
read_free(struct read *r)
{
	free(r->roster);
	free(r->row);
	memset(r, 0, sizeof(*r));
}

static bool
read_fails(const struct world *w, enum read_kind kind)
{
	switch (kind) {
	case READ_ROSTER:
		return w->fail_roster;
	case READ_MESSAGES:
		return w->fail_messages;
	case READ_SEEK:
		return w->fail_seek;
	case READ_CHANGES:
	case READ_RECEIPTS:
		return w->fail_changes;
	case READ_FIND:
		return w->fail_find;
	case READ_RECOVERY:
		break;
	}
	return w->fail_recovery;
}

static uint64_t
first_at(const struct world *w, uint64_t room, uint64_t gseq)
{
	int i;

	for (i = 0; i < w->nmessages; i++) {
		if (w->message[i].room == room && w->message[i].gseq >= gseq)
			return w->message[i].seq;
	}
	return w->room[room - 1].last + 1;
}

/* What there is now. */
static void
read_now(struct world *w, struct read *r)
{
	const struct recovery_row *row;
	int i;

	r->done = true;
	r->result = read_fails(w, r->kind) ? CHAT_READ_FAILED : CHAT_READ_DONE;
	r->pos = w->gseq;
	r->last = r->room > 0 && r->room <= (uint64_t)w->nrooms
	    ? w->room[r->room - 1].last
	    : 0;
	if (r->kind == READ_SEEK)
		r->seq = first_at(w, r->room, r->from);
	if (r->kind == READ_ROSTER) {
		r->roster = calloc(ROWS, sizeof(*r->roster));
		assert_non_null(r->roster);
		for (i = 0; i < ROWS; i++) {
			if (w->presence[i].used &&
			    w->presence[i].room == r->room)
				r->roster[r->n++] = w->presence[i];
		}
		r->roster =
		    realloc(r->roster, ((size_t)r->n + 1) * sizeof(*r->roster));
	}
	row = recovery_find(w, str_of(r->pid));
	if (r->kind == READ_RECOVERY && row != NULL) {
		r->row = malloc(sizeof(*r->row));
		assert_non_null(r->row);
		*r->row = *row;
	}
}

static unsigned
late_random(struct world *w)
{
	w->late_seed = w->late_seed * 1103515245 + 12345;
	return w->late_seed >> 16 & 0x7fff;
}

static bool
same_read(const struct read *a, const struct read *b)
{
	return a->worker == b->worker && a->conn == b->conn &&
	    a->kind == b->kind && a->room == b->room && a->from == b->from &&
	    a->after == b->after && a->backward == b->backward &&
	    strcmp(a->pid, b->pid) == 0;
}

/* The answer to 'r' is in it; or it is late. */
static enum chat_read
read_ask(struct world *w, struct read *r)
{
	struct read *old, *free_one = NULL;
	int i;

	if (w->late == 0) {
		read_now(w, r);
		return r->result;
	}
	for (i = 0; i < READS; i++) {
		old = &w->reads[i];
		if (!old->used) {
			free_one = old;
		} else if (same_read(old, r)) {
			if (!old->ready)
				return CHAT_READ_LATER;
			*r = *old;
			memset(old, 0, sizeof(*old));
			return r->result;
		}
	}
	if (late_random(w) % 100 >= w->late) {
		read_now(w, r);
		return r->result;
	}
	assert_non_null(free_one);
	*free_one = *r;
	free_one->used = true;
	return CHAT_READ_LATER;
}

/* The same without taking it. */
static enum chat_read
read_ask_only(struct world *w, const struct read *r)
{
	struct read *old, *free_one = NULL;
	int i;

	if (w->late == 0)
		return CHAT_READ_DONE;
	for (i = 0; i < READS; i++) {
		old = &w->reads[i];
		if (!old->used)
			free_one = old;
		else if (same_read(old, r))
			return old->ready ? CHAT_READ_DONE : CHAT_READ_LATER;
	}
	assert_non_null(free_one);
	*free_one = *r;
	free_one->used = true;
	return CHAT_READ_LATER;
}

/* Whoever was read for has gone. */
static bool
read_is_orphan(const struct read *r)
{
	return r->conn != NULL && r->conn->s == NULL;
}

/* Some of what is under way is read, some is answered. */
static void
reads_go_on(struct world *w)
{
	struct read *r;
	bool tick[WORKERS] = { false };
	int i;

	for (i = 0; i < READS; i++) {
		r = &w->reads[i];
		if (!r->used)
			continue;
		if (read_is_orphan(r)) {
			read_free(r);
			continue;
		}
		/* nobody has come for it: it is the tick's, or nobody's */
		if (r->ready)
			tick[r->worker] = true;
		if (r->ready && r->age++ == 5) {
			read_free(r);
			continue;
		}
		if (!r->done && late_random(w) % 3 > 0)
			read_now(w, r);
		else if (r->done && !r->ready && late_random(w) % 3 > 0)
			r->ready = true;
		if (r->ready && r->conn != NULL)
			r->conn->want_produce = true;
	}
	for (i = 0; i < WORKERS; i++) {
		if (tick[i] && w->late > 0)
			chat_tick(w->chat[i]);
	}
}

static bool
reads_under_way(const struct world *w)
{
	int i;

	for (i = 0; i < READS; i++) {
		if (w->reads[i].used && !read_is_orphan(&w->reads[i]))
			return true;
	}
	return false;
}

static struct read
read_of(void *ctx, void *conn, enum read_kind kind)
{
	struct engine *en = ctx;

	return (
	    struct read){ .worker = en->worker, .conn = conn, .kind = kind };
}

/* --- ops --------------------------------------------------------------------- */

/* By user and then by socket, as the store has them. */
static int
compare_presence(const void *a, const void *b)
{
	const struct presence_row *p = a, *q = b;

	if (p->user != q->user)
		return p->user < q->user ? -1 : 1;
	return strcmp(p->socket_id, q->socket_id);
}

static bool
give_member(const struct presence_row *p, chat_member_fn fn, void *arg)
{
	struct chat_member m = { .user = p->user,
		.joined_ms = p->joined_ms,
		.active_ms = p->active_ms,
		.gseq = p->gseq,
		.user_id = str_of(p->user_id),
		.user_name = str_of(p->user_name),
		.socket_id = str_of(p->socket_id),
		.status = str_of(p->status) };

	return fn(arg, &m);
}

static bool
is_socket(const struct presence_row *p, struct chat_str id)
{
	return strlen(p->socket_id) == id.len &&
	    memcmp(p->socket_id, id.p, id.len) == 0;
}

/* Behind which the page begins. */
static int
roster_place(const struct read *r, const struct chat_roster_query *q)
{
	int i;

	for (i = 0; i < r->n && q->after.len > 0; i++) {
		if (is_socket(&r->roster[i], q->after))
			return i + 1;
	}
	return 0;
}

static void
give_roster(const struct read *r, const struct chat_roster_query *q,
    chat_member_fn fn, void *arg, struct chat_roster *roster_r)
{
	const struct presence_row *self = NULL;
	uint64_t n = 0;
	int i, k;

	for (i = 0; i < r->n; i++) {
		if (q->self.len > 0 && is_socket(&r->roster[i], q->self) &&
		    r->roster[i].user == q->self_user)
			self = &r->roster[i];
	}
	for (k = roster_place(r, q); k < r->n; k++) {
		const struct presence_row *p = &r->roster[k];

		if (p != self && n + (self != NULL) >= q->limit) {
			roster_r->more = true;
			break;
		}
		n++;
		if (p == self)
			self = NULL;
		if (!give_member(p, fn, arg))
			return;
	}
	if (self != NULL)
		(void)give_member(self, fn, arg);
}

static enum chat_read
op_roster(void *ctx, void *conn, const struct chat_roster_query *q,
    chat_member_fn fn, void *arg, struct chat_roster *roster_r)
{
	struct world *w = ((struct engine *)ctx)->w;
	struct read r = read_of(ctx, conn, READ_ROSTER);
	enum chat_read rc;

	r.room = q->room;
	r.from = q->limit << 1 | q->count;
	snprintf(r.pid, sizeof(r.pid), "%.*s", (int)q->after.len,
	    q->after.len == 0 ? "" : q->after.p);
	if (fn == NULL)
		return read_ask_only(w, &r);
	rc = read_ask(w, &r);
	if (rc == CHAT_READ_DONE) {
		qsort(r.roster, (size_t)r.n, sizeof(*r.roster),
		    compare_presence);
		roster_r->pos = r.pos;
		roster_r->more = false;
		roster_r->count = q->count ? (uint64_t)r.n : 0;
		give_roster(&r, q, fn, arg, roster_r);
	}
	read_free(&r);
	return rc;
}

/* Which of the messages are in, as places in w->message; how many. */
static int
choose_messages(const struct world *w, const struct read *r,
    const struct chat_query *q, int *place, bool *more_r)
{
	uint64_t from = q->from;
	size_t bytes = 0, size;
	int i, k, n = 0;

	if (q->backward && from == UINT64_MAX)
		from = q->offset < r->last ? r->last - q->offset : 0;
	*more_r = false;
	for (k = 0; k < w->nmessages; k++) {
		const struct message_row *m;

		i = q->backward ? w->nmessages - 1 - k : k;
		m = &w->message[i];
		if (m->room != q->room || m->gseq >= r->pos ||
		    (q->backward ? m->seq > from : m->seq < from))
			continue;
		size = strlen(m->body) + q->extra;
		if ((uint64_t)n == q->count ||
		    (n > 0 && bytes + size > q->bytes)) {
			*more_r = true;
			break;
		}
		bytes += size;
		place[n++] = i;
	}
	return n;
}

static enum chat_read
op_messages(void *ctx, void *conn, const struct chat_query *q, chat_row_fn fn,
    void *arg, struct chat_page *page_r)
{
	struct world *w = ((struct engine *)ctx)->w;
	struct read r = read_of(ctx, conn, READ_MESSAGES);
	int place[ROWS], i, n;
	enum chat_read rc;

	r.room = q->room;
	r.from = q->from;
	r.backward = q->backward;
	if (fn == NULL)
		return read_ask_only(w, &r);
	if ((rc = read_ask(w, &r)) != CHAT_READ_DONE)
		return rc;
	n = choose_messages(w, &r, q, place, &page_r->more);
	page_r->pos = r.pos;
	page_r->last = r.last;
	for (i = 0; i < n; i++) {
		const struct message_row *m =
		    &w->message[place[q->backward ? n - 1 - i : i]];
		struct chat_row row = row_at(w, m, r.pos);

		if (!fn(arg, &row))
			break;
	}
	return rc;
}

static enum chat_read
op_seek(void *ctx, void *conn, uint64_t room, uint64_t gseq,
    struct chat_seek *seek_r)
{
	struct world *w = ((struct engine *)ctx)->w;
	struct read r = read_of(ctx, conn, READ_SEEK);
	enum chat_read rc;
	int i;

	r.room = room;
	r.from = gseq;
	rc = read_ask(w, &r);
	seek_r->seq = r.seq;
	seek_r->pos = r.pos;
	seek_r->changes = false;
	seek_r->revision = 1;
	for (i = 0; i < w->nchanges; i++) {
		if (w->change[i].room != room || w->change[i].gseq >= r.pos)
			continue;
		if (w->change[i].gseq >= gseq)
			seek_r->changes = true;
		else if (w->change[i].revision >= seek_r->revision)
			seek_r->revision = w->change[i].revision + 1;
	}
	return rc;
}

static void
give_recovery(const struct engine *en, const struct recovery_row *row,
    chat_recovery_fn fn, void *arg)
{
	struct world *w = en->w;
	struct chat_recovery_room rooms[RECOVERY_ROOMS];
	struct chat_recovery r;
	int i;

	r = (struct chat_recovery){ .user_id = str_of(row->user_id),
		.socket_id = str_of(row->socket_id),
		.user = row->user,
		.lost_ms = row->lost_ms,
		.partial = row->partial,
		.own = row->whose.incarnation == en->incarnation,
		.owner = row->whose.owner,
		.nrooms = (size_t)row->nrooms,
		.rooms = rooms };
	for (i = 0; i < row->nrooms; i++) {
		rooms[i].room = row->room[i].room;
		rooms[i].gseq = row->room[i].gseq;
		rooms[i].has_after = row->room[i].has_after;
		rooms[i].after_seq = row->room[i].after_seq;
		rooms[i].has_revision = row->room[i].has_revision;
		rooms[i].after_revision = row->room[i].after_revision;
		rooms[i].agent = str_of(row->room[i].agent);
		rooms[i].workspace =
		    str_of(w->room[row->room[i].room - 1].workspace);
		rooms[i].session =
		    str_of(w->room[row->room[i].room - 1].session);
	}
	fn(arg, &r);
}

static enum chat_read
op_recovery(void *ctx, void *conn, struct chat_str pid, chat_recovery_fn fn,
    void *arg)
{
	struct engine *en = ctx;
	struct read r = read_of(ctx, conn, READ_RECOVERY);
	enum chat_read rc;

	assert_true(pid.len < sizeof(r.pid));
	memcpy(r.pid, pid.p, pid.len);
	rc = read_ask(en->w, &r);
	if (rc == CHAT_READ_DONE && r.row != NULL)
		give_recovery(en, r.row, fn, arg);
	read_free(&r);
	return rc;
}

#endif /* CHAT_READS_H */
