/* twin_block: a slow, obvious decoder of frame blocks (docs/format/frame.md), and the comparison of
 * storage/frame/block_decode.c and of each variant of columns.c with it.
 */
#ifndef WEIR_TESTS_FUZZ_TWIN_BLOCK_H
#define WEIR_TESTS_FUZZ_TWIN_BLOCK_H

#include "storage/frame/frame.h"

/* Decodes; fills the entry that such a block has in an index. False where these bytes are none. */
bool twin_block_decode(const uint8_t *block, size_t bytes, struct weir_frame_block *entry,
    struct weir_sample *samples);

/* Do all decoders say the same of these bytes? */
bool twin_block_agrees(const uint8_t *block, size_t bytes);

#endif
