#include "base/assert.h"
#include "base/clock.h"
#include "controlplane/http/encoding.h"
#include "controlplane/http/parts.h"
#include "controlplane/http/text.h"
#include "controlplane/http/error.h"
#include "model/peer.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ERROR_SIZE_MAX 4096
/* Of an answer that says nothing else: nothing it holds is run or loaded, or framed by another. */
#define SECURITY_POLICY "default-src 'none'; frame-ancestors 'none'"
/* All sixteen bits: also a method that evhttp does not know (its bit 15) gets our 405, and not a
 * page of evhttp's. */
#define METHODS_ALL 0xffff

static void
forget_request(struct weir_http_connection *connection)
{
    connection->request = (struct weir_http_request){.connection = connection};
}

static void
free_answer(const void *data, size_t size, void *context)
{
    weir_http_unhold(context, size);
    free((void *)(uintptr_t)data);
}

static void
enter(struct weir_http_connection *connection, enum weir_http_state state)
{
    connection->state = state;
    connection->state_ns = weir_mono_ns();
}

/* The answer is with the kernel: further bytes are another request. */
static void
on_complete(struct evhttp_request *from, void *context)
{
    struct weir_http_connection *connection = context;
    (void)from;
    bool more = evbuffer_get_length(bufferevent_get_input(connection->socket)) > 0;
    enter(connection, READING);
    connection->begun_ns = more ? connection->state_ns : 0;
    connection->answer_size = 0;
    connection->line_seen = false;
    weir_http_look_at_line(connection);
}

/* What a page of another origin may do here (the Fetch standard's CORS protocol). */
static void
add_cors_headers(struct evkeyvalq *headers, const char *origin)
{
    evhttp_add_header(headers, "Access-Control-Allow-Origin", origin);
    evhttp_add_header(headers, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    evhttp_add_header(headers, "Access-Control-Allow-Headers",
        "Accept, Authorization, Content-Type, Origin");
    evhttp_add_header(headers, "Access-Control-Expose-Headers", "Date");
}

/* The entry of http.cors that the request's origin meets; NULL: none, or it names no origin. */
static const char *
find_origin(const struct weir_http_options *options, struct evhttp_request *from)
{
    const char *origin = evhttp_find_header(evhttp_request_get_input_headers(from), "Origin");
    for (uint32_t i = 0; origin != NULL && i < options->cors_count; i++)
        if (strcmp(options->cors[i], "*") == 0 || strcasecmp(options->cors[i], origin) == 0)
            return options->cors[i];
    return NULL;
}

static void
add_headers(const struct weir_http_request *request, const struct weir_http_response *response)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request->from);
    char number[24];
    if (response->status != WEIR_STATUS_NO_CONTENT) {
        evhttp_add_header(headers, "Content-Type", response->content_type);
        snprintf(number, sizeof number, "%zu", response->size);
        if (!request->connection->streaming)
            evhttp_add_header(headers, "Content-Length", number);
    }
    if (response->gzip)
        evhttp_add_header(headers, "Content-Encoding", "gzip");
    /* of every answer, since it would be another for another client */
    bool cors = request->connection->http->options.cors_count > 0;
    evhttp_add_header(headers, "Vary", cors ? "Accept-Encoding, Origin" : "Accept-Encoding");
    if (request->cors != NULL)
        add_cors_headers(headers, request->cors);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Content-Security-Policy",
        response->security_policy != NULL ? response->security_policy : SECURITY_POLICY);
    if (response->allow != NULL)
        evhttp_add_header(headers, "Allow", response->allow);
    if (response->retry_after_s > 0) {
        snprintf(number, sizeof number, "%d", response->retry_after_s);
        evhttp_add_header(headers, "Retry-After", number);
    }
    if (request->last)
        evhttp_add_header(headers, "Connection", "close");
}

/* Puts the body, or a piece of it, into out, without a copy. False, and it is gone, where memory is
 * short. */
