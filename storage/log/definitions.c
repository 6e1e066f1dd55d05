#include "storage/log/definitions.h"

#include "base/assert.h"
#include "base/event.h"
#include "base/mutant.h"
#include "model/labels.h"
#include "storage/frame/crc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEADER sizeof(struct weir_definitions_chunk)
#define LIST_MAX (WEIR_DEFINITIONS_CHUNK_BYTES - HEADER)
_Static_assert(LIST_MAX >= WEIR_LABELS_BYTES_MAX + sizeof(uint32_t), "any definition fits");
_Static_assert(WEIR_DEFINITIONS_CHUNK_BYTES % WEIR_IO_ALIGN == 0, "chunks are padded");

static uint32_t
header_crc(const struct weir_definitions_chunk *header, uint64_t place)
{
    return weir_crc32c(weir_place_crc(WEIR_LOG_STREAM, place), header,
        offsetof(struct weir_definitions_chunk, header_crc));
}

static uint64_t
padded(uint64_t bytes)
{
    return (bytes + WEIR_IO_ALIGN - 1) & ~(uint64_t)(WEIR_IO_ALIGN - 1);
}

/* ---- reading ---- */

struct reading {
    struct weir_io *io;
    weir_io_file file;
    const char *path;
    uint64_t bytes;   /* of the file that count */
    uint64_t through; /* no number at or above it is believed */
    struct weir_replay *replay;
    uint8_t *list;
};

/* WEIR_CORRUPT, without a text, if there is no header. */
static enum weir_err
check_header(const struct reading *reading, const struct weir_definitions_chunk *header,
    uint64_t place)
{
    if (header->magic != WEIR_DEFINITIONS_MAGIC ||
        (header->header_crc != header_crc(header, place) &&
            !weir_mutant(definitions_header_unchecked)))
        return WEIR_CORRUPT;
    if (header->version != WEIR_DEFINITIONS_VERSION)
        return weir_fail(WEIR_UNSUPPORTED, 0,
            "%s at %" PRIu64 " has version %u, this program knows %d", reading->path, place,
            header->version, WEIR_DEFINITIONS_VERSION);
    bool fits = header->bytes <= LIST_MAX &&
        padded(HEADER + header->bytes) <= reading->bytes - place &&
        header->first <= reading->through && header->count <= reading->through - header->first;
    return fits ? WEIR_OK : WEIR_CORRUPT;
}

static void
report_damage(const struct reading *reading, uint64_t place)
{
    weir_event(WEIR_LEVEL_ERROR, "definitions_damaged", "file=\"%s\" place=%" PRIu64, reading->path,
        place);
}

static enum weir_err
read_list(struct reading *reading, const struct weir_definitions_chunk *header, uint64_t place)
{
    struct weir_replay *replay = reading->replay;
    if (header->first + header->count <= replay->through)
        return WEIR_OK;
    enum weir_err err =
        weir_io_read(reading->io, reading->file, reading->list, header->bytes, place + HEADER);
    if (err != WEIR_OK)
        return err;
    uint32_t crc = weir_crc32c(weir_place_crc(WEIR_LOG_STREAM, place + HEADER), reading->list,
        header->bytes);
    if (crc != header->crc && !weir_mutant(definitions_list_unchecked)) {
        report_damage(reading, place);
        return weir_replay_lost(replay, header->first + header->count);
    }
    err = weir_replay_list(replay, header->first, header->count, reading->list, header->bytes);
    return err == WEIR_OK ? weir_replay_lost(replay, header->first + header->count) : err;
}

/* After a damaged header the next one is looked for at every multiple of 4,096. */
static enum weir_err
read_chunks(struct reading *reading)
{
    enum weir_err err = WEIR_OK;
    bool in_damage = false;
    uint64_t place = 0;
    while (err == WEIR_OK && place < reading->bytes) {
        struct weir_definitions_chunk header;
        err = weir_io_read(reading->io, reading->file, &header, sizeof header, place);
        if (err != WEIR_OK)
            break;
        enum weir_err checked = check_header(reading, &header, place);
        if (checked == WEIR_UNSUPPORTED)
            return checked;
        if (checked == WEIR_OK) {
            in_damage = false;
            err = read_list(reading, &header, place);
            place += padded(HEADER + header.bytes);
            continue;
        }
        if (!in_damage)
            report_damage(reading, place);
        in_damage = true;
        place += WEIR_IO_ALIGN;
    }
    return err == WEIR_OK ? weir_replay_lost(reading->replay, reading->through) : err;
}

/* A crash leaves what a checkpoint names whole: a file that is not there, or is shorter, was taken
 * away. */
static enum weir_err
check_size(const struct reading *reading)
{
    uint64_t size = 0;
    enum weir_err err = weir_io_size(reading->io, reading->file, &size);
    if (err == WEIR_OK && size < reading->bytes)
        err = weir_fail(WEIR_CORRUPT, 0,
            "%s has %" PRIu64 " bytes, the checkpoint names %" PRIu64, reading->path, size,
            reading->bytes);
    return err;
}

