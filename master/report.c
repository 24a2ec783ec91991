/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * report - the daemon's state as JSON documents.
 */

#include "master/report.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/json.h"
#include "common/log.h"
#include "master/child.h"
#include "master/clerk.h"
#include "master/deal.h"
#include "master/listen.h"
#include "master/master.h"
#include "master/request.h"
#include "master/supervise.h"
#include "master/version.h"
#include "shm/counter.h"
#include "shm/stream.h"

static void
put_u64(struct json_out *o, const char *key, uint64_t n)
{
	json_out_key(o, key);
	json_out_u64(o, n);
}

static void
put_text(struct json_out *o, const char *key, const char *text)
{
	json_out_key(o, key);
	json_out_cstring(o, text);
}

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

/* ------------------------------------------------------------------ */
/* Children. */

static const char *
child_state_name(uint32_t state)
{
	static const char *const names[] = {
		[TABLES_CHILD_NONE] = "none",
		[TABLES_CHILD_STARTING] = "starting",
		[TABLES_CHILD_READY] = "ready",
		[TABLES_CHILD_STOPPING] = "stopping",
		[TABLES_CHILD_DEAD] = "dead",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state]
							: "unknown";
}

static uint64_t
seconds_since(uint64_t at_ms)
{
	uint64_t now = clock_real_ms();

	return at_ms == 0 || now < at_ms ? 0 : (now - at_ms) / 1000;
}

static void
put_process(struct json_out *o, const struct tables_child *c)
{
	put_u64(o, "pid", load32(&c->pid));
	put_text(o, "state", child_state_name(load32(&c->state)));
	put_u64(o, "incarnation", load32(&c->incarnation));
	put_u64(o, "restarts", load32(&c->restarts));
	put_u64(o, "uptime_s",
	    load32(&c->pid) == 0 ? 0 : seconds_since(load64(&c->started_ms)));
}

static void
put_gauge(struct json_out *o, const struct tables *t, unsigned row,
    const char *key, enum gauge g)
{
	int64_t n = gauge_get(t, row, g);

	put_u64(o, key, n > 0 ? (uint64_t)n : 0);
}

static uint64_t
turn_p99(const struct tables *t, unsigned row)
{
	struct hist_sum sum = { 0 };

	hist_sum_row(t, row, HIST_TURN, &sum);
	return hist_percentile(&sum, 99);
}

static void
put_worker(struct master *m, struct json_out *o, unsigned slot)
{
	const struct tables *t = m->shared.tables;
	struct ring_consumer_info info;

	json_out_object(o);
	put_text(o, "role", "worker");
	put_u64(o, "slot", slot);
	put_process(o, &t->state->child[slot]);
	put_gauge(o, t, slot, "connections", GAUGE_CONNECTIONS);
	put_gauge(o, t, slot, "sockets", GAUGE_SOCKETS);
	put_gauge(o, t, slot, "sessions", GAUGE_ROOMS);
	put_gauge(o, t, slot, "members", GAUGE_MEMBERS);
	put_u64(o, "deliveries", counter_get(t, slot, COUNTER_DELIVERIES));
	ring_consumer_info(m->shared.log, slot, &info);
	put_u64(o, "log_lag", info.lag);
	ring_consumer_info(m->shared.live, slot, &info);
	put_u64(o, "live_lag", info.lag);
	put_u64(o, "turn_p99_us", turn_p99(t, slot));
	json_out_object_end(o);
}

/* A row like the others: it has no clients. */
static void
put_bridge(struct master *m, struct json_out *o)
{
	static const char *const none[] = { "connections", "sockets",
		"sessions", "members", "deliveries", "log_lag", "live_lag",
		"turn_p99_us" };

	json_out_object(o);
	put_text(o, "role", "bridge");
	put_u64(o, "slot", 0);
	put_process(o, &m->shared.tables->state->child[TABLES_BRIDGE]);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		put_u64(o, none[i], 0);
	json_out_object_end(o);
}

void
report_workers(struct master *m, const struct request *r, struct json_out *o)
{
	json_out_array(o);
	for (unsigned i = 0; i < m->workers; i++)
		put_worker(m, o, i);
	if (bridge_is_wanted(m))
		put_bridge(m, o);
	json_out_array_end(o);
}

/* ------------------------------------------------------------------ */
/* Status. */

