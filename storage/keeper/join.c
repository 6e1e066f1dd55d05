#include "storage/keeper/join.h"

#include "base/assert.h"
#include "base/event.h"
#include "storage/part/part_reader.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SAMPLES_A_STEP 131072 /* 2 ms */
#define ROOM WEIR_CHUNK_ROOM(WEIR_CHUNK_SAMPLES_MAX)

/* A part that is read from its first chunk to its last, a chunk at a time. */
struct source {
    struct weir_manifest_part entry;
    struct weir_part *part; /* NULL: it did not open */
    struct weir_part_reader *reader;
    uint32_t directory; /* next block */
    const struct weir_part_entry *entries;
    uint32_t entry_count;
    uint32_t entry_next;     /* the chunk at hand is the one before */
    uint64_t damaged_blocks; /* that were met and kept aside */
    uint64_t series;         /* of the chunk at hand; UINT64_MAX: there is none */
    uint32_t count;          /* of its samples */
    uint32_t at;             /* first one that is not merged */
    int64_t times_ms[ROOM];
    uint64_t values[ROOM];
    int8_t exponents[ROOM];
    uint8_t kinds[ROOM];
};

enum state { MERGE, FINISH, DONE };

struct weir_join {
    struct weir_join_options options;
    struct weir_part_writer *writer;
    struct source sources[WEIR_JOIN_SOURCES_MAX];
    uint32_t source_count;
    enum state state;
    struct weir_manifest_part part;
    bool made;     /* part is durable */
    uint64_t seen; /* samples read */
    uint64_t superseded;
    uint64_t damaged;
    /* of the series at hand, not given to the writer yet */
    uint64_t series;
    uint32_t count;
    int64_t times_ms[ROOM];
    uint64_t values[ROOM];
    int8_t exponents[ROOM];
    uint8_t kinds[ROOM];
};

static size_t
aligned(size_t bytes)
{
    return (bytes + WEIR_IO_ALIGN - 1) / WEIR_IO_ALIGN * WEIR_IO_ALIGN;
}

size_t
weir_join_footprint(const struct weir_join_options *options)
{
    return aligned(sizeof(struct weir_join)) +
        aligned(weir_part_writer_footprint(&options->writer)) +
        WEIR_JOIN_SOURCES_MAX * aligned(weir_part_reader_footprint());
}

struct weir_join *
weir_join_init(void *memory, const struct weir_join_options *options)
{
    struct weir_join *join = memory;
    uint8_t *at = (uint8_t *)memory + aligned(sizeof *join);
    memset(join, 0, sizeof *join);
    join->options = *options;
    join->writer = weir_part_writer_init(at, &options->writer, options->io);
    at += aligned(weir_part_writer_footprint(&options->writer));
    for (uint32_t i = 0; i < WEIR_JOIN_SOURCES_MAX; i++) {
        join->sources[i].reader = weir_part_reader_init(at, options->io);
        at += aligned(weir_part_reader_footprint());
    }
    join->state = DONE;
    return join;
}

static bool
is_damage(enum weir_err err)
{
    return err == WEIR_CORRUPT || err == WEIR_UNSUPPORTED;
}

static void
report_damage(const char *path)
{
    weir_event(WEIR_LEVEL_ERROR, "part_damaged", "path=%s reason=%s", path, weir_err_detail());
}

/* Reports the damage that a read has met; the bytes of a block that is new to the reader are kept
 * aside. */
static void
report_block(struct weir_join *join, struct source *source)
{
    const struct weir_part_damage *damage = weir_part_reader_damage(source->reader);
    const struct weir_part_block *blocks = weir_part_blocks(source->part);
    report_damage(weir_part_path(source->part));
    if (damage->blocks == source->damaged_blocks)
        return;
    source->damaged_blocks = damage->blocks;
    const struct weir_salvage_block block = {
        .kind = WEIR_SALVAGE_PART, .source = source->entry.file_id, .place = damage->last_at};
    for (uint32_t i = 0; i < weir_part_footer(source->part)->block_count; i++)
        if ((uint64_t)blocks[i].place * WEIR_PART_ALIGN == block.place)
            weir_salvage_keep_from(
                join->options.salvage, &block, weir_part_path(source->part), blocks[i].bytes);
}

