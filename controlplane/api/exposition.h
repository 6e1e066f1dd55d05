/* exposition: GET /metrics, the instance in Prometheus's text format 0.0.4.
 *
 * Threads: the event loop's
 * Memory:  the answer
 * Errors:  WEIR_NOMEM; WEIR_AGAIN where the ledger cannot be read now
 *
 * Everything in model/metrics.def is here under its name there; nanoseconds as seconds.
 */
#ifndef WEIR_CONTROLPLANE_API_EXPOSITION_H
#define WEIR_CONTROLPLANE_API_EXPOSITION_H

#include "controlplane/http/http.h"
#include "controlplane/http/text.h"
#include "controlplane/query/pool.h"
#include "model/shared.h"

/* Of paths that query threads answer. */
enum weir_endpoint {
#define WEIR_ROUTE_QUERY(NAME, endpoint, path, methods, envelope, run, text) WEIR_ENDPOINT_##NAME,
#include "controlplane/api/api_routes.def"
    WEIR_ENDPOINT_COUNT,
};
extern const char *const weir_endpoint_names[WEIR_ENDPOINT_COUNT];

/* Outcome of a query. */
enum weir_outcome {
    WEIR_OUTCOME_ANSWERED,
    WEIR_OUTCOME_CLIENT_ERROR, /* the request makes no sense: the client's mistake */
    WEIR_OUTCOME_LIMIT,        /* it would take more than a limit allows */
    WEIR_OUTCOME_REFUSED,      /* the queue was full, or it waited too long there */
    WEIR_OUTCOME_CANCELLED,    /* the client hung up */
    WEIR_OUTCOME_FAILED,       /* ours: the log is not open or cannot be read, no memory */
    WEIR_OUTCOME_COUNT,
};
extern const char *const weir_outcome_names[WEIR_OUTCOME_COUNT];

#define WEIR_QUERY_BUCKETS 14

/* Time from submitted to done. */
struct weir_query_times {
    uint64_t buckets[WEIR_QUERY_BUCKETS];
    uint64_t sum_ns;
};

/* The control plane's own counts. */
struct weir_query_counts {
    uint64_t outcomes[WEIR_ENDPOINT_COUNT][WEIR_OUTCOME_COUNT];
    struct weir_query_times times[WEIR_ENDPOINT_COUNT]; /* of those that reached a query thread */
};

void weir_query_counts_add_time(struct weir_query_times *times, int64_t duration_ns);

struct weir_exposition {
    struct weir_shared *shared; /* NULL on a stopped instance: its part is left out */
    const struct weir_query_counts *queries;
    struct weir_http_stats http;
    struct weir_pool_state pool;
    bool without_ledger; /* write the rest where the ledger cannot be read now */
};

enum weir_err weir_exposition_write(const struct weir_exposition *from, struct weir_text *text)
    WEIR_MUST_USE;

#endif
