#include "storage/manifest/manifest.h"

#include "base/assert.h"
#include "storage/manifest/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)

enum weir_err
weir_manifest_new(struct weir_manifest **out)
{
    struct weir_manifest *manifest = calloc(1, sizeof *manifest);
    if (manifest == NULL)
        return weir_fail(WEIR_NOMEM, 0, "manifest");
    manifest->partitions = calloc(WEIR_MANIFEST_PARTITIONS_MAX, sizeof *manifest->partitions);
    manifest->parts = calloc(WEIR_MANIFEST_PARTS_MAX, sizeof *manifest->parts);
    manifest->indexes = calloc(WEIR_MANIFEST_INDEXES_MAX, sizeof *manifest->indexes);
    manifest->encoded = malloc(WEIR_MANIFEST_BYTES_MAX);
    if (manifest->partitions == NULL || manifest->parts == NULL || manifest->indexes == NULL ||
        manifest->encoded == NULL) {
        weir_manifest_free(manifest);
        return weir_fail(WEIR_NOMEM, 0, "tables of a manifest");
    }
    *out = manifest;
    return WEIR_OK;
}

void
weir_manifest_free(struct weir_manifest *manifest)
{
    if (manifest == NULL)
        return;
    free(manifest->partitions);
    free(manifest->parts);
    free(manifest->indexes);
    free(manifest->encoded);
    free(manifest);
}

void
weir_manifest_copy(struct weir_manifest *to, const struct weir_manifest *from)
{
    struct weir_manifest old = *to;
    *to = *from;
    to->partitions = old.partitions;
    to->parts = old.parts;
    to->indexes = old.indexes;
    to->encoded = old.encoded;
    memcpy(to->partitions, from->partitions, from->partition_count * sizeof *to->partitions);
    memcpy(to->parts, from->parts, from->part_count * sizeof *to->parts);
    memcpy(to->indexes, from->indexes, from->index_count * sizeof *to->indexes);
}