/* Reads the chunk of an entry. WEIR_CORRUPT, reported, where it does not check out. */
static enum weir_err
read_chunk(struct weir_join *join, struct source *source, const struct weir_part_entry *entry)
{
    const int64_t *times_ms;
    enum weir_err err = weir_part_read_decimals(
        source->reader, source->part, entry, source->values, source->exponents, source->kinds);
    if (err == WEIR_OK)
        err = weir_part_read_times(source->reader, source->part, entry, &times_ms);
    if (is_damage(err)) {
        report_block(join, source);
        return WEIR_CORRUPT;
    }
    if (err != WEIR_OK)
        return err;
    memcpy(source->times_ms, times_ms, entry->count * sizeof times_ms[0]);
    source->series = (uint64_t)entry->shard << WEIR_PART_SHARD_BITS | entry->local;
    source->count = entry->count;
    source->at = 0;
    return WEIR_OK;
}

/* The next directory block that checks out. WEIR_END after the last. */
static enum weir_err
read_directory(struct weir_join *join, struct source *source)
{
    while (source->directory < weir_part_directory_count(source->part)) {
        enum weir_err err = weir_part_read_directory(source->reader, source->part,
            source->directory++, &source->entries, &source->entry_count);
        source->entry_next = 0;
        if (err == WEIR_OK)
            return WEIR_OK;
        source->entry_count = 0;
        if (!is_damage(err))
            return err;
        report_block(join, source);
    }
    return WEIR_END;
}

/* Moves on to the next chunk that checks out; series is UINT64_MAX after the last. */
static enum weir_err
next_chunk(struct weir_join *join, struct source *source)
{
    for (;;) {
        enum weir_err err = WEIR_OK;
        if (source->entry_next == source->entry_count)
            err = read_directory(join, source);
        if (err == WEIR_END) {
            source->series = UINT64_MAX;
            return WEIR_OK;
        }
        if (err == WEIR_OK)
            err = read_chunk(join, source, &source->entries[source->entry_next++]);
        if (err == WEIR_OK)
            join->seen += source->count;
        if (err != WEIR_CORRUPT)
            return err;
    }
}

static enum weir_err
open_source(struct weir_join *join, struct source *source, const struct weir_manifest_part *entry)
{
    char path[PATH_MAX];
    struct weir_part_reader *reader = source->reader;
    *source = (struct source){.entry = *entry,
        .reader = reader,
        .damaged_blocks = weir_part_reader_damage(reader)->blocks,
        .series = UINT64_MAX};
    enum weir_err err = weir_part_file_path(
        join->options.directory, entry->partition_ms, entry->file_id, path, sizeof path);
    if (err == WEIR_OK)
        err = weir_part_open(join->options.io, path, &source->part);
    if (is_damage(err) || err == WEIR_NOT_FOUND) {
        report_damage(path);
        source->part = NULL;
        return WEIR_OK;
    }
    return err == WEIR_OK ? next_chunk(join, source) : err;
}

static void
close_sources(struct weir_join *join)
{
    for (uint32_t i = 0; i < join->source_count; i++)
        if (join->sources[i].part != NULL)
            weir_part_close(join->options.io, join->sources[i].part);
    join->source_count = 0;
}

static enum weir_err
open_part(struct weir_join *join, const struct weir_partition *partition, uint8_t level)
{
    char path[PATH_MAX];
    struct weir_manifest_part *part = &join->part;
    *part =
        (struct weir_manifest_part){.file_id = join->options.file_id(join->options.file_id_context),
            .partition_ms = partition->from_ms,
            .shard_first = UINT32_MAX,
            .level = level,
            .retention_class = join->sources[0].entry.retention_class,
            .log_from = join->sources[0].entry.log_from};
    for (uint32_t i = 0; i < join->source_count; i++) {
        const struct weir_manifest_part *entry = &join->sources[i].entry;
        if (entry->shard_first < part->shard_first)
            part->shard_first = entry->shard_first;
        if (entry->shard_last > part->shard_last)
            part->shard_last = entry->shard_last;
        if (entry->log_through > part->log_through)
            part->log_through = entry->log_through;
    }
    part->shard_live = part->shard_first;
    const struct weir_part_writer_options options = {.path = path,
        .key = {.partition_start_ms = partition->from_ms,
            .partition_end_ms = partition->to_ms,
            .shard_first = part->shard_first,
            .shard_last = part->shard_last,
            .retention_class = part->retention_class,
            .level = level,
            .order = WEIR_PART_BY_NUMBER},
        .file_id = part->file_id,
        .effort = level == 3 ? WEIR_EFFORT_BEST : WEIR_EFFORT_FAST,
        .statistics = level == 3};
    enum weir_err err = weir_part_file_path(
        join->options.directory, partition->from_ms, part->file_id, path, sizeof path);
    return err == WEIR_OK ? weir_part_writer_open(join->writer, &options) : err;
}

