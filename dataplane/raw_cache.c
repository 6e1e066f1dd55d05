#include "dataplane/raw_cache.h"

#include "base/sample.h"
#include "dataplane/slot.h"

#if defined(__x86_64__)
#include <smmintrin.h>
#endif

/* Buckets an entry may lie in, from its home on. At the load of 2/3 nine in ten lie at home, and
 * 11 of 1 M are without a place; within 8 buckets they were 626, within 32 none. */
#define WALK 16
/* Series of a run that an agent may leave out, and the rest of the run is still found at once. */
#define SKIPS 3
/* Points of a burst that are not what was expected and are looked up at once, waiting for memory,
 * so that those behind them are expected to follow them. The others come last, together. */
#define WAITS 64
/* Bursts without expectations after one in which more than an eighth of them were wrong. */
#define PLAIN_BURSTS 31

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
    uint64_t key_count;
    uint64_t *keys;  /* by number, of the hash inserted last; behind the buckets */
    uint32_t victim; /* slot of the home bucket that the next eviction takes */
    uint32_t plain;  /* bursts to come in which nothing is expected to follow */
    struct bucket buckets[];
};

size_t
weir_raw_cache_footprint(uint64_t entries)
{
    return sizeof(struct weir_raw_cache) + weir_slot_buckets(entries) * sizeof(struct bucket) +
        (entries + SKIPS + 1) * sizeof(uint64_t);
}

struct weir_raw_cache *
weir_raw_cache_init(void *memory, uint64_t entries)
{
    WEIR_ASSERT(((uintptr_t)memory & (WEIR_CACHE_LINE - 1)) == 0);
    struct weir_raw_cache *cache = memory;
    cache->bucket_count = weir_slot_buckets(entries);
    cache->key_count = entries;
    cache->keys = (uint64_t *)(void *)(cache->buckets + cache->bucket_count);
    return cache;
}

