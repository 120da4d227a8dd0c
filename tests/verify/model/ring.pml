/*
 * Goal: the order ring, the chunk pool, hazards, reclaim, flush, restart and take-over do together
 * what their headers say of each, whoever is killed or stopped at whatever step.
 * Method: each step is one operation on memory that others see, with what its process does alone
 * before the next; Spin tries every order of the steps of all. Memory is sequentially consistent.
 *
 *   producer   append      Producer::append_to_chunk: ChunkPool::seal when full, claim, store_entry
 *              publish     OrderRing::start: load synced, check the hint
 *              load, lap   OrderRing::publish: the slot, room, what its lap says, the CAS
 *              no_room     kFull; the caller comes again once `synced` has moved
 *   reader     next        Reader::read: published, `retained`, the ticket; Hazards::pin
 *              pinned      read_pinned: the bytes, in place; then perhaps Reader::unpin
 *   daemon     gather      FlushSource::gather and take; Writer::sync; set_synced
 *              look        ChunkKeeper::sweep: sealed seen, then published_end -> sealed_end_
 *              reclaim     ChunkKeeper::free_below: raise_retained, each hazard, free
 *              reap        Flusher::obey: seal_chunks_of, SlotTable::finish
 *              restart     recovery: disk cut at `synced`; a new FlushSource and ChunkKeeper
 *   monitor                what must hold when nobody can do anything any more
 *
 * STOPS processes are stopped for ever and KILLS are killed, each at any step. Who was killed is
 * proven dead and reaped; a producer's slot then has a new life, with records of its own. The
 * daemon is killed CRASHES times, at any step, and started again.
 *
 * Abstractions, each with why nothing is lost by it:
 *   - A payload is the id of its record, looked at twice: as its first and as its last word. It is
 *     written in one step, since bytes that change between the two looks, and foreign ones, fail an
 *     assertion. The code has a checksum there, that would only report them.
 *   - Chunks, records and laps have small numbers. Lap tags do not come round (I4), so the reader's
 *     first look at `retained` is one step with its load of the slot.
 *   - The hint may be anything, so it is no variable: a producer may jump to wherever start()'s
 *     check lets it.
 *   - claim()'s first load and next_chunk are hints: any EMPTY chunk is taken, by one CAS.
 *   - published_end() is one step for the daemon: only the daemon moves `synced`, so the walk's
 *     last load, of a slot not filled, decides: what is below it is filled and stays so.
 *   - sweep() sees a chunk sealed and its end in one step: sealed stays sealed, and to see it
 *     earlier is to have seen it now. A look that finds nothing new changes nothing and is left
 *     out.
 *   - When the daemon sweeps and which candidate says how far `retained` goes is any choice;
 *     targets, zones and rounds of reclaim() only restrict it. So is how much it gathers before a
 *     sync.
 *   - What is on disk is a number, `durable`: each record is compared with what was published at
 *     its place while it is gathered. The daemon's death loses what was written after `synced`.
 *   - REAPING and the proof are the word `dead`. Which orders to reap were given is kept by nobody
 *     (Reaper::on_its_way): one may come once more, late (LATE). SessionEnded is not written.
 *   - Waiting is waiting: sleep and wake are in wake.pml and room.pml. An append that found no room
 *     in the ring does not write its bytes again.
 *   - One reader with one hazard word; no runs of chunks, no monitors (the code's).
 *
 * A plausible mistake is planted by -DM_..., and must be found. SPDX-License-Identifier: MIT
 */
#ifndef N
#define N 2 /* slots of the order ring, 2 or 3 */
#endif
#ifndef P
#define P 2 /* producers, 2 or 3 */
#endif
#ifndef K
#define K 2 /* records of each */
#endif
#ifndef C
#define C 2 /* chunks, 2 or 3 */
#endif
#ifndef E
#define E 1 /* entries in a chunk */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef KILLS
#define KILLS 0 /* at most 1 */
#endif
#ifndef STOPS
#define STOPS 1
#endif
#ifndef LATE
#define LATE KILLS
#endif
#ifndef READERS
#define READERS 1
#endif

#define REFS (C * E)
#define RECORDS ((P + KILLS) * K)
#define NONE C

