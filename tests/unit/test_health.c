/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_health - what health.h promises: what is wrong is named, and weighs.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "common/config.h"
#include "common/json.h"
#include "common/log.h"
#include "master/child.h"
#include "master/health.h"
#include "master/master.h"
#include "master/supervise.h"
#include "shm/counter.h"

#define WORKERS 4

static struct {
	struct master m;
	void *ring_mem[2];
	unsigned ready;
	struct json_out o;
} f;

/* --- the rest of the master ---------------------------------------------- */

unsigned
supervise_ready(struct supervisor *s)
{
	return f.ready;
}

struct child *
supervise_next(struct supervisor *s, struct child *c)
{
	return NULL;
}

const char *
master_state_name(enum master_state state)
{
	return state == MASTER_RUNNING ? "running" : "stopping";
}

/* Rings are as full as the test says. */
static struct ring_info rings[2];
static struct config cfg;

void
ring_info(struct ring *r, struct ring_info *info)
{
	*info = rings[(const struct ring *)f.ring_mem[1] == r];
}

/* --- helpers ----------------------------------------------------------- */

static struct tables_store *
store(void)
{
	return &f.m.shared.tables->state->store;
}

static void
set64(_Atomic uint64_t *p, uint64_t n)
{
	atomic_store_explicit(p, n, memory_order_relaxed);
}

static void
set32(_Atomic uint32_t *p, uint32_t n)
{
	atomic_store_explicit(p, n, memory_order_relaxed);
}

static int
setup(void **state)
{
	struct tables_geometry g;
	const char *why;

	memset(&f, 0, sizeof(f));
	memset(rings, 0, sizeof(rings));
	cfg.auth_mode = AUTH_MODE_JWT;
	f.m.cfg = &cfg;
	rings[0].slots = rings[1].slots = 1024;
	f.ring_mem[0] = calloc(1, 8);
	f.ring_mem[1] = calloc(1, 8);
	f.m.shared.log = f.ring_mem[0];
	f.m.shared.live = f.ring_mem[1];
	tables_geometry_init(&g, 16, 1000000);
	if ((f.m.shared.tables = tables_create(&g, &why)) == NULL)
		return -1;
	f.m.base = event_base_new();
	f.m.state = MASTER_RUNNING;
	f.m.workers = f.ready = WORKERS;
	f.m.health = health_new(&f.m);
	set32(&f.m.shared.tables->state->child[TABLES_SCRIBE].state,
	    TABLES_CHILD_READY);
	set32(&store()->state, TABLES_STORE_OK);
	set64(&store()->file_bytes, 1 << 20);
	set64(&store()->disk_free, 1ULL << 40);
	set64(&store()->map_max, 1ULL << 36);
	return 0;
}

static int
teardown(void **state)
{
	json_out_clear(&f.o);
	health_free(&f.m.health);
	event_base_free(f.m.base);
	tables_free(&f.m.shared.tables);
	free(f.ring_mem[0]);
	free(f.ring_mem[1]);
	return 0;
}

static void
add(enum counter c, uint64_t n)
{
	counter_add(f.m.shared.tables, COUNTER_MASTER, c, n);
}

/* The report says this, and names these words (NULL: nothing is wrong). */
static void
expect(const char *status, int score, const char *words)
{
	struct json_value v;
	const char *why;
	int64_t n;

	json_out_clear(&f.o);
	report_health(&f.m, NULL, &f.o);
	assert_int_equal(json_scan(f.o.p, f.o.len, 8, &why), JSON_FINE);
	v = json_value(f.o.p, f.o.len);
	if (!json_is(json_member(v, "status"), status))
		fail_msg("%.*s", (int)f.o.len, f.o.p);
	assert_true(json_to_int(json_member(v, "score"), 0, 100, &n));
	if (n != score)
		fail_msg("%.*s", (int)f.o.len, f.o.p);
	v = json_member(v, "issues");
	if (words == NULL)
		assert_int_equal(v.text.len, 2);
	else if (memmem(v.text.p, v.text.len, words, strlen(words)) == NULL)
		fail_msg("%.*s", (int)f.o.len, f.o.p);
}

/* --- promises -------------------------------------------------------------- */

static void
when_all_is_well_nothing_is_said(void **state)
{
	static const char *const members[] = { "status", "score", "issues",
		"timestamp", "connections", "uptime", "version" };
	struct json_value v;

	expect("healthy", 100, NULL);
	v = json_value(f.o.p, f.o.len);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		assert_true(json_member(v, members[i]).kind != JSON_KIND_NONE);
}

static void
a_store_that_takes_nothing_is_named_with_its_reason(void **state)
{
	set32(&store()->state, TABLES_STORE_FULL);
	set32(&store()->why, TABLES_STORE_WHY_DISK);
	set32(&store()->error, ENOSPC);
	expect("unhealthy", 55, "its disk is full: No space left on device");
	set32(&store()->why, TABLES_STORE_WHY_SIZE);
	set32(&store()->error, 0);
	expect("unhealthy", 55, "store.max_bytes is reached");
	set32(&store()->state, TABLES_STORE_FAILED);
	set32(&store()->why, TABLES_STORE_WHY_SCRIBE);
	expect("unhealthy", 40, "scribes die");
	set32(&store()->state, TABLES_STORE_OK);
	set32(&store()->why, TABLES_STORE_WHY_NONE);
	expect("healthy", 100, NULL);
}

