#include "storage/keeper/keeper.h"

#include "base/event.h"
#include "base/memory.h"
#include "model/shared.h"
#include "storage/keeper/join.h"
#include "storage/keeper/leftovers.h"
#include "storage/keeper/plan.h"
#include "storage/keeper/rebuild.h"
#include "storage/log/format.h"
#include "storage/read/catalog.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES_MAX 3
#define PAUSE_NS INT64_C(1000000000)
#define JOIN_PAUSE_NS (INT64_C(3600) * 1000000000)
#define PAUSE_MAX_NS INT64_C(30000000000)
/* Blocks of a unit: full frames have 64; more where frames are small. */
#define BLOCKS_MAX (WEIR_KEEPER_FRAMES_MAX * 128)

struct weir_keeper {
    struct weir_keeper_options options;
    struct weir_catalog catalog;
    bool catalog_open;
    struct weir_manifest *manifest; /* as on disk */
    struct weir_manifest *next;     /* what the next save will make of it */
    void *memory;                   /* of l1 */
    size_t memory_bytes;
    struct weir_salvage *salvage; /* of l1 and join; NULL: none is kept */
    struct weir_l1 *l1;
    struct weir_join *join;
    bool joining;            /* MERGING: parts, not frames */
    struct weir_plan plan;   /* of the join */
    int64_t joins_resume_ns; /* after a join that would be too large */
    int64_t l2_since_ns;     /* last round of level 2 by age */
    int64_t late_since_ns;   /* last round of overlays by age */
    struct weir_merge_unit unit;
    struct weir_catalog_entry *frames; /* of the unit */
    uint32_t frame_count;
    uint32_t frames_allowed; /* fewer than frames_max after a unit that did not fit */
    uint8_t *index;          /* header and block index of a frame */
    enum weir_keeper_state state;
    int64_t oldest_ns;      /* when the oldest frame that waits was first seen; 0: none waits */
    int64_t resume_ns;      /* of PAUSED */
    int64_t pause_ns;       /* the next one */
    uint32_t failures_here; /* of this unit, that were no want of room */
    uint64_t failures;
    uint64_t units;
};

static enum weir_err
allocate(struct weir_keeper *keeper)
{
    enum weir_err err = keeper->options.aside == NULL
        ? WEIR_OK
        : weir_salvage_open(
              keeper->options.io, keeper->options.aside, WEIR_SALVAGE_BYTES_MAX, &keeper->salvage);
    if (err != WEIR_OK)
        return err;
    const struct weir_l1_options options = {.gather = keeper->options.gather,
        .writer = keeper->options.writer,
        .directory = keeper->options.store,
        .io = keeper->options.io,
        .salvage = keeper->salvage,
        .file_id = keeper->options.random,
        .file_id_context = keeper->options.random_context};
    const struct weir_join_options join = {.writer = options.writer,
        .directory = options.directory,
        .io = options.io,
        .salvage = options.salvage,
        .file_id = options.file_id,
        .file_id_context = options.file_id_context};
    bool huge = false;
    size_t l1_bytes = weir_l1_footprint(&options);
    keeper->memory_bytes = l1_bytes + weir_join_footprint(&join);
    err = weir_memory_map(keeper->memory_bytes, &huge, &keeper->memory);
    if (err != WEIR_OK)
        return err;
    keeper->l1 = weir_l1_init(keeper->memory, &options);
    keeper->join = weir_join_init((uint8_t *)keeper->memory + l1_bytes, &join);
    keeper->unit.blocks = calloc(BLOCKS_MAX, sizeof *keeper->unit.blocks);
    keeper->frames = calloc(WEIR_KEEPER_FRAMES_MAX, sizeof *keeper->frames);
    keeper->index = aligned_alloc(WEIR_IO_ALIGN, WEIR_IO_ALIGN);
    if (keeper->unit.blocks == NULL || keeper->frames == NULL || keeper->index == NULL)
        return weir_fail(WEIR_NOMEM, 0, "tables of the keeper");
    err = weir_manifest_new(&keeper->manifest);
    return err == WEIR_OK ? weir_manifest_new(&keeper->next) : err;
}

static enum weir_err
ignore_definition(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    (void)context;
    (void)number;
    (void)labels;
    (void)size;
    return WEIR_OK;
}

