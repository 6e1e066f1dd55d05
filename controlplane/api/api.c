#include "controlplane/api/api.h"

#include "base/assert.h"
#include "base/clock.h"
#include "controlplane/api/names.h"
#include "controlplane/api/query.h"
#include "controlplane/api/exposition.h"
#include "controlplane/api/health.h"
#include "controlplane/api/landing.h"
#include "controlplane/api/rejected.h"
#include "controlplane/api/scrapes.h"
#include "controlplane/api/senders.h"
#include "controlplane/api/sender_requests.h"
#include "controlplane/http/encoding.h"
#include "controlplane/http/http.h"
#include "controlplane/http/listen.h"
#include "controlplane/query/query.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define JSON "application/json"
#define EXPOSITION "text/plain; version=0.0.4; charset=utf-8"
#define HTML "text/html; charset=utf-8"
#define PLAIN "text/plain; charset=utf-8"
#define TEXT_MAX (UINT64_C(1) << 20) /* of answers that no query makes */
#define VALUES_PREFIX "/api/v1/label/"
#define VALUES_SUFFIX "/values"

struct weir_api {
    struct weir_api_options options;
    struct weir_http *http;
    struct weir_pool *pool;
    struct weir_sender_requests *requests;
    struct weir_scrapes *scrapes;
    struct event *done;
    struct weir_query_counts counts;
};

/* A job, and the event loop's notes about it. */
struct query {
    struct weir_job job;
    enum weir_endpoint endpoint;
    struct weir_http_request *request; /* NULL once its client is gone */
};

struct endpoint {
    void (*run)(struct weir_call *call);
    bool prometheus;
    bool post;
};

static const struct endpoint endpoints[WEIR_ENDPOINT_COUNT] = {
    [WEIR_ENDPOINT_QUERY] = {weir_query_run, false, false},
    [WEIR_ENDPOINT_LABELS] = {weir_names_labels, true, true},
    [WEIR_ENDPOINT_VALUES] = {weir_names_values, true, false},
    [WEIR_ENDPOINT_SERIES] = {weir_names_series, true, true},
    [WEIR_ENDPOINT_PROMQL] = {weir_api_query, true, true},
    [WEIR_ENDPOINT_PROMQL_RANGE] = {weir_api_query_range, true, true},
};

static void
respond_text(struct weir_http_request *request, int status, const char *type,
    struct weir_text *text)
{
    if (text->full) {
        status = text->no_memory ? WEIR_STATUS_UNAVAILABLE : WEIR_STATUS_INTERNAL;
        type = JSON;
        weir_text_clear(text);
        weir_error_write(text, false, status, "not enough memory for this answer", NULL, 0);
    }
    bool gzip = weir_http_request_head(request)->gzip && weir_text_gzip(text, NULL, NULL);
    weir_http_respond(request, &(struct weir_http_response){.status = status,
        .content_type = type, .data = text->data, .size = text->size, .gzip = gzip,
        .retry_after_s = status == WEIR_STATUS_UNAVAILABLE ? 1 : 0});
}

struct refusal {
    int status;
    bool prometheus;
    const char *allow;
    int retry_after_s;
};

static void
respond_error(struct weir_http_request *request, struct refusal refusal, const char *message)
{
    struct weir_text text;
    weir_text_init(&text, TEXT_MAX);
    weir_error_write(&text, refusal.prometheus, refusal.status, message, NULL, 0);
    weir_http_respond(request, &(struct weir_http_response){.status = refusal.status,
        .content_type = JSON, .data = text.data, .size = text.size, .allow = refusal.allow,
        .retry_after_s = refusal.retry_after_s});
}

static void
read_exposition(struct weir_api *api, struct weir_exposition *from)
{
    *from = (struct weir_exposition){.shared = api->options.shared};
    from->queries = &api->counts;
    weir_http_read_stats(api->http, &from->http);
    weir_pool_read_state(api->pool, &from->pool);
}

