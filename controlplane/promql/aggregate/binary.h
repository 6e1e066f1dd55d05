/* binary: operators between two sides: scalars, a vector and a scalar, or two vectors.
 *
 * Threads: one
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_AGGREGATE_BINARY_H
#define WEIR_CONTROLPLANE_PROMQL_AGGREGATE_BINARY_H

#include "controlplane/promql/plan/eval.h"
#include "controlplane/promql/scan/table.h"

/* A BINARY node whose value is a vector. */
enum weir_err weir_promql_binary_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    struct weir_promql_sink *sink) WEIR_MUST_USE;
/* One of two scalars. */
enum weir_err weir_promql_binary_scalar(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    double *out) WEIR_MUST_USE;

#endif
