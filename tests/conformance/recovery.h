/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * recovery - sockets that can be taken up again (wire page 4.8): who had
 * them, and the events that they were sent.
 *
 * In memory that all workers share, under one lock; a test program may.
 * A socket is held by one peer at a time, and taking it up again takes it
 * away from whoever still holds it; that one is told at its next event, or
 * asks.  Unlike the reference: one socket never lives twice, a client that
 * has seen no event yet can come back, too, and what is no longer in the log
 * is never passed over in silence.
 */

#ifndef CONFORMANCE_RECOVERY_H
#define CONFORMANCE_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/strbuf.h"
#include "proto/sio.h"
#include "proto/span.h"

/* An offset's text, terminated. */
#define RECOVERY_OFFSET 32
/* Ids are 20 characters. */
#define RECOVERY_ID 21

struct recovery;

/* An event; without offset when it is put in, with it when it comes out. */
struct recovery_event {
	const char *name;
	struct span args;
	const struct span *attachments;
	unsigned nattach;
};

/*
 * Memory for so many sockets; each has 'log_bytes' for the last of its
 * events.  A socket that nobody holds is kept for 'window_ms'.  Processes
 * that are forked later share it.  NULL with errno.
 */
struct recovery *recovery_new(unsigned sockets, size_t log_bytes,
    uint64_t window_ms);
void recovery_free(struct recovery **r);

/*
 * A new socket, held by 'holder' (any number that no other peer has).
 * Returns its row, or -1: all are held.  The row of one that is lost is
 * taken if there is no other.
 */
int recovery_open(struct recovery *r, uint64_t holder, const char *nsp,
    const char *sid, const char *pid, uint64_t now_ms);

/*
 * Keep an event that is about to be sent, and get its offset.  False if
 * somebody else holds the socket now: it must not be sent.
 */
bool recovery_put(struct recovery *r, int row, uint64_t holder,
    const struct recovery_event *ev, char offset_r[RECOVERY_OFFSET]);

bool recovery_is_held(struct recovery *r, int row, uint64_t holder);

/*
 * The holder is gone.  'lost': the socket is kept for the window; else it
 * has been left on purpose.  Nothing if somebody else holds it.
 */
void recovery_release(struct recovery *r, int row, uint64_t holder, bool lost,
    uint64_t now_ms);

/* Events that a socket has missed, copied. */
struct recovery_missed {
	struct strbuf bytes;
	size_t at;
	/* private: what the last event's spans point into */
	struct strbuf args;
	struct span attachments[SIO_ATTACHMENTS_MAX];
};

/*
 * Take the socket with this pid up again.  Returns its row with *sid_r and
 * what came behind 'offset' ("": everything since it was opened), or -1:
 * there is none of that pid and namespace, it was lost too long ago, or the
 * log does not reach back that far.
 */
int recovery_resume(struct recovery *r, uint64_t holder, const char *nsp,
    const char *pid, const char *offset, uint64_t now_ms,
    char sid_r[RECOVERY_ID], struct recovery_missed *missed_r);

/* The next one, its offset the last argument; valid until the next call. */
bool recovery_missed_next(struct recovery_missed *m,
    struct recovery_event *ev_r);
void recovery_missed_clear(struct recovery_missed *m);

#endif /* CONFORMANCE_RECOVERY_H */
