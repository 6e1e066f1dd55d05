#include "storage/frame_ring.h"

#include "base/assert.h"
#include "base/sample.h"
#include "storage/frame.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdalign.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RING_MAGIC UINT64_C(0x31474e4952465257) /* "WRFRING1" */
#define PAGE 4096u
/* The largest frame: a full batch with a full list of definitions. */
#define FRAME_BYTES_MAX \
    ((uint64_t)WEIR_BATCH_SAMPLES_MAX * 25 + WEIR_BATCH_DEFINITIONS_MAX + (UINT64_C(1) << 18))

struct weir_frame_ring {
    uint64_t magic;
    uint64_t bytes_at;   /* of the byte ring, from this header */
    uint64_t bytes_size; /* of the byte ring, whole pages */
    /* writer's own */
    uint64_t tail;       /* cursor behind the last commit */
    uint64_t settled;    /* cursor behind the last published frame */
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t published; /* descriptors, ever */
    _Atomic uint64_t reclaimed; /* bytes below this cursor are overwritten or about to be */
    _Atomic uint32_t wake;      /* futex word: grows with each publication */
    _Atomic uint32_t sleepers;
    alignas(WEIR_CACHE_LINE) struct weir_frame_descriptor descriptors[WEIR_FRAME_DESCRIPTORS];
};

static uint64_t
header_bytes(void)
{
    return (sizeof(struct weir_frame_ring) + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

uint64_t
weir_frame_ring_bytes_min(void)
{
    return (header_bytes() + 2 * FRAME_BYTES_MAX + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

enum weir_err
weir_frame_ring_init(void *memory, uint64_t bytes)
{
    if (bytes < weir_frame_ring_bytes_min())
        return weir_fail(WEIR_INVALID, 0, "frame ring of %llu bytes, at least %llu",
            (unsigned long long)bytes, (unsigned long long)weir_frame_ring_bytes_min());
    struct weir_frame_ring *ring = memory;
    ring->bytes_at = header_bytes();
    ring->bytes_size = (bytes - ring->bytes_at) & ~(uint64_t)(PAGE - 1);
    ring->magic = RING_MAGIC;
    return WEIR_OK;
}

uint8_t *
weir_frame_ring_reserve(struct weir_frame_ring *ring, size_t bytes_max, uint64_t *place)
{
    WEIR_ASSERT(bytes_max <= ring->bytes_size);
    uint64_t start = ring->tail;
    uint64_t to_end = ring->bytes_size - start % ring->bytes_size;
    if (to_end < bytes_max)
        start += to_end;
    uint64_t end = start + bytes_max;
    if (end - ring->settled > ring->bytes_size)
        return NULL;
    if (end > ring->bytes_size &&
        end - ring->bytes_size > atomic_load_explicit(&ring->reclaimed, memory_order_relaxed)) {
        atomic_store_explicit(&ring->reclaimed, end - ring->bytes_size, memory_order_relaxed);
        /* pairs with the acquire fence in weir_frame_ring_copy: a reader that copied any byte
         * written from here on sees reclaimed */
        atomic_thread_fence(memory_order_release);
    }
    *place = start;
    return (uint8_t *)ring + ring->bytes_at + start % ring->bytes_size;
}

void
weir_frame_ring_commit(struct weir_frame_ring *ring, uint64_t place, size_t bytes)
{
    WEIR_ASSERT(place >= ring->tail);
    ring->tail = place + bytes;
}

static void
futex_wake(struct weir_frame_ring *ring)
{
    syscall(SYS_futex, &ring->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void
weir_frame_ring_publish(struct weir_frame_ring *ring,
    const struct weir_frame_descriptor *descriptor)
{
    uint64_t count = atomic_load_explicit(&ring->published, memory_order_relaxed);
    ring->descriptors[count % WEIR_FRAME_DESCRIPTORS] = *descriptor;
    ring->settled = descriptor->place + descriptor->bytes;
    /* release pairs with the acquire in weir_frame_ring_published */
    atomic_store_explicit(&ring->published, count + 1, memory_order_release);
    /* seq_cst on both words: either the sleeper's count is seen here, or it sees the new wake */
    atomic_fetch_add(&ring->wake, 1);
    if (atomic_load(&ring->sleepers) > 0)
        futex_wake(ring);
}

void
weir_frame_ring_memory(struct weir_frame_ring *ring, void **memory, size_t *size)
{
    *memory = (uint8_t *)ring + ring->bytes_at;
    *size = ring->bytes_size;
}

uint64_t
weir_frame_ring_published(const struct weir_frame_ring *ring)
{
    return atomic_load_explicit(&ring->published, memory_order_acquire);
}

enum weir_err
weir_frame_ring_descriptor(const struct weir_frame_ring *ring, uint64_t n,
    struct weir_frame_descriptor *out)
{
    if (n >= weir_frame_ring_published(ring))
        return WEIR_NOT_FOUND;
    *out = ring->descriptors[n % WEIR_FRAME_DESCRIPTORS];
    atomic_thread_fence(memory_order_acquire);
    uint64_t count = atomic_load_explicit(&ring->published, memory_order_relaxed);
    /* the slot of n is written while published is n + WEIR_FRAME_DESCRIPTORS */
    return count - n < WEIR_FRAME_DESCRIPTORS ? WEIR_OK : WEIR_NOT_FOUND;
}

enum weir_err
weir_frame_ring_copy(const struct weir_frame_ring *ring,
    const struct weir_frame_descriptor *descriptor, uint8_t *out)
{
    uint64_t size = ring->bytes_size;
    if (ring->magic != RING_MAGIC || size == 0)
        return WEIR_NOT_FOUND;
    uint64_t at = descriptor->place % size;
    if (descriptor->bytes > size - at ||
        descriptor->place < atomic_load_explicit(&ring->reclaimed, memory_order_acquire))
        return WEIR_NOT_FOUND;
    memcpy(out, (const uint8_t *)ring + ring->bytes_at + at, descriptor->bytes);
    /* pairs with the release fence in weir_frame_ring_reserve */
    atomic_thread_fence(memory_order_acquire);
    if (descriptor->place < atomic_load_explicit(&ring->reclaimed, memory_order_relaxed))
        return WEIR_NOT_FOUND;
    return WEIR_OK;
}

void
weir_frame_ring_wait(struct weir_frame_ring *ring, uint64_t seen, int timeout_ms)
{
    atomic_fetch_add(&ring->sleepers, 1);
    uint32_t word = atomic_load(&ring->wake);
    if (weir_frame_ring_published(ring) <= seen) {
        struct timespec timeout = {.tv_sec = timeout_ms / 1000,
            .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
        syscall(SYS_futex, &ring->wake, FUTEX_WAIT, word, &timeout, NULL, 0);
    }
    atomic_fetch_sub(&ring->sleepers, 1);
}
