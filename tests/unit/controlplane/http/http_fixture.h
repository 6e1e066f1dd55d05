/* http_fixture: the server over arrays in place of a log, and a client over raw sockets that may
 * send anything, at any pace, and go at any time. */
#ifndef WEIR_TESTS_UNIT_CONTROLPLANE_HTTP_HTTP_FIXTURE_H
#define WEIR_TESTS_UNIT_CONTROLPLANE_HTTP_HTTP_FIXTURE_H

#include "controlplane/api/api.h"
#include "controlplane/http/http.h"
#include "tests/unit/controlplane/fake_reader.h"

#include "base/clock.h"
#include "model/shared.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#define THREADS 2
#define LARGE_COUNT 900
#define LARGE_BYTES 900
#define HUGE_BYTES 6000 /* as many are more than the kernel takes for a client that does not read */
#define ANSWER_SIZE_MAX (8 << 20)
#define WAIT_MS 60000 /* bound of every wait; nothing here takes long */

static struct {
    struct event_base *base;
    struct weir_api *api;
    struct weir_shared *shared;
    pthread_t thread;
    int stop[2]; /* a pipe: the loop ends when its writer closes */
    int shared_fd;
    uint16_t port;
    /* what start() is to start with; zero after each test */
    uint64_t answers_max;
    bool huge;      /* large series are huge */
    bool bounds_us; /* loopback is no trusted source */
} server;

/* Names that requests of the tests may ask for. */
static const char server_hosts[][WEIR_CONFIG_HOST_SIZE] = {"x", "example"};

static inline void
on_stop(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(context);
}

static inline void *
serve(void *context)
{
    (void)context;
    struct event *stop = event_new(server.base, server.stop[0], EV_READ, on_stop, server.base);
    event_add(stop, NULL);
    event_base_dispatch(server.base);
    event_free(stop);
    return NULL;
}

/* Starts the server over two samples and as many large series. */
static inline int
start_with(int large)
{
    fake_reset();
    uint64_t a = fake_series("__name__=cpu,host=a b");
    fake_sample(a, 1000, 42);
    fake_sample(a, 61000, 43);
    for (int i = 0; i < large; i++) {
        char labels[HUGE_BYTES + 100];
        snprintf(labels, sizeof labels, "__name__=big,n=%d,x=%0*d", i,
            server.huge ? HUGE_BYTES : LARGE_BYTES, i);
        (void)fake_series(labels);
    }
    assert_int_equal(weir_shared_new(4096, &server.shared_fd), WEIR_OK);
    assert_int_equal(weir_shared_map(server.shared_fd, &server.shared), WEIR_OK);
    atomic_store(&server.shared->epoch, 7);
    atomic_store(&server.shared->state, WEIR_INGEST_OPEN);
    server.base = event_base_new();
    static const struct weir_prefix all = {.bits = 0};
    struct weir_api_options options = {.base = server.base, .address = "127.0.0.1",
        .threads = THREADS,
        .limits = {100, 10000, UINT64_MAX, 60000, 0, 64 << 20},
        .answers_max = server.answers_max != 0 ? server.answers_max : UINT64_C(64) << 20,
        .trusted = {&all, server.bounds_us ? 0 : 1}, .hosts = server_hosts,
        .host_count = sizeof server_hosts / sizeof server_hosts[0],
        .shared = server.shared, .open = fake_open};
    assert_int_equal(weir_api_open(&options, &server.api), WEIR_OK);
    server.port = weir_api_port(server.api);
    assert_int_equal(pipe(server.stop), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    return 0;
}

static inline int
start(void **state)
{
    (void)state;
    return start_with(0);
}

static inline int
start_large(void **state)
{
    (void)state;
    return start_with(LARGE_COUNT);
}

static inline int
stop(void **state)
{
    (void)state;
    close(server.stop[1]);
    pthread_join(server.thread, NULL);
    bool closed = weir_api_close(server.api, WAIT_MS);
    close(server.stop[0]);
    event_base_free(server.base);
    weir_shared_unmap(server.shared);
    close(server.shared_fd);
    server.answers_max = 0;
    server.bounds_us = false;
    server.huge = false;
    return closed && fake_scans_running == 0 ? 0 : -1;
}

static inline int
dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int buffer = 8192; /* small, so that large answers take several turns of the loop */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Sends what the server takes; it may close early. */
static inline void
send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        size -= (size_t)sent;
    }
}

