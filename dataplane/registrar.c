#include "dataplane/registrar.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/shared.h"
#include "base/spell.h"
#include "dataplane/parse_weir.h"
#include "dataplane/raw_cache.h"

#include <stdlib.h>
#include <string.h>

/* Chunks of each worker a round: a burst of definitions fills two. After the first of each they
 * are begun only in the round's first more_chunks_ns. */
#define CHUNKS_ROUND 4
/* Half of a core's first level: a packet's definition has some thirty series. */
#define PREFETCH_MAX 256

/* A chunk under way. It stays here over rounds where a batch is full and no other is empty:
 *
 *   none --chunk_take--> between lines <--line_take, line_finish--> in a line
 *     ^                       |                                      | ^
 *     +-----chunk_finish------+          awaits an empty batch: defined, not yet appended
 */
struct work {
    struct weir_chunk *chunk; /* NULL: none */
    uint32_t worker;
    uint32_t at;       /* of the next line in chunk->lines */
    uint32_t accepted; /* records of the chunk */

    bool in_line;
    struct weir_chunk_line line;
    uint8_t *text;             /* or the list of points */
    struct weir_chunk_point *resolved; /* the one at point_at, where the line is a list of them */
    uint32_t point_at;         /* next of parsed->points, or of the list */
    uint32_t point_end;
    uint32_t samples_accepted; /* of the line */
    uint32_t samples_rejected;
    uint32_t defines_refused;  /* series of a definition */
    uint8_t reason; /* of the rejected ones; WEIR_REASON_no_sample_accepted where they differ */

    bool labels_begun; /* labels_err tells how the line's labels began */
    enum weir_err labels_err;

    bool pending;    /* point_at has its number and awaits room */
    bool is_new;     /* and its definition too */
    uint64_t number;
};

struct weir_registrar {
    struct weir_registrar_options options;
    struct weir_batch *batch;    /* open, or NULL */
    uint64_t batch_number;       /* of the last batch opened */
    int64_t batch_content_ns;    /* when its first sample came */
    uint64_t definitions_pushed; /* definitions below it are in pushed batches */
    int64_t now_ns;
    uint64_t more_ticks;         /* of a round in which second chunks are begun */
    uint64_t round_tsc;          /* when this round began */
    uint64_t limit_ticks;        /* of a round; 0 for none */
    bool changed;                /* counts differ from what was published */
    struct weir_spell table_full;
    struct work work;
    struct weir_line_labels line_labels; /* of work.line */
    uint8_t labels[WEIR_LABELS_BYTES_MAX]; /* of the point being defined */
};

enum weir_err
weir_registrar_new(const struct weir_registrar_options *options, struct weir_registrar **out)
{
    WEIR_ASSERT(options->worker_count <= WEIR_WORKERS_MAX);
    struct weir_registrar *registrar = calloc(1, sizeof *registrar);
    if (registrar == NULL)
        return weir_fail(WEIR_NOMEM, 0, "registrar of %zu bytes", sizeof *registrar);
    registrar->options = *options;
    registrar->definitions_pushed = weir_series_count(options->series);
    registrar->more_ticks = (uint64_t)(weir_tsc_hz() * 1e-9 * (double)options->more_chunks_ns);
    *out = registrar;
    return WEIR_OK;
}

static void
publish(struct weir_registrar *registrar)
{
    weir_ledger_publish(&registrar->options.ledger->blocks[WEIR_BLOCK_REGISTRAR],
        registrar->options.counts);
    registrar->changed = false;
}

static void
hold(struct weir_registrar *registrar, enum weir_unit unit, uint64_t count)
{
    registrar->options.counts->unit[unit].held += count;
    registrar->changed = true;
}

static void
release(struct weir_registrar *registrar, enum weir_unit unit, uint64_t count)
{
    struct weir_ledger_unit *counts = &registrar->options.counts->unit[unit];
    WEIR_ASSERT(counts->held >= count);
    counts->held -= count;
    registrar->changed = true;
}

static void
reject(struct weir_registrar *registrar, enum weir_unit unit, uint64_t count, uint8_t reason)
{
    release(registrar, unit, count);
    registrar->options.counts->unit[unit].rejected[reason] += count;
}

