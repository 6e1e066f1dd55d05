/* parts: the inside of struct weir_api, for controlplane/api/ only.
 *
 *   api.c      opens and closes; which path a request is for
 *   jobs.c     requests that query threads answer
 *   pages.c    pages that the event loop answers
 *   status.c   pages of Prometheus's API among them: status, and what there is none of yet
 *   respond.c  answers of both
 *
 * Threads: the event loop's
 */
#ifndef WEIR_CONTROLPLANE_API_PARTS_H
#define WEIR_CONTROLPLANE_API_PARTS_H

#include "controlplane/api/api.h"
#include "controlplane/api/exposition.h"
#include "controlplane/api/scrapes.h"
#include "controlplane/api/sender_requests.h"
#include "controlplane/http/http.h"

#define WEIR_API_JSON "application/json"
#define WEIR_API_TEXT_MAX (UINT64_C(1) << 20) /* of answers that no query makes */

struct event;

struct weir_api {
    struct weir_api_options options;
    struct weir_http *http;
    struct weir_pool *pool;
    struct weir_sender_requests *requests;
    struct weir_scrapes *scrapes;
    struct event *done;
    struct weir_query_counts counts;
    int64_t started_ms; /* wall clock */
};

enum weir_route_methods {
    WEIR_ROUTE_GET,        /* and HEAD, as wherever GET is */
    WEIR_ROUTE_GET_POST,
    WEIR_ROUTE_GET_DELETE,
    WEIR_ROUTE_POST,
};

typedef void weir_page_fn(struct weir_api *api, struct weir_http_request *request);

struct weir_route {
    const char *path;
    enum weir_route_methods methods;
    bool prometheus; /* the envelope of errors */
    bool vital;
    weir_page_fn *page;                 /* NULL: query threads answer */
    void (*run)(struct weir_call *call);
    enum weir_endpoint endpoint;        /* of run */
};

/* jobs.c: hands a request to the query threads. */
void weir_api_submit(struct weir_api *api, struct weir_http_request *request,
    const struct weir_route *route);
/* Answers a finished job. */
void weir_api_finish(struct weir_api *api, struct weir_job *job);
/* The client of a submitted request is gone. */
void weir_api_abandon(struct weir_api *api, struct weir_http_request *request);
/* As weir_http_events.more. */
void weir_api_more(void *context, struct weir_http_request *request);

/* respond.c: takes the text's memory. */
void weir_api_respond(struct weir_http_request *request, int status, const char *type,
    struct weir_text *text);
struct weir_api_refusal {
    int status;
    bool prometheus;
    const char *allow; /* of 405 */
    int retry_after_s;
};
void weir_api_refuse(
    struct weir_http_request *request, struct weir_api_refusal refusal, const char *message);

/* pages.c, status.c */
#define WEIR_ROUTE_PAGE(path, methods, envelope, vital, handler, text) weir_page_fn handler;
#include "controlplane/api/api_routes.def"
/* As weir_scrapes_options and weir_sender_requests_options want them. */
bool weir_api_answer_metrics(void *context, struct weir_http_request *request, bool last);
void weir_api_on_asked(void *context, struct weir_http_request *request, enum weir_err err,
    struct weir_text *text);
void weir_api_read_exposition(struct weir_api *api, struct weir_exposition *from);

#endif