static enum weir_err
open_log(struct weir_keeper *keeper)
{
    struct weir_reader_options options = {.directory = keeper->options.log,
        .shared = keeper->options.shared,
        .io = keeper->options.log_io,
        .define = ignore_definition};
    const struct weir_io_options io_options = {.backend = WEIR_IO_SYNC};
    enum weir_err err = options.io != NULL ? WEIR_OK : weir_io_new(&io_options, &options.io);
    if (err != WEIR_OK)
        return err;
    keeper->catalog_open = true; /* it is closed after an error too */
    return weir_catalog_open(&keeper->catalog, &options);
}

/* Manifest first: files that it does not name are removed only if it checks out. The first one is
 * durable before there is a part: parts without a manifest have lost it. */
static enum weir_err
open_store(struct weir_keeper *keeper)
{
    const struct weir_shared *shared = keeper->options.shared;
    struct weir_rebuild_options rebuild = {
        .io = keeper->options.io, .store = keeper->options.store, .log_first = keeper->catalog.at};
    enum weir_err err = weir_io_mkdir(rebuild.io, rebuild.store);
    if (err != WEIR_OK)
        return err;
    err = weir_manifest_load(keeper->manifest, rebuild.io, rebuild.store);
    if (err == WEIR_OK)
        weir_leftovers_remove(rebuild.io, rebuild.store, keeper->manifest);
    if (err != WEIR_NOT_FOUND && err != WEIR_CORRUPT)
        return err;
    if (err == WEIR_CORRUPT)
        weir_event(WEIR_LEVEL_ERROR, "manifest_damaged", "reason=%s", weir_err_detail());
    if (shared != NULL) {
        /* acquire pairs with the release in publish of the keeper before this one */
        rebuild.committed = atomic_load_explicit(&shared->keeper.offset, memory_order_acquire);
        rebuild.generation = atomic_load_explicit(&shared->keeper.generation, memory_order_acquire);
    }
    return weir_manifest_rebuild(keeper->manifest, &rebuild);
}

/* For everyone: figures, then the generation, then the offset. */
static void
publish(struct weir_keeper *keeper)
{
    if (keeper->options.shared == NULL)
        return;
    struct weir_keeper_view *view = &keeper->options.shared->keeper;
    for (int i = 0; i < WEIR_RETENTION_CLASSES; i++) {
        uint64_t ledger[WEIR_PARTS_LEDGER_FIELDS];
        memcpy(ledger, &keeper->manifest->ledger[i], sizeof ledger);
        for (size_t k = 0; k < WEIR_PARTS_LEDGER_FIELDS; k++)
            atomic_store_explicit(&view->ledger[i][k], ledger[k], memory_order_relaxed);
    }
    atomic_store_explicit(&view->parts, keeper->manifest->part_count, memory_order_relaxed);
    /* release pairs with the acquires of the reader and of the checkpointer: a process that sees
     * the offset finds the manifest and the parts */
    atomic_store_explicit(&view->generation, keeper->manifest->generation, memory_order_release);
    atomic_store_explicit(&view->offset, keeper->manifest->keeper_offset, memory_order_release);
}

enum weir_err
weir_keeper_open(const struct weir_keeper_options *options, struct weir_keeper **out)
{
    struct weir_keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL) {
        if (options->log_io != NULL)
            weir_io_free(options->log_io);
        return weir_fail(WEIR_NOMEM, 0, "keeper");
    }
    keeper->options = *options;
    keeper->frames_allowed = options->frames_max;
    keeper->pause_ns = PAUSE_NS;
    keeper->unit.context = keeper;
    keeper->l2_since_ns = keeper->late_since_ns = weir_clock_mono_ns(options->clock);
    enum weir_err err = open_log(keeper);
    if (err == WEIR_OK)
        err = allocate(keeper);
    if (err == WEIR_OK)
        err = open_store(keeper);
    if (err != WEIR_OK) {
        weir_keeper_close(keeper);
        return err;
    }
    publish(keeper);
    *out = keeper;
    return WEIR_OK;
}

static void
give_up(struct weir_keeper *keeper)
{
    if (keeper->joining)
        weir_join_abort(keeper->join);
    else
        weir_l1_abort(keeper->l1);
}