static const char *
store_state_name(uint32_t state)
{
	switch ((enum tables_store_state)state) {
	case TABLES_STORE_STARTING:
		return "starting";
	case TABLES_STORE_OK:
		return "ok";
	case TABLES_STORE_FULL:
		return "full";
	case TABLES_STORE_FAILED:
		return "failed";
	}
	return "unknown";
}

static const char *
store_why_name(uint32_t why)
{
	switch ((enum tables_store_why)why) {
	case TABLES_STORE_WHY_NONE:
		return "";
	case TABLES_STORE_WHY_DISK:
		return "disk full";
	case TABLES_STORE_WHY_SIZE:
		return "store.max_bytes";
	case TABLES_STORE_WHY_IO:
		return "input/output error";
	case TABLES_STORE_WHY_SCRIBE:
		return "the scribe keeps dying";
	}
	return "unknown";
}

static void
put_sum(struct json_out *o, const struct tables *t, const char *key,
    enum gauge g)
{
	int64_t n = gauge_sum(t, g);

	put_u64(o, key, n > 0 ? (uint64_t)n : 0);
}

static bool
wanted(const struct request *r, const char *name)
{
	return r->nargs == 0 || fnmatch(r->args[0], name, 0) == 0;
}

/* Streams in progress, and the memory of their texts. */
static void
put_streams(const struct tables *t, const struct request *r, struct json_out *o)
{
	struct stream_usage u;

	stream_usage(t, &u);
	if (wanted(r, "streams"))
		put_u64(o, "streams", u.streams);
	if (wanted(r, "streams_detached"))
		put_u64(o, "streams_detached", u.detached);
	if (wanted(r, "stream_memory_used"))
		put_u64(o, "stream_memory_used", u.used);
	if (wanted(r, "stream_memory"))
		put_u64(o, "stream_memory", u.max);
}

static void
put_load(struct master *m, const struct request *r, struct json_out *o)
{
	const struct tables *t = m->shared.tables;

	put_sum(o, t, "connections", GAUGE_CONNECTIONS);
	put_sum(o, t, "sockets", GAUGE_SOCKETS);
	put_sum(o, t, "members", GAUGE_MEMBERS);
	put_streams(t, r, o);
	put_u64(o, "max_connections", m->max_clients);
	/* lower than this where the limit of descriptors is */
	put_u64(o, "max_connections_configured", m->cfg->max_connections);
	put_text(o, "accept", listeners_state(m->listeners));
	put_u64(o, "messages_stored", counter_sum(t, COUNTER_MESSAGES_STORED));
	put_u64(o, "deliveries", counter_sum(t, COUNTER_DELIVERIES));
}

/* As the bridge finds it. */
static const char *
application_state(const struct master *m)
{
	if (!bridge_is_wanted(m))
		return "none";
	return gauge_get(m->shared.tables, COUNTER_BRIDGE, GAUGE_BRIDGE_DOWN) >
		0
	    ? "down"
	    : "up";
}

void
report_status(struct master *m, const struct request *r, struct json_out *o)
{
	const struct tables_state *st = m->shared.tables->state;

	json_out_object(o);
	put_text(o, "state", master_state_name(m->state));
	put_text(o, "version", CHATD_VERSION);
	put_u64(o, "pid", st->daemon_pid);
	put_u64(o, "started_at_ms", st->daemon_started_ms);
	put_u64(o, "uptime_s",
	    (clock_mono_ns() - st->daemon_started_ns) / CLOCK_S_NS);
	put_u64(o, "workers", m->workers);
	put_u64(o, "workers_ready", supervise_ready(m->supervisor));
	put_text(o, "scribe",
	    child_state_name(load32(&st->child[TABLES_SCRIBE].state)));
	put_text(o, "bridge",
	    child_state_name(load32(&st->child[TABLES_BRIDGE].state)));
	put_text(o, "web_application", application_state(m));
	put_text(o, "store", store_state_name(load32(&st->store.state)));
	put_load(m, r, o);
	put_u64(o, "worker_restarts",
	    counter_sum(m->shared.tables, COUNTER_WORKER_RESTARTS));
	put_u64(o, "scribe_restarts",
	    counter_sum(m->shared.tables, COUNTER_SCRIBE_RESTARTS));
	put_u64(o, "bridge_restarts",
	    counter_sum(m->shared.tables, COUNTER_BRIDGE_RESTARTS));
	put_u64(o, "reloads", counter_sum(m->shared.tables, COUNTER_RELOADS));
	put_text(o, "run_dir", m->cfg->run_dir);
	put_text(o, "data_dir", m->cfg->data_dir);
	json_out_object_end(o);
}

