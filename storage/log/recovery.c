#include "storage/log/recovery.h"

#include "base/assert.h"
#include "base/event.h"
#include "base/mutant.h"
#include "model/sender_state/state.h"
#include "storage/log/chain.h"
#include "storage/log/checkpoint.h"
#include "storage/log/definitions.h"
#include "storage/log/epoch.h"
#include "storage/log/format.h"
#include "storage/log/segment_reader.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A range of the log that is not yet known to be durable: a frame, or a gap without a valid
 * header, whose meaning only a later watermark shows. */
struct range {
    bool is_gap;
    uint64_t offset;
    uint64_t bytes;
    struct weir_frame_header header; /* of a frame */
};

struct recovery {
    const struct weir_recovery_options *options;
    struct weir_recovered *out;
    struct weir_segment_reader reader;
    struct weir_epoch epoch; /* zero where there is no file */
    struct weir_checkpoint checkpoint; /* the same */
    uint8_t *sender_state;          /* of the checkpoint */
    uint64_t watermark;      /* highest proof of durability so far */
    uint64_t content_end;    /* after the last byte that was written by this log's end */
    bool counted;            /* a header did, below the epoch file's durable offset */
    bool epoch_known;
    bool lone_frame; /* all that was durable is one frame, and that is damaged */
    struct weir_chain chain; /* after the walk */
    struct weir_replay replay;
    struct range *pending; /* in log order; [head, tail) */
    size_t head, tail, capacity;
};

static struct range *
pending_push(struct recovery *recovery)
{
    if (recovery->head == recovery->tail)
        recovery->head = recovery->tail = 0;
    if (recovery->tail == recovery->capacity && recovery->head >= recovery->capacity / 2 &&
        recovery->head != 0) {
        /* what was accepted goes: the watermark follows a few frames after the walk */
        recovery->tail -= recovery->head;
        memmove(recovery->pending, recovery->pending + recovery->head,
            recovery->tail * sizeof *recovery->pending);
        recovery->head = 0;
    }
    if (recovery->tail == recovery->capacity) {
        size_t more = recovery->capacity == 0 ? 256 : recovery->capacity * 2;
        struct range *grown = realloc(recovery->pending, more * sizeof *grown);
        if (grown == NULL)
            return NULL;
        recovery->pending = grown;
        recovery->capacity = more;
    }
    return &recovery->pending[recovery->tail++];
}

/* The log now reaches to the end of the frame. */
static enum weir_err
accept_frame(struct recovery *recovery, const struct range *range)
{
    const struct weir_frame_header *header = &range->header;
    struct weir_recovered *out = recovery->out;
    out->reported.end_offset = range->offset + range->bytes;
    out->previous_crc = header->header_crc;
    if (header->type != WEIR_FRAME_SAMPLES)
        return WEIR_OK;
    out->reported.frames++;
    if (header->sample_count != 0 && header->time_max_ms > out->reported.time_max_ms)
        out->reported.time_max_ms = header->time_max_ms;
    return weir_replay_frame(&recovery->replay, &recovery->reader, header);
}

static void
accept_damage(struct recovery *recovery, uint64_t from, uint64_t to)
{
    weir_event(
        WEIR_LEVEL_ERROR, "log_corrupt", "offset=%" PRIu64 " bytes=%" PRIu64, from, to - from);
    recovery->out->reported.frames_corrupt++;
    recovery->out->reported.end_offset = to;
    recovery->out->previous_crc = 0;
    struct weir_segment_reader *reader = &recovery->reader;
    for (size_t i = 0; i < reader->damage_count; i++) {
        struct weir_segment_damage *damage = &reader->damages[i];
        uint64_t begin = damage->index * reader->segment_bytes;
        damage->counted |= from < begin + reader->segment_bytes && to > begin + damage->bytes;
    }
}

/* Takes over the oldest pending ranges that are below the watermark. */
static enum weir_err
accept_durable(struct recovery *recovery)
{
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && recovery->head != recovery->tail) {
        const struct range *range = &recovery->pending[recovery->head];
        uint64_t end = range->offset + range->bytes;
        if (end > recovery->watermark)
            break;
        if (range->is_gap)
            accept_damage(recovery, range->offset, end);
        else
            err = accept_frame(recovery, range);
        recovery->head++;
    }
    return err;
}

