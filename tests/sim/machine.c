#include "tests/sim/machine.h"

#include "base/assert.h"
#include "model/sender_state/state.h"
#include "storage/frame/ring.h"
#include "storage/log/checkpoint.h"
#include "storage/log/epoch.h"
#include "storage/log/format.h"
#include "tests/sim/actors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_NS INT64_C(1000000000000)

static void *
allocate(size_t size)
{
    void *memory = aligned_alloc(WEIR_CACHE_LINE,
        (size + WEIR_CACHE_LINE - 1) & ~(size_t)(WEIR_CACHE_LINE - 1));
    WEIR_ASSERT(memory != NULL);
    return memory;
}

static int64_t
mono_ns(void *context)
{
    return ((const struct sim_machine *)context)->now_ns;
}

void
sim_machine_new(struct sim_machine *machine)
{
    memset(machine, 0, sizeof *machine);
    machine->numbers = calloc(SIM_SERIES_MAX, sizeof *machine->numbers);
    WEIR_ASSERT(machine->numbers != NULL);
    for (int p = 0; p < SIM_PRODUCERS; p++) {
        machine->full[p] = allocate(weir_ring_footprint(SIM_PRODUCER_BATCHES));
        machine->empty[p] = allocate(weir_ring_footprint(SIM_PRODUCER_BATCHES));
        for (int i = 0; i < SIM_PRODUCER_BATCHES; i++) {
            struct weir_batch *batch = allocate(sizeof *batch);
            batch->definitions = p == 0 ? allocate(WEIR_BATCH_DEFINITIONS_MAX) : NULL;
            batch->sender_state = p == 0 ? NULL : allocate(WEIR_BATCH_STATE_BYTES_MAX);
            machine->batches[p][i] = batch;
        }
    }
    enum weir_err err = weir_shared_new(weir_frame_ring_bytes_min(), &machine->shared_fd);
    if (err == WEIR_OK)
        err = weir_shared_map(machine->shared_fd, &machine->shared);
    WEIR_ASSERT(err == WEIR_OK);
}

void
sim_machine_delete(struct sim_machine *machine)
{
    for (int p = 0; p < SIM_PRODUCERS; p++) {
        for (int i = 0; i < SIM_PRODUCER_BATCHES; i++) {
            free(machine->batches[p][i]->definitions);
            free(machine->batches[p][i]->sender_state);
            free(machine->batches[p][i]);
        }
        free(machine->full[p]);
        free(machine->empty[p]);
    }
    free(machine->numbers);
    free(machine->model.samples);
    free(machine->model.batches);
    free(machine->model.series);
    weir_shared_unmap(machine->shared);
    close(machine->shared_fd);
}

/* ---- damage ---- */

/* Where bytes of a file are damaged now: of a segment the offsets in the log. */
static void
note_damage(void *context, enum sim_fault fault, int inode, uint64_t from, uint64_t to)
{
    struct sim_machine *machine = context;
    const char *path = sim_disk_name(&machine->host.disk, inode);
    struct sim_damage damage = {.fault = fault, .file = SIM_FILE_OTHER, .from = from, .to = to};
    uint64_t index;
    if (path == NULL || !sim_disk_damaged(&machine->host.disk, inode, from, to))
        return; /* nobody will read it, or it had these bytes before */
    const char *name = strrchr(path, '/') + 1;
    if (weir_log_segment_parse(name, &index)) {
        damage.file = SIM_FILE_SEGMENT;
        damage.from += index * SIM_SEGMENT_BYTES;
        damage.to += index * SIM_SEGMENT_BYTES;
    } else if (strncmp(name, WEIR_LOG_EPOCH, strlen(WEIR_LOG_EPOCH)) == 0) {
        damage.file = SIM_FILE_EPOCH;
    } else if (strncmp(name, WEIR_LOG_CHECKPOINT_OLD, strlen(WEIR_LOG_CHECKPOINT_OLD)) == 0) {
        damage.file = SIM_FILE_CHECKPOINT;
    } else if (strncmp(name, WEIR_LOG_DEFINITIONS, strlen(WEIR_LOG_DEFINITIONS)) == 0) {
        damage.file = SIM_FILE_DEFINITIONS;
    }
    sim_model_damage(&machine->model, damage);
}

