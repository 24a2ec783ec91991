/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * store_bench - what the scribe adds to a bare group commit.
 *
 * A process publishes messages through a real log ring and keeps so many of
 * them under way as there are senders; the scribe decides and commits them
 * in batches as they form.  Then the floor: the same rows (keys and values
 * of the same bytes, the same rooms in the same order) in batches of the
 * same sizes, put into a bare LMDB environment by a loop that does nothing
 * else.  Both alternate, in one directory, and the ratio is printed.
 *
 *   store_bench [--json] [--seconds n] [--dir directory]
 */

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
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
#include "scribe/commit.h"
#include "shm/record.h"
#include "shm/ring.h"
#include "shm/segment.h"
#include "shm/wake.h"
#include "store/write.h"

#define SLOT 0
#define ROOMS 1000
#define BODY 300
#define ROUNDS 3
#define MAX_BATCHES 200000
#define PAGE 50

static const unsigned senders[] = { 1, 10, 100, 1000, 2000 };
/* the row that others compare themselves with */
#define USUAL 3
#define NSENDERS (sizeof(senders) / sizeof(senders[0]))

/* Shared with the process that publishes. */
struct control {
	/* how many messages are to be under way; 0: pause */
	_Atomic unsigned senders;
	_Atomic bool quit;
};

/* The batches of one round, to be repeated by the floor. */
struct round {
	uint64_t messages;
	uint64_t ns;
	/* that the scribe wrote to the file */
	uint64_t bytes;
	unsigned nbatches;
	uint16_t batch[MAX_BATCHES];
};

struct bench {
	struct segment seg;
	struct segment wake_seg;
	struct segment control_seg;
	struct control *control;
	struct wake *wake;
	int efd[WAKE_CONSUMERS];
	struct ring *ring;
	struct store *store;
	struct sequence *seq;
	struct commit *commit;
	struct scribe_log log;
	struct round *round;
	pid_t publisher;
	/* the floor's */
	MDB_env *env;
	MDB_dbi msg, logdb, meta;
	uint64_t next_seq[ROOMS];
	uint64_t gseq;
	uint64_t rnd;
};

struct result {
	double scribe;
	double bare;
	double batch;
	/* bytes written to the file, a message */
	double bytes;
	double bare_bytes;
};

/* Pages of messages a CPU-second, and bytes of the file a message. */
struct reading {
	double pages, bare_pages;
	double file, bare_file;
};

static struct bench bench;

static uint64_t
step(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/*
 * What this process gave to write(2) and its kin, which is the store's pages
 * and little else.  "write_bytes" would be what the device was given, but
 * counts whole folios, of which a page is a small part: proc(5).
 */
static uint64_t
written(void)
{
	unsigned long long n = 0;
	char line[128];
	FILE *f;

	if ((f = fopen("/proc/self/io", "re")) == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "wchar: %llu", &n) == 1)
			break;
	fclose(f);
	return n;
}

static double
file_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (double)st.st_size : 0;
}

/* --- the process that publishes ---------------------------------------- */

static bool
publish(struct ring *ring, uint64_t *n, uint64_t *rnd)
{
	static uint8_t rec[2048] __attribute__((aligned(8)));
	static char body[BODY];
	char id[32];
	struct record_field f[3] = { { id, 0 }, { "socket", 6 },
		{ body, BODY } };
	struct record h = { .type = RECORD_MESSAGE, .user = 1, .request = 1 };
	uint64_t gseq, was = *rnd;
	XXH128_hash_t hash;
	size_t len;

	memset(body, 'x', sizeof(body));
	f[0].len = (uint32_t)snprintf(id, sizeof(id), "message-%llu",
	    (unsigned long long)*n);
	hash = XXH3_128bits(id, f[0].len);
	h.id_hash[0] = hash.low64;
	h.id_hash[1] = hash.high64;
	h.room = 1 + step(rnd) % ROOMS;
	h.received_ns = clock_mono_ns();
	len = record_build(rec, sizeof(rec), &h, f, 3);
	if (ring_publish(ring, rec, len, &gseq) == -1) {
		*rnd = was;
		return false;
	}
	++*n;
	return true;
}

