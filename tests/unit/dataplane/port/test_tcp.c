/* The worker's side is played by work(): a line is accepted, one that begins with "bad" rejected,
 * with "new" deferred; what it took is kept for comparison. */
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
#define CONNECTIONS 4

static struct {
    struct weir_port *port;
    struct weir_counts counts;
    struct weir_progress progress;
    uint64_t batch;       /* named for accepted records; 0 none */
    uint32_t source;      /* of the last packet */
    size_t packets;       /* handed on */
    size_t finals;
    size_t consumed_size;
    uint32_t lines_max;   /* a call of work() takes no more lines of a packet; 0 all */
    bool nothing;         /* work() consumes nothing */
    struct weir_hash_key key; /* of the port, as the next two */
    struct weir_prefix trusted;
    struct weir_degraded degraded;
    uint32_t waits;       /* source whose packets wait for the registrar; 0 none */
    uint8_t consumed_bytes[1 << 20];
} t;

static void
open_port(uint32_t connections, size_t listeners)
{
    memset(&t, 0, sizeof t);
    struct weir_listen listens[2] = {
        {.proto = WEIR_PROTO_GRAPHITE, .transport = 1, .time_unit = WEIR_TIME_S,
            .address = "127.0.0.1"},
        {.proto = WEIR_PROTO_INFLUX, .transport = 1, .time_unit = WEIR_TIME_NS, .address = "::1"}};
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    weir_hash_key_init(&t.key, seed);
    assert_int_equal(weir_prefix_parse("127.0.0.0/8", &t.trusted), WEIR_OK);
    const struct weir_tcp_options options = {.connections_max = connections,
        .idle_ms = INT64_MAX,
        .key = &t.key,
        .trusted = {&t.trusted, 1},
        .degraded = &t.degraded};
    assert_int_equal(
        weir_port_tcp_open(listens, listeners, &options, &t.counts, &t.port), WEIR_OK);
    t.port->index = 3;
    t.port->worker = 1;
}

static int
port_setup(void **state)
{
    (void)state;
    open_port(CONNECTIONS, 1);
    return 0;
}

static int
port_teardown(void **state)
{
    (void)state;
    t.port->ops->close(t.port);
    return 0;
}

static int
dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons(weir_port_bound(t.port, 0)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void
send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void
judge_line(struct weir_packet *packet, const uint8_t *line, size_t size)
{
    if (size >= 3 && memcmp(line, "bad", 3) == 0)
        packet->rejected++;
    else if (size >= 3 && memcmp(line, "new", 3) == 0)
        packet->deferred++;
    else
        packet->accepted++;
}

static void
consume_lines(struct weir_packet *packet)
{
    uint32_t lines = 0;
    while (packet->consumed < packet->size && (t.lines_max == 0 || lines < t.lines_max)) {
        const uint8_t *at = packet->data + packet->consumed;
        uint32_t left = packet->size - packet->consumed;
        const uint8_t *end = memchr(at, '\n', left);
        bool too_long = end == NULL && left > WEIR_LINE_MAX + 1;
        if (end == NULL && !packet->final && !packet->skip_line && !too_long)
            break;
        uint32_t size = end == NULL ? left : (uint32_t)(end - at) + 1;
        if (packet->skip_line)
            packet->skip_line = end == NULL;
        else if (too_long) {
            packet->rejected++;
            packet->skip_line = true;
        } else {
            judge_line(packet, at, size);
            assert_true(t.consumed_size + size <= sizeof t.consumed_bytes);
            memcpy(t.consumed_bytes + t.consumed_size, at, size);
            t.consumed_size += size;
        }
        packet->consumed += size;
        lines++;
    }
    if (packet->accepted > 0)
        packet->batch = t.batch;
}

/* One round of a worker. */
static size_t
work(void)
{
    struct weir_packet packets[WEIR_BURST_MAX];
    size_t count = t.port->ops->receive(t.port, packets, WEIR_BURST_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_true(packets[i].size > 0);
        assert_int_equal(packets[i].consumed, 0);
        t.source = packets[i].source;
        t.finals += packets[i].final;
        packets[i].waits = t.waits != 0 && t.waits == packets[i].source;
        if (!t.nothing && !packets[i].waits)
            consume_lines(&packets[i]);
    }
    t.packets += count;
    if (count > 0)
        t.port->ops->release(t.port, packets, count);
    return count;
}

/* Rounds until the port's descriptor stays quiet. */
static void
work_all(void)
{
    struct pollfd wait = {.fd = t.port->ops->wait_fd(t.port), .events = POLLIN};
    while (poll(&wait, 1, 60) == 1)
        work();
}

static bool
progress(void)
{
    return t.port->ops->progress(t.port, &t.progress);
}

/* What the peer sends until it closes. */
static const char *
answer_of(int fd)
{
    static char text[256];
    size_t size = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        ssize_t got = recv(fd, text + size, sizeof text - 1 - size, 0);
        assert_true(got >= 0);
        if (got == 0)
            break;
        size += (size_t)got;
    }
    text[size] = '\0';
    close(fd);
    return text;
}

