#include "dataplane/worker.h"

#include "base/clock.h"
#include "base/shared.h"
#include "dataplane/group_append.h"
#include "dataplane/parse_weir.h"

#include <stdlib.h>
#include <string.h>

#define UNKNOWN WEIR_RAW_UNKNOWN
#define FUTURE_MS (60 * 60 * 1000)
#define STATISTICS_NS 1000000000
/* A stopping worker takes what its ports already hold, and no more than a full socket buffer of
 * 16 MiB can: 7,000 datagrams in bursts of 64; an AF_XDP port holds 6,144 frames. */
#define DRAIN_ROUNDS 128
/* Chunks that must be free before a sender that can be held back is listened to: a burst of 16
 * stretches of 64 KiB, all of unknown series, with the header of each line. */
#define CHUNKS_IN_HAND 12
_Static_assert(CHUNKS_IN_HAND < WEIR_CHUNKS, "and some beyond, for resolved lines");
/* Labels kept of the series that the raw cache lacks: a burst's are about 50 KiB. */
#define RESOLVE_BYTES (128u << 10)
#define RESOLVES_MAX 1024
/* A batch ends at this many changed channels: half of what a batch has marks for, so that a chunk
 * of settlements finds room besides, and templates behind the marks. */
#define WIRE_DIRTY_PUSH (WEIR_SENDERS_DIRTY_MAX / 2)
/* While the registrar can take nothing more, a record whose raw key is not known is looked up by
 * labels only as long as that finds something: a lookup that finds gives two more, and a burst may
 * try this many anyway. So a cold cache is filled as ever, and of a flood of new series each line
 * that is going to be refused costs its parsing and no more. */
#define RESOLVE_TRIES 4
#define RESOLVE_TRIES_MAX 1024
#define LOAD_MEMORY_NS 10000000
#define CHUNK_LINES_MAX (WEIR_CHUNK_BYTES / 64)
_Static_assert(WIRE_DIRTY_PUSH + CHUNK_LINES_MAX <= WEIR_SENDERS_DIRTY_MAX, "no standstill");

/* Where the parsed records of one packet end. */
struct span {
    uint32_t packet;     /* index in the burst */
    uint32_t record_end; /* its records in parsed end here */
    uint32_t consumed;   /* bytes of the packet parsed so far */
    bool last;           /* the packet has no more */
};

/* Labels of a point whose series the raw cache lacks. */
struct resolve {
    struct weir_hash128 fingerprint;
    uint32_t labels_at;   /* in the worker's labels */
    uint32_t labels_size; /* 0: none kept */
};

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
    uint64_t records_taken;   /* into batches since the last publication, not yet in counts */
    uint64_t samples_taken;
    uint64_t packets_owed;    /* accepted packets that found no open batch to end in */
    bool ack_waiting;
    bool draining;
    uint32_t drain_rounds;    /* left in which a stopping worker still receives */
    bool changed;             /* counts differ from what was published */
    bool burst_full;          /* in the last round */
    int64_t known_ns;         /* time of the last round with samples of known series */
    uint32_t resolve_tries;   /* left, see RESOLVE_TRIES */

    /* the burst being worked on */
    struct weir_port *port;
    uint32_t packet_count;
    uint32_t parse_at;        /* packet that is parsed next, from byte_at on */
    uint32_t byte_at;
    uint32_t packet_at;       /* packet whose records are being taken */
    uint32_t record_at;       /* the next one of them */
    uint32_t records_seen;    /* of the packet */
    uint32_t span_count;      /* of what is parsed */
    uint32_t span_at;
    struct span spans[WEIR_BURST_MAX];
    struct weir_packet packets[WEIR_BURST_MAX];
    uint64_t numbers[WEIR_POINTS_MAX]; /* series of parsed->points */
    struct weir_line_labels line_labels; /* of a record whose series the raw cache lacks */
    uint32_t labels_used;
    uint32_t resolving_count;
    uint32_t resolving[RESOLVES_MAX];    /* points that have labels kept */
    struct resolve resolves[WEIR_POINTS_MAX]; /* by point; valid where the raw cache missed */
    uint8_t labels[RESOLVE_BYTES];
};

