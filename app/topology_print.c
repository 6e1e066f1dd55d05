/* The plan as a text. */
#include "app/topology.h"
#include "base/escape.h"
#include "dataplane/port/port.h"

#include <inttypes.h>
#include <string.h>

static void
print_thread(const char *prefix, const char *name, int32_t core, FILE *out)
{
    char text[16] = "any";
    if (core >= 0)
        snprintf(text, sizeof text, "%d", core);
    fprintf(out, "%s  %-18s core %-4s", prefix, name, text);
}

static void
print_threads(const struct weir_topology *topology, const char *prefix, FILE *out)
{
    fprintf(out, "%sthreads of the dataplane, and the stages that each calls in turn\n", prefix);
    for (uint32_t i = 0; i < topology->thread_count; i++) {
        const struct weir_topology_thread *thread = &topology->threads[i];
        print_thread(prefix, thread->name, thread->core, out);
        for (uint32_t s = 0; s < thread->stage_count; s++)
            fprintf(out, " %s", topology->stages[thread->stage_first + s].name);
        fprintf(out, "\n");
    }
    print_thread(prefix, "weir-epoch", -1, out);
    fprintf(out, " no stage: the log's epoch file\n");
    if (topology->checkpointer) {
        print_thread(prefix, "weir-checkpoint", -1, out);
        fprintf(out, " no stage: checkpoints; at log.size_max the oldest samples go\n");
    }
    fprintf(out, "%sthreads of the control plane\n", prefix);
    print_thread(prefix, "weir-controlplane", -1, out);
    fprintf(out, " HTTP\n");
    for (uint32_t i = 0; i < topology->query_threads; i++) {
        char name[16];
        snprintf(name, sizeof name, "weir-query-%u", i % 100);
        print_thread(prefix, name, -1, out);
        fprintf(out, " queries\n");
    }
}

static void
print_links(const struct weir_topology *topology, const char *prefix, FILE *out)
{
    fprintf(out, "%slinks (a ring there and a ring back)\n", prefix);
    for (uint32_t i = 0; i < topology->link_count; i++) {
        const struct weir_topology_link *link = &topology->links[i];
        fprintf(out, "%s  %-10s -> %-10s %4u %-9s x %8" PRIu64 " bytes\n", prefix,
            topology->stages[link->from].name, topology->stages[link->to].name, link->count,
            link->what, link->bytes);
    }
}

static void
print_sources(const struct weir_topology *topology, const struct weir_config *config,
    const char *prefix, FILE *out)
{
    fprintf(out, "%slisteners, and the stage that receives from each\n", prefix);
    for (uint32_t i = 0; i < config->listener_count; i++) {
        char name[128];
        weir_config_listener_name(&config->listeners[i], name, sizeof name);
        fprintf(out, "%s  %-44s rx-%u\n", prefix, name, topology->listener_workers[i]);
    }
    for (uint32_t i = 0; i < config->port_count; i++) {
        uint32_t queues = topology->port_queues[i];
        fprintf(out, "%sDPDK port ", prefix);
        weir_escape_print(WEIR_ESCAPE_TERMINAL, config->ports[i], strlen(config->ports[i]), out);
        fprintf(out, "\n");
        for (uint32_t q = 0; q < queues; q++)
            fprintf(out, "%s  queue %-3u rx-%-3u %6u mbufs x %u bytes, in DPDK's memory\n", prefix,
                q, weir_topology_queue_worker(topology, q), weir_topology_queue_mbufs(queues),
                WEIR_MBUF_BYTES_MAX);
    }
}

static void
print_memory(const struct weir_topology *topology, const char *prefix, FILE *out)
{
    uint64_t links = 0;
    for (uint32_t i = 0; i < topology->link_count; i++)
        links += topology->links[i].bytes * topology->links[i].count;
    fprintf(out, "%smemory (a page is used once it is written)\n", prefix);
    for (uint32_t i = 0; i < topology->region_count; i++) {
        const struct weir_topology_region *region = &topology->regions[i];
        fprintf(out, "%s  %-36s %12" PRIu64 " bytes x %u\n", prefix, region->what, region->bytes,
            region->count);
    }
    fprintf(out, "%s  %-36s %12" PRIu64 " bytes\n", prefix, "items of the links", links);
    fprintf(out, "%s  %-36s %12" PRIu64 " bytes\n", prefix, "all", weir_topology_bytes(topology));
}

void
weir_topology_print(const struct weir_topology *topology, const struct weir_config *config,
    const char *prefix, FILE *out)
{
    print_threads(topology, prefix, out);
    print_links(topology, prefix, out);
    print_sources(topology, config, prefix, out);
    print_memory(topology, prefix, out);
}
