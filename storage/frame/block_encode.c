#include "storage/frame/block.h"

#include "storage/frame/block_gather.h"

#include <string.h>

#if defined(__x86_64__)
#include <tmmintrin.h>
#endif

static inline uint8_t *
put(uint8_t *at, uint64_t value, unsigned width)
{
    memcpy(at, &value, 8);
    return at + width;
}

/* Sets width and count of exceptions: one byte a delta and five an exception, or a width that
 * holds them all, whichever is less. A jump from host to host so costs one sample, not all. */
static void
choose_series_width(struct weir_block_scratch *scratch, uint32_t count,
    const struct weir_block_bounds *bounds, struct weir_block_header *header)
{
    header->series_step = bounds->delta_min;
    scratch->deltas[0] = bounds->delta_min;
    unsigned width = weir_bytes_needed(bounds->delta_max > bounds->delta_min
                                      ? bounds->delta_max - bounds->delta_min
                                      : 0);
    header->series_width = (uint8_t)width;
    if (width == 0)
        return;
    uint32_t exceptions = 0;
    for (uint32_t i = 0; i < count; i++)
        exceptions += scratch->deltas[i] - bounds->delta_min >= WEIR_SERIES_EXCEPTION;
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
    return weir_gather()->narrow(scratch->deltas, count, step, at);
}

static inline __attribute__((always_inline)) uint8_t *
put_times_wide(const struct weir_block_scratch *scratch, const struct weir_block_header *header,
    unsigned width, uint8_t *at)
{
    uint64_t base = (uint64_t)header->time_min_ms;
    for (uint32_t i = 0; i < header->samples; i++)
        put(at + (size_t)i * width, scratch->times[i] - base, width);
    return at + (size_t)header->samples * width;
}

static uint8_t *
put_times(const struct weir_block_scratch *scratch, const struct weir_block_header *header,
    uint8_t *at)
{
    switch (header->time_width) {
    case 0:
        return at;
    case 1: /* widths of a frame's usual minute or two, known to the compiler */
        return put_times_wide(scratch, header, 1, at);
    case 2:
        return put_times_wide(scratch, header, 2, at);
    case 3:
        return put_times_wide(scratch, header, 3, at);
    default:
        return put_times_wide(scratch, header, header->time_width, at);
    }
}

/* Two four-bit values a byte, the earlier one in the low bits. */
static uint8_t *
put_nibbles(const uint8_t *values, uint8_t base, uint32_t count, uint8_t *at)
{
    uint32_t i = 0;
#if defined(__x86_64__)
    const __m128i low = _mm_set1_epi8((char)base), weights = _mm_set1_epi16(0x1001);
    for (; i + 32 <= count; i += 32, at += 16) {
        __m128i a = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(values + i)), low);
        __m128i b = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(values + i + 16)), low);
        _mm_storeu_si128((__m128i *)at, _mm_packus_epi16(_mm_maddubs_epi16(a, weights),
                                            _mm_maddubs_epi16(b, weights)));
    }
#endif
    for (; i + 1 < count; i += 2)
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
    const uint32_t *order, uint32_t count, uint32_t ahead, uint8_t *out,
    struct weir_frame_block *entry)
{
    struct weir_block_bounds bounds =
        weir_gather()->gather(scratch, samples, order, count, ahead);
    int exponent_span = bounds.exponent_max - bounds.exponent_min;
    struct weir_block_header header = {.samples = (uint16_t)count,
        .time_width =
            (uint8_t)weir_bytes_needed((uint64_t)bounds.time_max_ms - (uint64_t)bounds.time_min_ms),
        .exponent_bits = exponent_span == 0 ? 0 : exponent_span < 16 ? 4 : 8,
        .exponent_min = (int8_t)bounds.exponent_min,
        .series_first = weir_sample_series(&samples[order[0]]),
        .time_min_ms = bounds.time_min_ms};
    choose_series_width(scratch, count, &bounds, &header);
    uint8_t *at = put_series(scratch, &header, out + sizeof header);
    at = put_times(scratch, &header, at);
    at = put_exponents(scratch, &header, at);
    uint8_t *values = put_nibbles(scratch->controls, 0, count, at);
    at = put_values(scratch, count, values);
    header.value_bytes = (uint32_t)(at - values);
    memcpy(out, &header, sizeof header);
    at = put(at, 0, WEIR_BLOCK_PAD);
    entry->series_first = header.series_first;
    entry->series_last = weir_sample_series(&samples[order[count - 1]]);
    entry->samples = count;
    entry->time_min_ms = bounds.time_min_ms;
    entry->time_max_ms = bounds.time_max_ms;
    return (size_t)(at - out);
}
