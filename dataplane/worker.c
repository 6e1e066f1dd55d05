#include "dataplane/worker.h"

#include "base/clock.h"
#include "base/shared.h"

#include <stdlib.h>
#include <string.h>

#define UNKNOWN UINT64_MAX
#define FUTURE_MS (60 * 60 * 1000)
#define STATISTICS_NS 1000000000
/* Chunks that must be free before a sender that can be held back is listened to: a burst of 16
 * stretches of 64 KiB, all of unknown series, with the header of each line. */
#define CHUNKS_IN_HAND (WEIR_CHUNKS * 3 / 4)
/* Lookups between a prefetch and its use: about 32 x 6 ns covers a miss to memory. */
#define PREFETCH_AHEAD 32

struct weir_worker {
    struct weir_worker_options options;
    struct weir_parse_context context;
    struct weir_batch *batch; /* open, or NULL */
    struct weir_chunk *chunk; /* open, or NULL */
    struct weir_chunk *chunks_free[WEIR_CHUNKS];
    uint32_t chunk_free_count;
    uint64_t batch_number;    /* of the last batch opened */
    uint64_t chunk_number;
    int64_t batch_opened_ns;  /* when its first content came */
    int64_t chunk_opened_ns;
    int64_t now_ns;
    int64_t statistics_ns;
    uint64_t packets_owed;    /* accepted packets that found no open batch to end in */
    bool ack_waiting;
    bool draining;
    bool changed;             /* counts differ from what was published */

    /* the burst being worked on */
    struct weir_port *port;
    uint32_t packet_count;
    uint32_t packet_at;
    uint32_t byte_at;
    uint32_t record_at;
    uint32_t records_seen;    /* of the packet */
    struct weir_packet packets[WEIR_BURST_MAX];
    uint64_t numbers[WEIR_POINTS_MAX]; /* series of parsed->points */
};

enum weir_err
weir_worker_new(const struct weir_worker_options *options, struct weir_worker **out)
{
    struct weir_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return weir_fail(WEIR_NOMEM, 0, "worker of %zu bytes", sizeof *worker);
    worker->options = *options;
    worker->context.key = options->key;
    for (uint32_t i = 0; i < options->port_count; i++) {
        options->ports[i]->index = i + 1;
        options->ports[i]->worker = options->index;
    }
    weir_parsed_reset(options->parsed);
    *out = worker;
    return WEIR_OK;
}

static struct weir_ledger_unit *
unit_of(struct weir_worker *worker, enum weir_unit unit)
{
    return &worker->options.counts->unit[unit];
}

static void
count_cycles(struct weir_worker *worker, enum weir_stage stage, uint64_t since, uint64_t samples)
{
    worker->options.counts->cycles[stage] += weir_tsc() - since;
    worker->options.counts->samples[stage] += samples;
}

/* What lies inside this stage, counted from what is open. */
static void
publish(struct weir_worker *worker)
{
    uint64_t held[WEIR_UNIT_COUNT] = {worker->packets_owed, 0, 0};
    if (worker->batch != NULL) {
        held[WEIR_UNIT_PACKETS] += worker->batch->packets;
        held[WEIR_UNIT_RECORDS] += worker->batch->records;
        held[WEIR_UNIT_SAMPLES] += worker->batch->count;
    }
    if (worker->chunk != NULL) {
        held[WEIR_UNIT_PACKETS] += worker->chunk->packets;
        held[WEIR_UNIT_RECORDS] += worker->chunk->records;
        held[WEIR_UNIT_SAMPLES] += worker->chunk->samples;
    }
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        worker->options.counts->unit[unit].held = held[unit];
    weir_ledger_publish(
        &worker->options.ledger->blocks[WEIR_BLOCK_WORKER + worker->options.index],
        worker->options.counts);
    worker->changed = false;
}

static bool
batch_open(struct weir_worker *worker)
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

