/* eval: a node over a grid. Vectors are pushed row by row, scalars are a value a step.
 *
 * Threads: one
 * Errors:  those of engine.h; the text is in the query's answer
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PLAN_EVAL_H
#define WEIR_CONTROLPLANE_PROMQL_PLAN_EVAL_H

#include "controlplane/promql/plan/query.h"

/* Rows of a vector node into sink. No two rows have equal labels and a value at the same step
 * unless they differ in names that are to go. */
enum weir_err weir_promql_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink) WEIR_MUST_USE;
/* Values of a scalar node, one a step, in the query's arena. */
enum weir_err weir_promql_eval_scalar(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    const double **out) WEIR_MUST_USE;

#endif