static void
publisher_sleep(struct bench *b, struct ring *ring, uint64_t cursor)
{
	struct pollfd p = { .fd = b->efd[SLOT], .events = POLLIN };

	wake_prepare(b->wake, SLOT);
	if (ring_limit(ring, cursor) <= cursor)
		(void)poll(&p, 1, 5);
	wake_cancel(b->wake, SLOT);
}

static void
publisher(struct bench *b, struct ring *ring)
{
	uint64_t n = 0, rnd = 88172645463325252ULL, done = 0, cursor;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	ring_join(ring, SLOT, 1);
	while (ring_state(ring, SLOT) != RING_ACTIVE)
		usleep(100);
	cursor = ring_join_pos(ring, SLOT);
	while (!atomic_load(&b->control->quit)) {
		while (n - done < atomic_load(&b->control->senders) &&
		    publish(ring, &n, &rnd))
			;
		if (ring_limit(ring, cursor) <= cursor)
			publisher_sleep(b, ring, cursor);
		done += ring_limit(ring, cursor) - cursor;
		cursor = ring_limit(ring, cursor);
		ring_advance(ring, SLOT, cursor);
	}
	_exit(0);
}

/* --- the scribe -------------------------------------------------------- */

static void
on_batch(void *arg, const struct commit_batch *batch)
{
	struct bench *b = arg;
	struct round *r = b->round;

	if (r == NULL || batch->n == 0)
		return;
	r->messages += batch->n;
	if (r->nbatches < MAX_BATCHES)
		r->batch[r->nbatches++] = (uint16_t)batch->n;
}

static void
scribe_sleep(struct bench *b)
{
	struct pollfd p = { .fd = b->efd[WAKE_SCRIBE], .events = POLLIN };

	wake_prepare(b->wake, WAKE_SCRIBE);
	if (!ring_published(b->ring, commit_next(b->commit)) &&
	    !ring_join_wanted(b->ring))
		(void)poll(&p, 1, 5);
	wake_cancel(b->wake, WAKE_SCRIBE);
}

/* The loop of scribe/loop.c without a master. */
static void
scribe_run(struct bench *b, uint64_t until_ns)
{
	uint64_t again, now;
	enum commit_result rc;

	do {
		rc = commit_turn(b->commit, &again);
		if (rc == COMMIT_DEAD || commit_state(b->commit) != COMMIT_OK)
			fatalx("the store fails");
		now = clock_mono_ns();
		(void)ring_gate(b->ring, now);
		if (rc == COMMIT_IDLE)
			scribe_sleep(b);
	} while (now < until_ns);
}

static void
scribe_round(struct bench *b, struct round *r, unsigned n, double seconds)
{
	uint64_t begin, ns = (uint64_t)(seconds * 1e9);

	atomic_store(&b->control->senders, n);
	scribe_run(b, clock_mono_ns() + ns / 5);
	memset(r, 0, sizeof(*r));
	b->round = r;
	r->bytes = written();
	begin = clock_mono_ns();
	scribe_run(b, begin + ns);
	r->ns = clock_mono_ns() - begin;
	r->bytes = written() - r->bytes;
	b->round = NULL;
	atomic_store(&b->control->senders, 0);
	scribe_run(b, clock_mono_ns() + 20 * CLOCK_MS_NS);
}

static void
make_rooms(struct bench *b)
{
	struct store_next next = { ROOMS + 1, 2 };
	struct store_txn *t;
	char name[32];
	uint64_t i;

	if ((t = store_begin(b->store)) == NULL)
		fatal("store");
	for (i = 1; i <= ROOMS; i++) {
		struct store_room room = { .room = i,
			.workspace = { "w", 1 },
			.session = { name, 0 } };

		room.session.len =
		    (size_t)snprintf(name, sizeof(name), "s%u", (unsigned)i);
		store_room_add(t, &room);
	}
	store_next_put(t, &next);
	if (store_commit(&t) == -1)
		fatal("store");
}

static void
scribe_start(struct bench *b)
{
	struct sequence_limits limits = { .dedupe_window_ms = 7 * 86400000ULL };
	const char *why = "out of memory";

	if ((b->store = store_open(STORE_WRITE, &why)) == NULL)
		fatalx("%s", why);
	make_rooms(b);
	scribe_log_ring(&b->log, b->ring);
	b->seq = sequence_new(&limits);
	b->commit = commit_new(&b->log, b->store, b->seq, on_batch, b);
	if (b->seq == NULL || b->commit == NULL ||
	    commit_resume(b->commit, ring_id(b->ring), ring_base(b->ring),
		&why) == -1)
		fatal("%s", why);
}

