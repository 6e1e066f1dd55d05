/* seqlock: words in shared memory that one thread writes and every other thread copies whole. No
 * one waits: a reader that met the writer gets an error, and reads again later.
 *
 *   writer:  sequence odd --> words --> sequence even, a greater one
 *   reader:  sequence, even --> words --> sequence: the same, else the copy is thrown away
 *
 * Owns:    nothing; sequence and words are in memory of the caller
 * Threads: one writer, any readers, also in other processes
 * Memory:  zero bytes are a valid block that was never written
 *
 * There are no fences. Each word is stored with release and loaded with acquire instead: a reader
 * that meets a word of a newer write also sees the odd sequence that was stored before it, and so
 * throws its copy away. On x86-64 both are plain moves, and ThreadSanitizer understands them, while
 * it does not understand fences. tests/promela/ledger.pml holds a model of both functions.
 */
#ifndef WEIR_BASE_SEQLOCK_H
#define WEIR_BASE_SEQLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes `count` words and returns the sequence they are readable under. A writer that died in the
 * middle leaves an odd sequence: its successor goes on from there. */
static inline uint64_t
weir_seqlock_write(_Atomic uint64_t *sequence, _Atomic uint64_t *words, const uint64_t *from,
    size_t count)
{
    uint64_t odd = atomic_load_explicit(sequence, memory_order_relaxed) | 1;
    atomic_store_explicit(sequence, odd, memory_order_relaxed);
    /* release pairs with the acquire loads of words in weir_seqlock_read: new word, odd sequence */
    for (size_t i = 0; i < count; i++)
        atomic_store_explicit(&words[i], from[i], memory_order_release);
    /* release pairs with the first acquire load in weir_seqlock_read */
    atomic_store_explicit(sequence, odd + 1, memory_order_release);
    return odd + 1;
}

/* Copies `count` words; *seen is then the sequence they were written under, 0 where nothing was
 * ever written. False where the writer was at work: `to` then holds a mixture, and *seen is
 * unchanged. */
static inline bool
weir_seqlock_read(const _Atomic uint64_t *sequence, const _Atomic uint64_t *words, uint64_t *to,
    size_t count, uint64_t *seen)
{
    /* acquire pairs with the last release in weir_seqlock_write */
    uint64_t before = atomic_load_explicit(sequence, memory_order_acquire);
    if (before % 2 != 0)
        return false;
    for (size_t i = 0; i < count; i++)
        to[i] = atomic_load_explicit(&words[i], memory_order_acquire);
    if (atomic_load_explicit(sequence, memory_order_relaxed) != before)
        return false;
    *seen = before;
    return true;
}

/* Whether a read may find another write than the one of `seen`: reads one word. */
static inline bool
weir_seqlock_has_moved(const _Atomic uint64_t *sequence, uint64_t seen)
{
    /* relaxed: a thread that goes on to read loads it once more */
    return atomic_load_explicit(sequence, memory_order_relaxed) != seen;
}

#endif
