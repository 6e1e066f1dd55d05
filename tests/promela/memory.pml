/* memory: what threads see of each other's stores, in two forms. A model includes this file behind
 * its LOCATIONS, HISTORY and THREADS and uses the calls below alone.
 *
 * Without TSO: the C11 order. Each location keeps every store it ever had (a history), and each
 * thread keeps, for each location, the newest store that it must know of (its view). A load may
 * return any store from that one on: so stores drain from a thread to the others one by one, in any
 * order, and loads too may be late. A release store carries its thread's view, an acquire load of
 * it takes that over; so do fences with relaxed loads and stores around them. What is not said so
 * is not ordered. (The operational model of Kang et al., "A Promising Semantics for Relaxed-Memory
 * Concurrency", POPL 2017, without promises.)
 *
 * With TSO: x86-64. Each thread has a queue of stores, that drains into memory one by one in its
 * order at any time; it sees its own at once, others those that are in memory.
 *
 * Every location is written by one thread, but for those of update_*. */

#ifdef TSO

#ifndef BUFFER
#define BUFFER 3
#endif
byte memory[LOCATIONS];
byte own[LOCATIONS]; /* the newest store of the location's owner, in memory or not */
chan buffer[THREADS] = [BUFFER] of {byte, byte};

proctype drain(byte thread)
{
    byte at, what;
end:
    do
    :: d_step { buffer[thread]?at, what; memory[at] = what; at = 0; what = 0 }
    od
}

byte setup;
inline memory_start()
{
    setup = 0;
    do
    :: setup < THREADS -> run drain(setup); setup++
    :: else -> break
    od;
    setup = 0
}

inline location_init(loc, v) { memory[loc] = v; own[loc] = v }

inline store(me, loc, v)
{
    atomic { nfull(buffer[me]) -> own[loc] = v; buffer[me]!loc, v }
}
inline load(me, loc, to) { to = memory[loc] }

#define store_relaxed(me, loc, v) store(me, loc, v)
#define store_release(me, loc, v) store(me, loc, v)
#define store_plain(me, loc, v) store(me, loc, v)
#define load_relaxed(me, loc, to) load(me, loc, to)
#define load_acquire(me, loc, to) load(me, loc, to)
#define load_plain(me, loc, to) load(me, loc, to)
#define load_own(me, loc, to) to = own[loc]
#define fence_release(me) skip
#define fence_acquire(me) skip

/* A locked instruction waits until the queue is empty. v may name old, what was there before. */
inline update(me, loc, v, old)
{
    atomic { empty(buffer[me]) -> old = memory[loc]; memory[loc] = v; own[loc] = v }
}
#define update_release(me, loc, v, old) update(me, loc, v, old)
#define update_acquire(me, loc, v, old) update(me, loc, v, old)
#define load_newest(me, loc, to) load(me, loc, to)

/* Stores that may go in any order as far as others can tell: here one by one. */
#define STORES
/* Here a thread that only reads runs beside the others. */
#define AFTER(condition) true

#else

byte value[LOCATIONS * HISTORY];
byte carried[LOCATIONS * HISTORY * LOCATIONS]; /* what a store's reader takes over by acquire */
byte newest[LOCATIONS];                        /* index of the location's last store */
byte seen[THREADS * LOCATIONS];                /* a thread's view */
#ifdef FENCES
byte fenced[THREADS * LOCATIONS];  /* view at the thread's last release fence */
byte pending[THREADS * LOCATIONS]; /* what its next acquire fence takes over */
#endif
#ifdef PLAINS
/* Plain locations are the first PLAINS. A data race on one is an error: a load has to know the
 * newest store, a store has to know the newest load. */
byte read_newest[PLAINS];           /* loads that were made */
byte read_seen[THREADS * PLAINS];   /* of them known to a thread */
byte read_carried[LOCATIONS * HISTORY * PLAINS];
#endif

hidden byte it;
hidden byte pick;

#define VIEW(me, loc) seen[(me) * LOCATIONS + (loc)]
#define MESSAGE(loc, n) ((loc) * HISTORY + (n))
#define CARRIED(loc, of) carried[MESSAGE(loc, newest[loc]) * LOCATIONS + (of)]
#define HANDED_ON(loc, of) carried[MESSAGE(loc, newest[loc] - 1) * LOCATIONS + (of)]

inline memory_start() { skip }
inline location_init(loc, v) { value[MESSAGE(loc, 0)] = v }

inline append(me, loc, v)
{
    newest[loc]++;
    assert(newest[loc] < HISTORY);
    value[MESSAGE(loc, newest[loc])] = v;
    VIEW(me, loc) = newest[loc]
}

/* The preprocessor's, because an inline takes no array. */
#define CARRY(me, loc, view) \
    for (it : 0 .. LOCATIONS - 1) { \
        carried[MESSAGE(loc, newest[loc]) * LOCATIONS + it] = view[(me) * LOCATIONS + it] \
    }