/* ---- recovery ---- */

static enum weir_err
restore_series(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    struct sim_machine *machine = context;
    struct sim_model *model = &machine->model;
    if (number != machine->number_count || number >= SIM_SERIES_MAX) {
        sim_model_invented(model, "a series number out of turn", number);
        return WEIR_OK;
    }
    uint32_t series = sim_series_of(machine, labels, size, true);
    machine->numbers[machine->number_count++] = series;
    if (series != SIM_SERIES_MAX && model->series[series].number == SIM_NO_NUMBER)
        model->series[series].number = number;
    return WEIR_OK;
}

static void
restore_state(void *context, const uint8_t *list, size_t size)
{
    struct sim_machine *machine = context;
    const struct weir_state_entry *entry;
    size_t at = 0;
    while (weir_state_next(list, size, &at, &entry) == WEIR_OK) {
        if (entry->type != WEIR_STATE_SEQUENCE || entry->channel >= SIM_CHANNELS ||
            entry->sequence > machine->sequence)
            sim_model_invented(&machine->model, "a state entry that nobody sent", entry->sequence);
        else if (entry->sequence > machine->sequences[entry->channel])
            machine->sequences[entry->channel] = entry->sequence;
    }
}

/* What was acknowledged of senders' state is there, where nothing was damaged. */
static void
check_state(struct sim_machine *machine)
{
    const struct sim_model *model = &machine->model;
    for (uint32_t i = 0; i < model->batch_count && model->damage_count == 0; i++) {
        const struct sim_batch_sent *batch = &model->batches[i];
        if (batch->acked && batch->channel < SIM_CHANNELS &&
            batch->sequence > machine->sequences[batch->channel])
            sim_model_lost(&machine->model, "an acknowledged state entry", batch->sequence);
    }
}

static void
check_recovery(struct sim_machine *machine)
{
    struct sim_model *model = &machine->model;
    const struct weir_log_recovery *recovery = &machine->recovery;
    bool told = recovery->frames_corrupt != 0 || recovery->definitions_lost != 0;
    if (told && model->damage_count == 0)
        sim_model_invented(model, "recovery told damage that is not there",
            recovery->frames_corrupt);
    machine->told |= told;
    uint64_t proof = sim_model_proof(model);
    if (!model->file_damaged[SIM_FILE_EPOCH] && machine->epoch_durable > proof)
        proof = machine->epoch_durable;
    sim_model_recovered(model, recovery->end_offset, proof);
    check_state(machine);
}

static void
forget_life(struct sim_machine *machine)
{
    struct sim_model *model = &machine->model;
    for (uint32_t i = model->batch_count; i-- > 0 && model->batches[i].number != 0;)
        model->batches[i].number = 0;
    for (uint32_t i = 0; i < model->series_count; i++)
        model->series[i].number = SIM_NO_NUMBER;
    machine->number_count = 0;
    memset(machine->sequences, 0, sizeof machine->sequences);
    memset(machine->batch_number, 0, sizeof machine->batch_number);
    memset(&machine->progress, 0, sizeof machine->progress);
    memset(&machine->counts, 0, sizeof machine->counts);
    machine->ring_next = 0;
    for (int p = 0; p < SIM_PRODUCERS; p++) {
        weir_ring_init(machine->full[p], SIM_PRODUCER_BATCHES);
        weir_ring_init(machine->empty[p], SIM_PRODUCER_BATCHES);
        for (int i = 0; i < SIM_PRODUCER_BATCHES; i++)
            (void)weir_ring_push(machine->empty[p], machine->batches[p][i]);
    }
}

