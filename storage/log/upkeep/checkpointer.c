#include "storage/log/upkeep/checkpointer.h"

#include "base/assert.h"
#include "base/event.h"
#include "base/mutant.h"
#include "model/sender_state/fold.h"
#include "storage/log/chain.h"
#include "storage/log/checkpoint.h"
#include "storage/log/definitions.h"
#include "storage/log/epoch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS INT64_C(1000000000)
#define RETRY_MAX_NS INT64_C(30000000000)

struct weir_checkpointer {
    struct weir_checkpointer_options options;
    bool stopped;      /* by an error that is not tried again */
    uint32_t failures; /* one after the other, by errors that are */
    int64_t retry_ns;  /* not before that then */
};

/* One checkpoint being made. */
struct pass {
    struct weir_io *io;
    const char *directory;
    const _Atomic bool *stop;
    uint64_t until; /* segments below it are trimmed with this checkpoint */
    struct weir_checkpoint checkpoint; /* the last one; then the new one */
    uint8_t *sender_state; /* of the last one; then of the new one */
    size_t state_bytes;
    struct weir_segment_reader reader;
    bool reader_open;
    struct weir_chain chain;
    struct weir_definitions_writer definitions;
    struct weir_replay replay;
    struct weir_state_fold *fold;
    enum weir_err fold_err;
    uint64_t frames_corrupt; /* damaged ranges that begin here */
    uint64_t gap_bytes;      /* of the one that is being walked over */
};

static enum weir_err
add_definition(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    struct pass *pass = context;
    return weir_definitions_add(&pass->definitions, number, labels, size);
}

/* Of a list that does not check out the entries before the damage count, as in a replay. */
static void
add_sender_state(void *context, const uint8_t *sender_state, size_t size)
{
    struct pass *pass = context;
    if (pass->fold_err != WEIR_OK)
        return;
    if (weir_mutant(checkpoint_without_state))
        return;
    weir_state_fold_set_series_count(pass->fold, pass->replay.through);
    enum weir_err err = weir_state_fold_add(pass->fold, sender_state, size);
    pass->fold_err = err == WEIR_CORRUPT ? WEIR_OK : err;
}

/* Begins where the last checkpoint ends: its chain, its state entries, its definitions. */
static enum weir_err
begin(struct pass *pass)
{
    struct weir_epoch epoch;
    enum weir_err err = weir_checkpoint_read(pass->io, pass->directory, WEIR_LOG_STREAM,
        &pass->checkpoint, &pass->sender_state);
    if (err == WEIR_NOT_FOUND) {
        pass->checkpoint.previous_known = 1; /* the first frame ever has no one before it */
        pass->checkpoint.time_max_ms = INT64_MIN;
        err = WEIR_OK;
    }
    if (err == WEIR_OK)
        err = weir_epoch_read(pass->io, pass->directory, WEIR_LOG_STREAM, &epoch);
    if (err != WEIR_OK)
        return err;
    const struct weir_checkpoint *last = &pass->checkpoint;
    pass->checkpoint.segment_bytes = epoch.segment_bytes;
    pass->chain = (struct weir_chain){.segment_bytes = epoch.segment_bytes,
        .fresh_offset = epoch.durable_offset,
        .fresh_epoch = epoch.dataplane_epoch,
        .dataplane_epoch = last->dataplane_epoch,
        .crc = last->previous_crc,
        .crc_known = last->previous_known != 0};
    pass->replay.through = last->definitions_through;
    err = weir_state_fold_new(&pass->fold);
    const uint8_t *list;
    size_t size, at = 0;
    while (err == WEIR_OK &&
        (err = weir_checkpoint_state_next(
             pass->sender_state, last->state_bytes, &at, &list, &size)) == WEIR_OK)
        add_sender_state(pass, list, size);
    return err == WEIR_END ? pass->fold_err : err;
}

