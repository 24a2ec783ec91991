/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * evict - a laggard is thrown out, refills from the store, and comes back.
 *
 * The log ring: a producer, the scribe with its gate (shm/ring_gate.c), which
 * may die between any two steps, and one consumer that may be evicted at any
 * time, in the middle of a copy as well.  Records have two words, so that a
 * copy can be torn.
 *
 * Holds: the consumer delivers every record, whole, in order, and none that
 * is not in the store; the scribe never decides about a record that is being
 * overwritten; nobody waits for ever.
 *
 * Mutants (-D):
 *   FREE_FIRST   free_seq is raised before the eviction that allows it
 *   NO_CHECK     the consumer does not look at its state after a copy
 *   CHECK_FIRST  it looks before the copy
 *   CURSOR_FIRST it moves its cursor before the copy
 *   SELF_ADMIT   it lets itself in, at what it saw durable
 *   ADMIT_FIRST  the scribe makes it ACTIVE, then sets its cursor
 *   NO_REFILL    what was missed is not fetched from the store
 *   EARLY        durable_seq is moved before the commit
 */

#define SLOTS 2
#define RECORDS 5
#define FREE 0
#define JOINING 1
#define ACTIVE 2
#define EVICTED 3

/* shared memory */
byte first[SLOTS], second[SLOTS];	/* a record: its position + 1, twice */
byte published, durable, free_seq;
byte state, cursor, join_pos;
/* the store has all below */
byte stored;

/* not seen by the program */
bit finished;
bit kill;

proctype producer()
{
	byte pos;

	do
	:: pos == RECORDS -> break
	:: pos < RECORDS && pos - free_seq < SLOTS ->
		first[pos % SLOTS] = pos + 1;
		second[pos % SLOTS] = pos + 1;
		atomic { pos++; published = pos }
	od
}

inline sequence()
{
	atomic {
		next < published ->
		assert(first[next % SLOTS] == next + 1);
		assert(second[next % SLOTS] == next + 1);
		next++
	}
#ifdef EARLY
	durable = next;
	stored = next
#else
	stored = next;
	durable = next
#endif
}

inline admit()
{
	state == JOINING;
#ifdef ADMIT_FIRST
	state = ACTIVE;
	cursor = next;
	join_pos = next
#else
	cursor = next;
	join_pos = next;
	state = ACTIVE
#endif
}

inline gate()
{
	min = next;
	if
	:: atomic { state == ACTIVE -> c = cursor }
		if
		:: c < min -> min = c
		:: c < min ->	/* it has to go */
#ifdef FREE_FIRST
			free_seq = next;
#endif
			atomic {
				if
				:: state == ACTIVE -> state = EVICTED
				:: else -> min = c
				fi
			}
		:: else -> skip
		fi
	:: state != ACTIVE -> skip
	fi;
	c = 0;
	if
	:: min > free_seq -> free_seq = min
	:: else -> skip
	fi;
	min = 0
}

proctype scribe()
{
	byte next, min, c;

again:	{
		do
		:: sequence()
		:: admit()
		:: gate()
		:: finished -> goto out
		od
	} unless {
		atomic { kill -> kill = 0; min = 0; c = 0; next = stored }
	};
	/* the next one resumes at what is stored */
	assert(durable <= next);
	durable = next;
	goto again;
out:	skip
}

proctype killer()
{
	kill = 1;
	kill == 0 || finished;
	kill = 1
}

inline deliver()
{
#ifdef CURSOR_FIRST
	cursor = want + 1;
#endif
#ifdef CHECK_FIRST
	ok = (state == ACTIVE);
#endif
	a = first[want % SLOTS];
	b = second[want % SLOTS];
#ifdef NO_CHECK
	ok = 1;
#else
#ifndef CHECK_FIRST
	ok = (state == ACTIVE);
#endif
#endif
	atomic {
		if
		:: ok ->
			assert(a == want + 1 && b == want + 1);
			assert(want < stored);
			want++
		:: else -> joined = 0
		fi;
		a = 0; b = 0
	}
#ifndef CURSOR_FIRST
	if
	:: ok -> cursor = want
	:: else -> skip
	fi;
#endif
	ok = 0
}

proctype consumer()
{
	byte want, a, b;
	bit joined, ok;

	do
	:: want == RECORDS -> break
	:: state == FREE || state == EVICTED ->
		joined = 0;
#ifdef SELF_ADMIT
		a = durable;
		cursor = a;
		join_pos = a;
		a = 0;
		state = ACTIVE
#else
		state = JOINING
#endif
	:: state == ACTIVE && !joined ->
		atomic {
#ifdef NO_REFILL
			assert(want == join_pos);
#endif
			assert(want <= join_pos && join_pos <= stored);
			want = join_pos;
			joined = 1
		}
	:: state == ACTIVE && joined && want < durable ->
		deliver()
	od;
	finished = 1
}

init {
	atomic {
		run producer();
		run scribe();
		run consumer();
		run killer()
	}
}
