/* hint: says why a query chooses no series at all.
 *
 * Threads: one query thread a call
 * Errors:  in the call: 400 for a question that was not understood
 */
#ifndef WEIR_CONTROLPLANE_QUERY_HINT_H
#define WEIR_CONTROLPLANE_QUERY_HINT_H

#include "controlplane/query/call.h"

/* matches: the metric's name, then labels; no series meets all of them. Puts down a hint, or an
 * error: a metric that reads as PromQL, a parameter that is neither known nor a label of the
 * metric. False where there is an error. */
bool weir_query_explain(struct weir_call *call, const struct weir_match *matches, size_t count);

#endif