#define JOIN(view, me, loc, n) \
    for (it : 0 .. LOCATIONS - 1) { \
        if \
        :: carried[MESSAGE(loc, n) * LOCATIONS + it] > view[(me) * LOCATIONS + it] -> \
            view[(me) * LOCATIONS + it] = carried[MESSAGE(loc, n) * LOCATIONS + it] \
        :: else \
        fi \
    }

#ifdef PLAINS
inline carry_reads(me, loc)
{
    for (it : 0 .. PLAINS - 1) {
        read_carried[MESSAGE(loc, newest[loc]) * PLAINS + it] = read_seen[(me) * PLAINS + it]
    }
}

inline join_reads(me, loc, n)
{
    for (it : 0 .. PLAINS - 1) {
        if
        :: read_carried[MESSAGE(loc, n) * PLAINS + it] > read_seen[(me) * PLAINS + it] ->
            read_seen[(me) * PLAINS + it] = read_carried[MESSAGE(loc, n) * PLAINS + it]
        :: else
        fi
    }
}

inline store_plain(me, loc, v)
{
    d_step {
        assert(VIEW(me, loc) == newest[loc]);
        assert(read_seen[(me) * PLAINS + loc] == read_newest[loc]);
        append(me, loc, v)
    }
}

inline load_plain(me, loc, to)
{
    d_step {
        assert(VIEW(me, loc) == newest[loc]);
        to = value[MESSAGE(loc, newest[loc])];
        read_newest[loc]++;
        read_seen[(me) * PLAINS + loc] = read_newest[loc]
    }
}
#else
#define carry_reads(me, loc) skip
#define join_reads(me, loc, n) skip
#endif

inline store_relaxed(me, loc, v)
{
    d_step {
        append(me, loc, v);
#ifdef FENCES
        CARRY(me, loc, fenced);
#endif
        it = 0
    }
}

inline store_release(me, loc, v)
{
    d_step {
        append(me, loc, v);
        CARRY(me, loc, seen);
        carry_reads(me, loc);
        it = 0
    }
}

/* Chooses a store that the thread may see, and sees it. */
inline choose(me, loc)
{
    pick = VIEW(me, loc);
    do
    :: pick < newest[loc] -> pick++
    :: break
    od;
    VIEW(me, loc) = pick
}

inline load_relaxed(me, loc, to)
{
    atomic {
        choose(me, loc);
        d_step {
            to = value[MESSAGE(loc, pick)];
#ifdef FENCES
            JOIN(pending, me, loc, pick);
#endif
            it = 0;
            pick = 0
        }
    }
}

inline load_acquire(me, loc, to)
{
    atomic {
        choose(me, loc);
        d_step {
            to = value[MESSAGE(loc, pick)];
            JOIN(seen, me, loc, pick);
            join_reads(me, loc, pick);
            it = 0;
            pick = 0
        }
    }
}

/* A thread's own location: it has seen its newest store. */
inline load_own(me, loc, to) { to = value[MESSAGE(loc, VIEW(me, loc))] }

#ifdef FENCES
inline fence_release(me)
{
    d_step {
        for (it : 0 .. LOCATIONS - 1) {
            fenced[(me) * LOCATIONS + it] = VIEW(me, it)
        }
        it = 0
    }
}

inline fence_acquire(me)
{
    d_step {
        for (it : 0 .. LOCATIONS - 1) {
            if
            :: pending[(me) * LOCATIONS + it] > VIEW(me, it) ->
                VIEW(me, it) = pending[(me) * LOCATIONS + it]
            :: else
            fi
        }
        it = 0
    }
}
#endif

/* Atomic read-modify-writes work on the newest store there is, and hand on what it carried. v may
 * name old, what was there before. */
inline update_release(me, loc, v, old)
{
    d_step {
        VIEW(me, loc) = newest[loc];
        old = value[MESSAGE(loc, newest[loc])];
        append(me, loc, v);
        CARRY(me, loc, seen);
        for (it : 0 .. LOCATIONS - 1) {
            if
            :: HANDED_ON(loc, it) > CARRIED(loc, it) -> CARRIED(loc, it) = HANDED_ON(loc, it)
            :: else
            fi
        }
        it = 0
    }
}

inline update_acquire(me, loc, v, old)
{
    d_step {
        VIEW(me, loc) = newest[loc];
        old = value[MESSAGE(loc, newest[loc])];
        JOIN(seen, me, loc, newest[loc]);
        append(me, loc, v);
        for (it : 0 .. LOCATIONS - 1) {
            CARRIED(loc, it) = HANDED_ON(loc, it)
        }
        it = 0
    }
}

/* What the kernel sees of a location in a system call: its newest store. It orders nothing. */
inline load_newest(me, loc, to) { to = value[MESSAGE(loc, newest[loc])] }

/* A reader may return any older store anyway, so nothing is left out where a thread makes several
 * stores in one step, and where a thread that stores nothing runs behind those that do. */
#define STORES atomic
#define AFTER(condition) (condition)

#endif
