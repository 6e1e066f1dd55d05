/* topology: every thread, core, ring and memory size of the dataplane, in one plan.
 *
 * The plan is arithmetic over the configuration and the cores there are: `weir check` prints it,
 * the dataplane carries it out (app/dataplane/dataplane.c).
 */
#ifndef WEIR_APP_TOPOLOGY_H
#define WEIR_APP_TOPOLOGY_H

#include "base/err.h"
#include "config/config.h"
#include "model/heartbeat.h"
#include "model/ledger.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define WEIR_THREADS_MAX WEIR_HEARTBEATS_MAX /* each worker, the registrar, the writer */
/* Descriptors of the dataplane beside listeners and connections: 16 of an instance of four stages;
 * the rest is for segments, checkpoints and what is written aside. */
#define WEIR_DATAPLANE_FILES 36
#define WEIR_TOPOLOGY_REGIONS_MAX 16
/* The worker of all weir listeners: a channel's state has one owner (docs/design/wire.md). */
#define WEIR_WIRE_WORKER 0

/* A thread calls its stages in turn: workers, then the registrar, then the writer. */
struct weir_topology_thread {
    char name[16];
    int32_t core; /* -1: not pinned */
    int32_t worker; /* index, -1 for none */
    bool registrar;
    bool writer;
};

/* A piece of memory taken at start. */
struct weir_topology_region {
    const char *what;
    uint64_t bytes;
    uint32_t count;
};

struct weir_topology {
    struct weir_topology_thread threads[WEIR_THREADS_MAX];
    uint32_t thread_count;
    bool checkpointer; /* one thread more, of no stage: log.full is recycle */
    cpu_set_t checkpointer_cores; /* those that no thread is pinned to; all where none is left */
    uint32_t worker_count;
    uint32_t batches_worker;    /* each of WEIR_BATCH_SAMPLES_MAX samples */
    uint32_t batches_registrar; /* with definitions */
    uint32_t deferrals_worker;     /* lines on their way to the registrar */
    uint64_t frame_ring_bytes;
    uint64_t series_cache_entries; /* a worker */
    uint64_t template_bytes;    /* of the weir protocol */
    uint32_t owners_max;        /* senders whose series are counted apart */
    struct weir_topology_region regions[WEIR_TOPOLOGY_REGIONS_MAX];
    uint32_t region_count;
};

/* cores: those this process may use, ascending. WEIR_INVALID where the configuration names a core
 * that is not among them. */
enum weir_err weir_topology_plan(const struct weir_config *config, const int32_t *cores,
    uint32_t core_count, struct weir_topology *out) WEIR_MUST_USE;

/* Cores this process may use by its affinity mask; returns their count. */
uint32_t weir_topology_cores(int32_t *cores, uint32_t max);

/* All that the dataplane takes at start, at most. */
uint64_t weir_topology_bytes(const struct weir_topology *topology);

/* TCP connections that each worker may hold: as configured, or what the limit of open files leaves
 * beside the log's, which a crowd of connections must not stop. files: that limit. */
uint32_t weir_topology_connections(const struct weir_config *config, uint32_t worker_count,
    uint64_t files);

/* Says in out what is doubtful where the plan takes more than there is; else false. whose: as in
 * struct weir_machine_memory. */
bool weir_topology_doubt(const struct weir_topology *topology, uint64_t bytes, const char *whose,
    char *out, size_t size);

/* Each line begins with prefix. */
void weir_topology_print(const struct weir_topology *topology, const char *prefix, FILE *out);

#endif
