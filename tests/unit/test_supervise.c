/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_supervise - what supervise.h and child.h promise about children.
 *
 * The children are this program again, real processes with real messages;
 * how they behave stands in the environment.
 */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"
#include "master/child.h"
#include "master/clerk.h"
#include "master/deal.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/retention.h"
#include "master/resize.h"
#include "master/spawn.h"
#include "master/supervise.h"
#include "shm/counter.h"
#include "tests/unit/supervise_child.h"

static struct {
	struct master m;
	struct event *sigchld;
	unsigned ready, gone;
	char gave_up[256];
	unsigned workers_ready, workers_dead, absent, started, ended;
	uint32_t last_dead;
} f;

/* --- the rest of the master ---------------------------------------------- */

bool
clerk_reaped(struct clerk *c, pid_t pid, int status)
{
	return false;
}

void
retention_done(struct retention *r, struct ipc_msg *msg)
{
	(void)ipc_end(msg);
}

void
retention_scribe_dead(struct retention *r)
{
}

void
deal_worker_ready(struct deal *d, unsigned slot)
{
	f.workers_ready++;
}

void
deal_worker_dead(struct deal *d, unsigned slot, uint32_t incarnation)
{
	f.workers_dead++;
	f.last_dead = incarnation;
}

void
deal_worker_absent(struct deal *d, unsigned slot)
{
	f.absent++;
}

void
reload_child_started(struct reload *r, struct child *c)
{
	f.started++;
}

void
reload_child_gone(struct reload *r, struct child *c)
{
	f.ended++;
}

void
reload_prepared(struct reload *r, struct child *c, struct ipc_msg *msg)
{
}

void
reload_mapped(struct reload *r, struct child *c, struct ipc_msg *msg)
{
	const char *why;

	(void)resize_mapped(c, msg, &why);
}

void
reload_left(struct reload *r)
{
}

void
reload_switched(struct reload *r, struct child *c, struct ipc_msg *msg)
{
}

void
master_ready(struct master *m)
{
	f.ready++;
	(void)event_base_loopbreak(m->base);
}

void
master_give_up(struct master *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f.gave_up, sizeof(f.gave_up), fmt, ap);
	va_end(ap);
	supervise_stop(m->supervisor);
}

void
master_children_gone(struct master *m)
{
	f.gone++;
	(void)event_base_loopbreak(m->base);
}

/* --- fixture --------------------------------------------------------------- */

static void
on_sigchld(evutil_socket_t sig, short what, void *arg)
{
	supervise_reap(f.m.supervisor);
}

static int
setup(void **state)
{
	static const char *const overrides[] = { "auth.mode=none",
		"ring.slots=64", "ring.arena_bytes=64k",
		"engine.max_payload=16k", "limits.event_bytes=8k" };
	const struct config_source src = { .overrides = overrides,
		.noverrides = 5 };
	struct config_errors errors;

	memset(&f, 0, sizeof(f));
	(void)unsetenv(ENV);
	f.m.cfg = config_load(&src, &errors);
	config_errors_print(&errors, stderr);
	config_errors_clear(&errors);
	if (f.m.cfg == NULL)
		return -1;
	f.m.base = event_base_new();
	f.m.workers = WORKERS;
	f.m.cfg_fd = config_memfd(f.m.cfg);
	f.m.log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	f.m.place.data_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f.m.place.lock_fd = -1;
	f.m.bundle_fd = -1;
	inboxes_open(&f.m.inboxes, WORKERS);
	bridge_pairs_open(&f.m.pairs, WORKERS);
	shared_create(&f.m.shared, f.m.cfg, WORKERS, 16);
	f.m.supervisor = supervisor_new(&f.m);
	f.sigchld = evsignal_new(f.m.base, SIGCHLD, on_sigchld, NULL);
	return evsignal_add(f.sigchld, NULL);
}

/* Until then, or until something of note has happened. */
static void
loop(unsigned ms)
{
	const struct timeval tick = { .tv_usec = 5000 };
	uint64_t end = clock_mono_ms() + ms;
	unsigned ready = f.ready, gone = f.gone;

	while (clock_mono_ms() < end && ready == f.ready && gone == f.gone) {
		(void)event_base_loopexit(f.m.base, &tick);
		(void)event_base_dispatch(f.m.base);
	}
}