enum weir_err
weir_definitions_read(struct weir_io *io, const char *directory, uint64_t bytes,
    uint64_t through, struct weir_replay *replay)
{
    char path[PATH_MAX];
    struct reading reading = {
        .io = io, .path = path, .bytes = bytes, .through = through, .replay = replay};
    if (replay->through >= through)
        return WEIR_OK;
    enum weir_err err = weir_log_path(directory, WEIR_LOG_DEFINITIONS, path);
    if (err == WEIR_OK)
        err = weir_io_open(io, path, WEIR_IO_READ, &reading.file);
    if (err == WEIR_NOT_FOUND)
        return weir_fail(WEIR_CORRUPT, 0,
            "%s is missing, the checkpoint names %" PRIu64 " bytes of it", path, bytes);
    if (err != WEIR_OK)
        return err;
    err = check_size(&reading);
    if (err == WEIR_OK && (reading.list = malloc(LIST_MAX)) == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "chunk of %s", path);
    if (err == WEIR_OK)
        err = read_chunks(&reading);
    free(reading.list);
    weir_io_close(io, reading.file);
    return err;
}

/* ---- writing ---- */

enum weir_err
weir_definitions_open(struct weir_definitions_writer *writer, struct weir_io *io,
    const char *directory, uint64_t bytes)
{
    *writer = (struct weir_definitions_writer){
        .io = io, .file = -1, .bytes = bytes, .synced = bytes};
    char path[PATH_MAX];
    enum weir_err err = weir_log_path(directory, WEIR_LOG_DEFINITIONS, path);
    if (err == WEIR_OK)
        err = weir_io_open(io, path, WEIR_IO_WRITE, &writer->file);
    if (err == WEIR_NOT_FOUND && bytes == 0) {
        err = weir_io_replace(io, path, "", 0); /* made with its name durable */
        if (err == WEIR_OK)
            err = weir_io_open(io, path, WEIR_IO_WRITE, &writer->file);
    }
    uint64_t size = 0;
    if (err == WEIR_OK)
        err = weir_io_size(io, writer->file, &size);
    if (err == WEIR_OK && size < bytes)
        err = weir_fail(WEIR_CORRUPT, 0, "%s has %" PRIu64 " bytes, not %" PRIu64, path, size,
            bytes);
    if (err == WEIR_OK) {
        writer->chunk = calloc(1, WEIR_DEFINITIONS_CHUNK_BYTES);
        if (writer->chunk == NULL)
            err = weir_fail(WEIR_NOMEM, 0, "chunk of %s", path);
    }
    if (err != WEIR_OK)
        weir_definitions_close(writer);
    return err;
}

/* Waits for one write; the io has nothing else in flight. */
static enum weir_err
write_wait(struct weir_definitions_writer *writer, size_t size)
{
    struct weir_io_completion done = {0};
    enum weir_err err =
        weir_io_write(writer->io, writer->file, writer->chunk, size, writer->bytes, 0);
    WEIR_ASSERT(err == WEIR_OK);
    while (weir_io_reap(writer->io, &done, 1, INT64_MAX) == 0)
        ;
    if (done.result == 0)
        return WEIR_OK;
    bool full = done.result == -ENOSPC || done.result == -EDQUOT;
    return weir_fail(full ? WEIR_FULL : WEIR_IO, -done.result, "write definitions at %" PRIu64,
        writer->bytes);
}

static enum weir_err
write_chunk(struct weir_definitions_writer *writer)
{
    if (writer->count == 0)
        return WEIR_OK;
    struct weir_definitions_chunk header = {.magic = WEIR_DEFINITIONS_MAGIC,
        .version = WEIR_DEFINITIONS_VERSION,
        .first = writer->first,
        .count = writer->count,
        .bytes = (uint32_t)writer->used,
        .crc = weir_crc32c(weir_place_crc(WEIR_LOG_STREAM, writer->bytes + HEADER),
            writer->chunk + HEADER, writer->used)};
    header.header_crc = header_crc(&header, writer->bytes);
    memcpy(writer->chunk, &header, sizeof header);
    size_t size = (size_t)padded(HEADER + writer->used);
    enum weir_err err = write_wait(writer, size);
    if (err != WEIR_OK)
        return err;
    memset(writer->chunk, 0, size);
    writer->bytes += size;
    writer->count = 0;
    writer->used = 0;
    return WEIR_OK;
}

enum weir_err
weir_definitions_add(struct weir_definitions_writer *writer, uint64_t number,
    const uint8_t *labels, size_t size)
{
    WEIR_ASSERT(size <= WEIR_LABELS_BYTES_MAX);
    if (LIST_MAX - writer->used < sizeof(uint32_t) + size) {
        enum weir_err err = write_chunk(writer);
        if (err != WEIR_OK)
            return err;
    }
    if (writer->count == 0)
        writer->first = number;
    WEIR_ASSERT(number == writer->first + writer->count);
    enum weir_err err = weir_definition_append(writer->chunk + HEADER, LIST_MAX, &writer->used,
        labels, size);
    WEIR_ASSERT(err == WEIR_OK);
    writer->count++;
    return WEIR_OK;
}

enum weir_err
weir_definitions_finish(struct weir_definitions_writer *writer)
{
    enum weir_err err = write_chunk(writer);
    if (err == WEIR_OK && writer->bytes != writer->synced && !weir_mutant(definitions_without_sync))
        err = weir_io_flush(writer->io, writer->file);
    if (err == WEIR_OK)
        writer->synced = writer->bytes;
    return err;
}

void
weir_definitions_close(struct weir_definitions_writer *writer)
{
    if (writer->file >= 0)
        weir_io_close(writer->io, writer->file);
    free(writer->chunk);
    writer->file = -1;
    writer->chunk = NULL;
}