/* A slot's word: {lap tag, reference}. */
#define TAG(seq) ((seq) / N + 1)
#define WORD(seq, ref) (TAG(seq) * REFS + (ref))
#define REF(word) ((word) % REFS)
#define CHUNK(word) (REF(word) / E)
#define THIS(word, seq) ((word) / REFS == TAG(seq))
#define PREVIOUS(word, seq) ((word) / REFS + 1 == TAG(seq))
#define NEWER(word, seq) ((word) / REFS > TAG(seq))
#define OLDER(word, seq) ((word) / REFS + 1 < TAG(seq))

/* A chunk's owner word: {state, slot, incarnation}; 0 is EMPTY. */
#ifdef M_NO_INCARNATION /* the owner word says only whose slot it is */
#define OWNED(slot, life) (1 + (slot))
#else
#define OWNED(slot, life) (1 + (slot) + P * (life))
#endif
#define SEALED(owned) (100 + (owned))
#define IS_SEALED(word) ((word) >= 100)

byte ring[N];
byte owner[C];
byte bytes[REFS]; /* of each entry */
byte synced, retained;
byte hazard; /* chunk + 1, or 0 */

/* What nobody reads, but assertions. */
byte durable;            /* records that would survive the machine */
byte order[RECORDS];     /* what was published, in the order of the CASes that did it */
byte published;          /* how many */
bool known[RECORDS + 1]; /* ids among them */
bool done[P];            /* all records acknowledged, and closed */
bool stopped[P + 1];     /* for ever; P is the reader */

byte life[P];
bool dead[P + 1]; /* proven, and not yet reaped */
byte position;    /* of the reader */
byte stops = STOPS, kills = KILLS, crashes = CRASHES, late = LATE;

#define ID(me, k) (1 + (life[me] > 0 -> P : me) * K + (k))

#define OR_HALT(me)                                                   \
  :: atomic { stops > 0 -> stops--; stopped[me] = true; goto over } \
  :: atomic { kills > 0 -> kills--; dead[me] = true; goto killed }
#define OR_CRASH :: atomic { crashes > 0 -> crashes--; goto restart }
#define IF_THEN(condition, action) if :: condition -> action :: else fi
#define FORGET_ALL b = 0; seen = 0; cursor_synced = 0; own_end = 0; used = 0; chunk = NONE; k = 0

