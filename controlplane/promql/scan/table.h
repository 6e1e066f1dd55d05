/* table: rows kept, for what needs all of them at once: joins, sorting, histograms, the answer.
 *
 * Threads: one
 * Memory:  the query's arena: 8.125 bytes a step and row
 * Errors:  WEIR_NOMEM
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_TABLE_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_TABLE_H

#include "controlplane/promql/plan/query.h"

struct weir_promql_table {
    struct weir_promql_row *rows;
    uint32_t count, room;
    uint32_t steps;
};

/* A sink that copies rows into a table; those without a value are left out. */
struct weir_promql_table_sink {
    struct weir_promql_sink sink; /* first */
    struct weir_promql_query *query;
    struct weir_promql_table *table;
};

void weir_promql_table_init(struct weir_promql_table *table, uint32_t steps);
struct weir_promql_table_sink weir_promql_table_sink(
    struct weir_promql_query *query, struct weir_promql_table *table);
/* A new row without values. NULL without memory. */
struct weir_promql_row *weir_promql_table_add(struct weir_promql_query *query,
    struct weir_promql_table *table, const struct weir_promql_labelset *labels, bool drop_name);

/* All rows of a vector node. */
enum weir_err weir_promql_table_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    struct weir_promql_table *out) WEIR_MUST_USE;
/* Joins rows of equal labels; two values at one step are an error of duplicates. The order is that
 * of the first of each. */
enum weir_err weir_promql_table_merge(
    struct weir_promql_query *query, struct weir_promql_table *table) WEIR_MUST_USE;
enum weir_err weir_promql_table_push(
    struct weir_promql_table *table, struct weir_promql_sink *sink) WEIR_MUST_USE;

#endif
