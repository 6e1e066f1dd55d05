#include "storage/part/part_writer.h"

#include "base/assert.h"
#include "base/event.h"
#include "storage/part/directory.h"
#include "storage/part/footer.h"
#include "storage/part/times.h"

#include <limits.h>
#include <stdio.h>

/* Bytes that are collected before they are written. */
#define BUFFER_BYTES (UINT32_C(1) << 20)
/* Time columns of a block: each has an entry in a table at its end. */
#define TIMES_COLUMNS_MAX 8192
/* Kinds of blocks: a chunk completes at most one of each, and so does the end of a part. */
#define KINDS 3
/* Bytes of a file that places can name. */
#define PART_BYTES_MAX ((UINT64_C(1) << 32) * WEIR_PART_ALIGN)

struct column_place {
    uint16_t front_at;
    uint16_t rest_at;
};
_Static_assert(sizeof(struct column_place) == 4, "its size is part of the format");

struct weir_part_writer {
    struct weir_io *io;
    struct weir_part_writer_limits limits;
    struct weir_part_writer_options options;
    char path[PATH_MAX];
    char temporary[PATH_MAX + 4];
    weir_io_file file; /* < 0: none */
    enum weir_err err; /* the first failure: the part can only be aborted */
    uint64_t written;  /* bytes of the file, those in the buffer not among them */
    uint32_t buffered;
    uint32_t value_blocks; /* complete ones */
    bool renaming;         /* the part may be there under its name */
    bool has_series;
    uint32_t shard; /* of the last chunk, with local */
    uint32_t local;

    struct weir_part_footer footer; /* so far */
    struct weir_block_builder values;
    struct weir_block_builder times;
    struct weir_block_builder directory_block;
    struct weir_directory_builder directory;
    struct column_place columns[TIMES_COLUMNS_MAX]; /* of the time block */
    struct weir_times_dictionary dictionary;
    struct weir_packed_scratch scratch; /* of times and directory */
    uint8_t column[WEIR_CHUNK_REST_MAX];
    double doubles[WEIR_CHUNK_SAMPLES_MAX];
    struct weir_chunk_encoder *encoder;
    struct weir_block_compressor *compressor;
    struct weir_times_slot *slots;
    uint8_t *footer_bytes;          /* as it is written; the blocks lie in it */
    struct weir_part_block *blocks; /* inside footer_bytes */
    uint8_t *buffer;
};

static size_t
aligned(size_t size)
{
    return (size + WEIR_IO_ALIGN - 1) & ~(size_t)(WEIR_IO_ALIGN - 1);
}

size_t
weir_part_writer_footprint(const struct weir_part_writer_limits *limits)
{
    return aligned(sizeof(struct weir_part_writer)) + aligned(weir_chunk_encoder_footprint()) +
        aligned(weir_block_compressor_footprint()) +
        aligned(weir_times_slots(limits->columns_max) * sizeof(struct weir_times_slot)) +
        aligned(weir_part_footer_bytes(limits->blocks_max)) + BUFFER_BYTES;
}

struct weir_part_writer *
weir_part_writer_init(
    void *memory, const struct weir_part_writer_limits *limits, struct weir_io *io)
{
    struct weir_part_writer *writer = memory;
    uint8_t *at = (uint8_t *)memory + aligned(sizeof *writer);
    memset(writer, 0, sizeof *writer);
    writer->io = io;
    writer->limits = *limits;
    writer->file = -1;
    writer->encoder = weir_chunk_encoder_init(at);
    at += aligned(weir_chunk_encoder_footprint());
    writer->compressor = weir_block_compressor_init(at);
    at += aligned(weir_block_compressor_footprint());
    size_t slots = weir_times_slots(limits->columns_max) * sizeof *writer->slots;
    writer->slots = memset(at, 0, slots);
    at += aligned(slots);
    writer->footer_bytes = at;
    writer->blocks = (struct weir_part_block *)(void *)(at + sizeof(struct weir_part_footer));
    at += aligned(weir_part_footer_bytes(limits->blocks_max));
    writer->buffer = at;
    return writer;
}

