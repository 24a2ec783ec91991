/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * users - the limit of connections while rows are added and freed.
 *
 * shm/user.c with one user (key 1), a window of two rows, two workers that
 * connect and disconnect, and the master that sweeps.  Each access to shared
 * memory is one step; the fences make the orders that matter sequentially
 * consistent, which is what Spin has anyway.
 *
 *	spin -a users.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan -m100000
 *
 * Holds: never more connections than the limit are let in; a connected
 * user's row is not freed under it.  Mutants (-D):
 *   NO_CHECK    the key is not looked at after counting
 *   NO_RECHECK  a row is freed without a second look at the counts
 *   NOT_SUMMED  rows that are being freed are not in the sum
 *   SUM_FIRST   the sum is made before the own count
 */

#define ROWS 2
#define LIMIT 1
#define KEY 1
#define DELETING 2
#define WORKERS 2

byte key[ROWS];
byte count[4];	/* worker * ROWS + row */
byte inside;	/* how many are let in; not seen by the program */

#define COUNT(w, r) count[(w) * ROWS + (r)]

/* row = lowest row with the key, adding it if there is none */
inline find_or_add(row)
{
	do
	:: atomic { key[0] == KEY -> row = 0 } break
	:: atomic { key[0] != KEY -> seen0 = key[0] }
	   if
	   :: atomic { key[1] == KEY -> row = 1 } break
	   :: atomic { key[1] != KEY -> seen1 = key[1] }
	      if
	      :: seen0 == 0 ->
		   if
		   :: atomic { key[0] == 0 -> key[0] = KEY; row = 0 } break
		   :: key[0] != 0 -> skip
		   fi
	      :: seen0 != 0 && seen1 == 0 ->
		   if
		   :: atomic { key[1] == 0 -> key[1] = KEY; row = 1 } break
		   :: key[1] != 0 -> skip
		   fi
	      :: seen0 != 0 && seen1 != 0 -> row = ROWS; break
	      fi
	   fi
	od
}

#ifdef NOT_SUMMED
#define COUNTS(k) (k == KEY)
#else
#define COUNTS(k) (k == KEY || k == DELETING)
#endif

inline add_up(sum)
{
	sum = 0;
	r = 0;
	do
	:: r < ROWS ->
	     if
	     :: COUNTS(key[r]) ->
		  sum = sum + COUNT(0, r);
		  sum = sum + COUNT(1, r)
	     :: else
	     fi;
	     r++
	:: else -> break
	od
}

proctype worker(byte me)
{
	byte row, sum, r, seen0, seen1, n;

	do
	:: n < 2 ->
	     n++;
	     find_or_add(row);
	     if
	     :: row == ROWS -> goto next
	     :: else
	     fi;
again:
#ifdef SUM_FIRST
	     add_up(sum);
	     sum = sum + 1;
#endif
	     COUNT(me, row) = COUNT(me, row) + 1;
	     /* fence */
#ifndef NO_CHECK
	     if
	     :: key[row] == KEY -> skip
	     :: else ->
		  COUNT(me, row) = COUNT(me, row) - 1;
		  find_or_add(row);
		  if
		  :: row == ROWS -> goto next
		  :: else -> goto again
		  fi
	     fi;
#endif
#ifndef SUM_FIRST
	     add_up(sum);
#endif
	     if
	     :: sum > LIMIT ->
		  COUNT(me, row) = COUNT(me, row) - 1;
		  goto next
	     :: else
	     fi;
	     atomic { inside++; assert(inside <= LIMIT) };
	     assert(key[row] == KEY || key[row] == DELETING);
	     inside--;
	     COUNT(me, row) = COUNT(me, row) - 1;
next:	     row = 0
	:: else -> break
	od
}

proctype sweeper()
{
	byte r, n;

	do
	:: n < 4 ->
	     r = n % ROWS;
	     n++;
	     if
	     :: key[r] == KEY && COUNT(0, r) == 0 && COUNT(1, r) == 0 ->
		  key[r] = DELETING;
		  /* fence */
#ifndef NO_RECHECK
		  if
		  :: COUNT(0, r) != 0 -> key[r] = KEY; goto next
		  :: else
		  fi;
		  if
		  :: COUNT(1, r) != 0 -> key[r] = KEY; goto next
		  :: else
		  fi;
#endif
		  key[r] = 0
	     :: else
	     fi;
next:	     skip
	:: else -> break
	od
}

init
{
	atomic {
		run worker(0);
		run worker(1);
		run sweeper()
	}
}
