#include "tests/sim/operator.h"

#include "storage/log/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TRIES_MAX 40

/* What a seed is about. */
struct plan {
    uint64_t kill, cut, restart, fill, flip; /* once in so many steps; 0: never */
    bool any_change; /* of a directory's changes any survives a cut */
    bool bodies;     /* bits flip behind headers alone: nothing else is told then */
};

static bool
one_in(struct sim_machine *machine, uint64_t many)
{
    return sim_random_below(&machine->random, many) == 0;
}

static void
make_plan(struct sim_machine *machine, uint64_t seed, struct plan *plan)
{
    struct sim_host *host = &machine->host;
    *plan = (struct plan){.kill = 150, .cut = 80, .restart = 250};
    plan->any_change = one_in(machine, 2);
    machine->recycles = !one_in(machine, 5);
    machine->segments_max = machine->recycles ? 4 + sim_random_below(&machine->random, 6) : 60;
    host->rates = (struct sim_rates){.preempt = 10, .short_transfer = 40};
    bool odd = seed / SIM_KINDS % 2 != 0;
    switch (seed % SIM_KINDS) {
    case SIM_KIND_CRASHES:
        plan->cut = odd ? 12 : 50; /* short lives leave frames of many behind the end */
        plan->kill = 50;
        break;
    case SIM_KIND_ERRORS:
        host->rates.io_error = 400;
        host->rates.sync_error = 25;
        break;
    case SIM_KIND_ROOM:
        host->rates.io_error = 1500;
        host->rates.sync_error = 200;
        host->rates.no_space = 150;
        plan->fill = 120;
        break;
    case SIM_KIND_ROT:
        plan->flip = odd ? 40 : 10;
        plan->bodies = odd;
        break;
    default: /* SIM_KIND_LIES */
        plan->cut = odd ? 20 : 0;
        plan->kill = 40;
        host->rates.lost_write = odd ? 15 : 40;
        host->rates.misdirected_write = one_in(machine, 2) ? 150 : 0;
    }
}

/* ---- starting again ---- */

static bool
is_damaged(const struct sim_disk *disk, const char *path)
{
    int inode = sim_disk_find(disk, path);
    return inode >= 0 && sim_disk_damaged(disk, inode, 0, disk->inodes[inode].size);
}

/* May the log have refused to open? A person then brings a copy of what is damaged. Of checkpoints
 * one is enough. */
static bool
may_refuse(const struct sim_machine *machine)
{
    const struct sim_disk *disk = &machine->host.disk;
    bool no_checkpoint = is_damaged(disk, SIM_DIRECTORY "/" WEIR_LOG_CHECKPOINT_0) &&
        is_damaged(disk, SIM_DIRECTORY "/" WEIR_LOG_CHECKPOINT_1);
    return no_checkpoint || machine->model.file_damaged[SIM_FILE_SEGMENT] ||
        machine->model.file_damaged[SIM_FILE_DEFINITIONS];
}

static void
mend_all(struct sim_machine *machine)
{
    for (size_t i = 0; i < machine->host.disk.inode_count; i++)
        sim_disk_mend(&machine->host.disk, (int)i);
}

static void
power_on(struct sim_machine *machine, const struct plan *plan)
{
    sim_machine_close_reader(machine);
    if (machine->log != NULL)
        sim_machine_stop(machine);
    sim_host_power_on(&machine->host, plan->any_change);
    machine->host.full = false;
    atomic_store(&machine->shared->log_first_offset, 0); /* of another region */
}

/* The dataplane's end, whichever it was, and its next start. */
static void
start_again(struct sim_machine *machine, const struct plan *plan)
{
    struct sim_host *host = &machine->host;
    host->quiet = one_in(machine, 2);
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        if (machine->log != NULL)
            sim_machine_stop(machine);
        if (host->off)
            power_on(machine, plan);
        if (tries == TRIES_MAX / 2) {
            host->quiet = true;
            host->full = false;
            host->cut_in = machine->dataplane.kill_in = 0;
        } else if (tries < 3 && one_in(machine, 3)) {
            host->cut_in = 1 + sim_random_below(&machine->random, 40);
        }
        enum weir_err err = sim_machine_start(machine);
        if (err == WEIR_OK)
            break;
        if (err == WEIR_CORRUPT && may_refuse(machine)) {
            machine->told = true;
            mend_all(machine);
        } else if (err == WEIR_CORRUPT || err == WEIR_UNSUPPORTED ||
            (host->quiet && tries > TRIES_MAX / 2)) {
            sim_model_lost(&machine->model, weir_err_detail(), (uint64_t)err);
            break;
        }
    }
    host->cut_in = 0;
    host->quiet = false;
    if (machine->writer != NULL)
        sim_machine_check(machine);
}

/* ---- what the operator does ---- */

