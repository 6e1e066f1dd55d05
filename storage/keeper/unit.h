/* unit: the frames that one merge takes out of the log, as a list of their blocks.
 *
 * Threads: the merge's
 * Memory:  the caller's
 */
#ifndef WEIR_STORAGE_KEEPER_UNIT_H
#define WEIR_STORAGE_KEEPER_UNIT_H

#include "base/err.h"
#include "storage/frame/frame.h"

struct weir_merge_block {
    struct weir_frame_block entry;
    uint64_t frame_offset; /* in the log */
    uint32_t frame;        /* number of its frame in the unit */
    bool damaged;          /* it did not check out: its samples are counted, and left out */
};

/* Reads the entry.bytes bytes of a block into data, or says where they are: *bytes. WEIR_CORRUPT
 * where the log does not hold them any more. */
typedef enum weir_err weir_merge_read_fn(
    void *context, const struct weir_merge_block *block, uint8_t *data, const uint8_t **bytes);

struct weir_merge_unit {
    struct weir_merge_block *blocks; /* in the order of the log */
    uint32_t block_count;
    uint32_t frame_count;
    uint64_t samples; /* of all blocks, and the damaged ones */
    uint64_t damaged; /* samples of frames whose index did not check out: no block names them */
    uint64_t series_through; /* all numbers are below it */
    uint64_t log_from;       /* the frames are the log's [from, through) */
    uint64_t log_through;
    weir_merge_read_fn *read;
    void *context;
};

#endif
