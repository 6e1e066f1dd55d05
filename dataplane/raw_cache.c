#include "dataplane/raw_cache.h"

#include "base/sample.h"
#include "dataplane/slot.h"

#if defined(__x86_64__)
#include <smmintrin.h>
#endif

/* Buckets an entry may lie in, from its home on. Two slots an entry: at that load about 95 % of the
 * entries lie at home and 6 of 1 M are without a place (docs/design/speed.md). At the series
 * table's 2/3 it was one in 160, each of which cost thousands of cycles and pushed another out. */
#define WALK 8

struct slot {
    uint64_t word0;
    uint64_t word1;
};

struct bucket {
    alignas(WEIR_CACHE_LINE) struct slot slots[WEIR_BUCKET_SLOTS];
};
_Static_assert(sizeof(struct bucket) == WEIR_CACHE_LINE, "a bucket is a cache line");

struct weir_raw_cache {
    alignas(WEIR_CACHE_LINE) uint64_t bucket_count;
    uint32_t victim; /* slot of the home bucket that the next eviction takes */
    struct bucket buckets[];
};

static uint64_t
buckets_for(uint64_t entries)
{
    return entries / 2 + 1;
}

size_t
weir_raw_cache_footprint(uint64_t entries)
{
    return sizeof(struct weir_raw_cache) + buckets_for(entries) * sizeof(struct bucket);
}

struct weir_raw_cache *
weir_raw_cache_init(void *memory, uint64_t entries)
{
    WEIR_ASSERT(((uintptr_t)memory & (WEIR_CACHE_LINE - 1)) == 0);
    struct weir_raw_cache *cache = memory;
    cache->bucket_count = buckets_for(entries);
    return cache;
}

void
weir_raw_cache_prefetch(const struct weir_raw_cache *cache, struct weir_hash128 raw)
{
    __builtin_prefetch(&cache->buckets[weir_slot_bucket(raw, cache->bucket_count)]);
}

/* What the slots of a bucket hold, a bit each. */
struct matches {
    unsigned raw;   /* the key looked for */
    unsigned empty;
};

#if defined(__x86_64__)

static inline unsigned
zero_words(__m128i a, __m128i b)
{
    __m128i zero = _mm_setzero_si128();
    __m128 both = _mm_shuffle_ps(_mm_castsi128_ps(_mm_cmpeq_epi64(a, zero)),
        _mm_castsi128_ps(_mm_cmpeq_epi64(b, zero)), 0x88);
    return (unsigned)_mm_movemask_ps(both); /* bits: a.lo a.hi b.lo b.hi */
}

/* All four slots at once: which one it is cannot be foretold, so that a loop with an exit would
 * be mispredicted at every other lookup. */
static inline struct matches
match(const struct bucket *bucket, uint64_t wanted, uint32_t check)
{
    const __m128i *at = (const __m128i *)bucket;
    __m128i mask = _mm_set_epi64x(UINT32_MAX, (int64_t)WEIR_SLOT_HASH_MASK);
    __m128i key = _mm_set_epi64x(check, (int64_t)wanted);
    unsigned raw = 0, empty = 0;
    for (int i = 0; i < WEIR_BUCKET_SLOTS; i += 2) {
        __m128i a = _mm_load_si128(at + i), b = _mm_load_si128(at + i + 1);
        unsigned same = zero_words(_mm_and_si128(_mm_xor_si128(a, key), mask),
            _mm_and_si128(_mm_xor_si128(b, key), mask));
        same &= same >> 1;
        unsigned none = zero_words(a, b);
        raw |= ((same & 1) | (same >> 1 & 2)) << i;
        empty |= ((none & 1) | (none >> 1 & 2)) << i;
    }
    return (struct matches){raw, empty};
}

#else

static inline struct matches
match(const struct bucket *bucket, uint64_t wanted, uint32_t check)
{
    struct matches found = {0, 0};
    for (unsigned i = 0; i < WEIR_BUCKET_SLOTS; i++) {
        const struct slot *slot = &bucket->slots[i];
        bool same = (slot->word0 & WEIR_SLOT_HASH_MASK) == wanted &&
            (uint32_t)slot->word1 == check;
        found.raw |= (unsigned)same << i;
        found.empty |= (unsigned)(slot->word0 == 0) << i;
    }
    return found;
}

#endif

/* The slot that holds raw, else the first empty one of its walk, else NULL. Slots are filled in
 * order and never emptied, so that nothing lies behind an empty one. */