/* ------------------------------------------------------------------ */
/* Rings and store. */

static const char *
ring_state_name(enum ring_state state)
{
	switch (state) {
	case RING_FREE:
		return "free";
	case RING_JOINING:
		return "joining";
	case RING_ACTIVE:
		return "active";
	case RING_EVICTED:
		return "evicted";
	case RING_DEAD:
		return "dead";
	}
	return "unknown";
}

static void
put_consumers(struct master *m, struct json_out *o, struct ring *ring)
{
	struct ring_consumer_info info;

	json_out_key(o, "consumers");
	json_out_array(o);
	for (unsigned i = 0; i < m->workers; i++) {
		ring_consumer_info(ring, i, &info);
		json_out_object(o);
		put_u64(o, "slot", i);
		put_text(o, "state", ring_state_name(info.state));
		put_u64(o, "incarnation", info.incarnation);
		put_u64(o, "cursor", info.cursor);
		put_u64(o, "lag", info.lag);
		json_out_object_end(o);
	}
	json_out_array_end(o);
}

static void
put_ring(struct master *m, struct json_out *o, const char *key,
    struct ring *ring)
{
	struct ring_info info;

	ring_info(ring, &info);
	json_out_key(o, key);
	json_out_object(o);
	put_u64(o, "slots", info.slots);
	put_u64(o, "occupied", info.occupied);
	put_u64(o, "arena_bytes", ring_arena_bytes(ring));
	put_u64(o, "base", info.base);
	put_u64(o, "end", info.end);
	put_u64(o, "durable", info.durable);
	put_u64(o, "free", info.free);
	put_u64(o, "published", info.published);
	put_u64(o, "full", info.full);
	put_u64(o, "evictions", info.evictions);
	put_consumers(m, o, ring);
	json_out_object_end(o);
}

void
report_ring(struct master *m, const struct request *r, struct json_out *o)
{
	json_out_object(o);
	put_ring(m, o, "log", m->shared.log);
	put_ring(m, o, "live", m->shared.live);
	json_out_object_end(o);
}

static void
put_percentiles(struct json_out *o, const struct hist_sum *s)
{
	put_u64(o, "count", s->count);
	put_u64(o, "mean", s->count == 0 ? 0 : s->sum / s->count);
	put_u64(o, "p50", hist_percentile(s, 50));
	put_u64(o, "p90", hist_percentile(s, 90));
	put_u64(o, "p99", hist_percentile(s, 99));
	put_u64(o, "max", hist_percentile(s, 100));
}

static void
put_hist(const struct tables *t, struct json_out *o, enum hist h)
{
	struct hist_sum sum;

	hist_sum(t, h, &sum);
	json_out_key(o, hist_name(h));
	json_out_object(o);
	put_text(o, "unit", hist_unit(h));
	put_percentiles(o, &sum);
	json_out_object_end(o);
}

/* What the scribe does between batches, and who keeps it from it. */
static void
put_upkeep(const struct tables *t, struct json_out *o)
{
	const struct tables_store *s = &t->state->store;

	put_u64(o, "trimmed", counter_sum(t, COUNTER_TRIMMED));
	put_u64(o, "ids_merged", counter_sum(t, COUNTER_IDS_MERGED));
	put_u64(o, "ids_over", counter_sum(t, COUNTER_IDS_OVER));
	put_u64(o, "ids_unmerged", load64(&s->ids_unmerged));
	put_u64(o, "retention_resumes_at_ms", load64(&s->retention_held_ms));
	json_out_key(o, "oldest_reader");
	json_out_object(o);
	put_u64(o, "pid", load64(&s->reader_pid));
	put_u64(o, "age_ms", load64(&s->reader_ms));
	put_u64(o, "transactions", load64(&s->reader_txns));
	json_out_object_end(o);
}

/* What will be used before the file grows. */
static uint64_t
free_in_file(const struct tables_store *s)
{
	uint64_t file = load64(&s->file_bytes), used = load64(&s->map_used);

	return file > used ? file - used : 0;
}

