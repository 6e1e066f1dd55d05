/* The stage: ports, bursts, batches, and what is published of them. */
#include "dataplane/worker/parts.h"

#include <stdlib.h>

#define FUTURE_MS (60 * 60 * 1000)
#define STATISTICS_NS 1000000000
/* A stopping worker takes what its ports already hold, in bursts of 64: a full socket buffer of 16
 * MiB is 7,000 datagrams, an AF_XDP port holds up to 14,336 frames. Samples that come meanwhile may
 * leave some over: they are dropped by name. */
#define DRAIN_ROUNDS 256
#define LOAD_MEMORY_NS 10000000
/* Bursts of datagrams that were set aside, each of one of a channel, in a round. */
#define ASIDE_BURSTS 16
#define NS_PER_MS 1000000
/* Usual bursts take 0.1 ms, and a full one of streams 4 ms. */
#define BURST_SLOW_NS 8000000

static bool
aside_new(struct weir_worker *worker)
{
    if (worker->options.channels == NULL)
        return true;
    void *memory = calloc(1, weir_aside_footprint());
    if (memory != NULL)
        worker->aside =
            weir_aside_init(memory, worker->options.key, &worker->options.trusted);
    return memory != NULL;
}

size_t
weir_worker_footprint(void)
{
    return sizeof(struct weir_worker);
}

enum weir_err
weir_worker_new(const struct weir_worker_options *options, struct weir_worker **out)
{
    struct weir_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return weir_fail(WEIR_NOMEM, 0, "worker of %zu bytes", sizeof *worker);
    worker->options = *options;
    worker->context.key = options->key;
    worker->context.channels = options->channels;
    worker->context.series = options->series;
    worker->context.definitions = &worker->definitions;
    worker->context.trusted = options->trusted;
    if (!aside_new(worker)) {
        free(worker);
        return weir_fail(WEIR_NOMEM, 0, "datagrams that wait");
    }
    for (uint32_t proto = 0; proto < WEIR_PROTO_COUNT && options->channels != NULL; proto++)
        worker->sessions |= (uint32_t)(weir_protocols[proto].session != NULL) << proto;
    weir_worker_full_begin(worker);
    for (uint32_t i = 0; i <= WEIR_PORTS_MAX; i++)
        worker->burst_max[i] = WEIR_BURST_MAX;
    for (uint32_t i = 0; i < options->port_count; i++) {
        options->ports[i]->index = i + 1;
        options->ports[i]->worker = options->index;
    }
    weir_rejecter_init(&worker->rejecter, options->rejected,
        WEIR_PRODUCER_WORKER(options->index), options->keep_rejected);
    weir_parsed_reset(options->parsed);
    *out = worker;
    return WEIR_OK;
}

/* The stage holds what its open batch and deferral hold. A batch may be pushed between two
 * records, so what was taken joins the counts here and nowhere else. */
static void
count_held(struct weir_worker *worker)
{
    weir_worker_unit(worker, WEIR_UNIT_RECORDS)->received += worker->records_appended;
    weir_worker_unit(worker, WEIR_UNIT_SAMPLES)->received += worker->samples_appended;
    worker->records_appended = 0;
    worker->samples_appended = 0;
    uint64_t held[WEIR_UNIT_COUNT] = {worker->packets_owed + worker->packets_aside, 0, 0};
    if (worker->batch != NULL) {
        held[WEIR_UNIT_PACKETS] += worker->batch->packets;
        held[WEIR_UNIT_RECORDS] += worker->batch->records;
        held[WEIR_UNIT_SAMPLES] += worker->batch->count;
    }
    if (worker->deferral != NULL) {
        held[WEIR_UNIT_PACKETS] += worker->deferral->packets;
        held[WEIR_UNIT_RECORDS] += worker->deferral->records;
        held[WEIR_UNIT_SAMPLES] += worker->deferral->samples;
    }
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        worker->options.counts->unit[unit].held = held[unit];
}

void
weir_worker_publish(struct weir_worker *worker)
{
    count_held(worker);
    weir_ledger_publish(
        &worker->options.ledger->blocks[WEIR_BLOCK_WORKER + worker->options.index],
        worker->options.counts);
    worker->changed = false;
}

void
weir_worker_hand_over(struct weir_worker *worker, uint32_t edge, struct weir_ring *ring,
    void *item, uint64_t number, const uint64_t count[WEIR_UNIT_COUNT])
{
    const struct weir_handover to = {.ledger = worker->options.ledger,
        .block = WEIR_BLOCK_WORKER + worker->options.index,
        .edge = edge,
        .counts = worker->options.counts,
        .ring = ring};
    count_held(worker);
    weir_handover(&to, item, number, count);
    worker->changed = false;
}