enum weir_err
weir_worker_new(const struct weir_worker_options *options, struct weir_worker **out)
{
    struct weir_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return weir_fail(WEIR_NOMEM, 0, "worker of %zu bytes", sizeof *worker);
    worker->options = *options;
    worker->context.key = options->key;
    worker->context.senders = options->senders;
    worker->context.series = options->series;
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

/* What lies inside this stage is counted from what is open. A batch may be pushed between two
 * records, so what was taken joins the counts here and nowhere else. */
static void
publish(struct weir_worker *worker)
{
    unit_of(worker, WEIR_UNIT_RECORDS)->received += worker->records_taken;
    unit_of(worker, WEIR_UNIT_SAMPLES)->received += worker->samples_taken;
    worker->records_taken = 0;
    worker->samples_taken = 0;
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
    if (worker->options.senders != NULL)
        weir_senders_mark(worker->options.senders, batch);
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

/* Takes the points of a resolved line into the raw cache, or fetches their buckets before. */
static void
take_points(struct weir_worker *worker, const uint8_t *list, uint32_t count, bool fetch)
{
    struct weir_raw_cache *cache = worker->options.raw_cache;
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_chunk_point *point = (const void *)list;
        if (fetch)
            weir_raw_cache_prefetch(cache, point->raw);
        else if (point->labels_size > 0 && point->number != UNKNOWN)
            weir_raw_cache_insert(cache, point->raw, point->number);
        list += weir_chunk_point_bytes(point->labels_size);
    }
}

/* The series numbers that a chunk brings back. */
static void
take_numbers(struct weir_worker *worker, const struct weir_chunk *chunk)
{
    struct weir_chunk_line line;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t at = 0; at < chunk->used; at += (uint32_t)weir_chunk_line_bytes(line.size)) {
            memcpy(&line, chunk->lines + at, sizeof line);
            const uint8_t *text = chunk->lines + at + sizeof line;
            if (line.resolved)
                take_points(worker, text, line.samples, pass == 0);
            else if (line.defines > 0 && pass == 0)
                weir_definition_settled(worker->options.senders, worker->options.series, text);
        }
    }
}

/* A chunk's definitions may each change another channel, and the marks of all have to fit. */
static bool
settlements_welcome(const struct weir_worker *worker)
{
    return worker->options.senders == NULL ||
        weir_senders_dirty_count(worker->options.senders) + CHUNK_LINES_MAX <=
            WEIR_SENDERS_DIRTY_MAX;
}

/* Delivers what the registrar says of deferred records and keeps the emptied chunks. */
static size_t
take_settled(struct weir_worker *worker)
{
    size_t taken = 0;
    struct weir_chunk *chunk;
    while (settlements_welcome(worker) &&
        (chunk = weir_ring_pop(worker->options.settled)) != NULL) {
        for (uint32_t i = 0; i < chunk->settlement_count; i++) {
            const struct weir_settlement *settlement = &chunk->settlements[i];
            uint32_t port = settlement->source >> WEIR_SOURCE_BITS;
            WEIR_ASSERT(port != 0 && port <= worker->options.port_count);
            struct weir_port *owner = worker->options.ports[port - 1];
            if (owner->ops->settle != NULL)
                owner->ops->settle(owner, settlement);
        }
        chunk->settlement_count = 0;
        take_numbers(worker, chunk);
        chunk->used = 0;
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

/* A weir definition with unknown series goes to the registrar. */
static void
definition_defer(struct weir_worker *worker, const struct weir_record *record,
    const struct weir_run *run)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_channel *channel = run->channel;
    const struct weir_definition_text text = {.sender = channel->sender,
        .sequence = run->sequence,
        .epoch = channel->epoch,
        .channel = channel->channel};
    const struct weir_chunk_line line = {.size = (uint32_t)sizeof text + record->size,
        .source = packet->source,
        .proto = packet->proto,
        .defines = run->count,
        .receive_ms = packet->receive_ms};
    size_t bytes = weir_chunk_line_bytes(line.size);
    if (!chunk_open(worker, bytes)) {
        record_reject(worker, 0, WEIR_REASON_define_backlog);
        return;
    }
    struct weir_chunk *chunk = worker->chunk;
    memcpy(chunk->lines + chunk->used, &line, sizeof line);
    memcpy(chunk->lines + chunk->used + sizeof line, &text, sizeof text);
    memcpy(chunk->lines + chunk->used + sizeof line + sizeof text, record->text, record->size);
    chunk->used += (uint32_t)bytes;
    chunk->records++;
    channel->pending++;
    unit_of(worker, WEIR_UNIT_RECORDS)->received++;
    packet->deferred++;
}

/* Works through the records of one weir packet. wire_ready has seen to room for all of them. */
static void
take_runs(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_batch *batch = worker->batch;
    uint64_t start = weir_tsc();
    uint64_t samples = 0;
    for (; worker->record_at < parsed->record_count; worker->record_at++) {
        const struct weir_record *record = &parsed->records[worker->record_at];
        const struct weir_run *run = &parsed->runs[worker->record_at];
        worker->records_seen++;
        if (record->reason != WEIR_REASON_NONE) {
            record_reject(worker, 0, record->reason);
        } else if (run->kind == WEIR_RUN_DEFINITION) {
            definition_defer(worker, record, run);
        } else {
            if (run->kind == WEIR_RUN_GROUP)
                weir_group_append(batch, run->numbers, run->values, run->offsets, run->count,
                    run->time_ms);
            if (batch->opened_tsc == 0)
                batch->opened_tsc = packet->receive_tsc;
            batch->records++;
            samples += run->count * (run->kind == WEIR_RUN_GROUP);
            unit_of(worker, WEIR_UNIT_RECORDS)->received++;
            packet->accepted++;
            packet->batch = batch->number;
        }
    }
    if (samples > 0)
        worker->known_ns = worker->now_ns;
    if (parsed->record_count > 0 && batch != NULL)
        packet->ack_batch = batch->number;
    unit_of(worker, WEIR_UNIT_SAMPLES)->received += samples;
    count_cycles(worker, WEIR_STAGE_batch, start, samples);
}

/* Bytes of a record as a list of its points, or 0 where it goes to the registrar as text: where
 * not all labels are at hand, or the list would take chunks that are kept for the text of those
 * who are listened to. */
static size_t
resolved_bytes(const struct weir_worker *worker, const struct weir_record *record)
{
    size_t bytes = 0;
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        bool known = worker->numbers[i] != UNKNOWN;
        if (!known && worker->resolves[i].labels_size == 0)
            return 0;
        bytes += weir_chunk_point_bytes(known ? 0 : worker->resolves[i].labels_size);
    }
    size_t in_chunk = weir_chunk_line_bytes(bytes);
    bool fits = worker->chunk != NULL && WEIR_CHUNK_BYTES - worker->chunk->used >= in_chunk;
    bool spare = worker->chunk_free_count > CHUNKS_IN_HAND && in_chunk <= WEIR_CHUNK_BYTES;
    return fits || spare ? bytes : 0;
}