/* The long command that is under way. */
static void
put_clerk(struct master *m, struct json_out *o)
{
	const char *command;
	uint64_t since;
	pid_t pid;

	json_out_key(o, "clerk");
	json_out_object(o);
	if ((command = clerk_running(m->clerk, &since, &pid)) != NULL) {
		put_text(o, "command", command);
		put_u64(o, "pid", (uint64_t)pid);
		put_u64(o, "running_s", (clock_mono_ms() - since) / 1000);
	}
	json_out_object_end(o);
}

void
report_store(struct master *m, const struct request *r, struct json_out *o)
{
	const struct tables *t = m->shared.tables;
	const struct tables_store *s = &t->state->store;
	uint32_t n = atomic_load_explicit(&s->ntables, memory_order_acquire);

	json_out_object(o);
	put_text(o, "state", store_state_name(load32(&s->state)));
	put_text(o, "why", store_why_name(load32(&s->why)));
	put_u64(o, "used_bytes", load64(&s->map_used));
	put_u64(o, "free_bytes", free_in_file(s));
	put_u64(o, "file_bytes", load64(&s->file_bytes));
	put_u64(o, "max_bytes", load64(&s->map_max));
	put_u64(o, "disk_free_bytes", load64(&s->disk_free));
	put_u64(o, "ballast_bytes", load64(&s->ballast));
	put_u64(o, "last_transaction", load64(&s->last_txn));
	put_u64(o, "last_commit_at_ms", load64(&s->last_commit_ms));
	put_u64(o, "batch_last", load64(&s->batch_last));
	put_u64(o, "batch_max", load64(&s->batch_max));
	put_u64(o, "sequenced", counter_sum(t, COUNTER_SEQUENCED));
	put_u64(o, "commits", counter_sum(t, COUNTER_COMMITS));
	put_u64(o, "commits_failed", counter_sum(t, COUNTER_COMMITS_FAILED));
	put_upkeep(t, o);
	put_clerk(m, o);
	json_out_key(o, "scribe");
	json_out_object(o);
	put_process(o, &t->state->child[TABLES_SCRIBE]);
	json_out_object_end(o);
	json_out_key(o, "tables");
	json_out_array(o);
	for (uint32_t i = 0; i < n && i < TABLES_STORES; i++) {
		json_out_object(o);
		put_text(o, "name", s->table[i].name);
		put_u64(o, "entries", load64(&s->table[i].entries));
		json_out_object_end(o);
	}
	json_out_array_end(o);
	json_out_key(o, "batches");
	json_out_object(o);
	put_hist(t, o, HIST_COMMIT);
	put_hist(t, o, HIST_BATCH);
	put_hist(t, o, HIST_UPKEEP);
	json_out_object_end(o);
	json_out_object_end(o);
}

/* ------------------------------------------------------------------ */
/* The rest. */

void
report_stats(struct master *m, const struct request *r, struct json_out *o)
{
	const struct tables *t = m->shared.tables;

	json_out_object(o);
	json_out_key(o, "gauges");
	json_out_object(o);
	for (unsigned g = 0; g < GAUGE__MAX; g++)
		if (wanted(r, gauge_name(g)))
			put_sum(o, t, gauge_name(g), g);
	put_streams(t, r, o);
	json_out_object_end(o);
	json_out_key(o, "counters");
	json_out_object(o);
	for (unsigned c = 0; c < COUNTER__MAX; c++)
		if (wanted(r, counter_name(c)))
			put_u64(o, counter_name(c), counter_sum(t, c));
	json_out_object_end(o);
	json_out_key(o, "histograms");
	json_out_object(o);
	for (unsigned h = 0; h < HIST__MAX; h++)
		if (wanted(r, hist_name(h)))
			put_hist(t, o, h);
	json_out_object_end(o);
	json_out_object_end(o);
}

static void
put_option(const char *name, const char *value, const char *where, void *arg)
{
	struct json_out *o = arg;

	json_out_object(o);
	put_text(o, "option", name);
	put_text(o, "value", value);
	put_text(o, "from", where);
	json_out_object_end(o);
}

void
report_config(struct master *m, const struct request *r, struct json_out *o)
{
	json_out_array(o);
	config_each(m->cfg, put_option, o);
	json_out_array_end(o);
}

static void
put_version(const char *what, const char *value, void *arg)
{
	put_text(arg, what, value);
}

void
report_version(struct master *m, const struct request *r, struct json_out *o)
{
	json_out_object(o);
	version_each(put_version, o);
	json_out_object_end(o);
}
