/* index_check: reads a whole segment, and tells of every byte that is not as it was written.
 *
 * Threads: its reader's
 * Errors:  WEIR_CORRUPT something is damaged: *out says what; WEIR_IO, WEIR_NOMEM, WEIR_UNSUPPORTED
 */
#ifndef WEIR_STORAGE_INDEX_CHECK_H
#define WEIR_STORAGE_INDEX_CHECK_H

#include "storage/index/index.h"

struct weir_index_damage {
    uint32_t blocks;  /* that check out */
    uint32_t damaged; /* stretches where blocks were that do not */
    uint32_t ends;    /* head and footers that do not check out, of three */
    uint32_t padding; /* stretches between that are not zero */
    uint64_t first;   /* offset of the first damaged block */
};

enum weir_err weir_index_check(struct weir_index_reader *reader, const char *path,
    struct weir_index_damage *out) WEIR_MUST_USE;

#endif
