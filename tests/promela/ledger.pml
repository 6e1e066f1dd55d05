/* model/ledger.c: two stages (dataplane/worker/worker.c and storage/log/writer/writer.c), the edge
 * between them, and a reader. Whenever the reader gets a sum, it closes; it never sees a consumer name an item that the
 * producer's block does not, nor an edge slot from before its item.
 *
 * Item n counts n samples, so that no mixture of two turns adds up by chance. */
#define BATCHES 1 /* the queue's capacity */
#ifdef TSO
/* every step is taken by itself: fewer, so that all can be visited; a slot is used twice */
#define ITEMS 2
#define SLOTS 1
#else
#define ITEMS 3
#define SLOTS 2
#endif

/* blocks: sequence, then words */
#define WORKER_SEQUENCE 0
#define RECEIVED 1
#define HELD 2
#define PUSHED 3
#define WRITER_SEQUENCE 4
#define STORED 5
#define WRITER_HELD 6
#define POPPED 7
#define QUEUE 8   /* tail of the ring of batches */
#define EMPTIES 9 /* tail of the ring back */
#define NUMBER(n) (10 + (n) % SLOTS)
#define COUNT(n) (10 + SLOTS + (n) % SLOTS)
#define LOCATIONS (10 + 2 * SLOTS)
#define HISTORY (4 * ITEMS + 1)
#ifdef TSO
#define THREADS 2 /* that store */
#else
#define THREADS 3
#endif
#define WORKER 0
#define WRITER 1
#define READER 2
#include "memory.pml"

#ifdef MUTANT_WORDS_RELAXED
#define store_word store_relaxed
#else
#define store_word store_release
#endif
#ifdef MUTANT_SEQUENCE_RELAXED
#define store_sequence store_relaxed
#else
#define store_sequence store_release
#endif
#ifdef MUTANT_COUNT_RELAXED
#define store_count store_relaxed
#else
#define store_count store_release
#endif
#ifdef MUTANT_WORDS_LOADED_RELAXED
#define load_word load_relaxed
#else
#define load_word load_acquire
#endif
#ifdef MUTANT_SEQUENCE_LOADED_RELAXED
#define load_sequence load_relaxed
#else
#define load_sequence load_acquire
#endif

/* weir_seqlock_write (base/seqlock.h), as weir_ledger_publish calls it: the sequence of a block is
 * followed by its three words. */
inline publish(me, block, first, second, third)
{
    load_own(me, block, sequence);
    STORES {
#ifndef MUTANT_NEVER_ODD
        store_relaxed(me, block, sequence + 1);
#endif
        store_word(me, block + 1, first);
        store_word(me, block + 2, second);
        store_word(me, block + 3, third);
        store_sequence(me, block, sequence + 2);
        sequence = 0
    }
}

/* weir_edge_put */
inline edge_put(item, samples)
{
    STORES {
#ifndef MUTANT_NUMBER_STAYS
        store_relaxed(WORKER, NUMBER(item), 0);
#endif
        store_count(WORKER, COUNT(item), samples);
        store_release(WORKER, NUMBER(item), item)
    }
}

byte ended; /* stages that have done their work */

/* batch_open, record_append, publish and batch_push of dataplane/worker/worker.c */
proctype worker()
{
    byte sequence, back, number = 1, received, held;
    do
    :: number <= ITEMS ->
        /* an empty batch: weir_ring_pop(empties) */
        load_acquire(WORKER, EMPTIES, back);
        if
        :: back + BATCHES >= number ->
            back = 0;
            d_step { received = received + number; held = number }
            if
            :: publish(WORKER, WORKER_SEQUENCE, received, held, number - 1)
            :: true
            fi;
            held = 0;
#ifdef MUTANT_PUSHED_BEFORE_PUBLISHED
            edge_put(number, number);
            store_release(WORKER, QUEUE, number);
            publish(WORKER, WORKER_SEQUENCE, received, held, number);
#else
#ifdef MUTANT_PUBLISHED_BEFORE_EDGE
            publish(WORKER, WORKER_SEQUENCE, received, held, number);
            edge_put(number, number);
#else
            edge_put(number, number);
            publish(WORKER, WORKER_SEQUENCE, received, held, number);
#endif
            store_release(WORKER, QUEUE, number);
#endif
            number++
        :: else -> back = 0
        fi
    :: else -> break
    od;
    ended++
}

/* append_batch, hold, release_batch, store_oldest and publish_stored of storage/log/writer/writer.c */
proctype writer()
{
    byte sequence, queued, number = 1, held, stored;
    do
    :: number <= ITEMS ->
        load_acquire(WRITER, QUEUE, queued);
        if
        :: queued >= number ->
            queued = 0;
            held = held + number;
            publish(WRITER, WRITER_SEQUENCE, stored, held, number);
            store_release(WRITER, EMPTIES, number);
            if
            :: d_step { stored = stored + held; held = 0 }
                publish(WRITER, WRITER_SEQUENCE, stored, held, number)
            :: true /* stays in flight behind the next one */
            fi;
            number++
        :: else -> queued = 0
        fi
    :: else -> break
    od;
    ended++
}

/* weir_seqlock_read (base/seqlock.h): ok is its result. */
inline block_read(block, first, second, third)
{
    load_sequence(READER, block, before);
    if
#ifdef MUTANT_ODD_TAKEN
    :: true ->
#else
    :: before % 2 == 0 ->
#endif
        load_word(READER, block + 1, first);
        load_word(READER, block + 2, second);
        load_word(READER, block + 3, third);
        load_relaxed(READER, block, after);
#ifdef MUTANT_SEQUENCE_ONCE
        ok = true
#else
        ok = before == after
#endif
    :: else -> ok = false
    fi;
    d_step { before = 0; after = 0 }
}

/* edge_read, and read_once with one try a block. */
proctype reader()
{
    byte before, after, received, held, pushed, stored, writer_held, popped, in_edge, number, count;
    bool ok;
    AFTER(ended == 2);
#ifdef MUTANT_WORKER_FIRST
    block_read(WORKER_SEQUENCE, received, held, pushed);
    if
    :: ok -> block_read(WRITER_SEQUENCE, stored, writer_held, popped)
    :: else
    fi;
#else
    block_read(WRITER_SEQUENCE, stored, writer_held, popped);
    if
    :: ok -> block_read(WORKER_SEQUENCE, received, held, pushed)
    :: else
    fi;
#endif
    if
    :: !ok -> goto end
    :: else
    fi;
    assert(popped <= pushed);
    /* it was overtaken between the two blocks */
    if
    :: pushed - popped > SLOTS -> goto end
    :: else
    fi;
    number = popped + 1;
    do
    :: number <= pushed ->
        load_acquire(READER, NUMBER(number), before);
        /* not its item: then a later one's, or on the way to it */
        assert(before == 0 || before >= number);
        load_word(READER, COUNT(number), count);
        load_relaxed(READER, NUMBER(number), after);
        if
        :: before != number || after != number -> goto end
        :: else
        fi;
        d_step { in_edge = in_edge + count; number++; before = 0; after = 0; count = 0 }
    :: else -> break
    od;
    assert(received == stored + writer_held + held + in_edge);
end:
    skip
}

init
{
    atomic {
        memory_start();
        run worker();
        run writer();
        run reader()
    }
}
