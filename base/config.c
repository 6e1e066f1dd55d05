#include "base/config.h"

#include "base/config_keys.h"
#include "base/event.h"

#include <sched.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define TIB (GIB * 1024)
#define SECOND_MS UINT64_C(1000)
#define DAY_MS (24 * 3600 * SECOND_MS)

/* Two frames of the largest size (2 x 8 MiB), 65,536 descriptors of 64 bytes, and air. */
#define FRAME_RING_MIN (32 * MIB)
/* The ring holds this long at rate_max; a sample takes less than this in a frame on average. */
#define FRAME_RING_SECONDS 15
#define FRAME_SAMPLE_BYTES 8
/* Labels of a collectd or Telegraf series in canonical form take 80 to 200 bytes. */
#define LABEL_BYTES_PER_SERIES 256

const char *const config_protos[] = {"influx", "graphite", "weir", NULL};
const char *const config_transports[] = {"udp", "tcp", NULL};
const char *const config_units[] = {"auto", "s", "ms", "us", "ns", NULL};
static const char *const choices[] = {"where_allowed", "on", "off", NULL};
static const char *const backends[] = {"auto", "io_uring", "sync", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

#define AT(field) offsetof(struct weir_config, field)

const struct config_key config_keys[] = {
    {"data", CONFIG_PATH, AT(data), 0, 0, NULL, "data", "DIR", "directory of everything kept"},
    {"http", CONFIG_HTTP, AT(http_address), 0, 0, NULL, "http", "ADDR:PORT",
        "HTTP API, or none"},
    {"listeners", CONFIG_LISTENERS, AT(listeners), 0, 0, NULL, NULL, NULL, NULL},
    {"ports", CONFIG_PORTS, AT(ports), 0, 0, NULL, "port", "VDEV",
        "DPDK virtual device, or none; repeatable"},
    {"dataplane.workers", CONFIG_U32, AT(workers), 0, 16, NULL, "workers", "N",
        "receiving threads; 0 decides by cores"},
    {"dataplane.cores", CONFIG_CORES, AT(cores), 0, 0, NULL, "cores", "N,N-N",
        "cores of the dataplane; none given: the last ones allowed"},
    {"dataplane.pin", CONFIG_BOOL, AT(pin), 0, 0, NULL, "pin", "true|false",
        "keep each dataplane thread on its core"},
    {"dataplane.huge_pages", CONFIG_CHOICE, AT(huge_pages), 0, 0, choices, "huge-pages",
        "where_allowed|on|off", "huge pages (--no-huge is short for off)"},
    {"dataplane.eal_memory", CONFIG_MIB, AT(eal_memory_mib), 64, 64 * KIB, NULL, "eal-memory",
        "SIZE", "memory of DPDK"},
    {"ingest.rate_max", CONFIG_U64, AT(rate_max), 1000, 100000000, NULL, "rate-max", "N",
        "samples a second the frame ring is sized for"},
    {"ingest.frame_ring", CONFIG_SIZE, AT(frame_ring_bytes), 0, TIB, NULL, "frame-ring", "SIZE",
        "recent frames in shared memory; 0 follows ingest.rate_max"},
    {"ingest.flush_interval", CONFIG_MS32, AT(flush_interval_ms), 1, 60000, NULL,
        "flush-interval", "TIME", "longest wait of a sample for its frame"},
    {"ingest.ack_interval", CONFIG_MS32, AT(ack_interval_ms), 1, 60000, NULL, "ack-interval",
        "TIME", "the same where a sender waits for an answer"},
    {"ingest.udp_buffer", CONFIG_SIZE, AT(udp_buffer_bytes), 64 * KIB, GIB, NULL, "udp-buffer",
        "SIZE", "kernel buffer of a UDP socket, as far as the kernel grants it"},
    {"ingest.tcp_connections_max", CONFIG_U32, AT(tcp_connections_max), 1, 65536, NULL,
        "tcp-connections-max", "N", "TCP connections at a time"},
    {"ingest.channels_max", CONFIG_U32, AT(channels_max), 1, 1 << 24, NULL, "channels-max", "N",
        "channels of senders of the weir protocol"},
    {"series.max", CONFIG_U64, AT(series_max), 1, UINT64_C(1) << 32, NULL, "series-max", "N",
        "series the table holds"},
    {"series.label_bytes", CONFIG_SIZE, AT(series_label_bytes), MIB, 4 * TIB, NULL,
        "series-label-bytes", "SIZE", "memory for labels; default 256 bytes a series"},
    {"log.size_max", CONFIG_SIZE, AT(log_size_max), 2 * MIB, 1024 * TIB, NULL, "log-size-max",
        "SIZE", "the log refuses beyond this size"},
    {"log.segment_size", CONFIG_SIZE, AT(log_segment_bytes), 16 * MIB, 16 * GIB, NULL,
        "log-segment-size", "SIZE", "size of one file of the log"},
    {"log.io", CONFIG_CHOICE, AT(io_backend), 0, 0, backends, "io", "auto|io_uring|sync",
        "how files are written"},
    {"retention.raw", CONFIG_MS64, AT(retention_raw_ms), 60 * SECOND_MS, 36500 * DAY_MS, NULL,
        "retention-raw", "TIME", "samples older than this are refused"},
    {"query.series_max", CONFIG_U32, AT(query_series_max), 1, UINT32_MAX, NULL,
        "query-series-max", "N", "series in one answer"},
    {"query.points_max", CONFIG_U64, AT(query_points_max), 1, UINT64_MAX, NULL,
        "query-points-max", "N", "points in one answer"},
    {"query.samples_max", CONFIG_U64, AT(query_samples_max), 1, UINT64_MAX, NULL,
        "query-samples-max", "N", "samples one query may read"},
    {"query.timeout", CONFIG_MS32, AT(query_timeout_ms), 1, 3600000, NULL, "query-timeout",
        "TIME", "longest time of one query"},
    {"log_level", CONFIG_CHOICE, AT(log_level), 0, 0, levels, "log-level",
        "debug|info|warn|error", "events below this level are not printed"},
};
const size_t config_key_count = sizeof config_keys / sizeof config_keys[0];

void
weir_config_init(struct weir_config *config)
{
    /* memset, because print -> load compares whole structs, padding included */
    memset(config, 0, sizeof *config);
    strcpy(config->data, "weir-data");
    strcpy(config->http_address, "127.0.0.1");
    config->http_port = 9880;
    config->listeners[0] = (struct weir_config_listener){.proto = WEIR_CONFIG_INFLUX,
        .transport = WEIR_CONFIG_UDP,
        .port = 8089,
        .address = "127.0.0.1"};
    config->listeners[1] = (struct weir_config_listener){.proto = WEIR_CONFIG_GRAPHITE,
        .transport = WEIR_CONFIG_TCP,
        .port = 2003,
        .address = "127.0.0.1"};
    config->listener_count = 2;
    config->huge_pages = WEIR_CONFIG_WHERE_ALLOWED;
    config->eal_memory_mib = 256;
    config->pin = true;
    config->series_max = 1000000;
    config->series_label_bytes = config->series_max * LABEL_BYTES_PER_SERIES;
    config->rate_max = 1000000;
    config->udp_buffer_bytes = 16 * MIB;
    config->channels_max = 65536;
    config->tcp_connections_max = 1024;
    config->log_size_max = 16 * GIB;
    config->log_segment_bytes = 64 * MIB;
    config->flush_interval_ms = 200;
    config->ack_interval_ms = 5;
    config->retention_raw_ms = 7 * DAY_MS;
    config->query_series_max = 10000;
    config->query_points_max = 1000000;
    config->query_samples_max = 100000000;
    config->query_timeout_ms = 10000;
    config->log_level = WEIR_INFO;
}

uint64_t
weir_config_frame_ring_bytes(const struct weir_config *config)
{
    if (config->frame_ring_bytes != 0)
        return config->frame_ring_bytes;
    uint64_t bytes = config->rate_max * FRAME_RING_SECONDS * FRAME_SAMPLE_BYTES;
    bytes = (bytes + MIB - 1) / MIB * MIB;
    return bytes < FRAME_RING_MIN ? FRAME_RING_MIN : bytes;
}

const struct config_key *
config_key_find(const char *path)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (strcmp(config_keys[i].path, path) == 0)
            return &config_keys[i];
    return NULL;
}

