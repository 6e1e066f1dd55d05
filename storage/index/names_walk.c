#include "storage/index/names_walk.h"

void
weir_names_walk_end(struct weir_index_reader *reader, struct weir_names_walk *walk)
{
    if (walk->segment != NULL)
        weir_segment_release(reader, &walk->block);
    walk->segment = NULL;
}

static enum weir_err
damaged(struct weir_index_reader *reader, struct weir_names_walk *walk)
{
    const char *path = walk->segment->path;
    uint32_t first = walk->block.first, last = walk->block.last;
    weir_names_walk_end(reader, walk);
    reader->counts.blocks_damaged++;
    return weir_fail(WEIR_CORRUPT, 0, "%s: labels of ordinals %u to %u hold no series", path, first,
        last);
}

static bool
decode(struct weir_names_walk *walk, bool first)
{
    const struct weir_names_list *before = first ? NULL : &walk->lists[walk->current];
    walk->current ^= 1;
    return weir_names_decode(&walk->cursor, before, &walk->lists[walk->current]);
}

/* Decodes the first series of the ordinal's group. */
static bool
begin_group(struct weir_names_walk *walk, uint32_t ordinal)
{
    const struct weir_index_block *block = &walk->block;
    uint32_t groups = (block->count + WEIR_INDEX_NAMES_GROUP - 1) / WEIR_INDEX_NAMES_GROUP;
    uint32_t group = (ordinal - block->first) / WEIR_INDEX_NAMES_GROUP;
    if (2 * groups > block->raw_bytes)
        return false;
    const uint8_t *end = block->raw + block->raw_bytes - 2 * groups;
    uint32_t from = weir_index_u16(end + 2 * group);
    if (block->raw + from >= end)
        return false;
    walk->cursor = (struct weir_index_cursor){block->raw + from, end, false};
    walk->at = block->first + group * WEIR_INDEX_NAMES_GROUP;
    return decode(walk, true);
}

static enum weir_err
load(struct weir_index_reader *reader, struct weir_names_walk *walk,
    const struct weir_segment *segment, uint32_t ordinal)
{
    weir_names_walk_end(reader, walk);
    enum weir_err err = weir_segment_leaf(reader, segment, WEIR_INDEX_NAMES, ordinal, &walk->block);
    if (err == WEIR_OK)
        walk->segment = segment;
    return err;
}

enum weir_err
weir_names_walk_to(struct weir_index_reader *reader, struct weir_names_walk *walk,
    const struct weir_segment *segment, uint32_t ordinal, const struct weir_names_list **list)
{
    bool here = walk->segment == segment && ordinal >= walk->block.first &&
                ordinal <= walk->block.last;
    if (!here) {
        enum weir_err err = load(reader, walk, segment, ordinal);
        if (err != WEIR_OK)
            return err;
    }
    uint32_t first = walk->block.first;
    if (!here || ordinal < walk->at || (ordinal - first) / WEIR_INDEX_NAMES_GROUP !=
            (walk->at - first) / WEIR_INDEX_NAMES_GROUP)
        if (!begin_group(walk, ordinal))
            return damaged(reader, walk);
    for (; walk->at < ordinal; walk->at++)
        if (!decode(walk, false))
            return damaged(reader, walk);
    *list = &walk->lists[walk->current];
    return WEIR_OK;
}
