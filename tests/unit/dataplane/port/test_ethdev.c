/* EAL runs in this process without huge pages; frames come from an rte_ring, a pcap file, the null
 * driver and af_packet on lo. Where EAL does not start (not root, no memory) all is skipped, and
 * says why. */
#include "base/clock.h"
#include "dataplane/port/ethdev/backlog.h"
#include "dataplane/port/port.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>

#define MBUFS 1023
#define WIRE_MBUFS 2047
#define FRAME_ROOM 2112
#define PORTS_MAX 8

static struct {
    char directory[64];
    char pcap[96];
    uint16_t ids[PORTS_MAX];
    size_t id_count;
} eal;

static const struct weir_listen listens[] = {
    {.proto = WEIR_PROTO_INFLUX, .time_unit = WEIR_TIME_MS, .address = "127.0.0.1", .port = 8089},
    {.proto = WEIR_PROTO_GRAPHITE, .time_unit = WEIR_TIME_S, .address = "127.0.0.1", .port = 2003},
};

static struct weir_counts counts;
static cpu_set_t affinity_before;

static void
put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* An IPv4 frame without UDP checksum. Returns its size. */
static uint32_t
frame_build(uint8_t *out, uint16_t port, const char *payload)
{
    size_t size = strlen(payload);
    memset(out, 0, 42);
    put16(out + 12, 0x0800);
    uint8_t *ip = out + 14;
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(28 + size));
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 12, (uint8_t[]){192, 0, 2, 1}, 4);
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, (uint16_t)~sum);
    put16(ip + 20, 4711);
    put16(ip + 22, port);
    put16(ip + 24, (unsigned)(8 + size));
    memcpy(ip + 28, payload, size);
    return (uint32_t)(42 + size);
}

static void
pcap_write(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    uint32_t header[6] = {0xa1b2c3d4, 4u << 16 | 2, 0, 0, 65535, 1};
    fwrite(header, sizeof header, 1, file);
    static const char *const payloads[] = {"pcap value=1\n", "pcap value=2\n"};
    for (size_t i = 0; i < 2; i++) {
        uint8_t frame[256];
        uint32_t size = frame_build(frame, 8089, payloads[i]);
        uint32_t record[4] = {0, 0, size, size};
        fwrite(record, sizeof record, 1, file);
        fwrite(frame, size, 1, file);
    }
    assert_int_equal(fclose(file), 0);
}

static bool
eal_up(void)
{
    snprintf(eal.directory, sizeof eal.directory, "/tmp/weir-ethdev-XXXXXX");
    assert_non_null(mkdtemp(eal.directory));
    snprintf(eal.pcap, sizeof eal.pcap, "%s/frames.pcap", eal.directory);
    pcap_write(eal.pcap);
    char pcap[160];
    snprintf(pcap, sizeof pcap, "net_pcap0,rx_pcap=%s", eal.pcap);
    const char *vdevs[] = {pcap, "net_null0,size=64", "net_af_packet0,iface=lo"};
    char prefix[32];
    snprintf(prefix, sizeof prefix, "weirtest%d", (int)getpid());
    struct weir_eal_options options = {.vdevs = vdevs,
        .vdev_count = 3,
        .prefix = prefix,
        .runtime_dir = eal.directory,
        .no_huge = true,
        .memory_mib = 64,
        .core = -1};
    return weir_eal_init(&options, eal.ids, PORTS_MAX, &eal.id_count) == WEIR_OK;
}

static void
directory_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", eal.directory);
    if (system(command) != 0)
        print_message("# %s stays behind\n", eal.directory);
}

static struct weir_port *
port_open_as(uint16_t id, bool collects)
{
    memset(&counts, 0, sizeof counts);
    struct weir_ethdev_options options = {.ethdev_id = id,
        .queue = 0,
        .queue_count = 1,
        .mbuf_count = MBUFS,
        .collects = collects};
    struct weir_port *port;
    assert_int_equal(weir_port_ethdev_open(&options, listens, 2, &counts, &port), WEIR_OK);
    return port;
}