proctype producer(byte me) {
  byte k, b, seen, cursor_synced, own_end, used;
  byte chunk = NONE;

append:
  if
  :: atomic {
       chunk != NONE && (used == E || k == K) -> /* seal: only what is still its own */
       IF_THEN(owner[chunk] == OWNED(me, life[me]), owner[chunk] = SEALED(owner[chunk]));
       chunk = NONE; used = 0
     }
  :: atomic { chunk == NONE && k < K && owner[0] == 0 -> chunk = 0; owner[0] = OWNED(me, life[me]) }
  :: atomic { chunk == NONE && k < K && owner[1] == 0 -> chunk = 1; owner[1] = OWNED(me, life[me]) }
#if C > 2
  :: atomic { chunk == NONE && k < K && owner[2] == 0 -> chunk = 2; owner[2] = OWNED(me, life[me]) }
#endif
  :: atomic { chunk == NONE && k == K -> done[me] = true; goto over }
  :: atomic {
       chunk != NONE && used < E && k < K -> bytes[chunk * E + used] = ID(me, k);
       goto publish
     }
  OR_HALT(me)
  fi;
  goto append;

publish: /* start() */
#ifdef M_SEAL_BEFORE_PUBLISH /* sealed when it is filled, not when all of it is published */
  if :: owner[chunk] = SEALED(OWNED(me, life[me])) OR_HALT(me) fi;
#endif
  if
  :: atomic { cursor_synced = synced; b = (own_end > synced -> own_end : synced) }
  OR_HALT(me)
  fi;
  if /* a hint is taken if the slot just below it is filled in its lap */
  :: seen = ring[b % N]; goto lap
#ifdef M_HINT_TRUSTED
  :: atomic { b + 1 <= cursor_synced + N -> b = b + 1 }
  :: atomic { b + 2 <= cursor_synced + N -> b = b + 2 }
#else
  :: atomic { b + 1 <= cursor_synced + N && THIS(ring[b % N], b) -> b = b + 1 }
  :: atomic { b + 2 <= cursor_synced + N && THIS(ring[(b + 1) % N], b + 1) -> b = b + 2 }
#if N > 2
  :: atomic { b + 3 <= cursor_synced + N && THIS(ring[(b + 2) % N], b + 2) -> b = b + 3 }
#endif
#endif
  OR_HALT(me)
  fi;
load:
  if :: seen = ring[b % N] OR_HALT(me) fi;
lap:
  if
#ifndef M_REUSE_PUBLISHED /* a slot is used again once its record is published, not synced */
  :: atomic {
       b >= cursor_synced + N -> cursor_synced = synced;
       IF_THEN(b >= cursor_synced + N, goto no_room);
       goto lap
     }
#define ROOM b < cursor_synced + N &&
#else
#define ROOM
#endif
  :: atomic { ROOM THIS(seen, b) -> b++; seen = ring[b % N]; goto lap }
  :: atomic {
       ROOM NEWER(seen, b) -> cursor_synced = synced;
       assert(cursor_synced > b); /* else kCorrupt */
       b = cursor_synced;
       goto load
     }
  :: atomic {
       ROOM PREVIOUS(seen, b) -> /* the CAS */
       if
       :: ring[b % N] == seen ->
          ring[b % N] = WORD(b, chunk * E + used);
          assert(b == published);    /* no gap, nothing overwritten */
          assert(b < durable + N);   /* what the slot named before is safe */
          assert(!known[ID(me, k)]); /* exactly once */
          known[ID(me, k)] = true;
          order[published] = ID(me, k);
          published++
       :: else ->
#ifndef M_REREAD_EXPECTED
          seen = ring[b % N]; /* what the failed CAS returned */
          goto lap
#else
          goto reread
#endif
       fi
     }
  :: atomic { ROOM OLDER(seen, b) -> assert(false) } /* kCorrupt */
  OR_HALT(me)
  fi;
#ifdef M_REREAD_SUCCESS /* whether the CAS succeeded is seen by a second load */
  if
  :: atomic { seen = ring[b % N]; IF_THEN(seen != WORD(b, chunk * E + used), goto lap) }
  OR_HALT(me)
  fi;
#endif
  atomic { own_end = b + 1; used++; k++; b = 0; seen = 0; cursor_synced = 0; goto append };

#ifdef M_REREAD_EXPECTED /* what a second load finds is what the next CAS expects, whatever it is */
reread:
  if :: seen = ring[b % N] OR_HALT(me) fi;
  if
  :: atomic {
       ring[b % N] == seen -> ring[b % N] = WORD(b, chunk * E + used);
       assert(b == published)
     }
  OR_HALT(me)
  fi;
#endif

no_room:
  atomic { b < synced + N -> b = 0; seen = 0; cursor_synced = 0; goto publish };

killed: /* what remembers nothing is another process: the next life of the slot */
  atomic { FORGET_ALL };
  atomic { !dead[me] -> goto append };

over:
  atomic { FORGET_ALL }
}

#define PUBLISHED (retained > position || !PREVIOUS(ring[position % N], position))

proctype reader() {
  byte word;

next:
  if
  :: atomic { !PUBLISHED && hazard != 0 -> hazard = 0; goto next } /* unpin() */
  :: atomic { PUBLISHED && retained > position -> goto from_disk }
  :: atomic {
       PUBLISHED && retained <= position -> word = ring[position % N];
#ifndef M_NO_LAP_CHECK /* whatever the slot names is taken for this record */
       IF_THEN(NEWER(word, position), goto from_disk);
#endif
       IF_THEN(hazard == CHUNK(word) + 1, goto pinned)
     }
  fi;
#ifdef M_HAZARD_LATE /* `retained` first, then the pin */
  if :: retained <= position :: retained > position -> goto from_disk OR_HALT(P) fi;
  if :: hazard = CHUNK(word) + 1 OR_HALT(P) fi;
#else
  if :: hazard = CHUNK(word) + 1 OR_HALT(P) fi;
#ifndef M_NO_RETAINED_CHECK /* a pin that came too late counts */
  if
  :: retained <= position
  :: atomic { retained > position -> hazard = 0; goto from_disk }
  OR_HALT(P)
  fi;
#endif
#endif
pinned:
  if :: assert(bytes[REF(word)] == order[position]) OR_HALT(P) fi; /* its first word */
  if                                                               /* and its last */
  :: atomic { assert(bytes[REF(word)] == order[position]); position++; word = 0; goto next }
  :: atomic {
       assert(bytes[REF(word)] == order[position]);
       position++; word = 0; hazard = 0; goto next
     }
  OR_HALT(P)
  fi;
from_disk:
  atomic { assert(position < durable); position++; word = 0; goto next };
killed:
over:
  atomic { stopped[P] = true; word = 0 }
}

