/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * power - what is left when the power goes.
 *
 * Plays a story (story.h), or takes the journal of a daemon, and makes out
 * of it many images of what the disk may have held at random instants, most
 * of them near a commit.  Each is opened by the scribe's code and compared
 * with what had been told by then (check.h).  Then each planted fault, which
 * has to be found.
 *
 *   power [-n images] [-s seed] [-t steps] [-p plant|all|none] [-j journal]
 *         [-d directory] [-kmv]
 *
 * -j: of this journal only; with -m: make it, for a daemon to write into.
 * -k: keep the first image that is wrong.
 */

#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "common/log.h"
#include "tests/power/check.h"
#include "tests/power/disk.h"
#include "tests/power/life.h"
#include "tests/power/story.h"

#define JOURNAL_BYTES ((size_t)2 << 30)
#define MAX_TXNS 200000
/* a planted fault: this many images at most, until it is found */
#define PLANT_IMAGES 4000
#define PLANT_STEPS 100

static const char *const plant_name[PLANT__MAX] = {
	[PLANT_NONE] = "none",
	[PLANT_EARLY] = "told before the commit returned",
	[PLANT_NO_DATASYNC] = "fdatasync left out",
	[PLANT_META_FIRST] = "meta page before the data",
	[PLANT_NOSYNC] = "MDB_NOSYNC",
	[PLANT_NOMETASYNC] = "MDB_NOMETASYNC",
	[PLANT_NO_TAKEOVER_SYNC] = "no flush before a takeover tells",
	[PLANT_NO_DIRSYNC] = "fsync of directories left out",
};

struct options {
	unsigned images, steps;
	uint64_t seed;
	const char *plant, *journal, *dir;
	bool keep, verbose, make;
};

