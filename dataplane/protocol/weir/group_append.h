/* group_append: the samples of a group of the weir protocol into a batch.
 *
 * A whole number becomes a decimal of exponent 0, which takes fewer bytes in a frame; the bits of
 * any other double stay as they are. Minus zero is no whole number.
 *
 * Threads: the batch's owner
 * Limits:  the caller has seen to room for the group
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_GROUP_APPEND_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_GROUP_APPEND_H

#include "model/sample.h"

#include <stdbool.h>

/* Writes count samples of one time: numbers[i] and the double at values + 8 i, which need not be
 * aligned. */
typedef void weir_group_fill_fn(struct weir_sample *out, const uint64_t *numbers,
    const uint8_t *values, uint32_t count, int64_t time_ms);

struct weir_group_variant {
    const char *name;
    uint32_t needs; /* base/cpu.h */
    weir_group_fill_fn *fill;
};

/* Variants compiled in, best first; the last one is portable and the tests' oracle. */
extern const struct weir_group_variant weir_group_variants[];
size_t weir_group_variant_count(void);
bool weir_group_variant_supported(size_t variant);

/* Appends a group. offsets: count int32 of ms from time_ms, not aligned, or NULL. */
void weir_group_append(struct weir_batch *batch, const uint64_t *numbers, const uint8_t *values,
    const uint8_t *offsets, uint32_t count, int64_t time_ms);

/* The earliest and latest of count offsets. */
void weir_offsets_extent(const uint8_t *offsets, uint32_t count, int32_t *least, int32_t *most);

#endif
