/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "tests/fuzz/chat_script.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

struct script w;

int
client_of_pid(struct chat_str pid)
{
	int i;

	for (i = 0; i < CLIENTS; i++) {
		if (pid.len == CHAT_SID_LEN && w.person[i].used &&
		    memcmp(w.person[i].pid, pid.p, pid.len) == 0)
			return i;
	}
	return -1;
}

static void
decide_message(struct event *e)
{
	struct message *m = &w.message[w.nmessages];
	size_t len = e->ev.field[2].len;

	if (w.nmessages == MESSAGES ||
	    (e->ev.flags & CHAT_F_ONLY_DUPLICATE) != 0) {
		e->outcome = CHAT_REJECTED;
		return;
	}
	w.nmessages++;
	m->room = e->ev.room;
	m->gseq = e->gseq;
	m->seq = e->seq = ++w.last[e->ev.room];
	CHECK((m->body = malloc(len + 1)) != NULL);
	memcpy(m->body, e->field[2], len);
	m->body[len] = '\0';
}

static void
keep_name(char to[CHAT_FUZZ_NAME], const struct event *e, int field)
{
	memcpy(to, e->field[field], e->ev.field[field].len);
	to[e->ev.field[field].len] = '\0';
}

static void
decide_join(struct event *e)
{
	struct person *row;
	int i = client_of_pid(e->ev.field[6]), k;

	/* some rooms more than once: by their names' lengths */
	e->ev.room = 1 + (e->ev.field[0].len * 3 + e->ev.field[1].len) % ROOMS;
	e->ev.user = (uint64_t)e->field[2][0];
	e->seq = w.last[e->ev.room];
	e->revision = w.revision[e->ev.room];
	for (k = 0; i < 0 && k < CLIENTS; k++) {
		if (e->ev.field[6].len > 0 &&
		    memcmp(w.person[k].pid, e->field[6], CHAT_SID_LEN) == 0) {
			i = k;
			memset(w.person[i].room, 0, sizeof(w.person[i].room));
			w.person[i].used = true;
			w.person[i].serial = e->ev.owner.serial;
		}
	}
	if (i < 0 || e->outcome != CHAT_STORED)
		return;
	row = &w.person[i];
	if (row->serial != e->ev.owner.serial) {
		e->outcome = CHAT_REJECTED;
		return;
	}
	row->lost_ms = 0;
	if (row->room[e->ev.room].in && (e->ev.flags & CHAT_F_RESUME) != 0)
		return;
	row->room[e->ev.room].in = true;
	row->room[e->ev.room].gseq = e->gseq;
	row->room[e->ev.room].after = e->ev.field[7].len;
	row->room[e->ev.room].revision = e->ev.field[7].len / 2;
	keep_name(row->room[e->ev.room].workspace, e, 0);
	keep_name(row->room[e->ev.room].session, e, 1);
}

static void
decide_leave(const struct event *e)
{
	int i;

	for (i = 0; i < CLIENTS; i++) {
		if (!w.person[i].used ||
		    w.person[i].serial != e->ev.owner.serial)
			continue;
		if ((e->ev.flags & CHAT_F_FINAL) != 0)
			w.person[i].used = false;
		else if ((e->ev.flags & CHAT_F_LOST) != 0)
			w.person[i].lost_ms = w.now;
		else
			w.person[i].room[e->ev.room].in = false;
	}
}

static void
decide_resume(struct event *e)
{
	int i = client_of_pid(e->ev.field[0]);

	e->outcome = CHAT_REJECTED;
	if (i < 0 || w.fail)
		return;
	e->outcome = CHAT_STORED;
	w.person[i].serial = e->ev.owner.serial;
	w.person[i].lost_ms = w.now;
}

static void
decide_release(const struct event *e)
{
	int i = client_of_pid(e->ev.field[0]);

	if (i < 0 || w.person[i].serial != e->ev.owner.serial)
		return;
	if (e->ev.room == 0)
		w.person[i].used = false;
	else
		w.person[i].room[e->ev.room].in = false;
}

/* The newest message of the room, whatever is asked for. */
static struct message *
newest(uint64_t room)
{
	int i;

	for (i = w.nmessages - 1; i >= 0; i--) {
		if (w.message[i].room == room)
			return &w.message[i];
	}
	return NULL;
}

static void
decide_change(struct event *e)
{
	struct message *m = newest(e->ev.room);
	struct change *c;

	if (m == NULL || w.over || w.nchanges == EVENTS)
		e->outcome = w.over ? CHAT_FORBIDDEN : CHAT_NOT_FOUND;
	else if (m->deleted && e->ev.type != CHAT_RECEIPT)
		e->outcome = CHAT_DUPLICATE;
	if (e->outcome != CHAT_STORED)
		return;
	c = &w.change[w.nchanges++];
	c->type = e->ev.type;
	c->room = e->ev.room;
	c->seq = e->seq = m->seq;
	c->gseq = e->gseq;
	c->revision = e->revision = ++w.revision[e->ev.room];
	if (e->ev.type == CHAT_RECEIPT)
		return;
	m->revision = c->revision;
	m->deleted = e->ev.type == CHAT_DELETE;
	if (e->ev.type == CHAT_EDIT) {
		free(m->body);
		CHECK((m->body = strndup(e->ev.field[3].p,
			   e->ev.field[3].len)) != NULL);
	}
}

void
decide(void)
{
	struct event *e;

	for (; w.decided < w.published; w.decided++) {
		e = &w.event[w.decided];
		e->gseq = w.gseq++;
		e->outcome = w.fail ? CHAT_STORE_UNAVAILABLE : CHAT_STORED;
		switch (e->ev.type) {
		case CHAT_JOIN:
			decide_join(e);
			break;
		case CHAT_LEAVE:
			decide_leave(e);
			break;
		case CHAT_MESSAGE:
			if (e->outcome == CHAT_STORED)
				decide_message(e);
			break;
		case CHAT_RESUME:
			decide_resume(e);
			break;
		case CHAT_RELEASE:
			decide_release(e);
			break;
		case CHAT_EDIT:
		case CHAT_DELETE:
		case CHAT_RECEIPT:
			if (e->outcome == CHAT_STORED)
				decide_change(e);
			break;
		default:
			break;
		}
	}
}

enum chat_read
read_store(void *conn, bool take)
{
	bool late = w.late && w.reads % 2 == 0;

	if (late || take)
		w.reads++;
	if (late) {
		if (conn != NULL)
			((struct client *)conn)->wants = true;
		return CHAT_READ_LATER;
	}
	return w.fail && take ? CHAT_READ_FAILED : CHAT_READ_DONE;
}
