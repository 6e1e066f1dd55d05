#include "storage/frame.h"

#include "storage/frame_block.h"
#include "storage/frame_crc.h"

#include <inttypes.h>
#include <string.h>

static enum weir_err
damaged(const char *what, uint64_t offset)
{
    return weir_fail(WEIR_CORRUPT, 0, "frame at %" PRIu64 ": %s", offset, what);
}

enum weir_err
weir_frame_check_header(const struct weir_frame_header *header, uint32_t stream, uint64_t offset)
{
    if (header->magic != WEIR_FRAME_MAGIC)
        return damaged("no frame begins here", offset);
    if (header->header_crc != weir_header_crc(header))
        return damaged("header checksum", offset);
    if (header->version != WEIR_FRAME_VERSION)
        return damaged("unknown version", offset);
    if (header->stream != stream || header->offset != offset)
        return damaged("belongs elsewhere", offset);
    if (header->bytes == 0 || header->bytes % WEIR_FRAME_ALIGN != 0)
        return damaged("size", offset);
    uint64_t body = sizeof *header +
                    (uint64_t)header->block_count * sizeof(struct weir_frame_block) +
                    header->definition_bytes;
    if (header->type == WEIR_FRAME_SAMPLES && body > header->bytes)
        return damaged("parts larger than the whole", offset);
    if (header->type != WEIR_FRAME_SAMPLES && header->type != WEIR_FRAME_SEAL)
        return damaged("unknown type", offset);
    return WEIR_OK;
}

/* A frame whose header has been checked, of `bytes` bytes in memory. */
static enum weir_err
read_header(const uint8_t *frame, size_t bytes, struct weir_frame_header *header)
{
    if (bytes < sizeof *header)
        return damaged("cut in its header", 0);
    memcpy(header, frame, sizeof *header);
    if (header->type != WEIR_FRAME_SAMPLES || header->bytes > bytes)
        return damaged("cut, or without samples", header->offset);
    uint64_t body = sizeof *header +
                    (uint64_t)header->block_count * sizeof(struct weir_frame_block) +
                    header->definition_bytes;
    return body > bytes ? damaged("parts larger than the whole", header->offset) : WEIR_OK;
}

enum weir_err
weir_frame_definitions(const uint8_t *frame, size_t bytes, const uint8_t **list, size_t *size)
{
    struct weir_frame_header header;
    enum weir_err err = read_header(frame, bytes, &header);
    if (err != WEIR_OK)
        return err;
    size_t at = sizeof header + header.block_count * sizeof(struct weir_frame_block);
    if (header.definition_crc != weir_crc32c(weir_place_crc(header.stream, header.offset + at),
                                     frame + at, header.definition_bytes))
        return damaged("definitions checksum", header.offset);
    *list = frame + at;
    *size = header.definition_bytes;
    return WEIR_OK;
}

enum weir_err
weir_frame_index(const uint8_t *frame, size_t bytes, const struct weir_frame_block **blocks,
    size_t *count)
{
    struct weir_frame_header header;
    enum weir_err err = read_header(frame, bytes, &header);
    if (err != WEIR_OK)
        return err;
    size_t size = header.block_count * sizeof(struct weir_frame_block);
    if (header.index_crc != weir_crc32c(weir_place_crc(header.stream, header.offset + sizeof header),
                                frame + sizeof header, size))
        return damaged("index checksum", header.offset);
    *blocks = (const struct weir_frame_block *)(frame + sizeof header);
    *count = header.block_count;
    return WEIR_OK;
}

/* Where each column of a block lies; sizes checked against the block's end. */
struct columns {
    struct weir_block_header header;
    const uint8_t *series;
    const uint8_t *times;
    const uint8_t *exponents;
    const uint8_t *controls;
    const uint8_t *values;
    const uint8_t *end;
};

static bool
find_columns(const uint8_t *block, size_t bytes, struct columns *out)
{
    if (bytes < sizeof out->header)
        return false;
    memcpy(&out->header, block, sizeof out->header);
    size_t count = out->header.samples;
    if (count == 0 || count > WEIR_BLOCK_SAMPLES || out->header.series_width > 5 ||
        out->header.time_width > 8 || out->header.exponent_width > 1)
        return false;
    out->series = block + sizeof out->header;
    out->times = out->series + count * out->header.series_width;
    out->exponents = out->times + count * out->header.time_width;
    out->controls = out->exponents + count * out->header.exponent_width;
    out->values = out->controls + (count + 1) / 2;
    out->end = block + bytes;
    return (size_t)(out->values - block) <= bytes;
}