/* As weir_scrapes_options wants it. */
static bool
answer_metrics(void *context, struct weir_http_request *request, bool last)
{
    struct weir_exposition from;
    struct weir_text text;
    weir_text_init(&text, TEXT_MAX);
    read_exposition(context, &from);
    from.without_ledger = last;
    enum weir_err err = weir_exposition_write(&from, &text);
    if (err == WEIR_OK) {
        respond_text(request, WEIR_STATUS_OK, EXPOSITION, &text);
        return true;
    }
    weir_text_fini(&text);
    if (err == WEIR_AGAIN && !last)
        return false;
    respond_error(request, (struct refusal){.status = WEIR_STATUS_UNAVAILABLE, .retry_after_s = 1},
        weir_err_detail());
    return true;
}

static void
handle_metrics(struct weir_api *api, struct weir_http_request *request)
{
    weir_scrapes_put(api->scrapes, request);
}

static void
handle_health(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_exposition from;
    struct weir_text text;
    weir_text_init(&text, TEXT_MAX);
    read_exposition(api, &from);
    int status = weir_health_write(&from, &text);
    respond_text(request, status, JSON, &text);
}

/* The answer itself shows that the process lives: there is nothing else to look at. */
static void
handle_healthy(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_text text;
    (void)api;
    weir_text_init(&text, TEXT_MAX);
    weir_text_puts(&text, "Weir is healthy.\n");
    respond_text(request, WEIR_STATUS_OK, PLAIN, &text);
}

static void
handle_ready(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_exposition from;
    struct weir_text text;
    weir_text_init(&text, TEXT_MAX);
    read_exposition(api, &from);
    int status = weir_ready_write(&from, &text);
    respond_text(request, status, PLAIN, &text);
}

static void
on_asked(void *context, struct weir_http_request *request, enum weir_err err,
    struct weir_text *text)
{
    (void)context;
    if (err == WEIR_OK) {
        respond_text(request, WEIR_STATUS_OK, JSON, text);
        *text = (struct weir_text){.data = NULL}; /* the server's now */
        return;
    }
    respond_error(request, (struct refusal){.status = WEIR_STATUS_UNAVAILABLE, .retry_after_s = 1},
        weir_err_detail());
}

/* DELETE is for people on this machine, or those that api.admin lets in. A page in a browser cannot
 * send it here without asking first, which nobody answers. */
static void
handle_senders(struct weir_api *api, struct weir_http_request *request)
{
    const struct weir_http_head *head = weir_http_request_head(request);
    bool forget = head->method == WEIR_HTTP_DELETE;
    struct refusal refusal = {.status = WEIR_STATUS_BAD_REQUEST};
    struct weir_params params = {.bytes = NULL};
    struct weir_channel_question question;
    if (forget && !api->options.admin && !weir_http_request_is_local(request)) {
        refusal.status = WEIR_STATUS_FORBIDDEN;
        respond_error(request, refusal,
            "only clients on this machine may forget senders, unless api.admin is true");
        return;
    }
    enum weir_err err = weir_params_init(&params, head->query.at, head->query.size);
    if (err == WEIR_OK)
        err = weir_senders_read_params(&params, forget, weir_wall_ms(), &question);
    weir_params_fini(&params);
    if (err == WEIR_OK) {
        weir_sender_requests_put(api->requests, request, &question);
        return;
    }
    if (err == WEIR_NOMEM)
        refusal = (struct refusal){.status = WEIR_STATUS_UNAVAILABLE, .retry_after_s = 1};
    respond_error(request, refusal, weir_err_detail());
}

