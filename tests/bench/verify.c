/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * verify - see verify.h.
 */

#include "tests/bench/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/util.h"

/* A seq further ahead of all that was sent than this is nonsense. */
#define SEQ_SLACK 4096

const char *const fault_words[FAULT__MAX] = {
#define FAULT(name, word, text) word,
#include "tests/bench/tbl_fault.h"
};

static const char *const fault_texts[FAULT__MAX] = {
#define FAULT(name, word, text) text,
#include "tests/bench/tbl_fault.h"
};

void
verify_init(struct verify *v, unsigned rooms, unsigned members)
{
	memset(v, 0, sizeof(*v));
	v->rooms = rooms;
	v->members = members;
	v->room = xcalloc(rooms, sizeof(*v->room));
	v->member = xcalloc((size_t)rooms * members, sizeof(*v->member));
	v->tell = 10;
}

void
verify_clear(struct verify *v)
{
	size_t i;

	for (i = 0; i < v->rooms; i++)
		free(v->room[i].order);
	for (i = 0; i < (size_t)v->rooms * v->members; i++)
		free(v->member[i].holes);
	free(v->room);
	free(v->member);
	free(v->message);
	memset(v, 0, sizeof(*v));
}

void
verify_fault(struct verify *v, enum fault what, const char *fmt, ...)
{
	va_list ap;

	v->fault[what]++;
	if (v->tell == 0)
		return;
	v->tell--;
	fprintf(stderr, "load: %s: %s: ", fault_words[what], fault_texts[what]);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (v->tell == 0)
		fprintf(stderr, "load: further violations are only counted\n");
}

uint64_t
verify_faults(const struct verify *v)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < FAULT__MAX; i++)
		sum += v->fault[i];
	return sum;
}

void
verify_base(struct verify *v, uint32_t member, uint64_t seq)
{
	struct verify_room *r = &v->room[member / v->members];

	if (seq > r->base)
		r->base = seq;
}

uint32_t
verify_new(struct verify *v, uint32_t member)
{
	struct verify_message *m;

	if (v->nmessages == v->messages_size) {
		v->messages_size =
		    v->messages_size ? v->messages_size * 2 : 4096;
		v->message = xreallocarray(v->message, v->messages_size,
		    sizeof(*v->message));
	}
	m = &v->message[v->nmessages];
	memset(m, 0, sizeof(*m));
	m->room = member / v->members;
	m->member = member;
	m->attempts = 1;
	v->room[m->room].sent++;
	return v->nmessages++;
}

static void
room_grow(struct verify_room *r, uint32_t place)
{
	uint32_t size = r->size ? r->size : 64;

	while (size < place)
		size *= 2;
	r->order = xreallocarray(r->order, size, sizeof(*r->order));
	memset(r->order + r->size, 0, (size - r->size) * sizeof(*r->order));
	r->size = size;
}

/*
 * Somebody says that message 'i' is number 'seq' of its room.  Returns its
 * place, or 0 if that contradicts what was said before.
 */
static uint32_t
place_of(struct verify *v, uint32_t i, uint64_t seq)
{
	struct verify_message *m = &v->message[i];
	struct verify_room *r = &v->room[m->room];
	uint32_t place;

	if (seq <= r->base || seq - r->base > (uint64_t)r->sent + SEQ_SLACK) {
		verify_fault(v, FAULT_DIFFER,
		    "room %u: message %u has seq %llu", m->room, i,
		    (unsigned long long)seq);
		return 0;
	}
	place = (uint32_t)(seq - r->base);
	if (m->seq == place)
		return place;
	if (place > r->size)
		room_grow(r, place);
	if (m->seq != 0 || r->order[place - 1] != 0) {
		verify_fault(v, FAULT_DIFFER,
		    "room %u: message %u was number %u and is now %u, which "
		    "was message %d",
		    m->room, i, m->seq, place, (int)r->order[place - 1] - 1);
		return 0;
	}
	m->seq = place;
	r->order[place - 1] = i + 1;
	if (place > r->last)
		r->last = place;
	return place;
}

static bool
is_own(const struct verify *v, uint32_t member, uint32_t place)
{
	const struct verify_room *r = &v->room[member / v->members];
	uint32_t i;

	i = place <= r->size ? r->order[place - 1] : 0;
	return i != 0 && v->message[i - 1].member == member;
}

static void
add_holes(struct verify *v, uint32_t member, uint32_t from, uint32_t to)
{
	struct verify_member *me = &v->member[member];

	for (; from < to; from++) {
		if (is_own(v, member, from))
			continue;
		if (me->nholes == me->holes_size) {
			me->holes_size =
			    me->holes_size ? me->holes_size * 2 : 8;
			me->holes = xreallocarray(me->holes, me->holes_size,
			    sizeof(*me->holes));
		}
		me->holes[me->nholes++] = from;
	}
}

