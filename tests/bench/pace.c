/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * pace - when to send the next message, and whose.
 *
 * Either each room has so many messages under way, the next one going when
 * one is complete (everybody has it, the sender knows it); or messages go
 * at a fixed rate whatever comes back.  Senders take turns.
 */

#include "tests/bench/load.h"
#include "tests/bench/util.h"

/* At most so many messages in one turn when the fixed rate is behind. */
#define CATCH_UP 256

static void
list_room(struct load *l, unsigned room)
{
	struct pace_room *r = &l->pace.room[room];

	if (!l->pace.running || r->listed || r->in_flight >= l->opt.window)
		return;
	r->listed = true;
	l->pace.list[l->pace.listed++] = room;
}

void
pace_start(struct load *l)
{
	unsigned i;

	l->pace.room = xcalloc(l->opt.rooms, sizeof(*l->pace.room));
	l->pace.list = xcalloc(l->opt.rooms, sizeof(*l->pace.list));
	l->pace.due = now_ns();
	l->pace.running = true;
	if (l->opt.rate == 0)
		for (i = 0; i < l->opt.rooms; i++)
			list_room(l, i);
}

void
pace_stop(struct load *l)
{
	l->pace.running = false;
	l->pace.listed = 0;
}

static bool
enough(struct load *l)
{
	if ((l->opt.count != 0 && l->v.nmessages >= l->opt.count) ||
	    (l->opt.requests != 0 && l->requests >= l->opt.requests))
		l->pace.running = false;
	return !l->pace.running;
}

/* Send one message in 'room'; false if none of its senders is connected. */
static bool
send_one(struct load *l, unsigned room)
{
	struct pace_room *r = &l->pace.room[room];
	struct client *c;
	unsigned i;

	for (i = 0; i < l->opt.senders; i++) {
		c = &l->client[room * l->opt.members + r->next_sender];
		r->next_sender = (r->next_sender + 1) % l->opt.senders;
		if (c->state != CLIENT_READY)
			continue;
		r->in_flight++;
		client_message(l, c);
		return true;
	}
	return false;
}

void
pace_complete(struct load *l, unsigned room)
{
	l->pace.room[room].in_flight--;
	if (l->opt.rate == 0)
		list_room(l, room);
}

static void
turn_window(struct load *l)
{
	struct pace_room *r;
	unsigned i, n = l->pace.listed, room;

	l->pace.listed = 0;
	for (i = 0; i < n; i++) {
		room = l->pace.list[i];
		r = &l->pace.room[room];
		r->listed = false;
		while (r->in_flight < l->opt.window && !enough(l))
			if (!send_one(l, room))
				break;
		/* nobody was there to send: look again next time */
		list_room(l, room);
	}
}

static void
turn_rate(struct load *l)
{
	uint64_t step = (uint64_t)(1e9 / l->opt.rate);
	uint64_t now = now_ns();
	unsigned sent, tried;

	for (sent = 0; sent < CATCH_UP && now >= l->pace.due && !enough(l);
	     sent++) {
		for (tried = 0; tried < l->opt.rooms; tried++)
			if (send_one(l,
				(unsigned)(l->pace.turn++ % l->opt.rooms)))
				break;
		if (tried == l->opt.rooms)
			return;
		if (l->timed)
			hist_add(&l->late, now - l->pace.due);
		l->pace.due += step;
	}
}

void
pace_turn(struct load *l)
{
	if (!l->pace.running || enough(l))
		return;
	if (l->opt.rate == 0)
		turn_window(l);
	else
		turn_rate(l);
}

uint64_t
pace_timeout(const struct load *l)
{
	uint64_t most = l->opt.reconnect ? 5000000 : 50000000;
	uint64_t now;

	if (l->pace.listed > 0)
		return 1000000;
	if (!l->pace.running || l->opt.rate == 0)
		return most;
	now = now_ns();
	if (l->pace.due <= now)
		return 0;
	return l->pace.due - now < most ? l->pace.due - now : most;
}
