#include "storage/index/ranks.h"

#include "storage/index/view.h"

/* Copies the ordinals; *damaged where a block is. */
static enum weir_err
read_ordinals(struct weir_index_reader *reader, const struct weir_segment *segment,
    struct weir_index_ranks *out, bool *damaged)
{
    for (uint32_t at = 0; at < out->through;) {
        struct weir_index_block block;
        enum weir_err err = weir_segment_leaf(reader, segment, WEIR_INDEX_ORDINALS, at, &block);
        if (err == WEIR_CORRUPT) {
            *damaged = true;
            at = (at / WEIR_INDEX_ARRAY_MAX + 1) * WEIR_INDEX_ARRAY_MAX;
            continue;
        }
        if (err != WEIR_OK)
            return err;
        const uint32_t *ordinals = (const uint32_t *)block.raw;
        for (; at <= block.last && at < out->through; at++)
            if (ordinals[at - block.first] < segment->footer.series)
                out->ordinals[at] = ordinals[at - block.first];
        weir_segment_release(reader, &block);
    }
    return WEIR_OK;
}

/* Ordinals of damaged blocks, from ordinal -> number. */
static enum weir_err
mend_ordinals(struct weir_index_reader *reader, const struct weir_segment *segment,
    struct weir_index_ranks *out)
{
    for (uint32_t at = 0; at < segment->footer.series;) {
        struct weir_index_block block;
        enum weir_err err = weir_segment_leaf(reader, segment, WEIR_INDEX_NUMBERS, at, &block);
        if (err == WEIR_CORRUPT) {
            at = (at / WEIR_INDEX_ARRAY_MAX + 1) * WEIR_INDEX_ARRAY_MAX;
            continue;
        }
        if (err != WEIR_OK)
            return err;
        const uint32_t *numbers = (const uint32_t *)block.raw;
        for (; at <= block.last && at < segment->footer.series; at++) {
            uint32_t number = numbers[at - block.first];
            if (number < out->through && out->ordinals[number] == WEIR_ORDINAL_NONE)
                out->ordinals[number] = at;
        }
        weir_segment_release(reader, &block);
    }
    return WEIR_OK;
}

/* The class of one series; block is that of the last one, or nothing is pinned. */
static enum weir_err
read_class(struct weir_index_reader *reader, const struct weir_segment *segment,
    struct weir_index_block *block, uint32_t ordinal, uint8_t *out)
{
    enum weir_err err = WEIR_OK;
    if (block->slot != NULL && (ordinal < block->first || ordinal > block->last))
        weir_segment_release(reader, block);
    if (block->slot == NULL)
        err = weir_segment_leaf(reader, segment, WEIR_INDEX_SEEN, ordinal, block);
    *out = err == WEIR_OK ? block->raw[ordinal - block->first] : 0;
    return err == WEIR_CORRUPT ? WEIR_OK : err;
}

static enum weir_err
read_classes(struct weir_index_reader *reader, const struct weir_segment *segment,
    struct weir_index_ranks *out)
{
    struct weir_index_block block = {0};
    enum weir_err err = WEIR_OK;
    for (uint32_t at = 0; at < out->through && err == WEIR_OK; at++) {
        out->classes[at] = 0;
        if (out->ordinals[at] != WEIR_ORDINAL_NONE)
            err = read_class(reader, segment, &block, out->ordinals[at], &out->classes[at]);
    }
    weir_segment_release(reader, &block);
    return err;
}

enum weir_err
weir_index_ranks(struct weir_index_reader *reader, struct weir_index_view *view, uint32_t shard,
    struct weir_index_ranks *out)
{
    const struct weir_segment *segment = weir_view_segment(view, shard);
    bool damaged = false;
    if (segment == NULL)
        return WEIR_NOT_FOUND;
    out->through = segment->footer.through;
    memset(out->ordinals, 0xff, sizeof out->ordinals);
    enum weir_err err = read_ordinals(reader, segment, out, &damaged);
    if (err == WEIR_OK && damaged)
        err = mend_ordinals(reader, segment, out);
    return err == WEIR_OK ? read_classes(reader, segment, out) : err;
}
