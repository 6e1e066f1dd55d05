#include "app/cli/net.h"

#include "base/clock.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HTTP_PORT 9880 /* where an address has none */

/* The port after a colon. */
static bool
read_port(const char *text, uint16_t *port)
{
    size_t digits = strspn(text, "0123456789");
    long number = digits > 0 && digits <= 5 && text[digits] == '\0' ? atol(text) : 0;
    *port = (uint16_t)number;
    return number >= 1 && number <= 65535;
}

enum weir_err
weir_net_address(const char *text, uint16_t port_default, char host[WEIR_NET_HOST_MAX],
    uint16_t *port)
{
    bool v6 = text[0] == '[';
    const char *end = v6 ? strchr(text, ']') : strchrnul(text, ':');
    const char *colon = end != NULL && v6 ? end + 1 : end;
    const char *first = text + v6;
    if (end == NULL || end == first || end - first >= WEIR_NET_HOST_MAX ||
        (*colon != ':' && *colon != '\0'))
        return weir_fail(WEIR_INVALID, 0, "'%s' is no address like 127.0.0.1:9880, [::1]:9880 or "
            "localhost:9880", text);
    *port = port_default;
    if (*colon == ':' ? !read_port(colon + 1, port) : port_default == 0)
        return weir_fail(WEIR_INVALID, 0, "'%s' has no port from 1 to 65535", text);
    memcpy(host, first, (size_t)(end - first));
    host[end - first] = '\0';
    return WEIR_OK;
}

/* Addresses of a host, numeric or a name. *out is the caller's to free. */
static enum weir_err
look_up(const char *host, uint16_t port, bool tcp, struct addrinfo **out)
{
    char service[8];
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
        .ai_socktype = tcp ? SOCK_STREAM : SOCK_DGRAM,
        .ai_flags = AI_NUMERICSERV};
    snprintf(service, sizeof service, "%u", port);
    int failed = getaddrinfo(host, service, &hints, out);
    if (failed == EAI_MEMORY)
        return weir_fail(WEIR_NOMEM, 0, "address of '%s'", host);
    return failed == 0 ? WEIR_OK : weir_fail(failed == EAI_NONAME ? WEIR_INVALID : WEIR_IO, 0,
        "'%s' is no address, and no name that is known here: %s", host, gai_strerror(failed));
}

enum weir_err
weir_net_resolve(const char *text, char host[WEIR_NET_HOST_MAX], uint16_t *port)
{
    struct addrinfo *found;
    enum weir_err err = weir_net_address(text, 0, host, port);
    if (err == WEIR_OK)
        err = look_up(host, *port, true, &found);
    if (err != WEIR_OK)
        return err;
    const struct addrinfo *chosen = found;
    while (chosen != NULL && chosen->ai_family != AF_INET)
        chosen = chosen->ai_next;
    chosen = chosen != NULL ? chosen : found;
    int failed = getnameinfo(chosen->ai_addr, chosen->ai_addrlen, host, WEIR_NET_HOST_MAX, NULL, 0,
        NI_NUMERICHOST);
    freeaddrinfo(found);
    if (failed == EAI_MEMORY)
        return weir_fail(WEIR_NOMEM, 0, "address of '%s'", host);
    return failed == 0 ? WEIR_OK : weir_fail(WEIR_IO, 0, "%s: %s", text, gai_strerror(failed));
}

static enum weir_err
connect_one(const struct addrinfo *to, const char *address, int timeout_ms, int *fd)
{
    int made = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC, 0);
    if (made < 0)
        return weir_fail(WEIR_IO, errno, "socket");
    struct timeval wait = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (connect(made, to->ai_addr, to->ai_addrlen) != 0) {
        enum weir_err err = errno == EINPROGRESS
            ? weir_fail(WEIR_IO, 0, "connect to %s: no answer in %g s", address, timeout_ms / 1e3)
            : weir_fail(WEIR_IO, errno, "connect to %s", address);
        close(made);
        return err;
    }
    *fd = made;
    return WEIR_OK;
}

static enum weir_err
connect_to(const char *host, uint16_t port, bool tcp, int timeout_ms, int *fd)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct addrinfo *found;
    char address[WEIR_NET_HOST_MAX + 16];
    snprintf(address, sizeof address, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
    enum weir_err err = look_up(host, port, tcp, &found);
    if (err != WEIR_OK)
        return err;
    bool connected = false;
    for (size_t i = 0; i < 2; i++)
        for (const struct addrinfo *to = found; to != NULL && !connected; to = to->ai_next)
            if (to->ai_family == families[i])
                connected = (err = connect_one(to, address, timeout_ms, fd)) == WEIR_OK;
    freeaddrinfo(found);
    return err;
}

enum weir_err
weir_net_connect(const char *address, bool tcp, int timeout_ms, int *fd)
{
    char host[WEIR_NET_HOST_MAX];
    uint16_t port = 0;
    enum weir_err err = weir_net_address(address, 0, host, &port);
    return err == WEIR_OK ? connect_to(host, port, tcp, timeout_ms, fd) : err;
}

