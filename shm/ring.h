/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * ring - many processes publish, all of them read the same order, no locks.
 *
 * A producer writes its record into its own arena, where nobody looks, and
 * publishes it with one compare-and-swap on a slot word.  There is no state
 * between "not published" and "published": a producer that is killed or
 * stopped anywhere delays nobody and leaves nothing to repair.  The position
 * won by the CAS is the record's global sequence number (gseq).
 *
 * The same code makes two kinds of ring:
 *
 *   RING_LOG   sequenced.  The scribe reads what is published, gives each
 *              record a verdict in the index, commits, and moves
 *              durable_seq; the others read up to durable_seq.  Only the
 *              scribe admits and evicts consumers and moves free_seq.
 *   RING_LIVE  unsequenced.  What is published is readable.  Whoever finds
 *              the ring full evicts laggards (more than 3/4 behind) and
 *              raises free_seq to the smallest cursor of an active consumer.
 *
 * Memory of one ring (offsets only; every hot variable has a line of 128
 * bytes of its own):
 *
 *   header | control lines | consumers | arena table | slot[N] | index[N]
 *          | room interest (log only) | arena 0 | arena 1 | ...
 *
 *   slot word   tag:32 | arena:8 | offset in 64-byte granules:24
 *   lap(n) = n >> log2_slots.  Slot n & (N-1) is empty for lap L when its
 *   tag is L, published in lap L when its tag is L+1.
 *
 * The argument, atomic by atomic, is in HACKING.md; tests/model/ checks it.
 */

#ifndef SHM_RING_H
#define SHM_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/wake.h"

#define RING_MAX_CONSUMERS 64
#define RING_MAX_ARENAS 80
/* the scribe's arena is the first */
#define RING_SCRIBE_ARENA 0
#define RING_GRANULE 64
/* no ring takes a longer record, whatever its arenas are */
#define RING_RECORD_LIMIT ((size_t)1 << 20)

enum ring_kind {
	RING_LOG,
	RING_LIVE,
};

struct ring_geometry {
	enum ring_kind kind;
	/* slots are 1 << log2_slots, from 6 (64 slots) to 24 */
	unsigned log2_slots;
	/* 1 .. RING_MAX_ARENAS; one a living worker, some to drain, scribe's */
	unsigned narenas;
	/* bytes of one arena, a multiple of RING_GRANULE, at most 1 GiB */
	size_t arena_bytes;
};

/* The state of a consumer, as itself sees it. */
enum ring_state {
	/* not a consumer (yet, or any more) */
	RING_FREE,
	/* asked to be admitted */
	RING_JOINING,
	/* reads; its cursor gates the reuse of slots and arenas */
	RING_ACTIVE,
	/* was too slow; must ring_join() again and refill from the store */
	RING_EVICTED,
	/* its process has been reaped */
	RING_DEAD,
};

enum ring_result {
	RING_OK,
	/* nothing (more) to read */
	RING_EMPTY,
	/* the consumer is not ACTIVE: what it copied is worthless */
	RING_GONE,
	/* slot or record make no sense: a scribbled word, a wrong checksum */
	RING_BAD,
};

/* What the scribe decided about a record. */
enum ring_verdict {
	/* not decided; never seen by a reader below durable_seq */
	RING_UNDECIDED,
	/* accepted and, where it is a stored event, stored */
	RING_STORED,
	/* the same message was stored before; seq and time are the first's */
	RING_DUPLICATE,
	/* the message id is another user's */
	RING_ID_TAKEN,
	/* the session has limits.members_per_session members */
	RING_SESSION_FULL,
	/* the store cannot take it now: tell the sender to retry */
	RING_STORE_UNAVAILABLE,
	/* the record made no sense, or is about what no longer exists */
	RING_REJECTED,
	/* there is no such message (any more) */
	RING_NOT_FOUND,
	/* it is somebody else's */
	RING_FORBIDDEN,
};

/*
 * The index entry of one position, 64 bytes, written by the scribe before
 * durable_seq passes it.
 */
struct ring_index {
	/* room number, 0 when there is none */
	uint64_t room;
	/* MESSAGE: seq.  JOIN: the room's last seq.  LEAVE: the sockets that
	 * the user still has in the room.  EDIT, DELETE: of the message.
	 * RECEIPT: what was read. */
	uint64_t seq;
	/* ms since the epoch, never running back within a room */
	uint64_t time_ms;
	/* user number */
	uint64_t user;
	/* JOIN: the room's last revision.  EDIT, DELETE, RECEIPT: the new */
	uint64_t revision;
	/* a copy of the slot word */
	uint64_t word;
	/* the record's type (shm/record.h), enum ring_verdict, and whose
	 * record it is: arena and the owner's incarnation */
	uint16_t type;
	uint8_t verdict;
	uint8_t arena;
	uint32_t incarnation;
	/* the record's length in bytes */
	uint32_t len;
	/* JOIN, LEAVE: the sockets that are in the room now; 0: not known */
	uint32_t members;
};

/* One process's view of a ring; opaque. */
struct ring;