/* --- the floor --------------------------------------------------------- */

static void
must(int rc)
{
	if (rc != MDB_SUCCESS)
		fatalx("lmdb: %s", mdb_strerror(rc));
}

static void
bare_start(struct bench *b)
{
	MDB_txn *t;

	if (mkdir("bare", 0700) == -1)
		fatal("bare");
	must(mdb_env_create(&b->env));
	must(mdb_env_set_mapsize(b->env, (size_t)1 << 40));
	must(mdb_env_set_maxdbs(b->env, 8));
	must(mdb_env_open(b->env, "bare", 0, 0600));
	must(mdb_txn_begin(b->env, NULL, 0, &t));
	must(mdb_dbi_open(t, "msg", MDB_CREATE, &b->msg));
	must(mdb_dbi_open(t, "log", MDB_CREATE, &b->logdb));
	must(mdb_dbi_open(t, "meta", MDB_CREATE, &b->meta));
	must(mdb_txn_commit(t));
	b->rnd = 88172645463325252ULL;
}

/* The rows of one message, byte for byte as long as the store's. */
static void
bare_put(struct bench *b, MDB_txn *t)
{
	static uint8_t value[8 + 24 + 2 + 14 + BODY];
	uint64_t room = 1 + step(&b->rnd) % ROOMS;
	uint64_t k[2] = { htobe64(room), htobe64(++b->next_seq[room - 1]) };
	MDB_val key = { sizeof(k), k }, val = { sizeof(value), value };

	must(mdb_put(t, b->msg, &key, &val, MDB_NOOVERWRITE));
	k[1] = htobe64(++b->gseq);
	val.mv_size = 8 + 40;
	must(mdb_put(t, b->logdb, &key, &val, MDB_NOOVERWRITE));
}

static void
bare_commit(struct bench *b, unsigned n)
{
	static uint8_t value[8 + 32];
	MDB_val key = { 4, (void *)(uintptr_t) "ring" };
	MDB_val val = { sizeof(value), value };
	MDB_txn *t;

	must(mdb_txn_begin(b->env, NULL, 0, &t));
	while (n-- > 0)
		bare_put(b, t);
	must(mdb_put(t, b->meta, &key, &val, 0));
	must(mdb_txn_commit(t));
}

/* Messages a second for the batches of 'r', for at most so long. */
static double
bare_round(struct bench *b, const struct round *r, double seconds,
    double *bytes_r)
{
	uint64_t begin = clock_mono_ns(), end, messages = 0, now = begin;
	uint64_t before = written();
	unsigned i = 0;

	end = begin + (uint64_t)(seconds * 1e9);
	for (i = 0; i < r->nbatches && now < end; i++) {
		bare_commit(b, r->batch[i]);
		messages += r->batch[i];
		now = clock_mono_ns();
	}
	*bytes_r =
	    messages > 0 ? (double)(written() - before) / (double)messages : 0;
	return now > begin ? (double)messages * 1e9 / (double)(now - begin) : 0;
}

/* Reading what is in memory costs the processor's time. */
static uint64_t
cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* --- reading ----------------------------------------------------------- */

static double
pages_per_second(struct bench *b, double seconds)
{
	struct store_query q = { .from = UINT64_MAX,
		.backward = true,
		.count = PAGE };
	uint64_t begin = clock_mono_ns(), spent = cpu_ns(), n = 0, rnd = 1;
	struct store_message m[PAGE];
	struct store_txn *t;
	unsigned got;
	bool more;

	while (clock_mono_ns() - begin < seconds * 1e9) {
		q.room = 1 + step(&rnd) % ROOMS;
		if ((t = store_snapshot(b->store)) == NULL ||
		    store_page(t, &q, m, &got, &more) == -1)
			fatal("page");
		store_snapshot_end(&t);
		n++;
	}
	return (double)n * 1e9 / (double)(cpu_ns() - spent);
}

