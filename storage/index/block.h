/* index_block: a block of an index segment as it is stored, and back.
 *
 * Threads: a packer or an unpacker belongs to one
 * Memory:  of the caller's, zstd's included
 * Errors:  an unpacker takes any bytes
 */
#ifndef WEIR_STORAGE_INDEX_BLOCK_H
#define WEIR_STORAGE_INDEX_BLOCK_H

#include "base/err.h"
#include "storage/index/format.h"

#include <stdbool.h>

struct weir_index_packer;
size_t weir_index_packer_footprint(void);
/* memory: weir_index_packer_footprint() bytes, aligned to 64. */
struct weir_index_packer *weir_index_packer_init(void *memory);
/* Writes a block: kind, raw_bytes, shard, first, last, count, file_id and place are the caller's,
 * the rest is filled in. out: WEIR_INDEX_BLOCK_MAX bytes. Returns its size. */
uint32_t weir_index_pack(struct weir_index_packer *packer, struct weir_index_block_head *head,
    const uint8_t *raw, uint8_t *out);

struct weir_index_unpacker;
size_t weir_index_unpacker_footprint(void);
struct weir_index_unpacker *weir_index_unpacker_init(void *memory);
/* Checks at->bytes bytes against file and place, and expands them into raw (WEIR_INDEX_RAW_MAX).
 * False where they do not check out. */
bool weir_index_unpack(struct weir_index_unpacker *unpacker, const uint8_t *bytes,
    uint64_t file_id, struct weir_index_place at, struct weir_index_block_head *head,
    uint8_t *raw);

/* Seed of checksums at a place, in units of WEIR_INDEX_ALIGN. */
uint32_t weir_index_place_crc(uint64_t file_id, uint64_t place);

/* Arrays of 32 bits as stored: the differences, zigzag, their lowest bytes first, then the next. */
void weir_index_array_encode(const uint32_t *values, uint32_t count, uint8_t *out);
void weir_index_array_decode(const uint8_t *bytes, uint32_t count, uint32_t *values);

#endif
