#include "storage/reader.h"

#include "base/event.h"
#include "base/shared.h"
#include "storage/frame.h"
#include "storage/frame_ring.h"
#include "storage/label_index.h"
#include "storage/log.h"
#include "storage/segment_reader.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_NONE UINT64_MAX

/* What the catalog keeps of a frame. */
struct entry {
    uint64_t offset;
    uint64_t place;      /* in the frame ring, or FRAME_NONE */
    uint64_t ring_epoch; /* dataplane epoch whose ring that is */
    int64_t time_min_ms;
    int64_t time_max_ms;
    uint32_t bytes;
    uint32_t samples;
};

struct weir_reader {
    char directory[PATH_MAX];
    struct weir_shared *shared;
    struct weir_io *io;
    struct weir_segment_reader files;
    bool files_open;
    struct weir_label_index *labels;
    struct entry *entries; /* by offset */
    uint64_t entry_count;
    uint64_t entry_capacity;
    uint64_t at;           /* stream offset up to which the catalog is complete */
    uint32_t previous_crc; /* of the last header taken */
    uint64_t step;         /* bytes of the last frame walked over */
    uint64_t ring_epoch;   /* dataplane epoch that ring_next belongs to */
    uint64_t ring_next;    /* next descriptor to take */
    uint64_t corrupt;
    weir_reader_check_fn *check; /* of scans; may be NULL */
    void *check_context;
    uint8_t *frame;        /* scratch for a frame from the ring */
    size_t frame_capacity;
};

enum weir_err
weir_reader_open(const char *directory, struct weir_shared *shared, struct weir_reader **out)
{
    struct weir_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return weir_fail(WEIR_NOMEM, 0, "reader");
    snprintf(reader->directory, sizeof reader->directory, "%s", directory);
    reader->shared = shared;
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    enum weir_err err = weir_io_new(&options, &reader->io);
    if (err == WEIR_OK)
        err = weir_label_index_new(&reader->labels);
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
    if (reader->files_open)
        weir_segment_reader_close(&reader->files);
    if (reader->labels != NULL)
        weir_label_index_free(reader->labels);
    if (reader->io != NULL)
        weir_io_free(reader->io);
    free(reader->entries);
    free(reader->frame);
    free(reader);
}

uint64_t
weir_reader_series_count(const struct weir_reader *reader)
{
    return weir_label_index_count(reader->labels);
}

uint64_t
weir_reader_frames(const struct weir_reader *reader)
{
    return reader->entry_count;
}

uint64_t
weir_reader_durable_offset(const struct weir_reader *reader)
{
    return reader->at;
}

uint64_t
weir_reader_blocks_corrupt(const struct weir_reader *reader)
{
    return reader->corrupt;
}

void
weir_reader_labels(const struct weir_reader *reader, uint64_t number, const uint8_t **labels,
    size_t *size)
{
    weir_label_index_labels(reader->labels, number, labels, size);
}

enum weir_err
weir_reader_select(struct weir_reader *reader, const struct weir_match *matches, size_t count,
    uint64_t **numbers, size_t *number_count)
{
    return weir_label_index_select(reader->labels, matches, count, numbers, number_count);
}

static enum weir_err
entry_add(struct weir_reader *reader, const struct entry *entry)
{
    if (reader->entry_count == reader->entry_capacity) {
        uint64_t capacity = reader->entry_capacity == 0 ? 1024 : reader->entry_capacity * 2;
        struct entry *grown = realloc(reader->entries, capacity * sizeof *grown);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "catalog of %" PRIu64 " frames", capacity);
        reader->entries = grown;
        reader->entry_capacity = capacity;
    }
    reader->entries[reader->entry_count++] = *entry;
    return WEIR_OK;
}

/* Adds the definitions of one frame. Numbers ascend without gap over the log; what is known
 * already (a definition seen before a gap was walked again) is passed over. */