/* The same rows of the bare tables, with a cursor. */
static uint64_t
bare_page(struct bench *b, MDB_txn *t, uint64_t room)
{
	uint64_t k[2] = { htobe64(room), UINT64_MAX }, sum = 0;
	MDB_val key = { sizeof(k), k }, val;
	MDB_cursor *cur;
	unsigned i;
	int rc;

	must(mdb_cursor_open(t, b->msg, &cur));
	rc = mdb_cursor_get(cur, &key, &val, MDB_SET_RANGE);
	rc = mdb_cursor_get(cur, &key, &val,
	    rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
	for (i = 0;
	     i < PAGE && rc == 0 && memcmp(key.mv_data, k, sizeof(k[0])) == 0;
	     i++) {
		sum += ((const uint8_t *)val.mv_data)[val.mv_size - 1];
		rc = mdb_cursor_get(cur, &key, &val, MDB_PREV);
	}
	mdb_cursor_close(cur);
	return sum;
}

static double
bare_pages_per_second(struct bench *b, double seconds)
{
	uint64_t begin, spent, n = 0, rnd = 1, sum = 0;
	MDB_txn *t;

	must(mdb_txn_begin(b->env, NULL, MDB_RDONLY, &t));
	mdb_txn_reset(t);
	begin = clock_mono_ns();
	spent = cpu_ns();
	for (; clock_mono_ns() - begin < seconds * 1e9; n++) {
		must(mdb_txn_renew(t));
		sum += bare_page(b, t, 1 + step(&rnd) % ROOMS);
		mdb_txn_reset(t);
	}
	spent = cpu_ns() - spent;
	mdb_txn_abort(t);
	/* it has been read, whatever the compiler thinks */
	return sum == 1 ? 0 : (double)n * 1e9 / (double)spent;
}

static struct reading
read_back(struct bench *b, double seconds)
{
	struct reading r = { 0 };
	struct store_stat st;
	int i;

	r.pages = pages_per_second(b, seconds);
	r.bare_pages = bare_pages_per_second(b, seconds);
	if (store_stat(b->store, &st) == -1)
		fatal("stat");
	for (i = 0; i < STORE_TABLES; i++)
		if (strcmp(st.table[i].name, "msg") == 0)
			r.file = file_bytes("db/data.mdb") /
			    (double)st.table[i].entries;
	r.bare_file = file_bytes("bare/data.mdb") / (double)b->gseq;
	return r;
}

/* --- main -------------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void
setup(struct bench *b)
{
	struct ring_geometry g = { .kind = RING_LOG,
		.log2_slots = 16,
		.narenas = 3,
		.arena_bytes = 4 << 20 };
	const uint8_t id[16] = { 1 };
	const char *why;
	struct ring *other;
	int arena, i;

	if (segment_create(&b->seg, "bench-log", ring_size(&g), ring_size(&g),
		1, 0, &why) == -1 ||
	    segment_create(&b->wake_seg, "bench-wake", wake_size(), wake_size(),
		1, 0, &why) == -1 ||
	    segment_create(&b->control_seg, "bench", sizeof(*b->control),
		sizeof(*b->control), 1, 0, &why) == -1)
		fatal("%s", why);
	b->control = b->control_seg.mem;
	for (i = 0; i < WAKE_CONSUMERS; i++)
		b->efd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if ((b->wake = wake_attach(b->wake_seg.mem, b->efd)) == NULL ||
	    ring_create(b->seg.mem, b->seg.size, &g, id, 1ULL << 40) == -1)
		fatal("ring");
	b->ring = ring_attach(b->seg.mem, b->seg.size, b->wake, &why);
	other = ring_attach(b->seg.mem, b->seg.size, b->wake, &why);
	if (b->ring == NULL || other == NULL)
		fatalx("%s", why);
	ring_producer_init(b->ring, RING_SCRIBE_ARENA);
	if ((arena = ring_arena_take(b->ring, SLOT, 1)) == -1)
		fatal("arena");
	ring_producer_init(other, (unsigned)arena);
	/* before the store is open: no process may inherit that */
	if ((b->publisher = fork()) == 0)
		publisher(b, other);
	if (b->publisher == -1)
		fatal("fork");
	ring_detach(&other);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	return v[ROUNDS / 2];
}