static inline void
send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

struct answer {
    int status;
    char *head;
    char *body;
    size_t body_size;
    char bytes[ANSWER_SIZE_MAX];
};

static struct answer answer;

/* Reads one answer. False where the connection ends before it. */
static inline bool
read_answer(int fd, bool with_body)
{
    size_t used = 0;
    answer.status = 0;
    answer.body = NULL;
    size_t wanted = SIZE_MAX;
    while (used < wanted) {
        struct pollfd wait = {fd, POLLIN, 0};
        if (poll(&wait, 1, WAIT_MS) <= 0)
            fail_msg("no answer within the bound");
        /* byte by byte up to the body, so that a pipelined answer stays in the socket */
        ssize_t got = recv(fd, answer.bytes + used,
            wanted == SIZE_MAX ? 1 : wanted - used, 0);
        if (got <= 0)
            return false;
        used += (size_t)got;
        answer.bytes[used] = '\0';
        if (wanted != SIZE_MAX || used < 4 || memcmp(answer.bytes + used - 4, "\r\n\r\n", 4) != 0)
            continue;
        const char *length = strstr(answer.bytes, "Content-Length: ");
        answer.body_size = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
        answer.status = atoi(answer.bytes + 9);
        answer.body = answer.bytes + used;
        wanted = used + (with_body ? answer.body_size : 0);
        assert_true(wanted < ANSWER_SIZE_MAX);
    }
    return true;
}

/* True where the connection ends without another byte. */
static inline bool
at_end(int fd)
{
    char byte;
    struct pollfd wait = {fd, POLLIN, 0};
    if (poll(&wait, 1, WAIT_MS) <= 0)
        return false;
    return recv(fd, &byte, 1, 0) <= 0;
}

/* Sends bytes over a new connection and reads one answer. */
static inline void
talk(const char *bytes, size_t size)
{
    int fd = dial();
    send_all(fd, bytes, size);
    assert_true(read_answer(fd, true));
    close(fd);
}

static inline void
check_error(int status, const char *part)
{
    json_t *json = json_loadb(answer.body, answer.body_size, 0, NULL);
    if (json == NULL)
        print_error("no JSON: %s\n", answer.bytes);
    assert_non_null(json);
    const char *error = json_string_value(json_object_get(json, "error"));
    assert_non_null(error);
    if (strstr(error, part) == NULL)
        print_error("error: %s\n", error);
    assert_non_null(strstr(error, part));
    assert_int_equal(answer.status, status);
    assert_non_null(strstr(answer.bytes, "Content-Type: application/json\r\n"));
    json_decref(json);
}

static inline void
ask_error(const char *request, int status, const char *part)
{
    talk(request, strlen(request));
    check_error(status, part);
}

static inline void
get(const char *target)
{
    char request[1000];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        target);
    talk(request, strlen(request));
}

/* The server is alive and well. */
static inline void
check_alive(void)
{
    get("/healthz");
    for (int i = 0; answer.status == 503 && i < 200; i++) {
        usleep(10000); /* the query threads are still opening their readers */
        get("/healthz");
    }
    assert_int_equal(answer.status, 200);
}

/* Asks for health until it is as wanted: readers report their state within a refresh. */
static inline void
await_health(int status, const char *part)
{
    for (int i = 0; i < WAIT_MS / 10; i++) {
        get("/healthz");
        if (answer.status == status && strstr(answer.body, part) != NULL)
            return;
        usleep(10000);
    }
    fail_msg("health stays %d %s", answer.status, answer.body);
}

/* Waits until as many scans run. */
static inline void
await_scans(int count)
{
    for (int i = 0; i < WAIT_MS && fake_scans_running != count; i++)
        usleep(1000);
    assert_int_equal(fake_scans_running, count);
}

#endif
