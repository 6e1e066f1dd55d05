/* tsdb: GET /api/v1/status/tsdb, the metrics and labels with the most series.
 *
 * Threads: one query thread a call
 * Memory:  each distinct label and value once, bounded by the answer's size_max
 * Errors:  in the call
 */
#ifndef WEIR_CONTROLPLANE_API_TSDB_H
#define WEIR_CONTROLPLANE_API_TSDB_H

#include "controlplane/query/call.h"

#define WEIR_API_TSDB_ROWS 10 /* of each list, unless the parameter limit says otherwise */
#define WEIR_API_TSDB_ROWS_MAX 10000

void weir_api_tsdb(struct weir_call *call);

#endif
