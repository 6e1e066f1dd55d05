/* senders_asks: requests about channels of the weir protocol, which the dataplane's worker answers
 * over the shared region (model/senders_mail.h). One is asked at a time, the others wait.
 *
 * Owns:    the requests under way, a timer
 * Threads: the event loop's
 * Errors:  told to `done`: WEIR_AGAIN where nobody answers, or too many wait
 * Limits:  WEIR_ASKS_MAX requests; WEIR_ASKS_WAIT_MS for an answer
 */
#ifndef WEIR_CONTROLPLANE_API_SENDERS_ASKS_H
#define WEIR_CONTROLPLANE_API_SENDERS_ASKS_H

#include "controlplane/http/http.h"
#include "controlplane/http/text.h"
#include "model/shared.h"

#define WEIR_ASKS_MAX 64
#define WEIR_ASKS_WAIT_MS 5000
#define WEIR_ASKS_ROWS_MAX 4000

struct event_base;
struct weir_asks;

struct weir_asks_options {
    struct event_base *base;
    struct weir_shared *shared; /* NULL on a stopped instance */
    /* The answer to a request; text is empty where err is none of WEIR_OK, whose detail tells. */
    void (*done)(void *context, struct weir_http_request *request, enum weir_err err,
        struct weir_text *text);
    void *context;
};

enum weir_err weir_asks_new(const struct weir_asks_options *options, struct weir_asks **out)
    WEIR_MUST_USE;
/* Forgets the requests under way. */
void weir_asks_free(struct weir_asks *asks);

/* A page of channels, or to forget those of a sender. `done` may be called at once. */
void weir_asks_put(struct weir_asks *asks, struct weir_http_request *request,
    const struct weir_senders_question *question);
/* The client of a request is gone. False where the request is not one of these. */
bool weir_asks_gone(struct weir_asks *asks, const struct weir_http_request *request);

#endif