static uint64_t
counter(enum weir_counter counter)
{
    return t.counts.counter[counter];
}

static void
assert_consumed(const char *text)
{
    assert_int_equal(t.consumed_size, strlen(text));
    assert_memory_equal(t.consumed_bytes, text, t.consumed_size);
}

static void
test_stream_that_waits_is_not_read_until_it_is_resumed(void **state)
{
    (void)state;
    int fd = dial(), other = dial();
    send_text(fd, "a 1\n");
    work_all();
    t.waits = t.source;
    send_text(fd, "b 2\n");
    work_all();
    size_t packets = t.packets;
    send_text(fd, "c 3\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    send_text(other, "d 4\n");
    work_all();
    assert_int_equal(t.packets, packets + 1); /* the other's */
    assert_consumed("a 1\nd 4\n");
    t.port->ops->resume(t.port);
    work_all();
    assert_int_equal(t.packets, packets + 2); /* it waits again */
    t.waits = 0;
    t.port->ops->resume(t.port);
    work_all();
    assert_consumed("a 1\nd 4\nb 2\nc 3\n");
    progress();
    assert_string_equal(answer_of(fd), "ok 3 0 0\n");
    close(other);
}

static void
test_line_split_over_many_writes_is_handed_on_whole(void **state)
{
    (void)state;
    int fd = dial();
    static const char *const pieces[] = {"serv", "ers.web1", ".load 0.5 17", "00000000\nnext 1"};
    for (int i = 0; i < 4; i++) {
        send_text(fd, pieces[i]);
        work_all();
        assert_int_equal(t.packets, i < 3 ? 0 : 1);
    }
    assert_consumed("servers.web1.load 0.5 1700000000\n");
    send_text(fd, " 2\n");
    work_all();
    assert_consumed("servers.web1.load 0.5 1700000000\nnext 1 2\n");
    close(fd);
}

static void
test_single_bytes_are_handed_on_once_a_line(void **state)
{
    (void)state;
    int fd = dial();
    const char *text = "a 1 1\nbad\nc 3 3\n";
    for (const char *c = text; *c != '\0'; c++) {
        assert_int_equal(send(fd, c, 1, MSG_NOSIGNAL), 1);
        work_all();
    }
    assert_consumed(text);
    assert_int_equal(t.packets, 3);
    close(fd);
}

static void
test_crlf_passes_through(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "a 1 1\r\nb 2 2\r\n");
    work_all();
    assert_consumed("a 1 1\r\nb 2 2\r\n");
    close(fd);
}

static void
test_tags_are_the_listeners(void **state)
{
    (void)state;
    port_teardown(NULL);
    open_port(CONNECTIONS, 2);
    struct sockaddr_in6 to = {.sin6_family = AF_INET6,
        .sin6_port = htons(weir_port_bound(t.port, 1)),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int v6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(v6, (struct sockaddr *)&to, sizeof to), 0);
    int v4 = dial();
    for (int i = 0; i < 2; i++) {
        send_text(i == 0 ? v4 : v6, "a 1 1\n");
        struct pollfd wait = {.fd = t.port->ops->wait_fd(t.port), .events = POLLIN};
        struct weir_packet packet;
        size_t got = 0;
        for (int tries = 0; tries < 5 && got == 0; tries++) {
            assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
            got = t.port->ops->receive(t.port, &packet, 1);
        }
        assert_int_equal(got, 1);
        assert_int_equal(packet.proto, i == 0 ? WEIR_PROTO_GRAPHITE : WEIR_PROTO_INFLUX);
        assert_int_equal(packet.time_unit, i == 0 ? WEIR_TIME_S : WEIR_TIME_NS);
        assert_int_equal(packet.source >> WEIR_SOURCE_BITS, 3);
        char peer[WEIR_PEER_TEXT_MAX];
        weir_peer_address_text(&packet.peer, peer);
        assert_string_equal(peer, i == 0 ? "127.0.0.1" : "::1");
        assert_int_not_equal(packet.peer.port, 0);
        packet.consumed = packet.size;
        t.port->ops->release(t.port, &packet, 1);
    }
    close(v4);
    close(v6);
}

