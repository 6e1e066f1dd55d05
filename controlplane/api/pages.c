#include "controlplane/api/parts.h"

#include "base/clock.h"
#include "controlplane/api/health.h"
#include "controlplane/api/landing.h"
#include "controlplane/api/rejected.h"
#include "controlplane/api/senders.h"
#include "controlplane/http/encoding.h"

#define EXPOSITION "text/plain; version=0.0.4; charset=utf-8"
#define HTML "text/html; charset=utf-8"
#define PLAIN "text/plain; charset=utf-8"

void
weir_api_read_exposition(struct weir_api *api, struct weir_exposition *from)
{
    *from = (struct weir_exposition){.shared = api->options.shared};
    from->queries = &api->counts;
    weir_http_read_stats(api->http, &from->http);
    weir_pool_read_state(api->pool, &from->pool);
}

bool
weir_api_answer_metrics(void *context, struct weir_http_request *request, bool last)
{
    struct weir_exposition from;
    struct weir_text text;
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    weir_api_read_exposition(context, &from);
    from.without_ledger = last;
    enum weir_err err = weir_exposition_write(&from, &text);
    if (err == WEIR_OK) {
        weir_api_respond(request, WEIR_STATUS_OK, EXPOSITION, &text);
        return true;
    }
    weir_text_fini(&text);
    if (err == WEIR_AGAIN && !last)
        return false;
    weir_api_refuse(request,
        (struct weir_api_refusal){.status = WEIR_STATUS_UNAVAILABLE, .retry_after_s = 1},
        weir_err_detail());
    return true;
}

void
weir_page_metrics(struct weir_api *api, struct weir_http_request *request)
{
    weir_scrapes_put(api->scrapes, request);
}

void
weir_page_health(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_exposition from;
    struct weir_text text;
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    weir_api_read_exposition(api, &from);
    int status = weir_health_write(&from, &text);
    weir_api_respond(request, status, WEIR_API_JSON, &text);
}

/* The answer itself shows that the process lives: there is nothing else to look at. */
void
weir_page_healthy(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_text text;
    (void)api;
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    weir_text_puts(&text, "Weir is healthy.\n");
    weir_api_respond(request, WEIR_STATUS_OK, PLAIN, &text);
}

void
weir_page_ready(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_exposition from;
    struct weir_text text;
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    weir_api_read_exposition(api, &from);
    int status = weir_ready_write(&from, &text);
    weir_api_respond(request, status, PLAIN, &text);
}

void
weir_api_on_asked(void *context, struct weir_http_request *request, enum weir_err err,
    struct weir_text *text)
{
    (void)context;
    if (err == WEIR_OK) {
        weir_api_respond(request, WEIR_STATUS_OK, WEIR_API_JSON, text);
        *text = (struct weir_text){.data = NULL}; /* the server's now */
        return;
    }
    weir_api_refuse(request,
        (struct weir_api_refusal){.status = WEIR_STATUS_UNAVAILABLE, .retry_after_s = 1},
        weir_err_detail());
}

/* DELETE is for people on this machine, or those that api.admin lets in. A page in a browser cannot
 * send it here without asking first, which nobody answers. */
void
weir_page_senders(struct weir_api *api, struct weir_http_request *request)
{
    const struct weir_http_head *head = weir_http_request_head(request);
    bool forget = head->method == WEIR_HTTP_DELETE;
    struct weir_api_refusal refusal = {.status = WEIR_STATUS_BAD_REQUEST};
    struct weir_params params = {.bytes = NULL};
    struct weir_channel_question question;
    if (forget && !api->options.admin && !weir_http_request_is_local(request)) {
        refusal.status = WEIR_STATUS_FORBIDDEN;
        weir_api_refuse(request, refusal,
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
        refusal = (struct weir_api_refusal){.status = WEIR_STATUS_UNAVAILABLE, .retry_after_s = 1};
    weir_api_refuse(request, refusal, weir_err_detail());
}

/* It shows texts of senders: for people on this machine, or those that api.admin lets in. */
void
weir_page_rejected(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_http_slice query = weir_http_request_head(request)->query;
    struct weir_api_refusal refusal = {.status = WEIR_STATUS_BAD_REQUEST};
    struct weir_params params = {.bytes = NULL};
    struct weir_text text;
    if (!api->options.admin && !weir_http_request_is_local(request)) {
        refusal.status = WEIR_STATUS_FORBIDDEN;
        weir_api_refuse(request, refusal,
            "only clients on this machine may read refused lines, unless api.admin is true");
        return;
    }
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    enum weir_err err = weir_params_init(&params, query.at, query.size);
    if (err == WEIR_OK)
        err = weir_rejected_write(api->options.shared, &params, &text);
    weir_params_fini(&params);
    if (err == WEIR_OK) {
        weir_api_respond(request, WEIR_STATUS_OK, WEIR_API_JSON, &text);
        return;
    }
    weir_text_fini(&text);
    if (err == WEIR_AGAIN || err == WEIR_NOMEM)
        refusal = (struct weir_api_refusal){.status = WEIR_STATUS_UNAVAILABLE, .retry_after_s = 1};
    weir_api_refuse(request, refusal, weir_err_detail());
}

void
weir_page_landing(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_text text;
    (void)api;
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    weir_text_puts(&text, weir_landing_page);
    if (text.full) {
        weir_api_respond(request, WEIR_STATUS_OK, HTML, &text);
        return;
    }
    bool gzip = weir_http_request_head(request)->gzip && weir_text_gzip(&text, NULL, NULL);
    weir_http_respond(request, &(struct weir_http_response){
        .status = WEIR_STATUS_OK, .content_type = HTML,
        .data = text.data, .size = text.size, .gzip = gzip,
        .security_policy = weir_landing_policy});
}

/* Browsers ask for it beside each page. */
void
weir_page_icon(struct weir_api *api, struct weir_http_request *request)
{
    (void)api;
    weir_http_respond(request,
        &(struct weir_http_response){.status = WEIR_STATUS_NO_CONTENT, .content_type = PLAIN});
}