/* What stands for a hash by its number; never 0, which stands for none. */
static inline uint64_t
key_of(struct weir_hash128 raw)
{
    return raw.lo + (raw.lo == 0);
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

void
weir_raw_cache_fetch(const struct weir_raw_cache *cache, const struct weir_point *points,
    uint32_t first, uint32_t end, bool fresh, struct weir_raw_burst *burst, uint64_t *numbers)
{
    uint32_t heads = burst->head_count;
    for (uint32_t i = first; i < end; i++) {
        bool follows = i > 0 && points[i].time_ms == points[i - 1].time_ms &&
            !(fresh && i == first) && cache->plain == 0;
        if (follows)
            continue;
        numbers[i] = weir_slot_bucket(points[i].raw, cache->bucket_count);
        __builtin_prefetch(&cache->buckets[numbers[i]]);
        burst->heads[heads++] = (uint16_t)i;
    }
    burst->head_count = heads;
}

/* The keys of a run's first dozen. */
static inline void
fetch_keys(const struct weir_raw_cache *cache, uint64_t number)
{
    const uint64_t *keys = cache->keys + number + 1;
    __builtin_prefetch(keys);
    __builtin_prefetch(keys + WEIR_CACHE_LINE / sizeof *keys);
}

static inline bool
has_key(const struct weir_raw_cache *cache, uint64_t number)
{
    return number < cache->key_count; /* WEIR_RAW_UNKNOWN is not */
}

/* Those not at home, one in ten, are put off: which ones they are cannot be foretold, and the
 * bucket next to theirs is not in the cache. */
static void
find_heads(const struct weir_raw_cache *cache, const struct weir_point *points,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    uint32_t away = 0;
    for (uint32_t k = 0; k < burst->head_count; k++) {
        uint32_t i = burst->heads[k];
        uint64_t home = numbers[i];
        burst->late[away] = (uint16_t)i;
        bool found = at_home(&cache->buckets[home], points[i].raw, &numbers[i]);
        away += !found;
        if (WEIR_LIKELY(found) && has_key(cache, numbers[i]) && cache->plain == 0)
            fetch_keys(cache, numbers[i]);
        else if (!found)
            __builtin_prefetch(&cache->buckets[home + 1]);
    }
    for (uint32_t k = 0; k < away; k++) {
        uint32_t i = burst->late[k];
        if (!look_further(cache, points[i].raw, &numbers[i]))
            numbers[i] = WEIR_RAW_UNKNOWN;
        else if (has_key(cache, numbers[i]) && cache->plain == 0)
            fetch_keys(cache, numbers[i]);
    }
}

/* What is expected of the points of a burst, one after the other. */
struct follow {
    struct weir_raw_cache *cache;
    uint64_t next;    /* number of the point that follows, or WEIR_RAW_UNKNOWN */
    uint64_t resume;  /* the same where the last one stood between two that follow each other */
    uint32_t waits;   /* left */
    uint32_t surprises;
    uint32_t late_count;
};

/* A point a little further on in one of the two runs. */
static bool
take_skipped(struct follow *follow, uint64_t key, uint64_t *number)
{
    const uint64_t from[2] = {follow->next, follow->resume};
    for (int run = 0; run < 2; run++) {
        for (uint64_t skip = 0; skip <= SKIPS && has_key(follow->cache, from[run]); skip++) {
            if (follow->cache->keys[from[run] + skip] == key) {
                *number = from[run] + skip;
                return true;
            }
        }
    }
    return false;
}

static void
put_off(struct follow *follow, const struct weir_point *points, uint32_t i,
    struct weir_raw_burst *burst)
{
    weir_raw_cache_prefetch(follow->cache, points[i].raw);
    burst->late[follow->late_count++] = (uint16_t)i;
}

/* Points[i] is not the next one of its run. */
static void
take_surprise(struct follow *follow, const struct weir_point *points, uint32_t i,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    struct weir_raw_cache *cache = follow->cache;
    uint64_t key = key_of(points[i].raw);
    if (take_skipped(follow, key, &numbers[i])) {
        follow->next = numbers[i] + 1;
        return;
    }
    follow->surprises++;
    if (follow->waits == 0) {
        put_off(follow, points, i, burst);
        return;
    }
    follow->waits--;
    if (!weir_raw_cache_lookup(cache, points[i].raw, &numbers[i])) {
        numbers[i] = WEIR_RAW_UNKNOWN;
        return;
    }
    if (has_key(cache, numbers[i]))
        cache->keys[numbers[i]] = key; /* that of another text of the same series, it may be */
    follow->resume = follow->next;
    follow->next = numbers[i] + 1;
}

/* From a head to the next one. Behind a new series more of them are expected, which wait for
 * nothing. */
static void
take_run(struct follow *follow, const struct weir_point *points, uint32_t head, uint32_t end,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    if (WEIR_UNLIKELY(numbers[head] == WEIR_RAW_UNKNOWN)) {
        for (uint32_t i = head + 1; i < end; i++)
            put_off(follow, points, i, burst);
        return;
    }
    follow->next = numbers[head] + 1;
    follow->resume = WEIR_RAW_UNKNOWN;
    for (uint32_t i = head + 1; i < end; i++) {
        uint64_t next = follow->next;
        if (has_key(follow->cache, next)) {
            const uint64_t *keys = follow->cache->keys;
            for (; i < end && keys[next] == key_of(points[i].raw); i++)
                numbers[i] = next++;
            follow->next = next;
            if (i == end)
                break;
        }
        take_surprise(follow, points, i, burst, numbers);
    }
}

size_t
weir_raw_cache_find(struct weir_raw_cache *cache, const struct weir_point *points, uint32_t count,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    struct follow follow = {.cache = cache, .waits = WAITS};
    uint32_t heads = burst->head_count;
    find_heads(cache, points, burst, numbers);
    for (uint32_t k = 0; k < heads; k++)
        take_run(&follow, points, burst->heads[k], k + 1 < heads ? burst->heads[k + 1] : count,
            burst, numbers);
    for (uint32_t k = 0; k < follow.late_count; k++) {
        uint32_t i = burst->late[k];
        if (!weir_raw_cache_lookup(cache, points[i].raw, &numbers[i]))
            numbers[i] = WEIR_RAW_UNKNOWN;
    }
    if (cache->plain > 0)
        cache->plain--;
    else if (follow.surprises > (count - heads) / 8)
        cache->plain = PLAIN_BURSTS;
    size_t known = 0;
    for (uint32_t i = 0; i < count; i++)
        known += numbers[i] != WEIR_RAW_UNKNOWN;
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
    if (has_key(cache, number))
        cache->keys[number] = key_of(raw);
}
