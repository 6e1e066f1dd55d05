/* query: GET /api/v1/metrics/query and /v1/query, one metric's series over a time range
 * (docs/api.md).
 *
 * Owns:    nothing; memory of a call is freed with it
 * Threads: one query thread a call
 * Memory:  48 bytes a bucket and series, 48 a raw point, the answer; bounded by query.points_max
 * Errors:  in the call: 400 the question makes no sense, 422 a limit
 */
#ifndef WEIR_CONTROLPLANE_QUERY_QUERY_H
#define WEIR_CONTROLPLANE_QUERY_QUERY_H

#include "controlplane/query/call.h"

#define WEIR_QUERY_RESERVED "metric, from, to, step, agg"

void weir_query_run(struct weir_call *call);
/* The same for GET /v1/query: parameters start, end and tags=NAME:VALUE,... */
void weir_query_run_simple(struct weir_call *call);

/* Orders canonical labels by name and value, label by label, without the metric's name. */
int weir_labels_order(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

/* The labels as a JSON object, with or without the metric's name. */
void weir_json_labels(struct weir_text *text, const uint8_t *labels, size_t size, bool with_name);

#endif
