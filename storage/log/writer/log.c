#include "storage/log/writer/log.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/mutant.h"
#include "storage/log/epoch.h"
#include "storage/log/format.h"
#include "storage/log/writer/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define REAP_BATCH 32
#define CLOSE_WAIT_NS INT64_C(2000000000)

/* `user` of operations that are not the write of a flight; flights have their number. */
#define USER_SYNC (UINT64_MAX - 1)
#define USER_SEGMENT UINT64_MAX

/* A frame or seal between append and durable.
 *
 *   WRITING --write done--> WRITTEN --sync submitted--> SYNCING --sync done--> DURABLE
 *
 *      \--write failed--> FAILED: it stays, and the log is closed
 *
 * Flights leave in order, from the oldest. */
enum flight_state {
    FLIGHT_WRITING,
    FLIGHT_WRITTEN,
    FLIGHT_SYNCING,
    FLIGHT_DURABLE,
    FLIGHT_FAILED,
};

struct flight {
    enum flight_state state;
    bool is_seal;
    uint64_t segment; /* index of its file */
    struct weir_frame_descriptor descriptor;
    struct weir_log_done done;
};

struct open_segment {
    uint64_t index;
    weir_io_file file; /* -1: none */
};

struct weir_log {
    struct weir_log_options options;
    char directory[PATH_MAX];
    bool failed;
    uint64_t dataplane_epoch;
    bool epoch_due; /* the epoch file of this opening found no room yet: nothing may be appended */
    int64_t epoch_retry_ns;
    uint64_t segment_bytes;
    uint64_t end;     /* of what was appended */
    uint64_t durable; /* of what is durable */
    uint32_t previous_crc;
    uint64_t definitions_through;
    struct open_segment current;
    struct open_segment sealed; /* the one before, while flights of it are under way */
    struct weir_segment_next next;
    struct weir_trim trim;
    /* damage that recovery found; the checkpointer meets the same again */
    uint64_t frames_corrupt;
    uint64_t definitions_lost;        /* in segments */
    uint64_t definitions_lost_before; /* in those that had been trimmed */
    uint64_t samples_before; /* trimmed when the log was opened */
    uint64_t samples_trimmed; /* in all */
    /* flights [flight_head, flight_tail), by number */
    uint64_t flight_head, flight_tail;
    bool syncing;
    int64_t sync_began_ns;
    struct flight flights[WEIR_LOG_INFLIGHT_MAX];
    uint8_t (*seals)[WEIR_FRAME_ALIGN]; /* one a flight */
    struct weir_frame_encoder *encoder;
};

_Static_assert(WEIR_LOG_INFLIGHT_MAX + 2 <= WEIR_IO_INFLIGHT_MAX, "flights, a sync, a segment");
_Static_assert((int)WEIR_STAGE_encode == (int)WEIR_STAGE_sort + 1, "cycles go to both at once");

static int64_t
now_ns(const struct weir_log *log)
{
    return weir_clock_mono_ns(log->options.clock);
}

static struct flight *
flight_at(struct weir_log *log, uint64_t number)
{
    return &log->flights[number % WEIR_LOG_INFLIGHT_MAX];
}

/* Everything that fails for good ends here. */
static enum weir_err
close_on_error(struct weir_log *log, int errnum, const char *what)
{
    if (!log->failed)
        weir_event(WEIR_LEVEL_ERROR, "log_closed", "durable_offset=%" PRIu64 " what=%s errno=%d",
            log->durable, what, errnum);
    log->failed = true;
    return weir_fail(WEIR_IO, errnum, "the log is closed: %s", what);
}

static enum weir_err
allocate_memory(struct weir_log *log)
{
    void *encoder = aligned_alloc(WEIR_CACHE_LINE,
        (weir_frame_encoder_footprint() + WEIR_CACHE_LINE - 1) & ~(size_t)(WEIR_CACHE_LINE - 1));
    log->seals = aligned_alloc(WEIR_FRAME_ALIGN, sizeof *log->seals * WEIR_LOG_INFLIGHT_MAX);
    if (encoder == NULL || log->seals == NULL) {
        free(encoder);
        return weir_fail(WEIR_NOMEM, 0, "encoder and seals of the log");
    }
    log->encoder = weir_frame_encoder_init(encoder);
    log->next = (struct weir_segment_next){.io = log->options.io,
        .clock = log->options.clock,
        .directory = log->directory,
        .segment_bytes = log->segment_bytes,
        .size_max = log->options.size_max,
        .file = -1};
    return weir_segment_init(&log->next);
}

