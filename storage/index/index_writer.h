/* index_writer: writes an index segment from the series of a shard in (metric, labels) order.
 *
 *   add: labels -> names, class and days -> seen, number -> numbers, ordinals; labels -> inverter
 *   finish: ordinals; inverter -> terms, postings, labels; footers; sync; rename
 *
 * Owns:    "<path>.tmp" and "<path>.scratch" until the segment is whole and has its name
 * Threads: one
 * Memory:  of the caller's, fixed; the more, the fewer runs are written to the scratch file (about
 *          90 bytes a series keep a usual segment in memory)
 * Errors:  WEIR_INVALID a series out of order or of another shard: nothing was added. Of a failed
 *          write, sync or rename nothing is left but the error: a new writer begins anew
 */
#ifndef WEIR_STORAGE_INDEX_INDEX_WRITER_H
#define WEIR_STORAGE_INDEX_INDEX_WRITER_H

#include "storage/index/format.h"
#include "storage/index/index.h"

struct weir_index_writer_options {
    const char *path; /* index/<shard>-<generation>.index */
    uint32_t shard;
    uint64_t generation;
    uint64_t file_id; /* random, not 0 */
};

struct weir_index_writer;
size_t weir_index_writer_memory_min(void);
/* memory: size bytes, aligned to 64. io is kept; its asynchronous half is the writer's. */
struct weir_index_writer *weir_index_writer_init(void *memory, size_t size, struct weir_io *io);
enum weir_err weir_index_writer_open(struct weir_index_writer *writer,
    const struct weir_index_writer_options *options) WEIR_MUST_USE;
enum weir_err weir_index_writer_add(struct weir_index_writer *writer,
    const struct weir_index_series *series) WEIR_MUST_USE;
/* Goes on for about `terms` terms; WEIR_AGAIN until the segment is whole, durable and has its name.
 * footer: as written; may be NULL. */
enum weir_err weir_index_writer_finish(struct weir_index_writer *writer, uint32_t terms,
    struct weir_index_footer *footer) WEIR_MUST_USE;
/* Removes what there is of an unfinished segment. */
void weir_index_writer_abort(struct weir_index_writer *writer);
/* Runs that memory did not hold. */
uint32_t weir_index_writer_runs(const struct weir_index_writer *writer);

#endif
