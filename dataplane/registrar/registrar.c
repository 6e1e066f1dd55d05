#include "dataplane/registrar/parts.h"

#include "base/clock.h"
#include "model/handover.h"

#include <stdlib.h>
#include <string.h>

/* Deferrals of each worker a round: a burst of definitions fills two. After the first of each they
 * are begun only in the round's first more_deferrals_ns. */
#define DEFERRALS_ROUND 4

size_t
weir_registrar_footprint(void)
{
    return sizeof(struct weir_registrar);
}

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
    registrar->more_ticks = (uint64_t)(weir_tsc_hz() * 1e-9 * (double)options->more_deferrals_ns);
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

void
weir_registrar_batch_push(struct weir_registrar *registrar)
{
    struct weir_batch *batch = registrar->batch;
    const struct weir_handover to = {.ledger = registrar->options.ledger,
        .block = WEIR_BLOCK_REGISTRAR,
        .edge = WEIR_EDGE_REGISTRAR_WRITER,
        .counts = registrar->options.counts,
        .ring = registrar->options.batches};
    const uint64_t count[WEIR_UNIT_COUNT] = {batch->packets, batch->records, batch->count};
    weir_registrar_release(registrar, WEIR_UNIT_PACKETS, batch->packets);
    weir_registrar_release(registrar, WEIR_UNIT_RECORDS, batch->records);
    weir_registrar_release(registrar, WEIR_UNIT_SAMPLES, batch->count);
    if (batch->definition_count > 0)
        registrar->definitions_pushed = batch->definition_first + batch->definition_count;
    registrar->batch = NULL;
    weir_handover(&to, batch, batch->number, count);
    registrar->changed = false;
}

/* Fetches the buckets of a deferral's series: another core's caches may have them. */
static void
deferral_prefetch(const struct weir_registrar *registrar, const struct weir_deferral *deferral)
{
    struct weir_deferred_line line;
    for (uint32_t at = 0; at < deferral->used;
         at += (uint32_t)weir_deferred_line_bytes(line.size)) {
        memcpy(&line, deferral->lines + at, sizeof line);
        const uint8_t *place = deferral->lines + at + sizeof line;
        for (uint32_t i = 0; line.resolved && i < line.samples; i++) {
            const struct weir_deferred_point *point = (const struct weir_deferred_point *)place;
            weir_series_prefetch(registrar->options.series, point->fingerprint);
            place += weir_deferred_point_bytes(point->labels_size);
        }
    }
}

static void
deferral_pop(struct weir_registrar *registrar, uint32_t index)
{
    const struct weir_registrar_worker *worker = &registrar->options.workers[index];
    struct weir_deferral *deferral = weir_ring_pop(worker->deferrals);
    if (deferral == NULL)
        return;
    registrar->options.counts->popped[worker->edge] = deferral->number;
    hold(registrar, WEIR_UNIT_PACKETS, deferral->packets);
    hold(registrar, WEIR_UNIT_RECORDS, deferral->records);
    hold(registrar, WEIR_UNIT_SAMPLES, deferral->samples);
    deferral->completion_count = 0;
    deferral_prefetch(registrar, deferral);
    registrar->work = (struct weir_registrar_work){.deferral = deferral, .worker = index};
}

/* The deferral's packets end in the open batch, which has something of them. */
static void
deferral_packets(struct weir_registrar *registrar)
{
    struct weir_deferral *deferral = registrar->work.deferral;
    if (deferral->packets == 0)
        return; /* they ended in one that was pushed in the middle of the deferral */
    WEIR_ASSERT(weir_registrar_batch_has_content(registrar));
    registrar->batch->packets += deferral->packets;
    deferral->packets = 0;
}

/* Pushes the batch that has content, also in the middle of a deferral: of the deferral's other
 * lines perhaps none is accepted. */
static void
flush(struct weir_registrar *registrar)
{
    if (registrar->work.deferral != NULL && registrar->work.accepted > 0)
        deferral_packets(registrar);
    weir_registrar_batch_push(registrar);
}

/* Gives the deferral back. The ledger shows first what was rejected: no sender hears of it
 * before. */
static void
deferral_finish(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    struct weir_deferral *deferral = work->deferral;
    if (work->accepted > 0) {
        deferral_packets(registrar);
    } else {
        weir_registrar_reject(registrar, WEIR_UNIT_PACKETS, deferral->packets,
            WEIR_REASON_nothing_accepted);
    }
    deferral->packets = 0;
    deferral->records = 0;
    deferral->samples = 0;
    work->deferral = NULL;
    publish(registrar);
    bool pushed = weir_ring_push(registrar->options.workers[work->worker].completed, deferral);
    WEIR_ASSERT(pushed); /* the ring holds every deferral there is */
}

/* Works on the deferral under way until it is done; *lines grows by the lines finished. False where
 * it has to wait for an empty batch, or the round's time is up. */
static bool
deferral_work(struct weir_registrar *registrar, size_t *lines)
{
    struct weir_registrar_work *work = &registrar->work;
    uint64_t start = weir_tsc();
    bool room = true, in_time = true;
    while (room && in_time && (work->in_line || work->at < work->deferral->used)) {
        if (!work->in_line)
            weir_registrar_line_begin(registrar);
        room = weir_registrar_line_work(registrar);
        if (room) {
            registrar->options.counts->samples[WEIR_STAGE_define] += work->line.samples;
            (*lines)++;
        }
        in_time = registrar->limit_ticks == 0 ||
            weir_tsc() - registrar->round_tsc < registrar->limit_ticks;
    }
    registrar->options.counts->cycles[WEIR_STAGE_define] += weir_tsc() - start;
    if (!room || work->in_line || work->at < work->deferral->used)
        return false;
    deferral_finish(registrar);
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
may_begin(struct weir_registrar *registrar)
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
    bool room = registrar->work.deferral == NULL || deferral_work(registrar, &lines);
    uint32_t workers = registrar->options.worker_count;
    for (uint32_t turn = 0; turn < DEFERRALS_ROUND * workers && room; turn++) {
        uint32_t i = turn % workers;
        if (turn >= workers && weir_tsc() - registrar->round_tsc >= registrar->more_ticks)
            break;
        if (weir_ring_peek(registrar->options.workers[i].deferrals) == NULL)
            continue;
        if (!may_begin(registrar))
            break;
        deferral_pop(registrar, i);
        room = deferral_work(registrar, &lines);
    }
    weir_registrar_report_table_full(&registrar->table_full,
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
    return registrar->work.deferral == NULL;
}

bool
weir_registrar_idle(const struct weir_registrar *registrar)
{
    if (registrar->work.deferral != NULL || weir_registrar_batch_has_content(registrar))
        return false;
    for (uint32_t i = 0; i < registrar->options.worker_count; i++)
        if (weir_ring_count(registrar->options.workers[i].deferrals) > 0)
            return false;
    return true;
}

void
weir_registrar_free(struct weir_registrar *registrar)
{
    if (registrar == NULL)
        return;
    for (uint32_t i = 0; i < registrar->options.worker_count; i++)
        while (weir_ring_peek(registrar->options.workers[i].deferrals) != NULL)
            deferral_pop(registrar, i);
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        struct weir_ledger_unit *counts = &registrar->options.counts->unit[unit];
        counts->dropped[WEIR_REASON_shutdown] += counts->held;
        counts->held = 0;
    }
    publish(registrar);
    free(registrar);
}
