/* fold: aggregations that keep a few numbers a step and group, whatever the number of series.
 *
 * Threads: one
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_AGGREGATE_FOLD_H
#define WEIR_CONTROLPLANE_PROMQL_AGGREGATE_FOLD_H

#include "controlplane/promql/scan/row.h"

#define WEIR_PROMQL_FOLD_COLUMNS 4

/* Values that a group has gathered. Columns a fold does not ask for are NULL. */
struct weir_promql_folded {
    double *columns[WEIR_PROMQL_FOLD_COLUMNS]; /* a number a step; the answer ends in the first */
    uint64_t *seen;                            /* steps at which it has a value */
    uint64_t *marks;                           /* a bit a step for the fold's own use */
};

struct weir_promql_fold {
    uint32_t columns;
    /* Adds one row. */
    void (*add)(struct weir_promql_folded *to, const struct weir_promql_row *row, uint32_t steps);
    /* Puts the answer into columns[0] of the steps seen; NULL where it is there. */
    void (*finish)(struct weir_promql_folded *folded, uint32_t steps);
};

extern const struct weir_promql_fold weir_promql_fold_avg, weir_promql_fold_count,
    weir_promql_fold_group, weir_promql_fold_max, weir_promql_fold_min, weir_promql_fold_stddev,
    weir_promql_fold_stdvar, weir_promql_fold_sum;

#endif
