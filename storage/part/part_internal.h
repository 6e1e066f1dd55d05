/* part_internal: an open part and its reader, for the files that make them up: part_open.c,
 * part_reader.c, part_check.c. */
#ifndef WEIR_STORAGE_PART_PART_INTERNAL_H
#define WEIR_STORAGE_PART_PART_INTERNAL_H

#include "storage/part/directory.h"
#include "storage/part/part_reader.h"

/* Kinds of blocks; arrays by kind begin with enum weir_part_kind 1. */
#define WEIR_PART_KINDS 3

struct weir_part {
    weir_io_file file;
    unsigned ends;      /* enum weir_part_end: damaged ones */
    uint64_t footer_at; /* of the first footer */
    uint32_t footer_size;
    uint8_t *footer_bytes; /* as in the file; checked */
    const struct weir_part_footer *footer;
    const struct weir_part_block *blocks;
    uint32_t counts[WEIR_PART_KINDS];
    uint32_t *indices[WEIR_PART_KINDS]; /* of the blocks of each kind, in order */
    char path[];
};

/* The last block of a kind that was read. */
struct weir_part_loaded {
    uint64_t file_id; /* 0: none */
    uint32_t index;
    bool damaged; /* it was counted and named already */
    struct weir_block_view view;
    struct weir_block_opener *opener;
    uint8_t bytes[WEIR_PART_BLOCK_MAX + WEIR_CHUNK_SLACK];
};

struct weir_part_reader {
    struct weir_io *io;
    struct weir_part_damage damage;
    uint64_t bytes_read;
    uint64_t column_file_id; /* whose column is decoded; 0: none */
    uint32_t column;
    uint32_t column_count;
    int64_t times_ms[WEIR_CHUNK_SAMPLES_MAX];
    struct weir_directory_scratch scratch;
    struct weir_part_entry entries[WEIR_PART_ENTRIES_MAX];
    struct weir_part_loaded loaded[WEIR_PART_KINDS];
};

/* Reads size bytes that must be there. */
enum weir_err weir_part_read_all(struct weir_io *io, const struct weir_part *part, void *out,
    size_t size, uint64_t at) WEIR_MUST_USE;
/* Reads number n of the blocks of a kind, unless it is the one at hand. */
enum weir_err weir_part_load(struct weir_part_reader *reader, const struct weir_part *part,
    enum weir_part_kind kind, uint32_t n, struct weir_part_loaded **out) WEIR_MUST_USE;

#endif
