#include "storage/log/writer/writer.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/mutant.h"

#include <stdlib.h>
#include <string.h>

/* Batches between taken and stored: frames in flight, and empty batches waiting after them. */
#define APPENDED_MAX 256
#define DONE_MAX WEIR_LOG_INFLIGHT_MAX
#define LATENCY_FIRST_US 64.0

_Static_assert((APPENDED_MAX & (APPENDED_MAX - 1)) == 0, "index is a mask");

struct appended {
    bool in_log; /* false: an empty batch, stored as soon as it is the oldest */
    uint32_t producer;
    uint64_t batch;
    uint64_t units[WEIR_UNIT_COUNT];
};

struct weir_writer {
    struct weir_writer_options options;
    enum weir_ingest_state state; /* OPEN, DISK_FULL or IO_ERROR */
    double tsc_per_us;
    uint32_t turn; /* producer that is asked first */
    uint64_t appended_head, appended_tail;
    struct appended appended[APPENDED_MAX];
};

static void
publish_ledger(struct weir_writer *writer)
{
    weir_ledger_publish(&writer->options.shared->ledger.blocks[WEIR_BLOCK_WRITER],
        writer->options.counts);
}

/* Tells producers and readers, unless the process is stopping: that stays. */
static void
publish_state(struct weir_writer *writer, enum weir_ingest_state state)
{
    _Atomic uint32_t *const places[] = {
        &writer->options.shared->state, &writer->options.progress->state};
    for (size_t i = 0; i < 2; i++) {
        uint32_t seen = atomic_load_explicit(places[i], memory_order_relaxed);
        /* relaxed: it carries no data. Code that refuses by it (weir_progress_refusal) or reports
         * it (/healthz) loads it relaxed. */
        if (seen != WEIR_INGEST_STOPPING)
            atomic_compare_exchange_strong_explicit(places[i], &seen, state,
                memory_order_relaxed, memory_order_relaxed);
    }
    writer->state = state;
}

static void
enter_disk_full(struct weir_writer *writer)
{
    if (writer->state != WEIR_INGEST_OPEN)
        return;
    weir_event(WEIR_LEVEL_ERROR, "disk_full", "log_bytes=%llu reason=\"%s\"",
        (unsigned long long)weir_log_bytes(writer->options.log), weir_err_detail());
    publish_state(writer, WEIR_INGEST_DISK_FULL);
}

static void
leave_disk_full(struct weir_writer *writer)
{
    if (writer->state != WEIR_INGEST_DISK_FULL)
        return;
    weir_event(WEIR_LEVEL_INFO, "disk_full_over", "log_bytes=%llu",
        (unsigned long long)weir_log_bytes(writer->options.log));
    publish_state(writer, WEIR_INGEST_OPEN);
}

size_t
weir_writer_footprint(void)
{
    return sizeof(struct weir_writer);
}

enum weir_err
weir_writer_new(const struct weir_writer_options *options, struct weir_writer **out)
{
    WEIR_ASSERT(options->producer_count >= 1 && options->producer_count <= WEIR_PRODUCERS_MAX);
    struct weir_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return weir_fail(WEIR_NOMEM, 0, "log writer");
    writer->options = *options;
    writer->state = WEIR_INGEST_OPEN;
    writer->tsc_per_us = weir_tsc_hz() / 1e6;
    /* relaxed: workers start later, and their start orders it */
    atomic_store_explicit(&options->progress->durable_offset, weir_log_durable(options->log),
        memory_order_relaxed);
    publish_ledger(writer); /* what recovery counted shows before anything is written */
    if (weir_log_waits_for_room(options->log)) {
        (void)weir_fail(WEIR_FULL, 0, "no room for the log's epoch file");
        enter_disk_full(writer);
    }
    *out = writer;
    return WEIR_OK;
}

static void
batch_units(const struct weir_batch *batch, uint64_t units[WEIR_UNIT_COUNT])
{
    units[WEIR_UNIT_PACKETS] = batch->packets;
    units[WEIR_UNIT_RECORDS] = batch->records;
    units[WEIR_UNIT_SAMPLES] = batch->count;
}

/* Takes the batch at the head of a producer's queue out of it and gives it back empty. The block
 * that says so is published first: its number may be used again after that. */
