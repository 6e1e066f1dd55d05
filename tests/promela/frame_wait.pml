/* storage/frame/ring.c: weir_frame_ring_wait against weir_frame_ring_publish. A reader that sleeps
 * is woken by what it has not seen: none of two sleeps for ever (the time limit is left out). */
#define FRAMES 2
#define READERS 2
#define PUBLISHED 0
#define WAKE 1    /* stored by all, by updates alone; lowest bit: somebody may sleep on it */
#define WAITING 2 /* of the mutant that keeps the bit in a word of its own */
#define LOCATIONS 3
#define HISTORY (4 * FRAMES * READERS)
#define THREADS (1 + READERS)
#define WRITER 0
#include "memory.pml"

#ifdef MUTANT_WAKE_RELAXED
#define update_wake update_acquire
#else
#define update_wake update_release
#endif
#ifdef MUTANT_WORD_LOADED_RELAXED
#define update_word update_release
#else
#define update_word update_acquire
#endif

bool asleep[THREADS];

/* the end of weir_frame_ring_publish */
proctype writer()
{
    byte n, old;
    do
    :: n < FRAMES ->
#ifndef MUTANT_PUBLISHED_LAST
        store_release(WRITER, PUBLISHED, n + 1);
#endif
#ifdef MUTANT_BIT_APART
        update_wake(WRITER, WAKE, old + 2, old);
        update_release(WRITER, WAITING, 0, old);
#else
#ifdef MUTANT_WORD_STAYS
        update_wake(WRITER, WAKE, old & 254, old);
#else
        update_wake(WRITER, WAKE, (old + 2) & 254, old);
#endif
#endif
        if
        :: (old & 1) != 0 -> d_step { asleep[1] = false; asleep[2] = false } /* FUTEX_WAKE */
        :: else
        fi;
        old = 0;
#ifdef MUTANT_PUBLISHED_LAST
        store_release(WRITER, PUBLISHED, n + 1);
#endif
        n++
    :: else -> break
    od
}

/* weir_frame_ring_wait, until all is seen */
proctype reader(byte me)
{
    byte seen_count, word, now, old;
    do
    :: seen_count < FRAMES ->
#ifdef MUTANT_BIT_APART
        update_acquire(me, WAITING, 1, old);
        load_newest(me, WAKE, word);
#else
#ifdef MUTANT_BIT_NOT_SET
        update_word(me, WAKE, old & 255, old);
        word = old;
#else
        update_word(me, WAKE, old | 1, old);
        word = old | 1;
#endif
#endif
        old = 0;
        load_acquire(me, PUBLISHED, now);
        if
        :: now > seen_count -> skip
#ifdef MUTANT_SLEEPS_UNLOOKED
        :: now > seen_count ->
#else
        :: else ->
#endif
            /* FUTEX_WAIT: the kernel compares and sleeps in one step */
            atomic {
                load_newest(me, WAKE, old);
                if
                :: old == word -> asleep[me] = true
                :: else
                fi
            }
            old = 0;
            !asleep[me]
        fi;
        word = 0;
        /* weir_frame_ring_published of the next round */
        load_acquire(me, PUBLISHED, now);
        seen_count = now;
        now = 0
    :: else -> break
    od
}

init
{
    atomic {
        memory_start();
        run writer();
        run reader(1);
        run reader(2)
    }
}
