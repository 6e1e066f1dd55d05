#include "storage/reader.h"

#include "base/event.h"
#include "storage/io/io.h"
#include "storage/log/format.h"
#include "storage/read/catalog.h"
#include "storage/read/parts.h"
#include "storage/read/scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Frames up to this size are read whole; of larger ones the first page and the blocks wanted. */
#define FRAME_SMALL WEIR_BLOCK_BYTES_MAX
/* Header and index of a full batch. */
#define INDEX_BYTES WEIR_FRAME_ALIGN
_Static_assert(sizeof(struct weir_frame_header) +
            WEIR_BATCH_SAMPLES_MAX / WEIR_BLOCK_SAMPLES * sizeof(struct weir_frame_block) <=
        INDEX_BYTES,
    "a full batch's index fits the first page");

struct weir_reader {
    struct weir_catalog catalog;
    struct weir_read_parts *parts; /* NULL without a store */
    uint64_t corrupt;              /* blocks and frames met by scans */
    uint64_t corrupt_at;           /* frame of the first of them in this scan */
    uint64_t corrupt_before;       /* this scan */
    weir_reader_check_fn *check;   /* of scans; may be NULL */
    void *check_context;
    struct weir_sample samples[WEIR_BLOCK_SAMPLES];
    alignas(8) uint8_t first[FRAME_SMALL]; /* a small frame, or the first page of a large one */
    uint8_t block[WEIR_BLOCK_BYTES_MAX];
};

enum weir_err
weir_reader_open(const char *directory, struct weir_shared *shared, struct weir_reader **out)
{
    struct weir_reader_options options = {.directory = directory, .shared = shared};
    return weir_reader_open_with(&options, out);
}

enum weir_err
weir_reader_open_with(const struct weir_reader_options *options, struct weir_reader **out)
{
    struct weir_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        weir_io_free(options->io);
        return weir_fail(WEIR_NOMEM, 0, "reader");
    }
    struct weir_reader_options own = *options;
    struct weir_io_options real = {.backend = WEIR_IO_SYNC};
    enum weir_err err = WEIR_OK;
    if (own.io == NULL)
        err = weir_io_new(&real, &own.io);
    if (err == WEIR_OK)
        err = weir_catalog_open(&reader->catalog, &own);
    if (err == WEIR_OK && own.store != NULL)
        err = weir_read_parts_open(own.store, own.io, &reader->parts);
    if (err == WEIR_OK)
        err = weir_reader_refresh(reader);
    if (err != WEIR_OK) {
        weir_reader_close(reader);
        return err;
    }
    *out = reader;
    return WEIR_OK;
}

void
weir_reader_close(struct weir_reader *reader)
{
    if (reader->parts != NULL)
        weir_read_parts_close(reader->parts); /* before the catalog, which frees the io */
    weir_catalog_close(&reader->catalog);
    free(reader);
}

static enum weir_err
refresh_parts(struct weir_reader *reader)
{
    const struct weir_shared *shared = reader->catalog.shared;
    if (reader->parts == NULL)
        return WEIR_OK;
    /* acquire pairs with the release in publish (storage/keeper/keeper.c): the manifest is there */
    uint64_t generation = shared == NULL
        ? 0
        : atomic_load_explicit(&shared->keeper.generation, memory_order_acquire);
    return weir_read_parts_refresh(reader->parts, generation);
}

enum weir_err
weir_reader_refresh(struct weir_reader *reader)
{
    enum weir_err err = refresh_parts(reader);
    if (err == WEIR_OK)
        err = weir_catalog_refresh(&reader->catalog);
    /* once more, because frames that the catalog has dropped just now may have become parts */
    return err == WEIR_OK ? refresh_parts(reader) : err;
}

uint64_t
weir_reader_series_count(const struct weir_reader *reader)
{
    return reader->catalog.defined;
}

uint64_t
weir_reader_frames(const struct weir_reader *reader)
{
    return reader->catalog.entry_count;
}

uint64_t
weir_reader_durable_offset(const struct weir_reader *reader)
{
    return reader->catalog.at;
}

uint64_t
weir_reader_blocks_corrupt(const struct weir_reader *reader)
{
    uint64_t parts = reader->parts != NULL ? weir_read_parts_corrupt(reader->parts) : 0;
    return reader->corrupt + reader->catalog.corrupt + parts;
}

uint64_t
weir_reader_gaps(const struct weir_reader *reader)
{
    return reader->catalog.corrupt;
}

void
weir_reader_labels(
    const struct weir_reader *reader, uint64_t number, const uint8_t **labels, size_t *size)
{
    weir_label_index_labels(reader->catalog.labels, number, labels, size);
}

enum weir_err
weir_reader_select(struct weir_reader *reader, const struct weir_match *matches, size_t count,
    uint64_t **numbers, size_t *number_count)
{
    return weir_label_index_select(reader->catalog.labels, matches, count, numbers, number_count);
}

