/*
 * Goal: no wake-up is lost, whoever is killed or stopped at whatever step of it; with the daemon's
 * repeated wake even if it is the waker; and without it if nobody halts.
 * Method: each step is one operation on memory that others see. Memory is sequentially consistent,
 * as wake.h asks for where it matters. There is no time: nobody wakes by himself, so a sleeper
 * whose wake-up was lost sleeps at the end, and that is looked for.
 *
 *   sleeper  wait_published: sleep_slice: look, arm() (load, CAS), look again, futex_wait
 *   waker    publish, then wake_sleepers(): look, fetch_add, futex_wake_all, CAS that clears
 *   daemon   wake_everybody() at its start (server.cc), then repeat_wake(): every 470 ms in the code,
 *            by a thread that waits for nothing else (left_out_wakes.h); whenever there is something
 *            new here. Its flusher sleeps as a sleeper does, on a word of its own
 *
 * HALTS of the sleepers and wakers stop for ever at any step (killed or stopped is the same here);
 * the daemon is killed CRASHES times at any step, and started again.
 *
 * Abstractions
 *   - Records are a number, `published`. The epoch does not come round (wake.h argues that), so of
 *     a value that somebody remembers only this counts: has the word changed since?
 *   - futex_wait compares and falls asleep in one step, futex_wake_all wakes all in one step: that
 *     is what the kernel promises.
 *   - published_end() of the daemon is one load. The thread that repeats wakes never sleeps on a
 *     word.
 * SPDX-License-Identifier: MIT
 */
#ifndef SLEEPERS
#define SLEEPERS 2
#endif
#ifndef WAKERS
#define WAKERS 2
#endif
#ifndef RECORDS
#define RECORDS 1 /* of each waker */
#endif
#ifndef HALTS
#define HALTS 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef REPEAT
#define REPEAT 0
#endif

bool armed;      /* the word's lowest bit */
byte published;  /* records */
byte repeated;   /* wake_repeated */
bool asleep[SLEEPERS];
byte position[SLEEPERS]; /* the record that it waits for */
bool halted[SLEEPERS];
byte halts = HALTS, crashes = CRASHES;

/* The word has not changed since this one saw it or made it: sleepers, wakers, the daemon. */
bool same[SLEEPERS + WAKERS + 1];
hidden byte j;

#define WAKER(n) (SLEEPERS + (n))
#define DAEMON (SLEEPERS + WAKERS)
#define CHANGED_BY(me)                                                          \
  j = 0; do :: j <= DAEMON -> same[j] = false; j++ :: else -> j = 0; break od; \
  same[me] = true
#define WAKE_ALL j = 0; do :: j < SLEEPERS -> asleep[j] = false; j++ :: else -> j = 0; break od

#define OR_HALT(gone) :: atomic { halts > 0 -> halts--; gone; goto over }
#define OR_CRASH :: atomic { crashes > 0 -> crashes--; goto restart }

proctype sleeper(byte me) {
look:
  if
  :: atomic { published > position[me] -> position[me]++; goto look }
  :: published <= position[me]
  OR_HALT(halted[me] = true)
  fi;
arm:
  if :: same[me] = true OR_HALT(halted[me] = true) fi; /* the load */
  if
  :: atomic { !same[me] -> goto arm } /* the CAS fails */
#ifdef M_ARM_ONCE /* what is armed needs no change */
  :: atomic { same[me] && armed -> skip }
  :: atomic { same[me] && !armed -> armed = true; CHANGED_BY(me) }
#else
  :: atomic { same[me] -> armed = true; CHANGED_BY(me) }
#endif
  OR_HALT(halted[me] = true)
  fi;
#ifndef M_NO_LOOK_AFTER_ARM
  if
  :: atomic { published > position[me] -> same[me] = false; goto look }
  :: published <= position[me]
  OR_HALT(halted[me] = true)
  fi;
#endif
  atomic { asleep[me] = same[me]; same[me] = false }; /* futex_wait() */
  atomic { !asleep[me] -> goto look };
over:
  atomic { asleep[me] = false; same[me] = false }
}

#ifdef M_WAKE_SAME_EPOCH /* the waker wakes without changing the word */
#define CHANGE(me) same[me] = true
#else
#define CHANGE(me) CHANGED_BY(me)
#endif
#ifdef M_CLEAR_ANYWAY /* whatever the word is by now */
#define MAY_CLEAR(me) armed
#else
#define MAY_CLEAR(me) (armed && same[me])
#endif

#define WAKE_SLEEPERS(me, halt)                                                                  \
  if :: atomic { !armed -> goto woken } :: armed halt fi;                                        \
  if :: atomic { CHANGE(me) } halt fi;                                                           \
  if :: atomic { WAKE_ALL } halt fi;                                                             \
  if                                                                                             \
  :: atomic { if :: MAY_CLEAR(me) -> armed = false; CHANGED_BY(me) :: else fi; same[me] = false } \
  halt                                                                                           \
  fi

proctype waker(byte me) {
  byte k;

publish:
  if :: k == RECORDS -> goto over :: else fi;
#ifdef M_LOOK_BEFORE_TRUE /* whether somebody sleeps is asked before the record is published */
  if
  :: atomic { !armed -> goto unseen }
  :: armed
  OR_HALT(skip)
  fi;
#endif
  if :: published++ OR_HALT(skip) fi;
  WAKE_SLEEPERS(me, OR_HALT(skip));
woken:
  atomic { k++; goto publish };
#ifdef M_LOOK_BEFORE_TRUE
unseen:
  atomic { published++; goto woken };
#endif
over:
  atomic { k = 0; same[me] = false }
}

#if REPEAT
proctype daemon() {
  byte end;

restart:
  atomic { end = 0; same[DAEMON] = false };
#ifndef M_NO_WAKE_AT_START
  if :: atomic { CHANGED_BY(DAEMON); same[DAEMON] = false } OR_CRASH fi; /* wake_everybody() */
  if :: atomic { WAKE_ALL } OR_CRASH fi;
#endif
repeat:
  atomic { published != repeated -> end = published };
  if :: repeated = end OR_CRASH fi;
  WAKE_SLEEPERS(DAEMON, OR_CRASH);
woken:
  atomic { end = 0; goto repeat }
}
#endif

/* Once nobody can do anything any more, nobody sleeps who has something to read. */
proctype monitor() {
  byte i;

  atomic {
    timeout;
    do
    :: i < SLEEPERS -> assert(halted[i] || position[i] == published); i++
    :: else -> break
    od
  }
}

init {
  atomic {
    byte i;
    do :: i < SLEEPERS -> run sleeper(i); i++ :: else -> break od;
    i = 0;
    do :: i < WAKERS -> run waker(WAKER(i)); i++ :: else -> break od;
#if REPEAT
    run daemon();
#endif
    run monitor()
  }
}
