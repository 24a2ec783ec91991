/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * disk - what files look like to processes, and what of it a disk may hold.
 *
 * The events of a journal are applied one after the other.  What was flushed
 * is there.  Of what was written since, each unit of 512 bytes may be there
 * in any version that it had since then, or may be missing; so may a change
 * of the file's size, and a name whose directory was not flushed.  A write
 * with O_DSYNC is flushed when it has returned, not before.
 */

#ifndef TESTS_POWER_DISK_H
#define TESTS_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/power/journal.h"

#define DISK_UNIT 512
#define DISK_FILES 8

/* One unit as it was after one write that has not been flushed. */
struct disk_version {
	uint32_t unit;
	/* the version before it, plus one; 0: what was flushed */
	uint32_t before;
	/* which write it was */
	uint32_t write;
	uint8_t b[DISK_UNIT];
};

struct disk_file {
	/* 0: this place is empty */
	uint64_t file;
	/* flushed, and as processes see it; each 'cap' bytes, units of it */
	uint8_t *flushed, *seen;
	size_t flushed_size, seen_size, cap;
	/* sizes since the last flush */
	size_t size[64];
	unsigned nsizes;
	struct disk_version *v;
	uint32_t nv, vcap;
	/* the newest version of each unit, plus one */
	uint32_t *newest;
	/* the write under way */
	uint64_t at;
	size_t len;
	bool writing;
	/* ordinal numbers of writes */
	uint32_t writes;
};

struct disk_name {
	char path[128];
	uint64_t file;
};

/* A change of names that has not been flushed: from (may be empty), to. */
struct disk_rename {
	char from[128], to[128];
	uint64_t file;
};

struct disk {
	struct disk_file f[DISK_FILES];
	/* flushed, and the changes since */
	struct disk_name name[DISK_FILES];
	struct disk_rename change[16];
	unsigned nchanges;
};

enum disk_how {
	/* exactly what was flushed; exactly what processes see */
	DISK_FLUSHED,
	DISK_SEEN,
	/* by chance, in one of many ways */
	DISK_CHANCE,
};

void disk_init(struct disk *d);
void disk_free(struct disk *d);

/* Does the event write a meta page of "data.mdb"? */
bool disk_is_meta(const struct disk *d, const struct journal_event *ev);

/* Apply one event.  A J_SEEN may be applied instead of its J_WRITE. */
void disk_apply(struct disk *d, const struct journal_event *ev);

/*
 * Make the files below the directory 'dir' (which is there) as a disk may
 * hold them now; 'rnd' decides and is changed.  0, or -1 with errno.
 */
int disk_image(const struct disk *d, enum disk_how how, uint64_t *rnd,
    const char *dir);

/* A few words about the last image that was made by chance. */
const char *disk_last_way(void);

#endif /* TESTS_POWER_DISK_H */