/* It shows texts of senders: for people on this machine, or those that api.admin lets in. */
static void
handle_rejected(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_http_span query = weir_http_request_head(request)->query;
    struct refusal refusal = {.status = WEIR_STATUS_BAD_REQUEST};
    struct weir_params params = {.bytes = NULL};
    struct weir_text text;
    if (!api->options.admin && !weir_http_request_is_local(request)) {
        refusal.status = WEIR_STATUS_FORBIDDEN;
        respond_error(request, refusal,
            "only clients on this machine may read refused lines, unless api.admin is true");
        return;
    }
    weir_text_init(&text, TEXT_MAX);
    enum weir_err err = weir_params_init(&params, query.at, query.size);
    if (err == WEIR_OK)
        err = weir_rejected_write(api->options.shared, &params, &text);
    weir_params_fini(&params);
    if (err == WEIR_OK) {
        respond_text(request, WEIR_STATUS_OK, JSON, &text);
        return;
    }
    weir_text_fini(&text);
    if (err == WEIR_AGAIN || err == WEIR_NOMEM)
        refusal = (struct refusal){.status = WEIR_STATUS_UNAVAILABLE, .retry_after_s = 1};
    respond_error(request, refusal, weir_err_detail());
}

static void
handle_landing(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_text text;
    (void)api;
    weir_text_init(&text, TEXT_MAX);
    weir_text_puts(&text, weir_landing_page);
    if (text.full) {
        respond_text(request, WEIR_STATUS_OK, HTML, &text);
        return;
    }
    bool gzip = weir_http_request_head(request)->gzip && weir_text_gzip(&text, NULL, NULL);
    weir_http_respond(request, &(struct weir_http_response){
        .status = WEIR_STATUS_OK, .content_type = HTML,
        .data = text.data, .size = text.size, .gzip = gzip,
        .security_policy = weir_landing_policy});
}

/* Browsers ask for it beside each page. */
static void
handle_icon(struct weir_api *api, struct weir_http_request *request)
{
    (void)api;
    weir_http_respond(request,
        &(struct weir_http_response){.status = WEIR_STATUS_NO_CONTENT, .content_type = PLAIN});
}

static void
query_free(struct query *query)
{
    weir_params_fini(&query->job.params);
    weir_text_fini(&query->job.answer);
    free(query->job.label);
    free(query);
}

/* Reads the parameters of the URI and, for POST, of the body. */
static enum weir_err
read_params(const struct weir_http_request *request, struct weir_params *params)
{
    const struct weir_http_head *head = weir_http_request_head(request);
    struct weir_http_span body = weir_http_request_body(request);
    if (body.at == NULL)
        return weir_fail(WEIR_NOMEM, 0, "body of %zu bytes", body.size);
    if (body.size == 0 || head->method != WEIR_HTTP_POST)
        return weir_params_init(params, head->query.at, head->query.size);
    size_t size = head->query.size + 1 + body.size;
    char *joined = malloc(size);
    if (joined == NULL)
        return weir_fail(WEIR_NOMEM, 0, "parameters of %zu bytes", size);
    memcpy(joined, body.at, body.size); /* first: of two values of one name it counts */
    joined[body.size] = '&';
    memcpy(joined + body.size + 1, head->query.at, head->query.size);
    enum weir_err err = weir_params_init(params, joined, size);
    free(joined);
    return err;
}

/* Decodes the name in /api/v1/label/<name>/values. */
static enum weir_err
read_label(struct weir_http_span path, char **label)
{
    size_t fixed = strlen(VALUES_PREFIX) + strlen(VALUES_SUFFIX);
    size_t size = path.size - fixed;
    *label = malloc(size + 1);
    if (*label == NULL)
        return weir_fail(WEIR_NOMEM, 0, "label name of %zu bytes", size);
    enum weir_err err =
        weir_percent_decode(path.at + strlen(VALUES_PREFIX), size, 0, *label, &size);
    if (err == WEIR_OK && (size == 0 || strlen(*label) != size))
        err = weir_fail(WEIR_INVALID, 0, "a label name is not empty and holds no zero byte");
    return err;
}

static bool
body_is_form(const struct weir_http_request *request)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const struct weir_http_head *head = weir_http_request_head(request);
    return head->method != WEIR_HTTP_POST || weir_http_request_body(request).size == 0 ||
        (head->content_type.size == sizeof form - 1 &&
            strncasecmp(head->content_type.at, form, sizeof form - 1) == 0);
}

