#include "tests/sim/operator.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TRIES_MAX 40

/* What a seed is about. */
struct plan {
    uint64_t kill, cut, restart, fill, flip; /* once in so many steps; 0: never */
    bool any_change; /* of a directory's changes any survives a cut */
};

static bool
one_in(struct sim_machine *machine, uint64_t many)
{
    return sim_random_below(&machine->random, many) == 0;
}

static void
make_plan(struct sim_machine *machine, struct plan *plan)
{
    struct sim_host *host = &machine->host;
    *plan = (struct plan){.kill = 150, .cut = 80, .restart = 250};
    plan->any_change = one_in(machine, 2);
    machine->recycles = !one_in(machine, 4);
    machine->segments_max = machine->recycles ? 4 + sim_random_below(&machine->random, 6) : 60;
    host->rates = (struct sim_rates){.preempt = 10, .short_transfer = 40};
    if (one_in(machine, 2))
        host->rates.io_error = 300 + sim_random_below(&machine->random, 1000);
    if (one_in(machine, 3)) {
        host->rates.no_space = 150;
        plan->fill = 120;
    }
    if (one_in(machine, 3)) {
        plan->flip = 20 + sim_random_below(&machine->random, 100);
        host->rates.lost_write = one_in(machine, 2) ? 200 : 0;
        host->rates.misdirected_write = one_in(machine, 2) ? 200 : 0;
    }
}

/* ---- starting again ---- */

/* May the log have refused to open? A person then brings a copy of what is damaged. */
static bool
may_refuse(const struct sim_model *model)
{
    return model->file_damaged[SIM_FILE_CHECKPOINT] || model->file_damaged[SIM_FILE_SEGMENT] ||
        model->file_damaged[SIM_FILE_DEFINITIONS];
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
        if (err == WEIR_CORRUPT && may_refuse(&machine->model)) {
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

/* A bit of a file, more often where it matters: heads are small. */
static void
flip(struct sim_machine *machine)
{
    struct sim_host *host = &machine->host;
    int inode = (int)sim_random_below(&machine->random, host->disk.inode_count);
    const char *path = sim_disk_name(&host->disk, inode);
    uint64_t size = host->disk.inodes[inode].size;
    if (path == NULL || size == 0)
        return;
    uint64_t at = sim_random_below(&machine->random, size);
    if (!one_in(machine, 3)) /* the first bytes of a page */
        at = at / WEIR_IO_ALIGN * WEIR_IO_ALIGN + sim_random_below(&machine->random, 256);
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
        flip(machine);
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
    if (one_in(machine, 15))
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
    make_plan(machine, &plan);
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