static struct weir_port *
port_open(uint16_t id)
{
    return port_open_as(id, false);
}

static uint64_t
rejected(enum weir_reason reason)
{
    return counts.unit[WEIR_UNIT_PACKETS].rejected[reason];
}

/* A device whose receive queue is a ring that the test fills. */
struct wire {
    struct rte_ring *ring;
    struct rte_mempool *pool;
    uint16_t id;
    struct weir_port *port;
};

static struct wire
wire_open_as(bool collects)
{
    static int number;
    char name[32];
    struct wire wire;
    snprintf(name, sizeof name, "wire%d", number++);
    wire.ring = rte_ring_create(name, 256, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
    wire.pool = rte_pktmbuf_pool_create(name, WIRE_MBUFS, 0, 0,
        RTE_PKTMBUF_HEADROOM + FRAME_ROOM, 0);
    assert_non_null(wire.ring);
    assert_non_null(wire.pool);
    int id = rte_eth_from_rings(name, &wire.ring, 1, &wire.ring, 1, 0);
    assert_true(id >= 0);
    wire.id = (uint16_t)id;
    wire.port = port_open_as(wire.id, collects);
    return wire;
}

static struct wire
wire_open(void)
{
    return wire_open_as(false);
}

static void
wire_close(struct wire *wire)
{
    assert_int_equal(rte_mempool_avail_count(wire->pool), WIRE_MBUFS); /* every mbuf came back */
    wire->port->ops->close(wire->port);
    rte_ring_free(wire->ring);
    rte_mempool_free(wire->pool);
}

static struct rte_mbuf *
wire_put(struct wire *wire, const uint8_t *frame, uint32_t size)
{
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(wire->pool);
    assert_non_null(mbuf);
    uint8_t *data = (uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)size);
    assert_non_null(data);
    memcpy(data, frame, size);
    assert_int_equal(rte_ring_enqueue(wire->ring, mbuf), 0);
    return mbuf;
}

static void
test_frames_become_packets_by_destination_port(void **state)
{
    (void)state;
    struct wire wire = wire_open();
    uint8_t frame[256];
    wire_put(&wire, frame, frame_build(frame, 2003, "a 1 1\n"));
    wire_put(&wire, frame, frame_build(frame, 9999, "nobody\n"));
    wire_put(&wire, frame, frame_build(frame, 8089, "m v=1\n"));
    struct weir_packet packets[WEIR_BURST_MAX];
    assert_int_equal(wire.port->ops->receive(wire.port, packets, WEIR_BURST_MAX), 2);
    assert_int_equal(packets[0].size, 6);
    assert_memory_equal(packets[0].data, "a 1 1\n", 6);
    char peer[WEIR_PEER_TEXT_MAX];
    weir_peer_text(&packets[0].peer, peer);
    assert_string_equal(peer, "192.0.2.1:4711");
    assert_int_equal(packets[0].proto, WEIR_PROTO_GRAPHITE);
    assert_int_equal(packets[0].time_unit, WEIR_TIME_S);
    assert_int_equal(packets[1].proto, WEIR_PROTO_INFLUX);
    assert_int_equal(packets[1].time_unit, WEIR_TIME_MS);
    assert_true(packets[1].final);
    assert_int_equal(packets[1].source, 0);
    assert_int_equal(counts.unit[WEIR_UNIT_PACKETS].received, 1);
    assert_int_equal(rejected(WEIR_REASON_no_listener), 1);
    wire.port->ops->release(wire.port, packets, 2);
    assert_int_equal(wire.port->ops->receive(wire.port, packets, WEIR_BURST_MAX), 0);
    wire_close(&wire);
}

