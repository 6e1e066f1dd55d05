/* range_extreme: the largest and smallest of a window. NaN gives way to any number; of equal values
 * the first counts, and their time is that of the last. */
#include "controlplane/promql/range/each.h"

#include <math.h>

static double
most(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)times_ms;
    double out = values[0];
    for (uint32_t i = 1; i < count; i++)
        out = values[i] > out || isnan(out) ? values[i] : out;
    return out;
}

static double
least(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)times_ms;
    double out = values[0];
    for (uint32_t i = 1; i < count; i++)
        out = values[i] < out || isnan(out) ? values[i] : out;
    return out;
}

static double
time_of_most(const int64_t *times_ms, const double *values, uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t i = 1; i < count; i++)
        if (values[i] >= values[at] || isnan(values[at]))
            at = i;
    return (double)times_ms[at] / 1000;
}

static double
time_of_least(const int64_t *times_ms, const double *values, uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t i = 1; i < count; i++)
        if (values[i] <= values[at] || isnan(values[at]))
            at = i;
    return (double)times_ms[at] / 1000;
}

WEIR_PROMQL_RANGE_EACH(max_over_time, 1, most)
WEIR_PROMQL_RANGE_EACH(min_over_time, 1, least)
WEIR_PROMQL_RANGE_EACH(ts_of_max_over_time, 1, time_of_most)
WEIR_PROMQL_RANGE_EACH(ts_of_min_over_time, 1, time_of_least)
