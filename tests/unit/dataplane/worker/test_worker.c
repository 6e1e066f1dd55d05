/* The worker with real parsers and tables, between a port, a registrar and a log writer that the
 * test plays. */
#include "base/clock.h"
#include "dataplane/protocol/influx/influx.h"
#include "dataplane/worker/worker.h"
#include "model/shared.h"
#include "tests/unit/dataplane/stages_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SERIES_MAX 50000
#define LABEL_BYTES (SERIES_MAX * 128)
#define BATCHES 3
#define SECOND_NS INT64_C(1000000000)
#define HOUR_NS (3600 * SECOND_NS)
#define NOW_TEXT "1750000000000000000"

/* A port that hands out the packets the test has laid ready, and remembers what came back. */
struct played_port {
    struct weir_port port;
    struct weir_packet ready[WEIR_BURST_MAX];
    size_t ready_count;
    struct weir_packet released[WEIR_BURST_MAX];
    size_t released_count;
    struct weir_completion completed;
    size_t completed_count;
    bool waiting;
    size_t receives;
    size_t statistics;
    uint64_t drops; /* at each look but the first */
    size_t asked;   /* packets, at the last receive */
    bool slow;      /* its packets take long */
};

static struct {
    struct weir_worker_options options;
    struct weir_worker *worker;
    struct played_port port;
    struct weir_counts registrar; /* what the played registrar says of itself */
    uint8_t text[WEIR_BURST_MAX][70000];
    size_t texts;
} t;

static size_t
played_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct played_port *played = (struct played_port *)port;
    size_t count = played->ready_count < max ? played->ready_count : max;
    memcpy(packets, played->ready, count * sizeof *packets);
    played->ready_count -= count;
    memmove(played->ready, played->ready + count, played->ready_count * sizeof *packets);
    played->receives++;
    played->asked = max;
    return count;
}

static void
played_release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    struct played_port *played = (struct played_port *)port;
    memcpy(played->released, packets, count * sizeof *packets);
    played->released_count = count;
    if (played->slow)
        usleep(20000);
}

static void
played_complete(struct weir_port *port, const struct weir_completion *completion)
{
    struct played_port *played = (struct played_port *)port;
    played->completed = *completion;
    played->completed_count++;
}

static bool
played_progress(struct weir_port *port, const struct weir_progress *progress)
{
    (void)progress;
    return ((struct played_port *)port)->waiting;
}

static void
played_statistics(struct weir_port *port)
{
    struct played_port *played = (struct played_port *)port;
    port->counts->counter[WEIR_COUNTER_socket_drops] +=
        played->statistics == 0 ? 5 : played->drops;
    played->statistics++;
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
    .complete = played_complete,
    .progress = played_progress,
    .wait_fd = played_fd,
    .statistics = played_statistics,
    .close = played_close};

static int
setup(void **state)
{
    (void)state;
    memset(&t, 0, offsetof(__typeof__(t), text));
    t.texts = 0;
    stages_begin(SERIES_MAX, LABEL_BYTES, WEIR_DEFERRALS);
    for (int i = 0; i < BATCHES; i++)
        stages_give_batch(stages.empties);
    t.port.port.ops = &played_ops;
    t.port.port.counts = &stages.counts;
    t.options = (struct weir_worker_options){.ports = {&t.port.port},
        .port_count = 1,
        .series = stages.series,
        .series_cache =
            weir_series_cache_init(zeroed(weir_series_cache_footprint(SERIES_MAX)), SERIES_MAX),
        .key = &stages.key,
        .progress = &stages.progress,
        .ledger = stages.ledger,
        .counts = &stages.counts,
        .degraded = &stages.degraded,
        .batches = stages.batches,
        .empties = stages.empties,
        .deferrals = stages.deferrals,
        .completed = stages.completed,
        .parsed = stages.parsed,
        .retention_ms = INT64_MAX / 4,
        .flush_interval_ns = HOUR_NS,
        .ack_interval_ns = 0};
    assert_int_equal(weir_worker_new(&t.options, &t.worker), WEIR_OK);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    weir_worker_free(t.worker);
    free(t.options.series_cache);
    stages_end();
    return 0;
}

static struct weir_packet *
ready(const char *text, bool final)
{
    size_t size = strlen(text);
    assert_true(size + WEIR_PACKET_SLACK <= sizeof t.text[0] && t.texts < WEIR_BURST_MAX);
    assert_true(t.port.ready_count < WEIR_BURST_MAX);
    uint8_t *copy = t.text[t.texts++];
    memcpy(copy, text, size);
    struct weir_packet *packet = &t.port.ready[t.port.ready_count++];
    *packet = (struct weir_packet){.data = copy,
        .size = (uint32_t)size,
        .proto = WEIR_PROTO_INFLUX,
        .time_unit = WEIR_TIME_NS,
        .final = final,
        .source = weir_source(1, 7),
        .receive_ms = 1750000000000,
        .receive_tsc = 1};
    return packet;
}

