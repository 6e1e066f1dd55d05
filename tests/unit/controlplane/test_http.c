/* The server over raw sockets: a client that may send anything, at any pace, and go at any time. */
#include "controlplane/api.h"
#include "controlplane/http.h"
#include "fake_reader.h"

#include "base/clock.h"
#include "base/shared.h"

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
#define ANSWER_MAX (1 << 20)
#define WAIT_MS 60000 /* bound of every wait; nothing here takes long */

static struct {
    struct event_base *base;
    struct weir_api *api;
    struct weir_shared *shared;
    pthread_t thread;
    int stop[2]; /* a pipe: the loop ends when its writer closes */
    int shared_fd;
    uint16_t port;
} server;

static void
on_stop(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(context);
}

static void *
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
static int
start_with(int large)
{
    fake_reset();
    uint64_t a = fake_series("__name__=cpu,host=a b");
    fake_sample(a, 1000, 42);
    fake_sample(a, 61000, 43);
    for (int i = 0; i < large; i++) {
        char labels[LARGE_BYTES + 100];
        snprintf(labels, sizeof labels, "__name__=big,n=%d,x=%0*d", i, LARGE_BYTES, i);
        (void)fake_series(labels);
    }
    assert_int_equal(weir_shared_new(4096, &server.shared_fd), WEIR_OK);
    assert_int_equal(weir_shared_map(server.shared_fd, &server.shared), WEIR_OK);
    atomic_store(&server.shared->epoch, 7);
    atomic_store(&server.shared->state, WEIR_INGEST_OPEN);
    server.base = event_base_new();
    struct weir_api_options options = {.base = server.base, .address = "127.0.0.1",
        .threads = THREADS,
        .limits = {100, 10000, UINT64_MAX, 60000}, .shared = server.shared, .open = fake_open};
    assert_int_equal(weir_api_open(&options, &server.api), WEIR_OK);
    server.port = weir_api_port(server.api);
    assert_int_equal(pipe(server.stop), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    return 0;
}

static int
start(void **state)
{
    (void)state;
    return start_with(0);
}

static int
start_large(void **state)
{
    (void)state;
    return start_with(LARGE_COUNT);
}

static int
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
    return closed && fake_scans_running == 0 ? 0 : -1;
}

static int
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
static void
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

static void
send_text(int fd, const char *text)
{
    send_all(fd, text, strlen(text));
}

struct answer {
    int status;
    char *head;
    char *body;
    size_t body_size;
    char bytes[ANSWER_MAX];
};

static struct answer answer;

/* Reads one answer. False where the connection ends before it. */
static bool
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
        assert_true(wanted < ANSWER_MAX);
    }
    return true;
}

/* True where the connection ends without another byte. */
static bool
at_end(int fd)
{
    char byte;
    struct pollfd wait = {fd, POLLIN, 0};
    if (poll(&wait, 1, WAIT_MS) <= 0)
        return false;
    return recv(fd, &byte, 1, 0) <= 0;
}

/* Sends bytes over a new connection and reads one answer. */
static void
talk(const char *bytes, size_t size)
{
    int fd = dial();
    send_all(fd, bytes, size);
    assert_true(read_answer(fd, true));
    close(fd);
}

static void
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

static void
ask_error(const char *request, int status, const char *part)
{
    talk(request, strlen(request));
    check_error(status, part);
}

static void
get(const char *target)
{
    char request[1000];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        target);
    talk(request, strlen(request));
}

/* The server is alive and well. */
static void
check_alive(void)
{
    get("/healthz");
    for (int i = 0; answer.status == 503 && i < 200; i++) {
        usleep(10000); /* the query threads are still opening their readers */
        get("/healthz");
    }
    assert_int_equal(answer.status, 200);
}

static void
test_http_answers_queries(void **state)
{
    (void)state;
    get("/api/v1/metrics/query?metric=cpu&host=a+b&from=0&to=120&agg=sum");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"metric\":\"cpu\",\"resolution\":\"60s\",\"series\":"
        "[{\"labels\":{\"host\":\"a b\"},\"points\":[[0,42],[60,43]]}]}\n");
    get("/api/v1/label/ho%73t/values");
    assert_string_equal(answer.body, "{\"status\":\"success\",\"data\":[\"a b\"]}\n");
    get("http://example/api/v1/labels?match%5B%5D=cpu");
    assert_string_equal(answer.body, "{\"status\":\"success\",\"data\":[\"__name__\",\"host\"]}\n");
    get("/");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "/api/v1/metrics/query"));
}

