/* Worker, senders and registrar behind a port that loses, doubles and delays weir packets: what is
 * counted is the truth, each sample that came is stored once, and the ledger closes. */
#include "base/clock.h"
#include "client/weir_client.h"
#include "dataplane/port/tcp/connections.h"
#include "dataplane/registrar/registrar.h"
#include "dataplane/worker/worker.h"
#include "model/shared.h"
#include "tests/unit/dataplane/worker/port_chaos.h"
#include "tests/unit/dataplane/stages_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define AGENTS 5
#define SERIES 18 /* of an agent: with the head they fill a packet of 256 bytes */
#define STEPS 4096
#define BASE_MS INT64_C(1750000000000)
#define SERIES_MAX 10000
#define TEMPLATE_BYTES (4u << 20)
#define SENDERS_MAX 16
#define BATCHES 4 /* of worker and registrar each */
#define READY_MAX 512

/* ---- agents behind a port ---- */

struct agent {
    struct weir_client *client;
    uint16_t template;
    uint32_t step;
};

struct agents_port {
    struct weir_port port;
    struct agent agents[AGENTS];
    uint64_t random;
    struct weir_packet ready[READY_MAX]; /* in order; handed out from ready_at on */
    size_t ready_count;
    size_t ready_at;
    bool ended;
};

static void
make_ready(void *context, const uint8_t *data, size_t size)
{
    struct agents_port *self = context;
    uint8_t *copy = malloc(size + WEIR_PACKET_SLACK);
    assert_non_null(copy);
    assert_true(self->ready_count < READY_MAX);
    self->ready[self->ready_count++] = (struct weir_packet){.data = memcpy(copy, data, size),
        .size = (uint32_t)size,
        .proto = WEIR_PROTO_WEIR,
        .final = true,
        .receive_ms = BASE_MS,
        .receive_tsc = 1};
}

static void
start_agent(struct agents_port *self, uint32_t number)
{
    struct agent *agent = &self->agents[number];
    /* two senders with channels of their own, so that neither id nor channel alone tells */
    const struct weir_client_options options = {.sender = 1 + number / 3,
        .epoch = 1,
        .channel = (uint16_t)(number % 3),
        .packet_max = 256,
        .emit = make_ready,
        .emit_context = self};
    char name[16], index[SERIES][16];
    snprintf(name, sizeof name, "agent%u", number);
    const struct weir_client_label common[] = {{"__name__", name}};
    struct weir_client_label own[SERIES];
    struct weir_client_series series[SERIES];
    for (int i = 0; i < SERIES; i++) {
        snprintf(index[i], sizeof index[i], "%d", i);
        own[i] = (struct weir_client_label){"i", index[i]};
        series[i] = (struct weir_client_series){&own[i], 1};
    }
    assert_int_equal(weir_client_new(&options, &agent->client), 0);
    assert_int_equal(weir_client_add_template(agent->client, common, 1, series, SERIES,
        &agent->template), 0);
}

/* The sample of a series and step, told apart from all others. */
static double
value_of(uint32_t agent, uint32_t index, uint32_t step)
{
    return (double)((agent * SERIES + index) * STEPS + step);
}

/* One step of an agent taken at random: a packet, now and then a heartbeat, at the end a bye. */
static void
step(struct agents_port *self)
{
    uint32_t number = (uint32_t)(next_random(&self->random) % AGENTS);
    for (uint32_t i = 0; self->agents[number].client == NULL; i++) {
        self->ended = i == AGENTS;
        if (self->ended)
            return;
        number = (number + 1) % AGENTS;
    }
    struct agent *agent = &self->agents[number];
    if (agent->step == STEPS) {
        assert_int_equal(weir_client_close(agent->client, 0), 0);
        agent->client = NULL;
        return;
    }
    double values[SERIES];
    for (uint32_t i = 0; i < SERIES; i++)
        values[i] = value_of(number, i, agent->step);
    assert_int_equal(weir_client_add_values(agent->client, agent->template, 0, values, SERIES,
        BASE_MS + agent->step), 0);
    agent->step++;
    if (next_random(&self->random) % 50 == 0)
        assert_int_equal(weir_client_flush(agent->client), 0);
}