static void
end_all(void)
{
	if (f.gone == 0)
		supervise_stop(f.m.supervisor);
	while (f.gone == 0)
		loop(20);
}

static int
teardown(void **state)
{
	end_all();
	supervisor_free(&f.m.supervisor);
	event_free(f.sigchld);
	event_base_free(f.m.base);
	inboxes_close(&f.m.inboxes);
	bridge_pairs_close(&f.m.pairs);
	if (f.m.bundle_fd != -1)
		(void)close(f.m.bundle_fd);
	shared_free(&f.m.shared);
	config_free(&f.m.cfg);
	(void)close(f.m.cfg_fd);
	(void)close(f.m.log_fd);
	(void)close(f.m.place.data_fd);
	return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : -1;
}

static void
start_all(void)
{
	uint64_t end = clock_mono_ms() + 20000;

	supervise_start(f.m.supervisor);
	while (f.ready == 0 && f.gave_up[0] == '\0' && clock_mono_ms() < end)
		loop(20);
	assert_int_equal(f.ready, 1);
	assert_string_equal(f.gave_up, "");
}

static struct child *
worker(unsigned slot)
{
	return supervise_worker(f.m.supervisor, slot);
}

static struct child *
scribe(void)
{
	return supervise_scribe(f.m.supervisor);
}

/* Kill it and wait for the next; ms until that is ready. */
static unsigned
replace(struct child *c)
{
	uint64_t began = clock_mono_ms();
	uint32_t incarnation = c->incarnation;

	assert_int_equal(kill(c->pid, SIGKILL), 0);
	do
		loop(5);
	while (clock_mono_ms() < began + 10000 &&
	    (c->incarnation == incarnation || c->state != TABLES_CHILD_READY));
	assert_int_equal(c->state, TABLES_CHILD_READY);
	return (unsigned)(clock_mono_ms() - began);
}

/* --- promises -------------------------------------------------------------- */

static void
the_scribe_comes_first_and_all_get_what_they_need(void **state)
{
	const struct tables_state *st;

	start_all();
	st = f.m.shared.tables->state;
	assert_int_equal(scribe()->incarnation, 1);
	assert_int_equal(supervise_ready(f.m.supervisor), WORKERS);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(st->child[i].pid, worker(i)->pid);
		assert_int_equal(st->child[i].state, TABLES_CHILD_READY);
		assert_int_equal(st->child[i].incarnation,
		    worker(i)->incarnation);
		assert_int_equal(st->child[i].restarts, 0);
	}
	assert_int_equal(f.workers_ready, WORKERS);
	assert_int_equal(f.started, WORKERS + 1);
}

static void
workers_get_the_bundle_if_there_is_one(void **state)
{
	f.m.bundle_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setenv(ENV, "bundle", 1), 0);
	start_all();
}

static void
a_dead_workers_traces_are_removed_and_it_is_replaced(void **state)
{
	const struct tables *t;
	uint32_t old;

	start_all();
	t = f.m.shared.tables;
	old = worker(1)->incarnation;
	gauge_set(t, 1, GAUGE_CONNECTIONS, 5);
	counter_add(t, 1, COUNTER_DELIVERIES, 9);
	(void)replace(worker(1));
	assert_int_equal(f.workers_dead, 1);
	assert_int_equal(f.last_dead, old);
	assert_true(worker(1)->incarnation > old);
	assert_int_equal(gauge_get(t, 1, GAUGE_CONNECTIONS), 0);
	assert_int_equal(counter_get(t, 1, COUNTER_DELIVERIES), 9);
	assert_int_equal(t->state->child[1].restarts, 1);
	assert_int_equal(counter_sum(t, COUNTER_WORKER_RESTARTS), 1);
	assert_int_equal(f.ended, 1);
	assert_string_equal(f.gave_up, "");
}

static void
everybody_is_woken_when_somebody_dies(void **state)
{
	uint64_t n;

	start_all();
	(void)read(f.m.shared.efd[0], &n, sizeof(n));
	wake_prepare(f.m.shared.wake, 0);
	(void)replace(worker(1));
	assert_int_equal(wake_sleepers(f.m.shared.wake) & 1, 0);
	assert_int_equal(read(f.m.shared.efd[0], &n, sizeof(n)), sizeof(n));
}

