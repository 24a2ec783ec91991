/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/bridge.h"

#include <sys/queue.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "chat/token.h"
#include "chat/webhook.h"
#include "common/fault.h"
#include "common/log.h"
#include "shm/counter.h"
#include "worker/wheel.h"

/* what a question may take besides auth.webhook_timeout */
#define MARGIN_MS 1000
/* seconds after which it is worth trying again when nobody says so */
#define RETRY_S 2
/* answers that are taken at once */
#define BATCH 64
/* rechecks of this worker that are under way at once */
#define RECHECKS 16
/* a recheck that was not answered is tried again after so long */
#define RECHECK_AGAIN_MS 30000

_Static_assert(TOKEN_MAX <= ASK_TOKEN_MAX, "a token fits a question");

/* A token, ours to wipe. */
struct secret {
	char *p;
	size_t len;
};

struct guest;

/* A question without an answer. */
struct ask {
	/* by number */
	UT_hash_handle hh;
	/* in the order of asking; in the guest's list */
	TAILQ_ENTRY(ask) order;
	LIST_ENTRY(ask) entry;
	struct guest *guest;
	uint32_t number;
	enum bridge_purpose purpose;
	uint32_t request;
	/* which bridge was asked */
	uint32_t bridge;
	bool repeated;
	uint64_t until_ms;
	/* REFRESH: the token it is about; else the guest's */
	struct secret token;
	/* CONNECT */
	bool resumes;
	struct chat_resume resume;
	char *resume_text;
};

/* Somebody who came with a token. */
struct guest {
	/* by conn */
	UT_hash_handle hh;
	void *conn;
	/* never used again, as a pointer might be */
	uint64_t serial;
	struct secret token;
	LIST_HEAD(, ask) asks;
	/* when it is looked at again; then in the queue of those */
	struct wheel_entry timer;
	TAILQ_ENTRY(guest) turn;
	bool waits, rechecking;
};

struct bridge {
	const struct bridge_ops *ops;
	void *ctx;
	const struct config *cfg;
	int fd;
	uint32_t incarnation;
	const struct tables *tables;
	struct guest *guests;
	struct ask *asks;
	/* the oldest first */
	TAILQ_HEAD(, ask) order;
	struct wheel wheel;
	TAILQ_HEAD(, guest) turns;
	unsigned nrechecks;
	uint32_t last_number, seen_bridge;
	uint64_t last_serial, told_bad;
	/* one answer at a time */
	char *buf;
};

/* --- who is there ---------------------------------------------------------- */

static void
count(struct bridge *b, enum counter what)
{
	b->ops->count(b->ctx, what);
}

static void *
must(void *p)
{
	if (p == NULL)
		fatal("memory for a question to the bridge");
	return p;
}

static struct secret
secret_copy(const char *p, size_t len)
{
	struct secret s = { must(malloc(len + 1)), len };

	if (len > 0)
		memcpy(s.p, p, len);
	s.p[len] = '\0';
	return s;
}

static void
secret_free(struct secret *s)
{
	webhook_token_free(&s->p, s->len);
	s->len = 0;
}

static struct guest *
guest_find(const struct bridge *b, const void *conn)
{
	struct guest *g;

	HASH_FIND_PTR(b->guests, &conn, g);
	return g;
}

static struct guest *
guest_make(struct bridge *b, void *conn)
{
	struct guest *g;

	if ((g = guest_find(b, conn)) != NULL)
		return g;
	g = must(calloc(1, sizeof(*g)));
	g->conn = conn;
	g->serial = ++b->last_serial;
	HASH_ADD_PTR(b->guests, conn, g);
	return g;
}

static void
ask_free(struct bridge *b, struct ask *a)
{
	HASH_DELETE(hh, b->asks, a);
	TAILQ_REMOVE(&b->order, a, order);
	LIST_REMOVE(a, entry);
	if (a->purpose == BRIDGE_RECHECK) {
		a->guest->rechecking = false;
		b->nrechecks--;
	}
	secret_free(&a->token);
	free(a->resume_text);
	free(a);
}

/* It does not wait for its turn any more. */
static void
stop_recheck(struct bridge *b, struct guest *g)
{
	wheel_clear(&g->timer);
	if (g->waits)
		TAILQ_REMOVE(&b->turns, g, turn);
	g->waits = false;
}

static void
guest_free(struct bridge *b, struct guest *g)
{
	struct ask *a;

	while ((a = LIST_FIRST(&g->asks)) != NULL)
		ask_free(b, a);
	stop_recheck(b, g);
	HASH_DELETE(hh, b->guests, g);
	secret_free(&g->token);
	free(g);
}

