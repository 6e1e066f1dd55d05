/* sender_requests: requests about channels of the weir protocol, which the dataplane's worker
 * answers over the shared region (model/channel_mail.h). One is asked at a time, the others wait.
 *
 * Owns:    the requests under way, a timer
 * Threads: the event loop's
 * Errors:  given to `done`: WEIR_AGAIN if nobody answers, or too many wait
 * Limits:  WEIR_SENDER_REQUESTS_MAX requests; WEIR_SENDER_REQUESTS_WAIT_MS for an answer
 */
#ifndef WEIR_CONTROLPLANE_API_SENDER_REQUESTS_H
#define WEIR_CONTROLPLANE_API_SENDER_REQUESTS_H

#include "controlplane/http/http.h"
#include "controlplane/http/text.h"
#include "model/shared.h"

#define WEIR_SENDER_REQUESTS_MAX 64
#define WEIR_SENDER_REQUESTS_WAIT_MS 5000
#define WEIR_SENDER_REQUESTS_ROWS_MAX 4000

struct event_base;
struct weir_sender_requests;

struct weir_sender_requests_options {
    struct event_base *base;
    struct weir_shared *shared; /* NULL on a stopped instance */
    /* The answer to a request. text is empty if err is not WEIR_OK; the error's detail has the
     * reason. */
    void (*done)(void *context, struct weir_http_request *request, enum weir_err err,
        struct weir_text *text);
    void *context;
};

enum weir_err weir_sender_requests_new(const struct weir_sender_requests_options *options,
    struct weir_sender_requests **out) WEIR_MUST_USE;
/* Forgets the requests under way. */
void weir_sender_requests_free(struct weir_sender_requests *requests);

/* A page of channels, or to forget those of a sender. `done` may be called at once. */
void weir_sender_requests_put(struct weir_sender_requests *requests,
    struct weir_http_request *request, const struct weir_channel_question *question);
/* The client of a request is gone. False where the request is not one of these. */
bool weir_sender_requests_gone(
    struct weir_sender_requests *requests, const struct weir_http_request *request);

#endif
