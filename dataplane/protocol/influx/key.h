/* influx_key: the raw key of a field, as base/hash.h defines it, for keys of at most
 * WEIR_HASH_BLOCK bytes; for dataplane/protocol/influx/fast.c only, and compiled with its
 * instruction set.
 *
 * Threads: any; no state
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_INFLUX_KEY_H
#define WEIR_DATAPLANE_PROTOCOL_INFLUX_KEY_H

#include "base/hash.h"
#include "dataplane/protocol/influx/window.h"

/* Both sums modulo the hash's polynomial, as base/hash.c does it. */
WEIR_INLINE struct weir_hash128
reduce(__m128i a, __m128i b)
{
    __m128i lo = _mm_unpacklo_epi64(a, b), hi = _mm_unpackhi_epi64(a, b);
    __m128i over = _mm_xor_si128(_mm_srli_epi64(hi, 63),
        _mm_xor_si128(_mm_srli_epi64(hi, 61), _mm_srli_epi64(hi, 60)));
    hi = _mm_xor_si128(hi, over);
    lo = _mm_xor_si128(lo, _mm_xor_si128(hi, _mm_slli_epi64(hi, 1)));
    lo = _mm_xor_si128(lo, _mm_xor_si128(_mm_slli_epi64(hi, 3), _mm_slli_epi64(hi, 4)));
    struct weir_hash128 raw;
    _Static_assert(sizeof raw == sizeof lo, "a hash is a vector");
    _mm_storeu_si128((__m128i *)&raw, lo);
    return raw;
}

#if defined(__AVX512VBMI__)

/* Sums of products of a message's pairs (base/hash.h), not yet folded or reduced. */
struct sums {
    __m512i a, b;        /* lanes; four products side by side */
    __m128i length_a, length_b;
};

/* Adds the products of up to 64 bytes whose place in the message is `word` words from its start.
 * Bytes past size are not read and count as no pairs. */
WEIR_INLINE void
add_products(struct sums *sums, const struct weir_hash_key *key, int part, size_t word,
    const uint8_t *data, size_t size)
{
    __mmask64 bytes = _bzhi_u64(UINT64_MAX, (unsigned)size);
    __mmask8 pairs = (__mmask8)_bzhi_u32(0xff, (unsigned)((size + 15) / 16 * 2));
    __m512i words = _mm512_maskz_loadu_epi8(bytes, data);
    __m512i a = _mm512_xor_si512(words,
        _mm512_maskz_load_epi64(pairs, key->words[part][0] + word));
    __m512i b = _mm512_xor_si512(words,
        _mm512_maskz_load_epi64(pairs, key->words[part][1] + word));
    sums->a = _mm512_xor_si512(sums->a, _mm512_clmulepi64_epi128(a, a, 0x10));
    sums->b = _mm512_xor_si512(sums->b, _mm512_clmulepi64_epi128(b, b, 0x10));
}

WEIR_INLINE void
add_length(struct sums *sums, const struct weir_hash_key *key, int part, size_t size)
{
    __m128i length = _mm_cvtsi64_si128((int64_t)size);
    __m128i keys = _mm_loadu_si128((const __m128i *)key->length[part]);
    sums->length_a = _mm_xor_si128(sums->length_a, _mm_clmulepi64_si128(length, keys, 0x00));
    sums->length_b = _mm_xor_si128(sums->length_b, _mm_clmulepi64_si128(length, keys, 0x10));
}

/* Part 0 of the raw key. Keys of up to 128 bytes take no branch on their size. */
WEIR_INLINE struct sums
key_begin(const struct weir_hash_key *key, const uint8_t *data, size_t size)
{
    struct sums sums = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm_setzero_si128(),
        _mm_setzero_si128()};
    size_t first = size < BLOCK ? size : BLOCK;
    size_t rest = size - first;
    add_products(&sums, key, 0, 0, data, first);
    add_products(&sums, key, 0, 8, data + BLOCK, rest < BLOCK ? rest : BLOCK);
    for (size_t at = 2 * BLOCK; WEIR_UNLIKELY(at < size); at += BLOCK)
        add_products(&sums, key, 0, at / 8, data + at, size - at < BLOCK ? size - at : BLOCK);
    add_length(&sums, key, 0, size);
    return sums;
}

WEIR_INLINE __m128i
fold(__m512i sum, __m128i length)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(sum),
        _mm512_extracti64x4_epi64(sum, 1));
    return _mm_xor_si128(length,
        _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}

/* The raw key of line and field: the parts are joined by a sum, which reduction lets us do
 * before it. */
WEIR_INLINE struct weir_hash128
key_join(const struct weir_hash_key *key, const struct sums *line, const uint8_t *name,
    size_t size)
{
    struct sums sums = *line;
    for (size_t at = 0; at < size; at += BLOCK)
        add_products(&sums, key, 1, at / 8, name + at, size - at < BLOCK ? size - at : BLOCK);
    add_length(&sums, key, 1, size);
    return reduce(fold(sums.a, sums.length_a), fold(sums.b, sums.length_b));
}