static size_t
agents_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct agents_port *self = (struct agents_port *)port;
    self->ready_count -= self->ready_at;
    memmove(self->ready, self->ready + self->ready_at, self->ready_count * sizeof *self->ready);
    self->ready_at = 0;
    while (self->ready_count < WEIR_BURST_MAX && !self->ended)
        step(self);
    size_t count = self->ready_count < max ? self->ready_count : max;
    memcpy(packets, self->ready, count * sizeof *packets);
    self->ready_at = count;
    return count;
}

static void
agents_release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    (void)port;
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)packets[i].data);
}

static void
agents_close(struct weir_port *port)
{
    (void)port;
}

static const struct weir_port_ops agents_ops = {.kind = "agents",
    .receive = agents_receive,
    .release = agents_release,
    .close = agents_close};

/* ---- the other stages ---- */

static struct {
    struct weir_counts registrar_counts;
    struct agents_port agents;
    uint64_t stored;
    uint64_t numbers[AGENTS * SERIES]; /* of series, + 1; 0 not met */
    bool seen[AGENTS * SERIES * STEPS];
} t;

/* Takes a sample once, for the series that it was meant for. */
static void
count_sample(const struct weir_sample *sample)
{
    uint64_t value = (uint64_t)weir_sample_double(sample);
    assert_true(value < AGENTS * SERIES * STEPS);
    assert_false(t.seen[value]);
    t.seen[value] = true;
    assert_int_equal(sample->time_ms, BASE_MS + (int64_t)(value % STEPS));
    uint64_t *number = &t.numbers[value / STEPS];
    if (*number == 0)
        *number = weir_sample_series(sample) + 1;
    assert_int_equal(*number, weir_sample_series(sample) + 1);
    t.stored++;
}

/* Plays the log writer of one producer. */
static void
write_log(struct weir_ring *batches, struct weir_ring *empties, uint32_t edge)
{
    struct weir_batch *batch;
    while ((batch = weir_ring_pop(batches)) != NULL) {
        for (uint32_t i = 0; i < batch->count; i++)
            count_sample(&batch->samples[i]);
        stages.writer.unit[WEIR_UNIT_PACKETS].stored += batch->packets;
        stages.writer.unit[WEIR_UNIT_RECORDS].stored += batch->records;
        stages.writer.unit[WEIR_UNIT_SAMPLES].stored += batch->count;
        stages.writer.popped[edge] = batch->number;
        weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_WRITER], &stages.writer);
        weir_batch_reset(batch);
        assert_true(weir_ring_push(empties, batch));
    }
}

static struct weir_worker_options
options_new(struct weir_port *port)
{
    struct weir_channels *channels = weir_channels_init(
        zeroed(weir_channels_footprint(SENDERS_MAX, TEMPLATE_BYTES)), SENDERS_MAX, TEMPLATE_BYTES,
        &stages.key);
    for (int i = 0; i < BATCHES; i++)
        stages_give_batch(stages.empties);
    return (struct weir_worker_options){.ports = {port},
        .port_count = 1,
        .series = stages.series,
        .series_cache =
            weir_series_cache_init(zeroed(weir_series_cache_footprint(SERIES_MAX)), SERIES_MAX),
        .channels = channels,
        .key = &stages.key,
        .progress = &stages.progress,
        .ledger = stages.ledger,
        .counts = &stages.counts,
        .batches = stages.batches,
        .empties = stages.empties,
        .deferrals = stages.deferrals,
        .completed = stages.completed,
        .parsed = stages.parsed,
        .retention_ms = INT64_MAX / 4,
        .flush_interval_ns = 1000000};
}

