/* l1: merges the frames of a unit into one part for each partition they have samples of, by number.
 *
 *   begin --> step ... WEIR_AGAIN --> WEIR_OK: all parts are durable; weir_l1_part() names them
 *                \-> an error: nothing is left behind
 *
 * In passes over the unit's blocks: one finds the partitions and cuts the series into slices; then
 * for each partition and each slice one counts and one adds. A block that does not check out is
 * left out, counted, and reported with its place in the log.
 *
 * Threads: one
 * Memory:  weir_l1_footprint() bytes from the caller
 * Errors:  WEIR_LIMIT the unit has too many samples of one series, or samples of too many
 *          partitions: a smaller unit, of one frame at last; WEIR_FULL, WEIR_IO, WEIR_NOMEM of the
 *          device: the same unit again, with new files
 */
#ifndef WEIR_STORAGE_KEEPER_L1_H
#define WEIR_STORAGE_KEEPER_L1_H

#include "storage/keeper/salvage.h"
#include "storage/keeper/gather.h"
#include "storage/keeper/unit.h"
#include "storage/manifest/manifest.h"
#include "storage/part/part_writer.h"

#define WEIR_L1_PARTITIONS_MANY 128 /* more are refused of a unit of several frames */
#define WEIR_L1_PARTITIONS_MAX WEIR_MANIFEST_PARTITIONS_MAX

struct weir_l1_options {
    struct weir_gather_limits gather;
    struct weir_part_writer_limits writer;
    const char *directory;              /* DATA/store; borrowed */
    struct weir_io *io;                 /* borrowed */
    struct weir_salvage *salvage;           /* borrowed; for damaged blocks; may be NULL */
    uint64_t (*file_id)(void *context); /* random numbers, never 0 */
    void *file_id_context;
};

/* What a step may do. */
enum weir_l1_stage {
    WEIR_L1_LOOK,   /* partitions and slices of all blocks */
    WEIR_L1_OPEN,   /* the next partition's part */
    WEIR_L1_SLICE,  /* the next slice */
    WEIR_L1_COUNT,  /* its samples, block by block */
    WEIR_L1_ADD,    /* the same, put in their places */
    WEIR_L1_WRITE,  /* series by series */
    WEIR_L1_FINISH, /* the part */
    WEIR_L1_DONE,
};

struct weir_l1;
size_t weir_l1_footprint(const struct weir_l1_options *options);
/* memory: aligned to WEIR_IO_ALIGN. */
struct weir_l1 *weir_l1_init(void *memory, const struct weir_l1_options *options);

/* unit and manifest are borrowed until the merge ends. The manifest gives the partitions; those it
 * lacks are added to it, of length_ms. */
void weir_l1_begin(struct weir_l1 *l1, struct weir_merge_unit *unit, struct weir_manifest *manifest,
    int64_t length_ms);
/* Some milliseconds of work. WEIR_AGAIN: there is more. */
enum weir_err weir_l1_step(struct weir_l1 *l1) WEIR_MUST_USE;
/* Gives up: the file being written is removed, parts that are finished too. */
void weir_l1_abort(struct weir_l1 *l1);

/* After WEIR_OK: the parts, one a partition; NULL after the last. */
const struct weir_manifest_part *weir_l1_part(const struct weir_l1 *l1, uint32_t place);
/* Samples of the unit that are in no part, and why. */
uint64_t weir_l1_superseded(const struct weir_l1 *l1);
uint64_t weir_l1_damaged(const struct weir_l1 *l1);

/* What the next step does. */
enum weir_l1_stage weir_l1_stage(const struct weir_l1 *l1);

#endif