static bool
add_body(struct weir_http_connection *connection, struct evbuffer *out, char *data, size_t size)
{
    struct weir_http_held *held = weir_http_hold(connection, size);
    if (held == NULL) {
        free(data);
        return false;
    }
    if (evbuffer_add_reference(out, data, size, free_answer, held) == 0)
        return true;
    free_answer(data, size, held);
    return false;
}

/* Of statuses whose phrase libevent does not know; NULL: it does. */
static const char *
phrase_of(int status)
{
    switch (status) {
    case WEIR_STATUS_MISDIRECTED:
        return "Misdirected Request";
    case WEIR_STATUS_LIMIT:
        return "Unprocessable Content";
    default:
        return NULL;
    }
}

/* A body for which there is no memory leaves 503 without one. */
static void
send_answer(struct weir_http_request *request, const struct weir_http_response *response)
{
    static const struct weir_http_response bare = {.status = WEIR_STATUS_UNAVAILABLE,
        .content_type = "application/json", .retry_after_s = 1};
    struct weir_http_connection *connection = request->connection;
    struct evhttp_request *from = request->from;
    bool open = evhttp_request_get_connection(from) != NULL;
    if (response->size == 0 || request->head.method == WEIR_HTTP_HEAD)
        free(response->data);
    else if (add_body(connection, evhttp_request_get_output_buffer(from), response->data,
                 response->size))
        connection->answer_size = response->size;
    else
        response = &bare;
    connection->http->stats.gone += !open;
    connection->http->stats.responses[response->status / 100 % 6] += open;
    add_headers(request, response);
    enter(connection, WRITING);
    connection->since_ns = 0;
    forget_request(connection);
    evhttp_request_set_on_complete_cb(from, on_complete, connection);
    /* frees the request where it is not open */
    evhttp_send_reply(from, response->status, phrase_of(response->status), NULL);
    /* evhttp would read on, and drop the answer of a client that has shut its sending side */
    if (open)
        bufferevent_disable(connection->socket, EV_READ);
}

static void
refuse(struct weir_http_request *request, int status, const char *reason)
{
    struct weir_text text;
    weir_text_init(&text, ERROR_SIZE_MAX);
    weir_error_write(&text, false, status, reason, NULL, 0);
    send_answer(request, &(struct weir_http_response){.status = status,
        .content_type = "application/json", .data = text.data, .size = text.size,
        .retry_after_s = status == WEIR_STATUS_UNAVAILABLE ? 1 : 0});
}

/* The client has read a piece. */
static void
on_read(struct evhttp_connection *from, void *context)
{
    struct weir_http_connection *connection = context;
    const struct weir_http_events *events = &connection->http->options.events;
    (void)from;
    if (connection->streaming)
        events->more(events->context, &connection->request);
}

/* A buffer with a piece; NULL, and the piece is gone, where memory is short. */
static struct evbuffer *
piece_new(struct weir_http_connection *connection, char *data, size_t size)
{
    struct evbuffer *piece = evbuffer_new();
    if (piece == NULL) {
        free(data);
        return NULL;
    }
    if (add_body(connection, piece, data, size))
        return piece;
    evbuffer_free(piece);
    return NULL;
}

/* Sends a piece, and frees it. */
static void
send_piece(struct weir_http_connection *connection, struct evbuffer *piece)
{
    struct evhttp_request *from = connection->request.from;
    connection->answer_size += evbuffer_get_length(piece);
    evhttp_send_reply_chunk_with_cb(from, piece, on_read, connection);
    evbuffer_free(piece);
    if (evhttp_request_get_connection(from) != NULL)
        bufferevent_disable(connection->socket, EV_READ); /* as in send_answer */
}

/* The first piece of an answer that goes on, whose memory is counted from now on. NULL, and the
 * piece is gone, where memory is short. */
static struct evbuffer *
hold_stream(struct weir_http_connection *connection, const struct weir_http_response *response,
    size_t held)
{
    struct evbuffer *piece = piece_new(connection, response->data, response->size);
    if (piece == NULL)
        return NULL;
    connection->stream_held = weir_http_hold(connection, held);
    connection->stream_held_size = held;
    if (connection->stream_held != NULL)
        return piece;
    evbuffer_free(piece);
    return NULL;
}

