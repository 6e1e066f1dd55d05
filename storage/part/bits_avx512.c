#include "storage/part/bits.h"
#include "storage/part/bits_variants.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")))
#define LANES 8

AVX512 static inline __m512i
load(const void *at)
{
    return _mm512_loadu_si512(at);
}

AVX512 static inline __m512i
lane_numbers(void)
{
    return _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
}

/* Eight integers of up to 57 bits lie in 57 bytes: one permutation of bytes brings the eight bytes
 * from its first on to each lane. */
AVX512 void
weir_bits_unpack_avx512(
    const uint8_t *packed, unsigned width, uint64_t base, size_t count, uint64_t *column)
{
    const __m512i bases = _mm512_set1_epi64((int64_t)base);
    if (width == 64) {
        for (size_t i = 0; i < count; i += LANES)
            _mm512_storeu_si512(column + i, _mm512_add_epi64(load(packed + 8 * i), bases));
        return;
    }
    const __m512i mask = _mm512_set1_epi64((INT64_C(1) << width) - 1);
    const __m512i bits = _mm512_mul_epu32(lane_numbers(), _mm512_set1_epi64(width));
    const __m512i shifts = _mm512_and_si512(bits, _mm512_set1_epi64(7));
    const __m512i firsts = _mm512_shuffle_epi8(_mm512_srli_epi64(bits, 3),
        _mm512_set_epi64(0x0808080808080808, 0, 0x0808080808080808, 0, 0x0808080808080808, 0,
            0x0808080808080808, 0));
    const __m512i bytes = _mm512_add_epi8(firsts, _mm512_set1_epi64(0x0706050403020100));
    for (size_t i = 0; i < count; i += LANES, packed += width) {
        __m512i lanes = _mm512_permutexvar_epi8(bytes, load(packed));
        lanes = _mm512_and_si512(_mm512_srlv_epi64(lanes, shifts), mask);
        _mm512_storeu_si512(column + i, _mm512_add_epi64(lanes, bases));
    }
}

AVX512 void
weir_bits_add_bytes_avx512(const uint8_t *bytes, unsigned shift, size_t count, uint64_t *column)
{
    const __m128i shifts = _mm_cvtsi32_si128((int)shift);
    for (size_t i = 0; i < count; i += LANES) {
        __m512i lanes = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(bytes + i)));
        lanes = _mm512_add_epi64(load(column + i), _mm512_sll_epi64(lanes, shifts));
        _mm512_storeu_si512(column + i, lanes);
    }
}

/* Lanes moved up by `by`, zeros in their place. */
#define UP(lanes, by) _mm512_alignr_epi64(lanes, _mm512_setzero_si512(), LANES - (by))

AVX512 void
weir_bits_sum_avx512(uint64_t start, size_t count, uint64_t *column)
{
    const __m512i last = _mm512_set1_epi64(LANES - 1);
    __m512i before = _mm512_set1_epi64((int64_t)start);
    for (size_t i = 0; i < count; i += LANES) {
        __m512i lanes = load(column + i);
        lanes = _mm512_add_epi64(lanes, UP(lanes, 1));
        lanes = _mm512_add_epi64(lanes, UP(lanes, 2));
        lanes = _mm512_add_epi64(lanes, UP(lanes, 4));
        _mm512_storeu_si512(column + i, _mm512_add_epi64(lanes, before));
        before = _mm512_add_epi64(before, _mm512_permutexvar_epi64(last, lanes));
    }
}

AVX512 void
weir_bits_sum_xor_avx512(uint64_t start, size_t count, uint64_t *column)
{
    const __m512i last = _mm512_set1_epi64(LANES - 1);
    __m512i before = _mm512_set1_epi64((int64_t)start);
    for (size_t i = 0; i < count; i += LANES) {
        __m512i lanes = load(column + i);
        lanes = _mm512_xor_si512(lanes, UP(lanes, 1));
        lanes = _mm512_xor_si512(lanes, UP(lanes, 2));
        lanes = _mm512_xor_si512(lanes, UP(lanes, 4));
        _mm512_storeu_si512(column + i, _mm512_xor_si512(lanes, before));
        before = _mm512_xor_si512(before, _mm512_permutexvar_epi64(last, lanes));
    }
}

AVX512 void
weir_bits_add_line_avx512(uint64_t slope, size_t count, uint64_t *column)
{
    __m512i line = _mm512_mullo_epi64(lane_numbers(), _mm512_set1_epi64((int64_t)slope));
    const __m512i step = _mm512_set1_epi64((int64_t)(LANES * slope));
    for (size_t i = 0; i < count; i += LANES) {
        _mm512_storeu_si512(column + i, _mm512_add_epi64(load(column + i), line));
        line = _mm512_add_epi64(line, step);
    }
}

AVX512 void
weir_bits_bounds_avx512(const uint64_t *column, size_t count, int64_t *least, int64_t *most)
{
    __m512i low = _mm512_set1_epi64((int64_t)column[0]), high = low;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        low = _mm512_min_epi64(low, load(column + i));
        high = _mm512_max_epi64(high, load(column + i));
    }
    __mmask8 rest = (__mmask8)((1u << (count - i)) - 1);
    __m512i lanes = _mm512_maskz_loadu_epi64(rest, column + i);
    *least = _mm512_reduce_min_epi64(_mm512_mask_min_epi64(low, rest, low, lanes));
    *most = _mm512_reduce_max_epi64(_mm512_mask_max_epi64(high, rest, high, lanes));
}

AVX512 void
weir_bits_split_avx512(
    uint64_t base, unsigned shift, size_t count, uint64_t *column, uint8_t *bytes)
{
    const __m512i bases = _mm512_set1_epi64((int64_t)base);
    const __m512i mask = _mm512_set1_epi64((INT64_C(1) << shift) - 1);
    const __m128i shifts = _mm_cvtsi32_si128((int)shift);
    for (size_t i = 0; i < count; i += LANES) {
        __m512i above = _mm512_sub_epi64(load(column + i), bases);
        _mm_storel_epi64(
            (__m128i *)(bytes + i), _mm512_cvtepi64_epi8(_mm512_srl_epi64(above, shifts)));
        _mm512_storeu_si512(column + i, _mm512_and_si512(above, mask));
    }
}

AVX512 void
weir_bits_to_doubles_avx512(int exponent, size_t count, uint64_t *column)
{
    const __m512d power =
        _mm512_set1_pd(weir_bits_power_of_ten(exponent < 0 ? -exponent : exponent));
    for (size_t i = 0; i < count; i += LANES) {
        __m512d lanes = _mm512_cvtepi64_pd(load(column + i));
        if (exponent != 0)
            lanes = exponent < 0 ? _mm512_div_pd(lanes, power) : _mm512_mul_pd(lanes, power);
        _mm512_storeu_pd(column + i, lanes);
    }
}

#endif
