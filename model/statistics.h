/* statistics: what is known of a run of samples without looking at them.
 *
 * Exact to the bit, and a function of the samples alone, whatever codec they are stored by:
 *
 *   first, last   the bits of the earliest and of the latest sample, NaN or not
 *   min, max      of the samples that are not NaN; of equal ones (0 and -0) the earliest; NaN where
 *                 there is none
 *   sum           of the samples that are not NaN, in eight lanes: sample i of the run is added to
 *                 lane i % 8, lanes begin at 0, a NaN adds 0; then
 *                 ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7))
 *   resets        samples that are smaller than the latest before them that is not NaN
 */
#ifndef WEIR_MODEL_STATISTICS_H
#define WEIR_MODEL_STATISTICS_H

#include <stdint.h>

/* The NaN by which Prometheus says that a series ends. */
#define WEIR_STALE_MARKER UINT64_C(0x7ff0000000000002)

struct weir_statistics {
    double min;
    double max;
    double sum;
    double first;
    double last;
    uint32_t count;
    uint32_t nans; /* stale markers are not among them */
    uint32_t stale_markers;
    uint32_t resets;
};

#endif