static inline const struct slot *
find_slot(const struct weir_raw_cache *cache, struct weir_hash128 raw)
{
    uint64_t wanted = weir_slot_hash(raw);
    uint64_t index = weir_slot_bucket(raw, cache->bucket_count);
    for (int step = 0; step < WALK; step++) {
        const struct bucket *bucket = &cache->buckets[index];
        struct matches found = match(bucket, wanted, (uint32_t)raw.hi);
        if (WEIR_LIKELY(found.raw != 0))
            return &bucket->slots[__builtin_ctz(found.raw)];
        if (found.empty != 0)
            return &bucket->slots[__builtin_ctz(found.empty)];
        if (++index == cache->bucket_count)
            index = 0;
    }
    return NULL;
}

#if defined(__x86_64__)

/* The slot of the home bucket whose check bits are raw's, with its hash bits compared; NULL where
 * that is not all there is to it. Nearly every lookup ends here, and takes half the instructions
 * of the comparison of everything at once. */
static inline const struct slot *
find_at_home(const struct weir_raw_cache *cache, struct weir_hash128 raw)
{
    const struct bucket *bucket = &cache->buckets[weir_slot_bucket(raw, cache->bucket_count)];
    const __m128i *at = (const __m128i *)bucket;
    __m128i front = _mm_unpackhi_epi32(_mm_load_si128(at), _mm_load_si128(at + 1));
    __m128i back = _mm_unpackhi_epi32(_mm_load_si128(at + 2), _mm_load_si128(at + 3));
    __m128i same = _mm_cmpeq_epi32(_mm_unpacklo_epi64(front, back), _mm_set1_epi32((int)raw.hi));
    unsigned mask = (unsigned)_mm_movemask_ps(_mm_castsi128_ps(same));
    const struct slot *slot = &bucket->slots[__builtin_ctz(mask | 8)];
    bool found = mask != 0 && (slot->word0 & WEIR_SLOT_HASH_MASK) == weir_slot_hash(raw);
    return WEIR_LIKELY(found) ? slot : NULL;
}

#else

static inline const struct slot *
find_at_home(const struct weir_raw_cache *cache, struct weir_hash128 raw)
{
    (void)cache;
    (void)raw;
    return NULL;
}

#endif

static bool
look_further(const struct weir_raw_cache *cache, struct weir_hash128 raw, uint64_t *number)
{
    const struct slot *slot = find_slot(cache, raw);
    if (slot == NULL || slot->word0 == 0)
        return false;
    *number = weir_slot_number(slot->word0, slot->word1);
    return true;
}

bool
weir_raw_cache_lookup(const struct weir_raw_cache *cache, struct weir_hash128 raw,
    uint64_t *number)
{
    const struct slot *slot = find_at_home(cache, raw);
    if (WEIR_UNLIKELY(slot == NULL))
        return look_further(cache, raw, number);
    *number = weir_slot_number(slot->word0, slot->word1);
    return true;
}

static inline const struct weir_hash128 *
raw_at(const struct weir_hash128 *raws, size_t stride, size_t i)
{
    return (const struct weir_hash128 *)(const void *)((const uint8_t *)raws + i * stride);
}

size_t
weir_raw_cache_lookup_burst(const struct weir_raw_cache *cache, const struct weir_hash128 *raws,
    size_t stride, size_t count, uint64_t *numbers)
{
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        bool found = weir_raw_cache_lookup(cache, *raw_at(raws, stride, i), &numbers[i]);
        if (WEIR_UNLIKELY(!found))
            numbers[i] = WEIR_RAW_UNKNOWN;
        known += found;
    }
    return known;
}

void
weir_raw_cache_prefetch_burst(const struct weir_raw_cache *cache,
    const struct weir_hash128 *raws, size_t stride, size_t count)
{
    for (size_t i = 0; i < count; i++)
        weir_raw_cache_prefetch(cache, *raw_at(raws, stride, i));
}

void
weir_raw_cache_insert(struct weir_raw_cache *cache, struct weir_hash128 raw, uint64_t number)
{
    WEIR_DCHECK(number < WEIR_SERIES_LIMIT);
    struct slot *slot = (struct slot *)find_slot(cache, raw);
    if (slot == NULL) {
        uint64_t home = weir_slot_bucket(raw, cache->bucket_count);
        slot = &cache->buckets[home].slots[cache->victim++ % WEIR_BUCKET_SLOTS];
    }
    slot->word0 = weir_slot_word0(raw, number);
    slot->word1 = weir_slot_word1(raw, number);
}