static bool
batch_open(struct weir_registrar *registrar)
{
    if (registrar->batch != NULL)
        return true;
    struct weir_batch *batch = weir_ring_pop(registrar->options.empties);
    if (batch == NULL)
        return false;
    weir_batch_reset(batch);
    batch->number = ++registrar->batch_number;
    batch->producer = WEIR_PRODUCER_REGISTRAR;
    registrar->batch = batch;
    return true;
}

/* Records without samples are definitions, whose series may all have been known. */
static bool
batch_has_content(const struct weir_registrar *registrar)
{
    const struct weir_batch *batch = registrar->batch;
    return batch != NULL &&
        (batch->count > 0 || batch->definition_count > 0 || batch->records > 0);
}

/* Edge, block, ring, in this order: see base/ledger.h. */
static void
batch_push(struct weir_registrar *registrar)
{
    struct weir_batch *batch = registrar->batch;
    struct weir_counts *counts = registrar->options.counts;
    weir_edge_put(&registrar->options.ledger->edges[WEIR_EDGE_REGISTRAR_WRITER], batch->number,
        batch->packets, batch->records, batch->count);
    counts->pushed[WEIR_EDGE_REGISTRAR_WRITER] = batch->number;
    release(registrar, WEIR_UNIT_PACKETS, batch->packets);
    release(registrar, WEIR_UNIT_RECORDS, batch->records);
    release(registrar, WEIR_UNIT_SAMPLES, batch->count);
    if (batch->definition_count > 0)
        registrar->definitions_pushed = batch->definition_first + batch->definition_count;
    registrar->batch = NULL;
    publish(registrar);
    bool pushed = weir_ring_push(registrar->options.batches, batch);
    WEIR_ASSERT(pushed); /* the ring holds every batch there is */
}

static void
sample_append(struct weir_registrar *registrar, struct weir_batch *batch)
{
    const struct work *work = &registrar->work;
    const struct weir_chunk_point *resolved = work->resolved;
    if (resolved != NULL) {
        weir_batch_append(batch,
            weir_sample_key(work->number, resolved->kind, resolved->exponent), resolved->time_ms,
            resolved->value);
        return;
    }
    const struct weir_point *point = &registrar->options.parsed->points[work->point_at];
    weir_batch_append(batch, weir_sample_key(work->number, point->kind, point->exponent),
        point->time_ms, point->value);
}

/* Appends the pending point, and its definition where it is new. False where there is no room and
 * no empty batch; nothing has changed then, so that it is simply called again. A full batch is
 * pushed only here, right before something is appended to its successor: at the end of a line or
 * of a chunk of which anything was accepted, the last of it lies in the open batch. */
static bool
point_append(struct weir_registrar *registrar)
{
    struct work *work = &registrar->work;
    const uint8_t *labels = NULL;
    size_t size = 0;
    if (work->is_new)
        weir_series_labels(registrar->options.series, work->number, &labels, &size);
    if (registrar->batch != NULL &&
        (registrar->batch->count == WEIR_BATCH_SAMPLES_MAX ||
            size + sizeof(uint32_t) >
                WEIR_BATCH_DEFINITIONS_MAX - registrar->batch->definition_bytes))
        batch_push(registrar);
    if (!batch_open(registrar))
        return false;
    struct weir_batch *batch = registrar->batch;
    if (!batch_has_content(registrar))
        registrar->batch_content_ns = registrar->now_ns;
    if (work->is_new) {
        size_t used = batch->definition_bytes;
        enum weir_err err = weir_definition_append(batch->definitions,
            WEIR_BATCH_DEFINITIONS_MAX, &used, labels, size);
        WEIR_ASSERT(err == WEIR_OK); /* room was seen to above */
        if (batch->definition_count++ == 0)
            batch->definition_first = work->number;
        batch->definition_bytes = (uint32_t)used;
    }
    if (batch->opened_tsc == 0 || work->chunk->opened_tsc < batch->opened_tsc)
        batch->opened_tsc = work->chunk->opened_tsc;
    batch->ack_waiting |= work->chunk->ack_waiting;
    work->pending = false;
    if (work->line.defines > 0)
        return true;
    sample_append(registrar, batch);
    work->samples_accepted++;
    return true;
}