static void
test_half_close_is_answered_when_durable(void **state)
{
    (void)state;
    t.batch = 7;
    int fd = dial();
    send_text(fd, "a 1 1\nbad\nlast 1 1");
    shutdown(fd, SHUT_WR);
    assert_false(progress());
    work_all();
    assert_consumed("a 1 1\nbad\nlast 1 1");
    assert_int_equal(t.finals, 1);
    assert_true(progress());
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_WORKER(1)], 6);
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_WORKER(0)], 99); /* another worker's */
    assert_true(progress());
    assert_int_equal(counter(WEIR_COUNTER_acks_sent), 0);
    atomic_store(&t.progress.durable_offset, 123456);
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_WORKER(1)], 7);
    assert_false(progress());
    assert_string_equal(answer_of(fd), "ok 2 1 123456\n");
    assert_int_equal(counter(WEIR_COUNTER_acks_sent), 1);
    assert_int_equal(counter(WEIR_COUNTER_connections_closed), 1);
}

static void
test_nothing_sent_is_answered_at_once(void **state)
{
    (void)state;
    int fd = dial();
    shutdown(fd, SHUT_WR);
    work_all();
    assert_int_equal(t.packets, 0);
    progress();
    assert_string_equal(answer_of(fd), "ok 0 0 0\n");
}

static void
test_deferred_records_hold_the_answer_until_completed_and_durable(void **state)
{
    (void)state;
    t.batch = 1;
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_WORKER(1)], 1);
    int fd = dial();
    send_text(fd, "a 1 1\nnew1 1 1\nnew2 1 1\nnew3 1 1\n");
    shutdown(fd, SHUT_WR);
    work_all();
    assert_true(progress());
    struct weir_completion completion = {.source = t.source, .accepted = 1, .batch = 4};
    t.port->ops->complete(t.port, &completion);
    assert_true(progress());
    completion = (struct weir_completion){.source = t.source, .accepted = 1, .rejected = 1,
        .batch = 5};
    t.port->ops->complete(t.port, &completion);
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_REGISTRAR], 4);
    assert_true(progress());
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_REGISTRAR], 5);
    assert_false(progress());
    assert_string_equal(answer_of(fd), "ok 3 1 0\n");
}

/* A deferral may be pushed in the middle of a burst, and come back before the burst's release. */
static void
test_completion_before_release_is_counted(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "new 1 1\n");
    shutdown(fd, SHUT_WR);
    struct weir_packet packets[WEIR_BURST_MAX];
    struct pollfd wait = {.fd = t.port->ops->wait_fd(t.port), .events = POLLIN};
    size_t got = 0;
    while (got == 0) {
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        got = t.port->ops->receive(t.port, packets, WEIR_BURST_MAX);
    }
    struct weir_completion completion = {.source = packets[0].source, .accepted = 1};
    t.port->ops->complete(t.port, &completion);
    packets[0].consumed = packets[0].size;
    packets[0].deferred = 1;
    t.port->ops->release(t.port, packets, got);
    work_all();
    assert_false(progress());
    assert_string_equal(answer_of(fd), "ok 1 0 0\n");
}

static void
test_late_completion_for_a_closed_connection_is_ignored(void **state)
{
    (void)state;
    port_teardown(NULL);
    open_port(1, 1); /* one slot: the next connection gets the same */
    int fd = dial();
    send_text(fd, "new 1 1\n");
    work_all();
    uint32_t old = t.source;
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    work_all();
    assert_int_equal(counter(WEIR_COUNTER_connections_closed), 1);
    fd = dial();
    send_text(fd, "a 1 1\n");
    shutdown(fd, SHUT_WR);
    work_all();
    assert_int_not_equal(t.source, old);
    struct weir_completion completion = {.source = old, .accepted = 1, .batch = 9};
    t.port->ops->complete(t.port, &completion);
    progress();
    assert_string_equal(answer_of(fd), "ok 1 0 0\n");
}

static void
test_io_error_is_answered_as_such(void **state)
{
    (void)state;
    t.batch = 3;
    int fd = dial();
    send_text(fd, "a 1 1\n");
    shutdown(fd, SHUT_WR);
    work_all();
    atomic_store(&t.progress.state, WEIR_INGEST_DISK_FULL);
    assert_true(progress());
    atomic_store(&t.progress.state, WEIR_INGEST_IO_ERROR);
    assert_false(progress());
    assert_string_equal(answer_of(fd), "error io_error\n");
}

