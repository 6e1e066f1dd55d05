/* points: a range vector at one time, as an answer shows it: samples with times of their own.
 *
 * Threads: one
 * Memory:  the query's arena
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_POINTS_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_POINTS_H

#include "controlplane/promql/plan/query.h"

/* Series of a MATRIX or SUBQUERY node at at_ms, those without samples left out. */
enum weir_err weir_promql_points_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, int64_t at_ms, struct weir_promql_result **out,
    uint32_t *count) WEIR_MUST_USE;

#endif
