#include "base/clock.h"
#include "base/crc.h"
#include "storage/frame/block.h"
#include "storage/frame/crc.h"
#include "storage/frame/frame.h"
#include "storage/frame/lists.h"
#include "storage/frame/sort.h"

#include <string.h>

struct weir_frame_encoder {
    struct weir_sort sort;
    struct weir_block_scratch block;
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
    /* every block bounded as if full, but the samples counted once */
    size_t blocks = block_count_of(batch) * (sizeof(struct weir_frame_block) + WEIR_BLOCK_BOUND(1));
    struct weir_list state = weir_list_of_state(batch);
    struct weir_list definitions = weir_list_of_definitions(batch);
    return align_up(sizeof(struct weir_frame_header) + weir_lists_bound(&state) +
                    weir_lists_bound(&definitions) + blocks +
                    WEIR_BLOCK_BOUND((size_t)batch->count) + WEIR_BLOCK_SLACK);
}

static uint8_t *
encode_blocks(struct weir_frame_encoder *encoder, const struct weir_batch *batch,
    const uint32_t *order, struct weir_frame_header *header, uint8_t *frame,
    uint8_t *at)
{
    struct weir_frame_block *index =
        (struct weir_frame_block *)(frame + sizeof(struct weir_frame_header));
    for (uint32_t n = 0; n < header->block_count; n++) {
        uint32_t first = n * WEIR_BLOCK_SAMPLES;
        uint32_t count = batch->count - first;
        if (count > WEIR_BLOCK_SAMPLES)
            count = WEIR_BLOCK_SAMPLES;
        uint32_t place = (uint32_t)(at - frame);
        index[n] = (struct weir_frame_block){.at = place};
        index[n].bytes = (uint32_t)weir_block_encode(&encoder->block, batch->samples,
            order + first, count, batch->count - first, at, &index[n]);
        index[n].crc =
            weir_crc32c(weir_place_crc(header->stream, header->offset + place), at, index[n].bytes);
        at += index[n].bytes;
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

/* State entries, then definitions, in pieces. */
static uint8_t *
encode_lists(const struct weir_batch *batch, struct weir_frame_header *header, uint8_t *frame,
    size_t at)
{
    struct weir_list state = weir_list_of_state(batch);
    struct weir_list definitions = weir_list_of_definitions(batch);
    if (state.size != 0)
        header->state_bytes = (uint32_t)weir_lists_encode(&state, header, frame, &at);
    if (definitions.size != 0)
        header->definition_bytes = (uint32_t)weir_lists_encode(&definitions, header, frame, &at);
    return frame + at;
}

void
weir_frame_encode(struct weir_frame_encoder *encoder, const struct weir_batch *batch,
    const struct weir_frame_place *place, uint8_t *out, size_t *bytes, uint64_t *cycles)
{
    uint64_t start = weir_tsc();
    const uint32_t *order = weir_sort_batch(&encoder->sort, batch);
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
    header.definition_first = batch->definition_first;
    header.flags = batch->state_bytes > 0 ? WEIR_FRAME_SENDER_STATE : 0;
    header.sample_types = WEIR_SAMPLE_TYPE_FLOAT;
    size_t index_bytes = header.block_count * sizeof(struct weir_frame_block);
    uint8_t *at = encode_lists(batch, &header, out, sizeof header + index_bytes);
    at = encode_blocks(encoder, batch, order, &header, out, at);
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