void
bridge_forget(struct bridge *b, void *conn)
{
	struct guest *g = b == NULL ? NULL : guest_find(b, conn);

	if (g != NULL)
		guest_free(b, g);
}

/* --- rechecks --------------------------------------------------------------- */

static void
recheck_later(struct bridge *b, struct guest *g, uint64_t ms, uint64_t now_ms)
{
	stop_recheck(b, g);
	wheel_set(&b->wheel, &g->timer, now_ms + 1 + ms);
}

/*
 * The first time somewhere in the interval, so that who came together does
 * not stay together; then once in each, more or less.
 */
static void
schedule(struct bridge *b, struct guest *g, bool first, uint64_t now_ms)
{
	uint64_t interval = b->cfg->auth_webhook_recheck;
	uint32_t spread = (uint32_t)(first ? interval : interval / 5);

	recheck_later(b, g,
	    (first ? 0 : interval - interval / 10) +
		arc4random_uniform(spread + 1),
	    now_ms);
}

/* Is there anything to remember of it? */
static bool
is_idle(const struct bridge *b, const struct guest *g)
{
	return LIST_EMPTY(&g->asks) &&
	    (g->token.p == NULL || b->cfg->auth_webhook_recheck == 0);
}

/* What is said of the token that it had is not about it any more. */
static void
drop_rechecks(struct bridge *b, struct guest *g)
{
	struct ask *a, *next;

	LIST_FOREACH_SAFE(a, &g->asks, entry, next) {
		if (a->purpose == BRIDGE_RECHECK)
			ask_free(b, a);
	}
}

/* It goes by this token from now on; p NULL: by the one that it has. */
static void
guest_keep(struct bridge *b, struct guest *g, struct secret *token, bool first,
    uint64_t now_ms)
{
	if (token->p != NULL) {
		drop_rechecks(b, g);
		secret_free(&g->token);
		g->token = *token;
		*token = (struct secret){ NULL, 0 };
	}
	if (is_idle(b, g))
		guest_free(b, g);
	else if (!g->rechecking && g->token.p != NULL)
		schedule(b, g, first, now_ms);
}

/* --- asking ----------------------------------------------------------------- */

/* Which bridge there is, or was last. */
static uint32_t
bridge_there(const struct bridge *b)
{
	return atomic_load_explicit(&b->tables->state->child[TABLES_BRIDGE]
					 .incarnation,
	    memory_order_relaxed);
}

/* 0, or -1: it was not taken. */
static int
send_ask(struct bridge *b, struct ask *a)
{
	const struct secret *token =
	    a->token.p != NULL ? &a->token : &a->guest->token;
	char address[ASK_ADDRESS_MAX] = "";
	struct ask_question q = { .incarnation = b->incarnation,
		.number = a->number,
		.recheck = a->purpose == BRIDGE_RECHECK,
		.until_ms = a->until_ms,
		.token = { token->p, token->len } };
	static uint64_t told;

	b->ops->who(b->ctx, a->guest->conn, address, &q.agent);
	q.address = (struct ask_text){ address, strlen(address) };
	if (q.agent.len > ASK_AGENT_MAX)
		q.agent.len = ASK_AGENT_MAX;
	a->bridge = bridge_there(b);
	if (ask_send_question(b->fd, &q) == 0)
		return 0;
	if (errno != EAGAIN && log_due(&told))
		log_error_errno("cannot ask the bridge");
	return -1;
}

static struct ask *
ask_new(struct bridge *b, struct guest *g, enum bridge_purpose purpose,
    uint64_t now_ms)
{
	struct ask *a = must(calloc(1, sizeof(*a)));

	a->guest = g;
	a->number = ++b->last_number;
	a->purpose = purpose;
	a->until_ms = now_ms + b->cfg->auth_webhook_timeout + MARGIN_MS;
	HASH_ADD(hh, b->asks, number, sizeof(a->number), a);
	TAILQ_INSERT_TAIL(&b->order, a, order);
	LIST_INSERT_HEAD(&g->asks, a, entry);
	if (purpose == BRIDGE_RECHECK) {
		g->rechecking = true;
		b->nrechecks++;
	}
	return a;
}

