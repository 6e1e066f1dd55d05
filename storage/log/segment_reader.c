#include "storage/log/segment_reader.h"

#include "base/assert.h"
#include "base/mutant.h"
#include "storage/frame/frame.h"
#include "storage/log/epoch.h"
#include "storage/log/format.h"
#include "storage/log/segments.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW (UINT64_C(1) << 20)
/* Below this step the pages in between are read through: a seek costs more. */
#define STEP_SMALL (UINT64_C(128) << 10)
#define NONE_OPEN UINT64_MAX

static enum weir_err
open_segment(struct weir_segment_reader *reader, uint64_t index)
{
    if (reader->opened == index)
        return WEIR_OK;
    if (reader->opened != NONE_OPEN)
        weir_io_close(reader->io, reader->file);
    reader->opened = NONE_OPEN;
    char path[PATH_MAX];
    weir_log_segment_path(reader->directory, index, path, sizeof path);
    enum weir_err err = weir_io_open(reader->io, path, WEIR_IO_READ, &reader->file);
    if (err == WEIR_OK)
        reader->opened = index;
    return err;
}

/* Does the file begin with a frame? Else it was made ahead and never used. */
static enum weir_err
in_use(struct weir_segment_reader *reader, uint64_t index, uint64_t size, bool *used)
{
    struct weir_frame_header header;
    *used = false;
    if (size < sizeof header)
        return WEIR_OK;
    enum weir_err err = weir_io_read(reader->io, reader->file, &header, sizeof header, 0);
    /* of a recycled file the frames are those of another place */
    uint64_t offset =
        reader->segment_bytes == 0 ? header.offset : index * reader->segment_bytes;
    if (err != WEIR_OK || header.magic != WEIR_FRAME_MAGIC)
        return err;
    enum weir_err checked = weir_frame_check_header(&header, WEIR_LOG_STREAM, offset);
    *used = checked == WEIR_OK || checked == WEIR_UNSUPPORTED;
    return WEIR_OK;
}

static enum weir_err
add_damage(struct weir_segment_reader *reader, struct weir_segment_damage damage)
{
    if (reader->damage_count == reader->damage_capacity) {
        size_t more = reader->damage_capacity == 0 ? 16 : reader->damage_capacity * 2;
        struct weir_segment_damage *grown = realloc(reader->damages, more * sizeof *grown);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "list of %zu damaged segments", more);
        reader->damages = grown;
        reader->damage_capacity = more;
    }
    reader->damages[reader->damage_count++] = damage;
    return WEIR_OK;
}

static enum weir_err
size_of(struct weir_segment_reader *reader, uint64_t index, uint64_t *size)
{
    enum weir_err err = open_segment(reader, index);
    return err == WEIR_OK ? weir_io_size(reader->io, reader->file, size) : err;
}

/* A file before the last: whatever is wrong with it is damage, and contained. */
static enum weir_err
check_middle(struct weir_segment_reader *reader, uint64_t index)
{
    uint64_t size = 0;
    enum weir_err err = size_of(reader, index, &size);
    /* removed since it was listed, or something that is no file: of either there are no bytes */
    bool missing = err == WEIR_NOT_FOUND || err == WEIR_INVALID;
    if (err != WEIR_OK && !missing)
        return err;
    if (size == reader->segment_bytes)
        return WEIR_OK;
    return add_damage(reader,
        (struct weir_segment_damage){.index = index, .bytes = size, .missing = missing});
}

/* The last file may be shorter, if it was never used: it was being made. One that is gone since it
 * was listed could not be made, and was taken back. */
static enum weir_err
check_last(struct weir_segment_reader *reader, uint64_t index)
{
    uint64_t size;
    bool used;
    enum weir_err err = size_of(reader, index, &size);
    if (err == WEIR_NOT_FOUND) {
        reader->count--;
        return WEIR_OK;
    }
    if (err != WEIR_OK || (size == reader->segment_bytes && size != 0))
        return err;
    err = in_use(reader, index, size, &used);
    if (err != WEIR_OK)
        return err;
    if (!used) {
        reader->count--;
        return WEIR_OK;
    }
    if (reader->segment_bytes == 0 && size % WEIR_IO_ALIGN == 0) {
        reader->segment_bytes = size; /* the only one, and there is no epoch file */
        return WEIR_OK;
    }
    return weir_fail(WEIR_CORRUPT, 0,
        "%s: segment %016" PRIx64 " has %" PRIu64 " bytes, not %" PRIu64, reader->directory,
        index, size, reader->segment_bytes);
}