static void
define(const char *metric)
{
    struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)metric, 8,
        (uint16_t)strlen(metric)};
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size;
    uint64_t number;
    bool defined;
    assert_int_equal(weir_labels_encode(&label, 1, labels, &size), WEIR_OK);
    assert_int_equal(weir_series_define(stages.series, labels, size, &number, &defined), WEIR_OK);
}

/* As of UDP: nobody is answered, so nobody can be held back. */
static const struct weir_port_ops mute_ops = {.kind = "mute",
    .receive = played_receive,
    .release = played_release,
    .wait_fd = played_fd,
    .close = played_close};

static void
test_known_series_go_into_the_batch(void **state)
{
    (void)state;
    define("m_a");
    define("m_b");
    ready("m a=1,b=2.5 " NOW_TEXT "\nm a=3 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released_count, 1);
    assert_int_equal(t.port.released[0].accepted, 2);
    assert_int_equal(t.port.released[0].deferred, 0);
    assert_int_equal(t.port.released[0].batch, 1);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_SAMPLES], 3);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_PACKETS], 1);
    assert_null(weir_ring_peek(stages.batches)); /* not due */
    while (!weir_worker_drain(t.worker))
        assert_non_null(weir_ring_peek(stages.batches));
    struct weir_batch *batch = weir_ring_pop(stages.batches);
    assert_non_null(batch);
    assert_int_equal(batch->count, 3);
    assert_int_equal(batch->records, 2);
    assert_int_equal(batch->packets, 1);
    assert_int_equal(batch->series_through, 2);
    assert_int_equal(weir_sample_series(&batch->samples[1]), 1);
    assert_true(weir_sample_double(&batch->samples[1]) == 2.5);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_SAMPLES], 3); /* now on the edge */
}

static void
test_stages_count_the_samples_that_pass_them(void **state)
{
    (void)state;
    static char text[64000];
    size_t size = 0;
    define("m_a");
    define("m_b");
    define("m_c");
    for (int i = 0; i < 1000; i++)
        size += (size_t)snprintf(text + size, sizeof text - size,
            "m a=%d,b=2,c=3 " NOW_TEXT "\n", i);
    ready(text, true);
    ready("m a=1,new=1 " NOW_TEXT "\nm a=1,b=2 " NOW_TEXT "\nbad\n", true);
    weir_worker_run_once(t.worker);
    const uint64_t *samples = closed()->total.samples;
    assert_int_equal(samples[WEIR_STAGE_receive], 3004);
    assert_int_equal(samples[WEIR_STAGE_parse], 3004);
    assert_int_equal(samples[WEIR_STAGE_lookup], 3004);
    assert_int_equal(samples[WEIR_STAGE_batch], 3002); /* a line is the registrar's */
}

static void
test_a_line_with_one_unknown_series_goes_whole_to_the_registrar(void **state)
{
    (void)state;
    define("m_a");
    ready("m a=1,new=2 " NOW_TEXT "\nm a=3 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(t.port.released[0].deferred, 1);
    struct weir_deferral *deferral = weir_ring_pop(stages.deferrals);
    assert_non_null(deferral);
    assert_int_equal(deferral->records, 1);
    assert_int_equal(deferral->samples, 2);
    assert_int_equal(deferral->packets, 0); /* the packet ends with its other record */
    struct weir_deferred_line line;
    memcpy(&line, deferral->lines, sizeof line);
    assert_int_equal(line.samples, 2);
    assert_int_equal(line.source, weir_source(1, 7));
    assert_true(line.resolved);
    const struct weir_deferred_point *point = (const void *)(deferral->lines + sizeof line);
    assert_int_equal(point->number, 0); /* known, with nothing to compare */
    assert_int_equal(point->labels_size, 0);
    assert_int_equal(point->value, 1);
    point++;
    struct weir_label label;
    assert_int_equal(point->number, WEIR_SERIES_UNKNOWN);
    assert_int_equal(point->value, 2);
    assert_true(weir_labels_find((const uint8_t *)(point + 1), point->labels_size,
        WEIR_NAME_LABEL, &label));
    assert_int_equal(label.value_size, 5);
    assert_memory_equal(label.value, "m_new", 5);
    struct weir_hash128 fingerprint = weir_series_fingerprint(stages.series,
        (const uint8_t *)(point + 1), point->labels_size);
    assert_memory_equal(&fingerprint, &point->fingerprint, sizeof fingerprint);
    assert_int_equal(line.size, weir_deferred_point_bytes(0) +
        weir_deferred_point_bytes(point->labels_size));
    closed();
}

/* The first point of the deferral that was just pushed, which goes back as it stands. */
static struct weir_deferred_point *
completed_point(void)
{
    struct weir_deferral *deferral = weir_ring_pop(stages.deferrals);
    assert_non_null(deferral);
    assert_true(weir_ring_push(stages.completed, deferral));
    return (void *)(deferral->lines + sizeof(struct weir_deferred_line));
}

static void
test_numbers_that_come_back_need_no_labels_any_more(void **state)
{
    (void)state;
    const uint64_t *misses = &stages.counts.counter[WEIR_COUNTER_raw_misses];
    for (int round = 0; round < 4; round++) {
        t.texts = 0;
        ready("m a=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        if (round < 2) /* refused the first time, numbered the second */
            completed_point()->number = round == 0 ? WEIR_SERIES_UNKNOWN : 0;
        if (round == 1)
            define("m_a");
        assert_int_equal(*misses, round < 2 ? round + 1 : 2);
    }
    assert_int_equal(t.port.released[0].accepted, 1);
}

static uint32_t drawn = 1;

static uint32_t
draw(uint32_t below)
{
    drawn = drawn * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)drawn * below >> 32);
}