static void
test_http_takes_posted_forms_where_prometheus_does(void **state)
{
    (void)state;
    ask_error("POST /api/v1/metrics/query?metric=cpu HTTP/1.1\r\n\r\n", 405, "GET");
    const char *form = "POST /api/v1/series HTTP/1.1\r\nContent-Type: "
        "application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: 15\r\n\r\n"
        "match%5B%5D=cpu";
    talk(form, strlen(form));
    assert_string_equal(answer.body,
        "{\"status\":\"success\",\"data\":[{\"__name__\":\"cpu\",\"host\":\"a b\"}]}\n");
    ask_error("POST /api/v1/series HTTP/1.1\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\n\r\n{}", 415, "x-www-form-urlencoded");
    form = "POST /api/v1/series HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "Transfer-Encoding: chunked\r\n\r\n8\r\nmatch%5B\r\n7\r\n%5D=cpu\r\n0\r\n\r\n";
    talk(form, strlen(form));
    assert_int_equal(answer.status, 200);
}

/* What libevent itself answers: a page of its own, and the end of the connection. */
static void
ask_page(const char *bytes, size_t size, int status)
{
    int fd = dial();
    send_all(fd, bytes, size);
    assert_true(read_answer(fd, true));
    if (answer.status != status)
        print_error("status %d, wanted %d: %.100s\n", answer.status, status, bytes);
    assert_int_equal(answer.status, status);
    assert_non_null(strstr(answer.bytes, "Content-Type: text/html\r\n"));
    assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
    assert_true(at_end(fd));
    close(fd);
}

static void
test_http_refuses_what_is_no_request(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int status;
    } requests[] = {{"hello\r\n\r\n", 400}, {"GET\r\n\r\n", 400}, {"GET /x\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n folded\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nContent-Length: 1\r\nExpect: tea\r\n\r\n", 417},
        {"POST /api/v1/series HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n", 413},
        {"POST /api/v1/series HTTP/1.1\r\nContent-Length: 9999999999999999999999\r\n\r\n", 413}};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        ask_page(requests[i].bytes, strlen(requests[i].bytes), requests[i].status);
    check_alive();
}

static void
test_http_refuses_bad_requests_in_json(void **state)
{
    (void)state;
    ask_error("GET x HTTP/1.1\r\n\r\n", 404, "no such path");
    ask_error("GET /api/v1/metrics/query?metric=%zz HTTP/1.1\r\n\r\n", 400, "hex digits");
    ask_error("GET /api/v1/metrics/query HTTP/1.1\r\n\r\n", 400, "metric is missing");
    ask_error("GET /nothing HTTP/1.1\r\n\r\n", 404, "no such path");
    ask_error("GET /api/v1/label//values HTTP/1.1\r\n\r\n", 400, "label name");
    ask_error("CONNECT example:80 HTTP/1.1\r\n\r\n", 404, "no such path");
    ask_error("DELETE /metrics HTTP/1.1\r\n\r\n", 405, "GET");
    assert_non_null(strstr(answer.bytes, "Allow: GET, HEAD\r\n"));
    ask_error("BREW /api/v1/series HTTP/1.1\r\n\r\n", 405, "POST");
    assert_non_null(strstr(answer.bytes, "Allow: GET, HEAD, POST\r\n"));
    check_alive();
}

/* Where two readers could see the end of a request at different places, a second request could be
 * hidden in the first: each of these gets one answer, and the connection ends. */
static void
test_http_refuses_requests_of_doubtful_length(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int status;
    } requests[] = {
        {"POST /api/v1/labels HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
        {"POST /api/v1/labels HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"GET /healthz HTTP/1.1\r\nContent-Length : 30\r\n\r\n", 400},
        {"BREW /healthz HTTP/1.1\r\nContent-Length: 30\r\n\r\n", 405}};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = dial();
        send_text(fd, requests[i].bytes);
        send_text(fd, "GET /healthz HTTP/1.1\r\n\r\n");
        assert_true(read_answer(fd, true));
        assert_int_equal(answer.status, requests[i].status);
        assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
        assert_true(at_end(fd));
        close(fd);
    }
    check_alive();
}