/* F3: one past the last record of sealed chunk c; and whether all up to there is synced. */
#define EARLIER(a, b) ((a) < (b) -> (a) : (b))
#ifdef M_RESTART_FORGETS /* what this daemon did not gather itself ends nowhere */
#define END(c) (last[c])
#else
#define END(c) EARLIER((last[c] != 0 -> last[c] : synced_at_start), sealed_end[c] - 1)
#endif
#ifdef M_RECLAIM_UNSYNCED /* sealed is enough */
#define CANDIDATE(c) (sealed_end[c] != 0)
#else
#define CANDIDATE(c) (sealed_end[c] != 0 && sealed_end[c] - 1 <= synced)
#endif
#define UNLOOKED(c) (IS_SEALED(owner[c]) && sealed_end[c] == 0)
#define DUE(c) (CANDIDATE(c) && (hazard != (c) + 1 || END(c) > retained))
#ifdef M_NO_HAZARD_LOOK
#define PINNED(c) false
#else
#define PINNED(c) (pinned == (c) + 1)
#endif
#define SEAL_ALL(slot, of_life)                                                              \
  i = 0;                                                                                     \
  do                                                                                         \
  :: i < C ->                                                                                \
     if                                                                                      \
     :: atomic { IF_THEN(owner[i] == OWNED(slot, of_life), owner[i] = SEALED(owner[i]));     \
                 i++ }                                                                       \
     OR_CRASH                                                                                \
     fi                                                                                      \
  :: else -> break                                                                           \
  od;                                                                                        \
  i = 0