/* ---- the dataplane's life ---- */

static enum weir_err
open_log(struct sim_machine *machine)
{
    struct weir_frame_ring *ring = weir_shared_frame_ring(machine->shared);
    struct weir_log_options options = {.directory = SIM_DIRECTORY,
        .segment_bytes = SIM_SEGMENT_BYTES,
        .size_max = machine->segments_max * SIM_SEGMENT_BYTES,
        .io = machine->log_io,
        .clock = &machine->clock,
        .ring = ring,
        .counts = &machine->counts,
        .define = restore_series,
        .define_context = machine,
        .sender_state = restore_state,
        .sender_state_context = machine};
    enum weir_err err = weir_frame_ring_init(ring, machine->shared->frame_ring_bytes);
    return err == WEIR_OK ? weir_log_open(&options, &machine->log, &machine->recovery) : err;
}

static enum weir_err
open_upkeep(struct sim_machine *machine)
{
    const struct weir_epoch as_opened = {.stream = WEIR_LOG_STREAM,
        .segment_bytes = weir_log_trim(machine->log)->segment_bytes,
        .dataplane_epoch = machine->recovery.dataplane_epoch,
        .durable_offset = weir_log_durable(machine->log)};
    weir_epoch_keeper_init(&machine->epoch_keeper, SIM_DIRECTORY, machine->epoch_io,
        &machine->progress.durable_offset, &as_opened);
    if (!weir_log_waits_for_room(machine->log)) {
        machine->epoch_durable = as_opened.durable_offset;
        machine->epoch_announced = as_opened.dataplane_epoch;
    }
    struct weir_checkpointer_options options = {.directory = SIM_DIRECTORY,
        .io = machine->checkpointer_io,
        .clock = &machine->clock,
        .trim = weir_log_trim(machine->log)};
    return machine->recycles ? weir_checkpointer_new(&options, &machine->checkpointer) : WEIR_OK;
}

static enum weir_err
open_writer(struct sim_machine *machine)
{
    struct weir_writer_options options = {.log = machine->log,
        .shared = machine->shared,
        .counts = &machine->counts,
        .progress = &machine->progress,
        .producer_count = SIM_PRODUCERS};
    options.producers[0] = (struct weir_writer_producer){
        machine->full[0], machine->empty[0], WEIR_EDGE_REGISTRAR_WRITER};
    options.producers[1] = (struct weir_writer_producer){
        machine->full[1], machine->empty[1], WEIR_EDGE_WORKER_WRITER(0)};
    return weir_writer_new(&options, &machine->writer);
}

/* As announce of app/dataplane. */
static void
announce(struct sim_machine *machine)
{
    struct weir_shared *shared = machine->shared;
    atomic_store(&shared->durable_offset, weir_log_durable(machine->log));
    atomic_store(&shared->log_first_offset, weir_log_first(machine->log));
    atomic_store(&shared->state, weir_writer_state(machine->writer));
    atomic_store(&machine->progress.state, weir_writer_state(machine->writer));
    atomic_store(&machine->progress.durable_offset, weir_log_durable(machine->log));
    atomic_store(&shared->epoch, machine->recovery.dataplane_epoch);
}

/* Would a start believe a checkpoint that bits have flipped in? */
static bool
is_misread(struct sim_machine *machine, struct weir_io *io)
{
    struct weir_checkpoint head[2];
    uint8_t *content[2] = {NULL, NULL};
    enum weir_err err[2];
    for (int i = 0; i < 2; i++) {
        machine->host.truth = i == 1;
        err[i] = weir_checkpoint_read(io, SIM_DIRECTORY, WEIR_LOG_STREAM, &head[i], &content[i]);
    }
    machine->host.truth = false;
    bool same = err[0] != WEIR_OK || err[1] != WEIR_OK ||
        (memcmp(&head[0], &head[1], sizeof head[0]) == 0 &&
            (content[0] == NULL || memcmp(content[0], content[1],
                                       head[0].state_bytes + head[0].fingerprint_bytes) == 0));
    free(content[0]);
    free(content[1]);
    for (uint32_t i = 0; i < machine->model.damage_count; i++)
        same |= machine->model.damages[i].fault != SIM_FAULT_flipped_bit; /* an older one */
    return !same;
}

