#include "storage/keeper/l1.h"

#include "base/assert.h"
#include "base/event.h"
#include "storage/frame/columns.h"
#include "storage/frame/crc.h"
#include "storage/keeper/slices.h"
#include "storage/log/format.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* A step does so many: 256 blocks are at most 524,288 samples, 2 ms where they are added. */
#define BLOCKS_A_STEP 256
#define SAMPLES_A_STEP 131072

struct weir_l1 {
    struct weir_l1_options options;
    struct weir_gather *gather;
    struct weir_slices *slices;
    struct weir_part_writer *writer;
    struct weir_merge_unit *unit;
    struct weir_manifest *manifest;
    int64_t length_ms;
    enum weir_l1_stage state;
    uint32_t block; /* next of this pass */
    /* partitions that the unit has samples of, ascending */
    struct weir_partition partitions[WEIR_L1_PARTITIONS_MAX];
    uint32_t partition_count;
    uint32_t partition; /* being made */
    struct weir_manifest_part parts[WEIR_L1_PARTITIONS_MAX];
    uint32_t part_count;
    uint64_t superseded;        /* of all parts */
    uint64_t superseded_before; /* of the parts before this one */
    uint64_t damaged;
    struct weir_columns columns;
    uint8_t block_bytes[WEIR_BLOCK_BYTES_MAX];
};

static size_t
aligned(size_t bytes)
{
    return (bytes + WEIR_IO_ALIGN - 1) / WEIR_IO_ALIGN * WEIR_IO_ALIGN;
}

size_t
weir_l1_footprint(const struct weir_l1_options *options)
{
    return aligned(sizeof(struct weir_l1)) + aligned(weir_gather_footprint(&options->gather)) +
        aligned(weir_slices_footprint()) + aligned(weir_part_writer_footprint(&options->writer));
}

struct weir_l1 *
weir_l1_init(void *memory, const struct weir_l1_options *options)
{
    struct weir_l1 *l1 = memory;
    uint8_t *at = (uint8_t *)memory + aligned(sizeof *l1);
    memset(l1, 0, sizeof *l1);
    l1->options = *options;
    l1->gather = weir_gather_init(at, &options->gather);
    at += aligned(weir_gather_footprint(&options->gather));
    l1->slices = weir_slices_init(at, &options->gather);
    at += aligned(weir_slices_footprint());
    l1->writer = weir_part_writer_init(at, &options->writer, options->io);
    l1->state = WEIR_L1_DONE;
    return l1;
}

void
weir_l1_begin(struct weir_l1 *l1, struct weir_merge_unit *unit, struct weir_manifest *manifest,
    int64_t length_ms)
{
    l1->unit = unit;
    l1->manifest = manifest;
    l1->length_ms = length_ms;
    l1->state = WEIR_L1_LOOK;
    l1->block = 0;
    l1->partition_count = l1->partition = l1->part_count = 0;
    l1->superseded = l1->superseded_before = 0;
    l1->damaged = unit->damaged;
    for (uint32_t i = 0; i < unit->block_count; i++)
        unit->blocks[i].damaged = false;
    weir_slices_begin(l1->slices, unit->series_through);
}

static void
leave_out(struct weir_l1 *l1, struct weir_merge_block *block, const uint8_t *bytes)
{
    const struct weir_salvage_block place = {
        .kind = WEIR_SALVAGE_LOG, .source = block->frame_offset, .place = block->entry.at};
    block->damaged = true;
    l1->damaged += block->entry.samples;
    weir_event(WEIR_LEVEL_ERROR, "block_damaged",
        "offset=%" PRIu64 " at=%" PRIu32 " bytes=%" PRIu32 " samples=%" PRIu32, block->frame_offset,
        block->entry.at, block->entry.bytes, block->entry.samples);
    if (bytes != NULL)
        weir_salvage_keep(l1->options.salvage, &place, bytes, block->entry.bytes);
}

/* WEIR_CORRUPT where the block does not check out; it must have done so in an earlier pass. */
static enum weir_err
read_block(struct weir_l1 *l1, const struct weir_merge_block *block, const uint8_t **bytes)
{
    *bytes = NULL;
    enum weir_err err = l1->unit->read(l1->unit->context, block, l1->block_bytes, bytes);
    if (err != WEIR_OK)
        return err;
    uint32_t seed = weir_place_crc(WEIR_LOG_STREAM, block->frame_offset + block->entry.at);
    return weir_crc32c(seed, *bytes, block->entry.bytes) == block->entry.crc
        ? WEIR_OK
        : weir_fail(WEIR_CORRUPT, 0, "block at %" PRIu64 " of the frame at %" PRIu64,
              (uint64_t)block->entry.at, block->frame_offset);
}

