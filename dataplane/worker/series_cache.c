#include "dataplane/worker/series_cache_map.h"

#include "model/sample.h"

/* Buckets an entry may be in, from its home on. At the load of 2/3 nine in ten are at home, and
 * 11 of 1 M are without a place; within 8 buckets they were 626, within 32 none. */
#define WALK 16
size_t
weir_series_cache_footprint(uint64_t entries)
{
    return sizeof(struct weir_series_cache) +
        weir_slot_buckets(entries) * sizeof(struct weir_series_bucket) +
        (entries + WEIR_SERIES_CACHE_NEAR) * sizeof(uint64_t);
}

struct weir_series_cache *
weir_series_cache_init(void *memory, uint64_t entries)
{
    WEIR_ASSERT(((uintptr_t)memory & (WEIR_CACHE_LINE - 1)) == 0);
    struct weir_series_cache *cache = memory;
    cache->bucket_count = weir_slot_buckets(entries);
    cache->key_count = entries;
    cache->keys = (uint64_t *)(void *)(cache->buckets + cache->bucket_count);
    return cache;
}

void
weir_series_cache_prefetch(const struct weir_series_cache *cache, struct weir_hash128 raw)
{
    __builtin_prefetch(&cache->buckets[weir_slot_bucket(raw, cache->bucket_count)]);
}

/* Matches among the slots of a bucket, a bit each. */
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

/* All four slots at once: which one it is cannot be foretold, and a loop with an exit would
 * be mispredicted at every other lookup. */
static inline struct matches
match(const struct weir_series_bucket *bucket, uint64_t wanted, uint32_t check)
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
match(const struct weir_series_bucket *bucket, uint64_t wanted, uint32_t check)
{
    struct matches found = {0, 0};
    for (unsigned i = 0; i < WEIR_BUCKET_SLOTS; i++) {
        const struct weir_series_slot *slot = &bucket->slots[i];
        bool same = (slot->word0 & WEIR_SLOT_HASH_MASK) == wanted &&
            (uint32_t)slot->word1 == check;
        found.raw |= (unsigned)same << i;
        found.empty |= (unsigned)(slot->word0 == 0) << i;
    }
    return found;
}

#endif

/* Searches the slots that the key `raw` may be in, in their order. Returns the slot that holds it,
 * else the first empty one, else NULL. Slots are filled in that order and never emptied, so the
 * search ends at an empty one. */
static inline const struct weir_series_slot *
find_slot(const struct weir_series_cache *cache, struct weir_hash128 raw)
{
    uint64_t wanted = weir_slot_hash(raw);
    uint64_t index = weir_slot_bucket(raw, cache->bucket_count);
    for (int step = 0; step < WALK; step++) {
        const struct weir_series_bucket *bucket = &cache->buckets[index];
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

bool
weir_series_cache_look_further(
    const struct weir_series_cache *cache, struct weir_hash128 raw, uint64_t *number)
{
    const struct weir_series_slot *slot = find_slot(cache, raw);
    if (slot == NULL || slot->word0 == 0)
        return false;
    *number = weir_slot_number(slot->word0, slot->word1);
    return true;
}

bool
weir_series_cache_lookup(const struct weir_series_cache *cache, struct weir_hash128 raw,
    uint64_t *number)
{
    uint64_t home = weir_slot_bucket(raw, cache->bucket_count);
    return WEIR_LIKELY(weir_series_cache_at_home(&cache->buckets[home], raw, number))
        || weir_series_cache_look_further(cache, raw, number);
}

void
weir_series_cache_insert(struct weir_series_cache *cache, struct weir_hash128 raw, uint64_t number)
{
    WEIR_DCHECK(number < WEIR_SERIES_LIMIT);
    struct weir_series_slot *slot = (struct weir_series_slot *)find_slot(cache, raw);
    if (slot == NULL) {
        uint64_t home = weir_slot_bucket(raw, cache->bucket_count);
        slot = &cache->buckets[home].slots[cache->victim++ % WEIR_BUCKET_SLOTS];
    }
    slot->word0 = weir_slot_word0(raw, number);
    slot->word1 = weir_slot_word1(raw, number);
    if (weir_series_cache_has_key(cache, number))
        cache->keys[number] = weir_series_cache_key(raw);
}
