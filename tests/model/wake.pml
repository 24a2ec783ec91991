/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * wake - no wake-up is lost, though wakers die.
 *
 * shm/wake_core.h and its users: two processes that make work and wake, one
 * that sleeps when it finds none, the master that kicks after a death.  The
 * sleeper's announcement may be given to a store buffer, as a processor has
 * it, from which it reaches the others later: a plain store does that, the
 * atomic read-modify-write of the real code empties the buffer instead.
 *
 * Holds: whoever sleeps while there is work is woken.
 *
 * Mutants (-D):
 *   PLAIN_STORE  the announcement is a plain store
 *   NO_RECHECK   no look for work between the announcement and sleeping
 *   LOOK_FIRST   the last look for work is before the announcement
 *   NO_KICK      the master does not kick after a death
 *   WAKE_FIRST   the waker looks for sleepers before it makes the work
 *   WRITE_FIRST  the waker writes the eventfd, then takes the bit
 */

#define MAKERS 2
#define ITEMS 2		/* of each maker */

/* shared memory, and the eventfd */
byte work;
bit asleep;
byte eventfd;

/* the sleeper's store buffer */
bit buffered;

/* not seen by the program */
byte done;
byte deaths;
byte living = MAKERS;

/* wake_one(); the waker may die with the bit in its hands */
inline wake()
{
	if
#ifdef WRITE_FIRST
	:: asleep -> eventfd = 1; asleep = 0
#else
	:: asleep -> atomic { taken = asleep; asleep = 0 }
		if
		:: taken -> eventfd = 1
		:: taken -> deaths++; goto dead
		:: !taken -> skip
		fi;
		taken = 0
#endif
	:: !asleep -> skip
	fi
}

proctype maker()
{
	bit taken;
	byte n;

	do
	:: n < ITEMS ->
		n++;
#ifdef WAKE_FIRST
		wake();
		work++
#else
		work++;
		wake()
#endif
	:: n == ITEMS -> break
	od;
dead:	living--
}

proctype master()
{
end:	do
	:: atomic {
		deaths > 0 -> deaths--;
#ifndef NO_KICK
		asleep = 0;
		eventfd = 1
#endif
	   }
	od
}

proctype store_buffer()
{
end:	do
	:: atomic { buffered -> asleep = 1; buffered = 0 }
	od
}

inline block()
{
	if
	:: atomic { eventfd > 0 -> eventfd = 0 }
	:: atomic { living == 0 && deaths == 0 && eventfd == 0 && !buffered ->
		assert(done == work);	/* nobody is left to wake us */
		goto out }
	fi
}

proctype sleeper()
{
	do
	:: done < work -> done++
	:: done == work ->
#ifdef LOOK_FIRST
		if
		:: done < work -> goto awake
		:: done == work -> skip
		fi;
#endif
#ifdef PLAIN_STORE
		buffered = 1;
#else
		asleep = 1;	/* nothing can be in the buffer then */
#endif
#if !defined(NO_RECHECK) && !defined(LOOK_FIRST)
		if
		:: done < work -> goto awake
		:: done == work -> skip
		fi;
#endif
		block();
awake:		atomic { buffered = 0; asleep = 0 }
	od;
out:	skip
}

init {
	atomic {
		run maker();
		run maker();
		run sleeper();
		run master();
		run store_buffer()
	}
}