static void
test_damaged_frames_are_counted_by_reason(void **state)
{
    (void)state;
    struct wire wire = wire_open();
    uint8_t frame[256];
    uint32_t size = frame_build(frame, 8089, "m v=1\n");
    frame[24] ^= 1; /* the IPv4 checksum */
    wire_put(&wire, frame, size);
    size = frame_build(frame, 8089, "m v=1\n");
    put16(frame + 12, 0x0806);
    wire_put(&wire, frame, size);
    wire_put(&wire, frame, frame_build(frame, 8089, "m v=1\n") - 1);
    struct weir_packet packets[WEIR_BURST_MAX];
    assert_int_equal(wire.port->ops->receive(wire.port, packets, WEIR_BURST_MAX), 0);
    assert_int_equal(counts.unit[WEIR_UNIT_PACKETS].received, 3);
    assert_int_equal(rejected(WEIR_REASON_bad_checksum), 1);
    assert_int_equal(rejected(WEIR_REASON_not_ip_udp), 1);
    assert_int_equal(rejected(WEIR_REASON_bad_header), 1);
    wire_close(&wire);
}

static void
test_checksum_flags_of_the_device_are_trusted(void **state)
{
    (void)state;
    struct wire wire = wire_open();
    uint8_t frame[256];
    uint32_t size = frame_build(frame, 8089, "m v=1\n");
    wire_put(&wire, frame, size)->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
    frame[24] ^= 1;
    wire_put(&wire, frame, size)->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    struct weir_packet packets[WEIR_BURST_MAX];
    assert_int_equal(wire.port->ops->receive(wire.port, packets, WEIR_BURST_MAX), 1);
    wire.port->ops->release(wire.port, packets, 1);
    assert_int_equal(rejected(WEIR_REASON_bad_checksum), 1);
    wire_close(&wire);
}

static void
test_frames_without_slack_or_in_pieces_are_truncated(void **state)
{
    (void)state;
    struct wire wire = wire_open();
    uint8_t frame[256];
    static char payload[FRAME_ROOM];
    memset(payload, 'x', sizeof payload - 1);
    static uint8_t large[2 * FRAME_ROOM];
    payload[2048 - 42] = '\0';
    wire_put(&wire, large, frame_build(large, 8089, payload)); /* just leaves the slack */
    payload[2048 - 42] = 'x';
    payload[2049 - 42] = '\0';
    wire_put(&wire, large, frame_build(large, 8089, payload));
    struct rte_mbuf *tail = rte_pktmbuf_alloc(wire.pool);
    assert_non_null(rte_pktmbuf_append(tail, 10));
    struct rte_mbuf *head = wire_put(&wire, frame, frame_build(frame, 8089, "m v=1\n"));
    assert_int_equal(rte_pktmbuf_chain(head, tail), 0);
    struct weir_packet packets[WEIR_BURST_MAX];
    assert_int_equal(wire.port->ops->receive(wire.port, packets, WEIR_BURST_MAX), 1);
    assert_int_equal(packets[0].size, 2048 - 42);
    wire.port->ops->release(wire.port, packets, 1);
    assert_int_equal(rejected(WEIR_REASON_truncated), 2);
    wire_close(&wire);
}

static void
put_number(struct wire *wire, uint32_t number)
{
    uint8_t frame[256];
    char payload[32];
    snprintf(payload, sizeof payload, "m v=%u\n", number);
    wire_put(wire, frame, frame_build(frame, 8089, payload));
}

static uint32_t
number_in(const uint8_t *payload)
{
    uint32_t number = 0;
    for (const uint8_t *at = payload + 4; *at != '\n'; at++)
        number = number * 10 + *at - '0';
    return number;
}

