/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * streams - the text of running streams, into the store once a second, so
 * that a daemon that starts anew finds it.
 *
 * Nothing is promised to anybody by these rows, so they come after all else:
 * a few ride along in each batch of messages, and what is left after a while
 * has a commit of its own, one a second at most.  A text that grows adds a
 * row, or makes the last one longer while it is small.
 *
 * A row goes when its stream is gone, or in the transaction that stores its
 * message (sequence.c).
 */

#ifndef SCRIBE_STREAMS_H
#define SCRIBE_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/tables.h"
#include "store/write.h"

struct streams_store;

/* Both must outlive it.  NULL with errno ENOMEM. */
struct streams_store *streams_store_new(const struct tables *t,
    struct store *s);
void streams_store_free(struct streams_store **ss);

/*
 * Some of what is to be written, into a batch that is written anyway.  Then,
 * before anything else is called: is it in the store?
 */
void streams_store_ride(void *ss, struct store_txn *t);
void streams_store_rode(void *ss, bool committed);

/*
 * Look at the streams when it is time, and write what nobody took along.  0,
 * or -1 with errno ENOTRECOVERABLE: only a new process can go on.
 */
int streams_store_turn(struct streams_store *ss, uint64_t now_ns,
    uint64_t now_ms);
/* Nobody writes any more, and we end: what runs has to be found again. */
void streams_store_stop(struct streams_store *ss, uint64_t now_ns,
    uint64_t now_ms);
/* When to come back. */
uint64_t streams_store_next(const struct streams_store *ss, uint64_t now_ns);

/* Rows put so far; pieces of text count as well. */
uint64_t streams_store_puts(const struct streams_store *ss);

#endif /* SCRIBE_STREAMS_H */
