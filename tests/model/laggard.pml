/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * laggard - several consumers of the live ring, and several who raise
 * free_seq at once.
 *
 * ring_core_raise() and ring_core_hold() of shm/ring_core.h with two slots,
 * two producers that find the ring full at the same time, and two consumers:
 * either may stand still at any place for ever, and is skipped then.  Who
 * joins is in live.pml.
 *
 * Holds: free_seq is not above the cursor of anybody who is ACTIVE, and only
 * grows; what an ACTIVE consumer has copied is what was published there;
 * positions are won without a hole; who stands still holds nobody up.
 *
 * Mutants (-D):
 *   FIRST_ONLY   who raises looks at the first consumer only
 *   RAISE_STORE  free_seq is raised by a plain store
 *   RAISE_FIRST  free_seq is raised before the eviction that allows it
 *   NO_SKIP      nobody is evicted
 *   NO_CHECK     the consumer does not look at its state after a copy
 */

#define SLOTS 2
#define RECORDS 2		/* of each producer */
#define TOTAL (2 * RECORDS)

#define LAP(pos) ((pos) / SLOTS)
#define TAG(pos) tag[(pos) % SLOTS]

#ifdef NO_SKIP
#define SKIP(c) false
#else
#define SKIP(c) ((c) + SLOTS <= pos)
#endif

/* The compare-and-swap of free_seq. */
#define RAISE \
	if \
	:: min > f && free_seq == f -> free_seq = min \
	:: else -> skip \
	fi

/* shared memory */
byte tag[SLOTS];
byte free_seq;
bit reads[2];
byte cursor[2];

/* not seen by the program */
byte end;

proctype producer()
{
	byte pos, f, min, c, n;

next:	if
	:: n == RECORDS -> goto out
	:: else -> n++
	fi;
again:	atomic {
		f = free_seq;
		if
		:: pos < f -> pos = f
		:: else -> skip
		fi;
		if
		:: pos - f >= SLOTS -> goto raise
		:: else -> skip
		fi
	}
	atomic {
		if
		:: TAG(pos) == LAP(pos) + 1 -> pos++; goto again
		:: TAG(pos) == LAP(pos) -> skip
		:: else -> assert(pos < free_seq); goto again
		fi
	}
	atomic {
		if
		:: TAG(pos) == LAP(pos) ->
			assert(pos == end);
			TAG(pos) = LAP(pos) + 1;
			end++; pos++;
			goto next
		:: else -> goto again
		fi
	}

raise:	/* all below pos is published; who has not read the oldest record of a
	 * full ring has to go */
	atomic { c = cursor[0];
		if
		:: !reads[0] -> c = pos
		:: else -> skip
		fi }
	if
	:: SKIP(c) ->
#ifdef RAISE_FIRST
		atomic { min = pos; RAISE };
#endif
		atomic { reads[0] = 0; c = pos }
	:: else -> skip
	fi;
	atomic { min = c; c = 0 }
#ifndef FIRST_ONLY
	atomic { c = cursor[1];
		if
		:: !reads[1] -> c = pos
		:: else -> skip
		fi }
	if
	:: SKIP(c) -> atomic { reads[1] = 0; c = pos }
	:: else -> skip
	fi;
	atomic { min = (c < min -> c : min); c = 0 }
#endif
#ifdef RAISE_STORE
	if
	:: min > f -> atomic { assert(min >= free_seq); free_seq = min }
	:: else -> skip
	fi;
#else
	atomic { RAISE };
#endif
	/* by us or by another: nobody has to wait */
	atomic { assert(free_seq > f); min = 0; goto again }
out:	skip
}

/* May stand still for ever at any place. */
proctype consumer(bit me)
{
	byte pos, w;

	do
	:: pos == TOTAL || !reads[me] -> break
	:: atomic { TAG(pos) == LAP(pos) + 1 && reads[me] -> w = 1 }
		/* here the record is copied, in two steps */
		atomic {
			w = 0;
#ifdef NO_CHECK
			assert(TAG(pos) == LAP(pos) + 1);
			pos++
#else
			if
			:: reads[me] ->
				assert(TAG(pos) == LAP(pos) + 1);
				assert(free_seq <= pos);
				pos++
			:: else -> break
			fi
#endif
		}
		atomic {
			if
			:: reads[me] -> cursor[me] = pos
			:: else -> break
			fi
		}
	:: true -> break	/* stands still */
	od
}

init {
	atomic {
		reads[0] = 1;
		reads[1] = 1;
		run producer();
		run producer();
		run consumer(0);
		run consumer(1)
	}
}
