/* keep: aggregations that need the rows themselves: quantile, those that choose some of the rows,
 * and count_values.
 *
 * Threads: one
 * Memory:  all rows of the inside, in the query's arena
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_AGGREGATE_KEEP_H
#define WEIR_CONTROLPLANE_PROMQL_AGGREGATE_KEEP_H

#include "controlplane/promql/plan/eval.h"

typedef enum weir_err weir_promql_keep_kernel(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    struct weir_promql_sink *sink);

/* choose: topk, bottomk, limitk and limit_ratio. */
weir_promql_keep_kernel weir_promql_keep_choose, weir_promql_keep_count_values,
    weir_promql_keep_quantile;

/* Quantile q of count values, which it sorts: NaN first. NaN without values. */
double weir_promql_quantile(double q, double *values, uint32_t count);
/* Warns once of a parameter column that is no quantile. */
enum weir_err weir_promql_quantile_check(struct weir_promql_query *query,
    const struct weir_promql_node *at, const double *q, uint32_t count) WEIR_MUST_USE;

#endif
