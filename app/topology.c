#include "app/topology.h"

#include "app/vdev.h"
#include "controlplane/api/api.h"
#include "dataplane/port/port.h"
#include "dataplane/protocol/protocol.h"
#include "dataplane/protocol/weir/aside.h"
#include "dataplane/protocol/weir/channels/channels.h"
#include "dataplane/registrar/registrar.h"
#include "dataplane/series/series.h"
#include "dataplane/worker/series_cache.h"
#include "dataplane/worker/worker.h"
#include "model/sample.h"
#include "model/shared.h"
#include "model/shares.h"
#include "storage/log/writer/writer.h"

#include <inttypes.h>
#include <sched.h>
#include <string.h>

/* Below this many cores one thread runs all stages: threads that share a core only wait for each
 * other. */
#define CORES_FOR_THREADS 4
/* One batch open, one being encoded, the rest queued: at 10 M samples/s a batch lasts 13 ms, so
 * six ride out a write stall of 60 ms before the worker stops receiving. */
#define BATCHES_WORKER 6
#define BATCHES_REGISTRAR 4
/* 8 bytes a number, and a block is a power of two: up to twice that, thrice for templates of six
 * series and more. One of a single series takes 128 bytes. */
#define TEMPLATE_BYTES_PER_SERIES 24
#define TEMPLATE_BYTES_MIN (UINT64_C(1) << 20)
/* Sources whose series are counted each for itself; further ones hold one share together. */
#define OWNERS_MAX 65536
#define MBUFS_PER_QUEUE 8192
/* A device with one queue shares the memory with no other and gets all the frames. */
#define MBUFS_ONE_QUEUE 16384

uint32_t
weir_topology_cores(int32_t *cores, uint32_t max)
{
    cpu_set_t set;
    uint32_t count = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (int32_t core = 0; core < CPU_SETSIZE && count < max; core++)
        if (CPU_ISSET(core, &set))
            cores[count++] = core;
    return count;
}

static bool
has_core(const int32_t *cores, uint32_t count, int32_t core)
{
    for (uint32_t i = 0; i < count; i++)
        if (cores[i] == core)
            return true;
    return false;
}

/* The core of the dataplane's n-th thread: as configured, else from the last core downwards: core
 * 0, the kernel's favourite, is used last. */
static int32_t
core_of(const struct weir_config *config, const int32_t *cores, uint32_t core_count, uint32_t n)
{
    if (!config->pin || core_count == 0)
        return -1;
    if (config->core_count > 0)
        return config->cores[n % config->core_count];
    return cores[core_count - 1 - n % core_count];
}

/* The stages that are added next are this thread's. */
static void
add_thread(struct weir_topology *topology, const char *name, int32_t core)
{
    struct weir_topology_thread *thread = &topology->threads[topology->thread_count++];
    snprintf(thread->name, sizeof thread->name, "%s", name);
    thread->core = core;
    thread->stage_first = topology->stage_count;
}

/* A further stage of the thread that was added last. */
static void
add_stage(
    struct weir_topology *topology, const char *name, enum weir_topology_kind kind, uint32_t index)
{
    WEIR_ASSERT(topology->stage_count < WEIR_TOPOLOGY_STAGES_MAX);
    uint32_t last = topology->thread_count - 1;
    struct weir_topology_stage *stage = &topology->stages[topology->stage_count++];
    snprintf(stage->name, sizeof stage->name, "%s", name);
    stage->kind = kind;
    stage->index = index;
    stage->thread = last;
    stage->core = topology->threads[last].core;
    topology->threads[last].stage_count++;
}

