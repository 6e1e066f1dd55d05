#include "controlplane/api/parts.h"

#include "base/clock.h"
#include "controlplane/api/names.h"
#include "controlplane/api/query.h"
#include "controlplane/api/federate.h"
#include "controlplane/api/language.h"
#include "controlplane/api/tsdb.h"
#include "controlplane/http/listen.h"
#include "controlplane/query/query.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define PROMETHEUS true
#define WEIR false
static const struct weir_route routes[] = {
#define WEIR_ROUTE_PAGE(path, methods, envelope, vital, handler, text) \
    {path, WEIR_ROUTE_##methods, envelope, vital, handler, NULL, WEIR_ENDPOINT_COUNT},
#define WEIR_ROUTE_QUERY(NAME, endpoint, path, methods, envelope, run, text) \
    {path, WEIR_ROUTE_##methods, envelope, false, NULL, run, WEIR_ENDPOINT_##NAME},
#include "controlplane/api/api_routes.def"
};
#undef PROMETHEUS
#undef WEIR
#define ROUTES (sizeof routes / sizeof routes[0])

/* What a path answers to. */
static const struct {
    const char *allow, *text;
} methods[] = {
    [WEIR_ROUTE_GET] = {"GET, HEAD", "this path answers GET and HEAD"},
    [WEIR_ROUTE_GET_POST] = {"GET, HEAD, POST", "this path answers GET, HEAD and POST"},
    [WEIR_ROUTE_GET_DELETE] = {"GET, HEAD, DELETE", "this path answers GET, HEAD and DELETE"},
    [WEIR_ROUTE_POST] = {"POST", "this path answers POST"},
};

static void
on_done(evutil_socket_t fd, short what, void *context)
{
    struct weir_api *api = context;
    struct weir_job *job;
    (void)fd;
    (void)what;
    while ((job = weir_pool_done(api->pool)) != NULL)
        weir_api_finish(api, job);
}

static void
on_gone(void *context, struct weir_http_request *request)
{
    struct weir_api *api = context;
    if (!weir_sender_requests_gone(api->requests, request) &&
        !weir_scrapes_gone(api->scrapes, request))
        weir_api_abandon(api, request);
}

/* A star stands for one segment, which is not empty. */
static bool
path_is(struct weir_http_slice path, const char *wanted)
{
    size_t size = strlen(wanted);
    const char *star = strchr(wanted, '*');
    if (star == NULL)
        return path.size == size && memcmp(path.at, wanted, size) == 0;
    size_t before = (size_t)(star - wanted), after = size - before - 1;
    return path.size >= size - 1 && memcmp(path.at, wanted, before) == 0 &&
        memcmp(path.at + path.size - after, star + 1, after) == 0;
}

static const struct weir_route *
route_of(struct weir_http_slice path)
{
    for (size_t i = 0; i < ROUTES; i++)
        if (path_is(path, routes[i].path))
            return &routes[i];
    return NULL;
}

/* Paths that report on the instance are answered however much else goes on. */
static bool
is_vital(const struct weir_http_head *head)
{
    const struct weir_route *route = route_of(head->path);
    return route != NULL && route->vital;
}

/* A query of Prometheus's API stops when its client closes the connection; whether that client has
 * shut one direction or both cannot be seen. */
static bool
is_hasty(const struct weir_http_head *head)
{
    const struct weir_route *route = route_of(head->path);
    return route != NULL && route->prometheus;
}

static bool
answers_to(const struct weir_route *route, enum weir_http_method method)
{
    switch (method) {
    case WEIR_HTTP_GET:
    case WEIR_HTTP_HEAD:
        return route->methods != WEIR_ROUTE_POST;
    case WEIR_HTTP_POST:
        return route->methods == WEIR_ROUTE_GET_POST || route->methods == WEIR_ROUTE_POST;
    case WEIR_HTTP_DELETE:
        return route->methods == WEIR_ROUTE_GET_DELETE;
    default:
        return false;
    }
}

static void
refuse_path(struct weir_http_request *request)
{
    /* a collector that writes lines over HTTP is the most frequent case */
    weir_api_refuse(request, (struct weir_api_refusal){.status = WEIR_STATUS_NOT_FOUND},
        weir_http_request_head(request)->method == WEIR_HTTP_POST
            ? "no such path; Weir takes no samples over HTTP: send lines by UDP or TCP to a "
              "listener"
            : "no such path; GET / names those there are");
}

static void
on_request(void *context, struct weir_http_request *request)
{
    struct weir_api *api = context;
    const struct weir_http_head *head = weir_http_request_head(request);
    const struct weir_route *route = route_of(head->path);
    if (route == NULL) {
        refuse_path(request);
        return;
    }
    if (!answers_to(route, head->method)) {
        if (route->run != NULL)
            api->counts.outcomes[route->endpoint][WEIR_OUTCOME_CLIENT_ERROR]++;
        weir_api_refuse(request,
            (struct weir_api_refusal){.status = WEIR_STATUS_METHOD, .prometheus = route->prometheus,
                .allow = methods[route->methods].allow}, methods[route->methods].text);
    } else if (route->run != NULL) {
        weir_api_submit(api, request, route);
    } else {
        route->page(api, request);
    }
}

enum weir_err
weir_api_open(const struct weir_api_options *options, struct weir_api **out)
{
    struct weir_api *api = calloc(1, sizeof *api);
    if (api == NULL)
        return weir_fail(WEIR_NOMEM, 0, "api");
    api->options = *options;
    api->started_ms = weir_wall_ms();
    (void)weir_tsc_hz(); /* the first call measures; /metrics is not to wait for it */
    struct weir_http_options http = {
        .events = {on_request, on_gone, is_vital, api, is_hasty, weir_api_more},
        .cors = options->cors, .cors_count = options->cors_count, .trusted = options->trusted,
        .answers_max = options->answers_max};
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
        .base = options->base, .shared = options->shared, .done = weir_api_on_asked,
        .context = api};
    if (err == WEIR_OK)
        err = weir_sender_requests_new(&requests, &api->requests);
    const struct weir_scrapes_options scrapes = {.base = options->base,
        .answer = weir_api_answer_metrics, .context = api};
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
            weir_api_finish(api, job);
        weir_pool_free(api->pool);
    }
    free(api);
    return true;
}