/* There is no room for an answer, or (`room`) no memory. */
static void
refuse_answer(struct weir_http_request *request, bool room)
{
    request->connection->http->stats.answers_refused++;
    refuse(request, WEIR_STATUS_UNAVAILABLE,
        room ? "not enough memory for this answer"
             : "too many answers wait for slow readers, or too many of this client's: ask for "
               "less, or come back; the limit is http.answers_max");
}

bool
weir_http_begin(
    struct weir_http_request *request, const struct weir_http_response *response, size_t held)
{
    struct weir_http_connection *connection = request->connection;
    WEIR_ASSERT(connection->state == HANDLING);
    bool room = weir_http_make_room(connection, response->size + held);
    struct evbuffer *piece = room ? hold_stream(connection, response, held) : NULL;
    if (!room)
        free(response->data);
    if (piece == NULL) {
        refuse_answer(request, room);
        return false;
    }
    connection->streaming = true;
    connection->answer_size = 0;
    connection->http->stats.responses[response->status / 100 % 6]++;
    add_headers(request, response);
    enter(connection, WRITING);
    connection->since_ns = 0;
    evhttp_send_reply_start(request->from, response->status, phrase_of(response->status));
    send_piece(connection, piece);
    return true;
}

/* The request goes on no more, whoever ends it. */
static void
stop_streaming(struct weir_http_connection *connection)
{
    weir_http_unhold(connection->stream_held, connection->stream_held_size);
    connection->stream_held = NULL;
    connection->streaming = false;
}

void
weir_http_end_stream(struct weir_http_connection *connection)
{
    struct weir_http *http = connection->http;
    stop_streaming(connection);
    http->stats.gone++;
    http->options.events.gone(http->options.events.context, &connection->request);
    forget_request(connection);
}

void
weir_http_break(struct weir_http_request *request)
{
    struct weir_http_connection *connection = request->connection;
    struct evhttp_connection *open = evhttp_request_get_connection(request->from);
    struct evhttp_request *from = request->from;
    stop_streaming(connection);
    forget_request(connection);
    connection->open = NULL;
    if (open != NULL)
        evhttp_connection_free(open); /* and its request */
    else
        evhttp_request_free(from);
}

bool
weir_http_continue(struct weir_http_request *request, char *data, size_t size, bool last)
{
    struct weir_http_connection *connection = request->connection;
    struct evhttp_request *from = request->from;
    bool open = evhttp_request_get_connection(from) != NULL;
    struct evbuffer *piece = size > 0 ? piece_new(connection, data, size) : NULL;
    WEIR_ASSERT(connection->streaming && (size > 0 || last));
    if (size > 0 && piece == NULL) {
        weir_http_break(request);
        return false;
    }
    if (size == 0)
        free(data);
    else
        send_piece(connection, piece);
    if (!last)
        return true;
    stop_streaming(connection);
    forget_request(connection);
    evhttp_request_set_on_complete_cb(from, on_complete, connection);
    evhttp_send_reply_end(from); /* frees the request where it is not open */
    if (open)
        bufferevent_disable(connection->socket, EV_READ);
    return true;
}

void
weir_http_respond(struct weir_http_request *request, const struct weir_http_response *response)
{
    struct weir_http_connection *connection = request->connection;
    const struct weir_http *http = connection->http;
    WEIR_ASSERT(connection->state == HANDLING);
    bool body = response->size > 0 && request->head.method != WEIR_HTTP_HEAD;
    if (!body || response->size <= WEIR_HTTP_SMALL || http->options.events.vital(&request->head) ||
        weir_http_make_room(connection, response->size)) {
        send_answer(request, response);
        return;
    }
    free(response->data);
    refuse_answer(request, false);
}

/* Nobody waits any more for the answer to the request under way. */
static void
abandon(struct weir_http_connection *connection)
{
    struct weir_http *http = connection->http;
    struct evhttp_request *from = connection->request.from;
    struct evhttp_connection *open = evhttp_request_get_connection(from);
    if (connection->streaming)
        stop_streaming(connection);
    http->stats.gone++;
    http->options.events.gone(http->options.events.context, &connection->request);
    forget_request(connection);
    enter(connection, WRITING);
    connection->open = NULL;
    if (open != NULL)
        evhttp_connection_free(open); /* and its request */
    else
        evhttp_request_free(from);
}

