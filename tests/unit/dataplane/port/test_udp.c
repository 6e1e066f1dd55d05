#include "dataplane/port/port.h"

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

static struct weir_counts counts;

static struct weir_listen
listen_on(const char *address)
{
    struct weir_listen listen = {.proto = WEIR_PROTO_GRAPHITE, .time_unit = WEIR_TIME_S};
    snprintf(listen.address, sizeof listen.address, "%s", address);
    return listen;
}

static struct weir_port *
port_open(const char *address, uint64_t buffer)
{
    struct weir_listen listen = listen_on(address);
    struct weir_port *port;
    memset(&counts, 0, sizeof counts);
    assert_int_equal(weir_port_udp_open(&listen, buffer, &counts, &port), WEIR_OK);
    assert_int_not_equal(weir_port_bound(port, 0), 0);
    return port;
}

static int
sender_to(const char *address, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    if (!is_v4)
        assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    const struct sockaddr *to = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    assert_int_equal(connect(fd, to, is_v4 ? sizeof v4 : sizeof v6), 0);
    return fd;
}

/* That fd sends from. */
static uint16_t
port_of(int fd)
{
    struct sockaddr_in6 name;
    socklen_t size = sizeof name;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    return ntohs(name.sin6_port); /* where sockaddr_in has it too */
}

static size_t
receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct pollfd wait = {.fd = port->ops->wait_fd(port), .events = POLLIN};
    assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
    return port->ops->receive(port, packets, max);
}

static void
test_datagrams_arrive_in_order_with_their_tags(void **state)
{
    const char *address = *state;
    struct weir_port *port = port_open(address, 1 << 20);
    int fd = sender_to(address, weir_port_bound(port, 0));
    assert_int_equal(send(fd, "a 1 2\n", 6, 0), 6);
    assert_int_equal(send(fd, "", 0, 0), 0);
    assert_int_equal(send(fd, "bc 1 2", 6, 0), 6);
    struct weir_packet packets[WEIR_BURST_MAX];
    assert_int_equal(receive(port, packets, WEIR_BURST_MAX), 3);
    assert_int_equal(packets[0].size, 6);
    assert_memory_equal(packets[0].data, "a 1 2\n", 6);
    assert_int_equal(packets[1].size, 0);
    assert_memory_equal(packets[2].data, "bc 1 2", 6);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(packets[i].proto, WEIR_PROTO_GRAPHITE);
        assert_int_equal(packets[i].time_unit, WEIR_TIME_S);
        assert_true(packets[i].final);
        assert_int_equal(packets[i].source, 0);
        assert_true(packets[i].receive_ms > 0);
        char peer[WEIR_PEER_TEXT_MAX];
        weir_peer_address_text(&packets[i].peer, peer);
        assert_string_equal(peer, address);
        assert_int_equal(packets[i].peer.port, port_of(fd));
    }
    port->ops->release(port, packets, 3);
    assert_int_equal(port->ops->receive(port, packets, WEIR_BURST_MAX), 0);
    close(fd);
    port->ops->close(port);
}

static void
test_largest_datagram_arrives_whole_with_slack(void **state)
{
    (void)state;
    struct weir_port *port = port_open("127.0.0.1", 1 << 20);
    int fd = sender_to("127.0.0.1", weir_port_bound(port, 0));
    static uint8_t data[65507];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    assert_int_equal(send(fd, data, sizeof data, 0), sizeof data);
    struct weir_packet packet;
    assert_int_equal(receive(port, &packet, 1), 1);
    assert_int_equal(packet.size, sizeof data);
    assert_memory_equal(packet.data, data, sizeof data);
    unsigned sum = 0;
    for (int i = 0; i < WEIR_PACKET_SLACK; i++)
        sum += packet.data[packet.size + (uint32_t)i];
    assert_true(sum < 256 * WEIR_PACKET_SLACK);
    close(fd);
    port->ops->close(port);
}