static void
release_batch(struct weir_writer *writer, const struct weir_writer_producer *producer)
{
    struct weir_batch *batch = weir_ring_pop(producer->batches);
    writer->options.counts->popped[producer->edge] = batch->number;
    publish_ledger(writer);
    bool pushed = weir_ring_push(producer->empties, batch);
    WEIR_ASSERT(pushed); /* empties holds all batches of its producer */
}

/* Adds the packets, records and samples of a batch to those that this writer has in flight. */
static void
hold(struct weir_writer *writer, const struct weir_batch *batch, uint32_t producer, bool in_log)
{
    struct appended *appended = &writer->appended[writer->appended_tail++ % APPENDED_MAX];
    appended->in_log = in_log;
    appended->producer = producer;
    appended->batch = batch->number;
    batch_units(batch, appended->units);
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        writer->options.counts->unit[unit].held += appended->units[unit];
}

/* Asks the registrar for definitions below a number. */
static void
want_definitions(struct weir_writer *writer, uint64_t through)
{
    _Atomic uint64_t *wanted = &writer->options.progress->definitions_wanted;
    if (through > atomic_load_explicit(wanted, memory_order_relaxed))
        /* relaxed: it carries no data, and the registrar loads it relaxed (flush_due) */
        atomic_store_explicit(wanted, through, memory_order_relaxed);
}

/* May the batch be written: is every series in it defined by now, or by itself? */
static bool
covered(struct weir_writer *writer, const struct weir_batch *batch)
{
    uint64_t through = weir_log_definitions(writer->options.log);
    if (batch->definition_count != 0)
        through = batch->definition_first + batch->definition_count;
    if (batch->series_through <= through)
        return true;
    want_definitions(writer, batch->series_through);
    return false;
}

/* Appends the oldest batch of one producer. WEIR_OK: appended; WEIR_END: nothing to append now;
 * WEIR_AGAIN, WEIR_FULL, WEIR_IO from the log. */
static enum weir_err
append_batch(struct weir_writer *writer, uint32_t index)
{
    const struct weir_writer_producer *producer = &writer->options.producers[index];
    const struct weir_batch *batch = weir_ring_peek(producer->batches);
    if (batch == NULL || !covered(writer, batch))
        return WEIR_END;
    if (writer->appended_tail - writer->appended_head == APPENDED_MAX)
        return WEIR_AGAIN;
    bool in_log = batch->count != 0 || batch->definition_count != 0 ||
        batch->state_bytes != 0;
    if (in_log) {
        enum weir_err err = weir_log_append(writer->options.log, batch);
        if (err != WEIR_OK)
            return err;
        leave_disk_full(writer);
    }
    hold(writer, batch, index, in_log);
    release_batch(writer, producer);
    return WEIR_OK;
}

/* Appends what can be appended, the producers in turn, the registrar before each of them: what
 * waits for a definition then waits no longer than it must. */
static size_t
append_batches(struct weir_writer *writer, enum weir_err *err)
{
    uint32_t count = writer->options.producer_count;
    size_t appended = 0;
    bool progress;
    do {
        progress = false;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t index = (writer->turn + i) % count;
            *err = append_batch(writer, WEIR_PRODUCER_REGISTRAR);
            if (*err == WEIR_OK) {
                appended++;
                progress = true;
            } else if (*err != WEIR_END) {
                return appended;
            }
            if (index == WEIR_PRODUCER_REGISTRAR)
                continue;
            *err = append_batch(writer, index);
            if (*err == WEIR_OK) {
                appended++;
                progress = true;
            } else if (*err != WEIR_END) {
                writer->turn = index; /* whom the log refused is first next time */
                return appended;
            }
        }
    } while (progress);
    *err = WEIR_OK;
    return appended;
}

static void
count_latency(struct weir_writer *writer, const struct weir_log_done *done)
{
    if (done->samples == 0 || done->opened_tsc == 0)
        return;
    uint64_t now = weir_tsc();
    double us = now > done->opened_tsc
        ? (double)(now - done->opened_tsc) / writer->tsc_per_us
        : 0;
    int bucket = 0;
    for (double bound = LATENCY_FIRST_US; us >= bound && bucket < WEIR_LATENCY_BUCKETS - 1;
         bound *= 2)
        bucket++;
    struct weir_shared *shared = writer->options.shared;
    /* relaxed, single writer: readers only want each word whole */
    atomic_fetch_add_explicit(&shared->latency_buckets[bucket], done->samples,
        memory_order_relaxed);
    atomic_fetch_add_explicit(&shared->latency_sum_us, (uint64_t)(us * done->samples),
        memory_order_relaxed);
}

