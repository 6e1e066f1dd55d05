/* Who has to go where room for connections or answers is short. */
#include "tests/unit/controlplane/http/http_fixture.h"

#define LARGE "GET /api/v1/label/x/values HTTP/1.1\r\nHost: x\r\n\r\n"
#define LARGE_ANSWER ((uint64_t)LARGE_COUNT * HUGE_BYTES) /* a little more */
#define QUERY "GET /api/v1/metrics/query?metric=cpu&from=0&to=60 HTTP/1.1\r\nHost: x\r\n\r\n"
/* Runs until its client is gone, or fake_endless is false again. */
#define ENDLESS \
    "GET /api/v1/metrics/query?metric=cpu&from=0&to=60&agg=last HTTP/1.1\r\nHost: x\r\n\r\n"

static int fds[WEIR_HTTP_CONNECTIONS_MAX];

static void
dial_all(void)
{
    for (int i = 0; i < WEIR_HTTP_CONNECTIONS_MAX; i++)
        fds[i] = dial();
}

static void
close_all(void)
{
    for (int i = 0; i < WEIR_HTTP_CONNECTIONS_MAX; i++)
        close(fds[i]);
}

/* Asks over a connection of its own. False where it ended without an answer. */
static bool
ask_once(const char *request)
{
    int fd = dial();
    send_text(fd, request);
    bool answered = read_answer(fd, true);
    close(fd);
    return answered;
}

/* Connects from another address of this machine. */
static int
dial_from(const char *source)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static double
metric(const char *name)
{
    char line[100];
    get("/metrics");
    assert_int_equal(answer.status, 200);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(answer.body, line);
    assert_non_null(at);
    return strtod(at + strlen(line), NULL);
}

static void
await_metric_below(const char *name, double most)
{
    for (int i = 0; i < WAIT_MS / 10; i++) {
        if (metric(name) <= most)
            return;
        usleep(10000);
    }
    fail_msg("%s stays above %g", name, most);
}

static void
await_metric(const char *name, double least)
{
    for (int i = 0; i < WAIT_MS / 10; i++) {
        if (metric(name) >= least)
            return;
        usleep(10000);
    }
    fail_msg("%s stays below %g", name, least);
}

static int
start_among_strangers(void **state)
{
    server.bounds_us = true;
    return start(state);
}

/* A stranger has the query threads and all of the queue that it can get, and one query more. */
static void
fill_queue(int *strangers, int count)
{
    fake_endless = true;
    for (int i = 0; i < count; i++) {
        strangers[i] = dial_from("127.0.0.2");
        send_text(strangers[i], ENDLESS);
        if (i < THREADS)
            await_scans(i + 1);
        else if (i < count - 1)
            await_metric("weir_queries_waiting", i + 1 - THREADS);
    }
}

#define HALF (WEIR_API_QUEUE_MAX / 2 + 1) /* what one source may have while nobody else asks */

static void
test_room_in_the_queue_is_left_for_queries_of_others(void **state)
{
    enum { STRANGERS = THREADS + HALF + 1 };
    int strangers[STRANGERS], others[WEIR_API_QUEUE_MAX / WEIR_SHARE_PART];
    int other_count = (int)(sizeof others / sizeof others[0]);
    (void)state;
    check_alive();
    fill_queue(strangers, STRANGERS);
    assert_true(read_answer(strangers[STRANGERS - 1], true));
    check_error(503, "too many queries of this source are waiting");
    assert_non_null(strstr(answer.bytes, "Retry-After: 1\r\n"));
    assert_int_equal((int)metric("weir_queries_total{endpoint=\"query\",outcome=\"refused\"}"), 1);
    /* the share of another source is an eighth now */
    for (int i = 0; i < other_count; i++) {
        others[i] = dial_from("127.0.0.3");
        send_text(others[i], ENDLESS);
    }
    await_metric("weir_queries_waiting", HALF + other_count);
    int more = dial_from("127.0.0.3");
    send_text(more, ENDLESS);
    assert_true(read_answer(more, true));
    check_error(503, "too many queries of this source are waiting");
    fake_endless = false;
    for (int i = 0; i < STRANGERS - 1 + other_count; i++) {
        int fd = i < STRANGERS - 1 ? strangers[i] : others[i - STRANGERS + 1];
        assert_true(read_answer(fd, true));
        assert_int_equal(answer.status, 200);
        close(fd);
    }
    close(strangers[STRANGERS - 1]);
    /* shares are given back */
    send_text(more, ENDLESS);
    assert_true(read_answer(more, true));
    assert_int_equal(answer.status, 200);
    close(more);
}