static enum weir_err
start_query(struct weir_api *api, struct weir_http_request *request, struct query *query)
{
    struct weir_http_span path = weir_http_request_head(request)->path;
    enum weir_err err = read_params(request, &query->job.params);
    if (err == WEIR_OK && query->endpoint == WEIR_ENDPOINT_VALUES)
        err = read_label(path, &query->job.label);
    if (err == WEIR_OK)
        err = weir_pool_submit(api->pool, &query->job);
    return err;
}

static enum weir_outcome
outcome_of(int status)
{
    if (status == WEIR_STATUS_OK)
        return WEIR_OUTCOME_ANSWERED;
    if (status == WEIR_STATUS_LIMIT)
        return WEIR_OUTCOME_LIMIT;
    return status < WEIR_STATUS_INTERNAL ? WEIR_OUTCOME_CLIENT_ERROR : WEIR_OUTCOME_FAILED;
}

static void
handle_query(struct weir_api *api, struct weir_http_request *request, enum weir_endpoint endpoint)
{
    const struct endpoint *with = &endpoints[endpoint];
    struct refusal refusal = {.status = WEIR_STATUS_UNAVAILABLE, .prometheus = with->prometheus,
        .retry_after_s = 1};
    if (!body_is_form(request)) {
        api->counts.outcomes[endpoint][WEIR_OUTCOME_CLIENT_ERROR]++;
        respond_error(request, (struct refusal){.status = WEIR_STATUS_MEDIA_TYPE,
            .prometheus = with->prometheus},
            "the body must be application/x-www-form-urlencoded");
        return;
    }
    struct query *query = calloc(1, sizeof *query);
    if (query == NULL) {
        api->counts.outcomes[endpoint][WEIR_OUTCOME_FAILED]++;
        respond_error(request, refusal, "out of memory");
        return;
    }
    query->job.run = with->run;
    query->job.prometheus = with->prometheus;
    query->job.gzip = weir_http_request_head(request)->gzip;
    query->job.user = query;
    const struct weir_owner *owner = weir_http_request_owner(request);
    query->job.has_owner = owner != NULL;
    if (owner != NULL)
        query->job.owner = *owner;
    query->endpoint = endpoint;
    query->request = request;
    enum weir_err err = start_query(api, request, query);
    if (err == WEIR_OK) {
        weir_http_request_set_user(request, query);
        return;
    }
    query_free(query);
    if (err == WEIR_FULL) {
        api->counts.outcomes[endpoint][WEIR_OUTCOME_REFUSED]++;
        respond_error(request, refusal, weir_err_detail());
        return;
    }
    if (err != WEIR_NOMEM)
        refusal = (struct refusal){.status = WEIR_STATUS_BAD_REQUEST,
            .prometheus = with->prometheus};
    api->counts.outcomes[endpoint][outcome_of(refusal.status)]++;
    respond_error(request, refusal, weir_err_detail());
}

static void
finish_query(struct weir_api *api, struct query *query)
{
    if (query->request == NULL) {
        api->counts.outcomes[query->endpoint][WEIR_OUTCOME_CANCELLED]++;
    } else {
        enum weir_outcome outcome =
            query->job.late ? WEIR_OUTCOME_REFUSED : outcome_of(query->job.status);
        api->counts.outcomes[query->endpoint][outcome]++;
        weir_query_counts_add_time(&api->counts.times[query->endpoint],
            weir_mono_ns() - query->job.submitted_ns);
        weir_http_respond(query->request, &(struct weir_http_response){
            .status = query->job.status, .content_type = JSON, .data = query->job.answer.data,
            .size = query->job.answer.size, .gzip = query->job.gzip,
            .retry_after_s = query->job.retry ? 1 : 0});
        query->job.answer = (struct weir_text){0}; /* the server's now */
    }
    query_free(query);
}

static void
on_done(evutil_socket_t fd, short what, void *context)
{
    struct weir_api *api = context;
    struct weir_job *job;
    (void)fd;
    (void)what;
    while ((job = weir_pool_done(api->pool)) != NULL)
        finish_query(api, job->user);
}