/* Tell who waits; the question is gone then, and perhaps the guest. */
static void
answer(struct bridge *b, struct ask *a, struct bridge_answer *answer,
    uint64_t now_ms)
{
	struct guest *g = a->guest;
	struct chat_resume resume = a->resume;
	struct secret token = a->token;
	char *text = a->resume_text;
	uint64_t serial = g->serial;
	void *conn = g->conn;
	bool in;

	answer->purpose = a->purpose;
	answer->request = a->request;
	answer->resume = a->resumes ? &resume : NULL;
	a->token = (struct secret){ NULL, 0 };
	a->resume_text = NULL;
	ask_free(b, a);
	if (answer->purpose == BRIDGE_RECHECK &&
	    answer->outcome != ASK_UNAVAILABLE)
		count(b, COUNTER_RECHECKED);
	in = b->ops->answer(b->ctx, conn, answer);
	if ((g = guest_find(b, conn)) != NULL && g->serial == serial) {
		if (in)
			guest_keep(b, g, &token,
			    answer->purpose != BRIDGE_RECHECK, now_ms);
		else if (answer->purpose == BRIDGE_CONNECT || is_idle(b, g))
			guest_free(b, g);
		else if (answer->purpose == BRIDGE_RECHECK)
			recheck_later(b, g, RECHECK_AGAIN_MS, now_ms);
	}
	secret_free(&token);
	free(text);
}

static void
answer_unavailable(struct bridge *b, struct ask *a, uint64_t now_ms)
{
	struct bridge_answer none = { .outcome = ASK_UNAVAILABLE,
		.retry_after = RETRY_S };

	count(b, COUNTER_BRIDGE_MISSING);
	answer(b, a, &none, now_ms);
}

/* Texts that outlive the packet they came in. */
static void
keep_resume(struct ask *a, const struct chat_resume *resume)
{
	size_t pid = resume->pid.len, offset = resume->offset.len;

	a->resumes = true;
	a->resume = *resume;
	a->resume_text = must(malloc(pid + offset + 1));
	memcpy(a->resume_text, resume->pid.p, pid);
	a->resume.pid.p = a->resume_text;
	if (resume->offset.p == NULL)
		return;
	memcpy(a->resume_text + pid, resume->offset.p, offset);
	a->resume.offset.p = a->resume_text + pid;
}

void
bridge_connect(struct bridge *b, void *conn, char **token, size_t len,
    const struct chat_resume *resume, uint64_t now_ms)
{
	struct guest *g = guest_make(b, conn);
	struct ask *a = ask_new(b, g, BRIDGE_CONNECT, now_ms);

	secret_free(&g->token);
	g->token = (struct secret){ *token, len };
	*token = NULL;
	if (resume != NULL)
		keep_resume(a, resume);
	if (send_ask(b, a) == -1)
		answer_unavailable(b, a, now_ms);
}

void
bridge_verify(struct bridge *b, void *conn, uint32_t request,
    struct chat_str token, uint64_t now_ms)
{
	struct guest *g = guest_make(b, conn);
	struct ask *a = ask_new(b, g, BRIDGE_REFRESH, now_ms);

	a->request = request;
	a->token = secret_copy(token.p, token.len);
	if (token.len <= ASK_TOKEN_MAX && send_ask(b, a) == 0)
		return;
	/* answered by the next tick */
	a->until_ms = 0;
	TAILQ_REMOVE(&b->order, a, order);
	TAILQ_INSERT_HEAD(&b->order, a, order);
}

/* --- answers ----------------------------------------------------------------- */

static void
take(struct bridge *b, const struct ask_answer *from, uint64_t now_ms)
{
	struct bridge_answer to = { .outcome = from->outcome,
		.claims = from->claims,
		.retry_after = from->retry_after };
	struct ask *a;

	/* to one that sat here before */
	if (from->incarnation != b->incarnation)
		return;
	HASH_FIND(hh, b->asks, &from->number, sizeof(from->number), a);
	/* whoever asked is gone, or has been told */
	if (a == NULL)
		return;
	FAULT(WEBHOOK_ANSWER);
	if (to.outcome == ASK_UNAVAILABLE && to.retry_after == 0)
		to.retry_after = RETRY_S;
	answer(b, a, &to, now_ms);
}

void
bridge_on_readable(struct bridge *b, uint64_t now_ms)
{
	struct ask_answer a;
	int rc;

	for (int i = 0; i < BATCH; i++) {
		if ((rc = ask_receive_answer(b->fd, b->buf, &a)) == 0)
			return;
		if (rc == 1)
			take(b, &a, now_ms);
		else if (errno == ENOTCONN)
			/* the master is gone, and so are we */
			return;
		else if (errno != EBADMSG)
			fatal("socket of the bridge");
		else if (log_due(&b->told_bad))
			log_error("an answer of the bridge makes no sense");
	}
}

