#include "controlplane/http.h"

#include "base/assert.h"
#include "controlplane/call.h"
#include "controlplane/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_AHEAD_MAX (WEIR_HTTP_HEAD_MAX + WEIR_HTTP_BODY_MAX)
#define DRAIN_S 2
#define ERROR_SIZE_MAX 4096

enum state { READING, HANDLING, WRITING, DRAINING };

struct connection;

struct weir_http_request {
    struct connection *connection;
    struct weir_http_head head;
    char *bytes; /* copy of head and body, NULL where there is no request */
    size_t head_size;
    void *user;
};

struct connection {
    struct weir_http *http;
    struct connection *next;
    struct connection **link; /* what points here */
    struct bufferevent *socket;
    struct event *timer;
    enum state state;
    bool begun;       /* bytes of the next request have come */
    bool half_closed; /* the client sends no more */
    bool last;        /* close after this answer */
    bool refused;     /* input is left unread: drain before closing */
    bool continued;   /* 100 Continue was sent for the request at hand */
    struct weir_http_request request;
};

struct weir_http {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *resume; /* listens again after running out of descriptors */
    struct weir_http_events events;
    struct connection *connections;
    struct weir_http_stats stats;
};

static void take_request(struct connection *connection);

static void
set_timer(struct connection *connection, int seconds, int milliseconds)
{
    struct timeval after = {seconds, milliseconds * 1000};
    event_add(connection->timer, &after);
}

static void
forget_request(struct connection *connection)
{
    free(connection->request.bytes);
    connection->request = (struct weir_http_request){.connection = connection};
}

static void
connection_free(struct connection *connection)
{
    struct weir_http *http = connection->http;
    if (connection->state == HANDLING) {
        http->stats.gone++;
        http->events.gone(http->events.context, &connection->request);
    }
    forget_request(connection);
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    http->stats.connections--;
    if (connection->timer != NULL)
        event_free(connection->timer);
    bufferevent_free(connection->socket);
    free(connection);
}

