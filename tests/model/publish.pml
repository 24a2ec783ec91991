/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * publish - one CAS publishes; producers die anywhere.
 *
 * ring_core_publish() of shm/ring_core.h with two slots, two producers with
 * one-record arenas, the scribe, and a vandal that writes nonsense into the
 * hint.  Each access to shared memory is one step (an "atomic" with what the
 * process then makes of it by itself).  A producer may die between any two
 * steps; the master then lets its arena drain and starts another in it.
 *
 * Holds: positions are won without a hole; the scribe finds each record
 * whole, each author's in its order, and all whose CAS succeeded; nobody
 * waits for ever.
 *
 * Mutants (-D):
 *   NO_CLAMP    a position below free_seq is not moved up to it
 *   NO_CAS      the slot is written with a plain store
 *   BELIEVE     the hint is believed without a look at the slot before it
 *   EARLY_FREE  free_seq is raised before the record has been read
 *   NO_WAIT     an arena is used again without waiting for free_seq
 *   NO_DRAIN    a dead producer's arena is given away at once
 *   REPAIR      a word of a later lap is taken for damage
 */

#define SLOTS 2
#define RECORDS 3	/* each author publishes so many, or dies */
#define LAP(pos) ((pos) / SLOTS)

/* shared memory */
byte tag[SLOTS];	/* lap: empty; lap + 1: published */
bit who[SLOTS];
byte free_seq;
byte hint;
byte arena[2];		/* the record there; 0: half of one */

/* not seen by the program */
byte end;		/* so many positions are won */
byte won[2];		/* the author's published records */
byte seen[2];		/* those of them that the scribe has seen */
byte running = 2;

/* what a compare-and-swap at the slot of 'pos' leads to */
inline claim()
{
	if
#ifdef NO_CAS
	:: true ->
#else
	:: tag[pos % SLOTS] == LAP(pos) ->
		assert(pos == end);	/* no hole, no second owner */
#endif
		tag[pos % SLOTS] = LAP(pos) + 1;
		who[pos % SLOTS] = me;
		end++;
		won[me]++;
		goto won_it
#ifndef NO_CAS
	:: else -> w = tag[pos % SLOTS]
#endif
	fi
}

proctype producer(bit me)
{
	byte pos, f, w;
	byte mine;	/* the arena may be used again from this free_seq on */
	byte todo = RECORDS;
	bit died;

next:	if
	:: todo == 0 -> goto done
	:: else -> todo--
	fi;
#ifndef NO_WAIT
	free_seq >= mine;
#endif
	arena[me] = 0;
	arena[me] = won[me] + 1;

again:	atomic {
		f = free_seq;
#ifndef NO_CLAMP
		if
		:: pos < f -> pos = f
		:: else -> skip
		fi;
#endif
		if	/* the difference is unsigned */
		:: pos < f || pos - f >= SLOTS -> goto is_full
		:: else -> skip
		fi
	}
	atomic {
		w = tag[pos % SLOTS];
		if
		:: w == LAP(pos) + 1 -> pos++; goto ask
		:: w == LAP(pos) -> skip
		:: else -> goto odd
		fi
	}
	if
	:: !died && me == 0 -> goto dead
	:: atomic {
		claim();
		if
		:: w == LAP(pos) + 1 -> pos++; goto ask
		:: else -> skip
		fi
	   }
	fi;

odd:	/* neither empty nor published: of a later lap, or damaged */
	atomic { w = tag[pos % SLOTS] }
	atomic {
#ifndef REPAIR
		f = free_seq;
#endif
		/* nothing is damaged in this model */
		assert(w == LAP(pos) || w == LAP(pos) + 1 || pos < f)
	}

ask:	/* now and then the hint is asked */
	if
	:: atomic { w = 0; goto again }
	:: atomic {
		w = hint;
		if
		:: w > pos && w - f <= SLOTS ->
#ifdef BELIEVE
			pos = w; w = 0; goto again
#else
			skip
#endif
		:: else -> w = 0; goto again
		fi
	   }
	fi;
	atomic {
		if
		:: tag[(w - 1) % SLOTS] == LAP(w - 1) + 1 -> pos = w
		:: else -> skip
		fi;
		w = 0;
		goto again
	}

is_full: atomic { free_seq > f -> w = 0; goto again }

won_it:	atomic { w = 0; f = 0; pos++; mine = pos }
	/* the hint is moved now and then */
	if
	:: !died && me == 0 -> goto dead
	:: hint = pos
	:: skip
	fi;
	goto next;

dead:	/* kill -9, waitpid: the master looks for the end of what is
	 * published, and the arena is another's from there on */
	atomic {
		died = 1;
		pos = 0; f = 0; w = 0;
#ifdef NO_DRAIN
		mine = 0;
#else
		mine = end;
#endif
		goto next
	}

done:	running--
}

proctype scribe()
{
	byte n;
	bit me;

	do
	:: atomic { tag[n % SLOTS] == LAP(n) + 1 -> me = who[n % SLOTS] }
#ifdef EARLY_FREE
		free_seq = n + 1;
#endif
		atomic {
			/* whole, and in its author's order */
			assert(arena[me] == seen[me] + 1);
			seen[me]++;
			n++
		}
		free_seq = n
	:: tag[n % SLOTS] > LAP(n) + 1 -> assert(0)	/* overtaken */
	:: atomic { running == 0 && tag[n % SLOTS] == LAP(n) -> break }
	od;
	assert(seen[0] == won[0] && seen[1] == won[1] && n == end)
}

proctype vandal()
{
	if
	:: hint = 0
	:: hint = 1
	:: hint = 2
	:: hint = 3
	:: hint = 255
	:: skip
	fi
}

init {
	atomic {
		run producer(0);
		run producer(1);
		run scribe();
		run vandal()
	}
}
