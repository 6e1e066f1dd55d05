#include "app/net.h"

#include "base/config_keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum weir_err
weir_net_connect(const char *address, bool tcp, int timeout_ms, int *fd)
{
    char host[64];
    uint16_t port;
    enum weir_err err = config_parse_address(address, host, &port);
    if (err != WEIR_OK)
        return err;
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
    if (!is_v6)
        inet_pton(AF_INET, host, &v4.sin_addr);
    int made = socket(is_v6 ? AF_INET6 : AF_INET,
        (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    if (made < 0)
        return weir_fail(WEIR_IO, errno, "socket");
    struct timeval wait = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    const struct sockaddr *to = is_v6 ? (const void *)&v6 : (const void *)&v4;
    if (connect(made, to, is_v6 ? sizeof v6 : sizeof v4) != 0) {
        err = errno == EINPROGRESS
            ? weir_fail(WEIR_IO, 0, "connect to %s: no answer in %g s", address, timeout_ms / 1e3)
            : weir_fail(WEIR_IO, errno, "connect to %s", address);
        close(made);
        return err;
    }
    *fd = made;
    return WEIR_OK;
}

enum weir_err
weir_net_send(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return weir_fail(WEIR_IO, errno, "send");
        at += sent;
        size -= (size_t)sent;
    }
    return WEIR_OK;
}

/* A request under way: what was asked, and the connection on which the answer comes. */
struct question {
    const char *address;
    const char *target;
    int fd;
};

static enum weir_err
ask(struct question *question)
{
    char *request;
    enum weir_err err =
        weir_net_connect(question->address, true, WEIR_NET_SILENCE_MS, &question->fd);
    if (err != WEIR_OK)
        return err;
    int size = asprintf(&request,
        "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: weir\r\nAccept: */*\r\n\r\n",
        question->target, question->address);
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
    struct question life = {.address = question->address, .target = "/healthz"};
    enum weir_err err = ask(&life);
    if (err != WEIR_OK)
        return err;
    ssize_t got = recv(life.fd, &byte, 1, 0);
    close(life.fd);
    if (got > 0)
        return WEIR_OK;
    return weir_fail(WEIR_IO, 0, "%s accepts connections, but has not answered in %g s: is that "
        "Weir's HTTP address?", question->address, 2 * WEIR_NET_SILENCE_MS / 1e3);
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
            char *larger = capacity < WEIR_NET_BODY_MAX ? realloc(data, capacity * 2) : NULL;
            if (larger == NULL)
                break;
            data = larger;
            capacity *= 2;
        }
        ssize_t got = recv(question->fd, data + used, capacity - used - 1, 0);
        if (got < 0 && errno == EINTR)
            continue;
        enum weir_err err = WEIR_OK;
        if (got < 0)
            err = errno == EAGAIN ? check_life(question)
                                  : weir_fail(WEIR_IO, errno, "receive from %s", question->address);
        if (err != WEIR_OK) {
            free(data);
            return err;
        }
        if (got < 0)
            continue;
        if (got == 0) {
            data[used] = '\0';
            *out = data;
            *size = used;
            return WEIR_OK;
        }
        used += (size_t)got;
    }
    free(data);
    return weir_fail(WEIR_LIMIT, 0, "the answer is larger than %u bytes", WEIR_NET_BODY_MAX);
}

/* Takes status line and headers off. HTTP/1.0 was asked for, so the body ends with the stream. */
static enum weir_err
split_answer(char *answer, size_t size, int *status, size_t *body_at)
{
    const char *end = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, "HTTP/1.", 7) != 0 || size < 12 || end == NULL)
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
weir_net_http_get(const char *address, const char *target, int *status, char **body,
    size_t *size)
{
    struct question question = {.address = address, .target = target};
    enum weir_err err = ask(&question);
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
