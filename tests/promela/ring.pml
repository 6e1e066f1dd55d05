/* base/ring.h: one producer, one consumer. Items come out once each, in order, and as they were put
 * in; a slot is never written while it is read; count stays within 0 and the capacity.
 *
 * Cursors are bytes here and start short of their end, so that they wrap as 64-bit ones would. */
#define CAPACITY 2
#define MASK (CAPACITY - 1)
#ifndef ITEMS
#define ITEMS 5
#endif
#define FIRST 254

#define SLOT(cursor) ((cursor) & MASK) /* plain */
#define TAIL 2
#define HEAD 3
#define LOCATIONS 4
#define PLAINS 2
#define HISTORY (ITEMS + 1)
#define THREADS 2
#define PRODUCER 0
#define CONSUMER 1
#include "memory.pml"

#define DISTANCE(from, to) (((to) - (from)) & 255)

#ifdef MUTANT_TAIL_RELAXED
#define store_tail store_relaxed
#else
#define store_tail store_release
#endif
#ifdef MUTANT_HEAD_RELAXED
#define store_head store_relaxed
#else
#define store_head store_release
#endif
#ifdef MUTANT_PUSH_LOADS_RELAXED
#define load_head load_relaxed
#else
#define load_head load_acquire
#endif
#ifdef MUTANT_PEEK_LOADS_RELAXED
#define load_tail load_relaxed
#else
#define load_tail load_acquire
#endif
#ifdef MUTANT_CAPACITY_OFF_BY_ONE
#define FULL(tail, head) (DISTANCE(head, tail) > MASK + 1)
#else
#define FULL(tail, head) (DISTANCE(head, tail) > MASK)
#endif

/* weir_ring_push; ok is its result. The same test is weir_ring_full. */
inline push(item)
{
    load_own(PRODUCER, TAIL, tail);
    if
    :: FULL(tail, head_seen) -> load_head(PRODUCER, HEAD, head_seen)
    :: else
    fi;
    ok = !FULL(tail, head_seen);
    if
    :: ok ->
#ifdef MUTANT_TAIL_BEFORE_SLOT
        store_tail(PRODUCER, TAIL, (tail + 1) & 255);
        store_plain(PRODUCER, SLOT(tail), item)
#else
        store_plain(PRODUCER, SLOT(tail), item);
        store_tail(PRODUCER, TAIL, (tail + 1) & 255)
#endif
    :: else
    fi
}

/* weir_ring_peek and weir_ring_pop; item is 0 for none. */
inline pop()
{
    load_own(CONSUMER, HEAD, head);
    if
#ifdef MUTANT_EMPTY_NOT_SEEN
    :: false
#else
    :: head == tail_seen -> load_tail(CONSUMER, TAIL, tail_seen)
#endif
    :: else
    fi;
    if
#ifdef MUTANT_EMPTY_NOT_SEEN
    :: true ->
#else
    :: head != tail_seen ->
#endif
#ifdef MUTANT_HEAD_BEFORE_SLOT
        store_head(CONSUMER, HEAD, (head + 1) & 255);
        load_plain(CONSUMER, SLOT(head), item);
#else
        load_plain(CONSUMER, SLOT(head), item);
        store_head(CONSUMER, HEAD, (head + 1) & 255);
#endif
        assert(item != 0)
    :: else -> item = 0
    fi
}

proctype producer()
{
    byte tail, head_seen = FIRST, next = 1, other;
    bool ok;
    do
    :: next <= ITEMS ->
        push(next);
        next = next + ok
    :: next <= ITEMS ->
        /* weir_ring_count on this side */
        load_acquire(PRODUCER, HEAD, other);
        load_own(PRODUCER, TAIL, tail);
        assert(DISTANCE(other, tail) <= CAPACITY);
        other = 0
    :: next > ITEMS -> break
    od
}

proctype consumer()
{
    byte head, tail_seen = FIRST, next = 1, item, other;
    do
    :: next <= ITEMS ->
        pop();
        if
        :: item != 0 ->
            assert(item == next);
            next++;
            item = 0
        :: else
        fi
    :: next <= ITEMS ->
        /* weir_ring_count on this side */
        load_own(CONSUMER, HEAD, head);
        load_acquire(CONSUMER, TAIL, other);
        assert(DISTANCE(head, other) <= CAPACITY);
        other = 0
    :: next > ITEMS -> break
    od
}

init
{
    atomic {
        location_init(TAIL, FIRST);
        location_init(HEAD, FIRST);
        memory_start();
        run producer();
        run consumer()
    }
}