void
weir_keeper_close(struct weir_keeper *keeper)
{
    if (keeper->state == WEIR_KEEPER_MERGING)
        give_up(keeper);
    if (keeper->catalog_open)
        weir_catalog_close(&keeper->catalog);
    weir_salvage_close(keeper->salvage);
    weir_manifest_free(keeper->manifest);
    weir_manifest_free(keeper->next);
    if (keeper->memory != NULL)
        weir_memory_unmap(keeper->memory, keeper->memory_bytes);
    free(keeper->unit.blocks);
    free(keeper->frames);
    free(keeper->index);
    free(keeper);
}

/* Place of the first frame that is not merged. */
static uint64_t
first_waiting(const struct weir_keeper *keeper)
{
    const struct weir_catalog_entry *entries = keeper->catalog.entries;
    uint64_t low = 0;
    uint64_t high = keeper->catalog.entry_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (entries[middle].offset < keeper->manifest->keeper_offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
is_due(struct weir_keeper *keeper, uint64_t waiting, uint64_t bytes)
{
    int64_t now_ns = weir_clock_mono_ns(keeper->options.clock);
    if (waiting == 0) {
        keeper->oldest_ns = 0;
        return false;
    }
    if (keeper->oldest_ns == 0)
        keeper->oldest_ns = now_ns;
    return waiting >= keeper->options.frames_max ||
        (keeper->catalog.ring_bytes != 0 && bytes >= keeper->catalog.ring_bytes / 2) ||
        now_ns - keeper->oldest_ns >= keeper->options.age_max_ms * 1000000;
}

static enum weir_err
read_block(
    void *context, const struct weir_merge_block *block, uint8_t *data, const uint8_t **bytes)
{
    struct weir_keeper *keeper = context;
    *bytes = data;
    return weir_catalog_read(
        &keeper->catalog, &keeper->frames[block->frame], block->entry.at, data, block->entry.bytes);
}

/* Header and block index of a frame, checked. */
static enum weir_err
read_index(struct weir_keeper *keeper, const struct weir_catalog_entry *frame,
    const struct weir_frame_block **blocks, size_t *count)
{
    size_t bytes = frame->bytes < WEIR_IO_ALIGN ? frame->bytes : WEIR_IO_ALIGN;
    struct weir_frame_header header;
    enum weir_err err = weir_catalog_read(&keeper->catalog, frame, 0, keeper->index, bytes);
    if (err != WEIR_OK)
        return err;
    memcpy(&header, keeper->index, sizeof header);
    err = weir_frame_check_header(&header, WEIR_LOG_STREAM, frame->offset);
    return err == WEIR_OK ? weir_frame_index(keeper->index, bytes, blocks, count) : err;
}

/* Adds a frame's blocks to the unit. A frame whose index does not check out counts as damaged as a
 * whole. WEIR_LIMIT where the unit has no room for more. */
static enum weir_err
add_frame(struct weir_keeper *keeper, const struct weir_catalog_entry *frame)
{
    struct weir_merge_unit *unit = &keeper->unit;
    const struct weir_frame_block *blocks = NULL;
    size_t count = 0;
    struct weir_catalog_entry copy = *frame;
    enum weir_err err = read_index(keeper, &copy, &blocks, &count);
    if (err == WEIR_CORRUPT && copy.place != WEIR_PLACE_NONE) {
        copy.place = WEIR_PLACE_NONE; /* the ring may have been rebuilt: the file decides */
        err = read_index(keeper, &copy, &blocks, &count);
    }
    if (err == WEIR_CORRUPT) {
        unit->samples += frame->samples;
        unit->damaged += frame->samples;
        weir_event(WEIR_LEVEL_ERROR, "frame_damaged",
            "offset=%" PRIu64 " samples=%" PRIu32 " reason=%s", frame->offset, frame->samples,
            weir_err_detail());
        err = WEIR_OK;
        count = 0;
    }
    if (err != WEIR_OK)
        return err;
    if (count > BLOCKS_MAX - unit->block_count)
        return WEIR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        unit->blocks[unit->block_count++] = (struct weir_merge_block){
            .entry = blocks[i], .frame_offset = frame->offset, .frame = keeper->frame_count};
        unit->samples += blocks[i].samples;
    }
    keeper->frames[keeper->frame_count++] = copy;
    unit->log_through = frame->offset + frame->bytes;
    return WEIR_OK;
}

static enum weir_err
make_unit(struct weir_keeper *keeper, uint64_t first, uint64_t waiting)
{
    struct weir_merge_block *blocks = keeper->unit.blocks;
    keeper->unit = (struct weir_merge_unit){.blocks = blocks,
        .series_through = keeper->catalog.defined,
        .log_from = keeper->manifest->keeper_offset,
        .log_through = keeper->manifest->keeper_offset,
        .read = read_block,
        .context = keeper};
    keeper->frame_count = 0;
    enum weir_err err = WEIR_OK;
    for (uint64_t i = 0; err == WEIR_OK && i < waiting && i < keeper->frames_allowed; i++)
        err = add_frame(keeper, &keeper->catalog.entries[first + i]);
    keeper->unit.frame_count = keeper->frame_count;
    return err == WEIR_LIMIT && keeper->frame_count > 0 ? WEIR_OK : err;
}

static bool
is_short(enum weir_err err)
{
    return weir_io_is_short(err) || err == WEIR_AGAIN;
}

/* A unit failed: a smaller one, a pause, or the end of merging. */
static void
note_failure(struct weir_keeper *keeper, enum weir_err err)
{
    keeper->failures++;
    if (err == WEIR_LIMIT && !keeper->joining && keeper->frames_allowed > 1) {
        keeper->frames_allowed /= 2;
        keeper->state = WEIR_KEEPER_IDLE;
        return;
    }
    if (err == WEIR_LIMIT && keeper->joining) {
        /* frames are merged on, and what is there is read as it is */
        keeper->joins_resume_ns = weir_clock_mono_ns(keeper->options.clock) + JOIN_PAUSE_NS;
        keeper->state = WEIR_KEEPER_IDLE;
        weir_event(WEIR_LEVEL_ERROR, "join_too_large",
            "partition_ms=%" PRId64 " parts=%" PRIu32 " reason=%s", keeper->plan.partition.from_ms,
            keeper->plan.count, weir_err_detail());
        return;
    }
    keeper->failures_here += !is_short(err);
    bool stop = keeper->failures_here >= FAILURES_MAX;
    weir_event(WEIR_LEVEL_ERROR, stop ? "merging_stopped" : "merge_failed",
        "offset=%" PRIu64 " frames=%" PRIu32 " reason=%s", keeper->unit.log_from,
        keeper->frame_count, weir_err_detail());
    keeper->state = stop ? WEIR_KEEPER_STOPPED : WEIR_KEEPER_PAUSED;
    keeper->resume_ns = weir_clock_mono_ns(keeper->options.clock) + keeper->pause_ns;
    keeper->pause_ns = keeper->pause_ns * 2 < PAUSE_MAX_NS ? keeper->pause_ns * 2 : PAUSE_MAX_NS;
}

/* The manifest that names what is durable now. */
static enum weir_err
save(struct weir_keeper *keeper)
{
    enum weir_err err = weir_manifest_save(keeper->next, keeper->options.io, keeper->options.store);
    if (err != WEIR_OK)
        return err;
    weir_manifest_copy(keeper->manifest, keeper->next);
    publish(keeper);
    return WEIR_OK;
}

/* Parts of level 1 are durable: now the manifest names them. */
static enum weir_err
commit_unit(struct weir_keeper *keeper)
{
    struct weir_manifest *next = keeper->next;
    const struct weir_manifest_part *part;
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; err == WEIR_OK && (part = weir_l1_part(keeper->l1, i)) != NULL; i++)
        err = weir_manifest_part_add(next, part);
    if (err != WEIR_OK)
        return err;
    struct weir_parts_ledger *ledger = &next->ledger[0];
    ledger->merged += keeper->unit.samples;
    ledger->superseded += weir_l1_superseded(keeper->l1);
    ledger->damaged += weir_l1_damaged(keeper->l1);
    next->keeper_offset = keeper->unit.log_through;
    return save(keeper);
}

