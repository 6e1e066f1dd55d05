#include "storage/part/part_reader.h"

#include "base/assert.h"
#include "base/event.h"
#include "storage/part/directory.h"
#include "storage/part/footer.h"
#include "storage/part/times.h"

#include <stdlib.h>

#define KINDS 3 /* of blocks; enum weir_part_kind less one */
/* A time column's place in its block: offsets in front and rest, two bytes each. */
#define PLACE_BYTES 4

struct weir_part {
    weir_io_file file;
    unsigned ends;      /* enum weir_part_end: damaged ones */
    uint64_t footer_at; /* of the first footer */
    uint32_t footer_size;
    uint8_t *footer_bytes; /* as in the file; checked */
    const struct weir_part_footer *footer;
    const struct weir_part_block *blocks;
    uint32_t counts[KINDS];
    uint32_t *indices[KINDS]; /* of the blocks of each kind, in order */
    char path[];
};

/* The last block of a kind that was read. */
struct loaded {
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
    struct loaded loaded[KINDS];
};

/* Reads size bytes that must be there. */
static enum weir_err
read_all(struct weir_io *io, const struct weir_part *part, void *out, size_t size, uint64_t at)
{
    enum weir_err err = weir_io_read(io, part->file, out, size, at);
    if (err == WEIR_END)
        return weir_fail(WEIR_CORRUPT, 0, "part %s ends before %llu", part->path,
            (unsigned long long)(at + size));
    return err;
}

/* Reads one of the two footers into part->footer_bytes. */
static enum weir_err
read_footer(struct weir_io *io, struct weir_part *part, const struct weir_part_head *head, int copy)
{
    uint64_t at = head->footer_at + (uint64_t)copy * head->footer_bytes;
    enum weir_err err = read_all(io, part, part->footer_bytes, head->footer_bytes, at);
    if (err == WEIR_OK)
        err = weir_part_footer_check(part->footer_bytes, head->footer_bytes, head->file_id, at);
    if (err == WEIR_CORRUPT)
        part->ends |= copy == 0 ? WEIR_PART_FIRST_FOOTER_DAMAGED : WEIR_PART_SECOND_FOOTER_DAMAGED;
    return err;
}

/* What the head says, from the trailer at the end of the file. */
static enum weir_err
read_trailer(struct weir_io *io, const struct weir_part *part, uint64_t file_size,
    struct weir_part_head *out)
{
    struct weir_part_trailer trailer;
    if (file_size < sizeof trailer)
        return weir_fail(WEIR_CORRUPT, 0, "%llu bytes", (unsigned long long)file_size);
    enum weir_err err = read_all(io, part, &trailer, sizeof trailer, file_size - sizeof trailer);
    if (err != WEIR_OK)
        return err;
    if (!weir_part_trailer_check(&trailer, file_size))
        return weir_fail(WEIR_CORRUPT, 0, "neither head nor last footer check out");
    *out = (struct weir_part_head){.file_id = trailer.file_id,
        .footer_at = trailer.at - trailer.bytes,
        .footer_bytes = trailer.bytes};
    return WEIR_OK;
}

/* Finds the footers by the head, or by the trailer at the end where the head is damaged. */
static enum weir_err
find_footers(
    struct weir_io *io, struct weir_part *part, uint64_t file_size, struct weir_part_head *out)
{
    uint8_t bytes[WEIR_PART_HEAD_BYTES];
    enum weir_err err = read_all(io, part, bytes, sizeof bytes, 0);
    if (err == WEIR_OK)
        err = weir_part_head_check(bytes, out);
    if (err == WEIR_CORRUPT) {
        part->ends |= WEIR_PART_HEAD_DAMAGED;
        err = read_trailer(io, part, file_size, out);
    }
    if (err == WEIR_OK &&
        (out->footer_bytes > file_size || out->footer_at > file_size ||
            out->footer_at % WEIR_PART_ALIGN != 0 || out->file_id == 0))
        return weir_fail(WEIR_CORRUPT, 0, "its head points outside of the file");
    return err;
}

static enum weir_err
load_footer(struct weir_io *io, struct weir_part *part)
{
    uint64_t file_size;
    struct weir_part_head head;
    enum weir_err err = weir_io_size(io, part->file, &file_size);
    if (err == WEIR_OK)
        err = find_footers(io, part, file_size, &head);
    if (err != WEIR_OK)
        return err;
    part->footer_bytes = malloc(head.footer_bytes);
    if (part->footer_bytes == NULL)
        return weir_fail(WEIR_NOMEM, 0, "footer of %u bytes", head.footer_bytes);
    part->footer_at = head.footer_at;
    part->footer_size = head.footer_bytes;
    err = read_footer(io, part, &head, 0);
    if (err == WEIR_CORRUPT)
        err = read_footer(io, part, &head, 1);
    if (err != WEIR_OK)
        return err;
    part->footer = (const struct weir_part_footer *)(const void *)part->footer_bytes;
    part->blocks = (const struct weir_part_block *)(const void *)(part->footer + 1);
    return WEIR_OK;
}

