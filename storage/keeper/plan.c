#include "storage/keeper/plan.h"

#include "base/assert.h"

/* Parts of one partition in a manifest: they lie side by side, in the order of the log. */
struct group {
    struct weir_partition partition;
    uint32_t first;
    uint32_t count;
    uint32_t l1_first; /* where those of level 1 begin that no other follows */
    uint32_t l1_count;
    uint64_t samples;
    uint64_t l1_samples;
    bool final; /* one of them is of level 3 */
};

static struct group
group_at(const struct weir_manifest *manifest, uint32_t first)
{
    const struct weir_manifest_part *parts = manifest->parts;
    const struct weir_partition *partition =
        weir_manifest_partition_find(manifest, parts[first].partition_ms);
    WEIR_ASSERT(partition != NULL);
    struct group group = {.partition = *partition, .first = first, .l1_first = first};
    for (uint32_t i = first;
         i < manifest->part_count && parts[i].partition_ms == parts[first].partition_ms; i++) {
        group.count++;
        group.samples += parts[i].samples;
        group.final |= parts[i].level == 3;
        if (parts[i].level == 1) {
            group.l1_count++;
            group.l1_samples += parts[i].samples;
            continue;
        }
        group.l1_first = i + 1;
        group.l1_count = 0;
        group.l1_samples = 0;
    }
    return group;
}

static bool
closed(const struct group *group, const struct weir_plan_times *times)
{
    return group->partition.to_ms <= times->wall_ms - WEIR_PLAN_LATE_MS;
}

/* Whether all parts of the partition become one of level 3. */
static bool
final_is_due(const struct group *group, const struct weir_plan_times *times)
{
    if (!closed(group, times))
        return false;
    if (!group->final)
        return true;
    if (group->count < 2)
        return false;
    uint64_t settled = group->samples - group->l1_samples;
    return group->l1_samples * WEIR_PLAN_OVERLAY_SHARE >= settled ||
        times->late_age_ns >= WEIR_PLAN_OVERLAY_NS;
}

bool
weir_plan_next(const struct weir_manifest *manifest, const struct weir_plan_times *times,
    struct weir_plan *out)
{
    struct group group;
    for (uint32_t i = 0; i < manifest->part_count; i += group.count) {
        group = group_at(manifest, i);
        *out = (struct weir_plan){.partition = group.partition};
        if (final_is_due(&group, times)) {
            out->first = group.first;
            out->count = group.count;
            out->level = 3;
            return true;
        }
        if (group.l1_count >= WEIR_PLAN_L1_PARTS ||
            (group.l1_count >= 2 && times->l2_age_ns >= WEIR_PLAN_L2_NS)) {
            out->first = group.l1_first;
            out->count = group.l1_count;
            out->level = 2;
            return true;
        }
    }
    return false;
}

uint32_t
weir_plan_expired(const struct weir_manifest *manifest, int64_t cutoff_ms)
{
    for (uint32_t i = 0; i < manifest->part_count; i++) {
        const struct weir_partition *partition =
            weir_manifest_partition_find(manifest, manifest->parts[i].partition_ms);
        if (partition != NULL && partition->to_ms <= cutoff_ms)
            return i;
    }
    return manifest->part_count;
}
