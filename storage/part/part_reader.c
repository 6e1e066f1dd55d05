#include "storage/part/part_reader.h"

#include "base/assert.h"
#include "storage/part/part_internal.h"
#include "storage/part/times.h"

/* A time column's place in its block: offsets in front and rest, two bytes each. */
#define PLACE_BYTES 4

static size_t
aligned(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

size_t
weir_part_reader_footprint(void)
{
    return aligned(sizeof(struct weir_part_reader)) +
        WEIR_PART_KINDS * aligned(weir_block_opener_footprint());
}

struct weir_part_reader *
weir_part_reader_init(void *memory, struct weir_io *io)
{
    struct weir_part_reader *reader = memory;
    uint8_t *at = (uint8_t *)memory + aligned(sizeof *reader);
    memset(reader, 0, sizeof *reader);
    reader->io = io;
    for (int kind = 0; kind < WEIR_PART_KINDS; kind++) {
        reader->loaded[kind].opener = weir_block_opener_init(at);
        at += aligned(weir_block_opener_footprint());
    }
    return reader;
}

const struct weir_part_damage *
weir_part_reader_damage(const struct weir_part_reader *reader)
{
    return &reader->damage;
}

uint64_t
weir_part_reader_bytes_read(const struct weir_part_reader *reader)
{
    return reader->bytes_read;
}

static enum weir_err
damaged(const struct weir_part *part, const struct weir_part_block *block)
{
    return weir_fail(WEIR_CORRUPT, 0, "part %s: the block of %u bytes at %llu does not check out",
        part->path, block->bytes, (unsigned long long)block->place * WEIR_PART_ALIGN);
}

/* Counts and names a block once. */
static enum weir_err
damage(
    struct weir_part_reader *reader, const struct weir_part *part, struct weir_part_loaded *loaded)
{
    const struct weir_part_block *block = &part->blocks[loaded->index];
    if (!loaded->damaged) {
        loaded->damaged = true;
        reader->damage.blocks++;
        reader->damage.bytes += block->bytes;
        reader->damage.last_at = (uint64_t)block->place * WEIR_PART_ALIGN;
    }
    return damaged(part, block);
}

enum weir_err
weir_part_load(struct weir_part_reader *reader, const struct weir_part *part,
    enum weir_part_kind kind, uint32_t n, struct weir_part_loaded **out)
{
    struct weir_part_loaded *loaded = &reader->loaded[kind - 1];
    uint32_t index = part->indices[kind - 1][n];
    const struct weir_part_block *block = &part->blocks[index];
    *out = loaded;
    if (loaded->file_id == part->footer->file_id && loaded->index == index)
        return loaded->damaged ? damaged(part, block) : WEIR_OK;
    loaded->file_id = 0;
    enum weir_err err = weir_part_read_all(
        reader->io, part, loaded->bytes, block->bytes, (uint64_t)block->place * WEIR_PART_ALIGN);
    if (err != WEIR_OK && err != WEIR_CORRUPT)
        return err;
    reader->bytes_read += block->bytes;
    loaded->file_id = part->footer->file_id;
    loaded->index = index;
    loaded->damaged = false;
    if (err == WEIR_OK &&
        weir_block_open(loaded->opener, loaded->bytes, part->footer->file_id, block, &loaded->view))
        return WEIR_OK;
    return damage(reader, part, loaded);
}

enum weir_err
weir_part_read_directory(struct weir_part_reader *reader, const struct weir_part *part, uint32_t n,
    const struct weir_part_entry **entries, uint32_t *count)
{
    struct weir_part_loaded *loaded;
    WEIR_ASSERT(n < weir_part_directory_count(part));
    enum weir_err err = weir_part_load(reader, part, WEIR_PART_DIRECTORY, n, &loaded);
    if (err != WEIR_OK)
        return err;
    if (!weir_directory_decode(&loaded->view, part->footer, part->counts[WEIR_PART_VALUES - 1],
            &reader->scratch, reader->entries))
        return damage(reader, part, loaded);
    *entries = reader->entries;
    *count = loaded->view.head.count;
    return WEIR_OK;
}

/* Finds an entry's chunk in its block. */
static enum weir_err
find_chunk(struct weir_part_reader *reader, const struct weir_part *part,
    const struct weir_part_entry *entry, struct weir_chunk *out, struct weir_part_loaded **loaded)
{
    enum weir_err err = weir_part_load(reader, part, WEIR_PART_VALUES, entry->block, loaded);
    if (err != WEIR_OK)
        return err;
    const struct weir_block_view *view = &(*loaded)->view;
    uint32_t front = weir_chunk_front_size(entry->codec, entry->count);
    if (entry->front_at + front > view->head.front_raw ||
        entry->rest_at + entry->rest_size > view->head.rest_raw)
        return damage(reader, part, *loaded);
    *out = (struct weir_chunk){.front = view->front + entry->front_at,
        .rest = view->rest + entry->rest_at,
        .rest_size = entry->rest_size,
        .count = entry->count,
        .codec = entry->codec,
        .exponent = entry->exponent};
    return WEIR_OK;
}

enum weir_err
weir_part_read_values(struct weir_part_reader *reader, const struct weir_part *part,
    const struct weir_part_entry *entry, double *values)
{
    struct weir_chunk chunk;
    struct weir_part_loaded *loaded;
    enum weir_err err = find_chunk(reader, part, entry, &chunk, &loaded);
    if (err != WEIR_OK)
        return err;
    return weir_chunk_decode(&chunk, values) ? WEIR_OK : damage(reader, part, loaded);
}

enum weir_err
weir_part_read_decimals(struct weir_part_reader *reader, const struct weir_part *part,
    const struct weir_part_entry *entry, uint64_t *values, int8_t *exponents, uint8_t *kinds)
{
    struct weir_chunk chunk;
    struct weir_part_loaded *loaded;
    enum weir_err err = find_chunk(reader, part, entry, &chunk, &loaded);
    if (err != WEIR_OK)
        return err;
    return weir_chunk_decode_decimals(&chunk, values, exponents, kinds)
        ? WEIR_OK
        : damage(reader, part, loaded);
}

/* The time block that holds a column: the last that begins at or before it. */
static uint32_t
find_times(const struct weir_part *part, uint32_t column)
{
    const uint32_t *indices = part->indices[WEIR_PART_TIMES - 1];
    uint32_t low = 0, high = part->counts[WEIR_PART_TIMES - 1];
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (part->blocks[indices[middle]].first <= column)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool
decode_times(const struct weir_block_view *view, uint32_t column, uint32_t count, int64_t *times_ms)
{
    const struct weir_part_block_head *head = &view->head;
    size_t table = (size_t)head->count * PLACE_BYTES;
    if (column < head->first || column - head->first >= head->count || table > head->rest_raw)
        return false;
    uint16_t place[2];
    const uint8_t *end = view->rest + head->rest_raw - table;
    memcpy(place, end + (size_t)(column - head->first) * PLACE_BYTES, sizeof place);
    if (place[0] > head->front_raw || place[1] > (size_t)(end - view->rest))
        return false;
    struct weir_bytes bytes = {view->rest + place[1], end, false};
    return weir_times_decode(
        &bytes, view->front + place[0], head->front_raw - place[0], count, times_ms);
}

enum weir_err
weir_part_read_times(struct weir_part_reader *reader, const struct weir_part *part,
    const struct weir_part_entry *entry, const int64_t **times_ms)
{
    *times_ms = reader->times_ms;
    if (reader->column_file_id == part->footer->file_id && reader->column == entry->column &&
        reader->column_count == entry->count)
        return WEIR_OK;
    reader->column_file_id = 0;
    struct weir_part_loaded *loaded;
    if (part->counts[WEIR_PART_TIMES - 1] == 0)
        return weir_fail(WEIR_CORRUPT, 0, "part %s has no times", part->path);
    enum weir_err err =
        weir_part_load(reader, part, WEIR_PART_TIMES, find_times(part, entry->column), &loaded);
    if (err != WEIR_OK)
        return err;
    if (!decode_times(&loaded->view, entry->column, entry->count, reader->times_ms))
        return damage(reader, part, loaded);
    reader->column_file_id = part->footer->file_id;
    reader->column = entry->column;
    reader->column_count = entry->count;
    return WEIR_OK;
}
