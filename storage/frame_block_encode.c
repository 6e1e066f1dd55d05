#include "storage/frame_block.h"

#include <string.h>

/* Samples are fetched in the order of series from a batch in the order of arrival: 16 ahead hides
 * a miss of the second-level cache. */
#define PREFETCH 16

static inline unsigned
bytes_needed(uint64_t value)
{
    return value == 0 ? 0 : (71u - (unsigned)__builtin_clzll(value)) / 8;
}

static inline uint8_t *
put(uint8_t *at, uint64_t value, unsigned width)
{
    memcpy(at, &value, 8);
    return at + width;
}

struct extent {
    int64_t time_min_ms;
    int64_t time_max_ms;
    int exponent_min;
    int exponent_max;
    uint64_t delta_min;
    uint64_t delta_max;
};

static struct extent
gather(struct weir_block_scratch *scratch, const struct weir_sample *samples,
    const struct weir_sort_entry *order, uint32_t count, uint32_t ahead)
{
    struct extent extent = {.time_min_ms = INT64_MAX,
        .time_max_ms = INT64_MIN,
        .exponent_min = INT8_MAX,
        .exponent_max = INT8_MIN,
        .delta_min = UINT64_MAX};
    uint64_t before = order[0].series;
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(&samples[order[i + PREFETCH < ahead ? i + PREFETCH : i].place]);
        const struct weir_sample *sample = &samples[order[i].place];
        uint64_t series = weir_sample_series(sample);
        uint64_t delta = series - before;
        before = series;
        scratch->deltas[i] = delta;
        extent.delta_max = delta > extent.delta_max ? delta : extent.delta_max;
        /* the first has no delta */
        extent.delta_min = i > 0 && delta < extent.delta_min ? delta : extent.delta_min;

        int64_t time_ms = sample->time_ms;
        scratch->times[i] = (uint64_t)time_ms;
        extent.time_min_ms = time_ms < extent.time_min_ms ? time_ms : extent.time_min_ms;
        extent.time_max_ms = time_ms > extent.time_max_ms ? time_ms : extent.time_max_ms;

        int exponent = weir_sample_exponent(sample);
        scratch->exponents[i] = (int8_t)exponent;
        extent.exponent_min = exponent < extent.exponent_min ? exponent : extent.exponent_min;
        extent.exponent_max = exponent > extent.exponent_max ? exponent : extent.exponent_max;

        bool is_double = weir_sample_kind(sample) == WEIR_VALUE_DOUBLE;
        uint64_t value = is_double ? sample->value : weir_zigzag((int64_t)sample->value);
        scratch->values[i] = value;
        scratch->controls[i] =
            (uint8_t)(is_double ? WEIR_CONTROL_DOUBLE : bytes_needed(value));
    }
    if (count == 1)
        extent.delta_min = 0;
    return extent;
}

/* Sets width and count of exceptions: one byte a delta and five an exception, or a width that
 * holds them all, whichever is less. A jump from host to host so costs one sample, not all. */
static void
choose_series_width(struct weir_block_scratch *scratch, uint32_t count,
    const struct extent *extent, struct weir_block_header *header)
{
    header->series_step = extent->delta_min;
    scratch->deltas[0] = extent->delta_min;
    unsigned width = bytes_needed(extent->delta_max > extent->delta_min
                                      ? extent->delta_max - extent->delta_min
                                      : 0);
    header->series_width = (uint8_t)width;
    if (width == 0)
        return;
    uint32_t exceptions = 0;
    for (uint32_t i = 0; i < count; i++)
        exceptions += scratch->deltas[i] - extent->delta_min >= WEIR_SERIES_EXCEPTION;
    if (width > 1 && count + exceptions * WEIR_SERIES_WIDTH_MAX >= count * width)
        return;
    header->series_width = 1;
    header->exceptions = (uint16_t)exceptions;
}