/* What a start must find: an epoch file that keeps what it promised. */
static void
check_small_files(struct sim_machine *machine, bool *misread)
{
    struct sim_model *model = &machine->model;
    struct weir_epoch epoch;
    struct weir_io *io = sim_host_io(&machine->host, &machine->reader_process);
    machine->host.silent = true;
    enum weir_err err = weir_epoch_read(io, SIM_DIRECTORY, WEIR_LOG_STREAM, &epoch);
    *misread = is_misread(machine, io);
    machine->host.silent = false;
    weir_io_free(io);
    if (!model->file_damaged[SIM_FILE_EPOCH]) {
        if (err == WEIR_CORRUPT)
            sim_model_invented(model, "an epoch file that is torn", 0);
        bool older = err == WEIR_NOT_FOUND || (err == WEIR_OK &&
            (epoch.dataplane_epoch < machine->epoch_announced ||
                epoch.durable_offset < machine->epoch_durable));
        if (older && machine->epoch_announced != 0)
            sim_model_lost(model, "what the epoch file said", machine->epoch_announced);
    }
}

enum weir_err
sim_machine_start(struct sim_machine *machine)
{
    bool misread;
    check_small_files(machine, &misread);
    forget_life(machine);
    machine->dataplane = (struct sim_process){.name = "dataplane",
        .kill_in = machine->dataplane.kill_in};
    enum weir_err err = weir_shared_reset(machine->shared_fd, machine->shared);
    WEIR_ASSERT(err == WEIR_OK);
    machine->log_io = sim_host_io(&machine->host, &machine->dataplane);
    machine->checkpointer_io = sim_host_io(&machine->host, &machine->dataplane);
    machine->epoch_io = sim_host_io(&machine->host, &machine->dataplane);
    err = open_log(machine);
    if (err == WEIR_OK) {
        if (misread)
            sim_model_undetected(&machine->model, "a damaged checkpoint was believed", 0);
        check_recovery(machine);
        err = open_upkeep(machine);
    }
    if (err == WEIR_OK)
        err = open_writer(machine);
    if (err == WEIR_OK)
        announce(machine);
    else
        sim_machine_stop(machine);
    return err;
}

void
sim_machine_stop(struct sim_machine *machine)
{
    bool failed = machine->writer == NULL ||
        weir_writer_state(machine->writer) == WEIR_INGEST_IO_ERROR;
    weir_writer_free(machine->writer);
    machine->writer = NULL; /* from here on nobody has a step */
    weir_checkpointer_free(machine->checkpointer);
    if (machine->log != NULL) {
        uint64_t durable = weir_log_durable(machine->log);
        bool whole = !failed && !weir_log_waits_for_room(machine->log);
        weir_log_close(machine->log);
        if (whole && !machine->dataplane.dead && !machine->host.off && machine->host.quiet)
            machine->epoch_durable = durable;
    }
    weir_io_free(machine->log_io);
    weir_io_free(machine->checkpointer_io);
    weir_io_free(machine->epoch_io);
    machine->checkpointer = NULL;
    machine->log = NULL;
    machine->log_io = machine->checkpointer_io = machine->epoch_io = NULL;
    atomic_store(&machine->shared->epoch, 0);
}

void
sim_machine_close_reader(struct sim_machine *machine)
{
    if (machine->reader != NULL)
        weir_reader_close(machine->reader);
    machine->reader = NULL;
}

/* ---- steps ---- */

