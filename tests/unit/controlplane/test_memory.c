/* Every allocation that a request of the API makes fails in turn: the answer is the right one, or
 * 503. libevent's own are another matter (app/main_controlplane.c). */
#include "controlplane/api/api.h"
#include "tests/unit/controlplane/fake_reader.h"
#include "tests/unit/faults/alloc.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SERIES 300
#define ANSWER_MAX (1 << 20)
#define WAIT_MS 60000 /* bound of every wait; nothing here takes long */
#define END " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

static struct event_base *base;
static struct weir_api *api;
static struct weir_shared *shared;
static int shared_fd;
static pthread_t thread, worker;
static _Atomic bool answering;
static int stop_pipe[2]; /* the loop ends when its writer closes */

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
    struct event *stop = event_new(base, stop_pipe[0], EV_READ, on_stop, base);
    event_add(stop, NULL);
    event_base_dispatch(base);
    event_free(stop);
    return NULL;
}

static struct weir_api_options
options_of(void)
{
    return (struct weir_api_options){.base = base, .address = "127.0.0.1", .threads = 1,
        .answers_max = UINT64_C(64) << 20,
        .limits = {1000, 100000, UINT64_MAX, 60000, 0, 64 << 20}, .shared = shared,
        .open = fake_open};
}

static int
start(void **state)
{
    (void)state;
    alloc_faults_exempt(true); /* the client's */
    fake_reset();
    for (int i = 0; i < SERIES; i++) {
        char labels[64];
        snprintf(labels, sizeof labels, "__name__=cpu,host=h%d", i);
        uint64_t number = fake_series(labels);
        for (int k = 3; k >= 0; k--) /* late ones, so that a query sorts them */
            fake_sample(number, 1000 * k, i);
    }
    assert_int_equal(weir_shared_new(4096, &shared_fd), WEIR_OK);
    assert_int_equal(weir_shared_map(shared_fd, &shared), WEIR_OK);
    atomic_store(&shared->epoch, 7);
    atomic_store(&shared->state, WEIR_INGEST_OPEN);
    struct weir_channel_rows rows = {0};
    weir_channel_view_publish(&shared->channel_view, &rows);
    base = event_base_new();
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    bool closed = true;
    if (api != NULL) {
        close(stop_pipe[1]);
        pthread_join(thread, NULL);
        atomic_store(&answering, false);
        pthread_join(worker, NULL);
        closed = weir_api_close(api, WAIT_MS);
        close(stop_pipe[0]);
    }
    api = NULL;
    event_base_free(base);
    weir_shared_unmap(shared);
    close(shared_fd);
    fake_reset();
    return closed ? 0 : -1;
}

static struct answer {
    int status; /* 0: the connection ended without one */
    const char *body;
    size_t size; /* of the body, as far as it came */
    bool whole;
    bool chunked; /* in pieces: where memory is short for one, the connection ends */
    char bytes[ANSWER_MAX];
} wanted, got;

/* Sends a request and reads to the end of the connection. */
static void
ask(const char *request, struct answer *out)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(weir_api_port(api)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    size_t used = 0;
    ssize_t piece;
    struct pollfd wait = {fd, POLLIN, 0};
    while (used < ANSWER_MAX - 1) {
        if (poll(&wait, 1, WAIT_MS) <= 0)
            fail_msg("no answer within the bound to %s", request);
        piece = recv(fd, out->bytes + used, ANSWER_MAX - 1 - used, 0);
        if (piece <= 0)
            break;
        used += (size_t)piece;
    }
    close(fd);
    out->bytes[used] = '\0';
    const char *body = strstr(out->bytes, "\r\n\r\n");
    const char *length = strstr(out->bytes, "Content-Length: ");
    out->status = body != NULL ? atoi(out->bytes + 9) : 0;
    out->body = body != NULL ? body + 4 : out->bytes + used;
    out->size = (size_t)(out->bytes + used - out->body);
    out->chunked = strstr(out->bytes, "Transfer-Encoding: chunked") != NULL;
    bool ended = out->chunked ? out->size >= 5 && strcmp(out->bytes + used - 5, "0\r\n\r\n") == 0
                              : length == NULL || strtoul(length + 16, NULL, 10) == out->size;
    out->whole = out->status != 0 && ended;
}

/* The dataplane's worker, as far as /api/v1/senders asks it. */
static void *
answer_senders(void *context)
{
    static const struct weir_channel_answer none = {.next = WEIR_CHANNEL_LIST_END};
    uint64_t seen = 0;
    (void)context;
    while (atomic_load(&answering)) {
        struct weir_channel_question question;
        if (weir_channel_mail_asked(&shared->channel_mail, &seen, &question))
            weir_channel_mail_reply(&shared->channel_mail, seen, &none);
        usleep(200);
    }
    return NULL;
}

