/* plan: which parts are merged next, and which have passed their age.
 *
 * Threads: any; no state
 *
 *   level 2: the parts of level 1 of a partition, when there are 32, or two and 15 minutes have
 *            passed
 *   level 3: all parts of a partition, when it ended 10 minutes ago
 *
 * Samples that come for a partition of level 3 make new parts of level 1 there: they join it when
 * they have a twentieth of its samples, or after a day.
 */
#ifndef WEIR_STORAGE_KEEPER_PLAN_H
#define WEIR_STORAGE_KEEPER_PLAN_H

#include "storage/manifest/manifest.h"

#define WEIR_PLAN_L1_PARTS 32
#define WEIR_PLAN_L2_NS (INT64_C(900) * 1000000000)
#define WEIR_PLAN_LATE_MS 600000
#define WEIR_PLAN_OVERLAY_NS (INT64_C(86400) * 1000000000)
#define WEIR_PLAN_OVERLAY_SHARE 20

/* Since the parts in question were first seen; the keeper's clock. */
struct weir_plan_times {
    int64_t wall_ms;     /* now */
    int64_t l2_age_ns;   /* since the last round of level 2 by age */
    int64_t late_age_ns; /* since the last round of overlays by age */
};

struct weir_plan {
    struct weir_partition partition;
    uint32_t first; /* of the manifest's parts, which lie side by side */
    uint32_t count;
    uint8_t level; /* to make */
};

/* The next merge of parts; false where none is due. The oldest partition comes first. */
bool weir_plan_next(const struct weir_manifest *manifest, const struct weir_plan_times *times,
    struct weir_plan *out);
/* The first part of a partition that ended at or before cutoff_ms, or part_count. */
uint32_t weir_plan_expired(const struct weir_manifest *manifest, int64_t cutoff_ms);

#endif
