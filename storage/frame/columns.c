#include "storage/frame/columns.h"

#include "base/cpu.h"
#include "storage/frame/block_layout.h"

#include <stdatomic.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BODY static inline __attribute__((always_inline))

/* There are at most 2,048 deltas, each below 2^40: no sum wraps. The last number shows whether all
 * were in range. */
BODY void
series_of_width(const struct weir_block_layout *layout, unsigned width, uint64_t *restrict series)
{
    uint64_t step = layout->header.series_step;
    uint64_t number = layout->header.series_first - step;
    uint64_t mask = weir_bytes_mask(width);
    const uint8_t *restrict at = layout->series;
    uint32_t count = layout->header.samples;
    for (uint32_t i = 0; i < count; i++) {
        number += step + (weir_load8(at + (size_t)i * width) & mask);
        series[i] = number;
    }
}

BODY bool
series_with_exceptions(const struct weir_block_layout *layout, uint64_t *restrict series)
{
    uint64_t step = layout->header.series_step;
    uint64_t number = layout->header.series_first - step;
    const uint8_t *exception = layout->exceptions;
    const uint8_t *restrict column = layout->series;
    uint32_t count = layout->header.samples;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t delta = column[i];
        if (delta == WEIR_SERIES_EXCEPTION) {
            if (exception == layout->times)
                return false;
            delta = weir_load8(exception) & weir_bytes_mask(WEIR_SERIES_WIDTH_MAX);
            exception += WEIR_SERIES_WIDTH_MAX;
        }
        number += step + delta;
        series[i] = number;
    }
    return exception == layout->times;
}

BODY bool
any_exception(const struct weir_block_layout *layout)
{
    unsigned any = layout->header.exceptions;
    const uint8_t *restrict column = layout->series;
    uint32_t count = layout->header.samples;
    for (uint32_t i = 0; i < count; i++)
        any |= column[i] == WEIR_SERIES_EXCEPTION;
    return any != 0;
}

BODY bool
decode_series(const struct weir_block_layout *layout, const struct weir_frame_block *entry,
    uint64_t *restrict series)
{
    const struct weir_block_header *header = &layout->header;
    bool whole = true;
    if (header->series_width == 1 && any_exception(layout))
        whole = series_with_exceptions(layout, series);
    else if (header->series_width == 1)
        series_of_width(layout, 1, series);
    else if (header->series_width == 0)
        series_of_width(layout, 0, series);
    else
        series_of_width(layout, header->series_width, series);
    uint64_t last = series[header->samples - 1];
    return whole && series[0] == header->series_first &&
        header->series_first == entry->series_first && last == entry->series_last &&
        last < WEIR_SERIES_LIMIT;
}

/* Returns the largest entry of the column. */
#define TIMES_OF(name, type)                                                                       \
    BODY uint64_t name(                                                                            \
        const uint8_t *restrict column, uint32_t count, uint64_t least, int64_t *restrict times)   \
    {                                                                                              \
        type widest = 0;                                                                           \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            type above;                                                                            \
            memcpy(&above, column + (size_t)i * sizeof above, sizeof above);                       \
            widest = above > widest ? above : widest;                                              \
            times[i] = (int64_t)(least + above);                                                   \
        }                                                                                          \
        return widest;                                                                             \
    }
TIMES_OF(times_1, uint8_t)
TIMES_OF(times_2, uint16_t)
TIMES_OF(times_4, uint32_t)
TIMES_OF(times_8, uint64_t)

BODY uint64_t
times_of_width(const struct weir_block_layout *layout, int64_t *restrict times)
{
    uint64_t mask = weir_bytes_mask(layout->header.time_width);
    uint64_t least = (uint64_t)layout->header.time_min_ms;
    uint64_t widest = 0;
    for (uint32_t i = 0; i < layout->header.samples; i++) {
        uint64_t above = weir_load8(layout->times + (size_t)i * layout->header.time_width) & mask;
        widest = above > widest ? above : widest;
        times[i] = (int64_t)(least + above);
    }
    return widest;
}