static enum weir_err
fail(struct weir_part_writer *writer, enum weir_err err)
{
    writer->err = err;
    return err;
}

/* Writes bytes at an offset and waits for them. */
static enum weir_err
write_at(struct weir_part_writer *writer, const void *bytes, size_t size, uint64_t offset)
{
    enum weir_err err = weir_io_write(writer->io, writer->file, bytes, size, offset, 0);
    if (err != WEIR_OK)
        return fail(writer, err);
    struct weir_io_completion completion;
    while (weir_io_reap(writer->io, &completion, 1, INT64_C(1000000000)) == 0)
        continue;
    if (completion.result == 0)
        return WEIR_OK;
    return fail(writer,
        weir_fail(weir_io_err(-completion.result), -completion.result, "write %s at %llu",
            writer->temporary, (unsigned long long)offset));
}

static enum weir_err
flush_buffer(struct weir_part_writer *writer)
{
    if (writer->buffered == 0)
        return WEIR_OK;
    enum weir_err err = write_at(writer, writer->buffer, writer->buffered, writer->written);
    writer->written += writer->buffered;
    writer->buffered = 0;
    return err;
}

static enum weir_err
seal(struct weir_part_writer *writer, struct weir_block_builder *builder)
{
    if (BUFFER_BYTES - writer->buffered < WEIR_PART_BLOCK_MAX) {
        enum weir_err err = flush_buffer(writer);
        if (err != WEIR_OK)
            return err;
    }
    WEIR_ASSERT(writer->footer.block_count < writer->limits.blocks_max);
    uint64_t at = writer->written + writer->buffered;
    struct weir_part_block *entry = &writer->blocks[writer->footer.block_count++];
    uint8_t *out = writer->buffer + writer->buffered;
    weir_block_seal(writer->compressor, builder, writer->options.file_id,
        (uint32_t)(at / WEIR_PART_ALIGN), writer->options.effort == WEIR_EFFORT_BEST, out, entry);
    writer->buffered += entry->bytes;
    weir_block_builder_reset(builder, (enum weir_part_kind)builder->head.kind);
    return WEIR_OK;
}

static enum weir_err
seal_values(struct weir_part_writer *writer)
{
    if (writer->values.head.count == 0)
        return WEIR_OK;
    writer->footer.codec_set |= writer->values.head.codec_set;
    writer->value_blocks++;
    return seal(writer, &writer->values);
}

static enum weir_err
seal_times(struct weir_part_writer *writer)
{
    struct weir_block_builder *times = &writer->times;
    if (times->head.count == 0)
        return WEIR_OK;
    size_t table = times->head.count * sizeof *writer->columns;
    memcpy(times->rest + times->rest_size, writer->columns, table);
    times->rest_size += (uint32_t)table;
    return seal(writer, times);
}

static enum weir_err
seal_directory(struct weir_part_writer *writer)
{
    if (writer->directory.count == 0)
        return WEIR_OK;
    weir_directory_encode(
        &writer->directory, &writer->scratch, writer->options.effort, &writer->directory_block);
    weir_directory_reset(&writer->directory, writer->options.statistics);
    return seal(writer, &writer->directory_block);
}

/* What is left over is found at the next start: no part names it. */
static void
remove_file(struct weir_part_writer *writer, const char *path)
{
    enum weir_err err = weir_io_unlink(writer->io, path);
    if (err != WEIR_OK && err != WEIR_NOT_FOUND)
        weir_event(
            WEIR_LEVEL_WARN, "part_leftover", "file=%s reason=\"%s\"", path, weir_err_detail());
}

