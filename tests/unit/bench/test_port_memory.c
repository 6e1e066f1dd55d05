#include "bench/port/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SLOTS 8
#define PAYLOAD 100

struct pair {
    int fd;
    struct weir_ring_source *source;
    struct weir_port *port;
    struct weir_counts counts;
};

static struct pair pair;

static int
pair_open(void **state)
{
    (void)state;
    memset(&pair, 0, sizeof pair);
    assert_int_equal(weir_ring_source_new(PAYLOAD, SLOTS, &pair.fd), WEIR_OK);
    assert_int_equal(weir_ring_source_attach(pair.fd, &pair.source), WEIR_OK);
    assert_int_equal(weir_port_memory_open(pair.fd, &pair.counts, &pair.port), WEIR_OK);
    return 0;
}

static int
pair_close(void **state)
{
    (void)state;
    pair.port->ops->close(pair.port);
    weir_ring_source_detach(pair.source);
    close(pair.fd);
    return 0;
}

static bool
put(uint8_t value, uint32_t size)
{
    uint8_t *slot = weir_ring_source_reserve(pair.source);
    if (slot == NULL)
        return false;
    memset(slot, value, size);
    weir_ring_source_commit(pair.source, size, WEIR_PROTO_INFLUX, WEIR_TIME_MS);
    return true;
}

static size_t
receive(struct weir_packet *packets, size_t max)
{
    return pair.port->ops->receive(pair.port, packets, max);
}

static void
test_packets_come_in_order_in_place(void **state)
{
    (void)state;
    struct weir_packet packets[SLOTS];
    uint8_t *slot = weir_ring_source_reserve(pair.source);
    assert_true(put(1, 10));
    assert_true(put(2, PAYLOAD));
    assert_true(put(3, 0));
    assert_int_equal(receive(packets, SLOTS), 0); /* not published */
    weir_ring_source_publish(pair.source);
    assert_int_equal(receive(packets, SLOTS), 3);
    assert_int_equal(packets[0].size, 10);
    assert_int_equal(packets[1].size, PAYLOAD);
    assert_int_equal(packets[2].size, 0);
    assert_int_equal(packets[1].data[PAYLOAD - 1], 2);
    assert_int_equal(packets[1].time_unit, WEIR_TIME_MS);
    assert_true(packets[0].final);
    memset(slot, 9, 10); /* the same memory, seen from both sides */
    assert_int_equal(packets[0].data[0], 9);
}

static void
test_slots_are_reused_only_after_release(void **state)
{
    (void)state;
    struct weir_packet packets[SLOTS];
    for (uint8_t i = 0; i < SLOTS; i++)
        assert_true(put(i, 1));
    assert_false(put(99, 1));
    weir_ring_source_publish(pair.source);
    assert_int_equal(receive(packets, 5), 5);
    assert_false(put(99, 1));
    pair.port->ops->release(pair.port, packets, 5);
    assert_int_equal(weir_ring_source_released(pair.source), 5);
    for (uint8_t i = 0; i < 5; i++)
        assert_true(put((uint8_t)(SLOTS + i), 1));
    assert_false(put(99, 1));
    weir_ring_source_publish(pair.source);
    size_t got = receive(packets, SLOTS);
    assert_int_equal(got, 3); /* what the port's copy of the cursor showed */
    for (size_t i = 0; i < got; i++)
        assert_int_equal(packets[i].data[0], 5 + i);
    pair.port->ops->release(pair.port, packets, got);
    assert_int_equal(receive(packets, SLOTS), 5);
    assert_int_equal(packets[4].data[0], SLOTS + 4);
}

static void
test_drained_after_end_and_last_release(void **state)
{
    (void)state;
    struct weir_packet packet;
    assert_true(put(1, 1));
    assert_false(weir_port_memory_drained(pair.port));
    weir_ring_source_end(pair.source);
    assert_false(weir_port_memory_drained(pair.port));
    assert_int_equal(receive(&packet, 1), 1);
    assert_false(weir_port_memory_drained(pair.port));
    pair.port->ops->release(pair.port, &packet, 1);
    assert_true(weir_port_memory_drained(pair.port));
}

