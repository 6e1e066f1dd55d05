#include "base/clock.h"
#include "base/crc.h"
#include "storage/frame.h"
#include "storage/frame_block.h"
#include "storage/frame_crc.h"
#include "storage/frame_sort.h"

#include <string.h>

/* Bytes a sample takes at most: 5 of series, 8 of time, 1 of exponent, 1/2 of control, 8 of
 * value; rounded up. */
#define SAMPLE_BYTES_MAX 23
_Static_assert(sizeof(struct weir_block_header) + WEIR_BLOCK_SAMPLES * SAMPLE_BYTES_MAX <=
                   WEIR_BLOCK_BYTES_MAX,
    "a block stays below its limit");

struct weir_frame_encoder {
    struct weir_sort sort;
    struct weir_sample block[WEIR_BLOCK_SAMPLES]; /* gathered */
};

size_t
weir_frame_encoder_footprint(void)
{
    return sizeof(struct weir_frame_encoder);
}

struct weir_frame_encoder *
weir_frame_encoder_init(void *memory)
{
    return memory;
}

static size_t
align_up(size_t bytes)
{
    return (bytes + WEIR_FRAME_ALIGN - 1) & ~(size_t)(WEIR_FRAME_ALIGN - 1);
}

static uint32_t
block_count_of(const struct weir_batch *batch)
{
    return (batch->count + WEIR_BLOCK_SAMPLES - 1) / WEIR_BLOCK_SAMPLES;
}

size_t
weir_frame_bound(const struct weir_batch *batch)
{
    size_t blocks = block_count_of(batch);
    return align_up(sizeof(struct weir_frame_header) +
                    blocks * (sizeof(struct weir_frame_block) + sizeof(struct weir_block_header)) +
                    batch->definition_bytes + (size_t)batch->count * SAMPLE_BYTES_MAX +
                    WEIR_BLOCK_SLACK);
}

static inline uint8_t *
put(uint8_t *at, uint64_t value, unsigned width)
{
    memcpy(at, &value, 8);
    return at + width;
}

/* What a block's columns have to hold. */
struct extent {
    uint64_t delta_bits; /* or of all deltas: its width is the widest's */
    int64_t time_min_ms;
    int64_t time_max_ms;
    bool exponents_differ;
};

static struct extent
gather(struct weir_frame_encoder *encoder, const struct weir_batch *batch,
    const struct weir_sort_entry *order, uint32_t count)
{
    struct extent extent = {.time_min_ms = INT64_MAX, .time_max_ms = INT64_MIN};
    uint64_t before = order[0].series;
    uint64_t exponents = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_sample *sample = &batch->samples[order[i].place];
        encoder->block[i] = *sample;
        extent.delta_bits |= order[i].series - before;
        before = order[i].series;
        if (sample->time_ms < extent.time_min_ms)
            extent.time_min_ms = sample->time_ms;
        if (sample->time_ms > extent.time_max_ms)
            extent.time_max_ms = sample->time_ms;
        exponents |= (sample->key ^ encoder->block[0].key) >> WEIR_SERIES_BITS & 0xff;
    }
    extent.exponents_differ = exponents != 0;
    return extent;
}

static uint8_t *
put_values(const struct weir_sample *samples, uint32_t count, uint8_t *controls, uint8_t *at)
{
    memset(controls, 0, (count + 1) / 2);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = samples[i].value;
        unsigned control = WEIR_CONTROL_DOUBLE;
        unsigned width = 8;
        if (weir_sample_kind(&samples[i]) == WEIR_VALUE_DECIMAL) {
            value = weir_zigzag((int64_t)value);
            control = width = weir_bytes_needed(value);
        }
        controls[i / 2] |= (uint8_t)(control << (i & 1) * 4);
        at = put(at, value, width);
    }
    return at;
}

/* Encodes encoder->block; returns the byte behind it. */
static uint8_t *
encode_block(const struct weir_frame_encoder *encoder, uint32_t count,
    const struct extent *extent, uint8_t *out)
{
    const struct weir_sample *samples = encoder->block;
    uint64_t time_span = (uint64_t)extent->time_max_ms - (uint64_t)extent->time_min_ms;
    struct weir_block_header header = {.samples = (uint16_t)count,
        .series_width = (uint8_t)weir_bytes_needed(extent->delta_bits),
        .time_width = (uint8_t)weir_bytes_needed(time_span),
        .exponent_width = extent->exponents_differ,
        .exponent = (int8_t)weir_sample_exponent(&samples[0]),
        .series_first = weir_sample_series(&samples[0]),
        .time_min_ms = extent->time_min_ms};
    memcpy(out, &header, sizeof header);
    uint8_t *at = out + sizeof header;
    uint64_t before = header.series_first;
    for (uint32_t i = 0; i < count && header.series_width > 0; i++) {
        uint64_t series = weir_sample_series(&samples[i]);
        at = put(at, series - before, header.series_width);
        before = series;
    }
    for (uint32_t i = 0; i < count && header.time_width > 0; i++)
        at = put(at, (uint64_t)samples[i].time_ms - (uint64_t)extent->time_min_ms,
            header.time_width);
    for (uint32_t i = 0; i < count && header.exponent_width > 0; i++)
        *at++ = (uint8_t)weir_sample_exponent(&samples[i]);
    return put_values(samples, count, at, at + (count + 1) / 2);
}