/* Lays a record's points out as a list of struct weir_chunk_point. */
static void
put_points(const struct weir_worker *worker, const struct weir_record *record, uint8_t *list)
{
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        const struct weir_point *point = &worker->options.parsed->points[i];
        const struct resolve *resolve = &worker->resolves[i];
        bool known = worker->numbers[i] != UNKNOWN;
        struct weir_chunk_point *out = (void *)list;
        *out = (struct weir_chunk_point){.raw = point->raw,
            .number = worker->numbers[i],
            .time_ms = point->time_ms,
            .value = point->value,
            .exponent = point->exponent,
            .kind = point->kind};
        if (!known) {
            out->fingerprint = resolve->fingerprint;
            out->labels_size = (uint16_t)resolve->labels_size;
            memcpy(out + 1, worker->labels + resolve->labels_at, resolve->labels_size);
        }
        list += weir_chunk_point_bytes(out->labels_size);
    }
}

/* The whole line goes to the registrar. */
static void
record_defer(struct weir_worker *worker, const struct weir_record *record)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    size_t size = resolved_bytes(worker, record);
    bool resolved = size > 0;
    if (!resolved)
        size = record->size;
    size_t bytes = weir_chunk_line_bytes(size);
    if (!chunk_open(worker, bytes)) {
        record_reject(worker, record->point_count, WEIR_REASON_define_backlog);
        return;
    }
    struct weir_chunk *chunk = worker->chunk;
    struct weir_chunk_line line = {.size = (uint32_t)size,
        .source = packet->source,
        .proto = packet->proto,
        .time_unit = packet->time_unit & 0x7f,
        .resolved = resolved,
        .samples = (uint16_t)record->point_count,
        .receive_ms = packet->receive_ms};
    uint8_t *at = chunk->lines + chunk->used;
    memcpy(at, &line, sizeof line);
    if (resolved)
        put_points(worker, record, at + sizeof line);
    else
        memcpy(at + sizeof line, record->text, record->size);
    chunk->used += (uint32_t)bytes;
    chunk->records++;
    chunk->samples += record->point_count;
    unit_of(worker, WEIR_UNIT_RECORDS)->received++;
    unit_of(worker, WEIR_UNIT_SAMPLES)->received += record->point_count;
    packet->deferred++;
}

#ifdef WEIR_FAULT_DROP_SAMPLE
#define FAULT_DROPS_SAMPLE true
static bool
fault_drops_sample(void)
{
    static bool dropped;
    bool drops = !dropped;
    dropped = true;
    return drops;
}
#else
#define FAULT_DROPS_SAMPLE false
static inline bool
fault_drops_sample(void)
{
    return false;
}
#endif