static enum weir_http_method
method_of(struct evhttp_request *from)
{
    switch (evhttp_request_get_command(from)) {
    case EVHTTP_REQ_GET:
        return WEIR_HTTP_GET;
    case EVHTTP_REQ_HEAD:
        return WEIR_HTTP_HEAD;
    case EVHTTP_REQ_POST:
        return WEIR_HTTP_POST;
    case EVHTTP_REQ_DELETE:
        return WEIR_HTTP_DELETE;
    case EVHTTP_REQ_OPTIONS:
        return WEIR_HTTP_OPTIONS;
    default:
        return WEIR_HTTP_OTHER;
    }
}

static struct weir_http_slice
slice_of(const char *text)
{
    return (struct weir_http_slice){text != NULL ? text : "", text != NULL ? strlen(text) : 0};
}

static bool
wants_gzip(struct evhttp_request *from)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(from);
    const struct evkeyval *header;
    struct weir_codings codings;
    weir_codings_init(&codings);
    for (header = headers->tqh_first; header != NULL; header = header->next.tqe_next)
        if (strcasecmp(header->key, "Accept-Encoding") == 0)
            weir_codings_add(&codings, header->value);
    return weir_codings_want_gzip(&codings);
}

static void
read_head(struct evhttp_request *from, struct weir_http_head *head)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(from);
    const char *type =
        evhttp_find_header(evhttp_request_get_input_headers(from), "Content-Type");
    head->method = method_of(from);
    head->path = slice_of(evhttp_uri_get_path(uri));
    head->query = slice_of(evhttp_uri_get_query(uri));
    head->content_type = slice_of(type);
    head->content_type.size = strcspn(head->content_type.at, "; \t");
    head->minor_version = from->minor;
    head->gzip = wants_gzip(from);
}

static struct weir_http_connection *
connection_of(const struct weir_http *http, struct evhttp_request *from)
{
    const struct bufferevent *socket =
        evhttp_connection_get_bufferevent(evhttp_request_get_connection(from));
    struct weir_http_connection *connection = http->connections;
    while (connection != NULL && connection->socket != socket)
        connection = connection->next;
    return connection;
}

