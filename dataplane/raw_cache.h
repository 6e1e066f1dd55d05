/* raw_cache: a worker's own map from raw-key hash to series number.
 *
 * Threads: its worker only
 * Memory:  weir_raw_cache_footprint() bytes from the caller, zeroed
 * Limits:  a cache: a full bucket evicts; a lost entry costs one weir_series_resolve
 *
 * The 88 bits kept of a 128-bit keyed hash are the only comparison: docs/design/series.md states
 * the residual chance of a mix-up.
 */
#ifndef WEIR_DATAPLANE_RAW_CACHE_H
#define WEIR_DATAPLANE_RAW_CACHE_H

#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_RAW_UNKNOWN UINT64_MAX

struct weir_raw_cache;

size_t weir_raw_cache_footprint(uint64_t entries);
struct weir_raw_cache *weir_raw_cache_init(void *memory, uint64_t entries);

void weir_raw_cache_prefetch(const struct weir_raw_cache *cache, struct weir_hash128 raw);
/* True and *number where the hash is known. */
bool weir_raw_cache_lookup(const struct weir_raw_cache *cache, struct weir_hash128 raw,
    uint64_t *number);
/* The same for `count` hashes that lie `stride` bytes apart, in two steps with other work between
 * them: the first fetches their buckets and notes in homes[i] where they are. */
void weir_raw_cache_prefetch_burst(const struct weir_raw_cache *cache,
    const struct weir_hash128 *raws, size_t stride, size_t count, uint64_t *homes);
/* The second takes these homes in numbers[i], and leaves there the number, or WEIR_RAW_UNKNOWN.
 * Returns how many are known. */
size_t weir_raw_cache_lookup_burst(const struct weir_raw_cache *cache,
    const struct weir_hash128 *raws, size_t stride, size_t count, uint64_t *numbers);
void weir_raw_cache_insert(struct weir_raw_cache *cache, struct weir_hash128 raw, uint64_t number);

#endif