BODY bool
decode_times(const struct weir_block_layout *layout, const struct weir_frame_block *entry,
    int64_t *restrict times)
{
    const struct weir_block_header *header = &layout->header;
    uint64_t least = (uint64_t)header->time_min_ms;
    uint64_t widest;
    if (header->time_width == 1)
        widest = times_1(layout->times, header->samples, least, times);
    else if (header->time_width == 2)
        widest = times_2(layout->times, header->samples, least, times);
    else if (header->time_width == 4)
        widest = times_4(layout->times, header->samples, least, times);
    else if (header->time_width == 8)
        widest = times_8(layout->times, header->samples, least, times);
    else
        widest = times_of_width(layout, times);
    return header->time_min_ms == entry->time_min_ms &&
        widest == (uint64_t)entry->time_max_ms - (uint64_t)entry->time_min_ms &&
        entry->time_min_ms <= entry->time_max_ms;
}

/* Nibbles, the earlier one low; writes an even number. */
BODY void
expand_nibbles(const uint8_t *restrict nibbles, uint32_t count, uint8_t *restrict out)
{
    for (uint32_t i = 0; i < (count + 1) / 2; i++) {
        out[2 * i] = nibbles[i] & 15;
        out[2 * i + 1] = nibbles[i] >> 4;
    }
}

BODY bool
decode_exponents(const struct weir_block_layout *layout, struct weir_columns *out)
{
    uint32_t count = layout->header.samples;
    uint8_t *restrict exponents = (uint8_t *)out->exponents;
    const uint8_t *restrict kinds = out->kinds;
    uint8_t least = (uint8_t)layout->header.exponent_min;
    if (layout->header.exponent_bits == 4)
        expand_nibbles(layout->exponents, count, exponents);
    else if (layout->header.exponent_bits == 8)
        memcpy(exponents, layout->exponents, count);
    else
        memset(exponents, 0, count);
    uint8_t any = 0, bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t exponent = (uint8_t)(least + exponents[i]);
        exponents[i] = exponent;
        any |= exponent;
        bool decimal_bad = (uint8_t)(exponent + WEIR_EXPONENT_MAX) > 2 * WEIR_EXPONENT_MAX;
        bad |= (uint8_t)(kinds[i] != 0 ? exponent != 0 : decimal_bad);
    }
    out->scaled = any != 0;
    return bad == 0;
}

/* kinds holds the controls before. */
BODY bool
decode_kinds(uint32_t count, struct weir_columns *out)
{
    uint8_t *restrict kinds = out->kinds;
    uint8_t any = 0, bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t control = kinds[i];
        uint8_t is_double = control == WEIR_CONTROL_DOUBLE;
        bad |= (uint8_t)(control > 8) & (uint8_t)(is_double ^ 1);
        any |= is_double;
        kinds[i] = is_double;
    }
    out->doubles = any != 0;
    return bad == 0;
}

/* Bytes of a value, by its control; 0 where the control is reserved. */
#define WIDTH(control) ((control) == WEIR_CONTROL_DOUBLE ? 8 : (control) <= 8 ? (control) : 0)
#define TWO_WIDTHS(pair) (WIDTH((pair)&15) + WIDTH((pair) >> 4))
#define FOUR_TIMES(macro, at) macro(at), macro((at) + 1), macro((at) + 2), macro((at) + 3)
#define SIXTEEN(macro, at)                                                                         \
    FOUR_TIMES(macro, at), FOUR_TIMES(macro, (at) + 4), FOUR_TIMES(macro, (at) + 8),               \
        FOUR_TIMES(macro, (at) + 12)
#define SIXTY_FOUR(macro, at)                                                                      \
    SIXTEEN(macro, at), SIXTEEN(macro, (at) + 16), SIXTEEN(macro, (at) + 32),                      \
        SIXTEEN(macro, (at) + 48)
#define ALL_BYTES(macro)                                                                           \
    SIXTY_FOUR(macro, 0), SIXTY_FOUR(macro, 64), SIXTY_FOUR(macro, 128), SIXTY_FOUR(macro, 192)

/* Bytes that two values take, by their byte of controls. */
static const uint8_t pair_widths[256] = {ALL_BYTES(TWO_WIDTHS)};

