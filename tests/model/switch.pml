/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * switch - one ring follows on another while everybody works.
 *
 * The log ring: two producers, the master that closes the old ring
 * (ring_core_close() of shm/ring_core.h), the scribe that may die between any
 * two steps (scribe/rings.c, scribe/commit.c), and a consumer that may be
 * evicted from either ring (worker/rings.c).  How a place is won, and how it
 * is used again, is in publish.pml and evict.pml: here a position of a ring
 * has a place of its own, but no more than SLOTS are in use.
 *
 * Holds: one order, in which each author's records are in its order, none
 * missing and none twice; in the next ring nothing is published before the
 * old one is closed, and everybody leaves the old one; the consumer delivers what the store has, in order;
 * what it reads is not used again; nobody waits for ever, be the ring full or
 * not; the scribe that starts finds out where it is.
 *
 * Mutants (-D):
 *   STEP_OVER    a producer steps over the end like over any record
 *   MOVE_EARLY   a producer goes to the next ring when it has it
 *   FULL_BLIND   who finds its arena full does not ask whether the ring is
 *                closed
 *   HAND_OVER    the scribe goes on in the next ring when the old is closed
 *   LEAVE_EARLY  it leaves the old ring before the store has the next
 *   RESUME_OLD   who starts does not look for the next ring in the store
 *   GATE_EARLY   it admits to the next ring before the old one is decided
 *   PASS_EARLY   the consumer goes on when the ring is closed, not at its end
 *   NO_SEAT      it takes its seat in the next ring when it comes there
 *   STAY_OUT     who is no consumer of the old ring waits to be let in there
 */

#define SLOTS 2
#define TOTAL 3		/* records, one producer's two and the other's */
#define PLACES (TOTAL + 1)
#define END 99

#define OUT 0
#define JOINING 1
#define ACTIVE 2

/* A record is its author's number and its own. */
#define REC(me, n) (16 * (me) + (n))

/* shared memory: [0] is the old ring, [1] the next */
typedef ring_t {
	byte place[PLACES];	/* 0: nothing */
	byte free_seq, durable;
	byte state, cursor, join_pos
};
ring_t r[2];
bit closed;
bit mapped;		/* everybody has both */

/* the store */
bit in_next;		/* which ring it names */
byte pos;
byte row[TOTAL];
byte rows;

/* not seen by the program */
byte last[2];		/* by author */
bit left;		/* nobody is given the old ring any more */
bit finished;
bit kill;
byte evictions = 1;

/* all records of the old ring: the rows below the next one's position 0 */
byte olds;

proctype producer(bit me; byte todo)
{
	byte n = 1, at, f, w;
	byte mine;	/* the arena may be used again from this free_seq on */
	bit g;

again:	if
	:: n > todo -> goto out
	:: else -> skip
	fi;
	if
	:: r[g].free_seq >= mine -> skip
#ifndef FULL_BLIND
	:: g == 0 && closed -> goto move
#endif
	fi;
#ifdef MOVE_EARLY
	if
	:: mapped && g == 0 -> g = 1; at = 0; mine = 0
	:: else -> skip
	fi;
#endif
	atomic {
		f = r[g].free_seq;
		if
		:: at < f -> at = f
		:: else -> skip
		fi
	}
	if
	:: at - f >= SLOTS -> r[g].free_seq > f; goto again
	:: else -> skip
	fi;
	atomic { w = r[g].place[at];
		if
		:: w == 0 -> skip
#ifdef STEP_OVER
		:: w != 0 -> w = 0; at++; goto again
#else
		:: w == END -> w = 0; goto move
		:: w != 0 && w != END -> w = 0; at++; goto again
#endif
		fi
	}
	atomic {
		if
		:: r[g].place[at] == 0 ->
			/* the old ring is closed, or this is the old ring */
			assert(g == 0 || olds != 0 || r[0].place[0] == END);
			r[g].place[at] = REC(me, n);
			n++; at++;
			mine = at
		:: else -> skip
		fi;
		goto again
	}
move:	atomic { assert(g == 0); g = 1; at = 0; f = 0; mine = 0; goto again }
out:	skip
}

/* The old ring's end is at the first empty place, if there is room. */
proctype master()
{
	byte at, f;

	mapped;
again:	atomic {
		f = r[0].free_seq;
		if
		:: at < f -> at = f
		:: else -> skip
		fi
	}
	if
	:: at - f >= SLOTS -> r[0].free_seq > f; goto again
	:: else -> skip
	fi;
	atomic {
		if
		:: r[0].place[at] == 0 -> r[0].place[at] = END; olds = at
		:: else -> at++; goto again
		fi
	}
	closed = 1
}

