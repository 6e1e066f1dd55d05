/* segments: which segment files there are.
 *
 * Threads: any
 * Errors:  of the io; WEIR_NOMEM
 */
#ifndef WEIR_STORAGE_LOG_SEGMENTS_H
#define WEIR_STORAGE_LOG_SEGMENTS_H

#include "storage/io/io.h"

/* Indexes of the segment files of a directory, ascending; free *indexes. Other names are left
 * alone; indexes may be missing. */
enum weir_err weir_segment_list(struct weir_io *io, const char *directory, uint64_t **indexes,
    size_t *count) WEIR_MUST_USE;

#endif