#define HOSTS 20
#define HOST_FIELDS 9

/* A host's fields as a line each or as one line, in their order or in another, some left out, one
 * of another host or a refused line between. A value tells whose it is. */
static size_t
write_host(char *text, size_t room, uint32_t *samples)
{
    uint32_t host = draw(HOSTS), from = draw(3) == 0 ? draw(HOST_FIELDS) : 0, used = 0;
    bool one_line = draw(2) == 0, open = false;
    for (uint32_t n = 0; n < HOST_FIELDS; n++) {
        uint32_t field = (from + n) % HOST_FIELDS, other = draw(HOSTS);
        if (draw(7) == 0)
            continue;
        used += (uint32_t)snprintf(text + used, room - used, "%s", open ? "," : "");
        if (!open)
            used += (uint32_t)snprintf(text + used, room - used, "h%u ", host);
        used += (uint32_t)snprintf(text + used, room - used, "f%u=%ui", field,
            host * HOST_FIELDS + field);
        ++*samples;
        open = one_line;
        if (!one_line)
            used += (uint32_t)snprintf(text + used, room - used, " " NOW_TEXT "\n");
        if (!one_line && draw(9) == 0)
            used += (uint32_t)snprintf(text + used, room - used, "h%u refused\n", other);
        if (!one_line && draw(9) == 0) {
            used += (uint32_t)snprintf(text + used, room - used, "h%u f%u=%ui " NOW_TEXT "\n",
                other, field, other * HOST_FIELDS + field);
            ++*samples;
        }
    }
    if (open)
        used += (uint32_t)snprintf(text + used, room - used, " " NOW_TEXT "\n");
    return used;
}

/* Each sample is of the series its line says, in whatever order lines come, through many bursts. */
static void
test_samples_are_of_their_lines_series_whatever_their_order(void **state)
{
    (void)state;
    static char text[60000];
    char metric[32];
    for (uint32_t n = 0; n < HOSTS * HOST_FIELDS; n++) {
        snprintf(metric, sizeof metric, "h%u_f%u", n / HOST_FIELDS, n % HOST_FIELDS);
        define(metric);
    }
    uint32_t samples = 0;
    for (int round = 0; round < 60; round++) {
        t.texts = 0;
        for (uint32_t packets = 1 + draw(12); packets > 0; packets--) {
            size_t used = 0, least = draw(3) == 0 ? draw(50000) : 1;
            while (used < least)
                used += write_host(text + used, sizeof text - used, &samples);
            ready(text, true);
        }
        weir_worker_run_once(t.worker);
    }
    while (!weir_worker_drain(t.worker))
        assert_non_null(weir_ring_peek(stages.batches));
    uint32_t seen = 0;
    for (struct weir_batch *batch; (batch = weir_ring_pop(stages.batches)) != NULL;) {
        for (uint32_t i = 0; i < batch->count; i++, seen++)
            assert_int_equal(batch->samples[i].value, weir_sample_series(&batch->samples[i]));
    }
    assert_int_equal(seen, samples);
    assert_in_range(samples, 10000, BATCHES * WEIR_BATCH_SAMPLES_MAX - 1);
}