static const char *
reason_phrase(int status)
{
    switch (status) {
    case WEIR_STATUS_OK:
        return "OK";
    case WEIR_STATUS_BAD_REQUEST:
        return "Bad Request";
    case WEIR_STATUS_NOT_FOUND:
        return "Not Found";
    case WEIR_STATUS_METHOD:
        return "Method Not Allowed";
    case WEIR_STATUS_TIMEOUT:
        return "Request Timeout";
    case WEIR_STATUS_BODY_SIZE:
        return "Content Too Large";
    case WEIR_STATUS_URI_SIZE:
        return "URI Too Long";
    case WEIR_STATUS_MEDIA_TYPE:
        return "Unsupported Media Type";
    case WEIR_STATUS_EXPECTATION:
        return "Expectation Failed";
    case WEIR_STATUS_LIMIT:
        return "Unprocessable Content";
    case WEIR_STATUS_HEADER_SIZE:
        return "Request Header Fields Too Large";
    case WEIR_STATUS_NOT_IMPLEMENTED:
        return "Not Implemented";
    case WEIR_STATUS_UNAVAILABLE:
        return "Service Unavailable";
    case WEIR_STATUS_VERSION:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

static void
free_answer(const void *data, size_t size, void *context)
{
    (void)size;
    (void)context;
    free((void *)(uintptr_t)data);
}

static void
write_head(struct connection *connection, const struct weir_http_response *response)
{
    struct evbuffer *out = bufferevent_get_output(connection->socket);
    char date[64];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n"
        "Content-Length: %zu\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
        response->status, reason_phrase(response->status), date, response->content_type,
        response->size);
    if (response->allow != NULL)
        evbuffer_add_printf(out, "Allow: %s\r\n", response->allow);
    if (response->retry_after_s > 0)
        evbuffer_add_printf(out, "Retry-After: %d\r\n", response->retry_after_s);
    evbuffer_add_printf(out, "Connection: %s\r\n\r\n", connection->last ? "close" : "keep-alive");
}

void
weir_http_respond(struct weir_http_request *request, const struct weir_http_response *response)
{
    struct connection *connection = request->connection;
    struct evbuffer *out = bufferevent_get_output(connection->socket);
    WEIR_ASSERT(connection->state == HANDLING);
    connection->last |= !request->head.keep_alive || connection->half_closed;
    event_del(connection->timer);
    connection->state = WRITING;
    connection->http->stats.responses[response->status / 100 % 6]++;
    write_head(connection, response);
    bool body = response->size > 0 && request->head.method != WEIR_HTTP_HEAD;
    if (!body ||
        evbuffer_add_reference(out, response->data, response->size, free_answer, NULL) != 0)
        free(response->data);
    forget_request(connection);
}

/* Answers what is no request, and closes. */
static void
refuse(struct connection *connection, int status, const char *reason)
{
    struct weir_text text;
    weir_text_init(&text, ERROR_SIZE_MAX);
    weir_error_write(&text, false, status, reason, NULL, 0);
    forget_request(connection);
    connection->last = true;
    connection->refused = true;
    connection->state = HANDLING;
    weir_http_respond(&connection->request, &(struct weir_http_response){.status = status,
        .content_type = "application/json", .data = text.data, .size = text.size});
}

/* Takes the request whose head is the first head_size bytes, if its body is there too. */
static void
take_whole(struct connection *connection, size_t head_size)
{
    struct evbuffer *in = bufferevent_get_input(connection->socket);
    struct weir_http_request *request = &connection->request;
    const char *reason;
    const char *bytes = (const char *)evbuffer_pullup(in, (ev_ssize_t)head_size);
    if (bytes == NULL) {
        refuse(connection, WEIR_STATUS_UNAVAILABLE, "out of memory");
        return;
    }
    int status = weir_http_head_parse(bytes, head_size, &request->head, &reason);
    if (status != 0) {
        refuse(connection, status, reason);
        return;
    }
    size_t size = head_size + request->head.content_length;
    if (evbuffer_get_length(in) < size) {
        if (request->head.expects_continue && !connection->continued)
            evbuffer_add_printf(bufferevent_get_output(connection->socket),
                "HTTP/1.1 100 Continue\r\n\r\n");
        connection->continued |= request->head.expects_continue;
        return;
    }
    request->bytes = malloc(size);
    if (request->bytes == NULL || evbuffer_remove(in, request->bytes, size) != (int)size) {
        refuse(connection, WEIR_STATUS_UNAVAILABLE, "out of memory");
        return;
    }
    request->head_size = head_size;
    /* once more, so that the head points into the copy */
    status = weir_http_head_parse(request->bytes, head_size, &request->head, &reason);
    WEIR_ASSERT(status == 0);
    connection->begun = false;
    connection->continued = false;
    connection->state = HANDLING;
    event_del(connection->timer);
    connection->http->events.handle(connection->http->events.context, request);
}

/* Looks for a request in what was received. */
static void
take_request(struct connection *connection)
{
    struct evbuffer *in = bufferevent_get_input(connection->socket);
    size_t size = evbuffer_get_length(in);
    if (size == 0)
        return;
    if (!connection->begun)
        set_timer(connection, WEIR_HTTP_REQUEST_S, 0);
    connection->begun = true;
    size_t looked = size < WEIR_HTTP_HEAD_MAX ? size : WEIR_HTTP_HEAD_MAX;
    const char *bytes = (const char *)evbuffer_pullup(in, (ev_ssize_t)looked);
    if (bytes == NULL) {
        refuse(connection, WEIR_STATUS_UNAVAILABLE, "out of memory");
        return;
    }
    size_t head_size = weir_http_head_size(bytes, looked);
    if (head_size > 0) {
        take_whole(connection, head_size);
    } else if (looked == WEIR_HTTP_HEAD_MAX) {
        bool line = memchr(bytes, '\n', looked) != NULL;
        refuse(connection, line ? WEIR_STATUS_HEADER_SIZE : WEIR_STATUS_URI_SIZE,
            line ? "the headers are larger than 16384 bytes" : "the URI is longer than 8192 bytes");
    }
}

static void
on_readable(struct bufferevent *socket, void *context)
{
    struct connection *connection = context;
    if (connection->state == READING)
        take_request(connection);
    else if (connection->state == DRAINING)
        evbuffer_drain(bufferevent_get_input(socket), SIZE_MAX);
}

/* The whole answer is with the kernel. */
static void
on_drained(struct bufferevent *socket, void *context)
{
    struct connection *connection = context;
    if (connection->state != WRITING)
        return;
    if (!connection->last) {
        connection->state = READING;
        set_timer(connection, WEIR_HTTP_IDLE_S, 0);
        take_request(connection);
        /* what half a request waits for will not come any more */
        if (connection->state == READING && connection->half_closed)
            connection_free(connection);
        return;
    }
    if (!connection->refused || connection->half_closed) {
        connection_free(connection);
        return;
    }
    connection->state = DRAINING;
    shutdown(bufferevent_getfd(socket), SHUT_WR);
    evbuffer_drain(bufferevent_get_input(socket), SIZE_MAX);
    set_timer(connection, DRAIN_S, 0);
}

static void
on_event(struct bufferevent *socket, short what, void *context)
{
    struct connection *connection = context;
    (void)socket;
    bool only_end = (what & BEV_EVENT_EOF) != 0 && (what & BEV_EVENT_ERROR) == 0;
    connection->half_closed = true;
    if (only_end && connection->state == WRITING)
        return; /* on_drained closes */
    if (only_end && connection->state == HANDLING) {
        set_timer(connection, 0, WEIR_HTTP_HALF_CLOSED_MS);
        return;
    }
    connection_free(connection);
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
    struct connection *connection = context;
    (void)fd;
    (void)what;
    if (connection->state == READING && connection->begun)
        refuse(connection, WEIR_STATUS_TIMEOUT, "the request did not arrive within 10 seconds");
    else
        connection_free(connection);
}

/* Takes over fd. NULL where memory is short; fd is closed then. */
static struct connection *
connection_new(struct weir_http *http, evutil_socket_t fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    struct bufferevent *socket = bufferevent_socket_new(http->base, fd, BEV_OPT_CLOSE_ON_FREE);
    struct event *timer = evtimer_new(http->base, on_timer, connection);
    if (connection == NULL || socket == NULL || timer == NULL) {
        if (timer != NULL)
            event_free(timer);
        if (socket != NULL)
            bufferevent_free(socket);
        else
            close(fd);
        free(connection);
        return NULL;
    }
    *connection = (struct connection){.http = http, .socket = socket, .timer = timer};
    connection->request.connection = connection;
    connection->next = http->connections;
    connection->link = &http->connections;
    if (connection->next != NULL)
        connection->next->link = &connection->next;
    http->connections = connection;
    http->stats.connections++;
    return connection;
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
    void *context)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\n"
        "Content-Type: application/json\r\nContent-Length: 32\r\nRetry-After: 1\r\n"
        "Connection: close\r\n\r\n{\"error\":\"too many connections\"}";
    struct weir_http *http = context;
    struct timeval write_limit = {WEIR_HTTP_WRITE_S, 0};
    int on = 1;
    (void)listener;
    (void)address;
    (void)size;
    http->stats.connections_total++;
    if (http->stats.connections == WEIR_HTTP_CONNECTIONS_MAX) {
        http->stats.connections_refused++;
        ssize_t sent = send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sent;
        close(fd);
        return;
    }
    struct connection *connection = connection_new(http, fd);
    if (connection == NULL) {
        http->stats.connections_refused++;
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bufferevent_set_timeouts(connection->socket, NULL, &write_limit);
    bufferevent_setwatermark(connection->socket, EV_READ, 0, READ_AHEAD_MAX);
    bufferevent_setcb(connection->socket, on_readable, on_drained, on_event, connection);
    bufferevent_enable(connection->socket, EV_READ | EV_WRITE);
    set_timer(connection, WEIR_HTTP_IDLE_S, 0);
}

/* Out of descriptors: the backlog stays readable, so without a pause the loop would spin. */
static void
on_accept_error(struct evconnlistener *listener, void *context)
{
    struct weir_http *http = context;
    struct timeval pause = {0, 100000};
    evconnlistener_disable(listener);
    event_add(http->resume, &pause);
}

static void
on_resume(evutil_socket_t fd, short what, void *context)
{
    struct weir_http *http = context;
    (void)fd;
    (void)what;
    evconnlistener_enable(http->listener);
}

/* Fills a socket address from numeric text. */
static bool
read_address(const char *text, uint16_t port, struct sockaddr_storage *address, int *size)
{
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        *size = sizeof *four;
        return true;
    }
    if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        *size = sizeof *six;
        return true;
    }
    return false;
}

