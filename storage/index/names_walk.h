/* index_names_walk: labels of a segment by ordinal, one after the other or here and there.
 *
 * Threads: its reader's
 * Memory:  a pinned block, until weir_names_walk_end
 * Errors:  WEIR_CORRUPT the block that has them is damaged; WEIR_IO, WEIR_LIMIT
 */
#ifndef WEIR_STORAGE_INDEX_NAMES_WALK_H
#define WEIR_STORAGE_INDEX_NAMES_WALK_H

#include "storage/index/segment.h"

struct weir_names_walk {
    const struct weir_segment *segment; /* NULL: nothing is pinned */
    struct weir_index_block block;
    struct weir_index_cursor cursor; /* after the current series */
    uint32_t at;                     /* ordinal of the current series */
    unsigned current;
    struct weir_names_list lists[2];
};

/* Moves to a series; *list is valid until the next move. Cheap where the ordinal is not far after
 * the last one. */
enum weir_err weir_names_walk_to(struct weir_index_reader *reader, struct weir_names_walk *walk,
    const struct weir_segment *segment, uint32_t ordinal, const struct weir_names_list **list)
    WEIR_MUST_USE;
void weir_names_walk_end(struct weir_index_reader *reader, struct weir_names_walk *walk);

#endif
