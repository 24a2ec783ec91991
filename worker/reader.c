/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/reader.h"

#include <sys/queue.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/fault.h"
#include "common/log.h"

#define uthash_fatal(msg) fatalx("out of memory for a read")
#include <uthash.h>

/* the thread needs little, but a recovery row of many rooms is large */
#define STACK_BYTES (512 * 1024)
#define MS_PER_S 1000
/* what an answer is given at first */
#define MESSAGES_BYTES (32 * 1024)
#define OTHER_BYTES (4 * 1024)
#define NS_PER_MS 1000000

struct asker;

enum read_state {
	READ_WAITING,
	READ_SUBMITTED,
	READ_READY,
};

struct read {
	/* what the thread fills while it is SUBMITTED */
	struct read_answer answer;
	struct read_query q;
	/* nobody wants it any more: it need not be done */
	atomic_bool unwanted;
	/* the rest is the loop's: in reader->waiting or reader->ready */
	TAILQ_ENTRY(read) entry;
	LIST_ENTRY(read) of_asker;
	struct asker *asker;
	enum read_state state;
	/* since when it waits, or is READY */
	uint64_t since_ms;
	char text[];
};

TAILQ_HEAD(read_list, read);

struct asker {
	void *who;
	LIST_HEAD(, read) reads;
	UT_hash_handle hh;
};

/* One writes, one reads; it never holds more than READER_DEPTH. */
struct channel {
	struct read *slot[READER_DEPTH];
	_Alignas(64) atomic_uint head;
	_Alignas(64) atomic_uint tail;
};

struct reader {
	struct channel todo, done;
	sem_t work;
	atomic_bool stop;
	pthread_t thread;
	struct store *store;
	struct store_reader *sr;
	void (*wake)(void *arg);
	void *arg;
	/* the loop's */
	struct asker *askers;
	struct read_list waiting, ready;
	unsigned nsubmitted;
	size_t nwaiting, ready_bytes;
	/* when those that are submitted were asked, the oldest first */
	struct read *submitted[READER_DEPTH];
};

static void
channel_put(struct channel *c, struct read *rd)
{
	unsigned tail = atomic_load_explicit(&c->tail, memory_order_relaxed);

	c->slot[tail % READER_DEPTH] = rd;
	/* with wake_one() behind it, and reader_has_answers() behind
	 * wake_prepare(): one of the two sees the other */
	atomic_store(&c->tail, tail + 1);
}

static struct read *
channel_take(struct channel *c)
{
	unsigned head = atomic_load_explicit(&c->head, memory_order_relaxed);
	struct read *rd;

	if (head == atomic_load_explicit(&c->tail, memory_order_acquire))
		return NULL;
	rd = c->slot[head % READER_DEPTH];
	atomic_store_explicit(&c->head, head + 1, memory_order_release);
	return rd;
}

/* --- the thread -------------------------------------------------------------- */

static void *
reader_main(void *arg)
{
	struct reader *r = arg;
	struct read *rd;

	for (;;) {
		while (sem_wait(&r->work) == -1 && errno == EINTR)
			continue;
		if (atomic_load_explicit(&r->stop, memory_order_acquire))
			return NULL;
		if ((rd = channel_take(&r->todo)) == NULL)
			continue;
		FAULT(READER_TAKEN);
		if (!atomic_load_explicit(&rd->unwanted, memory_order_relaxed))
			reader_read(r->sr, &rd->q, &rd->answer);
		channel_put(&r->done, rd);
		FAULT(READER_DONE);
		r->wake(r->arg);
	}
}

/* Signals are the loop's, but for those that a thread causes itself. */
static int
start_thread(struct reader *r)
{
	static const int own[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT,
		SIGSYS, SIGTRAP };
	sigset_t block, before;
	pthread_attr_t attr;
	size_t i;
	int rc;

	sigfillset(&block);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&block, own[i]);
	pthread_sigmask(SIG_SETMASK, &block, &before);
	pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	rc = pthread_create(&r->thread, &attr, reader_main, r);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

struct reader *
reader_new(struct store **store, void (*wake)(void *arg), void *arg)
{
	struct reader *r;
	int rc;

	if ((r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63)) == NULL)
		return NULL;
	memset(r, 0, sizeof(*r));
	TAILQ_INIT(&r->waiting);
	TAILQ_INIT(&r->ready);
	r->wake = wake;
	r->arg = arg;
	/* an arena of the thread's own would be memory for each worker, and
	 * shrinking it opens a file, which the sandbox does not allow */
	(void)mallopt(M_ARENA_MAX, 1);
	if ((r->sr = store_reader_new(*store)) == NULL) {
		free(r);
		return NULL;
	}
	if (sem_init(&r->work, 0, 0) == -1 || (rc = start_thread(r)) != 0) {
		store_reader_free(&r->sr);
		free(r);
		errno = EAGAIN;
		return NULL;
	}
	r->store = *store;
	*store = NULL;
	return r;
}