static inline uint64_t
get(const uint8_t *at, unsigned width, const uint8_t *end)
{
    uint64_t value = 0;
    if (WEIR_LIKELY(end - at >= 8)) {
        memcpy(&value, at, 8);
        return width == 8 ? value : value & ((UINT64_C(1) << width * 8) - 1);
    }
    memcpy(&value, at, width);
    return value;
}

static bool
decode_values(const struct columns *columns, struct weir_sample *samples)
{
    const uint8_t *at = columns->values;
    for (uint32_t i = 0; i < columns->header.samples; i++) {
        unsigned control = columns->controls[i / 2] >> (i & 1) * 4 & 15;
        unsigned width = control == WEIR_CONTROL_DOUBLE ? 8 : control;
        if (width > 8 || (size_t)(columns->end - at) < width)
            return false;
        uint64_t value = get(at, width, columns->end);
        at += width;
        if (control == WEIR_CONTROL_DOUBLE) {
            samples[i].key |= (uint64_t)WEIR_VALUE_DOUBLE << 48;
            samples[i].value = value;
        } else {
            samples[i].value = (uint64_t)weir_unzigzag(value);
        }
    }
    return true;
}

/* The rules of base/sample.h for what a decimal may be, so that no reader meets another. */
static bool
values_valid(const struct weir_sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int exponent = weir_sample_exponent(&samples[i]);
        int64_t mantissa = (int64_t)samples[i].value;
        if (weir_sample_kind(&samples[i]) == WEIR_VALUE_DOUBLE ? exponent != 0
                                                               : exponent < -WEIR_EXPONENT_MAX ||
                    exponent > WEIR_EXPONENT_MAX || mantissa > WEIR_MANTISSA_MAX ||
                    mantissa < -WEIR_MANTISSA_MAX)
            return false;
    }
    return true;
}

enum weir_err
weir_frame_decode_block(const uint8_t *frame, size_t bytes, const struct weir_frame_block *block,
    struct weir_sample *samples, size_t *count)
{
    struct weir_frame_header header;
    enum weir_err err = read_header(frame, bytes, &header);
    if (err != WEIR_OK)
        return err;
    if (block->at > bytes || block->bytes > bytes - block->at ||
        block->crc != weir_crc32c(weir_place_crc(header.stream, header.offset + block->at),
                          frame + block->at, block->bytes))
        return damaged("block checksum", header.offset);
    struct columns columns;
    if (!find_columns(frame + block->at, block->bytes, &columns) ||
        columns.header.samples != block->samples)
        return damaged("block layout", header.offset);
    uint64_t series = columns.header.series_first;
    for (uint32_t i = 0; i < columns.header.samples; i++) {
        unsigned width = columns.header.series_width;
        series += get(columns.series + i * width, width, columns.end);
        if (series >= WEIR_SERIES_LIMIT)
            return damaged("series number", header.offset);
        int exponent = columns.header.exponent_width ? (int8_t)columns.exponents[i]
                                                     : columns.header.exponent;
        samples[i].key = weir_sample_key(series, WEIR_VALUE_DECIMAL, exponent);
        width = columns.header.time_width;
        samples[i].time_ms = (int64_t)((uint64_t)columns.header.time_min_ms +
                                       get(columns.times + i * width, width, columns.end));
    }
    if (!decode_values(&columns, samples) || !values_valid(samples, columns.header.samples))
        return damaged("block values", header.offset);
    *count = columns.header.samples;
    return WEIR_OK;
}

enum weir_err
weir_frame_check(const uint8_t *frame, size_t bytes, uint32_t stream, uint64_t offset)
{
    struct weir_frame_header header;
    if (bytes < sizeof header)
        return damaged("cut in its header", offset);
    memcpy(&header, frame, sizeof header);
    enum weir_err err = weir_frame_check_header(&header, stream, offset);
    if (err != WEIR_OK || header.type == WEIR_FRAME_SEAL)
        return err;
    const uint8_t *list;
    const struct weir_frame_block *blocks;
    size_t size;
    size_t count;
    err = weir_frame_definitions(frame, bytes, &list, &size);
    if (err == WEIR_OK)
        err = weir_frame_index(frame, bytes, &blocks, &count);
    uint64_t samples = 0;
    for (size_t i = 0; err == WEIR_OK && i < count; i++) {
        struct weir_sample decoded[WEIR_BLOCK_SAMPLES];
        size_t in_block;
        err = weir_frame_decode_block(frame, bytes, &blocks[i], decoded, &in_block);
        samples += err == WEIR_OK ? in_block : 0;
    }
    if (err == WEIR_OK && samples != header.sample_count)
        return damaged("sample count", offset);
    return err;
}