/* A whole request, of evhttp's. */
static void
on_request(struct evhttp_request *from, void *context)
{
    struct weir_http *http = context;
    struct weir_http_connection *connection = connection_of(http, from);
    const char *reason;
    if (connection == NULL) { /* there was no memory to record it */
        evhttp_send_error(from, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    struct weir_http_request *request = &connection->request;
    WEIR_ASSERT(connection->state == READING && request->from == NULL);
    request->from = from;
    enter(connection, HANDLING);
    connection->begun_ns = 0;
    connection->open = evhttp_request_get_connection(from);
    weir_http_identify(connection);
    read_head(from, &request->head);
    request->cors = find_origin(&http->options, from);
    /* evhttp answers in the version it has read: one that is none, or later, is answered in 1.1 */
    from->major = 1;
    if (!connection->line_good || from->minor > 1)
        from->minor = 1;
    int status = weir_http_check_request(request, &reason);
    if (status != 0) {
        request->last = true; /* where the next request begins is in doubt */
        refuse(request, status, reason);
        return;
    }
    request->last |= weir_http_refused(connection);
    if (request->cors != NULL && request->head.method == WEIR_HTTP_OPTIONS)
        send_answer(request, &(struct weir_http_response){.status = WEIR_STATUS_NO_CONTENT,
            .content_type = "text/plain"}); /* a browser asks before it asks */
    else if (weir_http_refused(connection) && !http->options.events.vital(&request->head))
        refuse(request, WEIR_STATUS_UNAVAILABLE, "too many connections");
    else
        http->options.events.handle(http->options.events.context, request);
}

static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *change, void *context)
{
    struct weir_http_connection *connection = context;
    (void)input;
    if (connection->state != READING || change->n_added == 0)
        return;
    if (connection->begun_ns == 0)
        connection->begun_ns = weir_mono_ns();
    weir_http_identify(connection);
    weir_http_look_at_line(connection);
}

/* Has evhttp let go of the connection? It frees the bufferevent then, which clears the callbacks
 * at once and all else with our reference. */
bool
weir_http_has_ended(const struct weir_http_connection *connection)
{
    bufferevent_event_cb on_event;
    bufferevent_getcb(connection->socket, NULL, NULL, &on_event, NULL);
    return on_event == NULL;
}

void
weir_http_drop_output(struct weir_http_connection *connection)
{
    struct evbuffer *output = bufferevent_get_output(connection->socket);
    evbuffer_unfreeze(output, 1); /* the bufferevent alone takes from it otherwise */
    evbuffer_drain(output, evbuffer_get_length(output));
}

/* POLLRDHUP where the client has shut its side, POLLERR or POLLHUP where the connection broke.
 * RULE: poll and not an event with EV_CLOSED: libevent 2.1 does not report a reset as EV_CLOSED,
 * and would spin on it. */
static short
client_state(const struct weir_http_connection *connection)
{
    struct pollfd look = {.fd = bufferevent_getfd(connection->socket), .events = POLLRDHUP};
    return look.fd >= 0 && poll(&look, 1, 0) > 0 ? look.revents : 0;
}

/* Is the client of the request under way gone? */
static bool
client_gone(struct weir_http_connection *connection, int64_t now_ns)
{
    short state = client_state(connection);
    if ((state & (POLLERR | POLLHUP)) != 0)
        return true;
    if (state == 0)
        return false;
    const struct weir_http_events *events = &connection->http->options.events;
    if (events->hasty != NULL && events->hasty(&connection->request.head))
        return true;
    if (connection->since_ns == 0)
        connection->since_ns = now_ns;
    return now_ns - connection->since_ns >= WEIR_HTTP_HALF_CLOSED_MS * WEIR_HTTP_NS_PER_MS;
}

static bool
linger(struct weir_http_connection *connection, int64_t now_ns)
{
    struct evbuffer *input = bufferevent_get_input(connection->socket);
    if (connection->state != ENDED)
        connection->since_ns = now_ns;
    connection->state = ENDED;
    evbuffer_drain(input, evbuffer_get_length(input));
    weir_http_drop_output(connection);
    return !connection->leaving && client_state(connection) == 0 &&
        bufferevent_getfd(connection->socket) >= 0 &&
        now_ns - connection->since_ns < WEIR_HTTP_LINGER_MS * WEIR_HTTP_NS_PER_MS;
}

/* Looks after one connection. False where its record can go. */
static bool
tend(struct weir_http_connection *connection, int64_t now_ns)
{
    if (connection->state == HANDLING &&
        (weir_http_has_ended(connection) || client_gone(connection, now_ns)))
        abandon(connection);
    /* one that reads may have shut its sending side */
    if (connection->streaming && (weir_http_has_ended(connection) ||
            (client_state(connection) & (POLLERR | POLLHUP)) != 0))
        abandon(connection);
    if (weir_http_has_ended(connection))
        return linger(connection, now_ns);
    if (weir_http_too_slow(connection, now_ns)) {
        weir_http_cut(connection);
        return false;
    }
    bool refused = weir_http_refused(connection);
    int64_t limit_ns = refused ? WEIR_HTTP_REFUSAL_MS * WEIR_HTTP_NS_PER_MS
                               : WEIR_HTTP_REQUEST_S * 1000 * WEIR_HTTP_NS_PER_MS;
    if (connection->state == READING && connection->begun_ns != 0 &&
        now_ns - connection->begun_ns >= limit_ns)
        /* evhttp meets the end of the connection and closes it */
        shutdown(bufferevent_getfd(connection->socket), SHUT_RDWR);
    return true;
}

static void
release(struct weir_http_connection *connection)
{
    struct weir_http *http = connection->http;
    http->reserves -= connection->reserve;
    http->leaving -= connection->leaving;
    http->stats.connections--;
    weir_http_forget_owner(connection);
    weir_http_drop_output(connection); /* now: libevent frees the buffer later */
    evbuffer_remove_cb(bufferevent_get_input(connection->socket), on_input, connection);
    bufferevent_decref(connection->socket);
    free(connection);
}

static void
tend_all(struct weir_http *http)
{
    int64_t now_ns = weir_mono_ns();
    struct weir_http_connection **link = &http->connections;
    while (*link != NULL) {
        struct weir_http_connection *connection = *link;
        if (tend(connection, now_ns)) {
            link = &connection->next;
        } else {
            *link = connection->next;
            release(connection);
        }
    }
}

static void
on_tick(evutil_socket_t fd, short what, void *context)
{
    struct weir_http *http = context;
    (void)fd;
    (void)what;
    tend_all(http);
    /* it was paused at a bound, or where descriptors ran out */
    if (http->reserves < http->reserves_max)
        evconnlistener_enable(http->listener);
}

/* Connections that take a place. */
static uint64_t
places(const struct weir_http *http)
{
    return http->stats.connections - http->reserves - http->leaving;
}

/* A connection was accepted: makes the bufferevent that evhttp serves it with. NULL if memory is
 * short: evhttp then makes one, and on_request refuses its requests. */
static struct bufferevent *
on_accept(struct event_base *base, void *context)
{
    struct weir_http *http = context;
    http->stats.connections_total++;
    if (places(http) >= http->connections_max)
        tend_all(http);
    struct weir_http_connection *connection = calloc(1, sizeof *connection);
    struct bufferevent *socket = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (connection == NULL || socket == NULL) {
        free(connection);
        if (socket != NULL)
            bufferevent_free(socket);
        return NULL;
    }
    bool reserve = places(http) >= http->connections_max && !weir_http_make_place(http);
    *connection = (struct weir_http_connection){.http = http, .socket = socket,
        .reserve = reserve, .begun_ns = reserve ? weir_mono_ns() : 0, .next = http->connections};
    enter(connection, READING);
    forget_request(connection);
    http->connections = connection;
    http->stats.connections++;
    http->stats.connections_refused += reserve;
    http->reserves += reserve;
    if (http->reserves >= http->reserves_max)
        evconnlistener_disable(http->listener);
    bufferevent_incref(socket);
    bufferevent_setwatermark(socket, EV_READ, 0, WEIR_HTTP_HEAD_MAX + WEIR_HTTP_BODY_MAX);
    evbuffer_add_cb(bufferevent_get_input(socket), on_input, connection);
    return socket;
}

/* Out of descriptors: the backlog stays readable, so without a pause the loop would spin. */
static void
on_accept_error(struct evconnlistener *listener, void *context)
{
    (void)context;
    evconnlistener_disable(listener);
}

/* Hands the socket to evhttp, which owns it from then on. Closes it where that fails. */
static enum weir_err
listen_on(struct weir_http *http, struct event_base *base, int fd)
{
    struct evconnlistener *listener = evconnlistener_new(base, NULL, NULL,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd); /* 0: it listens already */
    if (listener == NULL) {
        close(fd);
        return weir_fail(WEIR_NOMEM, 0, "http listener");
    }
    evconnlistener_set_error_cb(listener, on_accept_error);
    if (evhttp_bind_listener(http->server, listener) == NULL) {
        evconnlistener_free(listener);
        return weir_fail(WEIR_NOMEM, 0, "http listener");
    }
    http->listener = listener;
    return WEIR_OK;
}

/* A connection without a descriptor would wait in the kernel, with nobody to answer it. So the
 * process accepts as many as have one, and answers that there are too many. */
static void
bound_connections(struct weir_http *http)
{
    enum { ALL = WEIR_HTTP_CONNECTIONS_MAX + WEIR_HTTP_REFUSALS_MAX };
    struct rlimit files;
    rlim_t room = ALL;
    http->connections_max = WEIR_HTTP_CONNECTIONS_MAX;
    http->reserves_max = WEIR_HTTP_REFUSALS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        room = files.rlim_cur > WEIR_HTTP_FILES ? files.rlim_cur - WEIR_HTTP_FILES : 0;
    if (room >= ALL)
        return;
    http->reserves_max = room > 7 ? (uint32_t)room / 4 : 1;
    http->connections_max = room > http->reserves_max ? (uint32_t)room - http->reserves_max : 1;
}

bool
weir_http_request_is_local(const struct weir_http_request *request)
{
    struct evhttp_connection *from = evhttp_request_get_connection(request->from);
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof address;
    struct weir_peer peer;
    if (from == NULL ||
        getpeername(bufferevent_getfd(evhttp_connection_get_bufferevent(from)),
            (struct sockaddr *)&address, &size) != 0)
        return false;
    weir_peer_of_socket((struct sockaddr *)&address, &peer);
    return weir_prefixes_hold(&weir_prefixes_loopback, &peer);
}

enum weir_err
weir_http_open(struct event_base *base, const struct weir_http_options *options,
    struct weir_http **out)
{
    const struct timeval interval = {.tv_usec = WEIR_HTTP_TICK_MS * 1000};
    struct weir_http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        close(options->listen_fd);
        return weir_fail(WEIR_NOMEM, 0, "http server");
    }
    http->options = *options;
    bound_connections(http);
    http->server = evhttp_new(base);
    http->tick = event_new(base, -1, EV_PERSIST, on_tick, http);
    enum weir_err err = weir_http_room_init(http);
    if (err == WEIR_OK && (http->server == NULL || http->tick == NULL ||
            event_add(http->tick, &interval) != 0))
        err = weir_fail(WEIR_NOMEM, 0, "http server");
    if (err == WEIR_OK)
        err = listen_on(http, base, options->listen_fd);
    else
        close(options->listen_fd);
    if (err != WEIR_OK) {
        weir_http_close(http);
        return err;
    }
    evhttp_set_max_headers_size(http->server, WEIR_HTTP_HEAD_MAX);
    evhttp_set_max_body_size(http->server, WEIR_HTTP_BODY_MAX);
    evhttp_set_timeout(http->server, WEIR_HTTP_IDLE_S);
    evhttp_set_allowed_methods(http->server, METHODS_ALL);
    evhttp_set_bevcb(http->server, on_accept, http);
    evhttp_set_gencb(http->server, on_request, http);
    *out = http;
    return WEIR_OK;
}

