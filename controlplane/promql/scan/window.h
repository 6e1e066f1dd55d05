/* window: range selectors and subqueries: the windows of each series, for a range function.
 *
 * Threads: one
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_WINDOW_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_WINDOW_H

#include "controlplane/promql/functions/call.h"

/* Calls kernel with each series of the call's range argument; pushes the rows it makes. */
enum weir_err weir_promql_windows_eval(struct weir_promql_call *call,
    weir_promql_range_kernel *kernel, struct weir_promql_sink *sink) WEIR_MUST_USE;

#endif