static void
test_http_bounds_uri_headers_and_body(void **state)
{
    (void)state;
    static char request[300000];
    static char filler[200001];
    memset(filler, 'a', sizeof filler - 1);
    check_alive();
    int size = snprintf(request, sizeof request, "GET /%.9000s HTTP/1.1\r\n\r\n", filler);
    talk(request, (size_t)size);
    check_error(414, "URI");
    size = snprintf(request, sizeof request, "GET /healthz?%.8000s HTTP/1.1\r\n\r\n", filler);
    talk(request, (size_t)size);
    assert_int_equal(answer.status, 200);
    size = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\n\r\n", filler);
    ask_page(request, (size_t)size, 400);
    size = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nX: %s\r\n\r\n", filler);
    ask_page(request, (size_t)size, 400);
    size = snprintf(request, sizeof request, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 2000; i++)
        size += snprintf(request + size, sizeof request - (size_t)size, "X%d: yyyyyyyyyy\r\n", i);
    ask_page(request, (size_t)size, 400);
    size = snprintf(request, sizeof request, "POST /api/v1/series HTTP/1.1\r\nContent-Length: "
        "200000\r\n\r\n%s", filler);
    ask_page(request, (size_t)size, 413);
    size = snprintf(request, sizeof request, "POST /api/v1/series HTTP/1.1\r\n"
        "Transfer-Encoding: chunked\r\n\r\n30d40\r\n%s\r\n0\r\n\r\n", filler);
    ask_page(request, (size_t)size, 413);
    /* and takes a body of just the size */
    size = snprintf(request, sizeof request, "POST /api/v1/labels HTTP/1.1\r\nContent-Type: "
        "application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\nx=%.*s",
        WEIR_HTTP_BODY_MAX, WEIR_HTTP_BODY_MAX - 2, filler);
    talk(request, (size_t)size);
    assert_int_equal(answer.status, 200);
    check_alive();
}

static void
test_http_survives_bytes_of_any_kind(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 100; round++) {
        static char bytes[3000];
        size_t size = (size_t)round * 30 + 1;
        for (size_t i = 0; i < size; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes[i] = (char)random;
        }
        int fd = dial();
        send_all(fd, bytes, size);
        send_text(fd, "\r\n\r\n");
        assert_true(read_answer(fd, true));
        assert_in_range(answer.status, 400, 599);
        close(fd);
    }
    check_alive();
}

/* An expectation that is not known matters to who waits with a body alone. */
static void
test_http_answers_an_expectation_without_a_body(void **state)
{
    (void)state;
    static const char *const requests[] = {"GET / HTTP/1.1\r\nExpect: tea\r\n\r\n",
        "HEAD / HTTP/1.1\r\nExpect: tea\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = dial();
        send_text(fd, requests[i]);
        assert_true(read_answer(fd, i != 1));
        assert_int_equal(answer.status, 200);
        close(fd);
    }
}

static void
test_http_takes_requests_byte_by_byte(void **state)
{
    (void)state;
    check_alive(); /* else it is 503 while the query threads open their readers */
    static const char request[] = "GET /healthz HTTP/1.1\nHost: x\n\n";
    int fd = dial();
    for (size_t i = 0; i < sizeof request - 1; i++)
        send_all(fd, request + i, 1);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    close(fd);
}

static void
test_http_forgets_half_requests(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        int fd = dial();
        send_text(fd, "GET /healthz HT");
        if (i % 2 == 0)
            shutdown(fd, SHUT_WR);
        if (i % 2 == 0)
            assert_true(at_end(fd));
        close(fd);
    }
    check_alive();
}

static void
test_http_answers_pipelined_requests_in_order(void **state)
{
    (void)state;
    check_alive();
    int fd = dial();
    send_text(fd, "GET /nothing HTTP/1.1\r\n\r\n"
        "GET /api/v1/metrics/query?metric=cpu&from=0&to=60 HTTP/1.1\r\n\r\n"
        "HEAD /healthz HTTP/1.1\r\n\r\n"
        "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\nGET /ignored HTTP/1.1\r\n\r\n");
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 404);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "[0,42]"));
    assert_true(read_answer(fd, false));
    assert_int_equal(answer.status, 200);
    size_t head_size = answer.body_size;
    assert_true(head_size > 0);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_size, head_size);
    assert_true(at_end(fd));
    close(fd);
}