/* Without an epoch file the largest file before the last decides: files lose bytes, never gain. */
static enum weir_err
guess_size(struct weir_segment_reader *reader)
{
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; i + 1 < reader->listed && err == WEIR_OK; i++) {
        uint64_t size = 0;
        err = size_of(reader, reader->indexes[i], &size);
        if (err == WEIR_NOT_FOUND || err == WEIR_INVALID)
            err = WEIR_OK;
        if (size % WEIR_IO_ALIGN == 0 && size > reader->segment_bytes)
            reader->segment_bytes = size;
    }
    return err;
}

/* Takes the files that were trimmed out of the list. */
static void
pass_trimmed(struct weir_segment_reader *reader)
{
    reader->oldest = reader->first;
    if (reader->listed != 0 && reader->indexes[0] < reader->first)
        reader->oldest = reader->indexes[0];
    while (reader->trimmed < reader->listed &&
        reader->indexes[reader->trimmed] < reader->first)
        reader->trimmed++;
    reader->listed -= reader->trimmed;
    memmove(reader->indexes, reader->indexes + reader->trimmed,
        reader->listed * sizeof *reader->indexes);
}

/* After the checkpoint there is a segment, unless the log was opened and ended where it begins:
 * the epoch file says so, and what held nothing was removed. */
static enum weir_err
check_none(const struct weir_segment_reader *reader)
{
    struct weir_epoch epoch;
    if (reader->first == 0)
        return WEIR_OK;
    enum weir_err err = weir_epoch_read(reader->io, reader->directory, WEIR_LOG_STREAM, &epoch);
    if (err == WEIR_OK && epoch.durable_offset == reader->first * reader->segment_bytes)
        return WEIR_OK;
    return weir_fail(WEIR_CORRUPT, 0,
        "%s: the log begins at segment %016" PRIx64 ", and there is none", reader->directory,
        reader->first);
}

/* Every index from the first segment's to the last file's. */
static enum weir_err
check_files(struct weir_segment_reader *reader)
{
    reader->count = reader->first;
    if (reader->listed == 0)
        return check_none(reader);
    uint64_t last = reader->indexes[reader->listed - 1];
    uint64_t missing = last - reader->first - (reader->listed - 1);
    if (missing > WEIR_SEGMENTS_MISSING_MAX)
        return weir_fail(WEIR_CORRUPT, 0,
            "%s: %" PRIu64 " segments are missing before %016" PRIx64, reader->directory, missing,
            last);
    reader->count = last + 1;
    enum weir_err err = reader->segment_bytes == 0 ? guess_size(reader) : WEIR_OK;
    uint64_t index = reader->first;
    for (size_t i = 0; i < reader->listed && err == WEIR_OK; i++, index++) {
        for (; index < reader->indexes[i] && err == WEIR_OK; index++)
            err = add_damage(reader,
                (struct weir_segment_damage){.index = index, .missing = true});
        if (err == WEIR_OK)
            err = index < last ? check_middle(reader, index) : check_last(reader, index);
    }
    return err;
}

enum weir_err
weir_segment_reader_open(struct weir_segment_reader *reader, struct weir_io *io,
    const char *directory, uint64_t first, uint64_t *segment_bytes)
{
    *reader = (struct weir_segment_reader){.io = io,
        .directory = directory,
        .segment_bytes = *segment_bytes,
        .first = first,
        .opened = NONE_OPEN};
    enum weir_err err = weir_segment_list(io, directory, &reader->indexes, &reader->listed);
    if (err != WEIR_OK)
        return err;
    pass_trimmed(reader);
    err = check_files(reader);
    if (err == WEIR_OK && reader->segment_bytes % WEIR_IO_ALIGN != 0)
        err = weir_fail(WEIR_CORRUPT, 0, "%s: segments of %" PRIu64 " bytes", directory,
            reader->segment_bytes);
    if (err == WEIR_OK && reader->count != 0 &&
        (reader->segment_bytes == 0 || reader->count > UINT64_MAX / 2 / reader->segment_bytes))
        err = weir_fail(WEIR_CORRUPT, 0, "%s: %" PRIu64 " segments of %" PRIu64 " bytes",
            directory, reader->count, reader->segment_bytes);
    if (err == WEIR_OK && (reader->window = aligned_alloc(WEIR_IO_ALIGN, WINDOW)) == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "window of %" PRIu64 " bytes", (uint64_t)WINDOW);
    if (err != WEIR_OK)
        weir_segment_reader_close(reader);
    *segment_bytes = reader->segment_bytes;
    return err;
}

void
weir_segment_reader_close(struct weir_segment_reader *reader)
{
    if (reader->opened != NONE_OPEN)
        weir_io_close(reader->io, reader->file);
    reader->opened = NONE_OPEN;
    free(reader->window);
    free(reader->frame);
    reader->window = reader->frame = NULL;
    free(reader->indexes);
    reader->indexes = NULL;
    free(reader->damages);
    reader->damages = NULL;
}

uint64_t
weir_segment_reader_begin(const struct weir_segment_reader *reader)
{
    return reader->first * reader->segment_bytes;
}

