#include "dataplane/series/series.h"

#include "dataplane/series/internal.h"
#include "dataplane/series/slot.h"
#include "model/labels.h"
#include "model/sample.h"

#include <stdatomic.h>
#include <string.h>

#define PAGE 4096u

struct slot {
    _Atomic uint64_t word0;
    _Atomic uint64_t word1;
};

struct bucket {
    alignas(WEIR_CACHE_LINE) struct slot slots[WEIR_BUCKET_SLOTS];
};
_Static_assert(sizeof(struct bucket) == WEIR_CACHE_LINE, "a bucket is a cache line");

/* | this, a page | buckets | offsets, series_max + 1 of 8 bytes | arena of labels | */
struct weir_series {
    const struct weir_hash_key *key;
    struct weir_hash128 mask; /* all ones but in tests */
    uint64_t bucket_count;
    uint64_t series_max;
    uint64_t label_bytes;
    struct bucket *buckets;
    uint64_t *offsets; /* labels of n are in arena from offsets[n] to offsets[n + 1] */
    uint8_t *arena;
    /* release by the registrar pairs with acquire in weir_series_count */
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t count;
    _Atomic uint64_t collisions; /* relaxed both sides: a statistic */
};
_Static_assert(sizeof(struct weir_series) <= PAGE, "the head fits its page");

/* The end of a walk over the attempts of a label set. */
struct place {
    bool found;
    uint64_t number;          /* where found */
    struct weir_hash128 hash; /* where not: the attempt whose fingerprint is free */
    struct slot *free;        /* and the empty slot on its way; NULL past the last attempt */
    unsigned attempt;
};