static void
samples_reject(struct weir_registrar *registrar, uint64_t count, uint8_t reason)
{
    struct work *work = &registrar->work;
    bool before = work->samples_rejected + work->defines_refused > 0;
    if (before && work->reason != reason)
        work->reason = WEIR_REASON_no_sample_accepted;
    else
        work->reason = reason;
    if (work->line.defines > 0) {
        work->defines_refused += (uint32_t)count;
        registrar->options.counts->counter[WEIR_COUNTER_definitions_refused] += count;
        return;
    }
    reject(registrar, WEIR_UNIT_SAMPLES, count, reason);
    work->samples_rejected += (uint32_t)count;
}

/* The labels of the next point of a line that came as text. */
static enum weir_err
text_labels(struct weir_registrar *registrar, size_t *size)
{
    struct work *work = &registrar->work;
    const struct weir_point *point = &registrar->options.parsed->points[work->point_at];
    const struct weir_protocol *protocol = &weir_protocols[work->line.proto];
    if (!work->labels_begun) {
        work->labels_begun = true;
        work->labels_err =
            protocol->labels_begin(&registrar->line_labels, work->text, work->line.size);
    }
    if (work->labels_err != WEIR_OK)
        return work->labels_err;
    return protocol->labels_field(&registrar->line_labels, point->field, registrar->labels, size);
}

/* What refusals for want of room come to. The detail says what there was no room for, which is not
 * the same all the time; it is that of the last one. Samples are counted in the ledger, by reason;
 * series of definitions in the counter definitions_refused. */
static void
tell_table_full(const struct weir_spell *spell, enum weir_spell_news news)
{
    unsigned long long refused = spell->count;
    unsigned long long lasted_s =
        (unsigned long long)(spell->met_ns - spell->begun_ns) / UINT64_C(1000000000);
    if (news == WEIR_SPELL_BEGINS)
        weir_event(WEIR_WARN, "table_full", "detail=\"%s\"", weir_err_detail());
    else if (news == WEIR_SPELL_LASTS)
        weir_event(WEIR_WARN, "table_full_lasts", "refused=%llu since_s=%llu detail=\"%s\"",
            refused, lasted_s, weir_err_detail());
    else if (news == WEIR_SPELL_ENDS)
        weir_event(WEIR_INFO, "table_full_ended", "refused=%llu lasted_s=%llu", refused, lasted_s);
}

/* Number of the next point; a refused one is counted and passed over. */
static void
point_define(struct weir_registrar *registrar)
{
    struct work *work = &registrar->work;
    struct weir_counts *counts = registrar->options.counts;
    struct weir_series *series = registrar->options.series;
    enum weir_err err;
    work->is_new = false;
    if (work->resolved != NULL && work->resolved->labels_size == 0) {
        if (work->resolved->number == WEIR_RAW_UNKNOWN) {
            samples_reject(registrar, 1, WEIR_REASON_bad_labels);
            return;
        }
        work->number = work->resolved->number;
        work->pending = true;
        return;
    }
    if (work->resolved != NULL) {
        const uint8_t *labels = (const uint8_t *)(work->resolved + 1);
        err = weir_series_define_at(series, work->resolved->fingerprint, labels,
            work->resolved->labels_size, &work->number, &work->is_new);
    } else {
        size_t size;
        if (text_labels(registrar, &size) != WEIR_OK) {
            samples_reject(registrar, 1, WEIR_REASON_bad_labels);
            return;
        }
        err = weir_series_define(series, registrar->labels, size, &work->number, &work->is_new);
    }
    if (err != WEIR_OK) {
        tell_table_full(&registrar->table_full,
            weir_spell_met(&registrar->table_full, 1, registrar->now_ns));
        samples_reject(registrar, 1, WEIR_REASON_table_full);
        return;
    }
    if (work->resolved != NULL)
        work->resolved->number = work->number;
    work->pending = work->is_new || work->line.defines == 0;
    if (work->is_new) {
        counts->counter[WEIR_COUNTER_series_defined]++;
        counts->counter[WEIR_COUNTER_fingerprint_collisions] = weir_series_collisions(series);
    }
}

/* Parses the line again. The worker has judged its times, so there is no rule for them here, and
 * has counted its samples: its count is what the ledger is held to. */
