#include "base/hash.h"

#include "base/assert.h"
#include "base/chacha.h"
#include "base/cpu.h"
#include "base/hash_internal.h"

#include <endian.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define PAIR 16 /* bytes of one product's two words */
#define KEY_WORDS (sizeof(struct weir_hash_key) / 8)
_Static_assert(WEIR_HASH_BLOCK % 64 == 0, "a block is whole vectors");

typedef struct weir_hash128 hash_fn(const struct weir_hash_key *key, int part, const void *data,
    size_t size);

void
weir_hash_key_init(struct weir_hash_key *key, const uint8_t seed[WEIR_HASH_SEED_BYTES])
{
    static const uint8_t nonce[WEIR_CHACHA_NONCE_BYTES] = "weir hash 1";
    _Static_assert(WEIR_HASH_SEED_BYTES == WEIR_CHACHA_KEY_BYTES, "the seed is the key");
    memset(key, 0, sizeof *key);
    size_t used = offsetof(struct weir_hash_key, chain) + sizeof key->chain;
    uint8_t *to = (uint8_t *)key;
    uint8_t block[WEIR_CHACHA_BLOCK_BYTES];
    for (uint32_t counter = 0; used > 0; counter++) {
        size_t step = used < sizeof block ? used : sizeof block;
        weir_chacha_block(seed, counter, nonce, block);
        memcpy(to, block, step);
        to += step;
        used -= step;
    }
    explicit_bzero(block, sizeof block);
    uint64_t *words = (uint64_t *)key;
    for (size_t i = 0; i < KEY_WORDS; i++)
        words[i] = le64toh(words[i]);
}

/* The portable twin, obvious rather than fast. */

struct product {
    uint64_t lo;
    uint64_t hi;
};

/* a * b over GF(2), 127 bits. */
static struct product
multiply_portable(uint64_t a, uint64_t b)
{
    struct product sum = {0, 0};
    for (int bit = 0; bit < 64; bit++) {
        uint64_t taken = -(b >> bit & 1);
        sum.lo ^= a << bit & taken;
        if (bit > 0)
            sum.hi ^= a >> (64 - bit) & taken;
    }
    return sum;
}

/* Modulo x^64 + x^4 + x^3 + x + 1. hi * (x^4 + x^3 + x + 1) runs over by up to four bits; they
 * are folded in once more, which cannot run over again. */
static uint64_t
reduce(struct product p)
{
    uint64_t hi = p.hi ^ p.hi >> 63 ^ p.hi >> 61 ^ p.hi >> 60;
    return p.lo ^ hi ^ hi << 1 ^ hi << 3 ^ hi << 4;
}

static uint64_t
lane_portable(const uint64_t *words, uint64_t length_key, const uint8_t *data, size_t size)
{
    struct product sum = multiply_portable(size, length_key);
    for (size_t at = 0; at < size; at += PAIR) {
        uint64_t pair[2] = {0, 0};
        memcpy(pair, data + at, size - at < PAIR ? size - at : PAIR);
        size_t word = at / 8;
        struct product p = multiply_portable(le64toh(pair[0]) ^ words[word],
            le64toh(pair[1]) ^ words[word + 1]);
        sum.lo ^= p.lo;
        sum.hi ^= p.hi;
    }
    return reduce(sum);
}

struct weir_hash128
weir_hash_part_portable(const struct weir_hash_key *key, int part, const void *data, size_t size)
{
    WEIR_DCHECK(part >= 0 && part < WEIR_HASH_PARTS);
    const uint8_t *at = data;
    uint64_t lane[2] = {0, 0};
    do {
        size_t step = size < WEIR_HASH_BLOCK ? size : WEIR_HASH_BLOCK;
        for (int i = 0; i < 2; i++)
            lane[i] = reduce(multiply_portable(lane[i], key->chain[part][i])) ^
                lane_portable(key->words[part][i], key->length[part][i], at, step);
        at += step;
        size -= step;
    } while (size > 0);
    return (struct weir_hash128){lane[0], lane[1]};
}

#if defined(__x86_64__)

/* Both lanes' 128-bit sums, reduced side by side as the portable reduce does. */
static inline __m128i
reduce_lanes(__m128i a, __m128i b)
{
    __m128i lo = _mm_unpacklo_epi64(a, b);
    __m128i hi = _mm_unpackhi_epi64(a, b);
    __m128i over = _mm_xor_si128(_mm_srli_epi64(hi, 63),
        _mm_xor_si128(_mm_srli_epi64(hi, 61), _mm_srli_epi64(hi, 60)));
    hi = _mm_xor_si128(hi, over);
    lo = _mm_xor_si128(lo, _mm_xor_si128(hi, _mm_slli_epi64(hi, 1)));
    return _mm_xor_si128(lo, _mm_xor_si128(_mm_slli_epi64(hi, 3), _mm_slli_epi64(hi, 4)));
}

