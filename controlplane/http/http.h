/* http: the HTTP server, libevent's evhttp (2.1), with additions of Weir.
 *
 * Owns:    the evhttp, its listening socket, a record of each connection
 * Threads: the event loop's, for everything here
 * Memory:  a connection buffers at most WEIR_HTTP_HEAD_MAX + WEIR_HTTP_BODY_MAX of input beside the
 *          request that is handled; answers that clients have not read take answers_max together
 * Errors:  bytes that are no request evhttp answers itself, with a page of its own (400; 413
 *          for the body, 417 for a body's Expect); all else is answered in JSON
 * Limits:  WEIR_HTTP_CONNECTIONS_MAX; a request must arrive within WEIR_HTTP_REQUEST_S, an answer
 *          be read within WEIR_HTTP_ANSWER_S and what WEIR_HTTP_PACE_MIN allows it; one on which
 *          nothing moves is closed after WEIR_HTTP_IDLE_S
 *
 * evhttp parses requests, frames answers, and keeps connections. It has no bound on connections, on
 * answers or on the time that slow clients take, and does not read, so sees no hang-up, while a
 * request is handled. These are added here: evhttp takes each connection's bufferevent from a
 * callback of this file, which keeps a reference to it and looks at all of them every
 * WEIR_HTTP_TICK_MS.
 *
 * If room is short:
 *
 *   connections   the one that waited longest for a request goes, else the slowest reader of an
 *                 answer; if neither can, up to WEIR_HTTP_REFUSALS_MAX more are accepted, on which
 *                 only vital requests are answered
 *   answers       the slowest readers are cut off, else the answer is refused with 503; vital and
 *                 small ones are always given
 *
 * Of both a source holds an eighth at most once more than half is taken (model/shares.h).
 *
 * The states of a connection's record, and the function on each edge:
 *
 *   READING --on_request--> HANDLING --weir_http_respond--> WRITING --on_complete--> READING
 *      |                        |       weir_http_begin        | (more pieces: streaming)
 *      | evhttp, or tend's      | abandon (gone)               | evhttp
 *      | shutdown               v                              | weir_http_cut
 *      +---------------------> ENDED <-------------------------+     ENDED --tend--> freed
 *
 * ENDED: evhttp has let go of the connection and shut our side. Bytes that the client still sends
 * are read and dropped for a moment: no reset overtakes the answer.
 */
#ifndef WEIR_CONTROLPLANE_HTTP_HTTP_H
#define WEIR_CONTROLPLANE_HTTP_HTTP_H

#include "base/err.h"
#include "controlplane/http/host.h"
#include "model/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_HTTP_URI_MAX 8192
#define WEIR_HTTP_HEAD_MAX 16384 /* request line and headers */
#define WEIR_HTTP_BODY_MAX (1 << 20) /* forms alone have one */
#define WEIR_HTTP_CONNECTIONS_MAX 256
/* Connections past the bound that get an answer saying so; with those more, accepting pauses. */
#define WEIR_HTTP_REFUSALS_MAX 64
/* Descriptors of the process beside connections: 10 of one that is idle; the rest is for segments
 * that queries read. If the limit of open files leaves less room than the two bounds above, both
 * are lower. */
#define WEIR_HTTP_FILES 24
#define WEIR_HTTP_REQUEST_S 10
#define WEIR_HTTP_IDLE_S 30
#define WEIR_HTTP_REFUSAL_MS 1000 /* a refused connection has so long to ask and to be answered */
#define WEIR_HTTP_ARRIVES_MS 1000 /* a connection has so long to ask before it goes for another */
#define WEIR_HTTP_SLOW_MS 5000    /* an answer has so long before its reader may be called slow */
/* An answer may take WEIR_HTTP_ANSWER_S, and longer where it is long: a line of 1 Mbit/s reads
 * twice as fast. */
#define WEIR_HTTP_ANSWER_S 60
#define WEIR_HTTP_PACE_MIN 65536
#define WEIR_HTTP_SMALL 4096 /* bytes of an answer that is always given */
#define WEIR_HTTP_LINGER_MS 1000
/* A client that shut its sending side may still wait for its answer (nc -N does); it counts as gone
 * only then. One whose connection breaks is gone at the next tick. */
#define WEIR_HTTP_HALF_CLOSED_MS 1000
#define WEIR_HTTP_TICK_MS 50

struct event_base;
struct weir_http;
struct weir_owner;
struct weir_http_request; /* valid from handle until respond or gone */

struct weir_http_head;