/* The epoch file first: from here on a frame of an earlier epoch is stale at or after end. */
static enum weir_err
begin_epoch(struct weir_log *log)
{
    return weir_epoch_write(log->options.io, log->directory,
        (struct weir_epoch){.stream = WEIR_LOG_STREAM,
            .segment_bytes = log->segment_bytes,
            .dataplane_epoch = log->dataplane_epoch,
            .durable_offset = log->durable});
}

/* Without room, descriptors or memory: later, and nothing is appended until then. */
static enum weir_err
try_epoch(struct weir_log *log)
{
    enum weir_err err = weir_mutant(log_opens_without_epoch) ? WEIR_OK : begin_epoch(log);
    log->epoch_due = weir_io_is_short(err);
    log->epoch_retry_ns = now_ns(log) + WEIR_SEGMENT_RETRY_NS;
    return log->epoch_due ? WEIR_OK : err;
}

/* Goes on in the segment where the log ends; at a boundary the next one is made. */
static enum weir_err
open_current(struct weir_log *log)
{
    if (log->end % log->segment_bytes == 0)
        return WEIR_OK;
    char path[PATH_MAX];
    log->current.index = log->end / log->segment_bytes;
    weir_log_segment_path(log->directory, log->current.index, path, sizeof path);
    return weir_io_open(log->options.io, path, WEIR_IO_WRITE | WEIR_IO_DIRECT,
        &log->current.file);
}

/* Reports to the checkpointer what it may trim: all but the last whole durable segment. That one
 * stays: a log that loses its undurable end must not end where it begins, and no segment that is
 * being written may be trimmed. */
static void
publish_whole(struct weir_log *log)
{
    uint64_t whole = log->durable / log->segment_bytes;
    whole -= whole != 0;
    /* release pairs with the checkpointer's acquire: what is below is in the files */
    if (whole != atomic_load_explicit(&log->trim.whole_index, memory_order_relaxed))
        atomic_store_explicit(&log->trim.whole_index, whole, memory_order_release);
}

/* Requests trimming when less than 1/32 of the log is free, which leaves a checkpoint time to
 * finish: of 1/16, because each checkpoint writes all state entries anew. */