/* Restarted: the series are there and the cache is empty. */
static void
test_known_labels_are_resolved_whatever_their_number(void **state)
{
    (void)state;
    static char text[60000];
    size_t used = (size_t)snprintf(text, sizeof text, "m ");
    unsigned fields = 0;
    char metric[32];
    for (; used + 64 < sizeof text; fields++) {
        used += (size_t)snprintf(text + used, 32, "%sf%u=%u", fields ? "," : "", fields, fields);
        snprintf(metric, sizeof metric, "m_f%u", fields);
        define(metric);
    }
    snprintf(text + used, sizeof text - used, " " NOW_TEXT);
    ready(text, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_raw_misses], fields);
    while (!weir_worker_drain(t.worker))
        assert_non_null(weir_ring_peek(stages.batches));
    struct weir_batch *batch = weir_ring_pop(stages.batches);
    assert_int_equal(batch->count, fields);
    for (unsigned i = 0; i < fields; i++)
        assert_int_equal(weir_sample_series(&batch->samples[i]), i);
}

static struct weir_deferred_line
pushed_line(void)
{
    struct weir_deferred_line line;
    struct weir_deferral *deferral = weir_ring_pop(stages.deferrals);
    assert_non_null(deferral);
    memcpy(&line, deferral->lines, sizeof line);
    return line;
}

static void
test_a_line_goes_as_text_where_its_labels_take_too_much_room(void **state)
{
    (void)state;
    static char text[60000];
    size_t used = (size_t)snprintf(text, sizeof text, "m,tag=");
    memset(text + used, 'x', 4000);
    used += 4000;
    text[used++] = ' ';
    for (unsigned i = 0; i < 100; i++)
        used += (size_t)snprintf(text + used, 32, "%sf%u=1", i ? "," : "", i);
    snprintf(text + used, sizeof text - used, " " NOW_TEXT);
    ready(text, true);
    weir_worker_run_once(t.worker);
    struct weir_deferred_line line = pushed_line();
    assert_false(line.resolved);
    assert_int_equal(line.samples, 100);
    assert_int_equal(line.size, strlen(text));
    closed();
}

/* Deferrals that senders are listened to for are kept for text, which takes less room. */
static void
test_a_line_goes_as_text_where_deferrals_are_few(void **state)
{
    (void)state;
    bool resolved = true;
    t.port.port.ops = &mute_ops;
    for (int round = 0; round < WEIR_DEFERRALS; round++) {
        t.texts = 0;
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        struct weir_deferred_line line = pushed_line();
        assert_true(resolved || !line.resolved);
        resolved = line.resolved;
        if (round == 0)
            assert_true(resolved);
        if (!resolved)
            assert_int_equal(line.size, strlen("unknown f=1 " NOW_TEXT));
    }
    assert_false(resolved);
}

static void
test_completions_reach_the_port_and_deferrals_come_back(void **state)
{
    (void)state;
    for (int round = 0; round < 3 * WEIR_DEFERRALS; round++) {
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        t.texts = 0;
        struct weir_deferral *deferral = weir_ring_pop(stages.deferrals);
        assert_non_null(deferral);
        assert_int_equal(deferral->number, round + 1);
        assert_int_equal(deferral->packets, 1);
        /* the played registrar refuses it */
        uint32_t edge = WEIR_EDGE_WORKER_REGISTRAR(0);
        t.registrar.popped[edge] = deferral->number;
        for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
            t.registrar.unit[unit].rejected[WEIR_REASON_table_full]++;
        weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_REGISTRAR], &t.registrar);
        deferral->completions[0] = (struct weir_completion){.source = weir_source(1, 7),
            .rejected = 1};
        deferral->completion_count = 1;
        assert_true(weir_ring_push(stages.completed, deferral));
    }
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.completed_count, 3 * WEIR_DEFERRALS);
    assert_int_equal(t.port.completed.rejected, 1);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_RECORDS], 0);
}

