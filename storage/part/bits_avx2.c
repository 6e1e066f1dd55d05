#include "storage/part/bits.h"
#include "storage/part/bits_variants.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define LANES 4

/* Two integers of eight: the byte at which they begin, and for each the bytes and the shift that
 * bring it to the low end of its lane. */
struct pair {
    size_t at;
    __m128i bytes;
    __m128i shifts;
};

AVX2 static inline __m128i
eight_bytes_from(unsigned low, unsigned high)
{
    const __m128i each = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
    return _mm_add_epi8(each,
        _mm_set_epi64x((int64_t)(high * UINT64_C(0x0101010101010101)),
            (int64_t)(low * UINT64_C(0x0101010101010101))));
}

AVX2 static inline struct pair
pair_of(unsigned index, unsigned width)
{
    unsigned first = 2 * index * width, second = first % 8 + width;
    return (struct pair){
        first / 8, eight_bytes_from(0, second / 8), _mm_set_epi64x(second % 8, first % 8)};
}

AVX2 static inline __m256i
both(__m128i low, __m128i high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

AVX2 static inline __m256i
load_four(const uint8_t *packed, const struct pair *pairs, __m256i bytes, __m256i shifts)
{
    __m256i words = both(_mm_loadu_si128((const __m128i *)(packed + pairs[0].at)),
        _mm_loadu_si128((const __m128i *)(packed + pairs[1].at)));
    return _mm256_srlv_epi64(_mm256_shuffle_epi8(words, bytes), shifts);
}

AVX2 void
weir_bits_unpack_avx2(
    const uint8_t *packed, unsigned width, uint64_t base, size_t count, uint64_t *column)
{
    const __m256i bases = _mm256_set1_epi64x((int64_t)base);
    if (width == 64) {
        for (size_t i = 0; i < count; i += LANES) {
            __m256i words = _mm256_loadu_si256((const __m256i *)(packed + 8 * i));
            _mm256_storeu_si256((__m256i *)(column + i), _mm256_add_epi64(words, bases));
        }
        return;
    }
    const __m256i mask = _mm256_set1_epi64x((INT64_C(1) << width) - 1);
    struct pair pairs[4];
    for (unsigned i = 0; i < 4; i++)
        pairs[i] = pair_of(i, width);
    const __m256i low_bytes = both(pairs[0].bytes, pairs[1].bytes);
    const __m256i high_bytes = both(pairs[2].bytes, pairs[3].bytes);
    const __m256i low_shifts = both(pairs[0].shifts, pairs[1].shifts);
    const __m256i high_shifts = both(pairs[2].shifts, pairs[3].shifts);
    for (size_t i = 0; i < count; i += 2 * LANES, packed += width) {
        __m256i low = load_four(packed, pairs, low_bytes, low_shifts);
        __m256i high = load_four(packed, pairs + 2, high_bytes, high_shifts);
        low = _mm256_add_epi64(_mm256_and_si256(low, mask), bases);
        high = _mm256_add_epi64(_mm256_and_si256(high, mask), bases);
        _mm256_storeu_si256((__m256i *)(column + i), low);
        _mm256_storeu_si256((__m256i *)(column + i + LANES), high);
    }
}

AVX2 void
weir_bits_add_bytes_avx2(const uint8_t *bytes, unsigned shift, size_t count, uint64_t *column)
{
    const __m128i shifts = _mm_cvtsi32_si128((int)shift);
    for (size_t i = 0; i < count; i += LANES) {
        int32_t four;
        memcpy(&four, bytes + i, sizeof four);
        __m256i words = _mm256_sll_epi64(_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four)), shifts);
        __m256i *at = (__m256i *)(column + i);
        _mm256_storeu_si256(at, _mm256_add_epi64(_mm256_loadu_si256(at), words));
    }
}

/* Lanes moved up by one or two, zeros in their place. */
AVX2 static inline __m256i
up_one(__m256i lanes)
{
    return _mm256_blend_epi32(_mm256_permute4x64_epi64(lanes, 0x90), _mm256_setzero_si256(), 0x03);
}

AVX2 static inline __m256i
up_two(__m256i lanes)
{
    return _mm256_permute2x128_si256(lanes, lanes, 0x08);
}

AVX2 void
weir_bits_sum_avx2(uint64_t start, size_t count, uint64_t *column)
{
    __m256i before = _mm256_set1_epi64x((int64_t)start);
    for (size_t i = 0; i < count; i += LANES) {
        __m256i lanes = _mm256_loadu_si256((const __m256i *)(column + i));
        lanes = _mm256_add_epi64(lanes, up_one(lanes));
        lanes = _mm256_add_epi64(lanes, up_two(lanes));
        _mm256_storeu_si256((__m256i *)(column + i), _mm256_add_epi64(lanes, before));
        before = _mm256_add_epi64(before, _mm256_permute4x64_epi64(lanes, 0xff));
    }
}