static void
test_burst_takes_no_more_than_asked(void **state)
{
    (void)state;
    struct weir_port *port = port_open("127.0.0.1", 1 << 20);
    int fd = sender_to("127.0.0.1", weir_port_bound(port, 0));
    for (int i = 0; i < 100; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(send(fd, &byte, 1, 0), 1);
    }
    struct weir_packet packets[WEIR_BURST_MAX];
    uint8_t next = 0;
    size_t want[] = {10, 64, 64};
    size_t expect[] = {10, 64, 26};
    for (int round = 0; round < 3; round++) {
        size_t got = receive(port, packets, want[round]);
        assert_int_equal(got, expect[round]);
        for (size_t i = 0; i < got; i++)
            assert_int_equal(packets[i].data[0], next++);
    }
    close(fd);
    port->ops->close(port);
}

/* What was sent is what was received and what the kernel dropped, exactly. */
static void
test_socket_drops_close_the_sum(void **state)
{
    (void)state;
    struct weir_port *port = port_open("127.0.0.1", 8192);
    int fd = sender_to("127.0.0.1", weir_port_bound(port, 0));
    uint8_t data[1000] = {0};
    const uint64_t sent = 400;
    for (uint64_t i = 0; i < sent; i++)
        assert_int_equal(send(fd, data, sizeof data, 0), sizeof data);
    uint64_t received = 0;
    struct weir_packet packets[WEIR_BURST_MAX];
    for (size_t got; (got = port->ops->receive(port, packets, WEIR_BURST_MAX)) > 0;)
        received += got;
    port->ops->statistics(port);
    port->ops->statistics(port);
    assert_true(received > 0 && received < sent);
    assert_int_equal(received + counts.counter[WEIR_COUNTER_socket_drops], sent);
    close(fd);
    port->ops->close(port);
    assert_int_equal(received + counts.counter[WEIR_COUNTER_socket_drops], sent);
}

static void
test_address_in_use_is_busy(void **state)
{
    (void)state;
    struct weir_listen listen = listen_on("127.0.0.1");
    struct weir_port *first, *second;
    memset(&counts, 0, sizeof counts);
    assert_int_equal(weir_port_udp_open(&listen, 1 << 16, &counts, &first), WEIR_OK);
    listen.port = weir_port_bound(first, 0);
    assert_int_equal(weir_port_udp_open(&listen, 1 << 16, &counts, &second), WEIR_BUSY);
    first->ops->close(first);
}

static void
test_bad_addresses_are_named(void **state)
{
    (void)state;
    struct weir_port *port;
    struct weir_listen listen = listen_on("localhost");
    assert_int_equal(weir_port_udp_open(&listen, 1 << 16, &counts, &port), WEIR_INVALID);
    assert_non_null(strstr(weir_err_detail(), "localhost"));
    listen = listen_on("203.0.113.1"); /* documentation address, not this machine's */
    assert_int_equal(weir_port_udp_open(&listen, 1 << 16, &counts, &port), WEIR_IO);
}

int
main(void)
{
    static char v4[] = "127.0.0.1";
    static char v6[] = "::1";
    const struct CMUnitTest tests[] = {
        {"test_datagrams_arrive_in_order_with_their_tags_ipv4",
            test_datagrams_arrive_in_order_with_their_tags, NULL, NULL, v4},
        {"test_datagrams_arrive_in_order_with_their_tags_ipv6",
            test_datagrams_arrive_in_order_with_their_tags, NULL, NULL, v6},
        cmocka_unit_test(test_largest_datagram_arrives_whole_with_slack),
        cmocka_unit_test(test_burst_takes_no_more_than_asked),
        cmocka_unit_test(test_socket_drops_close_the_sum),
        cmocka_unit_test(test_address_in_use_is_busy),
        cmocka_unit_test(test_bad_addresses_are_named),
    };
    return cmocka_run_group_tests_name("port_udp", tests, NULL, NULL);
}