/* Values first .. end - 1, one at a time; NULL where the column is too short. */
BODY const uint8_t *
values_one_by_one(const struct weir_block_layout *layout, const uint8_t *at, uint32_t first,
    uint32_t end, uint64_t *values)
{
    const uint8_t *column_end = layout->values + layout->header.value_bytes;
    for (uint32_t i = first; i < end; i++) {
        unsigned control = layout->controls[i / 2] >> (i & 1) * 4 & 15;
        unsigned width = WIDTH(control);
        if ((size_t)(column_end - at) < width)
            return NULL;
        values[i] = weir_load8(at) & weir_bytes_mask(width);
        at += width;
    }
    return at;
}

#if defined(__x86_64__)
#define BYTE_OF(from, width, i) ((i) < (width) ? (from) + (i) : 0x80)
#define EIGHT_OF(from, width)                                                                      \
    BYTE_OF(from, width, 0), BYTE_OF(from, width, 1), BYTE_OF(from, width, 2),                     \
        BYTE_OF(from, width, 3), BYTE_OF(from, width, 4), BYTE_OF(from, width, 5),                 \
        BYTE_OF(from, width, 6), BYTE_OF(from, width, 7)
#define SHUFFLE_OF(pair)                                                                           \
    {                                                                                              \
        EIGHT_OF(0, WIDTH((pair)&15)), EIGHT_OF(WIDTH((pair)&15), WIDTH((pair) >> 4))              \
    }
/* Shuffle that makes two words of two values, by their byte of controls. */
static const alignas(16) uint8_t pair_shuffles[256][16] = {ALL_BYTES(SHUFFLE_OF)};

/* Two values a shuffle, as long as 16 bytes can be loaded; first is even. */
BODY __attribute__((target("ssse3"))) const uint8_t *
values_by_pairs(const struct weir_block_layout *layout, const uint8_t *at, uint32_t first,
    uint32_t end, uint64_t *restrict values)
{
    const uint8_t *restrict controls = layout->controls;
    const uint8_t *last = layout->end - 16;
    uint32_t i = first;
    for (; i + 2 <= end && at <= last; i += 2) {
        uint8_t pair = controls[i / 2];
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i shuffle = _mm_load_si128((const __m128i *)(const void *)pair_shuffles[pair]);
        _mm_storeu_si128((__m128i *)(void *)(values + i), _mm_shuffle_epi8(bytes, shuffle));
        at += pair_widths[pair];
    }
    return at <= layout->values + layout->header.value_bytes
        ? values_one_by_one(layout, at, i, end, values)
        : NULL;
}
#endif

/* From zigzag to mantissas, where the kind says so. Also checks them against the rules of
 * model/sample.h: no reader meets others. Bit 63 of zigzag + most is set above the largest
 * mantissa, or zigzag has it itself. */
BODY bool
finish_values(
    uint64_t *restrict values, const uint8_t *restrict kinds, uint32_t count, bool doubles)
{
    const uint64_t most = (UINT64_C(1) << 63) - 1 - 2 * (uint64_t)WEIR_MANTISSA_MAX;
    uint64_t bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = values[i];
        uint64_t is_double = doubles ? -(uint64_t)kinds[i] : 0;
        bad |= (value | (value + most)) & ~is_double;
        uint64_t mantissa = value >> 1 ^ -(value & 1);
        values[i] = (value & is_double) | (mantissa & ~is_double);
    }
    return bad >> 63 == 0;
}

typedef const uint8_t *values_fn(const struct weir_block_layout *layout, const uint8_t *at,
    uint32_t first, uint32_t end, uint64_t *values);

/* In pieces, because both passes over one then find it in the first-level cache. */
#define PIECE 512

BODY bool
decode_values(const struct weir_block_layout *layout, struct weir_columns *out, values_fn *values)
{
    uint32_t count = layout->header.samples;
    const uint8_t *at = layout->values;
    for (uint32_t first = 0; first < count; first += PIECE) {
        uint32_t end = first + PIECE < count ? first + PIECE : count;
        at = values(layout, at, first, end, out->values);
        if (at == NULL)
            return false;
        bool valid = out->doubles
            ? finish_values(out->values + first, out->kinds + first, end - first, true)
            : finish_values(out->values + first, out->kinds + first, end - first, false);
        if (!valid)
            return false;
    }
    return at == layout->values + layout->header.value_bytes;
}