static enum weir_err
index_blocks(struct weir_part *part)
{
    uint32_t count = part->footer->block_count;
    for (uint32_t i = 0; i < count; i++)
        part->counts[part->blocks[i].kind - 1]++;
    for (int kind = 0; kind < KINDS; kind++) {
        part->indices[kind] = malloc((part->counts[kind] + 1) * sizeof **part->indices);
        if (part->indices[kind] == NULL)
            return weir_fail(WEIR_NOMEM, 0, "index of %u blocks", part->counts[kind]);
        uint32_t found = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (part->blocks[i].kind == (uint32_t)kind + 1)
                part->indices[kind][found++] = i;
        }
    }
    return WEIR_OK;
}

enum weir_err
weir_part_open(struct weir_io *io, const char *path, struct weir_part **out)
{
    size_t size = strlen(path) + 1;
    struct weir_part *part = calloc(1, sizeof *part + size);
    if (part == NULL)
        return weir_fail(WEIR_NOMEM, 0, "part %s", path);
    memcpy(part->path, path, size);
    enum weir_err err = weir_io_open(io, path, WEIR_IO_READ, &part->file);
    if (err != WEIR_OK) {
        free(part);
        return err;
    }
    err = load_footer(io, part);
    if (err == WEIR_OK)
        err = index_blocks(part);
    if (part->ends != 0)
        weir_event(WEIR_LEVEL_ERROR, "part_ends_damaged", "file=%s head=%d footers=%d", path,
            (part->ends & WEIR_PART_HEAD_DAMAGED) != 0,
            __builtin_popcount(part->ends & ~(unsigned)WEIR_PART_HEAD_DAMAGED));
    if (err != WEIR_OK) {
        weir_part_close(io, part);
        return weir_err_prefix(err, path);
    }
    *out = part;
    return WEIR_OK;
}

void
weir_part_close(struct weir_io *io, struct weir_part *part)
{
    if (part == NULL)
        return;
    weir_io_close(io, part->file);
    for (int kind = 0; kind < KINDS; kind++)
        free(part->indices[kind]);
    free(part->footer_bytes);
    free(part);
}

const struct weir_part_footer *
weir_part_footer(const struct weir_part *part)
{
    return part->footer;
}

const struct weir_part_block *
weir_part_blocks(const struct weir_part *part)
{
    return part->blocks;
}

const char *
weir_part_path(const struct weir_part *part)
{
    return part->path;
}

unsigned
weir_part_ends_damaged(const struct weir_part *part)
{
    return part->ends;
}

uint32_t
weir_part_directory_count(const struct weir_part *part)
{
    return part->counts[WEIR_PART_DIRECTORY - 1];
}

uint32_t
weir_part_directory_block(const struct weir_part *part, uint32_t n)
{
    return part->indices[WEIR_PART_DIRECTORY - 1][n];
}

