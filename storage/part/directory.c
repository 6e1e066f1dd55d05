#include "storage/part/directory.h"

#include "base/assert.h"
#include "model/sample.h"

#define FLAG_STATISTICS 1

void
weir_directory_reset(struct weir_directory_builder *builder, bool has_statistics)
{
    builder->count = 0;
    builder->statistics_size = 0;
    builder->has_statistics = has_statistics;
    memset(builder->columns[WEIR_DIRECTORY_SAMPLE_TYPE], 0, sizeof builder->columns[0]);
    memset(builder->columns[WEIR_DIRECTORY_START_COLUMN], 0, sizeof builder->columns[0]);
}

void
weir_directory_add(struct weir_directory_builder *builder, const struct weir_part_entry *entry)
{
    WEIR_ASSERT(weir_directory_has_room(builder));
    uint32_t i = builder->count++;
    if (i == 0) {
        builder->front_at = entry->front_at;
        builder->rest_at = entry->rest_at;
    }
    builder->columns[WEIR_DIRECTORY_SHARD][i] = entry->shard;
    builder->columns[WEIR_DIRECTORY_LOCAL][i] = entry->local;
    builder->columns[WEIR_DIRECTORY_COUNT][i] = entry->count;
    builder->columns[WEIR_DIRECTORY_BLOCK][i] = entry->block;
    builder->columns[WEIR_DIRECTORY_REST_SIZE][i] = entry->rest_size;
    builder->columns[WEIR_DIRECTORY_COLUMN][i] = entry->column;
    builder->columns[WEIR_DIRECTORY_CODEC][i] = entry->codec;
    builder->columns[WEIR_DIRECTORY_EXPONENT][i] = (uint64_t)(int64_t)entry->exponent;
    if (!builder->has_statistics)
        return;
    uint8_t *at = builder->statistics + builder->statistics_size;
    uint8_t *end = weir_statistics_encode(&entry->statistics, entry->exponent, at);
    builder->statistics_size += (uint32_t)(end - at);
}

static uint8_t *
put_column(struct weir_packed_scratch *scratch, const uint64_t *column, uint32_t count,
    enum weir_effort effort, uint8_t *out)
{
    if (effort == WEIR_EFFORT_FAST)
        return weir_packed_encode_fast(scratch, column, count, out);
    struct weir_packed_plan plan;
    weir_packed_plan_best(scratch, column, count, false, &plan);
    return weir_packed_encode(scratch, column, count, &plan, out);
}

void
weir_directory_encode(struct weir_directory_builder *builder, struct weir_packed_scratch *scratch,
    enum weir_effort effort, struct weir_block_builder *out)
{
    WEIR_ASSERT(builder->count > 0 && out->rest_size == 0);
    uint32_t last = builder->count - 1;
    out->head.shard = (uint32_t)builder->columns[WEIR_DIRECTORY_SHARD][0];
    out->head.first = (uint32_t)builder->columns[WEIR_DIRECTORY_LOCAL][0];
    out->head.last = (uint32_t)builder->columns[WEIR_DIRECTORY_LOCAL][last];
    out->head.count = builder->count;
    uint8_t *at = out->rest;
    *at++ = builder->has_statistics ? FLAG_STATISTICS : 0;
    at = weir_varint_put(at, builder->front_at);
    at = weir_varint_put(at, builder->rest_at);
    for (int i = 0; i < WEIR_DIRECTORY_COLUMNS; i++)
        at = put_column(scratch, builder->columns[i], builder->count, effort, at);
    memcpy(at, builder->statistics, builder->statistics_size);
    out->rest_size = (uint32_t)(at - out->rest) + builder->statistics_size;
}

