#include "storage/frame/block_layout.h"

/* There are at most 2,048 deltas, each below 2^40: no sum wraps. The last number shows whether all
 * were in range. */
static bool
decode_series(const struct weir_block_layout *columns, const struct weir_frame_block *entry,
    struct weir_sample *samples)
{
    const struct weir_block_header *header = &columns->header;
    uint64_t series = header->series_first - header->series_step;
    uint64_t mask = weir_bytes_mask(header->series_width);
    const uint8_t *exception = columns->exceptions;
    for (uint32_t i = 0; i < header->samples; i++) {
        uint64_t delta = weir_load8(columns->series + (size_t)i * header->series_width) & mask;
        if (header->series_width == 1 && delta == WEIR_SERIES_EXCEPTION) {
            if (exception == columns->times)
                return false;
            delta = weir_load8(exception) & weir_bytes_mask(WEIR_SERIES_WIDTH_MAX);
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
decode_times(const struct weir_block_layout *columns, const struct weir_frame_block *entry,
    struct weir_sample *samples)
{
    const struct weir_block_header *header = &columns->header;
    uint64_t mask = weir_bytes_mask(header->time_width);
    uint64_t widest = 0;
    for (uint32_t i = 0; i < header->samples; i++) {
        uint64_t above = weir_load8(columns->times + (size_t)i * header->time_width) & mask;
        widest = above > widest ? above : widest;
        samples[i].time_ms = (int64_t)((uint64_t)header->time_min_ms + above);
    }
    return header->time_min_ms == entry->time_min_ms &&
           widest == (uint64_t)entry->time_max_ms - (uint64_t)entry->time_min_ms &&
           entry->time_min_ms <= entry->time_max_ms;
}

static void
decode_exponents(const struct weir_block_layout *columns, struct weir_sample *samples)
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
decode_values(const struct weir_block_layout *columns, struct weir_sample *samples)
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
        uint64_t value = weir_load8(at) & weir_bytes_mask(width);
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
    struct weir_block_layout columns;
    if (!weir_block_layout_find(block, bytes, &columns) || columns.header.samples != entry->samples)
        return false;
    if (!decode_series(&columns, entry, samples) || !decode_times(&columns, entry, samples))
        return false;
    decode_exponents(&columns, samples);
    return decode_values(&columns, samples);
}