/* Edge, block, ring, in this order: see base/ledger.h. */
static void
batch_push(struct weir_worker *worker)
{
    struct weir_batch *batch = worker->batch;
    uint32_t edge = WEIR_EDGE_WORKER_WRITER(worker->options.index);
    batch->ack_waiting = worker->ack_waiting;
    weir_edge_put(&worker->options.ledger->edges[edge], batch->number, batch->packets,
        batch->records, batch->count);
    worker->options.counts->pushed[edge] = batch->number;
    worker->batch = NULL;
    publish(worker);
    bool pushed = weir_ring_push(worker->options.batches, batch);
    WEIR_ASSERT(pushed); /* the ring holds every batch there is */
}

static void
chunk_push(struct weir_worker *worker)
{
    struct weir_chunk *chunk = worker->chunk;
    uint32_t edge = WEIR_EDGE_WORKER_REGISTRAR(worker->options.index);
    chunk->ack_waiting = worker->ack_waiting;
    weir_edge_put(&worker->options.ledger->edges[edge], chunk->number, chunk->packets,
        chunk->records, chunk->samples);
    worker->options.counts->pushed[edge] = chunk->number;
    worker->chunk = NULL;
    publish(worker);
    bool pushed = weir_ring_push(worker->options.chunks, chunk);
    WEIR_ASSERT(pushed);
}

/* Delivers what the registrar says of deferred records and keeps the emptied chunks. */
static size_t
take_settled(struct weir_worker *worker)
{
    size_t taken = 0;
    struct weir_chunk *chunk;
    while ((chunk = weir_ring_pop(worker->options.settled)) != NULL) {
        for (uint32_t i = 0; i < chunk->settlement_count; i++) {
            const struct weir_settlement *settlement = &chunk->settlements[i];
            uint32_t port = settlement->source >> WEIR_SOURCE_BITS;
            WEIR_ASSERT(port != 0 && port <= worker->options.port_count);
            struct weir_port *owner = worker->options.ports[port - 1];
            if (owner->ops->settle != NULL)
                owner->ops->settle(owner, settlement);
        }
        chunk->settlement_count = 0;
        WEIR_ASSERT(worker->chunk_free_count < WEIR_CHUNKS);
        worker->chunks_free[worker->chunk_free_count++] = chunk;
        taken++;
    }
    return taken;
}

/* Opens a chunk with room for bytes; a fuller one is pushed first. */
static bool
chunk_open(struct weir_worker *worker, size_t bytes)
{
    if (worker->chunk != NULL && WEIR_CHUNK_BYTES - worker->chunk->used >= bytes)
        return true;
    if (worker->chunk_free_count == 0)
        return false;
    if (worker->chunk != NULL)
        chunk_push(worker);
    struct weir_chunk *chunk = worker->chunks_free[--worker->chunk_free_count];
    chunk->number = ++worker->chunk_number;
    chunk->used = 0;
    chunk->packets = 0;
    chunk->records = 0;
    chunk->samples = 0;
    chunk->opened_tsc = worker->packets[worker->packet_at].receive_tsc;
    worker->chunk = chunk;
    worker->chunk_opened_ns = worker->now_ns;
    return true;
}

static void
record_reject(struct weir_worker *worker, uint32_t samples, enum weir_reason reason)
{
    struct weir_ledger_unit *records = unit_of(worker, WEIR_UNIT_RECORDS);
    records->received++;
    records->rejected[reason]++;
    unit_of(worker, WEIR_UNIT_SAMPLES)->received += samples;
    unit_of(worker, WEIR_UNIT_SAMPLES)->rejected[reason] += samples;
    worker->packets[worker->packet_at].rejected++;
}

/* The whole line goes to the registrar. */
static void
record_defer(struct weir_worker *worker, const struct weir_record *record)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    size_t bytes = weir_chunk_line_bytes(record->size);
    if (!chunk_open(worker, bytes)) {
        record_reject(worker, record->point_count, WEIR_REASON_define_backlog);
        return;
    }
    struct weir_chunk *chunk = worker->chunk;
    struct weir_chunk_line line = {.size = record->size,
        .source = packet->source,
        .proto = packet->proto,
        .time_unit = packet->time_unit,
        .samples = (uint16_t)record->point_count,
        .receive_ms = packet->receive_ms};
    memcpy(chunk->lines + chunk->used, &line, sizeof line);
    memcpy(chunk->lines + chunk->used + sizeof line, record->text, record->size);
    chunk->used += (uint32_t)bytes;
    chunk->records++;
    chunk->samples += record->point_count;
    unit_of(worker, WEIR_UNIT_RECORDS)->received++;
    unit_of(worker, WEIR_UNIT_SAMPLES)->received += record->point_count;
    packet->deferred++;
}

