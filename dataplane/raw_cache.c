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

/* Whether the home bucket's slot with raw's check bits is raw's; its number in any case. Nearly
 * every lookup ends here, with half the instructions of a comparison of everything and no branch.
 * False where that is not all there is to it. */
static inline bool
at_home(const struct bucket *bucket, struct weir_hash128 raw, uint64_t *number)
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
    const struct slot *slot = &bucket->slots[__builtin_ctz(mask | 8)];
    *number = weir_slot_number(slot->word0, slot->word1);
    return (mask != 0) & ((slot->word0 & WEIR_SLOT_HASH_MASK) == weir_slot_hash(raw));
}

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
    uint64_t home = weir_slot_bucket(raw, cache->bucket_count);
    return WEIR_LIKELY(at_home(&cache->buckets[home], raw, number))
        || look_further(cache, raw, number);
}

static inline const struct weir_hash128 *
raw_at(const struct weir_hash128 *raws, size_t stride, size_t i)
{
    return (const struct weir_hash128 *)(const void *)((const uint8_t *)raws + i * stride);
}

void
weir_raw_cache_prefetch_burst(const struct weir_raw_cache *cache,
    const struct weir_hash128 *raws, size_t stride, size_t count, uint64_t *homes)
{
    for (size_t i = 0; i < count; i++) {
        homes[i] = weir_slot_bucket(*raw_at(raws, stride, i), cache->bucket_count);
        __builtin_prefetch(&cache->buckets[homes[i]]);
    }
}

/* Those of up to STRETCH hashes that are not at home, one in twenty, are put off: which ones they
 * are cannot be foretold, and the bucket next to theirs is not in the cache. */
#define STRETCH 512

static size_t
lookup_stretch(const struct weir_raw_cache *cache, const struct weir_hash128 *raws, size_t stride,
    size_t count, uint64_t *numbers)
{
    __attribute__((uninitialized)) uint16_t away[STRETCH];
    size_t away_count = 0, unknown = 0;
    for (size_t i = 0; i < count; i++) {
        const struct bucket *home = &cache->buckets[numbers[i]];
        away[away_count] = (uint16_t)i;
        away_count += !at_home(home, *raw_at(raws, stride, i), &numbers[i]);
    }
    for (size_t k = 0; k < away_count; k++) {
        struct weir_hash128 raw = *raw_at(raws, stride, away[k]);
        __builtin_prefetch(&cache->buckets[weir_slot_bucket(raw, cache->bucket_count) + 1]);
    }
    for (size_t k = 0; k < away_count; k++) {
        uint64_t *number = &numbers[away[k]];
        if (!look_further(cache, *raw_at(raws, stride, away[k]), number)) {
            *number = WEIR_RAW_UNKNOWN;
            unknown++;
        }
    }
    return count - unknown;
}

size_t
weir_raw_cache_lookup_burst(const struct weir_raw_cache *cache, const struct weir_hash128 *raws,
    size_t stride, size_t count, uint64_t *numbers)
{
    size_t known = 0;
    for (size_t at = 0; at < count; at += STRETCH) {
        size_t size = count - at < STRETCH ? count - at : STRETCH;
        known += lookup_stretch(cache, raw_at(raws, stride, at), stride, size, numbers + at);
    }
    return known;
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