/* The caller has seen to room in the batch. */
static inline void
record_append(struct weir_worker *worker, const struct weir_record *record)
{
    struct weir_batch *batch = worker->batch;
    const struct weir_point *points = worker->options.parsed->points + record->point_first;
    const uint64_t *numbers = worker->numbers + record->point_first;
    uint32_t count = record->point_count, at = batch->count;
    uint64_t through = batch->series_through;
    bool ascending = true;
    for (uint32_t i = 0; i < count; i++) {
        if (fault_drops_sample())
            continue;
        batch->samples[at++] = (struct weir_sample){
            weir_sample_key(numbers[i], points[i].kind, points[i].exponent), points[i].time_ms,
            points[i].value};
        weir_batch_run(batch, numbers[i], at - 1);
        ascending &= numbers[i] + 1 >= through;
        through = numbers[i] + 1 > through ? numbers[i] + 1 : through;
    }
    batch->count = at;
    batch->series_through = through;
    batch->ascending &= ascending;
    /* the points of a record have one time */
    if (points[0].time_ms < batch->time_min_ms)
        batch->time_min_ms = points[0].time_ms;
    if (points[0].time_ms > batch->time_max_ms)
        batch->time_max_ms = points[0].time_ms;
    batch->records++;
}

/* Labels of the points of a record that the raw cache does not know, their buckets on the way.
 * False where there is no room for all of them. */
static bool
record_label(struct weir_worker *worker, const struct weir_packet *packet,
    const struct weir_record *record)
{
    const struct weir_protocol *protocol = &weir_protocols[packet->proto];
    struct weir_line_labels *line = &worker->line_labels;
    const struct weir_point *points = worker->options.parsed->points;
    enum weir_err begun = WEIR_AGAIN;
    bool room = true;
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        struct resolve *resolve = &worker->resolves[i];
        if (worker->numbers[i] != UNKNOWN)
            continue;
        resolve->labels_size = 0;
        room = room && worker->resolving_count < RESOLVES_MAX &&
            RESOLVE_BYTES - worker->labels_used >= WEIR_LABELS_BYTES_MAX;
        if (!room)
            continue;
        uint8_t *labels = worker->labels + worker->labels_used;
        size_t size;
        if (begun == WEIR_AGAIN)
            begun = protocol->labels_begin(line, record->text, record->size);
        /* what has no labels the registrar refuses by name */
        if (begun != WEIR_OK ||
            protocol->labels_field(line, points[i].field, labels, &size) != WEIR_OK)
            continue;
        *resolve = (struct resolve){
            .fingerprint = weir_series_fingerprint(worker->options.series, labels, size),
            .labels_at = worker->labels_used,
            .labels_size = (uint32_t)size};
        weir_series_prefetch(worker->options.series, resolve->fingerprint);
        worker->labels_used += (uint32_t)size;
        worker->resolving[worker->resolving_count++] = i;
    }
    return room;
}

/* The same one by one, for what found no room. Stops at the first unknown series: the registrar
 * takes the line's text then. */
static void
record_resolve(struct weir_worker *worker, const struct weir_packet *packet,
    const struct weir_record *record)
{
    const struct weir_protocol *protocol = &weir_protocols[packet->proto];
    struct weir_line_labels *line = &worker->line_labels;
    const struct weir_point *points = worker->options.parsed->points;
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    if (protocol->labels_begin(line, record->text, record->size) != WEIR_OK)
        return;
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        size_t size;
        uint64_t number;
        if (worker->numbers[i] != UNKNOWN || worker->resolves[i].labels_size > 0)
            continue;
        if (protocol->labels_field(line, points[i].field, labels, &size) != WEIR_OK ||
            weir_series_resolve(worker->options.series, labels, size, &number) != WEIR_OK) {
            worker->resolve_tries -= worker->resolve_tries > 0;
            return;
        }
        if (worker->resolve_tries < RESOLVE_TRIES_MAX)
            worker->resolve_tries += 2;
        weir_raw_cache_insert(worker->options.raw_cache, points[i].raw, number);
        worker->numbers[i] = number;
    }
}