static void
line_parse(struct weir_registrar *registrar)
{
    struct work *work = &registrar->work;
    struct weir_parsed *parsed = registrar->options.parsed;
    const struct weir_parse_context context = {.key = registrar->options.key,
        .time_min_ms = INT64_MIN,
        .time_max_ms = INT64_MAX};
    struct weir_packet packet = {.data = work->text,
        .size = work->line.size,
        .proto = work->line.proto,
        .time_unit = work->line.time_unit,
        .final = true,
        .source = work->line.source,
        .receive_ms = work->line.receive_ms};
    weir_parsed_reset(parsed);
    weir_protocols[work->line.proto].parse(&context, &packet, 0, parsed);
    uint8_t reason = WEIR_REASON_bad_line;
    uint32_t found = 0;
    if (parsed->record_count > 0) {
        const struct weir_record *record = &parsed->records[0];
        work->point_at = record->point_first;
        found = record->point_count;
        if (record->reason != WEIR_REASON_NONE)
            reason = record->reason;
    }
    if (found > work->line.samples)
        found = work->line.samples;
    work->point_end = work->point_at + found;
    if (found < work->line.samples)
        samples_reject(registrar, work->line.samples - found, reason);
}

/* A definition's series, by their place in it. */
static void
definition_parse(struct weir_registrar *registrar)
{
    struct weir_parsed *parsed = registrar->options.parsed;
    WEIR_ASSERT(registrar->work.line.defines <= WEIR_POINTS_MAX);
    for (uint32_t i = 0; i < registrar->work.line.defines; i++)
        parsed->points[i] = (struct weir_point){.field = (uint16_t)i};
    registrar->work.point_end = registrar->work.line.defines;
}

/* The buckets of a line's first points are on their way before the first is looked for. */
static void
points_prefetch(const struct weir_series *series, const uint8_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < PREFETCH_MAX; i++) {
        const struct weir_chunk_point *point = (const void *)list;
        if (point->labels_size > 0)
            weir_series_prefetch(series, point->fingerprint);
        list += weir_chunk_point_bytes(point->labels_size);
    }
}

static void
line_resolved(struct weir_registrar *registrar)
{
    struct work *work = &registrar->work;
    uint8_t *list = work->text;
    work->point_end = work->line.samples;
    if (work->line.defines > 0) {
        struct weir_definition_text text;
        memcpy(&text, list, sizeof text);
        list += sizeof text + sizeof(struct weir_wire_record);
        work->point_end = text.list_count;
    }
    work->resolved = (struct weir_chunk_point *)(void *)list;
    points_prefetch(registrar->options.series, list, work->point_end);
}

static void
line_take(struct weir_registrar *registrar)
{
    struct work *work = &registrar->work;
    struct weir_chunk *chunk = work->chunk;
    WEIR_ASSERT(chunk->used - work->at >= sizeof work->line);
    memcpy(&work->line, chunk->lines + work->at, sizeof work->line);
    WEIR_ASSERT(weir_chunk_line_bytes(work->line.size) <= chunk->used - work->at);
    work->text = chunk->lines + work->at + sizeof work->line;
    work->at += (uint32_t)weir_chunk_line_bytes(work->line.size);
    work->in_line = true;
    work->labels_begun = false;
    work->resolved = NULL;
    work->point_at = 0;
    work->point_end = 0;
    work->samples_accepted = 0;
    work->samples_rejected = 0;
    work->defines_refused = 0;
    work->reason = WEIR_REASON_no_sample_accepted;
    uint8_t refused = weir_progress_refusal(registrar->options.progress);
    if (refused != WEIR_REASON_NONE)
        samples_reject(registrar,
            work->line.defines > 0 ? work->line.defines : work->line.samples, refused);
    else if (work->line.resolved)
        line_resolved(registrar);
    else if (work->line.defines > 0)
        definition_parse(registrar);
    else
        line_parse(registrar);
}

/* One settlement for each run of lines with one source; nobody waits at source 0. */
static void
settle(struct work *work, bool accepted, uint64_t batch)
{
    struct weir_chunk *chunk = work->chunk;
    if (work->line.source == 0)
        return;
    struct weir_settlement *last = &chunk->settlements[chunk->settlement_count];
    if (chunk->settlement_count > 0 && last[-1].source == work->line.source) {
        last--;
    } else {
        *last = (struct weir_settlement){.source = work->line.source};
        chunk->settlement_count++;
    }
    if (accepted) {
        last->accepted++;
        last->batch = batch;
    } else {
        last->rejected++;
    }
}

