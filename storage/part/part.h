/* part: an immutable file of compressed samples: the layout, and what writer and reader share.
 *
 *   | head 4,096 | blocks: values, times, directory, as they fill | footer | footer |
 *
 * A part holds the samples of one key { partition, retention class, run of shards, level }. Its
 * series come in the order that its writer was given: by number (level 1), or shard by shard, and
 * in a shard by (metric, labels). The samples of a series are one chunk or several, each with an
 * entry in the directory. Chunks whose samples have the same times share a time column.
 *
 * Format:  docs/format/part.md; golden bytes in tests/golden/
 * Start:   part_writer.h streams series in; part_reader.h opens a part and reads blocks
 * Errors:  a block that does not check out costs itself alone
 */
#ifndef WEIR_STORAGE_PART_PART_H
#define WEIR_STORAGE_PART_PART_H

#include "model/statistics.h"
#include "storage/part/chunk.h"

#include <stddef.h>

#define WEIR_PART_MAGIC UINT32_C(0x50524557)        /* "WERP" */
#define WEIR_PART_FOOTER_MAGIC UINT32_C(0x54524557) /* "WERT" */
#define WEIR_PART_BLOCK_MAGIC UINT32_C(0x42524557)  /* "WERB" */
#define WEIR_PART_VERSION 1
#define WEIR_PART_HEAD_BYTES 4096
#define WEIR_PART_ALIGN 8          /* blocks begin at multiples */
#define WEIR_PART_BLOCK_MAX 65536  /* bytes of a block with its head, before and after zstd */
#define WEIR_PART_ENTRIES_MAX 1024 /* of a directory block */
#define WEIR_PART_SHARD_BITS 20    /* shard = series number >> 20, the local number is below */

/* Bits of sample_types; the second one has its place, and no code. */
#define WEIR_PART_TYPE_FLOAT 1
#define WEIR_PART_TYPE_HISTOGRAM 2

enum weir_part_order {
    WEIR_PART_BY_NUMBER = 1,
    WEIR_PART_BY_LABELS = 2, /* shards ascend; in a shard by (metric, labels) */
};

struct weir_part_key {
    int64_t partition_start_ms; /* times of samples are in start .. end - 1 */
    int64_t partition_end_ms;
    uint32_t shard_first;
    uint32_t shard_last;
    uint8_t retention_class;
    uint8_t level; /* 1 to 3 */
    uint8_t order; /* enum weir_part_order */
};

/* Where samples that its sources held went while a part was made. */
struct weir_part_ledger {
    uint64_t live; /* in this part */
    uint64_t superseded;
    uint64_t expired;
    uint64_t deleted;
    uint64_t damaged;
};

struct weir_part_head {
    uint32_t magic;
    uint16_t version;
    uint16_t sample_types;
    uint64_t file_id; /* random; each checksum of the file is seeded with it */
    uint64_t footer_at;
    uint32_t footer_bytes; /* of one of the two */
    uint32_t crc;          /* of everything before it */
};
_Static_assert(sizeof(struct weir_part_head) == 32, "the head's size is part of the format");

enum weir_part_kind {
    WEIR_PART_VALUES = 1,
    WEIR_PART_TIMES = 2,
    WEIR_PART_DIRECTORY = 3,
};

/* First bytes of a block. Its raw bytes are front and rest; each is stored as it is, or by zstd
 * where that saves a tenth: then its stored size is smaller than its raw size. */
struct weir_part_block_head {
    uint32_t magic;
    uint8_t kind; /* enum weir_part_kind */
    uint8_t version;
    uint16_t codec_set; /* bit n: codec n occurs in it */
    uint16_t front_raw;
    uint16_t front_bytes;
    uint16_t rest_raw;
    uint16_t rest_bytes;
    uint32_t shard; /* of its first chunk or entry; else 0 */
    uint32_t first; /* local number of the first chunk or entry, or number of the first column */
    uint32_t last;
    uint32_t count; /* chunks, columns or entries */
    uint64_t file_id;
    uint32_t place; /* in the file, in units of WEIR_PART_ALIGN */
    uint32_t crc;   /* seeded with file id and place; of bytes 0-43, then of those after the head */
};
_Static_assert(sizeof(struct weir_part_block_head) == 48, "the block head is 48 bytes");
_Static_assert(offsetof(struct weir_part_block_head, crc) == 44, "the checksum is its last field");

/* A footer's entry for a block, in the order of places. */
struct weir_part_block {
    uint32_t place; /* in units of WEIR_PART_ALIGN */
    uint32_t bytes; /* with its head; a multiple of WEIR_PART_ALIGN: the next block follows */
    uint32_t crc;   /* the block's own */
    uint32_t shard;
    uint32_t first;
    uint32_t last;
    uint32_t count;
    uint32_t kind;
};
_Static_assert(sizeof(struct weir_part_block) == 32, "a block's entry is 32 bytes");

/* Then block_count entries and a trailer. */
struct weir_part_footer {
    uint32_t magic;
    uint16_t version;
    uint16_t sample_types;
    uint64_t file_id;
    int64_t partition_start_ms;
    int64_t partition_end_ms;
    uint32_t shard_first;
    uint32_t shard_last;
    uint8_t retention_class;
    uint8_t level;
    uint8_t order;
    uint8_t reserved;
    uint32_t codec_set; /* of all value blocks */
    uint64_t log_from;  /* log offsets of what it was made from: [from, through) */
    uint64_t log_through;
    int64_t time_min_ms; /* of all samples; the largest int64 without any */
    int64_t time_max_ms; /* the smallest int64 without any */
    struct weir_part_ledger ledger;
    uint64_t series; /* changes of the series from one chunk to the next, and one */
    uint64_t chunks;
    uint32_t columns; /* time columns */
    uint32_t block_count;
};
_Static_assert(sizeof(struct weir_part_footer) == 144, "the footer's size is part of the format");
_Static_assert(offsetof(struct weir_part_footer, ledger) == 80, "the ledger's place");

struct weir_part_trailer {
    uint32_t magic; /* of the footer */
    uint32_t bytes; /* of the footer, with entries and this */
    uint64_t file_id;
    uint64_t at; /* the footer's offset in the file */
    uint32_t reserved;
    uint32_t crc; /* seeded with file id and at / 8; of everything before it */
};
_Static_assert(sizeof(struct weir_part_trailer) == 32, "the trailer's size is part of the format");

/* One chunk of one series. */
struct weir_part_entry {
    uint32_t shard;
    uint32_t local;
    uint32_t block;    /* number of its value block among those of the part */
    uint32_t front_at; /* in the block's raw front */
    uint32_t rest_at;  /* in the block's raw rest */
    uint32_t rest_size;
    uint32_t count;  /* samples */
    uint32_t column; /* number of its time column */
    uint8_t codec;
    int8_t exponent;
    bool has_statistics; /* parts before the last level have none; else statistics.count is count */
    struct weir_statistics statistics;
};

#endif
