/* directory: entries of chunks as columns of a block, and back.
 *
 * Format:  docs/format/part.md
 * Threads: any; a builder belongs to one
 * Memory:  of the caller's
 * Errors:  decoding takes any bytes; false where they are no entries of this part
 */
#ifndef WEIR_STORAGE_PART_DIRECTORY_H
#define WEIR_STORAGE_PART_DIRECTORY_H

#include "storage/part/block.h"
#include "storage/part/codec.h"
#include "storage/part/statistics.h"

/* Columns of a directory block, in this order. */
enum weir_directory_column {
    WEIR_DIRECTORY_SHARD,
    WEIR_DIRECTORY_LOCAL,
    WEIR_DIRECTORY_COUNT,
    WEIR_DIRECTORY_BLOCK,
    WEIR_DIRECTORY_REST_SIZE,
    WEIR_DIRECTORY_COLUMN,
    WEIR_DIRECTORY_CODEC,
    WEIR_DIRECTORY_EXPONENT,
    WEIR_DIRECTORY_SAMPLE_TYPE,  /* 0: float. Histograms have their place here */
    WEIR_DIRECTORY_START_COLUMN, /* 0: none. Start timestamps have their place here */
    WEIR_DIRECTORY_COLUMNS,
};

/* With the columns, which take at most 25 bytes an entry, a block stays below its limit. */
#define WEIR_DIRECTORY_STATISTICS_MAX 36864

struct weir_directory_builder {
    uint64_t columns[WEIR_DIRECTORY_COLUMNS][WEIR_PART_ENTRIES_MAX];
    uint32_t count;
    uint32_t front_at; /* of the first entry */
    uint32_t rest_at;
    uint32_t statistics_size;
    bool has_statistics;
    uint8_t statistics[WEIR_DIRECTORY_STATISTICS_MAX];
};

void weir_directory_reset(struct weir_directory_builder *builder, bool has_statistics);
/* Whether the block has room for one more entry. */
static inline bool
weir_directory_has_room(const struct weir_directory_builder *builder)
{
    return builder->count < WEIR_PART_ENTRIES_MAX &&
        builder->statistics_size <= WEIR_DIRECTORY_STATISTICS_MAX - WEIR_STATISTICS_BYTES_MAX;
}
/* Entries come in the order of their chunks in the file. */
void weir_directory_add(
    struct weir_directory_builder *builder, const struct weir_part_entry *entry);
/* Writes them to an empty block; the builder has at least one. */
void weir_directory_encode(struct weir_directory_builder *builder,
    struct weir_packed_scratch *scratch, enum weir_effort effort, struct weir_block_builder *out);

/* Decoded columns of a directory. */
struct weir_directory_scratch {
    uint64_t columns[WEIR_DIRECTORY_COLUMNS][WEIR_PART_ENTRIES_MAX];
};
/* entries: WEIR_PART_ENTRIES_MAX places; view->head.count of them are filled. footer and count of
 * value blocks are the part's: what an entry refers to is there. */
bool weir_directory_decode(const struct weir_block_view *view,
    const struct weir_part_footer *footer, uint32_t value_blocks,
    struct weir_directory_scratch *scratch, struct weir_part_entry *entries);

#endif