/* --- askers and what they asked ------------------------------------------------ */

static struct asker *
asker_find(const struct reader *r, const void *who)
{
	struct asker *a;

	HASH_FIND_PTR(r->askers, &who, a);
	return a;
}

static struct asker *
asker_get(struct reader *r, void *who)
{
	struct asker *a = asker_find(r, who);

	if (a != NULL)
		return a;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		fatal("memory for a read");
	a->who = who;
	LIST_INIT(&a->reads);
	HASH_ADD_PTR(r->askers, who, a);
	return a;
}

static void
read_free(struct read *rd)
{
	free(rd->answer.bytes);
	free(rd);
}

/* Nobody asks for it any more. */
static void
read_detach(struct reader *r, struct read *rd)
{
	struct asker *a = rd->asker;

	rd->asker = NULL;
	LIST_REMOVE(rd, of_asker);
	if (!LIST_EMPTY(&a->reads))
		return;
	HASH_DEL(r->askers, a);
	free(a);
}

static void
read_forget(struct reader *r, struct read *rd)
{
	read_detach(r, rd);
	switch (rd->state) {
	case READ_WAITING:
		TAILQ_REMOVE(&r->waiting, rd, entry);
		r->nwaiting--;
		break;
	case READ_SUBMITTED:
		/* freed when it comes back */
		atomic_store_explicit(&rd->unwanted, true,
		    memory_order_relaxed);
		return;
	case READ_READY:
		TAILQ_REMOVE(&r->ready, rd, entry);
		r->ready_bytes -= rd->answer.size;
		break;
	}
	read_free(rd);
}

/* What it was given and did not need is given back. */
static void
shrink(struct read_answer *a)
{
	size_t len = a->len == 0 ? 1 : a->len;
	uint8_t *p;

	if (a->size > len && (p = realloc(a->bytes, len)) != NULL) {
		a->bytes = p;
		a->size = len;
	}
}

static void
read_ready(struct reader *r, struct read *rd, uint64_t now_ms)
{
	shrink(&rd->answer);
	rd->state = READ_READY;
	rd->since_ms = now_ms;
	TAILQ_INSERT_TAIL(&r->ready, rd, entry);
	r->ready_bytes += rd->answer.size;
}

/*
 * Most answers fit, so that the thread seldom needs malloc(), in whose lock
 * it could hold the loop up.
 */
static void
give_buffer(struct read_answer *a, enum read_kind kind)
{
	size_t size = kind == READ_SEEK ? 0
	    : kind == READ_MESSAGES	? MESSAGES_BYTES
					: OTHER_BYTES;

	if (size > 0 && (a->bytes = malloc(size)) != NULL)
		a->size = size;
}

static void
submit(struct reader *r)
{
	struct read *rd;

	while (r->nsubmitted < READER_DEPTH &&
	    r->ready_bytes < READER_READY_BYTES &&
	    (rd = TAILQ_FIRST(&r->waiting)) != NULL) {
		TAILQ_REMOVE(&r->waiting, rd, entry);
		r->nwaiting--;
		rd->state = READ_SUBMITTED;
		give_buffer(&rd->answer, rd->q.kind);
		r->submitted[r->nsubmitted++] = rd;
		channel_put(&r->todo, rd);
		FAULT(READER_TODO);
		sem_post(&r->work);
	}
}

static struct read *
read_new(struct reader *r, void *who, const struct read_query *q,
    uint64_t now_ms)
{
	struct read *rd = calloc(1, sizeof(*rd) + q->text.len);
	struct asker *a = asker_get(r, who);

	if (rd == NULL)
		fatal("memory for a read");
	rd->q = *q;
	if (q->text.len > 0)
		memcpy(rd->text, q->text.p, q->text.len);
	rd->q.text.p = rd->text;
	rd->asker = a;
	LIST_INSERT_HEAD(&a->reads, rd, of_asker);
	rd->since_ms = now_ms;
	return rd;
}

static bool
same_query(const struct read_query *a, const struct read_query *b)
{
	return a->backward == b->backward && a->from == b->from &&
	    a->offset == b->offset && a->count == b->count &&
	    a->bytes == b->bytes && a->extra == b->extra &&
	    a->text.len == b->text.len &&
	    (a->text.len == 0 ||
		memcmp(a->text.p, b->text.p, a->text.len) == 0);
}

const struct read_answer *
reader_ask(struct reader *r, void *asker, const struct read_query *q,
    uint64_t now_ms)
{
	const struct asker *a = asker_find(r, asker);
	struct read *rd = NULL;

	if (a != NULL) {
		LIST_FOREACH(rd, &a->reads, of_asker) {
			if (rd->q.kind == q->kind && rd->q.room == q->room)
				break;
		}
	}
	if (rd != NULL && same_query(&rd->q, q))
		return rd->state == READ_READY ? &rd->answer : NULL;
	if (rd != NULL)
		read_forget(r, rd);
	rd = read_new(r, asker, q, now_ms);
	TAILQ_INSERT_TAIL(&r->waiting, rd, entry);
	r->nwaiting++;
	submit(r);
	return NULL;
}