/* The next thread that is free runs it, however many of the stranger's have waited longer. */
static void
test_room_in_the_queue_goes_to_sources_in_turn(void **state)
{
    enum { STRANGERS = THREADS + 10 };
    int strangers[STRANGERS];
    (void)state;
    check_alive();
    fill_queue(strangers, STRANGERS);
    await_metric("weir_queries_waiting", STRANGERS - THREADS);
    int other = dial_from("127.0.0.3");
    send_text(other, "GET /api/v1/labels HTTP/1.1\r\nHost: x\r\n\r\n");
    await_metric("weir_queries_waiting", STRANGERS - THREADS + 1);
    close(strangers[0]); /* its first waiting one came before, and is due in the same round */
    await_metric_below("weir_queries_waiting", STRANGERS - THREADS + 0.5);
    close(strangers[1]);
    assert_true(read_answer(other, true));
    assert_int_equal(answer.status, 200);
    close(other);
    fake_endless = false;
    for (int i = 2; i < STRANGERS; i++) {
        assert_true(read_answer(strangers[i], true));
        close(strangers[i]);
    }
}

static void
test_room_in_the_queue_is_all_for_trusted_sources(void **state)
{
    enum { TRUSTED = THREADS + WEIR_API_QUEUE_MAX };
    int trusted[TRUSTED];
    (void)state;
    check_alive();
    fill_queue(trusted, TRUSTED);
    await_metric("weir_queries_waiting", WEIR_API_QUEUE_MAX);
    fake_endless = false;
    for (int i = 0; i < TRUSTED; i++) {
        assert_true(read_answer(trusted[i], true));
        assert_int_equal(answer.status, 200);
        close(trusted[i]);
    }
}

/* All places are taken, and none of those who have them asks anything. */
static void
test_room_idle_connections_go_for_others(void **state)
{
    (void)state;
    check_alive();
    dial_all();
    /* in their first second they stay; whoever asks then is told so, or served */
    for (int i = 0; i < WAIT_MS; i++) {
        assert_true(ask_once(QUERY));
        if (answer.status == 200)
            break;
        check_error(503, "too many connections");
        usleep(1000);
    }
    assert_int_equal(answer.status, 200);
    assert_true(at_end(fds[0]));
    send_text(fds[WEIR_HTTP_CONNECTIONS_MAX - 1], QUERY); /* the latest one is still there */
    assert_true(read_answer(fds[WEIR_HTTP_CONNECTIONS_MAX - 1], true));
    assert_int_equal(answer.status, 200);
    assert_true(metric("weir_http_connections_cut_total{reason=\"idle\"}") >= 1);
    close_all();
}

/* Nor do they go for a good while where they are in the middle of a request. */
static void
test_room_half_requests_go_for_others(void **state)
{
    (void)state;
    check_alive();
    dial_all();
    for (int i = 0; i < WEIR_HTTP_CONNECTIONS_MAX; i++)
        send_text(fds[i], "GET /healthz HT");
    for (int i = 0; i < WAIT_MS && (!ask_once(QUERY) || answer.status != 200); i++)
        usleep(1000);
    assert_int_equal(answer.status, 200);
    close_all();
}

static void
test_room_vital_requests_are_answered_past_the_bound(void **state)
{
    (void)state;
    static const char *const vital[] = {"/healthz", "/metrics", "/-/ready", "/-/healthy"};
    check_alive();
    dial_all();
    for (size_t i = 0; i < sizeof vital / sizeof vital[0]; i++) {
        get(vital[i]);
        assert_int_equal(answer.status, 200);
    }
    close_all();
}

static int
start_bounded(void **state)
{
    (void)state;
    server.huge = true;
    server.answers_max = 2 * LARGE_ANSWER + LARGE_ANSWER / 2;
    return start_with(LARGE_COUNT);
}

