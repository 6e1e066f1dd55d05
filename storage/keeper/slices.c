#include "storage/keeper/slices.h"

#include "base/assert.h"

#include <inttypes.h>
#include <string.h>

#define BUCKETS (1u << 18) /* 1 MiB of counters: they stay in the cache */

struct weir_slices {
    struct weir_gather_limits limits;
    uint64_t series_through;
    unsigned shift; /* a bucket is 2^shift numbers */
    uint32_t next;  /* bucket */
    uint32_t used;  /* buckets of the unit */
    uint32_t counts[BUCKETS];
};

size_t
weir_slices_footprint(void)
{
    return sizeof(struct weir_slices);
}

struct weir_slices *
weir_slices_init(void *memory, const struct weir_gather_limits *limits)
{
    struct weir_slices *slices = memory;
    slices->limits = *limits;
    return slices;
}

void
weir_slices_begin(struct weir_slices *slices, uint64_t series_through)
{
    WEIR_ASSERT(series_through <= WEIR_SERIES_LIMIT);
    slices->series_through = series_through;
    slices->shift = 0;
    while (series_through >> slices->shift >= BUCKETS)
        slices->shift++;
    slices->used = (uint32_t)(series_through >> slices->shift) + 1;
    slices->next = 0;
    memset(slices->counts, 0, slices->used * sizeof slices->counts[0]);
}

void
weir_slices_count(struct weir_slices *slices, const uint64_t *series, uint32_t count)
{
    unsigned shift = slices->shift;
    if (count > 0 && series[0] >> shift == series[count - 1] >> shift) {
        slices->counts[series[0] >> shift] += count;
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        slices->counts[series[i] >> shift]++;
}

void
weir_slices_rewind(struct weir_slices *slices)
{
    slices->next = 0;
}

enum weir_err
weir_slices_next(struct weir_slices *slices, uint64_t *first, uint64_t *end)
{
    while (slices->next < slices->used && slices->counts[slices->next] == 0)
        slices->next++;
    if (slices->next == slices->used)
        return WEIR_END;
    uint64_t width = UINT64_C(1) << slices->shift;
    uint32_t from = slices->next;
    uint64_t samples = 0;
    while (slices->next < slices->used &&
        samples + slices->counts[slices->next] <= slices->limits.samples_max &&
        (slices->next - from + 1) * width <= slices->limits.series_max)
        samples += slices->counts[slices->next++];
    *first = from * width;
    *end = slices->next * width;
    if (slices->next == from)
        return weir_fail(WEIR_LIMIT, 0,
            "series from %" PRIu64 " on: %" PRIu32 " samples of %" PRIu64
            " series, room for %" PRIu32 " and %" PRIu32,
            *first, slices->counts[from], width, slices->limits.samples_max,
            slices->limits.series_max);
    return WEIR_OK;
}
