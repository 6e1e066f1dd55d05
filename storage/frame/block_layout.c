#include "storage/frame/block_layout.h"

#include <string.h>

static bool
header_valid(const struct weir_block_header *header)
{
    return header->samples != 0 && header->samples <= WEIR_BLOCK_SAMPLES &&
           header->series_width <= WEIR_SERIES_WIDTH_MAX && header->time_width <= 8 &&
           (header->exponent_bits == 0 || header->exponent_bits == 4 ||
               header->exponent_bits == 8) &&
           header->exceptions <= (header->series_width == 1 ? header->samples : 0) &&
           header->value_bytes <= WEIR_BLOCK_BYTES_MAX && header->start_bytes == 0 &&
           header->series_first < WEIR_SERIES_LIMIT && header->series_step < WEIR_SERIES_LIMIT;
}

bool
weir_block_layout_find(const uint8_t *block, size_t bytes, struct weir_block_layout *out)
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
    out->end = block + bytes;
    return true;
}