/* What is at 'next' goes to the store, and is durable then. */
inline sequence()
{
	atomic {
		r[g].place[next] != 0 && r[g].place[next] != END ->
		assert(r[g].place[next] % 16 == last[r[g].place[next] / 16] + 1);
		last[r[g].place[next] / 16]++;
		row[rows] = r[g].place[next];
		rows++;
		in_next = g;
		next++;
		pos = next;
		moving = 0
	}
	r[g].durable = next
}

/* The gate of a ring: one of these at a time. */
#define ADMIT(g) r[g].cursor = r[g].durable; \
	r[g].join_pos = r[g].durable; r[g].state = ACTIVE
#define LAGS(g) (r[g].state == ACTIVE && r[g].cursor < r[g].durable)
#define LOWEST(g) (r[g].state == ACTIVE && r[g].cursor < r[g].durable -> \
	r[g].cursor : r[g].durable)

proctype scribe()
{
	byte next;
	bit g, moving;

again:	{
		do
		:: sequence()
#ifdef HAND_OVER
		:: atomic { g == 0 && closed -> g = 1; next = 0; moving = 1 }
#else
		:: atomic { g == 0 && closed && r[0].place[next] == END ->
			assert(r[0].durable == next);
			g = 1; next = r[1].durable; moving = 1 }
#endif
		:: atomic { g == 1 && moving ->
			in_next = 1; pos = next; moving = 0 }
#ifdef LEAVE_EARLY
		:: atomic { g == 1 && !left -> left = 1 }
#else
		:: atomic { g == 1 && !moving && !left -> left = 1 }
#endif
		:: atomic { r[g].state == JOINING -> ADMIT(g) }
		:: atomic { LAGS(g) && evictions > 0 ->
			evictions--; r[g].state = OUT }
		:: atomic { LOWEST(g) > r[g].free_seq ->
			r[g].free_seq = LOWEST(g) }
#ifdef GATE_EARLY
		:: atomic { r[1].state == JOINING -> ADMIT(1) }
#endif
		:: finished && left -> goto out
		od
	} unless {
		atomic { kill -> kill = 0;
			/* the next one: which rings is it given, and where is
			 * the store? */
			moving = 0;
			if
			:: left -> assert(in_next); g = 1
#ifdef RESUME_OLD
			:: !left -> g = 0
#else
			:: !left -> g = in_next
#endif
			fi;
			next = (g == in_next && pos > r[g].durable ->
			    pos : r[g].durable)
		}
	};
	/* what was committed may not have been told */
	r[g].durable = next;
	goto again;
out:	skip
}

proctype killer()
{
	kill = 1
}

proctype consumer()
{
	byte at, got, s;
	bit g, joined;

	/* it reads the old ring from its beginning */
#ifndef NO_SEAT
	atomic { r[1].state = ACTIVE; r[1].cursor = 0; mapped = 1 }
#else
	mapped = 1;
#endif
	joined = 1;

	do
	:: got == TOTAL && g == 1 -> break
	/* a record that is durable */
	:: atomic { joined && r[g].state == ACTIVE && at < r[g].durable ->
		assert(r[g].free_seq <= at);
		assert(row[got] == r[g].place[at]);
		got++; at++ }
		atomic {
			if
			:: r[g].state == ACTIVE -> r[g].cursor = at
			:: else -> skip
			fi
		}
	/* from the old ring to the next */
#ifdef PASS_EARLY
	:: atomic { g == 0 && joined && r[0].state == ACTIVE && closed ->
		g = 1; at = 0 }
#else
	:: atomic { g == 0 && joined && r[0].state == ACTIVE &&
		r[0].place[at] == END -> g = 1; at = 0;
#ifdef NO_SEAT
		r[1].state = ACTIVE; r[1].cursor = 0
#endif
		}
#endif
#ifndef STAY_OUT
	:: atomic { g == 0 && r[0].state != ACTIVE && closed ->
		g = 1; joined = 0; r[1].state = JOINING }
#endif
	/* evicted; and let in again: the store has all that is below */
	:: atomic { r[g].state == OUT -> joined = 0; r[g].state = JOINING }
	:: atomic { !joined && r[g].state == ACTIVE ->
		at = r[g].join_pos;
		s = (g == 0 -> at : olds + at);
		assert(s <= rows && got <= s);
		got = s;
		s = 0;
		joined = 1 }
	od;
	finished = 1
}

init {
	atomic {
		r[0].state = ACTIVE;
		run producer(0, 2);
		run producer(1, 1);
		run master();
		run scribe();
		run consumer();
		run killer()
	}
}
