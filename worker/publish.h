/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * publish - events on their way into a ring, and who waits for them.
 *
 * An event that a socket waits for stands in a table until its verdict has
 * been delivered; its record is kept, so that it can be published again when
 * this worker was evicted and cannot know what became of it (all events may
 * be repeated: messages and joins are recognised).  What a full ring does
 * not take waits in a queue, in order; while that is long the worker stops
 * reading from those clients that want to publish more.
 */

#ifndef WORKER_PUBLISH_H
#define WORKER_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/chat.h"
#include "shm/record.h"
#include "shm/ring.h"

struct publisher;

#define PUBLISH_CTL UINT32_MAX

/* Who waits for an event: a session by number and serial, and chat's own
 * number of the request. */
struct publish_waiter {
	/* PUBLISH_CTL: no session's but chatctl's, with the id 'request' */
	uint32_t number;
	uint32_t serial;
	uint32_t request;
};

/* 'log' and 'live' stay the caller's.  NULL with errno ENOMEM. */
struct publisher *publisher_new(struct ring *log, struct ring *live,
    unsigned slot);
void publisher_free(struct publisher **p);

/*
 * Publish or queue.  'waiter' may be NULL.  An event that could never fit is
 * answered like one that the store refused.
 */
void publisher_put(struct publisher *p, const struct publish_waiter *waiter,
    const struct chat_event *ev, uint64_t now_ms);

/*
 * The rings that follow on these, or NULL: there are none.  Each is published
 * into as soon as the one before it turns out to be closed, and
 * publisher_leave() says that both are: the old ones are not touched again.
 */
void publisher_next(struct publisher *p, struct ring *log, struct ring *live);
void publisher_leave(struct publisher *p);

/* Try what is queued again; returns whether the queue is empty now. */
bool publisher_flush(struct publisher *p);

/* So much is queued that clients who publish must wait. */
bool publisher_congested(const struct publisher *p);
bool publisher_idle(const struct publisher *p);

/*
 * The verdict about this worker's record with the number 'id' is there:
 * takes the entry out.  False if nobody waits (any more, or twice).
 */
bool publisher_settle(struct publisher *p, uint32_t id,
    struct publish_waiter *waiter_r);

/*
 * Entries that waited in the queue for longer than PUBLISH_PATIENCE_MS, or
 * that the ring that is there now can never take, are taken out and handed
 * to 'fn': they were not published.
 */
#define PUBLISH_PATIENCE_MS 5000
typedef void (*publish_lost_fn)(void *arg, const struct chat_event *ev,
    const struct publish_waiter *waiter);
void publisher_expire(struct publisher *p, uint64_t now_ms, publish_lost_fn fn,
    void *arg);

/*
 * There is nobody who decides: messages that were published longer ago than
 * PUBLISH_PATIENCE_MS are handed to 'fn', too.  They may yet be stored; who
 * sends them again is told so.
 */
void publisher_abandon(struct publisher *p, uint64_t now_ms, publish_lost_fn fn,
    void *arg);

/*
 * This worker goes on reading at 'pos' after an eviction: what it published
 * below is published again.
 */
void publisher_again(struct publisher *p, uint64_t pos);

/* What happened since the last call. */
struct publish_counts {
	/* records that the log ring took, and how often it was full */
	uint64_t published, full;
};
void publisher_counts(struct publisher *p, struct publish_counts *counts_r);

/* How many wait for a verdict. */
size_t publisher_waiting(const struct publisher *p);

/*
 * Point 'ev' at the fields of a record that record_parse() accepted.
 * False for a type that is no event of the chat.
 */
bool publish_event(const struct record *rec, const struct record_field *fields,
    int n, struct chat_event *ev);

#endif /* WORKER_PUBLISH_H */
