#include "app/dataplane_parts.h"
#include "base/event.h"

#include <stdio.h>
#include <string.h>

#define MBUFS_PER_QUEUE 8192

enum weir_err
weir_dataplane_eal_open(struct weir_dataplane *dataplane)
{
    const struct weir_config *config = &dataplane->config;
    if (config->port_count == 0)
        return WEIR_OK;
    const char *vdevs[WEIR_CONFIG_PORTS_MAX];
    for (uint32_t i = 0; i < config->port_count; i++)
        vdevs[i] = config->ports[i];
    char runtime[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(runtime, sizeof runtime, "%s/run", config->data);
    struct weir_eal_options options = {.vdevs = vdevs,
        .vdev_count = config->port_count,
        .prefix = "weir", /* the runtime directory is the instance's own */
        .runtime_dir = runtime,
        .no_huge = config->huge_pages == WEIR_CONFIG_OFF,
        .memory_mib = config->eal_memory_mib,
        .core = dataplane->topology.threads[0].core};
    enum weir_err err = weir_eal_init(&options, dataplane->ethdevs, WEIR_CONFIG_PORTS_MAX,
        &dataplane->ethdev_count);
    dataplane->eal_open = err == WEIR_OK;
    return err;
}

static enum weir_err
add_port(struct weir_worker_options *worker, enum weir_err err, struct weir_port *port)
{
    if (err != WEIR_OK)
        return err;
    if (worker->port_count == WEIR_PORTS_MAX) {
        port->ops->close(port);
        return weir_fail(WEIR_LIMIT, 0, "more than %d ports for one worker", WEIR_PORTS_MAX);
    }
    worker->ports[worker->port_count++] = port;
    return WEIR_OK;
}

static struct weir_listen
listen_of(const struct weir_config_listener *listener)
{
    struct weir_listen listen = {.proto = listener->proto,
        .transport = listener->transport,
        .time_unit = listener->time_unit,
        .port = listener->port};
    snprintf(listen.address, sizeof listen.address, "%s", listener->address);
    return listen;
}

/* Each ethdev's queue for this worker. */
static enum weir_err
open_ethdevs(struct weir_dataplane *dataplane, struct weir_worker_options *worker,
    const struct weir_listen *udp, size_t udp_count)
{
    for (size_t i = 0; i < dataplane->ethdev_count; i++) {
        struct weir_ethdev_options options = {.ethdev_id = dataplane->ethdevs[i],
            .queue = 0,
            .queue_count = 1,
            .mbuf_count = MBUFS_PER_QUEUE};
        struct weir_port *port = NULL;
        enum weir_err err =
            weir_port_ethdev_open(&options, udp, udp_count, worker->counts, &port);
        err = add_port(worker, err, port);
        if (err != WEIR_OK)
            return err;
        weir_event(WEIR_INFO, "port_open", "kind=ethdev vdev=\"%s\"", dataplane->config.ports[i]);
    }
    return WEIR_OK;
}

/* Listeners are dealt to the workers in turn, but those of the weir protocol, whose state has one
 * owner; vdevs, which have one queue, go to the first. */
enum weir_err
weir_dataplane_ports_open(struct weir_dataplane *dataplane, struct weir_worker_options *worker)
{
    const struct weir_config *config = &dataplane->config;
    struct weir_listen udp[WEIR_LISTENERS_MAX];
    struct weir_listen tcp[WEIR_LISTENERS_MAX];
    size_t udp_count = 0;
    size_t tcp_count = 0;
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        struct weir_listen listen = listen_of(&config->listeners[i]);
        bool is_tcp = listen.transport == WEIR_CONFIG_TCP;
        if (!is_tcp)
            udp[udp_count++] = listen;
        uint32_t owner = listen.proto == WEIR_PROTO_WEIR ? WEIR_WIRE_WORKER
                                                         : i % dataplane->topology.worker_count;
        if (owner != worker->index)
            continue;
        if (is_tcp) {
            tcp[tcp_count++] = listen;
            continue;
        }
        struct weir_port *port = NULL;
        err = weir_port_udp_open(&listen, config->udp_buffer_bytes, worker->counts, &port);
        err = add_port(worker, err, port);
        if (err != WEIR_OK)
            return err;
    }
    if (tcp_count > 0) {
        struct weir_port *port = NULL;
        err = weir_port_tcp_open(tcp, tcp_count, config->tcp_connections_max, worker->counts,
            &port);
        err = add_port(worker, err, port);
    }
    if (err == WEIR_OK && worker->index == 0)
        err = open_ethdevs(dataplane, worker, udp, udp_count);
    if (err == WEIR_OK && worker->index == 0 && dataplane->ring_source_fd >= 0) {
        struct weir_port *port = NULL;
        err = weir_port_memory_open(dataplane->ring_source_fd, worker->counts, &port);
        err = add_port(worker, err, port);
    }
    return err;
}
