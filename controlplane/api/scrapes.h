/* scrapes: requests that wait until the ledger can be read, which is while no stage of the
 * dataplane is in the middle of a publication (model/ledger.h). The event loop goes on
 * meanwhile.
 *
 * Owns:    the requests under way, a timer
 * Threads: the event loop's
 * Memory:  a few words a request; there is one a connection at most
 * Limits:  WEIR_SCRAPES_WAIT_MS, then they are answered without
 */
#ifndef WEIR_CONTROLPLANE_API_SCRAPES_H
#define WEIR_CONTROLPLANE_API_SCRAPES_H

#include "controlplane/http/http.h"

/* Outlasts any time slice that a stage may wait for its core. */
#define WEIR_SCRAPES_WAIT_MS 1000

struct event_base;
struct weir_scrapes;

struct weir_scrapes_options {
    struct event_base *base;
    /* Answers a request; where `last` is false only if the ledger can be read. False: it cannot. */
    bool (*answer)(void *context, struct weir_http_request *request, bool last);
    void *context;
};

enum weir_err weir_scrapes_new(const struct weir_scrapes_options *options,
    struct weir_scrapes **out) WEIR_MUST_USE;
/* Forgets the requests under way. */
void weir_scrapes_free(struct weir_scrapes *scrapes);

/* Answers now, or later. */
void weir_scrapes_put(struct weir_scrapes *scrapes, struct weir_http_request *request);
/* The client of a request is gone. False where the request is not one of these. */
bool weir_scrapes_gone(struct weir_scrapes *scrapes, const struct weir_http_request *request);

#endif
