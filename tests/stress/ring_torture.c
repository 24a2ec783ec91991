/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ring_torture - the rings under kill -9, SIGSTOP and eviction, with real
 * processes and a store.
 *
 *	ring_torture [-t seconds] [-S seed] [-l log2 slots] [-a arena KiB]
 *	    [-k n] [-K n] [-s n] [-p us] [-d dir] [-f fault] [-cnh]
 *
 * -k, -K and -s: how often out of a thousand looks (one every 1 to 4 ms) a
 * worker is killed, the scribe is, a process is stopped.  Besides, most
 * processes are born with a fault armed: to die or stop at a certain step
 * (shm/tbl_fault.h).  -p: mean pause of a worker between bursts; -n: no
 * fdatasync; -h: workers scribble the hint; -f: this fault alone; -c: calm,
 * nothing is killed or stopped but by -f, and sleepers check that no wake-up
 * was lost.
 *
 * Checked while it runs: no gap and no disorder at any reader and in the
 * store, each author's records in its order and complete, the same order for
 * all readers (hashes of blocks), real-time order, nothing acknowledged that
 * the store lacks, no lost wake-up, live records before the log records that
 * follow them.  A kill counts only if something was under way: a worker's
 * records not yet acknowledged, positions not yet durable.
 *
 * The last line of output is the verdict, and so is the exit status.
 */

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/stress/torture.h"

#define ARENAS (TORTURE_WORKERS + 4)

/* One child; workers by slot, then the scribe. */
struct child {
	pid_t pid;
	uint32_t incarnation;
	unsigned log_arena, live_arena;
	/* stopped, by us or by itself, until then */
	uint64_t stopped_until;
	/* reaped and not yet replaced; which arenas it has already */
	bool missing, has_log, has_live;
};

#define SCRIBE TORTURE_WORKERS
#define CHILDREN (TORTURE_WORKERS + 1)

static struct torture t = { .dir = "torture.db", .pause_us = 2000 };
static struct child child[CHILDREN];
static struct ring *log_ring, *live_ring;
static struct wake *wake;
static pid_t auditor;
static uint32_t incarnations;
static unsigned seconds = 10, seed = 1, log2_slots = 12, arena_kib = 512;
static enum fault_point only = FAULT__MAX;
static unsigned kill_workers = 20, kill_scribe = 10, stops = 10;
static unsigned long worker_kills, scribe_kills, idle_kills, stopped;

static unsigned
any(unsigned n)
{
	return (unsigned)rand() % n;
}

static void *
shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(2, "mmap");
	return p;
}

/* --- beginning --------------------------------------------------------- */

static struct ring *
make_ring(enum ring_kind kind, void **mem, size_t *size)
{
	static const uint8_t id[16] = { 7 };
	struct ring_geometry g = { kind, log2_slots, ARENAS,
		(size_t)arena_kib * 1024 };
	const char *why;
	struct ring *r;

	if ((*size = ring_size(&g)) == 0)
		errx(2, "slots or arena out of range");
	*mem = shared(*size);
	if (ring_create(*mem, *size, &g, id, t.base) == -1)
		err(2, "ring_create");
	if ((r = ring_attach(*mem, *size, wake, &why)) == NULL)
		errx(2, "ring_attach: %s", why);
	return r;
}

