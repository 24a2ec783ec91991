/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * report - what others can see of the scribe: counters and histograms, and
 * the store's page in the tables.
 */

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "scribe/scribe.h"
#include "shm/counter.h"

#define STAT_EVERY_NS CLOCK_S_NS
#define READER_CHECK_EVERY_NS (5 * CLOCK_S_NS)
#define US_NS 1000

static void
word(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static void
count(const struct scribe *s, enum counter c, uint64_t n)
{
	counter_add(s->tables, COUNTER_SCRIBE, c, n);
}

/*
 * Messages stop while there is still space for what makes room again, and
 * for everything that goes on.
 */
static void
check_size(struct scribe *s, uint64_t used)
{
	uint64_t max = s->cfg->store_max_bytes;
	bool full = used >= max - max / 10;

	if (full == sequence_full(s->seq))
		return;
	if (full)
		log_error("the store is full, messages are refused used=%llu "
			  "store.max_bytes=%llu",
		    (unsigned long long)used, (unsigned long long)max);
	else
		log_notice("the store has space again used=%llu",
		    (unsigned long long)used);
	sequence_set_full(s->seq, full);
}

static void
put_stat(struct scribe *s)
{
	struct tables_store *page = &s->tables->state->store;
	struct store_stat st;
	unsigned i;

	if (store_stat(s->store, &st) == -1)
		return;
	for (i = 0; i < STORE_TABLES && i < TABLES_STORES; i++)
		word(&page->table[i].entries, st.table[i].entries);
	word(&page->map_used, st.map_used);
	word(&page->map_max, s->cfg->store_max_bytes);
	word(&page->last_txn, st.last_txn);
	check_size(s, st.map_used);
}

void
report_start(struct scribe *s)
{
	struct tables_store *page = &s->tables->state->store;
	struct store_stat st;
	unsigned i;

	_Static_assert(STORE_TABLES <= TABLES_STORES, "all tables are shown");
	if (store_stat(s->store, &st) == -1)
		fatal("the store cannot be read");
	for (i = 0; i < STORE_TABLES; i++)
		strlcpy(page->table[i].name, st.table[i].name,
		    sizeof(page->table[i].name));
	atomic_store_explicit(&page->ntables, STORE_TABLES,
	    memory_order_release);
	put_stat(s);
}

void
report_state(struct scribe *s)
{
	static const enum tables_store_state state[] = {
		[COMMIT_OK] = TABLES_STORE_OK,
		[COMMIT_RETRYING] = TABLES_STORE_OK,
		[COMMIT_REFUSING] = TABLES_STORE_FULL,
	};
	enum tables_store_state st = state[commit_state(s->commit)];
	int err = commit_error(s->commit);

	if (st == TABLES_STORE_OK && sequence_full(s->seq))
		st = TABLES_STORE_FULL;
	else if (st == TABLES_STORE_FULL && err != ENOSPC && err != EDQUOT &&
	    err != EIO)
		st = TABLES_STORE_FAILED;
	atomic_store_explicit(&s->tables->state->store.state, st,
	    memory_order_relaxed);
}

/* What became of messages, joins and resumes is counted by the workers. */
static void
count_sequence(struct scribe *s)
{
	const struct sequence_counts *now = sequence_counts(s->seq);
	struct sequence_counts *was = &s->counted;

	count(s, COUNTER_SEQUENCED, now->records - was->records);
	count(s, COUNTER_RING_BAD, now->bad - was->bad);
	*was = *now;
}

void
report_batch(void *arg, const struct commit_batch *b)
{
	struct scribe *s = arg;
	struct tables_store *page = &s->tables->state->store;

	count_sequence(s);
	if (b->n > 0) {
		count(s, COUNTER_BATCHES, 1);
		hist_add(s->tables, COUNTER_SCRIBE, HIST_BATCH, b->n);
		word(&page->batch_last, b->n);
		if (b->n > atomic_load_explicit(&page->batch_max,
			       memory_order_relaxed))
			word(&page->batch_max, b->n);
	}
	if (b->committed) {
		count(s, COUNTER_COMMITS, 1);
		hist_add(s->tables, COUNTER_SCRIBE, HIST_COMMIT,
		    b->commit_ns / US_NS);
		word(&page->last_commit_ms, clock_real_ms());
	}
}

/* Damaged values are told once a look, not once a value. */
static void
check_values(struct scribe *s)
{
	uint64_t bad = store_bad_values(s->store);

	if (bad == s->bad_values)
		return;
	log_error("values in the store are damaged and are not served "
		  "new=%llu",
	    (unsigned long long)(bad - s->bad_values));
	s->bad_values = bad;
}

void
report_turn(struct scribe *s, uint64_t now_ns)
{
	uint64_t failures = commit_failures(s->commit);
	uint64_t orphaned = orphans_count(s->orphans);

	count(s, COUNTER_COMMITS_FAILED, failures - s->failures);
	s->failures = failures;
	count(s, COUNTER_ORPHANS, orphaned - s->orphaned);
	s->orphaned = orphaned;
	count(s, COUNTER_RECOVERY_OVER, sweep_count(&s->sweep) - s->swept);
	s->swept = sweep_count(&s->sweep);
	report_state(s);
	child_beat(&s->child);
	if (now_ns - s->stat_ns >= STAT_EVERY_NS) {
		s->stat_ns = now_ns;
		put_stat(s);
		check_values(s);
	}
	if (now_ns - s->reader_check_ns >= READER_CHECK_EVERY_NS) {
		s->reader_check_ns = now_ns;
		(void)store_reader_check(s->store);
	}
}