struct weir_http_events {
    /* A request: answer it by weir_http_respond, now or later. */
    void (*handle)(void *context, struct weir_http_request *request);
    /* Its client is gone: the request is no more. Only between handle and respond. */
    void (*gone)(void *context, struct weir_http_request *request);
    /* Whether a request is answered whatever room there is: health and metrics. */
    bool (*vital)(const struct weir_http_head *head);
    void *context;
    /* Whether a client that has shut its sending side is gone at once, as Prometheus has it. NULL:
     * none is, each may still wait for WEIR_HTTP_HALF_CLOSED_MS. */
    bool (*hasty)(const struct weir_http_head *head);
    /* The client has read what there is of an answer that goes on. NULL: none does. */
    void (*more)(void *context, struct weir_http_request *request);
};

/* The source of the request, for shares; NULL where none bounds it: it is trusted, or unknown. */
const struct weir_owner *weir_http_request_owner(const struct weir_http_request *request);
/* Does the client sit on this machine: is its address a loopback one? */
bool weir_http_request_is_local(const struct weir_http_request *request);

struct weir_http_options {
    /* A listening socket (listen.h), taken over: it is closed with the server, and if
     * weir_http_open fails. */
    int listen_fd;
    struct weir_http_events events;
    struct weir_http_hosts hosts;  /* that requests may name */
    /* Origins whose pages may read answers, in lower case; "*": any. None: no CORS. Borrowed. */
    const char (*cors)[WEIR_CONFIG_HOST_SIZE];
    uint32_t cors_count;
    struct weir_prefixes trusted;  /* sources that no share bounds; borrowed */
    uint64_t answers_max;          /* bytes of answers that clients have not read */
};

enum weir_err weir_http_open(struct event_base *base, const struct weir_http_options *options,
    struct weir_http **out) WEIR_MUST_USE;
uint16_t weir_http_port(const struct weir_http *http);
/* Closes every connection; reports `gone` for requests under way. */
void weir_http_close(struct weir_http *http);

enum weir_http_method { WEIR_HTTP_GET, WEIR_HTTP_HEAD, WEIR_HTTP_POST, WEIR_HTTP_DELETE,
    WEIR_HTTP_OPTIONS, WEIR_HTTP_OTHER };

struct weir_http_slice {
    const char *at; /* not zero terminated */
    size_t size;
};

struct weir_http_head {
    enum weir_http_method method;
    struct weir_http_slice path;  /* as sent, percent-encoded */
    struct weir_http_slice query; /* after the ?, as sent */
    struct weir_http_slice content_type; /* of the body, without parameters */
    int minor_version; /* of HTTP/1 */
    bool gzip; /* the client takes an answer in gzip */
};

const struct weir_http_head *weir_http_request_head(const struct weir_http_request *request);
/* at is NULL where there was no memory to lay it out. */
struct weir_http_slice weir_http_request_body(const struct weir_http_request *request);
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
    const char *security_policy; /* Content-Security-Policy; NULL: a page may use nothing */
    bool gzip; /* data is in gzip */
};
void weir_http_respond(struct weir_http_request *request,
    const struct weir_http_response *response);

/* Begins an answer in pieces (chunked, RFC 9112); its size is unknown, held bytes are taken until
 * it ends. The request stays valid until the last piece or `gone`; events.more asks for each piece.
 * For HTTP/1.1, and not for HEAD. False where there was no room: then it was refused. */
bool weir_http_begin(struct weir_http_request *request, const struct weir_http_response *response,
    size_t held) WEIR_MUST_USE;
/* The next piece; data is from malloc, the server frees it. Empty only if it is the last. False
 * where memory was short: then it is as after weir_http_break. */
bool weir_http_continue(struct weir_http_request *request, char *data, size_t size, bool last)
    WEIR_MUST_USE;
/* The answer cannot go on: its connection ends, and the client does not take it for a whole one. */
void weir_http_break(struct weir_http_request *request);

struct weir_http_stats {
    uint64_t connections; /* open now */
    uint64_t connections_total;
    uint64_t connections_refused; /* past the bound, or past a source's share */
    uint64_t connections_cut_idle; /* to make room for another */
    uint64_t connections_cut_slow; /* in the middle of an answer */
    uint64_t answers_bytes;        /* held now */
    uint64_t answers_refused;      /* for want of room */
    uint64_t responses[6]; /* by first digit of the status; evhttp's own pages are not counted */
    uint64_t gone; /* requests whose client did not wait for the answer */
};
void weir_http_read_stats(const struct weir_http *http, struct weir_http_stats *stats);

#endif