proctype daemon() {
  byte next, word, c, i, up_to, pinned, synced_at_start;
  byte sealed_end[C], last[C];
#ifdef M_END_BEFORE_SEALED
  byte early[C];
#endif

restart:
  atomic {
    assert(synced <= durable); /* `synced` is the truth */
    durable = synced; next = synced; synced_at_start = synced;
    word = 0; c = 0; up_to = 0; pinned = 0;
    i = 0; do :: i < C -> sealed_end[i] = 0; last[i] = 0; i++ :: else -> break od; i = 0
  };
idle:
  if
  :: atomic { !PREVIOUS(ring[next % N], next) -> goto gather }
  :: atomic { UNLOOKED(0) -> c = 0; goto look }
  :: atomic { UNLOOKED(1) -> c = 1; goto look }
  :: atomic { DUE(0) -> up_to = END(0); goto reclaim }
  :: atomic { DUE(1) -> up_to = END(1); goto reclaim }
#if C > 2
  :: atomic { UNLOOKED(2) -> c = 2; goto look }
  :: atomic { DUE(2) -> up_to = END(2); goto reclaim }
#endif
  :: atomic { dead[0] -> c = 0; goto reap }
  :: atomic { dead[1] -> c = 1; goto reap }
  :: atomic { dead[P] -> hazard = 0; dead[P] = false; goto idle }
#if LATE > 0
  :: atomic { late > 0 && life[0] + life[1] > 0 -> late--; goto idle }
  :: atomic { late > 0 && life[0] > 0 -> late--; c = 0; goto reap_late }
  :: atomic { late > 0 && life[1] > 0 -> late--; c = 1; goto reap_late }
#endif
#ifdef M_END_BEFORE_SEALED
  :: atomic { owner[0] != 0 && !IS_SEALED(owner[0]) -> early[0] = published; goto idle }
#endif
#ifdef M_REAP_STOPPED /* a worker that stopped for long is taken for dead; it may go on */
  :: atomic { late > 0 && !done[0] -> late--; c = 0; goto reap_living }
#endif
#ifdef M_UNPIN_STOPPED /* the same of a reader */
  :: atomic { late > 0 && hazard != 0 -> late--; hazard = 0; goto idle }
#endif
  fi;

gather:
  if
  :: atomic {
       word = ring[next % N];
       assert(THIS(word, next)); /* else kCorrupt */
       last[CHUNK(word)] = next + 1;
       assert(bytes[REF(word)] == order[next])
     }
  OR_CRASH
  fi;
  if :: atomic { assert(bytes[REF(word)] == order[next]); next++; word = 0 } OR_CRASH fi;
  if
  :: atomic { !PREVIOUS(ring[next % N], next) -> goto gather }
  :: true
  fi;
#ifdef M_SYNCED_EARLY /* written is enough */
  if :: synced = next OR_CRASH fi;
  if :: durable = next OR_CRASH fi;
#else
  if :: durable = next OR_CRASH fi;
  if :: synced = next OR_CRASH fi;
#endif
  goto idle;

look:
#ifdef M_END_BEFORE_SEALED /* the end is looked up first, then the chunk is seen sealed */
  if :: atomic { sealed_end[c] = early[c] + 1; c = 0; goto idle } OR_CRASH fi;
#else
  if :: atomic { sealed_end[c] = published + 1; c = 0; goto idle } OR_CRASH fi;
#endif

reclaim: /* free_below() */
#ifdef M_RETAINED_LATE /* the hazards first */
  if :: pinned = hazard OR_CRASH fi;
#endif
  if :: retained = (up_to > retained -> up_to : retained) OR_CRASH fi;
#ifndef M_RETAINED_LATE
  if :: pinned = hazard OR_CRASH fi;
#endif
  do
  :: atomic { i < C && CANDIDATE(i) && END(i) <= up_to && !PINNED(i) ->
              last[i] = 0; sealed_end[i] = 0; owner[i] = 0; i++ }
  :: atomic { i < C && !(CANDIDATE(i) && END(i) <= up_to && !PINNED(i)) -> i++ }
  :: atomic { i == C -> i = 0; up_to = 0; pinned = 0; goto idle }
  OR_CRASH
  od;

reap:
#ifdef M_FINISH_FIRST /* the slot is given away before its chunks are sealed */
  if :: atomic { dead[c] = false; life[c] = life[c] + 1 } OR_CRASH fi;
  SEAL_ALL(c, life[c] - 1);
#else
  SEAL_ALL(c, life[c]);
  if :: atomic { dead[c] = false; life[c] = life[c] + 1 } OR_CRASH fi;
#endif
  atomic { c = 0; goto idle };

reap_late: /* an order of the former life, carried out once more */
  SEAL_ALL(c, life[c] - 1);
  atomic { c = 0; goto idle };

#ifdef M_REAP_STOPPED
reap_living:
  SEAL_ALL(c, life[c]);
  atomic { c = 0; goto idle }
#endif
}

#define HELD(c) (hazard == (c) + 1 || (owner[c] != 0 && !IS_SEALED(owner[c])))

/* Once nobody can do anything any more, all is done, but by those who were stopped for ever. */
proctype monitor() {
  byte i;

  atomic {
    timeout;
    assert(synced == published && durable == published);
    assert(!READERS || stopped[P] || position == published);
    do
    :: i < P ->
       /* Room is denied to the living only while others hold all there is. */
       assert(done[i] || stopped[i] || (C <= P && HELD(0) && HELD(1)));
       i++
    :: else -> break
    od;
    i = 0;
    do /* and of the dead nothing is left over */
    :: i < C ->
       assert(owner[i] == 0 || IS_SEALED(owner[i]) || owner[i] == OWNED(0, life[0]) ||
              owner[i] == OWNED(1, life[1]) || P > 2);
       i++
    :: else -> break
    od
  }
}

init {
  atomic {
    run producer(0);
    run producer(1);
#if P > 2
    run producer(2);
#endif
#if READERS
    run reader();
#endif
    run daemon();
    run monitor()
  }
}