/* The oldest taken batch is durable: its units are stored. */
static void
store_oldest(struct weir_writer *writer, uint64_t durable_batch[WEIR_PRODUCERS_MAX])
{
    const struct appended *appended = &writer->appended[writer->appended_head++ % APPENDED_MAX];
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        writer->options.counts->unit[unit].held -= appended->units[unit];
        writer->options.counts->unit[unit].stored += appended->units[unit];
    }
    durable_batch[appended->producer] = appended->batch;
}

static size_t
store_empty(struct weir_writer *writer, uint64_t durable_batch[WEIR_PRODUCERS_MAX])
{
    size_t stored = 0;
    while (writer->appended_head != writer->appended_tail &&
        !writer->appended[writer->appended_head % APPENDED_MAX].in_log) {
        store_oldest(writer, durable_batch);
        stored++;
    }
    return stored;
}

/* Figures for everyone that follow from where the log is. */
static void
publish_log(struct weir_writer *writer, int64_t time_max_ms)
{
    struct weir_shared *shared = writer->options.shared;
    struct weir_log *log = writer->options.log;
    uint64_t durable = weir_log_durable(log);
    if (time_max_ms > atomic_load_explicit(&shared->durable_time_ms, memory_order_relaxed))
        atomic_store_explicit(&shared->durable_time_ms, time_max_ms, memory_order_relaxed);
    atomic_store_explicit(&shared->appended_offset, weir_log_end(log), memory_order_relaxed);
    atomic_store_explicit(&shared->log_bytes, weir_log_bytes(log), memory_order_relaxed);
    /* release pairs with the acquire in durable_of (storage/read/catalog.c): the descriptors below
     * it are published */
    atomic_store_explicit(&shared->durable_offset, durable, memory_order_release);
    /* relaxed: the release of the batch cursors in publish_stored follows. A thread that sees a
     * batch durable sees an offset that covers it. */
    atomic_store_explicit(&writer->options.progress->durable_offset, durable,
        memory_order_relaxed);
}

/* Ledger and offsets first, the cursors that let acks go last. */
static void
publish_stored(struct weir_writer *writer, const uint64_t durable_batch[WEIR_PRODUCERS_MAX],
    int64_t time_max_ms)
{
    publish_ledger(writer);
    publish_log(writer, time_max_ms);
    for (uint32_t i = 0; i < writer->options.producer_count; i++)
        if (durable_batch[i] != 0)
            /* release pairs with the acquire in weir_progress_durable */
            atomic_store_explicit(&writer->options.progress->durable_batch[i], durable_batch[i],
                memory_order_release);
}

/* Drops what is in flight and what is queued, by name. Returns the batches dropped. */
static size_t
drop_all(struct weir_writer *writer, enum weir_reason reason)
{
    struct weir_counts *counts = writer->options.counts;
    size_t dropped = 0;
    for (; writer->appended_head != writer->appended_tail; writer->appended_head++, dropped++) {
        const struct appended *appended = &writer->appended[writer->appended_head % APPENDED_MAX];
        for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
            counts->unit[unit].held -= appended->units[unit];
            counts->unit[unit].dropped[reason] += appended->units[unit];
        }
    }
    for (uint32_t i = 0; i < writer->options.producer_count; i++) {
        const struct weir_writer_producer *producer = &writer->options.producers[i];
        const struct weir_batch *batch;
        while ((batch = weir_ring_peek(producer->batches)) != NULL) {
            uint64_t units[WEIR_UNIT_COUNT];
            batch_units(batch, units);
            for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
                counts->unit[unit].dropped[reason] += units[unit];
            release_batch(writer, producer);
            dropped++;
        }
    }
    if (dropped != 0)
        publish_ledger(writer);
    return dropped;
}

static size_t
enter_io_error(struct weir_writer *writer)
{
    if (writer->state != WEIR_INGEST_IO_ERROR) {
        weir_event(WEIR_LEVEL_ERROR, "io_error", "durable_offset=%llu reason=\"%s\"",
            (unsigned long long)weir_log_durable(writer->options.log), weir_err_detail());
        publish_state(writer, WEIR_INGEST_IO_ERROR);
    }
    return drop_all(writer, WEIR_REASON_io_error);
}