/* --- master ------------------------------------------------------------ */

/* Bytes of shared memory for this geometry, or 0 if it is not acceptable. */
size_t ring_size(const struct ring_geometry *g);

/*
 * Lay out a ring in 'mem' (page-aligned, zeroed, ring_size(g) bytes).
 * 'base' is the first gseq, a multiple of the number of slots.  0 or -1
 * (EINVAL).
 */
int ring_create(void *mem, size_t size, const struct ring_geometry *g,
    const uint8_t ring_id[16], uint64_t base);
/* One that follows on another: 'run' is that one's ring_run(). */
int ring_create_next(void *mem, size_t size, const struct ring_geometry *g,
    const uint8_t ring_id[16], uint64_t base, uint64_t run);

/*
 * Attach to a ring; checks magic, ABI hash and sizes.  NULL with *why_r set
 * to a sentence.  'wake' may be NULL in tests.  The mapping stays the
 * caller's and must outlive the ring.
 */
struct ring *ring_attach(void *mem, size_t size, struct wake *wake,
    const char **why_r);
void ring_detach(struct ring **r);

/* A hash over the layout of everything in the ring: the ring's ABI. */
uint64_t ring_abi(void);
const uint8_t *ring_id(const struct ring *r);
uint64_t ring_base(const struct ring *r);
/* The base of the first of the rings that follow on each other: names the
 * daemon's run. */
uint64_t ring_run(const struct ring *r);
uint64_t ring_slots(const struct ring *r);
size_t ring_arena_bytes(const struct ring *r);
/* the longest record that ring_publish() takes, header included */
size_t ring_max_record(const struct ring *r);

/*
 * Give out an arena for the worker 'slot' of this incarnation, after
 * recycling those of the dead that have drained.  -1 (EAGAIN) if none is
 * free.  Master only (the scribe's arena is given out by ring_create).
 */
int ring_arena_take(struct ring *r, unsigned slot, uint32_t incarnation);

/*
 * The worker's process has been reaped: mark it DEAD, let its arena drain.
 * Returns the first position that it cannot have published: once the
 * scribe has passed it, everything the worker published is decided.
 */
uint64_t ring_worker_dead(struct ring *r, unsigned slot, unsigned arena);

/* The scribe's process has been reaped and a new one will take its arena. */
void ring_scribe_dead(struct ring *r);

/*
 * End the ring (see "From one ring to the next") at the first empty
 * position, which is *end_r, if that is not above 'base', where the next
 * ring begins.  -1 with errno: EAGAIN the ring is full, try again; ERANGE
 * it has come too far, make another with a higher base; EALREADY somebody
 * has done it.  Wakes nobody.
 */
int ring_close(struct ring *r, uint64_t base, uint64_t *end_r);

/* --- producers --------------------------------------------------------- */

/*
 * Produce from this arena from now on; the owner is (slot, incarnation) as
 * given to ring_arena_take().  A new scribe takes RING_SCRIBE_ARENA over
 * from a dead one: whatever its predecessor published is left alone until
 * it has drained.
 */
void ring_producer_init(struct ring *r, unsigned arena);

/*
 * Make what this process never writes read-only for it: header, arena
 * table, the index (unless 'arena' is the scribe's), and all arenas but its
 * own; leave the arenas out of core dumps.  Optional, after
 * ring_producer_init().  0, or -1 with errno.
 */
int ring_protect(struct ring *r, unsigned arena);

/*
 * A record published in the live ring wakes only those who said in the log
 * ring that they want its room.  Without this call it wakes all sleepers.
 * 'log' must outlive 'live'.
 */
void ring_follow_interest(struct ring *live, const struct ring *log);

/*
 * Publish one record: 'rec' begins with a struct record (shm/record.h),
 * 'len' is its whole length.  On success *gseq_r is its position and the
 * consumer that must act (scribe, or the live ring's workers) is woken.
 * -1 with errno EAGAIN: ring or arena are full, keep the record, call
 * ring_want_space() and try again when woken; ESHUTDOWN: the ring is closed,
 * publish in the next one; EMSGSIZE: can never fit; EINVAL: 'len' is not
 * what the record says.
 */
int ring_publish(struct ring *r, const void *rec, size_t len, uint64_t *gseq_r);

/* Ask to be woken when there is space again; RING_LOG. */
void ring_want_space(struct ring *r, unsigned slot);

/* --- consumers --------------------------------------------------------- */

/*
 * Ask to become a consumer (first time, and after RING_EVICTED).  RING_LOG:
 * becomes JOINING, the scribe admits it and wakes it.  RING_LIVE: is ACTIVE
 * on return.
 */
void ring_join(struct ring *r, unsigned slot, uint32_t incarnation);
/* Stop being a consumer in good order. */
void ring_quit(struct ring *r, unsigned slot);

enum ring_state ring_state(const struct ring *r, unsigned slot);
/* Where an ACTIVE consumer begins: everything below is in the store. */
uint64_t ring_join_pos(const struct ring *r, unsigned slot);