enum weir_err
weir_http_open(struct event_base *base, const char *address, uint16_t port,
    const struct weir_http_events *events, struct weir_http **out)
{
    struct sockaddr_storage to;
    int size;
    if (!read_address(address, port, &to, &size))
        return weir_fail(WEIR_INVALID, 0, "http address %s is not numeric", address);
    struct weir_http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return weir_fail(WEIR_NOMEM, 0, "http server");
    http->base = base;
    http->events = *events;
    http->resume = evtimer_new(base, on_resume, http);
    errno = 0;
    http->listener = evconnlistener_new_bind(base, on_accept, http,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 128,
        (struct sockaddr *)&to, size);
    if (http->listener == NULL || http->resume == NULL) {
        enum weir_err err = weir_fail(errno == EADDRINUSE ? WEIR_BUSY : WEIR_IO, errno,
            "http: listen on %s port %u", address, port);
        weir_http_close(http);
        return err;
    }
    evconnlistener_set_error_cb(http->listener, on_accept_error);
    *out = http;
    return WEIR_OK;
}

uint16_t
weir_http_port(const struct weir_http *http)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    getsockname(evconnlistener_get_fd(http->listener), (struct sockaddr *)&bound, &size);
    /* the port lies at the same place in both */
    return ntohs(((struct sockaddr_in *)&bound)->sin_port);
}

void
weir_http_close(struct weir_http *http)
{
    while (http->connections != NULL)
        connection_free(http->connections);
    if (http->listener != NULL)
        evconnlistener_free(http->listener);
    if (http->resume != NULL)
        event_free(http->resume);
    free(http);
}

const struct weir_http_head *
weir_http_request_head(const struct weir_http_request *request)
{
    return &request->head;
}

struct weir_http_span
weir_http_request_body(const struct weir_http_request *request)
{
    return (struct weir_http_span){request->bytes + request->head_size,
        request->head.content_length};
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
}