static void
test_unknown_lines_are_refused_when_no_deferral_is_left(void **state)
{
    (void)state;
    t.port.port.ops = &mute_ops;
    for (int round = 0; round < WEIR_DEFERRALS; round++) {
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        t.texts = 0;
    }
    define("known_f");
    ready("unknown f=1 " NOW_TEXT "\nknown f=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].rejected, 1);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog), 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_define_backlog), 1);
}

/* Whoever sends what takes long holds up others for a few packets, not for a whole burst. */
static void
test_a_port_whose_packets_take_long_gives_fewer_at_a_time(void **state)
{
    (void)state;
    enum { ROUNDS_MAX = 100000 };
    size_t before = 2 * WEIR_BURST_MAX;
    int rounds = 0;
    define("known_f");
    t.port.slow = true;
    for (; before > 1 && rounds < ROUNDS_MAX; rounds++) {
        t.texts = 0;
        ready("known f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        assert_int_equal(t.port.asked, before / 2);
        before = t.port.asked;
    }
    t.port.slow = false;
    for (rounds = 0; t.port.asked < WEIR_BURST_MAX && rounds < ROUNDS_MAX; rounds++) {
        t.texts = 0;
        ready("known f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
    }
    assert_int_equal(t.port.asked, WEIR_BURST_MAX);
}

static void
test_datagrams_of_new_series_leave_room_to_senders_that_wait(void **state)
{
    (void)state;
    struct played_port streams = {.port = t.port.port};
    t.port.port.ops = &mute_ops;
    weir_worker_free(t.worker);
    t.options.ports[1] = &streams.port;
    t.options.port_count = 2;
    assert_int_equal(weir_worker_new(&t.options, &t.worker), WEIR_OK);
    define("known_f");
    for (int round = 0; round < 2 * WEIR_DEFERRALS; round++) {
        t.texts = 0;
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
    }
    assert_true(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog) > 0);
    ready("new f=1 " NOW_TEXT "\nknown f=1 " NOW_TEXT, true);
    streams.ready[0] = t.port.ready[0];
    streams.ready[0].source = weir_source(2, 7);
    streams.ready_count = 1;
    t.port.ready_count = 0;
    weir_worker_run_once(t.worker);
    assert_int_equal(streams.released_count, 1);
    assert_int_equal(streams.released[0].accepted, 1);
    assert_int_equal(streams.released[0].deferred, 1);
    weir_worker_free(t.worker); /* while its ports are there */
    t.worker = NULL;
}

static void
test_senders_that_wait_are_held_back_while_the_registrar_lags(void **state)
{
    (void)state;
    for (int round = 0; round < WEIR_DEFERRALS; round++) {
        t.port.ready_count = 0;
        t.texts = 0;
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
    }
    size_t receives = t.port.receives;
    assert_true(receives < WEIR_DEFERRALS);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.receives, receives);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog), 0);
    /* a refusal is to be told */
    atomic_store(&stages.progress.state, WEIR_INGEST_DISK_FULL);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.receives, receives + 1);
    assert_int_equal(t.port.released[0].rejected, 1);
    atomic_store(&stages.progress.state, WEIR_INGEST_OPEN);
    /* the played registrar gives all back */
    struct weir_deferral *deferral;
    while ((deferral = weir_ring_pop(stages.deferrals)) != NULL)
        assert_true(weir_ring_push(stages.completed, deferral));
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.receives, receives + 2);
}

static void
test_packets_end_by_what_became_of_their_records(void **state)
{
    (void)state;
    ready("# only a comment\n\n", true);
    ready("broken\nm f=\n", true);
    ready("m s=\"text\" " NOW_TEXT, true);
    ready("m f=1 " NOW_TEXT, false); /* incomplete: not yet received */
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released_count, 4);
    assert_int_equal(t.port.released[3].consumed, 0);
    assert_int_equal(rejected(WEIR_UNIT_PACKETS, WEIR_REASON_empty), 1);
    assert_int_equal(rejected(WEIR_UNIT_PACKETS, WEIR_REASON_nothing_accepted), 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_bad_line), 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_no_sample_accepted), 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_unsupported_type), 1);
    assert_int_equal(closed()->total.unit[WEIR_UNIT_PACKETS].received, 3);
}

/* What had arrived when the stop came is taken; what comes for ever is not. */
static void
test_a_stopping_worker_takes_what_its_ports_hold(void **state)
{
    (void)state;
    define("m_f");
    ready("m f=1 " NOW_TEXT, true);
    assert_false(weir_worker_drain(t.worker));
    assert_int_equal(t.port.released_count, 1);
    assert_int_equal(t.port.released[0].accepted, 1);
    bool drained = false;
    for (int round = 0; round < 1000 && !drained; round++) {
        t.texts = 0;
        ready("# noise", true);
        drained = weir_worker_drain(t.worker);
    }
    assert_true(drained);
    struct weir_batch *batch = weir_ring_pop(stages.batches);
    assert_non_null(batch);
    assert_int_equal(batch->count, 1);
    closed();
}

