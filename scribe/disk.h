/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * disk - what a failure to write means, and the ballast.
 *
 * A disk that is full may say ENOSPC, EDQUOT or, when only a part of a write
 * fits, nothing better than EIO; so the file system is asked.
 *
 * The ballast is the file "db/ballast", whose blocks are given up when the
 * disk is full: what was taken before that can still be stored, and
 * retention can make space, because removing a message needs pages too.
 * The file itself stays, with no bytes: a process in its sandbox can open
 * nothing.
 */

#ifndef SCRIBE_DISK_H
#define SCRIBE_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* less than this is nothing */
#define DISK_LITTLE ((uint64_t)1 << 20)

struct disk_space {
	uint64_t total;
	/* for us */
	uint64_t free;
};

/* The file system of the store: 0, or -1 with errno. */
int disk_space(struct disk_space *space_r);

enum disk_fault {
	/* reading or writing fails */
	DISK_FAILS,
	/* there is no space left, or the quota is used up */
	DISK_FULL,
};

/* What an errno of the store means; *space_r: all zero if not known. */
enum disk_fault disk_fault(int err, struct disk_space *space_r);

struct ballast {
	/* -1: there is no such file */
	int fd;
	/* how much there is, and there should be (before the disk is asked) */
	uint64_t bytes;
	uint64_t wanted;
	/* given up because the disk was full; the rest is as it is */
	bool used;
	/* how often it was */
	uint64_t uses;
	/* not to be tried again before (CLOCK_MONOTONIC) */
	uint64_t next_ns;
	/* told that it cannot be had */
	bool told;
};

/*
 * Open the file before the sandbox, and have 'wanted' bytes in it, or a
 * hundredth of the disk if that is less.  That there is no space for it is
 * no error: it is tried again.
 */
void ballast_open(struct ballast *b, uint64_t wanted);
void ballast_close(struct ballast *b);
/* Another size from now on. */
void ballast_configure(struct ballast *b, uint64_t wanted);

/* The disk is full: give it up.  False: there was none. */
bool ballast_use(struct ballast *b);
/* Was it given up, and has not come back? */
bool ballast_used(const struct ballast *b);

/*
 * Make it again if the disk has space for it and as much again; at most now
 * and then.  True: it was used and is there again.
 */
bool ballast_turn(struct ballast *b, uint64_t now_ns);

#endif /* SCRIBE_DISK_H */
