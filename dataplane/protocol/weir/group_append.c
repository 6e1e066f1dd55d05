#include "dataplane/protocol/weir/group_append.h"

#include "base/cpu.h"

#include <stdatomic.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define DOUBLE_BIT (UINT64_C(1) << 48)
_Static_assert(WEIR_VALUE_DOUBLE == 1, "the kind is bit 48 of a key");

static inline void
fill_one(struct weir_sample *out, uint64_t number, const uint8_t *value, int64_t time_ms)
{
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    double real = weir_bits_double(bits);
    /* false for NaN */
    bool small = real <= (double)WEIR_MANTISSA_MAX && real >= -(double)WEIR_MANTISSA_MAX;
    int64_t whole = small ? (int64_t)real : 0;
    bool exact = small && (double)whole == real && bits != UINT64_C(1) << 63;
    out->key = number | (exact ? 0 : DOUBLE_BIT);
    out->time_ms = time_ms;
    out->value = exact ? (uint64_t)whole : bits;
}

static void
fill_scalar(struct weir_sample *out, const uint64_t *numbers, const uint8_t *values,
    uint32_t count, int64_t time_ms)
{
    for (uint32_t i = 0; i < count; i++)
        fill_one(&out[i], numbers[i], values + i * sizeof(double), time_ms);
}

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2")))
#define LANES 4

/* Four samples of three words each are three vectors. */
AVX2 static inline void
store_four(struct weir_sample *out, __m256i keys, __m256i times, __m256i values)
{
    __m256i *to = (__m256i *)out;
    __m256i first = _mm256_blend_epi32(_mm256_permute4x64_epi64(keys, 0x40), times, 0x0c);
    first = _mm256_blend_epi32(first, _mm256_permute4x64_epi64(values, 0x00), 0x30);
    __m256i second = _mm256_blend_epi32(_mm256_blend_epi32(times, values, 0x0c), keys, 0x30);
    __m256i third = _mm256_blend_epi32(_mm256_permute4x64_epi64(values, 0xc2), times, 0x30);
    third = _mm256_blend_epi32(third, _mm256_permute4x64_epi64(keys, 0x0c), 0x0c);
    _mm256_storeu_si256(to, first);
    _mm256_storeu_si256(to + 1, second);
    _mm256_storeu_si256(to + 2, third);
}

/* Adding 1.5 * 2^52 leaves a number of up to 2^51 in the low bits of the sum, rounded; what comes
 * back unchanged was whole. Larger ones are looked at one by one. */
AVX2 static void
fill_avx2(struct weir_sample *out, const uint64_t *numbers, const uint8_t *values, uint32_t count,
    int64_t time_ms)
{
    const __m256d shift = _mm256_set1_pd(0x1.8p52), most = _mm256_set1_pd(0x1p51);
    const __m256d sign = _mm256_set1_pd(-0.0);
    const __m256i times = _mm256_set1_epi64x(time_ms);
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        __m256i bits = _mm256_loadu_si256((const __m256i *)(values + i * sizeof(double)));
        __m256i keys = _mm256_loadu_si256((const __m256i *)(numbers + i));
        __m256d real = _mm256_castsi256_pd(bits);
        __m256d size = _mm256_andnot_pd(sign, real);
        if (WEIR_UNLIKELY(
                _mm256_movemask_pd(_mm256_cmp_pd(size, most, _CMP_LE_OQ)) != (1 << LANES) - 1)) {
            fill_scalar(out + i, numbers + i, values + i * sizeof(double), LANES, time_ms);
            continue;
        }
        __m256d sum = _mm256_add_pd(real, shift);
        __m256i whole = _mm256_sub_epi64(_mm256_castpd_si256(sum), _mm256_castpd_si256(shift));
        __m256i exact = _mm256_castpd_si256(
            _mm256_cmp_pd(_mm256_sub_pd(sum, shift), real, _CMP_EQ_OQ));
        exact = _mm256_andnot_si256(_mm256_cmpeq_epi64(bits, _mm256_castpd_si256(sign)), exact);
        keys = _mm256_or_si256(keys,
            _mm256_andnot_si256(exact, _mm256_set1_epi64x((int64_t)DOUBLE_BIT)));
        store_four(out + i, keys, times, _mm256_blendv_epi8(bits, whole, exact));
    }
    fill_scalar(out + i, numbers + i, values + i * sizeof(double), count - i, time_ms);
}