int
weir_net_left_ms(int64_t until_ns)
{
    int64_t left_ns = until_ns - weir_mono_ns();
    return left_ns <= 0 ? 0 : (int)((left_ns + 999999) / 1000000);
}

enum weir_err
weir_net_send(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            return weir_fail(WEIR_IO, 0, "send: the other side takes nothing any more");
        if (sent < 0)
            return weir_fail(WEIR_IO, errno, "send");
        at += sent;
        size -= (size_t)sent;
    }
    return WEIR_OK;
}

/* A request under way, and the connection on which the answer comes. */
struct question {
    char host[WEIR_NET_HOST_MAX];
    uint16_t port;
    const char *http;
    const char *target;
    const char *method;
    int limit_ms;
    int64_t until_ns;
    int fd;
};

/* Takes ADDR:PORT or http://ADDR[:PORT][/] apart. */
static enum weir_err
read_http(const char *http, struct question *question)
{
    static const char scheme[] = "http://";
    bool url = strncasecmp(http, scheme, sizeof scheme - 1) == 0;
    if (!url && strstr(http, "://") != NULL)
        return weir_fail(WEIR_INVALID, 0, "'%s': Weir speaks http:// alone", http);
    char text[WEIR_NET_HOST_MAX + 16];
    const char *first = http + (url ? sizeof scheme - 1 : 0);
    size_t size = strcspn(first, "/?#");
    if (first[size] != '\0' && strcmp(first + size, "/") != 0)
        return weir_fail(WEIR_INVALID, 0, "'%s': an address or a URL without a path is wanted, "
            "like http://127.0.0.1:9880", http);
    if (size >= sizeof text)
        return weir_fail(WEIR_INVALID, 0, "'%s' is too long", http);
    memcpy(text, first, size);
    text[size] = '\0';
    return weir_net_address(text, url ? 80 : HTTP_PORT, question->host, &question->port);
}

static enum weir_err
ask(struct question *question)
{
    char *request;
    enum weir_err err =
        connect_to(question->host, question->port, true, WEIR_NET_SILENCE_MS, &question->fd);
    if (err != WEIR_OK)
        return err;
    bool v6 = strchr(question->host, ':') != NULL;
    int size = asprintf(&request,
        "%s %s HTTP/1.0\r\nHost: %s%s%s:%u\r\nUser-Agent: weir\r\nAccept: */*\r\n\r\n",
        question->method, question->target, v6 ? "[" : "", question->host, v6 ? "]" : "",
        question->port);
    if (size < 0) {
        err = weir_fail(WEIR_NOMEM, 0, "request");
    } else {
        err = weir_net_send(question->fd, request, (size_t)size);
        free(request);
    }
    if (err != WEIR_OK)
        close(question->fd);
    return err;
}

/* The other side is silent. WEIR_OK where it says on another connection that it lives. */
static enum weir_err
check_life(const struct question *question)
{
    char byte;
    struct question life = *question;
    life.target = "/healthz";
    life.method = "GET";
    enum weir_err err = ask(&life);
    if (err != WEIR_OK)
        return err;
    ssize_t got = recv(life.fd, &byte, 1, 0);
    close(life.fd);
    if (got > 0)
        return WEIR_OK;
    return weir_fail(WEIR_IO, 0, "%s accepts connections, but has not answered in %g s: is that "
        "Weir's HTTP address?", question->http, 2 * WEIR_NET_SILENCE_MS / 1e3);
}

