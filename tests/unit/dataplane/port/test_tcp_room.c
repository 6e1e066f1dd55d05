/* Who gets a TCP connection where they are few, and acknowledgements that find no room. The
 * worker's side is played by work(): all bytes are taken, as one record. send() of the port goes
 * through __wrap_send(), which takes as many bytes as there is room for. */
#include "base/clock.h"
#include "client/wire.h"
#include "dataplane/port/port.h"
#include "model/shared.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 60000
#define ALWAYS INT64_MAX
#define OTHER "127.0.0.9"

static struct {
    struct weir_port *port;
    struct weir_counts counts;
    struct weir_progress progress;
    struct weir_degraded degraded;
    struct weir_hash_key key;
    struct weir_prefix trusted;
    ssize_t send_room; /* bytes that the port may send; below 0: all */
    uint64_t sequence; /* of the last packet of the weir protocol */
    uint8_t refuses;   /* status by which it refuses the packets' epoch */
    size_t packets;
} t;

ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);

ssize_t
__wrap_send(int fd, const void *data, size_t size, int flags)
{
    if (t.send_room < 0 || (flags & MSG_DONTWAIT) == 0)
        return __real_send(fd, data, size, flags);
    size_t part = size < (size_t)t.send_room ? size : (size_t)t.send_room;
    t.send_room -= (ssize_t)part;
    if (part == 0) {
        errno = EAGAIN;
        return -1;
    }
    return __real_send(fd, data, part, flags);
}

static void
open_port(uint32_t connections, size_t listeners, uint8_t proto, int64_t idle_ms,
    const char *trusted)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    const struct weir_listen listens[] = {
        {.proto = proto, .transport = 1, .address = "127.0.0.1"},
        {.proto = proto, .transport = 1, .address = "127.0.0.1"}};
    memset(&t, 0, sizeof t);
    t.send_room = -1;
    weir_hash_key_init(&t.key, seed);
    assert_int_equal(weir_prefix_parse(trusted, &t.trusted), WEIR_OK);
    const struct weir_tcp_options options = {.connections_max = connections,
        .idle_ms = idle_ms,
        .key = &t.key,
        .trusted = {&t.trusted, 1},
        .degraded = &t.degraded};
    assert_int_equal(
        weir_port_tcp_open(listens, listeners, &options, &t.counts, &t.port), WEIR_OK);
    t.port->index = 1;
}

static int
teardown(void **state)
{
    (void)state;
    t.port->ops->close(t.port);
    return 0;
}

/* One round of a worker. */
static void
work(void)
{
    struct weir_packet packets[WEIR_BURST_MAX];
    size_t count = t.port->ops->receive(t.port, packets, WEIR_BURST_MAX);
    for (size_t i = 0; i < count; i++) {
        packets[i].consumed = packets[i].size;
        packets[i].accepted = 1;
        packets[i].batch = 1;
        if (packets[i].proto != WEIR_PROTO_WEIR)
            continue;
        if (t.refuses != 0) {
            packets[i].refused_status = t.refuses;
            packets[i].refused_epoch = 99;
            packets[i].refused_channel = 3;
            continue;
        }
        packets[i].ack_epoch = 7;
        packets[i].ack_sequence = ++t.sequence;
        packets[i].ack_batch = t.sequence;
    }
    t.packets += count;
    if (count > 0)
        t.port->ops->release(t.port, packets, count);
}

static void
work_until_quiet(void)
{
    struct pollfd wait = {.fd = t.port->ops->wait_fd(t.port), .events = POLLIN};
    for (int i = 0; i < 100 && poll(&wait, 1, 20) == 1; i++)
        work();
}

static int
dial_from(const char *source, size_t listener)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons(weir_port_bound(t.port, listener)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    work_until_quiet();
    return fd;
}

static void
say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    work_until_quiet();
}

static int
dial_and_say(const char *source, size_t listener)
{
    int fd = dial_from(source, listener);
    say(fd, "a 1 1\n");
    return fd;
}

static bool
is_open(int fd)
{
    uint8_t byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return got < 0 && errno == EAGAIN;
}

static uint64_t
counter(enum weir_counter counter)
{
    return t.counts.counter[counter];
}

