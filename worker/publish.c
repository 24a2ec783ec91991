/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"

/* queued bytes from which on clients must wait */
#define CONGESTED_BYTES (1 << 20)
#define CONGESTED_RECORDS 256

/* An event that waits: for room in a ring, for its verdict, or for both. */
struct waiting {
	/* queue for a ring, while it is not published */
	struct waiting *next;
	struct publish_waiter who;
	/* number in the record, 0 when nobody waits */
	uint32_t id;
	bool queued;
	bool live;
	/* longer than any record of the ring that is there now */
	bool hopeless;
	uint64_t gseq;
	uint64_t queued_ms;
	size_t len;
	/* the record as it is published; 8-aligned */
	_Alignas(8) unsigned char record[];
};

struct publisher {
	struct ring *log, *live;
	/* where to go when those are closed, or NULL */
	struct ring *next_log, *next_live;
	unsigned slot;
	/* by (id & mask): low bits are the index, high bits its use */
	struct waiting **table;
	uint32_t *uses;
	uint32_t *free_ids;
	uint32_t size, nfree;
	/* what a full ring did not take */
	struct waiting *head, **tail;
	size_t queued, queued_bytes;
	struct publish_counts counts;
	unsigned char *scratch;
	size_t scratch_size;
};

#define ID_BITS 20
#define ID_MASK ((1u << ID_BITS) - 1)

static const uint16_t record_types[] = {
	[CHAT_JOIN] = RECORD_JOIN,
	[CHAT_LEAVE] = RECORD_LEAVE,
	[CHAT_PRESENCE] = RECORD_PRESENCE,
	[CHAT_MESSAGE] = RECORD_MESSAGE,
	[CHAT_RESUME] = RECORD_RESUME,
	[CHAT_RELEASE] = RECORD_RELEASE,
	[CHAT_ASK] = RECORD_ASK,
	[CHAT_TYPING] = RECORD_TYPING,
	[CHAT_EDIT] = RECORD_EDIT,
	[CHAT_DELETE] = RECORD_DELETE,
	[CHAT_RECEIPT] = RECORD_RECEIPT,
	[CHAT_STATUS] = RECORD_STATUS,
	[CHAT_STEER] = RECORD_STEER,
	[CHAT_CHUNK] = RECORD_CHUNK,
	[CHAT_CANCEL] = RECORD_CANCEL,
	[CHAT_SECURITY] = RECORD_SECURITY,
	[CHAT_STEERED] = RECORD_STEERED,
	[CHAT_PING] = RECORD_PING,
};

struct publisher *
publisher_new(struct ring *log, struct ring *live, unsigned slot)
{
	struct publisher *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->log = log;
	p->live = live;
	p->slot = slot;
	p->tail = &p->head;
	/* whatever ring will follow */
	p->scratch_size = RING_RECORD_LIMIT;
	if ((p->scratch = aligned_alloc(64, (p->scratch_size + 63) & ~63UL)) ==
	    NULL) {
		free(p);
		return NULL;
	}
	return p;
}

void
publisher_free(struct publisher **pp)
{
	struct publisher *p = *pp;
	struct waiting *w;
	uint32_t i;

	*pp = NULL;
	if (p == NULL)
		return;
	while ((w = p->head) != NULL) {
		p->head = w->next;
		if (w->id == 0)
			free(w);
	}
	for (i = 0; i < p->size; i++)
		free(p->table[i]);
	free(p->table);
	free(p->uses);
	free(p->free_ids);
	free(p->scratch);
	free(p);
}

/* Make room for more waiters; false when memory or numbers are out. */
static bool
publisher_grow(struct publisher *p)
{
	uint32_t i, size = p->size == 0 ? 256 : p->size * 2;
	struct waiting **table;
	uint32_t *uses, *ids;

	if (size > ID_MASK)
		return false;
	if ((table = reallocarray(p->table, size, sizeof(*table))) == NULL)
		return false;
	p->table = table;
	if ((uses = reallocarray(p->uses, size, sizeof(*uses))) == NULL)
		return false;
	p->uses = uses;
	if ((ids = reallocarray(p->free_ids, size, sizeof(*ids))) == NULL)
		return false;
	p->free_ids = ids;
	for (i = size; i-- > p->size;) {
		table[i] = NULL;
		uses[i] = 0;
		ids[p->nfree++] = i;
	}
	p->size = size;
	return true;
}

