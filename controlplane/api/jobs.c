#include "controlplane/api/parts.h"

#include "base/assert.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A job, and the event loop's notes about it. */
struct pending_query {
    struct weir_job job;
    enum weir_endpoint endpoint;
    struct weir_http_request *request; /* NULL once its client is gone */
    bool streaming; /* its answer has begun, and goes on */
    bool idle;      /* no query thread has it: its client is to read first */
};

static void
query_free(struct pending_query *query)
{
    weir_job_end_stream(&query->job);
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
    struct weir_http_slice body = weir_http_request_body(request);
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

/* Decodes the segment of the path that a star of the route stands for. */
static enum weir_err
read_label(struct weir_http_slice path, const char *route, char **label)
{
    const char *star = strchr(route, '*');
    size_t before = (size_t)(star - route), size = path.size - (strlen(route) - 1);
    *label = malloc(size + 1);
    if (*label == NULL)
        return weir_fail(WEIR_NOMEM, 0, "label name of %zu bytes", size);
    enum weir_err err = weir_percent_decode(path.at + before, size, 0, *label, &size);
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
start_query(struct weir_api *api, struct weir_http_request *request, const struct weir_route *route,
    struct pending_query *query)
{
    struct weir_http_slice path = weir_http_request_head(request)->path;
    enum weir_err err = read_params(request, &query->job.params);
    if (err == WEIR_OK && strchr(route->path, '*') != NULL)
        err = read_label(path, route->path, &query->job.label);
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

static struct pending_query *
query_new(struct weir_http_request *request, const struct weir_route *route)
{
    const struct weir_http_head *head = weir_http_request_head(request);
    const struct weir_owner *owner = weir_http_request_owner(request);
    struct pending_query *query = calloc(1, sizeof *query);
    if (query == NULL)
        return NULL;
    query->job.run = route->run;
    query->job.prometheus = route->prometheus;
    query->job.gzip = head->gzip;
    query->job.may_stream = head->minor_version >= 1 && head->method != WEIR_HTTP_HEAD;
    query->job.user = query;
    query->job.has_owner = owner != NULL;
    if (owner != NULL)
        query->job.owner = *owner;
    query->endpoint = route->endpoint;
    query->request = request;
    return query;
}

/* The request was not submitted. */
static void
refuse_query(struct weir_api *api, struct weir_http_request *request,
    const struct weir_route *route, enum weir_err err)
{
    uint64_t *outcomes = api->counts.outcomes[route->endpoint];
    struct weir_api_refusal refusal = {.status = WEIR_STATUS_UNAVAILABLE,
        .prometheus = route->prometheus, .retry_after_s = 1};
    if (err == WEIR_FULL) {
        outcomes[WEIR_OUTCOME_REFUSED]++;
    } else if (err == WEIR_NOMEM) {
        outcomes[WEIR_OUTCOME_FAILED]++;
    } else {
        outcomes[WEIR_OUTCOME_CLIENT_ERROR]++;
        refusal.status = err == WEIR_UNSUPPORTED ? WEIR_STATUS_MEDIA_TYPE : WEIR_STATUS_BAD_REQUEST;
        refusal.retry_after_s = 0;
    }
    weir_api_refuse(request, refusal, weir_err_detail());
}

void
weir_api_submit(
    struct weir_api *api, struct weir_http_request *request, const struct weir_route *route)
{
    struct pending_query *query = NULL;
    enum weir_err err = WEIR_OK;
    if (!body_is_form(request))
        err = weir_fail(WEIR_UNSUPPORTED, 0, "the body must be application/x-www-form-urlencoded");
    else if ((query = query_new(request, route)) == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "out of memory");
    else
        err = start_query(api, request, route, query);
    if (err == WEIR_OK) {
        weir_http_request_set_user(request, query);
        return;
    }
    if (query != NULL)
        query_free(query);
    refuse_query(api, request, route, err);
}

static void
count_done(struct weir_api *api, const struct pending_query *query, enum weir_outcome outcome)
{
    api->counts.outcomes[query->endpoint][outcome]++;
    if (outcome != WEIR_OUTCOME_CANCELLED)
        weir_query_counts_add_time(
            &api->counts.times[query->endpoint], weir_mono_ns() - query->job.submitted_ns);
}

/* The first piece, and room for the rest. False: it was refused. */
static bool
begin_answer(struct pending_query *query)
{
    struct weir_job *job = &query->job;
    query->streaming = query->idle = true; /* before: the client may have read at once */
    return weir_http_begin(query->request,
        &(struct weir_http_response){.status = job->status, .content_type = job->content_type,
            .data = job->answer.data, .size = job->answer.size, .gzip = job->gzip},
        job->stream->held);
}

/* A piece more. False where it was the last, or the answer cannot go on. */
static bool
continue_answer(struct pending_query *query)
{
    struct weir_job *job = &query->job;
    if (job->broken) {
        weir_text_fini(&job->answer);
        weir_http_break(query->request);
        return false;
    }
    query->idle = true;
    job->broken =
        !weir_http_continue(query->request, job->answer.data, job->answer.size, job->ended);
    return !job->ended && !job->broken;
}

/* An answer that was to go on, and is whole already, or cannot. */
static void
end_early(struct weir_job *job)
{
    weir_job_end_stream(job);
    if (!job->broken)
        return;
    weir_text_clear(&job->answer);
    job->gzip = false;
    job->status = WEIR_STATUS_UNAVAILABLE;
    job->retry = true;
    weir_error_write_kind(
        &job->answer, WEIR_ERROR_UNAVAILABLE, "not enough memory for this answer", NULL);
}

static void
answer_whole(const struct pending_query *query)
{
    const struct weir_job *job = &query->job;
    weir_http_respond(query->request,
        &(struct weir_http_response){.status = job->status, .content_type = job->content_type,
            .data = job->answer.data, .size = job->answer.size, .gzip = job->gzip,
            .retry_after_s = job->retry ? 1 : 0});
}

void
weir_api_finish(struct weir_api *api, struct weir_job *job)
{
    struct pending_query *query = job->user;
    bool goes_on = false;
    if (query->request == NULL) {
        count_done(api, query, WEIR_OUTCOME_CANCELLED);
        query_free(query);
        return;
    }
    if (!query->streaming && job->stream != NULL && (job->ended || job->broken))
        end_early(job);
    if (query->streaming)
        goes_on = continue_answer(query);
    else if (job->stream != NULL)
        goes_on = begin_answer(query);
    else
        answer_whole(query);
    job->answer = (struct weir_text){0}; /* the server's now */
    if (goes_on)
        return;
    count_done(api, query, job->broken ? WEIR_OUTCOME_FAILED
            : job->late ? WEIR_OUTCOME_REFUSED : outcome_of(job->status));
    query_free(query);
}

void
weir_api_more(void *context, struct weir_http_request *request)
{
    struct weir_api *api = context;
    struct pending_query *query = weir_http_request_user(request);
    WEIR_ASSERT(query->idle);
    query->idle = false;
    weir_pool_resume(api->pool, &query->job);
}

void
weir_api_abandon(struct weir_api *api, struct weir_http_request *request)
{
    struct pending_query *query = weir_http_request_user(request);
    WEIR_ASSERT(query != NULL); /* everything else is answered at once */
    query->request = NULL;
    weir_job_cancel(&query->job);
    if (!query->idle)
        return;
    count_done(api, query, WEIR_OUTCOME_CANCELLED);
    query_free(query);
}
