/* names: labels, label values and series that can be queried: GET|POST /api/v1/labels,
 * /api/v1/label/<name>/values and /api/v1/series, as Prometheus's HTTP API has them.
 *
 * Owns:    nothing; memory of a call is freed with it
 * Threads: one query thread a call
 * Memory:  the distinct names or values, the selected series, the answer; all bounded by the
 *          answer's size_max and query.series_max
 * Errors:  in the call, in Prometheus's envelope
 *
 * Parameters: match[] (several: the union), limit, start, end (selection.h). A label's name may be
 * escaped, as U__http_2e_status.
 */
#ifndef WEIR_CONTROLPLANE_API_NAMES_H
#define WEIR_CONTROLPLANE_API_NAMES_H

#include "controlplane/query/call.h"

void weir_names_labels(struct weir_call *call);
void weir_names_values(struct weir_call *call); /* of call->label */
void weir_names_series(struct weir_call *call);

#endif
