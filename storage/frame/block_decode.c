#include "storage/frame/block.h"

#include <string.h>

/* Place of each column. Every column ends at least WEIR_BLOCK_PAD bytes before the block does: an
 * eight-byte load that begins in a column stays inside the block. */
struct columns {
    struct weir_block_header header;
    const uint8_t *series;
    const uint8_t *exceptions;
    const uint8_t *times;
    const uint8_t *exponents;
    const uint8_t *controls;
    const uint8_t *values;
};

static bool
header_valid(const struct weir_block_header *header)
{
    return header->samples != 0 && header->samples <= WEIR_BLOCK_SAMPLES &&
           header->series_width <= WEIR_SERIES_WIDTH_MAX && header->time_width <= 8 &&
           (header->exponent_bits == 0 || header->exponent_bits == 4 ||
               header->exponent_bits == 8) &&
           header->exceptions <= (header->series_width == 1 ? header->samples : 0) &&
           header->value_bytes <= WEIR_BLOCK_BYTES_MAX && header->reserved == 0 &&
           header->series_first < WEIR_SERIES_LIMIT && header->series_step < WEIR_SERIES_LIMIT;
}

static bool
find_columns(const uint8_t *block, size_t bytes, struct columns *out)
{
    if (bytes < sizeof out->header)
        return false;
    memcpy(&out->header, block, sizeof out->header);
    if (!header_valid(&out->header))
        return false;
    size_t count = out->header.samples;
    out->series = block + sizeof out->header;
    size_t series = count * out->header.series_width;
    size_t exceptions = (size_t)out->header.exceptions * WEIR_SERIES_WIDTH_MAX;
    size_t times = count * out->header.time_width;
    size_t exponents = (count * out->header.exponent_bits + 7) / 8;
    size_t controls = (count + 1) / 2;
    size_t all = sizeof out->header + series + exceptions + times + exponents + controls +
                 out->header.value_bytes + WEIR_BLOCK_PAD;
    if (all != bytes)
        return false;
    out->exceptions = out->series + series;
    out->times = out->exceptions + exceptions;
    out->exponents = out->times + times;
    out->controls = out->exponents + exponents;
    out->values = out->controls + controls;
    return true;
}

static inline uint64_t
load(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

/* Low bytes of a word; width 0-8. */
static inline uint64_t
mask_of(unsigned width)
{
    return width == 0 ? 0 : UINT64_MAX >> (64 - 8 * width);
}

/* There are at most 2,048 deltas, each below 2^40: no sum wraps. The last number shows whether all
 * were in range. */
static bool
decode_series(const struct columns *columns, const struct weir_frame_block *entry,
    struct weir_sample *samples)
{
    const struct weir_block_header *header = &columns->header;
    uint64_t series = header->series_first - header->series_step;
    uint64_t mask = mask_of(header->series_width);
    const uint8_t *exception = columns->exceptions;
    for (uint32_t i = 0; i < header->samples; i++) {
        uint64_t delta = load(columns->series + (size_t)i * header->series_width) & mask;
        if (header->series_width == 1 && delta == WEIR_SERIES_EXCEPTION) {
            if (exception == columns->times)
                return false;
            delta = load(exception) & mask_of(WEIR_SERIES_WIDTH_MAX);
            exception += WEIR_SERIES_WIDTH_MAX;
        }
        series += header->series_step + delta;
        samples[i].key = series;
    }
    return exception == columns->times && samples[0].key == header->series_first &&
           header->series_first == entry->series_first && series == entry->series_last &&
           series < WEIR_SERIES_LIMIT;
}

static bool
decode_times(const struct columns *columns, const struct weir_frame_block *entry,
    struct weir_sample *samples)
{
    const struct weir_block_header *header = &columns->header;
    uint64_t mask = mask_of(header->time_width);
    uint64_t widest = 0;
    for (uint32_t i = 0; i < header->samples; i++) {
        uint64_t above = load(columns->times + (size_t)i * header->time_width) & mask;
        widest = above > widest ? above : widest;
        samples[i].time_ms = (int64_t)((uint64_t)header->time_min_ms + above);
    }
    return header->time_min_ms == entry->time_min_ms &&
           widest == (uint64_t)entry->time_max_ms - (uint64_t)entry->time_min_ms &&
           entry->time_min_ms <= entry->time_max_ms;
}

static void
decode_exponents(const struct columns *columns, struct weir_sample *samples)
{
    uint8_t base = (uint8_t)columns->header.exponent_min;
    uint32_t count = columns->header.samples;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t above = 0;
        if (columns->header.exponent_bits == 8)
            above = columns->exponents[i];
        else if (columns->header.exponent_bits == 4)
            above = columns->exponents[i / 2] >> (i & 1) * 4 & 15;
        samples[i].key |= (uint64_t)(uint8_t)(base + above) << WEIR_SERIES_BITS;
    }
}

/* Also checks values against the rules of model/sample.h: no reader meets others. */
static bool
decode_values(const struct columns *columns, struct weir_sample *samples)
{
    const uint8_t *at = columns->values;
    const uint8_t *end = at + columns->header.value_bytes;
    bool valid = true;
    for (uint32_t i = 0; i < columns->header.samples; i++) {
        unsigned control = columns->controls[i / 2] >> (i & 1) * 4 & 15;
        bool is_double = control == WEIR_CONTROL_DOUBLE;
        unsigned width = is_double ? 8 : control;
        if (width > 8 || (size_t)(end - at) < width)
            return false;
        uint64_t value = load(at) & mask_of(width);
        at += width;
        int exponent = weir_sample_exponent(&samples[i]);
        if (is_double) {
            valid &= exponent == 0;
            samples[i].key |= (uint64_t)WEIR_VALUE_DOUBLE << 48;
            samples[i].value = value;
            continue;
        }
        int64_t mantissa = weir_unzigzag(value);
        valid &= exponent >= -WEIR_EXPONENT_MAX && exponent <= WEIR_EXPONENT_MAX &&
                 mantissa >= -WEIR_MANTISSA_MAX && mantissa <= WEIR_MANTISSA_MAX;
        samples[i].value = (uint64_t)mantissa;
    }
    return valid && at == end;
}

bool
weir_block_decode(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
    struct weir_sample *samples)
{
    struct columns columns;
    if (!find_columns(block, bytes, &columns) || columns.header.samples != entry->samples)
        return false;
    if (!decode_series(&columns, entry, samples) || !decode_times(&columns, entry, samples))
        return false;
    decode_exponents(&columns, samples);
    return decode_values(&columns, samples);
}