static enum weir_err
take_definitions(struct weir_reader *reader, const uint8_t *frame, size_t bytes)
{
    const uint8_t *list;
    size_t size;
    struct weir_frame_header header;
    enum weir_err err = weir_frame_definitions(frame, bytes, &list, &size);
    if (err != WEIR_OK)
        return err;
    memcpy(&header, frame, sizeof header);
    uint64_t number = header.definition_first;
    size_t at = 0;
    const uint8_t *labels;
    size_t labels_size;
    while ((err = weir_definition_next(list, size, &at, &labels, &labels_size)) == WEIR_OK) {
        /* a frame lost to damage leaves a hole: its numbers are kept, without labels */
        while (weir_label_index_count(reader->labels) < number && err == WEIR_OK)
            err = weir_label_index_add(reader->labels, NULL, 0);
        if (err == WEIR_OK && weir_label_index_count(reader->labels) == number)
            err = weir_label_index_add(reader->labels, labels, labels_size);
        if (err != WEIR_OK && err != WEIR_CORRUPT)
            return err;
        number++;
    }
    return err == WEIR_END ? WEIR_OK : err;
}

static uint64_t
durable_of(const struct weir_reader *reader)
{
    if (reader->shared == NULL)
        return UINT64_MAX;
    /* acquire pairs with the writer's release: bytes below it are in the files */
    return atomic_load_explicit(&reader->shared->durable_offset, memory_order_acquire);
}

/* Opens the files again where the list of segments has grown past what was seen. */
static enum weir_err
files_cover(struct weir_reader *reader, uint64_t offset)
{
    if (reader->files_open && offset < weir_segment_reader_end(&reader->files))
        return WEIR_OK;
    if (reader->files_open)
        weir_segment_reader_close(&reader->files);
    uint64_t segment_bytes = 0;
    enum weir_err err = weir_segment_reader_open(&reader->files, reader->io, reader->directory,
        &segment_bytes);
    reader->files_open = err == WEIR_OK;
    if (err == WEIR_NOT_FOUND)
        return WEIR_END;
    if (err != WEIR_OK)
        return err;
    if (reader->at < weir_segment_reader_start(&reader->files))
        reader->at = weir_segment_reader_start(&reader->files);
    return offset < weir_segment_reader_end(&reader->files) ? WEIR_OK : WEIR_END;
}

/* Takes the frame at reader->at from the files. WEIR_END where there is none (yet); a damaged
 * place below the durable offset is passed over page by page. */
static enum weir_err
walk_one(struct weir_reader *reader, uint64_t durable)
{
    enum weir_err err = files_cover(reader, reader->at);
    if (err != WEIR_OK)
        return err;
    const uint8_t *page;
    err = weir_segment_reader_page(&reader->files, reader->at, reader->step, &page);
    if (err != WEIR_OK)
        return err;
    struct weir_frame_header header;
    memcpy(&header, page, sizeof header);
    err = weir_frame_check_header(&header, WEIR_LOG_STREAM, reader->at);
    bool chained = err == WEIR_OK && header.previous_crc == reader->previous_crc;
    if (reader->shared == NULL && !chained)
        return WEIR_END;
    if (err != WEIR_OK) {
        reader->at += WEIR_FRAME_ALIGN;
        reader->step = WEIR_FRAME_ALIGN;
        reader->corrupt++;
        return WEIR_OK;
    }
    if (header.bytes > durable - reader->at && durable != UINT64_MAX)
        return weir_fail(WEIR_CORRUPT, 0, "frame at %" PRIu64 " runs past the durable offset",
            reader->at);
    struct entry entry = {.offset = header.offset,
        .place = FRAME_NONE,
        .time_min_ms = header.time_min_ms,
        .time_max_ms = header.time_max_ms,
        .bytes = (uint32_t)header.bytes,
        .samples = header.sample_count};
    if (header.definition_count > 0) {
        const uint8_t *frame;
        err = weir_segment_reader_frame(&reader->files, header.offset, header.bytes, &frame);
        if (err == WEIR_OK)
            err = take_definitions(reader, frame, header.bytes);
        if (err == WEIR_CORRUPT)
            reader->corrupt++;
        else if (err != WEIR_OK)
            return err;
    }
    reader->at += header.bytes;
    reader->step = header.bytes;
    reader->previous_crc = header.header_crc;
    return header.type == WEIR_FRAME_SAMPLES && header.sample_count > 0
               ? entry_add(reader, &entry)
               : WEIR_OK;
}

static enum weir_err
walk_files(struct weir_reader *reader, uint64_t until)
{
    enum weir_err err = WEIR_OK;
    while (reader->at < until && err == WEIR_OK)
        err = walk_one(reader, until);
    return err == WEIR_END ? WEIR_OK : err;
}