/* As if the scribe had said so. */
static void
tell_of_reader(pid_t pid)
{
	struct ipc_msg *msg;

	assert_non_null(msg = calloc(1, sizeof(*msg)));
	ipc_begin(msg, IPC_READER_STUCK);
	ipc_put_u32(msg, (uint32_t)pid);
	ipc_put_u64(msg, 11000);
	supervise_message(scribe(), msg);
	assert_false(msg->bad);
	free(msg);
}

static void
a_worker_that_holds_a_snapshot_for_too_long_is_killed(void **state)
{
	uint64_t end = clock_mono_ms() + 10000;
	const struct tables *t;
	uint32_t old;

	start_all();
	t = f.m.shared.tables;
	old = worker(1)->incarnation;
	/* stopped, it would hold it for ever */
	assert_int_equal(kill(worker(1)->pid, SIGSTOP), 0);
	tell_of_reader(worker(1)->pid);
	while (clock_mono_ms() < end &&
	    (worker(1)->incarnation == old ||
		worker(1)->state != TABLES_CHILD_READY))
		loop(5);
	assert_true(worker(1)->incarnation > old);
	assert_int_equal(counter_sum(t, COUNTER_READERS_KILLED), 1);
}

static void
a_reader_that_is_no_worker_is_left_alone(void **state)
{
	pid_t pid;

	start_all();
	pid = scribe()->pid;
	tell_of_reader(pid);
	tell_of_reader(getpid());
	tell_of_reader(0);
	loop(50);
	assert_int_equal(scribe()->pid, pid);
	assert_int_equal(counter_sum(f.m.shared.tables, COUNTER_READERS_KILLED),
	    0);
	assert_int_equal(f.workers_dead, 0);
}

static void
a_dead_scribe_is_replaced_and_too_many_mean_a_failed_store(void **state)
{
	struct tables_store *st;

	start_all();
	st = &f.m.shared.tables->state->store;
	atomic_store(&st->state, TABLES_STORE_OK);
	for (int i = 0; i < 5; i++) {
		/* so that it is not an early death */
		scribe()->ready_ms -= 2000;
		(void)replace(scribe());
		assert_int_equal(st->state, TABLES_STORE_OK);
	}
	scribe()->ready_ms -= 2000;
	(void)replace(scribe());
	assert_int_equal(st->state, TABLES_STORE_FAILED);
	assert_int_equal(counter_sum(f.m.shared.tables,
			     COUNTER_SCRIBE_RESTARTS),
	    6);
	assert_string_equal(f.gave_up, "");
}

static void
early_deaths_are_slowed_down(void **state)
{
	unsigned times[4];

	start_all();
	for (int i = 0; i < 4; i++)
		times[i] = replace(worker(0));
	/* at once, 100, 200, 400; nobody reads its inbox meanwhile */
	assert_int_equal(f.absent, 3);
	assert_true(times[3] >= 400);
	assert_true(times[2] >= 200);
	/* a child that has served is replaced at once again */
	worker(0)->ready_ms -= 2000;
	assert_true(replace(worker(0)) < 400);
}

static void
a_scribe_that_says_it_cannot_ends_the_first_start(void **state)
{
	assert_int_equal(setenv(ENV, "exits", 1), 0);
	supervise_start(f.m.supervisor);
	for (int i = 0; i < 200 && f.gone == 0; i++)
		loop(20);
	assert_string_equal(f.gave_up, "the scribe cannot start (status 1)");
	assert_int_equal(f.gone, 1);
	assert_int_equal(f.started, 1);
}

static void
the_rings_are_raised_when_the_store_has_seen_more(void **state)
{
	uint64_t base = ring_base(f.m.shared.log);

	(void)unlink("/tmp/test_supervise.base");
	assert_int_equal(setenv(ENV, "base", 1), 0);
	supervise_start(f.m.supervisor);
	for (int i = 0; i < 200 && f.ready == 0; i++)
		loop(20);
	(void)unlink("/tmp/test_supervise.base");
	/* the scribe that found it out was the first: the check of its
	 * successor's hello sees another incarnation, and that it still is
	 * the beginning */
	assert_true(ring_base(f.m.shared.log) > base + (1ULL << 35));
	assert_int_equal(ring_base(f.m.shared.log) % 64, 0);
	assert_int_equal(f.m.shared.raised, 1);
}

