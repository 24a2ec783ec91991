/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * upkeep_bench - what merging and retention cost those who send messages.
 *
 * Messages for one room that has very many, decided and committed in
 * batches of as many as there are senders; with upkeep and without, turn and
 * turn about.  Then the same with retention by number, where what comes
 * takes the place of what goes.  Then what a new scribe needs until the
 * first message into that room is durable.
 *
 *   upkeep_bench [ids in the room] [seconds] [senders] [directory]
 */

#include <sys/resource.h>
#include <sys/stat.h>

#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "common/clock.h"
#include "common/log.h"
#include "scribe/commit.h"
#include "scribe/upkeep.h"
#include "shm/record.h"
#include "store/write.h"

#define BODY 300
#define WINDOW_MS (7 * 86400000ULL)
#define ROUNDS 3
#define MAX_COMMITS 1000000

struct bench {
	struct store *store;
	struct sequence *seq;
	struct commit *commit;
	struct steps steps;
	struct upkeep upkeep;
	struct upkeep_limits limits;
	struct scribe_log log;
	unsigned senders;
	/* up to where there are records, and what is durable */
	uint64_t end;
	uint64_t durable;
	uint64_t begin;
	bool upkeep_on;
	uint64_t merging_ns;
	/* from one commit's end to the next's, us: what a sender sees */
	uint32_t *turn_us;
	unsigned nturns;
	uint64_t last_ns;
};

static struct bench bench;

/* --- a log that never ends --------------------------------------------- */

static bool
log_waiting(void *ctx, uint64_t pos)
{
	return pos < ((struct bench *)ctx)->end;
}

static enum ring_result
log_fetch(void *ctx, uint64_t pos, void *buf, size_t size, size_t *len_r,
    struct ring_index *ix_r)
{
	static char body[BODY];
	char id[40];
	struct record_field f[3] = { { id, 0 }, { "socket", 6 },
		{ body, BODY } };
	struct record h = { .type = RECORD_MESSAGE, .user = 1, .room = 1 };
	XXH128_hash_t hash;

	if (!log_waiting(ctx, pos))
		return RING_EMPTY;
	memset(body, 'x', sizeof(body));
	f[0].len = (uint32_t)snprintf(id, sizeof(id),
	    "0192f0c1-7a5e-7cc1-8a3e-%012llx", (unsigned long long)pos);
	hash = XXH3_128bits(id, f[0].len);
	h.id_hash[0] = hash.low64;
	h.id_hash[1] = hash.high64;
	*len_r = record_build(buf, size, &h, f, 3);
	return RING_OK;
}

static void
log_decide(void *ctx, uint64_t pos, const struct ring_index *ix)
{
	if (ix->verdict != RING_STORED)
		fatalx("a message was not stored: verdict %u", ix->verdict);
}

static void
log_durable(void *ctx, uint64_t from, uint64_t next)
{
	struct bench *b = ctx;
	uint64_t now = clock_mono_ns();

	b->durable = next;
	b->end = next + b->senders;
	if (b->nturns < MAX_COMMITS && b->last_ns != 0)
		b->turn_us[b->nturns++] = (uint32_t)((now - b->last_ns) / 1000);
	b->last_ns = now;
}

static uint64_t
log_durable_pos(void *ctx)
{
	return ((struct bench *)ctx)->durable;
}

/* --- the scribe -------------------------------------------------------- */

static void
start(struct bench *b)
{
	struct sequence_limits limits = { .dedupe_window_ms = WINDOW_MS };
	const uint8_t id[16] = { 1 };
	const char *why = "out of memory";

	if ((b->store = store_open(STORE_WRITE, &why)) == NULL)
		fatalx("%s", why);
	b->log = (struct scribe_log){ b, 4096, log_waiting, log_fetch,
		log_decide, log_durable, log_durable_pos };
	b->seq = sequence_new(&limits);
	b->commit = commit_new(&b->log, b->store, b->seq, NULL, NULL);
	if (b->seq == NULL || b->commit == NULL ||
	    commit_resume(b->commit, id, b->begin, &why) == -1)
		fatal("%s", why);
	(void)steps_begin(&b->steps, clock_mono_ns(), clock_real_ms(), 0, NULL);
	sequence_set_steps(b->seq, &b->steps);
	upkeep_init(&b->upkeep, b->store, b->seq, &b->steps, &b->limits);
	b->end = commit_next(b->commit);
}

static void
stop(struct bench *b)
{
	upkeep_clear(&b->upkeep);
	commit_free(&b->commit);
	sequence_free(&b->seq);
	store_close(&b->store);
}

static void
turn(struct bench *b)
{
	uint64_t again, now, before;

	if (commit_turn(b->commit, &again) == COMMIT_DEAD ||
	    commit_state(b->commit) != COMMIT_OK)
		fatalx("the store fails");
	now = clock_mono_ns();
	(void)steps_look(&b->steps, now, clock_real_ms());
	if (!b->upkeep_on)
		return;
	before = merge_count(&b->upkeep.merge);
	if (upkeep_turn(&b->upkeep, now, clock_real_ms()) == -1)
		fatalx("the store fails");
	if (merge_count(&b->upkeep.merge) != before)
		b->merging_ns += clock_mono_ns() - now;
}

