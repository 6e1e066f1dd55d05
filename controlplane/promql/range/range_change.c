/* range_change: the last two samples of a window, and how often its value changes or falls. */
#include "controlplane/promql/range/counter.h"
#include "controlplane/promql/scan/extend.h"

#include <math.h>

/* The difference of the last two samples; of a counter that was reset, the last value. */
static enum weir_err
last_two(struct weir_promql_call *call, const struct weir_promql_windows *in, bool counter,
    struct weir_promql_row *out)
{
    for (uint32_t step = 0; step < call->grid.count; step++) {
        if (in->end[step] - in->first[step] < 2)
            continue;
        uint32_t last = in->end[step] - 1;
        int64_t apart_ms = in->times_ms[last] - in->times_ms[last - 1];
        if (apart_ms == 0)
            continue;
        double change = in->values[last];
        if (!counter || !weir_promql_is_reset(in, last))
            change -= in->values[last - 1];
        out->values[step] = counter ? change / ((double)apart_ms / 1000) : change;
        weir_promql_bit_set(out->present, step);
    }
    return WEIR_OK;
}

enum weir_err
weir_promql_range_irate(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return last_two(call, in, true, out);
}

enum weir_err
weir_promql_range_idelta(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return last_two(call, in, false, out);
}

/* NaN after NaN is no change. */
static bool
is_change(const struct weir_promql_windows *in, uint32_t i)
{
    double before = in->values[i - 1], value = in->values[i];
    return value != before && !(isnan(value) && isnan(before));
}

static enum weir_err
count_pairs(struct weir_promql_call *call, const struct weir_promql_windows *in,
    bool (*counts)(const struct weir_promql_windows *in, uint32_t i), struct weir_promql_row *out)
{
    for (uint32_t step = 0; step < call->grid.count; step++) {
        uint32_t first = in->first[step], end = in->end[step], count = 0;
        if (first == end)
            continue;
        if (in->anchored) {
            int64_t begin_ms = weir_promql_grid_time(&in->ends, step) - in->range_ms;
            if (in->times_ms[end - 1] <= begin_ms)
                continue;
            first += weir_promql_anchor(in->times_ms + first, end - first, begin_ms);
        }
        for (uint32_t i = first + 1; i < end; i++)
            count += counts(in, i);
        out->values[step] = count;
        weir_promql_bit_set(out->present, step);
    }
    return WEIR_OK;
}

enum weir_err
weir_promql_range_changes(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return count_pairs(call, in, is_change, out);
}

enum weir_err
weir_promql_range_resets(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return count_pairs(call, in, weir_promql_is_reset, out);
}