static void
test_connection_that_never_spoke_makes_room_the_oldest_first(void **state)
{
    (void)state;
    int fds[6];
    open_port(4, 1, WEIR_PROTO_GRAPHITE, ALWAYS, "127.0.0.0/8");
    fds[0] = dial_from(OTHER, 0);
    fds[1] = dial_and_say(OTHER, 0);
    fds[2] = dial_from(OTHER, 0);
    fds[3] = dial_and_say(OTHER, 0);
    fds[4] = dial_and_say(OTHER, 0);
    assert_false(is_open(fds[0]));
    assert_true(is_open(fds[2]));
    fds[5] = dial_and_say(OTHER, 0);
    assert_false(is_open(fds[2]));
    for (int i = 3; i < 6; i++)
        assert_true(is_open(fds[i]));
    assert_true(is_open(fds[1]));
    assert_int_equal(counter(WEIR_COUNTER_connections_idle_closed), 2);
    assert_int_equal(counter(WEIR_COUNTER_connections_refused), 0);
    assert_int_equal(t.packets, 4);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
}

static void
test_connection_with_an_incomplete_line_makes_room_before_those_that_sent_records(void **state)
{
    (void)state;
    int fds[6];
    open_port(4, 1, WEIR_PROTO_GRAPHITE, ALWAYS, "127.0.0.0/8");
    for (int i = 0; i < 4; i++)
        fds[i] = dial_from(OTHER, 0);
    for (int i = 0; i < 4; i++)
        say(fds[i], i == 2 ? "a 1" : "a 1 1\n");
    fds[4] = dial_and_say(OTHER, 0);
    assert_false(is_open(fds[2]));
    for (int i = 0; i < 5; i++)
        assert_true(i == 2 || is_open(fds[i]));
    for (int i = 0; i < 5; i++)
        close(fds[i]);
}

static void
test_connections_that_all_speak_are_kept_and_a_further_one_is_refused_by_name(void **state)
{
    (void)state;
    int fds[6], ends[2];
    char reported[2048], name[96];
    open_port(4, 1, WEIR_PROTO_GRAPHITE, ALWAYS, "127.0.0.0/8");
    for (int i = 0; i < 4; i++)
        fds[i] = dial_and_say(OTHER, 0);
    assert_int_equal(pipe(ends), 0);
    int kept = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    fds[4] = dial_from(OTHER, 0);
    fds[5] = dial_from(OTHER, 0);
    dup2(kept, STDERR_FILENO);
    ssize_t size = read(ends[0], reported, sizeof reported - 1);
    assert_true(size > 0);
    reported[size] = '\0';
    snprintf(name, sizeof name, "event=connections_full table=connections listener=127.0.0.1:%u "
        "who=" OTHER, weir_port_bound(t.port, 0));
    assert_non_null(strstr(reported, name));
    assert_int_equal(counter(WEIR_COUNTER_connections_refused), 2);
    assert_true(weir_degraded_by(&t.degraded, WEIR_DEGRADED_connections_full,
        weir_mono_ns() / 1000000));
    assert_false(is_open(fds[4]));
    assert_false(is_open(fds[5]));
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    close(kept);
    close(ends[0]);
    close(ends[1]);
}

static void
test_connection_silent_for_long_makes_room_but_not_one_that_is_owed_an_answer(void **state)
{
    (void)state;
    int fds[5];
    open_port(4, 1, WEIR_PROTO_GRAPHITE, 0, "127.0.0.0/8");
    for (int i = 0; i < 4; i++)
        fds[i] = dial_and_say(OTHER, 0);
    shutdown(fds[0], SHUT_WR);
    work_until_quiet();
    fds[4] = dial_and_say(OTHER, 0);
    assert_true(is_open(fds[0]));
    assert_false(is_open(fds[1]));
    assert_true(is_open(fds[2]));
    for (int i = 0; i < 5; i++)
        close(fds[i]);
}

static void
test_listener_keeps_its_reserve_when_another_is_flooded(void **state)
{
    (void)state;
    int fds[20];
    int count = 0;
    open_port(16, 2, WEIR_PROTO_GRAPHITE, ALWAYS, "127.0.0.0/8");
    int mine = dial_and_say(OTHER, 1); /* in the reserve of two, and so is one more */
    while (counter(WEIR_COUNTER_connections_refused) == 0)
        fds[count++] = dial_and_say(OTHER, 0);
    assert_int_equal(count, 15); /* the last one was refused */
    int second = dial_and_say(OTHER, 1);
    assert_true(is_open(second));
    int third = dial_and_say(OTHER, 1);
    assert_false(is_open(third));
    assert_true(is_open(mine));
    for (int i = 0; i < count; i++)
        close(fds[i]);
    close(mine);
    close(second);
    close(third);
}