/* A slot that says more than it holds is refused, counted, and its room comes back. */
static void
test_hostile_slots_are_refused(void **state)
{
    (void)state;
    uint8_t *slot = weir_ring_source_reserve(pair.source);
    assert_true(put(1, 1));
    uint32_t size = PAYLOAD + 1;
    memcpy(slot - 8, &size, sizeof size);
    uint8_t *second = weir_ring_source_reserve(pair.source);
    assert_true(put(1, 1));
    second[-4] = WEIR_PROTO_COUNT;
    weir_ring_source_publish(pair.source);
    struct weir_packet packet;
    assert_int_equal(receive(&packet, 1), 0);
    const struct weir_ledger_unit *packets = &pair.counts.unit[WEIR_UNIT_PACKETS];
    assert_int_equal(packets->received, 2);
    assert_int_equal(packets->rejected[WEIR_REASON_truncated], 2);
    assert_int_equal(weir_ring_source_released(pair.source), 2);
}

static void
test_both_sides_go_on_after_reattach(void **state)
{
    (void)state;
    struct weir_packet packet;
    assert_true(put(1, 1));
    assert_true(put(2, 1));
    weir_ring_source_publish(pair.source);
    assert_int_equal(receive(&packet, 1), 1);
    pair.port->ops->release(pair.port, &packet, 1);
    pair.port->ops->close(pair.port);
    weir_ring_source_detach(pair.source);
    assert_int_equal(weir_ring_source_attach(pair.fd, &pair.source), WEIR_OK);
    assert_int_equal(weir_port_memory_open(pair.fd, &pair.counts, &pair.port), WEIR_OK);
    assert_int_equal(receive(&packet, 1), 1);
    assert_int_equal(packet.data[0], 2);
    for (uint8_t i = 0; i < SLOTS - 1; i++)
        assert_true(put(i, 1));
    assert_false(put(9, 1));
}

static void
test_open_refuses_what_is_no_ring_source(void **state)
{
    (void)state;
    struct weir_port *port;
    int fd;
    assert_int_equal(weir_ring_source_new(0, 8, &fd), WEIR_INVALID);
    assert_int_equal(weir_ring_source_new(100, 9, &fd), WEIR_INVALID);
    assert_int_equal(weir_ring_source_new(WEIR_RING_SOURCE_PAYLOAD_MAX + 1, 8, &fd), WEIR_INVALID);
    assert_int_equal(weir_port_memory_open(-1, &pair.counts, &port), WEIR_INVALID);
    fd = memfd_create("other", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(weir_port_memory_open(fd, &pair.counts, &port), WEIR_INVALID);
    assert_int_equal(ftruncate(fd, 1 << 16), 0);
    assert_int_equal(weir_port_memory_open(fd, &pair.counts, &port), WEIR_INVALID);
    close(fd);
    assert_int_equal(ftruncate(pair.fd, 8192), 0); /* cut short after it was made */
    assert_int_equal(ftruncate(pair.fd, 4096), 0);
    assert_int_equal(weir_port_memory_open(pair.fd, &pair.counts, &port), WEIR_INVALID);
}

int
main(void)
{
#define with_pair(name) cmocka_unit_test_setup_teardown(name, pair_open, pair_close)
    const struct CMUnitTest tests[] = {
        with_pair(test_packets_come_in_order_in_place),
        with_pair(test_slots_are_reused_only_after_release),
        with_pair(test_drained_after_end_and_last_release),
        with_pair(test_hostile_slots_are_refused),
        with_pair(test_both_sides_go_on_after_reattach),
        with_pair(test_open_refuses_what_is_no_ring_source),
    };
    return cmocka_run_group_tests_name("port_memory", tests, NULL, NULL);
}