static enum weir_err
fold_frame(struct pass *pass, const struct weir_frame_header *header)
{
    struct weir_checkpoint *checkpoint = &pass->checkpoint;
    weir_chain_advance(&pass->chain, header);
    if (header->type != WEIR_FRAME_SAMPLES)
        return WEIR_OK;
    checkpoint->samples_trimmed += header->sample_count;
    if (header->sample_count != 0 && header->time_max_ms > checkpoint->time_max_ms)
        checkpoint->time_max_ms = header->time_max_ms;
    enum weir_err err = weir_replay_frame(&pass->replay, &pass->reader, header);
    return err == WEIR_OK ? pass->fold_err : err;
}

/* Reads the header at an offset, if one may be there. The names in a damaged frame are given up for
 * good, so the place where damage begins is read once more. */
static enum weir_err
header_at(struct pass *pass, uint64_t offset, uint64_t step, struct weir_frame_header *header,
    bool *fits)
{
    for (int reads = 0; reads < 2; reads++) {
        const uint8_t *page;
        enum weir_err err = weir_segment_reader_page(&pass->reader, offset, step, &page);
        if (err != WEIR_OK)
            return err;
        memcpy(header, page, sizeof *header);
        err = weir_chain_check(&pass->chain, header, offset);
        if (err == WEIR_UNSUPPORTED)
            return err;
        *fits = err == WEIR_OK;
        if (*fits || !pass->chain.crc_known)
            break;
        weir_segment_reader_forget(&pass->reader);
    }
    return WEIR_OK;
}

/* All of it is durable. A page without a frame is therefore damage, as in recovery. After damage
 * the chain is not known: a damaged range counts once, even if the last checkpoint ended in it.
 */
static void
fold_gap(struct pass *pass)
{
    pass->frames_corrupt += pass->chain.crc_known;
    pass->gap_bytes += WEIR_FRAME_ALIGN;
    weir_chain_gap(&pass->chain);
}

static void
end_gap(struct pass *pass, uint64_t offset)
{
    if (pass->gap_bytes != 0)
        weir_event(WEIR_LEVEL_ERROR, "log_corrupt", "offset=%" PRIu64 " bytes=%" PRIu64,
            offset - pass->gap_bytes, pass->gap_bytes);
    pass->gap_bytes = 0;
}

static enum weir_err
walk(struct pass *pass)
{
    uint64_t segment_bytes = pass->checkpoint.segment_bytes;
    enum weir_err err = weir_segment_reader_open(&pass->reader, pass->io, pass->directory,
        pass->checkpoint.first_index, &segment_bytes);
    pass->reader_open = err == WEIR_OK;
    uint64_t offset = pass->checkpoint.first_index * segment_bytes;
    uint64_t step = 0;
    while (err == WEIR_OK && offset < pass->until * segment_bytes) {
        /* relaxed: a frame more does not matter */
        if (pass->stop != NULL && atomic_load_explicit(pass->stop, memory_order_relaxed))
            return WEIR_AGAIN;
        struct weir_frame_header header;
        bool fits;
        err = header_at(pass, offset, step, &header, &fits);
        if (err != WEIR_OK)
            break;
        step = WEIR_FRAME_ALIGN;
        if (fits) {
            end_gap(pass, offset);
            step = header.bytes;
            err = fold_frame(pass, &header);
        } else {
            fold_gap(pass);
        }
        offset += step;
    }
    end_gap(pass, offset);
    return err;
}

/* One more list of folded state entries, after its size. */
static enum weir_err
emit_sender_state(void *context, const uint8_t *sender_state, size_t size)
{
    struct pass *pass = context;
    uint64_t bytes = size;
    uint8_t *grown = realloc(pass->sender_state, pass->state_bytes + sizeof bytes + size);
    if (grown == NULL)
        return weir_fail(WEIR_NOMEM, 0, "folded state entries");
    memcpy(grown + pass->state_bytes, &bytes, sizeof bytes);
    memcpy(grown + pass->state_bytes + sizeof bytes, sender_state, size);
    pass->sender_state = grown;
    pass->state_bytes += sizeof bytes + size;
    return WEIR_OK;
}

