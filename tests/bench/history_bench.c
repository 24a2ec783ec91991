/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * history_bench - a store with millions of messages, and what its size costs.
 *
 *   history_bench [-n messages] [-r rooms] [-b body bytes] [-s seconds]
 *                 [-d directory] [-k] [phase ...]
 *
 * Phases, in this order unless named: build (through the store's own code,
 * in the order in which messages of all sessions would come, and without
 * waiting for the disk), newest, random (warm), cold (nothing of the file in
 * memory), restart (open, take over, first durable message), trim.  Each
 * prints a line of JSON; the floor of reading is a bare LMDB cursor over the
 * same rows, that of trimming a bare loop which deletes as many.  -k keeps
 * the store in the directory.
 */

#include <sys/mman.h>
#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lmdb.h>
#include <xxhash.h>

#include "common/clock.h"
#include "common/log.h"
#include "store/env.h"
#include "store/write.h"
#include "tests/power/life.h"

#define PAGE 50
#define BATCH 20000
#define TRIM_SLICE 64
#define RESTARTS 9
#define FLOOR_TABLES 16

struct bench {
	uint64_t messages, rooms, body;
	double seconds;
	struct store *store;
	/* of each room: how many it has */
	uint64_t *last;
	/* the floor's */
	MDB_env *env;
	MDB_dbi msg;
};

static uint64_t
step(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x >> 11;
}

static void
must(int rc)
{
	if (rc != MDB_SUCCESS)
		fatalx("lmdb: %s", mdb_strerror(rc));
}

static uint64_t
file_bytes(void)
{
	struct stat st;

	return stat("db/data.mdb", &st) == 0 ? (uint64_t)st.st_size : 0;
}

static double
since(uint64_t begin)
{
	return (double)(clock_mono_ns() - begin) / 1e9;
}

