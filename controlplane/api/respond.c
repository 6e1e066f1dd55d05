#include "controlplane/api/parts.h"

#include "controlplane/http/encoding.h"

void
weir_api_respond(struct weir_http_request *request, int status, const char *type,
    struct weir_text *text)
{
    if (text->full) {
        status = text->no_memory ? WEIR_STATUS_UNAVAILABLE : WEIR_STATUS_INTERNAL;
        type = WEIR_API_JSON;
        weir_text_clear(text);
        weir_error_write(text, false, status, "not enough memory for this answer", NULL, 0);
    }
    bool gzip = weir_http_request_head(request)->gzip && weir_text_gzip(text, NULL, NULL);
    weir_http_respond(request, &(struct weir_http_response){.status = status,
        .content_type = type, .data = text->data, .size = text->size, .gzip = gzip,
        .retry_after_s = status == WEIR_STATUS_UNAVAILABLE ? 1 : 0});
}

void
weir_api_refuse(
    struct weir_http_request *request, struct weir_api_refusal refusal, const char *message)
{
    struct weir_text text;
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    weir_error_write(&text, refusal.prometheus, refusal.status, message, NULL, 0);
    weir_http_respond(request, &(struct weir_http_response){.status = refusal.status,
        .content_type = WEIR_API_JSON, .data = text.data, .size = text.size, .allow = refusal.allow,
        .retry_after_s = refusal.retry_after_s});
}
