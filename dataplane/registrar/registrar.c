#include "dataplane/registrar/parts.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Chunks of each worker a round: a burst of definitions fills two. After the first of each they
 * are begun only in the round's first more_chunks_ns. */
#define CHUNKS_ROUND 4

enum weir_err
weir_registrar_new(const struct weir_registrar_options *options, struct weir_registrar **out)
{
    WEIR_ASSERT(options->worker_count <= WEIR_WORKERS_MAX);
    struct weir_registrar *registrar = calloc(1, sizeof *registrar);
    if (registrar == NULL)
        return weir_fail(WEIR_NOMEM, 0, "registrar of %zu bytes", sizeof *registrar);
    registrar->options = *options;
    weir_rejecter_init(&registrar->rejecter, options->rejected, WEIR_PRODUCER_REGISTRAR,
        options->keep_rejected);
    registrar->definitions_pushed = weir_series_count(options->series);
    weir_registrar_shares_begin(registrar);
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

bool
weir_registrar_batch_open(struct weir_registrar *registrar)
{
    struct weir_batch *batch = weir_ring_pop(registrar->options.empties);
    if (batch == NULL)
        return false;
    weir_batch_reset(batch);
    batch->number = ++registrar->batch_number;
    batch->producer = WEIR_PRODUCER_REGISTRAR;
    registrar->batch = batch;
    return true;
}

/* Edge, block, ring, in this order: see model/ledger.h. */
void
weir_registrar_batch_push(struct weir_registrar *registrar)
{
    struct weir_batch *batch = registrar->batch;
    struct weir_counts *counts = registrar->options.counts;
    weir_edge_put(&registrar->options.ledger->edges[WEIR_EDGE_REGISTRAR_WRITER], batch->number,
        batch->packets, batch->records, batch->count);
    counts->pushed[WEIR_EDGE_REGISTRAR_WRITER] = batch->number;
    weir_registrar_release(registrar, WEIR_UNIT_PACKETS, batch->packets);
    weir_registrar_release(registrar, WEIR_UNIT_RECORDS, batch->records);
    weir_registrar_release(registrar, WEIR_UNIT_SAMPLES, batch->count);
    if (batch->definition_count > 0)
        registrar->definitions_pushed = batch->definition_first + batch->definition_count;
    registrar->batch = NULL;
    publish(registrar);
    bool pushed = weir_ring_push(registrar->options.batches, batch);
    WEIR_ASSERT(pushed); /* the ring holds every batch there is */
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
    registrar->work = (struct weir_registrar_work){.chunk = chunk, .worker = index};
}

/* The chunk's packets end in the open batch, which has something of them. */
static void
chunk_packets(struct weir_registrar *registrar)
{
    struct weir_chunk *chunk = registrar->work.chunk;
    if (chunk->packets == 0)
        return; /* they ended in one that was pushed in the middle of the chunk */
    WEIR_ASSERT(weir_registrar_batch_has_content(registrar));
    registrar->batch->packets += chunk->packets;
    chunk->packets = 0;
}

/* Pushes the batch that has content, also in the middle of a chunk: of the chunk's other lines
 * perhaps none is accepted. */
static void
flush(struct weir_registrar *registrar)
{
    if (registrar->work.chunk != NULL && registrar->work.accepted > 0)
        chunk_packets(registrar);
    weir_registrar_batch_push(registrar);
}

/* Gives the chunk back. What was rejected is published first, so that no sender is told of it
 * before the ledger shows it. */
static void
chunk_finish(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    struct weir_chunk *chunk = work->chunk;
    if (work->accepted > 0) {
        chunk_packets(registrar);
    } else {
        weir_registrar_reject(registrar, WEIR_UNIT_PACKETS, chunk->packets,
            WEIR_REASON_nothing_accepted);
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
    struct weir_registrar_work *work = &registrar->work;
    uint64_t start = weir_tsc();
    bool room = true, in_time = true;
    while (room && in_time && (work->in_line || work->at < work->chunk->used)) {
        if (!work->in_line)
            weir_registrar_line_take(registrar);
        room = weir_registrar_line_work(registrar);
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
    if (!weir_registrar_batch_has_content(registrar))
        return false;
    const struct weir_batch *batch = registrar->batch;
    /* relaxed, both: workers set ack_waiting (ports_progress in worker.c), the log writer sets
     * definitions_wanted. They carry no data, and one missed is seen in the next round. */
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
        weir_registrar_batch_ready(registrar);
}

void
weir_registrar_limit(struct weir_registrar *registrar, uint64_t ticks)
{
    registrar->limit_ticks = ticks;
}

void
weir_registrar_follow(struct weir_registrar *registrar, int64_t flush_interval_ns,
    int64_t ack_interval_ns)
{
    registrar->options.flush_interval_ns = flush_interval_ns;
    registrar->options.ack_interval_ns = ack_interval_ns;
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
    weir_registrar_tell_table_full(&registrar->table_full,
        weir_condition_look(&registrar->table_full, registrar->now_ns));
    weir_refusals_look(&registrar->over_share, registrar->now_ns);
    size_t flushed = 0;
    if (flush_due(registrar)) {
        flush(registrar);
        flushed = 1;
    }
    if (registrar->changed)
        publish(registrar);
    return lines + flushed;
}

bool
weir_registrar_flush(struct weir_registrar *registrar)
{
    if (weir_registrar_batch_has_content(registrar))
        flush(registrar);
    return registrar->work.chunk == NULL;
}

bool
weir_registrar_idle(const struct weir_registrar *registrar)
{
    if (registrar->work.chunk != NULL || weir_registrar_batch_has_content(registrar))
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
