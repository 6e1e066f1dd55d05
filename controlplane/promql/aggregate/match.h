/* match: rows of two vectors brought together by their matching labels.
 *
 * Threads: one
 * Memory:  both sides in the query's arena
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_AGGREGATE_MATCH_H
#define WEIR_CONTROLPLANE_PROMQL_AGGREGATE_MATCH_H

#include "controlplane/promql/scan/table.h"

/* Rows of both sides by group of equal matching labels. */
struct weir_promql_matched {
    struct weir_promql_table left, right;
    uint32_t *left_groups, *right_groups;           /* group of each row */
    const struct weir_promql_labelset **signatures; /* labels that match, by group */
    uint32_t group_count;
    /* rows of the right side in a group: right_rows[right_begin[g]] .. [right_begin[g + 1] - 1] */
    uint32_t *right_begin, *right_rows;
};

/* Evaluates both sides of a BINARY node of two vectors; swap: its right side becomes the left. */
enum weir_err weir_promql_match_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid, bool swap,
    struct weir_promql_matched *out) WEIR_MUST_USE;

/* Arithmetic and comparison of two vectors; `and`, `or`, `unless`. */
enum weir_err weir_promql_join_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    struct weir_promql_sink *sink) WEIR_MUST_USE;
enum weir_err weir_promql_setop_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    struct weir_promql_sink *sink) WEIR_MUST_USE;

#endif