static size_t
aligned(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

size_t
weir_part_reader_footprint(void)
{
    return aligned(sizeof(struct weir_part_reader)) +
        KINDS * aligned(weir_block_opener_footprint());
}

struct weir_part_reader *
weir_part_reader_init(void *memory, struct weir_io *io)
{
    struct weir_part_reader *reader = memory;
    uint8_t *at = (uint8_t *)memory + aligned(sizeof *reader);
    memset(reader, 0, sizeof *reader);
    reader->io = io;
    for (int kind = 0; kind < KINDS; kind++) {
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
damage(struct weir_part_reader *reader, const struct weir_part *part, struct loaded *loaded)
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

/* Reads number n of the blocks of a kind, unless it is the one at hand. */
static enum weir_err
load(struct weir_part_reader *reader, const struct weir_part *part, enum weir_part_kind kind,
    uint32_t n, struct loaded **out)
{
    struct loaded *loaded = &reader->loaded[kind - 1];
    uint32_t index = part->indices[kind - 1][n];
    const struct weir_part_block *block = &part->blocks[index];
    *out = loaded;
    if (loaded->file_id == part->footer->file_id && loaded->index == index)
        return loaded->damaged ? damaged(part, block) : WEIR_OK;
    loaded->file_id = 0;
    enum weir_err err = read_all(
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
    struct loaded *loaded;
    WEIR_ASSERT(n < weir_part_directory_count(part));
    enum weir_err err = load(reader, part, WEIR_PART_DIRECTORY, n, &loaded);
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
    const struct weir_part_entry *entry, struct weir_chunk *out, struct loaded **loaded)
{
    enum weir_err err = load(reader, part, WEIR_PART_VALUES, entry->block, loaded);
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
    struct loaded *loaded;
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
    struct loaded *loaded;
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
    struct loaded *loaded;
    if (part->counts[WEIR_PART_TIMES - 1] == 0)
        return weir_fail(WEIR_CORRUPT, 0, "part %s has no times", part->path);
    enum weir_err err =
        load(reader, part, WEIR_PART_TIMES, find_times(part, entry->column), &loaded);
    if (err != WEIR_OK)
        return err;
    if (!decode_times(&loaded->view, entry->column, entry->count, reader->times_ms))
        return damage(reader, part, loaded);
    reader->column_file_id = part->footer->file_id;
    reader->column = entry->column;
    reader->column_count = entry->count;
    return WEIR_OK;
}

/* Compares a footer in the file with the one that was checked; they differ in their trailers. */
static enum weir_err
check_footer(struct weir_part_reader *reader, const struct weir_part *part, uint64_t at)
{
    uint8_t *bytes = reader->loaded[WEIR_PART_DIRECTORY - 1].bytes;
    size_t body = part->footer_size - sizeof(struct weir_part_trailer);
    struct weir_part_trailer trailer =
        weir_part_trailer_of(part->footer_bytes, part->footer_size, part->footer->file_id, at);
    reader->loaded[WEIR_PART_DIRECTORY - 1].file_id = 0;
    for (size_t done = 0; done < part->footer_size;) {
        bool is_body = done < body;
        size_t size = is_body ? body - done : sizeof trailer;
        size = size < WEIR_PART_BLOCK_MAX ? size : WEIR_PART_BLOCK_MAX;
        enum weir_err err = read_all(reader->io, part, bytes, size, at + done);
        if (err != WEIR_OK)
            return err;
        const void *expected = is_body ? (const void *)(part->footer_bytes + done) : &trailer;
        if (memcmp(bytes, expected, size) != 0)
            return WEIR_CORRUPT;
        done += size;
    }
    return WEIR_OK;
}

static enum weir_err
check_ends(struct weir_part_reader *reader, const struct weir_part *part, unsigned *ends)
{
    struct weir_part_head head;
    uint8_t *bytes = reader->loaded[WEIR_PART_DIRECTORY - 1].bytes;
    reader->loaded[WEIR_PART_DIRECTORY - 1].file_id = 0;
    *ends = 0;
    enum weir_err err = read_all(reader->io, part, bytes, WEIR_PART_HEAD_BYTES, 0);
    if (err == WEIR_OK)
        err = weir_part_head_check(bytes, &head);
    if (err == WEIR_CORRUPT)
        *ends |= WEIR_PART_HEAD_DAMAGED;
    for (unsigned copy = 0; copy < 2 && (err == WEIR_OK || err == WEIR_CORRUPT); copy++) {
        err = check_footer(reader, part, part->footer_at + copy * part->footer_size);
        if (err == WEIR_CORRUPT)
            *ends |= copy == 0 ? WEIR_PART_FIRST_FOOTER_DAMAGED : WEIR_PART_SECOND_FOOTER_DAMAGED;
    }
    return err == WEIR_CORRUPT ? WEIR_OK : err;
}

/* All values of the entries of a directory block. */
static enum weir_err
check_values(struct weir_part_reader *reader, const struct weir_part *part, uint32_t n)
{
    const struct weir_part_entry *entries;
    uint32_t count;
    enum weir_err err = weir_part_read_directory(reader, part, n, &entries, &count);
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        /* the times' room is free: a column of doubles fits */
        err = weir_part_read_values(reader, part, &entries[i], (double *)(void *)reader->times_ms);
        reader->column_file_id = 0;
        if (err == WEIR_CORRUPT)
            err = WEIR_OK;
    }
    return err;
}

enum weir_err
weir_part_check(struct weir_part_reader *reader, const struct weir_part *part, unsigned *ends)
{
    uint64_t before = reader->damage.blocks;
    enum weir_err err = check_ends(reader, part, ends);
    for (uint32_t n = 0; n < weir_part_directory_count(part) && err == WEIR_OK; n++) {
        err = check_values(reader, part, n);
        if (err == WEIR_CORRUPT)
            err = WEIR_OK;
    }
    for (int kind = WEIR_PART_VALUES; kind <= WEIR_PART_TIMES; kind++) {
        for (uint32_t n = 0; n < part->counts[kind - 1] && err == WEIR_OK; n++) {
            struct loaded *loaded;
            err = load(reader, part, (enum weir_part_kind)kind, n, &loaded);
            if (err == WEIR_CORRUPT)
                err = WEIR_OK;
        }
    }
    if (err != WEIR_OK)
        return err;
    if (*ends == 0 && reader->damage.blocks == before)
        return WEIR_OK;
    return weir_fail(WEIR_CORRUPT, 0, "part %s has damage", part->path);
}