/* Removes the files of parts that the manifest named before and does not now. It is durable. */
static void
remove_files(struct weir_keeper *keeper, const struct weir_manifest_part *parts, uint32_t count)
{
    char path[PATH_MAX];
    for (uint32_t i = 0; i < count; i++)
        if (weir_part_file_path(keeper->options.store, parts[i].partition_ms, parts[i].file_id,
                path, sizeof path) == WEIR_OK &&
            weir_io_unlink(keeper->options.io, path) != WEIR_OK)
            weir_event(
                WEIR_LEVEL_WARN, "part_left_behind", "path=%s reason=%s", path, weir_err_detail());
}

/* Takes `count` parts from place `first` out of the next manifest; copies them to gone. */
static void
take_out(
    struct weir_keeper *keeper, uint32_t first, uint32_t count, struct weir_manifest_part *gone)
{
    for (uint32_t i = 0; i < count; i++) {
        gone[i] = keeper->next->parts[first];
        weir_manifest_part_remove(keeper->next, first);
    }
}

/* The joined part takes the place of its sources. The partition may go with the last of them, and
 * come back with the same bounds. */
static enum weir_err
commit_join(struct weir_keeper *keeper)
{
    struct weir_manifest *next = keeper->next;
    struct weir_manifest_part gone[WEIR_JOIN_SOURCES_MAX];
    const struct weir_plan *plan = &keeper->plan;
    const struct weir_manifest_part *part = weir_join_part(keeper->join);
    take_out(keeper, plan->first, plan->count, gone);
    struct weir_parts_ledger *ledger = &next->ledger[gone[0].retention_class];
    ledger->superseded += weir_join_superseded(keeper->join);
    ledger->damaged += weir_join_damaged(keeper->join);
    enum weir_err err = WEIR_OK;
    if (part != NULL)
        err = weir_manifest_partition_restore(next, &plan->partition);
    if (err == WEIR_OK && part != NULL)
        err = weir_manifest_part_add(next, part);
    if (err == WEIR_OK)
        err = save(keeper);
    if (err == WEIR_OK)
        remove_files(keeper, gone, plan->count);
    return err;
}