/* Looks up what record_label has prepared, step by step over the burst (dataplane/series.h). */
static void
resolve_labelled(struct weir_worker *worker)
{
    const struct weir_series *series = worker->options.series;
    uint32_t count = worker->resolving_count, found = 0;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = worker->resolving[n];
        uint64_t candidate;
        if (!weir_series_candidate(series, worker->resolves[i].fingerprint, &candidate))
            continue;
        worker->numbers[i] = candidate;
        worker->resolving[found++] = i;
    }
    for (uint32_t n = 0; n < found; n++)
        weir_series_fetch(series, worker->numbers[worker->resolving[n]]);
    for (uint32_t n = 0; n < found; n++) {
        uint32_t i = worker->resolving[n];
        const struct resolve *resolve = &worker->resolves[i];
        if (weir_series_resolve_at(series, resolve->fingerprint,
                worker->labels + resolve->labels_at, resolve->labels_size,
                &worker->numbers[i]) == WEIR_OK)
            weir_raw_cache_insert(worker->options.raw_cache,
                worker->options.parsed->points[i].raw, worker->numbers[i]);
        else
            worker->numbers[i] = UNKNOWN;
    }
}

/* As long as there are tries left: where no line is known, they end. */
static void
record_resolve_known(struct weir_worker *worker, const struct weir_packet *packet,
    const struct weir_record *record)
{
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++)
        worker->resolves[i].labels_size = 0; /* of an earlier burst */
    if (worker->resolve_tries > 0)
        record_resolve(worker, packet, record);
}

static void
resolve_all(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    uint32_t at = 0;
    /* while the registrar can take nothing more, only series that it knows are worth a look */
    bool backlog = worker->chunk_free_count == 0;
    if (worker->resolve_tries < RESOLVE_TRIES)
        worker->resolve_tries = RESOLVE_TRIES;
    worker->labels_used = 0;
    worker->resolving_count = 0;
    for (uint32_t s = 0; s < worker->span_count; s++) {
        const struct span *span = &worker->spans[s];
        const struct weir_packet *packet = &worker->packets[span->packet];
        for (; at < span->record_end; at++)
            if (backlog)
                record_resolve_known(worker, packet, &parsed->records[at]);
            else if (!record_label(worker, packet, &parsed->records[at]))
                record_resolve(worker, packet, &parsed->records[at]);
    }
    resolve_labelled(worker);
}

/* Series numbers of all points parsed, UNKNOWN where there is none yet. parse_more has fetched
 * the buckets while it parsed. */
static void
look_up(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    uint64_t start = weir_tsc();
    uint32_t count = parsed->point_count;
    size_t hits = weir_raw_cache_lookup_burst(worker->options.raw_cache, &parsed->points[0].raw,
        sizeof parsed->points[0], count, worker->numbers);
    count_cycles(worker, WEIR_STAGE_lookup, start, count);
    worker->options.counts->counter[WEIR_COUNTER_raw_hits] += hits;
    if (hits == count)
        return;
    start = weir_tsc();
    worker->options.counts->counter[WEIR_COUNTER_raw_misses] += count - hits;
    resolve_all(worker);
    count_cycles(worker, WEIR_STAGE_resolve, start, count - hits);
}

static inline bool
all_known(const struct weir_worker *worker, const struct weir_record *record)
{
    bool known = true;
    for (uint32_t i = 0; i < record->point_count; i++)
        known &= worker->numbers[record->point_first + i] != UNKNOWN;
    return known;
}

/* Rejects or defers a record that does not simply go into the batch. False for one that does. */
static bool
record_divert(struct weir_worker *worker, const struct weir_record *record, uint32_t state)
{
    if (record->reason != WEIR_REASON_NONE)
        record_reject(worker, 0, record->reason);
    else if (WEIR_UNLIKELY(state == WEIR_INGEST_DISK_FULL))
        record_reject(worker, record->point_count, WEIR_REASON_disk_full);
    else if (WEIR_UNLIKELY(state == WEIR_INGEST_IO_ERROR))
        record_reject(worker, record->point_count, WEIR_REASON_io_error);
    else if (WEIR_UNLIKELY(!all_known(worker, record)))
        record_defer(worker, record);
    else
        return false;
    return true;
}

/* Room for a record in an open batch; a fuller one is pushed first. */
static inline bool
batch_room(struct weir_worker *worker, uint32_t points)
{
    if (WEIR_UNLIKELY(worker->batch != NULL &&
            worker->batch->count + points > WEIR_BATCH_SAMPLES_MAX))
        batch_push(worker);
    return WEIR_LIKELY(worker->batch != NULL) || batch_open(worker);
}

/* Points of the records first to end, which lie together, and what decides whether they may simply
 * be appended. */
struct stretch {
    uint32_t first;
    uint32_t count;
    bool plain; /* no record is refused, no series unknown */
};

