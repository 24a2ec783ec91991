/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * history - reads each room's whole history at the end, twice: one member
 * upwards by afterSeq, another downwards by beforeSeq.  Every page must hold
 * exactly what the members received, in that order.
 */

#include <stdio.h>
#include <string.h>

#include "tests/bench/load.h"
#include "tests/bench/util.h"

#define PAGE 200

static struct client *
reader(struct load *l, unsigned room, bool up)
{
	unsigned member = up || l->opt.members == 1 ? 0 : 1;

	return &l->client[room * l->opt.members + member];
}

static bool
is_done(const struct load *l, unsigned room, bool up)
{
	const struct verify_room *r = &l->v.room[room];
	const struct history *h = &l->walk[room];

	return up ? h->up > r->base + r->last : h->down <= r->base;
}

static void
ask(struct load *l, struct client *c, unsigned room, bool up)
{
	const struct history *h = &l->walk[room];
	char session[64];
	int n;

	/* history_resume() asks when it is back */
	if (c->state != CLIENT_READY)
		return;
	load_session(l, room, session, sizeof(session));
	n = snprintf(l->text, l->text_size,
	    "42%d[\"chat:request-history\",{\"sessionId\":\"%s\","
	    "\"limit\":%d,\"%s\":%llu}]",
	    up ? REQUEST_HISTORY_UP : REQUEST_HISTORY_DOWN, session, PAGE,
	    up ? "afterSeq" : "beforeSeq",
	    (unsigned long long)(up ? h->up - 1 : h->down + 1));
	client_packet(l, c, (size_t)n);
}

static void
next(struct load *l, struct client *c, unsigned room, bool up)
{
	if (is_done(l, room, up))
		l->walks_open--;
	else
		ask(l, c, room, up);
}

void
history_start(struct load *l)
{
	struct verify_room *r;
	unsigned i;

	l->walk = xcalloc(l->opt.rooms, sizeof(*l->walk));
	l->walks_open = 2 * l->opt.rooms;
	for (i = 0; i < l->opt.rooms; i++) {
		r = &l->v.room[i];
		l->walk[i].up = r->base + 1;
		l->walk[i].down = r->base + r->last;
		next(l, reader(l, i, true), i, true);
		next(l, reader(l, i, false), i, false);
	}
}

void
history_resume(struct load *l, struct client *c)
{
	unsigned room = (unsigned)(c - l->client) / l->opt.members;

	if (l->phase != PHASE_HISTORY || l->walk == NULL)
		return;
	if (c == reader(l, room, true) && !is_done(l, room, true))
		ask(l, c, room, true);
	if (c == reader(l, room, false) && !is_done(l, room, false))
		ask(l, c, room, false);
}

/* Check one page; returns how many messages it holds, 0 if it is wrong. */
static unsigned
check_page(struct load *l, unsigned room, struct span page, uint64_t first)
{
	struct scan s = scan_begin(page, '[');
	struct scan_message m;
	struct span element;
	unsigned n = 0;
	uint32_t i;

	while (scan_element(&s, &element)) {
		if (!scan_message(element, &m) || !m.has_seq ||
		    !answer_index(l, m.id, &i) || !answer_text_fits(l, &m)) {
			verify_fault(&l->v, FAULT_HISTORY, "room %u: %.*s",
			    room, element.len < 200 ? (int)element.len : 200,
			    element.p);
			return 0;
		}
		if (first == 0)
			first = m.seq;
		if (m.seq != first + n) {
			verify_fault(&l->v, FAULT_HISTORY,
			    "room %u: number %llu where %llu belongs", room,
			    (unsigned long long)m.seq,
			    (unsigned long long)first + n);
			return 0;
		}
		verify_history(&l->v, room, i, m.seq);
		n++;
	}
	return s.bad ? 0 : n;
}

/* The seq of a page's first message, if the page ends where it should. */
static uint64_t
first_of_down(struct span page, uint64_t last)
{
	struct scan s = scan_begin(page, '[');
	struct span element;
	uint64_t n = 0;

	while (scan_element(&s, &element))
		n++;
	return last + 1 > n ? last + 1 - n : 0;
}

void
history_page(struct load *l, struct client *c, bool up,
    const struct scan_message *m)
{
	unsigned room = (unsigned)(c - l->client) / l->opt.members, n;
	struct history *h = &l->walk[room];
	const struct verify_room *r = &l->v.room[room];

	l->history_pages++;
	n = m->ok ? check_page(l, room, m->messages,
			up ? h->up : first_of_down(m->messages, h->down))
		  : 0;
	if (n == 0) {
		verify_fault(&l->v, FAULT_HISTORY,
		    "room %u: no page %s %llu (%.*s)", room,
		    up ? "from" : "down from",
		    (unsigned long long)(up ? h->up : h->down),
		    (int)m->code.len, m->code.p);
		l->walks_open--;
		return;
	}
	l->history_messages += n;
	if (up)
		h->up += n;
	else
		h->down -= n;
	if (up && m->more != (h->up <= r->base + r->last))
		verify_fault(&l->v, FAULT_HISTORY,
		    "room %u: hasMore is %s at %llu of %llu", room,
		    m->more ? "true" : "false", (unsigned long long)h->up - 1,
		    (unsigned long long)(r->base + r->last));
	next(l, c, room, up);
}
