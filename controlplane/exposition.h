/* exposition: GET /metrics, the instance in Prometheus's text format 0.0.4.
 *
 * Threads: the event loop's
 * Memory:  the answer
 * Errors:  weir_exposition_write: WEIR_AGAIN where the ledger gave no consistent read
 *
 * Everything in base/metrics.def is here under its name there.
 */
#ifndef WEIR_CONTROLPLANE_EXPOSITION_H
#define WEIR_CONTROLPLANE_EXPOSITION_H

#include "base/shared.h"
#include "controlplane/http.h"
#include "controlplane/pool.h"
#include "controlplane/text.h"

enum weir_endpoint {
    WEIR_ENDPOINT_QUERY,
    WEIR_ENDPOINT_LABELS,
    WEIR_ENDPOINT_VALUES,
    WEIR_ENDPOINT_SERIES,
    WEIR_ENDPOINT_COUNT,
};
extern const char *const weir_endpoint_names[WEIR_ENDPOINT_COUNT];

/* What the control plane counts about itself. */
struct weir_query_counts {
    uint64_t answered[WEIR_ENDPOINT_COUNT];
    uint64_t failed[WEIR_ENDPOINT_COUNT];    /* 4xx and 5xx by the query itself */
    uint64_t refused[WEIR_ENDPOINT_COUNT];   /* queue full */
    uint64_t cancelled[WEIR_ENDPOINT_COUNT]; /* the client hung up */
    uint64_t nanoseconds[WEIR_ENDPOINT_COUNT]; /* submitted to done */
};

struct weir_exposition {
    struct weir_shared *shared; /* NULL on a stopped instance: its part is left out */
    const struct weir_query_counts *queries;
    struct weir_http_stats http;
    struct weir_pool_state pool;
};

enum weir_err weir_exposition_write(const struct weir_exposition *from, struct weir_text *text)
    WEIR_MUST_USE;

#endif