/* False where a definition that brought nothing new finds no batch to end in. */
static bool
line_finish(struct weir_registrar *registrar)
{
    struct work *work = &registrar->work;
    WEIR_ASSERT(work->samples_accepted + work->samples_rejected == work->line.samples);
    bool accepted = work->samples_accepted > 0 || work->defines_refused < work->line.defines;
    if (accepted) {
        if (!batch_open(registrar))
            return false;
        if (!batch_has_content(registrar))
            registrar->batch_content_ns = registrar->now_ns;
        registrar->batch->records++;
        work->accepted++;
        settle(work, true, registrar->batch->number);
    } else {
        reject(registrar, WEIR_UNIT_RECORDS, 1, work->reason);
        settle(work, false, 0);
    }
    work->in_line = false;
    return true;
}

/* False where the line has to wait for an empty batch. */
static bool
line_work(struct weir_registrar *registrar)
{
    struct work *work = &registrar->work;
    while (work->point_at < work->point_end) {
        if (!work->pending)
            point_define(registrar);
        if (work->pending && !point_append(registrar))
            return false;
        work->point_at++;
        if (work->resolved != NULL)
            work->resolved = (struct weir_chunk_point *)(void *)((uint8_t *)work->resolved +
                weir_chunk_point_bytes(work->resolved->labels_size));
    }
    return line_finish(registrar);
}

/* Fetches the buckets of a chunk's series: another core's caches may have them. */
static void
chunk_prefetch(const struct weir_registrar *registrar, const struct weir_chunk *chunk)
{
    struct weir_chunk_line line;
    for (uint32_t at = 0; at < chunk->used; at += (uint32_t)weir_chunk_line_bytes(line.size)) {
        memcpy(&line, chunk->lines + at, sizeof line);
        const uint8_t *place = chunk->lines + at + sizeof line;
        for (uint32_t i = 0; line.resolved && i < line.samples; i++) {
            const struct weir_chunk_point *point = (const struct weir_chunk_point *)place;
            weir_series_prefetch(registrar->options.series, point->fingerprint);
            place += weir_chunk_point_bytes(point->labels_size);
        }
    }
}

static void
chunk_take(struct weir_registrar *registrar, uint32_t index)
{
    const struct weir_registrar_worker *worker = &registrar->options.workers[index];
    struct weir_chunk *chunk = weir_ring_pop(worker->chunks);
    if (chunk == NULL)
        return;
    registrar->options.counts->popped[worker->edge] = chunk->number;
    hold(registrar, WEIR_UNIT_PACKETS, chunk->packets);
    hold(registrar, WEIR_UNIT_RECORDS, chunk->records);
    hold(registrar, WEIR_UNIT_SAMPLES, chunk->samples);
    chunk->settlement_count = 0;
    chunk_prefetch(registrar, chunk);
    registrar->work = (struct work){.chunk = chunk, .worker = index};
}

/* Gives the chunk back. What was rejected is published first, so that no sender is told of it
 * before the ledger shows it. */
static void
chunk_finish(struct weir_registrar *registrar)
{
    struct work *work = &registrar->work;
    struct weir_chunk *chunk = work->chunk;
    if (work->accepted > 0) {
        WEIR_ASSERT(batch_has_content(registrar));
        registrar->batch->packets += chunk->packets;
    } else {
        reject(registrar, WEIR_UNIT_PACKETS, chunk->packets, WEIR_REASON_nothing_accepted);
    }
    chunk->packets = 0;
    chunk->records = 0;
    chunk->samples = 0;
    work->chunk = NULL;
    publish(registrar);
    bool pushed = weir_ring_push(registrar->options.workers[work->worker].settled, chunk);
    WEIR_ASSERT(pushed); /* the ring holds every chunk there is */
}

/* Works on the chunk under way until it is done; *lines grows by the lines finished. False where
 * it has to wait for an empty batch, or the round's time is up. */
