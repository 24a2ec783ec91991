/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * A socket is taken up again in steps, each of which may have to wait for
 * the store; what comes back goes on with it (chat.h has the picture).
 *
 *  LOOKING --> ASKING --> OURS --> JOINING --> SEEKING --> REPLAYING --> ended
 *     |          |         |          |           |
 *     +----------+---------+--> FRESH |           |
 *     +----------+---------+----------+-----------+--> REFUSED
 *
 * Until SEEKING has ended the store must be readable, or the client is told
 * to try again: nothing has been promised to it.  From there on it is a
 * member of its sessions, whose replays know what it lacks and wait for the
 * store as long as need be; so it may be told that it is recovered.
 *
 * A connection that is lost on the way leaves the sessions that it is in, as
 * any other; the store's row keeps them all.  A row that is ours but none of
 * whose sessions we are in is lost to the store, and expires by itself.
 */

#include "chat/resume.h"

#include <stdlib.h>
#include <string.h>

#include "chat/changes.h"
#include "chat/identity.h"
#include "chat/join.h"
#include "common/fault.h"
#include "common/log.h"

/* how long the store may be unreadable until a client is told */
#define PATIENCE_MS 5000
/* ... and for one session while another has been read */
#define GATHER_MS 1000
/* rows that are looked after in one tick */
#define DOUBTS_A_TICK 256

enum resume_state {
	/* the row cannot be read yet */
	RESUME_LOOKING,
	/* a RESUME is published */
	RESUME_ASKING,
	/* it was granted: the row is to be read again */
	RESUME_OURS,
	/* the joins are published */
	RESUME_JOINING,
	/* where the replays begin is to be found */
	RESUME_SEEKING,
	RESUME_REPLAYING,
	/* it becomes a new socket */
	RESUME_FRESH,
	/* it cannot be done now */
	RESUME_REFUSED,
};

/* A session of the row. */
struct resume_room {
	uint64_t room;
	/* position of the join, and what it asked for */
	uint64_t gseq;
	bool has_after, has_revision;
	uint64_t after_seq, after_revision;
	struct chat_id session, workspace, agent;
};

struct resume {
	enum resume_state state;
	/* why REFUSED */
	enum chat_error err;
	/* what the client says */
	char pid[CHAT_SID_SIZE];
	bool crowded;
	/* pos 0: it has got no offset yet */
	struct offset offset;
	/* of the row */
	char socket_id[CHAT_SOCKET_ID_MAX + 1];
	/* the RESUME's position */
	uint64_t pos;
	/* when the store has been unreadable for too long; 0: it is not */
	uint64_t give_up_ms;
	/* until when what was missed in one session waits for what was missed
	 * in another; 0: it does not yet */
	uint64_t gather_ms;
	/* verdicts that are awaited */
	size_t njoins;
	struct resume_room *rooms;
	size_t nrooms;
};

/* --- what the client says -------------------------------------------------- */

bool
chat_wants_resume(const char *payload, size_t len, struct chat_resume *resume_r)
{
	struct json_value v, pid, offset;
	struct json_span inside;

	if (len == 0)
		return false;
	v = json_value(payload, len);
	pid = json_member(v, "pid");
	offset = json_member(v, "offset");
	if (pid.kind != JSON_KIND_STRING)
		return false;
	memset(resume_r, 0, sizeof(*resume_r));
	inside = json_inside(pid);
	resume_r->pid = chat_str(inside.p, inside.len);
	if (offset.kind == JSON_KIND_NONE)
		return true;
	/* of another kind: a text that is none of ours */
	inside =
	    offset.kind == JSON_KIND_STRING ? json_inside(offset) : offset.text;
	resume_r->offset = chat_str(inside.p, inside.len);
	if (offset.kind != JSON_KIND_STRING)
		resume_r->offset.len = 0;
	return true;
}

