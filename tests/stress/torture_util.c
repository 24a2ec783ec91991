/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/record.h"
#include "tests/stress/torture.h"

void
torture_fail(const struct torture *t, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "[%d] WRONG: %s\n", (int)getpid(), line);
	t->board->errors++;
	_exit(9);
}

uint64_t
torture_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
torture_mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 29;
}

unsigned
torture_tick(const struct torture *t)
{
	return t->calm ? TORTURE_CALM_TICK_MS : TORTURE_TICK_MS;
}

struct wake *
torture_wake(const struct torture *t)
{
	struct wake *w = wake_attach(t->wake_mem, t->efd);

	if (w == NULL)
		torture_fail(t, "wake_attach: %s", strerror(errno));
	return w;
}

struct ring *
torture_attach(const struct torture *t, void *mem, size_t size,
    struct wake *wake)
{
	const char *why;
	struct ring *r = ring_attach(mem, size, wake, &why);

	if (r == NULL)
		torture_fail(t, "ring_attach: %s", why);
	return r;
}

bool
torture_sleep(const struct torture *t, unsigned who, unsigned ms)
{
	struct pollfd p = { t->efd[who], POLLIN, 0 };

	t->board->slept++;
	return poll(&p, 1, (int)ms) == 1;
}

bool
torture_block(const struct torture *t, _Atomic uint64_t *blocks,
    uint64_t number, uint64_t hash)
{
	_Atomic uint64_t *p = &blocks[number % TORTURE_BLOCKS];
	uint64_t mine = (number + 1) << 40 | hash >> 24, was = *p;

	while (was >> 40 != mine >> 40) {
		/* 24 bits of the number: enough to tell rounds apart */
		if (atomic_compare_exchange_weak(p, &was, mine))
			return false;
	}
	if (was != mine)
		torture_fail(t, "block %llu differs between readers",
		    (unsigned long long)number);
	return true;
}

size_t
torture_record(void *buf, size_t size, unsigned type, uint64_t room,
    uint32_t incarnation, uint64_t counter, uint32_t request, size_t extra)
{
	static char body[1 << 20];
	struct record h = { .type = (uint16_t)type,
		.room = room,
		.user = counter,
		.client = incarnation,
		.request = request,
		.received_ns = torture_now() };
	struct record_field f[3] = { { "id", 2 }, { "sid", 3 }, { body, 0 } };

	f[2].len = (uint32_t)extra;
	memset(body, (int)(counter & 0xff), extra);
	return record_build(buf, size, &h, f, 3);
}

void
torture_max(_Atomic uint64_t *p, uint64_t value)
{
	uint64_t was = *p;

	while (was < value && !atomic_compare_exchange_weak(p, &was, value))
		continue;
}
