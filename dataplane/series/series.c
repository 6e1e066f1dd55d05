#include "dataplane/series/series.h"

#include "dataplane/series/slot.h"
#include "model/labels.h"
#include "model/sample.h"

#include <stdatomic.h>

#define PAGE 4096u

struct slot {
    _Atomic uint64_t word0;
    _Atomic uint64_t word1;
};

struct bucket {
    alignas(WEIR_CACHE_LINE) struct slot slots[WEIR_BUCKET_SLOTS];
};
_Static_assert(sizeof(struct bucket) == WEIR_CACHE_LINE, "a bucket is a cache line");

/* | this, a page | buckets | */
struct weir_series {
    const struct weir_hash_key *key;
    uint64_t bucket_count;
    uint64_t series_max;
    struct bucket *buckets;
    /* release by the registrar pairs with acquire in weir_series_count */
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t count;
};
_Static_assert(sizeof(struct weir_series) <= PAGE, "the head fits its page");

/* Fingerprints ahead of the one that is entered: as many misses of the cache overlap. */
#define LOAD_AHEAD 16

size_t
weir_series_footprint(uint64_t series_max)
{
    uint64_t bytes = weir_slot_buckets(series_max) * sizeof(struct bucket);
    return PAGE + ((bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1));
}

struct weir_series *
weir_series_init(void *memory, uint64_t series_max, const struct weir_hash_key *key)
{
    WEIR_ASSERT(series_max < WEIR_SERIES_LIMIT);
    WEIR_ASSERT(((uintptr_t)memory & (PAGE - 1)) == 0);
    struct weir_series *series = memory;
    series->key = key;
    series->bucket_count = weir_slot_buckets(series_max);
    series->series_max = series_max;
    series->buckets = (struct bucket *)((uint8_t *)memory + PAGE);
    return series;
}

uint64_t
weir_series_count(const struct weir_series *series)
{
    /* acquire pairs with the release of count where a series is defined */
    return atomic_load_explicit(&series->count, memory_order_acquire);
}

uint64_t
weir_series_max(const struct weir_series *series)
{
    return series->series_max;
}

/* The slot that holds hash, or the first empty one on its way from the home bucket. One exists:
 * the table has half as many slots again as series. Slots fill in the order of the walk and never
 * change, so every later walk meets the same slot first. */
static struct slot *
find_slot(const struct weir_series *series, struct weir_hash128 hash, uint64_t *word0)
{
    uint64_t wanted = weir_slot_hash(hash);
    uint64_t index = weir_slot_bucket(hash, series->bucket_count);
    for (;;) {
        struct bucket *bucket = &series->buckets[index];
        for (int i = 0; i < WEIR_BUCKET_SLOTS; i++) {
            struct slot *slot = &bucket->slots[i];
            /* acquire pairs with the release of word0 in publish */
            uint64_t found = atomic_load_explicit(&slot->word0, memory_order_acquire);
            bool match = (found & WEIR_SLOT_HASH_MASK) == wanted &&
                (uint32_t)atomic_load_explicit(&slot->word1, memory_order_relaxed) ==
                    (uint32_t)hash.hi;
            if (found == 0 || match) {
                *word0 = found;
                return slot;
            }
        }
        if (++index == series->bucket_count)
            index = 0;
    }
}

struct weir_hash128
weir_series_fingerprint(const struct weir_series *series, const uint8_t *labels, size_t size)
{
    return weir_hash_part(series->key, 0, labels, size);
}

void
weir_series_prefetch(const struct weir_series *series, struct weir_hash128 fingerprint)
{
    __builtin_prefetch(&series->buckets[weir_slot_bucket(fingerprint, series->bucket_count)]);
}

bool
weir_series_find(const struct weir_series *series, struct weir_hash128 fingerprint,
    uint64_t *number)
{
    uint64_t word0;
    struct slot *slot = find_slot(series, fingerprint, &word0);
    if (word0 == 0)
        return false;
    *number =
        weir_slot_number(word0, atomic_load_explicit(&slot->word1, memory_order_relaxed));
    return true;
}