static void
request_trim(struct weir_log *log)
{
    const struct weir_segment_next *next = &log->next;
    uint64_t capacity = weir_segment_capacity(next);
    uint64_t trimmed = next->first - next->oldest;
    uint64_t left = trimmed + (capacity > next->files ? capacity - next->files : 0);
    uint64_t wanted = next->first;
    if (left <= capacity / 32)
        wanted += capacity / 16 > 1 ? capacity / 16 : 1;
    atomic_store_explicit(&log->trim.wanted_index, wanted, memory_order_relaxed);
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Damage that was there at the start counts once, though trimming its segment meets it again. */
static void
count_damage(struct weir_log *log)
{
    uint64_t *counter = log->options.counts->counter;
    /* relaxed: the checkpointer stored first_index with release after them */
    counter[WEIR_COUNTER_log_frames_corrupt] = larger(log->frames_corrupt,
        atomic_load_explicit(&log->trim.frames_corrupt, memory_order_relaxed));
    counter[WEIR_COUNTER_definitions_lost] = log->definitions_lost_before +
        larger(log->definitions_lost,
            atomic_load_explicit(&log->trim.definitions_lost, memory_order_relaxed));
}

static enum weir_err
apply_recovered(struct weir_log *log, struct weir_recovered *recovered)
{
    if (recovered->segment_bytes != log->options.segment_bytes)
        weir_event(WEIR_LEVEL_WARN, "segment_bytes_kept", "log=%" PRIu64 " configured=%" PRIu64,
            recovered->segment_bytes, log->options.segment_bytes);
    log->segment_bytes = recovered->segment_bytes;
    log->end = log->durable = recovered->reported.end_offset;
    log->previous_crc = recovered->previous_crc;
    log->definitions_through = recovered->definitions_through;
    log->dataplane_epoch = ++recovered->reported.dataplane_epoch;
    struct weir_counts *counts = log->options.counts;
    counts->counter[WEIR_COUNTER_log_bytes_torn] = recovered->reported.bytes_torn;
    log->frames_corrupt = recovered->reported.frames_corrupt;
    log->definitions_lost_before = recovered->definitions_lost;
    log->definitions_lost = recovered->reported.definitions_lost - recovered->definitions_lost;
    count_damage(log);
    enum weir_err err = allocate_memory(log);
    log->next.files = recovered->files;
    log->next.first = recovered->first_index;
    log->next.oldest = recovered->oldest_index;
    log->samples_before = log->samples_trimmed = recovered->samples_trimmed;
    atomic_store_explicit(&log->trim.samples, recovered->samples_trimmed,
        memory_order_relaxed);
    atomic_store_explicit(&log->trim.first_index, recovered->first_index,
        memory_order_relaxed);
    log->trim.segments_max = weir_segment_capacity(&log->next);
    log->trim.segment_bytes = log->segment_bytes;
    publish_whole(log);
    if (err == WEIR_OK)
        err = try_epoch(log);
    return err == WEIR_OK ? open_current(log) : err;
}

static enum weir_err
recover(const struct weir_log *log, struct weir_recovered *out)
{
    const struct weir_log_options *options = &log->options;
    struct weir_recovery_options recovery = {.directory = options->directory,
        .segment_bytes = options->segment_bytes,
        .io = options->io,
        .define = options->define,
        .define_context = options->define_context,
        .sender_state = options->sender_state,
        .sender_state_context = options->sender_state_context};
    return weir_recovery_run(&recovery, out);
}

enum weir_err
weir_log_open(const struct weir_log_options *options, struct weir_log **out,
    struct weir_log_recovery *recovery)
{
    if (options->segment_bytes == 0 || options->segment_bytes % WEIR_FRAME_ALIGN != 0)
        return weir_fail(WEIR_INVALID, 0, "log.segment_bytes is no multiple of %d",
            WEIR_FRAME_ALIGN);
    if (strlen(options->directory) + 1 + WEIR_SEGMENT_NAME_SIZE > PATH_MAX)
        return weir_fail(WEIR_INVALID, 0, "path too long: %s", options->directory);
    struct weir_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return weir_fail(WEIR_NOMEM, 0, "log");
    log->options = *options;
    strcpy(log->directory, options->directory);
    log->options.directory = log->directory;
    log->current.file = log->sealed.file = log->next.file = -1;
    struct weir_recovered recovered;
    enum weir_err err = weir_io_mkdir(options->io, log->directory);
    if (err == WEIR_OK)
        err = recover(log, &recovered);
    if (err == WEIR_OK)
        err = apply_recovered(log, &recovered);
    if (err != WEIR_OK) {
        log->failed = true; /* close then writes nothing */
        weir_log_close(log);
        return err;
    }
    *recovery = recovered.reported;
    *out = log;
    return WEIR_OK;
}

/* Begins a flight of `bytes` at the end of the log and submits its write. */
static struct flight *
launch(struct weir_log *log, const uint8_t *data, size_t bytes, size_t bytes_written)
{
    WEIR_ASSERT(log->flight_tail - log->flight_head < WEIR_LOG_INFLIGHT_MAX);
    const struct weir_frame_header *header = (const struct weir_frame_header *)data;
    uint64_t number = log->flight_tail++;
    struct flight *flight = flight_at(log, number);
    *flight = (struct flight){.state = FLIGHT_WRITING, .segment = log->current.index};
    flight->done.offset = log->end;
    flight->done.end = log->end + bytes;
    enum weir_err err = weir_io_write(log->options.io, log->current.file, data, bytes_written,
        log->end % log->segment_bytes, number);
    WEIR_ASSERT(err == WEIR_OK); /* the static assertion above leaves room */
    log->previous_crc = header->header_crc;
    log->end += bytes;
    log->options.counts->counter[WEIR_COUNTER_bytes_written] += bytes_written;
    return flight;
}

static struct weir_frame_place
place_now(const struct weir_log *log)
{
    return (struct weir_frame_place){.stream = WEIR_LOG_STREAM,
        .offset = log->end,
        .segment_epoch = 1 + log->next.first,
        .dataplane_epoch = log->dataplane_epoch,
        .durable_watermark = log->durable,
        .definitions_through = log->definitions_through,
        .previous_crc = log->previous_crc};
}

/* Bytes left in the current segment; 0 at a boundary. */
static uint64_t
segment_left(const struct weir_log *log)
{
    uint64_t used = log->end % log->segment_bytes;
    return log->current.file < 0 || used == 0 ? 0 : log->segment_bytes - used;
}

static uint64_t
next_index(const struct weir_log *log)
{
    return (log->end + log->segment_bytes - 1) / log->segment_bytes;
}

static void
want_segment(struct weir_log *log)
{
    /* relaxed: a hint; a late reader sees it at the next try */
    log->next.waits = atomic_load_explicit(&log->trim.state, memory_order_relaxed) ==
        WEIR_TRIM_ON;
    weir_segment_want(&log->next, next_index(log));
    log->options.counts->counter[WEIR_COUNTER_log_segments_recycled] = log->next.recycled;
}

/* Ends the current segment with a seal where it has room left, and goes on in the next. */
static enum weir_err
advance_segment(struct weir_log *log)
{
    if (log->sealed.file >= 0)
        return WEIR_AGAIN; /* frames of the segment before the last are still under way */
    want_segment(log);
    if (log->next.state == WEIR_SEGMENT_FULL)
        return weir_fail(WEIR_FULL, 0, "no room for log segment %016" PRIx64 ": %s",
            log->next.index, log->next.reason);
    if (log->next.state == WEIR_SEGMENT_FAILED)
        return close_on_error(log, EIO, "segment_prepare");
    if (log->next.state != WEIR_SEGMENT_READY)
        return WEIR_AGAIN;
    uint64_t left = segment_left(log);
    if (left != 0) {
        uint8_t *seal = log->seals[log->flight_tail % WEIR_LOG_INFLIGHT_MAX];
        struct weir_frame_place place = place_now(log);
        weir_frame_seal(&place, left, seal);
        launch(log, seal, left, WEIR_FRAME_ALIGN)->is_seal = true;
    }
    log->sealed = log->current;
    log->current.index = log->next.index;
    log->current.file = weir_segment_claim(&log->next);
    if (log->sealed.file >= 0 && log->durable == log->end) {
        weir_io_close(log->options.io, log->sealed.file);
        log->sealed.file = -1;
    }
    return WEIR_OK;
}

/* Is there a place for a frame of at most `bound` bytes? */
static enum weir_err
make_room(struct weir_log *log, size_t bound)
{
    if (log->failed)
        return weir_fail(WEIR_IO, 0, "the log is closed after a device error");
    if (log->epoch_due)
        return weir_fail(WEIR_FULL, 0, "no room for %s/epoch", log->directory);
    if (bound > log->segment_bytes)
        return weir_fail(WEIR_LIMIT, 0, "a frame of %zu bytes is larger than a segment (%" PRIu64
            ")", bound, log->segment_bytes);
    /* two: the frame and a seal before it */
    if (log->flight_tail - log->flight_head + 2 > WEIR_LOG_INFLIGHT_MAX)
        return WEIR_AGAIN;
    bool fresh = log->current.file >= 0 && log->end == log->current.index * log->segment_bytes;
    if (fresh || bound <= segment_left(log))
        return WEIR_OK;
    return advance_segment(log);
}

enum weir_err
weir_log_append(struct weir_log *log, const struct weir_batch *batch)
{
    size_t bound = weir_frame_bound(batch);
    enum weir_err err = make_room(log, bound);
    if (err != WEIR_OK)
        return err;
    uint64_t ring_place;
    uint8_t *out = weir_frame_ring_reserve(log->options.ring, bound, &ring_place);
    if (out == NULL)
        return WEIR_AGAIN;
    if (batch->definition_count != 0) {
        WEIR_ASSERT(batch->definition_first == log->definitions_through);
        log->definitions_through += batch->definition_count;
    }
    struct weir_counts *counts = log->options.counts;
    struct weir_frame_place place = place_now(log);
    size_t bytes;
    weir_frame_encode(log->encoder, batch, &place, out, &bytes,
        &counts->cycles[WEIR_STAGE_sort]);
    WEIR_ASSERT(bytes <= bound && bytes % WEIR_FRAME_ALIGN == 0);
    weir_frame_ring_commit(log->options.ring, ring_place, bytes);
    struct flight *flight = launch(log, out, bytes, bytes);
    flight->descriptor = (struct weir_frame_descriptor){.offset = place.offset,
        .place = ring_place,
        .definitions_through = log->definitions_through,
        .time_min_ms = batch->time_min_ms,
        .time_max_ms = batch->time_max_ms,
        .bytes = (uint32_t)bytes,
        .samples = batch->count,
        .definitions = batch->definition_count};
    flight->done.producer = batch->producer;
    flight->done.batch = batch->number;
    flight->done.packets = batch->packets;
    flight->done.records = batch->records;
    flight->done.samples = batch->count;
    flight->done.opened_tsc = batch->opened_tsc;
    flight->done.time_max_ms = batch->time_max_ms;
    counts->counter[WEIR_COUNTER_frames_written]++;
    counts->samples[WEIR_STAGE_sort] += batch->count;
    counts->samples[WEIR_STAGE_encode] += batch->count;
    return WEIR_OK;
}

static void
sync_completed(struct weir_log *log, int result)
{
    struct weir_counts *counts = log->options.counts;
    log->syncing = false;
    if (weir_mutant(log_takes_a_failed_sync_for_good))
        result = 0;
    counts->counter[WEIR_COUNTER_sync_ns] += (uint64_t)(now_ns(log) - log->sync_began_ns);
    if (result != 0) {
        (void)close_on_error(log, -result, "fdatasync");
        return;
    }
    counts->counter[WEIR_COUNTER_syncs]++;
    for (uint64_t number = log->flight_head; number != log->flight_tail; number++)
        if (flight_at(log, number)->state == FLIGHT_SYNCING)
            flight_at(log, number)->state = FLIGHT_DURABLE;
}

static void
write_completed(struct weir_log *log, uint64_t number, int result)
{
    WEIR_ASSERT(number >= log->flight_head && number < log->flight_tail);
    if (weir_mutant(log_takes_a_failed_write_for_good))
        result = 0;
    flight_at(log, number)->state = result == 0 ? FLIGHT_WRITTEN : FLIGHT_FAILED;
    if (result != 0)
        (void)close_on_error(log, -result, "write");
}

/* Takes completions; the first may be waited for. */
static void
reap(struct weir_log *log, int64_t wait_ns)
{
    struct weir_io_completion completions[REAP_BATCH];
    size_t count;
    do {
        count = weir_io_reap(log->options.io, completions, REAP_BATCH, wait_ns);
        for (size_t i = 0; i < count; i++) {
            if (completions[i].user == USER_SEGMENT)
                weir_segment_completed(&log->next, completions[i].result);
            else if (completions[i].user == USER_SYNC)
                sync_completed(log, completions[i].result);
            else
                write_completed(log, completions[i].user, completions[i].result);
        }
        wait_ns = 0;
    } while (count == REAP_BATCH);
    if (log->next.state == WEIR_SEGMENT_FAILED)
        (void)close_on_error(log, EIO, "segment_prepare");
}

/* One fdatasync for all writes of a file that are done; the file of the oldest goes first. */
static void
submit_sync(struct weir_log *log)
{
    uint64_t oldest = log->flight_head;
    while (oldest != log->flight_tail && flight_at(log, oldest)->state == FLIGHT_DURABLE)
        oldest++;
    if (log->syncing || oldest == log->flight_tail ||
        flight_at(log, oldest)->state != FLIGHT_WRITTEN)
        return;
    uint64_t segment = flight_at(log, oldest)->segment;
    bool in_current = segment == log->current.index;
    WEIR_ASSERT(in_current || (log->sealed.file >= 0 && segment == log->sealed.index));
    enum weir_err err = weir_io_sync(log->options.io,
        in_current ? log->current.file : log->sealed.file, USER_SYNC);
    if (err != WEIR_OK)
        return; /* the queue is full; the next poll tries again */
    log->syncing = true;
    log->sync_began_ns = now_ns(log);
    for (uint64_t number = oldest; number != log->flight_tail; number++) {
        struct flight *flight = flight_at(log, number);
        bool written = flight->state == FLIGHT_WRITTEN || weir_mutant(log_syncs_what_is_in_flight);
        if (flight->segment == segment && written)
            flight->state = FLIGHT_SYNCING;
    }
}

/* Makes the next segment, a step a call, once the current one is half full. */
static void
prepare_segment(struct weir_log *log)
{
    if (log->failed)
        return;
    if (log->epoch_due && now_ns(log) >= log->epoch_retry_ns &&
        try_epoch(log) != WEIR_OK) {
        (void)close_on_error(log, weir_err_errno(), "epoch");
        return;
    }
    publish_whole(log);
    request_trim(log);
    if (segment_left(log) <= log->segment_bytes / 2 &&
        (log->current.file < 0 || log->end != log->current.index * log->segment_bytes))
        want_segment(log);
    weir_segment_step(&log->next, USER_SEGMENT);
}

/* Publishes and hands over the durable prefix. */
static size_t
collect(struct weir_log *log, struct weir_log_done *done, size_t max)
{
    size_t count = 0;
    while (log->flight_head != log->flight_tail) {
        struct flight *flight = flight_at(log, log->flight_head);
        bool durable = flight->state == FLIGHT_DURABLE ||
            (weir_mutant(log_publishes_before_sync) && flight->state == FLIGHT_WRITTEN);
        if (!durable || (count == max && !flight->is_seal))
            break;
        log->durable = flight->done.end;
        if (!flight->is_seal) {
            weir_frame_ring_publish(log->options.ring, &flight->descriptor);
            done[count++] = flight->done;
        }
        if (log->sealed.file >= 0 &&
            log->durable >= (log->sealed.index + 1) * log->segment_bytes) {
            weir_io_close(log->options.io, log->sealed.file);
            log->sealed.file = -1;
        }
        log->flight_head++;
    }
    return count;
}

enum weir_err
weir_log_poll(struct weir_log *log, int64_t wait_ns, struct weir_log_done *done, size_t max,
    size_t *count)
{
    bool was_failed = log->failed;
    reap(log, 0);
    /* a sync may still end well after another operation has failed: too late, senders have the
     * error */
    *count = was_failed ? 0 : collect(log, done, max);
    if (!log->failed) {
        submit_sync(log);
        prepare_segment(log);
    }
    if (!log->failed && *count == 0 && wait_ns > 0 && weir_log_inflight(log) != 0) {
        reap(log, wait_ns);
        *count = collect(log, done, max);
        if (!log->failed)
            submit_sync(log);
    }
    if (log->failed)
        return weir_fail(WEIR_IO, 0, "the log is closed after a device error");
    return WEIR_OK;
}

bool
weir_log_waits_for_room(const struct weir_log *log)
{
    return log->epoch_due;
}

size_t
weir_log_inflight(const struct weir_log *log)
{
    return (size_t)(log->flight_tail - log->flight_head);
}

uint64_t
weir_log_end(const struct weir_log *log)
{
    return log->end;
}

uint64_t
weir_log_definitions(const struct weir_log *log)
{
    return log->definitions_through;
}

uint64_t
weir_log_durable(const struct weir_log *log)
{
    return log->durable;
}

uint64_t
weir_log_bytes(const struct weir_log *log)
{
    return log->next.files * log->segment_bytes;
}

uint64_t
weir_log_first(const struct weir_log *log)
{
    return log->next.first * log->segment_bytes;
}

uint64_t
weir_log_samples_recycled(const struct weir_log *log)
{
    return log->samples_trimmed - log->samples_before;
}

bool
weir_log_follow_trim(struct weir_log *log)
{
    /* acquire pairs with the checkpointer's release: its samples are seen with the index */
    uint64_t first = atomic_load_explicit(&log->trim.first_index, memory_order_acquire);
    if (first == log->next.first)
        return false;
    log->next.first = first;
    log->samples_trimmed = atomic_load_explicit(&log->trim.samples, memory_order_relaxed);
    log->options.counts->counter[WEIR_COUNTER_log_samples_recycled] =
        weir_log_samples_recycled(log);
    count_damage(log);
    return true;
}

struct weir_trim *
weir_log_trim(struct weir_log *log)
{
    return &log->trim;
}

/* Operations still under way use memory that is about to go. */
static void
drain(struct weir_log *log)
{
    int64_t until_ns = now_ns(log) + CLOSE_WAIT_NS;
    struct weir_io_completion completion;
    size_t writing = log->next.busy + log->syncing;
    for (uint64_t number = log->flight_head; number != log->flight_tail; number++)
        writing += flight_at(log, number)->state == FLIGHT_WRITING;
    while (writing != 0 && now_ns(log) < until_ns)
        writing -= weir_io_reap(log->options.io, &completion, 1, CLOSE_WAIT_NS);
}

void
weir_log_close(struct weir_log *log)
{
    if (log == NULL)
        return;
    drain(log);
    if (!log->failed && !log->epoch_due && begin_epoch(log) != WEIR_OK)
        weir_event(WEIR_LEVEL_WARN, "epoch_not_written", "reason=\"%s\"", weir_err_detail());
    if (log->current.file >= 0)
        weir_io_close(log->options.io, log->current.file);
    if (log->sealed.file >= 0)
        weir_io_close(log->options.io, log->sealed.file);
    weir_segment_fini(&log->next);
    free(log->encoder);
    free(log->seals);
    free(log);
}