enum weir_err
weir_join_begin(struct weir_join *join, const struct weir_partition *partition,
    const struct weir_manifest_part *sources, uint32_t count, uint8_t level)
{
    WEIR_ASSERT(count > 0 && count <= WEIR_JOIN_SOURCES_MAX);
    join->made = false;
    join->seen = join->superseded = join->damaged = 0;
    join->series = UINT64_MAX;
    join->count = 0;
    join->source_count = 0;
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && join->source_count < count) {
        struct source *source = &join->sources[join->source_count];
        err = open_source(join, source, &sources[join->source_count]);
        join->source_count++;
    }
    if (err == WEIR_OK)
        err = open_part(join, partition, level);
    if (err != WEIR_OK) {
        weir_join_abort(join);
        return err;
    }
    join->state = MERGE;
    return WEIR_OK;
}

/* Gives what is gathered of the series at hand to the writer. */
static enum weir_err
flush(struct weir_join *join)
{
    const struct weir_part_samples samples = {.times_ms = join->times_ms,
        .values = join->values,
        .exponents = join->exponents,
        .kinds = join->kinds,
        .count = join->count};
    join->count = 0;
    return weir_part_writer_add(join->writer, (uint32_t)(join->series >> WEIR_PART_SHARD_BITS),
        (uint32_t)join->series & ((1u << WEIR_PART_SHARD_BITS) - 1), &samples);
}

/* Moves samples of a source, from the first that is not merged up to place `until`. */
static enum weir_err
move(struct weir_join *join, struct source *source, uint32_t until)
{
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && source->at < until) {
        uint32_t count = until - source->at;
        uint32_t room = WEIR_CHUNK_SAMPLES_MAX - join->count;
        count = count < room ? count : room;
        memcpy(
            join->times_ms + join->count, source->times_ms + source->at, count * sizeof(int64_t));
        memcpy(join->values + join->count, source->values + source->at, count * sizeof(uint64_t));
        memcpy(join->exponents + join->count, source->exponents + source->at, count);
        memcpy(join->kinds + join->count, source->kinds + source->at, count);
        source->at += count;
        join->count += count;
        if (join->count == WEIR_CHUNK_SAMPLES_MAX)
            err = flush(join);
    }
    return err;
}

/* The earliest time that other sources of the series have, and which of those is the last in the
 * log; INT64_MAX and NULL where there is no other. */
static int64_t
earliest_other(struct weir_join *join, const struct source *than, struct source **last)
{
    int64_t earliest = INT64_MAX;
    *last = NULL;
    for (uint32_t i = 0; i < join->source_count; i++) {
        struct source *source = &join->sources[i];
        if (source == than || source->series != join->series)
            continue;
        if (*last == NULL || source->times_ms[source->at] <= earliest) {
            earliest = source->times_ms[source->at];
            *last = source;
        }
    }
    return earliest;
}

