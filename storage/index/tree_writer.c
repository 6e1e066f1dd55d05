#include "storage/index/tree_writer.h"

#include "base/assert.h"

#include <string.h>

void
weir_tree_writer_init(struct weir_tree_writer *tree, struct weir_tree_output *output,
    enum weir_index_section section)
{
    tree->output = output;
    tree->section = section;
    tree->leaves = 0;
    tree->last_leaf = (struct weir_index_place){0};
    for (unsigned i = 0; i < WEIR_INDEX_HEIGHT_MAX; i++) {
        struct weir_tree_level *level = &tree->levels[i];
        level->count = level->used = level->flushed = 0;
    }
}

static enum weir_err
write_block(struct weir_tree_output *output, unsigned kind, const struct weir_tree_leaf *leaf,
    struct weir_index_place *place)
{
    enum weir_err err = weir_file_writer_align(output->file, WEIR_INDEX_ALIGN);
    if (err != WEIR_OK)
        return err;
    uint64_t at = output->file->at / WEIR_INDEX_ALIGN;
    if (at > UINT32_MAX)
        return weir_fail(WEIR_LIMIT, 0, "an index segment of more than 32 GiB");
    struct weir_index_block_head head = {.kind = (uint8_t)kind,
        .raw_bytes = (uint16_t)leaf->raw_bytes,
        .shard = output->shard,
        .first = leaf->first,
        .last = leaf->last,
        .count = leaf->count,
        .file_id = output->file_id,
        .place = (uint32_t)at};
    uint32_t bytes = weir_index_pack(output->packer, &head, leaf->raw, output->block);
    *place = (struct weir_index_place){(uint32_t)at, bytes};
    output->blocks++;
    return weir_file_writer_append(output->file, output->block, bytes);
}

static enum weir_err add_entry(struct weir_tree_writer *tree, unsigned depth,
    const struct weir_tree_leaf *leaf, struct weir_index_place place);

/* Writes the directory that fills at a level, and says where it is. */
static enum weir_err
write_level(struct weir_tree_writer *tree, unsigned depth, struct weir_tree_leaf *as_leaf,
    struct weir_index_place *place)
{
    struct weir_tree_level *level = &tree->levels[depth];
    memcpy(level->raw + level->used, level->offsets, 2 * level->count);
    *as_leaf = (struct weir_tree_leaf){.first = level->first,
        .last = level->last,
        .count = level->count,
        .raw = level->raw,
        .raw_bytes = level->used + 2 * level->count,
        .key = level->raw + sizeof(struct weir_index_entry_head),
        .key_size = level->key_size};
    level->flushed++;
    level->count = level->used = 0;
    return write_block(tree->output, tree->section | WEIR_INDEX_DIRECTORY, as_leaf, place);
}

static enum weir_err
flush_level(struct weir_tree_writer *tree, unsigned depth)
{
    struct weir_tree_leaf as_leaf;
    struct weir_index_place place;
    enum weir_err err = write_level(tree, depth, &as_leaf, &place);
    return err == WEIR_OK ? add_entry(tree, depth + 1, &as_leaf, place) : err;
}

static enum weir_err
add_entry(struct weir_tree_writer *tree, unsigned depth, const struct weir_tree_leaf *leaf,
    struct weir_index_place place)
{
    if (depth == WEIR_INDEX_HEIGHT_MAX)
        return weir_fail(WEIR_LIMIT, 0, "a directory of more than %d levels", depth);
    struct weir_tree_level *level = &tree->levels[depth];
    struct weir_index_entry_head entry = {leaf->first, place, leaf->key_size};
    size_t size = sizeof entry + leaf->key_size + 2;
    WEIR_ASSERT(leaf->key_size <= WEIR_TREE_KEY_MAX);
    if (level->used + 2 * level->count + size > WEIR_INDEX_RAW_MAX) {
        enum weir_err err = flush_level(tree, depth);
        if (err != WEIR_OK)
            return err;
    }
    if (level->count == 0) {
        level->first = leaf->first;
        level->key_size = leaf->key_size;
    }
    level->last = leaf->last;
    level->offsets[level->count++] = (uint16_t)level->used;
    memcpy(level->raw + level->used, &entry, sizeof entry);
    if (leaf->key_size != 0)
        memcpy(level->raw + level->used + sizeof entry, leaf->key, leaf->key_size);
    level->used += (uint32_t)(sizeof entry + leaf->key_size);
    return WEIR_OK;
}

enum weir_err
weir_tree_writer_add(struct weir_tree_writer *tree, const struct weir_tree_leaf *leaf)
{
    enum weir_err err = write_block(tree->output, tree->section, leaf, &tree->last_leaf);
    if (err != WEIR_OK)
        return err;
    tree->leaves++;
    return add_entry(tree, 0, leaf, tree->last_leaf);
}

enum weir_err
weir_tree_writer_finish(struct weir_tree_writer *tree, struct weir_index_root *root)
{
    *root = (struct weir_index_root){tree->last_leaf, 0, tree->leaves};
    if (tree->leaves <= 1)
        return WEIR_OK;
    for (unsigned depth = 0;; depth++) {
        struct weir_tree_level *level = &tree->levels[depth];
        struct weir_tree_leaf as_leaf;
        if (level->flushed == 0) { /* the only one of its level */
            root->height = depth + 1;
            return write_level(tree, depth, &as_leaf, &root->at);
        }
        enum weir_err err = flush_level(tree, depth);
        if (err != WEIR_OK)
            return err;
    }
}