static size_t
pages(uint64_t bytes)
{
    return (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

static size_t
buckets_bytes(uint64_t series_max)
{
    return pages(weir_slot_buckets(series_max) * sizeof(struct bucket));
}

static size_t
offsets_bytes(uint64_t series_max)
{
    return pages((series_max + 1) * sizeof(uint64_t));
}

size_t
weir_series_footprint(uint64_t series_max, uint64_t label_bytes)
{
    return PAGE + buckets_bytes(series_max) + offsets_bytes(series_max) + pages(label_bytes);
}

struct weir_series *
weir_series_init(void *memory, uint64_t series_max, uint64_t label_bytes,
    const struct weir_hash_key *key)
{
    WEIR_ASSERT(series_max < WEIR_SERIES_LIMIT);
    WEIR_ASSERT(((uintptr_t)memory & (PAGE - 1)) == 0);
    struct weir_series *series = memory;
    uint8_t *at = (uint8_t *)memory + PAGE;
    series->key = key;
    series->mask = (struct weir_hash128){UINT64_MAX, UINT64_MAX};
    series->bucket_count = weir_slot_buckets(series_max);
    series->series_max = series_max;
    series->label_bytes = label_bytes;
    series->buckets = (struct bucket *)at;
    at += buckets_bytes(series_max);
    series->offsets = (uint64_t *)at;
    at += offsets_bytes(series_max);
    series->arena = at;
    return series;
}

void
weir_series_narrow(struct weir_series *series, struct weir_hash128 mask)
{
    WEIR_ASSERT(weir_series_count(series) == 0);
    series->mask = mask;
}

uint64_t
weir_series_count(const struct weir_series *series)
{
    /* acquire pairs with the release of count where a series is appended: its labels are there */
    return atomic_load_explicit(&series->count, memory_order_acquire);
}

uint64_t
weir_series_max(const struct weir_series *series)
{
    return series->series_max;
}

uint64_t
weir_series_label_bytes(const struct weir_series *series)
{
    return series->offsets[weir_series_count(series)];
}

uint64_t
weir_series_label_bytes_max(const struct weir_series *series)
{
    return series->label_bytes;
}

uint64_t
weir_series_collisions(const struct weir_series *series)
{
    return atomic_load_explicit(&series->collisions, memory_order_relaxed);
}

/* Fingerprint of the next attempt. A function of the last one alone: label sets that collide walk
 * the same chain, and each stays on it until it meets itself or an empty slot. */
static struct weir_hash128
next_attempt(struct weir_hash128 hash)
{
    hash.lo = (hash.lo ^ hash.lo >> 29) * UINT64_C(0xbf58476d1ce4e5b9) + 1;
    hash.hi = (hash.hi ^ hash.hi >> 31) * UINT64_C(0x94d049bb133111eb) + hash.lo;
    return hash;
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

static bool
same_labels(const struct weir_series *series, uint64_t number, const uint8_t *labels, size_t size)
{
    uint64_t from = series->offsets[number];
    return series->offsets[number + 1] - from == size &&
        memcmp(series->arena + from, labels, size) == 0;
}

struct weir_hash128
weir_series_fingerprint(const struct weir_series *series, const uint8_t *labels, size_t size)
{
    struct weir_hash128 hash = weir_hash_part(series->key, 0, labels, size);
    hash.lo &= series->mask.lo;
    hash.hi &= series->mask.hi;
    return hash;
}

void
weir_series_prefetch(const struct weir_series *series, struct weir_hash128 fingerprint)
{
    __builtin_prefetch(&series->buckets[weir_slot_bucket(fingerprint, series->bucket_count)]);
}

bool
weir_series_candidate(const struct weir_series *series, struct weir_hash128 fingerprint,
    uint64_t *candidate)
{
    uint64_t word0;
    struct slot *slot = find_slot(series, fingerprint, &word0);
    if (word0 == 0)
        return false;
    *candidate =
        weir_slot_number(word0, atomic_load_explicit(&slot->word1, memory_order_relaxed));
    __builtin_prefetch(&series->offsets[*candidate]);
    return true;
}

void
weir_series_fetch(const struct weir_series *series, uint64_t candidate)
{
    const uint8_t *labels = series->arena + series->offsets[candidate];
    __builtin_prefetch(labels);
    __builtin_prefetch(labels + WEIR_CACHE_LINE);
}

static struct place
find(const struct weir_series *series, struct weir_hash128 fingerprint, const uint8_t *labels,
    size_t size)
{
    struct place place = {.hash = fingerprint};
    for (; place.attempt < WEIR_SERIES_ATTEMPTS_MAX; place.attempt++) {
        uint64_t word0;
        struct slot *slot = find_slot(series, place.hash, &word0);
        if (word0 == 0) {
            place.free = slot;
            break;
        }
        place.number = weir_slot_number(word0,
            atomic_load_explicit(&slot->word1, memory_order_relaxed));
        place.found = same_labels(series, place.number, labels, size);
        if (place.found)
            break;
        place.hash = next_attempt(place.hash);
    }
    return place;
}

/* Labels and their end first, then the count: whoever reads the count may read the labels of every
 * number below it. */
static void
append(struct weir_series *series, uint64_t number, const uint8_t *labels, size_t size)
{
    uint64_t from = series->offsets[number];
    memcpy(series->arena + from, labels, size);
    series->offsets[number + 1] = from + size;
    /* release pairs with the acquire in weir_series_count */
    atomic_store_explicit(&series->count, number + 1, memory_order_release);
}

/* The slot last: whoever finds it may read the labels. */
static void
publish(struct weir_series *series, const struct place *place, uint64_t number,
    const uint8_t *labels, size_t size)
{
    append(series, number, labels, size);
    atomic_store_explicit(&place->free->word1, weir_slot_word1(place->hash, number),
        memory_order_relaxed);
    /* release pairs with the acquire of word0 in find_slot */
    atomic_store_explicit(&place->free->word0, weir_slot_word0(place->hash, number),
        memory_order_release);
    if (place->attempt > 0)
        atomic_fetch_add_explicit(&series->collisions, 1, memory_order_relaxed);
}

static enum weir_err
check_room(const struct weir_series *series, size_t size)
{
    uint64_t count = atomic_load_explicit(&series->count, memory_order_relaxed);
    if (count == series->series_max)
        return weir_fail(WEIR_FULL, 0, "series table full: %llu of series.max %llu",
            (unsigned long long)count, (unsigned long long)series->series_max);
    if (size > series->label_bytes - series->offsets[count])
        return weir_fail(WEIR_FULL, 0,
            "label arena full: %llu of series.label_bytes %llu used by %llu series",
            (unsigned long long)series->offsets[count],
            (unsigned long long)series->label_bytes, (unsigned long long)count);
    return WEIR_OK;
}

static enum weir_err
check_slot(const struct place *place)
{
    if (place->free == NULL)
        return weir_fail(WEIR_FULL, 0, "a fingerprint collided %d times",
            WEIR_SERIES_ATTEMPTS_MAX);
    return WEIR_OK;
}

enum weir_err
weir_series_resolve(const struct weir_series *series, const uint8_t *labels, size_t size,
    uint64_t *number)
{
    return weir_series_resolve_at(series, weir_series_fingerprint(series, labels, size), labels,
        size, number);
}

enum weir_err
weir_series_resolve_at(const struct weir_series *series, struct weir_hash128 fingerprint,
    const uint8_t *labels, size_t size, uint64_t *number)
{
    struct place place = find(series, fingerprint, labels, size);
    if (!place.found)
        return WEIR_NOT_FOUND;
    *number = place.number;
    return WEIR_OK;
}

enum weir_err
weir_series_define(struct weir_series *series, const uint8_t *labels, size_t size,
    uint64_t *number, bool *defined)
{
    return weir_series_define_at(series, weir_series_fingerprint(series, labels, size), labels,
        size, number, defined);
}

enum weir_err
weir_series_define_at(struct weir_series *series, struct weir_hash128 fingerprint,
    const uint8_t *labels, size_t size, uint64_t *number, bool *defined)
{
    struct place place = find(series, fingerprint, labels, size);
    *defined = false;
    if (!place.found) {
        enum weir_err err = check_room(series, size);
        if (err == WEIR_OK)
            err = check_slot(&place);
        if (err != WEIR_OK)
            return err;
        place.number = atomic_load_explicit(&series->count, memory_order_relaxed);
        publish(series, &place, place.number, labels, size);
        *defined = true;
    }
    *number = place.number;
    return WEIR_OK;
}

enum weir_err
weir_series_restore(struct weir_series *series, uint64_t number, const uint8_t *labels,
    size_t size)
{
    uint64_t next = atomic_load_explicit(&series->count, memory_order_relaxed);
    if (number != next)
        return weir_fail(WEIR_CORRUPT, 0, "definition of series %llu where %llu is next",
            (unsigned long long)number, (unsigned long long)next);
    if (size > WEIR_LABELS_BYTES_MAX)
        return weir_fail(WEIR_CORRUPT, 0, "definition of series %llu has %zu bytes",
            (unsigned long long)number, size);
    enum weir_err err = check_room(series, size);
    if (err != WEIR_OK)
        return err;
    struct place place =
        find(series, weir_series_fingerprint(series, labels, size), labels, size);
    if (place.found || weir_labels_reserved(labels, size)) {
        append(series, number, labels, size);
        return WEIR_OK;
    }
    err = check_slot(&place);
    if (err == WEIR_OK)
        publish(series, &place, number, labels, size);
    return err;
}

void
weir_series_labels(const struct weir_series *series, uint64_t number, const uint8_t **labels,
    size_t *size)
{
    WEIR_ASSERT(number < weir_series_count(series));
    *labels = series->arena + series->offsets[number];
    *size = series->offsets[number + 1] - series->offsets[number];
}
