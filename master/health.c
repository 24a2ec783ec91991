/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * health - is all well, and if not, what is wrong.
 */

#include "master/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/json.h"
#include "common/log.h"
#include "master/child.h"
#include "master/master.h"
#include "master/supervise.h"
#include "shm/counter.h"

#define SAMPLE_S 5
#define SAMPLES 13
#define MIB ((uint64_t)1 << 20)
/* less than this on the store's disk is little */
#define DISK_LOW (256 * MIB)
/* a snapshot of the store that is held for longer costs too much */
#define READER_OLD_MS 10000

/* What may be too much of, since the daemon's start. */
struct sample {
	uint64_t connection_errors, message_errors, limited;
	uint64_t commits_failed, evictions, restarts, damaged;
	struct hist_sum turn, durable;
};

struct health {
	struct master *master;
	struct event *tick;
	/* a ring: [next] is the oldest once it is full */
	struct sample sample[SAMPLES];
	unsigned n, next;
};

/* A report that is being written. */
struct verdict {
	int score;
	struct json_out *issues;
};

static uint64_t
load64(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static uint32_t
load32(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

/* --- samples ----------------------------------------------------------- */

static uint64_t
sum_of(const struct tables *t, const enum counter *list, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += counter_sum(t, list[i]);
	return sum;
}

static void
take(const struct master *m, struct sample *s)
{
	static const enum counter connection[] = { COUNTER_CLOSED_OVERLOAD,
		COUNTER_CLOSED_ERROR, COUNTER_CLOSED_PROTOCOL,
		COUNTER_CLOSED_WORKER, COUNTER_REFUSED };
	static const enum counter message[] = { COUNTER_STORE_ERRORS,
		COUNTER_MESSAGES_REFUSED };
	static const enum counter limited[] = { COUNTER_RATE_EXCEEDED,
		COUNTER_CONNECT_LIMITED, COUNTER_USER_LIMITED };
	static const enum counter restarts[] = { COUNTER_WORKER_RESTARTS,
		COUNTER_SCRIBE_RESTARTS, COUNTER_BRIDGE_RESTARTS };
	static const enum counter damaged[] = { COUNTER_DAMAGED,
		COUNTER_DAMAGE_REFUSED };
	const struct tables *t = m->shared.tables;

	memset(s, 0, sizeof(*s));
	s->connection_errors = sum_of(t, connection, 5);
	s->message_errors = sum_of(t, message, 2);
	s->limited = sum_of(t, limited, 3);
	s->restarts = sum_of(t, restarts, 3);
	s->commits_failed = counter_sum(t, COUNTER_COMMITS_FAILED);
	s->evictions = counter_sum(t, COUNTER_EVICTIONS);
	s->damaged = sum_of(t, damaged, 2);
	hist_sum(t, HIST_TURN, &s->turn);
	hist_sum(t, HIST_DURABLE, &s->durable);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct health *h = arg;

	take(h->master, &h->sample[h->next]);
	h->next = (h->next + 1) % SAMPLES;
	if (h->n < SAMPLES)
		h->n++;
}

struct health *
health_new(struct master *m)
{
	const struct timeval every = { .tv_sec = SAMPLE_S };
	struct health *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		fatal("calloc");
	h->master = m;
	h->tick = event_new(m->base, -1, EV_PERSIST, on_tick, h);
	if (h->tick == NULL || event_add(h->tick, &every) == -1)
		fatalx("out of memory");
	return h;
}

void
health_free(struct health **hp)
{
	struct health *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	event_free(h->tick);
	free(h);
}

static void
subtract_hist(struct hist_sum *s, const struct hist_sum *old)
{
	s->count -= old->count;
	s->sum -= old->sum;
	for (size_t i = 0; i < HIST_BUCKETS; i++)
		s->bucket[i] -= old->bucket[i];
}

/* What happened since the oldest sample: in the last minute. */
static void
window(struct health *h, struct sample *s)
{
	static const struct sample zero;
	const struct sample *old = &zero;

	if (h->n > 0)
		old = &h->sample[h->n < SAMPLES ? 0 : h->next];
	take(h->master, s);
	s->connection_errors -= old->connection_errors;
	s->message_errors -= old->message_errors;
	s->limited -= old->limited;
	s->restarts -= old->restarts;
	s->commits_failed -= old->commits_failed;
	s->evictions -= old->evictions;
	subtract_hist(&s->turn, &old->turn);
	subtract_hist(&s->durable, &old->durable);
}

/* --- issues ------------------------------------------------------------ */

static void issue(struct verdict *v, int minus, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
issue(struct verdict *v, int minus, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->score -= minus;
	json_out_cstring(v->issues, text);
}

/* The first that is exceeded counts. */
static const struct limit {
	uint64_t above;
	int minus;
	const char *text;
} memory[] = {
	{ 1000, 30, "High memory usage: %" PRIu64 "MB" },
	{ 500, 10, "Elevated memory usage: %" PRIu64 "MB" },
	{ 0, 0, NULL },
}, loop_delay[] = {
	{ 50, 25, "High event loop delay: %" PRIu64 "ms" },
	{ 10, 10, "Elevated event loop delay: %" PRIu64 "ms" },
	{ 0, 0, NULL },
}, latency[] = {
	{ 2000, 25, "High message latency: %" PRIu64 "ms" },
	{ 1000, 10, "Elevated message latency: %" PRIu64 "ms" },
	{ 0, 0, NULL },
}, connection_errors[] = {
	{ 50, 20, "High connection error rate: %" PRIu64 },
	{ 0, 0, NULL },
}, message_errors[] = {
	{ 100, 20, "High message error rate: %" PRIu64 },
	{ 0, 0, NULL },
}, limited[] = {
	{ 200, 15, "High rate limit hits: %" PRIu64 },
	{ 0, 0, NULL },
};

static void
judge(struct verdict *v, const struct limit *l, uint64_t n)
{
	char text[128];

	for (; l->text != NULL; l++) {
		if (n <= l->above)
			continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(text, sizeof(text), l->text, n);
#pragma GCC diagnostic pop
		issue(v, l->minus, "%s", text);
		return;
	}
}

/* Private memory of a process in bytes; what is shared is there once. */
static uint64_t
private_bytes(pid_t pid)
{
	unsigned long size, resident, shared;
	char path[64];
	FILE *fp;
	int n;

	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if ((fp = fopen(path, "re")) == NULL)
		return 0;
	n = fscanf(fp, "%lu %lu %lu", &size, &resident, &shared);
	(void)fclose(fp);
	if (n != 3 || resident < shared)
		return 0;
	return (uint64_t)(resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
judge_memory(struct master *m, struct verdict *v)
{
	uint64_t bytes = private_bytes(getpid());
	struct child *c;

	for (c = NULL; (c = supervise_next(m->supervisor, c)) != NULL;)
		bytes += private_bytes(c->pid);
	judge(v, memory, bytes / MIB);
}

static void
judge_processes(struct master *m, struct verdict *v, const struct sample *s)
{
	const struct tables_state *st = m->shared.tables->state;
	unsigned ready = supervise_ready(m->supervisor);

	if (m->state != MASTER_RUNNING)
		issue(v, 50, "The daemon is %s", master_state_name(m->state));
	if (load32(&st->child[TABLES_SCRIBE].state) != TABLES_CHILD_READY)
		issue(v, 45, "The scribe is not there: nothing is stored");
	if (bridge_is_wanted(m) &&
	    load32(&st->child[TABLES_BRIDGE].state) != TABLES_CHILD_READY)
		issue(v, 40, "The bridge is not there: nobody can connect");
	else if (bridge_is_wanted(m) &&
	    gauge_get(m->shared.tables, COUNTER_BRIDGE, GAUGE_BRIDGE_DOWN) > 0)
		issue(v, 40,
		    "The web application does not answer: nobody can connect");
	if (ready == 0)
		issue(v, 100, "No worker is ready: nobody is served");
	else if (ready < m->workers)
		issue(v, (int)(10 + 40 * (m->workers - ready) / m->workers),
		    "Only %u of %u workers are ready", ready, m->workers);
	if (s->restarts > 0)
		issue(v, s->restarts > 3 ? 25 : 10,
		    "Processes died and were replaced: %" PRIu64, s->restarts);
}

static const char *
why_not(const struct tables_store *s)
{
	switch ((enum tables_store_why)load32(&s->why)) {
	case TABLES_STORE_WHY_NONE:
		break;
	case TABLES_STORE_WHY_DISK:
		return "its disk is full";
	case TABLES_STORE_WHY_SIZE:
		return "store.max_bytes is reached";
	case TABLES_STORE_WHY_IO:
		return "reading or writing fails";
	case TABLES_STORE_WHY_SCRIBE:
		return "scribes die one after the other";
	}
	return "the reason is not known";
}

static void
judge_store(struct master *m, struct verdict *v, const struct sample *s)
{
	const struct tables_store *st = &m->shared.tables->state->store;
	uint32_t state = load32(&st->state), error = load32(&st->error);
	uint64_t disk = load64(&st->disk_free), age = load64(&st->reader_ms);

	if (state == TABLES_STORE_FULL || state == TABLES_STORE_FAILED)
		issue(v, state == TABLES_STORE_FULL ? 45 : 60,
		    "The store takes no messages: %s%s%s", why_not(st),
		    error == 0 ? "" : ": ",
		    error == 0 ? "" : strerror((int)error));
	else if (s->commits_failed > 0)
		issue(v, 15, "Commits failed: %" PRIu64, s->commits_failed);
	if (load64(&st->file_bytes) > 0 && disk < DISK_LOW)
		issue(v, 15, "Little space on the store's disk: %" PRIu64 "MB",
		    disk / MIB);
	if (load64(&st->map_max) > 0 &&
	    load64(&st->map_used) > load64(&st->map_max) / 10 * 8 &&
	    state == TABLES_STORE_OK)
		issue(v, 10,
		    "The store has used %" PRIu64 " %% of "
		    "store.max_bytes",
		    load64(&st->map_used) * 100 / load64(&st->map_max));
	if (s->damaged > 0)
		issue(v, 25,
		    "The store is damaged: chatctl verify tells where");
	if (load64(&st->reader_pid) != 0 && age > READER_OLD_MS)
		issue(v, 10,
		    "Process %" PRIu64 " has held a snapshot of the "
		    "store for %" PRIu64 "s: the file grows",
		    load64(&st->reader_pid), age / 1000);
}

static void
judge_ring(struct verdict *v, const char *name, struct ring *ring)
{
	struct ring_info info;
	unsigned percent;

	ring_info(ring, &info);
	if (info.slots == 0)
		return;
	percent = (unsigned)(info.occupied * 100 / info.slots);
	if (percent >= 75)
		issue(v, percent >= 90 ? 25 : 10, "The %s ring is %u %% full",
		    name, percent);
}

static void
judge_all(struct master *m, struct verdict *v)
{
	static struct sample s;

	window(m->health, &s);
	judge_processes(m, v, &s);
	judge_store(m, v, &s);
	judge_ring(v, "log", m->shared.log);
	judge_ring(v, "live", m->shared.live);
	if (s.evictions > 0)
		issue(v, 10, "Workers were too slow for a ring: %" PRIu64,
		    s.evictions);
	judge_memory(m, v);
	judge(v, loop_delay, hist_percentile(&s.turn, 99) / 1000);
	judge(v, latency,
	    s.durable.count == 0 ? 0 : s.durable.sum / s.durable.count / 1000);
	judge(v, connection_errors, s.connection_errors);
	judge(v, message_errors, s.message_errors);
	judge(v, limited, s.limited);
}

/* --- the report -------------------------------------------------------- */

void
report_health(struct master *m, const struct request *r, struct json_out *o)
{
	const struct tables_state *st = m->shared.tables->state;
	struct json_out issues = { 0 };
	struct verdict v = { .score = 100, .issues = &issues };
	int64_t connections = gauge_sum(m->shared.tables, GAUGE_CONNECTIONS);

	json_out_array(&issues);
	judge_all(m, &v);
	json_out_array_end(&issues);
	if (v.score < 0)
		v.score = 0;
	json_out_object(o);
	json_out_key(o, "status");
	json_out_cstring(o,
	    v.score >= 80	? "healthy"
		: v.score >= 60 ? "degraded"
				: "unhealthy");
	json_out_key(o, "score");
	json_out_i64(o, v.score);
	json_out_key(o, "issues");
	json_out_raw(o, issues.p, issues.len);
	json_out_key(o, "timestamp");
	json_out_u64(o, clock_real_ms());
	json_out_key(o, "connections");
	json_out_i64(o, connections > 0 ? connections : 0);
	json_out_key(o, "uptime");
	json_out_u64(o, (clock_mono_ns() - st->daemon_started_ns) / CLOCK_S_NS);
	json_out_key(o, "version");
	json_out_cstring(o, CHATD_VERSION);
	json_out_object_end(o);
	o->failed |= issues.failed;
	json_out_clear(&issues);
}
