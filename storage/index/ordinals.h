/* index_ordinals: a set of ordinals (or local numbers) of one shard, a bit each.
 *
 * A shard has at most 2^20 series: 128 KiB. Clearing or joining two takes some 4 us, less than what
 * a sparse form would save on anything but the smallest answers.
 */
#ifndef WEIR_STORAGE_INDEX_ORDINALS_H
#define WEIR_STORAGE_INDEX_ORDINALS_H

#include "storage/index/format.h"

#include <stdbool.h>
#include <string.h>

#define WEIR_ORDINALS_WORDS (WEIR_SHARD_SERIES / 64)

struct weir_ordinals {
    uint64_t words[WEIR_ORDINALS_WORDS];
};

static inline uint32_t
weir_ordinals_words(uint32_t count)
{
    return (count + 63) / 64;
}

/* Of sets whose members are below count. */
static inline void
weir_ordinals_clear(struct weir_ordinals *set, uint32_t count)
{
    memset(set->words, 0, weir_ordinals_words(count) * sizeof(uint64_t));
}

static inline void
weir_ordinals_fill(struct weir_ordinals *set, uint32_t count)
{
    memset(set->words, 0xff, weir_ordinals_words(count) * sizeof(uint64_t));
    if (count % 64 != 0)
        set->words[count / 64] = (UINT64_C(1) << count % 64) - 1;
}

static inline void
weir_ordinals_add(struct weir_ordinals *set, uint32_t ordinal)
{
    set->words[ordinal / 64] |= UINT64_C(1) << ordinal % 64;
}

static inline void
weir_ordinals_remove(struct weir_ordinals *set, uint32_t ordinal)
{
    set->words[ordinal / 64] &= ~(UINT64_C(1) << ordinal % 64);
}

static inline bool
weir_ordinals_has(const struct weir_ordinals *set, uint32_t ordinal)
{
    return set->words[ordinal / 64] >> ordinal % 64 & 1;
}

/* Adds first to first + count - 1. */
static inline void
weir_ordinals_add_range(struct weir_ordinals *set, uint32_t first, uint32_t count)
{
    uint32_t end = first + count;
    for (; first < end && first % 64 != 0; first++)
        weir_ordinals_add(set, first);
    for (; first + 64 <= end; first += 64)
        set->words[first / 64] = UINT64_MAX;
    for (; first < end; first++)
        weir_ordinals_add(set, first);
}

static inline void
weir_ordinals_and(struct weir_ordinals *set, const struct weir_ordinals *other, uint32_t count)
{
    for (uint32_t i = 0; i < weir_ordinals_words(count); i++)
        set->words[i] &= other->words[i];
}

static inline void
weir_ordinals_and_not(struct weir_ordinals *set, const struct weir_ordinals *other, uint32_t count)
{
    for (uint32_t i = 0; i < weir_ordinals_words(count); i++)
        set->words[i] &= ~other->words[i];
}

static inline uint32_t
weir_ordinals_count(const struct weir_ordinals *set, uint32_t count)
{
    uint32_t members = 0;
    for (uint32_t i = 0; i < weir_ordinals_words(count); i++)
        members += (uint32_t)__builtin_popcountll(set->words[i]);
    return members;
}

/* The first member in from .. count - 1; count where there is none. */
static inline uint32_t
weir_ordinals_next(const struct weir_ordinals *set, uint32_t from, uint32_t count)
{
    if (from >= count)
        return count;
    uint32_t at = from / 64;
    uint64_t word = set->words[at] & UINT64_MAX << from % 64;
    while (word == 0 && ++at < weir_ordinals_words(count))
        word = set->words[at];
    if (word == 0)
        return count;
    uint32_t found = at * 64 + (uint32_t)__builtin_ctzll(word);
    return found < count ? found : count;
}

#endif