/* Fills what one row of the columns says; false where that cannot be. */
static bool
fill(const uint64_t (*columns)[WEIR_PART_ENTRIES_MAX], uint32_t i,
    const struct weir_part_footer *footer, uint32_t value_blocks, struct weir_part_entry *out)
{
    uint64_t shard = columns[WEIR_DIRECTORY_SHARD][i], local = columns[WEIR_DIRECTORY_LOCAL][i];
    uint64_t count = columns[WEIR_DIRECTORY_COUNT][i], block = columns[WEIR_DIRECTORY_BLOCK][i];
    uint64_t size = columns[WEIR_DIRECTORY_REST_SIZE][i];
    uint64_t column = columns[WEIR_DIRECTORY_COLUMN][i], codec = columns[WEIR_DIRECTORY_CODEC][i];
    int64_t exponent = (int64_t)columns[WEIR_DIRECTORY_EXPONENT][i];
    if (shard < footer->shard_first || shard > footer->shard_last ||
        local >> WEIR_PART_SHARD_BITS != 0 || count == 0 || count > WEIR_CHUNK_SAMPLES_MAX ||
        block >= value_blocks || size > WEIR_PART_RAW_MAX || column >= footer->columns ||
        codec >= WEIR_CODEC_COUNT || exponent < -WEIR_EXPONENT_MAX ||
        exponent > WEIR_EXPONENT_MAX || columns[WEIR_DIRECTORY_SAMPLE_TYPE][i] != 0 ||
        columns[WEIR_DIRECTORY_START_COLUMN][i] != 0)
        return false;
    *out = (struct weir_part_entry){.shard = (uint32_t)shard,
        .local = (uint32_t)local,
        .block = (uint32_t)block,
        .rest_size = (uint32_t)size,
        .count = (uint32_t)count,
        .column = (uint32_t)column,
        .codec = (uint8_t)codec,
        .exponent = (int8_t)exponent};
    return true;
}

/* A chunk begins where the one before it in its block ends. */
static bool
place(struct weir_part_entry *entry, const struct weir_part_entry *before)
{
    if (before != NULL && before->block == entry->block) {
        entry->front_at = before->front_at + weir_chunk_front_size(before->codec, before->count);
        entry->rest_at = before->rest_at + before->rest_size;
    }
    return entry->front_at + weir_chunk_front_size(entry->codec, entry->count) + entry->rest_at +
        entry->rest_size <=
        WEIR_PART_RAW_MAX;
}

bool
weir_directory_decode(const struct weir_block_view *view, const struct weir_part_footer *footer,
    uint32_t value_blocks, struct weir_directory_scratch *scratch, struct weir_part_entry *entries)
{
    const struct weir_part_block_head *head = &view->head;
    struct weir_bytes bytes = {view->rest, view->rest + head->rest_raw, false};
    if (head->count == 0 || head->count > WEIR_PART_ENTRIES_MAX || head->front_raw != 0)
        return false;
    const uint8_t *flags = weir_bytes_get(&bytes, 1);
    uint64_t front_at = weir_varint_get(&bytes), rest_at = weir_varint_get(&bytes);
    if (bytes.bad || *flags > FLAG_STATISTICS || front_at > WEIR_PART_RAW_MAX ||
        rest_at > WEIR_PART_RAW_MAX)
        return false;
    for (int i = 0; i < WEIR_DIRECTORY_COLUMNS; i++) {
        if (!weir_packed_decode(&bytes, NULL, head->count, scratch->columns[i]))
            return false;
    }
    for (uint32_t i = 0; i < head->count; i++) {
        struct weir_part_entry *entry = &entries[i];
        if (!fill(scratch->columns, i, footer, value_blocks, entry))
            return false;
        if (i == 0) {
            entry->front_at = (uint32_t)front_at;
            entry->rest_at = (uint32_t)rest_at;
        }
        if (!place(entry, i > 0 ? &entries[i - 1] : NULL))
            return false;
        entry->has_statistics = *flags & FLAG_STATISTICS;
        if (entry->has_statistics &&
            !weir_statistics_decode(&bytes, entry->exponent, entry->count, &entry->statistics))
            return false;
    }
    return bytes.at == bytes.end && entries[0].shard == head->shard &&
        entries[0].local == head->first && entries[head->count - 1].local == head->last;
}