static enum weir_err
walk_frame(struct recovery *recovery, const struct weir_frame_header *header, uint64_t offset)
{
    struct range *range = pending_push(recovery);
    if (range == NULL)
        return weir_fail(WEIR_NOMEM, 0, "list of frames above the watermark");
    *range = (struct range){.offset = offset, .bytes = header->bytes, .header = *header};
    weir_chain_advance(&recovery->chain, header);
    recovery->counted |= !recovery->epoch_known || offset < recovery->epoch.durable_offset;
    if (recovery->content_end < offset + header->bytes)
        recovery->content_end = offset + header->bytes;
    if (header->dataplane_epoch > recovery->out->reported.dataplane_epoch)
        recovery->out->reported.dataplane_epoch = header->dataplane_epoch;
    if (header->durable_watermark > recovery->watermark)
        recovery->watermark = header->durable_watermark;
    return accept_durable(recovery);
}

/* Was the page written at this place? A file that was recycled is full of bytes of another: there
 * only a header that checks out proves it. */
static bool
has_content(const struct recovery *recovery, uint64_t offset, const uint8_t *page)
{
    static const uint8_t zeros[WEIR_FRAME_ALIGN];
    struct weir_frame_header header;
    if (recovery->checkpoint.first_index == 0)
        return memcmp(page, zeros, sizeof zeros) != 0;
    memcpy(&header, page, sizeof header);
    enum weir_err err = weir_frame_check_header(&header, WEIR_LOG_STREAM, offset);
    return err == WEIR_OK || err == WEIR_UNSUPPORTED;
}

/* Is the damaged page at the log's beginning the header of the only durable frame? Of magic, place
 * and size a flipped bit spares two. */
static bool
is_lone_frame(const struct recovery *recovery, uint64_t offset, const uint8_t *page)
{
    struct weir_frame_header header;
    memcpy(&header, page, sizeof header);
    return (header.magic == WEIR_FRAME_MAGIC) + (header.offset == offset) +
        (header.bytes == recovery->epoch.durable_offset - offset) >= 2;
}

/* One step of WEIR_FRAME_ALIGN without a header: begins a gap or makes the last one longer. */
static enum weir_err
walk_gap(struct recovery *recovery, uint64_t offset, const uint8_t *page)
{
    if (offset == recovery->out->reported.first_offset && recovery->epoch_known)
        recovery->lone_frame = is_lone_frame(recovery, offset, page);
    if (has_content(recovery, offset, page))
        recovery->content_end = offset + WEIR_FRAME_ALIGN;
    struct range *last =
        recovery->head != recovery->tail ? &recovery->pending[recovery->tail - 1] : NULL;
    if (last == NULL || !last->is_gap) {
        last = pending_push(recovery);
        if (last == NULL)
            return weir_fail(WEIR_NOMEM, 0, "list of frames above the watermark");
        *last = (struct range){.is_gap = true, .offset = offset};
    }
    last->bytes = offset + WEIR_FRAME_ALIGN - last->offset;
    weir_chain_gap(&recovery->chain);
    return WEIR_OK;
}

/* From the first segment to the end of the last, by headers. */
static enum weir_err
walk(struct recovery *recovery)
{
    uint64_t offset = weir_segment_reader_begin(&recovery->reader);
    uint64_t end = weir_segment_reader_end(&recovery->reader);
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
        err = weir_chain_check(&recovery->chain, &header, offset);
        if (err == WEIR_OK) {
            err = walk_frame(recovery, &header, offset);
            bytes_last = header.bytes;
        } else if (err == WEIR_CORRUPT) {
            err = walk_gap(recovery, offset, page);
        }
        offset += bytes_last;
    }
    return err;
}