/* With rings of its own to the log writer. */
static struct weir_registrar *
registrar_new(struct weir_registrar_options *options)
{
    *options = (struct weir_registrar_options){.series = stages.series,
        .key = &stages.key,
        .progress = &stages.progress,
        .ledger = stages.ledger,
        .counts = &t.registrar_counts,
        .batches = ring(BATCHES),
        .empties = ring(BATCHES),
        .workers = {{stages.deferrals, stages.completed, WEIR_EDGE_WORKER_REGISTRAR(0)}},
        .worker_count = 1,
        .flush_interval_ns = 1000000,
        .more_deferrals_ns = WEIR_REGISTRAR_MORE_DEFERRALS_NS,
        .parsed = zeroed(sizeof(struct weir_parsed))};
    for (int i = 0; i < BATCHES; i++)
        stages_give_batch(options->empties);
    struct weir_registrar *registrar;
    assert_int_equal(weir_registrar_new(options, &registrar), WEIR_OK);
    return registrar;
}

static void
check_truth(const struct weir_port *chaos)
{
    const struct weir_chaos_truth truth = port_chaos_truth(chaos);
    const struct weir_ledger_sum *sum = closed();
    const struct weir_ledger_unit *samples = &sum->total.unit[WEIR_UNIT_SAMPLES];
    assert_int_equal(truth.packets, AGENTS * STEPS);
    assert_int_equal(sum->total.counter[WEIR_COUNTER_sequence_gaps], truth.lost);
    assert_int_equal(sum->total.counter[WEIR_COUNTER_sequence_duplicates], truth.duplicated);
    assert_int_equal(sum->total.counter[WEIR_COUNTER_sequence_reorderings], truth.reordered);
    assert_int_equal(t.stored, truth.units - truth.units_lost);
    assert_int_equal(samples->stored, t.stored);
    assert_int_equal(samples->rejected[WEIR_REASON_duplicate], truth.units_duplicated);
    assert_int_equal(samples->received, t.stored + truth.units_duplicated);
    assert_int_equal(sum->total.unit[WEIR_UNIT_PACKETS].received, port_chaos_handed(chaos));
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        assert_int_equal(sum->in_flight[unit], 0);
}

static void
begin(void)
{
    memset(&t, 0, sizeof t);
    stages_begin(SERIES_MAX, WEIR_DEFERRALS);
}

/* Frees what registrar_new, options_new and begin have made. */
static void
end(const struct weir_worker_options *options,
    const struct weir_registrar_options *registrar_options)
{
    void *const owned[] = {options->series_cache, options->channels, registrar_options->batches,
        registrar_options->empties, registrar_options->parsed};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    stages_end();
}

static void
run(uint64_t seed, uint64_t chances)
{
    struct weir_registrar_options registrar_options;
    struct weir_worker *worker;
    begin();
    t.agents = (struct agents_port){.port = {.ops = &agents_ops}, .random = seed};
    for (uint32_t i = 0; i < AGENTS; i++)
        start_agent(&t.agents, i);
    const struct weir_chaos_options chaos_options = {seed, chances, chances, chances};
    struct weir_port *chaos = port_chaos_new(&t.agents.port, &chaos_options);
    struct weir_worker_options options = options_new(chaos);
    struct weir_registrar *registrar = registrar_new(&registrar_options);
    assert_int_equal(weir_worker_new(&options, &worker), WEIR_OK);

    uint64_t random = seed;
    bool drained = false;
    while (!t.agents.ended || !drained) {
        drained = weir_worker_run_once(worker) == 0 && t.agents.ended &&
            weir_worker_drain(worker);
        if (next_random(&random) % 4 == 0) /* so that groups wait behind definitions */
            weir_registrar_run_once(registrar);
        drained = drained && weir_registrar_flush(registrar) && weir_registrar_idle(registrar);
        if (next_random(&random) % 8 == 0)
            closed();
        write_log(options.batches, options.empties, WEIR_EDGE_WORKER_WRITER(0));
        write_log(registrar_options.batches, registrar_options.empties,
            WEIR_EDGE_REGISTRAR_WRITER);
    }
    check_truth(chaos);

    weir_worker_free(worker);
    weir_registrar_free(registrar);
    port_chaos_free(chaos);
    end(&options, &registrar_options);
}