bool
weir_worker_batch_open(struct weir_worker *worker)
{
    if (worker->batch != NULL)
        return true;
    struct weir_batch *batch = weir_ring_pop(worker->options.empties);
    if (batch == NULL)
        return false;
    weir_batch_reset(batch);
    batch->number = ++worker->batch_number;
    batch->producer = WEIR_PRODUCER_WORKER(worker->options.index);
    batch->packets = (uint32_t)worker->packets_owed;
    worker->packets_owed = 0;
    worker->batch = batch;
    worker->batch_opened_ns = worker->now_ns;
    return true;
}

void
weir_worker_batch_push(struct weir_worker *worker)
{
    struct weir_batch *batch = worker->batch;
    uint32_t edge = WEIR_EDGE_WORKER_WRITER(worker->options.index);
    batch->ack_waiting = worker->ack_waiting;
    if (worker->options.channels != NULL)
        weir_channels_write_state(worker->options.channels, batch);
    const uint64_t count[WEIR_UNIT_COUNT] = {batch->packets, batch->records, batch->count};
    worker->batch = NULL;
    weir_worker_hand_over(worker, edge, worker->options.batches, batch, batch->number, count);
}

void
weir_worker_record_reject(struct weir_worker *worker, const struct weir_record *record,
    uint32_t samples, enum weir_reason reason)
{
    const struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_ledger_unit *records = weir_worker_unit(worker, WEIR_UNIT_RECORDS);
    records->received++;
    records->rejected[reason]++;
    weir_worker_unit(worker, WEIR_UNIT_SAMPLES)->received += samples;
    weir_worker_unit(worker, WEIR_UNIT_SAMPLES)->rejected[reason] += samples;
    /* a second copy is not reported to the sender: nothing of it is lost */
    worker->packets[worker->packet_at].rejected += reason != WEIR_REASON_duplicate;
    weir_rejecter_count(&worker->rejecter, packet->listener, reason);
    weir_worker_rejected(worker, packet, record, reason, NULL);
    weir_worker_answer(worker, packet->proto, packet->source, record, reason);
}

/* A packet ends in the batch, in the deferral, or refused: see docs/design/pipeline.md. One that
 * was set aside was received then. */
void
weir_worker_packet_end(struct weir_worker *worker, uint32_t consumed)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_ledger_unit *packets = weir_worker_unit(worker, WEIR_UNIT_PACKETS);
    packet->consumed = consumed;
    bool aside = weir_worker_is_aside(worker);
    if (packet->waits ? packet->consumed > 0 && !aside : packet->consumed > 0 || packet->final) {
        packets->received += !aside;
        worker->packets_aside -= aside;
        if (packet->accepted > 0 || (packet->deferred > 0 && worker->deferral == NULL)) {
            if (worker->batch != NULL)
                worker->batch->packets++;
            else
                worker->packets_owed++;
        } else if (packet->deferred > 0) {
            worker->deferral->packets++;
        } else {
            packets->rejected[worker->records_seen > 0 ? WEIR_REASON_nothing_accepted
                                                       : WEIR_REASON_empty]++;
        }
    }
    worker->packet_at++;
    worker->records_seen = 0;
}

void
weir_worker_parsed_reset(struct weir_worker *worker)
{
    weir_parsed_reset(worker->options.parsed);
    worker->record_at = 0;
    worker->portion_count = 0;
    worker->portion_at = 0;
}

/* Counts what the parser itself refused. */
void
weir_worker_count_parsed(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    struct weir_ledger_unit *samples = weir_worker_unit(worker, WEIR_UNIT_SAMPLES);
    if (WEIR_UNLIKELY(parsed->rejected_sum != 0)) {
        samples->received += parsed->rejected_sum;
        for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
            samples->rejected[reason] += parsed->samples_rejected[reason];
    }
    uint64_t *counter = worker->options.counts->counter;
    counter[WEIR_COUNTER_integers_rounded] += parsed->integers_rounded;
    counter[WEIR_COUNTER_sequence_gaps] += parsed->sequence_gaps;
    counter[WEIR_COUNTER_sequence_reorderings] += parsed->sequence_reorderings;
    counter[WEIR_COUNTER_sequence_duplicates] += parsed->sequence_duplicates;
    counter[WEIR_COUNTER_sequence_jumps] += parsed->sequence_jumps;
}

/* A port whose packets take long to work through, as definitions of many series with long labels
 * do, gives fewer of them at a time: the other ports wait for no more than a few. */