static void
step_epoch_keeper(struct sim_machine *machine)
{
    if (weir_epoch_keeper_run_once(&machine->epoch_keeper, machine->now_ns))
        machine->epoch_durable = machine->epoch_keeper.epoch.durable_offset;
}

void
sim_machine_step(struct sim_machine *machine, enum sim_actor actor)
{
    if (machine->active[actor] || machine->writer == NULL || machine->dataplane.dead ||
        machine->host.off)
        return;
    machine->active[actor] = true;
    if (actor == SIM_ACTOR_REGISTRAR)
        sim_registrar_step(machine);
    else if (actor == SIM_ACTOR_WORKER)
        sim_worker_step(machine);
    else if (actor == SIM_ACTOR_WRITER)
        sim_writer_step(machine);
    else if (actor == SIM_ACTOR_CHECKPOINTER && machine->checkpointer != NULL)
        (void)weir_checkpointer_run_once(machine->checkpointer);
    else if (actor == SIM_ACTOR_EPOCH_KEEPER)
        step_epoch_keeper(machine);
    else if (actor == SIM_ACTOR_READER)
        sim_reader_step(machine);
    machine->active[actor] = false;
}

/* Between two primitives of a process others have their steps. */
static void
preempt(void *context, const struct sim_process *process)
{
    static const enum sim_actor actors[] = {SIM_ACTOR_WRITER, SIM_ACTOR_WRITER, SIM_ACTOR_WORKER,
        SIM_ACTOR_REGISTRAR, SIM_ACTOR_CHECKPOINTER, SIM_ACTOR_READER};
    struct sim_machine *machine = context;
    (void)process;
    uint64_t steps = 1 + sim_random_below(&machine->random, 6);
    for (uint64_t i = 0; i < steps; i++)
        sim_machine_step(machine, actors[sim_random_below(&machine->random, 6)]);
}

void
sim_machine_check(struct sim_machine *machine)
{
    struct weir_reader *reader;
    struct weir_reader_options options = {.directory = SIM_DIRECTORY,
        .shared = machine->shared,
        .io = sim_host_io(&machine->host, &machine->reader_process)};
    bool was_quiet = machine->host.quiet;
    machine->host.quiet = true;
    machine->active[SIM_ACTOR_READER] = true; /* one read at a time */
    if (weir_reader_open_with(&options, &reader) == WEIR_OK) {
        if (sim_reader_check(machine, reader, true))
            sim_model_give_up(&machine->model);
        weir_reader_close(reader);
    } else if (!machine->host.off && !machine->dataplane.dead) {
        sim_model_lost(&machine->model, weir_err_detail(), 0);
    }
    machine->active[SIM_ACTOR_READER] = false;
    machine->host.quiet = was_quiet;
}

/* ---- a seed ---- */

void
sim_machine_begin(struct sim_machine *machine, uint64_t seed, struct sim_table *table)
{
    machine->random.state = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    sim_model_reset(&machine->model);
    sim_host_init(&machine->host, &machine->random, table);
    machine->host.preempt = preempt;
    machine->host.damaged = note_damage;
    machine->host.context = machine;
    machine->clock = (struct weir_clock){mono_ns, machine};
    machine->now_ns = START_NS;
    machine->dataplane = (struct sim_process){.name = "dataplane"};
    machine->reader_process = (struct sim_process){.name = "reader"};
    machine->epoch_durable = machine->epoch_announced = machine->sequence = 0;
    machine->told = false;
    atomic_store(&machine->shared->log_first_offset, 0);
    atomic_store(&machine->shared->epoch, 0);
}

void
sim_machine_end(struct sim_machine *machine)
{
    machine->host.quiet = true;
    machine->host.cut_in = machine->dataplane.kill_in = 0;
    sim_machine_close_reader(machine);
    if (machine->log != NULL)
        sim_machine_stop(machine);
    sim_host_fini(&machine->host);
}
