/* Datagrams and streams of the weir protocol that wait for a definition of their channel: nobody
 * else waits, order stays, room is bounded by name, and the ledger closes throughout. */
#include "dataplane/protocol/weir/aside.h"
#include "dataplane/registrar/registrar.h"
#include "dataplane/worker/worker.h"
#include "tests/unit/dataplane/stages_fixture.h"
#include "tests/unit/dataplane/worker/wire_fixture.h"

#include <stdlib.h>

#define SERIES_MAX 50000
#define SENDERS_MAX 10000
#define TEMPLATE_BYTES (4u << 20)
#define BATCHES 4
#define PACKETS_MAX 8192
#define PACKET_ROOM 4096
#define NOW_MS INT64_C(1750000000000)

/* Packets in the order in which they come; over a stream each connection has its own stretch. */
static struct {
    struct weir_port port;
    struct weir_counts registrar_counts;
    struct weir_worker_options options;
    struct weir_registrar_options registrar_options;
    struct weir_worker *worker;
    struct weir_registrar *registrar;
    struct weir_packet packets[PACKETS_MAX];
    uint32_t count, at;
    uint8_t (*bytes)[PACKET_ROOM];
    struct weir_packet held; /* a stream that was released and waits */
    bool is_held;
    uint32_t receives_of_held;
    uint64_t stored;
    double last_value;
} t;

static size_t
played_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    (void)port;
    size_t count = t.count - t.at < max ? t.count - t.at : max;
    memcpy(packets, t.packets + t.at, count * sizeof *packets);
    t.at += (uint32_t)count;
    return count;
}

static void
played_release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    (void)port;
    for (size_t i = 0; i < count; i++) {
        if (!packets[i].stream || !packets[i].waits)
            continue;
        assert_false(t.is_held);
        t.is_held = true;
        t.held = packets[i];
        t.held.data += packets[i].consumed;
        t.held.size -= packets[i].consumed;
    }
}

static void
played_resume(struct weir_port *port)
{
    (void)port;
    if (!t.is_held)
        return;
    t.is_held = false;
    assert_true(t.count < PACKETS_MAX);
    t.packets[t.count++] = t.held;
}

static int
played_fd(struct weir_port *port)
{
    (void)port;
    return -1;
}

static void
played_close(struct weir_port *port)
{
    (void)port;
}

static const struct weir_port_ops played_ops = {.kind = "played",
    .receive = played_receive,
    .release = played_release,
    .resume = played_resume,
    .wait_fd = played_fd,
    .close = played_close};

static int
setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    stages_begin(SERIES_MAX, WEIR_DEFERRALS);
    for (int i = 0; i < BATCHES; i++)
        stages_give_batch(stages.empties);
    t.bytes = zeroed(sizeof *t.bytes * PACKETS_MAX);
    t.port.ops = &played_ops;
    t.options = (struct weir_worker_options){.ports = {&t.port},
        .port_count = 1,
        .series = stages.series,
        .series_cache =
            weir_series_cache_init(zeroed(weir_series_cache_footprint(SERIES_MAX)), SERIES_MAX),
        .channels = weir_channels_init(zeroed(weir_channels_footprint(SENDERS_MAX, TEMPLATE_BYTES)),
            SENDERS_MAX, TEMPLATE_BYTES, &stages.key),
        .key = &stages.key,
        .progress = &stages.progress,
        .ledger = stages.ledger,
        .counts = &stages.counts,
        .batches = stages.batches,
        .empties = stages.empties,
        .deferrals = stages.deferrals,
        .completed = stages.completed,
        .parsed = stages.parsed,
        .retention_ms = INT64_MAX / 4};
    assert_int_equal(weir_worker_new(&t.options, &t.worker), WEIR_OK);
    t.registrar_options = (struct weir_registrar_options){.series = stages.series,
        .key = &stages.key,
        .progress = &stages.progress,
        .ledger = stages.ledger,
        .counts = &t.registrar_counts,
        .batches = ring(BATCHES),
        .empties = ring(BATCHES),
        .workers = {{stages.deferrals, stages.completed, WEIR_EDGE_WORKER_REGISTRAR(0)}},
        .worker_count = 1,
        .more_deferrals_ns = WEIR_REGISTRAR_MORE_DEFERRALS_NS,
        .parsed = zeroed(sizeof(struct weir_parsed))};
    for (int i = 0; i < BATCHES; i++)
        stages_give_batch(t.registrar_options.empties);
    assert_int_equal(weir_registrar_new(&t.registrar_options, &t.registrar), WEIR_OK);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    weir_worker_free(t.worker);
    weir_registrar_free(t.registrar);
    free(t.options.series_cache);
    free(t.options.channels);
    free(t.registrar_options.batches);
    free(t.registrar_options.empties);
    free(t.registrar_options.parsed);
    free(t.bytes);
    stages_end();
    return 0;
}

