/* Who has to go where room for connections or answers is short. */
#include "http_fixture.h"

#define LARGE "GET /api/v1/label/x/values HTTP/1.1\r\nHost: x\r\n\r\n"
#define LARGE_ANSWER ((uint64_t)LARGE_COUNT * HUGE_BYTES) /* a little more */
#define QUERY "GET /api/v1/metrics/query?metric=cpu&from=0&to=60 HTTP/1.1\r\nHost: x\r\n\r\n"

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
await_metric(const char *name, double least)
{
    for (int i = 0; i < WAIT_MS / 10; i++) {
        if (metric(name) >= least)
            return;
        usleep(10000);
    }
    fail_msg("%s stays below %g", name, least);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