static struct stretch
stretch_of(const struct weir_worker *worker, uint32_t first, uint32_t end)
{
    const struct weir_record *records = worker->options.parsed->records;
    const struct weir_record *last = &records[end - 1];
    struct stretch out = {.first = records[first].point_first, .plain = true};
    unsigned reasons = 0;
    for (uint32_t i = first; i < end; i++)
        reasons |= records[i].reason ^ WEIR_REASON_NONE;
    if (WEIR_UNLIKELY(reasons != 0))
        return (struct stretch){.plain = false}; /* a refused record's points are nowhere */
    out.count = last->point_first + last->point_count - out.first;
    for (uint32_t i = 0; i < out.count; i++)
        out.plain &= worker->numbers[out.first + i] != UNKNOWN;
    return out;
}

/* Appends points, with what the batch tells of them in registers. The caller has seen to room. */
static void
stretch_append(struct weir_worker *worker, const struct stretch *stretch)
{
    struct weir_batch *batch = worker->batch;
    const struct weir_point *points = worker->options.parsed->points + stretch->first;
    const uint64_t *numbers = worker->numbers + stretch->first;
    struct weir_sample *out = batch->samples + batch->count;
    struct weir_run_cursor cursor = weir_run_cursor(batch);
    uint64_t through = batch->series_through;
    int64_t least = batch->time_min_ms, most = batch->time_max_ms;
    bool ascending = batch->ascending;
    for (uint32_t i = 0; i < stretch->count; i++) {
        uint64_t number = numbers[i];
        int64_t time_ms = points[i].time_ms;
        out[i] = (struct weir_sample){
            weir_sample_key(number, points[i].kind, points[i].exponent), time_ms,
            points[i].value};
        weir_run_note(batch, &cursor, number, batch->count + i);
        ascending &= number + 1 >= through;
        through = number + 1 > through ? number + 1 : through;
        least = time_ms < least ? time_ms : least;
        most = time_ms > most ? time_ms : most;
    }
    weir_run_keep(batch, &cursor);
    batch->count += stretch->count;
    batch->series_through = through;
    batch->ascending = ascending;
    batch->time_min_ms = least;
    batch->time_max_ms = most;
}

/* Takes all records of packet_at up to `end` where each can simply be appended to the open batch.
 * False where one of them has to be looked at: none is taken then. */
static bool
take_stretch(struct weir_worker *worker, uint32_t end, uint32_t state)
{
    uint32_t first = worker->record_at;
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    if (FAULT_DROPS_SAMPLE || state != WEIR_INGEST_OPEN || first == end || worker->batch == NULL)
        return false;
    struct stretch stretch = stretch_of(worker, first, end);
    if (!stretch.plain || stretch.count > WEIR_BATCH_SAMPLES_MAX - worker->batch->count)
        return false;
    stretch_append(worker, &stretch);
    if (WEIR_UNLIKELY(worker->batch->opened_tsc == 0))
        worker->batch->opened_tsc = packet->receive_tsc;
    worker->batch->records += end - first;
    packet->accepted += end - first;
    packet->batch = worker->batch->number;
    worker->records_taken += end - first;
    worker->samples_taken += stretch.count;
    worker->records_seen += end - first;
    worker->record_at = end;
    return true;
}

/* Takes the records of packet_at up to `end`. False where the batch is full and no other is
 * empty. */
static bool
take_records(struct weir_worker *worker, uint32_t end, uint32_t state)
{
    if (WEIR_LIKELY(take_stretch(worker, end, state)))
        return true;
    const struct weir_parsed *parsed = worker->options.parsed;
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    uint32_t at = worker->record_at, first = at;
    uint32_t accepted = packet->accepted;
    bool room = true;
    for (; at < end; at++) {
        const struct weir_record *record = &parsed->records[at];
        if (record_divert(worker, record, state))
            continue;
        room = batch_room(worker, record->point_count);
        if (!room)
            break;
        if (WEIR_UNLIKELY(worker->batch->opened_tsc == 0))
            worker->batch->opened_tsc = packet->receive_tsc;
        record_append(worker, record);
        packet->accepted++;
        worker->records_taken++;
        worker->samples_taken += record->point_count;
        packet->batch = worker->batch->number;
    }
    if (packet->accepted != accepted)
        worker->known_ns = worker->now_ns;
    worker->records_seen += at - first;
    worker->record_at = at;
    return room;
}

/* A packet ends in the batch, in the chunk, or refused: see docs/design/pipeline.md. */
static void
packet_end(struct weir_worker *worker, uint32_t consumed)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_ledger_unit *packets = unit_of(worker, WEIR_UNIT_PACKETS);
    packet->consumed = consumed;
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
    worker->records_seen = 0;
}