static void
begin(struct weir_part_writer *writer)
{
    const struct weir_part_writer_options *options = &writer->options;
    const struct weir_part_key *key = &options->key;
    writer->err = WEIR_OK;
    writer->written = WEIR_PART_HEAD_BYTES;
    writer->buffered = 0;
    writer->value_blocks = 0;
    writer->renaming = false;
    writer->has_series = false;
    writer->footer = (struct weir_part_footer){.magic = WEIR_PART_FOOTER_MAGIC,
        .version = WEIR_PART_VERSION,
        .sample_types = WEIR_PART_TYPE_FLOAT,
        .file_id = options->file_id,
        .partition_start_ms = key->partition_start_ms,
        .partition_end_ms = key->partition_end_ms,
        .shard_first = key->shard_first,
        .shard_last = key->shard_last,
        .retention_class = key->retention_class,
        .level = key->level,
        .order = key->order,
        .time_min_ms = INT64_MAX,
        .time_max_ms = INT64_MIN};
    weir_block_builder_reset(&writer->values, WEIR_PART_VALUES);
    weir_block_builder_reset(&writer->times, WEIR_PART_TIMES);
    weir_block_builder_reset(&writer->directory_block, WEIR_PART_DIRECTORY);
    weir_directory_reset(&writer->directory, options->statistics);
    weir_times_dictionary_init(&writer->dictionary, writer->slots,
        weir_times_slots(writer->limits.columns_max), options->file_id);
}

enum weir_err
weir_part_writer_open(
    struct weir_part_writer *writer, const struct weir_part_writer_options *options)
{
    WEIR_ASSERT(writer->file < 0);
    const struct weir_part_key *key = &options->key;
    if (strlen(options->path) >= sizeof writer->path || options->file_id == 0 ||
        key->shard_first > key->shard_last || key->partition_start_ms >= key->partition_end_ms)
        return weir_fail(WEIR_INVALID, 0, "the key or name of part %s", options->path);
    writer->options = *options;
    strcpy(writer->path, options->path);
    snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp", options->path);
    writer->options.path = writer->path;
    remove_file(writer, writer->temporary); /* what a crash left would stay after a shorter end */
    enum weir_err err =
        weir_io_open(writer->io, writer->temporary, WEIR_IO_WRITE | WEIR_IO_CREATE, &writer->file);
    if (err != WEIR_OK) {
        writer->file = -1;
        return err;
    }
    begin(writer);
    return WEIR_OK;
}

/* Finds the time column of a piece, or adds it. */
static enum weir_err
add_times(
    struct weir_part_writer *writer, const int64_t *times_ms, uint32_t count, uint32_t *column)
{
    struct weir_block_builder *times = &writer->times;
    if (weir_times_dictionary_find(
            &writer->dictionary, times_ms, count, writer->footer.columns, column))
        return WEIR_OK;
    bool split;
    const uint8_t *end = weir_times_encode(
        &writer->scratch, times_ms, count, writer->options.effort, &split, writer->column);
    uint32_t size = (uint32_t)(end - writer->column), front = split ? count : 0;
    size_t table = (times->head.count + 1) * sizeof *writer->columns;
    if (times->head.count == TIMES_COLUMNS_MAX ||
        !weir_block_builder_fits(times, front, size + table)) {
        enum weir_err err = seal_times(writer);
        if (err != WEIR_OK)
            return err;
    }
    if (times->head.count == 0)
        times->head.first = writer->footer.columns;
    times->head.last = writer->footer.columns++;
    writer->columns[times->head.count++] =
        (struct column_place){(uint16_t)times->front_size, (uint16_t)times->rest_size};
    memcpy(times->front + times->front_size, writer->scratch.front, front);
    times->front_size += front;
    memcpy(times->rest + times->rest_size, writer->column, size);
    times->rest_size += size;
    return WEIR_OK;
}

