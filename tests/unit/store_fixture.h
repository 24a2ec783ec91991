/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * store_fixture - a store in a directory of its own, for unit tests.
 *
 * The store lives below the current directory, so the test moves there and
 * back again.
 */

#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/write.h"

struct store_fixture {
	char dir[64];
	int old_dir;
	struct store *s;
};

/* Zeroes behind it, so that it also works for binary keys. */
static inline struct store_text
text(const char *s)
{
	struct store_text t = { s, strlen(s) };

	return t;
}

static inline int
store_fixture_rm(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	return remove(path);
}

/* 0 or -1. */
static inline int
store_fixture_enter(struct store_fixture *f)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(f->dir, sizeof(f->dir), "%s/chatd-store.XXXXXX",
	    tmp != NULL && strlen(tmp) < 32 ? tmp : "/tmp");
	if ((f->old_dir = open(".", O_RDONLY | O_DIRECTORY)) == -1 ||
	    mkdtemp(f->dir) == NULL || chdir(f->dir) == -1)
		return -1;
	return 0;
}

static inline int
store_fixture_leave(struct store_fixture *f)
{
	int rc = fchdir(f->old_dir);

	close(f->old_dir);
	if (nftw(f->dir, store_fixture_rm, 16, FTW_DEPTH | FTW_PHYS) == -1)
		rc = -1;
	return rc;
}

static inline int
store_fixture_open(struct store_fixture *f)
{
	const char *why;

	if (store_fixture_enter(f) == -1)
		return -1;
	if ((f->s = store_open(STORE_WRITE, &why)) == NULL) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	return 0;
}

static inline int
store_fixture_close(struct store_fixture *f)
{
	store_close(&f->s);
	return store_fixture_leave(f);
}

/* For cmocka: *state is the fixture. */
static inline int
store_fixture_setup(void **state)
{
	struct store_fixture *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	*state = f;
	return store_fixture_open(f);
}

static inline int
store_fixture_teardown(void **state)
{
	struct store_fixture *f = *state;
	int rc = store_fixture_close(f);

	free(f);
	return rc;
}

#endif /* TESTS_UNIT_STORE_FIXTURE_H */