static inline struct weir_hash128
lanes_hash(__m128i lanes)
{
    return (struct weir_hash128){(uint64_t)_mm_cvtsi128_si64(lanes),
        (uint64_t)_mm_extract_epi64(lanes, 1)};
}

static inline uint64_t
load_small(const uint8_t *from, size_t size)
{
    uint64_t value = 0;
    if (size >= 4) { /* 4 to 7: two loads that overlap */
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + size - 4, 4);
        return first | (uint64_t)last << 8 * (size - 4);
    }
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)from[i] << 8 * i;
    return value;
}

/* 1 to 15 bytes, zero padded, where no other byte may be read. */
static inline __m128i
load_short(const uint8_t *from, size_t size)
{
    if (size < 8)
        return _mm_cvtsi64_si128((int64_t)load_small(from, size));
    uint64_t first, last;
    memcpy(&first, from, 8);
    if (size == 8)
        return _mm_cvtsi64_si128((int64_t)first);
    memcpy(&last, from + size - 8, 8);
    return _mm_set_epi64x((int64_t)(last >> 8 * (16 - size)), (int64_t)first);
}

/* The last 1 to 15 bytes of a message of at least 16: loads 16 that end with them and shifts the
 * earlier ones out. Indices past 15 give zero. */
static inline __m128i
load_last(const uint8_t *end, size_t size)
{
    static const uint8_t shift[32] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x80,
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
    __m128i bytes = _mm_loadu_si128((const __m128i *)(end - PAIR));
    return _mm_shuffle_epi8(bytes, _mm_loadu_si128((const __m128i *)(shift + PAIR - size)));
}

#define PCLMUL __attribute__((target("pclmul,sse4.1")))

PCLMUL static inline __m128i
multiply_pair(__m128i words, const uint64_t *key)
{
    __m128i sum = _mm_xor_si128(words, _mm_load_si128((const __m128i *)key));
    return _mm_clmulepi64_si128(sum, sum, 0x10);
}

/* lanes * chain keys, for Horner's rule. */
PCLMUL static inline __m128i
multiply_chain(__m128i lanes, const uint64_t *chain)
{
    __m128i keys = _mm_loadu_si128((const __m128i *)chain);
    return reduce_lanes(_mm_clmulepi64_si128(lanes, keys, 0x00),
        _mm_clmulepi64_si128(lanes, keys, 0x11));
}

PCLMUL static inline __m128i
block_pclmul(const struct weir_hash_key *key, int part, const uint8_t *data, size_t size)
{
    const uint64_t *key_a = key->words[part][0];
    const uint64_t *key_b = key->words[part][1];
    __m128i length = _mm_cvtsi64_si128((int64_t)size);
    __m128i keys = _mm_loadu_si128((const __m128i *)key->length[part]);
    __m128i a = _mm_clmulepi64_si128(length, keys, 0x00);
    __m128i b = _mm_clmulepi64_si128(length, keys, 0x10);
    size_t at = 0;
    for (; at + PAIR <= size; at += PAIR) {
        __m128i words = _mm_loadu_si128((const __m128i *)(data + at));
        a = _mm_xor_si128(a, multiply_pair(words, key_a + at / 8));
        b = _mm_xor_si128(b, multiply_pair(words, key_b + at / 8));
    }
    if (at < size) {
        __m128i words = at > 0 ? load_last(data + size, size - at) : load_short(data, size);
        a = _mm_xor_si128(a, multiply_pair(words, key_a + at / 8));
        b = _mm_xor_si128(b, multiply_pair(words, key_b + at / 8));
    }
    return reduce_lanes(a, b);
}

PCLMUL static struct weir_hash128
hash_pclmul(const struct weir_hash_key *key, int part, const void *data, size_t size)
{
    const uint8_t *at = data;
    if (WEIR_LIKELY(size <= WEIR_HASH_BLOCK))
        return lanes_hash(block_pclmul(key, part, at, size));
    __m128i lanes = _mm_setzero_si128();
    while (size > 0) {
        size_t step = size < WEIR_HASH_BLOCK ? size : WEIR_HASH_BLOCK;
        lanes = _mm_xor_si128(multiply_chain(lanes, key->chain[part]),
            block_pclmul(key, part, at, step));
        at += step;
        size -= step;
    }
    return lanes_hash(lanes);
}

#define VPCLMUL __attribute__((target("avx512f,avx512bw,avx512vl,vpclmulqdq,pclmul")))