static void
test_flood_of_silent_connections_ends_none_of_the_other_listeners_reserve(void **state)
{
    (void)state;
    int fds[30];
    open_port(16, 2, WEIR_PROTO_GRAPHITE, 0, "127.0.0.0/8");
    int mine = dial_and_say(OTHER, 1);
    int silent = dial_from(OTHER, 1);
    for (int i = 0; i < 30; i++)
        fds[i] = dial_from(OTHER, 0);
    assert_true(is_open(mine));
    assert_true(is_open(silent));
    for (int i = 0; i < 30; i++)
        close(fds[i]);
    close(mine);
    close(silent);
}

static void
test_address_holds_its_share_of_connections_once_half_are_taken(void **state)
{
    (void)state;
    int fds[40];
    int count = 0;
    open_port(16, 1, WEIR_PROTO_GRAPHITE, ALWAYS, "127.0.0.9/32");
    for (int i = 0; i < 12; i++)
        fds[count++] = dial_and_say("127.0.0.2", 0);
    assert_int_equal(counter(WEIR_COUNTER_connections_refused), 3);
    for (int i = 0; i < 3; i++)
        fds[count++] = dial_and_say("127.0.0.3", 0);
    assert_int_equal(counter(WEIR_COUNTER_connections_refused), 4);
    for (int i = 0; i < 5; i++)
        fds[count++] = dial_and_say(OTHER, 0); /* trusted: all that are left */
    assert_int_equal(counter(WEIR_COUNTER_connections_refused), 4);
    /* what goes leaves its share */
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    work_until_quiet();
    t.port->ops->progress(t.port, &t.progress);
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_WORKER(0)], 9);
    t.port->ops->progress(t.port, &t.progress);
    fds[0] = dial_and_say("127.0.0.2", 0);
    assert_true(is_open(fds[0]));
    close(fds[0]);
    for (int i = 8; i < count; i++)
        close(fds[i]);
}

static void
test_out_of_descriptors_an_idle_connection_makes_room(void **state)
{
    (void)state;
    open_port(8, 1, WEIR_PROTO_GRAPHITE, ALWAYS, "127.0.0.0/8");
    int idle = dial_from(OTHER, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons(weir_port_bound(t.port, 0)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(fd);
    none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    close(next);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    work_until_quiet();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(is_open(idle));
    say(fd, "a 1 1\n");
    assert_int_equal(t.packets, 1);
    close(fd);
    close(idle);
}

/* ---- acknowledgements of the weir protocol ---- */

/* Sends something that has the size of a header, which work() takes for a packet, and lets it
 * become durable. */
static void
packet_made_durable(int fd)
{
    uint8_t packet[64] = {0};
    uint64_t before = t.sequence;
    assert_int_equal(__real_send(fd, packet, sizeof packet, MSG_NOSIGNAL), sizeof packet);
    while (t.sequence == before)
        work();
    t.port->ops->progress(t.port, &t.progress);
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_WORKER(0)], t.sequence);
    t.port->ops->progress(t.port, &t.progress);
}

/* Reads so many bytes, and sees that no more are there. */
static void
read_exactly(int fd, uint8_t *out, size_t size)
{
    for (size_t done = 0; done < size;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        ssize_t got = recv(fd, out + done, size - done, MSG_DONTWAIT);
        assert_true(got > 0);
        done += (size_t)got;
    }
    uint8_t more;
    assert_true(recv(fd, &more, 1, MSG_DONTWAIT) <= 0);
}

static void
assert_ack(const uint8_t *bytes, uint64_t sequence)
{
    struct weir_wire_ack ack;
    memcpy(&ack, bytes, sizeof ack);
    assert_int_equal(ack.magic, WEIR_WIRE_ACK_MAGIC);
    assert_int_equal(ack.epoch, 7);
    assert_int_equal(ack.sequence, sequence);
}

static void
test_acknowledgement_cut_for_want_of_room_goes_on_where_it_was_cut(void **state)
{
    (void)state;
    uint8_t bytes[256];
    open_port(4, 1, WEIR_PROTO_WEIR, ALWAYS, "127.0.0.0/8");
    int fd = dial_from(OTHER, 0);
    packet_made_durable(fd);
    t.send_room = 20;
    packet_made_durable(fd);
    packet_made_durable(fd); /* two that find no room at all */
    packet_made_durable(fd);
    t.send_room = -1;
    work_until_quiet();
    read_exactly(fd, bytes, 96);
    assert_ack(bytes, 1);
    assert_ack(bytes + 32, 2);
    assert_ack(bytes + 64, 4); /* the newest, which says what those between did */
    packet_made_durable(fd);
    read_exactly(fd, bytes, 32);
    assert_ack(bytes, 5);
    close(fd);
}

