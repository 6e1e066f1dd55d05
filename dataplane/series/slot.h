/* slot: the 16-byte entry that the series table and the series caches are made of.
 *
 *   word 0: | 8 number high | 56 hash bits |     0 in the hash bits = empty
 *   word 1: | 32 number low | 32 check bits |
 *
 * The 56 bits are the low ones of the fingerprint's first lane, the 32 check bits the low ones of
 * its second lane; the other 40 bits only help to choose the bucket.
 */
#ifndef WEIR_DATAPLANE_SERIES_SLOT_H
#define WEIR_DATAPLANE_SERIES_SLOT_H

#include "base/assert.h"
#include "base/hash.h"

#define WEIR_BUCKET_SLOTS 4
#define WEIR_SLOT_HASH_MASK ((UINT64_C(1) << 56) - 1)

/* Three buckets for eight series are twelve slots: a load of 2/3 at most, 24 bytes a series. */
static inline uint64_t
weir_slot_buckets(uint64_t entries)
{
    return (entries * 3 + 7) / 8 + 1;
}

/* The hash bits as word 0 holds them. Word 0 of an empty slot is zero, so hash bits that are zero
 * are stored as 1. */
static inline uint64_t
weir_slot_hash(struct weir_hash128 hash)
{
    uint64_t bits = hash.lo & WEIR_SLOT_HASH_MASK;
    return bits + (bits == 0);
}

static inline uint64_t
weir_slot_word0(struct weir_hash128 hash, uint64_t number)
{
    return weir_slot_hash(hash) | number >> 32 << 56;
}

static inline uint64_t
weir_slot_word1(struct weir_hash128 hash, uint64_t number)
{
    return number << 32 | (uint32_t)hash.hi;
}

static inline uint64_t
weir_slot_number(uint64_t word0, uint64_t word1)
{
    return word0 >> 56 << 32 | word1 >> 32;
}

/* Home bucket. The fingerprint is linear over GF(2) in a message's bits: a structured set of keys
 * would fill a subspace. Odd multiplications and a shift break that up before the top bits
 * choose. */
static inline uint64_t
weir_slot_bucket(struct weir_hash128 hash, uint64_t bucket_count)
{
    uint64_t mixed = hash.lo * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= mixed >> 32;
    mixed = (mixed + hash.hi) * UINT64_C(0xd6e8feb86659fd93);
    return (uint64_t)((unsigned __int128)mixed * bucket_count >> 64);
}

#endif