static void
little_space_is_told_before_there_is_none(void **state)
{
	set64(&store()->disk_free, 100 << 20);
	expect("healthy", 85, "Little space on the store's disk: 100MB");
	set64(&store()->disk_free, 1ULL << 40);
	set64(&store()->map_used, (1ULL << 36) / 100 * 85);
	expect("healthy", 90, "of store.max_bytes");
}

static void
missing_processes_weigh_by_their_share(void **state)
{
	f.ready = WORKERS - 1;
	expect("healthy", 80, "Only 3 of 4 workers");
	f.ready = 1;
	expect("degraded", 60, "Only 1 of 4 workers");
	f.ready = 0;
	expect("unhealthy", 0, "No worker is ready");
	f.ready = WORKERS;
	set32(&f.m.shared.tables->state->child[TABLES_SCRIBE].state,
	    TABLES_CHILD_DEAD);
	expect("unhealthy", 55, "The scribe is not there");
}

static void
who_cannot_connect_is_told_why(void **state)
{
	const struct tables *t = f.m.shared.tables;

	/* nobody asks for one */
	gauge_set(t, COUNTER_BRIDGE, GAUGE_BRIDGE_DOWN, 1);
	expect("healthy", 100, NULL);
	cfg.auth_mode = AUTH_MODE_WEBHOOK;
	expect("degraded", 60, "The bridge is not there");
	set32(&t->state->child[TABLES_BRIDGE].state, TABLES_CHILD_READY);
	expect("degraded", 60, "The web application does not answer");
	gauge_set(t, COUNTER_BRIDGE, GAUGE_BRIDGE_DOWN, 0);
	expect("healthy", 100, NULL);
}

static void
restarts_count_for_a_minute(void **state)
{
	add(COUNTER_WORKER_RESTARTS, 1);
	expect("healthy", 90, "Processes died and were replaced: 1");
	add(COUNTER_SCRIBE_RESTARTS, 3);
	expect("degraded", 75, "Processes died and were replaced: 4");
}

static void
what_is_old_does_not_count(void **state)
{
	const struct timeval tv = { .tv_sec = 5, .tv_usec = 500000 };

	add(COUNTER_MESSAGES_REFUSED, 500);
	expect("healthy", 80, "High message error rate: 500");
	/* the first sample has seen them */
	(void)event_base_loopexit(f.m.base, &tv);
	(void)event_base_dispatch(f.m.base);
	expect("healthy", 100, NULL);
	add(COUNTER_MESSAGES_REFUSED, 101);
	expect("healthy", 80, "High message error rate: 101");
}

static void
full_rings_and_evictions_are_told(void **state)
{
	rings[0].occupied = 800;
	expect("healthy", 90, "The log ring is 78 % full");
	rings[0].occupied = 1000;
	expect("degraded", 75, "The log ring is 97 % full");
	rings[0].occupied = 0;
	rings[1].occupied = 1000;
	expect("degraded", 75, "The live ring is 97 % full");
	rings[1].occupied = 0;
	add(COUNTER_EVICTIONS, 2);
	expect("healthy", 90, "too slow for a ring: 2");
}

static void
a_reader_that_holds_the_store_is_named(void **state)
{
	set64(&store()->reader_pid, 4711);
	set64(&store()->reader_ms, 9000);
	expect("healthy", 100, NULL);
	set64(&store()->reader_ms, 12000);
	expect("healthy", 90, "Process 4711 has held a snapshot");
}

static void
damage_and_failed_commits_are_told(void **state)
{
	add(COUNTER_COMMITS_FAILED, 2);
	expect("healthy", 85, "Commits failed: 2");
	add(COUNTER_DAMAGE_REFUSED, 1);
	expect("degraded", 60, "The store is damaged");
}

static void
delays_errors_and_limits_have_thresholds(void **state)
{
	const struct tables *t = f.m.shared.tables;

	hist_add(t, 0, HIST_TURN, 60000);
	expect("degraded", 75, "High event loop delay");
	hist_add(t, 0, HIST_DURABLE, 3000000);
	expect("unhealthy", 50, "High message latency: 3000ms");
	add(COUNTER_CLOSED_PROTOCOL, 51);
	expect("unhealthy", 30, "High connection error rate: 51");
	add(COUNTER_RATE_EXCEEDED, 201);
	expect("unhealthy", 15, "High rate limit hits: 201");
	add(COUNTER_STORE_ERRORS, 101);
	/* never below 0 */
	expect("unhealthy", 0, "High message error rate: 101");
}

static void
a_daemon_that_ends_is_not_healthy(void **state)
{
	f.m.state = MASTER_STOPPING;
	expect("unhealthy", 50, "The daemon is stopping");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(when_all_is_well_nothing_is_said),
		T(a_store_that_takes_nothing_is_named_with_its_reason),
		T(little_space_is_told_before_there_is_none),
		T(missing_processes_weigh_by_their_share),
		T(who_cannot_connect_is_told_why),
		T(restarts_count_for_a_minute),
		T(what_is_old_does_not_count),
		T(full_rings_and_evictions_are_told),
		T(a_reader_that_holds_the_store_is_named),
		T(damage_and_failed_commits_are_told),
		T(delays_errors_and_limits_have_thresholds),
		T(a_daemon_that_ends_is_not_healthy),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
