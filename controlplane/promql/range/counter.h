/* counter: what start times say of counters.
 *
 * Threads: any
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_RANGE_COUNTER_H
#define WEIR_CONTROLPLANE_PROMQL_RANGE_COUNTER_H

#include "controlplane/promql/functions/call.h"

/* Whether a counter began anew between two samples, by their start times. 0 is unknown; a start at
 * the sample itself or after it says nothing. A start at the sample before is a reset of deltas,
 * whose earlier sample knows its start too, but none of a counter whose start was unknown. */
static inline bool
weir_promql_start_resets(
    int64_t start_before_ms, int64_t before_ms, int64_t start_ms, int64_t time_ms)
{
    if (start_ms == 0 || start_ms >= time_ms || start_ms < before_ms)
        return false;
    if (start_ms > before_ms)
        return true;
    return start_before_ms != 0 && start_before_ms < before_ms;
}

/* Whether sample i of the windows is the first after a reset. */
static inline bool
weir_promql_is_reset(const struct weir_promql_windows *in, uint32_t i)
{
    return in->values[i] < in->values[i - 1] ||
        (in->starts_ms != NULL &&
            weir_promql_start_resets(
                in->starts_ms[i - 1], in->times_ms[i - 1], in->starts_ms[i], in->times_ms[i]));
}

#endif