uint64_t
weir_segment_reader_end(const struct weir_segment_reader *reader)
{
    return reader->count * reader->segment_bytes;
}

/* Reads what the open file has of [at, at + size); the rest is zeros. */
static enum weir_err
read_short(struct weir_segment_reader *reader, uint64_t at, uint8_t *data, size_t size)
{
    uint64_t file_size;
    enum weir_err err = weir_io_size(reader->io, reader->file, &file_size);
    if (err != WEIR_OK)
        return err;
    size_t there = 0;
    if (file_size > at)
        there = file_size - at < size ? (size_t)(file_size - at) : size;
    memset(data + there, 0, size - there);
    return there == 0 ? WEIR_OK : weir_io_read(reader->io, reader->file, data, there, at);
}

/* A missing file reads as zeros. So do a folder or a FIFO in its place, and the bytes after the end
 * of a short file. No frame checks out there: a reader meets all of it as damage. */
static enum weir_err
read_at(struct weir_segment_reader *reader, uint64_t offset, void *data, size_t size)
{
    enum weir_err err = open_segment(reader, offset / reader->segment_bytes);
    if (err == WEIR_NOT_FOUND || err == WEIR_INVALID) {
        memset(data, 0, size);
        return WEIR_OK;
    }
    if (err != WEIR_OK)
        return err;
    uint64_t at = offset % reader->segment_bytes;
    err = weir_io_read(reader->io, reader->file, data, size, at);
    return err == WEIR_END ? read_short(reader, at, data, size) : err;
}

enum weir_err
weir_segment_reader_page(struct weir_segment_reader *reader, uint64_t offset, uint64_t step,
    const uint8_t **page)
{
    WEIR_ASSERT(offset % WEIR_IO_ALIGN == 0);
    if (offset < reader->window_at || offset >= reader->window_at + reader->window_size) {
        uint64_t left = reader->segment_bytes - offset % reader->segment_bytes;
        uint64_t size = step < STEP_SMALL ? WINDOW : WEIR_IO_ALIGN;
        reader->window_at = offset;
        reader->window_size = (size_t)(size < left ? size : left);
        enum weir_err err = read_at(reader, offset, reader->window, reader->window_size);
        if (err != WEIR_OK) {
            reader->window_size = 0;
            return err;
        }
    }
    *page = reader->window + (offset - reader->window_at);
    return WEIR_OK;
}

enum weir_err
weir_segment_reader_frame(struct weir_segment_reader *reader, uint64_t offset, uint64_t bytes,
    const uint8_t **frame)
{
    if (bytes > reader->frame_capacity) {
        uint8_t *more = aligned_alloc(WEIR_IO_ALIGN, bytes);
        if (more == NULL)
            return weir_fail(WEIR_NOMEM, 0, "frame of %" PRIu64 " bytes", bytes);
        free(reader->frame);
        reader->frame = more;
        reader->frame_capacity = bytes;
    }
    *frame = reader->frame;
    return read_at(reader, offset, reader->frame, bytes);
}

enum weir_err
weir_segment_reader_read(struct weir_segment_reader *reader, uint64_t offset, uint8_t *data,
    size_t bytes)
{
    return read_at(reader, offset, data, bytes);
}

void
weir_segment_reader_forget(struct weir_segment_reader *reader)
{
    reader->window_size = 0;
}

/* [from, to) of one segment, by way of the window. */
static enum weir_err
write_again(struct weir_segment_reader *reader, weir_io_file file, uint64_t from, uint64_t to)
{
    enum weir_err err = WEIR_OK;
    weir_segment_reader_forget(reader);
    while (err == WEIR_OK && from < to) {
        size_t size = to - from < WINDOW ? (size_t)(to - from) : WINDOW;
        err = read_at(reader, from, reader->window, size);
        if (err == WEIR_OK)
            err = weir_io_put(reader->io, file, reader->window, size,
                from % reader->segment_bytes);
        from += size;
    }
    return err;
}

enum weir_err
weir_segment_reader_persist(struct weir_segment_reader *reader, uint64_t from, uint64_t to)
{
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && from < to) {
        uint64_t index = from / reader->segment_bytes;
        uint64_t end = (index + 1) * reader->segment_bytes;
        uint64_t until = to < end ? to : end;
        char path[PATH_MAX];
        weir_io_file file;
        weir_log_segment_path(reader->directory, index, path, sizeof path);
        err = weir_io_open(reader->io, path, WEIR_IO_WRITE, &file);
        if (err != WEIR_OK)
            return err;
        if (!weir_mutant(tail_not_written_again))
            err = write_again(reader, file, from, until);
        if (err == WEIR_OK && !weir_mutant(tail_not_synced))
            err = weir_io_flush(reader->io, file);
        weir_io_close(reader->io, file);
        from = until;
    }
    return err;
}
