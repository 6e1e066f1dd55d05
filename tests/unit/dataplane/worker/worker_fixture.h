/* worker_fixture: the worker with real parsers and tables, between a port, a registrar and a log
 * writer that the test plays. */
#ifndef WEIR_TESTS_UNIT_DATAPLANE_WORKER_WORKER_FIXTURE_H
#define WEIR_TESTS_UNIT_DATAPLANE_WORKER_WORKER_FIXTURE_H

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

static inline size_t
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

static inline void
played_release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    struct played_port *played = (struct played_port *)port;
    memcpy(played->released, packets, count * sizeof *packets);
    played->released_count = count;
    if (played->slow)
        usleep(20000);
}

static inline void
played_complete(struct weir_port *port, const struct weir_completion *completion)
{
    struct played_port *played = (struct played_port *)port;
    played->completed = *completion;
    played->completed_count++;
}

static inline bool
played_progress(struct weir_port *port, const struct weir_progress *progress)
{
    (void)progress;
    return ((struct played_port *)port)->waiting;
}

static inline void
played_statistics(struct weir_port *port)
{
    struct played_port *played = (struct played_port *)port;
    port->counts->counter[WEIR_COUNTER_socket_drops] +=
        played->statistics == 0 ? 5 : played->drops;
    played->statistics++;
}

static inline int
played_fd(struct weir_port *port)
{
    (void)port;
    return -1;
}

static inline void
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

static inline int
setup(void **state)
{
    (void)state;
    memset(&t, 0, offsetof(__typeof__(t), text));
    t.texts = 0;
    stages_begin(SERIES_MAX, WEIR_DEFERRALS);
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

static inline int
teardown(void **state)
{
    (void)state;
    weir_worker_free(t.worker);
    free(t.options.series_cache);
    stages_end();
    return 0;
}

static inline struct weir_packet *
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

static inline void
define(const char *metric)
{
    struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)metric, 8,
        (uint16_t)strlen(metric)};
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size;
    uint64_t number;
    bool defined;
    assert_int_equal(weir_labels_encode(&label, 1, labels, &size), WEIR_OK);
    struct weir_hash128 fingerprint = weir_series_fingerprint(stages.series, labels, size);
    assert_int_equal(
        weir_series_define(stages.series, fingerprint, &number, &defined), WEIR_OK);
}

/* As of UDP: nobody is answered, so nobody can be held back. */
static const struct weir_port_ops mute_ops = {.kind = "mute",
    .receive = played_receive,
    .release = played_release,
    .wait_fd = played_fd,
    .close = played_close};

#endif