static uint8_t *
encode_blocks(struct weir_frame_encoder *encoder, const struct weir_batch *batch,
    const struct weir_sort_entry *order, struct weir_frame_header *header, uint8_t *frame,
    uint8_t *at)
{
    struct weir_frame_block *index =
        (struct weir_frame_block *)(frame + sizeof(struct weir_frame_header));
    for (uint32_t n = 0; n < header->block_count; n++) {
        uint32_t first = n * WEIR_BLOCK_SAMPLES;
        uint32_t count = batch->count - first;
        if (count > WEIR_BLOCK_SAMPLES)
            count = WEIR_BLOCK_SAMPLES;
        struct extent extent = gather(encoder, batch, order + first, count);
        uint8_t *end = encode_block(encoder, count, &extent, at);
        uint32_t place = (uint32_t)(at - frame);
        uint32_t bytes = (uint32_t)(end - at);
        index[n] = (struct weir_frame_block){.series_first = order[first].series,
            .series_last = order[first + count - 1].series,
            .at = place,
            .bytes = bytes,
            .samples = count,
            .crc = weir_crc32c(weir_place_crc(header->stream, header->offset + place), at, bytes),
            .time_min_ms = extent.time_min_ms,
            .time_max_ms = extent.time_max_ms};
        at = end;
    }
    return at;
}

static void
header_from(const struct weir_frame_place *place, struct weir_frame_header *header)
{
    *header = (struct weir_frame_header){.magic = WEIR_FRAME_MAGIC,
        .version = WEIR_FRAME_VERSION,
        .stream = place->stream,
        .offset = place->offset,
        .segment_epoch = place->segment_epoch,
        .dataplane_epoch = place->dataplane_epoch,
        .durable_watermark = place->durable_watermark,
        .definitions_through = place->definitions_through,
        .previous_crc = place->previous_crc};
}

void
weir_frame_encode(struct weir_frame_encoder *encoder, const struct weir_batch *batch,
    const struct weir_frame_place *place, uint8_t *out, size_t *bytes, uint64_t *cycles)
{
    uint64_t start = weir_tsc();
    const struct weir_sort_entry *order = weir_sort_batch(&encoder->sort, batch);
    uint64_t sorted = weir_tsc();
    struct weir_frame_header header;
    header_from(place, &header);
    header.type = WEIR_FRAME_SAMPLES;
    header.block_count = block_count_of(batch);
    header.time_min_ms = batch->time_min_ms;
    header.time_max_ms = batch->time_max_ms;
    header.sample_count = batch->count;
    header.record_count = batch->records;
    header.definition_count = batch->definition_count;
    header.definition_bytes = batch->definition_bytes;
    header.definition_first = batch->definition_first;
    header.sample_types = WEIR_SAMPLE_TYPE_FLOAT;
    size_t index_bytes = header.block_count * sizeof(struct weir_frame_block);
    uint8_t *at = out + sizeof header + index_bytes;
    uint32_t definitions_at = (uint32_t)(at - out);
    if (batch->definition_bytes > 0)
        memcpy(at, batch->definitions, batch->definition_bytes);
    header.definition_crc = weir_crc32c(
        weir_place_crc(header.stream, header.offset + definitions_at), at, batch->definition_bytes);
    at = encode_blocks(encoder, batch, order, &header, out, at + batch->definition_bytes);
    *bytes = align_up((size_t)(at - out));
    header.bytes = *bytes;
    memset(at, 0, *bytes - (size_t)(at - out));
    header.index_crc = weir_crc32c(weir_place_crc(header.stream, header.offset + sizeof header),
        out + sizeof header, index_bytes);
    header.header_crc = weir_header_crc(&header);
    memcpy(out, &header, sizeof header);
    if (cycles != NULL) {
        cycles[0] += sorted - start;
        cycles[1] += weir_tsc() - sorted;
    }
}

void
weir_frame_seal(const struct weir_frame_place *place, uint64_t bytes, uint8_t *out)
{
    struct weir_frame_header header;
    header_from(place, &header);
    header.type = WEIR_FRAME_SEAL;
    header.bytes = bytes;
    header.time_min_ms = INT64_MAX;
    header.time_max_ms = INT64_MIN;
    header.header_crc = weir_header_crc(&header);
    memset(out, 0, WEIR_FRAME_ALIGN);
    memcpy(out, &header, sizeof header);
}
