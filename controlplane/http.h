/* http: an HTTP/1.1 server on libevent's buffered sockets.
 *
 * Owns:    the listening socket and its connections
 * Threads: the event loop's, for everything here
 * Memory:  a connection holds at most one request (WEIR_HTTP_HEAD_MAX + WEIR_HTTP_BODY_MAX) twice,
 *          and its answer until the client has read it
 * Errors:  a bad request is answered here, in JSON, and never reaches the handler
 * Limits:  WEIR_HTTP_CONNECTIONS_MAX; a request must arrive within WEIR_HTTP_REQUEST_S, an idle
 *          connection is closed after WEIR_HTTP_IDLE_S, one that stops reading after
 *          WEIR_HTTP_WRITE_S
 *
 * Why not evhttp: it answers bad requests in HTML, bounds neither connections nor the time a
 * request takes to arrive, and reads on without limit while a request is being answered.
 *
 * A connection's states, and the function on each edge:
 *
 *   READING --take_request--> HANDLING --weir_http_respond--> WRITING --on_drained--> READING
 *      |                         |                               |
 *      +--refuse-----------------|------------------------------>+--on_drained, last--> DRAINING
 *      +--timer, hang-up--> freed <--hang-up (gone)--+           +--error--> freed      --timer,
 *                                                                               hang-up--> freed
 * DRAINING: our side is shut; what the client still sends is read away, so that no reset
 * overtakes the answer.
 */
#ifndef WEIR_CONTROLPLANE_HTTP_H
#define WEIR_CONTROLPLANE_HTTP_H

#include "base/err.h"
#include "controlplane/http_head.h"

#define WEIR_HTTP_CONNECTIONS_MAX 256
#define WEIR_HTTP_REQUEST_S 10
#define WEIR_HTTP_IDLE_S 60
#define WEIR_HTTP_WRITE_S 30
/* A client that shut its sending side may still wait for its answer (nc -N does); only then is
 * it taken as gone. One whose connection breaks is gone at once. */
#define WEIR_HTTP_HALF_CLOSED_MS 1000

struct event_base;
struct weir_http;
struct weir_http_request; /* valid from handle until respond or gone */

struct weir_http_events {
    /* A request: answer it by weir_http_respond, now or later. */
    void (*handle)(void *context, struct weir_http_request *request);
    /* Its client is gone: the request is no more. Only between handle and respond. */
    void (*gone)(void *context, struct weir_http_request *request);
    void *context;
};

/* Listens on a numeric address; port 0 takes any. WEIR_BUSY where the address is in use. */
enum weir_err weir_http_open(struct event_base *base, const char *address, uint16_t port,
    const struct weir_http_events *events, struct weir_http **out) WEIR_MUST_USE;
uint16_t weir_http_port(const struct weir_http *http);
/* Closes every connection, telling `gone` for requests under way. */
void weir_http_close(struct weir_http *http);

const struct weir_http_head *weir_http_request_head(const struct weir_http_request *request);
struct weir_http_span weir_http_request_body(const struct weir_http_request *request);
/* A pointer of the handler's, NULL at first. */
void weir_http_request_set_user(struct weir_http_request *request, void *user);
void *weir_http_request_user(const struct weir_http_request *request);

struct weir_http_response {
    int status;
    const char *content_type;
    char *data; /* from malloc; the server frees it. May be NULL where size is 0 */
    size_t size;
    const char *allow; /* value of the header, for 405; else NULL */
    int retry_after_s; /* 0: no header */
};
void weir_http_respond(struct weir_http_request *request,
    const struct weir_http_response *response);

struct weir_http_stats {
    uint64_t connections; /* open now */
    uint64_t connections_total;
    uint64_t connections_refused;
    uint64_t responses[6]; /* by first digit of the status */
    uint64_t gone; /* requests whose client did not wait for the answer */
};
void weir_http_read_stats(const struct weir_http *http, struct weir_http_stats *stats);

#endif