/* --- as time goes by ------------------------------------------------------------ */

/* What the dead one had read is lost; the rest is read by the next. */
static void
ask_again(struct bridge *b)
{
	uint32_t there = bridge_there(b);
	struct ask *a;

	if (there == b->seen_bridge)
		return;
	b->seen_bridge = there;
	TAILQ_FOREACH(a, &b->order, order) {
		if (a->bridge == there || a->repeated || a->until_ms == 0)
			continue;
		a->repeated = true;
		count(b, COUNTER_BRIDGE_REPEATED);
		(void)send_ask(b, a);
	}
}

static void
on_due(void *arg, struct wheel_entry *e)
{
	struct bridge *b = arg;
	struct guest *g =
	    (struct guest *)((char *)e - offsetof(struct guest, timer));

	g->waits = true;
	TAILQ_INSERT_TAIL(&b->turns, g, turn);
}

static void
recheck(struct bridge *b, struct guest *g, uint64_t now_ms)
{
	struct ask *a;

	FAULT(WEBHOOK_RECHECK);
	stop_recheck(b, g);
	a = ask_new(b, g, BRIDGE_RECHECK, now_ms);
	if (send_ask(b, a) == 0)
		return;
	/* there is more urgent work */
	ask_free(b, a);
	recheck_later(b, g, RECHECK_AGAIN_MS, now_ms);
}

void
bridge_tick(struct bridge *b, uint64_t now_ms)
{
	struct guest *g;
	struct ask *a;

	if (b == NULL)
		return;
	ask_again(b);
	while ((a = TAILQ_FIRST(&b->order)) != NULL && a->until_ms <= now_ms)
		answer_unavailable(b, a, now_ms);
	wheel_run(&b->wheel, now_ms, on_due, b);
	while (b->nrechecks < RECHECKS && (g = TAILQ_FIRST(&b->turns)) != NULL)
		recheck(b, g, now_ms);
}

/* --- all of it --------------------------------------------------------------- */

struct bridge *
bridge_new(const struct bridge_init *init)
{
	struct bridge *b = must(calloc(1, sizeof(*b)));

	b->ops = init->ops;
	b->ctx = init->ctx;
	b->cfg = init->cfg;
	b->fd = init->fd;
	b->incarnation = init->incarnation;
	b->tables = init->tables;
	b->seen_bridge = bridge_there(b);
	TAILQ_INIT(&b->order);
	TAILQ_INIT(&b->turns);
	wheel_init(&b->wheel, init->now_ms);
	/* of which an answer touches as much as it is long */
	b->buf = must(malloc(ASK_ANSWER_SIZE));
	return b;
}

void
bridge_free(struct bridge **bp)
{
	struct bridge *b = *bp;
	struct guest *g, *next;

	*bp = NULL;
	if (b == NULL)
		return;
	HASH_ITER(hh, b->guests, g, next)
		guest_free(b, g);
	free(b->buf);
	free(b);
}

/* Nobody is asked any more: all are told, and nothing is kept. */
static void
stop_asking(struct bridge *b, uint64_t now_ms)
{
	struct guest *g, *next;
	struct ask *a;

	while ((a = TAILQ_FIRST(&b->order)) != NULL)
		answer_unavailable(b, a, now_ms);
	HASH_ITER(hh, b->guests, g, next)
		guest_free(b, g);
}

void
bridge_configure(struct bridge *b, const struct config *cfg, uint64_t now_ms)
{
	struct secret none = { NULL, 0 };
	struct guest *g, *next;
	uint64_t interval;

	if (b == NULL)
		return;
	interval = b->cfg->auth_webhook_recheck;
	b->cfg = cfg;
	if (cfg->auth_mode != AUTH_MODE_WEBHOOK) {
		stop_asking(b, now_ms);
		return;
	}
	if (cfg->auth_webhook_recheck == interval)
		return;
	HASH_ITER(hh, b->guests, g, next)
		if (LIST_EMPTY(&g->asks))
			guest_keep(b, g, &none, true, now_ms);
}

size_t
bridge_asked(const struct bridge *b)
{
	return b == NULL ? 0 : HASH_COUNT(b->asks);
}

size_t
bridge_guests(const struct bridge *b)
{
	return b == NULL ? 0 : HASH_COUNT(b->guests);
}
