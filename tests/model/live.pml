/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * live - consumers join while others raise free_seq.
 *
 * The live ring has no scribe: a producer that finds it, or its own arena,
 * full looks at all consumers, evicts laggards, and raises free_seq; a
 * consumer lets itself in.
 * ring_core_raise(), ring_core_join() and ring_core_publish() of
 * shm/ring_core.h with two slots, two producers and one consumer, which may
 * join several times.
 *
 * Holds: as long as the consumer is ACTIVE and has found its place, free_seq
 * is not above its cursor, and no slot from there on is used again; positions
 * are won without a hole; nobody waits for ever.
 *
 * Mutants (-D):
 *   JOIN_LATE    the consumer finds its place, then becomes ACTIVE
 *   JOIN_LOW     it stays where free_seq was before it became ACTIVE
 *   ONE_ROUND    it looks no further than one round from there
 *   RAISE_STORE  free_seq is raised by a plain store
 *   RAISE_FIRST  free_seq is raised before the eviction that allows it
 *   END_LATE     who raises looks for the end after looking for consumers
 */

#define SLOTS 2
#define JOINS 2

/* END_LATE: a number that is above all positions, until the end is known */
#ifdef END_LATE
#define SEEN_END 99
#else
#define SEEN_END pos
#endif

#define LAP(pos) ((pos) / SLOTS)
#define TAG(pos) tag[(pos) % SLOTS]
#define IS_ACTIVE(s) ((s) % 2 == 1)

/* shared memory */
byte tag[SLOTS];
byte free_seq;
byte state;		/* 2 * session, + 1 if ACTIVE */
byte cursor;

/* not seen by the program */
byte end;

proctype producer(byte todo)
{
	byte pos, f, w, min, v;
	bit asked;

next:	if
	:: todo == 0 -> goto out
	:: else -> todo--; asked = 0
	fi;

again:	atomic {
		f = free_seq;
		if
		:: pos < f -> pos = f
		:: else -> skip
		fi;
		if
		:: pos - f >= SLOTS -> goto raise
		/* its own arena is full, though the ring is not */
		:: pos - f < SLOTS && pos > f && !asked -> asked = 1; goto raise
		:: pos - f < SLOTS -> skip
		fi
	}
	atomic {
		w = TAG(pos);
		if
		:: w == LAP(pos) + 1 -> w = 0; pos++; goto again
		:: w == LAP(pos) -> w = 0
		:: else -> w = 0; goto odd
		fi
	}
	atomic {
		if
		:: TAG(pos) == LAP(pos) ->
			assert(pos == end);
			TAG(pos) = LAP(pos) + 1;
			end++;
			pos++;
			goto next
		:: else -> goto again
		fi
	}

odd:	/* a word of a later lap: then free_seq has moved, for else it would
	 * be damage and "repaired" */
	atomic { assert(pos < free_seq); goto again }

raise:	/* all below pos is published */
	atomic {
		v = state;
		min = SEEN_END;
		if
		:: !IS_ACTIVE(v) -> goto scanned
		:: else -> skip
		fi
	}
	atomic { min = (cursor < SEEN_END -> cursor : SEEN_END) }
	if
	:: true -> skip			/* let it be */
	:: atomic { min < pos -> w = 1 }	/* it is too far behind */
	fi;
	if
	:: w == 1 ->
#ifdef RAISE_FIRST
		free_seq = pos;
#endif
		atomic {
			w = 0;
			if
			:: state == v -> state = v - 1; min = SEEN_END
			:: else -> goto raise
			fi
		}
	:: else -> skip
	fi;

scanned:
#ifdef END_LATE
	atomic { min = (min < end -> min : end) }
#endif
	atomic {
		v = 0;
#ifdef RAISE_STORE
		if
		:: min > f -> goto store
		:: else -> skip
		fi;
#else
		if
		:: min > f && free_seq == f -> free_seq = min
		:: else -> skip
		fi;
#endif
		min = 0
	}
	/* nothing gained: wait until the consumer or another moved */
	free_seq > f || !IS_ACTIVE(state) || cursor > f || pos - f < SLOTS;
	goto again;

#ifdef RAISE_STORE
store:	atomic { free_seq = min; min = 0; goto again }
#endif

out:	skip
}

/* free_seq is not above the cursor of an ACTIVE consumer in its place */
#define PLACED assert(state != mine || free_seq <= pos)

proctype consumer()
{
	byte pos, mine, w, n;
#ifdef ONE_ROUND
	byte low;
#endif

join:	if
	:: n == JOINS -> goto out
	:: else -> n++
	fi;
	atomic {
#ifdef ONE_ROUND
		low = free_seq;
#endif
		pos = free_seq
	}
#ifdef JOIN_LATE
	do
	:: atomic { TAG(pos) != LAP(pos) -> pos++ }
	:: atomic { TAG(pos) == LAP(pos) -> break }
	od;
#endif
	cursor = pos;
	atomic { state = state - state % 2 + 3; mine = state }
#if !defined(JOIN_LATE) && !defined(JOIN_LOW)
	do
#ifdef ONE_ROUND
	:: atomic { pos - low >= SLOTS -> break }
	:: atomic { pos - low < SLOTS && TAG(pos) != LAP(pos) -> pos++ }
	:: atomic { pos - low < SLOTS && TAG(pos) == LAP(pos) -> break }
#else
	:: atomic { TAG(pos) != LAP(pos) -> pos++ }
	:: atomic { TAG(pos) == LAP(pos) ->
		if
		:: free_seq > pos -> pos = free_seq	/* overtaken */
		:: else -> break
		fi }
#endif
	od;
#endif
	cursor = pos;
	atomic { PLACED }

	do
	:: atomic { w = TAG(pos);
		if
		:: w == LAP(pos) -> w = 0
		:: w == LAP(pos) + 1 -> skip
		:: else ->
			/* it must have been evicted before */
			assert(state != mine);
			w = 0;
			break
		fi }
		if
		:: w != 0 ->
			/* here the record would be copied */
			atomic {
				w = 0;
				if
				:: state == mine -> pos++
				:: else -> break
				fi
			}
			cursor = pos;
			atomic { PLACED }
		:: else -> skip
		fi
	:: state != mine -> break
	:: atomic { state == mine -> state = state - 1; break } /* leaves */
	od;
	goto join;
out:	skip
}

init {
	atomic {
		run producer(3);
		run producer(3);
		run consumer()
	}
}
