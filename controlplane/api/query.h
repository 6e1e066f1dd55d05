/* query: PromQL over HTTP: GET and POST /api/v1/query and /api/v1/query_range.
 *
 * Threads: one query thread a call
 * Memory:  query.memory_max for the query, and the answer
 * Errors:  in the call, in Prometheus's envelope: bad_data a parameter or the query, execution what
 *          fails while it runs and limits, timeout, canceled
 * Limits:  those of the settings query.*; WEIR_API_POINTS_MAX points a series
 */
#ifndef WEIR_CONTROLPLANE_API_QUERY_H
#define WEIR_CONTROLPLANE_API_QUERY_H

#include "controlplane/query/call.h"

#define WEIR_API_POINTS_MAX 11000
#define WEIR_API_LOOKBACK_MS 300000
#define WEIR_API_SUBQUERY_STEP_MS 60000

void weir_api_query(struct weir_call *call);
void weir_api_query_range(struct weir_call *call);
/* GET /v1/query_range: the same, and start, end and step may be left out. */
void weir_api_simple_query_range(struct weir_call *call);

#endif
