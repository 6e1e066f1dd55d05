#include "dataplane/raw_cache.h"

#include "base/sample.h"
#include "dataplane/slot.h"

/* Buckets an entry may lie in, from its home on. With 2 M keys at the full load of 2/3, nine in ten
 * lie at home and 0.6 % find no place; with the home bucket alone it would be 8 %. */
#define WALK 4

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

size_t
weir_raw_cache_footprint(uint64_t entries)
{
    return sizeof(struct weir_raw_cache) + weir_slot_buckets(entries) * sizeof(struct bucket);
}

struct weir_raw_cache *
weir_raw_cache_init(void *memory, uint64_t entries)
{
    WEIR_ASSERT(((uintptr_t)memory & (WEIR_CACHE_LINE - 1)) == 0);
    struct weir_raw_cache *cache = memory;
    cache->bucket_count = weir_slot_buckets(entries);
    return cache;
}

void
weir_raw_cache_prefetch(const struct weir_raw_cache *cache, struct weir_hash128 raw)
{
    __builtin_prefetch(&cache->buckets[weir_slot_bucket(raw, cache->bucket_count)]);
}

/* The slot that holds raw, else the first empty one of its walk, else NULL. */
static const struct slot *
find_slot(const struct weir_raw_cache *cache, struct weir_hash128 raw)
{
    uint64_t wanted = weir_slot_hash(raw);
    uint64_t index = weir_slot_bucket(raw, cache->bucket_count);
    for (int step = 0; step < WALK; step++) {
        const struct bucket *bucket = &cache->buckets[index];
        for (int i = 0; i < WEIR_BUCKET_SLOTS; i++) {
            const struct slot *slot = &bucket->slots[i];
            if ((slot->word0 & WEIR_SLOT_HASH_MASK) == wanted &&
                (uint32_t)slot->word1 == (uint32_t)raw.hi)
                return slot;
            if (slot->word0 == 0)
                return slot;
        }
        if (++index == cache->bucket_count)
            index = 0;
    }
    return NULL;
}

bool
weir_raw_cache_lookup(const struct weir_raw_cache *cache, struct weir_hash128 raw,
    uint64_t *number)
{
    const struct slot *slot = find_slot(cache, raw);
    if (slot == NULL || slot->word0 == 0)
        return false;
    *number = weir_slot_number(slot->word0, slot->word1);
    return true;
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