static void
set_up(void)
{
	struct torture_store store;
	char path[4096];
	unsigned i;

	(void)mkdir(t.dir, 0700);
	(void)snprintf(path, sizeof(path), "%s/data.mdb", t.dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/lock.mdb", t.dir);
	(void)unlink(path);
	t.board = shared(sizeof(*t.board));
	t.wake_mem = shared(wake_size());
	for (i = 0; i < WAKE_CONSUMERS; i++)
		if ((t.efd[i] = eventfd(0, EFD_NONBLOCK)) == -1)
			err(2, "eventfd");
	if ((wake = wake_attach(t.wake_mem, t.efd)) == NULL)
		err(2, "wake_attach");
	t.base = (uint64_t)1 << (log2_slots + 3);
	log_ring = make_ring(RING_LOG, &t.log_mem, &t.log_size);
	live_ring = make_ring(RING_LIVE, &t.live_mem, &t.live_size);
	/* make the tables; the environment does not survive a fork */
	store_open(&store, &t, true);
	mdb_env_close(store.env);
}

/* --- children ---------------------------------------------------------- */

/* In the child: to which step it will come, and what happens there. */
static void
arm(unsigned who, unsigned how)
{
	enum fault_point point;
	unsigned first = who == SCRIBE ? FAULT_WAKE_TAKEN : 0;
	unsigned last = who == SCRIBE ? FAULT__RINGS : FAULT_DECIDE_HALF;

	if (how % 8 == 0 || (t.calm && only == FAULT__MAX))
		return;
	srand(how);
	if (only != FAULT__MAX) {
		fault_arm(only, 1 + any(200), FAULT_ACTION_KILL,
		    t.board->fired);
		return;
	}
	/* the scribe publishes as well, but does not read */
	do {
		point = (enum fault_point)(first + any(last - first));
		if (who == SCRIBE && any(8) == 0)
			point = (enum fault_point)any(FAULT_LIVE_SCANNED);
	} while (who == SCRIBE && point >= FAULT_READ_HALF &&
	    point < FAULT_DECIDE_HALF);
	fault_arm(point, 1 + any(1u << any(12)),
	    any(3) == 0 ? FAULT_ACTION_STOP : FAULT_ACTION_KILL,
	    t.board->fired);
}

/* The arenas of the dead have to drain first: false, try again later. */
static bool
get_arenas(unsigned who)
{
	struct child *c = &child[who];
	int a;

	if (!c->has_log) {
		if ((a = ring_arena_take(log_ring, who, c->incarnation)) == -1)
			return false;
		c->log_arena = (unsigned)a;
		c->has_log = true;
	}
	if (!c->has_live) {
		if ((a = ring_arena_take(live_ring, who, c->incarnation)) == -1)
			return false;
		c->live_arena = (unsigned)a;
		c->has_live = true;
	}
	return true;
}

static void
start(unsigned who)
{
	struct child *c = &child[who];
	unsigned how;

	if (c->incarnation == 0)
		c->incarnation = ++incarnations;
	if (who != SCRIBE && !get_arenas(who))
		return;
	how = (unsigned)rand();
	(void)fflush(stdout);
	if ((c->pid = fork()) == -1)
		err(2, "fork");
	if (c->pid == 0) {
		if (t.board->phase == TORTURE_RUN)
			arm(who, how);
		if (who == SCRIBE)
			scribe_run(&t, c->incarnation, how);
		worker_run(&t, who, c->incarnation, c->log_arena, c->live_arena,
		    how);
	}
	c->missing = false;
	c->stopped_until = 0;
}

/* Was there anything that its death could have damaged? */
static bool
was_in_flight(unsigned who)
{
	const struct child *c = &child[who];

	if (who == SCRIBE)
		return ring_published(log_ring, ring_durable_seq(log_ring));
	return t.board->attempted[c->incarnation] >
	    t.board->acked[c->incarnation];
}

static void
bury(unsigned who, int status)
{
	struct child *c = &child[who];

	if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		warnx("child %u exited with %d", who, WEXITSTATUS(status));
		t.board->errors++;
	} else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
		warnx("child %u: signal %d", who, WTERMSIG(status));
		t.board->errors++;
	} else if (!was_in_flight(who))
		idle_kills++;
	else if (who == SCRIBE)
		scribe_kills++;
	else
		worker_kills++;
	c->pid = 0;
	c->missing = true;
	c->incarnation = 0;
	c->has_log = c->has_live = false;
	if (who == SCRIBE) {
		ring_scribe_dead(log_ring);
	} else {
		(void)ring_worker_dead(log_ring, who, c->log_arena);
		(void)ring_worker_dead(live_ring, who, c->live_arena);
	}
	wake_kick_all(wake);
}

static void
look_after_children(void)
{
	uint64_t now = torture_now();
	unsigned i;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		for (i = 0; i < CHILDREN && child[i].pid != pid; i++)
			continue;
		if (i == CHILDREN) {
			warnx("the auditor is gone");
			t.board->errors++;
		} else if (WIFSTOPPED(status)) {
			stopped++;
			if (child[i].stopped_until == 0)
				child[i].stopped_until = now + 100000000;
		} else
			bury(i, status);
	}
	for (i = 0; i < CHILDREN; i++) {
		if (child[i].pid != 0 && child[i].stopped_until != 0 &&
		    now >= child[i].stopped_until) {
			child[i].stopped_until = 0;
			(void)kill(child[i].pid, SIGCONT);
		}
		if (child[i].missing)
			start(i);
	}
}

/* --- the plan ---------------------------------------------------------- */

static void
strike(void)
{
	unsigned dice = any(1000), who = any(TORTURE_WORKERS);
	struct child *c;

	if (t.calm || incarnations >= TORTURE_AUTHORS - CHILDREN)
		return;
	if (dice < kill_workers) {
		if (child[who].pid > 0)
			(void)kill(child[who].pid, SIGKILL);
		return;
	}
	dice -= kill_workers;
	if (dice < kill_scribe) {
		if (child[SCRIBE].pid > 0)
			(void)kill(child[SCRIBE].pid, SIGKILL);
		return;
	}
	dice -= kill_scribe;
	if (dice < stops) {
		c = &child[any(CHILDREN)];
		if (c->pid <= 0 || c->stopped_until != 0)
			return;
		/* the longer ones are long enough for an eviction */
		c->stopped_until = torture_now() + (20 + any(480)) * 1000000ull;
		(void)kill(c->pid, SIGSTOP);
	}
}

static void
let_run(uint64_t until)
{
	while (torture_now() < until && t.board->errors == 0) {
		(void)usleep(1000 + any(3000));
		look_after_children();
		strike();
	}
}

/* Everything published is durable, everything durable is delivered and
 * checked, nobody is missing. */