/* Polls the log and stores what has become durable. */
static size_t
poll_log(struct weir_writer *writer, enum weir_err *err)
{
    struct weir_log_done done[DONE_MAX];
    uint64_t durable_batch[WEIR_PRODUCERS_MAX] = {0};
    int64_t time_max_ms = INT64_MIN;
    size_t count;
    *err = weir_log_poll(writer->options.log, 0, done, DONE_MAX, &count);
    size_t stored = store_empty(writer, durable_batch);
    for (size_t i = 0; i < count; i++) {
        const struct appended *oldest = &writer->appended[writer->appended_head % APPENDED_MAX];
        WEIR_ASSERT(oldest->in_log && oldest->batch == done[i].batch &&
            oldest->producer == done[i].producer);
        store_oldest(writer, durable_batch);
        stored += 1 + store_empty(writer, durable_batch);
        if (done[i].samples != 0 && done[i].time_max_ms > time_max_ms)
            time_max_ms = done[i].time_max_ms;
        count_latency(writer, &done[i]);
        writer->options.counts->samples[WEIR_STAGE_write] += done[i].samples;
    }
    if (stored != 0)
        publish_stored(writer, durable_batch, time_max_ms);
    return stored;
}

/* Cycles the log's encoder has counted under its own stages. */
static uint64_t
encoder_cycles(const struct weir_writer *writer)
{
    const uint64_t *cycles = writer->options.counts->cycles;
    return cycles[WEIR_STAGE_sort] + cycles[WEIR_STAGE_encode];
}

/* Informs readers, before the next append or poll may recycle the first file of it. */
static void
follow_trim(struct weir_writer *writer)
{
    if (!weir_log_follow_trim(writer->options.log) || weir_mutant(readers_not_told_of_a_trim))
        return;
    /* release pairs with the acquire in first_of (storage/read/catalog.c): a reader of a recycled
     * file sees that it is trimmed */
    atomic_store_explicit(&writer->options.shared->log_first_offset,
        weir_log_first(writer->options.log), memory_order_release);
    publish_ledger(writer);
}

size_t
weir_writer_run_once(struct weir_writer *writer)
{
    if (writer->state == WEIR_INGEST_IO_ERROR)
        return drop_all(writer, WEIR_REASON_io_error);
    follow_trim(writer);
    uint64_t began = weir_tsc();
    uint64_t encoder_before = encoder_cycles(writer);
    enum weir_err err;
    size_t appended = append_batches(writer, &err);
    if (err == WEIR_FULL)
        enter_disk_full(writer);
    /* a frame that fits no segment (WEIR_LIMIT) would block the log for ever */
    bool closed = err == WEIR_IO || err == WEIR_LIMIT;
    size_t work = appended;
    if (!closed) {
        bool waited = weir_log_waits_for_room(writer->options.log);
        work += poll_log(writer, &err);
        closed = err == WEIR_IO;
        if (waited && !closed && !weir_log_waits_for_room(writer->options.log))
            leave_disk_full(writer);
    }
    /* an idle round's polling is nobody's cost */
    if (work != 0)
        writer->options.counts->cycles[WEIR_STAGE_write] +=
            weir_tsc() - began - (encoder_cycles(writer) - encoder_before);
    if (closed)
        work += enter_io_error(writer);
    return work;
}

enum weir_ingest_state
weir_writer_state(const struct weir_writer *writer)
{
    return writer->state;
}

bool
weir_writer_idle(const struct weir_writer *writer)
{
    /* in a log closed by an error frames stay in flight for ever; their units were dropped */
    if (writer->state != WEIR_INGEST_IO_ERROR &&
        (writer->appended_head != writer->appended_tail ||
            weir_log_inflight(writer->options.log) != 0))
        return false;
    for (uint32_t i = 0; i < writer->options.producer_count; i++)
        if (weir_ring_count(writer->options.producers[i].batches) != 0)
            return false;
    return true;
}

void
weir_writer_free(struct weir_writer *writer)
{
    if (writer == NULL)
        return;
    (void)drop_all(writer, WEIR_REASON_shutdown);
    publish_ledger(writer);
    free(writer);
}
