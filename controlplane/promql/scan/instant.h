/* instant: an instant vector selector over a grid: at each step the newest sample of a series that
 * is not older than the lookback and no stale marker.
 *
 * Threads: one
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_INSTANT_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_INSTANT_H

#include "controlplane/promql/plan/query.h"

enum weir_promql_instant {
    WEIR_PROMQL_INSTANT_VALUE,
    WEIR_PROMQL_INSTANT_TIME,  /* when the sample was taken, in seconds */
    WEIR_PROMQL_INSTANT_START, /* since when its counter counts, in seconds; 0: unknown */
};

/* node is a VECTOR. */
enum weir_err weir_promql_instant_eval(struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid,
    enum weir_promql_instant what, struct weir_promql_sink *sink) WEIR_MUST_USE;

#endif