static bool
is_drained(void)
{
	uint64_t end = ring_durable_seq(log_ring);
	unsigned i;

	if (ring_published(log_ring, end) || t.board->audited != end)
		return false;
	for (i = 0; i < CHILDREN; i++)
		if (child[i].missing || child[i].stopped_until != 0)
			return false;
	for (i = 0; i < TORTURE_WORKERS; i++)
		if (ring_state(log_ring, i) != RING_ACTIVE ||
		    t.board->cursor[i] != end ||
		    t.board->live_cursor[i] !=
			ring_limit(live_ring, t.board->live_cursor[i]))
			return false;
	return true;
}

static void
drain(void)
{
	uint64_t deadline = torture_now() + 30000000000u;

	t.board->phase = TORTURE_DRAIN;
	wake_kick_all(wake);
	while (!is_drained() && t.board->errors == 0) {
		(void)usleep(2000);
		look_after_children();
		if (torture_now() > deadline) {
			warnx("not drained after 30 s");
			t.board->errors++;
		}
	}
	t.board->phase = TORTURE_EXIT;
	while (wait(NULL) > 0 || errno == EINTR) {
		wake_kick_all(wake);
		if (torture_now() > deadline + 10000000000u)
			break;
	}
}

/* --- the verdict ------------------------------------------------------- */

static unsigned
fault_coverage(void)
{
	unsigned i, n = 0;

	for (i = 0; i < FAULT__RINGS; i++) {
		if (t.board->fired[i] > 0)
			n++;
		else if (seconds >= 60)
			printf("  never came to %s\n",
			    fault_name((enum fault_point)i));
	}
	return n;
}

static bool
judge(uint64_t ns)
{
	struct board *b = t.board;
	struct ring_info log, live;
	unsigned long lost = 0;
	unsigned i, faults;
	bool ok;

	ring_info(log_ring, &log);
	ring_info(live_ring, &live);
	for (i = 0; i < TORTURE_AUTHORS; i++)
		if (b->acked[i] > b->stored[i])
			lost++;
	faults = fault_coverage();
	printf("%u slots, %u KiB arenas, seed %u, %.1f s: %llu records "
	       "(%.0f/s, %llu laps), %llu live (%llu laps)\n",
	    1u << log2_slots, arena_kib, seed, (double)ns / 1e9,
	    (unsigned long long)log.published,
	    (double)log.published * 1e9 / (double)ns,
	    (unsigned long long)(log.published >> log2_slots),
	    (unsigned long long)live.published,
	    (unsigned long long)(live.published >> log2_slots));
	printf("  killed in flight: %lu workers, %lu scribes; idle %lu; "
	       "stopped %lu; fault points %u of %u\n",
	    worker_kills, scribe_kills, idle_kills, stopped, faults,
	    (unsigned)FAULT__RINGS);
	printf("  evictions %llu + %llu live, rejoined %llu + %llu, full %llu, "
	       "slept %llu, blocks compared %llu + %llu live\n",
	    (unsigned long long)log.evictions,
	    (unsigned long long)live.evictions, (unsigned long long)b->rejoined,
	    (unsigned long long)b->live_rejoined, (unsigned long long)log.full,
	    (unsigned long long)b->slept, (unsigned long long)b->compared,
	    (unsigned long long)b->live_compared);
	ok = b->errors == 0 && lost == 0 && b->compared > 0 &&
	    log.durable == log.end && log.published > 0;
	printf("%s: %u errors, %lu authors with lost acknowledged records\n",
	    ok ? "PASS" : "FAIL", b->errors, lost);
	return ok;
}

static void
options(int argc, char **argv)
{
	unsigned v;
	int ch;

	while ((ch = getopt(argc, argv, "t:S:l:a:k:K:s:p:d:f:cnh")) != -1) {
		v = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
		switch (ch) {
		case 't':
			seconds = v;
			break;
		case 'S':
			seed = v;
			break;
		case 'l':
			log2_slots = v;
			break;
		case 'a':
			arena_kib = v;
			break;
		case 'k':
			kill_workers = v;
			break;
		case 'K':
			kill_scribe = v;
			break;
		case 's':
			stops = v;
			break;
		case 'p':
			t.pause_us = v;
			break;
		case 'd':
			t.dir = optarg;
			break;
		case 'f':
			only = fault_find(optarg);
			break;
		case 'c':
			t.calm = true;
			break;
		case 'n':
			t.nosync = true;
			break;
		case 'h':
			t.scribble = true;
			break;
		default:
			errx(2, "usage: see the top of ring_torture.c");
		}
	}
}

int
main(int argc, char **argv)
{
	uint64_t begin;
	unsigned i;

	options(argc, argv);
	srand(seed);
	set_up();
	begin = torture_now();
	if ((auditor = fork()) == 0)
		auditor_run(&t);
	for (i = 0; i < CHILDREN; i++)
		child[i].missing = true;
	let_run(begin + seconds * 1000000000ull);
	drain();
	return judge(torture_now() - begin) ? 0 : 1;
}
