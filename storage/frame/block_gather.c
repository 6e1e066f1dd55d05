#include "storage/frame/block_gather.h"

#include "base/cpu.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Samples are fetched in the order of series from a batch in the order of arrival: 16 ahead hides
 * a miss of the second-level cache. */
#define PREFETCH 16

static void
gather_one(struct weir_block_scratch *scratch, const struct weir_sample *sample, uint32_t i,
    uint64_t *before, struct weir_block_bounds *bounds)
{
    uint64_t series = weir_sample_series(sample);
    uint64_t delta = series - *before;
    *before = series;
    scratch->deltas[i] = delta;
    bounds->delta_max = delta > bounds->delta_max ? delta : bounds->delta_max;
    /* the first has no delta */
    bounds->delta_min = i > 0 && delta < bounds->delta_min ? delta : bounds->delta_min;

    int64_t time_ms = sample->time_ms;
    scratch->times[i] = (uint64_t)time_ms;
    bounds->time_min_ms = time_ms < bounds->time_min_ms ? time_ms : bounds->time_min_ms;
    bounds->time_max_ms = time_ms > bounds->time_max_ms ? time_ms : bounds->time_max_ms;

    int exponent = weir_sample_exponent(sample);
    scratch->exponents[i] = (int8_t)exponent;
    bounds->exponent_min = exponent < bounds->exponent_min ? exponent : bounds->exponent_min;
    bounds->exponent_max = exponent > bounds->exponent_max ? exponent : bounds->exponent_max;

    bool is_double = weir_sample_kind(sample) == WEIR_VALUE_DOUBLE;
    uint64_t value = is_double ? sample->value : weir_zigzag((int64_t)sample->value);
    scratch->values[i] = value;
    scratch->controls[i] = (uint8_t)(is_double ? WEIR_CONTROL_DOUBLE : weir_bytes_needed(value));
}

static const struct weir_block_bounds nothing = {.time_min_ms = INT64_MAX,
    .time_max_ms = INT64_MIN,
    .exponent_min = INT8_MAX,
    .exponent_max = INT8_MIN,
    .delta_min = UINT64_MAX};

static struct weir_block_bounds
gather_scalar(struct weir_block_scratch *scratch, const struct weir_sample *samples,
    const uint32_t *order, uint32_t count, uint32_t ahead)
{
    struct weir_block_bounds bounds = nothing;
    uint64_t before = weir_sample_series(&samples[order[0]]);
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(&samples[order[i + PREFETCH < ahead ? i + PREFETCH : i]]);
        gather_one(scratch, &samples[order[i]], i, &before, &bounds);
    }
    if (count == 1)
        bounds.delta_min = 0;
    return bounds;
}

static inline uint8_t *
put_exception(uint8_t *at, uint64_t delta)
{
    memcpy(at, &delta, sizeof delta);
    return at + WEIR_SERIES_WIDTH_MAX;
}

static uint8_t *
narrow_scalar(const uint64_t *deltas, uint32_t count, uint64_t step, uint8_t *out)
{
    uint8_t *exceptions = out + count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t delta = deltas[i] - step;
        if (delta < WEIR_SERIES_EXCEPTION) {
            out[i] = (uint8_t)delta;
            continue;
        }
        out[i] = WEIR_SERIES_EXCEPTION;
        exceptions = put_exception(exceptions, delta);
    }
    return exceptions;
}

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2,bmi,bmi2")))
#define LANES 4

/* Keys, times and values of four samples. */
struct four {
    __m256i keys;
    __m256i times;
    __m256i values;
};

AVX2 static inline __m128i
load16(const void *at)
{
    return _mm_loadu_si128((const __m128i *)at);
}

AVX2 static inline struct four
load_four(const struct weir_sample *samples, const uint32_t *order)
{
    const struct weir_sample *s[LANES] = {
        samples + order[0], samples + order[1], samples + order[2], samples + order[3]};
    __m256i even = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(s[0])), load16(s[2]), 1);
    __m256i odd = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(s[1])), load16(s[3]), 1);
    return (struct four){_mm256_unpacklo_epi64(even, odd), _mm256_unpackhi_epi64(even, odd),
        _mm256_set_epi64x((int64_t)s[3]->value, (int64_t)s[2]->value, (int64_t)s[1]->value,
            (int64_t)s[0]->value)};
}

/* Larger and smaller by lane, as signed numbers. */
AVX2 static inline __m256i
larger(__m256i a, __m256i b)
{
    return _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b));
}

