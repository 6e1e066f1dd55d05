/* aggregate: aggregations over a grid, group by group.
 *
 * Threads: one
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_AGGREGATE_AGGREGATE_H
#define WEIR_CONTROLPLANE_PROMQL_AGGREGATE_AGGREGATE_H

#include "controlplane/promql/plan/eval.h"

/* An AGGREGATE node. */
enum weir_err weir_promql_aggregate_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    struct weir_promql_sink *sink) WEIR_MUST_USE;

#endif