/* Any numbers of frames come and go, often enough for the places to come round twice. */
static void
test_backlog_hands_out_all_frames_in_order(void **state)
{
    (void)state;
    struct wire wire = wire_open();
    struct weir_backlog *backlog = calloc(1, sizeof *backlog);
    struct rte_mbuf *mbufs[WEIR_BURST_MAX];
    struct weir_backlog_stamp stamps[WEIR_BURST_MAX];
    uint32_t put = 0, taken = 0, random = 1;
    weir_backlog_init(backlog, wire.id, 0, WEIR_BACKLOG_MAX);
    while (taken < 2 * WEIR_BACKLOG_MAX + 1000) {
        random = random * 1664525 + 1013904223; /* Knuth's, of Numerical Recipes */
        for (uint32_t i = 0; i < random >> 24 && put - taken < 200; i++)
            put_number(&wire, put++);
        weir_backlog_fill(backlog);
        assert_int_equal(rte_ring_count(wire.ring), 0);
        uint16_t want = (uint16_t)(random >> 8) % WEIR_BURST_MAX + 1;
        uint16_t got = weir_backlog_pop(backlog, mbufs, stamps, want);
        assert_int_equal(got, want < put - taken ? want : put - taken);
        for (uint16_t i = 0; i < got; i++)
            assert_int_equal(number_in(rte_pktmbuf_mtod_offset(mbufs[i], const uint8_t *, 42)),
                taken++);
        rte_pktmbuf_free_bulk(mbufs, got);
    }
    for (uint16_t got; (got = weir_backlog_pop(backlog, mbufs, stamps, WEIR_BURST_MAX)) > 0;)
        rte_pktmbuf_free_bulk(mbufs, got);
    free(backlog);
    wire_close(&wire);
}

static void
test_backlog_leaves_on_the_device_what_finds_no_room(void **state)
{
    (void)state;
    struct wire wire = wire_open();
    struct weir_backlog *backlog = calloc(1, sizeof *backlog);
    struct rte_mbuf *mbufs[200];
    struct weir_backlog_stamp stamps[200];
    weir_backlog_init(backlog, wire.id, 0, 2 * WEIR_BACKLOG_TAKE);
    for (uint32_t i = 0; i < 200; i++)
        put_number(&wire, i);
    weir_backlog_fill(backlog);
    weir_backlog_fill(backlog);
    assert_int_equal(rte_ring_count(wire.ring), 200 - 2 * WEIR_BACKLOG_TAKE);
    assert_int_equal(weir_backlog_pop(backlog, mbufs, stamps, 1), 1);
    weir_backlog_fill(backlog); /* no room for another whole burst */
    assert_int_equal(rte_ring_count(wire.ring), 200 - 2 * WEIR_BACKLOG_TAKE);
    assert_int_equal(weir_backlog_pop(backlog, mbufs + 1, stamps, 200), 2 * WEIR_BACKLOG_TAKE - 1);
    weir_backlog_fill(backlog);
    assert_int_equal(weir_backlog_pop(backlog, mbufs + 2 * WEIR_BACKLOG_TAKE, stamps, 200),
        200 - 2 * WEIR_BACKLOG_TAKE);
    for (uint32_t i = 0; i < 200; i++)
        assert_int_equal(number_in(rte_pktmbuf_mtod_offset(mbufs[i], const uint8_t *, 42)), i);
    rte_pktmbuf_free_bulk(mbufs, 200);
    free(backlog);
    wire_close(&wire);
}

static void
test_frames_collected_while_nothing_is_received_come_later_or_are_dropped_by_name(void **state)
{
    (void)state;
    struct wire wire = wire_open_as(true);
    struct weir_packet packets[WEIR_BURST_MAX];
    for (uint32_t i = 0; i < 50; i++)
        put_number(&wire, i);
    wire.port->ops->collect(wire.port);
    assert_int_equal(rte_ring_count(wire.ring), 0);
    assert_int_equal(counts.unit[WEIR_UNIT_PACKETS].received, 0); /* nobody has them yet */
    for (uint32_t first = 0; first < 40; first += 20) {
        assert_int_equal(wire.port->ops->receive(wire.port, packets, 20), 20);
        for (uint32_t i = 0; i < 20; i++)
            assert_int_equal(number_in(packets[i].data), first + i);
        wire.port->ops->release(wire.port, packets, 20);
    }
    wire.port->ops->close(wire.port);
    /* those that are left were taken off the device, and found nobody */
    assert_int_equal(counts.unit[WEIR_UNIT_PACKETS].received, 10);
    assert_int_equal(counts.unit[WEIR_UNIT_PACKETS].dropped[WEIR_REASON_shutdown], 10);
    assert_int_equal(rte_mempool_avail_count(wire.pool), WIRE_MBUFS);
    rte_ring_free(wire.ring);
    rte_mempool_free(wire.pool);
}

