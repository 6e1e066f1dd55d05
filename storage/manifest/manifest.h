/* manifest: which parts and index segments are the store, and how far the log has come into them.
 *
 * Owns:    <data>/store/manifest.0 and manifest.1 (docs/format/manifest.md)
 * Threads: one; the keeper's main thread is the only one that saves
 * Memory:  tables of fixed size, taken at new: WEIR_MANIFEST_*_MAX entries
 * Errors:  WEIR_NOT_FOUND neither copy is there (a new store); WEIR_CORRUPT copies are there and
 *          none checks out; WEIR_UNSUPPORTED a later program's; WEIR_LIMIT a table is full
 *
 * Both copies hold the same after a save. A save replaces .0, then .1, each synced under another
 * name first: at every moment one of them is whole, and the newer whole one counts. Files that a
 * manifest no longer names may be removed only after the save has returned WEIR_OK.
 *
 * What always holds (weir_manifest_check):
 *   1. partitions are in order of time and never overlap
 *   2. every part lies in one of them; parts are in order of weir_manifest_part_compare, and no
 *      file is named twice
 *   3. no index segment's file or shard twice
 *   4. for each class: merged = live + superseded + expired + deleted + damaged, and live is the
 *      sum over its parts
 */
#ifndef WEIR_STORAGE_MANIFEST_MANIFEST_H
#define WEIR_STORAGE_MANIFEST_MANIFEST_H

#include "base/err.h"
#include "model/keeper_view.h"
#include "storage/io/io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_MANIFEST_MAGIC UINT32_C(0x4d524557) /* "WERM" */
#define WEIR_MANIFEST_VERSION 1
#define WEIR_MANIFEST_CLASSES WEIR_RETENTION_CLASSES
/* Partitions of 2 h over 7 d are 84; of 24 h over 10 y 3,653. */
#define WEIR_MANIFEST_PARTITIONS_MAX 8192
/* 96 runs of shards in 84 partitions are 8,064 at L3. */
#define WEIR_MANIFEST_PARTS_MAX 32768
#define WEIR_MANIFEST_INDEXES_MAX 4096

/* A range of data time: [from, to). */
struct weir_partition {
    int64_t from_ms;
    int64_t to_ms;
};

enum weir_part_flag {
    WEIR_PART_OVERLAY = 1, /* late samples of a partition that has been merged to its last level */
};

/* A part, as the manifest knows it. Little-endian, as stored. */
struct weir_manifest_part {
    uint64_t file_id;     /* random; names the file: parts/<partition>/<file_id>.part */
    int64_t partition_ms; /* from_ms of its partition */
    uint32_t shard_first;
    uint32_t shard_last; /* included */
    uint32_t shard_live; /* shards below it have been merged into other parts */
    uint8_t level;       /* 1 to 3 */
    uint8_t retention_class;
    uint8_t flags; /* of enum weir_part_flag */
    uint8_t reserved;
    uint64_t log_from; /* offsets of the log whose samples it holds: [from, through) */
    uint64_t log_through;
    int64_t time_min_ms;
    int64_t time_max_ms; /* included */
    uint64_t samples;    /* live ones: those of shards from shard_live on */
    uint64_t bytes;      /* of the file */
};
_Static_assert(sizeof(struct weir_manifest_part) == 80, "part entry size is part of the format");
_Static_assert(offsetof(struct weir_manifest_part, log_from) == 32, "part of the format");

/* An index segment. */
struct weir_manifest_index {
    uint64_t file_id;    /* random; the file is index/<shard>-<generation>.index */
    uint64_t generation; /* of the segment, from 1 */
    uint64_t bytes;
    uint32_t shard;
    uint32_t series; /* numbers of the shard that are in it, the first ones */
};
_Static_assert(sizeof(struct weir_manifest_index) == 32, "index entry size is part of the format");

struct weir_manifest {
    uint64_t generation;    /* of the last save or load; 0 for a new store */
    uint64_t keeper_offset; /* the log below it is in parts and index segments */
    struct weir_parts_ledger ledger[WEIR_MANIFEST_CLASSES];
    uint32_t partition_count;
    uint32_t part_count;
    uint32_t index_count;
    struct weir_partition *partitions;
    struct weir_manifest_part *parts;
    struct weir_manifest_index *indexes;
    uint8_t *encoded; /* room for the largest file */
};

/* An empty manifest; WEIR_NOMEM. */
enum weir_err weir_manifest_new(struct weir_manifest **out) WEIR_MUST_USE;
void weir_manifest_free(struct weir_manifest *manifest);
void weir_manifest_copy(struct weir_manifest *to, const struct weir_manifest *from);

/* Reads the newer whole copy of directory (DATA/store). The manifest is empty after an error. */
enum weir_err weir_manifest_load(
    struct weir_manifest *manifest, struct weir_io *io, const char *directory) WEIR_MUST_USE;
/* Makes it durable under the next generation. After an error the store is what either generation
 * says; the caller commits nothing more and removes no file. */
enum weir_err weir_manifest_save(
    struct weir_manifest *manifest, struct weir_io *io, const char *directory) WEIR_MUST_USE;

/* Whether everything above holds; the detail names what does not. WEIR_CORRUPT. */
enum weir_err weir_manifest_check(const struct weir_manifest *manifest) WEIR_MUST_USE;

/* Order of parts: partition, log_from, shard_first, file_id. */
int weir_manifest_part_compare(
    const struct weir_manifest_part *a, const struct weir_manifest_part *b);

/* The partition that holds time_ms, or NULL. */
const struct weir_partition *weir_manifest_partition_find(
    const struct weir_manifest *manifest, int64_t time_ms);
/* Adds the partition of `length_ms` (which divides a day) that holds time_ms, cut where it would
 * overlap others. WEIR_LIMIT. The caller has seen that there is none. */
enum weir_err weir_manifest_partition_add(struct weir_manifest *manifest, int64_t time_ms,
    int64_t length_ms, struct weir_partition *out) WEIR_MUST_USE;

/* Adds a partition with these bounds, unless it is there. WEIR_LIMIT; WEIR_INVALID where it would
 * overlap another. */
enum weir_err weir_manifest_partition_restore(
    struct weir_manifest *manifest, const struct weir_partition *partition) WEIR_MUST_USE;

/* Adds a part in its place; its partition is there. The ledger's live samples grow by its own: the
 * caller accounts for where they come from. WEIR_LIMIT. */
enum weir_err weir_manifest_part_add(
    struct weir_manifest *manifest, const struct weir_manifest_part *entry) WEIR_MUST_USE;
struct weir_manifest_part *weir_manifest_part_find(
    const struct weir_manifest *manifest, uint64_t file_id);
/* Removes the part at `place`; the ledger's live samples shrink by its own. A partition without
 * parts goes with its last one. */
void weir_manifest_part_remove(struct weir_manifest *manifest, uint32_t place);

/* Adds or replaces the segment of a shard. WEIR_LIMIT. */
enum weir_err weir_manifest_index_set(
    struct weir_manifest *manifest, const struct weir_manifest_index *entry) WEIR_MUST_USE;
const struct weir_manifest_index *weir_manifest_index_find(
    const struct weir_manifest *manifest, uint32_t shard);

/* Path of a part's file below DATA/store. WEIR_INVALID where it is too long. */
enum weir_err weir_part_file_path(const char *store, int64_t partition_ms, uint64_t file_id,
    char *path, size_t size) WEIR_MUST_USE;

#endif
