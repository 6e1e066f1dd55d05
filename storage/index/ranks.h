/* index_ranks: order and class of all series of a shard's segment at once, for a merge of parts.
 *
 * Threads: its reader's
 * Memory:  of the caller's
 * Errors:  WEIR_NOT_FOUND the shard has no segment; WEIR_IO, WEIR_LIMIT. Of damaged blocks ordinals
 *          are had from their inverse, and classes are 0
 */
#ifndef WEIR_STORAGE_INDEX_RANKS_H
#define WEIR_STORAGE_INDEX_RANKS_H

#include "storage/index/format.h"
#include "storage/index/index.h"

/* By local number. */
struct weir_index_ranks {
    uint32_t through; /* local numbers below it are in the segment */
    uint32_t ordinals[WEIR_SHARD_SERIES]; /* rank in (metric, labels) order; WEIR_ORDINAL_NONE */
    uint8_t classes[WEIR_SHARD_SERIES];
};

enum weir_err weir_index_ranks(struct weir_index_reader *reader, struct weir_index_view *view,
    uint32_t shard, struct weir_index_ranks *out) WEIR_MUST_USE;

#endif