static void
on_gone(void *context, struct weir_http_request *request)
{
    struct weir_api *api = context;
    struct query *query = weir_http_request_user(request);
    if (weir_sender_requests_gone(api->requests, request) ||
        weir_scrapes_gone(api->scrapes, request))
        return;
    WEIR_ASSERT(query != NULL); /* everything else is answered at once */
    query->request = NULL;
    weir_job_cancel(&query->job);
}

static bool
path_is(struct weir_http_span path, const char *wanted)
{
    return path.size == strlen(wanted) && memcmp(path.at, wanted, path.size) == 0;
}

static bool
path_is_values(struct weir_http_span path)
{
    size_t prefix = strlen(VALUES_PREFIX);
    size_t suffix = strlen(VALUES_SUFFIX);
    return path.size >= prefix + suffix && memcmp(path.at, VALUES_PREFIX, prefix) == 0 &&
        memcmp(path.at + path.size - suffix, VALUES_SUFFIX, suffix) == 0;
}

/* The query endpoint of a path, WEIR_ENDPOINT_COUNT where it is none. */
static enum weir_endpoint
endpoint_of(struct weir_http_span path)
{
    if (path_is(path, "/api/v1/metrics/query"))
        return WEIR_ENDPOINT_QUERY;
    if (path_is(path, "/api/v1/labels"))
        return WEIR_ENDPOINT_LABELS;
    if (path_is_values(path))
        return WEIR_ENDPOINT_VALUES;
    if (path_is(path, "/api/v1/series"))
        return WEIR_ENDPOINT_SERIES;
    if (path_is(path, "/api/v1/query"))
        return WEIR_ENDPOINT_PROMQL;
    if (path_is(path, "/api/v1/query_range"))
        return WEIR_ENDPOINT_PROMQL_RANGE;
    return WEIR_ENDPOINT_COUNT;
}

/* Paths that report on the instance are answered however much else goes on. */
static bool
is_vital(const struct weir_http_head *head)
{
    return path_is(head->path, "/healthz") || path_is(head->path, "/metrics") ||
        path_is(head->path, "/-/ready") || path_is(head->path, "/-/healthy");
}

/* A query of Prometheus's API stops when its client closes the connection; whether that client has
 * shut one direction or both cannot be seen. */
static bool
is_hasty(const struct weir_http_head *head)
{
    enum weir_endpoint endpoint = endpoint_of(head->path);
    return endpoint != WEIR_ENDPOINT_COUNT && endpoints[endpoint].prometheus;
}

static void
on_request(void *context, struct weir_http_request *request)
{
    static const struct {
        const char *path;
        void (*handle)(struct weir_api *api, struct weir_http_request *request);
    } pages[] = {{"/", handle_landing}, {"/metrics", handle_metrics}, {"/healthz", handle_health},
        {"/-/healthy", handle_healthy}, {"/-/ready", handle_ready},
        {"/favicon.ico", handle_icon}, {"/api/v1/senders", handle_senders},
        {"/api/v1/rejected", handle_rejected}};
    struct weir_api *api = context;
    const struct weir_http_head *head = weir_http_request_head(request);
    bool reads = head->method == WEIR_HTTP_GET || head->method == WEIR_HTTP_HEAD;
    struct refusal method = {.status = WEIR_STATUS_METHOD, .allow = "GET, HEAD"};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (!path_is(head->path, pages[i].path))
            continue;
        bool deletes = pages[i].handle == handle_senders;
        method.allow = deletes ? "GET, HEAD, DELETE" : "GET, HEAD";
        if (reads || (deletes && head->method == WEIR_HTTP_DELETE))
            pages[i].handle(api, request);
        else
            respond_error(request, method, deletes ? "this path answers GET, HEAD and DELETE"
                                                   : "this path answers GET and HEAD");
        return;
    }
    enum weir_endpoint endpoint = endpoint_of(head->path);
    if (endpoint == WEIR_ENDPOINT_COUNT) {
        /* a collector that writes lines over HTTP is the most frequent case */
        respond_error(request, (struct refusal){.status = WEIR_STATUS_NOT_FOUND},
            head->method == WEIR_HTTP_POST
                ? "no such path; Weir takes no samples over HTTP: send lines by UDP or TCP to a "
                  "listener"
                : "no such path; GET / names those there are");
        return;
    }
    bool post = endpoints[endpoint].post;
    if (reads || (post && head->method == WEIR_HTTP_POST)) {
        handle_query(api, request, endpoint);
        return;
    }
    api->counts.outcomes[endpoint][WEIR_OUTCOME_CLIENT_ERROR]++;
    method.prometheus = endpoints[endpoint].prometheus;
    method.allow = post ? "GET, HEAD, POST" : "GET, HEAD";
    respond_error(request, method, post ? "this path answers GET, HEAD and POST"
                                        : "this path answers GET and HEAD");
}

