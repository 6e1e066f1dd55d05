/* classic: series with the label `le` brought together as classic histograms.
 *
 *   latency_bucket{job="a",le="0.1"}  \
 *   latency_bucket{job="a",le="1"}     } one histogram {__name__="latency_bucket",job="a"}
 *   latency_bucket{job="a",le="+Inf"} /
 *
 * Threads: one
 * Memory:  the query's arena
 * Errors:  those of engine.h; a warning for each series whose `le` is no number
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_FUNCTIONS_CLASSIC_H
#define WEIR_CONTROLPLANE_PROMQL_FUNCTIONS_CLASSIC_H

#include "controlplane/promql/functions/call.h"

/* Observations up to and with bound. */
struct weir_promql_bucket {
    double bound, count;
};

/* One histogram: entries first..first+count-1. */
struct weir_promql_classic_series {
    const struct weir_promql_labelset *labels; /* without le */
    uint32_t first, count;
};

/* A series of a histogram. */
struct weir_promql_classic_entry {
    uint32_t series, row;
    double bound;
};

struct weir_promql_classics {
    struct weir_promql_table table;
    struct weir_promql_classic_entry *entries; /* by histogram, then by bound */
    struct weir_promql_classic_series *series; /* in the order of their first row */
    uint32_t series_count;
    struct weir_promql_bucket *buckets; /* of the last gather */
};

/* Changes that levelling made. */
struct weir_promql_levelled {
    bool forced; /* a count was below that of a smaller bound by more than rounding */
    double bound_min, bound_max, difference_max;
};

/* Histograms of a vector argument. */
enum weir_err weir_promql_classics_eval(struct weir_promql_call *call, uint32_t argument,
    struct weir_promql_classics *out) WEIR_MUST_USE;

/* Buckets of a histogram at a step, by bound, those of equal bounds as one. Returns how many. */
uint32_t weir_promql_classic_gather(
    struct weir_promql_classics *classics, uint32_t series, uint32_t step);
/* Makes counts rise with bounds: differences below 1e-12 go silently. */
struct weir_promql_levelled weir_promql_buckets_level(
    struct weir_promql_bucket *buckets, uint32_t count);
/* The value below which the share q of the observations is; q is in [0, 1]. */
double weir_promql_buckets_quantile(
    const struct weir_promql_bucket *buckets, uint32_t count, double q);
/* The share of the observations between lower and upper. */
double weir_promql_buckets_fraction(
    const struct weir_promql_bucket *buckets, uint32_t count, double lower, double upper);

#endif
