/* series_cache_map: the inside of struct weir_series_cache, for its two files only.
 *
 *   series_cache.c  the map from key to number, and the keys by number
 *   prediction.c    bursts of lookups: the points that are expected to follow each other
 *
 * Threads: its worker's
 */
#ifndef WEIR_DATAPLANE_WORKER_SERIES_CACHE_MAP_H
#define WEIR_DATAPLANE_WORKER_SERIES_CACHE_MAP_H

#include "dataplane/series/slot.h"
#include "dataplane/worker/series_cache.h"

#include <stdalign.h>

#if defined(__x86_64__)
#include <smmintrin.h>
#endif

/* Keys around the expected one that a point is looked for among where it is not that: agents leave
 * lines out, and send lines that were new later. */
#define WEIR_SERIES_CACHE_NEAR 16

struct weir_series_slot {
    uint64_t word0;
    uint64_t word1;
};

struct weir_series_bucket {
    alignas(WEIR_CACHE_LINE) struct weir_series_slot slots[WEIR_BUCKET_SLOTS];
};
_Static_assert(sizeof(struct weir_series_bucket) == WEIR_CACHE_LINE, "a bucket is a cache line");

struct weir_series_cache {
    alignas(WEIR_CACHE_LINE) uint64_t bucket_count;
    uint64_t key_count;
    uint64_t *keys;  /* by number, of the hash inserted last; after the buckets */
    uint32_t victim; /* slot of the home bucket that the next eviction takes */

    /* prediction.c: */
    uint32_t plain;  /* bursts to come in which nothing is expected to follow */
    uint32_t plain_last; /* how many they were the last time; 0 since something was right */
    uint32_t period; /* points after which a run ends where nothing else shows its end; 0: none */
    uint32_t phase;  /* points of the next burst until the run that its first one is in ends */

    struct weir_series_bucket buckets[];
};

/* The key of a hash by its number; never 0, which means none. */
static inline uint64_t
weir_series_cache_key(struct weir_hash128 raw)
{
    return raw.lo + (raw.lo == 0);
}

static inline bool
weir_series_cache_has_key(const struct weir_series_cache *cache, uint64_t number)
{
    return number < cache->key_count; /* WEIR_SERIES_UNKNOWN is not */
}

/* Whether the home bucket's slot with raw's check bits is raw's; its number in any case. Nearly
 * every lookup ends here, with half the instructions of a comparison of everything and no branch.
 * False where that is not all there is to it. */
static inline bool
weir_series_cache_at_home(
    const struct weir_series_bucket *bucket, struct weir_hash128 raw, uint64_t *number)
{
#if defined(__x86_64__)
    const __m128i *at = (const __m128i *)bucket;
    __m128i front = _mm_unpackhi_epi32(_mm_load_si128(at), _mm_load_si128(at + 1));
    __m128i back = _mm_unpackhi_epi32(_mm_load_si128(at + 2), _mm_load_si128(at + 3));
    __m128i same = _mm_cmpeq_epi32(_mm_unpacklo_epi64(front, back), _mm_set1_epi32((int)raw.hi));
    unsigned mask = (unsigned)_mm_movemask_ps(_mm_castsi128_ps(same));
#else
    unsigned mask = 0;
    for (unsigned i = 0; i < WEIR_BUCKET_SLOTS; i++)
        mask |= (unsigned)((uint32_t)bucket->slots[i].word1 == (uint32_t)raw.hi) << i;
#endif
    const struct weir_series_slot *slot = &bucket->slots[__builtin_ctz(mask | 8)];
    *number = weir_slot_number(slot->word0, slot->word1);
    return (mask != 0) & ((slot->word0 & WEIR_SLOT_HASH_MASK) == weir_slot_hash(raw));
}

/* The same where the home bucket does not say it. */
bool weir_series_cache_look_further(const struct weir_series_cache *cache, struct weir_hash128 raw,
    uint64_t *number);

#endif
