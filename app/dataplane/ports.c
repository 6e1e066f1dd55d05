#include "app/dataplane/parts.h"
#include "base/event.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum weir_err
weir_dataplane_eal_open(struct weir_dataplane *dataplane)
{
    const struct weir_config *config = &dataplane->config;
    if (config->port_count == 0)
        return WEIR_OK;
    enum weir_err err = weir_dataplane_xdp_prepare(&dataplane->xdp, config);
    if (err != WEIR_OK)
        return err;
    const char *vdevs[WEIR_CONFIG_PORTS_MAX];
    for (uint32_t i = 0; i < config->port_count; i++)
        vdevs[i] = dataplane->xdp.vdevs[i];
    char runtime[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(runtime, sizeof runtime, "%s/run", config->data);
    struct weir_eal_options options = {.vdevs = vdevs,
        .vdev_count = config->port_count,
        .prefix = "weir", /* the runtime directory is the instance's own */
        .runtime_dir = runtime,
        .no_huge = config->huge_pages == WEIR_CONFIG_OFF,
        .memory_mib = config->eal_memory_mib,
        .core = dataplane->topology.threads[0].core};
    err = weir_eal_init(&options, dataplane->ethdevs, WEIR_CONFIG_PORTS_MAX,
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

_Static_assert(WEIR_CONFIG_UDP == 0 && WEIR_CONFIG_TCP == 1, "as port.h has transport");

static struct weir_listen
listen_of(const struct weir_config *config, const struct weir_config_listener *listener)
{
    struct weir_listen listen = {.proto = listener->proto,
        .transport = listener->transport,
        .time_unit = listener->time_unit,
        .port = listener->port,
        .v6_only = weir_config_v6_only(config, listener->transport, listener->port)};
    snprintf(listen.address, sizeof listen.address, "%s", listener->address);
    return listen;
}

/* Each ethdev's queues are dealt to the workers in turn. The first worker opens before the others,
 * and queue 0 before its others, which starts the device. */
static enum weir_err
open_ethdevs(struct weir_dataplane *dataplane, struct weir_worker_options *worker,
    const struct weir_listen *udp, size_t udp_count)
{
    for (size_t i = 0; i < dataplane->ethdev_count; i++) {
        uint16_t queues = weir_eal_queues(dataplane->ethdevs[i]);
        for (uint32_t q = 0; q < queues; q++) {
            if (weir_topology_queue_worker(&dataplane->topology, q) != worker->index)
                continue;
            struct weir_ethdev_options options = {.ethdev_id = dataplane->ethdevs[i],
                .queue = (uint16_t)q,
                .queue_count = queues,
                .mbuf_count = weir_topology_queue_mbufs(queues),
                .xdp_pins = dataplane->xdp.pins,
                .rules = &dataplane->xdp.rules};
            struct weir_port *port = NULL;
            enum weir_err err =
                weir_port_ethdev_open(&options, udp, udp_count, worker->counts, &port);
            err = add_port(worker, err, port);
            if (err != WEIR_OK)
                return err;
        }
    }
    return WEIR_OK;
}

_Static_assert(WEIR_CONFIG_LISTENERS_MAX < WEIR_REJECTED_LISTENERS, "each has a place");

void
weir_dataplane_name_listeners(struct weir_dataplane *dataplane)
{
    const struct weir_config *config = &dataplane->config;
    for (uint32_t i = 0; i < config->listener_count; i++)
        weir_config_listener_name(&config->listeners[i],
            dataplane->shared->rejected.listeners[i + 1], WEIR_REJECTED_LISTENER_NAME_MAX);
}

/* Clients that speak HTTP to a listener of lines are answered with the address of the API. */
static void
set_http_address(const struct weir_config *config, struct weir_port *port)
{
    char address[WEIR_HTTP_ADDRESS_MAX];
    bool ipv6 = strchr(config->http_address, ':') != NULL;
    if (config->http_port == 0)
        return;
    snprintf(address, sizeof address, ipv6 ? "[%s]:%u" : "%s:%u", config->http_address,
        config->http_port);
    weir_port_tcp_http(port, address);
}

static uint32_t
connections_max(const struct weir_dataplane *dataplane)
{
    struct rlimit files = {.rlim_cur = RLIM_INFINITY};
    (void)getrlimit(RLIMIT_NOFILE, &files);
    return weir_topology_connections(&dataplane->config, dataplane->topology.worker_count,
        files.rlim_cur);
}

/* The worker's share of listeners, queues and ring sources, as the topology deals them. */
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
        struct weir_listen listen = listen_of(config, &config->listeners[i]);
        listen.listener = (uint8_t)(i + 1);
        bool is_tcp = listen.transport == WEIR_CONFIG_TCP;
        if (!is_tcp) {
            listen.bound_fd = dataplane->udp_fds[udp_count];
            udp[udp_count++] = listen;
        }
        if (dataplane->topology.listener_workers[i] != worker->index)
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
        const struct weir_tcp_options options = {
            .connections_max = connections_max(dataplane),
            .idle_ms = WEIR_TCP_IDLE_MS,
            .key = worker->key,
            .trusted = weir_config_trusted(config),
            .degraded = worker->degraded};
        err = weir_port_tcp_open(tcp, tcp_count, &options, worker->counts, &port);
        if (err == WEIR_OK)
            set_http_address(config, port);
        err = add_port(worker, err, port);
    }
    if (err == WEIR_OK)
        err = open_ethdevs(dataplane, worker, udp, udp_count);
    if (err == WEIR_OK && worker->index < dataplane->ring_source_count) {
        struct weir_port *port = NULL;
        err = weir_port_memory_open(dataplane->ring_source_fds[worker->index], worker->counts,
            &port);
        err = add_port(worker, err, port);
    }
    return err;
}