/* Encodes a chunk at the end of the value block; fills its place in the entry. */
static enum weir_err
add_chunk(struct weir_part_writer *writer, const struct weir_chunk_values *values,
    struct weir_part_entry *entry)
{
    struct weir_block_builder *block = &writer->values;
    struct weir_chunk chunk;
    uint8_t *room = block->rest + block->rest_size;
    weir_chunk_encode(writer->encoder, values, writer->options.effort, room, &chunk);
    uint32_t front = weir_chunk_front_size(chunk.codec, chunk.count);
    if (!weir_block_builder_fits(block, front, chunk.rest_size)) {
        enum weir_err err = seal_values(writer);
        if (err != WEIR_OK)
            return err;
        memmove(block->rest, room, chunk.rest_size); /* the first of the next block */
    }
    if (block->head.count == 0) {
        block->head.shard = entry->shard;
        block->head.first = entry->local;
    }
    block->head.last = entry->local;
    block->head.count++;
    block->head.codec_set |= (uint16_t)(1u << chunk.codec);
    entry->block = writer->value_blocks;
    entry->front_at = block->front_size;
    entry->rest_at = block->rest_size;
    entry->rest_size = chunk.rest_size;
    entry->codec = chunk.codec;
    entry->exponent = chunk.exponent;
    if (front > 0)
        memcpy(block->front + block->front_size, chunk.front, front);
    block->front_size += front;
    block->rest_size += chunk.rest_size;
    return WEIR_OK;
}

static enum weir_err
add_piece(struct weir_part_writer *writer, uint32_t shard, uint32_t local, const int64_t *times_ms,
    const struct weir_chunk_values *values)
{
    struct weir_part_entry entry = {.shard = shard, .local = local, .count = values->count};
    enum weir_err err = add_times(writer, times_ms, values->count, &entry.column);
    if (err == WEIR_OK)
        err = add_chunk(writer, values, &entry);
    if (err == WEIR_OK && !weir_directory_has_room(&writer->directory))
        err = seal_directory(writer);
    if (err != WEIR_OK)
        return err;
    if (writer->options.statistics) {
        weir_chunk_doubles(values, writer->doubles);
        weir_statistics_of(writer->doubles, values->count, &entry.statistics);
    }
    weir_directory_add(&writer->directory, &entry);
    struct weir_part_footer *footer = &writer->footer;
    if (!writer->has_series || shard != writer->shard || local != writer->local)
        footer->series++;
    writer->has_series = true;
    writer->shard = shard;
    writer->local = local;
    footer->chunks++;
    footer->ledger.live += values->count;
    if (times_ms[0] < footer->time_min_ms)
        footer->time_min_ms = times_ms[0];
    if (times_ms[values->count - 1] > footer->time_max_ms)
        footer->time_max_ms = times_ms[values->count - 1];
    return WEIR_OK;
}

/* Whether the part surely has room for so many chunks more. */
static bool
has_room(const struct weir_part_writer *writer, size_t chunks)
{
    uint64_t blocks = writer->footer.block_count + KINDS * (uint64_t)(chunks + 1);
    uint64_t bytes = weir_part_writer_bytes(writer) + KINDS * (chunks + 1) * WEIR_PART_BLOCK_MAX;
    return blocks <= writer->limits.blocks_max && bytes <= PART_BYTES_MAX &&
        writer->footer.columns + chunks <= UINT32_MAX;
}