/* The partition of a time, from the manifest. */
static enum weir_err
partition_of(struct weir_l1 *l1, int64_t time_ms, struct weir_partition *out)
{
    const struct weir_partition *found = weir_manifest_partition_find(l1->manifest, time_ms);
    if (found == NULL)
        return weir_manifest_partition_add(l1->manifest, time_ms, l1->length_ms, out);
    *out = *found;
    return WEIR_OK;
}

static enum weir_err
note_partition(struct weir_l1 *l1, int64_t time_ms)
{
    uint32_t place = 0;
    while (place < l1->partition_count && l1->partitions[place].to_ms <= time_ms)
        place++;
    if (place < l1->partition_count && l1->partitions[place].from_ms <= time_ms)
        return WEIR_OK;
    bool many = l1->partition_count >= WEIR_L1_PARTITIONS_MANY && l1->unit->frame_count > 1;
    if (many || l1->partition_count == WEIR_L1_PARTITIONS_MAX)
        return weir_fail(
            WEIR_LIMIT, 0, "samples of more than %" PRIu32 " partitions", l1->partition_count);
    struct weir_partition made;
    enum weir_err err = partition_of(l1, time_ms, &made);
    if (err != WEIR_OK)
        return err;
    memmove(&l1->partitions[place + 1], &l1->partitions[place],
        (l1->partition_count - place) * sizeof made);
    l1->partitions[place] = made;
    l1->partition_count++;
    return WEIR_OK;
}

/* Most blocks lie in one partition: then their first time is enough. */
static enum weir_err
note_partitions(struct weir_l1 *l1, const struct weir_frame_block *entry)
{
    enum weir_err err = note_partition(l1, entry->time_min_ms);
    if (err != WEIR_OK)
        return err;
    const struct weir_partition *first =
        weir_manifest_partition_find(l1->manifest, entry->time_min_ms);
    if (entry->time_max_ms < first->to_ms)
        return WEIR_OK;
    for (uint32_t i = 0; err == WEIR_OK && i < l1->columns.count; i++)
        err = note_partition(l1, l1->columns.times_ms[i]);
    return err;
}

/* A whole decode, because a block that is taken once must be taken in every pass. */
static enum weir_err
look_at_block(struct weir_l1 *l1, struct weir_merge_block *block)
{
    const uint8_t *bytes;
    enum weir_err err = read_block(l1, block, &bytes);
    bool whole = err == WEIR_OK &&
        weir_block_columns(bytes, block->entry.bytes, &block->entry, &l1->columns) &&
        l1->columns.series[l1->columns.count - 1] < l1->unit->series_through;
    if (err != WEIR_OK && err != WEIR_CORRUPT)
        return err;
    if (!whole) {
        leave_out(l1, block, bytes);
        return WEIR_OK;
    }
    weir_slices_count(l1->slices, l1->columns.series, l1->columns.count);
    return note_partitions(l1, &block->entry);
}

static bool
in_partition(const struct weir_partition *partition, int64_t time_ms)
{
    return time_ms >= partition->from_ms && time_ms < partition->to_ms;
}

/* Leaves the samples of the partition. */
static void
keep_partition(struct weir_columns *columns, const struct weir_partition *partition)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < columns->count; i++) {
        columns->series[left] = columns->series[i];
        columns->times_ms[left] = columns->times_ms[i];
        columns->values[left] = columns->values[i];
        columns->exponents[left] = columns->exponents[i];
        columns->kinds[left] = columns->kinds[i];
        left += in_partition(partition, columns->times_ms[i]);
    }
    columns->count = left;
}