static void
test_a_full_disk_refuses_at_the_door_and_resumes(void **state)
{
    (void)state;
    define("m_f");
    atomic_store(&stages.progress.state, WEIR_INGEST_DISK_FULL);
    ready("m f=1 " NOW_TEXT "\nnew f=1,g=2 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_disk_full), 2);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_disk_full), 3);
    assert_null(weir_ring_peek(stages.deferrals));
    atomic_store(&stages.progress.state, WEIR_INGEST_OPEN);
    ready("m f=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
}

/* Usual lines, bad ones, and strings over several lines that are longer than what is parsed at a
 * time; the last line has no end. */
static size_t
mixed_text(char *text, size_t size)
{
    size_t at = 0;
    for (int i = 0; at < size - 8000; i++) {
        if (i % 7 == 3) {
            at += (size_t)sprintf(text + at, "m f=\n");
        } else if (i % 60 == 59) {
            at += (size_t)sprintf(text + at, "m s=\"");
            for (int k = 0; k < 600; k++)
                at += (size_t)sprintf(text + at, "as, bs=\n");
            at += (size_t)sprintf(text + at, "\",f=1 " NOW_TEXT "\n");
        } else {
            at += (size_t)sprintf(text + at, "m f=%d " NOW_TEXT "\n", i);
        }
    }
    return at + (size_t)sprintf(text + at, "m f=1 17500");
}

/* What the parser makes of it in one piece. */
static void
parse_whole(const struct weir_packet *packet, uint32_t *accepted, uint32_t *refused,
    uint32_t *consumed)
{
    static struct weir_parsed parsed;
    struct weir_parse_context context = {.key = &stages.key,
        .time_min_ms = INT64_MIN,
        .time_max_ms = INT64_MAX};
    struct weir_packet whole = *packet;
    size_t at = 0, before;
    do {
        before = at;
        weir_parsed_reset(&parsed);
        at = weir_influx_parse(&context, &whole, before, &parsed);
        for (uint32_t i = 0; i < parsed.record_count; i++) {
            bool good = parsed.records[i].reason == WEIR_REASON_NONE;
            *accepted += good;
            *refused += !good;
        }
    } while (at != before);
    *consumed = (uint32_t)at;
}

static void
test_long_packets_are_parsed_as_in_one_piece(void **state)
{
    (void)state;
    static char text[60000];
    define("m_f");
    size_t size = mixed_text(text, sizeof text);
    for (int final = 0; final < 2; final++) {
        uint32_t accepted = 0, refused = 0, consumed = 0;
        t.texts = 0;
        parse_whole(ready(text, final == 1), &accepted, &refused, &consumed);
        weir_worker_run_once(t.worker);
        assert_int_equal(t.port.released_count, 1);
        assert_int_equal(t.port.released[0].accepted, accepted);
        assert_int_equal(t.port.released[0].rejected, refused);
        assert_int_equal(t.port.released[0].consumed, consumed);
        assert_int_equal(consumed, final == 1 ? size : size - strlen("m f=1 17500"));
        assert_true(accepted > 300 && refused > 50);
        closed();
    }
}

/* A burst larger than all batches: the worker stands still, takes nothing, loses nothing. */
static void
test_it_stops_inside_a_burst_and_goes_on(void **state)
{
    (void)state;
    define("m_f");
    const char line[] = "m f=1 " NOW_TEXT "\n";
    size_t lines = 60000 / (sizeof line - 1);
    char *text = malloc(lines * sizeof line + 1);
    for (size_t i = 0; i < lines; i++)
        memcpy(text + i * (sizeof line - 1), line, sizeof line);
    uint64_t sent = 0;
    uint64_t taken = 0;
    /* more than three batches of samples wait in the port's bursts */
    while (sent <= (BATCHES + 1) * (uint64_t)WEIR_BATCH_SAMPLES_MAX) {
        if (t.port.ready_count == 0) {
            t.texts = 0;
            for (int i = 0; i < 60; i++, sent += lines)
                ready(text, true);
        }
        size_t receives = t.port.receives;
        for (int i = 0; i < 100 && t.port.receives < receives + 2; i++) {
            weir_worker_run_once(t.worker);
            closed();
            struct weir_batch *batch = weir_ring_pop(stages.batches);
            if (batch == NULL)
                continue;
            /* the played writer stores it */
            taken += batch->count;
            stages.writer.popped[WEIR_EDGE_WORKER_WRITER(0)] = batch->number;
            stages.writer.unit[WEIR_UNIT_SAMPLES].stored += batch->count;
            stages.writer.unit[WEIR_UNIT_RECORDS].stored += batch->records;
            stages.writer.unit[WEIR_UNIT_PACKETS].stored += batch->packets;
            weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_WRITER], &stages.writer);
            closed();
            assert_true(weir_ring_push(stages.empties, batch));
        }
    }
    free(text);
    const struct weir_ledger_sum *sum = closed();
    assert_true(taken > WEIR_BATCH_SAMPLES_MAX);
    assert_int_equal(sum->total.unit[WEIR_UNIT_SAMPLES].received,
        taken + sum->in_flight[WEIR_UNIT_SAMPLES]);
    assert_true(sum->total.unit[WEIR_UNIT_SAMPLES].received <= sent);
}

