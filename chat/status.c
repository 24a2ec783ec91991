/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * chat:session-status-changed.  Those who are in the session get it as a
 * stored event: it is replayed like an edit.  The others of its workspace
 * who may join it get it once, if they are there.
 */

#include "chat/status.h"

#include <string.h>

#include "chat/changes.h"
#include "chat/identity.h"
#include "chat/render.h"
#include "chat/request.h"

static const char *const statuses[] = { "active", "paused", "completed",
	"abandoned", "error" };

bool
status_ok(const char *status)
{
	size_t i;

	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (strcmp(status, statuses[i]) == 0)
			return true;
	}
	return false;
}

struct named {
	struct chat_id workspace, session;
};

/* Is it in some session of the workspace, but not in this one? */
static bool
is_beside(const struct chat_socket *s, const struct named *st)
{
	const struct room *room;
	bool beside = false;
	uint32_t i;

	for (i = 0; i < s->njoined; i++) {
		room = s->joined[i].room;
		if (strcmp(room->workspace, st->workspace.text) != 0)
			continue;
		if (strcmp(room->session, st->session.text) == 0)
			return false;
		beside = true;
	}
	return beside;
}

static void
tell_workspace(struct chat *chat, const struct named *st,
    const struct json_out *o)
{
	struct chat_frame frame;
	struct chat_socket *s;
	bool made = false;

	LIST_FOREACH(s, &chat->sockets, entry) {
		if (s->resume != NULL || s->taken || !is_beside(s, st) ||
		    !identity_allows(s->identity, st->workspace.text,
			st->session.text, NULL))
			continue;
		if (!made)
			frame = chat_encode(chat, EVENT_STATUS, o, NULL);
		made = true;
		chat->ops->send(chat->ctx, s->conn, frame, CHAT_EVENT);
	}
}

void
status_deliver(struct chat *chat, const struct chat_delivery *d)
{
	struct room *room = room_find(chat, d->ev.room);
	struct json_out *o = &chat->event;
	const struct chat_change c = { .type = CHAT_STATUS,
		.gseq = d->gseq,
		.changed_ms = d->time_ms,
		.status = d->ev.field[0],
		.reason = d->ev.field[1] };
	struct named st;

	if (d->outcome != CHAT_STORED || d->ev.field[3].len > CHAT_ID_MAX ||
	    d->ev.field[4].len > CHAT_ID_MAX)
		return;
	chat_id_set(&st.workspace, d->ev.field[3]);
	chat_id_set(&st.session, d->ev.field[4]);
	json_out_reset(o);
	(void)render_change(o, st.session.text, &c);
	if (room != NULL)
		changes_send(chat, room, d, EVENT_STATUS, o);
	tell_workspace(chat, &st, o);
}