static void
test_last_acknowledgement_waits_for_room_before_the_end(void **state)
{
    (void)state;
    uint8_t bytes[256];
    for (ssize_t room = 0; room < 64; room += 7) {
        open_port(4, 1, WEIR_PROTO_WEIR, ALWAYS, "127.0.0.0/8");
        int fd = dial_from(OTHER, 0);
        t.send_room = room;
        packet_made_durable(fd);
        shutdown(fd, SHUT_WR);
        for (int i = 0; i < 3; i++) {
            work_until_quiet();
            t.port->ops->progress(t.port, &t.progress);
        }
        assert_int_equal(counter(WEIR_COUNTER_connections_closed), 0);
        t.send_room = -1;
        for (int i = 0; i < 100 && counter(WEIR_COUNTER_connections_closed) == 0; i++) {
            work();
            t.port->ops->progress(t.port, &t.progress);
        }
        assert_int_equal(counter(WEIR_COUNTER_connections_closed), 1);
        read_exactly(fd, bytes, 64);
        assert_ack(bytes, 1);
        assert_ack(bytes + 32, 1);
        close(fd);
        t.port->ops->close(t.port);
    }
    open_port(1, 1, WEIR_PROTO_WEIR, ALWAYS, "127.0.0.0/8"); /* for the teardown */
}

static void
test_refusal_of_an_epoch_is_reported_once_a_round_and_before_the_end(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct weir_wire_ack ack;
    const uint8_t packet[64] = {0};
    open_port(4, 1, WEIR_PROTO_WEIR, ALWAYS, "127.0.0.0/8");
    int fd = dial_from(OTHER, 0);
    t.refuses = WEIR_WIRE_OLD_EPOCH;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(__real_send(fd, packet, sizeof packet, MSG_NOSIGNAL), sizeof packet);
        work_until_quiet();
    }
    t.port->ops->progress(t.port, &t.progress);
    t.port->ops->progress(t.port, &t.progress);
    read_exactly(fd, bytes, 32);
    memcpy(&ack, bytes, sizeof ack);
    assert_int_equal(ack.status, WEIR_WIRE_OLD_EPOCH);
    assert_int_equal(ack.epoch, 99);
    assert_int_equal(ack.channel, 3);
    assert_int_equal(ack.sequence, 0);
    t.refuses = WEIR_WIRE_EPOCH_AHEAD;
    assert_int_equal(__real_send(fd, packet, sizeof packet, MSG_NOSIGNAL), sizeof packet);
    shutdown(fd, SHUT_WR);
    work_until_quiet();
    for (int i = 0; i < 10 && counter(WEIR_COUNTER_connections_closed) == 0; i++) {
        t.port->ops->progress(t.port, &t.progress);
        atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_WORKER(0)], 1);
    }
    read_exactly(fd, bytes, 64);
    memcpy(&ack, bytes, sizeof ack);
    assert_int_equal(ack.status, WEIR_WIRE_EPOCH_AHEAD);
    memcpy(&ack, bytes + 32, sizeof ack);
    assert_int_equal(ack.status, WEIR_WIRE_OK);
    close(fd);
}

int
main(void)
{
#define T(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        T(test_connection_that_never_spoke_makes_room_the_oldest_first),
        T(test_connection_with_an_incomplete_line_makes_room_before_those_that_sent_records),
        T(test_connections_that_all_speak_are_kept_and_a_further_one_is_refused_by_name),
        T(test_connection_silent_for_long_makes_room_but_not_one_that_is_owed_an_answer),
        T(test_listener_keeps_its_reserve_when_another_is_flooded),
        T(test_flood_of_silent_connections_ends_none_of_the_other_listeners_reserve),
        T(test_address_holds_its_share_of_connections_once_half_are_taken),
        T(test_out_of_descriptors_an_idle_connection_makes_room),
        T(test_acknowledgement_cut_for_want_of_room_goes_on_where_it_was_cut),
        T(test_last_acknowledgement_waits_for_room_before_the_end),
        T(test_refusal_of_an_epoch_is_reported_once_a_round_and_before_the_end),
    };
    return cmocka_run_group_tests_name("port_tcp_room", tests, NULL, NULL);
}
