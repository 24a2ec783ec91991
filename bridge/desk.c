/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "bridge/desk.h"

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "bridge/breaker.h"
#include "bridge/cache.h"
#include "common/fault.h"
#include "common/log.h"
#include "shm/tables.h"

/* after which one that found no place may try again */
#define RETRY_CROWD_S 1

/* Who is to be told. */
struct waiter {
	struct waiter *next;
	unsigned slot;
	uint32_t incarnation, number;
};

struct desk_call {
	UT_hash_handle hh;
	/* while it waits */
	TAILQ_ENTRY(desk_call) entry;
	/* of the body, and of the token alone */
	struct cache_key key, token;
	struct waiter *waiters;
	uint64_t since_ms;
	/* nobody waits who connects */
	bool low;
	bool calling, probe;
	/* to another application than is asked now */
	bool old;
	size_t len;
	char body[];
};

TAILQ_HEAD(call_queue, desk_call);

struct desk {
	const struct desk_ops *ops;
	void *ctx;
	uint64_t timeout_ms;
	struct cache *cache;
	struct breaker breaker;
	/* by key */
	struct desk_call *calls;
	struct call_queue high, low;
	unsigned ncalls, nlow_calls, nwaiting, nwaiters;
	size_t bytes;
	/* of the worker that asked last, by slot */
	uint32_t incarnation[TABLES_WORKERS];
	struct json_out body, claims;
	uint64_t told_bad;
};

struct desk *
desk_new(const struct desk_ops *ops, void *ctx, uint64_t timeout_ms)
{
	struct desk *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("memory for questions");
	d->ops = ops;
	d->ctx = ctx;
	d->timeout_ms = timeout_ms;
	d->cache = cache_new();
	TAILQ_INIT(&d->high);
	TAILQ_INIT(&d->low);
	return d;
}

static void
count(struct desk *d, enum counter what)
{
	d->ops->count(d->ctx, what);
}

/* --- calls ----------------------------------------------------------------- */

static struct call_queue *
queue_of(struct desk *d, const struct desk_call *c)
{
	return c->low ? &d->low : &d->high;
}

static void
enqueue(struct desk *d, struct desk_call *c)
{
	TAILQ_INSERT_TAIL(queue_of(d, c), c, entry);
	d->nwaiting++;
}

static void
dequeue(struct desk *d, struct desk_call *c)
{
	TAILQ_REMOVE(queue_of(d, c), c, entry);
	d->nwaiting--;
}

static struct waiter *
take_waiter(struct desk *d, struct desk_call *c)
{
	struct waiter *w = c->waiters;

	if (w == NULL)
		return NULL;
	c->waiters = w->next;
	d->nwaiters--;
	return w;
}

static void
call_free(struct desk *d, struct desk_call *c)
{
	struct waiter *w;

	while ((w = take_waiter(d, c)) != NULL)
		free(w);
	if (c->calling) {
		d->ncalls--;
		d->nlow_calls -= c->low;
	} else {
		dequeue(d, c);
	}
	HASH_DELETE(hh, d->calls, c);
	d->bytes -= c->len;
	explicit_bzero(c->body, c->len);
	free(c);
}

void
desk_free(struct desk **dp)
{
	struct desk *d = *dp;
	struct desk_call *c, *next;

	*dp = NULL;
	if (d == NULL)
		return;
	HASH_ITER(hh, d->calls, c, next)
		call_free(d, c);
	cache_free(&d->cache);
	json_out_clear(&d->body);
	json_out_clear(&d->claims);
	free(d);
}

/* Found by nobody any more, and not remembered. */
static void
rename_call(struct desk *d, struct desk_call *c)
{
	c->old = true;
	HASH_DELETE(hh, d->calls, c);
	arc4random_buf(&c->key, sizeof(c->key));
	c->token = c->key;
	HASH_ADD(hh, d->calls, key, sizeof(c->key), c);
}

void
desk_configure(struct desk *d, uint64_t timeout_ms, bool other)
{
	struct desk_call *c, *next;

	d->timeout_ms = timeout_ms;
	if (!other)
		return;
	cache_clear(d->cache);
	d->breaker = (struct breaker){ 0 };
	/* what the old one answers is not shared with who asks the new one;
	 * each is met again behind the others */
	HASH_ITER(hh, d->calls, c, next)
		if (c->calling && !c->old)
			rename_call(d, c);
}

static struct desk_call *
call_new(struct desk *d, const struct cache_key *key,
    const struct cache_key *token, bool low, uint64_t now_ms)
{
	struct desk_call *c;

	if ((c = calloc(1, sizeof(*c) + d->body.len)) == NULL)
		fatal("memory for a question");
	c->key = *key;
	c->token = *token;
	c->low = low;
	c->since_ms = now_ms;
	c->len = d->body.len;
	memcpy(c->body, d->body.p, c->len);
	HASH_ADD(hh, d->calls, key, sizeof(c->key), c);
	d->bytes += c->len;
	enqueue(d, c);
	return c;
}

