/* manifest_layout: the bytes of a manifest; docs/format/manifest.md. For this folder and its tests.
 *
 *   | head 512 | partitions, 16 each | parts, 80 each | index segments, 32 each |
 */
#ifndef WEIR_STORAGE_MANIFEST_LAYOUT_H
#define WEIR_STORAGE_MANIFEST_LAYOUT_H

#include "storage/manifest/manifest.h"

struct weir_manifest_head {
    uint32_t magic;
    uint16_t version;
    uint16_t flags; /* 0 */
    uint64_t generation;
    uint64_t bytes; /* of the file */
    uint64_t keeper_offset;
    uint32_t partition_count;
    uint32_t part_count;
    uint32_t index_count;
    uint32_t body_crc; /* of everything after the head */
    struct weir_parts_ledger ledger[WEIR_MANIFEST_CLASSES];
    uint8_t reserved[76]; /* 0 */
    uint32_t crc;         /* of the head before it */
};
_Static_assert(sizeof(struct weir_manifest_head) == 512, "head size is part of the format");
_Static_assert(offsetof(struct weir_manifest_head, ledger) == 48, "part of the format");
_Static_assert(offsetof(struct weir_manifest_head, crc) == 508, "part of the format");

#define WEIR_MANIFEST_BYTES_MAX                                                                    \
    (sizeof(struct weir_manifest_head) +                                                           \
        WEIR_MANIFEST_PARTITIONS_MAX * sizeof(struct weir_partition) +                             \
        WEIR_MANIFEST_PARTS_MAX * sizeof(struct weir_manifest_part) +                              \
        WEIR_MANIFEST_INDEXES_MAX * sizeof(struct weir_manifest_index))

/* Fills manifest->encoded and returns the size. */
size_t weir_manifest_encode(const struct weir_manifest *manifest);
/* Takes any bytes. The manifest holds nothing of use after an error. name: for the detail. */
enum weir_err weir_manifest_decode(struct weir_manifest *manifest, const uint8_t *bytes,
    size_t size, const char *name) WEIR_MUST_USE;

#endif