AVX2 void
weir_bits_sum_xor_avx2(uint64_t start, size_t count, uint64_t *column)
{
    __m256i before = _mm256_set1_epi64x((int64_t)start);
    for (size_t i = 0; i < count; i += LANES) {
        __m256i lanes = _mm256_loadu_si256((const __m256i *)(column + i));
        lanes = _mm256_xor_si256(lanes, up_one(lanes));
        lanes = _mm256_xor_si256(lanes, up_two(lanes));
        _mm256_storeu_si256((__m256i *)(column + i), _mm256_xor_si256(lanes, before));
        before = _mm256_xor_si256(before, _mm256_permute4x64_epi64(lanes, 0xff));
    }
}

AVX2 void
weir_bits_add_line_avx2(uint64_t slope, size_t count, uint64_t *column)
{
    __m256i line =
        _mm256_setr_epi64x(0, (int64_t)slope, (int64_t)(2 * slope), (int64_t)(3 * slope));
    const __m256i step = _mm256_set1_epi64x((int64_t)(LANES * slope));
    for (size_t i = 0; i < count; i += LANES) {
        __m256i *at = (__m256i *)(column + i);
        _mm256_storeu_si256(at, _mm256_add_epi64(_mm256_loadu_si256(at), line));
        line = _mm256_add_epi64(line, step);
    }
}

AVX2 void
weir_bits_bounds_avx2(const uint64_t *column, size_t count, int64_t *least, int64_t *most)
{
    __m256i low = _mm256_set1_epi64x((int64_t)column[0]), high = low;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        __m256i lanes = _mm256_loadu_si256((const __m256i *)(column + i));
        low = _mm256_blendv_epi8(low, lanes, _mm256_cmpgt_epi64(low, lanes));
        high = _mm256_blendv_epi8(high, lanes, _mm256_cmpgt_epi64(lanes, high));
    }
    uint64_t ends[2 * LANES];
    int64_t low_rest, high_rest;
    _mm256_storeu_si256((__m256i *)ends, low);
    _mm256_storeu_si256((__m256i *)(ends + LANES), high);
    weir_bits_bounds_scalar(ends, 2 * LANES, least, most);
    weir_bits_bounds_scalar(column + i, count - i, &low_rest, &high_rest);
    *least = low_rest < *least ? low_rest : *least;
    *most = high_rest > *most ? high_rest : *most;
}

AVX2 void
weir_bits_split_avx2(uint64_t base, unsigned shift, size_t count, uint64_t *column, uint8_t *bytes)
{
    const __m256i bases = _mm256_set1_epi64x((int64_t)base);
    const __m256i mask = _mm256_set1_epi64x((INT64_C(1) << shift) - 1);
    const __m128i shifts = _mm_cvtsi32_si128((int)shift);
    for (size_t i = 0; i < count; i += LANES) {
        __m256i above = _mm256_sub_epi64(_mm256_loadu_si256((const __m256i *)(column + i)), bases);
        __m256i high = _mm256_srl_epi64(above, shifts);
        /* one byte of each lane, in two halves: 0 and 1, 2 and 3 */
        __m256i two = _mm256_shuffle_epi8(high, _mm256_set1_epi16(0x0800));
        uint16_t low_two = (uint16_t)_mm256_extract_epi16(two, 0);
        uint16_t high_two = (uint16_t)_mm256_extract_epi16(two, 8);
        memcpy(bytes + i, &low_two, sizeof low_two);
        memcpy(bytes + i + 2, &high_two, sizeof high_two);
        _mm256_storeu_si256((__m256i *)(column + i), _mm256_and_si256(above, mask));
    }
}

/* The high half, its sign turned over, is the low end of a double near 2^84, the low half of one
 * near 2^52. Taking 2^84 + 2^63 + 2^52 from the first is exact; their sum rounds once. */
AVX2 static inline __m256d
double_of(__m256i integers)
{
    const __m256i low_bits = _mm256_set1_epi64x(INT64_C(0x4330000000000000));  /* 2^52 */
    const __m256i high_bits = _mm256_set1_epi64x(INT64_C(0x4530000080000000)); /* 2^84 + 2^63 */
    const __m256d both_bits = _mm256_set1_pd(0x1p84 + 0x1p63 + 0x1p52);
    __m256i low = _mm256_blend_epi32(integers, low_bits, 0xaa);
    __m256i high = _mm256_xor_si256(_mm256_srli_epi64(integers, 32), high_bits);
    return _mm256_add_pd(
        _mm256_sub_pd(_mm256_castsi256_pd(high), both_bits), _mm256_castsi256_pd(low));
}

AVX2 void
weir_bits_to_doubles_avx2(int exponent, size_t count, uint64_t *column)
{
    const __m256d power =
        _mm256_set1_pd(weir_bits_power_of_ten(exponent < 0 ? -exponent : exponent));
    for (size_t i = 0; i < count; i += LANES) {
        __m256d lanes = double_of(_mm256_loadu_si256((const __m256i *)(column + i)));
        if (exponent != 0)
            lanes = exponent < 0 ? _mm256_div_pd(lanes, power) : _mm256_mul_pd(lanes, power);
        _mm256_storeu_si256((__m256i *)(column + i), _mm256_castpd_si256(lanes));
    }
}

#endif