static bool
parse_offset(struct chat_str text, struct offset *o_r)
{
	const char *why;

	o_r->pos = 0;
	o_r->npairs = 0;
	if (text.p == NULL)
		return true;
	if (!offset_parse(text.p, text.len, o_r, &why)) {
		log_debug("offset=%s why=%s", log_text(text.p, text.len), why);
		return false;
	}
	/* it was told that there is no way back */
	return o_r->pos > 0;
}

/* --- the row --------------------------------------------------------------- */

enum look {
	LOOK_FINE,
	/* no row, or none for us */
	LOOK_NOTHING,
	/* it belongs to yet another connection */
	LOOK_TAKEN,
	LOOK_UNREADABLE,
	/* it is being read: resume_produce() will be called */
	LOOK_LATER,
};

struct looking {
	const struct chat *chat;
	const struct identity *identity;
	bool crowded;
	uint64_t now_ms;
	enum look found;
	char *socket_id;
};

static bool
is_str(struct chat_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static void
look_row(void *arg, const struct chat_recovery *row)
{
	struct looking *look = arg;
	uint64_t window = look->chat->cfg->recovery_window;

	if (row->partial || !is_str(row->user_id, look->identity->user_id) ||
	    row->socket_id.len == 0 || row->socket_id.len > CHAT_SOCKET_ID_MAX)
		return;
	if (row->lost_ms > 0 &&
	    (look->crowded || look->now_ms > row->lost_ms + window))
		return;
	memcpy(look->socket_id, row->socket_id.p, row->socket_id.len);
	look->socket_id[row->socket_id.len] = '\0';
	look->found = LOOK_FINE;
}

/* What became of looking. */
static enum look
look_end(enum chat_read rc, enum look found)
{
	switch (rc) {
	case CHAT_READ_DONE:
		return found;
	case CHAT_READ_LATER:
		return LOOK_LATER;
	case CHAT_READ_FAILED:
		break;
	}
	return LOOK_UNREADABLE;
}

/* Is there something to take up? */
static enum look
look(struct chat *chat, void *conn, const struct identity *identity,
    struct resume *r)
{
	struct looking look = {
		.chat = chat,
		.identity = identity,
		.crowded = r->crowded,
		.now_ms = chat_real_ms(chat),
		.found = LOOK_NOTHING,
		.socket_id = r->socket_id,
	};

	enum chat_read rc;

	rc = chat->ops->recovery(chat->ctx, conn, chat_cstr(r->pid), look_row,
	    &look);
	return look_end(rc, look.found);
}

struct reading {
	const struct chat_socket *s;
	struct resume *r;
	enum look found;
};

static void
read_row(void *arg, const struct chat_recovery *row)
{
	struct reading *reading = arg;
	const struct chat_owner *owner = &reading->s->owner;
	struct resume *r = reading->r;
	size_t i;

	if (!row->own || row->owner.number != owner->number ||
	    row->owner.serial != owner->serial) {
		reading->found = LOOK_TAKEN;
		return;
	}
	if (row->partial)
		return;
	reading->found = LOOK_FINE;
	r->nrooms = row->nrooms;
	r->rooms = chat_alloc((row->nrooms + 1) * sizeof(*r->rooms));
	for (i = 0; i < row->nrooms; i++) {
		const struct chat_recovery_room *from = &row->rooms[i];
		struct resume_room *to = &r->rooms[i];

		to->room = from->room;
		to->gseq = from->gseq;
		to->has_after = from->has_after;
		to->after_seq = from->after_seq;
		to->has_revision = from->has_revision;
		to->after_revision = from->after_revision;
		chat_id_set(&to->session, from->session);
		chat_id_set(&to->workspace, from->workspace);
		chat_id_set(&to->agent, from->agent);
	}
}

/* --- RESUME ---------------------------------------------------------------- */

static void
resume_ask(struct chat *chat, struct chat_socket *s)
{
	struct resume *r = s->resume;
	struct chat_event ev = { .type = CHAT_RESUME, .nfields = 3 };
	struct pending *p;

	p = pending_add(chat, s, PENDING_RESUME, NULL, 0);
	r->state = RESUME_ASKING;
	ev.field[0] = chat_cstr(r->pid);
	ev.field[1] = chat_cstr(s->identity->user_id);
	ev.field[2] = chat_cstr(r->socket_id);
	socket_publish(chat, s, p->request, &ev);
}

struct chat_socket *
chat_resume(struct chat *chat, void *conn, struct identity **identity,
    const struct chat_resume *resume, const struct chat_connect *options)
{
	struct resume *r;
	struct chat_socket *s;
	enum look found = LOOK_NOTHING;

	r = chat_alloc(sizeof(*r));
	r->crowded = resume->crowded;
	if (options->offsets && chat->cfg->recovery_window > 0 &&
	    resume->pid.len == CHAT_SID_LEN &&
	    parse_offset(resume->offset, &r->offset)) {
		memcpy(r->pid, resume->pid.p, CHAT_SID_LEN);
		found = look(chat, conn, *identity, r);
	}
	if (found == LOOK_NOTHING ||
	    (s = socket_new(chat, conn, identity, options)) == NULL) {
		chat_count(chat, CHAT_COUNT_NOT_RESUMED);
		free(r);
		return NULL;
	}
	s->resume = r;
	if (found == LOOK_FINE) {
		resume_ask(chat, s);
	} else if (found == LOOK_LATER) {
		r->state = RESUME_LOOKING;
	} else {
		r->state = RESUME_LOOKING;
		r->give_up_ms = chat_mono_ms(chat) + PATIENCE_MS;
		chat->stalled = true;
	}
	return s;
}

static void
resume_verdict(struct chat *chat, struct chat_socket *s,
    const struct chat_delivery *d)
{
	struct resume *r = s->resume;

	switch (d->outcome) {
	case CHAT_STORED:
		r->state = RESUME_OURS;
		r->pos = d->gseq;
		s->user = d->ev.user;
		FAULT(RESUME_GRANTED);
		socket_name(chat, s, r->socket_id, r->pid);
		s->resumed = true;
		chat->nresumed++;
		break;
	case CHAT_STORE_UNAVAILABLE:
		r->state = RESUME_REFUSED;
		r->err = CHAT_E_STORE_UNAVAILABLE;
		break;
	default:
		r->state = RESUME_FRESH;
		break;
	}
	chat->ops->want_produce(chat->ctx, s->conn);
}

/* The socket of that pid here which is not the publisher's. */
static struct chat_socket *
resume_loser(const struct chat *chat, const struct chat_delivery *d)
{
	struct chat_socket *s = socket_by_id(chat, d->ev.field[2]);

	if (d->outcome != CHAT_STORED || s == NULL ||
	    !is_str(d->ev.field[0], s->pid))
		return NULL;
	if (d->own && s->owner.number == d->ev.owner.number &&
	    s->owner.serial == d->ev.owner.serial)
		return NULL;
	return s;
}

void
resume_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct chat_socket *loser = resume_loser(chat, d);
	struct chat_socket *s = d->own ? d->socket : NULL;
	struct pending *p;

	if (loser != NULL)
		socket_take(chat, loser);
	if (s != NULL && (p = pending_take(s, d->request)) != NULL) {
		CHECK(p->kind == PENDING_RESUME);
		pending_free(chat, &p);
		resume_verdict(chat, s, d);
	}
	if (loser != NULL)
		chat->ops->close(chat->ctx, loser->conn);
}

