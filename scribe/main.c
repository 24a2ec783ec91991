/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * main - a scribe from HELLO to its loop.
 */

#include <sys/stat.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "scribe/scribe.h"

static struct scribe self;

void
scribe_configure(struct scribe *s)
{
	struct sequence_limits limits = {
		.members_per_session = s->cfg->limits_members_per_session,
		.dedupe_window_ms = s->cfg->store_dedupe_window,
		.recovery_window_ms = s->cfg->recovery_window,
	};
	struct upkeep_limits upkeep = {
		.dedupe_window_ms = s->cfg->store_dedupe_window,
		.recovery_window_ms = s->cfg->recovery_window,
		.retention_ms = s->cfg->store_retention,
		.max_messages = s->cfg->store_max_messages_per_session,
	};

	if (s->seq == NULL) {
		if ((s->seq = sequence_new(&limits)) == NULL)
			fatal("memory for a scribe");
	} else {
		sequence_configure(s->seq, &limits);
	}
	if (s->commit != NULL)
		commit_set_interval(s->commit,
		    s->cfg->store_min_commit_interval * CLOCK_MS_NS);
	if (s->orphans != NULL)
		orphans_remember(s->orphans, s->tables,
		    s->cfg->recovery_window);
	if (s->upkeep.store != NULL) {
		upkeep_configure(&s->upkeep, &upkeep);
		ballast_configure(&s->ballast, s->cfg->store_ballast);
	}
}

/* When the store was last written to, by the wall clock; 0: never. */
static uint64_t
last_written_ms(void)
{
	struct stat st;

	if (stat("db/data.mdb", &st) == -1)
		return 0;
	return (uint64_t)st.st_mtim.tv_sec * 1000 +
	    (uint64_t)st.st_mtim.tv_nsec / CLOCK_MS_NS;
}

static void
begin_upkeep(struct scribe *s, uint64_t written_ms)
{
	struct steps_state before;

	report_steps_get(s, &before);
	report_step(s,
	    steps_begin(&s->steps, clock_mono_ns(), clock_real_ms(), written_ms,
		&before));
	sequence_set_steps(s->seq, &s->steps);
	upkeep_init(&s->upkeep, s->store, s->seq, &s->steps,
	    &(struct upkeep_limits){ .recovery_window_ms = 0 });
	upkeep_listen(&s->upkeep, scribe_retention_done, report_slice, s);
	readers_init(&s->readers, s->store, scribe_reader_stuck, s);
	ballast_open(&s->ballast, s->cfg->store_ballast);
	commit_set_ballast(s->commit, &s->ballast);
}

static void
open_store(struct scribe *s)
{
	uint64_t written_ms = last_written_ms();
	const char *why;

	if ((s->store = store_open(STORE_WRITE, &why)) == NULL)
		fatalx("%s", why);
	FAULT(SCRIBE_OPEN);
	scribe_rings_resume(s);
	scribe_log_ring(&s->log, s->ring);
	scribe_configure(s);
	s->commit = commit_new(&s->log, s->store, s->seq, report_batch, s);
	s->orphans = orphans_new(s->ring, s->store);
	s->streams = streams_store_new(s->tables, s->store);
	if (s->commit == NULL || s->orphans == NULL || s->streams == NULL)
		fatal("memory for a scribe");
	commit_set_rider(s->commit, streams_store_ride, streams_store_rode,
	    s->streams);
	begin_upkeep(s, written_ms);
	scribe_configure(s);
}

static void
resume(struct scribe *s)
{
	struct ring_info info;
	const char *why;

	if (commit_resume(s->commit, ring_id(s->ring), ring_base(s->ring),
		&why) == -1) {
		if (errno != ERANGE)
			fatal("%s", why);
		log_warn("%s base=%llu", why,
		    (unsigned long long)ring_base(s->ring));
		exit(ROLE_EXIT_BASE);
	}
	ring_info(scribe_rings_last(s), &info);
	if (orphans_takeover(s->orphans, s->child.incarnation, s->child.living,
		s->child.nliving, info.end) == -1)
		fatal("memory for a scribe");
	log_info("scribe ready next=%llu published=%llu",
	    (unsigned long long)commit_next(s->commit),
	    (unsigned long long)info.end);
}

static void
finish(struct scribe *s)
{
	upkeep_clear(&s->upkeep);
	ballast_close(&s->ballast);
	orphans_free(&s->orphans);
	streams_store_free(&s->streams);
	commit_free(&s->commit);
	sequence_free(&s->seq);
	store_close(&s->store);
	child_free(&s->child);
}

int
scribe_main(void)
{
	struct scribe *s = &self;
	int status;

	(void)signal(SIGPIPE, SIG_IGN);
	scribe_hello(s);
	open_store(s);
	report_start(s);
	if (sandbox_enter(ROLE_SCRIBE) == -1)
		fatal("sandbox");
	resume(s);
	report_state(s);
	child_ready(&s->child);
	status = scribe_loop(s);
	finish(s);
	return status;
}