AVX2 static inline __m256i
smaller(__m256i a, __m256i b)
{
    return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b));
}

/* As weir_bytes_needed by lane, for values below 2^56. */
AVX2 static inline __m256i
bytes_needed(__m256i values)
{
    __m256i bytes = _mm256_setzero_si256();
    for (unsigned width = 0; width < 7; width++) {
        __m256i most = _mm256_set1_epi64x((INT64_C(1) << 8 * width) - 1);
        bytes = _mm256_sub_epi64(bytes, _mm256_cmpgt_epi64(values, most));
    }
    return bytes;
}

/* The low two bytes of each lane: first bytes in 0 to 3, second ones in 4 to 7. */
AVX2 static inline __m128i
two_bytes(__m256i lanes)
{
    const __m256i places = _mm256_setr_epi8(0, 8, -1, -1, 1, 9, -1, -1, -1, -1, -1, -1, -1, -1,
        -1, -1, -1, -1, 0, 8, -1, -1, 1, 9, -1, -1, -1, -1, -1, -1, -1, -1);
    __m256i found = _mm256_shuffle_epi8(lanes, places);
    return _mm_or_si128(_mm256_castsi256_si128(found), _mm256_extracti128_si256(found, 1));
}

/* Values with their controls and exponents. */
AVX2 static inline void
gather_values(struct weir_block_scratch *scratch, uint32_t i, const struct four *four)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i is_double = _mm256_cmpgt_epi64(zero, _mm256_slli_epi64(four->keys, 63 - 48));
    __m256i zigzag = _mm256_xor_si256(_mm256_add_epi64(four->values, four->values),
        _mm256_cmpgt_epi64(zero, four->values));
    __m256i controls = _mm256_or_si256(bytes_needed(zigzag),
        _mm256_and_si256(is_double, _mm256_set1_epi64x(WEIR_CONTROL_DOUBLE)));
    controls = _mm256_and_si256(controls, _mm256_set1_epi64x(15));
    __m256i exponents = _mm256_and_si256(_mm256_srli_epi64(four->keys, WEIR_SERIES_BITS),
        _mm256_set1_epi64x(0xff));
    __m128i bytes = two_bytes(_mm256_or_si256(exponents, _mm256_slli_epi64(controls, 8)));
    uint64_t both = (uint64_t)_mm_cvtsi128_si64(bytes);
    memcpy(scratch->exponents + i, &both, LANES);
    both >>= 32;
    memcpy(scratch->controls + i, &both, LANES);
    _mm256_storeu_si256((__m256i *)(scratch->values + i),
        _mm256_blendv_epi8(zigzag, four->values, is_double));
}

