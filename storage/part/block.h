/* block: up to 64 KiB of chunks, time columns or directory entries: the unit of reading, of
 * checksum and of damage.
 *
 *   | head 48 | front | rest |        front and rest each as they are, or by zstd
 *
 * Format:  docs/format/part.md
 * Threads: any; a builder and a view belong to one
 * Memory:  of the caller's, zstd's included
 * Errors:  opening takes any bytes
 */
#ifndef WEIR_STORAGE_PART_BLOCK_H
#define WEIR_STORAGE_PART_BLOCK_H

#include "base/err.h"
#include "storage/part/part.h"

#include <stdbool.h>

/* Raw bytes of front and rest together. */
#define WEIR_PART_RAW_MAX (WEIR_PART_BLOCK_MAX - sizeof(struct weir_part_block_head))

/* A block that fills. */
struct weir_block_builder {
    struct weir_part_block_head head; /* what is known of it so far */
    uint32_t front_size;
    uint32_t rest_size;
    uint8_t front[WEIR_PART_BLOCK_MAX];
    uint8_t rest[WEIR_PART_BLOCK_MAX + WEIR_CHUNK_REST_MAX]; /* a chunk is encoded at its end */
};

struct weir_block_compressor;
size_t weir_block_compressor_footprint(void);
struct weir_block_compressor *weir_block_compressor_init(void *memory);

void weir_block_builder_reset(struct weir_block_builder *builder, enum weir_part_kind kind);
static inline bool
weir_block_builder_fits(const struct weir_block_builder *builder, size_t front, size_t rest)
{
    return builder->front_size + front + builder->rest_size + rest <= WEIR_PART_RAW_MAX;
}
/* Writes the block (WEIR_PART_BLOCK_MAX bytes of room) and its footer entry. compress: try zstd. */
void weir_block_seal(struct weir_block_compressor *compressor, struct weir_block_builder *builder,
    uint64_t file_id, uint32_t place, bool compress, uint8_t *out, struct weir_part_block *entry);

/* A block that was read. */
struct weir_block_view {
    struct weir_part_block_head head;
    const uint8_t *front; /* head.front_raw bytes, WEIR_CHUNK_SLACK more may be read */
    const uint8_t *rest;
};
struct weir_block_opener;
size_t weir_block_opener_footprint(void);
struct weir_block_opener *weir_block_opener_init(void *memory);
/* Checks a block of entry->bytes bytes against its place, its file and its footer entry, and
 * expands it. bytes has WEIR_CHUNK_SLACK readable bytes after the end, and is used by the view; so
 * is the opener. False where it does not check out. */
bool weir_block_open(struct weir_block_opener *opener, const uint8_t *bytes, uint64_t file_id,
    const struct weir_part_block *entry, struct weir_block_view *out);

/* Seed of checksums at a place, in units of WEIR_PART_ALIGN. */
uint32_t weir_part_place_crc(uint64_t file_id, uint64_t place);

#endif