/* Works through what is parsed. False where the batch is full and no other is empty. */
static bool
take_spans(struct weir_worker *worker)
{
    uint32_t state =
        atomic_load_explicit(&worker->options.progress->state, memory_order_relaxed);
    uint64_t start = weir_tsc();
    uint32_t first = worker->record_at;
    bool room = true;
    for (; worker->span_at < worker->span_count; worker->span_at++) {
        const struct span *span = &worker->spans[worker->span_at];
        room = take_records(worker, span->record_end, state);
        if (!room)
            break;
        if (span->last)
            packet_end(worker, span->consumed);
    }
    count_cycles(worker, WEIR_STAGE_batch, start, worker->record_at - first);
    return room;
}

static void
spans_reset(struct weir_worker *worker)
{
    weir_parsed_reset(worker->options.parsed);
    worker->record_at = 0;
    worker->span_count = 0;
    worker->span_at = 0;
}

/* Counts what the parser itself refused. */
static void
count_parsed(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    struct weir_ledger_unit *samples = unit_of(worker, WEIR_UNIT_SAMPLES);
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++) {
        samples->received += parsed->samples_rejected[reason];
        samples->rejected[reason] += parsed->samples_rejected[reason];
    }
    uint64_t *counter = worker->options.counts->counter;
    counter[WEIR_COUNTER_integers_rounded] += parsed->integers_rounded;
    counter[WEIR_COUNTER_sequence_gaps] += parsed->sequence_gaps;
    counter[WEIR_COUNTER_sequence_reorderings] += parsed->sequence_reorderings;
    counter[WEIR_COUNTER_sequence_duplicates] += parsed->sequence_duplicates;
    counter[WEIR_COUNTER_template_waits] += parsed->waits;
}

/* A worker without senders refuses weir packets, as the parser does by name. */
static inline bool
is_wire(const struct weir_worker *worker, const struct weir_packet *packet)
{
    return packet->proto == WEIR_PROTO_WEIR && worker->options.senders != NULL;
}

/* Parses packets until there are enough points for a burst of lookups, whose buckets are fetched
 * meanwhile: the last ones come from memory while the next packet is being parsed. */
static void
parse_more(struct weir_worker *worker)
{
    struct weir_parsed *parsed = worker->options.parsed;
    uint64_t start = weir_tsc();
    spans_reset(worker);
    while (worker->parse_at < worker->packet_count && parsed->record_count < WEIR_RECORDS_MAX &&
        parsed->point_count < WEIR_POINTS_TARGET) {
        struct weir_packet *packet = &worker->packets[worker->parse_at];
        if (is_wire(worker, packet))
            break;
        uint32_t before = worker->byte_at, records = parsed->record_count;
        uint32_t points = parsed->point_count;
        if (before < packet->size)
            worker->byte_at = (uint32_t)weir_protocols[packet->proto].parse(&worker->context,
                packet, before, parsed);
        WEIR_ASSERT(worker->byte_at >= before && worker->byte_at <= packet->size);
        weir_raw_cache_prefetch_burst(worker->options.raw_cache, &parsed->points[points].raw,
            sizeof parsed->points[0], parsed->point_count - points);
        /* a rest without progress is an incomplete record */
        bool last = worker->byte_at == packet->size ||
            (worker->byte_at == before && parsed->record_count == records);
        if (last || parsed->record_count == WEIR_RECORDS_MAX ||
            parsed->point_count >= WEIR_POINTS_TARGET)
            worker->spans[worker->span_count++] = (struct span){worker->parse_at,
                parsed->record_count, worker->byte_at, last};
        if (last) {
            worker->parse_at++;
            worker->byte_at = 0;
        }
    }
    count_cycles(worker, WEIR_STAGE_parse, start, parsed->point_count);
    count_parsed(worker);
    if (parsed->point_count > 0)
        look_up(worker);
}

/* Reason by which weir packets are refused as long as the log takes nothing. */
static uint8_t
wire_refusal(const struct weir_worker *worker)
{
    switch (atomic_load_explicit(&worker->options.progress->state, memory_order_relaxed)) {
    case WEIR_INGEST_DISK_FULL:
        return WEIR_REASON_disk_full;
    case WEIR_INGEST_IO_ERROR:
        return WEIR_REASON_io_error;
    default:
        return WEIR_REASON_NONE;
    }
}

/* A weir packet ends in one batch together with its number's mark: so there is room for all of
 * it, and for another mark, before it is parsed. */