static void
start_api(void)
{
    struct weir_api_options options = options_of();
    assert_int_equal(weir_api_open(&options, &api), WEIR_OK);
    assert_int_equal(pipe(stop_pipe), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    atomic_store(&answering, true);
    assert_int_equal(pthread_create(&worker, NULL, answer_senders, NULL), 0);
    do /* the query thread opens its reader */
        ask("GET /healthz" END, &wanted);
    while (wanted.status == 503);
}

/* The answer is the one wanted (where `fixed`, to the byte), or says that there was no memory; one
 * that ends before its size is not taken for an answer. */
static void
expect_right_or_unavailable(const char *request, bool fixed, long n, bool once)
{
    bool right = got.whole && got.status == wanted.status &&
        (!fixed || (got.size == wanted.size && memcmp(got.body, wanted.body, got.size) == 0));
    bool refused = got.status == 503 && (got.size == 0 || strstr(got.body, "memory") != NULL ||
                                            strstr(got.body, "Unavailable") != NULL);
    /* an error has no text where there is no memory for it */
    bool bare = got.status == wanted.status && wanted.status != 200 && got.size == 0;
    if (!right && !refused && !bare && ((once && !got.chunked) || got.whole))
        fail_msg("allocation %ld of %.60s: %s", n, request, got.bytes);
}

static void
each_failure(const char *request, int status, bool fixed)
{
    ask(request, &wanted);
    if (!wanted.whole || wanted.status != status)
        fail_msg("%s: %s", request, wanted.bytes);
    for (int once = 0; once < 2; once++) {
        bool failed = true;
        long n = 1;
        for (; failed; n++) {
            do { /* connections that ended are still counted for a moment */
                alloc_faults_arm(n, once ? alloc_faults_one : alloc_faults_all_from);
                ask(request, &got);
                failed = alloc_faults_disarm();
            } while (strstr(got.body, "too many connections") != NULL && usleep(20000) == 0);
            expect_right_or_unavailable(request, fixed, n, once);
        }
        print_message("# %.50s: %ld allocations\n", request, n - 2);
    }
}

static void
test_pages_answer_or_say_that_memory_is_short(void **state)
{
    (void)state;
    start_api();
    static const char *const paths[] = {"/metrics", "/healthz", "/-/healthy", "/-/ready",
        "/api/v1/senders", "/api/v1/rejected", "/api/v1/rules", "/api/v1/status/runtimeinfo",
        "/api/v1/status/config"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char request[200];
        snprintf(request, sizeof request, "GET %s" END, paths[i]);
        each_failure(request, 200, false);
    }
    each_failure("GET /" END, 200, true);
    each_failure("GET /nowhere" END, 404, true);
    each_failure("POST /healthz" END, 405, true);
}

static void
test_queries_answer_right_or_say_that_memory_is_short(void **state)
{
    (void)state;
    static const char sum[] = "GET /api/v1/metrics/query?metric=cpu&from=0&to=60&agg=sum" END;
    start_api();
    each_failure(sum, 200, true);
    each_failure("GET /api/v1/metrics/query?metric=cpu&from=0&to=60&agg=raw" END, 200, true);
    each_failure(
        "GET /api/v1/metrics/query?metric=cpu&from=0&to=60&agg=last&host=h7" END, 200, true);
    each_failure("GET /api/v1/metrics/query?metric=cpu&from=x" END, 400, true);
    each_failure("GET /api/v1/query?query=sum(cpu)&time=3" END, 200, true);
    each_failure("GET /api/v1/query?query=cpu%7Bhost=~%22h1.%22%7D&time=3" END, 200, true);
    each_failure("GET /api/v1/query?query=sum(" END, 400, true);
    each_failure("GET /api/v1/query_range?query=cpu&start=0&end=60&step=1" END, 200, true);
    if (!wanted.chunked)
        fail_msg("an answer of %zu bytes was to come in pieces", wanted.size);
    each_failure("GET /api/v1/query_range?query=cpu&start=0&end=60&step=1 HTTP/1.1\r\n"
                 "Host: localhost\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n",
        200, false);
    each_failure("GET /api/v1/format_query?query=sum(x)" END, 200, true);
    each_failure("GET /api/v1/parse_query?query=sum(x)" END, 200, true);
    each_failure("GET /api/v1/status/tsdb" END, 200, true);
    each_failure("GET /federate?match[]=cpu" END, 200, true);
    each_failure("GET /api/v1/labels?start=1&match[]=cpu" END, 200, true);
    each_failure("GET /api/v1/labels" END, 200, true);
    each_failure("GET /api/v1/label/host/values" END, 200, true);
    each_failure("GET /api/v1/series?match[]=cpu%7Bhost=%22h1%22%7D&match[]=cpu" END, 200, true);
    each_failure("POST /api/v1/labels HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                 "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 11\r\n\r\n"
                 "match[]=cpu",
        200, true);
    each_failure("GET /api/v1/label/host/values HTTP/1.1\r\nHost: localhost\r\n"
                 "Connection: close\r\nAccept-Encoding: gzip\r\n\r\n",
        200, false);
}

/* What cannot be made whole is taken back: the port is free again, and the next try opens it. */
static void
test_api_that_cannot_be_opened_leaves_nothing(void **state)
{
    (void)state;
    alloc_faults_exempt(false);
    for (long n = 1;; n++) {
        struct weir_api_options options = options_of();
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = weir_api_open(&options, &api);
        bool failed = alloc_faults_disarm();
        if (err == WEIR_OK)
            assert_true(weir_api_close(api, WAIT_MS));
        api = NULL;
        if (!failed)
            break;
        /* a reader that could not be opened is opened later */
        assert_true(err == WEIR_NOMEM || err == WEIR_OK);
    }
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_pages_answer_or_say_that_memory_is_short),
        TEST(test_queries_answer_right_or_say_that_memory_is_short),
        TEST(test_api_that_cannot_be_opened_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
