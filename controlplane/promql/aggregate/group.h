/* group: groups of an aggregation, numbered in the order their first series come.
 *
 * Threads: one
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_AGGREGATE_GROUP_H
#define WEIR_CONTROLPLANE_PROMQL_AGGREGATE_GROUP_H

#include "controlplane/promql/scan/by_number.h"

struct weir_promql_groups {
    struct weir_promql_query *query;
    const struct weir_promql_node *node;        /* AGGREGATE */
    struct weir_promql_by_number numbers;       /* 1 + group, by its labels */
    const struct weir_promql_labelset **labels; /* by group */
    uint32_t count, room;
};

/* Labels of the group that a series belongs to. */
enum weir_err weir_promql_group_labels(struct weir_promql_groups *groups,
    const struct weir_promql_labelset *labels,
    const struct weir_promql_labelset **out) WEIR_MUST_USE;
/* The number of the group of these labels, which may be a new one. */
enum weir_err weir_promql_group_number(struct weir_promql_groups *groups,
    const struct weir_promql_labelset *group, uint32_t *out) WEIR_MUST_USE;

#endif