static uint32_t
publisher_new_id(struct publisher *p, struct waiting *w)
{
	uint32_t index;

	if (p->nfree == 0 && !publisher_grow(p))
		return 0;
	index = p->free_ids[--p->nfree];
	p->table[index] = w;
	/* never 0: that means nobody waits */
	if (++p->uses[index] >= 1u << (32 - ID_BITS))
		p->uses[index] = 1;
	return p->uses[index] << ID_BITS | index;
}

static struct waiting *
publisher_find(const struct publisher *p, uint32_t id)
{
	uint32_t index = id & ID_MASK;

	if (id == 0 || index >= p->size || p->table[index] == NULL ||
	    p->table[index]->id != id)
		return NULL;
	return p->table[index];
}

/* Take a waiter out of the table; the caller owns it then. */
static void
publisher_forget(struct publisher *p, struct waiting *w)
{
	uint32_t index = w->id & ID_MASK;

	p->table[index] = NULL;
	p->free_ids[p->nfree++] = index;
	w->id = 0;
}

static void
publisher_queue(struct publisher *p, struct waiting *w)
{
	w->next = NULL;
	w->queued = true;
	*p->tail = w;
	p->tail = &w->next;
	p->queued++;
	p->queued_bytes += w->len;
}

void
publisher_next(struct publisher *p, struct ring *log, struct ring *live)
{
	p->next_log = log;
	p->next_live = live;
}

/* The ring is closed: what follows on it takes its place, if it is there. */
static bool
publisher_move(struct publisher *p, bool live)
{
	struct ring **next = live ? &p->next_live : &p->next_log;

	if (*next == NULL)
		return false;
	if (live)
		p->live = *next;
	else
		p->log = *next;
	*next = NULL;
	return true;
}

void
publisher_leave(struct publisher *p)
{
	(void)publisher_move(p, false);
	(void)publisher_move(p, true);
}

static int
publisher_send(struct publisher *p, const void *rec, size_t len, bool live,
    uint64_t *gseq)
{
	int rc;

	do {
		rc = ring_publish(live ? p->live : p->log, rec, len, gseq);
	} while (rc == -1 && errno == ESHUTDOWN && publisher_move(p, live));

	FAULT(PUBLISH_SENT);
	if (rc == -1)
		p->counts.full++;
	else if (!live)
		p->counts.published++;
	return rc;
}

/* Lay the record out in the scratch buffer; its length, 0 if it is too long. */
static size_t
publisher_build(struct publisher *p, uint32_t id, const struct chat_event *ev)
{
	struct record h = { 0 };
	struct record_field f[RECORD_MAX_FIELDS];
	XXH128_hash_t hash;
	unsigned i;

	h.type = record_types[ev->type];
	h.flags = (uint16_t)ev->flags;
	h.room = ev->room;
	h.user = ev->user;
	h.received_ns = clock_mono_ns();
	h.client = ev->owner.number;
	h.generation = ev->owner.serial;
	h.request = id;
	if (ev->type == CHAT_MESSAGE) {
		hash = XXH3_128bits(ev->field[0].p, ev->field[0].len);
		h.id_hash[0] = hash.low64;
		h.id_hash[1] = hash.high64;
	}
	for (i = 0; i < ev->nfields; i++) {
		f[i].p = ev->field[i].p;
		f[i].len = (uint32_t)ev->field[i].len;
	}
	return record_build(p->scratch, p->scratch_size, &h, f, ev->nfields);
}

static struct waiting *
waiting_new(size_t len, bool live, uint64_t now_ms)
{
	struct waiting *w;

	if ((w = malloc(sizeof(*w) + len)) == NULL)
		fatal("memory for an event");
	memset(w, 0, sizeof(*w));
	w->len = len;
	w->live = live;
	w->queued_ms = now_ms;
	return w;
}

