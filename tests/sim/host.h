/* sim_host: the simulated machine's kernel: processes, their open files, and a back end of
 * storage/io over a sim_disk. Each primitive may meet a fault.
 *
 * A dead process, and every one once the power is off, gets EIO from each primitive, and nothing is
 * done any more: its objects unwind as they do after an error, and are freed.
 *
 * Threads: one
 */
#ifndef WEIR_TESTS_SIM_HOST_H
#define WEIR_TESTS_SIM_HOST_H

#include "storage/io/backend.h"
#include "tests/sim/disk.h"

#define SIM_HANDLES_MAX 128
#define SIM_PORTS_MAX 16
#define SIM_TRACE_MAX 100

struct sim_process {
    const char *name;
    bool dead;
    uint64_t kill_in; /* primitives until it is killed; 0: never */
};

/* How often a fault is met: once in so many operations that can meet it; 0: never. */
struct sim_rates {
    uint64_t io_error, sync_error, no_space, short_transfer, lost_write, misdirected_write, preempt;
};

struct sim_host {
    struct sim_random *random;
    struct sim_disk disk;
    struct sim_table *table;
    struct sim_rates rates;
    bool quiet; /* no fault but cut and kill */
    bool silent; /* the simulator itself looks: no operation counts, and nobody else has a step */
    bool truth;  /* reads show what is below the damage */
    bool full;  /* the device has no room left */
    bool off;
    uint64_t cut_in; /* primitives until the power goes; 0: never */
    struct {
        int inode; /* -1: free */
        struct sim_process *process;
    } handles[SIM_HANDLES_MAX];
    struct weir_io *ports[SIM_PORTS_MAX];
    /* Runs between two primitives of a process: others may do their steps there. */
    void (*preempt)(void *context, const struct sim_process *process);
    /* Bytes of a file are not what was written from now on. */
    void (*damaged)(void *context, enum sim_fault fault, int inode, uint64_t from, uint64_t to);
    void *context;
    uint64_t primitives;
    struct {
        const char *process;
        enum sim_operation operation;
        char text[64];
    } trace[SIM_TRACE_MAX];
};

void sim_host_init(struct sim_host *host, struct sim_random *random, struct sim_table *table);
void sim_host_fini(struct sim_host *host);
/* An io for one thread of a process. */
struct weir_io *sim_host_io(struct sim_host *host, struct sim_process *process);
/* Ends a process at once: what it has in flight is done by the kernel. */
void sim_host_kill(struct sim_host *host, struct sim_process *process);
/* The power goes now, and comes again: all processes are dead by then and have freed their io. */
void sim_host_power_off(struct sim_host *host);
void sim_host_power_on(struct sim_host *host, bool any);
void sim_host_print_trace(const struct sim_host *host);

#endif