/* Decodes what the pass needs of a block: numbers alone where its samples are of one partition. */
static enum weir_err
decode_block(struct weir_l1 *l1, const struct weir_merge_block *block, bool numbers)
{
    const struct weir_partition *partition = &l1->partitions[l1->partition];
    const struct weir_frame_block *entry = &block->entry;
    bool inside =
        in_partition(partition, entry->time_min_ms) && in_partition(partition, entry->time_max_ms);
    const uint8_t *bytes;
    enum weir_err err = read_block(l1, block, &bytes);
    if (err != WEIR_OK)
        return err;
    l1->columns.count = entry->samples;
    bool whole = numbers && inside
        ? weir_block_series(bytes, entry->bytes, entry, l1->columns.series)
        : weir_block_columns(bytes, entry->bytes, entry, &l1->columns);
    if (!whole)
        return weir_fail(
            WEIR_CORRUPT, 0, "frame at %" PRIu64 ": a block changed", block->frame_offset);
    if (!inside)
        keep_partition(&l1->columns, partition);
    return WEIR_OK;
}

/* Whether a block may have samples of the slice and the partition. */
static bool
concerns(
    const struct weir_l1 *l1, const struct weir_merge_block *block, uint64_t first, uint64_t end)
{
    const struct weir_partition *partition = &l1->partitions[l1->partition];
    return !block->damaged && block->entry.series_first < end &&
        block->entry.series_last >= first && block->entry.time_min_ms < partition->to_ms &&
        block->entry.time_max_ms >= partition->from_ms;
}

static enum weir_err
step_look(struct weir_l1 *l1)
{
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; err == WEIR_OK && i < BLOCKS_A_STEP && l1->block < l1->unit->block_count;
         i++)
        err = look_at_block(l1, &l1->unit->blocks[l1->block++]);
    if (err == WEIR_OK && l1->block == l1->unit->block_count)
        l1->state = WEIR_L1_OPEN;
    return err;
}

static enum weir_err
step_open(struct weir_l1 *l1)
{
    if (l1->partition == l1->partition_count) {
        l1->state = WEIR_L1_DONE;
        return WEIR_OK;
    }
    const struct weir_partition *partition = &l1->partitions[l1->partition];
    char path[PATH_MAX];
    const struct weir_part_writer_options options = {.path = path,
        .key = {.partition_start_ms = partition->from_ms,
            .partition_end_ms = partition->to_ms,
            .shard_last = (uint32_t)((l1->unit->series_through - 1) >> WEIR_PART_SHARD_BITS),
            .level = 1,
            .order = WEIR_PART_BY_NUMBER},
        .file_id = l1->options.file_id(l1->options.file_id_context),
        .effort = WEIR_EFFORT_FAST};
    l1->parts[l1->part_count] = (struct weir_manifest_part){.file_id = options.file_id,
        .partition_ms = partition->from_ms,
        .shard_last = options.key.shard_last,
        .level = 1,
        .log_from = l1->unit->log_from,
        .log_through = l1->unit->log_through};
    enum weir_err err = weir_part_file_path(
        l1->options.directory, partition->from_ms, options.file_id, path, sizeof path);
    if (err != WEIR_OK)
        return err;
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    err = weir_io_mkdir(l1->options.io, folder);
    if (err == WEIR_OK)
        err = weir_part_writer_open(l1->writer, &options);
    weir_slices_rewind(l1->slices);
    l1->state = WEIR_L1_SLICE;
    return err;
}

static enum weir_err
step_slice(struct weir_l1 *l1)
{
    uint64_t first, end;
    enum weir_err err = weir_slices_next(l1->slices, &first, &end);
    if (err == WEIR_END) {
        l1->state = WEIR_L1_FINISH;
        return WEIR_OK;
    }
    if (err != WEIR_OK)
        return err;
    weir_gather_begin(l1->gather, first, end);
    l1->block = 0;
    l1->state = WEIR_L1_COUNT;
    return WEIR_OK;
}

/* The passes that count and add differ in one call. */
static enum weir_err
step_blocks(struct weir_l1 *l1)
{
    bool counting = l1->state == WEIR_L1_COUNT;
    uint64_t first, end;
    weir_gather_range(l1->gather, &first, &end);
    for (uint32_t i = 0; i < BLOCKS_A_STEP && l1->block < l1->unit->block_count; l1->block++) {
        const struct weir_merge_block *block = &l1->unit->blocks[l1->block];
        if (!concerns(l1, block, first, end))
            continue;
        enum weir_err err = decode_block(l1, block, counting);
        if (err != WEIR_OK)
            return err;
        if (counting)
            weir_gather_count(l1->gather, l1->columns.series, l1->columns.count);
        else
            weir_gather_add(l1->gather, &l1->columns);
        i++;
    }
    if (l1->block < l1->unit->block_count)
        return WEIR_OK;
    l1->block = 0;
    l1->state = counting ? WEIR_L1_ADD : WEIR_L1_WRITE;
    return counting ? weir_gather_place(l1->gather) : WEIR_OK;
}

