/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "worker/wheel.h"

#include <string.h>

static void
wheel_link(struct wheel *wh, struct wheel_entry *e)
{
	struct wheel_entry **head;
	uint64_t tick;

	/* rounded up: a deadline never fires before its time */
	tick = (e->due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
	if (tick <= wh->now_tick)
		tick = wh->now_tick + 1;
	if (tick >= wh->now_tick + WHEEL_BUCKETS)
		tick = wh->now_tick + WHEEL_BUCKETS - 1;
	e->bucket_ms = tick * WHEEL_TICK_MS;
	head = &wh->bucket[tick % WHEEL_BUCKETS];
	if ((e->next = *head) != NULL)
		e->next->prev = &e->next;
	e->prev = head;
	*head = e;
}

static void
wheel_unlink(struct wheel_entry *e)
{
	if (e->prev == NULL)
		return;
	if ((*e->prev = e->next) != NULL)
		e->next->prev = e->prev;
	e->next = NULL;
	e->prev = NULL;
}

void
wheel_init(struct wheel *wh, uint64_t now_ms)
{
	memset(wh, 0, sizeof(*wh));
	wh->now_tick = now_ms / WHEEL_TICK_MS;
}

void
wheel_set(struct wheel *wh, struct wheel_entry *e, uint64_t due_ms)
{
	e->due_ms = due_ms;
	if (due_ms == 0) {
		wheel_unlink(e);
		return;
	}
	/* it comes up in time as it is, and is then put off */
	if (e->prev != NULL && e->bucket_ms <= due_ms)
		return;
	wheel_unlink(e);
	wheel_link(wh, e);
}

void
wheel_clear(struct wheel_entry *e)
{
	e->due_ms = 0;
	wheel_unlink(e);
}

void
wheel_run(struct wheel *wh, uint64_t now_ms, wheel_fn fn, void *arg)
{
	struct wheel_entry *e, **head;
	uint64_t until = now_ms / WHEEL_TICK_MS;

	/* after a long stop one round over all buckets is enough */
	if (until > wh->now_tick + WHEEL_BUCKETS)
		wh->now_tick = until - WHEEL_BUCKETS;
	while (wh->now_tick < until) {
		wh->now_tick++;
		head = &wh->bucket[wh->now_tick % WHEEL_BUCKETS];
		while ((e = *head) != NULL) {
			wheel_unlink(e);
			if (e->due_ms > now_ms)
				wheel_link(wh, e);
			else
				fn(arg, e);
		}
	}
}