/* Place of the first sample of a chunk at or after a time. */
static uint32_t
place_of(const struct source *source, int64_t time_ms)
{
    uint32_t low = source->at;
    uint32_t high = source->count;
    if (source->times_ms[high - 1] < time_ms)
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (source->times_ms[middle] < time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first source has samples before all others, or others have one at its time: then all but the
 * last of them are superseded. */
static enum weir_err
merge_run(struct weir_join *join, struct source *first)
{
    struct source *other;
    int64_t time_ms = earliest_other(join, first, &other);
    uint32_t until = other == NULL ? first->count : place_of(first, time_ms);
    if (until > first->at) {
        enum weir_err err = move(join, first, until);
        return err == WEIR_OK && first->at == first->count ? next_chunk(join, first) : err;
    }
    /* equal times: `first` is the earliest in the log of those that have it */
    join->superseded++;
    first->at++;
    return first->at == first->count ? next_chunk(join, first) : WEIR_OK;
}

/* Of the sources with the smallest series number the one with the earliest time, the first in the
 * log of equal ones; NULL where all are merged. */
static struct source *
pick(struct weir_join *join)
{
    struct source *first = NULL;
    for (uint32_t i = 0; i < join->source_count; i++) {
        struct source *source = &join->sources[i];
        if (source->series == UINT64_MAX)
            continue;
        if (first == NULL || source->series < first->series ||
            (source->series == first->series &&
                source->times_ms[source->at] < first->times_ms[first->at]))
            first = source;
    }
    return first;
}

static enum weir_err
step_merge(struct weir_join *join)
{
    uint64_t seen = join->seen;
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && join->seen - seen < SAMPLES_A_STEP) {
        struct source *first = pick(join);
        if (first == NULL || first->series != join->series) {
            if (join->count > 0)
                err = flush(join);
            if (first == NULL) {
                join->state = FINISH;
                return err;
            }
            join->series = first->series;
        }
        if (err == WEIR_OK)
            err = merge_run(join, first);
    }
    return err;
}

static uint64_t
samples_of_sources(const struct weir_join *join)
{
    uint64_t samples = 0;
    for (uint32_t i = 0; i < join->source_count; i++)
        samples += join->sources[i].entry.samples;
    return samples;
}

/* Samples of the part's log range that are not in it: here, and when its sources were made. */
static struct weir_part_ledger
ledger_of(const struct weir_join *join)
{
    struct weir_part_ledger ledger = {.superseded = join->superseded, .damaged = join->damaged};
    for (uint32_t i = 0; i < join->source_count; i++) {
        if (join->sources[i].part == NULL)
            continue;
        const struct weir_part_ledger *own = &weir_part_footer(join->sources[i].part)->ledger;
        ledger.superseded += own->superseded;
        ledger.expired += own->expired;
        ledger.deleted += own->deleted;
        ledger.damaged += own->damaged;
    }
    return ledger;
}

static enum weir_err
step_finish(struct weir_join *join)
{
    join->damaged = samples_of_sources(join) - join->seen;
    join->state = DONE;
    if (join->seen == 0) {
        weir_part_writer_abort(join->writer);
        close_sources(join);
        return WEIR_OK;
    }
    const struct weir_part_origin origin = {.log_from = join->part.log_from,
        .log_through = join->part.log_through,
        .ledger = ledger_of(join)};
    struct weir_part_footer footer;
    enum weir_err err = weir_part_writer_finish(join->writer, &origin, &footer);
    if (err != WEIR_OK)
        return err;
    join->part.time_min_ms = footer.time_min_ms;
    join->part.time_max_ms = footer.time_max_ms;
    join->part.samples = footer.ledger.live;
    join->part.bytes = weir_part_writer_bytes(join->writer);
    join->made = true;
    close_sources(join);
    return WEIR_OK;
}

enum weir_err
weir_join_step(struct weir_join *join)
{
    WEIR_ASSERT(join->state != DONE);
    enum weir_err err = join->state == MERGE ? step_merge(join) : step_finish(join);
    if (err != WEIR_OK) {
        weir_join_abort(join);
        return err;
    }
    return join->state == DONE ? WEIR_OK : WEIR_AGAIN;
}

void
weir_join_abort(struct weir_join *join)
{
    char path[PATH_MAX];
    weir_part_writer_abort(join->writer);
    close_sources(join);
    if (join->made &&
        weir_part_file_path(join->options.directory, join->part.partition_ms, join->part.file_id,
            path, sizeof path) == WEIR_OK &&
        weir_io_unlink(join->options.io, path) != WEIR_OK)
        weir_event(
            WEIR_LEVEL_WARN, "part_left_behind", "path=%s reason=%s", path, weir_err_detail());
    join->made = false;
    join->state = DONE;
}

const struct weir_manifest_part *
weir_join_part(const struct weir_join *join)
{
    return join->made ? &join->part : NULL;
}

uint64_t
weir_join_superseded(const struct weir_join *join)
{
    return join->superseded;
}

uint64_t
weir_join_damaged(const struct weir_join *join)
{
    return join->damaged;
}