static void
test_http_keeps_connections_as_asked(void **state)
{
    (void)state;
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        send_text(fd, "GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_true(read_answer(fd, true));
        assert_non_null(strstr(answer.bytes, "Connection: keep-alive\r\n"));
    }
    send_text(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    assert_true(read_answer(fd, true));
    assert_true(at_end(fd));
    close(fd);
}

static void
test_http_answers_a_client_that_shut_its_sending_side(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "GET /api/v1/metrics/query?metric=cpu&from=0&to=60 HTTP/1.1\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    assert_true(at_end(fd));
    close(fd);
}

/* libevent alone drops such an answer: it reads the end of the connection while it writes. */
static void
test_http_answers_a_client_that_shut_its_sending_side_in_full(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        int fd = dial();
        send_text(fd, "GET /api/v1/series?match[]=big&limit=90 HTTP/1.1\r\n\r\n"
            "GET /api/v1/label/x/values HTTP/1.1\r\n\r\n");
        shutdown(fd, SHUT_WR);
        usleep(20000); /* the server fills the socket meanwhile */
        assert_true(read_answer(fd, true));
        assert_int_equal(answer.status, 200);
        close(fd);
    }
    int fd = dial();
    send_text(fd, "GET /api/v1/label/x/values HTTP/1.1\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    assert_true(answer.body_size > LARGE_COUNT * LARGE_BYTES);
    assert_true(at_end(fd));
    close(fd);
}

/* One that stops in the middle of a request, one that sends it a byte a second, one that does not
 * send all of its body, and one that says nothing after its first request, which may stay. */
static void
test_http_closes_connections_whose_request_takes_too_long(void **state)
{
    (void)state;
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: example\r\n\r\n";
    int stopped = dial();
    int slow = dial();
    int body = dial();
    int idle = dial();
    send_text(stopped, "GET /healthz HTTP/1.1\r\nHost: ");
    send_text(body, "POST /api/v1/series HTTP/1.1\r\nContent-Length: 10\r\n\r\nmatch");
    send_text(idle, request);
    assert_true(read_answer(idle, true));
    struct pollfd wait = {slow, POLLIN, 0};
    for (size_t i = 0; i < sizeof request - 1 && poll(&wait, 1, 0) == 0; i++) {
        send_all(slow, request + i, 1);
        poll(&wait, 1, 1000);
    }
    assert_true(at_end(slow));
    assert_true(at_end(stopped));
    assert_true(at_end(body));
    send_text(idle, request);
    assert_true(read_answer(idle, true));
    assert_int_equal(answer.status, 200);
    close(stopped);
    close(slow);
    close(body);
    close(idle);
}

static void
test_http_grants_100_continue(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "POST /api/v1/series HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded"
        "\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 100);
    send_text(fd, "match[]=cpu");
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    close(fd);
}

/* Waits until as many scans run. */
static void
await_scans(int count)
{
    for (int i = 0; i < WAIT_MS && fake_scans_running != count; i++)
        usleep(1000);
    assert_int_equal(fake_scans_running, count);
}

static const char endless_query[] =
    "GET /api/v1/metrics/query?metric=cpu&from=0&to=60&agg=last HTTP/1.1\r\n\r\n";

static void
test_http_stops_the_query_of_a_client_that_hangs_up(void **state)
{
    (void)state;
    fake_endless = true;
    int fd = dial();
    send_text(fd, endless_query);
    await_scans(1);
    check_alive(); /* the event loop is not held up */
    close(fd);
    await_scans(0);
    /* and that of one whose connection is reset */
    fd = dial();
    send_text(fd, endless_query);
    await_scans(1);
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    await_scans(0);
    get("/metrics");
    assert_non_null(strstr(answer.body,
        "weir_queries_total{endpoint=\"query\",outcome=\"cancelled\"} 2\n"));
}

static void
test_http_refuses_queries_past_its_queue_and_recovers(void **state)
{
    (void)state;
    int fds[THREADS + WEIR_API_QUEUE_MAX];
    int count = (int)(sizeof fds / sizeof fds[0]);
    fake_endless = true;
    for (int i = 0; i < count; i++) {
        fds[i] = dial();
        send_text(fds[i], endless_query);
        if (i < THREADS)
            await_scans(i + 1);
    }
    /* connections are read in any order: ask until the queue has taken all of the others */
    for (int i = 0; i < 1000; i++) {
        get("/metrics");
        if (strstr(answer.body, "weir_queries_waiting 64\n") != NULL)
            break;
    }
    get("/api/v1/metrics/query?metric=cpu");
    check_error(503, "too many queries");
    assert_non_null(strstr(answer.bytes, "Retry-After: 1\r\n"));
    fake_endless = false;
    for (int i = 0; i < count; i++) {
        assert_true(read_answer(fds[i], true));
        assert_int_equal(answer.status, 200);
        close(fds[i]);
    }
    check_alive();
}

static void
test_http_stops_with_queries_running_and_waiting(void **state)
{
    (void)state;
    fake_endless = true;
    for (int i = 0; i < 6; i++) {
        int fd = dial();
        send_text(fd, endless_query);
    }
    await_scans(THREADS);
    /* stop() checks that all ends */
}

static void
test_http_refuses_connections_past_its_limit(void **state)
{
    (void)state;
    int fds[WEIR_HTTP_CONNECTIONS_MAX];
    check_alive();
    for (int i = 0; i < WEIR_HTTP_CONNECTIONS_MAX; i++)
        fds[i] = dial();
    int fd = dial();
    send_text(fd, "GET /healthz HTTP/1.1\r\n\r\n");
    assert_true(read_answer(fd, true));
    check_error(503, "too many connections");
    assert_non_null(strstr(answer.bytes, "Retry-After: 1\r\n"));
    assert_true(at_end(fd));
    close(fd);
    fd = dial(); /* one that asks nothing is closed all the same */
    assert_true(at_end(fd));
    close(fd);
    /* the others are served */
    send_text(fds[0], "GET /healthz HTTP/1.1\r\n\r\n");
    assert_true(read_answer(fds[0], true));
    assert_int_equal(answer.status, 200);
    for (int i = 0; i < WEIR_HTTP_CONNECTIONS_MAX; i++)
        close(fds[i]);
    for (int i = 0; i < WAIT_MS; i++) { /* until the server has noticed */
        fd = dial();
        send_text(fd, "GET /healthz HTTP/1.1\r\n\r\n");
        bool answered = read_answer(fd, true) && answer.status == 200;
        close(fd);
        if (answered)
            return;
        usleep(1000);
    }
    fail_msg("connections are not given back");
}

/* Past the refusals accepting pauses, and goes on. */
static void
test_http_outlives_a_crowd(void **state)
{
    (void)state;
    enum { CROWD = WEIR_HTTP_CONNECTIONS_MAX + 2 * WEIR_HTTP_REFUSALS_MAX };
    static int fds[CROWD];
    for (int i = 0; i < CROWD; i++)
        fds[i] = dial();
    for (int i = 0; i < CROWD; i++)
        send_text(fds[i], "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
    int served = 0;
    for (int i = 0; i < CROWD; i++) {
        if (read_answer(fds[i], true))
            served += answer.status == 200;
        close(fds[i]);
    }
    assert_true(served >= WEIR_HTTP_CONNECTIONS_MAX);
    usleep(300000);
    for (int i = 0; i < 100; i++)
        check_alive();
    for (int i = 0; i < WAIT_MS / 10; i++) {
        get("/metrics");
        if (strstr(answer.body, "\nweir_http_connections 1\n") != NULL)
            return;
        usleep(10000);
    }
    fail_msg("connections are not given back");
}

/* Asks for health until it is as wanted: readers report their state within a refresh. */
static void
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

static void
test_health_names_the_reason(void **state)
{
    (void)state;
    await_health(200, "\"ingest\":\"open\"");
    atomic_store(&server.shared->state, WEIR_INGEST_DISK_FULL);
    await_health(503, "\"reason\":\"disk_full\"");
    atomic_store(&server.shared->state, WEIR_INGEST_IO_ERROR);
    await_health(503, "\"reason\":\"io_error\"");
    atomic_store(&server.shared->epoch, 0);
    await_health(503, "\"reason\":\"starting\"");
    atomic_store(&server.shared->epoch, 8);
    atomic_store(&server.shared->state, WEIR_INGEST_OPEN);
    await_health(200, "\"epoch\":8");
    fake_fail(WEIR_IO);
    await_health(503, "\"reason\":\"reader_failed\"");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    check_error(503, "cannot be read");
    fake_fail(WEIR_AGAIN); /* the dataplane starts anew: what is known is answered */
    await_health(200, "\"queries\":\"not_current\"");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"warnings\":[\"the dataplane is starting, for "));
    get("/api/v1/labels");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"warnings\":[\"the dataplane is starting, for "));
    fake_fail(WEIR_OK);
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "warnings"));
    await_health(200, "\"queries\":\"current\"");
}