void
publisher_put(struct publisher *p, const struct publish_waiter *waiter,
    const struct chat_event *ev, uint64_t now_ms)
{
	bool live = chat_event_is_live(ev->type);
	struct waiting *w = NULL;
	struct record_field f[RECORD_MAX_FIELDS];
	uint64_t gseq;
	size_t len;
	unsigned i;

	for (i = 0; i < ev->nfields; i++)
		f[i].len = (uint32_t)ev->field[i].len;
	len = record_length(f, ev->nfields);
	if (waiter != NULL) {
		w = waiting_new(len, live, now_ms);
		w->who = *waiter;
		if ((w->id = publisher_new_id(p, w)) == 0)
			fatal("numbers for events under way");
	}
	if (publisher_build(p, w == NULL ? 0 : w->id, ev) != len) {
		/* the configuration was checked: the largest event fits */
		log_error("event too long bytes=%zu", len);
		if (w != NULL) {
			publisher_forget(p, w);
			free(w);
		}
		return;
	}
	if (w != NULL)
		memcpy(w->record, p->scratch, len);
	FAULT(PUBLISH_WAITER);
	/* nothing overtakes what is queued for a stored event's turn, which an
	 * agent's text has no part in */
	if ((p->head == NULL || (live && ev->type != CHAT_TYPING)) &&
	    publisher_send(p, p->scratch, len, live, &gseq) == 0) {
		if (w != NULL)
			w->gseq = gseq;
		return;
	}
	if (live)
		/* typing is best effort; it expires by itself */
		return;
	if (w == NULL) {
		w = waiting_new(len, live, now_ms);
		memcpy(w->record, p->scratch, len);
	}
	publisher_queue(p, w);
	FAULT(PUBLISH_QUEUED);
	ring_want_space(p->log, p->slot);
}

static struct waiting *
publisher_dequeue(struct publisher *p)
{
	struct waiting *w = p->head;

	if ((p->head = w->next) == NULL)
		p->tail = &p->head;
	w->next = NULL;
	w->queued = false;
	p->queued--;
	p->queued_bytes -= w->len;
	return w;
}

bool
publisher_flush(struct publisher *p)
{
	struct waiting *w;

	while ((w = p->head) != NULL) {
		if (publisher_send(p, w->record, w->len, w->live, &w->gseq) ==
		    -1) {
			/* it is told, or dropped, by publisher_expire() */
			w->hopeless = errno == EMSGSIZE;
			if (!w->hopeless)
				ring_want_space(p->log, p->slot);
			return false;
		}
		FAULT(PUBLISH_FLUSH);
		publisher_dequeue(p);
		if (w->id == 0)
			free(w);
	}
	return true;
}

bool
publisher_congested(const struct publisher *p)
{
	return p->queued_bytes >= CONGESTED_BYTES ||
	    p->queued >= CONGESTED_RECORDS;
}

bool
publisher_idle(const struct publisher *p)
{
	return p->head == NULL;
}

bool
publisher_settle(struct publisher *p, uint32_t id,
    struct publish_waiter *waiter_r)
{
	struct waiting *w;

	if ((w = publisher_find(p, id)) == NULL || w->queued)
		return false;
	*waiter_r = w->who;
	publisher_forget(p, w);
	free(w);
	return true;
}

void
publisher_expire(struct publisher *p, uint64_t now_ms, publish_lost_fn fn,
    void *arg)
{
	struct record_field f[RECORD_MAX_FIELDS];
	struct chat_event ev;
	struct waiting *w, *keep = NULL, **tail = &keep;
	int n;

	while ((w = p->head) != NULL &&
	    (w->hopeless || w->queued_ms + PUBLISH_PATIENCE_MS <= now_ms)) {
		publisher_dequeue(p);
		if (w->id == 0 && w->hopeless) {
			log_error("an event fits no record of the new ring "
				  "bytes=%zu",
			    w->len);
			free(w);
			continue;
		}
		if (w->id == 0) {
			/* a leave must not be lost: it goes on waiting */
			*tail = w;
			tail = &w->next;
			continue;
		}
		publisher_forget(p, w);
		n = record_parse(w->record, w->len, f);
		if (n >= 0 &&
		    publish_event((struct record *)(void *)w->record, f, n,
			&ev))
			fn(arg, &ev, &w->who);
		free(w);
	}
	while ((w = keep) != NULL) {
		keep = w->next;
		w->queued_ms = now_ms;
		publisher_queue(p, w);
	}
}

