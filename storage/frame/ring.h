/* frame_ring: recent frames in shared memory, and the directory of their descriptors.
 *
 * Owns:    the shared region's last part; layout below
 * Threads: the log writer writes; readers in other processes copy and then check
 * Memory:  the caller's region; a buffer handed out is aligned for O_DIRECT
 *
 *   | header | descriptors (ring) | bytes (ring of frames, never split at the end) |
 *
 * A descriptor is published (release-store of `published`) when its frame is durable, then
 * sleepers on the futex are woken. Before bytes are overwritten `reclaimed` moves past them: a
 * reader copies a frame, then sees that reclaimed has not passed its place, or reads the file.
 */
#ifndef WEIR_STORAGE_FRAME_RING_H
#define WEIR_STORAGE_FRAME_RING_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_FRAME_DESCRIPTORS 65536

struct weir_frame_descriptor {
    uint64_t offset;              /* in the stream */
    uint64_t place;               /* cursor in the byte ring; grows for ever */
    uint64_t definitions_through;
    int64_t time_min_ms;
    int64_t time_max_ms;
    uint32_t bytes;
    uint32_t samples;
    uint32_t definitions;
    uint32_t reserved[3];
};
_Static_assert(sizeof(struct weir_frame_descriptor) == 64, "a descriptor is a cache line");

struct weir_frame_ring;

/* Smallest region that holds two frames of the largest size; rounded up to whole pages. */
uint64_t weir_frame_ring_bytes_min(void);
/* Writer: lays out a zeroed region. WEIR_INVALID where it is too small. */
enum weir_err weir_frame_ring_init(void *memory, uint64_t bytes) WEIR_MUST_USE;

/* Writer: room for bytes_max bytes in one piece, overwriting the oldest published frames; NULL
 * while those in the way are not yet durable. */
uint8_t *weir_frame_ring_reserve(struct weir_frame_ring *ring, size_t bytes_max, uint64_t *place);
/* Writer: keeps the first `bytes` of the last reservation. */
void weir_frame_ring_commit(struct weir_frame_ring *ring, uint64_t place, size_t bytes);
/* Writer: publishes committed frames in their order. */
void weir_frame_ring_publish(struct weir_frame_ring *ring,
    const struct weir_frame_descriptor *descriptor);
/* Writer: the byte range of the whole ring, for registering buffers. */
void weir_frame_ring_memory(struct weir_frame_ring *ring, void **memory, size_t *size);

/* Reader: count of descriptors ever published (acquire). */
uint64_t weir_frame_ring_published(const struct weir_frame_ring *ring);
/* Reader: descriptor number n (0 based). WEIR_NOT_FOUND where it was overwritten. */
enum weir_err weir_frame_ring_descriptor(const struct weir_frame_ring *ring, uint64_t n,
    struct weir_frame_descriptor *out) WEIR_MUST_USE;
/* Reader: copies `bytes` bytes at place (a descriptor's, or inside its frame). ring_bytes: of the
 * region, as the reader knows it, since what is shared is not trusted with bounds. WEIR_NOT_FOUND
 * where they were overwritten: read the file. */
enum weir_err weir_frame_ring_copy(const struct weir_frame_ring *ring, uint64_t ring_bytes,
    uint64_t place, uint8_t *out, size_t bytes) WEIR_MUST_USE;
/* Reader: sleeps until published > seen or timeout_ms has passed; may return early. */
void weir_frame_ring_wait(struct weir_frame_ring *ring, uint64_t seen, int timeout_ms);

#endif