/* Two answers fill the room; the third finds none until the slowest reader is cut off. */
static void
test_room_answers_that_nobody_reads_are_bounded(void **state)
{
    (void)state;
    check_alive();
    int first = dial();
    send_text(first, LARGE);
    await_metric("weir_http_answers_bytes", (double)LARGE_ANSWER);
    int second = dial();
    send_text(second, LARGE);
    await_metric("weir_http_answers_bytes", (double)(2 * LARGE_ANSWER));
    bool refused = false;
    for (int i = 0; i < WAIT_MS / 10; i++) {
        assert_true(ask_once(LARGE));
        if (answer.status == 200)
            break;
        check_error(503, "http.answers_max");
        assert_non_null(strstr(answer.bytes, "Retry-After: 1\r\n"));
        refused = true;
        /* what is small is answered all the same, and so is what is vital */
        assert_true(ask_once(QUERY));
        assert_int_equal(answer.status, 200);
        assert_true(metric("weir_http_answers_bytes") <= (double)server.answers_max);
        usleep(10000);
    }
    assert_int_equal(answer.status, 200);
    assert_true(answer.body_size >= LARGE_ANSWER);
    assert_true(refused || metric("weir_http_connections_cut_total{reason=\"slow\"}") >= 1);
    assert_true(metric("weir_http_connections_cut_total{reason=\"slow\"}") >= 1);
    /* the first one was slower for longer, or as slow: one of the two is cut in the middle */
    int cut = !read_answer(first, true);
    cut += !read_answer(second, true);
    assert_true(cut >= 1);
    close(first);
    close(second);
    for (int i = 0; i < WAIT_MS && metric("weir_http_answers_bytes") > 100000; i++)
        usleep(1000);
}

static int
start_with_share(void **state)
{
    (void)state;
    server.huge = true;
    server.answers_max = 20 * LARGE_ANSWER;
    server.bounds_us = true;
    return start_with(LARGE_COUNT);
}

/* Less than half of the room may be one client's; of the rest an eighth. */
static void
test_room_of_answers_is_shared_between_sources(void **state)
{
    (void)state;
    enum { MOST = 12 };
    int readers[MOST];
    check_alive();
    int held = 0;
    bool refused = false;
    while (held < MOST && !refused) {
        readers[held] = dial();
        send_text(readers[held++], LARGE);
        for (int i = 0; i < WAIT_MS / 10; i++) {
            /* on a slow machine the first ones are slow readers by then, and go */
            refused = metric("weir_http_answers_refused_total") +
                metric("weir_http_connections_cut_total{reason=\"slow\"}") > 0;
            if (refused || metric("weir_http_answers_bytes") >= (double)held * LARGE_ANSWER)
                break;
            usleep(10000);
        }
    }
    assert_true(refused);
    assert_in_range(held, 9, 11); /* of twenty */
    for (int i = 0; i < held; i++)
        close(readers[i]);
}

static void
test_room_of_connections_is_shared_between_sources(void **state)
{
    (void)state;
    check_alive();
    dial_all();
    /* each is known by its first bytes */
    int refused = 0;
    for (int i = 0; i < WEIR_HTTP_CONNECTIONS_MAX * 3 / 4; i++) {
        send_text(fds[i], QUERY);
        if (read_answer(fds[i], true))
            refused += answer.status == 503;
    }
    assert_true(refused >= WEIR_HTTP_CONNECTIONS_MAX / 8);
    get("/healthz");
    assert_int_equal(answer.status, 200);
    close_all();
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_room_idle_connections_go_for_others, start, stop),
        cmocka_unit_test_setup_teardown(test_room_half_requests_go_for_others, start, stop),
        cmocka_unit_test_setup_teardown(
            test_room_vital_requests_are_answered_past_the_bound, start, stop),
        cmocka_unit_test_setup_teardown(
            test_room_answers_that_nobody_reads_are_bounded, start_bounded, stop),
        cmocka_unit_test_setup_teardown(
            test_room_of_answers_is_shared_between_sources, start_with_share, stop),
        cmocka_unit_test_setup_teardown(
            test_room_of_connections_is_shared_between_sources, start_with_share, stop),
        cmocka_unit_test_setup_teardown(
            test_room_in_the_queue_is_left_for_queries_of_others, start_among_strangers, stop),
        cmocka_unit_test_setup_teardown(
            test_room_in_the_queue_goes_to_sources_in_turn, start_among_strangers, stop),
        cmocka_unit_test_setup_teardown(
            test_room_in_the_queue_is_all_for_trusted_sources, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
