/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "scribe/orphans.h"

#include <sys/queue.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "shm/lost.h"
#include "shm/record.h"
#include "shm/user.h"

#define ROWS_A_TURN 256
/* a header and three short fields */
#define LEAVE_BYTES 1024

/* One walk through presence. */
struct job {
	/* true: 'incarnation'; false: all below it but the living */
	bool one;
	/* it was told to end, and the others go on */
	bool ordered;
	uint32_t incarnation;
	uint32_t *living;
	size_t nliving;
	uint64_t pos;
	struct store_place place;
	TAILQ_ENTRY(job) next;
};

struct orphans {
	struct ring *log;
	struct store *store;
	/* NULL: nothing is remembered */
	struct tables *tables;
	uint64_t window_ms;
	TAILQ_HEAD(, job) jobs;
	uint64_t count;
	/* the ring had no room for a leave */
	bool full;
	_Alignas(8) uint8_t rec[LEAVE_BYTES];
};

struct orphans *
orphans_new(struct ring *log, struct store *s)
{
	struct orphans *o;

	if ((o = calloc(1, sizeof(*o))) == NULL)
		return NULL;
	o->log = log;
	o->store = s;
	TAILQ_INIT(&o->jobs);
	return o;
}

void
orphans_remember(struct orphans *o, struct tables *t, uint64_t window_ms)
{
	o->tables = window_ms > 0 ? t : NULL;
	o->window_ms = window_ms;
}

void
orphans_move(struct orphans *o, struct ring *log)
{
	o->log = log;
}

static void
job_end(struct orphans *o, struct job *job)
{
	TAILQ_REMOVE(&o->jobs, job, next);
	free(job->living);
	free(job);
}

void
orphans_free(struct orphans **o)
{
	struct job *job;

	if (*o == NULL)
		return;
	while ((job = TAILQ_FIRST(&(*o)->jobs)) != NULL)
		job_end(*o, job);
	free(*o);
	*o = NULL;
}

uint64_t
orphans_count(const struct orphans *o)
{
	return o->count;
}

int
orphans_worker_dead(struct orphans *o, uint32_t incarnation, uint64_t pos,
    bool ordered)
{
	struct job *job;

	if ((job = calloc(1, sizeof(*job))) == NULL)
		return -1;
	job->one = true;
	job->ordered = ordered;
	job->incarnation = incarnation;
	job->pos = pos;
	TAILQ_INSERT_TAIL(&o->jobs, job, next);
	return 0;
}

int
orphans_takeover(struct orphans *o, uint32_t own, const uint32_t *living,
    size_t n, uint64_t pos)
{
	struct job *job;

	if ((job = calloc(1, sizeof(*job))) == NULL)
		return -1;
	if (n > 0 && (job->living = calloc(n, sizeof(*living))) == NULL) {
		free(job);
		return -1;
	}
	if (n > 0)
		memcpy(job->living, living, n * sizeof(*living));
	job->nliving = n;
	job->incarnation = own;
	job->pos = pos;
	TAILQ_INSERT_TAIL(&o->jobs, job, next);
	return 0;
}

/* What becomes of a member. */
enum fate {
	FATE_STAYS,
	FATE_LEAVES,
	/* its worker knows */
	FATE_ASK,
};

static enum fate
fate_of(const struct job *job, const struct store_presence *p)
{
	size_t i;

	if (job->one)
		return p->incarnation == job->incarnation ? FATE_LEAVES
							  : FATE_STAYS;
	/* started after us: its death would be told */
	if (p->incarnation > job->incarnation)
		return FATE_STAYS;
	for (i = 0; i < job->nliving; i++)
		if (p->incarnation == job->living[i])
			return FATE_ASK;
	return FATE_LEAVES;
}

/* False: there is no room in the ring now. */
static bool
publish(struct orphans *o, const struct store_presence *p, enum fate fate,
    const char *reason)
{
	const struct record_field f[3] = {
		{ p->socket.p, (uint32_t)p->socket.len },
		{ p->user_id.p, (uint32_t)p->user_id.len },
		{ reason, (uint32_t)strlen(reason) },
	};
	struct record h = {
		.type = fate == FATE_ASK ? RECORD_ASK : RECORD_LEAVE,
		.flags = fate == FATE_ASK ? 0 : RECORD_F_ORPHAN,
		.room = p->room,
		.user = p->user,
		/* whose row it is: see presence.c */
		.id_hash = { p->incarnation, 0 },
		.client = p->client,
		.generation = p->generation,
		.received_ns = clock_mono_ns(),
	};
	uint64_t gseq;
	size_t len;

	len =
	    record_build(o->rec, sizeof(o->rec), &h, f, record_nfields(h.type));
	CHECK(len > 0);
	return ring_publish(o->log, o->rec, len, &gseq) == 0;
}

/* Whoever it was may join the session again without being charged. */
static void
remember(struct orphans *o, struct store_txn *t, const struct store_presence *p)
{
	char workspace[STORE_MAX_NAME + 1], session[STORE_MAX_NAME + 1];
	struct store_room room;

	if (o->tables == NULL || store_room_get(t, p->room, &room) == -1)
		return;
	snprintf(workspace, sizeof(workspace), "%.*s", (int)room.workspace.len,
	    room.workspace.p);
	snprintf(session, sizeof(session), "%.*s", (int)room.session.len,
	    room.session.p);
	lost_put(o->tables, user_key(o->tables, p->user_id.p, p->user_id.len),
	    workspace, session, clock_mono_ms() + o->window_ms);
}

struct walk {
	struct orphans *o;
	struct job *job;
	struct store_txn *t;
};

static bool
walk_row(const struct store_presence *p, void *arg)
{
	struct walk *w = arg;
	enum fate fate = fate_of(w->job, p);

	if (fate == FATE_STAYS)
		return true;
	if (!publish(w->o, p, fate,
		w->job->ordered ? "server shutdown" : "transport close")) {
		w->o->full = true;
		return false;
	}
	FAULT(ORPHANS_LEAVE);
	if (fate == FATE_LEAVES) {
		remember(w->o, w->t, p);
		w->o->count++;
	}
	return true;
}

static void
job_turn(struct orphans *o, struct job *job)
{
	struct walk w = { .o = o, .job = job };

	o->full = false;
	if ((w.t = store_snapshot(o->store)) == NULL)
		return;
	if (store_presence_walk(w.t, &job->place, ROWS_A_TURN, walk_row, &w) ==
	    -1)
		log_error_errno("presence cannot be read");
	store_snapshot_end(&w.t);
	if (job->place.done)
		job_end(o, job);
}

bool
orphans_turn(struct orphans *o, uint64_t next)
{
	struct job *job, *tmp;
	bool due = false;

	for (job = TAILQ_FIRST(&o->jobs); job != NULL; job = tmp) {
		tmp = TAILQ_NEXT(job, next);
		if (next < job->pos)
			continue;
		job_turn(o, job);
		due = true;
		if (o->full)
			break;
	}
	return due && !TAILQ_EMPTY(&o->jobs);
}