static int
by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Messages a second. */
static double
run(struct bench *b, double seconds, uint64_t messages, const char *what)
{
	uint64_t begin = clock_mono_ns(), from = b->durable;
	uint64_t merged = merge_count(&b->upkeep.merge);
	uint64_t trimmed = retention_count(&b->upkeep.retention), now;
	struct store_space sp;
	double rate;

	b->nturns = 0;
	b->last_ns = 0;
	b->merging_ns = 0;
	b->end = b->durable + b->senders;
	do {
		turn(b);
		now = clock_mono_ns();
	} while (messages > 0 ? b->durable - from < messages
			      : (double)(now - begin) < seconds * 1e9);
	rate = (double)(b->durable - from) * 1e9 / (double)(now - begin);
	qsort(b->turn_us, b->nturns, sizeof(b->turn_us[0]), by_value);
	if (store_space(b->store, &sp) == -1)
		fatal("store");
	printf("%-12s %8.0f messages/s  turn p50 %u p99 %u max %u us  "
	       "merged %llu (%.0f %% of the time)  trimmed %llu  file %llu "
	       "MiB free %llu MiB\n",
	    what, rate, b->turn_us[b->nturns / 2],
	    b->turn_us[b->nturns / 100 * 99], b->turn_us[b->nturns - 1],
	    (unsigned long long)(merge_count(&b->upkeep.merge) - merged),
	    100.0 * (double)b->merging_ns / (double)(now - begin),
	    (unsigned long long)(retention_count(&b->upkeep.retention) -
		trimmed),
	    (unsigned long long)sp.file_bytes >> 20,
	    (unsigned long long)sp.free_bytes >> 20);
	fflush(stdout);
	return rate;
}

static void
make_room(struct bench *b)
{
	struct store_room room = { .room = 1,
		.workspace = { "w", 1 },
		.session = { "s", 1 } };
	struct store_next next = { 2, 2 };
	struct store_txn *t;

	if ((t = store_begin(b->store)) == NULL)
		fatal("store");
	store_room_add(t, &room);
	store_next_put(t, &next);
	if (store_commit(&t) == -1)
		fatal("store");
}

/* What a new scribe needs until the first message is durable. */
static void
restart(struct bench *b)
{
	struct rusage r0, r1;
	uint64_t t0, t1, t2;
	double cpu;

	stop(b);
	(void)getrusage(RUSAGE_SELF, &r0);
	t0 = clock_mono_ns();
	start(b);
	t1 = clock_mono_ns();
	b->end = b->durable + 1;
	turn(b);
	t2 = clock_mono_ns();
	(void)getrusage(RUSAGE_SELF, &r1);
	cpu = (double)(r1.ru_utime.tv_sec - r0.ru_utime.tv_sec +
		  r1.ru_stime.tv_sec - r0.ru_stime.tv_sec) *
		1e3 +
	    (double)(r1.ru_utime.tv_usec - r0.ru_utime.tv_usec +
		r1.ru_stime.tv_usec - r0.ru_stime.tv_usec) /
		1e3;
	printf("restart      open and resume %.1f ms, first message %.1f ms, "
	       "processor %.1f ms (%zu ids read)\n",
	    (double)(t1 - t0) / 1e6, (double)(t2 - t1) / 1e6, cpu,
	    rooms_ids(sequence_rooms(b->seq)));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int
main(int argc, char **argv)
{
	struct bench *b = &bench;
	uint64_t ids = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 5;
	unsigned senders =
	    argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 100;
	char dir[4096];
	int i;

	snprintf(dir, sizeof(dir), "%s/chatd-upkeep.XXXXXX",
	    argc > 4 ? argv[4] : ".");
	if (mkdtemp(dir) == NULL || chdir(dir) == -1)
		fatal("%s", dir);
	b->begin = b->durable = 1ULL << 40;
	b->limits.dedupe_window_ms = WINDOW_MS;
	b->turn_us = calloc(MAX_COMMITS, sizeof(b->turn_us[0]));
	if (b->turn_us == NULL)
		fatal("memory");
	start(b);
	make_room(b);
	b->upkeep_on = true;
	b->senders = COMMIT_BATCH;
	(void)run(b, 0, ids, "fill");
	b->senders = senders;
	for (i = 0; i < ROUNDS; i++) {
		b->upkeep_on = false;
		(void)run(b, seconds, 0, "without");
		b->upkeep_on = true;
		(void)run(b, seconds, 0, "with");
		restart(b);
	}
	b->limits.max_messages = ids;
	upkeep_configure(&b->upkeep, &b->limits);
	for (i = 0; i < ROUNDS; i++)
		(void)run(b, seconds, 0, "retention");
	stop(b);
	if (chdir("/") == 0)
		(void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(b->turn_us);
	return 0;
}
