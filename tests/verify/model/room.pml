/*
 * Goal: who waits for room gets it, and who waits for the daemon to notice does not wait for ever:
 * the requests (room_wanted, daemon_asks) and the answer (room_made) miss each other in no order.
 * Method: each step is one operation on memory that others see; memory is sequentially consistent.
 * No sleep ends by itself: the slices, the second request after 100 ms and the daemon's look every
 * 3 s are left out, so the protocol is shown to need none of them while nobody halts.
 *
 *   worker   Producer::try_append (an attempt, room_made, a second attempt), wait_for_room,
 *            ask_daemon, wake_sleepers(daemon_wake) after publishing
 *   daemon   Flusher::run: flush_round (synced, room_made, wake, make_room), else be_quiet
 *            (daemon_wait_published, make_room); ChunkKeeper::room_wanted and reclaim
 *
 * Abstractions
 *   - A record takes a chunk of its own, sealed when it is published; chunks in use are `published
 *     - freed`, ring slots in use `published - synced`. What an append does besides is in ring.pml.
 *   - A wake word is the set of those who armed it: wake.pml shows that it may be thought of so.
 *   - The group commit window is left out: it ends by itself.
 * SPDX-License-Identifier: MIT
 */
#ifndef W
#define W 2 /* workers */
#endif
#ifndef K
#define K 2 /* records of each */
#endif
#ifndef C
#define C 1 /* chunks */
#endif
#ifndef N
#define N 2 /* ring slots */
#endif

byte published, synced, freed;
byte room_made, asks, asks_seen;
bool room_wanted;
bool armed[W]; /* progress_wake: who armed it since it was last woken */
bool daemon_armed;
bool done[W];

#define ROOM (published - freed < C && published - synced < N)
#define WAKE_WORKERS atomic { armed[0] = false; armed[1] = false; armed[W - 1] = false }

proctype worker(byte me) {
  byte k, made;

  do
  :: k == K -> break
  :: else ->
attempt:
     if
     :: atomic { ROOM -> published++; goto success }
     :: !ROOM
     fi;
#ifndef M_ROOM_MADE_LATE /* what counts as new is looked up after the last attempt */
     made = room_made;
     if
     :: atomic { ROOM -> published++; goto success }
     :: !ROOM
     fi;
#else
     made = room_made;
#endif
     if :: room_made != made -> goto attempt :: room_made == made fi;
#ifndef M_WANTED_AFTER_ASK
     room_wanted = true;
#endif
     asks++;
     daemon_armed = false;
#ifdef M_WANTED_AFTER_ASK
     room_wanted = true;
#endif
     do
     :: armed[me] = true;
#ifndef M_NO_LOOK_AFTER_ARM
        if :: room_made != made -> break :: room_made == made fi;
#endif
        !armed[me];
        if :: room_made != made -> break :: room_made == made fi
     od;
     atomic { armed[me] = false; made = 0; goto attempt };
success:
     daemon_armed = false; /* wake_sleepers(daemon_wake) */
     atomic { k++; made = 0 }
  od;
  done[me] = true
}

proctype daemon() {
  byte seen, goal;
  bool wanted;

  do
  :: published > synced -> /* flush_round() */
     goal = published;
     atomic { synced = goal; goal = 0 };
     room_made++;
     WAKE_WORKERS;
     goto make_room
  :: published == synced -> /* be_quiet() */
     do
     :: seen = asks;
        if :: seen != asks_seen || published > synced -> break :: else fi;
        daemon_armed = true;
#ifndef M_DAEMON_NO_LOOK
        seen = asks;
        if :: seen != asks_seen || published > synced -> break :: else fi;
#endif
        !daemon_armed
     od;
#ifdef M_ASKS_SEEN_AS_OF_NOW /* what is answered is looked up after make_room() */
     atomic { daemon_armed = false; seen = 0 };
#else
     atomic { asks_seen = seen; daemon_armed = false; seen = 0 };
#endif
make_room:
#ifdef M_WANTED_FORGOTTEN /* the request is cleared when it is done, not when it is seen */
     wanted = room_wanted;
#else
     atomic { wanted = room_wanted; room_wanted = false };
#endif
     if
     :: wanted && freed < synced ->
#ifdef M_COUNT_BEFORE_FREE
        room_made++;
        WAKE_WORKERS;
        freed = synced;
#else
        freed = synced;
        room_made++;
#ifndef M_NO_WAKE
        WAKE_WORKERS;
#endif
#endif
     :: else
     fi;
#ifdef M_WANTED_FORGOTTEN
     room_wanted = false;
#endif
#ifdef M_ASKS_SEEN_AS_OF_NOW
     asks_seen = asks;
#endif
     wanted = false
  od
}

/* Once nobody can do anything any more, all is written. */
proctype monitor() {
  byte i;

  atomic {
    timeout;
    do :: i < W -> assert(done[i]); i++ :: else -> break od;
    assert(synced == published)
  }
}

init {
  atomic {
    byte i;
    do :: i < W -> run worker(i); i++ :: else -> break od;
    run daemon();
    run monitor()
  }
}