static void
test_a_frame_keeps_the_time_at_which_it_was_collected(void **state)
{
    (void)state;
    struct wire wire = wire_open_as(true);
    struct weir_packet packets[WEIR_BURST_MAX];
    put_number(&wire, 0);
    put_number(&wire, 1);
    wire.port->ops->collect(wire.port);
    uint64_t collected_tsc = weir_tsc();
    int64_t collected_ms = weir_wall_ms();
    while (weir_wall_ms() == collected_ms)
        ;
    put_number(&wire, 2);
    /* a backlog as small as that of this port takes no more before it is empty */
    assert_int_equal(wire.port->ops->receive(wire.port, packets, WEIR_BURST_MAX), 2);
    assert_int_equal(wire.port->ops->receive(wire.port, packets + 2, 1), 1);
    for (int i = 0; i < 2; i++) {
        assert_true(packets[i].receive_tsc <= collected_tsc);
        assert_true(packets[i].receive_ms <= collected_ms);
    }
    assert_true(packets[2].receive_tsc > collected_tsc);
    assert_true(packets[2].receive_ms > collected_ms);
    wire.port->ops->release(wire.port, packets, 3);
    wire_close(&wire);
}

/* More fills than times are kept of: the last ones share one, and no frame is given another's. */
static void
test_times_of_a_backlog_never_go_back(void **state)
{
    (void)state;
    enum { FRAMES = WEIR_BACKLOG_FILLS + 10 };
    struct wire wire = wire_open();
    struct weir_backlog *backlog = calloc(1, sizeof *backlog);
    struct rte_mbuf *mbufs[WEIR_BURST_MAX];
    struct weir_backlog_stamp stamps[WEIR_BURST_MAX], last = {0};
    weir_backlog_init(backlog, wire.id, 0, WEIR_BACKLOG_MAX);
    for (int round = 0; round < 3; round++) {
        uint64_t began_tsc = weir_tsc();
        for (uint32_t i = 0; i < FRAMES; i++) {
            put_number(&wire, i);
            weir_backlog_fill(backlog);
        }
        for (uint32_t taken = 0; taken < FRAMES;) {
            uint16_t got = weir_backlog_pop(backlog, mbufs, stamps, 50);
            for (uint16_t i = 0; i < got; i++, taken++) {
                assert_true(stamps[i].tsc > began_tsc && stamps[i].tsc >= last.tsc);
                assert_true((taken < WEIR_BACKLOG_FILLS) == (stamps[i].tsc > last.tsc));
                last = stamps[i];
            }
            rte_pktmbuf_free_bulk(mbufs, got);
        }
    }
    free(backlog);
    wire_close(&wire);
}

static void
test_pcap_file_is_a_source(void **state)
{
    (void)state;
    struct weir_port *port = port_open(eal.ids[0]);
    struct weir_packet packets[WEIR_BURST_MAX];
    size_t got = 0;
    for (int tries = 0; tries < 10 && got < 2; tries++)
        got += port->ops->receive(port, packets + got, WEIR_BURST_MAX - got);
    assert_int_equal(got, 2);
    assert_memory_equal(packets[0].data, "pcap value=1\n", 13);
    assert_memory_equal(packets[1].data, "pcap value=2\n", 13);
    port->ops->release(port, packets, got);
    port->ops->statistics(port);
    port->ops->close(port);
}

/* Endless frames of zeros: each is refused by name, and no mbuf is lost on the way. */
static void
test_null_device_is_refused_frame_by_frame(void **state)
{
    (void)state;
    struct weir_port *port = port_open(eal.ids[1]);
    struct weir_packet packets[WEIR_BURST_MAX];
    assert_int_equal(port->ops->wait_fd(port), -1);
    for (int i = 0; i < 4 * MBUFS / WEIR_BURST_MAX; i++)
        assert_int_equal(port->ops->receive(port, packets, WEIR_BURST_MAX), 0);
    uint64_t expected = 4 * MBUFS / WEIR_BURST_MAX * WEIR_BURST_MAX;
    assert_int_equal(counts.unit[WEIR_UNIT_PACKETS].received, expected);
    assert_int_equal(rejected(WEIR_REASON_not_ip_udp), expected);
    port->ops->close(port);
}