/*
 * How far one may read: RING_LOG durable_seq, RING_LIVE the end of what is
 * published as seen from 'cursor'.  Sequentially consistent: good for the
 * check between wake_prepare() and sleeping.
 */
uint64_t ring_limit(struct ring *r, uint64_t cursor);

/* The index entry of a position below the limit (RING_LOG). */
enum ring_result ring_peek(struct ring *r, unsigned slot, uint64_t gseq,
    struct ring_index *ix_r);

/*
 * Copy the record at 'gseq' into 'buf' and its length to *len_r.  The copy
 * is validated after it is made: RING_GONE if the consumer was evicted
 * meanwhile, RING_BAD if it makes no sense.  'buf' holds
 * ring_max_record() bytes and is 8-aligned.
 */
enum ring_result ring_read(struct ring *r, unsigned slot, uint64_t gseq,
    void *buf, size_t size, size_t *len_r);

/*
 * Everything below 'cursor' has been dealt with.  Always called before
 * going idle, or producers wait for ever.
 */
void ring_advance(struct ring *r, unsigned slot, uint64_t cursor);

/*
 * This worker wants to be woken for events of 'room' (on), or no more.
 * Set it before reading the position from which the room is followed.
 * Collisions of rooms are counted by the caller's process; RING_LOG.
 */
void ring_interest(struct ring *r, unsigned slot, uint64_t room, bool on);

/* --- the scribe (RING_LOG) --------------------------------------------- */

/*
 * Is there something to fetch at 'gseq'?  A scribbled slot counts, so that
 * it is met (RING_BAD) and not waited for.  Sequentially consistent.
 */
bool ring_published(const struct ring *r, uint64_t gseq);

/* As ring_read(), for the scribe, which is gated by itself. */
enum ring_result ring_fetch(struct ring *r, uint64_t gseq, void *buf,
    size_t size, size_t *len_r, struct ring_index *ix_r);

/* Write the index entry of 'gseq'; not yet visible. */
void ring_decide(struct ring *r, uint64_t gseq, const struct ring_index *ix);

/*
 * Everything below 'next' is decided and committed: make it readable.
 * Wakes the sleeping workers that are interested in a room of the batch
 * [from, next), own a record in it, or wait for space.
 */
void ring_durable(struct ring *r, uint64_t from, uint64_t next);
uint64_t ring_durable_seq(const struct ring *r);
uint64_t ring_free_seq(const struct ring *r);

/*
 * Admit who asks to join, evict laggards if space is wanted, recompute
 * free_seq, wake those who wait for space.  Called every turn, and every
 * ms while ring_space_wanted().  'now_ns' is CLOCK_MONOTONIC.  Returns how
 * many consumers were evicted.
 */
unsigned ring_gate(struct ring *r, uint64_t now_ns);
bool ring_space_wanted(const struct ring *r);
/* Is somebody JOINING?  Sequentially consistent. */
bool ring_join_wanted(const struct ring *r);

/* --- from one ring to the next ------------------------------------------ */

/*
 * A ring is replaced while everybody works.  The next one begins at a
 * position (its base) that is above all that the old one will come to;
 * everybody has attached to it, and each consumer has taken its seat, before
 * the old one is closed.  Closing is one compare-and-swap: what is published
 * is before it, and whoever wants to publish later is told ESHUTDOWN and
 * goes to the next.  Readers read the old ring to its end, then go on at the
 * base of the next; so the order is one, with a gap in its numbers.
 *
 *	master		make | send to all         | close
 *	worker		     | attach, seat, "yes" | ... end, go on at base
 *	scribe		     | attach, "yes"       | ... end, note the new
 *			     |                     |     ring in the store
 *
 * A consumer that is not ACTIVE in a closed ring simply joins the next.
 */

/*
 * Become a consumer of a ring in which nobody publishes yet, at its base.
 * Until the old ring is closed nobody else may use this one.
 */
void ring_seat(struct ring *r, unsigned slot, uint32_t incarnation);

/*
 * Whatever interest 'r' shows, 'next' shows as well, from now on and until
 * this is called with NULL.  'next' is fresh, or has mirrored before.
 */
void ring_mirror_interest(struct ring *r, unsigned slot, struct ring *next);

/* Has the ring been closed, and where?  A sleeper is woken after it. */
bool ring_closed(const struct ring *r, uint64_t *end_r);
/*
 * Does the ring end at 'cursor'?  Sequentially consistent, and the truth
 * itself: good for the check before sleeping, and to know that what comes
 * next is in the next ring.
 */
bool ring_ends_at(const struct ring *r, uint64_t cursor);

/* --- looking in (any process, chatctl ring) ---------------------------- */

struct ring_info {
	uint64_t base, end, durable, free;
	uint64_t slots, occupied;
	uint64_t published, full, evictions;
};

struct ring_consumer_info {
	enum ring_state state;
	uint32_t incarnation;
	uint64_t cursor;
	uint64_t lag;
};

void ring_info(struct ring *r, struct ring_info *info_r);
void ring_consumer_info(struct ring *r, unsigned slot,
    struct ring_consumer_info *info_r);

#endif /* SHM_RING_H */