static int
order_of(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int
weir_manifest_part_compare(const struct weir_manifest_part *a, const struct weir_manifest_part *b)
{
    if (a->partition_ms != b->partition_ms)
        return a->partition_ms < b->partition_ms ? -1 : 1;
    if (a->log_from != b->log_from)
        return order_of(a->log_from, b->log_from);
    if (a->shard_first != b->shard_first)
        return order_of(a->shard_first, b->shard_first);
    return order_of(a->file_id, b->file_id);
}

/* Place of the first partition that ends after time_ms. */
static uint32_t
partition_place(const struct weir_manifest *manifest, int64_t time_ms)
{
    uint32_t low = 0;
    uint32_t high = manifest->partition_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (manifest->partitions[middle].to_ms <= time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct weir_partition *
weir_manifest_partition_find(const struct weir_manifest *manifest, int64_t time_ms)
{
    uint32_t place = partition_place(manifest, time_ms);
    if (place == manifest->partition_count || manifest->partitions[place].from_ms > time_ms)
        return NULL;
    return &manifest->partitions[place];
}

/* The largest multiple of length that is not above time; none below INT64_MIN. */
static int64_t
floor_of(int64_t time_ms, int64_t length_ms)
{
    int64_t above = time_ms % length_ms;
    if (above < 0)
        above += length_ms;
    return time_ms < INT64_MIN + above ? INT64_MIN : time_ms - above;
}

enum weir_err
weir_manifest_partition_add(
    struct weir_manifest *manifest, int64_t time_ms, int64_t length_ms, struct weir_partition *out)
{
    WEIR_ASSERT(length_ms > 0 && DAY_MS % length_ms == 0);
    if (manifest->partition_count == WEIR_MANIFEST_PARTITIONS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d partitions", WEIR_MANIFEST_PARTITIONS_MAX);
    uint32_t place = partition_place(manifest, time_ms);
    struct weir_partition made = {.from_ms = floor_of(time_ms, length_ms)};
    made.to_ms = made.from_ms > INT64_MAX - length_ms ? INT64_MAX : made.from_ms + length_ms;
    if (place > 0 && manifest->partitions[place - 1].to_ms > made.from_ms)
        made.from_ms = manifest->partitions[place - 1].to_ms;
    if (place < manifest->partition_count) {
        int64_t next_ms = manifest->partitions[place].from_ms;
        WEIR_ASSERT(next_ms > time_ms);
        made.to_ms = next_ms < made.to_ms ? next_ms : made.to_ms;
    }
    memmove(&manifest->partitions[place + 1], &manifest->partitions[place],
        (manifest->partition_count - place) * sizeof made);
    manifest->partitions[place] = made;
    manifest->partition_count++;
    *out = made;
    return WEIR_OK;
}

enum weir_err
weir_manifest_partition_restore(
    struct weir_manifest *manifest, const struct weir_partition *partition)
{
    uint32_t place = partition_place(manifest, partition->from_ms);
    if (place < manifest->partition_count) {
        const struct weir_partition *there = &manifest->partitions[place];
        if (there->from_ms == partition->from_ms && there->to_ms == partition->to_ms)
            return WEIR_OK;
        if (there->from_ms < partition->to_ms)
            return weir_fail(WEIR_INVALID, 0, "its partition overlaps that from %" PRId64 " ms",
                there->from_ms);
    }
    if (manifest->partition_count == WEIR_MANIFEST_PARTITIONS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d partitions", WEIR_MANIFEST_PARTITIONS_MAX);
    memmove(&manifest->partitions[place + 1], &manifest->partitions[place],
        (manifest->partition_count - place) * sizeof *partition);
    manifest->partitions[place] = *partition;
    manifest->partition_count++;
    return WEIR_OK;
}

static void
partition_remove(struct weir_manifest *manifest, int64_t from_ms)
{
    uint32_t place = partition_place(manifest, from_ms);
    WEIR_ASSERT(
        place < manifest->partition_count && manifest->partitions[place].from_ms == from_ms);
    manifest->partition_count--;
    memmove(&manifest->partitions[place], &manifest->partitions[place + 1],
        (manifest->partition_count - place) * sizeof manifest->partitions[0]);
}

/* Place of the first part that does not come before entry. */
static uint32_t
part_place(const struct weir_manifest *manifest, const struct weir_manifest_part *entry)
{
    uint32_t low = 0;
    uint32_t high = manifest->part_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (weir_manifest_part_compare(&manifest->parts[middle], entry) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum weir_err
weir_manifest_part_add(struct weir_manifest *manifest, const struct weir_manifest_part *entry)
{
    WEIR_ASSERT(weir_manifest_partition_find(manifest, entry->partition_ms) != NULL);
    WEIR_ASSERT(entry->retention_class < WEIR_MANIFEST_CLASSES);
    if (manifest->part_count == WEIR_MANIFEST_PARTS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d parts", WEIR_MANIFEST_PARTS_MAX);
    uint32_t place = part_place(manifest, entry);
    memmove(&manifest->parts[place + 1], &manifest->parts[place],
        (manifest->part_count - place) * sizeof *entry);
    manifest->parts[place] = *entry;
    manifest->part_count++;
    manifest->ledger[entry->retention_class].live += entry->samples;
    return WEIR_OK;
}

struct weir_manifest_part *
weir_manifest_part_find(const struct weir_manifest *manifest, uint64_t file_id)
{
    for (uint32_t i = 0; i < manifest->part_count; i++)
        if (manifest->parts[i].file_id == file_id)
            return &manifest->parts[i];
    return NULL;
}

void
weir_manifest_part_remove(struct weir_manifest *manifest, uint32_t place)
{
    WEIR_ASSERT(place < manifest->part_count);
    const struct weir_manifest_part gone = manifest->parts[place];
    manifest->ledger[gone.retention_class].live -= gone.samples;
    manifest->part_count--;
    memmove(&manifest->parts[place], &manifest->parts[place + 1],
        (manifest->part_count - place) * sizeof gone);
    bool before = place > 0 && manifest->parts[place - 1].partition_ms == gone.partition_ms;
    bool after =
        place < manifest->part_count && manifest->parts[place].partition_ms == gone.partition_ms;
    if (!before && !after)
        partition_remove(manifest, gone.partition_ms);
}

const struct weir_manifest_index *
weir_manifest_index_find(const struct weir_manifest *manifest, uint32_t shard)
{
    for (uint32_t i = 0; i < manifest->index_count; i++)
        if (manifest->indexes[i].shard == shard)
            return &manifest->indexes[i];
    return NULL;
}

enum weir_err
weir_manifest_index_set(struct weir_manifest *manifest, const struct weir_manifest_index *entry)
{
    uint32_t place = 0;
    while (place < manifest->index_count && manifest->indexes[place].shard < entry->shard)
        place++;
    if (place < manifest->index_count && manifest->indexes[place].shard == entry->shard) {
        manifest->indexes[place] = *entry;
        return WEIR_OK;
    }
    if (manifest->index_count == WEIR_MANIFEST_INDEXES_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d index segments", WEIR_MANIFEST_INDEXES_MAX);
    memmove(&manifest->indexes[place + 1], &manifest->indexes[place],
        (manifest->index_count - place) * sizeof *entry);
    manifest->indexes[place] = *entry;
    manifest->index_count++;
    return WEIR_OK;
}

enum weir_err
weir_part_file_path(
    const char *store, int64_t partition_ms, uint64_t file_id, char *path, size_t size)
{
    int length = snprintf(
        path, size, "%s/parts/%" PRId64 "/%016" PRIx64 ".part", store, partition_ms, file_id);
    return length >= 0 && (size_t)length < size
        ? WEIR_OK
        : weir_fail(WEIR_INVALID, 0, "the path of %s is too long", store);
}
