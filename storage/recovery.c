#include "storage/recovery.h"

#include "base/assert.h"
#include "base/event.h"
#include "base/labels.h"
#include "storage/epoch.h"
#include "storage/segment_reader.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More lost numbers than this in one hole are not believed. */
#define LOST_DEFINITIONS_MAX (UINT64_C(1) << 28)

/* A stretch of the log that is not yet known to be durable: a frame, or a gap without a valid
 * header, whose meaning only a later watermark can tell. */
struct stretch {
    bool is_gap;
    uint64_t offset;
    uint64_t bytes;
    struct weir_frame_header header; /* of a frame */
};

struct recovery {
    const struct weir_log_options *options;
    struct weir_recovered *out;
    struct weir_segment_reader reader;
    struct weir_epoch epoch; /* zero where there is no file */
    uint64_t watermark;      /* highest proof of durability so far */
    uint64_t content_end;    /* behind the last byte that is not zero */
    /* the chain behind the walk */
    uint64_t epoch_last;
    uint32_t crc_last;
    bool crc_known;
    struct stretch *pending; /* in log order; [head, tail) */
    size_t head, tail, capacity;
};

static struct stretch *
pending_push(struct recovery *recovery)
{
    if (recovery->head == recovery->tail)
        recovery->head = recovery->tail = 0;
    if (recovery->tail == recovery->capacity && recovery->head >= recovery->capacity / 2 &&
        recovery->head != 0) {
        /* what was accepted goes: the watermark follows a few frames behind the walk */
        recovery->tail -= recovery->head;
        memmove(recovery->pending, recovery->pending + recovery->head,
            recovery->tail * sizeof *recovery->pending);
        recovery->head = 0;
    }
    if (recovery->tail == recovery->capacity) {
        size_t more = recovery->capacity == 0 ? 256 : recovery->capacity * 2;
        struct stretch *grown = realloc(recovery->pending, more * sizeof *grown);
        if (grown == NULL)
            return NULL;
        recovery->pending = grown;
        recovery->capacity = more;
    }
    return &recovery->pending[recovery->tail++];
}

/* A series whose definition was damaged keeps its number under a name that says so; its samples
 * stay readable by that name, and the sender's next line defines the series anew. */
