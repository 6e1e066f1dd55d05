/* parts: the inside of struct weir_http, for controlplane/http/ only.
 *
 *   http.c        requests and answers, between evhttp and the handler
 *   check.c       refuses requests that evhttp lets through
 *   room.c        ends connections if room for connections or answers is short
 *
 * Threads: the event loop's
 */
#ifndef WEIR_CONTROLPLANE_HTTP_PARTS_H
#define WEIR_CONTROLPLANE_HTTP_PARTS_H

#include "controlplane/http/http.h"
#include "model/shares.h"

#include <event2/http.h>
#include <stdbool.h>

#define WEIR_HTTP_NS_PER_MS INT64_C(1000000)

/* See http.h for the edges. */
enum weir_http_state { READING, HANDLING, WRITING, ENDED };

struct bufferevent;
struct evconnlistener;
struct event;

struct weir_http_request {
    struct weir_http_connection *connection;
    struct evhttp_request *from; /* NULL where there is no request */
    struct weir_http_head head;
    const char *cors; /* origin that the answer is shared with, of the options; NULL: none */
    bool last; /* close after the answer: where the next request begins is in doubt */
    void *user;
};

struct weir_http_connection {
    struct weir_http *http;
    struct weir_http_connection *next;
    struct bufferevent *socket; /* evhttp's; the reference of ours is released by release */
    struct evhttp_connection *open; /* evhttp's; NULL before the first request */
    enum weir_http_state state;
    int64_t state_ns; /* since when; of READING: without a request, or with a part of one */
    int64_t begun_ns; /* first byte of the request at hand; 0: none yet */
    int64_t since_ns; /* the client's side was seen shut, or the connection ended; 0: not yet */
    bool reserve;     /* past the bound: only vital requests are answered, and it is closed */
    bool over_share;  /* its source has its share of connections: as above */
    bool leaving;     /* shut to make room: it is counted no more */
    bool line_seen;   /* of the request at hand: its first line has come */
    bool line_good;   /* and names a version that this server speaks */
    bool identified;  /* the next three are known */
    bool has_owner;   /* it has a source that shares bound */
    struct weir_owner owner;
    uint32_t share;   /* of connections */
    size_t answer_size; /* of the body being written; 0: none */
    bool streaming;     /* WRITING, and the request goes on */
    struct weir_http_held *stream_held; /* of the answer that goes on */
    size_t stream_held_size;
    struct weir_http_request request;
};

/* Room taken by answers, until they are with the kernel. */
struct weir_http_held {
    struct weir_http *http;
    uint32_t share; /* of the source in answer_shares */
};

struct weir_http {
    struct evhttp *server;
    struct evconnlistener *listener; /* the server's */
    struct event *tick;
    struct weir_http_options options;
    struct weir_http_connection *connections;
    uint32_t connections_max; /* and reserves_max: as the limit of open files allows */
    uint32_t reserves_max;
    uint32_t reserves; /* of them: past the bound */
    uint32_t leaving;  /* of them: leaving */
    uint64_t held;     /* bytes of answers */
    void *shares_memory; /* of the key and the next two */
    struct weir_shares *connection_shares;
    struct weir_shares *answer_shares;
    struct weir_http_stats stats;
};

static inline bool
weir_http_refused(const struct weir_http_connection *connection)
{
    return connection->reserve || connection->over_share;
}

/* Whether evhttp has let go of the connection. */
bool weir_http_has_ended(const struct weir_http_connection *connection);
/* Drops the bytes that the client has not been sent, and gives their room back. */
void weir_http_drop_output(struct weir_http_connection *connection);

/* check.c: the status that refuses a request, and the reason; or 0. */
int weir_http_check_request(struct weir_http_request *request, const char **reason);
/* Looks for the first line of the request at hand among the bytes received. */
void weir_http_look_at_line(struct weir_http_connection *connection);

/* room.c: also weir_http_request_owner */
enum weir_err weir_http_room_init(struct weir_http *http) WEIR_MUST_USE;
void weir_http_room_fini(struct weir_http *http);
/* Finds out the client's address, once it is known, and whether it has its share. */
void weir_http_identify(struct weir_http_connection *connection);
void weir_http_forget_owner(struct weir_http_connection *connection);
/* A connection more: lets one go where there are too many. False where none can. */
bool weir_http_make_place(struct weir_http *http);
/* An answer more: cuts slow readers off where there is no room. False where it does not help. */
bool weir_http_make_room(struct weir_http_connection *connection, size_t size);
/* Counts an answer until it is with the kernel, or dropped. NULL where memory is short. */
struct weir_http_held *weir_http_hold(struct weir_http_connection *connection, size_t size);
void weir_http_unhold(struct weir_http_held *held, size_t size);
/* Whether the answer takes longer than any client may. */
bool weir_http_too_slow(const struct weir_http_connection *connection, int64_t now_ns);
/* Nobody reads on an answer in pieces: reports it. evhttp's request is the caller's to free. */
void weir_http_end_stream(struct weir_http_connection *connection);
/* Ends a connection at once, in the middle of an answer. */
void weir_http_cut(struct weir_http_connection *connection);

#endif
