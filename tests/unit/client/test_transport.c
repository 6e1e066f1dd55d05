/* The client over TCP, against a Weir that the test plays: when it listens, how long it pauses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/client_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static bool broken; /* nothing can be sent */

ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);

ssize_t
__wrap_send(int fd, const void *data, size_t size, int flags)
{
    if (!broken)
        return __real_send(fd, data, size, flags);
    errno = EPIPE;
    return -1;
}

static struct {
    int listener;
    int fd; /* the client's connection, this side */
    struct weir_client *client;
    uint16_t template;
} t;

static int
start(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    broken = false;
    t.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(t.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(t.listener, 8), 0);
    assert_int_equal(getsockname(t.listener, (struct sockaddr *)&at, &size), 0);
    const struct weir_client_options options = {.address = "127.0.0.1",
        .port = ntohs(at.sin_port),
        .tcp = true,
        .sender = 1,
        .epoch = 1,
        .packet_max = 256};
    const struct weir_client_label name = {"__name__", "x"};
    const struct weir_client_series series = {&name, 1};
    assert_int_equal(weir_client_new(&options, &t.client), 0);
    assert_int_equal(weir_client_add_template(t.client, NULL, 0, &series, 1, &t.template), 0);
    t.fd = accept(t.listener, NULL, NULL);
    assert_true(t.fd >= 0);
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    weir_client_free(t.client);
    close(t.fd);
    close(t.listener);
    return 0;
}

static int64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The other side ends the connection, and takes the client's next one. */
static void
reconnect(void)
{
    close(t.fd);
    for (int i = 0; t.client->fd >= 0; i++) {
        assert_in_range(i, 0, 2000);
        weir_client_pause(t.client);
    }
    t.client->attempt_ms = 0;
    weir_client_listen(t.client);
    t.fd = accept(t.listener, NULL, NULL);
    assert_true(t.fd >= 0);
}

/* Acknowledges, and waits until the client's kernel has it. */
static void
acknowledge(uint64_t sequence)
{
    const struct weir_wire_ack ack = {
        .magic = WEIR_WIRE_ACK_MAGIC, .epoch = 1, .sequence = sequence};
    struct pollfd came = {.fd = t.client->fd, .events = POLLIN};
    assert_int_equal(__real_send(t.fd, &ack, sizeof ack, 0), sizeof ack);
    assert_int_equal(poll(&came, 1, 60000), 1);
}

static int
unread(void)
{
    int bytes;
    assert_int_equal(ioctl(t.client->fd, FIONREAD, &bytes), 0);
    return bytes;
}

static int
add(double value)
{
    return weir_client_add_values(t.client, t.template, 0, &value, 1, 1000);
}

static void
test_adding_values_does_not_listen_before_a_packet_goes_out(void **state)
{
    (void)state;
    assert_int_equal(add(1), 0);
    assert_int_equal(weir_client_flush(t.client), 0);
    acknowledge(1);
    assert_int_equal(add(2), 0);
    assert_int_equal(unread(), sizeof(struct weir_wire_ack));
    assert_int_equal(weir_client_acked(t.client), 0);
    for (int i = 0; weir_client_sent(t.client) == 1; i++) {
        assert_in_range(i, 0, 10); /* a packet of 256 bytes holds no more */
        assert_int_equal(add(i), 0);
    }
    assert_int_equal(unread(), 0);
    assert_int_equal(weir_client_acked(t.client), 1);
}

static void
test_adding_values_listens_where_too_many_packets_wait(void **state)
{
    (void)state;
    int err = 0;
    static char sink[1 << 20];
    while (err == 0) {
        err = add(1);
        (void)recv(t.fd, sink, sizeof sink, MSG_DONTWAIT);
    }
    assert_int_equal(err, -EAGAIN);
    acknowledge(weir_client_sent(t.client));
    assert_int_equal(add(1), 0);
    assert_int_equal(weir_client_acked(t.client), weir_client_sent(t.client));
}

static void
test_a_connection_that_fails_at_its_definitions_doubles_the_pause_once(void **state)
{
    (void)state;
    broken = true;
    assert_int_equal(add(1), 0);
    assert_int_equal(weir_client_flush(t.client), 0);
    assert_int_equal(t.client->fd, -1);
    int pause_ms = t.client->pause_ms;
    assert_true(pause_ms > 0);
    for (int i = 0; i < 3; i++) {
        t.client->attempt_ms = 0; /* its time has come */
        weir_client_listen(t.client);
        assert_int_equal(t.client->fd, -1);
        assert_int_equal(t.client->pause_ms, 2 * pause_ms);
        pause_ms *= 2;
    }
    broken = false;
    t.client->attempt_ms = 0;
    weir_client_listen(t.client);
    assert_true(t.client->fd >= 0);
}

