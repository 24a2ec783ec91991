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
/* so much of the time may go into looking at what is free */
#define SPACE_PART 200
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

/* --- how full it is ---------------------------------------------------- */

/*
 * Messages stop while there is still space for what makes room again, and
 * for everything that goes on.  What is free in the file is space.
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

/* The more there is free, the longer it takes to add it up. */
static void
put_space(struct scribe *s, uint64_t now_ns)
{
	struct tables_store *page = &s->tables->state->store;
	struct disk_space disk;
	struct store_space sp;
	uint64_t took;

	if (now_ns < s->space_ns || store_space(s->store, &sp) == -1)
		return;
	took = clock_mono_ns() - now_ns;
	s->space_ns = now_ns +
	    (took * SPACE_PART > STAT_EVERY_NS ? took * SPACE_PART
					       : STAT_EVERY_NS);
	word(&page->map_used, sp.used_bytes - sp.free_bytes);
	word(&page->file_bytes, sp.file_bytes);
	check_size(s, sp.used_bytes - sp.free_bytes);
	if (disk_space(&disk) == 0)
		word(&page->disk_free, disk.free);
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
	word(&page->map_max, s->cfg->store_max_bytes);
	word(&page->last_txn, st.last_txn);
	word(&page->ballast, s->ballast.bytes);
	word(&page->ids_unmerged, rooms_ids(sequence_rooms(s->seq)));
	word(&page->reader_pid, (uint64_t)s->readers.oldest_pid);
	word(&page->reader_ms, s->readers.oldest_ms);
	word(&page->reader_txns, s->readers.oldest_txns);
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
	put_space(s, clock_mono_ns());
}

/* --- how it is --------------------------------------------------------- */

void
report_state(struct scribe *s)
{
	struct tables_store *page = &s->tables->state->store;
	enum tables_store_why why = TABLES_STORE_WHY_NONE;
	enum tables_store_state state = TABLES_STORE_OK;
	uint32_t error = 0;

	if (commit_state(s->commit) == COMMIT_REFUSING) {
		state = TABLES_STORE_FAILED;
		why = TABLES_STORE_WHY_IO;
	}
	if (commit_state(s->commit) != COMMIT_OK)
		error = (uint32_t)commit_error(s->commit);
	if (ballast_used(&s->ballast) ||
	    (state == TABLES_STORE_FAILED &&
		commit_fault(s->commit) == DISK_FULL)) {
		state = TABLES_STORE_FULL;
		why = TABLES_STORE_WHY_DISK;
	} else if (state == TABLES_STORE_OK && sequence_full(s->seq)) {
		state = TABLES_STORE_FULL;
		why = TABLES_STORE_WHY_SIZE;
	}
	atomic_store_explicit(&page->error, error, memory_order_relaxed);
	atomic_store_explicit(&page->why, why, memory_order_relaxed);
	atomic_store_explicit(&page->state, state, memory_order_relaxed);
}

/* --- the clock --------------------------------------------------------- */

void
report_steps_get(struct scribe *s, struct steps_state *before)
{
	struct tables_store *page = &s->tables->state->store;

	before->ahead_ms =
	    atomic_load_explicit(&page->clock_ahead_ms, memory_order_relaxed);
	before->ahead_ns =
	    atomic_load_explicit(&page->clock_ahead_ns, memory_order_relaxed);
	before->held_ns =
	    atomic_load_explicit(&page->clock_held_ns, memory_order_relaxed);
}

void
report_step(struct scribe *s, int64_t step_ms)
{
	struct tables_store *page = &s->tables->state->store;

	if (step_ms == 0)
		return;
	log_warn("the clock is %s than when the store was written last, "
		 "retention by age waits for an hour ms=%lld",
	    step_ms > 0 ? "much later" : "earlier", (long long)step_ms);
	count(s, COUNTER_CLOCK_STEPS, 1);
	word(&page->clock_ahead_ms, s->steps.now.ahead_ms);
	word(&page->clock_ahead_ns, s->steps.now.ahead_ns);
	word(&page->clock_held_ns, s->steps.now.held_ns);
}

/* Until when, by the wall clock as it is now. */
static void
put_held(struct scribe *s, uint64_t now_ns)
{
	struct tables_store *page = &s->tables->state->store;
	uint64_t until = 0;

	if (steps_held(&s->steps, now_ns) && s->cfg->store_retention > 0)
		until = clock_real_ms() +
		    (s->steps.now.held_ns - now_ns) / CLOCK_MS_NS;
	word(&page->retention_held_ms, until);
}

/* --- counters ---------------------------------------------------------- */

/* What became of messages, joins and resumes is counted by the workers. */
static void
count_sequence(struct scribe *s)
{
	const struct sequence_counts *now = sequence_counts(s->seq);
	struct sequence_counts *was = &s->counted.sequence;

	count(s, COUNTER_SEQUENCED, now->records - was->records);
	count(s, COUNTER_RING_BAD, now->bad - was->bad);
	count(s, COUNTER_DAMAGE_REFUSED, now->damaged - was->damaged);
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
	count(s, COUNTER_DAMAGED, bad - s->bad_values);
	s->bad_values = bad;
}

void
report_slice(void *arg, uint64_t ns)
{
	struct scribe *s = arg;

	hist_add(s->tables, COUNTER_SCRIBE, HIST_UPKEEP, ns / US_NS);
}

/* 'now' is what there was since the beginning. */
static void
count_up(const struct scribe *s, enum counter c, uint64_t now, uint64_t *was)
{
	if (now == *was)
		return;
	count(s, c, now - *was);
	*was = now;
}

static void
count_turn(struct scribe *s)
{
	const struct upkeep *u = &s->upkeep;
	struct scribe_counted *was = &s->counted;

	count_up(s, COUNTER_COMMITS_FAILED, commit_failures(s->commit),
	    &was->failures);
	count_up(s, COUNTER_ORPHANS, orphans_count(s->orphans), &was->orphaned);
	count_up(s, COUNTER_RECOVERY_OVER, sweep_count(&u->sweep), &was->swept);
	count_up(s, COUNTER_TRIMMED, retention_count(&u->retention),
	    &was->trimmed);
	count_up(s, COUNTER_IDS_MERGED, merge_count(&u->merge), &was->merged);
	count_up(s, COUNTER_STREAM_ROWS, streams_store_puts(s->streams),
	    &was->streams);
	count_up(s, COUNTER_IDS_OVER, expire_count(&u->expire), &was->expired);
	count_up(s, COUNTER_UPKEEP_FAILED, u->failures, &was->upkeep_failures);
	count_up(s, COUNTER_BALLAST_USED, s->ballast.uses, &was->ballast_uses);
}

void
report_turn(struct scribe *s, uint64_t now_ns)
{
	count_turn(s);
	report_state(s);
	child_beat(&s->child);
	if (now_ns - s->stat_ns >= STAT_EVERY_NS) {
		s->stat_ns = now_ns;
		put_stat(s);
		put_held(s, now_ns);
		check_values(s);
	}
	put_space(s, now_ns);
	if (now_ns - s->reader_check_ns >= READER_CHECK_EVERY_NS) {
		s->reader_check_ns = now_ns;
		(void)store_reader_check(s->store);
	}
}
