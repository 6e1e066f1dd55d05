/* federate: GET /federate, the newest sample of each series that match[] chooses, no older than
 * five minutes, in Prometheus's text format.
 *
 * Threads: one query thread a call
 * Memory:  24 bytes a series, and the answer
 * Errors:  in the call
 */
#ifndef WEIR_CONTROLPLANE_API_FEDERATE_H
#define WEIR_CONTROLPLANE_API_FEDERATE_H

#include "controlplane/query/call.h"

void weir_api_federate(struct weir_call *call);

#endif