/* --- its sessions ---------------------------------------------------------- */

void
resume_release(struct chat *chat, struct chat_socket *s, uint64_t room)
{
	struct chat_event ev = { .type = CHAT_RELEASE,
		.room = room,
		.user = s->user,
		.nfields = 3 };

	ev.field[0] = chat_cstr(s->pid);
	ev.field[1] = chat_cstr(s->identity->user_id);
	ev.field[2] = chat_cstr(s->id);
	socket_publish(chat, s, 0, &ev);
}

static void
resume_join(struct chat *chat, struct chat_socket *s, size_t i)
{
	struct resume *r = s->resume;
	const struct resume_room *room = &r->rooms[i];
	const struct join_wish wish = {
		.session = &room->session,
		.workspace = &room->workspace,
		.agent = &room->agent,
		.has_after = room->has_after,
		.after_seq = room->after_seq,
		.has_revision = room->has_revision,
		.after_revision = room->after_revision,
		.flags = CHAT_F_RESUME,
	};

	if (!identity_allows(s->identity, room->workspace.text,
		room->session.text, NULL)) {
		join_refuse(chat, s, &room->session, &room->workspace,
		    &room->agent, CHAT_E_ACCESS_DENIED);
		resume_release(chat, s, room->room);
		return;
	}
	r->njoins++;
	FAULT(RESUME_JOIN);
	join_publish(chat, s, &wish)->index = i;
}