enum weir_err
weir_part_writer_add(struct weir_part_writer *writer, uint32_t shard, uint32_t local,
    const struct weir_part_samples *samples)
{
    const struct weir_part_key *key = &writer->options.key;
    size_t count = samples->count;
    if (writer->err != WEIR_OK || count == 0)
        return writer->err;
    if (shard < key->shard_first || shard > key->shard_last || local >> WEIR_PART_SHARD_BITS != 0 ||
        samples->times_ms[0] < key->partition_start_ms ||
        samples->times_ms[count - 1] >= key->partition_end_ms)
        return weir_fail(WEIR_INVALID, 0, "series %u of shard %u is not for part %s", local, shard,
            writer->path);
    size_t pieces = (count + WEIR_CHUNK_SAMPLES_MAX - 1) / WEIR_CHUNK_SAMPLES_MAX;
    if (!has_room(writer, pieces))
        return weir_fail(WEIR_LIMIT, 0, "part %s is full", writer->path);
    if (pieces == 1) {
        struct weir_chunk_values values = {
            samples->values, samples->exponents, samples->kinds, (uint32_t)count};
        return add_piece(writer, shard, local, samples->times_ms, &values);
    }
    size_t at = 0;
    for (size_t i = 0; i < pieces; i++) {
        size_t end = count * (i + 1) / pieces;
        struct weir_chunk_values values = {samples->values + at, samples->exponents + at,
            samples->kinds + at, (uint32_t)(end - at)};
        enum weir_err err = add_piece(writer, shard, local, samples->times_ms + at, &values);
        if (err != WEIR_OK)
            return err;
        at = end;
    }
    return WEIR_OK;
}

uint64_t
weir_part_writer_bytes(const struct weir_part_writer *writer)
{
    return writer->written + writer->buffered + writer->values.front_size +
        writer->values.rest_size + writer->times.front_size + writer->times.rest_size;
}

/* Both footers, then the head, which says where they are. */
static enum weir_err
write_ends(struct weir_part_writer *writer)
{
    uint64_t at = writer->written;
    size_t size = weir_part_footer_bytes(writer->footer.block_count);
    enum weir_err err = WEIR_OK;
    for (int i = 0; i < 2 && err == WEIR_OK; i++) {
        weir_part_footer_encode(&writer->footer, writer->written, writer->footer_bytes);
        err = write_at(writer, writer->footer_bytes, size, writer->written);
        writer->written += size;
    }
    if (err != WEIR_OK)
        return err;
    struct weir_part_head head;
    weir_part_head_encode(&writer->footer, at, &head);
    memset(writer->buffer, 0, WEIR_PART_HEAD_BYTES);
    memcpy(writer->buffer, &head, sizeof head);
    return write_at(writer, writer->buffer, WEIR_PART_HEAD_BYTES, 0);
}

static enum weir_err
seal_all(struct weir_part_writer *writer)
{
    enum weir_err err = seal_values(writer);
    if (err == WEIR_OK)
        err = seal_times(writer);
    if (err == WEIR_OK)
        err = seal_directory(writer);
    return err == WEIR_OK ? flush_buffer(writer) : err;
}

enum weir_err
weir_part_writer_finish(struct weir_part_writer *writer, const struct weir_part_origin *origin,
    struct weir_part_footer *footer)
{
    WEIR_ASSERT(writer->file >= 0 && origin->log_from <= origin->log_through);
    if (writer->err != WEIR_OK)
        return writer->err;
    uint64_t live = writer->footer.ledger.live;
    writer->footer.ledger = origin->ledger;
    writer->footer.ledger.live = live;
    writer->footer.log_from = origin->log_from;
    writer->footer.log_through = origin->log_through;
    enum weir_err err = seal_all(writer);
    if (err == WEIR_OK)
        err = write_ends(writer);
    if (err == WEIR_OK)
        err = weir_io_flush(writer->io, writer->file);
    if (err != WEIR_OK)
        return fail(writer, err);
    weir_io_close(writer->io, writer->file);
    writer->file = -1;
    writer->renaming = true;
    err = weir_io_rename(writer->io, writer->temporary, writer->path);
    if (err != WEIR_OK)
        return fail(writer, err);
    writer->renaming = false;
    if (footer != NULL)
        *footer = writer->footer;
    return WEIR_OK;
}

void
weir_part_writer_abort(struct weir_part_writer *writer)
{
    if (writer->file >= 0) {
        weir_io_close(writer->io, writer->file);
        writer->file = -1;
        remove_file(writer, writer->temporary);
    } else if (writer->renaming) {
        remove_file(writer, writer->temporary);
        remove_file(writer, writer->path);
    }
    writer->renaming = false;
}