static void
test_who_answers_something_else_is_not_weir(void **state)
{
    (void)state;
    assert_int_equal(add(1), 0);
    assert_int_equal(__real_send(t.fd, "hm", 2, 0), 2);
    assert_int_equal(weir_client_wait(t.client, 0, 10000), -EPROTO);
    assert_false(weir_client_heard(t.client));
}

static void
test_who_answers_something_else_may_be_followed_by_weir(void **state)
{
    (void)state;
    assert_int_equal(add(1), 0);
    assert_int_equal(__real_send(t.fd, "220 hello\r\n", 11, 0), 11);
    reconnect();
    assert_int_equal(weir_client_flush(t.client), 0);
    acknowledge(1);
    assert_int_equal(weir_client_wait(t.client, 0, 10000), 0);
    assert_int_equal(weir_client_acked(t.client), 1);
}

/* The client has ended the connection, and makes the next one. */
static void
accept_next(void)
{
    close(t.fd);
    t.client->attempt_ms = 0;
    weir_client_listen(t.client);
    t.fd = accept(t.listener, NULL, NULL);
    assert_true(t.fd >= 0);
}

static void
refuse_epoch(uint16_t status, uint32_t epoch)
{
    const struct weir_wire_ack ack = {
        .magic = WEIR_WIRE_ACK_MAGIC, .status = status, .epoch = epoch};
    assert_int_equal(__real_send(t.fd, &ack, sizeof ack, 0), sizeof ack);
}

static void
test_epoch_that_weir_refuses_ends_the_waiting_until_weir_takes_it(void **state)
{
    (void)state;
    assert_int_equal(add(1), 0);
    refuse_epoch(WEIR_WIRE_OLD_EPOCH, 9);
    assert_int_equal(weir_client_wait(t.client, 0, 60000), -ESTALE);
    assert_int_equal(weir_client_status(t.client), WEIR_WIRE_OLD_EPOCH);
    assert_int_equal(weir_client_epoch_met(t.client), 9);
    accept_next();
    refuse_epoch(WEIR_WIRE_EPOCH_AHEAD, 1);
    assert_int_equal(weir_client_wait(t.client, 0, 60000), -ESTALE);
    assert_int_equal(weir_client_status(t.client), WEIR_WIRE_EPOCH_AHEAD);
    accept_next();
    acknowledge(1); /* it was told to forget this sender */
    assert_int_equal(weir_client_flush(t.client), 0);
    assert_int_equal(weir_client_wait(t.client, 0, 60000), 0);
}

static void
test_waiting_makes_the_connection_that_follows_a_stranger(void **state)
{
    (void)state;
    assert_int_equal(add(1), 0);
    assert_int_equal(__real_send(t.fd, "220 hello\r\n", 11, 0), 11);
    assert_int_equal(weir_client_wait(t.client, 0, 10000), -EPROTO);
    close(t.fd);
    t.client->attempt_ms = 0;
    assert_int_equal(weir_client_wait(t.client, 0, 0), -ETIME);
    t.fd = accept(t.listener, NULL, NULL);
    acknowledge(1);
    assert_int_equal(weir_client_wait(t.client, 0, 10000), 0);
}

static void
test_definitions_are_repeated_soon_on_each_connection(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        t.client->repeat_ms = now_ms() + 600000; /* repeated on the connection so far */
        int64_t before_ms = now_ms();
        reconnect();
        assert_in_range(t.client->repeat_ms, before_ms + 1000, now_ms() + 2000);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_adding_values_does_not_listen_before_a_packet_goes_out),
        TEST(test_adding_values_listens_where_too_many_packets_wait),
        TEST(test_a_connection_that_fails_at_its_definitions_doubles_the_pause_once),
        TEST(test_who_answers_something_else_is_not_weir),
        TEST(test_who_answers_something_else_may_be_followed_by_weir),
        TEST(test_epoch_that_weir_refuses_ends_the_waiting_until_weir_takes_it),
        TEST(test_waiting_makes_the_connection_that_follows_a_stranger),
        TEST(test_definitions_are_repeated_soon_on_each_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