/* OURS: nobody else changes the row now. */
static enum look
resume_read(struct chat *chat, struct chat_socket *s)
{
	struct resume *r = s->resume;
	struct reading reading = { .s = s, .r = r, .found = LOOK_NOTHING };
	enum chat_read rc;
	size_t i;

	rc = chat->ops->recovery(chat->ctx, s->conn, chat_cstr(r->pid),
	    read_row, &reading);
	reading.found = look_end(rc, reading.found);
	/* an offset from the future is none */
	if (reading.found == LOOK_FINE && r->offset.pos > r->pos)
		reading.found = LOOK_NOTHING;
	if (reading.found == LOOK_NOTHING)
		resume_release(chat, s, 0);
	if (reading.found != LOOK_FINE)
		return reading.found;
	for (i = 0; i < r->nrooms; i++)
		resume_join(chat, s, i);
	return LOOK_FINE;
}

void
resume_joined(struct chat *chat, struct chat_socket *s, const struct pending *p,
    struct member *m, enum chat_error err)
{
	struct resume *r = s->resume;
	const struct resume_room *room = &r->rooms[p->index];

	r->njoins--;
	if (m != NULL) {
		/* live, and told of presence, when it is its turn */
		m->roster_pos = UINT64_MAX;
		if (m->replay == NULL)
			(void)replay_start(chat, room_find(chat, room->room), m,
			    0, 0);
		m->replay->owes = true;
	} else if (err == CHAT_E_SESSION_FULL) {
		join_refuse(chat, s, &room->session, &room->workspace,
		    &room->agent, err);
		resume_release(chat, s, room->room);
	} else {
		r->err = err;
	}
	if (r->njoins > 0)
		return;
	FAULT(RESUME_SEEK);
	r->state = r->err == CHAT_OK ? RESUME_SEEKING : RESUME_REFUSED;
	chat->ops->want_produce(chat->ctx, s->conn);
}

/* --- what it has missed ---------------------------------------------------- */

/* From where on it is sent what was changed. */
static void
resume_changes(struct job *job, const struct resume_room *room, uint64_t pos)
{
	if (pos == OFFSET_AS_JOINED)
		changes_from_join(job, room->gseq, room->has_revision,
		    room->after_revision);
	else
		job->place = (struct changes_place){ .pos = pos };
}

