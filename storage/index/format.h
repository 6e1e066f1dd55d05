/* index_format: the bytes of an index segment; docs/format/index.md.
 *
 *   | head 4,096 | blocks, each of one section or of its directory | footer 4,096 | footer 4,096 |
 *
 * A section is a tree: leaves, which hold what is looked for, and above them directories, which say
 * where the leaves are. The footer has the place of each root.
 */
#ifndef WEIR_STORAGE_INDEX_FORMAT_H
#define WEIR_STORAGE_INDEX_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define WEIR_INDEX_MAGIC UINT32_C(0x49524557)        /* "WERI" */
#define WEIR_INDEX_BLOCK_MAGIC UINT32_C(0x4a524557)  /* "WERJ" */
#define WEIR_INDEX_FOOTER_MAGIC UINT32_C(0x4b524557) /* "WERK" */
#define WEIR_INDEX_VERSION 1
#define WEIR_INDEX_PAGE 4096 /* of the head, and of each footer */
#define WEIR_INDEX_ALIGN 8   /* blocks begin at multiples */

#define WEIR_SHARD_BITS 20
#define WEIR_SHARD_SERIES (UINT32_C(1) << WEIR_SHARD_BITS)
#define WEIR_ORDINAL_NONE UINT32_MAX

/* Raw bytes of a block. The cache's slots have this size: a block of any kind fits one. */
#define WEIR_INDEX_RAW_MAX 32768
#define WEIR_INDEX_NAMES_RAW 16384 /* of a block of names, unless one series needs more */
#define WEIR_INDEX_NAMES_GROUP 64  /* series from one that stands for itself to the next */
#define WEIR_INDEX_TERMS_GROUP 16  /* terms likewise */
#define WEIR_INDEX_ARRAY_MAX 8192  /* entries of a block of numbers or ordinals */
#define WEIR_INDEX_SEEN_MAX 4096   /* entries of a block of class and days */
#define WEIR_INDEX_HEIGHT_MAX 6
/* Postings of up to so many ordinals are a list of gaps; larger ones are in Roaring's format. */
#define WEIR_INDEX_GAPS_MAX 4096

enum weir_index_section {
    WEIR_INDEX_NAMES = 0,    /* labels by ordinal */
    WEIR_INDEX_ORDINALS = 1, /* local number -> ordinal */
    WEIR_INDEX_NUMBERS = 2,  /* ordinal -> local number */
    WEIR_INDEX_SEEN = 3,     /* ordinal -> class, flags, first and last day */
    WEIR_INDEX_TERMS = 4,    /* (rank of label name, value) -> postings */
    WEIR_INDEX_LABELS = 5,   /* label name -> postings */
    WEIR_INDEX_POSTINGS = 6, /* bytes of postings, block n from byte n * WEIR_INDEX_RAW_MAX */
    WEIR_INDEX_SECTIONS,
};
/* A block's kind is its section, and this where it is a directory. */
#define WEIR_INDEX_DIRECTORY 16

struct weir_index_head {
    uint32_t magic;
    uint16_t version;
    uint16_t reserved;
    uint32_t shard;
    uint32_t reserved2;
    uint64_t generation;
    uint64_t file_id; /* random; each checksum of the file is seeded with it */
    uint32_t reserved3;
    uint32_t crc; /* of everything before it */
};
_Static_assert(sizeof(struct weir_index_head) == 40, "the head's size is part of the format");
_Static_assert(offsetof(struct weir_index_head, crc) == 36, "part of the format");

/* First bytes of a block; fields and sizes are those of a part's block, whose front is the body and
 * whose rest is empty. */
struct weir_index_block_head {
    uint32_t magic;
    uint8_t kind;
    uint8_t version;
    uint16_t codec_set; /* 0 */
    uint16_t raw_bytes;
    uint16_t bytes; /* stored after the head; fewer than raw_bytes: zstd */
    uint32_t reserved; /* 0 */
    uint32_t shard;
    uint32_t first; /* ordinal, local number, rank of a term or block number of postings */
    uint32_t last;
    uint32_t count; /* entries */
    uint64_t file_id;
    uint32_t place; /* in the file, in units of WEIR_INDEX_ALIGN */
    uint32_t crc;   /* seeded with file id and place; of bytes 0-43, then of those after the head */
};
_Static_assert(sizeof(struct weir_index_block_head) == 48, "the block head is 48 bytes");
_Static_assert(offsetof(struct weir_index_block_head, file_id) == 32, "part of the format");
_Static_assert(offsetof(struct weir_index_block_head, crc) == 44, "the checksum is its last field");
#define WEIR_INDEX_BLOCK_MAX (sizeof(struct weir_index_block_head) + WEIR_INDEX_RAW_MAX)

/* Where a block is. */
struct weir_index_place {
    uint32_t place; /* in units of WEIR_INDEX_ALIGN */
    uint32_t bytes; /* with its head; 0: there is none */
};

struct weir_index_root {
    struct weir_index_place at;
    uint32_t height; /* directories above a leaf */
    uint32_t count;  /* leaves */
};
_Static_assert(sizeof(struct weir_index_root) == 16, "part of the format");

struct weir_index_footer {
    uint32_t magic;
    uint16_t version;
    uint16_t reserved;
    uint32_t shard;
    uint32_t series; /* ordinals are below it */
    uint64_t generation;
    uint64_t file_id;
    uint64_t at;    /* the footer's offset in the file */
    uint64_t bytes; /* of the file */
    uint64_t terms;
    uint64_t postings_bytes;
    uint32_t names;  /* distinct label names */
    uint32_t blocks; /* of all kinds */
    uint32_t aliases; /* series whose labels are those of the ordinal before */
    uint16_t day_first; /* the least first day, the largest last day */
    uint16_t day_last;
    struct weir_index_root roots[WEIR_INDEX_SECTIONS];
    uint32_t through; /* local numbers below it are in the segment */
    uint8_t reserved2[56];
    uint32_t crc; /* seeded with file id and at / WEIR_INDEX_ALIGN; of everything before it */
};
_Static_assert(sizeof(struct weir_index_footer) == 256, "the footer's size is part of the format");
_Static_assert(offsetof(struct weir_index_footer, roots) == 80, "part of the format");
_Static_assert(offsetof(struct weir_index_footer, crc) == 252, "the checksum is its last field");

/* Flags of a series. */
#define WEIR_INDEX_ALIAS 1 /* same labels as the ordinal before */

/* Days are UTC, from 1970-01-01. A last day of WEIR_DAY_OPEN: the series may still receive. */
#define WEIR_DAY_OPEN UINT16_MAX

/* Entry of a directory; key_size bytes of key follow. The entries' offsets, u16 each, come last.
 * Keys of WEIR_INDEX_TERMS and WEIR_INDEX_LABELS: greater than every key of the blocks before, not
 * greater than the first of its own. Of WEIR_INDEX_SEEN: a struct weir_index_days. */
struct weir_index_entry_head {
    uint32_t first; /* of the block that the entry is for */
    struct weir_index_place at;
    uint16_t key_size;
} __attribute__((packed));
_Static_assert(sizeof(struct weir_index_entry_head) == 14, "part of the format");

/* Days of the series of a block. */
struct weir_index_days {
    uint16_t first_min;
    uint16_t first_max;
    uint16_t last_min;
    uint16_t last_max;
};
_Static_assert(sizeof(struct weir_index_days) == 8, "part of the format");

#endif