static enum weir_err
define_lost(struct recovery *recovery, uint64_t until)
{
    struct weir_recovered *out = recovery->out;
    if (until <= out->definitions_through)
        return WEIR_OK;
    if (until - out->definitions_through > LOST_DEFINITIONS_MAX)
        return weir_fail(WEIR_CORRUPT, 0, "definitions %" PRIu64 " to %" PRIu64 " are missing",
            out->definitions_through, until);
    weir_event(WEIR_ERROR, "definitions_lost", "first=%" PRIu64 " count=%" PRIu64,
        out->definitions_through, until - out->definitions_through);
    out->told.definitions_lost += until - out->definitions_through;
    for (; out->definitions_through < until; out->definitions_through++) {
        char number[24];
        static const char name[] = WEIR_NAME_LABEL, value[] = "weir_lost_definition";
        int digits = snprintf(number, sizeof number, "%" PRIu64, out->definitions_through);
        struct weir_label labels[2] = {
            {(const uint8_t *)name, (const uint8_t *)value, sizeof name - 1, sizeof value - 1},
            {(const uint8_t *)"number", (const uint8_t *)number, 6, (uint16_t)digits}};
        uint8_t canonical[256];
        size_t size;
        enum weir_err err = weir_labels_encode(labels, 2, canonical, &size);
        if (err == WEIR_OK)
            err = recovery->options->define(recovery->options->define_context,
                out->definitions_through, canonical, size);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* Hands over the definitions of a list that has checked out. */
static enum weir_err
define_list(struct recovery *recovery, const struct weir_frame_header *header,
    const uint8_t *list, size_t size)
{
    struct weir_recovered *out = recovery->out;
    size_t at = 0;
    for (uint32_t i = 0; i < header->definition_count; i++) {
        const uint8_t *labels;
        size_t labels_size;
        enum weir_err err = weir_definition_next(list, size, &at, &labels, &labels_size);
        if (err != WEIR_OK)
            return WEIR_OK; /* the rest counts as lost */
        if (header->definition_first + i != out->definitions_through)
            continue; /* known by an earlier frame */
        err = recovery->options->define(recovery->options->define_context,
            out->definitions_through, labels, labels_size);
        if (err != WEIR_OK)
            return err;
        out->definitions_through++;
        out->told.definitions++;
    }
    return WEIR_OK;
}

/* Reads no more of the frame than its front: header, index, marks, definitions. Damaged lists are
 * reported and come out empty. */
static enum weir_err
read_lists(struct recovery *recovery, const struct weir_frame_header *header,
    const uint8_t **list, size_t *size, const uint8_t **marks, size_t *marks_size)
{
    uint64_t front = sizeof *header +
        (uint64_t)header->block_count * sizeof(struct weir_frame_block) +
        header->mark_bytes + (uint64_t)header->definition_bytes;
    WEIR_ASSERT(front <= header->bytes); /* weir_frame_check_header saw to it */
    front = (front + WEIR_FRAME_ALIGN - 1) & ~(uint64_t)(WEIR_FRAME_ALIGN - 1);
    const uint8_t *frame;
    enum weir_err err =
        weir_segment_reader_frame(&recovery->reader, header->offset, front, &frame);
    if (err != WEIR_OK)
        return err;
    if (memcmp(frame, header, sizeof *header) != 0)
        return weir_fail(WEIR_IO, 0, "the header at %" PRIu64 " reads differently a second time",
            header->offset);
    if (weir_frame_definitions(frame, header->bytes, list, size) != WEIR_OK ||
        weir_frame_marks(frame, header->bytes, marks, marks_size) != WEIR_OK) {
        weir_event(WEIR_ERROR, "definitions_damaged", "offset=%" PRIu64 " reason=\"%s\"",
            header->offset, weir_err_detail());
        *size = 0;
        *marks_size = 0;
    }
    return WEIR_OK;
}

static enum weir_err
accept_definitions(struct recovery *recovery, const struct weir_frame_header *header)
{
    if (recovery->options->define == NULL) {
        recovery->out->definitions_through = header->definitions_through;
        recovery->out->told.definitions += header->definition_count;
        return WEIR_OK;
    }
    enum weir_err err = WEIR_OK;
    const uint8_t *marks = NULL;
    size_t marks_size = 0;
    bool wants_marks = header->mark_bytes != 0 && recovery->options->mark != NULL;
    if (header->definition_count != 0 || wants_marks) {
        const uint8_t *list;
        size_t size;
        if (header->definition_count != 0)
            err = define_lost(recovery, header->definition_first);
        if (err == WEIR_OK)
            err = read_lists(recovery, header, &list, &size, &marks, &marks_size);
        if (err == WEIR_OK)
            err = define_list(recovery, header, list, size);
        if (err != WEIR_OK)
            return err;
    }
    err = define_lost(recovery, header->definitions_through);
    if (err == WEIR_OK && marks_size != 0 && wants_marks)
        recovery->options->mark(recovery->options->mark_context, marks, marks_size);
    return err;
}

/* The log now reaches to the end of the frame. */
static enum weir_err
accept_frame(struct recovery *recovery, const struct stretch *stretch)
{
    const struct weir_frame_header *header = &stretch->header;
    struct weir_recovered *out = recovery->out;
    out->told.end_offset = stretch->offset + stretch->bytes;
    out->previous_crc = header->header_crc;
    if (header->type != WEIR_FRAME_SAMPLES)
        return WEIR_OK;
    out->told.frames++;
    if (header->sample_count != 0 && header->time_max_ms > out->told.time_max_ms)
        out->told.time_max_ms = header->time_max_ms;
    return accept_definitions(recovery, header);
}

static void
accept_damage(struct recovery *recovery, uint64_t from, uint64_t to)
{
    weir_event(WEIR_ERROR, "log_corrupt", "offset=%" PRIu64 " bytes=%" PRIu64, from, to - from);
    recovery->out->told.frames_corrupt++;
    recovery->out->told.end_offset = to;
    recovery->out->previous_crc = 0;
    struct weir_segment_reader *reader = &recovery->reader;
    for (size_t i = 0; i < reader->damage_count; i++) {
        struct weir_segment_damage *damage = &reader->damages[i];
        uint64_t begin = damage->index * reader->segment_bytes;
        damage->counted |= from < begin + reader->segment_bytes && to > begin + damage->bytes;
    }
}

/* Takes over the oldest pending stretches that lie below the watermark. */
static enum weir_err
accept_durable(struct recovery *recovery)
{
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && recovery->head != recovery->tail) {
        const struct stretch *stretch = &recovery->pending[recovery->head];
        uint64_t end = stretch->offset + stretch->bytes;
        if (end > recovery->watermark)
            break;
        if (stretch->is_gap)
            accept_damage(recovery, stretch->offset, end);
        else
            err = accept_frame(recovery, stretch);
        recovery->head++;
    }
    return err;
}

/* A header that may stand here: checks out, fits its segment, is not left over from a log that
 * was cut off before (docs/format/log.md, "Stale frames"), and continues the chain. */
static bool
header_fits(const struct recovery *recovery, const struct weir_frame_header *header,
    uint64_t offset)
{
    uint64_t segment_bytes = recovery->out->segment_bytes;
    if (header->magic != WEIR_FRAME_MAGIC ||
        weir_frame_check_header(header, WEIR_LOG_STREAM, offset) != WEIR_OK)
        return false;
    if (header->bytes < WEIR_FRAME_ALIGN || header->bytes % WEIR_FRAME_ALIGN != 0 ||
        header->bytes > segment_bytes - offset % segment_bytes)
        return false;
    if (header->durable_watermark > offset || header->dataplane_epoch < recovery->epoch_last)
        return false;
    if (offset >= recovery->epoch.durable_offset &&
        header->dataplane_epoch < recovery->epoch.dataplane_epoch)
        return false;
    return !recovery->crc_known || header->previous_crc == recovery->crc_last;
}

static enum weir_err
walk_frame(struct recovery *recovery, const struct weir_frame_header *header, uint64_t offset)
{
    struct stretch *stretch = pending_push(recovery);
    if (stretch == NULL)
        return weir_fail(WEIR_NOMEM, 0, "list of frames above the watermark");
    *stretch = (struct stretch){.offset = offset, .bytes = header->bytes, .header = *header};
    recovery->epoch_last = header->dataplane_epoch;
    recovery->crc_last = header->header_crc;
    recovery->crc_known = true;
    if (recovery->content_end < offset + header->bytes)
        recovery->content_end = offset + header->bytes;
    if (header->dataplane_epoch > recovery->out->told.dataplane_epoch)
        recovery->out->told.dataplane_epoch = header->dataplane_epoch;
    if (header->durable_watermark > recovery->watermark)
        recovery->watermark = header->durable_watermark;
    return accept_durable(recovery);
}

/* One step of WEIR_FRAME_ALIGN without a header: begins a gap or makes the last one longer. */
static enum weir_err
walk_gap(struct recovery *recovery, uint64_t offset, const uint8_t *page)
{
    static const uint8_t zeros[WEIR_FRAME_ALIGN];
    if (memcmp(page, zeros, sizeof zeros) != 0)
        recovery->content_end = offset + WEIR_FRAME_ALIGN;
    struct stretch *last =
        recovery->head != recovery->tail ? &recovery->pending[recovery->tail - 1] : NULL;
    if (last == NULL || !last->is_gap) {
        last = pending_push(recovery);
        if (last == NULL)
            return weir_fail(WEIR_NOMEM, 0, "list of frames above the watermark");
        *last = (struct stretch){.is_gap = true, .offset = offset};
    }
    last->bytes = offset + WEIR_FRAME_ALIGN - last->offset;
    recovery->crc_known = false;
    return WEIR_OK;
}

/* From the first segment to the end of the last, by headers. */
static enum weir_err
walk(struct recovery *recovery)
{
    uint64_t offset = 0;
    uint64_t end = weir_segment_reader_end(&recovery->reader);
    recovery->crc_known = true; /* the first frame ever has no one before it */
    uint64_t bytes_last = 0;
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && offset < end) {
        const uint8_t *page;
        err = weir_segment_reader_page(&recovery->reader, offset, bytes_last, &page);
        if (err != WEIR_OK)
            break;
        struct weir_frame_header header;
        memcpy(&header, page, sizeof header);
        bytes_last = WEIR_FRAME_ALIGN;
        if (header_fits(recovery, &header, offset)) {
            err = walk_frame(recovery, &header, offset);
            bytes_last = header.bytes;
        } else {
            err = walk_gap(recovery, offset, page);
        }
        offset += bytes_last;
    }
    return err;
}