AVX2 static int64_t
largest_of(__m256i lanes)
{
    int64_t values[LANES];
    _mm256_storeu_si256((__m256i *)values, lanes);
    int64_t most = values[0];
    for (int i = 1; i < LANES; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

AVX2 static int64_t
smallest_of(__m256i lanes)
{
    int64_t values[LANES];
    _mm256_storeu_si256((__m256i *)values, lanes);
    int64_t least = values[0];
    for (int i = 1; i < LANES; i++)
        least = values[i] < least ? values[i] : least;
    return least;
}

static void
exponent_bounds(const int8_t *exponents, uint32_t count, struct weir_block_bounds *bounds)
{
    int8_t least = INT8_MAX, most = INT8_MIN;
    for (uint32_t i = 0; i < count; i++) {
        least = exponents[i] < least ? exponents[i] : least;
        most = exponents[i] > most ? exponents[i] : most;
    }
    bounds->exponent_min = least;
    bounds->exponent_max = most;
}

AVX2 static struct weir_block_bounds
gather_avx2(struct weir_block_scratch *scratch, const struct weir_sample *samples,
    const uint32_t *order, uint32_t count, uint32_t ahead)
{
    struct weir_block_bounds bounds = nothing;
    uint64_t before = weir_sample_series(&samples[order[0]]);
    uint32_t i = 0;
    /* the first sample has no delta: one by one until it is among those before */
    for (; i < count && i < LANES; i++)
        gather_one(scratch, &samples[order[i]], i, &before, &bounds);
    const __m256i series_bits = _mm256_set1_epi64x(WEIR_SERIES_LIMIT - 1);
    __m256i last = _mm256_set1_epi64x((int64_t)before);
    __m256i delta_most = _mm256_set1_epi64x((int64_t)bounds.delta_max);
    __m256i delta_least = _mm256_set1_epi64x(INT64_MAX);
    __m256i time_most = _mm256_set1_epi64x(bounds.time_max_ms);
    __m256i time_least = _mm256_set1_epi64x(bounds.time_min_ms);
    for (; i + LANES <= count; i += LANES) {
        uint32_t next = i + PREFETCH + LANES <= ahead ? i + PREFETCH : i;
        __builtin_prefetch(&samples[order[next]]);
        __builtin_prefetch(&samples[order[next + 2]]);
        struct four four = load_four(samples, order + i);
        __m256i series = _mm256_and_si256(four.keys, series_bits);
        /* the series before each: those of this vector moved up by one, the last one in front */
        __m256i earlier = _mm256_blend_epi32(_mm256_permute4x64_epi64(series, 0x90), last, 3);
        last = _mm256_permute4x64_epi64(series, 0xff);
        __m256i deltas = _mm256_sub_epi64(series, earlier);
        _mm256_storeu_si256((__m256i *)(scratch->deltas + i), deltas);
        delta_most = larger(delta_most, deltas);
        delta_least = smaller(delta_least, deltas);
        _mm256_storeu_si256((__m256i *)(scratch->times + i), four.times);
        time_most = larger(time_most, four.times);
        time_least = smaller(time_least, four.times);
        gather_values(scratch, i, &four);
    }
    uint64_t least = (uint64_t)smallest_of(delta_least);
    bounds.delta_min = least < bounds.delta_min ? least : bounds.delta_min;
    bounds.delta_max = (uint64_t)largest_of(delta_most);
    bounds.time_min_ms = smallest_of(time_least);
    bounds.time_max_ms = largest_of(time_most);
    if (i > 0)
        before = weir_sample_series(&samples[order[i - 1]]);
    for (; i < count; i++)
        gather_one(scratch, &samples[order[i]], i, &before, &bounds);
    exponent_bounds(scratch->exponents, count, &bounds);
    if (count == 1)
        bounds.delta_min = 0;
    return bounds;
}

/* Exceptions are few: their bits are collected and walked. */
AVX2 static uint8_t *
narrow_avx2(const uint64_t *deltas, uint32_t count, uint64_t step, uint8_t *out)
{
    uint8_t *exceptions = out + count;
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        __m256i lanes = _mm256_sub_epi64(_mm256_loadu_si256((const __m256i *)(deltas + i)),
            _mm256_set1_epi64x((int64_t)step));
        __m256i wide = _mm256_cmpgt_epi64(lanes, _mm256_set1_epi64x(WEIR_SERIES_EXCEPTION - 1));
        uint32_t bytes =
            (uint32_t)_mm_cvtsi128_si32(two_bytes(_mm256_or_si256(lanes, wide)));
        memcpy(out + i, &bytes, LANES);
        unsigned bits = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(wide));
        for (; WEIR_UNLIKELY(bits != 0); bits &= bits - 1)
            exceptions = put_exception(exceptions, deltas[i + _tzcnt_u32(bits)] - step);
    }
    for (; i < count; i++) {
        uint64_t delta = deltas[i] - step;
        bool fits = delta < WEIR_SERIES_EXCEPTION;
        out[i] = (uint8_t)(fits ? delta : WEIR_SERIES_EXCEPTION);
        if (!fits)
            exceptions = put_exception(exceptions, delta);
    }
    return exceptions;
}

#endif

const struct weir_gather_variant weir_gather_variants[] = {
#if defined(__x86_64__)
    {"avx2", WEIR_CPU_AVX2 | WEIR_CPU_BMI, gather_avx2, narrow_avx2},
#endif
    {"scalar", 0, gather_scalar, narrow_scalar},
};
#define VARIANT_COUNT (sizeof weir_gather_variants / sizeof weir_gather_variants[0])

size_t
weir_gather_variant_count(void)
{
    return VARIANT_COUNT;
}

bool
weir_gather_variant_supported(size_t variant)
{
    return weir_cpu_has(weir_gather_variants[variant].needs);
}

const struct weir_gather_variant *
weir_gather(void)
{
    /* relaxed on both sides: every variant gives the same bytes */
    static _Atomic(const struct weir_gather_variant *) chosen;
    const struct weir_gather_variant *variant = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (variant != NULL)
        return variant;
    size_t best = weir_cpu_best(&weir_gather_variants[0].needs, sizeof weir_gather_variants[0]);
    variant = &weir_gather_variants[best];
    atomic_store_explicit(&chosen, variant, memory_order_relaxed);
    return variant;
}