/* The caller has seen to room in the batch. */
static void
record_append(struct weir_worker *worker, const struct weir_record *record)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_batch *batch = worker->batch;
    const struct weir_point *points = worker->options.parsed->points + record->point_first;
    const uint64_t *numbers = worker->numbers + record->point_first;
    if (batch->opened_tsc == 0)
        batch->opened_tsc = packet->receive_tsc;
    for (uint32_t i = 0; i < record->point_count; i++) {
#ifdef WEIR_FAULT_DROP_SAMPLE
        static bool dropped;
        if (!dropped) {
            dropped = true;
            continue;
        }
#endif
        weir_batch_append(batch,
            weir_sample_key(numbers[i], points[i].kind, points[i].exponent), points[i].time_ms,
            points[i].value);
    }
    batch->records++;
    unit_of(worker, WEIR_UNIT_RECORDS)->received++;
    unit_of(worker, WEIR_UNIT_SAMPLES)->received += record->point_count;
    packet->accepted++;
    packet->batch = batch->number;
}

/* A point the raw cache does not know: canonical labels, full comparison. */
static uint64_t
point_resolve(struct weir_worker *worker, const struct weir_point *point)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size;
    uint64_t number;
    const struct weir_record *record = &worker->options.parsed->records[point->record];
    const struct weir_packet *packet = &worker->packets[worker->packet_at];
    if (weir_protocols[packet->proto].labels(record->text, record->size, point->field, labels,
            &size) != WEIR_OK)
        return UNKNOWN; /* the registrar refuses it by name */
    if (weir_series_resolve(worker->options.series, labels, size, &number) != WEIR_OK)
        return UNKNOWN;
    weir_raw_cache_insert(worker->options.raw_cache, point->raw, number);
    return number;
}

/* Series numbers of all points parsed, UNKNOWN where there is none yet. */
static void
look_up(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    const struct weir_raw_cache *cache = worker->options.raw_cache;
    uint64_t start = weir_tsc();
    uint32_t count = parsed->point_count;
    uint32_t ahead = count < PREFETCH_AHEAD ? count : PREFETCH_AHEAD;
    uint32_t hits = 0;
    for (uint32_t i = 0; i < ahead; i++)
        weir_raw_cache_prefetch(cache, parsed->points[i].raw);
    for (uint32_t i = 0; i < count; i++) {
        if (i + PREFETCH_AHEAD < count)
            weir_raw_cache_prefetch(cache, parsed->points[i + PREFETCH_AHEAD].raw);
        if (weir_raw_cache_lookup(cache, parsed->points[i].raw, &worker->numbers[i]))
            hits++;
        else
            worker->numbers[i] = UNKNOWN;
    }
    count_cycles(worker, WEIR_STAGE_lookup, start, count);
    worker->options.counts->counter[WEIR_COUNTER_raw_hits] += hits;
    if (hits == count)
        return;
    start = weir_tsc();
    worker->options.counts->counter[WEIR_COUNTER_raw_misses] += count - hits;
    for (uint32_t i = 0; i < count; i++)
        if (worker->numbers[i] == UNKNOWN)
            worker->numbers[i] = point_resolve(worker, &parsed->points[i]);
    count_cycles(worker, WEIR_STAGE_resolve, start, count - hits);
}

static bool
all_known(const struct weir_worker *worker, const struct weir_record *record)
{
    bool known = true;
    for (uint32_t i = 0; i < record->point_count; i++)
        known &= worker->numbers[record->point_first + i] != UNKNOWN;
    return known;
}