#else

/* Sums of products of a message's pairs (base/hash.h), not yet reduced. */
#if defined(__VPCLMULQDQ__)

struct sums {
    __m256i both; /* lane a, lane b */
};

WEIR_INLINE __m256i
two(const void *a, const void *b)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_load_si128((const __m128i *)a)),
        _mm_load_si128((const __m128i *)b), 1);
}

WEIR_INLINE void
add_product(struct sums *sums, __m256i a, __m256i b)
{
    sums->both = _mm256_xor_si256(sums->both, _mm256_clmulepi64_epi128(a, b, 0x10));
}

/* Adds the pair that is `at` bytes from the message's start. */
WEIR_INLINE void
add_pair(struct sums *sums, const struct weir_hash_key *key, int part, size_t at, __m128i words)
{
    __m256i keys = two((const uint8_t *)key->words[part][0] + at,
        (const uint8_t *)key->words[part][1] + at);
    __m256i pair = _mm256_xor_si256(_mm256_broadcastsi128_si256(words), keys);
    add_product(sums, pair, pair);
}

WEIR_INLINE void
add_length(struct sums *sums, const struct weir_hash_key *key, int part, size_t size)
{
    __m128i keys = _mm_loadu_si128((const __m128i *)key->length[part]);
    add_product(sums, _mm256_set1_epi64x((int64_t)size),
        _mm256_permute4x64_epi64(_mm256_castsi128_si256(keys), 0x50));
}

WEIR_INLINE struct sums
no_sums(void)
{
    return (struct sums){_mm256_setzero_si256()};
}

WEIR_INLINE struct weir_hash128
reduced(const struct sums *sums)
{
    return reduce(_mm256_castsi256_si128(sums->both), _mm256_extracti128_si256(sums->both, 1));
}

#else

struct sums {
    __m128i a, b;
};

WEIR_INLINE void
add_pair(struct sums *sums, const struct weir_hash_key *key, int part, size_t at, __m128i words)
{
    const uint8_t *keys_a = (const uint8_t *)key->words[part][0] + at;
    const uint8_t *keys_b = (const uint8_t *)key->words[part][1] + at;
    __m128i a = _mm_xor_si128(words, _mm_load_si128((const __m128i *)(const void *)keys_a));
    __m128i b = _mm_xor_si128(words, _mm_load_si128((const __m128i *)(const void *)keys_b));
    sums->a = _mm_xor_si128(sums->a, _mm_clmulepi64_si128(a, a, 0x10));
    sums->b = _mm_xor_si128(sums->b, _mm_clmulepi64_si128(b, b, 0x10));
}

WEIR_INLINE void
add_length(struct sums *sums, const struct weir_hash_key *key, int part, size_t size)
{
    __m128i length = _mm_cvtsi64_si128((int64_t)size);
    __m128i keys = _mm_loadu_si128((const __m128i *)key->length[part]);
    sums->a = _mm_xor_si128(sums->a, _mm_clmulepi64_si128(length, keys, 0x00));
    sums->b = _mm_xor_si128(sums->b, _mm_clmulepi64_si128(length, keys, 0x10));
}

WEIR_INLINE struct sums
no_sums(void)
{
    return (struct sums){_mm_setzero_si128(), _mm_setzero_si128()};
}

WEIR_INLINE struct weir_hash128
reduced(const struct sums *sums)
{
    return reduce(sums->a, sums->b);
}

#endif

/* Adds the products of a part's bytes, at least one, and that of its size. Reads up to 15 bytes
 * after them: the rest of their line, or the packet's slack. */
WEIR_INLINE void
add_part(struct sums *sums, const struct weir_hash_key *key, int part, const uint8_t *data,
    size_t size)
{
    static const uint8_t keep[32] = {[0 ... 15] = 0xff};
    add_length(sums, key, part, size);
    size_t at = 0, last = (size - 1) & ~(size_t)15;
    for (; at < last; at += 16)
        add_pair(sums, key, part, at, _mm_loadu_si128((const __m128i *)(data + at)));
    __m128i words = _mm_loadu_si128((const __m128i *)(data + last));
    __m128i mask = _mm_loadu_si128((const __m128i *)(keep + 16 - (size - last)));
    add_pair(sums, key, part, last, _mm_and_si128(words, mask));
}

WEIR_INLINE struct sums
key_begin(const struct weir_hash_key *key, const uint8_t *data, size_t size)
{
    struct sums sums = no_sums();
    add_part(&sums, key, 0, data, size);
    return sums;
}

/* The raw key of line and field: the parts are joined by a sum, which reduction lets us do
 * before it. */
WEIR_INLINE struct weir_hash128
key_join(const struct weir_hash_key *key, const struct sums *line, const uint8_t *name,
    size_t size)
{
    struct sums sums = *line;
    add_part(&sums, key, 1, name, size);
    return reduced(&sums);
}

#endif

#endif
