/* rejected: the page of the last refused records (docs/api.md). */
#ifndef WEIR_CONTROLPLANE_API_REJECTED_H
#define WEIR_CONTROLPLANE_API_REJECTED_H

#include "controlplane/http/params.h"
#include "controlplane/http/text.h"
#include "model/shared.h"

/* The newest first, as params say. Errors: WEIR_INVALID a parameter that makes no sense, WEIR_AGAIN
 * the instance is stopped, WEIR_NOMEM. */
enum weir_err weir_rejected_write(const struct weir_shared *shared,
    const struct weir_params *params, struct weir_text *text) WEIR_MUST_USE;

/* weir_listener_rejected_total of /metrics: listeners and reasons that were met. */
void weir_rejected_write_counts(const struct weir_shared *shared, struct weir_text *text);

#endif