/* Where the replay of one session begins. */
static enum look
resume_seek(struct chat *chat, struct chat_socket *s,
    const struct resume_room *room, struct job *job)
{
	const struct resume *r = s->resume;
	enum chat_read rc;
	enum look found;
	const struct offset *o = &r->offset;
	const struct offset_pair *pair = NULL;
	uint64_t pos = room->gseq, from;
	struct chat_seek at;

	if (o->pos > room->gseq) {
		pair = offset_find(o, room->room);
		pos = o->pos;
	}
	if (pair != NULL && pair->next > 0) {
		job->next = pair->next;
		job->own_to = pair->own_to;
		resume_changes(job, room,
		    pair->changed > 0 ? pair->changed : o->pos);
		return LOOK_FINE;
	}
	/* it was in, and does not know */
	if (pair != NULL)
		pos = room->gseq;
	rc = chat->ops->seek(chat->ctx, s->conn, room->room, pos, &at);
	found = look_end(rc, LOOK_FINE);
	if (found != LOOK_FINE)
		return found;
	job->next = at.seq;
	job->own_to = 0;
	resume_changes(job, room, pos > room->gseq ? pos : OFFSET_AS_JOINED);
	/* or nothing was changed: that need not be read */
	if (!at.changes && !job->place.has_revision)
		job->place.pos = at.pos;
	if (pos > room->gseq)
		return LOOK_FINE;
	/* its join is answered as it would have been: what came behind it
	 * was live */
	job->unanswered = true;
	job_unanswered(s, job, false);
	job->last_seq = at.seq - 1;
	job->last_revision = at.revision - 1;
	from = replay_from(chat, room->has_after, room->after_seq,
	    job->last_seq, &job->truncated);
	if (from > 0) {
		job->next = from;
		job->own_to = job->last_seq;
	}
	return LOOK_FINE;
}

static enum look
resume_seek_all(struct chat *chat, struct chat_socket *s)
{
	const struct resume *r = s->resume;
	enum look found = LOOK_FINE;
	struct member *m;
	struct room *room;
	size_t i;

	for (i = 0; i < r->nrooms && found == LOOK_FINE; i++) {
		room = room_find(chat, r->rooms[i].room);
		m = room == NULL ? NULL : room_member(room, s);
		if (m != NULL && m->replay->next == 0)
			found = resume_seek(chat, s, &r->rooms[i], m->replay);
	}
	return found;
}

/* --- the end --------------------------------------------------------------- */

void
resume_free(struct chat_socket *s)
{
	free(s->resume->rooms);
	free(s->resume);
	s->resume = NULL;
}

static void
resume_end(struct chat *chat, struct chat_socket *s)
{
	uint32_t i;

	resume_free(s);
	for (i = s->njoined; i > 0; i--)
		(void)job_add(chat, s, JOB_SYNC, s->joined[i - 1].room, true);
	FAULT(RESUME_END);
	chat_count(chat, CHAT_COUNT_RESUMED);
	socket_connected(chat, s, true);
}

static void
resume_fresh(struct chat *chat, struct chat_socket *s)
{
	char id[CHAT_SID_SIZE], pid[CHAT_SID_SIZE];

	chat_count(chat, CHAT_COUNT_NOT_RESUMED);
	resume_free(s);
	socket_unname(chat, s);
	chat->ops->new_ids(chat->ctx, s->conn, id, pid);
	socket_name(chat, s, id, pid);
	socket_connected(chat, s, false);
}

static void
resume_refuse(struct chat *chat, struct chat_socket *s, enum chat_error err)
{
	if (err == CHAT_E_STORE_UNAVAILABLE)
		chat_count(chat, CHAT_COUNT_STORE_ERRORS);
	chat->calling = s;
	chat->ops->refused(chat->ctx, s->conn, err);
	if (chat->calling == s)
		socket_free(chat, s, "transport close");
}

/* The store cannot be read now: try again, but not for ever. */
static void
resume_wait(struct chat *chat, struct resume *r)
{
	uint64_t now = chat_mono_ms(chat);

	chat->stalled = true;
	if (r->give_up_ms == 0) {
		r->give_up_ms = now + PATIENCE_MS;
	} else if (now >= r->give_up_ms) {
		r->state = RESUME_REFUSED;
		r->err = CHAT_E_STORE_UNAVAILABLE;
	}
}

/* One step; false if there is none that can be done now. */
static bool
resume_step(struct chat *chat, struct chat_socket *s, enum look found)
{
	struct resume *r = s->resume;

	switch (found) {
	case LOOK_FINE:
		r->give_up_ms = 0;
		return true;
	case LOOK_NOTHING:
		r->state = RESUME_FRESH;
		return true;
	case LOOK_TAKEN:
		/* that RESUME comes, and closes this one */
	case LOOK_UNREADABLE:
		resume_wait(chat, r);
		return r->state == RESUME_REFUSED;
	case LOOK_LATER:
		break;
	}
	return false;
}