/* --- answers --------------------------------------------------------------- */

static void
tell(struct desk *d, unsigned slot, uint32_t incarnation, uint32_t number,
    struct ask_answer a)
{
	/* nobody there would take it */
	if (incarnation != d->incarnation[slot])
		return;
	a.incarnation = incarnation;
	a.number = number;
	d->ops->answer(d->ctx, slot, &a);
}

/* All who wait for it, and it is gone. */
static void
tell_all(struct desk *d, struct desk_call *c, struct ask_answer a)
{
	struct waiter *w;

	while ((w = take_waiter(d, c)) != NULL) {
		tell(d, w->slot, w->incarnation, w->number, a);
		free(w);
	}
	call_free(d, c);
}

static struct ask_answer
held_off(const struct desk *d, uint64_t now_ms)
{
	return (struct ask_answer){ .outcome = ASK_UNAVAILABLE,
		.retry_after = breaker_is_open(&d->breaker)
		    ? breaker_retry_after(&d->breaker, now_ms)
		    : RETRY_CROWD_S };
}

static void
hold_off(struct desk *d, struct desk_call *c, uint64_t now_ms)
{
	for (const struct waiter *w = c->waiters; w != NULL; w = w->next)
		count(d, COUNTER_BRIDGE_HELD_OFF);
	tell_all(d, c, held_off(d, now_ms));
}

static void
hold_off_all(struct desk *d, uint64_t now_ms)
{
	struct desk_call *c;

	while ((c = TAILQ_FIRST(&d->high)) != NULL)
		hold_off(d, c, now_ms);
	while ((c = TAILQ_FIRST(&d->low)) != NULL)
		hold_off(d, c, now_ms);
}

/* --- putting them ----------------------------------------------------------- */

/* Whose turn it is; NULL: nobody's, or there is no place. */
static struct desk_call *
next_call(struct desk *d)
{
	struct desk_call *c;

	if (d->ncalls >= DESK_CALLS)
		return NULL;
	if ((c = TAILQ_FIRST(&d->high)) != NULL)
		return c;
	return d->nlow_calls < DESK_LOW_CALLS ? TAILQ_FIRST(&d->low) : NULL;
}

static void
pump(struct desk *d, uint64_t now_ms)
{
	struct desk_call *c;
	uint64_t waited;
	bool probe;

	while ((c = next_call(d)) != NULL) {
		if (!breaker_allows(&d->breaker, now_ms, &probe)) {
			hold_off_all(d, now_ms);
			return;
		}
		waited = now_ms - c->since_ms;
		dequeue(d, c);
		c->calling = true;
		c->probe = probe;
		d->ncalls++;
		d->nlow_calls += c->low;
		count(d, COUNTER_BRIDGE_ASKED);
		if (d->ops->call(d->ctx, c, c->body, c->len,
			waited < d->timeout_ms / 2 ? d->timeout_ms - waited
						   : d->timeout_ms / 2) == 0) {
			FAULT(BRIDGE_ASKED);
			continue;
		}
		breaker_forget(&d->breaker, probe);
		count(d, COUNTER_BRIDGE_FAILED);
		tell_all(d, c, held_off(d, now_ms));
	}
}

/* --- questions --------------------------------------------------------------- */

/* A worker died: nobody waits for what it has asked. */
static void
forget_worker(struct desk *d, unsigned slot)
{
	struct desk_call *c, *next;
	struct waiter *w, **at;

	HASH_ITER(hh, d->calls, c, next) {
		for (at = &c->waiters; (w = *at) != NULL;) {
			if (w->slot != slot) {
				at = &w->next;
				continue;
			}
			*at = w->next;
			d->nwaiters--;
			free(w);
		}
		if (c->waiters == NULL && !c->calling)
			call_free(d, c);
	}
}

/* False if it is there already: the bridge before us was asked, too. */
static bool
add_waiter(struct desk *d, struct desk_call *c, unsigned slot,
    const struct ask_question *q)
{
	struct waiter *w;

	for (w = c->waiters; w != NULL; w = w->next)
		if (w->slot == slot && w->number == q->number)
			return false;
	if ((w = malloc(sizeof(*w))) == NULL)
		fatal("memory for a question");
	*w = (struct waiter){ c->waiters, slot, q->incarnation, q->number };
	c->waiters = w;
	d->nwaiters++;
	return true;
}

/* It waits with another. */
static void
share(struct desk *d, struct desk_call *c, unsigned slot,
    const struct ask_question *q)
{
	if (add_waiter(d, c, slot, q))
		count(d, COUNTER_BRIDGE_SHARED);
	if (q->recheck || !c->low)
		return;
	if (c->calling) {
		d->nlow_calls--;
		c->low = false;
		return;
	}
	dequeue(d, c);
	c->low = false;
	enqueue(d, c);
}

static bool
is_crowded(const struct desk *d)
{
	return d->nwaiting >= DESK_WAITING || d->bytes >= DESK_BYTES ||
	    d->nwaiters >= DESK_WAITERS;
}