static void
burst_fit(struct weir_worker *worker)
{
    uint32_t *most = &worker->burst_max[worker->port->index];
    uint64_t ticks = worker->burst_ticks + weir_tsc() - worker->burst_tsc;
    uint64_t slow = (uint64_t)((double)BURST_SLOW_NS * weir_tsc_hz() / 1e9);
    if (ticks > slow && *most > 1 && *most > worker->port->ops->burst_least)
        *most /= 2;
    else if (ticks < slow / 4 && *most < WEIR_BURST_MAX)
        *most *= 2;
}

/* True when the whole burst is done; false where it has to wait for an empty batch. */
static bool
burst_go_on(struct weir_worker *worker)
{
    worker->changed = true;
    while (weir_worker_append_parsed(worker)) {
        if (worker->parse_at == worker->packet_count) {
            weir_worker_parsed_reset(worker);
            worker->port->ops->release(worker->port, worker->packets, worker->packet_count);
            burst_fit(worker);
            worker->port = NULL;
            return true;
        }
        if (!weir_worker_is_wire(worker, &worker->packets[worker->parse_at]))
            weir_worker_parse_more(worker);
        else if (!weir_worker_wire_work(worker))
            return false;
    }
    return false;
}

/* The same, and takes the time of it. */
static bool
burst_work(struct weir_worker *worker)
{
    worker->burst_tsc = weir_tsc();
    bool done = burst_go_on(worker);
    if (!done)
        worker->burst_ticks += weir_tsc() - worker->burst_tsc;
    return done;
}

static size_t
burst_receive(struct weir_worker *worker, struct weir_port *port)
{
    uint64_t start = weir_tsc();
    size_t most = worker->draining ? WEIR_BURST_MAX : worker->burst_max[port->index];
    size_t count = port->ops->receive(port, worker->packets, most);
    if (count == 0)
        return 0;
    worker->options.counts->cycles[WEIR_STAGE_receive] += weir_tsc() - start;
    for (size_t i = 0; i < count; i++) {
        worker->packets[i].accepted = 0;
        worker->packets[i].rejected = 0;
        worker->packets[i].deferred = 0;
        worker->packets[i].batch = 0;
        worker->packets[i].ack_epoch = 0;
        worker->packets[i].broken = false;
        worker->packets[i].ends = false;
        worker->packets[i].waits = false;
    }
    worker->port = port;
    worker->burst_ticks = 0;
    worker->packet_count = (uint32_t)count;
    worker->parse_at = 0;
    worker->byte_at = 0;
    worker->packet_at = 0;
    worker->records_seen = 0;
    weir_worker_parsed_reset(worker);
    return count;
}

static int64_t
interval_ns(const struct weir_worker *worker)
{
    return worker->ack_waiting ? worker->options.ack_interval_ns
                               : worker->options.flush_interval_ns;
}

int64_t
weir_worker_deadline_ns(const struct weir_worker *worker)
{
    int64_t deadline = INT64_MAX;
    if (worker->batch != NULL)
        deadline = worker->batch_opened_ns + interval_ns(worker);
    if (worker->deferral != NULL)
        deadline = worker->deferral_opened_ns; /* at the end of the round that opened it */
    return deadline;
}

/* Unknown series wait for nobody: a deferral goes at the end of its round. */
static size_t
flush_due(struct weir_worker *worker)
{
    size_t flushed = 0;
    bool sender_state_owed = worker->options.channels != NULL &&
        weir_channels_owe_state(worker->options.channels);
    if ((worker->packets_owed > 0 || sender_state_owed) && worker->batch == NULL)
        weir_worker_batch_open(worker);
    if (worker->batch != NULL &&
        (worker->draining || worker->now_ns - worker->batch_opened_ns >= interval_ns(worker))) {
        weir_worker_batch_push(worker);
        flushed++;
    }
    if (worker->deferral != NULL) {
        weir_worker_deferral_push(worker);
        flushed++;
    }
    return flushed;
}

/* Called after the ports' statistics. The first call looks only: socket_drops begins with what was
 * dropped since the socket was bound, which may be long ago. */
static void
look_for_listener_drops(struct weir_worker *worker)
{
    static const enum weir_counter drops[] = {WEIR_COUNTER_socket_drops,
        WEIR_COUNTER_ethdev_missed, WEIR_COUNTER_ethdev_no_mbuf, WEIR_COUNTER_xsk_dropped,
        WEIR_COUNTER_xsk_ring_full};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof drops / sizeof drops[0]; i++)
        sum += worker->options.counts->counter[drops[i]];
    if (worker->statistics_ns != 0 && sum != worker->listener_drops)
        weir_degraded_set(worker->options.degraded, WEIR_DEGRADED_listener_drops,
            worker->now_ns / NS_PER_MS);
    worker->listener_drops = sum;
}