/* A file, the small ones as often as all segments together. */
static const char *
pick_file(struct sim_machine *machine, uint64_t small_files)
{
    static const char *const small[] = {SIM_DIRECTORY "/" WEIR_LOG_EPOCH,
        SIM_DIRECTORY "/" WEIR_LOG_CHECKPOINT_0, SIM_DIRECTORY "/" WEIR_LOG_CHECKPOINT_1,
        SIM_DIRECTORY "/" WEIR_LOG_DEFINITIONS};
    const struct sim_names *names = &machine->host.disk.names;
    uint64_t choice = sim_random_below(&machine->random, small_files + 3);
    return choice < small_files ? small[choice]
                      : names->entries[sim_random_below(&machine->random, names->count)].path;
}

/* A bit of a file, more often where it matters: heads, indexes and lists are at the front of a
 * page. */
static void
flip(struct sim_machine *machine, bool bodies)
{
    static const struct {
        uint64_t from, to; /* in the page */
    } fronts[] = {{128, 176}, {128, WEIR_IO_ALIGN}, {0, 40}, {0, 128}, {0, 256}};
    struct sim_host *host = &machine->host;
    int inode = sim_disk_find(&host->disk, pick_file(machine, bodies ? 0 : 4));
    uint64_t size = inode < 0 ? 0 : host->disk.inodes[inode].size;
    if (size == 0)
        return;
    uint64_t page = sim_random_below(&machine->random, (size - 1) / WEIR_IO_ALIGN + 1);
    size_t front = (size_t)sim_random_below(&machine->random, bodies ? 2 : 5);
    uint64_t at = page * WEIR_IO_ALIGN + fronts[front].from +
        sim_random_below(&machine->random, fronts[front].to - fronts[front].from);
    uint64_t bit = at * 8 + sim_random_below(&machine->random, 8);
    if (sim_disk_flip(&host->disk, inode, bit))
        host->damaged(host->context, SIM_FAULT_flipped_bit, inode, at, at + 1);
}

static void
operate(struct sim_machine *machine, const struct plan *plan)
{
    struct sim_host *host = &machine->host;
    struct sim_random *random = &machine->random;
    if (sim_random_once_in(random, plan->cut))
        host->cut_in = 1 + sim_random_below(random, 80);
    if (sim_random_once_in(random, plan->kill))
        machine->dataplane.kill_in = 1 + sim_random_below(random, 80);
    if (sim_random_once_in(random, plan->fill))
        host->full = !host->full;
    if (sim_random_once_in(random, plan->flip))
        flip(machine, plan->bodies);
    if (sim_random_once_in(random, 300))
        sim_machine_close_reader(machine);
    if (sim_random_once_in(random, plan->restart)) {
        host->quiet = one_in(machine, 2);
        sim_machine_stop(machine);
        start_again(machine, plan);
    }
}

static void
pass_time(struct sim_machine *machine)
{
    machine->now_ns += (int64_t)sim_random_below(&machine->random, 20000000);
    if (one_in(machine, 40))
        machine->now_ns += INT64_C(1500000000);
}

static void
next_step(struct sim_machine *machine)
{
    static const enum sim_actor actors[] = {SIM_ACTOR_REGISTRAR, SIM_ACTOR_WORKER,
        SIM_ACTOR_WORKER, SIM_ACTOR_WORKER, SIM_ACTOR_WRITER, SIM_ACTOR_WRITER, SIM_ACTOR_WRITER,
        SIM_ACTOR_WRITER, SIM_ACTOR_WRITER, SIM_ACTOR_CHECKPOINTER, SIM_ACTOR_EPOCH_KEEPER};
    if (one_in(machine, 12))
        sim_machine_step(machine, SIM_ACTOR_READER);
    else
        sim_machine_step(machine,
            actors[sim_random_below(&machine->random, sizeof actors / sizeof actors[0])]);
}

static bool
found(const struct sim_model *model)
{
    return model->verdict.lost + model->verdict.invented + model->verdict.undetected != 0;
}

uint64_t
sim_operator_run(struct sim_machine *machine, uint64_t seed, uint64_t until, bool trace,
    struct sim_table *table)
{
    struct plan plan;
    uint64_t step = 0;
    sim_machine_begin(machine, seed, table);
    make_plan(machine, seed, &plan);
    start_again(machine, &plan);
    for (; step < until && !found(&machine->model) && machine->writer != NULL; step++) {
        pass_time(machine);
        next_step(machine);
        bool closed = weir_writer_state(machine->writer) == WEIR_INGEST_IO_ERROR;
        if (machine->host.off || machine->dataplane.dead || (closed && one_in(machine, 5)))
            start_again(machine, &plan);
        else
            operate(machine, &plan);
    }
    if (trace)
        sim_host_print_trace(&machine->host);
    sim_machine_end(machine);
    return step;
}