#endif

const struct weir_group_variant weir_group_variants[] = {
#if defined(__x86_64__)
    {"avx2", WEIR_CPU_AVX2, fill_avx2},
#endif
    {"scalar", 0, fill_scalar},
};
#define VARIANT_COUNT (sizeof weir_group_variants / sizeof weir_group_variants[0])

size_t
weir_group_variant_count(void)
{
    return VARIANT_COUNT;
}

bool
weir_group_variant_supported(size_t variant)
{
    return weir_cpu_has(weir_group_variants[variant].needs);
}

static weir_group_fill_fn *
best_fill(void)
{
    /* relaxed on both sides: every variant gives the same samples */
    static _Atomic(weir_group_fill_fn *) chosen;
    weir_group_fill_fn *fill = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (WEIR_LIKELY(fill != NULL))
        return fill;
    size_t best = weir_cpu_best(&weir_group_variants[0].needs, sizeof weir_group_variants[0]);
    fill = weir_group_variants[best].fill;
    atomic_store_explicit(&chosen, fill, memory_order_relaxed);
    return fill;
}

void
weir_offsets_extent(const uint8_t *offsets, uint32_t count, int32_t *least, int32_t *most)
{
    *least = INT32_MAX;
    *most = INT32_MIN;
    for (uint32_t i = 0; i < count; i++) {
        int32_t offset;
        memcpy(&offset, offsets + i * sizeof offset, sizeof offset);
        *least = offset < *least ? offset : *least;
        *most = offset > *most ? offset : *most;
    }
}

/* Is each number above the one before, by so little that no run ends? A step that ends one has a
 * bit at or above the gap's, and so has the sum of all by or. */
static bool
is_one_run(const uint64_t *numbers, uint32_t count)
{
    _Static_assert((WEIR_BATCH_RUN_GAP & (WEIR_BATCH_RUN_GAP - 1)) == 0, "a power of two");
    uint64_t steps = 0;
    for (uint32_t i = 1; i < count; i++)
        steps |= numbers[i] - numbers[i - 1] - 1;
    return steps < WEIR_BATCH_RUN_GAP;
}

static inline void
note_number(struct weir_batch *batch, uint64_t number, uint32_t place)
{
    weir_batch_run(batch, number, place);
    batch->ascending &= number + 1 >= batch->series_through;
    if (number + 1 > batch->series_through)
        batch->series_through = number + 1;
}

/* Notes the series of the samples that are about to follow. */
static void
note_series(struct weir_batch *batch, const uint64_t *numbers, uint32_t count)
{
    if (WEIR_UNLIKELY(!is_one_run(numbers, count))) {
        for (uint32_t i = 0; i < count; i++)
            note_number(batch, numbers[i], batch->count + i);
        return;
    }
    note_number(batch, numbers[0], batch->count);
    uint64_t last = numbers[count - 1];
    weir_batch_run_goes_on(batch, last);
    if (last + 1 > batch->series_through)
        batch->series_through = last + 1;
}

void
weir_group_append(struct weir_batch *batch, const uint64_t *numbers, const uint8_t *values,
    const uint8_t *offsets, uint32_t count, int64_t time_ms)
{
    WEIR_ASSERT(count > 0 && count <= WEIR_BATCH_SAMPLES_MAX - batch->count);
    struct weir_sample *out = batch->samples + batch->count;
    best_fill()(out, numbers, values, count, time_ms);
    note_series(batch, numbers, count);
    int32_t least = 0, most = 0;
    if (offsets != NULL) {
        weir_offsets_extent(offsets, count, &least, &most);
        for (uint32_t i = 0; i < count; i++) {
            int32_t offset;
            memcpy(&offset, offsets + i * sizeof offset, sizeof offset);
            out[i].time_ms += offset;
        }
    }
    if (time_ms + least < batch->time_min_ms)
        batch->time_min_ms = time_ms + least;
    if (time_ms + most > batch->time_max_ms)
        batch->time_max_ms = time_ms + most;
    batch->count += count;
}
