/* series_cache: a worker's own map from raw-key hash to series number.
 *
 * Many agents send the same lines in the same order again and again, and lines that came together
 * the first time have numbers that follow each other. So beside the map is each number's key, and
 * of a run of points only the first is looked up in the map; the next ones are expected to be the
 * next numbers, and their keys are neighbours in memory. If they are others, the map has them.
 *
 * Threads: its worker only
 * Memory:  weir_series_cache_footprint() bytes from the caller, zeroed: 32 bytes an entry
 * Limits:  a cache: a full bucket evicts; a lost entry costs one weir_series_resolve
 *
 * The 88 bits kept of a 128-bit keyed hash, or the 64 of a number's key, are the only comparison:
 * docs/design/series.md states the residual chance of a mix-up.
 */
#ifndef WEIR_DATAPLANE_WORKER_SERIES_CACHE_H
#define WEIR_DATAPLANE_WORKER_SERIES_CACHE_H

#include "base/hash.h"
#include "dataplane/protocol/parse.h"
#include "dataplane/series/series.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_series_cache;

size_t weir_series_cache_footprint(uint64_t entries);
struct weir_series_cache *weir_series_cache_init(void *memory, uint64_t entries);

void weir_series_cache_prefetch(const struct weir_series_cache *cache, struct weir_hash128 raw);
/* True and *number where the hash is known. */
bool weir_series_cache_lookup(const struct weir_series_cache *cache, struct weir_hash128 raw,
    uint64_t *number);

/* Points of a burst that are looked up together, in two steps with other work between them. */
struct weir_raw_burst {
    uint32_t head_count;
    uint32_t next_head; /* the next point that is expected to begin a run */
    uint16_t heads[WEIR_POINTS_MAX]; /* points that begin a run, in order */
    uint16_t late[WEIR_POINTS_MAX];  /* scratch: those that were not what was expected */
};
_Static_assert(WEIR_POINTS_MAX <= UINT16_MAX, "places of points");

/* The first step, for points[first] up to points[end - 1]: fetches the buckets of those that begin
 * a run and notes them in burst and numbers. A run begins with a packet (`fresh`: points[first] is
 * its first), where the time changes, and after as many points as runs lately had. A call with
 * `first` 0 begins the burst. */
void weir_series_cache_fetch(const struct weir_series_cache *cache, const struct weir_point *points,
    uint32_t first, uint32_t end, bool fresh, struct weir_raw_burst *burst, uint64_t *numbers);
/* The second, for all `count` points: leaves in numbers[i] the number of points[i].raw, or
 * WEIR_SERIES_UNKNOWN. Returns how many are known. */
size_t weir_series_cache_find(struct weir_series_cache *cache, const struct weir_point *points,
    uint32_t count, struct weir_raw_burst *burst, uint64_t *numbers);
void weir_series_cache_insert(
    struct weir_series_cache *cache, struct weir_hash128 raw, uint64_t number);

#endif