static void
who_dies_before_it_is_ready_is_tried_again_and_given_up(void **state)
{
	uint64_t began = clock_mono_ms();

	assert_int_equal(setenv(ENV, "early", 1), 0);
	supervise_start(f.m.supervisor);
	while (f.gave_up[0] == '\0' && clock_mono_ms() < began + 2000)
		loop(20);
	/* 0, 100, 200, 400, 800: five more deaths of each in this time */
	assert_string_equal(f.gave_up, "");
	assert_true(worker(0)->backoff.early >= 4);
	worker(0)->backoff.early = BACKOFF_GIVE_UP - 1;
	began = clock_mono_ms();
	while (f.gave_up[0] == '\0' && clock_mono_ms() < began + 5000)
		loop(20);
	assert_string_equal(f.gave_up,
	    "the worker 0 died 10 times while starting");
}

static void
a_child_that_talks_nonsense_is_killed(void **state)
{
	assert_int_equal(setenv(ENV, "nonsense", 1), 0);
	supervise_start(f.m.supervisor);
	for (int i = 0; i < 200 && f.workers_dead < 2; i++)
		loop(20);
	assert_true(f.workers_dead >= 2);
	assert_int_equal(f.ready, 0);
}

static void
the_end_is_workers_first_and_then_the_scribe(void **state)
{
	start_all();
	supervise_stop(f.m.supervisor);
	assert_int_equal(worker(0)->state, TABLES_CHILD_STOPPING);
	assert_int_equal(scribe()->state, TABLES_CHILD_READY);
	end_all();
	assert_int_equal(f.gone, 1);
	assert_int_equal(scribe()->pid, 0);
	assert_null(supervise_next(f.m.supervisor, NULL));
	assert_null(supervise_any_worker(f.m.supervisor));
}

static void
a_scribe_that_dies_while_the_workers_end_is_replaced(void **state)
{
	uint32_t old;

	start_all();
	old = scribe()->incarnation;
	assert_int_equal(kill(worker(0)->pid, SIGSTOP), 0);
	supervise_stop(f.m.supervisor);
	assert_int_equal(kill(scribe()->pid, SIGKILL), 0);
	for (int i = 0; i < 100 &&
	     (scribe()->incarnation == old ||
		 scribe()->state != TABLES_CHILD_READY);
	     i++)
		loop(20);
	assert_true(scribe()->incarnation > old);
	assert_int_equal(f.gone, 0);
	assert_int_equal(kill(worker(0)->pid, SIGCONT), 0);
	end_all();
}

static void
a_straggler_is_killed_in_the_end_and_at_once_in_a_hurry(void **state)
{
	uint64_t began;

	assert_int_equal(setenv(ENV, "hangs", 1), 0);
	start_all();
	began = clock_mono_ms();
	supervise_stop(f.m.supervisor);
	loop(5200);
	assert_int_equal(f.gone, 0);
	assert_non_null(supervise_next(f.m.supervisor, NULL));
	loop(600);
	/* the workers are gone, the scribe hangs as well */
	assert_int_equal(worker(0)->pid, 0);
	assert_true(scribe()->pid != 0);
	supervise_hurry(f.m.supervisor);
	end_all();
	assert_true(clock_mono_ms() - began < 8000);
}

/* --- the bridge ------------------------------------------------------------ */

static struct child *
bridge(void)
{
	return supervise_bridge(f.m.supervisor);
}

/* Until it is in this state. */
static void
wait_for_bridge(enum tables_child_state state)
{
	uint64_t end = clock_mono_ms() + 20000;

	while (bridge()->state != state && clock_mono_ms() < end)
		loop(5);
	assert_int_equal(bridge()->state, state);
	assert_int_equal(f.m.shared.tables->state->child[TABLES_BRIDGE].state,
	    state);
}

static void
follow(enum auth_mode mode)
{
	f.m.cfg->auth_mode = mode;
	supervise_bridge_follow(f.m.supervisor);
}

static void
there_is_a_bridge_only_when_the_mode_is_webhook(void **state)
{
	start_all();
	assert_null(supervise_next(f.m.supervisor, bridge() - 1));
	follow(AUTH_MODE_WEBHOOK);
	wait_for_bridge(TABLES_CHILD_READY);
	assert_int_equal(f.m.shared.tables->state->child[TABLES_BRIDGE].pid,
	    bridge()->pid);
	follow(AUTH_MODE_JWT);
	assert_int_equal(bridge()->state, TABLES_CHILD_STOPPING);
	wait_for_bridge(TABLES_CHILD_NONE);
	assert_int_equal(bridge()->pid, 0);
	assert_int_equal(counter_sum(f.m.shared.tables,
			     COUNTER_BRIDGE_RESTARTS),
	    0);
	follow(AUTH_MODE_WEBHOOK);
	wait_for_bridge(TABLES_CHILD_READY);
}

