/* kept: rows of an aggregation's inside, sorted by group. Private to the files of keep.h.
 *
 * Threads: one
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_AGGREGATE_KEPT_H
#define WEIR_CONTROLPLANE_PROMQL_AGGREGATE_KEPT_H

#include "controlplane/promql/aggregate/group.h"
#include "controlplane/promql/scan/table.h"

struct weir_promql_kept {
    struct weir_promql_table table;
    struct weir_promql_groups groups;
    /* rows of group g: rows[begin[g]] .. rows[begin[g + 1] - 1], in their order */
    uint32_t *begin, *rows;
};

/* The parameter's values, a step each, and all rows of the inside. */
enum weir_err weir_promql_kept_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    const double **parameter, struct weir_promql_kept *out) WEIR_MUST_USE;

#endif