/* Samples and numbers both ascend: one walk over both. */
static enum weir_err
scan_samples(
    const struct weir_read_scan *scan, const struct weir_sample *samples, size_t count, size_t at)
{
    bool all = scan->numbers == NULL;
    for (size_t i = 0; i < count && (all || at < scan->number_count); i++) {
        uint64_t series = weir_sample_series(&samples[i]);
        if (all)
            at = series;
        while (!all && at < scan->number_count && scan->numbers[at] < series)
            at++;
        if (!all && (at == scan->number_count || scan->numbers[at] != series))
            continue;
        if (samples[i].time_ms < scan->from_ms || samples[i].time_ms >= scan->to_ms)
            continue;
        enum weir_err err = scan->call(scan->context, scan->places != NULL ? scan->places[at] : at,
            samples[i].time_ms, weir_sample_double(&samples[i]));
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* Damage is the frame's or block's alone; other errors end the scan. */
static bool
is_damage(enum weir_err err)
{
    return err == WEIR_CORRUPT || err == WEIR_UNSUPPORTED;
}

/* Counts a block or frame that the scan skips; not one that was trimmed since it was listed: its
 * bytes may be another frame's by now. */
static void
skip(struct weir_reader *reader, const struct weir_catalog_entry *entry)
{
    if (weir_catalog_trimmed(&reader->catalog, entry->offset))
        return;
    if (reader->corrupt++ == reader->corrupt_before)
        reader->corrupt_at = entry->offset;
}

static enum weir_err
read_index(struct weir_reader *reader, const struct weir_catalog_entry *entry,
    const struct weir_frame_block **blocks, size_t *count)
{
    size_t bytes = entry->bytes <= FRAME_SMALL ? entry->bytes : INDEX_BYTES;
    enum weir_err err = weir_catalog_read(&reader->catalog, entry, 0, reader->first, bytes);
    struct weir_frame_header header;
    if (err == WEIR_OK) {
        memcpy(&header, reader->first, sizeof header);
        err = weir_frame_check_header(&header, WEIR_LOG_STREAM, entry->offset);
    }
    if (err == WEIR_OK && header.bytes != entry->bytes)
        err = weir_fail(WEIR_CORRUPT, 0, "frame changed its size");
    return err == WEIR_OK ? weir_frame_index(reader->first, bytes, blocks, count) : err;
}

/* The frame's index; none, counted, if it is damaged. The ring may hold other bytes by now (it was
 * rebuilt under the reader): then the file, which has the last word, is read. */
static enum weir_err
load_index(struct weir_reader *reader, struct weir_catalog_entry *entry,
    const struct weir_frame_block **blocks, size_t *count)
{
    enum weir_err err = read_index(reader, entry, blocks, count);
    if (is_damage(err) && entry->place != WEIR_PLACE_NONE) {
        entry->place = WEIR_PLACE_NONE;
        err = read_index(reader, entry, blocks, count);
    }
    if (!is_damage(err))
        return err;
    skip(reader, entry);
    *count = 0;
    return WEIR_OK;
}

static enum weir_err
read_block(struct weir_reader *reader, const struct weir_catalog_entry *entry,
    const struct weir_frame_block *block, size_t *count)
{
    enum weir_err err =
        weir_catalog_read(&reader->catalog, entry, block->at, reader->block, block->bytes);
    return err == WEIR_OK ? weir_frame_decode_bytes(WEIR_LOG_STREAM, entry->offset, block,
                                reader->block, reader->samples, count)
                          : err;
}

/* The samples of a block of the frame whose index is loaded; as load_index. */
static enum weir_err
load_block(struct weir_reader *reader, struct weir_catalog_entry *entry,
    const struct weir_frame_block *block, size_t *count)
{
    enum weir_err err = entry->bytes <= FRAME_SMALL
        ? weir_frame_decode_block(reader->first, entry->bytes, block, reader->samples, count)
        : read_block(reader, entry, block, count);
    if (is_damage(err) && entry->place != WEIR_PLACE_NONE) {
        entry->place = WEIR_PLACE_NONE;
        err = read_block(reader, entry, block, count);
    }
    if (!is_damage(err))
        return err;
    skip(reader, entry);
    *count = 0;
    return WEIR_OK;
}

static enum weir_err
scan_frame(
    struct weir_reader *reader, const struct weir_read_scan *scan, struct weir_catalog_entry *entry)
{
    const struct weir_frame_block *blocks = NULL;
    size_t block_count = 0;
    enum weir_err err = load_index(reader, entry, &blocks, &block_count);
    for (size_t i = 0; err == WEIR_OK && i < block_count; i++) {
        if (blocks[i].time_max_ms < scan->from_ms || blocks[i].time_min_ms >= scan->to_ms)
            continue;
        size_t at = 0;
        if (scan->numbers != NULL)
            at = weir_scan_lower_bound(scan->numbers, scan->number_count, blocks[i].series_first);
        if (scan->numbers != NULL &&
            (at == scan->number_count || scan->numbers[at] > blocks[i].series_last))
            continue;
        size_t count = 0;
        err = load_block(reader, entry, &blocks[i], &count);
        if (err == WEIR_OK)
            err = scan_samples(scan, reader->samples, count, at);
    }
    return err;
}

void
weir_reader_set_check(struct weir_reader *reader, weir_reader_check_fn *check, void *context)
{
    reader->check = check;
    reader->check_context = context;
}

/* A number of a scan, and its place in the caller's list. */
struct selected {
    uint64_t number;
    size_t place;
};

static int
by_number(const void *left, const void *right)
{
    const struct selected *a = left;
    const struct selected *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* The later numbers of the selected series, under the places of the first. */
static size_t
find_aliases(const struct weir_aliases *aliases, const struct weir_read_scan *scan,
    struct selected *out)
{
    size_t count = 0;
    for (size_t i = 0; i < aliases->count; i++) {
        size_t at =
            weir_scan_lower_bound(scan->numbers, scan->number_count, aliases->list[i].first);
        if (at < scan->number_count && scan->numbers[at] == aliases->list[i].first)
            out[count++] = (struct selected){aliases->list[i].number, at};
    }
    return count;
}

/* The scan's list with the later numbers of its series in it. *memory holds it, for the caller to
 * free. */
static enum weir_err
add_aliases(const struct weir_aliases *aliases, struct weir_read_scan *scan, void **memory)
{
    size_t most = scan->number_count + aliases->count;
    struct selected *all = malloc(most * (sizeof *all + sizeof(uint64_t) + sizeof(size_t)));
    if (all == NULL)
        return weir_fail(WEIR_NOMEM, 0, "scan of %zu numbers", most);
    *memory = all;
    size_t count = find_aliases(aliases, scan, all);
    if (count == 0)
        return WEIR_OK;
    for (size_t i = 0; i < scan->number_count; i++)
        all[count++] = (struct selected){scan->numbers[i], i};
    qsort(all, count, sizeof *all, by_number);
    uint64_t *numbers = (uint64_t *)(all + most);
    size_t *places = (size_t *)(numbers + most);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = all[i].number;
        places[i] = all[i].place;
    }
    scan->numbers = numbers;
    scan->places = places;
    scan->number_count = count;
    return WEIR_OK;
}

/* Was a frame trimmed since the refresh because its samples are in parts, which the reader does not
 * know yet? */
static bool
moved_to_parts(const struct weir_reader *reader, const struct weir_catalog_entry *entry)
{
    /* acquire pairs with the release in publish (storage/keeper/keeper.c) */
    return reader->parts != NULL && reader->catalog.shared != NULL &&
        atomic_load_explicit(&reader->catalog.shared->keeper.offset, memory_order_acquire) >
        entry->offset;
}

static enum weir_err
scan_frames(struct weir_reader *reader, const struct weir_read_scan *scan)
{
    uint64_t merged = reader->parts != NULL ? weir_read_parts_offset(reader->parts) : 0;
    enum weir_err err = WEIR_OK;
    for (uint64_t i = 0; i < reader->catalog.entry_count && err == WEIR_OK; i++) {
        struct weir_catalog_entry *entry = &reader->catalog.entries[i];
        if (entry->offset < merged || entry->time_max_ms < scan->from_ms ||
            entry->time_min_ms >= scan->to_ms)
            continue;
        if (weir_catalog_trimmed(&reader->catalog, entry->offset)) {
            if (moved_to_parts(reader, entry))
                return weir_fail(WEIR_AGAIN, 0, "the log moved on under the scan; ask again");
            continue;
        }
        if (reader->check != NULL)
            err = reader->check(reader->check_context);
        if (err == WEIR_OK)
            err = scan_frame(reader, scan, entry);
    }
    return err;
}

enum weir_err
weir_reader_scan(struct weir_reader *reader, const uint64_t *numbers, size_t number_count,
    int64_t from_ms, int64_t to_ms, weir_reader_sample_fn *call, void *context)
{
    struct weir_read_scan scan = {.numbers = numbers,
        .number_count = number_count,
        .from_ms = from_ms,
        .to_ms = to_ms,
        .call = call,
        .context = context};
    const struct weir_aliases *aliases =
        reader->catalog.labels != NULL ? weir_label_index_aliases(reader->catalog.labels) : NULL;
    void *memory = NULL;
    enum weir_err err = WEIR_OK;
    reader->corrupt_before = reader->corrupt;
    if (numbers != NULL && number_count != 0 && aliases != NULL && aliases->count != 0)
        err = add_aliases(aliases, &scan, &memory);
    bool any = numbers == NULL || number_count > 0;
    if (err == WEIR_OK && any && reader->parts != NULL)
        err = weir_read_parts_scan(reader->parts, &scan, reader->check, reader->check_context);
    if (err == WEIR_OK && any)
        err = scan_frames(reader, &scan);
    free(memory);
    if (reader->corrupt != reader->corrupt_before)
        weir_event(WEIR_LEVEL_WARN, "blocks_skipped", "first_offset=%" PRIu64 " blocks=%" PRIu64,
            reader->corrupt_at, reader->corrupt - reader->corrupt_before);
    return err;
}
