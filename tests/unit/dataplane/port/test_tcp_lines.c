/* Answers to single records: the worker's side is played by the test. */
#include "dataplane/port/port.h"
#include "dataplane/protocol/protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 60000

static struct {
    struct weir_port *port;
    struct weir_counts counts;
    struct weir_progress progress;
    struct weir_hash_key key;
    uint32_t source; /* of the last packet */
    bool ends;       /* the next packets end their streams */
} t;

static int
setup(void **state)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    const struct weir_listen listen = {.proto = WEIR_PROTO_GRAPHITE, .transport = 1,
        .time_unit = WEIR_TIME_S, .address = "127.0.0.1"};
    (void)state;
    memset(&t, 0, sizeof t);
    weir_hash_key_init(&t.key, seed);
    const struct weir_tcp_options options = {
        .connections_max = 4, .idle_ms = INT64_MAX, .key = &t.key};
    assert_int_equal(weir_port_tcp_open(&listen, 1, &options, &t.counts, &t.port), WEIR_OK);
    t.port->index = 3;
    t.port->worker = 1;
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    t.port->ops->close(t.port);
    return 0;
}

static int
dial(int receive_bytes)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons(weir_port_bound(t.port, 0)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_bytes > 0)
        assert_int_equal(
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Rounds until the port's descriptor stays quiet; every packet is accepted whole. */
static void
work_all(void)
{
    struct pollfd wait = {.fd = t.port->ops->wait_fd(t.port), .events = POLLIN};
    while (poll(&wait, 1, 60) == 1) {
        struct weir_packet packets[WEIR_BURST_MAX];
        size_t count = t.port->ops->receive(t.port, packets, WEIR_BURST_MAX);
        for (size_t i = 0; i < count; i++) {
            t.source = packets[i].source;
            packets[i].consumed = packets[i].size;
            packets[i].accepted = 1;
            packets[i].ends = t.ends;
        }
        if (count > 0)
            t.port->ops->release(t.port, packets, count);
    }
}

static void
say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    work_all();
}

static void
answer(const char *line)
{
    t.port->ops->answer(t.port, t.source, (const uint8_t *)line, strlen(line));
}

/* What is there, or comes until the end. */
static size_t
hear(int fd, char *out, size_t room, bool to_the_end)
{
    size_t size = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, to_the_end ? WAIT_MS : 0) == 0)
            break;
        ssize_t got = recv(fd, out + size, room - size, 0);
        assert_true(got >= 0);
        if (got == 0)
            break;
        size += (size_t)got;
    }
    return size;
}

static void
test_lines_go_out_in_order_with_the_next_round(void **state)
{
    (void)state;
    char text[256];
    int fd = dial(0);
    say(fd, "a 1 1\n");
    answer("one\n");
    answer("two\n");
    t.port->ops->progress(t.port, &t.progress);
    assert_int_equal(hear(fd, text, sizeof text, false), 8);
    assert_memory_equal(text, "one\ntwo\n", 8);
    assert_int_equal(t.counts.counter[WEIR_COUNTER_answers_sent], 2);
    close(fd);
}

static void
test_lines_of_two_senders_do_not_mix(void **state)
{
    (void)state;
    char text[256];
    int first = dial(0), second = dial(0);
    say(first, "a 1 1\n");
    uint32_t source = t.source;
    say(second, "a 1 1\n");
    answer("second\n");
    t.source = source;
    answer("first\n");
    t.port->ops->progress(t.port, &t.progress);
    assert_int_equal(hear(first, text, sizeof text, false), 6);
    assert_memory_equal(text, "first\n", 6);
    assert_int_equal(hear(second, text, sizeof text, false), 7);
    assert_memory_equal(text, "second\n", 7);
    close(first);
    close(second);
}

static void
test_a_line_for_a_sender_that_is_gone_is_nobodys(void **state)
{
    (void)state;
    int fd = dial(0);
    say(fd, "a 1 1\n");
    const struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(fd);
    work_all();
    answer("late\n");
    t.port->ops->progress(t.port, &t.progress);
    assert_int_equal(t.counts.counter[WEIR_COUNTER_connections_closed], 1);
    assert_int_equal(t.counts.counter[WEIR_COUNTER_answers_sent], 0);
}

static void
test_a_sender_that_does_not_read_loses_whole_lines(void **state)
{
    (void)state;
    enum { LINES = 100000 };
    static char text[LINES * WEIR_ANSWER_MAX], line[WEIR_ANSWER_MAX + 1];
    memset(line, 'x', WEIR_ANSWER_MAX);
    line[WEIR_ANSWER_MAX - 1] = '\n';
    int fd = dial(4096);
    say(fd, "a 1 1\n");
    for (int i = 0; i < LINES; i++)
        answer(line);
    t.port->ops->progress(t.port, &t.progress);
    uint64_t sent = t.counts.counter[WEIR_COUNTER_answers_sent];
    assert_int_equal(sent + t.counts.counter[WEIR_COUNTER_answers_dropped], LINES);
    assert_true(sent > 0 && sent < LINES);
    size_t size = 0;
    for (int round = 0; round < 1000 && size < sent * WEIR_ANSWER_MAX; round++) {
        size += hear(fd, text + size, sizeof text - size, false);
        work_all(); /* the kept end of a line goes out when there is room */
    }
    assert_int_equal(size, sent * WEIR_ANSWER_MAX);
    for (size_t at = 0; at < size; at += WEIR_ANSWER_MAX)
        assert_memory_equal(text + at, line, WEIR_ANSWER_MAX);
    answer("again\n");
    t.port->ops->progress(t.port, &t.progress);
    assert_int_equal(hear(fd, text, sizeof text, false), 6);
    close(fd);
}

static void
test_a_stream_that_ends_by_a_command_is_answered_and_closed(void **state)
{
    (void)state;
    char text[256];
    int fd = dial(0);
    t.ends = true;
    say(fd, "exit\n");
    answer("bye\n");
    t.port->ops->progress(t.port, &t.progress);
    size_t size = hear(fd, text, sizeof text - 1, true);
    text[size] = '\0';
    assert_string_equal(text, "bye\nok 1 0 0\n");
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_lines_go_out_in_order_with_the_next_round, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines_of_two_senders_do_not_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_line_for_a_sender_that_is_gone_is_nobodys, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_sender_that_does_not_read_loses_whole_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_stream_that_ends_by_a_command_is_answered_and_closed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
