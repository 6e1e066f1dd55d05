/* processes: what the supervisor sees of the instance's processes, in the shared region.
 *
 * Threads: the supervisor writes about once a second, everyone reads
 * Memory:  the caller's; zero bytes are a valid empty view
 *
 * Relaxed throughout: no figure depends on another.
 */
#ifndef WEIR_MODEL_PROCESSES_H
#define WEIR_MODEL_PROCESSES_H

#include <stdatomic.h>
#include <stdint.h>

enum weir_process {
    WEIR_PROCESS_SUPERVISOR,
    WEIR_PROCESS_DATAPLANE,
    WEIR_PROCESS_CONTROLPLANE,
    WEIR_PROCESS_KEEPER,
    WEIR_PROCESS_COUNT,
};

/* Values of the label `process`. */
static const char *const weir_process_names[WEIR_PROCESS_COUNT] = {
    [WEIR_PROCESS_SUPERVISOR] = "supervisor",
    [WEIR_PROCESS_DATAPLANE] = "dataplane",
    [WEIR_PROCESS_CONTROLPLANE] = "controlplane",
    [WEIR_PROCESS_KEEPER] = "keeper",
};

struct weir_process_view {
    _Atomic uint64_t pid; /* 0: it does not run, and nothing else counts */
    _Atomic uint64_t start_ms;  /* Unix time */
    _Atomic uint64_t cpu_ms;    /* user and system, since its start */
    _Atomic uint64_t resident_bytes;
    _Atomic uint64_t virtual_bytes;
    _Atomic uint64_t threads;
    _Atomic uint64_t fds;       /* open file descriptors */
    _Atomic uint64_t fds_max;   /* it may open */
};

struct weir_processes {
    struct weir_process_view at[WEIR_PROCESS_COUNT];
};

#endif