static enum weir_err
scratch(struct weir_reader *reader, size_t bytes)
{
    if (bytes <= reader->frame_capacity)
        return WEIR_OK;
    uint8_t *grown = realloc(reader->frame, bytes);
    if (grown == NULL)
        return weir_fail(WEIR_NOMEM, 0, "frame of %zu bytes", bytes);
    reader->frame = grown;
    reader->frame_capacity = bytes;
    return WEIR_OK;
}

/* Copies a frame of the ring into the scratch and checks its header against the descriptor. */
static enum weir_err
ring_copy(struct weir_reader *reader, const struct weir_frame_descriptor *descriptor)
{
    const struct weir_frame_ring *ring = weir_shared_frame_ring(reader->shared);
    if (descriptor->bytes < sizeof(struct weir_frame_header) ||
        descriptor->bytes > reader->shared->frame_ring_bytes)
        return WEIR_NOT_FOUND;
    enum weir_err err = scratch(reader, descriptor->bytes);
    if (err == WEIR_OK)
        err = weir_frame_ring_copy(ring, descriptor, reader->frame);
    if (err != WEIR_OK)
        return err;
    struct weir_frame_header header;
    memcpy(&header, reader->frame, sizeof header);
    if (weir_frame_check_header(&header, WEIR_LOG_STREAM, descriptor->offset) != WEIR_OK ||
        header.bytes != descriptor->bytes)
        return WEIR_NOT_FOUND;
    return WEIR_OK;
}

/* Takes the next frame from its descriptor, and from the files what lies before it (seals, and
 * frames whose descriptors were overwritten). */
static enum weir_err
take_descriptor(struct weir_reader *reader, const struct weir_frame_descriptor *descriptor)
{
    if (descriptor->offset < reader->at)
        return WEIR_OK;
    enum weir_err err = walk_files(reader, descriptor->offset);
    if (err != WEIR_OK || descriptor->offset != reader->at)
        return err;
    if (descriptor->definitions > 0) {
        if (ring_copy(reader, descriptor) != WEIR_OK)
            return walk_one(reader, UINT64_MAX);
        err = take_definitions(reader, reader->frame, descriptor->bytes);
        if (err == WEIR_CORRUPT)
            reader->corrupt++;
        else if (err != WEIR_OK)
            return err;
    }
    struct entry entry = {.offset = descriptor->offset,
        .place = descriptor->place,
        .ring_epoch = reader->ring_epoch,
        .time_min_ms = descriptor->time_min_ms,
        .time_max_ms = descriptor->time_max_ms,
        .bytes = descriptor->bytes,
        .samples = descriptor->samples};
    reader->at += descriptor->bytes;
    reader->step = descriptor->bytes;
    return entry.samples > 0 ? entry_add(reader, &entry) : WEIR_OK;
}

static enum weir_err
walk_ring(struct weir_reader *reader)
{
    const struct weir_frame_ring *ring = weir_shared_frame_ring(reader->shared);
    uint64_t published = weir_frame_ring_published(ring);
    enum weir_err err = WEIR_OK;
    if (published > WEIR_FRAME_DESCRIPTORS - 1 &&
        reader->ring_next < published - (WEIR_FRAME_DESCRIPTORS - 1))
        reader->ring_next = published - (WEIR_FRAME_DESCRIPTORS - 1);
    for (; reader->ring_next < published && err == WEIR_OK; reader->ring_next++) {
        struct weir_frame_descriptor descriptor;
        if (weir_frame_ring_descriptor(ring, reader->ring_next, &descriptor) == WEIR_OK)
            err = take_descriptor(reader, &descriptor);
    }
    return err;
}

enum weir_err
weir_reader_refresh(struct weir_reader *reader)
{
    if (reader->shared == NULL)
        return walk_files(reader, UINT64_MAX);
    /* acquire pairs with the dataplane's release when its region is ready */
    uint64_t epoch = atomic_load_explicit(&reader->shared->epoch, memory_order_acquire);
    if (epoch == 0)
        return WEIR_OK;
    if (epoch != reader->ring_epoch) {
        reader->ring_epoch = epoch;
        reader->ring_next = 0;
    }
    uint64_t durable = durable_of(reader);
    enum weir_err err = walk_ring(reader);
    if (atomic_load_explicit(&reader->shared->epoch, memory_order_acquire) != epoch)
        return err == WEIR_NOMEM ? err : WEIR_OK; /* it restarted meanwhile: next time */
    return err == WEIR_OK ? walk_files(reader, durable) : err;
}