enum weir_err
weir_api_open(const struct weir_api_options *options, struct weir_api **out)
{
    struct weir_api *api = calloc(1, sizeof *api);
    if (api == NULL)
        return weir_fail(WEIR_NOMEM, 0, "api");
    api->options = *options;
    (void)weir_tsc_hz(); /* the first call measures; /metrics is not to wait for it */
    struct weir_http_options http = {.events = {on_request, on_gone, is_vital, api, is_hasty},
        .trusted = options->trusted, .answers_max = options->answers_max};
    weir_http_hosts_init(&http.hosts, options->hosts, options->host_count);
    struct weir_pool_options pool = {.threads = options->threads, .queue_max = WEIR_API_QUEUE_MAX,
        .limits = options->limits, .open = options->open, .opened = options->opened,
        .limits_now = options->limits_now, .open_context = options->open_context};
    http.listen_fd = options->listen_fd;
    enum weir_err err = http.listen_fd > 0
        ? WEIR_OK : weir_http_listen(options->address, options->port, false, &http.listen_fd);
    /* the port before the pool: `opened` says that both are there */
    if (err == WEIR_OK)
        err = weir_http_open(options->base, &http, &api->http);
    const struct weir_sender_requests_options requests = {
        .base = options->base, .shared = options->shared, .done = on_asked, .context = api};
    if (err == WEIR_OK)
        err = weir_sender_requests_new(&requests, &api->requests);
    const struct weir_scrapes_options scrapes = {.base = options->base, .answer = answer_metrics,
        .context = api};
    if (err == WEIR_OK)
        err = weir_scrapes_new(&scrapes, &api->scrapes);
    if (err == WEIR_OK)
        err = weir_pool_new(&pool, &api->pool);
    if (err == WEIR_OK) {
        api->done = event_new(options->base, weir_pool_fd(api->pool), EV_READ | EV_PERSIST,
            on_done, api);
        if (api->done == NULL || event_add(api->done, NULL) != 0)
            err = weir_fail(WEIR_NOMEM, 0, "event of the query pool");
    }
    if (err == WEIR_OK) {
        *out = api;
        return WEIR_OK;
    }
    bool closed = weir_api_close(api, 1000);
    (void)closed; /* the process ends */
    return err;
}

uint16_t
weir_api_port(const struct weir_api *api)
{
    return weir_http_port(api->http);
}

bool
weir_api_close(struct weir_api *api, int wait_ms)
{
    if (api->http != NULL)
        weir_http_close(api->http);
    weir_sender_requests_free(api->requests);
    api->requests = NULL;
    weir_scrapes_free(api->scrapes);
    api->scrapes = NULL;
    if (api->done != NULL)
        event_free(api->done);
    if (api->pool != NULL) {
        if (!weir_pool_stop(api->pool, wait_ms))
            return false;
        struct weir_job *job;
        while ((job = weir_pool_done(api->pool)) != NULL)
            finish_query(api, job->user);
        weir_pool_free(api->pool);
    }
    free(api);
    return true;
}