/* Definitions are durable before the checkpoint that names them. */
static enum weir_err
write_checkpoint(struct pass *pass)
{
    enum weir_err err = weir_definitions_finish(&pass->definitions);
    free(pass->sender_state);
    pass->sender_state = NULL;
    if (err == WEIR_OK)
        err = weir_state_fold_write(pass->fold, emit_sender_state, pass);
    if (err != WEIR_OK)
        return err;
    struct weir_checkpoint *checkpoint = &pass->checkpoint;
    checkpoint->stream = WEIR_LOG_STREAM;
    checkpoint->generation++;
    checkpoint->first_index = pass->until;
    checkpoint->dataplane_epoch = pass->chain.dataplane_epoch;
    checkpoint->previous_known = pass->chain.crc_known;
    checkpoint->previous_crc = pass->chain.crc_known ? pass->chain.crc : 0;
    checkpoint->definitions_through = pass->replay.through;
    checkpoint->definitions_bytes = pass->definitions.bytes;
    checkpoint->state_bytes = pass->state_bytes;
    checkpoint->resume_offset = checkpoint->first_index * checkpoint->segment_bytes;
    checkpoint->resume_epoch = checkpoint->dataplane_epoch;
    checkpoint->resume_definitions = checkpoint->definitions_through;
    checkpoint->resume_time_max_ms = checkpoint->time_max_ms;
    checkpoint->resume_crc = checkpoint->previous_crc;
    checkpoint->resume_known = checkpoint->previous_known;
    return weir_checkpoint_write(pass->io, pass->directory, *checkpoint, pass->sender_state);
}

static enum weir_err
run(struct pass *pass)
{
    pass->definitions.file = -1;
    pass->replay = (struct weir_replay){.define = add_definition,
        .define_context = pass,
        .sender_state = add_sender_state,
        .sender_state_context = pass};
    enum weir_err err = begin(pass);
    if (err == WEIR_OK)
        err = weir_definitions_open(&pass->definitions, pass->io, pass->directory,
            pass->checkpoint.definitions_bytes);
    if (err == WEIR_OK)
        err = walk(pass);
    if (err == WEIR_OK)
        err = write_checkpoint(pass);
    weir_definitions_close(&pass->definitions);
    if (pass->reader_open)
        weir_segment_reader_close(&pass->reader);
    if (pass->fold != NULL)
        weir_state_fold_free(pass->fold);
    free(pass->sender_state);
    return err;
}

enum weir_err
weir_checkpointer_new(const struct weir_checkpointer_options *options,
    struct weir_checkpointer **out)
{
    const struct weir_trim *trim = options->trim;
    if (trim->segments_max < WEIR_TRIM_SEGMENTS_MIN)
        return weir_fail(WEIR_INVALID, 0,
            "log.full: recycle needs a log.size_max of %d segments, and those of %s have %" PRIu64
            " bytes: room for %" PRIu64, WEIR_TRIM_SEGMENTS_MIN, options->directory,
            trim->segment_bytes, trim->segments_max);
    struct weir_checkpointer *checkpointer = calloc(1, sizeof *checkpointer);
    if (checkpointer == NULL)
        return weir_fail(WEIR_NOMEM, 0, "checkpointer");
    checkpointer->options = *options;
    atomic_store_explicit(&options->trim->state, WEIR_TRIM_ON, memory_order_relaxed);
    *out = checkpointer;
    return WEIR_OK;
}

void
weir_checkpointer_free(struct weir_checkpointer *checkpointer)
{
    if (checkpointer == NULL)
        return;
    atomic_store_explicit(&checkpointer->options.trim->state, WEIR_TRIM_OFF,
        memory_order_relaxed);
    free(checkpointer);
}

int64_t
weir_checkpointer_retry_ns(uint32_t failures)
{
    return failures > 5 ? RETRY_MAX_NS : RETRY_NS << (failures - 1);
}