void
publisher_abandon(struct publisher *p, uint64_t now_ms, publish_lost_fn fn,
    void *arg)
{
	struct record_field f[RECORD_MAX_FIELDS];
	const struct record *rec;
	struct chat_event ev;
	struct waiting *w;
	uint32_t i;
	int n;

	for (i = 0; i < p->size; i++) {
		if ((w = p->table[i]) == NULL || w->queued ||
		    w->queued_ms + PUBLISH_PATIENCE_MS > now_ms)
			continue;
		rec = (const struct record *)(const void *)w->record;
		/* whatever else is decided later must not be done twice */
		if (rec->type != RECORD_MESSAGE)
			continue;
		publisher_forget(p, w);
		n = record_parse(w->record, w->len, f);
		if (n >= 0 && publish_event(rec, f, n, &ev))
			fn(arg, &ev, &w->who);
		free(w);
	}
}

static int
by_position(const void *a, const void *b)
{
	const struct waiting *const *wa = a, *const *wb = b;

	return (*wa)->gseq < (*wb)->gseq ? -1 : (*wa)->gseq > (*wb)->gseq;
}

/* Those whose verdict is in doubt, into 'to' (may be NULL); how many. */
static size_t
in_doubt(const struct publisher *p, uint64_t pos, struct waiting **to)
{
	struct waiting *w;
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < p->size; i++) {
		w = p->table[i];
		if (w == NULL || w->queued || w->live || w->gseq >= pos)
			continue;
		if (to != NULL)
			to[n] = w;
		n++;
	}
	return n;
}

void
publisher_again(struct publisher *p, uint64_t pos)
{
	struct waiting *head = p->head, **tail = p->tail, **v;
	size_t i, n = in_doubt(p, pos, NULL);

	if (n == 0)
		return;
	if ((v = calloc(n, sizeof(*v))) == NULL)
		fatal("memory for what is published again");
	(void)in_doubt(p, pos, v);
	/* as they were published the first time, and before what never was */
	qsort(v, n, sizeof(struct waiting *), by_position);
	p->tail = &p->head;
	for (i = 0; i < n; i++) {
		v[i]->queued_ms = clock_mono_ms();
		record_set_again(v[i]->record);
		publisher_queue(p, v[i]);
	}
	free(v);
	if (head != NULL) {
		*p->tail = head;
		p->tail = tail;
	}
	FAULT(PUBLISH_AGAIN);
	(void)publisher_flush(p);
}

void
publisher_counts(struct publisher *p, struct publish_counts *counts_r)
{
	*counts_r = p->counts;
	memset(&p->counts, 0, sizeof(p->counts));
}

size_t
publisher_waiting(const struct publisher *p)
{
	return p->size - p->nfree;
}

bool
publish_event(const struct record *rec, const struct record_field *fields,
    int n, struct chat_event *ev)
{
	unsigned type;
	int i;

	for (type = 0; type < CHAT_EVENT__MAX; type++)
		if (record_types[type] == rec->type)
			break;
	if (type == CHAT_EVENT__MAX)
		return false;
	ev->type = (enum chat_event_type)type;
	ev->flags = rec->flags;
	ev->room = rec->room;
	ev->user = rec->user;
	ev->owner.number = rec->client;
	ev->owner.serial = rec->generation;
	ev->nfields = (unsigned)n;
	for (i = 0; i < n && i < CHAT_MAX_FIELDS; i++) {
		ev->field[i].p = fields[i].p;
		ev->field[i].len = fields[i].len;
	}
	return true;
}

_Static_assert((unsigned)CHAT_F_TYPING == RECORD_F_TYPING &&
	(unsigned)CHAT_F_RENEW == RECORD_F_RENEW &&
	(unsigned)CHAT_F_ORPHAN == RECORD_F_ORPHAN &&
	(unsigned)CHAT_F_ONLY_DUPLICATE == RECORD_F_ONLY_DUPLICATE &&
	(unsigned)CHAT_F_LOST == RECORD_F_LOST &&
	(unsigned)CHAT_F_FINAL == RECORD_F_FINAL &&
	(unsigned)CHAT_F_RESUME == RECORD_F_RESUME &&
	(unsigned)CHAT_F_SERVICE == RECORD_F_SERVICE &&
	(unsigned)CHAT_F_STREAM == RECORD_F_STREAM &&
	(unsigned)CHAT_F_LAST == RECORD_F_LAST &&
	(unsigned)CHAT_F_INTERRUPTED == RECORD_F_INTERRUPTED &&
	(unsigned)CHAT_F_CANCELLED == RECORD_F_CANCELLED,
    "flags of events and records are the same bits");
_Static_assert(CHAT_MAX_FIELDS == RECORD_MAX_FIELDS,
    "events and records have the same fields");