/* What is above the watermark counts as far as every frame is whole. */
static enum weir_err
accept_tail(struct recovery *recovery)
{
    for (; recovery->head != recovery->tail; recovery->head++) {
        const struct stretch *stretch = &recovery->pending[recovery->head];
        if (stretch->is_gap) {
            if (stretch->offset < recovery->watermark)
                accept_damage(recovery, stretch->offset, recovery->watermark);
            return WEIR_OK;
        }
        if (stretch->header.type == WEIR_FRAME_SAMPLES) {
            const uint8_t *frame;
            enum weir_err err = weir_segment_reader_frame(&recovery->reader, stretch->offset,
                stretch->bytes, &frame);
            if (err != WEIR_OK)
                return err;
            if (weir_frame_check(frame, stretch->bytes, WEIR_LOG_STREAM, stretch->offset) !=
                WEIR_OK)
                return WEIR_OK;
        }
        enum weir_err err = accept_frame(recovery, stretch);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static enum weir_err
read_epoch(struct recovery *recovery)
{
    const struct weir_log_options *options = recovery->options;
    enum weir_err err =
        weir_epoch_read(options->io, options->directory, WEIR_LOG_STREAM, &recovery->epoch);
    if (err == WEIR_NOT_FOUND || err == WEIR_CORRUPT) {
        memset(&recovery->epoch, 0, sizeof recovery->epoch);
        if (err == WEIR_CORRUPT)
            weir_event(WEIR_ERROR, "epoch_damaged", "reason=\"%s\" fallback=headers",
                weir_err_detail());
        return WEIR_OK;
    }
    recovery->watermark = recovery->epoch.durable_offset;
    recovery->out->told.dataplane_epoch = recovery->epoch.dataplane_epoch;
    return err;
}

/* A process that died may have left frames in the device's cache: they are made durable before
 * anyone is told that they are. */
static enum weir_err
sync_tail(struct recovery *recovery, uint64_t known_durable)
{
    uint64_t end = recovery->out->told.end_offset;
    if (end <= known_durable)
        return WEIR_OK;
    return weir_segment_reader_flush(&recovery->reader, known_durable, end);
}

/* Tells of every file that is not what it should be, and counts those of which no gap told: what
 * is lost is of a frame's body, or at or behind the end. */
static void
report_damages(struct recovery *recovery)
{
    const struct weir_segment_reader *reader = &recovery->reader;
    for (size_t i = 0; i < reader->damage_count; i++) {
        const struct weir_segment_damage *damage = &reader->damages[i];
        char path[PATH_MAX];
        weir_log_segment_path(reader->directory, damage->index, path, sizeof path);
        if (damage->missing)
            weir_event(WEIR_ERROR, "segment_missing", "file=\"%s\"", path);
        else
            weir_event(WEIR_ERROR, "segment_damaged",
                "file=\"%s\" bytes=%" PRIu64 " expected=%" PRIu64, path, damage->bytes,
                reader->segment_bytes);
        recovery->out->told.frames_corrupt += !damage->counted;
    }
}

/* The segment that is going to be the last is made whole: the log goes on in it, and a last one
 * of a wrong size would be refused at the next start. */
static enum weir_err
mend_last(struct recovery *recovery)
{
    const struct weir_segment_reader *reader = &recovery->reader;
    const struct weir_log_options *options = recovery->options;
    recovery->out->files = reader->listed;
    if (recovery->out->told.end_offset == 0)
        return WEIR_OK;
    uint64_t last = (recovery->out->told.end_offset - 1) / reader->segment_bytes;
    size_t i = 0;
    while (i < reader->damage_count && reader->damages[i].index != last)
        i++;
    if (i == reader->damage_count || reader->damages[i].bytes >= reader->segment_bytes)
        return WEIR_OK;
    char path[PATH_MAX];
    weir_io_file file;
    weir_log_segment_path(options->directory, last, path, sizeof path);
    enum weir_err err =
        weir_io_open(options->io, path, WEIR_IO_WRITE | WEIR_IO_CREATE, &file);
    if (err != WEIR_OK)
        return err;
    recovery->out->files += reader->damages[i].missing;
    err = weir_io_allocate(options->io, path, file, reader->segment_bytes);
    weir_io_close(options->io, file);
    return err;
}

/* Removes segments that begin at or behind the end. */
static enum weir_err
remove_behind(struct recovery *recovery)
{
    const struct weir_log_options *options = recovery->options;
    struct weir_segment_reader *reader = &recovery->reader;
    enum weir_err err = WEIR_OK;
    uint64_t segment_bytes = recovery->out->segment_bytes;
    for (size_t i = reader->listed; i-- > 0 && err == WEIR_OK;) {
        uint64_t index = reader->indexes[i];
        if (index < (recovery->out->told.end_offset + segment_bytes - 1) / segment_bytes)
            break;
        char path[PATH_MAX];
        weir_log_segment_path(options->directory, index, path, sizeof path);
        err = weir_io_unlink(options->io, path);
        recovery->out->files--;
    }
    return err;
}

static enum weir_err
recover(struct recovery *recovery)
{
    enum weir_err err = walk(recovery);
    uint64_t durable = recovery->watermark;
    if (err == WEIR_OK)
        err = accept_tail(recovery);
    if (err == WEIR_OK)
        err = sync_tail(recovery, durable);
    if (err == WEIR_OK) {
        report_damages(recovery);
        err = mend_last(recovery);
    }
    if (err == WEIR_OK)
        err = remove_behind(recovery);
    if (err != WEIR_OK)
        return err;
    struct weir_log_recovery *told = &recovery->out->told;
    if (recovery->content_end > told->end_offset)
        told->bytes_torn = recovery->content_end - told->end_offset;
    return WEIR_OK;
}

enum weir_err
weir_recovery_run(const struct weir_log_options *options, struct weir_recovered *out)
{
    struct recovery recovery = {.options = options, .out = out};
    *out = (struct weir_recovered){.told.time_max_ms = INT64_MIN};
    enum weir_err err = read_epoch(&recovery);
    if (err != WEIR_OK)
        return err;
    out->segment_bytes = recovery.epoch.segment_bytes;
    err = weir_segment_reader_open(&recovery.reader, options->io, options->directory,
        &out->segment_bytes);
    if (err != WEIR_OK)
        return err;
    if (out->segment_bytes == 0)
        out->segment_bytes = options->segment_bytes;
    if (recovery.epoch.durable_offset > weir_segment_reader_end(&recovery.reader))
        err = weir_fail(WEIR_CORRUPT, 0,
            "%s: segments are missing: they end at %" PRIu64 ", durable was %" PRIu64,
            options->directory, weir_segment_reader_end(&recovery.reader),
            recovery.epoch.durable_offset);
    else
        err = recover(&recovery);
    weir_segment_reader_close(&recovery.reader);
    free(recovery.pending);
    return err;
}
