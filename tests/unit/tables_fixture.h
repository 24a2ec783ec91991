/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * tables_fixture - small tables for the tests of what lies in them.
 */

#ifndef TESTS_UNIT_TABLES_FIXTURE_H
#define TESTS_UNIT_TABLES_FIXTURE_H

#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "shm/iobuf.h"
#include "shm/tables.h"

/* 200 clients, 1,024 user rows, two slabs and a bit of everything else. */
static inline struct tables_geometry
small_geometry(void)
{
	return (struct tables_geometry){
		.max_clients = 200,
		.users = 1024,
		.addresses = 64,
		.read_bytes = 8192,
		.encode_bytes = 8192,
		.chunk_bytes = 2 * IOBUF_SLAB,
		.stream_bytes = 4 << 20,
	};
}

static inline int
small_tables_setup(void **state)
{
	const struct tables_geometry g = small_geometry();
	const char *why;

	*state = tables_create(&g, &why);
	return *state == NULL ? -1 : 0;
}

static inline int
small_tables_teardown(void **state)
{
	struct tables *t = *state;

	tables_free(&t);
	return 0;
}

/* A second view of the same tables, as another process has it. */
static inline struct tables *
small_tables_again(const struct tables *t)
{
	int fd = fcntl(t->seg.fd, F_DUPFD_CLOEXEC, 0);
	const char *why;

	return tables_attach(fd, &why);
}

/* Bytes of memory behind the descriptor. */
static inline size_t
backed_bytes(int fd)
{
	struct stat st;

	return fstat(fd, &st) == -1 ? 0 : (size_t)st.st_blocks * 512;
}

/* What /proc says about the mapping of 'mem': KiB touched, and its flags. */
static inline long
smaps(const void *mem, char flags[256])
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long from, to;
	char line[512];
	long rss = -1;
	int here = 0;

	flags[0] = '\0';
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (unsigned long)mem >= from &&
			    (unsigned long)mem < to;
		else if (here && strncmp(line, "Rss:", 4) == 0)
			(void)sscanf(line, "Rss: %ld", &rss);
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			(void)strlcpy(flags, line + 8, 256);
	}
	if (f != NULL)
		(void)fclose(f);
	return rss;
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, small_tables_setup, \
	    small_tables_teardown)

#endif /* TESTS_UNIT_TABLES_FIXTURE_H */
