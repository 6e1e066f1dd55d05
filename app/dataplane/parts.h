/* parts: the inside of struct weir_dataplane, for app/dataplane/ only. */
#ifndef WEIR_APP_DATAPLANE_PARTS_H
#define WEIR_APP_DATAPLANE_PARTS_H

#include "app/dataplane/dataplane.h"
#include "app/dataplane_xdp.h"
#include "app/topology.h"
#include "base/memory.h"
#include "dataplane/registrar/registrar.h"
#include "dataplane/worker/worker.h"
#include "storage/log/upkeep/checkpointer.h"
#include "storage/log/upkeep/epoch_keeper.h"
#include "storage/log/writer/writer.h"

#include <pthread.h>
#include <semaphore.h>

#define WEIR_DATAPLANE_REGIONS_MAX 1024

struct weir_dataplane_region {
    void *memory;
    size_t bytes;
};

/* Each thread writes its own all the time: a cache line separates any two. */
struct weir_dataplane_counts {
    struct weir_counts counts;
    uint8_t apart[WEIR_CACHE_LINE];
};

/* The self of the topology's stages. */
struct weir_dataplane_stage {
    struct weir_dataplane *dataplane;
    uint32_t index;                            /* of its kind */
    const struct weir_dataplane_stage *beside; /* registrar: the worker in its thread, or NULL */
    uint64_t ticks;                            /* worker: of its last round */
    bool drained;                              /* worker: its last answer while stopping */
    uint8_t apart[WEIR_CACHE_LINE];            /* ticks is stored each round */
};

struct weir_dataplane_thread {
    struct weir_dataplane *dataplane;
    const struct weir_topology_thread *plan;
    struct weir_topology_stage *stages; /* plan->stage_count of them */
    pthread_t handle;
    int epoll_fd;
    _Atomic int64_t *heartbeat_ns; /* ours, in the shared region */
    uint64_t heartbeat_tsc;   /* when the next one is due */
    uint64_t live_seen;       /* of the shared region's changed configuration */
    bool polls;               /* a port without a descriptor to sleep on */
    _Atomic uint32_t drained; /* phase its stages are done with; read by the main thread */
    uint8_t apart[WEIR_CACHE_LINE]; /* drained is stored each round */
};

/* Beside the topology's threads, where log.full is recycle. */
struct weir_dataplane_checkpoint {
    char directory[WEIR_CONFIG_PATH_MAX + 16];
    struct weir_io *io;
    struct weir_checkpointer *checkpointer; /* NULL: the log refuses at log.size_max */
    pthread_t handle;
    _Atomic bool stop; /* set by the main thread */
};

/* Beside the topology's threads too. */
struct weir_dataplane_epoch {
    char directory[WEIR_CONFIG_PATH_MAX + 16];
    struct weir_io *io;
    struct weir_epoch_keeper keeper;
    pthread_t handle;
    bool started;
    sem_t stop; /* posted by the main thread */
};

struct weir_dataplane {
    struct weir_config config;
    struct weir_topology topology;
    struct weir_shared *shared;
    struct weir_io *io;
    struct weir_log *log;
    struct weir_log_recovery recovery;
    struct weir_dataplane_checkpoint checkpoint;
    struct weir_dataplane_epoch epoch;
    struct weir_hash_key *key; /* in memory of its own, which no core dump holds */
    struct weir_series *series;
    uint64_t series_found; /* in the log, by recovery */
    struct weir_channels *channels; /* of the weir protocol: worker 0 alone takes it */
    struct weir_registrar *registrar;
    struct weir_writer *writer;
    struct weir_worker *workers[WEIR_WORKERS_MAX];
    struct weir_worker_options worker_options[WEIR_WORKERS_MAX];
    struct weir_progress progress;
    struct weir_dataplane_counts writer_counts;
    struct weir_dataplane_counts registrar_counts;
    struct weir_dataplane_counts worker_counts[WEIR_WORKERS_MAX];
    int ring_source_fds[WEIR_WORKERS_MAX]; /* see struct weir_dataplane_options */
    uint32_t ring_source_count;
    int udp_fds[WEIR_CONFIG_LISTENERS_MAX]; /* see there too */
    struct weir_dataplane_xdp xdp;
    bool eal_open;
    uint16_t ethdevs[WEIR_CONFIG_PORTS_MAX];
    size_t ethdev_count;
    struct weir_dataplane_thread threads[WEIR_THREADS_MAX];
    struct weir_dataplane_stage stages[WEIR_TOPOLOGY_STAGES_MAX];
    const volatile sig_atomic_t *stop;
    _Atomic uint32_t phase; /* enum weir_dataplane_phase; set by the main thread */
    struct weir_dataplane_region regions[WEIR_DATAPLANE_REGIONS_MAX];
    uint32_t region_count;
};

/* Memory that lives as long as the dataplane. */
enum weir_err weir_dataplane_memory(struct weir_dataplane *dataplane, size_t bytes, void **out)
    WEIR_MUST_USE;

/* app/dataplane/links.c: the topology's links, with all their items in the empty rings. */
enum weir_err weir_dataplane_links_open(struct weir_dataplane *dataplane) WEIR_MUST_USE;
/* The link from one stage to another of these kinds; index: of the first stage. */
const struct weir_topology_link *weir_dataplane_link(const struct weir_dataplane *dataplane,
    enum weir_topology_kind from, uint32_t index, enum weir_topology_kind to);

/* app/dataplane/stages.c: gives the topology's stages their calls, once everything is open. */
void weir_dataplane_stages_bind(struct weir_dataplane *dataplane);

/* app/dataplane/ports.c: EAL where DPDK ports are configured, then each worker's ports. */
enum weir_err weir_dataplane_eal_open(struct weir_dataplane *dataplane) WEIR_MUST_USE;
enum weir_err weir_dataplane_ports_open(struct weir_dataplane *dataplane,
    struct weir_worker_options *worker) WEIR_MUST_USE;
/* Publishes the listeners' names for /metrics and weir rejected. */
void weir_dataplane_name_listeners(struct weir_dataplane *dataplane);

/* app/dataplane/checkpoint.c: the log is open; the thread runs from start to stop. */
enum weir_err weir_dataplane_checkpoint_open(struct weir_dataplane *dataplane,
    const char *directory) WEIR_MUST_USE;
void weir_dataplane_checkpoint_close(struct weir_dataplane *dataplane);
enum weir_err weir_dataplane_checkpoint_start(struct weir_dataplane *dataplane) WEIR_MUST_USE;
void weir_dataplane_checkpoint_stop(struct weir_dataplane *dataplane);

/* app/dataplane/epoch.c: the same. */
enum weir_err weir_dataplane_epoch_open(struct weir_dataplane *dataplane,
    const char *directory) WEIR_MUST_USE;
void weir_dataplane_epoch_close(struct weir_dataplane *dataplane);
enum weir_err weir_dataplane_epoch_start(struct weir_dataplane *dataplane) WEIR_MUST_USE;
void weir_dataplane_epoch_stop(struct weir_dataplane *dataplane);

#endif
