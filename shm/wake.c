/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "shm/wake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/fault.h"
#include "shm/wake_core.h"

/* The scribe's bit has a line of its own: every publication looks at it. */
struct wake_area {
	a_u64 workers;
	char pad0[A_LINE - sizeof(a_u64)];
	a_u64 scribe;
	char pad1[A_LINE - sizeof(a_u64)];
};

_Static_assert(sizeof(struct wake_area) == 2 * A_LINE, "two lines");
_Static_assert(WAKE_WORKERS == 64, "one bit a worker");

struct wake {
	struct wake_area *area;
	int efd[WAKE_CONSUMERS];
};

size_t
wake_size(void)
{
	return sizeof(struct wake_area);
}

struct wake *
wake_attach(void *mem, const int efd[WAKE_CONSUMERS])
{
	struct wake *w;

	CHECK((uintptr_t)mem % A_LINE == 0);
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->area = mem;
	memcpy(w->efd, efd, sizeof(w->efd));
	return w;
}

void
wake_detach(struct wake **w)
{
	free(*w);
	*w = NULL;
}

static a_u64 *
wake_word(struct wake *w, unsigned who, uint64_t *bit_r)
{
	CHECK(who < WAKE_CONSUMERS);
	if (who == WAKE_SCRIBE) {
		*bit_r = 1;
		return &w->area->scribe;
	}
	*bit_r = (uint64_t)1 << who;
	return &w->area->workers;
}

/* EAGAIN means that the counter is at its maximum, which wakes as well. */
static void
wake_signal(struct wake *w, unsigned who)
{
	static const uint64_t one = 1;
	int saved = errno;

	while (w->efd[who] != -1 &&
	    write(w->efd[who], &one, sizeof(one)) == -1 && errno == EINTR)
		continue;
	errno = saved;
}

bool
wake_one(struct wake *w, unsigned who)
{
	uint64_t bit;
	a_u64 *word = wake_word(w, who, &bit);

	if (wake_core_take(word, bit) == 0)
		return false;
	FAULT(WAKE_TAKEN);
	wake_signal(w, who);
	return true;
}

void
wake_workers(struct wake *w, uint64_t mask)
{
	uint64_t taken = wake_core_take(&w->area->workers, mask);

	for (; taken != 0; taken &= taken - 1) {
		FAULT(WAKE_TAKEN);
		wake_signal(w, (unsigned)__builtin_ctzll(taken));
	}
}

uint64_t
wake_sleepers(const struct wake *w)
{
	return A_LOAD(&w->area->workers, O_SLEEP_SEEN);
}

void
wake_prepare(struct wake *w, unsigned who)
{
	uint64_t bit;
	a_u64 *word = wake_word(w, who, &bit);

	wake_core_announce(word, bit);
	FAULT(SLEEP_SET);
}

/*
 * The eventfd is read even if nobody took the bit: a waker that stood still
 * between taking an earlier bit and writing may have written only now, and a
 * descriptor left readable would keep its owner from ever sleeping again.
 */
void
wake_cancel(struct wake *w, unsigned who)
{
	uint64_t bit, count;
	a_u64 *word = wake_word(w, who, &bit);
	int saved = errno;

	wake_core_retract(word, bit);
	while (w->efd[who] != -1 &&
	    read(w->efd[who], &count, sizeof(count)) == -1 && errno == EINTR)
		continue;
	errno = saved;
}

void
wake_kick_all(struct wake *w)
{
	unsigned who;

	(void)A_SWAP(&w->area->workers, 0, O_SLEEP_TAKE);
	(void)A_SWAP(&w->area->scribe, 0, O_SLEEP_TAKE);
	for (who = 0; who < WAKE_CONSUMERS; who++)
		wake_signal(w, who);
}
