/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * journal - everything that happened to the store's files, in one order.
 *
 * It lies in memory that the processes share: scribes that live one after
 * the other append to it, and who wants to know what a disk may hold after a
 * loss of power reads it.  A write stands in it before it is made, what was
 * written behind it when it returned; so a process that was killed in
 * between leaves the one without the other.
 */

#ifndef TESTS_POWER_JOURNAL_H
#define TESTS_POWER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum journal_kind {
	/* a process begins */
	J_LIFE = 1,
	/* 'file' has the name in the payload from now on; a: it is new */
	J_NAME,
	/* a: offset, b: with O_DSYNC; the payload is what is to be written */
	J_WRITE,
	/* a: how much of the last J_WRITE was written; it has returned */
	J_WRITTEN,
	/* the last J_WRITE never returned; this is what stands there now */
	J_SEEN,
	J_FLUSH,
	J_FLUSHED,
	/* a: the file's new size */
	J_SIZE,
	/* the payload is both names, each with a NUL */
	J_RENAME,
	J_UNLINK,
	/* names in this directory have come to the disk */
	J_DIRSYNC,
	/* what is decided about position a; the payload is a struct ring_index
	 * and, if it is readable, the record */
	J_ITEM,
	/* everything below b has been told to the world */
	J_TOLD,
	/* a file was mapped to be written: that cannot be recorded */
	J_BLIND,
};

struct journal_event {
	uint32_t kind;
	/* bytes of payload behind it, padded to 8 */
	uint32_t len;
	uint64_t file;
	uint64_t a, b;
};

/* Faults that a checker has to find. */
enum journal_plant {
	PLANT_NONE,
	/* told before the commit has returned */
	PLANT_EARLY,
	/* fdatasync() does nothing */
	PLANT_NO_DATASYNC,
	/* the meta page is flushed before the pages that it refers to */
	PLANT_META_FIRST,
	/* MDB_NOSYNC, MDB_NOMETASYNC */
	PLANT_NOSYNC,
	PLANT_NOMETASYNC,
	/* a scribe that takes over flushes nothing before it tells */
	PLANT_NO_TAKEOVER_SYNC,
	/* the names of new files are not flushed */
	PLANT_NO_DIRSYNC,
	PLANT__MAX,
};

struct journal {
	uint64_t magic;
	uint64_t size;
	/* where the next event goes */
	_Atomic uint64_t end;
	_Atomic uint64_t events;
	uint32_t plant;
	/* something did not fit */
	_Atomic uint32_t full;
	/* die at this event, 0: never; 0 before it takes place, 1 in its
	 * middle, 2 before it returns, 3 before a flushing write does */
	uint64_t die_at;
	uint32_t die_how;
	uint32_t reserved;
	uint8_t data[];
};

/* Lay one out in memory that is zeroed. */
void journal_init(struct journal *j, size_t size);
/* Of another process, by its file; NULL with errno. */
struct journal *journal_map(const char *path);
/* Make such a file of so many bytes and map it; NULL with errno. */
struct journal *journal_make(const char *path, size_t size);

void journal_add(struct journal *j, enum journal_kind kind, uint64_t file,
    uint64_t a, uint64_t b, const void *p, size_t len);
/* In two parts, of which the second may be NULL. */
void journal_add2(struct journal *j, enum journal_kind kind, uint64_t file,
    uint64_t a, uint64_t b, const void *p, size_t len, const void *q,
    size_t qlen);

/* The event at *at, which is moved behind it; NULL at the end. */
const struct journal_event *journal_next(const struct journal *j, uint64_t *at);

static inline const uint8_t *
journal_payload(const struct journal_event *ev)
{
	return (const uint8_t *)(ev + 1);
}

/* record.c: what this process does goes into 'j' from now on; NULL: not. */
void record_to(struct journal *j);

#endif /* TESTS_POWER_JOURNAL_H */