/* Above the watermark frames count up to the first one that is not whole. */
static enum weir_err
accept_tail(struct recovery *recovery)
{
    for (; recovery->head != recovery->tail; recovery->head++) {
        const struct range *range = &recovery->pending[recovery->head];
        if (range->is_gap) {
            if (range->offset < recovery->watermark)
                accept_damage(recovery, range->offset, recovery->watermark);
            return WEIR_OK;
        }
        if (range->header.type == WEIR_FRAME_SAMPLES) {
            const uint8_t *frame;
            enum weir_err err = weir_segment_reader_frame(&recovery->reader, range->offset,
                range->bytes, &frame);
            if (err != WEIR_OK)
                return err;
            if (weir_frame_check(frame, range->bytes, WEIR_LOG_STREAM, range->offset) !=
                    WEIR_OK && !weir_mutant(tail_unchecked))
                return WEIR_OK;
        }
        enum weir_err err = accept_frame(recovery, range);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* Finds where the log begins. A checkpoint that fails its check cannot come from a crash, and its
 * content is nowhere else: a person decides. The same holds if it is gone and its segments too. */
static enum weir_err
read_checkpoint(struct recovery *recovery)
{
    const struct weir_recovery_options *options = recovery->options;
    enum weir_err err = weir_checkpoint_read(options->io, options->directory, WEIR_LOG_STREAM,
        &recovery->checkpoint, &recovery->sender_state);
    return err == WEIR_NOT_FOUND ? WEIR_OK : err;
}

/* Hands over the checkpoint's content, as if everything before first_index had been walked. */
static enum weir_err
begin_at_checkpoint(struct recovery *recovery)
{
    const struct weir_checkpoint *checkpoint = &recovery->checkpoint;
    const struct weir_recovery_options *options = recovery->options;
    struct weir_recovered *out = recovery->out;
    uint64_t begin = weir_segment_reader_begin(&recovery->reader);
    out->reported.first_offset = out->reported.end_offset = begin;
    out->first_index = checkpoint->first_index;
    out->oldest_index = recovery->reader.oldest;
    out->samples_trimmed = checkpoint->samples_trimmed;
    recovery->chain = (struct weir_chain){.segment_bytes = out->segment_bytes,
        .fresh_offset = recovery->epoch.durable_offset,
        .fresh_epoch = recovery->epoch.dataplane_epoch,
        .crc_known = true}; /* the first frame ever has no one before it */
    if (begin == 0)
        return WEIR_OK;
    out->reported.time_max_ms = checkpoint->time_max_ms;
    out->previous_crc = recovery->chain.crc = checkpoint->previous_crc;
    recovery->chain.crc_known = checkpoint->previous_known != 0;
    recovery->chain.dataplane_epoch = checkpoint->dataplane_epoch;
    if (checkpoint->dataplane_epoch > out->reported.dataplane_epoch)
        out->reported.dataplane_epoch = checkpoint->dataplane_epoch;
    if (begin > recovery->watermark)
        recovery->watermark = begin;
    if (options->define == NULL) {
        recovery->replay.through = recovery->replay.defined = checkpoint->definitions_through;
        return WEIR_OK;
    }
    return weir_definitions_read(options->io, options->directory, checkpoint->definitions_bytes,
        checkpoint->definitions_through, &recovery->replay);
}

static enum weir_err
hand_over_sender_state(struct recovery *recovery)
{
    const struct weir_recovery_options *options = recovery->options;
    if (options->sender_state == NULL)
        return WEIR_OK;
    const uint8_t *list;
    size_t size, at = 0;
    enum weir_err err;
    while ((err = weir_checkpoint_state_next(recovery->sender_state,
                recovery->checkpoint.state_bytes, &at, &list, &size)) == WEIR_OK) {
        err = weir_state_check(list, size);
        if (err != WEIR_OK)
            return err;
        options->sender_state(options->sender_state_context, list, size);
    }
    return err == WEIR_END ? WEIR_OK : err;
}

static enum weir_err
read_epoch(struct recovery *recovery)
{
    const struct weir_recovery_options *options = recovery->options;
    enum weir_err err =
        weir_epoch_read(options->io, options->directory, WEIR_LOG_STREAM, &recovery->epoch);
    if (err == WEIR_NOT_FOUND || err == WEIR_CORRUPT) {
        memset(&recovery->epoch, 0, sizeof recovery->epoch);
        if (err == WEIR_CORRUPT)
            weir_event(WEIR_LEVEL_ERROR, "epoch_damaged", "reason=\"%s\" fallback=headers",
                weir_err_detail());
        return WEIR_OK;
    }
    recovery->epoch_known = err == WEIR_OK;
    recovery->watermark = recovery->epoch.durable_offset;
    recovery->out->reported.dataplane_epoch = recovery->epoch.dataplane_epoch;
    return err;
}

/* A process that died may have left frames in the kernel's cache, or in the device's: they are made
 * durable before they are reported as durable. */
static enum weir_err
sync_tail(struct recovery *recovery, uint64_t known_durable)
{
    uint64_t end = recovery->out->reported.end_offset;
    if (end <= known_durable || weir_mutant(tail_not_persisted))
        return WEIR_OK;
    return weir_segment_reader_persist(&recovery->reader, known_durable, end);
}

/* Reports every damaged file, and counts those that no gap has reported: there the loss is in a
 * frame's body, or at or after the end. */
static void
report_damages(struct recovery *recovery)
{
    const struct weir_segment_reader *reader = &recovery->reader;
    for (size_t i = 0; i < reader->damage_count; i++) {
        const struct weir_segment_damage *damage = &reader->damages[i];
        char path[PATH_MAX];
        weir_log_segment_path(reader->directory, damage->index, path, sizeof path);
        if (damage->missing)
            weir_event(WEIR_LEVEL_ERROR, "segment_missing", "file=\"%s\"", path);
        else
            weir_event(WEIR_LEVEL_ERROR, "segment_damaged",
                "file=\"%s\" bytes=%" PRIu64 " expected=%" PRIu64, path, damage->bytes,
                reader->segment_bytes);
        recovery->out->reported.frames_corrupt += !damage->counted;
    }
}

/* The segment that is going to be the last is made whole: the log goes on in it, and a last one
 * of a wrong size would be refused at the next start. */
static enum weir_err
mend_last(struct recovery *recovery)
{
    const struct weir_segment_reader *reader = &recovery->reader;
    const struct weir_recovery_options *options = recovery->options;
    recovery->out->files = reader->listed + reader->trimmed;
    if (recovery->out->reported.end_offset == recovery->out->reported.first_offset)
        return WEIR_OK;
    uint64_t last = (recovery->out->reported.end_offset - 1) / reader->segment_bytes;
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

/* Removes segments that begin at or after the end. */
static enum weir_err
remove_behind(struct recovery *recovery)
{
    const struct weir_recovery_options *options = recovery->options;
    struct weir_segment_reader *reader = &recovery->reader;
    enum weir_err err = WEIR_OK;
    uint64_t segment_bytes = recovery->out->segment_bytes;
    for (size_t i = reader->listed; i-- > 0 && err == WEIR_OK;) {
        uint64_t index = reader->indexes[i];
        if (index < (recovery->out->reported.end_offset + segment_bytes - 1) / segment_bytes)
            break;
        char path[PATH_MAX];
        weir_log_segment_path(options->directory, index, path, sizeof path);
        err = weir_io_unlink(options->io, path);
        recovery->out->files--;
    }
    return err;
}

/* Files that were swapped, or are another log's, look like damage from end to end, and the log
 * would go on in the middle of them. If the epoch file is lost too, all of them would be a torn
 * tail; in a log that was recycled bytes prove nothing then. */
static enum weir_err
check_counted(const struct recovery *recovery)
{
    const struct weir_recovery_options *options = recovery->options;
    uint64_t begin = recovery->out->reported.first_offset;
    uint64_t durable = recovery->epoch.durable_offset;
    if (!recovery->epoch_known && recovery->checkpoint.first_index == 0)
        durable = recovery->content_end;
    if (recovery->counted || recovery->lone_frame || durable <= begin)
        return WEIR_OK;
    return weir_fail(WEIR_CORRUPT, 0,
        "%s: no frame lies at its place between %" PRIu64 " and %" PRIu64
        ": were segments renamed, or are they another log's?", options->directory, begin, durable);
}

static enum weir_err
recover(struct recovery *recovery)
{
    enum weir_err err = begin_at_checkpoint(recovery);
    recovery->out->definitions_lost = recovery->replay.lost;
    if (err == WEIR_OK)
        err = hand_over_sender_state(recovery);
    if (err == WEIR_OK)
        err = walk(recovery);
    if (err == WEIR_OK)
        err = check_counted(recovery);
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
    struct weir_log_recovery *reported = &recovery->out->reported;
    if (recovery->content_end > reported->end_offset)
        reported->bytes_torn = recovery->content_end - reported->end_offset;
    reported->definitions = recovery->replay.defined;
    reported->definitions_lost = recovery->replay.lost;
    recovery->out->definitions_through = recovery->replay.through;
    return WEIR_OK;
}

/* Without a checkpoint the log begins at segment 0. If that is gone, but definitions of trimmed
 * segments are there, it is the checkpoint that is lost, and with it state entries and numbers. */
static enum weir_err
check_beginning(const struct recovery *recovery)
{
    const struct weir_recovery_options *options = recovery->options;
    const struct weir_segment_reader *reader = &recovery->reader;
    if (reader->first != 0 || reader->listed == 0 || reader->indexes[0] == 0)
        return WEIR_OK;
    char path[PATH_MAX];
    weir_io_file file;
    enum weir_err err = weir_log_path(options->directory, WEIR_LOG_DEFINITIONS, path);
    if (err != WEIR_OK)
        return err;
    if (weir_io_open(options->io, path, WEIR_IO_READ, &file) != WEIR_OK)
        return WEIR_OK; /* damage, and contained */
    weir_io_close(options->io, file);
    return weir_fail(WEIR_CORRUPT, 0,
        "%s: the checkpoint is missing, and the log begins at segment %016" PRIx64,
        options->directory, reader->indexes[0]);
}

/* Opens the files from where the log begins. */
static enum weir_err
open_segments(struct recovery *recovery)
{
    const struct weir_recovery_options *options = recovery->options;
    struct weir_recovered *out = recovery->out;
    out->segment_bytes = recovery->epoch.segment_bytes;
    if (recovery->checkpoint.first_index != 0)
        out->segment_bytes = recovery->checkpoint.segment_bytes;
    enum weir_err err = weir_segment_reader_open(&recovery->reader, options->io,
        options->directory, recovery->checkpoint.first_index, &out->segment_bytes);
    if (err == WEIR_OK && out->segment_bytes == 0)
        out->segment_bytes = options->segment_bytes;
    return err;
}

enum weir_err
weir_recovery_run(const struct weir_recovery_options *options, struct weir_recovered *out)
{
    struct recovery recovery = {.options = options,
        .out = out,
        .replay = {.define = options->define,
            .define_context = options->define_context,
            .sender_state = options->sender_state,
            .sender_state_context = options->sender_state_context}};
    *out = (struct weir_recovered){.reported.time_max_ms = INT64_MIN};
    enum weir_err err = read_epoch(&recovery);
    if (err == WEIR_OK)
        err = read_checkpoint(&recovery);
    if (err == WEIR_OK)
        err = open_segments(&recovery);
    if (err != WEIR_OK) {
        free(recovery.sender_state);
        return err;
    }
    if (recovery.epoch.durable_offset > weir_segment_reader_end(&recovery.reader))
        err = weir_fail(WEIR_CORRUPT, 0,
            "%s: segments are missing: they end at %" PRIu64 ", durable was %" PRIu64,
            options->directory, weir_segment_reader_end(&recovery.reader),
            recovery.epoch.durable_offset);
    if (err == WEIR_OK)
        err = check_beginning(&recovery);
    if (err == WEIR_OK)
        err = recover(&recovery);
    weir_segment_reader_close(&recovery.reader);
    free(recovery.pending);
    free(recovery.sender_state);
    return err;
}