/* A datagram to lo's own address passes the socket, whose driver would else have to be polled. */
static void
test_af_packet_port_can_be_slept_on(void **state)
{
    (void)state;
    struct weir_port *port = port_open(eal.ids[2]);
    struct pollfd wait = {.fd = port->ops->wait_fd(port), .events = POLLIN};
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(9)};
    int sender = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(wait.fd >= 0);
    assert_int_equal(sendto(sender, "x", 1, 0, (struct sockaddr *)&address, sizeof address), 1);
    assert_int_equal(poll(&wait, 1, 60000), 1);
    assert_true((wait.revents & POLLIN) != 0);
    close(sender);
    struct weir_packet packets[WEIR_BURST_MAX];
    port->ops->release(port, packets, port->ops->receive(port, packets, WEIR_BURST_MAX));
    assert_true(counts.unit[WEIR_UNIT_PACKETS].received > 0);
    port->ops->close(port);
}

static void
test_listeners_of_one_port_have_to_agree(void **state)
{
    (void)state;
    struct weir_listen two[2] = {listens[0], listens[1]};
    two[1].port = two[0].port;
    struct weir_ethdev_options options = {.queue_count = 1, .mbuf_count = MBUFS};
    struct weir_port *port;
    assert_int_equal(weir_port_ethdev_open(&options, two, 2, &counts, &port), WEIR_INVALID);
}

static void
test_users_are_told_that_eal_needs_root(void **state)
{
    (void)state;
    assert_int_equal(seteuid(65534), 0);
    struct weir_eal_options options = {.core = -1};
    uint16_t id;
    size_t count;
    enum weir_err err = weir_eal_init(&options, &id, 1, &count);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(err, WEIR_UNSUPPORTED);
    assert_non_null(strstr(weir_err_detail(), "root"));
}

/* EAL pins its thread to one core; core -1 says that the caller keeps its affinity. */
static void
test_affinity_stays_as_it_was(void **state)
{
    (void)state;
    cpu_set_t now;
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&now, &affinity_before));
}

int
main(void)
{
    sched_getaffinity(0, sizeof affinity_before, &affinity_before);
    if (!eal_up()) {
        printf("1..0 # SKIP %s\n", weir_err_detail());
        directory_remove();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_become_packets_by_destination_port),
        cmocka_unit_test(test_damaged_frames_are_counted_by_reason),
        cmocka_unit_test(test_checksum_flags_of_the_device_are_trusted),
        cmocka_unit_test(test_frames_without_slack_or_in_pieces_are_truncated),
        cmocka_unit_test(test_backlog_hands_out_all_frames_in_order),
        cmocka_unit_test(test_backlog_leaves_on_the_device_what_finds_no_room),
        cmocka_unit_test(
            test_frames_collected_while_nothing_is_received_come_later_or_are_dropped_by_name),
        cmocka_unit_test(test_a_frame_keeps_the_time_at_which_it_was_collected),
        cmocka_unit_test(test_times_of_a_backlog_never_go_back),
        cmocka_unit_test(test_pcap_file_is_a_source),
        cmocka_unit_test(test_null_device_is_refused_frame_by_frame),
        cmocka_unit_test(test_af_packet_port_can_be_slept_on),
        cmocka_unit_test(test_listeners_of_one_port_have_to_agree),
        cmocka_unit_test(test_affinity_stays_as_it_was),
        cmocka_unit_test(test_users_are_told_that_eal_needs_root),
    };
    int failed = cmocka_run_group_tests_name("port_ethdev", tests, NULL, NULL);
    weir_eal_fini();
    directory_remove();
    return failed;
}