BODY bool
decode(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
    struct weir_columns *out, values_fn *values)
{
    struct weir_block_layout found;
    if (!weir_block_layout_find(block, bytes, &found) || found.header.samples != entry->samples)
        return false;
    /* a copy that nobody has the address of: stores into columns cannot change it */
    const struct weir_block_layout layout = found;
    uint32_t count = layout.header.samples;
    out->count = count;
    if (!decode_series(&layout, entry, out->series) || !decode_times(&layout, entry, out->times_ms))
        return false;
    expand_nibbles(layout.controls, count, out->kinds);
    if (!decode_kinds(count, out) || !decode_exponents(&layout, out))
        return false;
    return decode_values(&layout, out, values);
}

/* 10^e to multiply by and 10^-e to divide by, at e + WEIR_EXPONENT_MAX: one of the two is 1, and
 * the other operation rounds once. */
static const double multipliers[2 * WEIR_EXPONENT_MAX + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
    1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const double divisors[2 * WEIR_EXPONENT_MAX + 1] = {1e22, 1e21, 1e20, 1e19, 1e18, 1e17, 1e16,
    1e15, 1e14, 1e13, 1e12, 1e11, 1e10, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

BODY void
doubles(const struct weir_columns *columns, double *restrict out)
{
    uint32_t count = columns->count;
    const uint64_t *restrict values = columns->values;
    const uint8_t *restrict kinds = columns->kinds;
    const int8_t *restrict exponents = columns->exponents;
    if (!columns->scaled && !columns->doubles) {
        for (uint32_t i = 0; i < count; i++)
            out[i] = (double)(int64_t)values[i];
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = values[i];
        uint64_t is_double = -(uint64_t)kinds[i];
        int place = exponents[i] + WEIR_EXPONENT_MAX;
        double decimal =
            (double)(int64_t)(value & ~is_double) * multipliers[place] / divisors[place];
        out[i] = weir_bits_double((value & is_double) | (weir_double_bits(decimal) & ~is_double));
    }
}

#define VARIANT(name, target, values)                                                              \
    target static bool decode_##name(const uint8_t *block, size_t bytes,                           \
        const struct weir_frame_block *entry, struct weir_columns *out)                            \
    {                                                                                              \
        return decode(block, bytes, entry, out, values);                                           \
    }                                                                                              \
    target static void doubles_##name(const struct weir_columns *columns, double *out)             \
    {                                                                                              \
        doubles(columns, out);                                                                     \
    }

#if defined(__x86_64__)
VARIANT(
    avx512, __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi,bmi2"))), values_by_pairs)
VARIANT(avx2, __attribute__((target("avx2,bmi,bmi2"))), values_by_pairs)
#endif

VARIANT(scalar, , values_one_by_one)

const struct weir_columns_variant weir_columns_variants[] = {
#if defined(__x86_64__)
    {"avx512", WEIR_CPU_AVX512 | WEIR_CPU_AVX512_DQ | WEIR_CPU_BMI, decode_avx512, doubles_avx512},
    {"avx2", WEIR_CPU_AVX2 | WEIR_CPU_BMI, decode_avx2, doubles_avx2},
#endif
    {"scalar", 0, decode_scalar, doubles_scalar},
};

size_t
weir_columns_variant_count(void)
{
    return sizeof weir_columns_variants / sizeof weir_columns_variants[0];
}

static const struct weir_columns_variant *
best(void)
{
    /* relaxed on both sides: every variant gives the same columns */
    static _Atomic(const struct weir_columns_variant *) chosen;
    const struct weir_columns_variant *variant =
        atomic_load_explicit(&chosen, memory_order_relaxed);
    if (variant != NULL)
        return variant;
    variant = &weir_columns_variants[weir_cpu_best(
        &weir_columns_variants[0].needs, sizeof weir_columns_variants[0])];
    atomic_store_explicit(&chosen, variant, memory_order_relaxed);
    return variant;
}

bool
weir_block_columns(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
    struct weir_columns *out)
{
    return best()->decode(block, bytes, entry, out);
}

void
weir_columns_doubles(const struct weir_columns *columns, double *out)
{
    best()->doubles(columns, out);
}

bool
weir_block_series(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
    uint64_t *series)
{
    struct weir_block_layout found;
    if (!weir_block_layout_find(block, bytes, &found) || found.header.samples != entry->samples)
        return false;
    const struct weir_block_layout layout = found;
    return decode_series(&layout, entry, series);
}