/* A registrar that waits for an empty batch completes nothing: its senders are told all the same.
 */
static void
test_incomplete_records_are_told_of_a_full_disk_after_a_while(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "new 1 1\n");
    shutdown(fd, SHUT_WR);
    work_all();
    atomic_store(&t.progress.state, WEIR_INGEST_DISK_FULL);
    bool waiting = true;
    for (int i = 0; i < 300 && waiting; i++) {
        waiting = progress();
        usleep(10000);
    }
    assert_false(waiting);
    assert_string_equal(answer_of(fd), "error disk_full\n");
}

static void
test_durable_records_are_answered_ok_in_spite_of_io_error(void **state)
{
    (void)state;
    t.batch = 3;
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_WORKER(1)], 3);
    atomic_store(&t.progress.state, WEIR_INGEST_IO_ERROR);
    int fd = dial();
    send_text(fd, "a 1 1\n");
    shutdown(fd, SHUT_WR);
    work_all();
    assert_false(progress());
    assert_string_equal(answer_of(fd), "ok 1 0 0\n");
}

static void
test_sender_that_left_before_its_answer_costs_nothing(void **state)
{
    (void)state;
    t.batch = 1;
    int reset_fd = dial();
    send_text(reset_fd, "a 1 1\n");
    shutdown(reset_fd, SHUT_WR);
    work_all();
    assert_true(progress());
    struct linger reset = {.l_onoff = 1};
    setsockopt(reset_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(reset_fd);
    work_all();
    assert_false(progress());
    assert_int_equal(counter(WEIR_COUNTER_acks_broken), 1);

    int closed_fd = dial(); /* closes both ways, as agents do: a half-close on our side */
    send_text(closed_fd, "b 1 1\n");
    close(closed_fd);
    work_all();
    assert_true(progress());
    atomic_store(&t.progress.durable_batch[WEIR_PRODUCER_WORKER(1)], 1);
    assert_false(progress());
    assert_consumed("a 1 1\nb 1 1\n");
    assert_int_equal(counter(WEIR_COUNTER_connections_closed), 2);
    assert_int_equal(
        counter(WEIR_COUNTER_acks_sent) + counter(WEIR_COUNTER_acks_broken), 2);
}

static void
test_reset_forgets_the_incomplete_line_only(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "a 1 1\nhalf");
    work_all();
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    work_all();
    assert_consumed("a 1 1\n");
    assert_int_equal(counter(WEIR_COUNTER_connections_closed), 1);
    assert_int_equal(counter(WEIR_COUNTER_acks_broken), 0);
}