/* Works through the records parsed. False where the batch is full and no other is empty. */
static bool
take_records(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    uint32_t state =
        atomic_load_explicit(&worker->options.progress->state, memory_order_relaxed);
    uint64_t start = weir_tsc();
    uint32_t first = worker->record_at;
    bool room = true;
    for (; worker->record_at < parsed->record_count; worker->record_at++) {
        const struct weir_record *record = &parsed->records[worker->record_at];
        if (record->reason != WEIR_REASON_NONE) {
            record_reject(worker, 0, record->reason);
        } else if (WEIR_UNLIKELY(state == WEIR_INGEST_DISK_FULL)) {
            record_reject(worker, record->point_count, WEIR_REASON_disk_full);
        } else if (WEIR_UNLIKELY(state == WEIR_INGEST_IO_ERROR)) {
            record_reject(worker, record->point_count, WEIR_REASON_io_error);
        } else if (WEIR_UNLIKELY(!all_known(worker, record))) {
            record_defer(worker, record);
        } else {
            if (worker->batch != NULL &&
                worker->batch->count + record->point_count > WEIR_BATCH_SAMPLES_MAX)
                batch_push(worker);
            if (worker->batch == NULL && !batch_open(worker)) {
                room = false;
                break;
            }
            record_append(worker, record);
        }
        worker->records_seen++;
    }
    count_cycles(worker, WEIR_STAGE_batch, start, worker->record_at - first);
    return room;
}

/* A packet ends in the batch, in the chunk, or refused: see docs/design/pipeline.md. */
static void
packet_end(struct weir_worker *worker)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_ledger_unit *packets = unit_of(worker, WEIR_UNIT_PACKETS);
    packet->consumed = worker->byte_at;
    if (packet->consumed > 0 || packet->final) {
        packets->received++;
        if (packet->accepted > 0 || (packet->deferred > 0 && worker->chunk == NULL)) {
            if (worker->batch != NULL)
                worker->batch->packets++;
            else
                worker->packets_owed++;
        } else if (packet->deferred > 0) {
            worker->chunk->packets++;
        } else {
            packets->rejected[worker->records_seen > 0 ? WEIR_REASON_nothing_accepted
                                                       : WEIR_REASON_empty]++;
        }
    }
    worker->packet_at++;
    worker->byte_at = 0;
    worker->records_seen = 0;
}

/* True where the parser went on; false where the rest is an incomplete record. */
static bool
parse_more(struct weir_worker *worker)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_parsed *parsed = worker->options.parsed;
    uint32_t before = worker->byte_at;
    uint64_t start = weir_tsc();
    weir_parsed_reset(parsed);
    worker->record_at = 0;
    worker->byte_at =
        (uint32_t)weir_protocols[packet->proto].parse(&worker->context, packet, before, parsed);
    WEIR_ASSERT(worker->byte_at >= before && worker->byte_at <= packet->size);
    count_cycles(worker, WEIR_STAGE_parse, start, parsed->point_count);
    struct weir_ledger_unit *samples = unit_of(worker, WEIR_UNIT_SAMPLES);
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++) {
        samples->received += parsed->samples_rejected[reason];
        samples->rejected[reason] += parsed->samples_rejected[reason];
    }
    worker->options.counts->counter[WEIR_COUNTER_integers_rounded] += parsed->integers_rounded;
    if (parsed->point_count > 0)
        look_up(worker);
    return worker->byte_at > before || parsed->record_count > 0;
}

/* True when the whole burst is done; false where it has to wait for an empty batch. */
static bool
burst_work(struct weir_worker *worker)
{
    worker->changed = true;
    while (worker->packet_at < worker->packet_count) {
        if (!take_records(worker))
            return false;
        if (worker->byte_at < worker->packets[worker->packet_at].size && parse_more(worker))
            continue;
        weir_parsed_reset(worker->options.parsed);
        worker->record_at = 0;
        packet_end(worker);
    }
    worker->port->ops->release(worker->port, worker->packets, worker->packet_count);
    worker->port = NULL;
    return true;
}

