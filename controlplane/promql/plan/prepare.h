/* prepare: a parsed query made ready for one evaluation: duration expressions become durations,
 * start() and end() become times, and nodes that are the same at every step are marked.
 *
 * Threads: one; it writes into the tree
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PLAN_PREPARE_H
#define WEIR_CONTROLPLANE_PROMQL_PLAN_PREPARE_H

#include "controlplane/promql/plan/query.h"

/* WEIR_INVALID with a text: a duration that is none. */
enum weir_err weir_promql_prepare(
    struct weir_promql_query *query, struct weir_promql_node *root) WEIR_MUST_USE;

#endif
