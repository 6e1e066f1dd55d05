/* topology: every stage, thread, core, link and memory size of the dataplane, in one plan.
 *
 * Stages are the steps of the pipeline. Each thread calls its own in turn; a link is the pair of
 * rings through which one stage hands items to another and gets them back.
 *
 *   listeners, ports -> rx-N --batches----------------> log-writer -> the log
 *                        |                                  ^
 *                        +---deferrals--> registrar --batches
 *
 * The plan is arithmetic over the configuration and the machine's cores: `weir check` prints it,
 * the dataplane carries it out (app/dataplane/). It runs these arrays: a stage or a link that is
 * not in them does not exist.
 */
#ifndef WEIR_APP_TOPOLOGY_H
#define WEIR_APP_TOPOLOGY_H

#include "base/err.h"
#include "base/ring.h"
#include "config/config.h"
#include "model/heartbeat.h"
#include "model/ledger.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define WEIR_THREADS_MAX WEIR_HEARTBEATS_MAX /* each worker, the registrar, the writer */
#define WEIR_TOPOLOGY_STAGES_MAX (WEIR_WORKERS_MAX + 2)
#define WEIR_TOPOLOGY_LINKS_MAX (2 * WEIR_WORKERS_MAX + 1)
/* Descriptors of the dataplane beside listeners and connections: 16 of an instance of four stages;
 * the rest is for segments, checkpoints and files that are replaced. */
#define WEIR_DATAPLANE_FILES 36
#define WEIR_TOPOLOGY_REGIONS_MAX 16
/* The worker of all weir listeners: a channel's state has one owner (docs/design/wire.md). */
#define WEIR_WIRE_WORKER 0

/* In the order of the pipeline, which is the order in which they end. */
enum weir_topology_kind {
    WEIR_TOPOLOGY_WORKER,
    WEIR_TOPOLOGY_REGISTRAR,
    WEIR_TOPOLOGY_WRITER,
    WEIR_TOPOLOGY_KINDS,
};

/* How far the shutdown is, for a stage that is called. */
struct weir_topology_round {
    bool stopping; /* nothing new is received */
    bool last;     /* the stages before this one have ended: it hands on whatever it holds */
};

/* The calls of a stage; self is the stage's. */
struct weir_topology_ops {
    /* Returns the work done, 0 when idle. */
    size_t (*run_once)(void *self, const struct weir_topology_round *round);
    /* Whether it holds nothing any more, after a round that was its last. */
    bool (*idle)(void *self);
    /* Monotonic time at which it must run again even if nothing arrives; INT64_MAX: none. */
    int64_t (*deadline_ns)(void *self, int64_t now_ns);
    /* Whether packets wait for another stage: the thread does not nap then. NULL: never. */
    bool (*waits)(void *self);
    /* The configuration has changed. NULL: it uses nothing of it. */
    void (*follow)(void *self, const struct weir_config *config);
    /* After the last round of the thread, of whatever stages. NULL: nothing to do. */
    void (*end)(void *self);
    /* The index-th descriptor that polls readable when there is work, -1 for work that has none.
     * False after the last. */
    bool (*wait_fd)(void *self, uint32_t index, int *fd);
};

struct weir_topology_stage {
    char name[16];
    enum weir_topology_kind kind;
    uint32_t index;  /* of its kind */
    uint32_t thread; /* that calls it */
    int32_t core;    /* the thread's; -1: not pinned */
    /* set by the dataplane's start; NULL in a plan that is only printed */
    const struct weir_topology_ops *ops;
    void *self;
};

/* A thread calls stages [stage_first, stage_first + stage_count) in turn. */
struct weir_topology_thread {
    char name[16];
    int32_t core; /* -1: not pinned */
    uint32_t stage_first;
    uint32_t stage_count;
};

/* Items travel full from one stage to the other, and back to be filled again: no more than count
 * of them exist, so neither ring is ever too small. */
struct weir_topology_link {
    uint32_t from, to; /* places in the stages' array */
    const char *what;
    uint32_t count;
    uint64_t bytes; /* of an item, with the memory it points at */
    uint32_t edge;  /* of the ledger, which counts the items under way */
    /* set by the dataplane's start */
    struct weir_ring *full, *empty;
};

/* A piece of memory taken at start. */
struct weir_topology_region {
    const char *what;
    uint64_t bytes;
    uint32_t count;
};

struct weir_topology {
    struct weir_topology_stage stages[WEIR_TOPOLOGY_STAGES_MAX];
    uint32_t stage_count;
    struct weir_topology_thread threads[WEIR_THREADS_MAX];
    uint32_t thread_count;
    struct weir_topology_link links[WEIR_TOPOLOGY_LINKS_MAX];
    uint32_t link_count;
    uint32_t worker_count;
    bool checkpointer; /* one thread more, of no stage: log.full is recycle */
    cpu_set_t checkpointer_cores; /* those that no thread is pinned to; all where none is left */
    uint32_t query_threads;       /* of the control plane */
    /* the worker that owns each listener; a DPDK port's queues are dealt by
     * weir_topology_queue_worker */
    uint32_t listener_workers[WEIR_CONFIG_LISTENERS_MAX];
    uint32_t port_queues[WEIR_CONFIG_PORTS_MAX];
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

/* The worker that receives from a queue of a DPDK port. */
static inline uint32_t
weir_topology_queue_worker(const struct weir_topology *topology, uint32_t queue)
{
    return queue % topology->worker_count;
}

/* Mbufs of each queue of a DPDK port that has so many. */
uint32_t weir_topology_queue_mbufs(uint32_t queues);

/* All memory of the dataplane's start, at most. */
uint64_t weir_topology_bytes(const struct weir_topology *topology);

/* TCP connections that each worker may hold: as configured, or fewer if the limit of open files,
 * without the log's, allows fewer: a crowd of connections must not stop the log. files: that
 * limit. */
uint32_t weir_topology_connections(const struct weir_config *config, uint32_t worker_count,
    uint64_t files);

/* True if the plan needs more memory than there is; out is then the warning. whose: as in struct
 * weir_machine_memory. */
bool weir_topology_doubt(const struct weir_topology *topology, uint64_t bytes, const char *whose,
    char *out, size_t size);

/* The whole plan for a reader; each line begins with prefix. config: the one it was made from. */
void weir_topology_print(const struct weir_topology *topology, const struct weir_config *config,
    const char *prefix, FILE *out);

#endif