/* Plays the log writer of one producer. */
static void
write_log(struct weir_ring *batches, struct weir_ring *empties, uint32_t edge)
{
    struct weir_batch *batch;
    while ((batch = weir_ring_pop(batches)) != NULL) {
        if (batch->count > 0)
            t.last_value = weir_sample_double(&batch->samples[batch->count - 1]);
        t.stored += batch->count;
        stages.writer.unit[WEIR_UNIT_PACKETS].stored += batch->packets;
        stages.writer.unit[WEIR_UNIT_RECORDS].stored += batch->records;
        stages.writer.unit[WEIR_UNIT_SAMPLES].stored += batch->count;
        stages.writer.popped[edge] = batch->number;
        weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_WRITER], &stages.writer);
        weir_batch_reset(batch);
        assert_true(weir_ring_push(empties, batch));
    }
}

/* One round of the worker, whose packets all find a batch. */
static void
work(void)
{
    weir_worker_run_once(t.worker);
    (void)closed();
    write_log(t.options.batches, t.options.empties, WEIR_EDGE_WORKER_WRITER(0));
}

static void
define(void)
{
    weir_registrar_run_once(t.registrar);
    weir_registrar_flush(t.registrar);
    (void)closed();
    write_log(t.registrar_options.batches, t.registrar_options.empties,
        WEIR_EDGE_REGISTRAR_WRITER);
}

static struct wire_packet
channel(uint64_t sender, uint32_t hash)
{
    return (struct wire_packet){.sender = sender,
        .epoch = 1,
        .base_ms = NOW_MS,
        .template_id = 1,
        .hash = hash,
        .count = 2,
        .total = 2};
}

static struct weir_packet *
come(size_t size, bool stream)
{
    assert_true(t.count < PACKETS_MAX && size + WEIR_PACKET_SLACK <= PACKET_ROOM);
    struct weir_packet *packet = &t.packets[t.count];
    *packet = (struct weir_packet){.data = t.bytes[t.count],
        .size = (uint32_t)size,
        .proto = WEIR_PROTO_WEIR,
        .final = !stream,
        .stream = stream,
        .receive_ms = NOW_MS,
        .receive_tsc = 1};
    t.count++;
    return packet;
}

static void
come_definition(struct wire_packet packet)
{
    char name[40];
    snprintf(name, sizeof name, "m%llu_%u", (unsigned long long)packet.sender, packet.hash);
    come(wire_definition(t.bytes[t.count], &packet, name, NULL), false);
}

static void
come_group(struct wire_packet packet, uint64_t sequence)
{
    packet.sequence = sequence;
    come(wire_group(t.bytes[t.count], &packet), false);
}

static void
test_a_channel_that_waits_holds_up_nobody_else(void **state)
{
    (void)state;
    come_definition(channel(1, 1));
    work();
    define();
    work();
    come_definition(channel(2, 1));
    come_group(channel(2, 1), 1);
    come_group(channel(1, 1), 1);
    come_group(channel(2, 1), 2);
    come_group(channel(1, 1), 2);
    for (int i = 0; i < 5; i++)
        work();
    assert_int_equal(t.stored, 4);
    assert_true(weir_worker_waits(t.worker));
    /* the definition and two groups */
    assert_int_equal(closed()->in_flight[WEIR_UNIT_PACKETS], 3);
    assert_int_equal(closed()->total.counter[WEIR_COUNTER_template_waits], 2);
    come_group(channel(1, 1), 3);
    work();
    work();
    assert_int_equal(t.stored, 6);
    define();
    work();
    work();
    assert_int_equal(t.stored, 10);
    assert_false(weir_worker_waits(t.worker));
    for (enum weir_stage stage = WEIR_STAGE_receive; stage <= WEIR_STAGE_batch; stage++)
        assert_int_equal(closed()->total.samples[stage], stage == WEIR_STAGE_lookup ? 0 : 10);
    assert_int_equal(closed()->total.counter[WEIR_COUNTER_template_waits], 2);
    assert_int_equal(closed()->total.counter[WEIR_COUNTER_sequence_reorderings], 0);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_PACKETS], 0);
}