static void
finish(struct weir_keeper *keeper)
{
    enum weir_err err = keeper->joining ? commit_join(keeper) : commit_unit(keeper);
    if (err != WEIR_OK) {
        /* either generation may be the one on disk: no file that one of them names may go */
        keeper->failures++;
        keeper->state = WEIR_KEEPER_STOPPED;
        weir_event(WEIR_LEVEL_ERROR, "merging_stopped", "offset=%" PRIu64 " reason=%s",
            keeper->unit.log_from, weir_err_detail());
        return;
    }
    keeper->units += !keeper->joining;
    keeper->state = WEIR_KEEPER_IDLE;
    keeper->failures_here = 0;
    keeper->pause_ns = PAUSE_NS;
    if (keeper->joining)
        return;
    keeper->oldest_ns = 0;
    keeper->frames_allowed = keeper->options.frames_max;
}

static bool
run_merging(struct weir_keeper *keeper)
{
    enum weir_err err = keeper->joining ? weir_join_step(keeper->join) : weir_l1_step(keeper->l1);
    if (err == WEIR_OK)
        finish(keeper);
    else if (err != WEIR_AGAIN)
        note_failure(keeper, err);
    return keeper->state == WEIR_KEEPER_MERGING || keeper->state == WEIR_KEEPER_IDLE;
}

static int64_t
wall_ms(const struct weir_keeper *keeper)
{
    return keeper->options.wall_ms != NULL ? keeper->options.wall_ms(keeper->options.wall_context)
                                           : weir_wall_ms();
}

/* Removes partitions that have passed their age, as many at a time as a join has sources. Returns
 * whether there were any. */
static bool
expire(struct weir_keeper *keeper)
{
    struct weir_manifest_part gone[WEIR_JOIN_SOURCES_MAX];
    if (keeper->options.retention_ms == 0)
        return false;
    int64_t cutoff_ms = wall_ms(keeper) - keeper->options.retention_ms;
    weir_manifest_copy(keeper->next, keeper->manifest);
    uint32_t count = 0;
    for (; count < WEIR_JOIN_SOURCES_MAX; count++) {
        uint32_t place = weir_plan_expired(keeper->next, cutoff_ms);
        if (place == keeper->next->part_count)
            break;
        const struct weir_manifest_part *part = &keeper->next->parts[place];
        keeper->next->ledger[part->retention_class].expired += part->samples;
        take_out(keeper, place, 1, &gone[count]);
    }
    if (count == 0)
        return false;
    if (save(keeper) != WEIR_OK) {
        keeper->failures++;
        keeper->state = WEIR_KEEPER_STOPPED;
        weir_event(
            WEIR_LEVEL_ERROR, "merging_stopped", "parts=%u reason=%s", count, weir_err_detail());
        return false;
    }
    remove_files(keeper, gone, count);
    return true;
}

