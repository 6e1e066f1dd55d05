/* index_segment: an open index segment, and the way to its blocks.
 *
 * Owns:    an open file
 * Threads: read-only once open; each thread reads with a reader of its own
 * Memory:  the footer
 * Errors:  WEIR_IO the device failed. WEIR_CORRUPT a block did not check out: counted in the
 *          reader, and weir_err_detail() names file and offset. WEIR_END after the last
 *          leaf of a dictionary
 *
 * A leaf that is looked for by number is found without its directories where these are damaged: the
 * file is searched for its head.
 */
#ifndef WEIR_STORAGE_INDEX_SEGMENT_H
#define WEIR_STORAGE_INDEX_SEGMENT_H

#include "base/hash.h"
#include "storage/index/block.h"
#include "storage/index/cache.h"
#include "storage/index/index.h"
#include "storage/index/names.h"
#include "storage/index/ordinals.h"
#include "storage/index/terms.h"

struct weir_segment {
    weir_io_file file;
    struct weir_index_footer footer;
    uint64_t first_number; /* of the shard */
    char path[];
};

#define WEIR_READER_SETS 5

/* One thread's scratch. The sets, lists and terms belong to the function that says so. */
struct weir_index_reader {
    struct weir_index_cache *cache;
    const struct weir_hash_key *key; /* of this process */
    struct weir_index_reader_options options;
    struct weir_index_counts counts;
    struct weir_index_unpacker *unpacker;
    struct weir_ordinals sets[WEIR_READER_SETS];
    struct weir_names_list lists[2]; /* names_reader.c */
    struct weir_term term;
    uint8_t labels[WEIR_LABELS_BYTES_MAX + WEIR_NAMES_LIST_MAX];
    uint8_t stored[WEIR_INDEX_BLOCK_MAX];
    uint8_t raw[WEIR_INDEX_RAW_MAX];
    uint8_t postings[WEIR_POSTINGS_BYTES_MAX];
};

enum weir_err weir_segment_open(struct weir_io *io, const char *path, struct weir_segment **out)
    WEIR_MUST_USE;
void weir_segment_close(struct weir_segment *segment, struct weir_io *io);

/* Of the caller's query; WEIR_OK without one. */
enum weir_err weir_reader_check(struct weir_index_reader *reader) WEIR_MUST_USE;

/* The leaf of a section that has `wanted` in first .. last. Release it. */
enum weir_err weir_segment_leaf(struct weir_index_reader *reader,
    const struct weir_segment *segment, enum weir_index_section section, uint32_t wanted,
    struct weir_index_block *out) WEIR_MUST_USE;
/* The leaf of a dictionary that has the key, if any has. */
enum weir_err weir_segment_leaf_of_key(struct weir_index_reader *reader,
    const struct weir_segment *segment, enum weir_index_section section, const uint8_t *key,
    size_t size, struct weir_index_block *out) WEIR_MUST_USE;
/* Days of the series of a block of WEIR_INDEX_SEEN, as its directory has them; without one, any. */
enum weir_err weir_segment_days(struct weir_index_reader *reader,
    const struct weir_segment *segment, uint32_t ordinal, struct weir_index_days *days)
    WEIR_MUST_USE;
void weir_segment_release(struct weir_index_reader *reader, struct weir_index_block *block);

/* Ordinal of a local number; WEIR_NOT_FOUND. */
enum weir_err weir_segment_ordinal(struct weir_index_reader *reader,
    const struct weir_segment *segment, uint32_t local, uint32_t *ordinal) WEIR_MUST_USE;

#endif