/* Bytes of the answer, 0 at its end. */
static enum weir_err
receive_some(const struct question *question, char *data, size_t room, size_t *got)
{
    for (;;) {
        int left_ms = weir_net_left_ms(question->until_ns);
        if (left_ms == 0)
            return weir_fail(WEIR_IO, 0, "%s has not finished its answer in %g s",
                question->http, question->limit_ms / 1e3);
        struct pollfd wait = {.fd = question->fd, .events = POLLIN};
        int ready = poll(&wait, 1, left_ms < WEIR_NET_SILENCE_MS ? left_ms : WEIR_NET_SILENCE_MS);
        if (ready == 0 && left_ms > WEIR_NET_SILENCE_MS) {
            enum weir_err err = check_life(question);
            if (err != WEIR_OK)
                return err;
        }
        if (ready <= 0)
            continue;
        ssize_t size = recv(question->fd, data, room, MSG_DONTWAIT);
        if (size < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (size < 0)
            return weir_fail(WEIR_IO, errno, "receive from %s", question->http);
        *got = (size_t)size;
        return WEIR_OK;
    }
}

static const char http_begin[] = "HTTP/1.";

/* True where these first bytes cannot begin an answer of HTTP. */
static bool
is_strange(const char *data, size_t size)
{
    size_t known = sizeof http_begin - 1 < size ? sizeof http_begin - 1 : size;
    return memcmp(data, http_begin, known) != 0;
}

static enum weir_err
fail_strange(const struct question *question, const char *data, size_t size)
{
    size_t line = 0;
    while (line < size && line < 120 && data[line] != '\n' && data[line] != '\r' &&
           data[line] != '\0')
        line++;
    return weir_fail(WEIR_IO, 0, "%s does not speak HTTP; it says '%.*s'", question->http,
        (int)line, data);
}

/* Reads to the end of the stream. *out is the caller's to free. */
static enum weir_err
receive_all(const struct question *question, char **out, size_t *size)
{
    size_t capacity = 65536;
    size_t used = 0;
    char *data = malloc(capacity);
    while (data != NULL) {
        if (used + 1 == capacity) {
            if (capacity >= WEIR_NET_BODY_MAX) {
                free(data);
                return weir_fail(WEIR_LIMIT, 0, "the answer is larger than %u bytes",
                    WEIR_NET_BODY_MAX);
            }
            char *larger = realloc(data, capacity * 2);
            if (larger == NULL)
                break;
            data = larger;
            capacity *= 2;
        }
        size_t got = 0;
        enum weir_err err = receive_some(question, data + used, capacity - used - 1, &got);
        used += got;
        if (err == WEIR_OK && is_strange(data, used))
            err = fail_strange(question, data, used);
        if (err != WEIR_OK) {
            free(data);
            return err;
        }
        if (got == 0) {
            data[used] = '\0';
            *out = data;
            *size = used;
            return WEIR_OK;
        }
    }
    free(data);
    return weir_fail(WEIR_NOMEM, 0, "answer of more than %zu bytes", used);
}

/* Takes status line and headers off. HTTP/1.0 was asked for, so the body ends with the stream. */
static enum weir_err
split_answer(char *answer, size_t size, int *status, size_t *body_at)
{
    const char *end = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, http_begin, sizeof http_begin - 1) != 0 || size < 12 || end == NULL)
        return weir_fail(WEIR_IO, 0, "the answer is no HTTP");
    *status = atoi(answer + 9);
    *body_at = (size_t)(end - answer) + 4;
    const char *length = strcasestr(answer, "\r\nContent-Length:");
    if (length != NULL && length < end) {
        size_t wanted = strtoull(length + strlen("\r\nContent-Length:"), NULL, 10);
        if (size - *body_at < wanted)
            return weir_fail(WEIR_IO, 0, "the answer was cut after %zu of %zu bytes",
                size - *body_at, wanted);
    }
    return WEIR_OK;
}

enum weir_err
weir_net_http_get(const struct weir_net_request *request, int *status, char **body, size_t *size)
{
    struct question question = {.http = request->http, .target = request->target,
        .method = request->method != NULL ? request->method : "GET",
        .limit_ms = request->limit_ms != 0 ? request->limit_ms : WEIR_NET_ANSWER_MS};
    question.until_ns = weir_mono_ns() + (int64_t)question.limit_ms * 1000000;
    enum weir_err err = read_http(request->http, &question);
    if (err == WEIR_OK)
        err = ask(&question);
    if (err != WEIR_OK)
        return err;
    char *answer = NULL;
    size_t answer_size = 0;
    size_t body_at = 0;
    err = receive_all(&question, &answer, &answer_size);
    close(question.fd);
    if (err == WEIR_OK)
        err = split_answer(answer, answer_size, status, &body_at);
    if (err != WEIR_OK) {
        free(answer);
        return err;
    }
    *size = answer_size - body_at;
    memmove(answer, answer + body_at, *size + 1);
    *body = answer;
    return WEIR_OK;
}

/* The text in {"error":"..."}; of another body its first line. */
static enum weir_err
fail_status(const char *http, int status, const char *body, size_t size)
{
    enum weir_err kind = status == 400 || status == 404 ? WEIR_INVALID : WEIR_IO;
    json_t *answer = json_loadb(body, size, 0, NULL);
    const char *text = json_string_value(json_object_get(answer, "error"));
    const char *hint = json_string_value(json_object_get(answer, "hint"));
    enum weir_err err = text != NULL && kind == WEIR_INVALID
        ? weir_fail(kind, 0, "%s%s%s", text, hint != NULL ? "; " : "", hint != NULL ? hint : "")
        : weir_fail(kind, 0, "%s answers %d: %.*s", http, status,
              text != NULL ? (int)strlen(text) : (int)strcspn(body, "\r\n"),
              text != NULL ? text : body);
    json_decref(answer);
    return err;
}

enum weir_err
weir_net_api_get(const struct weir_net_request *request, char **body, size_t *size)
{
    int status;
    enum weir_err err = weir_net_http_get(request, &status, body, size);
    if (err != WEIR_OK || status == 200)
        return err;
    err = fail_status(request->http, status, *body, *size);
    free(*body);
    return err;
}