static void
test_health_names_what_the_instance_is_degraded_by(void **state)
{
    (void)state;
    await_health(200, "{\"status\":\"ok\",\"ingest\":\"open\",\"queries\":\"current\","
        "\"epoch\":7}");
    get("/metrics");
    assert_non_null(strstr(answer.body, "\nweir_degraded{reason=\"series_full\"} 0\n"));
    get("/-/healthy");
    assert_int_equal(answer.status, 200);
    int64_t now_ms = weir_mono_ns() / 1000000;
    weir_degraded_set(&server.shared->degraded, WEIR_DEGRADED_series_full, now_ms);
    weir_degraded_set(&server.shared->degraded, WEIR_DEGRADED_listener_drops, now_ms);
    weir_degraded_set(&server.shared->degraded, WEIR_DEGRADED_senders_full,
        now_ms - WEIR_DEGRADED_LASTS_MS);
    await_health(200, "{\"status\":\"degraded\",\"ingest\":\"open\",\"queries\":\"current\","
        "\"degraded\":[\"series_full\",\"listener_drops\"],\"epoch\":7}");
    get("/metrics");
    assert_non_null(strstr(answer.body, "\nweir_degraded{reason=\"series_full\"} 1\n"));
    assert_non_null(strstr(answer.body, "\nweir_degraded{reason=\"senders_full\"} 0\n"));
    get("/-/ready");
    assert_int_equal(answer.status, 200);
    /* it does not hide what is worse */
    atomic_store(&server.shared->state, WEIR_INGEST_DISK_FULL);
    await_health(503, "\"status\":\"unavailable\",\"reason\":\"disk_full\"");
    assert_non_null(strstr(answer.body, "\"degraded\":[\"series_full\",\"listener_drops\"]"));
    get("/-/ready");
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.bytes, "\r\nRetry-After: 1\r\n"));
    assert_non_null(strstr(answer.body, "Weir is not ready: disk_full: "));
    get("/-/healthy");
    assert_int_equal(answer.status, 200);
}