static uint8_t *
put_series(const struct weir_block_scratch *scratch, const struct weir_block_header *header,
    uint8_t *at)
{
    uint32_t count = header->samples;
    uint64_t step = header->series_step;
    if (header->series_width == 0)
        return at;
    if (header->series_width > 1) {
        for (uint32_t i = 0; i < count; i++)
            at = put(at, scratch->deltas[i] - step, header->series_width);
        return at;
    }
    uint8_t *exceptions = at + count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t delta = scratch->deltas[i] - step;
        bool fits = delta < WEIR_SERIES_EXCEPTION;
        at[i] = (uint8_t)(fits ? delta : WEIR_SERIES_EXCEPTION);
        exceptions = put(exceptions, delta, fits ? 0 : WEIR_SERIES_WIDTH_MAX);
    }
    return exceptions;
}

static uint8_t *
put_times(const struct weir_block_scratch *scratch, const struct weir_block_header *header,
    uint8_t *at)
{
    uint64_t base = (uint64_t)header->time_min_ms;
    for (uint32_t i = 0; i < header->samples && header->time_width > 0; i++)
        at = put(at, scratch->times[i] - base, header->time_width);
    return at;
}

/* Two four-bit values a byte, the earlier one in the low bits. */
static uint8_t *
put_nibbles(const uint8_t *values, uint8_t base, uint32_t count, uint8_t *at)
{
    for (uint32_t i = 0; i + 1 < count; i += 2)
        *at++ = (uint8_t)((values[i] - base) | (values[i + 1] - base) << 4);
    if (count % 2 == 1)
        *at++ = (uint8_t)(values[count - 1] - base);
    return at;
}

static uint8_t *
put_exponents(const struct weir_block_scratch *scratch, const struct weir_block_header *header,
    uint8_t *at)
{
    const uint8_t *exponents = (const uint8_t *)scratch->exponents;
    uint8_t base = (uint8_t)header->exponent_min;
    if (header->exponent_bits == 4)
        return put_nibbles(exponents, base, header->samples, at);
    for (uint32_t i = 0; i < header->samples && header->exponent_bits == 8; i++)
        *at++ = (uint8_t)(exponents[i] - base);
    return at;
}

static uint8_t *
put_values(const struct weir_block_scratch *scratch, uint32_t count, uint8_t *at)
{
    for (uint32_t i = 0; i < count; i++) {
        unsigned control = scratch->controls[i];
        at = put(at, scratch->values[i], control == WEIR_CONTROL_DOUBLE ? 8 : control);
    }
    return at;
}

size_t
weir_block_encode(struct weir_block_scratch *scratch, const struct weir_sample *samples,
    const struct weir_sort_entry *order, uint32_t count, uint32_t ahead, uint8_t *out,
    struct weir_frame_block *entry)
{
    struct extent extent = gather(scratch, samples, order, count, ahead);
    int exponent_span = extent.exponent_max - extent.exponent_min;
    struct weir_block_header header = {.samples = (uint16_t)count,
        .time_width =
            (uint8_t)bytes_needed((uint64_t)extent.time_max_ms - (uint64_t)extent.time_min_ms),
        .exponent_bits = exponent_span == 0 ? 0 : exponent_span < 16 ? 4 : 8,
        .exponent_min = (int8_t)extent.exponent_min,
        .series_first = order[0].series,
        .time_min_ms = extent.time_min_ms};
    choose_series_width(scratch, count, &extent, &header);
    uint8_t *at = put_series(scratch, &header, out + sizeof header);
    at = put_times(scratch, &header, at);
    at = put_exponents(scratch, &header, at);
    uint8_t *values = put_nibbles(scratch->controls, 0, count, at);
    at = put_values(scratch, count, values);
    header.value_bytes = (uint32_t)(at - values);
    memcpy(out, &header, sizeof header);
    at = put(at, 0, WEIR_BLOCK_PAD);
    entry->series_first = order[0].series;
    entry->series_last = order[count - 1].series;
    entry->samples = count;
    entry->time_min_ms = extent.time_min_ms;
    entry->time_max_ms = extent.time_max_ms;
    return (size_t)(at - out);
}
