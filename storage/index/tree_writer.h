/* index_tree_writer: the blocks of one section and the directories above them, as they fill.
 *
 *   root                 directory of directories ...
 *    | first place key | first place key | ...
 *        |                    +--> directory
 *        +--> directory --> leaves, in ascending order of `first`
 *
 * Threads: its writer's
 * Memory:  of the caller's; a directory of each level, WEIR_INDEX_RAW_MAX bytes
 * Errors:  those of the file
 */
#ifndef WEIR_STORAGE_INDEX_TREE_WRITER_H
#define WEIR_STORAGE_INDEX_TREE_WRITER_H

#include "storage/index/block.h"
#include "storage/index/file_writer.h"

/* What the trees of a file share. */
struct weir_tree_output {
    struct weir_file_writer *file;
    struct weir_index_packer *packer;
    uint64_t file_id;
    uint32_t shard;
    uint32_t blocks; /* written so far */
    uint8_t block[WEIR_INDEX_BLOCK_MAX];
};

/* Directories of one level that fill. */
struct weir_tree_level {
    uint32_t first; /* of its first entry */
    uint32_t last;
    uint32_t count;
    uint32_t used; /* bytes of entries */
    uint16_t key_size; /* of its first entry's key, which stands in raw */
    uint32_t flushed; /* directories of this level written so far */
    uint16_t offsets[WEIR_INDEX_RAW_MAX / sizeof(struct weir_index_entry_head)];
    uint8_t raw[WEIR_INDEX_RAW_MAX];
};

struct weir_tree_writer {
    struct weir_tree_output *output;
    enum weir_index_section section;
    uint32_t leaves;
    struct weir_index_place last_leaf;
    struct weir_tree_level levels[WEIR_INDEX_HEIGHT_MAX];
};

struct weir_tree_leaf {
    uint32_t first;
    uint32_t last;
    uint32_t count;
    const uint8_t *raw;
    uint32_t raw_bytes;
    const uint8_t *key; /* at most WEIR_TREE_KEY_MAX bytes */
    uint16_t key_size;
};
#define WEIR_TREE_KEY_MAX 8200

void weir_tree_writer_init(struct weir_tree_writer *tree, struct weir_tree_output *output,
    enum weir_index_section section);
enum weir_err weir_tree_writer_add(struct weir_tree_writer *tree,
    const struct weir_tree_leaf *leaf) WEIR_MUST_USE;
/* Writes the directories that are open, and says where the root is. */
enum weir_err weir_tree_writer_finish(struct weir_tree_writer *tree, struct weir_index_root *root)
    WEIR_MUST_USE;

#endif