VPCLMUL static inline __m128i
fold_vector(__m512i sum)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(sum),
        _mm512_extracti64x4_epi64(sum, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Four products an instruction. The last vector's loads are masked: absent bytes read as zero and
 * cannot fault, and absent pairs get a zero key, which makes their product zero. */
VPCLMUL static inline __m128i
block_vpclmul(const struct weir_hash_key *key, int part, const uint8_t *data, size_t size)
{
    const uint64_t *key_a = key->words[part][0];
    const uint64_t *key_b = key->words[part][1];
    __m512i sum_a = _mm512_setzero_si512();
    __m512i sum_b = _mm512_setzero_si512();
    size_t at = 0;
    for (; at + 64 <= size; at += 64) {
        __m512i words = _mm512_loadu_si512(data + at);
        __m512i a = _mm512_xor_si512(words, _mm512_load_si512(key_a + at / 8));
        __m512i b = _mm512_xor_si512(words, _mm512_load_si512(key_b + at / 8));
        sum_a = _mm512_xor_si512(sum_a, _mm512_clmulepi64_epi128(a, a, 0x10));
        sum_b = _mm512_xor_si512(sum_b, _mm512_clmulepi64_epi128(b, b, 0x10));
    }
    if (at < size) {
        size_t rest = size - at;
        __mmask64 bytes = UINT64_MAX >> (64 - rest);
        __mmask8 pairs = (__mmask8)(0xff >> (8 - 2 * ((rest + PAIR - 1) / PAIR)));
        __m512i words = _mm512_maskz_loadu_epi8(bytes, data + at);
        __m512i a = _mm512_xor_si512(words, _mm512_maskz_load_epi64(pairs, key_a + at / 8));
        __m512i b = _mm512_xor_si512(words, _mm512_maskz_load_epi64(pairs, key_b + at / 8));
        sum_a = _mm512_xor_si512(sum_a, _mm512_clmulepi64_epi128(a, a, 0x10));
        sum_b = _mm512_xor_si512(sum_b, _mm512_clmulepi64_epi128(b, b, 0x10));
    }
    __m128i length = _mm_cvtsi64_si128((int64_t)size);
    __m128i keys = _mm_loadu_si128((const __m128i *)key->length[part]);
    __m128i a = _mm_xor_si128(fold_vector(sum_a), _mm_clmulepi64_si128(length, keys, 0x00));
    __m128i b = _mm_xor_si128(fold_vector(sum_b), _mm_clmulepi64_si128(length, keys, 0x10));
    return reduce_lanes(a, b);
}

VPCLMUL static struct weir_hash128
hash_vpclmul(const struct weir_hash_key *key, int part, const void *data, size_t size)
{
    const uint8_t *at = data;
    if (WEIR_LIKELY(size <= WEIR_HASH_BLOCK))
        return lanes_hash(block_vpclmul(key, part, at, size));
    __m128i lanes = _mm_setzero_si128();
    while (size > 0) {
        size_t step = size < WEIR_HASH_BLOCK ? size : WEIR_HASH_BLOCK;
        lanes = _mm_xor_si128(multiply_chain(lanes, key->chain[part]),
            block_vpclmul(key, part, at, step));
        at += step;
        size -= step;
    }
    return lanes_hash(lanes);
}

#endif

/* The variants, best first. */

static const struct variant {
    const char *name;
    uint32_t needs;
    hash_fn *hash;
} variants[] = {
#if defined(__x86_64__)
    {"vpclmul", WEIR_CPU_AVX512 | WEIR_CPU_VPCLMUL, hash_vpclmul},
    {"pclmul", WEIR_CPU_PCLMUL | WEIR_CPU_SSE41, hash_pclmul},
#endif
    {"portable", 0, weir_hash_part_portable},
};
#define VARIANT_COUNT (sizeof variants / sizeof variants[0])

static const struct variant *
best_variant(void)
{
    return &variants[weir_cpu_best(&variants[0].needs, sizeof variants[0])];
}

static struct weir_hash128 hash_first(const struct weir_hash_key *key, int part, const void *data,
    size_t size);

/* Relaxed on both sides: every value is a function that gives the same results. */
static _Atomic(hash_fn *) chosen = hash_first;

static struct weir_hash128
hash_first(const struct weir_hash_key *key, int part, const void *data, size_t size)
{
    hash_fn *best = best_variant()->hash;
    atomic_store_explicit(&chosen, best, memory_order_relaxed);
    return best(key, part, data, size);
}

struct weir_hash128
weir_hash_part(const struct weir_hash_key *key, int part, const void *data, size_t size)
{
    return atomic_load_explicit(&chosen, memory_order_relaxed)(key, part, data, size);
}

const char *
weir_hash_variant(void)
{
    return best_variant()->name;
}

size_t
weir_hash_variant_count(void)
{
    return VARIANT_COUNT;
}

bool
weir_hash_part_variant(size_t variant, const struct weir_hash_key *key, int part, const void *data,
    size_t size, struct weir_hash128 *out)
{
    if (variant >= VARIANT_COUNT || !weir_cpu_has(variants[variant].needs))
        return false;
    *out = variants[variant].hash(key, part, data, size);
    return true;
}
