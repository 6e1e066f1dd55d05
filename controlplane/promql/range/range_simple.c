/* range_simple: range functions that ends and counts of a window answer. */
#include "controlplane/promql/range/each.h"

static double
count_of(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)times_ms, (void)values;
    return count;
}

static double
one(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)times_ms, (void)values, (void)count;
    return 1;
}

static double
first_value(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)times_ms, (void)count;
    return values[0];
}

static double
last_value(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)times_ms;
    return values[count - 1];
}

static double
first_time(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)values, (void)count;
    return (double)times_ms[0] / 1000;
}

static double
last_time(const int64_t *times_ms, const double *values, uint32_t count)
{
    (void)values;
    return (double)times_ms[count - 1] / 1000;
}

WEIR_PROMQL_RANGE_EACH(count_over_time, 1, count_of)
WEIR_PROMQL_RANGE_EACH(present_over_time, 1, one)
WEIR_PROMQL_RANGE_EACH(first_over_time, 1, first_value)
WEIR_PROMQL_RANGE_EACH(last_over_time, 1, last_value)
WEIR_PROMQL_RANGE_EACH(ts_of_first_over_time, 1, first_time)
WEIR_PROMQL_RANGE_EACH(ts_of_last_over_time, 1, last_time)