static void
ports_progress(struct weir_worker *worker)
{
    bool waiting = false;
    for (uint32_t i = 0; i < worker->options.port_count; i++) {
        struct weir_port *port = worker->options.ports[i];
        if (port->ops->progress != NULL)
            waiting |= port->ops->progress(port, worker->options.progress);
        if (port->ops->statistics != NULL &&
            worker->now_ns - worker->statistics_ns >= STATISTICS_NS) {
            port->ops->statistics(port);
            worker->changed = true;
        }
    }
    if (worker->now_ns - worker->statistics_ns >= STATISTICS_NS) {
        look_for_listener_drops(worker);
        weir_worker_full_look(worker);
        worker->statistics_ns = worker->now_ns;
        if (worker->options.channels != NULL) {
            /* Both clocks are read here, the wall clock first: a delay between the reads makes a
             * channel's time of day early, never late. */
            int64_t wall_ms = weir_wall_ms();
            weir_channels_tick(worker->options.channels, weir_mono_ns(), wall_ms);
        }
    }
    worker->changed |= waiting || worker->ack_waiting;
    if (waiting != worker->ack_waiting) {
        /* relaxed: it carries no data; the registrar sees it a round later at the latest */
        uint64_t bit = UINT64_C(1) << worker->options.index;
        if (waiting)
            atomic_fetch_or_explicit(&worker->options.progress->ack_waiting, bit,
                memory_order_relaxed);
        else
            atomic_fetch_and_explicit(&worker->options.progress->ack_waiting, ~bit,
                memory_order_relaxed);
    }
    worker->ack_waiting = waiting;
}

/* While the registrar lags, a port whose senders wait for answers is left alone, and their windows
 * close. The others' unknown lines are refused as define_backlog. A log that takes nothing
 * holds nobody back: its senders are to hear of refusals. */
static bool
may_receive(const struct weir_worker *worker, const struct weir_port *port)
{
    return port->ops->complete == NULL ||
        worker->deferral_free_count >= WEIR_WORKER_DEFERRALS_IN_HAND ||
        atomic_load_explicit(&worker->options.progress->state, memory_order_relaxed) !=
        WEIR_INGEST_OPEN;
}

/* The writer lags: no batch is empty. */
static void
ports_collect(struct weir_worker *worker)
{
    for (uint32_t i = 0; i < worker->options.port_count; i++) {
        struct weir_port *port = worker->options.ports[i];
        if (port->ops->collect != NULL)
            port->ops->collect(port);
    }
}

void
weir_worker_follow(struct weir_worker *worker, int64_t retention_ms, int64_t flush_interval_ns,
    int64_t ack_interval_ns)
{
    worker->options.retention_ms = retention_ms;
    worker->options.flush_interval_ns = flush_interval_ns;
    worker->options.ack_interval_ns = ack_interval_ns;
}

/* Works on datagrams that were set aside and may go on, ahead of new ones. False where a burst is
 * unfinished. */
static bool
aside_work(struct weir_worker *worker, size_t *received)
{
    if (worker->aside == NULL)
        return true;
    for (int bursts = 0; bursts < ASIDE_BURSTS && weir_aside_ready(worker->aside); bursts++) {
        *received += burst_receive(worker, weir_aside_port(worker->aside));
        worker->resume_due = true; /* a channel may have no queue any more */
        if (!burst_work(worker))
            return false;
    }
    return true;
}

/* Streams look again whether they may go on. */
static void
ports_resume(struct weir_worker *worker)
{
    if (!worker->resume_due || !worker->streams_held)
        return;
    worker->streams_held = false;
    for (uint32_t i = 0; i < worker->options.port_count; i++) {
        struct weir_port *port = worker->options.ports[i];
        if (port->ops->resume != NULL)
            port->ops->resume(port);
    }
}

