#include "storage/index/inverter_run.h"

#include "storage/index/bytes.h"

#define APPEND_SLICE 4096

static enum weir_err
append_ordinals(struct weir_file_writer *file, const struct weir_ordinal_list *ordinals)
{
    uint8_t bytes[APPEND_SLICE + WEIR_INDEX_VARINT_MAX];
    uint8_t *at = bytes;
    uint32_t next = 0; /* the least that the coming ordinal can be */
    uint32_t from = 0;
    for (uint32_t i = 0; i < ordinals->count; i++) {
        uint32_t ordinal = ordinals->large
                               ? weir_ordinals_next(&ordinals->set, from, WEIR_SHARD_SERIES)
                               : ordinals->list[i];
        at = weir_index_put(at, ordinal - next);
        next = from = ordinal + 1;
        if (at >= bytes + APPEND_SLICE) {
            enum weir_err err = weir_file_writer_append(file, bytes, (size_t)(at - bytes));
            if (err != WEIR_OK)
                return err;
            at = bytes;
        }
    }
    return weir_file_writer_append(file, bytes, (size_t)(at - bytes));
}

enum weir_err
weir_run_append(struct weir_file_writer *file, const struct weir_label *label,
    const struct weir_ordinal_list *ordinals)
{
    uint8_t sizes[3 * WEIR_INDEX_VARINT_MAX];
    uint8_t *end = weir_index_put(sizes, label->name_size);
    end = weir_index_put(end, label->value_size);
    end = weir_index_put(end, ordinals->count);
    enum weir_err err = weir_file_writer_append(file, sizes, (size_t)(end - sizes));
    if (err == WEIR_OK)
        err = weir_file_writer_append(file, label->name, label->name_size);
    if (err == WEIR_OK)
        err = weir_file_writer_append(file, label->value, label->value_size);
    return err == WEIR_OK ? append_ordinals(file, ordinals) : err;
}

/* Has at least `wanted` bytes in the buffer, or all there are. */
static enum weir_err
fill(struct weir_run_reader *run, size_t wanted)
{
    if (run->left >= wanted || run->at == run->end)
        return WEIR_OK;
    memmove(run->buffer, run->buffer + run->from, run->left);
    run->from = 0;
    uint64_t more = run->capacity - run->left;
    more = more < run->end - run->at ? more : run->end - run->at;
    enum weir_err err =
        weir_io_read(run->io, run->file, run->buffer + run->left, (size_t)more, run->at);
    if (err != WEIR_OK)
        return err;
    run->at += more;
    run->left += (size_t)more;
    return WEIR_OK;
}

static void
advance(struct weir_run_reader *run, const struct weir_index_cursor *cursor)
{
    size_t used = (size_t)(cursor->at - (run->buffer + run->from));
    run->from += used;
    run->left -= used;
}

enum weir_err
weir_run_next(struct weir_run_reader *run, uint8_t label_copy[])
{
    enum weir_err err = fill(run, WEIR_LABELS_BYTES_MAX + 3 * WEIR_INDEX_VARINT_MAX);
    if (err != WEIR_OK)
        return err;
    if (run->left == 0)
        return WEIR_END;
    const uint8_t *begin = run->buffer + run->from;
    struct weir_index_cursor cursor = {begin, begin + run->left, false};
    uint64_t name_size = weir_index_get(&cursor), value_size = weir_index_get(&cursor);
    uint64_t ordinals = weir_index_get(&cursor);
    const uint8_t *text = NULL;
    if (name_size <= WEIR_LABELS_BYTES_MAX && value_size <= WEIR_LABELS_BYTES_MAX - name_size)
        text = weir_index_get_bytes(&cursor, name_size + value_size);
    if (text == NULL || ordinals > WEIR_SHARD_SERIES)
        return weir_fail(WEIR_CORRUPT, 0, "the scratch file before %llu",
            (unsigned long long)run->at);
    memcpy(label_copy, text, (size_t)(name_size + value_size));
    run->label = (struct weir_label){label_copy, label_copy + name_size, (uint16_t)name_size,
        (uint16_t)value_size};
    run->ordinals = (uint32_t)ordinals;
    advance(run, &cursor);
    return WEIR_OK;
}

enum weir_err
weir_run_ordinals(struct weir_run_reader *run, struct weir_ordinal_list *ordinals)
{
    uint64_t next = 0;
    while (run->ordinals > 0) {
        enum weir_err err = fill(run, WEIR_INDEX_VARINT_MAX);
        if (err != WEIR_OK)
            return err;
        const uint8_t *begin = run->buffer + run->from;
        struct weir_index_cursor cursor = {begin, begin + run->left, false};
        bool last = run->at == run->end;
        while (run->ordinals > 0 && (last || cursor.end - cursor.at >= WEIR_INDEX_VARINT_MAX)) {
            uint64_t gap = weir_index_get(&cursor);
            if (cursor.bad || gap >= WEIR_SHARD_SERIES - next)
                return weir_fail(WEIR_CORRUPT, 0, "the scratch file before %llu",
                    (unsigned long long)run->at);
            weir_ordinal_list_add(ordinals, (uint32_t)(next + gap));
            next += gap + 1;
            run->ordinals--;
        }
        advance(run, &cursor);
    }
    return WEIR_OK;
}