static enum weir_err
step_write(struct weir_l1 *l1)
{
    enum weir_err err = WEIR_OK;
    struct weir_gathered got;
    for (uint64_t samples = 0; err == WEIR_OK && samples < SAMPLES_A_STEP; samples += got.count) {
        err = weir_gather_next(l1->gather, &got);
        if (err != WEIR_OK)
            break;
        l1->superseded += got.superseded;
        const struct weir_part_samples samples_in = {.times_ms = got.times_ms,
            .values = got.values,
            .exponents = got.exponents,
            .kinds = got.kinds,
            .count = got.count};
        err = weir_part_writer_add(l1->writer, (uint32_t)(got.series >> WEIR_PART_SHARD_BITS),
            (uint32_t)got.series & ((1u << WEIR_PART_SHARD_BITS) - 1), &samples_in);
    }
    if (err != WEIR_END)
        return err;
    l1->state = WEIR_L1_SLICE;
    return WEIR_OK;
}

static enum weir_err
step_finish(struct weir_l1 *l1)
{
    struct weir_manifest_part *part = &l1->parts[l1->part_count];
    const struct weir_part_origin origin = {.log_from = l1->unit->log_from,
        .log_through = l1->unit->log_through,
        .ledger = {.superseded = l1->superseded - l1->superseded_before,
            .damaged = l1->partition == 0 ? l1->damaged : 0}};
    struct weir_part_footer footer;
    enum weir_err err = weir_part_writer_finish(l1->writer, &origin, &footer);
    if (err != WEIR_OK)
        return err;
    part->time_min_ms = footer.time_min_ms;
    part->time_max_ms = footer.time_max_ms;
    part->samples = footer.ledger.live;
    part->bytes = weir_part_writer_bytes(l1->writer);
    l1->superseded_before = l1->superseded;
    l1->part_count++;
    l1->partition++;
    l1->state = WEIR_L1_OPEN;
    return WEIR_OK;
}

void
weir_l1_abort(struct weir_l1 *l1)
{
    char path[PATH_MAX];
    weir_part_writer_abort(l1->writer);
    for (uint32_t i = 0; i < l1->part_count; i++)
        if (weir_part_file_path(l1->options.directory, l1->parts[i].partition_ms,
                l1->parts[i].file_id, path, sizeof path) == WEIR_OK &&
            weir_io_unlink(l1->options.io, path) != WEIR_OK)
            weir_event(
                WEIR_LEVEL_WARN, "part_left_behind", "path=%s error=%s", path, weir_err_detail());
    l1->part_count = 0;
    l1->state = WEIR_L1_DONE;
}

enum weir_err
weir_l1_step(struct weir_l1 *l1)
{
    static enum weir_err (*const steps[])(struct weir_l1 * l1) = {[WEIR_L1_LOOK] = step_look,
        [WEIR_L1_OPEN] = step_open,
        [WEIR_L1_SLICE] = step_slice,
        [WEIR_L1_COUNT] = step_blocks,
        [WEIR_L1_ADD] = step_blocks,
        [WEIR_L1_WRITE] = step_write,
        [WEIR_L1_FINISH] = step_finish};
    WEIR_ASSERT(l1->state != WEIR_L1_DONE);
    enum weir_err err = steps[l1->state](l1);
    if (err != WEIR_OK) {
        weir_l1_abort(l1);
        return err;
    }
    return l1->state == WEIR_L1_DONE ? WEIR_OK : WEIR_AGAIN;
}

const struct weir_manifest_part *
weir_l1_part(const struct weir_l1 *l1, uint32_t place)
{
    return place < l1->part_count ? &l1->parts[place] : NULL;
}

uint64_t
weir_l1_superseded(const struct weir_l1 *l1)
{
    return l1->superseded;
}

uint64_t
weir_l1_damaged(const struct weir_l1 *l1)
{
    return l1->damaged;
}

enum weir_l1_stage
weir_l1_stage(const struct weir_l1 *l1)
{
    return l1->state;
}