/* A scan over one frame's samples. */
struct scan {
    const uint64_t *numbers;
    size_t number_count;
    int64_t from_ms;
    int64_t to_ms;
    weir_reader_sample_fn *call;
    void *context;
};

/* Place of the first number >= wanted. */
static size_t
lower_bound(const uint64_t *numbers, size_t count, uint64_t wanted)
{
    size_t low = 0;
    while (count > 0) {
        size_t half = count / 2;
        if (numbers[low + half] < wanted) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}

/* Samples and numbers both ascend: one walk over both. */
static enum weir_err
scan_samples(const struct scan *scan, const struct weir_sample *samples, size_t count, size_t at)
{
    for (size_t i = 0; i < count && at < scan->number_count; i++) {
        uint64_t series = weir_sample_series(&samples[i]);
        while (at < scan->number_count && scan->numbers[at] < series)
            at++;
        if (at == scan->number_count || scan->numbers[at] != series)
            continue;
        if (samples[i].time_ms < scan->from_ms || samples[i].time_ms >= scan->to_ms)
            continue;
        enum weir_err err =
            scan->call(scan->context, at, samples[i].time_ms, weir_sample_double(&samples[i]));
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static enum weir_err
scan_frame(struct weir_reader *reader, const struct scan *scan, const uint8_t *frame, size_t bytes)
{
    const struct weir_frame_block *blocks;
    size_t count;
    if (weir_frame_index(frame, bytes, &blocks, &count) != WEIR_OK) {
        reader->corrupt++;
        return WEIR_OK;
    }
    for (size_t i = 0; i < count; i++) {
        const struct weir_frame_block *block = &blocks[i];
        if (block->time_max_ms < scan->from_ms || block->time_min_ms >= scan->to_ms)
            continue;
        size_t at = lower_bound(scan->numbers, scan->number_count, block->series_first);
        if (at == scan->number_count || scan->numbers[at] > block->series_last)
            continue;
        struct weir_sample samples[WEIR_BLOCK_SAMPLES];
        size_t decoded;
        if (weir_frame_decode_block(frame, bytes, block, samples, &decoded) != WEIR_OK) {
            reader->corrupt++;
            continue;
        }
        enum weir_err err = scan_samples(scan, samples, decoded, at);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* The frame's bytes: from the ring where they still lie there, else from the files. */
static enum weir_err
entry_bytes(struct weir_reader *reader, const struct entry *entry, const uint8_t **frame)
{
    if (entry->place != FRAME_NONE && entry->ring_epoch == reader->ring_epoch) {
        struct weir_frame_descriptor descriptor = {
            .offset = entry->offset, .place = entry->place, .bytes = entry->bytes};
        if (ring_copy(reader, &descriptor) == WEIR_OK) {
            *frame = reader->frame;
            return WEIR_OK;
        }
    }
    enum weir_err err = files_cover(reader, entry->offset);
    if (err == WEIR_OK)
        err = weir_segment_reader_frame(&reader->files, entry->offset, entry->bytes, frame);
    if (err != WEIR_OK)
        return err;
    struct weir_frame_header header;
    memcpy(&header, *frame, sizeof header);
    return weir_frame_check_header(&header, WEIR_LOG_STREAM, entry->offset);
}

void
weir_reader_set_check(struct weir_reader *reader, weir_reader_check_fn *check, void *context)
{
    reader->check = check;
    reader->check_context = context;
}

enum weir_err
weir_reader_scan(struct weir_reader *reader, const uint64_t *numbers, size_t number_count,
    int64_t from_ms, int64_t to_ms, weir_reader_sample_fn *call, void *context)
{
    const struct scan scan = {.numbers = numbers,
        .number_count = number_count,
        .from_ms = from_ms,
        .to_ms = to_ms,
        .call = call,
        .context = context};
    for (uint64_t i = 0; i < reader->entry_count && number_count > 0; i++) {
        const struct entry *entry = &reader->entries[i];
        if (entry->time_max_ms < from_ms || entry->time_min_ms >= to_ms)
            continue;
        const uint8_t *frame;
        enum weir_err err = reader->check != NULL ? reader->check(reader->check_context) : WEIR_OK;
        if (err != WEIR_OK)
            return err;
        err = entry_bytes(reader, entry, &frame);
        if (err == WEIR_CORRUPT) {
            reader->corrupt++;
            continue;
        }
        if (err == WEIR_OK)
            err = scan_frame(reader, &scan, frame, entry->bytes);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}
