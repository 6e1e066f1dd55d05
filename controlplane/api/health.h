/* health: whether the instance stores samples and answers queries, and why it is degraded.
 *
 * Threads: the event loop's
 * Memory:  the answer
 *
 * GET /healthz is for people and alerts and says everything it knows. GET /-/healthy and /-/ready
 * are for load balancers and supervisors, as in Prometheus: the first says that the process is
 * alive, the second that requests may be sent to the instance.
 */
#ifndef WEIR_CONTROLPLANE_API_HEALTH_H
#define WEIR_CONTROLPLANE_API_HEALTH_H

#include "controlplane/api/exposition.h"

/* Writes the health as JSON; returns the status: 200 where ingest is open and queries can be
 * answered, else 503 with the reason. */
int weir_health_write(const struct weir_exposition *from, struct weir_text *text);

/* Writes one line of text; returns the status that weir_health_write would. */
int weir_ready_write(const struct weir_exposition *from, struct weir_text *text);

/* Whether the instance is degraded by the reason. */
bool weir_is_degraded_by(const struct weir_exposition *from, enum weir_degraded_reason reason);

#endif
