/* frame_block_layout: where the columns of a block are; for the decoders of this folder.
 *
 * Threads: any; no state
 * Errors:  takes any bytes; false where they are no block
 */
#ifndef WEIR_STORAGE_FRAME_BLOCK_LAYOUT_H
#define WEIR_STORAGE_FRAME_BLOCK_LAYOUT_H

#include "storage/frame/block.h"

/* Every column ends at least WEIR_BLOCK_PAD bytes before the block does: an eight-byte load that
 * begins in a column stays inside the block. */
struct weir_block_layout {
    struct weir_block_header header;
    const uint8_t *series;
    const uint8_t *exceptions;
    const uint8_t *times;
    const uint8_t *exponents;
    const uint8_t *controls;
    const uint8_t *values;
    const uint8_t *end; /* of the block */
};

/* Checks the header and that its columns fill exactly `bytes` bytes. */
bool weir_block_layout_find(const uint8_t *block, size_t bytes, struct weir_block_layout *out);

static inline uint64_t
weir_load8(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

/* Mask of the low `width` bytes of a word; width 0-8. */
static inline uint64_t
weir_bytes_mask(unsigned width)
{
    return width == 0 ? 0 : UINT64_MAX >> (64 - 8 * width);
}

#endif