void
config_scale_labels(struct weir_config *config, const bool *named)
{
    const struct config_key *count = config_key_find("series.max");
    const struct config_key *bytes = config_key_find("series.label_bytes");
    if (!named[count - config_keys] || named[bytes - config_keys])
        return;
    uint64_t wanted = config->series_max * LABEL_BYTES_PER_SERIES;
    config->series_label_bytes = wanted < bytes->least ? bytes->least : wanted;
}

static enum weir_err
check_listeners(const struct weir_config *config)
{
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct weir_config_listener *a = &config->listeners[i];
        if (a->transport == WEIR_CONFIG_TCP && a->port == config->http_port &&
            strcmp(a->address, config->http_address) == 0)
            return weir_fail(WEIR_INVALID, 0, "listeners: %s port %u is the HTTP API's already",
                a->address, a->port);
        for (uint32_t j = 0; j < i; j++) {
            const struct weir_config_listener *b = &config->listeners[j];
            if (a->transport == b->transport && a->port == b->port &&
                strcmp(a->address, b->address) == 0)
                return weir_fail(WEIR_INVALID, 0, "listeners: %s %s port %u is named twice",
                    config_transports[a->transport], a->address, a->port);
        }
    }
    return WEIR_OK;
}

static enum weir_err
check_cores(const struct weir_config *config)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return WEIR_OK; /* more CPUs than cpu_set_t holds: pinning will tell */
    for (uint32_t i = 0; i < config->core_count; i++)
        if (!CPU_ISSET((size_t)config->cores[i], &allowed))
            return weir_fail(WEIR_INVALID, 0,
                "dataplane.cores: core %d is not among those this process may use (%d allowed)",
                config->cores[i], CPU_COUNT(&allowed));
    if (config->core_count > 0 && config->workers > config->core_count)
        return weir_fail(WEIR_INVALID, 0, "dataplane.workers: %u workers on %u cores",
            config->workers, config->core_count);
    return WEIR_OK;
}

enum weir_err
weir_config_check(const struct weir_config *config)
{
    if (config->data[0] == '\0')
        return weir_fail(WEIR_INVALID, 0, "data: no directory named");
    if (config->frame_ring_bytes != 0 && config->frame_ring_bytes < FRAME_RING_MIN)
        return weir_fail(WEIR_INVALID, 0, "ingest.frame_ring: %llu bytes, at least 32MiB",
            (unsigned long long)config->frame_ring_bytes);
    if (config->log_segment_bytes % 4096 != 0)
        return weir_fail(WEIR_INVALID, 0, "log.segment_size: no multiple of 4KiB");
    if (config->log_size_max < 2 * config->log_segment_bytes)
        return weir_fail(WEIR_INVALID, 0,
            "log.size_max: %llu bytes, less than two segments of %llu (log.segment_size)",
            (unsigned long long)config->log_size_max,
            (unsigned long long)config->log_segment_bytes);
    if (config->ack_interval_ms > config->flush_interval_ms)
        return weir_fail(WEIR_INVALID, 0, "ingest.ack_interval: longer than ingest.flush_interval");
    enum weir_err err = check_listeners(config);
    if (err != WEIR_OK)
        return err;
    return check_cores(config);
}