static size_t
burst_take(struct weir_worker *worker, struct weir_port *port)
{
    uint64_t start = weir_tsc();
    size_t count = port->ops->receive(port, worker->packets, WEIR_BURST_MAX);
    if (count == 0)
        return 0;
    worker->options.counts->cycles[WEIR_STAGE_receive] += weir_tsc() - start;
    for (size_t i = 0; i < count; i++) {
        worker->packets[i].accepted = 0;
        worker->packets[i].rejected = 0;
        worker->packets[i].deferred = 0;
        worker->packets[i].batch = 0;
    }
    worker->port = port;
    worker->packet_count = (uint32_t)count;
    worker->packet_at = 0;
    worker->byte_at = 0;
    worker->record_at = 0;
    worker->records_seen = 0;
    weir_parsed_reset(worker->options.parsed);
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
    if (worker->chunk != NULL)
        deadline = worker->chunk_opened_ns; /* at the end of the round that opened it */
    return deadline;
}

/* Unknown series wait for nobody: a chunk goes at the end of its round. */
static size_t
flush_due(struct weir_worker *worker)
{
    size_t flushed = 0;
    if (worker->packets_owed > 0 && worker->batch == NULL)
        batch_open(worker);
    if (worker->batch != NULL &&
        (worker->draining || worker->now_ns - worker->batch_opened_ns >= interval_ns(worker))) {
        batch_push(worker);
        flushed++;
    }
    if (worker->chunk != NULL) {
        chunk_push(worker);
        flushed++;
    }
    return flushed;
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
    if (worker->now_ns - worker->statistics_ns >= STATISTICS_NS)
        worker->statistics_ns = worker->now_ns;
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

/* Where the registrar lags, a port whose senders wait for answers is left alone, so that their
 * windows close; the others' unknown lines are refused as define_backlog. A log that takes nothing
 * holds nobody back: its refusals are to be told. */
static bool
may_receive(const struct weir_worker *worker, const struct weir_port *port)
{
    return port->ops->settle == NULL || worker->chunk_free_count >= CHUNKS_IN_HAND ||
           atomic_load_explicit(&worker->options.progress->state, memory_order_relaxed) !=
               WEIR_INGEST_OPEN;
}

size_t
weir_worker_run_once(struct weir_worker *worker)
{
    int64_t wall_ms = weir_wall_ms();
    worker->now_ns = weir_mono_ns();
    worker->context.time_min_ms = wall_ms - worker->options.retention_ms;
    worker->context.time_max_ms = wall_ms + FUTURE_MS;
    size_t work = take_settled(worker);
    bool stalled = worker->port != NULL && !burst_work(worker);
    for (uint32_t i = 0; i < worker->options.port_count && !stalled && !worker->draining; i++) {
        if (!may_receive(worker, worker->options.ports[i]))
            continue;
        size_t taken = burst_take(worker, worker->options.ports[i]);
        work += taken;
        if (taken > 0)
            stalled = !burst_work(worker);
    }
    ports_progress(worker);
    if (!stalled)
        work += flush_due(worker);
    if (worker->changed)
        publish(worker);
    return work;
}

bool
weir_worker_drain(struct weir_worker *worker)
{
    worker->draining = true;
    weir_worker_run_once(worker);
    return worker->port == NULL && worker->batch == NULL && worker->chunk == NULL &&
           worker->packets_owed == 0 && worker->chunk_free_count == WEIR_CHUNKS;
}

/* What a stop that was cut short leaves open here. */
static void
drop_held(struct weir_worker *worker)
{
    publish(worker); /* held is what it says now */
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        struct weir_ledger_unit *counts = unit_of(worker, unit);
        counts->dropped[WEIR_REASON_shutdown] += counts->held;
    }
    worker->batch = NULL;
    worker->chunk = NULL;
    worker->packets_owed = 0;
    publish(worker);
}

void
weir_worker_free(struct weir_worker *worker)
{
    if (worker == NULL)
        return;
    drop_held(worker);
    for (uint32_t i = 0; i < worker->options.port_count; i++)
        worker->options.ports[i]->ops->close(worker->options.ports[i]);
    free(worker);
}