static void
test_metrics_expose_the_ledger(void **state)
{
    (void)state;
    struct weir_counts counts = {0};
    counts.unit[WEIR_UNIT_SAMPLES].received = 10;
    counts.unit[WEIR_UNIT_SAMPLES].stored = 6;
    counts.unit[WEIR_UNIT_SAMPLES].held = 1;
    counts.unit[WEIR_UNIT_SAMPLES].rejected[WEIR_REASON_unsupported_type] = 1;
    counts.unit[WEIR_UNIT_SAMPLES].dropped[WEIR_REASON_shutdown] = 1;
    counts.counter[WEIR_COUNTER_syncs] = 5;
    counts.counter[WEIR_COUNTER_sync_ns] = 1500000001;
    counts.cycles[WEIR_STAGE_parse] = 99;
    weir_ledger_publish(&server.shared->ledger.blocks[WEIR_BLOCK_WORKER], &counts);
    struct weir_process_view *process = &server.shared->processes.at[WEIR_PROCESS_DATAPLANE];
    atomic_store(&process->pid, 99);
    atomic_store(&process->cpu_ms, 12005);
    atomic_store(&process->fds, 17);
    atomic_store(&server.shared->latency_buckets[0], 2);
    atomic_store(&server.shared->latency_buckets[WEIR_LATENCY_BUCKETS - 1], 1);
    atomic_store(&server.shared->latency_sum_us, 1500000);
    get("/metrics");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.bytes, "Content-Type: text/plain; version=0.0.4"));
    static const char *const lines[] = {
        "\nweir_ledger_total{unit=\"samples\",class=\"received\"} 10\n",
        "\nweir_ledger_total{unit=\"samples\",class=\"stored\"} 6\n",
        "\nweir_ledger_in_flight{unit=\"samples\"} 1\n",
        "\nweir_ledger_total{unit=\"samples\",class=\"rejected\",reason=\"unsupported_type\"} 1\n",
        "\nweir_ledger_total{unit=\"samples\",class=\"dropped\",stage=\"worker\","
        "reason=\"shutdown\"} 1\n",
        "\nweir_ledger_residual{unit=\"samples\"} 1\n",
        "\nweir_ledger_residual{unit=\"packets\"} 0\n",
        "\nweir_syncs_total 5\n", "\nweir_sync_seconds_total 1.500000001\n",
        "\nweir_stage_cycles_total{stage=\"parse\"} 99\n",
        "\nweir_packet_to_queryable_seconds_bucket{le=\"0.000064\"} 2\n",
        "\nweir_packet_to_queryable_seconds_bucket{le=\"+Inf\"} 3\n",
        "\nweir_packet_to_queryable_seconds_sum 1.500000\n", "\nweir_epoch 7\n",
        "\nweir_build_info{version=", "\nweir_tsc_hertz ",
        "\nprocess_cpu_seconds_total{process=\"dataplane\"} 12.005\n",
        "\nprocess_open_fds{process=\"dataplane\"} 17\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (strstr(answer.body, lines[i]) == NULL)
            fail_msg("missing: %s", lines[i]);
    assert_null(strstr(answer.body, "process=\"supervisor\"")); /* none runs */
}