static void
test_what_comes_behind_a_waiting_datagram_keeps_its_place(void **state)
{
    (void)state;
    enum { TURNS = 300 };
    /* each definition replaces the template: its groups are of no other */
    for (uint32_t i = 1; i <= TURNS; i++) {
        come_definition(channel(1, i));
        come_group(channel(1, i), 2 * i - 1);
        come_group(channel(1, i), 2 * i);
    }
    for (int i = 0; i < 2 * TURNS; i++) {
        work();
        if (i % 2 == 0)
            define();
    }
    const struct weir_ledger_sum *sum = closed();
    assert_int_equal(t.stored, TURNS * 4);
    assert_true(t.last_value == 1 + 2 * TURNS / 1000.0);
    assert_int_equal(sum->total.counter[WEIR_COUNTER_sequence_reorderings], 0);
    assert_int_equal(sum->total.unit[WEIR_UNIT_RECORDS].rejected[WEIR_REASON_no_template], 0);
    assert_int_equal(sum->total.unit[WEIR_UNIT_PACKETS].received, TURNS * 3);
    assert_int_equal(sum->in_flight[WEIR_UNIT_PACKETS], 0);
}

static void
test_without_room_to_wait_packets_are_refused_by_name_and_others_wait(void **state)
{
    (void)state;
    come_definition(channel(1, 1));
    for (uint32_t i = 0; i < 5000; i++)
        come_group(channel(1, 1), i + 1);
    for (int i = 0; i < 100; i++)
        work();
    uint64_t refused = rejected(WEIR_UNIT_RECORDS, WEIR_REASON_template_backlog);
    assert_in_range(refused, 5000 - WEIR_ASIDE_UNITS / 2 - 1, 5000 - WEIR_ASIDE_UNITS / 2 + 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_template_backlog), 2 * refused);
    for (uint64_t sender = 2; sender < 100; sender++) {
        come_definition(channel(sender, 1));
        come_group(channel(sender, 1), 1);
    }
    for (int i = 0; i < 10; i++)
        work();
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_template_backlog), refused);
    for (int i = 0; i < 400; i++) {
        define();
        work();
    }
    assert_int_equal(t.stored, 2 * (5000 - refused + 98));
    /* they were not entered: a sender that has them may send them again */
    assert_int_equal(closed()->total.counter[WEIR_COUNTER_sequence_gaps], 0);
}

static void
test_a_stream_is_left_unread_until_its_definition_is_there(void **state)
{
    (void)state;
    struct wire_packet packet = channel(1, 1);
    size_t size = wire_definition(t.bytes[0], &packet, "stream", NULL);
    packet.sequence = 1;
    size += wire_group(t.bytes[0] + size, &packet);
    packet.sequence = 2;
    size += wire_group(t.bytes[0] + size, &packet);
    come(size, true);
    work();
    work();
    assert_true(t.is_held && weir_worker_waits(t.worker));
    assert_int_equal(t.stored, 0);
    define();
    work();
    work();
    assert_false(t.is_held || weir_worker_waits(t.worker));
    assert_int_equal(t.stored, 4);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_PACKETS], 0);
}

static void
test_a_stop_waits_for_what_waits(void **state)
{
    (void)state;
    come_definition(channel(1, 1));
    come_group(channel(1, 1), 1);
    for (int i = 0; i < 5; i++)
        assert_false(weir_worker_drain(t.worker));
    define();
    bool drained = false;
    for (int i = 0; i < 5 && !drained; i++) {
        drained = weir_worker_drain(t.worker);
        write_log(t.options.batches, t.options.empties, WEIR_EDGE_WORKER_WRITER(0));
    }
    assert_true(drained);
    assert_int_equal(t.stored, 2);
}

static void
test_what_waits_when_the_worker_ends_is_dropped_by_name(void **state)
{
    (void)state;
    come_definition(channel(2, 1));
    come_group(channel(2, 1), 1);
    work();
    weir_worker_free(t.worker);
    t.worker = NULL;
    assert_int_equal(closed()->total.unit[WEIR_UNIT_PACKETS].dropped[WEIR_REASON_shutdown], 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_channel_that_waits_holds_up_nobody_else, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_comes_behind_a_waiting_datagram_keeps_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_without_room_to_wait_packets_are_refused_by_name_and_others_wait, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            test_a_stream_is_left_unread_until_its_definition_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_stop_waits_for_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_waits_when_the_worker_ends_is_dropped_by_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