/* The next number is given, whether anything is found under it or not. */
static void
count_one(struct weir_series *series, uint64_t number)
{
    /* release pairs with the acquire in weir_series_count */
    atomic_store_explicit(&series->count, number + 1, memory_order_release);
}

static void
publish(struct weir_series *series, struct slot *slot, struct weir_hash128 fingerprint,
    uint64_t number)
{
    count_one(series, number);
    atomic_store_explicit(&slot->word1, weir_slot_word1(fingerprint, number),
        memory_order_relaxed);
    /* release pairs with the acquire of word0 in find_slot */
    atomic_store_explicit(&slot->word0, weir_slot_word0(fingerprint, number),
        memory_order_release);
}

static enum weir_err
check_room(const struct weir_series *series, uint64_t count, uint64_t more)
{
    if (more > series->series_max - count)
        return weir_fail(WEIR_FULL, 0, "series table full: %llu of series.max %llu",
            (unsigned long long)count, (unsigned long long)series->series_max);
    return WEIR_OK;
}

enum weir_err
weir_series_define(struct weir_series *series, struct weir_hash128 fingerprint, uint64_t *number,
    bool *defined)
{
    uint64_t word0;
    struct slot *slot = find_slot(series, fingerprint, &word0);
    *defined = word0 == 0;
    if (!*defined) {
        *number =
            weir_slot_number(word0, atomic_load_explicit(&slot->word1, memory_order_relaxed));
        return WEIR_OK;
    }
    uint64_t count = atomic_load_explicit(&series->count, memory_order_relaxed);
    enum weir_err err = check_room(series, count, 1);
    if (err != WEIR_OK) {
        *defined = false;
        return err;
    }
    publish(series, slot, fingerprint, count);
    *number = count;
    return WEIR_OK;
}

static enum weir_err
check_next(const struct weir_series *series, uint64_t number, uint64_t more)
{
    uint64_t next = atomic_load_explicit(&series->count, memory_order_relaxed);
    if (number != next)
        return weir_fail(WEIR_CORRUPT, 0, "definition of series %llu where %llu is next",
            (unsigned long long)number, (unsigned long long)next);
    return check_room(series, next, more);
}

static void
enter(struct weir_series *series, uint64_t number, struct weir_hash128 fingerprint)
{
    uint64_t word0;
    struct slot *slot = find_slot(series, fingerprint, &word0);
    if (word0 == 0)
        publish(series, slot, fingerprint, number);
    else
        count_one(series, number);
}

enum weir_err
weir_series_restore(struct weir_series *series, uint64_t number, const uint8_t *labels,
    size_t size)
{
    enum weir_err err = check_next(series, number, 1);
    if (err != WEIR_OK)
        return err;
    if (size > WEIR_LABELS_BYTES_MAX)
        return weir_fail(WEIR_CORRUPT, 0, "definition of series %llu has %zu bytes",
            (unsigned long long)number, size);
    if (weir_labels_reserved(labels, size))
        count_one(series, number);
    else
        enter(series, number, weir_series_fingerprint(series, labels, size));
    return WEIR_OK;
}

enum weir_err
weir_series_load(struct weir_series *series, uint64_t first,
    const struct weir_hash128 *fingerprints, size_t count)
{
    enum weir_err err = check_next(series, first, count);
    if (err != WEIR_OK)
        return err;
    for (size_t i = 0; i < count && i < LOAD_AHEAD; i++)
        weir_series_prefetch(series, fingerprints[i]);
    for (size_t i = 0; i < count; i++) {
        if (i + LOAD_AHEAD < count)
            weir_series_prefetch(series, fingerprints[i + LOAD_AHEAD]);
        if (fingerprints[i].lo == 0 && fingerprints[i].hi == 0)
            count_one(series, first + i);
        else
            enter(series, first + i, fingerprints[i]);
    }
    return WEIR_OK;
}