static void
expect_outcomes(const char *endpoint, const char *outcomes)
{
    static const char *const names[] = {"answered", "client_error", "limit", "refused",
        "cancelled", "failed"};
    char line[128];
    get("/metrics");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(line, sizeof line, "\nweir_queries_total{endpoint=\"%s\",outcome=\"%s\"} %c\n",
            endpoint, names[i], outcomes[i]);
        if (strstr(answer.body, line) == NULL)
            fail_msg("missing: %s", line);
    }
}

static void
test_metrics_class_queries_by_whose_fault_it_was(void **state)
{
    (void)state;
    await_health(200, "\"queries\":\"current\"");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    get("/api/v1/metrics/query?metric=cpu&from=x");
    get("/api/v1/metrics/query?metric=%zz");
    ask_error("POST /api/v1/metrics/query?metric=cpu HTTP/1.1\r\n\r\n", 405, "GET");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=100000&step=1s");
    assert_int_equal(answer.status, 422);
    fake_fail(WEIR_IO);
    await_health(503, "reader_failed");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    assert_int_equal(answer.status, 503);
    fake_fail(WEIR_OK);
    await_health(200, "\"queries\":\"current\"");
    expect_outcomes("query", "131001");
    expect_outcomes("labels", "000000");
    /* the histogram has those that reached a query thread */
    assert_non_null(strstr(answer.body,
        "\nweir_query_duration_seconds_bucket{endpoint=\"query\",le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(answer.body,
        "\nweir_query_duration_seconds_count{endpoint=\"query\"} 4\n"));
}

static void
test_metrics_without_a_dataplane_say_what_is_left(void **state)
{
    (void)state;
    atomic_store(&server.shared->epoch, 0);
    get("/metrics");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\nweir_epoch 0\n"));
    assert_non_null(strstr(answer.body, "\nweir_queries_waiting 0\n"));
    assert_null(strstr(answer.body, "weir_ledger"));
    assert_null(strstr(answer.body, "weir_series "));
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(test_http_answers_queries),
        T(test_http_takes_posted_forms_where_prometheus_does),
        T(test_http_refuses_what_is_no_request),
        T(test_http_refuses_bad_requests_in_json),
        T(test_http_refuses_requests_of_doubtful_length),
        T(test_http_bounds_uri_headers_and_body),
        T(test_http_survives_bytes_of_any_kind),
        T(test_http_answers_an_expectation_without_a_body),
        T(test_http_takes_requests_byte_by_byte),
        T(test_http_forgets_half_requests),
        T(test_http_answers_pipelined_requests_in_order),
        T(test_http_keeps_connections_as_asked),
        T(test_http_answers_a_client_that_shut_its_sending_side),
        cmocka_unit_test_setup_teardown(
            test_http_answers_a_client_that_shut_its_sending_side_in_full, start_large, stop),
        T(test_http_closes_connections_whose_request_takes_too_long),
        T(test_http_grants_100_continue),
        T(test_http_stops_the_query_of_a_client_that_hangs_up),
        T(test_http_refuses_queries_past_its_queue_and_recovers),
        T(test_http_stops_with_queries_running_and_waiting),
        T(test_http_refuses_connections_past_its_limit),
        T(test_http_outlives_a_crowd),
        T(test_health_names_the_reason),
        T(test_health_names_what_the_instance_is_degraded_by),
        T(test_metrics_expose_the_ledger),
        T(test_metrics_class_queries_by_whose_fault_it_was),
        T(test_metrics_without_a_dataplane_say_what_is_left),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