static void
plan_stages(const struct weir_config *config, const int32_t *cores, uint32_t core_count,
    struct weir_topology *topology)
{
    uint32_t usable = config->core_count > 0 ? config->core_count : core_count;
    if (usable < CORES_FOR_THREADS && config->workers <= 1) {
        topology->worker_count = 1;
        add_thread(topology, "weir-all", core_of(config, cores, core_count, 0));
        add_stage(topology, "rx-0", WEIR_TOPOLOGY_WORKER, 0);
        add_stage(topology, "registrar", WEIR_TOPOLOGY_REGISTRAR, 0);
        add_stage(topology, "log-writer", WEIR_TOPOLOGY_WRITER, 0);
        return;
    }
    uint32_t workers = config->workers > 0 ? config->workers : (usable - 2) / 2;
    if (workers < 1)
        workers = 1;
    if (workers > WEIR_WORKERS_MAX)
        workers = WEIR_WORKERS_MAX;
    topology->worker_count = workers;
    for (uint32_t i = 0; i < workers; i++) {
        char name[16];
        snprintf(name, sizeof name, "weir-rx-%u", i % 100);
        add_thread(topology, name, core_of(config, cores, core_count, i));
        add_stage(topology, name + sizeof "weir", WEIR_TOPOLOGY_WORKER, i);
    }
    add_thread(topology, "weir-registrar", core_of(config, cores, core_count, workers));
    add_stage(topology, "registrar", WEIR_TOPOLOGY_REGISTRAR, 0);
    add_thread(topology, "weir-writer", core_of(config, cores, core_count, workers + 1));
    add_stage(topology, "log-writer", WEIR_TOPOLOGY_WRITER, 0);
}

static uint32_t
stage_of(const struct weir_topology *topology, enum weir_topology_kind kind, uint32_t index)
{
    uint32_t at = 0;
    while (topology->stages[at].kind != kind || topology->stages[at].index != index)
        at++;
    return at;
}

static void
add_link(struct weir_topology *topology, const struct weir_topology_link *link)
{
    WEIR_ASSERT(topology->link_count < WEIR_TOPOLOGY_LINKS_MAX);
    topology->links[topology->link_count++] = *link;
}

static void
plan_links(struct weir_topology *topology)
{
    uint32_t registrar = stage_of(topology, WEIR_TOPOLOGY_REGISTRAR, 0);
    uint32_t writer = stage_of(topology, WEIR_TOPOLOGY_WRITER, 0);
    for (uint32_t i = 0; i < topology->worker_count; i++) {
        uint32_t worker = stage_of(topology, WEIR_TOPOLOGY_WORKER, i);
        uint64_t state_bytes = i == WEIR_WIRE_WORKER ? WEIR_BATCH_STATE_BYTES_MAX : 0;
        add_link(topology,
            &(struct weir_topology_link){.from = worker,
                .to = writer,
                .what = "batches",
                .count = BATCHES_WORKER,
                .bytes = sizeof(struct weir_batch) + state_bytes,
                .edge = WEIR_EDGE_WORKER_WRITER(i)});
        add_link(topology,
            &(struct weir_topology_link){.from = worker,
                .to = registrar,
                .what = "deferrals",
                .count = WEIR_DEFERRALS,
                .bytes = sizeof(struct weir_deferral),
                .edge = WEIR_EDGE_WORKER_REGISTRAR(i)});
    }
    add_link(topology,
        &(struct weir_topology_link){.from = registrar,
            .to = writer,
            .what = "batches",
            .count = BATCHES_REGISTRAR,
            .bytes = sizeof(struct weir_batch) + WEIR_BATCH_DEFINITIONS_MAX,
            .edge = WEIR_EDGE_REGISTRAR_WRITER});
}

/* Listeners are dealt to the workers in turn. Those of a protocol with a session all go to the one
 * that owns its state. */
static void
plan_sources(const struct weir_config *config, struct weir_topology *topology)
{
    for (uint32_t i = 0; i < config->listener_count; i++)
        topology->listener_workers[i] = weir_protocols[config->listeners[i].proto].session != NULL
            ? WEIR_WIRE_WORKER
            : i % topology->worker_count;
    for (uint32_t i = 0; i < config->port_count; i++)
        topology->port_queues[i] = weir_vdev_queues(config->ports[i]);
}

uint32_t
weir_topology_queue_mbufs(uint32_t queues)
{
    return queues == 1 ? MBUFS_ONE_QUEUE : MBUFS_PER_QUEUE;
}

/* From the process's own cores: EAL leaves the thread that calls it on one of them. */
static void
plan_checkpointer(const struct weir_config *config, const int32_t *cores, uint32_t core_count,
    struct weir_topology *topology)
{
    cpu_set_t all;
    CPU_ZERO(&all);
    for (uint32_t i = 0; i < core_count; i++)
        CPU_SET((size_t)cores[i], &all);
    cpu_set_t *left = &topology->checkpointer_cores;
    *left = all;
    for (uint32_t i = 0; i < topology->thread_count; i++)
        if (topology->threads[i].core >= 0)
            CPU_CLR((size_t)topology->threads[i].core, left);
    if (CPU_COUNT(left) == 0)
        *left = all;
    topology->checkpointer = config->log_full == WEIR_CONFIG_RECYCLE || config->keeper_enabled;
}