/* What is in memory costs the processor's time, anything else the clock's. */
static uint64_t
spent_ns(bool cold)
{
	struct timespec ts;

	if (cold)
		return clock_mono_ns();
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* --- build ------------------------------------------------------------- */

static void
open_store(struct bench *b)
{
	const char *why;

	if ((b->store = store_open(STORE_WRITE, &why)) == NULL)
		fatalx("%s", why);
}

static void
make_rooms(struct bench *b)
{
	struct store_next next = { b->rooms + 1, 2 };
	struct store_user user = { .user = 1,
		.id = { "ada", 3 },
		.name = { "Ada", 3 },
		.last_seen_ms = clock_real_ms() };
	struct store_txn *t;
	char name[32];
	uint64_t i;

	if ((t = store_begin(b->store)) == NULL)
		fatal("store");
	for (i = 1; i <= b->rooms; i++) {
		struct store_room room = { .room = i,
			.workspace = { "default", 7 },
			.session = { name, 0 },
			.created_ms = clock_real_ms() };

		room.session.len = (size_t)snprintf(name, sizeof(name),
		    "session-%u", (unsigned)i);
		store_room_add(t, &room);
	}
	store_user_add(t, &user);
	store_next_put(t, &next);
	if (store_commit(&t) == -1)
		fatal("store");
}

static void
add_message(struct bench *b, struct store_txn *t, uint64_t n, uint64_t room,
    uint64_t time_ms)
{
	static char body[8192];
	char id[32];
	struct store_message m = { .room = room,
		.seq = ++b->last[room],
		.gseq = n,
		.time_ms = time_ms,
		.user = 1,
		.type = RECORD_MESSAGE,
		.id = { id, 0 },
		.body = { body, b->body } };
	XXH128_hash_t h;
	uint64_t hash[2];
	int len;

	m.id.len =
	    (size_t)snprintf(id, sizeof(id), "m%llu", (unsigned long long)n);
	len = snprintf(body, sizeof(body),
	    "\"id\":\"%s\",\"type\":\"user\",\"userId\":\"ada\","
	    "\"content\":\"",
	    id);
	memset(body + len, 'a' + (int)(n % 26), b->body - (size_t)len - 1);
	body[b->body - 1] = '"';
	h = XXH3_128bits(id, m.id.len);
	hash[0] = h.low64;
	hash[1] = h.high64;
	store_message_add(t, &m, hash);
}

static void
build(struct bench *b)
{
	uint64_t begin = clock_mono_ns(), n = 0, rnd = 88172645463325252ULL;
	uint64_t now = clock_real_ms() - b->messages;
	struct store_txn *t;
	double s;

	open_store(b);
	make_rooms(b);
	must(mdb_env_set_flags(b->store->env, MDB_NOSYNC, 1));
	while (n < b->messages) {
		if ((t = store_begin(b->store)) == NULL)
			fatal("store");
		do {
			n++;
			add_message(b, t, n, 1 + step(&rnd) % b->rooms,
			    now + n);
		} while (n % BATCH != 0 && n < b->messages);
		if (store_commit(&t) == -1)
			fatal("commit");
	}
	if (store_sync(b->store) == -1)
		fatal("sync");
	must(mdb_env_set_flags(b->store->env, MDB_NOSYNC, 0));
	store_close(&b->store);
	s = since(begin);
	printf("{\"phase\":\"build\",\"messages\":%llu,\"rooms\":%llu,"
	       "\"body_bytes\":%llu,\"seconds\":%.1f,\"per_s\":%.0f,"
	       "\"file_bytes\":%llu,\"bytes_per_message\":%.0f}\n",
	    (unsigned long long)n, (unsigned long long)b->rooms,
	    (unsigned long long)b->body, s, (double)n / s,
	    (unsigned long long)file_bytes(), (double)file_bytes() / (double)n);
}

/* --- pages ------------------------------------------------------------- */

/* Nothing of the file in memory; a store that is open would keep it. */
static double
drop_pages(void)
{
	unsigned char *in;
	size_t size = file_bytes(), pages = size / 4096, i, n = 0;
	void *p;
	int fd;

	if ((fd = open("db/data.mdb", O_RDWR | O_CLOEXEC)) == -1)
		fatal("data.mdb");
	if (fdatasync(fd) == -1 ||
	    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		fatal("fadvise");
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || (in = malloc(pages)) == NULL ||
	    mincore(p, pages * 4096, in) == -1)
		fatal("mincore");
	for (i = 0; i < pages; i++)
		n += in[i] & 1;
	munmap(p, size);
	free(in);
	close(fd);
	return (double)n / (double)(pages > 0 ? pages : 1);
}

enum where {
	NEWEST,
	RANDOM,
};

/* The next page that is asked for: a room and its last seq. */
static void
choose(const struct bench *b, enum where where, uint64_t *rnd, uint64_t *room_r,
    uint64_t *last_r)
{
	*room_r = 1 + step(rnd) % b->rooms;
	*last_r = UINT64_MAX;
	if (where == RANDOM)
		*last_r = 1 + step(rnd) % b->last[*room_r];
}

static double
store_pages(struct bench *b, enum where where, bool cold, uint64_t seed)
{
	struct store_query q = { .backward = true, .count = PAGE };
	struct store_message m[PAGE];
	uint64_t begin, spent, n = 0, rnd = seed;
	struct store_txn *t;
	unsigned got;
	bool more;

	open_store(b);
	begin = clock_mono_ns();
	spent = spent_ns(cold);
	for (; since(begin) < b->seconds; n++) {
		choose(b, where, &rnd, &q.room, &q.from);
		if ((t = store_snapshot(b->store)) == NULL ||
		    store_page(t, &q, m, &got, &more) == -1)
			fatal("page");
		store_snapshot_end(&t);
	}
	spent = spent_ns(cold) - spent;
	store_close(&b->store);
	return (double)n * 1e9 / (double)spent;
}

static void
floor_open(struct bench *b)
{
	MDB_txn *t;

	must(mdb_env_create(&b->env));
	must(mdb_env_set_mapsize(b->env, (size_t)1 << 40));
	must(mdb_env_set_maxdbs(b->env, FLOOR_TABLES));
	must(mdb_env_open(b->env, "db", MDB_RDONLY | MDB_NOTLS, 0600));
	must(mdb_txn_begin(b->env, NULL, MDB_RDONLY, &t));
	must(mdb_dbi_open(t, "msg", 0, &b->msg));
	must(mdb_txn_commit(t));
}

/* The same rows with a cursor, and a byte of each looked at. */
static uint64_t
floor_page(struct bench *b, MDB_txn *t, uint64_t room, uint64_t last)
{
	uint64_t k[2] = { htobe64(room), htobe64(last) }, sum = 0;
	MDB_val key = { sizeof(k), k }, val;
	MDB_cursor *cur;
	unsigned i;
	int rc;

	must(mdb_cursor_open(t, b->msg, &cur));
	rc = mdb_cursor_get(cur, &key, &val, MDB_SET_RANGE);
	if (rc == MDB_NOTFOUND)
		rc = mdb_cursor_get(cur, &key, &val, MDB_LAST);
	else if (last == UINT64_MAX)
		rc = mdb_cursor_get(cur, &key, &val, MDB_PREV);
	for (i = 0; i < PAGE && rc == 0; i++) {
		if (memcmp(key.mv_data, k, 8) != 0)
			break;
		sum += ((const uint8_t *)val.mv_data)[val.mv_size - 1];
		rc = mdb_cursor_get(cur, &key, &val, MDB_PREV);
	}
	mdb_cursor_close(cur);
	return sum;
}

static double
floor_pages(struct bench *b, enum where where, bool cold, uint64_t seed)
{
	uint64_t begin, spent, n = 0, rnd = seed, room, last, sum = 0;
	MDB_txn *t;

	floor_open(b);
	must(mdb_txn_begin(b->env, NULL, MDB_RDONLY, &t));
	mdb_txn_reset(t);
	begin = clock_mono_ns();
	spent = spent_ns(cold);
	for (; since(begin) < b->seconds; n++) {
		choose(b, where, &rnd, &room, &last);
		must(mdb_txn_renew(t));
		sum += floor_page(b, t, room, last);
		mdb_txn_reset(t);
	}
	spent = spent_ns(cold) - spent;
	mdb_txn_abort(t);
	mdb_env_close(b->env);
	/* so that nobody thinks that it need not be read */
	return (double)n * 1e9 / (double)spent + (sum == 1 ? 1e-9 : 0);
}

static void
pages(struct bench *b, const char *phase, enum where where, bool cold)
{
	double got, least, in = 0;

	/* warm: what is asked for has been asked for */
	if (!cold)
		(void)store_pages(b, where, cold, 7);
	else
		in = drop_pages();
	got = store_pages(b, where, cold, 7);
	if (cold)
		(void)drop_pages();
	least = floor_pages(b, where, cold, 7);
	printf("{\"phase\":\"%s\",\"pages_per_s\":%.0f,\"floor\":%.0f,"
	       "\"ratio\":%.3f,\"resident\":%.4f}\n",
	    phase, got, least, got / least, in);
}

/* --- restart ----------------------------------------------------------- */

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Open, take over, one message durable: ms of each. */
static void
restart_once(struct bench *b, unsigned i, double ms[2])
{
	static struct small_ring r;
	static uint8_t id[16];
	char text[32];
	struct record_field fid = { text, 0 };
	uint64_t begin, gseq, at;
	struct ring_index ix;
	struct life l;
	const char *why;

	id[0] = (uint8_t)(i + 1);
	id[1]++;
	fid.len = (uint32_t)snprintf(text, sizeof(text), "again-%llu",
	    (unsigned long long)clock_mono_ns());
	small_ring_make(&r, id, clock_real_ms() * 1000, 1000 + i);
	begin = clock_mono_ns();
	if (life_begin(&l, &r, 2000 + i, &why) == -1)
		fatalx("%s", why);
	/* nothing of it is to be removed */
	life_only_commit(&l);
	ms[0] = since(begin) * 1e3;
	(void)life_turns(&l);
	gseq = small_ring_message(&r, 1 + i % b->rooms, 1, fid, fid);
	if (gseq == 0 || life_turns(&l) == -1)
		fatalx("the scribe does not go on");
	while (small_ring_next(&r, &at, &ix) && at != gseq)
		;
	ms[1] = since(begin) * 1e3;
	if (ix.verdict != RING_STORED)
		fatalx("verdict %u", ix.verdict);
	life_end(&l);
	small_ring_drop(&r);
}

static void
restart(struct bench *b, bool cold)
{
	double open_ms[RESTARTS], all_ms[RESTARTS], ms[2];
	unsigned i;

	for (i = 0; i < RESTARTS; i++) {
		if (cold)
			(void)drop_pages();
		/* the bases of rings are microseconds, rounded up */
		usleep(20000);
		restart_once(b, i, ms);
		open_ms[i] = ms[0];
		all_ms[i] = ms[1];
	}
	qsort(open_ms, RESTARTS, sizeof(double), by_value);
	qsort(all_ms, RESTARTS, sizeof(double), by_value);
	printf("{\"phase\":\"restart-%s\",\"open_ms\":%.2f,"
	       "\"first_message_ms\":%.2f,\"worst_ms\":%.2f}\n",
	    cold ? "cold" : "warm", open_ms[RESTARTS / 2], all_ms[RESTARTS / 2],
	    all_ms[RESTARTS - 1]);
}

/* --- trim -------------------------------------------------------------- */

static double
store_trims(struct bench *b, uint64_t *removed_r, uint64_t *commits_r)
{
	uint64_t begin, room = 1, removed = 0, commits = 0;
	struct store_trim trim;
	struct store_txn *t;

	open_store(b);
	begin = clock_mono_ns();
	for (; since(begin) < b->seconds; commits++) {
		memset(&trim, 0, sizeof(trim));
		trim.room = room;
		trim.below_seq = b->last[room] / 2;
		trim.keep_ids_ms = UINT64_MAX;
		trim.max = TRIM_SLICE;
		if ((t = store_begin(b->store)) == NULL ||
		    store_trim(t, &trim) == -1 || store_commit(&t) == -1)
			fatal("trim");
		removed += trim.removed;
		if (!trim.more)
			room = room % b->rooms + 1;
	}
	begin = clock_mono_ns() - begin;
	store_close(&b->store);
	*removed_r = removed;
	*commits_r = commits;
	return (double)removed * 1e9 / (double)begin;
}

/* As many rows of the two tables, and a commit as often. */
static double
floor_trims(struct bench *b)
{
	static const char *const name[2] = { "msg", "log" };
	uint64_t begin, removed = 0;
	MDB_cursor *cur;
	MDB_val key, val;
	MDB_dbi dbi;
	MDB_txn *t;
	unsigned i, k;

	must(mdb_env_create(&b->env));
	must(mdb_env_set_mapsize(b->env, (size_t)1 << 40));
	must(mdb_env_set_maxdbs(b->env, FLOOR_TABLES));
	must(mdb_env_open(b->env, "db", MDB_NOTLS, 0600));
	begin = clock_mono_ns();
	for (; since(begin) < b->seconds; removed += TRIM_SLICE) {
		must(mdb_txn_begin(b->env, NULL, 0, &t));
		for (k = 0; k < 2; k++) {
			must(mdb_dbi_open(t, name[k], 0, &dbi));
			must(mdb_cursor_open(t, dbi, &cur));
			for (i = 0; i < TRIM_SLICE; i++) {
				must(
				    mdb_cursor_get(cur, &key, &val, MDB_FIRST));
				must(mdb_cursor_del(cur, 0));
			}
			mdb_cursor_close(cur);
		}
		must(mdb_txn_commit(t));
	}
	begin = clock_mono_ns() - begin;
	mdb_env_close(b->env);
	return (double)removed * 1e9 / (double)begin;
}

static void
trim(struct bench *b)
{
	uint64_t before = file_bytes(), removed = 0, commits = 0, k;
	double got = store_trims(b, &removed, &commits), least;

	k = file_bytes() - before;
	least = floor_trims(b);
	printf("{\"phase\":\"trim\",\"removed_per_s\":%.0f,\"floor\":%.0f,"
	       "\"ratio\":%.3f,\"removed\":%llu,\"commits\":%llu,"
	       "\"file_growth_bytes\":%llu}\n",
	    got, least, got / least, (unsigned long long)removed,
	    (unsigned long long)commits, (unsigned long long)k);
}

/* --- main -------------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static bool
wanted(int n, char **names, const char *phase)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], phase) == 0)
			return true;
	return n == 0;
}

/* How many messages each room of a store that is there has. */
static void
count(struct bench *b)
{
	struct store_txn *t;
	uint64_t i;

	open_store(b);
	if ((t = store_snapshot(b->store)) == NULL)
		fatal("snapshot");
	for (i = 1; i <= b->rooms; i++)
		if (store_last_seq(t, i, &b->last[i]) == -1 || b->last[i] == 0)
			fatalx("room %llu is empty", (unsigned long long)i);
	store_snapshot_end(&t);
	store_close(&b->store);
}

static void
phases(struct bench *b, int n, char **names)
{
	if (wanted(n, names, "build"))
		build(b);
	count(b);
	if (wanted(n, names, "newest"))
		pages(b, "newest", NEWEST, false);
	if (wanted(n, names, "random"))
		pages(b, "random", RANDOM, false);
	if (wanted(n, names, "cold"))
		pages(b, "cold", RANDOM, true);
	if (wanted(n, names, "restart")) {
		restart(b, false);
		restart(b, true);
	}
	if (wanted(n, names, "trim"))
		trim(b);
}

static void
usage(void)
{
	fprintf(stderr,
	    "usage: history_bench [-k] [-n messages] [-r rooms] [-b bytes]\n"
	    "    [-s seconds] [-d directory] [phase ...]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	struct bench b = { .messages = 10000000,
		.rooms = 1000,
		.body = 200,
		.seconds = 5 };
	const char *dir = NULL;
	char made[] = "/tmp/history-bench.XXXXXX";
	bool keep = false;
	int c;

	while ((c = getopt(argc, argv, "n:r:b:s:d:k")) != -1)
		switch (c) {
		case 'n':
			b.messages = strtoull(optarg, NULL, 10);
			break;
		case 'r':
			b.rooms = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			b.body = strtoull(optarg, NULL, 10);
			break;
		case 's':
			b.seconds = strtod(optarg, NULL);
			break;
		case 'd':
			dir = optarg;
			break;
		case 'k':
			keep = true;
			break;
		default:
			usage();
		}
	if (b.messages < b.rooms * 20 || b.rooms == 0 || b.body < 100 ||
	    b.body > 8000)
		usage();
	if (dir == NULL && (dir = mkdtemp(made)) == NULL)
		fatal("/tmp");
	if (chdir(dir) == -1 ||
	    (b.last = calloc(b.rooms + 1, sizeof(*b.last))) == NULL)
		fatal("%s", dir);
	setvbuf(stdout, NULL, _IOLBF, 0);
	phases(&b, argc - optind, argv + optind);
	/* never what somebody named */
	if (!keep && dir == made && chdir("/") == 0)
		(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(b.last);
	return 0;
}