/* Begins the next merge of parts, if one is due. */
static bool
begin_join(struct weir_keeper *keeper)
{
    int64_t now_ns = weir_clock_mono_ns(keeper->options.clock);
    if (now_ns < keeper->joins_resume_ns)
        return false;
    const struct weir_plan_times times = {.wall_ms = wall_ms(keeper),
        .l2_age_ns = now_ns - keeper->l2_since_ns,
        .late_age_ns = now_ns - keeper->late_since_ns};
    if (!weir_plan_next(keeper->manifest, &times, &keeper->plan)) {
        /* a round by age ends when nothing is due any more */
        if (times.l2_age_ns >= WEIR_PLAN_L2_NS)
            keeper->l2_since_ns = now_ns;
        if (times.late_age_ns >= WEIR_PLAN_OVERLAY_NS)
            keeper->late_since_ns = now_ns;
        return false;
    }
    if (keeper->plan.count > WEIR_JOIN_SOURCES_MAX) {
        keeper->plan.count = WEIR_JOIN_SOURCES_MAX;
        keeper->plan.level = 2; /* the rest comes later */
    }
    keeper->joining = true;
    weir_manifest_copy(keeper->next, keeper->manifest);
    enum weir_err err = weir_join_begin(keeper->join, &keeper->plan.partition,
        &keeper->manifest->parts[keeper->plan.first], keeper->plan.count, keeper->plan.level);
    if (err != WEIR_OK) {
        note_failure(keeper, err);
        return false;
    }
    keeper->state = WEIR_KEEPER_MERGING;
    return true;
}

static bool
run_idle(struct weir_keeper *keeper)
{
    keeper->joining = false;
    enum weir_err err = weir_catalog_refresh(&keeper->catalog);
    if (err != WEIR_OK) {
        if (err != WEIR_AGAIN)
            note_failure(keeper, err);
        return false;
    }
    uint64_t first = first_waiting(keeper);
    uint64_t waiting = keeper->catalog.entry_count - first;
    uint64_t bytes = keeper->catalog.at - keeper->manifest->keeper_offset;
    if (!is_due(keeper, waiting, bytes))
        return expire(keeper) || (keeper->state == WEIR_KEEPER_IDLE && begin_join(keeper));
    err = make_unit(keeper, first, waiting);
    if (err != WEIR_OK) {
        note_failure(keeper, err);
        return false;
    }
    weir_manifest_copy(keeper->next, keeper->manifest);
    weir_l1_begin(keeper->l1, &keeper->unit, keeper->next, keeper->options.partition_ms);
    keeper->state = WEIR_KEEPER_MERGING;
    return true;
}

static bool
run(struct weir_keeper *keeper)
{
    switch (keeper->state) {
    case WEIR_KEEPER_IDLE:
        return run_idle(keeper);
    case WEIR_KEEPER_MERGING:
        return run_merging(keeper);
    case WEIR_KEEPER_PAUSED:
        if (weir_clock_mono_ns(keeper->options.clock) < keeper->resume_ns)
            return false;
        keeper->state = WEIR_KEEPER_IDLE;
        return true;
    case WEIR_KEEPER_STOPPED:
    case WEIR_KEEPER_STATES:
        break;
    }
    return false;
}

bool
weir_keeper_run_once(struct weir_keeper *keeper)
{
    bool more = run(keeper);
    if (keeper->options.shared != NULL) {
        struct weir_keeper_view *view = &keeper->options.shared->keeper;
        atomic_store_explicit(&view->state, keeper->state, memory_order_relaxed);
        atomic_store_explicit(&view->units, keeper->units, memory_order_relaxed);
        atomic_store_explicit(&view->failures, keeper->failures, memory_order_relaxed);
    }
    return more;
}

void
weir_keeper_status(const struct weir_keeper *keeper, struct weir_keeper_status *out)
{
    *out = (struct weir_keeper_status){.state = keeper->state,
        .keeper_offset = keeper->manifest->keeper_offset,
        .generation = keeper->manifest->generation,
        .frames_waiting = keeper->catalog.entry_count - first_waiting(keeper),
        .units = keeper->units,
        .failures = keeper->failures,
        .parts = keeper->manifest->part_count};
}

const struct weir_manifest *
weir_keeper_manifest(const struct weir_keeper *keeper)
{
    return keeper->manifest;
}