static void
ask(struct desk *d, unsigned slot, const struct ask_question *q,
    const struct cache_key *token, uint64_t now_ms)
{
	const struct ask_answer refused = { .outcome = ASK_REFUSED };
	struct cache_key key;
	struct desk_call *c;

	if (!post_body(q, &d->body)) {
		tell(d, slot, q->incarnation, q->number, refused);
		return;
	}
	key = cache_key(d->cache, d->body.p, d->body.len);
	HASH_FIND(hh, d->calls, &key, sizeof(key), c);
	if (c != NULL && d->nwaiters < DESK_WAITERS) {
		share(d, c, slot, q);
	} else if (c != NULL || is_crowded(d) ||
	    !breaker_is_ready(&d->breaker, now_ms)) {
		count(d, COUNTER_BRIDGE_HELD_OFF);
		tell(d, slot, q->incarnation, q->number, held_off(d, now_ms));
	} else {
		c = call_new(d, &key, token, q->recheck, now_ms);
		(void)add_waiter(d, c, slot, q);
	}
	explicit_bzero(d->body.p, d->body.len);
}

void
desk_question(struct desk *d, unsigned slot, const struct ask_question *q,
    uint64_t now_ms)
{
	struct ask_answer a = { .outcome = ASK_GRANTED };
	struct cache_key token;

	CHECK(slot < TABLES_WORKERS);
	count(d, COUNTER_BRIDGE_QUESTIONS);
	/* they only grow */
	if (q->incarnation < d->incarnation[slot])
		return;
	if (q->incarnation > d->incarnation[slot]) {
		forget_worker(d, slot);
		d->incarnation[slot] = q->incarnation;
	}
	/* it has been lying there since the bridge before us died */
	if (now_ms >= q->until_ms) {
		count(d, COUNTER_BRIDGE_HELD_OFF);
		return;
	}
	token = cache_key(d->cache, q->token.p, q->token.len);
	if (!q->recheck)
		a.claims = cache_get(d->cache, &token, now_ms);
	if (a.claims.p != NULL) {
		count(d, COUNTER_BRIDGE_CACHED);
		tell(d, slot, q->incarnation, q->number, a);
		return;
	}
	ask(d, slot, q, &token, now_ms);
	pump(d, now_ms);
}

/* --- replies ------------------------------------------------------------------ */

/* What the answer says about the application. */
static void
note_health(struct desk *d, const struct desk_call *c,
    const struct post_result *result, uint64_t now_ms)
{
	if (c->old)
		return;
	if (!result->down) {
		if (breaker_success(&d->breaker))
			log_notice("the application answers again");
	} else if (breaker_failure(&d->breaker, now_ms, c->probe)) {
		log_warn("the application does not answer, clients who "
			 "connect are told to come back later reason=%s",
		    log_text(result->why, strlen(result->why)));
	}
	if (result->outcome == ASK_UNAVAILABLE && !result->down &&
	    log_due(&d->told_bad))
		log_warn("an answer of the application cannot be used "
			 "reason=%s",
		    log_text(result->why, strlen(result->why)));
}

void
desk_reply(struct desk *d, struct desk_call *c, const struct post_reply *reply,
    uint64_t now_ms)
{
	struct post_result result = post_judge(reply, &d->claims);
	struct ask_answer a = { .outcome = result.outcome };

	FAULT(BRIDGE_ANSWERED);
	note_health(d, c, &result, now_ms);
	switch (result.outcome) {
	case ASK_GRANTED:
		count(d, COUNTER_BRIDGE_GRANTED);
		a.claims = (struct ask_text){ d->claims.p, d->claims.len };
		cache_put(d->cache, &c->token, a.claims, now_ms,
		    result.max_age);
		break;
	case ASK_REFUSED:
		count(d, COUNTER_BRIDGE_REFUSED);
		cache_drop(d->cache, &c->token);
		break;
	case ASK_UNAVAILABLE:
	case ASK_OUTCOME__MAX:
		count(d, COUNTER_BRIDGE_FAILED);
		a = held_off(d, now_ms);
		break;
	}
	tell_all(d, c, a);
	pump(d, now_ms);
}

static void
expire(struct desk *d, struct call_queue *q, uint64_t now_ms)
{
	struct desk_call *c;

	while ((c = TAILQ_FIRST(q)) != NULL &&
	    now_ms >= c->since_ms + d->timeout_ms / 2)
		hold_off(d, c, now_ms);
}

void
desk_tick(struct desk *d, uint64_t now_ms)
{
	expire(d, &d->high, now_ms);
	expire(d, &d->low, now_ms);
}

unsigned
desk_calls(const struct desk *d)
{
	return d->ncalls;
}

unsigned
desk_waiting(const struct desk *d)
{
	return d->nwaiting;
}

bool
desk_is_down(const struct desk *d)
{
	return breaker_is_open(&d->breaker);
}
