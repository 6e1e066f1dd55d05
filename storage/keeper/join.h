/* join: merges parts of one partition and class, in the order of series numbers, into one.
 *
 *   begin --> step ... WEIR_AGAIN --> WEIR_OK: weir_join_part() is durable
 *                \-> an error: nothing is left behind
 *
 * Sources are in the order of the log. Of samples with the same series and time that of the later
 * source stays; the others are counted. A block that does not check out is left out and reported:
 * its samples are those of the sources that nobody has seen.
 *
 * Threads: one
 * Memory:  weir_join_footprint() bytes from the caller; a footer for each source while it is open
 * Errors:  WEIR_LIMIT the part would be larger than a part can be; WEIR_FULL, WEIR_IO, WEIR_NOMEM
 * of the device: the same sources again, with a new file
 */
#ifndef WEIR_STORAGE_KEEPER_JOIN_H
#define WEIR_STORAGE_KEEPER_JOIN_H

#include "storage/keeper/salvage.h"
#include "storage/manifest/manifest.h"
#include "storage/part/part_writer.h"

#define WEIR_JOIN_SOURCES_MAX 64

struct weir_join_options {
    struct weir_part_writer_limits writer;
    const char *directory;              /* DATA/store; borrowed */
    struct weir_io *io;                 /* borrowed */
    struct weir_salvage *salvage;           /* borrowed; for damaged blocks; may be NULL */
    uint64_t (*file_id)(void *context); /* random numbers, never 0 */
    void *file_id_context;
};

struct weir_join;
size_t weir_join_footprint(const struct weir_join_options *options);
/* memory: aligned to WEIR_IO_ALIGN. */
struct weir_join *weir_join_init(void *memory, const struct weir_join_options *options);

/* Sources are copied: 1 to WEIR_JOIN_SOURCES_MAX of `partition`, by number. A source that does not
 * open counts as damaged as a whole. */
enum weir_err weir_join_begin(struct weir_join *join, const struct weir_partition *partition,
    const struct weir_manifest_part *sources, uint32_t count, uint8_t level) WEIR_MUST_USE;
/* Some milliseconds of work. WEIR_AGAIN: there is more. */
enum weir_err weir_join_step(struct weir_join *join) WEIR_MUST_USE;
/* Gives up: the file is removed. */
void weir_join_abort(struct weir_join *join);

/* After WEIR_OK. NULL where the sources had no sample that could be read. */
const struct weir_manifest_part *weir_join_part(const struct weir_join *join);
/* Samples of the sources that are not in it, and why. */
uint64_t weir_join_superseded(const struct weir_join *join);
uint64_t weir_join_damaged(const struct weir_join *join);

#endif
