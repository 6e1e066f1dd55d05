#include "storage/frame/ring.h"

#include "base/assert.h"
#include "model/sample.h"
#include "storage/frame/frame.h"

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
#define DESCRIPTOR_WORDS (sizeof(struct weir_frame_descriptor) / 8)
#define SLEEPERS 1u /* lowest bit of wake: somebody may sleep on it */

struct weir_frame_ring {
    _Atomic uint64_t magic; /* set last */
    uint64_t bytes_size;    /* of the byte ring, whole pages */
    /* writer's own */
    uint64_t tail;          /* cursor after the last commit */
    uint64_t published_end;       /* cursor after the last published frame */
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t published; /* descriptors, ever */
    _Atomic uint64_t reclaimed; /* bytes below this cursor are overwritten or about to be */
    _Atomic uint32_t wake;      /* futex word: publications times 2, and SLEEPERS */
    /* words: a reader may copy one while it is overwritten */
    alignas(WEIR_CACHE_LINE)
        _Atomic uint64_t descriptors[WEIR_FRAME_DESCRIPTORS][DESCRIPTOR_WORDS];
};
_Static_assert(sizeof(_Atomic uint64_t) == 8, "an atomic word is a word");

static uint64_t
header_bytes(void)
{
    return (sizeof(struct weir_frame_ring) + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

uint64_t
weir_frame_ring_bytes_min(void)
{
    return (header_bytes() + 2 * WEIR_FRAME_BYTES_MAX + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

enum weir_err
weir_frame_ring_init(void *memory, uint64_t bytes)
{
    if (bytes < weir_frame_ring_bytes_min())
        return weir_fail(WEIR_INVALID, 0, "frame ring of %llu bytes, at least %llu",
            (unsigned long long)bytes, (unsigned long long)weir_frame_ring_bytes_min());
    struct weir_frame_ring *ring = memory;
    ring->bytes_size = (bytes - header_bytes()) & ~(uint64_t)(PAGE - 1);
    /* release pairs with the acquire in weir_frame_ring_copy */
    atomic_store_explicit(&ring->magic, RING_MAGIC, memory_order_release);
    return WEIR_OK;
}

uint8_t *
weir_frame_ring_reserve(struct weir_frame_ring *ring, size_t bytes_max, uint64_t *place)
{
    /* two fit whatever the cursor: see weir_frame_ring_bytes_min */
    WEIR_ASSERT(bytes_max <= WEIR_FRAME_BYTES_MAX && bytes_max % PAGE == 0);
    uint64_t start = ring->tail;
    uint64_t to_end = ring->bytes_size - start % ring->bytes_size;
    if (to_end < bytes_max)
        start += to_end;
    uint64_t end = start + bytes_max;
    if (end - ring->published_end > ring->bytes_size)
        return NULL;
    if (end > ring->bytes_size &&
        end - ring->bytes_size > atomic_load_explicit(&ring->reclaimed, memory_order_relaxed)) {
        atomic_store_explicit(&ring->reclaimed, end - ring->bytes_size, memory_order_relaxed);
        /* pairs with the acquire fence in weir_frame_ring_copy: a reader that copied any byte
         * written from here on sees reclaimed */
        atomic_thread_fence(memory_order_release);
    }
    *place = start;
    return (uint8_t *)ring + header_bytes() + start % ring->bytes_size;
}

void
weir_frame_ring_commit(struct weir_frame_ring *ring, uint64_t place, size_t bytes)
{
    WEIR_ASSERT(place >= ring->tail && bytes % PAGE == 0);
    ring->tail = place + bytes;
}

/* Count and bit are one word, changed in one step: a sleeper that sets the bit after
 * this sees the publication, and one that has set it before is woken. With the bit in a word of its
 * own a sleeper could set it between the two steps, lose it to the second, and miss the next one.
 */
static void
wake_sleepers(struct weir_frame_ring *ring)
{
    uint32_t wake = atomic_load_explicit(&ring->wake, memory_order_relaxed);
    /* release pairs with the acquire of wake in weir_frame_ring_wait */
    while (!atomic_compare_exchange_weak_explicit(&ring->wake, &wake, (wake + 2) & ~SLEEPERS,
        memory_order_release, memory_order_relaxed))
        continue;
    if (wake & SLEEPERS)
        syscall(SYS_futex, &ring->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void
weir_frame_ring_publish(struct weir_frame_ring *ring,
    const struct weir_frame_descriptor *descriptor)
{
    WEIR_ASSERT(descriptor->place >= ring->published_end &&
                descriptor->place + descriptor->bytes <= ring->tail);
    uint64_t count = atomic_load_explicit(&ring->published, memory_order_relaxed);
    _Atomic uint64_t *slot = ring->descriptors[count % WEIR_FRAME_DESCRIPTORS];
    uint64_t words[DESCRIPTOR_WORDS];
    memcpy(words, descriptor, sizeof words);
    /* pairs with the acquire fence in weir_frame_ring_descriptor: a reader that copied a word
     * written from here on sees that the slot's turn has come */
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < DESCRIPTOR_WORDS; i++)
        atomic_store_explicit(&slot[i], words[i], memory_order_relaxed);
    ring->published_end = descriptor->place + descriptor->bytes;
    /* release pairs with the acquire in weir_frame_ring_published */
    atomic_store_explicit(&ring->published, count + 1, memory_order_release);
    wake_sleepers(ring);
}

void
weir_frame_ring_memory(struct weir_frame_ring *ring, void **memory, size_t *size)
{
    *memory = (uint8_t *)ring + header_bytes();
    *size = ring->bytes_size;
}

uint64_t
weir_frame_ring_published(const struct weir_frame_ring *ring)
{
    /* acquire pairs with the release in weir_frame_ring_publish */
    return atomic_load_explicit(&ring->published, memory_order_acquire);
}

enum weir_err
weir_frame_ring_descriptor(const struct weir_frame_ring *ring, uint64_t n,
    struct weir_frame_descriptor *out)
{
    if (n >= weir_frame_ring_published(ring))
        return WEIR_NOT_FOUND;
    const _Atomic uint64_t *slot = ring->descriptors[n % WEIR_FRAME_DESCRIPTORS];
    uint64_t words[DESCRIPTOR_WORDS];
    for (size_t i = 0; i < DESCRIPTOR_WORDS; i++)
        words[i] = atomic_load_explicit(&slot[i], memory_order_relaxed);
    /* pairs with the release fence in weir_frame_ring_publish */
    atomic_thread_fence(memory_order_acquire);
    uint64_t count = atomic_load_explicit(&ring->published, memory_order_relaxed);
    memcpy(out, words, sizeof *out);
    /* the slot of n is written while published is n + WEIR_FRAME_DESCRIPTORS; after a restart of
     * the writer published is below n */
    return n < count && count - n < WEIR_FRAME_DESCRIPTORS ? WEIR_OK : WEIR_NOT_FOUND;
}

/* The bytes may be overwritten meanwhile, as in a sequence lock: what was copied is looked at only
 * after reclaimed has shown that they were not. ThreadSanitizer cannot know that. */
__attribute__((no_sanitize("thread"), noinline)) static void
copy_racing(uint8_t *out, const uint8_t *from, size_t bytes)
{
#if defined(__SANITIZE_THREAD__)
    /* memcpy would be intercepted */
    for (size_t i = 0; i < bytes; i++)
        out[i] = from[i];
#else
    memcpy(out, from, bytes);
#endif
}

enum weir_err
weir_frame_ring_copy(const struct weir_frame_ring *ring, uint64_t ring_bytes, uint64_t place,
    uint8_t *out, size_t bytes)
{
    /* acquire pairs with the release in weir_frame_ring_init */
    if (atomic_load_explicit(&ring->magic, memory_order_acquire) != RING_MAGIC ||
        ring_bytes < weir_frame_ring_bytes_min())
        return WEIR_NOT_FOUND;
    /* the layout follows from ring_bytes, which the reader knows, not from what is shared */
    uint64_t size = (ring_bytes - header_bytes()) & ~(uint64_t)(PAGE - 1);
    uint64_t at = place % size;
    if (bytes > size - at ||
        place < atomic_load_explicit(&ring->reclaimed, memory_order_relaxed))
        return WEIR_NOT_FOUND;
    copy_racing(out, (const uint8_t *)ring + header_bytes() + at, bytes);
    /* pairs with the release fence in weir_frame_ring_reserve */
    atomic_thread_fence(memory_order_acquire);
    if (place < atomic_load_explicit(&ring->reclaimed, memory_order_relaxed))
        return WEIR_NOT_FOUND;
    return WEIR_OK;
}

void
weir_frame_ring_wait(struct weir_frame_ring *ring, uint64_t seen, int timeout_ms)
{
    /* a flag and not a count of sleepers: the region may be zeroed while somebody sleeps. Acquire
     * pairs with the release in wake_sleepers. */
    uint32_t word =
        atomic_fetch_or_explicit(&ring->wake, SLEEPERS, memory_order_acquire) | SLEEPERS;
    if (weir_frame_ring_published(ring) > seen)
        return;
    struct timespec timeout = {.tv_sec = timeout_ms / 1000,
        .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
    syscall(SYS_futex, &ring->wake, FUTEX_WAIT, word, &timeout, NULL, 0);
}