static void
test_numbers_show_exactly_what_was_lost_doubled_and_overtaken(void **state)
{
    (void)state;
    static const double chances[] = {0, 0.00001, 0.001, 0.01, 0.1, 0.5, 0.9};
    uint64_t seed = (uint64_t)weir_mono_ns() | 1;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof chances / sizeof *chances; i++)
        run(seed + 2 * i, (uint64_t)(chances[i] * 0x1p32));
}

#define STRETCHES 16
#define STRETCH_SERIES 4000 /* more than a stretch has room for */

struct stretch {
    uint8_t *data;
    size_t size;
    uint32_t definitions;
    bool full;
};

struct stretches_port {
    struct weir_port port;
    struct stretch stretches[STRETCHES];
    bool received;
};

/* What the stretch has no room for is left out. */
static void
stretch_put(void *context, const uint8_t *data, size_t size)
{
    struct stretch *stretch = context;
    stretch->full |= size > WEIR_STRETCH_MAX - stretch->size;
    if (stretch->full)
        return;
    memcpy(stretch->data + stretch->size, data, size);
    stretch->size += size;
    stretch->definitions++;
}

/* A stretch of definitions, one a packet, with 600 bytes of labels that their series share. */
static void
stretch_fill(struct stretch *stretch, uint32_t number)
{
    static char names[STRETCH_SERIES][24], shared[601];
    static struct weir_client_label own[STRETCH_SERIES];
    static struct weir_client_series series[STRETCH_SERIES];
    const struct weir_client_options options = {.sender = 1 + number,
        .epoch = 1,
        .emit = stretch_put,
        .emit_context = stretch};
    const struct weir_client_label common[] = {{"job", shared}};
    struct weir_client *client;
    uint16_t id;
    memset(shared, 'x', sizeof shared - 1);
    for (int i = 0; i < STRETCH_SERIES; i++) {
        snprintf(names[i], sizeof names[i], "m%u_%d", number, i);
        own[i] = (struct weir_client_label){"__name__", names[i]};
        series[i] = (struct weir_client_series){&own[i], 1};
    }
    stretch->data = zeroed(WEIR_STRETCH_MAX + WEIR_PACKET_SLACK);
    assert_int_equal(weir_client_new(&options, &client), 0);
    assert_int_equal(weir_client_add_template(client, common, 1, series, STRETCH_SERIES, &id), 0);
    assert_true(stretch->full);
    assert_int_equal(weir_client_close(client, 0), 0);
}

static size_t
stretches_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct stretches_port *self = (struct stretches_port *)port;
    if (self->received)
        return 0;
    assert_true(max >= STRETCHES);
    self->received = true;
    for (uint32_t i = 0; i < STRETCHES; i++)
        packets[i] = (struct weir_packet){.data = self->stretches[i].data,
            .size = (uint32_t)self->stretches[i].size,
            .proto = WEIR_PROTO_WEIR,
            .receive_ms = BASE_MS,
            .receive_tsc = 1};
    return STRETCHES;
}

static void
stretches_release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    (void)port;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(packets[i].consumed, packets[i].size);
}

/* That it has one is what makes the worker hold its senders back. */
static void
stretches_complete(struct weir_port *port, const struct weir_completion *completion)
{
    (void)port;
    (void)completion;
}

static void
stretches_close(struct weir_port *port)
{
    struct stretches_port *self = (struct stretches_port *)port;
    for (int i = 0; i < STRETCHES; i++)
        free(self->stretches[i].data);
}

static const struct weir_port_ops stretches_ops = {.kind = "stretches",
    .receive = stretches_receive,
    .release = stretches_release,
    .complete = stretches_complete,
    .close = stretches_close};