uint16_t
weir_http_port(const struct weir_http *http)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    getsockname(evconnlistener_get_fd(http->listener), (struct sockaddr *)&bound, &size);
    /* the port is at the same place in both */
    return ntohs(((struct sockaddr_in *)&bound)->sin_port);
}

void
weir_http_close(struct weir_http *http)
{
    for (struct weir_http_connection *connection = http->connections; connection != NULL;
         connection = connection->next)
        if (connection->state == HANDLING || connection->streaming)
            abandon(connection);
    if (http->server != NULL)
        evhttp_free(http->server);
    while (http->connections != NULL) {
        struct weir_http_connection *connection = http->connections;
        http->connections = connection->next;
        release(connection);
    }
    if (http->tick != NULL)
        event_free(http->tick);
    weir_http_room_fini(http);
    free(http);
}

const struct weir_http_head *
weir_http_request_head(const struct weir_http_request *request)
{
    return &request->head;
}

struct weir_http_slice
weir_http_request_body(const struct weir_http_request *request)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(request->from);
    size_t size = evbuffer_get_length(body);
    const char *at = size > 0 ? (const char *)evbuffer_pullup(body, -1) : NULL;
    return size > 0 ? (struct weir_http_slice){at, size} : slice_of(NULL);
}

void
weir_http_request_set_user(struct weir_http_request *request, void *user)
{
    request->user = user;
}

void *
weir_http_request_user(const struct weir_http_request *request)
{
    return request->user;
}

void
weir_http_read_stats(const struct weir_http *http, struct weir_http_stats *stats)
{
    *stats = http->stats;
    stats->answers_bytes = http->held;
}
