/* index_cache: blocks of index segments as they are used, in memory of fixed size.
 *
 *   stripe, by hash of (file id, place): a lock, 64 slots of WEIR_INDEX_RAW_MAX bytes, a hand
 *
 * A block is pinned while it is read, and pins are short: a reader has a few. A miss is filled
 * outside of the lock: two readers may read the same block, and nobody waits for a device but the
 * one who asked it. Where all slots of a stripe are pinned, the block goes to memory of its own.
 *
 * Threads: any
 * Memory:  the slots, taken at new
 * Errors:  WEIR_NOMEM
 */
#ifndef WEIR_STORAGE_INDEX_CACHE_H
#define WEIR_STORAGE_INDEX_CACHE_H

#include "base/err.h"
#include "storage/index/format.h"

#include <stdbool.h>

struct weir_index_cache;
struct weir_cache_slot;

/* A pinned block. */
struct weir_index_block {
    const uint8_t *raw; /* arrays: 32 bits an entry (weir_index_array_decode) */
    uint32_t raw_bytes;
    uint32_t first;
    uint32_t last;
    uint32_t count;
    unsigned kind;
    struct weir_cache_slot *slot; /* NULL where nothing is pinned */
};

enum weir_err weir_index_cache_new(size_t bytes, struct weir_index_cache **out) WEIR_MUST_USE;
void weir_index_cache_free(struct weir_index_cache *cache);

/* Finds and pins. */
bool weir_index_cache_get(struct weir_index_cache *cache, uint64_t file_id, uint32_t place,
    struct weir_index_block *out);
/* Pins a slot that nobody finds, and gives its memory, WEIR_INDEX_RAW_MAX bytes. */
enum weir_err weir_index_cache_reserve(struct weir_index_cache *cache, uint64_t file_id,
    uint32_t place, struct weir_cache_slot **slot, uint8_t **memory) WEIR_MUST_USE;
/* Fills in what the slot holds; others find it from now on. block->raw is the reserved memory. */
void weir_index_cache_publish(struct weir_index_cache *cache, struct weir_index_block *block);
/* Unpins; a slot that was not published is free again. */
void weir_index_cache_release(struct weir_index_cache *cache, struct weir_index_block *block);

#endif
