#include "controlplane/promql/scan/extend.h"

#include <string.h>

/* First of the samples before `count` whose time is later than at (or at it, with `at_too`);
 * count where there is none. */
static uint32_t
first_after(const int64_t *times_ms, uint32_t count, int64_t at_ms, bool at_too)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (times_ms[middle] > at_ms || (at_too && times_ms[middle] == at_ms))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint32_t
weir_promql_anchor(const int64_t *times_ms, uint32_t count, int64_t begin_ms)
{
    uint32_t after = first_after(times_ms, count, begin_ms, false);
    return after == 0 ? 0 : after - 1;
}

/* On the line between two samples. */
static double
between(const int64_t *times_ms, const double *values, uint32_t a, int64_t at_ms, bool counter)
{
    double y1 = values[a], y2 = values[a + 1];
    if (counter && y2 < y1)
        y1 = 0;
    return y1 + (y2 - y1) * (double)(at_ms - times_ms[a]) / (double)(times_ms[a + 1] - times_ms[a]);
}

bool
weir_promql_ends(const int64_t *times_ms, const double *values, uint32_t count, int64_t begin_ms,
    int64_t end_ms, bool smoothed, bool counter, struct weir_promql_extended *out)
{
    out->last = count - 1;
    out->first = weir_promql_anchor(times_ms, count - 1, begin_ms);
    if (smoothed)
        out->last = first_after(times_ms, count - 1, end_ms, true);
    if (times_ms[out->last] <= begin_ms || (smoothed && times_ms[out->first] > end_ms))
        return false;
    out->left = values[out->first];
    out->right = values[out->last];
    if (smoothed && times_ms[out->first] < begin_ms)
        out->left = between(times_ms, values, out->first, begin_ms, counter);
    if (smoothed && out->last > 0 && times_ms[out->last] > end_ms)
        out->right = between(times_ms, values, out->last - 1, end_ms, counter);
    return true;
}

uint32_t
weir_promql_extend(int64_t *times_ms, double *values, uint32_t count, int64_t begin_ms,
    int64_t end_ms, bool smoothed)
{
    struct weir_promql_extended ends;
    if (count == 0 ||
        !weir_promql_ends(times_ms, values, count, begin_ms, end_ms, smoothed, false, &ends))
        return 0;
    uint32_t first = ends.first + (times_ms[ends.first] <= begin_ms);
    uint32_t after = ends.last + (times_ms[ends.last] < end_ms);
    uint32_t kept = after > first ? after - first : 0;
    memmove(times_ms + 1, times_ms + first, kept * sizeof *times_ms);
    memmove(values + 1, values + first, kept * sizeof *values);
    times_ms[0] = begin_ms;
    values[0] = ends.left;
    times_ms[kept + 1] = end_ms;
    values[kept + 1] = ends.right;
    return kept + 2;
}