/* Of one journal. */
struct run {
	const struct options *o;
	struct journal *j;
	struct ledger ledger;
	struct disk disk;
	/* the numbers of the events behind which the power goes, ascending */
	uint64_t *pick;
	unsigned npicks;
	uint64_t told;
	struct check_txn *txn;
	size_t ntxns;
	/* where a child leaves what it found out */
	struct answer {
		struct check_txn txn;
		uint64_t removed;
	} * answer;
	char dir[256];
	bool quiet;
	/* only until the first image that is wrong */
	bool find;
	unsigned passed, failed;
	/* messages that retention had removed in the end */
	uint64_t removed;
};

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void
remove_dir(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t
step(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x >> 11;
}

/* --- instants ---------------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Where it matters: around flushes, writes with O_DSYNC, and tellings. */
static bool
is_hot(const struct journal_event *ev)
{
	return ev->kind == J_FLUSH || ev->kind == J_FLUSHED ||
	    ev->kind == J_TOLD || ev->kind == J_LIFE ||
	    (ev->kind == J_WRITE && ev->b != 0) ||
	    (ev->kind == J_WRITTEN && ev->b != 0);
}

static void
choose_instants(struct run *r, unsigned n, uint64_t *rnd)
{
	const struct journal_event *ev;
	uint64_t at = 0, k = 0, nhot = 0, *hot;
	unsigned i;

	hot = calloc(atomic_load(&r->j->events) + 1, sizeof(*hot));
	if (hot == NULL || (r->pick = calloc(n, sizeof(*r->pick))) == NULL)
		fatal("memory");
	while ((ev = journal_next(r->j, &at)) != NULL) {
		k++;
		if (is_hot(ev))
			hot[nhot++] = k;
	}
	for (i = 0; i < n; i++) {
		if (i % 16 == 0 && !r->find)
			/* while the store is made */
			r->pick[i] = 1 + step(rnd) % (k < 60 ? k : 60);
		else if (nhot > 0 && (r->find || step(rnd) % 4 != 0))
			r->pick[i] = hot[step(rnd) % nhot] + step(rnd) % 2;
		else
			r->pick[i] = 1 + step(rnd) % k;
		if (r->pick[i] > k)
			r->pick[i] = k;
	}
	free(hot);
	r->npicks = n;
	qsort(r->pick, n, sizeof(*r->pick), by_number);
}

/* --- children ---------------------------------------------------------- */

/* Run in a directory of its own: its exit status, 128 + signal. */
static int
in_child(struct run *r, int (*fn)(struct run *r, uint64_t seed), uint64_t seed,
    bool keep)
{
	char dir[300];
	int status, rc;
	pid_t pid;

	(void)snprintf(dir, sizeof(dir), "%s/image", r->dir);
	if (mkdir(dir, 0700) == -1)
		fatal("%s", dir);
	fflush(NULL);
	if ((pid = fork()) == 0) {
		/* what a library says of what it finds is not asked for */
		if (r->quiet && freopen("/dev/null", "w", stderr) == NULL)
			_exit(126);
		if (chdir(dir) == -1)
			_exit(126);
		alarm(60);
		_exit(fn(r, seed));
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		fatal("fork");
	rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (rc == 0 || !keep)
		remove_dir(dir);
	return rc;
}

static int
digest_child(struct run *r, uint64_t seed)
{
	const char *why;

	if (disk_image(&r->disk, DISK_SEEN, &seed, ".") == -1)
		return 126;
	return check_digest(&r->answer->txn, &why) == -1;
}

/* A transaction is about to be made: what will it be? */
static void
note_txn(struct run *r)
{
	memset(&r->answer->txn, 0, sizeof(r->answer->txn));
	if (in_child(r, digest_child, 1, false) != 0)
		return;
	if (r->ntxns == MAX_TXNS)
		fatalx("too many transactions");
	r->txn[r->ntxns++] = r->answer->txn;
}

static int
image_child(struct run *r, uint64_t seed)
{
	struct check c = { .ledger = &r->ledger,
		.told = r->told,
		.txn = r->txn,
		.ntxns = r->ntxns,
		.removed_r = &r->answer->removed,
		.max_messages = r->o->journal == NULL ? LIFE_MAX_MESSAGES : 0,
		.seed = seed };

	if (disk_image(&r->disk, DISK_CHANCE, &seed, ".") == -1) {
		perror("image");
		return 126;
	}
	if (r->o->journal == NULL)
		(void)signal(SIGALRM, SIG_DFL);
	c.seed = seed | 1;
	if (check_image(&c) == 0)
		return 0;
	fprintf(stderr, "-- the disk had taken %s\n", disk_last_way());
	return 1;
}

/* --- one journal ------------------------------------------------------- */

static void
one_image(struct run *r, uint64_t event, uint64_t seed)
{
	int rc = in_child(r, image_child, seed, r->o->keep && !r->quiet);

	if (rc == 0) {
		r->passed++;
		return;
	}
	r->failed++;
	if (!r->quiet)
		fprintf(stderr,
		    "-- image %u, behind event %" PRIu64 ": status %d\n",
		    r->passed + r->failed, event, rc);
	if (r->o->keep && !r->quiet)
		exit(1);
}

/* Does the store's last transaction change with this event? */
static bool
may_commit(const struct run *r, const struct journal_event *ev)
{
	return disk_is_meta(&r->disk, ev) || ev->kind == J_RENAME;
}

/*
 * What became of a write: a process that was killed may have left less than
 * it announced, and nothing else was ever there.
 */
static const struct journal_event *
truth(const struct run *r, const struct journal_event *ev, uint64_t at)
{
	const struct journal_event *next;

	while (ev->kind == J_WRITE && (next = journal_next(r->j, &at)) != NULL)
		if (next->file == ev->file && next->kind == J_WRITTEN)
			break;
		else if (next->file == ev->file && next->kind == J_SEEN)
			return next;
	return ev;
}

/* Go through the journal. */
static void
sweep_images(struct run *r)
{
	const struct journal_event *ev;
	uint64_t at = 0, k = 0;
	unsigned i = 0;

	while (i < r->npicks && (ev = journal_next(r->j, &at)) != NULL) {
		k++;
		disk_apply(&r->disk, truth(r, ev, at));
		if (may_commit(r, ev))
			note_txn(r);
		if (ev->kind == J_TOLD)
			r->told = ev->b;
		for (; i < r->npicks && r->pick[i] == k; i++) {
			one_image(r, k, (r->o->seed + i) * 2654435761u | 1);
			if (r->find && r->failed > 0)
				return;
		}
	}
}

static void
run_images(struct run *r, unsigned n)
{
	uint64_t rnd = (r->o->seed + 77) * 2654435761u | 1;

	ledger_read(&r->ledger, r->j);
	disk_init(&r->disk);
	choose_instants(r, n, &rnd);
	if ((r->txn = calloc(MAX_TXNS, sizeof(*r->txn))) == NULL)
		fatal("memory");
	r->answer = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->answer == MAP_FAILED)
		fatal("memory");
	sweep_images(r);
	r->removed = r->answer->removed;
	munmap(r->answer, 4096);
	free(r->txn);
	free(r->pick);
	disk_free(&r->disk);
	ledger_free(&r->ledger);
}

static bool
is_blind(const struct journal *j)
{
	const struct journal_event *ev;
	uint64_t at = 0;

	while ((ev = journal_next(j, &at)) != NULL)
		if (ev->kind == J_BLIND)
			return true;
	return false;
}

/* --- stories ----------------------------------------------------------- */

static struct journal *
new_journal(enum journal_plant plant)
{
	struct journal *j;

	j = mmap(NULL, JOURNAL_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (j == MAP_FAILED)
		fatal("memory for a journal");
	journal_init(j, JOURNAL_BYTES);
	j->plant = plant;
	return j;
}

static int
play(struct run *r, unsigned steps, uint64_t seed, struct story_counts *n)
{
	char dir[300];
	int rc;

	(void)snprintf(dir, sizeof(dir), "%s/story", r->dir);
	if (mkdir(dir, 0700) == -1 || chdir(dir) == -1)
		fatal("%s", dir);
	rc = story_play(r->j, seed, steps, n);
	if (chdir("/") == -1)
		fatal("/");
	remove_dir(dir);
	return rc;
}

static const char *
ok(bool good)
{
	return good ? "ok  " : "FAIL";
}

/* Of all that does not differ from run to run. */
static uint64_t
journal_hash(const struct journal *j)
{
	const struct journal_event *ev;
	uint64_t at = 0, h[5] = { 0 };

	while ((ev = journal_next(j, &at)) != NULL) {
		if (ev->kind == J_LIFE)
			continue;
		h[1] = ev->kind;
		h[2] = ev->a;
		h[3] = ev->b;
		h[4] = XXH3_64bits(journal_payload(ev), ev->len);
		h[0] = XXH3_64bits(h, sizeof(h));
	}
	return h[0];
}

/* The story as it should be; returns whether all images were right. */
static bool
honest(const struct options *o, const char *dir)
{
	struct run r = { .o = o };
	struct story_counts n;
	struct timespec a, b;
	bool good;

	(void)snprintf(r.dir, sizeof(r.dir), "%s", dir);
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	r.j = new_journal(PLANT_NONE);
	if (play(&r, o->steps, o->seed, &n) == -1 || atomic_load(&r.j->full) ||
	    is_blind(r.j)) {
		printf("FAIL the story could not be recorded\n");
		return false;
	}
	printf("     story: %u scribes, %u killed, %u new daemons; %u records, "
	       "%u messages, %u duplicates; %" PRIu64 " events, %" PRIu64
	       " MiB, hash %016" PRIx64 "\n",
	    n.lives, n.killed, n.restarts, n.told, n.stored, n.duplicates,
	    (uint64_t)atomic_load(&r.j->events),
	    (uint64_t)atomic_load(&r.j->end) >> 20, journal_hash(r.j));
	run_images(&r, o->images);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	good = r.failed == 0;
	printf("%s %u images of what a disk may hold: %u right, %u wrong "
	       "(%" PRIu64 " transactions, %" PRIu64
	       " messages removed in the end)\n",
	    ok(good), r.passed + r.failed, r.passed, r.failed,
	    (uint64_t)r.ntxns, r.removed);
	munmap(r.j, JOURNAL_BYTES);
	return good;
}

/* A planted fault; returns whether it was found. */
static bool
planted(const struct options *o, const char *dir, enum journal_plant plant)
{
	struct run r = { .o = o, .quiet = !o->verbose, .find = true };
	struct story_counts n;
	bool found;

	(void)snprintf(r.dir, sizeof(r.dir), "%s", dir);
	r.j = new_journal(plant);
	(void)play(&r, PLANT_STEPS, o->seed, &n);
	run_images(&r, PLANT_IMAGES);
	found = r.failed > 0;
	printf("%s planted: %s: %s after %u images\n", ok(found),
	    plant_name[plant], found ? "found" : "NOT found",
	    r.passed + r.failed);
	munmap(r.j, JOURNAL_BYTES);
	return found;
}

/* When the last of it happened. */
static uint64_t
last_ms(const struct journal *j)
{
	struct ledger l;
	uint64_t ms = 0;
	size_t i;

	ledger_read(&l, j);
	for (i = 0; i < l.n; i++)
		if (l.v[i].ix.time_ms > ms)
			ms = l.v[i].ix.time_ms;
	ledger_free(&l);
	return ms;
}

/* What a daemon did. */
static bool
recorded(const struct options *o, const char *dir)
{
	struct run r = { .o = o };
	bool good;

	(void)snprintf(r.dir, sizeof(r.dir), "%s", dir);
	if ((r.j = journal_map(o->journal)) == NULL)
		fatal("%s", o->journal);
	if (atomic_load(&r.j->full) || is_blind(r.j)) {
		printf("FAIL the daemon could not be recorded\n");
		return false;
	}
	story_clock(last_ms(r.j) + 1000);
	r.find = r.j->plant != PLANT_NONE;
	r.quiet = r.j->plant != PLANT_NONE && !o->verbose;
	run_images(&r, o->images);
	good = (r.failed == 0) == (r.j->plant == PLANT_NONE);
	printf("%s %u images of a daemon's disk, plant %s: %u right, %u "
	       "wrong\n",
	    ok(good), r.passed + r.failed, plant_name[r.j->plant], r.passed,
	    r.failed);
	return good;
}

/* --- main -------------------------------------------------------------- */

static void
usage(void)
{
	fprintf(stderr,
	    "usage: power [-kmv] [-n images] [-s seed] [-t steps]\n"
	    "             [-p number|all|none] [-j journal] [-d directory]\n");
	exit(2);
}

static void
parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:s:t:p:j:d:kmv")) != -1)
		switch (c) {
		case 'n':
			o->images = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			o->seed = strtoull(optarg, NULL, 10);
			break;
		case 't':
			o->steps = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			o->plant = optarg;
			break;
		case 'j':
			o->journal = optarg;
			break;
		case 'd':
			o->dir = optarg;
			break;
		case 'k':
			o->keep = true;
			break;
		case 'm':
			o->make = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		default:
			usage();
		}
	if (optind != argc)
		usage();
}

/* A file for a daemon to write into. */
static int
make_journal(const struct options *o)
{
	struct journal *j;

	if (o->journal == NULL)
		usage();
	if ((j = journal_make(o->journal, JOURNAL_BYTES)) == NULL)
		fatal("%s", o->journal);
	j->plant = (uint32_t)strtoul(o->plant, NULL, 10);
	return 0;
}

/*
 * LMDB leaves pointers in the unused parts of pages: the same seed makes the
 * same bytes only if memory is where it was.
 */
static void
same_addresses(char **argv)
{
	int was = personality(0xffffffff);

	if (was == -1 || (was & ADDR_NO_RANDOMIZE) != 0 ||
	    personality((unsigned long)was | ADDR_NO_RANDOMIZE) == -1)
		return;
	(void)execv("/proc/self/exe", argv);
}

int
main(int argc, char **argv)
{
	struct options o = { .images = 5000,
		.steps = 900,
		.seed = 1,
		.plant = "all",
		.dir = "/dev/shm" };
	unsigned passed = 0, failed = 0;
	char dir[200];
	int i;

	same_addresses(argv);
	parse(&o, argc, argv);
	if (o.make)
		return make_journal(&o);
	(void)signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	(void)snprintf(dir, sizeof(dir), "%s/chatd-power.XXXXXX", o.dir);
	if (mkdtemp(dir) == NULL)
		fatal("%s", dir);
	if (o.journal != NULL) {
		*(recorded(&o, dir) ? &passed : &failed) += 1;
	} else {
		printf("     seed %" PRIu64 ", %u images, %u steps\n", o.seed,
		    o.images, o.steps);
		if (o.images > 0)
			*(honest(&o, dir) ? &passed : &failed) += 1;
		for (i = PLANT_NONE + 1; i < PLANT__MAX; i++)
			if (strcmp(o.plant, "all") == 0 ||
			    strtol(o.plant, NULL, 10) == i)
				*(planted(&o, dir, (enum journal_plant)i)
					? &passed
					: &failed) += 1;
	}
	if (!o.keep || failed == 0)
		remove_dir(dir);
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0;
}