size_t
weir_worker_run_once(struct weir_worker *worker)
{
    int64_t wall_ms = weir_wall_ms();
    worker->now_ns = weir_mono_ns();
    worker->context.time_min_ms = wall_ms - worker->options.retention_ms;
    worker->context.time_max_ms = wall_ms + FUTURE_MS;
    if (worker->options.channels != NULL)
        weir_channels_now(worker->options.channels, worker->now_ns);
    size_t work = weir_worker_pop_completed(worker);
    if (worker->options.channels != NULL)
        work += weir_channels_work(worker->options.channels, worker->now_ns);
    bool stalled = worker->port != NULL && !burst_work(worker);
    size_t received = 0;
    stalled = stalled || !aside_work(worker, &received);
    ports_resume(worker);
    worker->resume_due = false;
    worker->burst_full = false;
    bool listens = !worker->draining || worker->drain_rounds > 0;
    for (uint32_t i = 0; i < worker->options.port_count && !stalled && listens; i++) {
        if (!may_receive(worker, worker->options.ports[i]))
            continue;
        uint32_t most = worker->burst_max[worker->options.ports[i]->index];
        size_t taken = burst_receive(worker, worker->options.ports[i]);
        received += taken;
        worker->burst_full |= taken == most;
        if (taken > 0)
            stalled = !burst_work(worker);
    }
    work += received;
    if (worker->draining && !stalled)
        worker->drain_rounds = received > 0 && listens ? worker->drain_rounds - 1 : 0;
    ports_progress(worker);
    if (stalled)
        ports_collect(worker);
    work += flush_due(worker); /* what waits for the registrar holds up no batch */
    if (worker->changed)
        weir_worker_publish(worker);
    return work;
}

enum weir_load
weir_worker_load(const struct weir_worker *worker)
{
    if (worker->now_ns - worker->known_ns > LOAD_MEMORY_NS)
        return WEIR_LOAD_NONE;
    return worker->burst_full ? WEIR_LOAD_FULL : WEIR_LOAD_SOME;
}

bool
weir_worker_waits(const struct weir_worker *worker)
{
    return worker->streams_held || worker->packets_aside > 0;
}

bool
weir_worker_drain(struct weir_worker *worker)
{
    if (!worker->draining)
        worker->drain_rounds = DRAIN_ROUNDS;
    worker->draining = true;
    weir_worker_run_once(worker);
    return worker->drain_rounds == 0 && worker->port == NULL && worker->batch == NULL &&
           worker->deferral == NULL &&
           (worker->options.channels == NULL ||
               !weir_channels_owe_state(worker->options.channels)) &&
           worker->packets_owed == 0 && worker->packets_aside == 0 &&
           worker->deferral_free_count == WEIR_DEFERRALS;
}

/* Drops by name the rest of a burst at a stop: records that were parsed and not taken, and packets.
 * A packet of which records were taken ends with them. The records of the others are not known. */
static void
drop_burst(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    struct weir_ledger_unit *packets = weir_worker_unit(worker, WEIR_UNIT_PACKETS);
    struct weir_ledger_unit *records = weir_worker_unit(worker, WEIR_UNIT_RECORDS);
    struct weir_ledger_unit *samples = weir_worker_unit(worker, WEIR_UNIT_SAMPLES);
    for (uint32_t at = worker->record_at; at < parsed->record_count; at++) {
        const struct weir_record *record = &parsed->records[at];
        if (record->command != 0)
            continue;
        bool refused = record->reason != WEIR_REASON_NONE;
        uint8_t reason = refused ? record->reason : WEIR_REASON_shutdown;
        records->received++;
        *(refused ? &records->rejected[reason] : &records->dropped[reason]) += 1;
        samples->received += refused ? 0 : record->point_count;
        samples->dropped[WEIR_REASON_shutdown] += refused ? 0 : record->point_count;
    }
    if (worker->records_seen > 0)
        weir_worker_packet_end(worker, worker->packets[worker->packet_at].size);
    for (; worker->packet_at < worker->packet_count && !weir_worker_is_aside(worker);
        worker->packet_at++) {
        packets->received++;
        packets->dropped[WEIR_REASON_shutdown]++;
    }
    weir_worker_parsed_reset(worker);
    worker->port = NULL;
}

/* Drops by name what a stop that was cut short leaves open here. */
static void
drop_held(struct weir_worker *worker)
{
    if (worker->port != NULL)
        drop_burst(worker);
    weir_worker_publish(worker); /* held is what it says now */
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        struct weir_ledger_unit *counts = weir_worker_unit(worker, unit);
        counts->dropped[WEIR_REASON_shutdown] += counts->held;
    }
    worker->batch = NULL;
    worker->deferral = NULL;
    worker->packets_owed = 0;
    worker->packets_aside = 0;
    weir_worker_publish(worker);
}

void
weir_worker_free(struct weir_worker *worker)
{
    if (worker == NULL)
        return;
    drop_held(worker);
    for (uint32_t i = 0; i < worker->options.port_count; i++)
        worker->options.ports[i]->ops->close(worker->options.ports[i]);
    weir_worker_publish(worker); /* what a port still had at hand */
    free(worker->aside);
    free(worker);
}