static struct result
measure(struct bench *b, struct round *r, unsigned n, double seconds)
{
	double scribe[ROUNDS], bare[ROUNDS], bytes[ROUNDS], least[ROUNDS];
	uint64_t messages = 0, batches = 0;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		scribe_round(b, r, n, seconds);
		scribe[i] = (double)r->messages * 1e9 / (double)r->ns;
		bytes[i] = (double)r->bytes / (double)(r->messages + 1);
		messages += r->messages;
		batches += r->nbatches;
		bare[i] = bare_round(b, r, seconds, &least[i]);
	}
	return (struct result){ .scribe = median(scribe),
		.bare = median(bare),
		.bytes = median(bytes),
		.bare_bytes = median(least),
		.batch = batches > 0 ? (double)messages / (double)batches : 0 };
}

static void
print_json(const struct result *res, const struct reading *rd)
{
	const struct result *u = &res[USUAL];
	size_t i;

	printf("{\"messages_per_s\":%.0f,\"scribe_per_s\":%.0f,"
	       "\"ratio\":%.3f,\"pages_per_s\":%.0f,"
	       "\"bare_pages_per_s\":%.0f,\"file_bytes\":%.0f,"
	       "\"bare_file_bytes\":%.0f,\"rows\":[",
	    u->bare, u->scribe, u->scribe / u->bare, rd->pages, rd->bare_pages,
	    rd->file, rd->bare_file);
	for (i = 0; i < NSENDERS; i++)
		printf("%s{\"senders\":%u,\"batch\":%.1f,\"scribe\":%.0f,"
		       "\"bare\":%.0f,\"ratio\":%.3f,\"written_bytes\":%.0f,"
		       "\"bare_written_bytes\":%.0f}",
		    i > 0 ? "," : "", senders[i], res[i].batch, res[i].scribe,
		    res[i].bare, res[i].scribe / res[i].bare, res[i].bytes,
		    res[i].bare_bytes);
	printf("]}\n");
}

static void
print_table(const struct result *res, const struct reading *rd)
{
	size_t i;

	printf("%-10s %8s %14s %14s %7s %14s %10s\n", "under way", "batch",
	    "scribe/s", "bare LMDB/s", "ratio", "bytes written", "bare");
	for (i = 0; i < NSENDERS; i++)
		printf("%-10u %8.1f %14.0f %14.0f %7.2f %14.0f %10.0f\n",
		    senders[i], res[i].batch, res[i].scribe, res[i].bare,
		    res[i].scribe / res[i].bare, res[i].bytes,
		    res[i].bare_bytes);
	printf("pages of %d messages a CPU-second: %.0f, bare %.0f, ratio "
	       "%.2f\n",
	    PAGE, rd->pages, rd->bare_pages, rd->pages / rd->bare_pages);
	printf("bytes of the file a message: %.0f, bare %.0f\n", rd->file,
	    rd->bare_file);
}

static void
usage(void)
{
	fprintf(stderr,
	    "usage: store_bench [--json] [--seconds n] [--dir directory]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	char dir[256];
	const char *parent = "/tmp";
	struct result res[NSENDERS];
	struct bench *b = &bench;
	double seconds = 0.5;
	struct reading rd;
	struct round *r;
	bool json = false;
	size_t i;
	int a;

	for (a = 1; a < argc; a++) {
		if (strcmp(argv[a], "--json") == 0)
			json = true;
		else if (strcmp(argv[a], "--seconds") == 0 && a + 1 < argc)
			seconds = strtod(argv[++a], NULL);
		else if (strcmp(argv[a], "--dir") == 0 && a + 1 < argc)
			parent = argv[++a];
		else
			usage();
	}
	if (snprintf(dir, sizeof(dir), "%s/store-bench.XXXXXX", parent) >=
		(int)sizeof(dir) ||
	    mkdtemp(dir) == NULL || chdir(dir) == -1)
		fatal("%s", parent);
	if ((r = malloc(sizeof(*r))) == NULL)
		fatal("memory");
	setup(b);
	scribe_start(b);
	bare_start(b);
	for (i = 0; i < NSENDERS; i++)
		res[i] = measure(b, r, senders[i], seconds);
	rd = read_back(b, seconds);
	atomic_store(&b->control->quit, true);
	(void)waitpid(b->publisher, NULL, 0);
	if (json)
		print_json(res, &rd);
	else
		print_table(res, &rd);
	commit_free(&b->commit);
	sequence_free(&b->seq);
	store_close(&b->store);
	mdb_env_close(b->env);
	free(r);
	(void)chdir("/");
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