static bool
chunk_work(struct weir_registrar *registrar, size_t *lines)
{
    struct work *work = &registrar->work;
    uint64_t start = weir_tsc();
    bool room = true, in_time = true;
    while (room && in_time && (work->in_line || work->at < work->chunk->used)) {
        if (!work->in_line)
            line_take(registrar);
        room = line_work(registrar);
        if (room) {
            registrar->options.counts->samples[WEIR_STAGE_define] += work->line.samples;
            (*lines)++;
        }
        in_time = registrar->limit_ticks == 0 ||
            weir_tsc() - registrar->round_tsc < registrar->limit_ticks;
    }
    registrar->options.counts->cycles[WEIR_STAGE_define] += weir_tsc() - start;
    if (!room || work->in_line || work->at < work->chunk->used)
        return false;
    chunk_finish(registrar);
    return in_time;
}

static bool
flush_due(const struct weir_registrar *registrar)
{
    if (!batch_has_content(registrar))
        return false;
    const struct weir_batch *batch = registrar->batch;
    /* relaxed, both: they carry no data, and one missed is seen in the next round */
    bool waiting = batch->ack_waiting ||
        atomic_load_explicit(&registrar->options.progress->ack_waiting, memory_order_relaxed) != 0;
    int64_t interval_ns =
        waiting ? registrar->options.ack_interval_ns : registrar->options.flush_interval_ns;
    uint64_t wanted = atomic_load_explicit(&registrar->options.progress->definitions_wanted,
        memory_order_relaxed);
    return batch->count == WEIR_BATCH_SAMPLES_MAX ||
        registrar->now_ns - registrar->batch_content_ns >= interval_ns ||
        wanted > registrar->definitions_pushed;
}

/* A line is taken only where it can be put somewhere, or is refused anyway. */
static bool
may_take(struct weir_registrar *registrar)
{
    return weir_progress_refusal(registrar->options.progress) != WEIR_REASON_NONE ||
        batch_open(registrar);
}

void
weir_registrar_limit(struct weir_registrar *registrar, uint64_t ticks)
{
    registrar->limit_ticks = ticks;
}

size_t
weir_registrar_run_once(struct weir_registrar *registrar)
{
    size_t lines = 0;
    registrar->now_ns = weir_mono_ns();
    registrar->round_tsc = weir_tsc();
    bool room = registrar->work.chunk == NULL || chunk_work(registrar, &lines);
    uint32_t workers = registrar->options.worker_count;
    for (uint32_t turn = 0; turn < CHUNKS_ROUND * workers && room; turn++) {
        uint32_t i = turn % workers;
        if (turn >= workers && weir_tsc() - registrar->round_tsc >= registrar->more_ticks)
            break;
        if (weir_ring_peek(registrar->options.workers[i].chunks) == NULL)
            continue;
        if (!may_take(registrar))
            break;
        chunk_take(registrar, i);
        room = chunk_work(registrar, &lines);
    }
    tell_table_full(&registrar->table_full,
        weir_spell_look(&registrar->table_full, registrar->now_ns));
    size_t flushed = 0;
    if (flush_due(registrar)) {
        batch_push(registrar);
        flushed = 1;
    }
    if (registrar->changed)
        publish(registrar);
    return lines + flushed;
}

bool
weir_registrar_flush(struct weir_registrar *registrar)
{
    if (batch_has_content(registrar))
        batch_push(registrar);
    return registrar->work.chunk == NULL;
}

bool
weir_registrar_idle(const struct weir_registrar *registrar)
{
    if (registrar->work.chunk != NULL || batch_has_content(registrar))
        return false;
    for (uint32_t i = 0; i < registrar->options.worker_count; i++)
        if (weir_ring_count(registrar->options.workers[i].chunks) > 0)
            return false;
    return true;
}

void
weir_registrar_free(struct weir_registrar *registrar)
{
    if (registrar == NULL)
        return;
    for (uint32_t i = 0; i < registrar->options.worker_count; i++)
        while (weir_ring_peek(registrar->options.workers[i].chunks) != NULL)
            chunk_take(registrar, i);
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        struct weir_ledger_unit *counts = &registrar->options.counts->unit[unit];
        counts->dropped[WEIR_REASON_shutdown] += counts->held;
        counts->held = 0;
    }
    publish(registrar);
    free(registrar);
}