static void
a_dead_bridge_is_replaced(void **state)
{
	const struct tables *t;

	f.m.cfg->auth_mode = AUTH_MODE_WEBHOOK;
	start_all();
	wait_for_bridge(TABLES_CHILD_READY);
	t = f.m.shared.tables;
	gauge_set(t, COUNTER_BRIDGE, GAUGE_BRIDGE_ASKING, 5);
	(void)replace(bridge());
	assert_int_equal(gauge_get(t, COUNTER_BRIDGE, GAUGE_BRIDGE_ASKING), 0);
	assert_int_equal(counter_sum(t, COUNTER_BRIDGE_RESTARTS), 1);
	assert_int_equal(counter_sum(t, COUNTER_WORKER_RESTARTS), 0);
	assert_int_equal(f.workers_dead, 0);
}

static void
the_daemon_works_without_a_bridge_and_goes_on_trying(void **state)
{
	uint32_t incarnation;
	uint64_t end;

	f.m.cfg->auth_mode = AUTH_MODE_WEBHOOK;
	assert_int_equal(setenv(ENV, "bridgeless", 1), 0);
	start_all();
	incarnation = bridge()->incarnation;
	end = clock_mono_ms() + 20000;
	while (bridge()->incarnation < incarnation + 2 && clock_mono_ms() < end)
		loop(5);
	assert_true(bridge()->incarnation >= incarnation + 2);
	assert_string_equal(f.gave_up, "");
	/* nor is one started that nobody wants any more */
	while (bridge()->pid != 0 && clock_mono_ms() < end)
		loop(5);
	follow(AUTH_MODE_NONE);
	wait_for_bridge(TABLES_CHILD_NONE);
	incarnation = bridge()->incarnation;
	loop(1500);
	assert_int_equal(bridge()->incarnation, incarnation);
}

static void
a_bridge_that_does_not_end_is_killed(void **state)
{
	uint64_t began;

	f.m.cfg->auth_mode = AUTH_MODE_WEBHOOK;
	assert_int_equal(setenv(ENV, "stays", 1), 0);
	start_all();
	wait_for_bridge(TABLES_CHILD_READY);
	began = clock_mono_ms();
	follow(AUTH_MODE_JWT);
	/* back again, before it has ended */
	follow(AUTH_MODE_WEBHOOK);
	assert_int_equal(bridge()->state, TABLES_CHILD_STOPPING);
	wait_for_bridge(TABLES_CHILD_READY);
	assert_true(clock_mono_ms() - began >= 1900);
	(void)unsetenv(ENV);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_scribe_comes_first_and_all_get_what_they_need),
		T(workers_get_the_bundle_if_there_is_one),
		T(a_dead_workers_traces_are_removed_and_it_is_replaced),
		T(a_worker_that_holds_a_snapshot_for_too_long_is_killed),
		T(a_reader_that_is_no_worker_is_left_alone),
		T(everybody_is_woken_when_somebody_dies),
		T(a_dead_scribe_is_replaced_and_too_many_mean_a_failed_store),
		T(early_deaths_are_slowed_down),
		T(a_scribe_that_says_it_cannot_ends_the_first_start),
		T(the_rings_are_raised_when_the_store_has_seen_more),
		T(who_dies_before_it_is_ready_is_tried_again_and_given_up),
		T(a_child_that_talks_nonsense_is_killed),
		T(the_end_is_workers_first_and_then_the_scribe),
		T(a_scribe_that_dies_while_the_workers_end_is_replaced),
		T(a_straggler_is_killed_in_the_end_and_at_once_in_a_hurry),
		T(there_is_a_bridge_only_when_the_mode_is_webhook),
		T(a_dead_bridge_is_replaced),
		T(the_daemon_works_without_a_bridge_and_goes_on_trying),
		T(a_bridge_that_does_not_end_is_killed),
	};
	const char *role = getenv("CHATD_ROLE");

	if (role != NULL)
		_exit(child_main(role));
	spawn_init();
	if (getenv("TEST_VERBOSE") == NULL)
		log_set(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_KIND_FILE,
		    LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
