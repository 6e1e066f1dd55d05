/* ring: bounded queue of pointers between one producer and one consumer thread.
 *
 * Owns:    nothing; the slots are in memory of the caller
 * Threads: push from one thread, pop from one other; count from both
 * Memory:  weir_ring_footprint(capacity) bytes, cache-line aligned
 * Limits:  capacity is a power of two
 *
 *   head (consumer's cursor)        tail (producer's cursor)
 *     v                               v
 *   [ . ][ a ][ b ][ c ][ . ][ . ]     both grow for ever; the index is cursor & mask
 *
 * Each side keeps a private copy of the other's cursor, and reads the shared line only when
 * the copy says full or empty (Lee et al., "A Lock-Free, Cache-Efficient Shared Ring Buffer for
 * Multi-Core Architectures", ANCS 2009).
 */
#ifndef WEIR_BASE_RING_H
#define WEIR_BASE_RING_H

#include "base/assert.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_ring {
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t tail; /* written by the producer */
    uint64_t head_seen;                             /* producer's copy of head */
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t head; /* written by the consumer */
    uint64_t tail_seen;                             /* consumer's copy of tail */
    alignas(WEIR_CACHE_LINE) uint64_t mask;         /* capacity - 1, fixed */
    void *slots[];
};

static inline size_t
weir_ring_footprint(size_t capacity)
{
    size_t bytes = sizeof(struct weir_ring) + capacity * sizeof(void *);
    return (bytes + WEIR_CACHE_LINE - 1) & ~(size_t)(WEIR_CACHE_LINE - 1);
}

static inline struct weir_ring *
weir_ring_init(void *memory, size_t capacity)
{
    WEIR_ASSERT(capacity != 0 && (capacity & (capacity - 1)) == 0);
    WEIR_ASSERT(((uintptr_t)memory & (WEIR_CACHE_LINE - 1)) == 0);
    struct weir_ring *ring = memory;
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    ring->head_seen = 0;
    ring->tail_seen = 0;
    ring->mask = capacity - 1;
    return ring;
}

/* False when full; the item then stays with the caller. */
static inline bool
weir_ring_push(struct weir_ring *ring, void *item)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen > ring->mask) {
        /* acquire pairs with the release of head in weir_ring_pop */
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen > ring->mask)
            return false;
    }
    ring->slots[tail & ring->mask] = item;
    /* release pairs with the acquire of tail in weir_ring_peek */
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

/* The oldest item without taking it, or NULL when empty. */
static inline void *
weir_ring_peek(struct weir_ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen) {
        /* acquire pairs with the release of tail in weir_ring_push */
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen)
            return NULL;
    }
    return ring->slots[head & ring->mask];
}

/* Takes the oldest item, or NULL when empty. */
static inline void *
weir_ring_pop(struct weir_ring *ring)
{
    void *item = weir_ring_peek(ring);
    if (item != NULL) {
        uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
        /* release pairs with the acquire of head in weir_ring_push */
        atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    }
    return item;
}

/* Items queued, at some moment during the call. */
static inline size_t
weir_ring_count(const struct weir_ring *ring)
{
    /* head first: then tail is not before it, and acquire keeps the order. Both pair with the
     * releases in weir_ring_pop and weir_ring_push. */
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return (size_t)(tail - head);
}

/* Producer only: true when a push would fail. */
static inline bool
weir_ring_full(struct weir_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen <= ring->mask)
        return false;
    /* acquire pairs with the release of head in weir_ring_pop */
    ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
    return tail - ring->head_seen > ring->mask;
}

#endif
