/* series_source: where the samples of a range come from: a range selector reads them, a subquery
 * evaluates its inside over a grid of its own.
 *
 * Threads: one
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_SERIES_SOURCE_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_SERIES_SOURCE_H

#include "controlplane/promql/scan/read.h"

struct weir_promql_series_range {
    const struct weir_promql_node *node; /* MATRIX or SUBQUERY */
    struct weir_promql_grid ends;        /* of the windows: @ and offset applied */
    int64_t range_ms;
    bool anchored, smoothed;
};

/* The range of a node for the steps of grid. */
struct weir_promql_series_range weir_promql_series_range(
    const struct weir_promql_node *node, const struct weir_promql_grid *grid);
/* Its series. drop_name of each is in *drop_name while it is pushed. */
enum weir_err weir_promql_series_eval(struct weir_promql_query *query,
    const struct weir_promql_series_range *range, bool *drop_name,
    struct weir_promql_run_sink *sink) WEIR_MUST_USE;

#endif