/* Definitions with the registrar: all of them, and those that came as lists. */
static uint32_t
count_deferred(struct weir_ring *deferrals, uint32_t *lists)
{
    uint32_t count = 0;
    struct weir_deferral *deferral;
    struct weir_deferred_line line;
    while ((deferral = weir_ring_pop(deferrals)) != NULL) {
        for (uint32_t at = 0; at < deferral->used;
             at += (uint32_t)weir_deferred_line_bytes(line.size)) {
            memcpy(&line, deferral->lines + at, sizeof line);
            assert_true(line.defines > 0);
            *lists += line.resolved;
            count++;
        }
    }
    return count;
}

/* Lets a full burst of definitions in while so many deferrals are free. Returns how many of the
 * definitions went as lists. */
static uint32_t
defer_burst(uint32_t deferrals_free)
{
    static struct stretches_port port;
    begin();
    port = (struct stretches_port){.port = {.ops = &stretches_ops}};
    uint32_t definitions = 0, lists = 0;
    for (uint32_t i = 0; i < STRETCHES; i++) {
        stretch_fill(&port.stretches[i], i);
        definitions += port.stretches[i].definitions;
    }
    struct weir_worker_options options = options_new(&port.port);
    struct weir_registrar_options registrar_options;
    struct weir_registrar *registrar = registrar_new(&registrar_options);
    struct weir_worker *worker;
    for (uint32_t i = deferrals_free; i < WEIR_DEFERRALS; i++)
        assert_non_null(weir_ring_pop(options.completed));
    assert_int_equal(weir_worker_new(&options, &worker), WEIR_OK);
    while (weir_worker_run_once(worker) > 0)
        ;
    assert_true(port.received);
    const struct weir_ledger_unit *records = &closed()->total.unit[WEIR_UNIT_RECORDS];
    assert_int_equal(records->received, definitions);
    assert_int_equal(records->rejected[WEIR_REASON_define_backlog], 0);
    assert_int_equal(count_deferred(options.deferrals, &lists), definitions);
    weir_worker_free(worker);
    weir_registrar_free(registrar);
    end(&options, &registrar_options);
    return lists;
}

/* The writer of a full log gives no batch back. */
static void
test_a_full_log_refuses_weir_packets_and_holds_up_nobody(void **state)
{
    (void)state;
    begin();
    t.agents = (struct agents_port){.port = {.ops = &agents_ops}, .random = 7};
    for (uint32_t i = 0; i < AGENTS; i++)
        start_agent(&t.agents, i);
    struct weir_worker_options options = options_new(&t.agents.port);
    struct weir_registrar_options registrar_options;
    struct weir_registrar *registrar = registrar_new(&registrar_options);
    struct weir_worker *worker;
    while (weir_ring_pop(options.empties) != NULL)
        ;
    assert_int_equal(weir_worker_new(&options, &worker), WEIR_OK);
    for (int i = 0; i < 100; i++)
        weir_worker_run_once(worker);
    assert_false(t.agents.ended); /* it stands still, as long as nobody says why */
    atomic_store(&stages.progress.state, WEIR_INGEST_DISK_FULL);
    for (int round = 0; round < 100000 && !t.agents.ended; round++)
        weir_worker_run_once(worker);
    assert_true(t.agents.ended);
    while (weir_worker_run_once(worker) > 0)
        ;
    const struct weir_ledger_unit *samples = &closed()->total.unit[WEIR_UNIT_SAMPLES];
    assert_int_equal(samples->received, AGENTS * SERIES * STEPS);
    assert_int_equal(samples->rejected[WEIR_REASON_disk_full], samples->received);
    assert_null(weir_ring_peek(options.deferrals));
    weir_worker_free(worker);
    weir_registrar_free(registrar);
    end(&options, &registrar_options);
}

static void
test_a_burst_that_was_listened_to_finds_room_for_its_definitions(void **state)
{
    (void)state;
    assert_int_equal(defer_burst(12), 0);
    assert_true(defer_burst(WEIR_DEFERRALS) > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_show_exactly_what_was_lost_doubled_and_overtaken),
        cmocka_unit_test(test_a_full_log_refuses_weir_packets_and_holds_up_nobody),
        cmocka_unit_test(test_a_burst_that_was_listened_to_finds_room_for_its_definitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