static void
test_it_takes_nothing_while_no_batch_is_empty(void **state)
{
    (void)state;
    define("m_f");
    t.port.waiting = true; /* so that every round flushes */
    for (int i = 0; i < BATCHES; i++) {
        t.texts = 0;
        ready("m f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        weir_worker_run_once(t.worker);
    }
    assert_int_equal(weir_ring_count(stages.batches), BATCHES);
    t.texts = 0;
    ready("m f=2 " NOW_TEXT, true);
    t.port.released_count = 0;
    weir_worker_run_once(t.worker);
    size_t receives = t.port.receives;
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.receives, receives); /* stands still inside the burst */
    assert_int_equal(t.port.released_count, 0);
    struct weir_batch *batch = weir_ring_pop(stages.batches);
    assert_true(weir_ring_push(stages.empties, batch));
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released_count, 1);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(t.port.released[0].batch, BATCHES + 1);
}

static void
test_a_waiting_sender_shortens_the_flush(void **state)
{
    (void)state;
    define("m_f");
    ready("m f=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_null(weir_ring_peek(stages.batches));
    assert_true(weir_worker_deadline_ns(t.worker) > weir_mono_ns() + HOUR_NS / 2);
    t.port.waiting = true;
    weir_worker_run_once(t.worker);
    assert_non_null(weir_ring_peek(stages.batches));
    assert_int_equal(atomic_load(&stages.progress.ack_waiting), 1);
    t.port.waiting = false;
    weir_worker_run_once(t.worker);
    assert_int_equal(atomic_load(&stages.progress.ack_waiting), 0);
}

static void
test_a_burst_of_every_kind_closes_the_ledger(void **state)
{
    (void)state;
    t.port.port.ops = &mute_ops; /* received from though no deferral comes back */
    define("m_f");
    static const char *const lines[] = {"m f=1 " NOW_TEXT "\n", "m f=1,u=2 " NOW_TEXT "\n",
        "x,a=b f=3i " NOW_TEXT "\n", "nonsense\n", "# comment\n", "m f=1,s=\"text\" " NOW_TEXT "\n",
        "m,a=1,a=2 f=1 " NOW_TEXT "\n", "m f=1 1\n"};
    srand(11);
    for (int round = 0; round < 200; round++) {
        t.texts = 0;
        for (int i = 0; i < 20; i++) {
            char text[2000] = "";
            for (int k = rand() % 12; k > 0; k--)
                strcat(text, lines[(size_t)rand() % 8]);
            ready(text, rand() % 4 != 0);
        }
        weir_worker_run_once(t.worker);
        closed();
    }
}

/* Nobody takes batches or deferrals any more: what is open is dropped by name, not in flight. */
static void
test_what_is_open_when_it_ends_is_dropped_by_name(void **state)
{
    (void)state;
    define("m_a");
    ready("m a=1 " NOW_TEXT "\nm a=3 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(closed()->in_flight[WEIR_UNIT_SAMPLES], 2);
    weir_worker_free(t.worker);
    t.worker = NULL;
    const struct weir_ledger_sum *sum = closed();
    static const uint64_t dropped[WEIR_UNIT_COUNT] = {1, 2, 2};
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        assert_int_equal(sum->in_flight[unit], 0);
        assert_int_equal(sum->total.unit[unit].dropped[WEIR_REASON_shutdown], dropped[unit]);
    }
}

/* Gives the batches that are full back as the log writer does, now and then. */
static void
write_some(uint64_t *random)
{
    struct weir_batch *batch;
    while (next_random(random) % 4 == 0 && (batch = weir_ring_pop(stages.batches)) != NULL) {
        stages.writer.unit[WEIR_UNIT_PACKETS].stored += batch->packets;
        stages.writer.unit[WEIR_UNIT_RECORDS].stored += batch->records;
        stages.writer.unit[WEIR_UNIT_SAMPLES].stored += batch->count;
        stages.writer.popped[WEIR_EDGE_WORKER_WRITER(0)] = batch->number;
        weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_WRITER], &stages.writer);
        weir_batch_reset(batch);
        assert_true(weir_ring_push(stages.empties, batch));
    }
}