static void
test_connections_over_the_limit_are_refused_and_counted(void **state)
{
    (void)state;
    int fds[CONNECTIONS + 2];
    for (int i = 0; i < CONNECTIONS + 2; i++) {
        fds[i] = dial();
        if (i < CONNECTIONS)
            send_text(fds[i], "x 1 1\n"); /* one that is silent would make room */
        work_all();
    }
    t.consumed_size = 0;
    assert_int_equal(counter(WEIR_COUNTER_connections_opened), CONNECTIONS);
    assert_int_equal(counter(WEIR_COUNTER_connections_refused), 2);
    assert_string_equal(answer_of(fds[CONNECTIONS]), "");
    assert_string_equal(answer_of(fds[CONNECTIONS + 1]), "");
    send_text(fds[0], "a 1 1\n");
    work_all();
    assert_consumed("a 1 1\n");
    shutdown(fds[0], SHUT_WR);
    work_all();
    progress();
    assert_string_equal(answer_of(fds[0]), "ok 2 0 0\n");
    fds[0] = dial();
    work_all();
    assert_int_equal(counter(WEIR_COUNTER_connections_opened), CONNECTIONS + 1);
    for (int i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
}

static void
test_out_of_descriptors_does_not_spin_and_recovers(void **state)
{
    (void)state;
    int fd = dial();
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(fd);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    close(next);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    work();
    struct pollfd wait = {.fd = t.port->ops->wait_fd(t.port), .events = POLLIN};
    int quiet = poll(&wait, 1, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(quiet, 0);
    assert_int_equal(counter(WEIR_COUNTER_connections_opened), 0);
    t.port->ops->statistics(t.port);
    send_text(fd, "a 1 1\n");
    work_all();
    assert_int_equal(counter(WEIR_COUNTER_connections_opened), 1);
    assert_consumed("a 1 1\n");
    close(fd);
}

/* Sends all of data while working, as the window allows. */
static void
pump(int fd, const uint8_t *data, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        ssize_t got = send(fd, data + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got > 0)
            sent += (size_t)got;
        else
            assert_int_equal(errno, EAGAIN);
        work_all();
    }
}

static void
test_longest_line_is_handed_on_whole(void **state)
{
    (void)state;
    static uint8_t data[6 + WEIR_LINE_MAX + 2 + 6];
    memset(data, 'x', sizeof data);
    memcpy(data, "a 1 1\n", 6);
    memcpy(data + 6 + WEIR_LINE_MAX, "\r\n", 2);
    memcpy(data + 6 + WEIR_LINE_MAX + 2, "b 2 2\n", 6);
    int fd = dial();
    pump(fd, data, sizeof data);
    assert_int_equal(t.consumed_size, sizeof data);
    assert_memory_equal(t.consumed_bytes, data, sizeof data);
    close(fd);
}

static void
test_line_too_long_is_skipped_over_stretches(void **state)
{
    (void)state;
    enum { LONG = 5 * WEIR_LINE_MAX };
    static uint8_t data[6 + LONG + 6];
    memset(data, 'x', sizeof data);
    memcpy(data, "a 1 1\n", 6);
    memcpy(data + 6 + LONG, "\nb 2 2", 6);
    int fd = dial();
    pump(fd, data, sizeof data);
    shutdown(fd, SHUT_WR);
    work_all();
    progress();
    assert_consumed("a 1 1\nb 2 2");
    assert_string_equal(answer_of(fd), "ok 2 1 0\n");
}

static void
test_without_progress_bytes_come_again_longer(void **state)
{
    (void)state;
    int fd = dial();
    t.nothing = true; /* as with a newline inside quotes */
    send_text(fd, "m f=\"x\n");
    work_all();
    assert_int_equal(t.packets, 1);
    work_all();
    assert_int_equal(t.packets, 1); /* not before there is more */
    send_text(fd, "y\"");
    work_all();
    assert_int_equal(t.packets, 1);
    t.nothing = false;
    send_text(fd, " 1\n");
    work_all();
    assert_consumed("m f=\"x\ny\" 1\n");
    close(fd);
}

static void
test_records_left_over_come_again_without_new_bytes(void **state)
{
    (void)state;
    int fd = dial();
    t.lines_max = 1;
    send_text(fd, "a 1 1\nb 2 2\nc 3 3\nhalf");
    work_all(); /* the descriptor tells of what was left over */
    assert_consumed("a 1 1\nb 2 2\nc 3 3\n");
    assert_int_equal(t.packets, 3);
    send_text(fd, " 4\nlast 1\nvery last");
    shutdown(fd, SHUT_WR);
    work_all();
    progress();
    assert_consumed("a 1 1\nb 2 2\nc 3 3\nhalf 4\nlast 1\nvery last");
    assert_string_equal(answer_of(fd), "ok 6 0 0\n");
}

/* More busy senders than one burst has room for; each gets its turn. */
static void
test_busy_connections_share_the_bursts(void **state)
{
    (void)state;
    enum { SENDERS = 40 };
    port_teardown(NULL);
    open_port(SENDERS, 1);
    int fds[SENDERS];
    static uint8_t data[256 << 10];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = i % 1024 == 1023 ? '\n' : 'x';
    for (int i = 0; i < SENDERS; i++) {
        fds[i] = dial();
        assert_true(send(fds[i], data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
    }
    work(); /* accepts */
    size_t turns[SENDERS + 1] = {0};
    uint32_t names[SENDERS + 1] = {0};
    int known = 0;
    for (int round = 0; round < 6; round++) {
        struct weir_packet packets[WEIR_BURST_MAX];
        size_t got = t.port->ops->receive(t.port, packets, WEIR_BURST_MAX);
        for (size_t i = 0; i < got; i++) {
            int who = 0;
            while (who < known && names[who] != packets[i].source)
                who++;
            if (who == known)
                names[known++] = packets[i].source;
            turns[who]++;
            packets[i].consumed = packets[i].size;
        }
        t.port->ops->release(t.port, packets, got);
    }
    assert_int_equal(known, SENDERS);
    for (int i = 1; i < SENDERS; i++)
        assert_in_range(turns[i], turns[0] > 1 ? turns[0] - 1 : 1, turns[0] + 1);
    for (int i = 0; i < SENDERS; i++)
        close(fds[i]);
}

static void
test_http_is_answered_with_the_place_of_http(void **state)
{
    (void)state;
    static const char *const requests[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /write?db=x HTTP/1.0\r\n\r\ncpu v=1\n", "HEAD /health HTTP/1.1\n\n"};
    weir_port_tcp_http(t.port, "127.0.0.1:9880");
    for (int i = 0; i < 3; i++) {
        int fd = dial();
        send_text(fd, requests[i]);
        work_all();
        send_text(fd, "more 1 1\n"); /* is thrown away */
        work_all();
        assert_int_equal(counter(WEIR_COUNTER_http_refused), i + 1);
        assert_string_equal(answer_of(fd),
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 75\r\n"
            "Connection: close\r\n\r\n"
            "this port takes Graphite lines over TCP; HTTP is at http://127.0.0.1:9880/\n");
        work_all();
        assert_int_equal(counter(WEIR_COUNTER_connections_closed), i + 1);
    }
    assert_int_equal(t.packets, 0);
}

static void
test_http_in_single_bytes_and_half_closed_is_answered_too(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\n";
    int fd = dial();
    for (size_t i = 0; i < sizeof request - 1; i++) {
        assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
        work_all();
    }
    shutdown(fd, SHUT_WR);
    work_all();
    assert_non_null(strstr(answer_of(fd), "HTTP is off"));
    assert_int_equal(counter(WEIR_COUNTER_connections_closed), 1);
    assert_int_equal(t.packets, 0);
}

static void
test_lines_that_look_like_http_are_lines(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "GET 1 1\nGET / HTTP/1.1\r\n");
    int other = dial();
    send_text(other, "GETS / HTTP/1.1\nPOST a=1 HTTP/x\n");
    work_all();
    assert_int_equal(counter(WEIR_COUNTER_http_refused), 0);
    assert_int_equal(t.packets, 2);
    close(fd);
    close(other);
}

static void
test_open_reports_what_is_wrong(void **state)
{
    (void)state;
    struct weir_port *port;
    struct weir_listen listen = {.address = "127.0.0.1", .port = weir_port_bound(t.port, 0)};
    struct weir_tcp_options options = {.connections_max = 8, .key = &t.key};
    assert_int_equal(weir_port_tcp_open(&listen, 1, &options, &t.counts, &port), WEIR_BUSY);
    options.connections_max = 0;
    assert_int_equal(weir_port_tcp_open(&listen, 1, &options, &t.counts, &port), WEIR_INVALID);
}

int
main(void)
{
#define with_port(name) cmocka_unit_test_setup_teardown(name, port_setup, port_teardown)
    const struct CMUnitTest tests[] = {
        with_port(test_stream_that_waits_is_not_read_until_it_is_resumed),
        with_port(test_line_split_over_many_writes_is_handed_on_whole),
        with_port(test_single_bytes_are_handed_on_once_a_line),
        with_port(test_crlf_passes_through),
        with_port(test_tags_are_the_listeners),
        with_port(test_half_close_is_answered_when_durable),
        with_port(test_nothing_sent_is_answered_at_once),
        with_port(test_deferred_records_hold_the_answer_until_completed_and_durable),
        with_port(test_completion_before_release_is_counted),
        with_port(test_late_completion_for_a_closed_connection_is_ignored),
        with_port(test_io_error_is_answered_as_such),
        with_port(test_incomplete_records_are_told_of_a_full_disk_after_a_while),
        with_port(test_durable_records_are_answered_ok_in_spite_of_io_error),
        with_port(test_sender_that_left_before_its_answer_costs_nothing),
        with_port(test_reset_forgets_the_incomplete_line_only),
        with_port(test_connections_over_the_limit_are_refused_and_counted),
        with_port(test_out_of_descriptors_does_not_spin_and_recovers),
        with_port(test_longest_line_is_handed_on_whole),
        with_port(test_line_too_long_is_skipped_over_stretches),
        with_port(test_without_progress_bytes_come_again_longer),
        with_port(test_records_left_over_come_again_without_new_bytes),
        with_port(test_busy_connections_share_the_bursts),
        with_port(test_http_is_answered_with_the_place_of_http),
        with_port(test_http_in_single_bytes_and_half_closed_is_answered_too),
        with_port(test_lines_that_look_like_http_are_lines),
        with_port(test_open_reports_what_is_wrong),
    };
    return cmocka_run_group_tests_name("port_tcp", tests, NULL, NULL);
}