static void
failed(struct weir_checkpointer *checkpointer, enum weir_err err)
{
    struct weir_trim *trim = checkpointer->options.trim;
    bool again = weir_io_is_short(err);
    bool reported = again && checkpointer->failures > 0;
    if (!reported) /* once, not at every try */
        weir_event(WEIR_LEVEL_ERROR, "checkpoint_failed", "retry=%s reason=\"%s\"",
            again ? "yes" : "no", weir_err_detail());
    checkpointer->stopped = !again;
    checkpointer->retry_ns = weir_clock_mono_ns(checkpointer->options.clock) +
        weir_checkpointer_retry_ns(++checkpointer->failures);
    atomic_store_explicit(&trim->state, WEIR_TRIM_FAILING, memory_order_relaxed);
}

/* The segments below `until` that are in parts: up to which one. */
static uint64_t
merged(const struct weir_checkpointer *checkpointer, uint64_t until)
{
    const struct weir_checkpointer_options *options = &checkpointer->options;
    if (options->keeper_offset == NULL)
        return until;
    /* acquire pairs with the release in publish (storage/keeper/keeper.c): parts and manifest are
     * durable */
    uint64_t offset = atomic_load_explicit(options->keeper_offset, memory_order_acquire);
    uint64_t index = offset / options->trim->segment_bytes;
    return index < until ? index : until;
}

/* Segment up to which a checkpoint is due; 0 if none is. Where the keeper holds it back, the log
 * learns that it is not to wait. */
static uint64_t
due(const struct weir_checkpointer *checkpointer)
{
    struct weir_trim *trim = checkpointer->options.trim;
    uint64_t wanted = atomic_load_explicit(&trim->wanted_index, memory_order_relaxed);
    uint64_t first = atomic_load_explicit(&trim->first_index, memory_order_relaxed);
    /* acquire pairs with the log writer's release: what is below is in the files */
    uint64_t whole = atomic_load_explicit(&trim->whole_index, memory_order_acquire);
    uint64_t until = whole < wanted ? whole : wanted;
    if (until <= first)
        return 0;
    until = merged(checkpointer, until);
    if (until > first)
        return until;
    atomic_store_explicit(&trim->state, WEIR_TRIM_FAILING, memory_order_relaxed);
    return 0;
}

bool
weir_checkpointer_run_once(struct weir_checkpointer *checkpointer)
{
    const struct weir_checkpointer_options *options = &checkpointer->options;
    struct weir_trim *trim = options->trim;
    uint64_t until = due(checkpointer);
    if (until == 0 || checkpointer->stopped ||
        weir_clock_mono_ns(options->clock) < checkpointer->retry_ns)
        return false;
    struct pass pass = {.io = options->io,
        .directory = options->directory,
        .stop = options->stop,
        .until = until};
    if (weir_mutant(trim_before_checkpoint))
        atomic_store_explicit(&trim->first_index, until, memory_order_relaxed);
    int64_t began_ns = weir_clock_mono_ns(options->clock);
    enum weir_err err = run(&pass);
    if (err == WEIR_AGAIN)
        return false; /* given up */
    if (err != WEIR_OK) {
        failed(checkpointer, err);
        return false;
    }
    checkpointer->failures = 0;
    weir_event(WEIR_LEVEL_INFO, "checkpoint",
        "first_segment=%" PRIu64 " series=%" PRIu64 " mark_bytes=%zu ms=%" PRId64, until,
        pass.checkpoint.definitions_through, pass.state_bytes,
        (weir_clock_mono_ns(options->clock) - began_ns) / 1000000);
    atomic_store_explicit(&trim->samples, pass.checkpoint.samples_trimmed,
        memory_order_relaxed);
    atomic_fetch_add_explicit(&trim->frames_corrupt, pass.frames_corrupt,
        memory_order_relaxed);
    atomic_fetch_add_explicit(&trim->definitions_lost, pass.replay.lost,
        memory_order_relaxed);
    /* release pairs with the log writer's acquire: the checkpoint is durable */
    atomic_store_explicit(&trim->first_index, until, memory_order_release);
    atomic_store_explicit(&trim->state, WEIR_TRIM_ON, memory_order_relaxed);
    return true;
}