static bool
wire_ready(struct weir_worker *worker)
{
    const struct weir_packet *packet = &worker->packets[worker->packet_at];
    uint32_t samples = weir_wire_samples_bound(packet, worker->byte_at);
    if (worker->batch != NULL &&
        (worker->batch->count + samples > WEIR_BATCH_SAMPLES_MAX ||
            weir_senders_dirty_count(worker->options.senders) >= WIRE_DIRTY_PUSH))
        batch_push(worker);
    worker->context.refusal = wire_refusal(worker);
    return batch_open(worker);
}

/* Works through one weir packet, or a stretch of a stream of them: each is appended before the
 * next is parsed. False where it has to wait for an empty batch or for the registrar. */
static bool
wire_work(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    WEIR_ASSERT(worker->parse_at == worker->packet_at);
    while (worker->byte_at < packet->size) {
        if (!wire_ready(worker))
            return false;
        spans_reset(worker);
        uint64_t start = weir_tsc();
        uint32_t at = (uint32_t)weir_wire_parse(&worker->context, packet, worker->byte_at,
            worker->options.parsed);
        count_cycles(worker, WEIR_STAGE_parse, start, 0);
        count_parsed(worker);
        if (parsed->waits) {
            if (worker->chunk != NULL)
                chunk_push(worker);
            return false;
        }
        if (at == worker->byte_at)
            break; /* an incomplete packet of a stream */
        worker->byte_at = at;
        take_runs(worker);
    }
    uint32_t consumed = worker->byte_at;
    worker->parse_at++;
    worker->byte_at = 0;
    packet_end(worker, consumed);
    spans_reset(worker);
    return true;
}

/* True when the whole burst is done; false where it has to wait for an empty batch. */
static bool
burst_work(struct weir_worker *worker)
{
    worker->changed = true;
    while (take_spans(worker)) {
        if (worker->parse_at == worker->packet_count) {
            spans_reset(worker);
            worker->port->ops->release(worker->port, worker->packets, worker->packet_count);
            worker->port = NULL;
            return true;
        }
        if (!is_wire(worker, &worker->packets[worker->parse_at]))
            parse_more(worker);
        else if (!wire_work(worker))
            return false;
    }
    return false;
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
        worker->packets[i].ack_epoch = 0;
        worker->packets[i].broken = false;
    }
    worker->port = port;
    worker->packet_count = (uint32_t)count;
    worker->parse_at = 0;
    worker->byte_at = 0;
    worker->packet_at = 0;
    worker->records_seen = 0;
    spans_reset(worker);
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
    bool marks_owed = worker->options.senders != NULL &&
        weir_senders_dirty_count(worker->options.senders) > 0;
    if ((worker->packets_owed > 0 || marks_owed) && worker->batch == NULL)
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
    if (worker->now_ns - worker->statistics_ns >= STATISTICS_NS) {
        worker->statistics_ns = worker->now_ns;
        if (worker->options.senders != NULL)
            weir_senders_tick(worker->options.senders, worker->now_ns, weir_wall_ms());
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

size_t
weir_worker_run_once(struct weir_worker *worker)
{
    int64_t wall_ms = weir_wall_ms();
    worker->now_ns = weir_mono_ns();
    worker->context.time_min_ms = wall_ms - worker->options.retention_ms;
    worker->context.time_max_ms = wall_ms + FUTURE_MS;
    size_t work = take_settled(worker);
    bool stalled = worker->port != NULL && !burst_work(worker);
    size_t received = 0;
    worker->burst_full = false;
    bool listens = !worker->draining || worker->drain_rounds > 0;
    for (uint32_t i = 0; i < worker->options.port_count && !stalled && listens; i++) {
        if (!may_receive(worker, worker->options.ports[i]))
            continue;
        size_t taken = burst_take(worker, worker->options.ports[i]);
        received += taken;
        worker->burst_full |= taken == WEIR_BURST_MAX;
        if (taken > 0)
            stalled = !burst_work(worker);
    }
    work += received;
    if (worker->draining && !stalled)
        worker->drain_rounds = received > 0 && listens ? worker->drain_rounds - 1 : 0;
    ports_progress(worker);
    if (stalled)
        ports_collect(worker);
    else
        work += flush_due(worker);
    if (worker->changed)
        publish(worker);
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
weir_worker_drain(struct weir_worker *worker)
{
    if (!worker->draining)
        worker->drain_rounds = DRAIN_ROUNDS;
    worker->draining = true;
    weir_worker_run_once(worker);
    return worker->drain_rounds == 0 && worker->port == NULL && worker->batch == NULL &&
           worker->chunk == NULL &&
           (worker->options.senders == NULL ||
               weir_senders_dirty_count(worker->options.senders) == 0) &&
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