/* Up to where verdicts are awaited, or the socket is what it will be. */
static void
resume_advance(struct chat *chat, struct chat_socket *s)
{
	struct resume *r = s->resume;

	if (r->state == RESUME_LOOKING &&
	    resume_step(chat, s, look(chat, s->conn, s->identity, r)) &&
	    r->state == RESUME_LOOKING)
		resume_ask(chat, s);
	if (r->state == RESUME_OURS &&
	    resume_step(chat, s, resume_read(chat, s)) &&
	    r->state == RESUME_OURS)
		r->state = r->njoins > 0 ? RESUME_JOINING : RESUME_SEEKING;
	if (r->state == RESUME_SEEKING &&
	    resume_step(chat, s, resume_seek_all(chat, s)) &&
	    r->state == RESUME_SEEKING)
		r->state = RESUME_REPLAYING;
}

/*
 * CONNECT leaves with the first piece, of all sessions if they can be read
 * before long.
 */
static bool
resume_gathered(struct chat *chat, struct chat_socket *s)
{
	struct resume *r = s->resume;
	uint64_t now = chat_mono_ms(chat);

	if (r->gather_ms == 0)
		r->gather_ms = now + GATHER_MS;
	return now >= r->gather_ms || replays_are_there(chat, s);
}

void
resume_produce(struct chat *chat, struct chat_socket *s, uint64_t delivered)
{
	struct resume *r = s->resume;
	enum chat_error err;

	resume_advance(chat, s);
	switch (r->state) {
	case RESUME_LOOKING:
	case RESUME_ASKING:
	case RESUME_OURS:
	case RESUME_JOINING:
	case RESUME_SEEKING:
		break;
	case RESUME_REPLAYING:
		if (resume_gathered(chat, s) &&
		    jobs_produce(chat, s, delivered) != PRODUCED_LATER)
			resume_end(chat, s);
		break;
	case RESUME_FRESH:
		if (r->crowded)
			resume_refuse(chat, s, CHAT_E_TOO_MANY_CONNECTIONS);
		else
			resume_fresh(chat, s);
		break;
	case RESUME_REFUSED:
		err = r->err;
		resume_refuse(chat, s, err);
		break;
	}
}

/* --- after a gap ----------------------------------------------------------- */

struct doubt {
	const struct chat_socket *s;
	bool taken;
};

static void
doubt_row(void *arg, const struct chat_recovery *row)
{
	struct doubt *doubt = arg;
	const struct chat_owner *owner = &doubt->s->owner;

	doubt->taken = !row->own || row->owner.number != owner->number ||
	    row->owner.serial != owner->serial;
}

void
resume_doubt_all(struct chat *chat)
{
	struct chat_socket *s, *next;

	HASH_ITER(hh, chat->by_id, s, next) {
		chat->ndoubtful += !s->doubtful;
		s->doubtful = true;
	}
}

void
resume_tick(struct chat *chat)
{
	struct chat_socket *s, *next;
	enum chat_read rc;
	unsigned n = 0;

	if (chat->ndoubtful == 0)
		return;
	HASH_ITER(hh, chat->by_id, s, next) {
		struct doubt doubt = { .s = s };

		if (!s->doubtful)
			continue;
		if (n++ == DOUBTS_A_TICK)
			return;
		rc = chat->ops->recovery(chat->ctx, s->conn, chat_cstr(s->pid),
		    doubt_row, &doubt);
		if (rc == CHAT_READ_LATER)
			continue;
		if (rc == CHAT_READ_FAILED)
			return;
		s->doubtful = false;
		chat->ndoubtful--;
		if (doubt.taken) {
			socket_take(chat, s);
			chat->ops->close(chat->ctx, s->conn);
		}
	}
}