static void
add_region(struct weir_topology *topology, const char *what, uint64_t bytes, uint32_t count)
{
    WEIR_ASSERT(topology->region_count < WEIR_TOPOLOGY_REGIONS_MAX);
    topology->regions[topology->region_count++] =
        (struct weir_topology_region){.what = what, .bytes = bytes, .count = count};
}

static void
plan_memory(const struct weir_config *config, struct weir_topology *topology)
{
    uint64_t ring = weir_config_frame_ring_bytes(config);
    topology->frame_ring_bytes = ring;
    topology->series_cache_entries = config->series_max;
    topology->template_bytes = config->series_max * TEMPLATE_BYTES_PER_SERIES + TEMPLATE_BYTES_MIN;
    topology->owners_max =
        config->series_max < OWNERS_MAX ? (uint32_t)config->series_max : OWNERS_MAX;
    uint32_t workers = topology->worker_count;
    add_region(topology, "frame ring (shared)", ring, 1);
    add_region(topology, "counters and ledger (shared)", weir_shared_bytes(0), 1);
    add_region(topology, "series table", weir_series_footprint(config->series_max), 1);
    add_region(
        topology, "shares of the series table", weir_shares_footprint(topology->owners_max), 1);
    add_region(topology, "series cache",
        weir_series_cache_footprint(topology->series_cache_entries), workers);
    add_region(topology, "senders and templates (weir protocol)",
        weir_channels_footprint(config->channels_max, topology->template_bytes), 1);
    add_region(topology, "datagrams that wait for a definition", weir_aside_footprint(), 1);
    add_region(topology, "parsed points", sizeof(struct weir_parsed), workers + 1);
    add_region(topology, "worker", weir_worker_footprint(), workers);
    add_region(topology, "registrar", weir_registrar_footprint(), 1);
    add_region(topology, "log writer", weir_writer_footprint(), 1);
    if (config->port_count > 0)
        add_region(
            topology, "DPDK's memory, with all mbufs", (uint64_t)config->eal_memory_mib << 20, 1);
}

enum weir_err
weir_topology_plan(const struct weir_config *config, const int32_t *cores, uint32_t core_count,
    struct weir_topology *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < config->core_count; i++)
        if (!has_core(cores, core_count, config->cores[i]))
            return weir_fail(WEIR_INVALID, 0,
                "dataplane.cores: core %d is not among those this process may use",
                config->cores[i]);
    plan_stages(config, cores, core_count, out);
    plan_links(out);
    plan_sources(config, out);
    plan_checkpointer(config, cores, core_count, out);
    out->query_threads = weir_api_threads((int)core_count);
    plan_memory(config, out);
    return WEIR_OK;
}

uint64_t
weir_topology_bytes(const struct weir_topology *topology)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < topology->region_count; i++)
        total += topology->regions[i].bytes * topology->regions[i].count;
    for (uint32_t i = 0; i < topology->link_count; i++)
        total += topology->links[i].bytes * topology->links[i].count;
    return total;
}

uint32_t
weir_topology_connections(const struct weir_config *config, uint32_t worker_count, uint64_t files)
{
    uint64_t beside = WEIR_DATAPLANE_FILES + config->listener_count;
    uint64_t room = files > beside ? (files - beside) / worker_count : 0;
    if (room >= config->tcp_connections_max)
        return config->tcp_connections_max;
    return room > 0 ? (uint32_t)room : 1;
}

bool
weir_topology_doubt(
    const struct weir_topology *topology, uint64_t bytes, const char *whose, char *out, size_t size)
{
    uint64_t planned = weir_topology_bytes(topology);
    if (planned <= bytes)
        return false;
    snprintf(out, size,
        "memory: %" PRIu64 " MiB are planned, and %s %" PRIu64
        " MiB: where all is used it ends for want of memory; lower series.max and ingest.rate_max",
        planned >> 20, whose, bytes >> 20);
    return true;
}
