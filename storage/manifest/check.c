#include "storage/manifest/manifest.h"

#include <inttypes.h>
#include <stdlib.h>

static enum weir_err
broken(const char *what, uint32_t place)
{
    return weir_fail(WEIR_CORRUPT, 0, "manifest: %s (entry %" PRIu32 ")", what, place);
}

static enum weir_err
check_partitions(const struct weir_manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->partition_count; i++) {
        const struct weir_partition *partition = &manifest->partitions[i];
        if (partition->from_ms >= partition->to_ms)
            return broken("a partition without time", i);
        if (i > 0 && partition[-1].to_ms > partition->from_ms)
            return broken("partitions overlap", i);
    }
    return WEIR_OK;
}

static enum weir_err
check_part(const struct weir_manifest *manifest, uint32_t place)
{
    const struct weir_manifest_part *part = &manifest->parts[place];
    const struct weir_partition *partition =
        weir_manifest_partition_find(manifest, part->partition_ms);
    if (partition == NULL || partition->from_ms != part->partition_ms)
        return broken("a part in no partition", place);
    if (part->time_min_ms < partition->from_ms || part->time_max_ms >= partition->to_ms ||
        part->time_min_ms > part->time_max_ms)
        return broken("a part with times outside its partition", place);
    if (part->shard_first > part->shard_last || part->shard_live < part->shard_first ||
        part->shard_live > part->shard_last)
        return broken("a part with no shards", place);
    if (part->level < 1 || part->level > 3 || part->retention_class >= WEIR_MANIFEST_CLASSES ||
        (part->flags & ~WEIR_PART_OVERLAY) != 0)
        return broken("a part of an unknown kind", place);
    if (part->log_from >= part->log_through || part->log_through > manifest->keeper_offset)
        return broken("a part of no place in the log", place);
    if (place > 0 && weir_manifest_part_compare(part - 1, part) >= 0)
        return broken("parts out of order", place);
    return WEIR_OK;
}

static int
order_of_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* The room of the encoded file is free until the next save. */
static enum weir_err
check_file_ids(const struct weir_manifest *manifest)
{
    uint64_t *ids = (uint64_t *)(void *)manifest->encoded;
    for (uint32_t i = 0; i < manifest->part_count; i++)
        ids[i] = manifest->parts[i].file_id;
    qsort(ids, manifest->part_count, sizeof ids[0], order_of_ids);
    for (uint32_t i = 1; i < manifest->part_count; i++)
        if (ids[i - 1] == ids[i])
            return broken("a file twice, in the order of ids", i);
    return WEIR_OK;
}

static enum weir_err
check_indexes(const struct weir_manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->index_count; i++) {
        const struct weir_manifest_index *index = &manifest->indexes[i];
        if (index->generation == 0 || index->series == 0)
            return broken("an index segment without series or generation", i);
        if (i > 0 && index[-1].shard >= index->shard)
            return broken("index segments out of order", i);
    }
    return WEIR_OK;
}

static enum weir_err
check_ledger(const struct weir_manifest *manifest)
{
    uint64_t live[WEIR_MANIFEST_CLASSES] = {0};
    for (uint32_t i = 0; i < manifest->part_count; i++)
        live[manifest->parts[i].retention_class] += manifest->parts[i].samples;
    for (uint32_t i = 0; i < WEIR_MANIFEST_CLASSES; i++) {
        const struct weir_parts_ledger *ledger = &manifest->ledger[i];
        if (ledger->live != live[i])
            return broken("the ledger's live samples are not those of the parts: class", i);
        if (ledger->merged !=
            ledger->live + ledger->superseded + ledger->expired + ledger->deleted + ledger->damaged)
            return broken("the ledger does not close: class", i);
    }
    return WEIR_OK;
}

enum weir_err
weir_manifest_check(const struct weir_manifest *manifest)
{
    enum weir_err err = check_partitions(manifest);
    for (uint32_t i = 0; err == WEIR_OK && i < manifest->part_count; i++)
        err = check_part(manifest, i);
    if (err == WEIR_OK)
        err = check_file_ids(manifest);
    if (err == WEIR_OK)
        err = check_indexes(manifest);
    return err == WEIR_OK ? check_ledger(manifest) : err;
}