static bool
fill_hole(struct verify_member *me, uint32_t place)
{
	uint32_t i;

	for (i = 0; i < me->nholes; i++) {
		if (me->holes[i] != place)
			continue;
		me->holes[i] = me->holes[--me->nholes];
		return true;
	}
	return false;
}

/* Place 'place' comes although a later one, or this one, came before. */
static bool
received_late(struct verify *v, uint32_t member, uint32_t i, uint32_t place)
{
	struct verify_member *me = &v->member[member];
	bool own = v->message[i].member == member;

	if (fill_hole(me, place) && !own) {
		verify_fault(v, FAULT_ORDER,
		    "member %u: message %u, number %u, after number %u", member,
		    i, place, me->last);
		return true;
	}
	verify_fault(v, FAULT_DUPLICATE, "member %u: message %u, number %u",
	    member, i, place);
	return false;
}

bool
verify_received(struct verify *v, uint32_t member, uint32_t i, uint64_t seq,
    bool replayed)
{
	struct verify_message *m = &v->message[i];
	struct verify_member *me = &v->member[member];
	bool own = m->member == member;
	uint32_t place;

	if (m->room != member / v->members) {
		verify_fault(v, FAULT_FOREIGN,
		    "member %u: message %u of room %u", member, i, m->room);
		return false;
	}
	if (own && !replayed) {
		verify_fault(v, FAULT_ECHO, "member %u: message %u", member, i);
		return false;
	}
	if ((place = place_of(v, i, seq)) == 0)
		return false;
	if (place > me->last) {
		if (place > me->last + 1)
			add_holes(v, member, me->last + 1, place);
		me->last = place;
	} else if (!received_late(v, member, i, place)) {
		return false;
	}
	if (own)
		return false;
	m->delivered++;
	v->deliveries++;
	return true;
}

bool
verify_sent(struct verify *v, uint32_t i, uint64_t seq, bool is_ack)
{
	struct verify_message *m = &v->message[i];
	uint16_t *n = is_ack ? &m->acks : &m->events;

	if (*n == m->attempts) {
		verify_fault(v, FAULT_DUPLICATE,
		    "message %u: sent %u times, %s once more", i, m->attempts,
		    is_ack ? "acknowledged" : "announced as sent");
		return false;
	}
	++*n;
	(void)place_of(v, i, seq);
	if (*n != 1)
		return false;
	if (m->acks > 0 && m->events > 0)
		v->acked++;
	return true;
}

bool
verify_complete(struct verify *v, uint32_t i)
{
	struct verify_message *m = &v->message[i];

	if (m->flags & MESSAGE_COMPLETE || m->acks == 0 || m->events == 0 ||
	    m->delivered < v->members - 1)
		return false;
	m->flags |= MESSAGE_COMPLETE;
	v->complete++;
	return true;
}

uint64_t
verify_position(const struct verify *v, uint32_t member)
{
	return v->room[member / v->members].base + v->member[member].last;
}

void
verify_history(struct verify *v, unsigned room, uint32_t i, uint64_t seq)
{
	struct verify_message *m = &v->message[i];
	struct verify_room *r = &v->room[room];

	if (m->room != room || m->seq == 0 || r->base + m->seq != seq)
		verify_fault(v, FAULT_HISTORY,
		    "room %u: message %u as number %llu, it was %u of room %u",
		    room, i, (unsigned long long)seq, m->seq, m->room);
}

static void
finish_member(struct verify *v, uint32_t member)
{
	struct verify_member *me = &v->member[member];
	struct verify_room *r = &v->room[member / v->members];
	uint32_t i, place;

	add_holes(v, member, me->last + 1, r->last + 1);
	for (i = 0; i < me->nholes; i++) {
		place = me->holes[i];
		if (r->order[place - 1] != 0 && !is_own(v, member, place))
			verify_fault(v, FAULT_LOST,
			    "member %u: message %u, number %u", member,
			    r->order[place - 1] - 1, place);
	}
	me->nholes = 0;
}

void
verify_finish(struct verify *v)
{
	struct verify_message *m;
	uint32_t i, place;

	for (i = 0; i < v->nmessages; i++) {
		m = &v->message[i];
		if (m->acks == 0 || m->events == 0)
			verify_fault(v, FAULT_UNACKED,
			    "message %u of member %u in room %u: sent %u "
			    "times, "
			    "%u events, %u acknowledgements",
			    i, m->member, m->room, m->attempts, m->events,
			    m->acks);
	}
	for (i = 0; i < v->rooms; i++)
		for (place = 1; place <= v->room[i].last; place++)
			if (v->room[i].order[place - 1] == 0)
				verify_fault(v, FAULT_GAP, "room %u: number %u",
				    i, place);
	for (i = 0; i < v->rooms * v->members; i++)
		finish_member(v, i);
}
