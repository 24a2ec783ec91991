/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * growth - what a long snapshot costs the store.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "clerk/clerk.h"

#define DATA_FILE "db/data.mdb"
#define GROWTH_MIN (256ULL << 20)

static uint64_t
file_bytes(void)
{
	struct stat st;

	/* the data directory is the current one */
	if (fstatat(AT_FDCWD, DATA_FILE, &st, 0) == -1)
		return 0;
	return (uint64_t)st.st_size;
}

void
growth_begin(const struct clerk *c, struct growth *g, uint64_t limit)
{
	g->began_bytes = c->offline ? 0 : file_bytes();
	g->limit_bytes = limit;
	if (limit != 0)
		return;
	g->limit_bytes = g->began_bytes / 5;
	if (g->limit_bytes < GROWTH_MIN)
		g->limit_bytes = GROWTH_MIN;
}

static bool
is_allowed(const struct clerk *c, const struct growth *g, uint64_t now)
{
	return c->offline || now <= g->began_bytes ||
	    now - g->began_bytes <= g->limit_bytes;
}

bool
growth_allowed(const struct clerk *c, const struct growth *g)
{
	return is_allowed(c, g, file_bytes());
}

int
growth_check(struct clerk *c, const struct growth *g)
{
	uint64_t now = c->offline ? 0 : file_bytes();

	if (is_allowed(c, g, now))
		return 0;
	return answer_failed(c,
	    "given up: the store has grown by %llu MiB since this began, "
	    "because nothing in it is used again meanwhile (at most %llu MiB "
	    "are allowed); try again when there is less to store",
	    (unsigned long long)(now - g->began_bytes) >> 20,
	    (unsigned long long)g->limit_bytes >> 20);
}

uint64_t
growth_parse(const char *text)
{
	unsigned long long n;
	unsigned shift = 0;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0 || end == text || text[0] < '0' || text[0] > '9')
		return 0;
	if (*end == 'k')
		shift = 10;
	else if (*end == 'm')
		shift = 20;
	else if (*end == 'g')
		shift = 30;
	if (end[shift != 0] != '\0' || n > UINT64_MAX >> 34)
		return 0;
	return (uint64_t)n << shift;
}