static void
test_a_stop_anywhere_loses_no_packet_from_the_ledger(void **state)
{
    static char long_text[60000];
    size_t size = 0, in_bursts = 0;
    uint64_t random = 99;
    for (int i = 0; size < sizeof long_text - 100; i++)
        size += (size_t)snprintf(long_text + size, sizeof long_text - size, "m a=%d,b=2\n", i);
    for (int stop = 0; stop < 200; stop++) {
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
        define("m_a");
        define("m_b");
        uint64_t handed = 0, rounds = next_random(&random) % 30;
        for (uint64_t round = 0; round <= rounds; round++) {
            if (t.port.ready_count == 0) {
                t.texts = 0;
                t.port.released_count = 0;
                while (t.port.ready_count < 1 + next_random(&random) % WEIR_BURST_MAX)
                    ready(next_random(&random) % 4 == 0 ? "m a=1,new=1\nbad\n" : long_text,
                        next_random(&random) % 8 != 0);
                handed += t.port.ready_count;
            }
            weir_worker_run_once(t.worker);
            write_some(&random);
        }
        handed -= t.port.ready_count;
        in_bursts += t.port.ready_count == 0 && t.port.released_count == 0;
        weir_worker_free(t.worker);
        t.worker = NULL;
        assert_int_equal(closed()->total.unit[WEIR_UNIT_PACKETS].received, handed);
    }
    assert_true(in_bursts > 0);
}

static void
test_without_deferrals_a_cold_known_line_behind_many_unknown_ones_is_refused(void **state)
{
    (void)state;
    define("m_a");
    t.port.port.ops = &mute_ops;
    for (int round = 0; round < WEIR_DEFERRALS; round++) {
        ready("unknown f=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        t.texts = 0;
    }
    ready("x a=1 " NOW_TEXT "\nx b=1 " NOW_TEXT "\nx c=1 " NOW_TEXT "\nx d=1 " NOW_TEXT
          "\nm a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 0);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog), 5);
    /* ahead of them it is looked up, and what is known once stays known behind them */
    ready("m a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
    ready("x a=1 " NOW_TEXT "\nx b=1 " NOW_TEXT "\nx c=1 " NOW_TEXT "\nx d=1 " NOW_TEXT
          "\nx e=1 " NOW_TEXT "\nx f=1 " NOW_TEXT "\nm a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(t.port.released[0].accepted, 1);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_define_backlog), 5 + 6);
    closed();
}

static void
test_load_is_of_known_series_alone(void **state)
{
    (void)state;
    ready("x a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(weir_worker_load(t.worker), WEIR_LOAD_NONE);
    define("m_a");
    ready("m a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(weir_worker_load(t.worker), WEIR_LOAD_SOME);
    /* and stays so into a batch that has long been open */
    for (int round = 0; round < 8; round++) {
        usleep(3000);
        t.texts = 0;
        ready("m a=1 " NOW_TEXT, true);
        weir_worker_run_once(t.worker);
        assert_int_equal(weir_worker_load(t.worker), WEIR_LOAD_SOME);
    }
    t.texts = 0;
    while (t.port.ready_count < WEIR_BURST_MAX)
        ready("m a=1 " NOW_TEXT, true);
    weir_worker_run_once(t.worker);
    assert_int_equal(weir_worker_load(t.worker), WEIR_LOAD_FULL);
    closed();
}

static void
run_until_statistics(size_t times)
{
    while (t.port.statistics < times)
        weir_worker_run_once(t.worker);
}

static void
test_worker_is_degraded_by_packets_that_a_listener_loses(void **state)
{
    (void)state;
    /* of the five before the first look nobody knows when they were */
    run_until_statistics(2);
    assert_int_equal(stages.degraded.at_ms[WEIR_DEGRADED_listener_drops], 0);
    t.port.drops = 1;
    run_until_statistics(3);
    assert_true(weir_degraded_by(&stages.degraded, WEIR_DEGRADED_listener_drops,
        weir_mono_ns() / 1000000));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_known_series_go_into_the_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_stop_anywhere_loses_no_packet_from_the_ledger, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_stages_count_the_samples_that_pass_them, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_without_deferrals_a_cold_known_line_behind_many_unknown_ones_is_refused, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_load_is_of_known_series_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_line_with_one_unknown_series_goes_whole_to_the_registrar, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_numbers_that_come_back_need_no_labels_any_more, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_samples_are_of_their_lines_series_whatever_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_known_labels_are_resolved_whatever_their_number, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_line_goes_as_text_where_its_labels_take_too_much_room, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_line_goes_as_text_where_deferrals_are_few, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_completions_reach_the_port_and_deferrals_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_unknown_lines_are_refused_when_no_deferral_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_datagrams_of_new_series_leave_room_to_senders_that_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_port_whose_packets_take_long_gives_fewer_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_senders_that_wait_are_held_back_while_the_registrar_lags, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_packets_end_by_what_became_of_their_records, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_stopping_worker_takes_what_its_ports_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_full_disk_refuses_at_the_door_and_resumes, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_long_packets_are_parsed_as_in_one_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_it_stops_inside_a_burst_and_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_it_takes_nothing_while_no_batch_is_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_waiting_sender_shortens_the_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_burst_of_every_kind_closes_the_ledger, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_is_open_when_it_ends_is_dropped_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_worker_is_degraded_by_packets_that_a_listener_loses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