void
reader_taken(struct reader *r, const struct read_answer *a)
{
	uintptr_t p = (uintptr_t)a - offsetof(struct read, answer);
	struct read *rd = (struct read *)p;

	CHECK(rd->state == READ_READY);
	read_forget(r, rd);
	submit(r);
}

void
reader_forget(struct reader *r, const void *who)
{
	struct asker *a;

	while ((a = asker_find(r, who)) != NULL)
		read_forget(r, LIST_FIRST(&a->reads));
}

/* --- answers -------------------------------------------------------------------- */

bool
reader_has_answers(const struct reader *r)
{
	return atomic_load(&r->done.tail) !=
	    atomic_load_explicit(&r->done.head, memory_order_relaxed);
}

/* Tell who asked; that may ask again, or be gone when it returns. */
static void
notify(const struct read *rd)
{
	if (rd->q.notify != NULL && rd->asker->who != NULL)
		rd->q.notify(rd->asker->who);
}

void
reader_collect(struct reader *r, uint64_t now_ms)
{
	struct read *rd;
	unsigned i;

	while ((rd = channel_take(&r->done)) != NULL) {
		for (i = 0; r->submitted[i] != rd; i++)
			CHECK(i + 1 < r->nsubmitted);
		r->nsubmitted--;
		memmove(&r->submitted[i], &r->submitted[i + 1],
		    (r->nsubmitted - i) * sizeof(r->submitted[0]));
		if (rd->asker == NULL) {
			read_free(rd);
			continue;
		}
		FAULT(READER_COLLECT);
		read_ready(r, rd, now_ms);
		notify(rd);
	}
	submit(r);
}

/* The disk does not give it: an error instead, in the same place. */
static void
give_up(struct reader *r, struct read *rd, uint64_t now_ms)
{
	struct read *instead = read_new(r, rd->asker->who, &rd->q, now_ms);

	instead->answer.error = ETIMEDOUT;
	read_forget(r, rd);
	read_ready(r, instead, now_ms);
	notify(instead);
}

void
reader_tick(struct reader *r, uint64_t now_ms)
{
	struct read *rd;
	unsigned i;

	/* whoever does not take it does not hold up the others */
	while ((rd = TAILQ_FIRST(&r->ready)) != NULL &&
	    now_ms > rd->since_ms +
		    (r->ready_bytes < READER_READY_BYTES ? READER_PATIENCE_MS
							 : READER_CROWD_MS))
		read_forget(r, rd);
	submit(r);
	for (i = 0; i < r->nsubmitted; i++) {
		rd = r->submitted[i];
		if (rd->asker != NULL &&
		    now_ms > rd->since_ms + READER_PATIENCE_MS)
			give_up(r, rd, now_ms);
	}
	while ((rd = TAILQ_FIRST(&r->waiting)) != NULL &&
	    now_ms > rd->since_ms + READER_PATIENCE_MS)
		give_up(r, rd, now_ms);
}

size_t
reader_pending(const struct reader *r)
{
	return r->nwaiting + r->nsubmitted;
}

uint64_t
reader_oldest_ms(const struct reader *r)
{
	const struct read *rd = TAILQ_FIRST(&r->waiting);

	if (r->nsubmitted > 0)
		rd = r->submitted[0];
	return rd == NULL ? 0 : rd->since_ms;
}

/* --- the end -------------------------------------------------------------------- */

static bool
stop_thread(struct reader *r, unsigned ms)
{
	struct timespec until;

	atomic_store_explicit(&r->stop, true, memory_order_release);
	sem_post(&r->work);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / MS_PER_S;
	until.tv_nsec += (long)(ms % MS_PER_S) * NS_PER_MS;
	if (until.tv_nsec >= MS_PER_S * NS_PER_MS) {
		until.tv_nsec -= MS_PER_S * NS_PER_MS;
		until.tv_sec++;
	}
	return pthread_timedjoin_np(r->thread, NULL, &until) == 0;
}

void
reader_free(struct reader **rp, unsigned ms)
{
	struct reader *r = *rp;
	struct asker *a, *next;
	unsigned i;

	if (r == NULL)
		return;
	*rp = NULL;
	HASH_ITER(hh, r->askers, a, next) {
		reader_forget(r, a->who);
	}
	if (!stop_thread(r, ms)) {
		log_warn("a read of the store does not end");
		return;
	}
	for (i = 0; i < r->nsubmitted; i++)
		read_free(r->submitted[i]);
	sem_destroy(&r->work);
	store_reader_free(&r->sr);
	store_close(&r->store);
	free(r);
}
