/* extend: samples of a range with a value at both of its ends: of `anchored` the last sample at or
 * before the begin, of `smoothed` a point on the line between the neighbours of each end.
 *
 * Threads: any; no state
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_EXTEND_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_EXTEND_H

#include <stdbool.h>
#include <stdint.h>

/* Samples first..last are between the ends, or in their place: times[first] may be before begin. */
struct weir_promql_extended {
    uint32_t first, last;
    double left, right; /* values at the ends */
};

/* False where the window is empty. counter: a fall between neighbours counts from 0. count > 0. */
bool weir_promql_ends(const int64_t *times_ms, const double *values, uint32_t count,
    int64_t begin_ms, int64_t end_ms, bool smoothed, bool counter,
    struct weir_promql_extended *out);
/* Index of the last sample at or before begin, else 0. */
uint32_t weir_promql_anchor(const int64_t *times_ms, uint32_t count, int64_t begin_ms);
/* In place: the samples within and one at each end. There is room for two more than count. Returns
 * how many. */
uint32_t weir_promql_extend(int64_t *times_ms, double *values, uint32_t count, int64_t begin_ms,
    int64_t end_ms, bool smoothed);

#endif
