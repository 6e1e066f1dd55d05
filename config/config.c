#include "config/config.h"

#include "base/event.h"
#include "config/keys.h"

#include <sched.h>
#include <stdarg.h>
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

const char *const config_protos[] = {
#define WEIR_PROTOCOL(NAME, name) #name,
#include "model/protocols.def"
    NULL};
const char *const config_transports[] = {
    [WEIR_CONFIG_UDP] = "udp", [WEIR_CONFIG_TCP] = "tcp", NULL};
const char *const config_units[] = {[WEIR_TIME_AUTO] = "auto",
    [WEIR_TIME_S] = "s",
    [WEIR_TIME_MS] = "ms",
    [WEIR_TIME_US] = "us",
    [WEIR_TIME_NS] = "ns",
    NULL};
static const char *const choices[] = {[WEIR_CONFIG_WHERE_ALLOWED] = "where_allowed",
    [WEIR_CONFIG_ON] = "on",
    [WEIR_CONFIG_OFF] = "off",
    NULL};
static const char *const fulls[] = {[WEIR_CONFIG_REFUSE] = "refuse",
    [WEIR_CONFIG_RECYCLE] = "recycle",
    NULL};
static const char *const backends[] = {"auto", "io_uring", "sync", NULL};
static const char *const levels[] = {[WEIR_LEVEL_DEBUG] = "debug",
    [WEIR_LEVEL_INFO] = "info",
    [WEIR_LEVEL_WARN] = "warn",
    [WEIR_LEVEL_ERROR] = "error",
    NULL};

#define AT(field) offsetof(struct weir_config, field)

const struct config_key config_keys[] = {
    {"data", CONFIG_PATH, AT(data), 0, 0, NULL, "data", "DIR", "directory of everything kept"},
    {"http.address", CONFIG_HTTP, AT(http_address), 0, 0, NULL, "http", "ADDR:PORT",
        "HTTP API, or none"},
    {"http.hosts", CONFIG_HOSTS, AT(http_hosts), 0, 0, NULL, "http-hosts", "NAME,NAME",
        "names by which HTTP requests may ask for this machine"},
    {"http.cors", CONFIG_ORIGINS, AT(http_cors), 0, 0, NULL, "http-cors", "ORIGIN,ORIGIN",
        "web origins whose pages may read answers, or none"},
    {"http.answers_max", CONFIG_SIZE, AT(http_answers_max), MIB, TIB, NULL, "http-answers-max",
        "SIZE", "memory for HTTP answers that clients have not read yet"},
    {"listeners", CONFIG_LISTENERS, AT(listeners), 0, 0, NULL, NULL, NULL, NULL},
    {"ipv6_only", CONFIG_BOOL, AT(ipv6_only), 0, 0, NULL, "ipv6-only", "true|false",
        "[::] takes IPv6 alone, no IPv4"},
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
    {"dataplane.prefault", CONFIG_BOOL, AT(prefault), 0, 0, NULL, "prefault", "true|false",
        "take tables and frame ring at start, not when first used"},
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
    {"ingest.trusted_sources", CONFIG_SOURCES, AT(trusted_sources), 0, 0, NULL, "trusted-sources",
        "NET,NET", "senders that no share of a table bounds, or none"},
    {"ingest.keep_rejected", CONFIG_BOOL, AT(keep_rejected), 0, 0, NULL, "keep-rejected",
        "true|false", "keep the last refused lines, for weir rejected"},
    {"series.max", CONFIG_U64, AT(series_max), 1, UINT64_C(1) << 32, NULL, "series-max", "N",
        "series the table holds"},
    {"series.label_bytes", CONFIG_GONE, AT(series_label_bytes), 0, 4 * TIB, NULL,
        "series-label-bytes", "SIZE", NULL},
    {"log.size_max", CONFIG_SIZE, AT(log_size_max), 2 * MIB, 1024 * TIB, NULL, "log-size-max",
        "SIZE", "disk space of the log"},
    {"log.full", CONFIG_CHOICE, AT(log_full), 0, 0, fulls, "log-full", "refuse|recycle",
        "what happens at log.size_max: refuse samples, or recycle the oldest"},
    {"log.segment_size", CONFIG_SIZE, AT(log_segment_bytes), 16 * MIB, 16 * GIB, NULL,
        "log-segment-size", "SIZE", "size of one file of the log"},
    {"log.io", CONFIG_CHOICE, AT(io_backend), 0, 0, backends, "io", "auto|io_uring|sync",
        "how files are written"},
    {"keeper.enabled", CONFIG_BOOL, AT(keeper_enabled), 0, 0, NULL, "keeper", "true|false",
        "merge the log into compressed parts"},
    {"keeper.memory", CONFIG_SIZE, AT(keeper_memory_bytes), 64 * MIB, 64 * GIB, NULL,
        "keeper-memory", "SIZE", "memory of the keeper, taken at its start"},
    {"keeper.merge_interval", CONFIG_MS32, AT(keeper_merge_interval_ms), 100, 3600000, NULL,
        "keeper-merge-interval", "TIME", "longest wait of a frame to be merged"},
    {"retention.raw", CONFIG_MS64, AT(retention_raw_ms), 60 * SECOND_MS, 36500 * DAY_MS, NULL,
        "retention-raw", "TIME", "samples older than this are refused"},
    {"query.series_max", CONFIG_U32, AT(query_series_max), 1, UINT32_MAX, NULL,
        "query-series-max", "N", "series in one answer"},
    {"query.points_max", CONFIG_U64, AT(query_points_max), 1, UINT64_MAX, NULL,
        "query-points-max", "N", "points in one answer"},
    {"query.samples_max", CONFIG_U64, AT(query_samples_max), 1, UINT64_MAX, NULL,
        "query-samples-max", "N", "samples one query may read"},
    {"query.memory_max", CONFIG_SIZE, AT(query_memory_bytes), 16 * MIB, TIB, NULL,
        "query-memory-max", "SIZE", "memory of one PromQL query"},
    {"query.timeout", CONFIG_MS32, AT(query_timeout_ms), 1, 3600000, NULL, "query-timeout",
        "TIME", "longest time of one query"},
    {"api.admin", CONFIG_BOOL, AT(api_admin), 0, 0, NULL, "api-admin", "true|false",
        "let other machines read refused lines, and forget senders"},
    {"log_level", CONFIG_CHOICE, AT(log_level), 0, 0, levels, "log-level",
        "debug|info|warn|error", "events below this level are not printed"},
};
const size_t config_key_count = sizeof config_keys / sizeof config_keys[0];
_Static_assert(sizeof config_keys / sizeof config_keys[0] <= WEIR_CONFIG_KEYS_MAX,
    "a line for every key");

void
weir_config_init(struct weir_config *config)
{
    /* memset, because print -> load compares whole structs, padding included */
    memset(config, 0, sizeof *config);
    strcpy(config->data, "weir-data");
    strcpy(config->http_address, "127.0.0.1");
    config->http_port = 9880;
    config->http_answers_max = 64 * MIB;
    config->listeners[0] = (struct weir_config_listener){.proto = WEIR_PROTO_INFLUX,
        .transport = WEIR_CONFIG_UDP,
        .port = 8089,
        .address = "127.0.0.1"};
    config->listeners[1] = (struct weir_config_listener){.proto = WEIR_PROTO_GRAPHITE,
        .transport = WEIR_CONFIG_TCP,
        .port = 2003,
        .address = "127.0.0.1"};
    config->listener_count = 2;
    config->huge_pages = WEIR_CONFIG_WHERE_ALLOWED;
    config->eal_memory_mib = 256;
    config->pin = true;
    config->series_max = 1000000;
    config->rate_max = 1000000;
    config->udp_buffer_bytes = 16 * MIB;
    config->channels_max = 65536;
    config->keep_rejected = true;
    config->tcp_connections_max = 1024;
    config->trusted_source_count = weir_prefixes_loopback.count;
    memcpy(config->trusted_sources, weir_prefixes_loopback.list,
        weir_prefixes_loopback.count * sizeof config->trusted_sources[0]);
    config->log_size_max = 16 * GIB;
    config->log_segment_bytes = 64 * MIB;
    config->flush_interval_ms = 200;
    config->keeper_memory_bytes = 512 * MIB;
    config->keeper_merge_interval_ms = 64000;
    config->ack_interval_ms = 5;
    config->retention_raw_ms = 7 * DAY_MS;
    config->query_series_max = 10000;
    config->query_points_max = 2000000;
    config->query_samples_max = 500000000;
    config->query_memory_bytes = 512 * MIB;
    config->query_timeout_ms = 30000;
    config->log_level = WEIR_LEVEL_INFO;
}

struct weir_prefixes
weir_config_trusted(const struct weir_config *config)
{
    return (struct weir_prefixes){config->trusted_sources, config->trusted_source_count};
}

static bool
is_v4(const char *address)
{
    return address[0] != '\0' && strchr(address, ':') == NULL;
}

bool
weir_config_v6_only(const struct weir_config *config, enum weir_config_transport transport,
    uint16_t port)
{
    if (config->ipv6_only)
        return true;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct weir_config_listener *listener = &config->listeners[i];
        if (listener->transport == transport && listener->port == port && is_v4(listener->address))
            return true;
    }
    return transport == WEIR_CONFIG_TCP && config->http_port == port &&
           is_v4(config->http_address);
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
config_key_came_from(struct weir_config *config, const struct config_key *key, uint32_t line)
{
    config->origin.key_lines[key - config_keys] = line;
}

static uint32_t
key_line(const struct weir_config *config, const char *path)
{
    return config->origin.key_lines[config_key_find(path) - config_keys];
}

static enum weir_err fail_place(const struct weir_config *config, uint32_t line, const char *path,
    const char *option, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Refuses with the place in front: FILE:LINE and key, the option, or the key alone. */
static enum weir_err
fail_place(const struct weir_config *config, uint32_t line, const char *path, const char *option,
    const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (line == WEIR_CONFIG_LINE_OPTION)
        return weir_fail(WEIR_INVALID, 0, "--%s: %s", option, text);
    if (line != 0)
        return weir_fail(WEIR_INVALID, 0, "%s:%u: %s: %s", config->origin.file, line, path, text);
    return weir_fail(WEIR_INVALID, 0, "%s: %s", path, text);
}

enum weir_err
config_mistake(const struct weir_config *config, enum weir_err err)
{
    struct weir_config_mistakes *mistakes = config->origin.mistakes;
    if (err != WEIR_INVALID || mistakes == NULL)
        return err;
    mistakes->say(weir_err_detail());
    mistakes->count++;
    return WEIR_OK;
}

enum weir_err
config_mistakes_end(const struct weir_config *config)
{
    const struct weir_config_mistakes *mistakes = config->origin.mistakes;
    if (mistakes == NULL || mistakes->count == 0)
        return WEIR_OK;
    return weir_fail(WEIR_INVALID, 0, "%u mistake%s", mistakes->count,
        mistakes->count == 1 ? "" : "s");
}

#define FAIL_KEY(config, path, ...)                                                             \
    fail_place(config, key_line(config, path), path, config_key_find(path)->option, __VA_ARGS__)

/* If two values do not fit each other, the one named is the one that overrides the other: options
 * override the file, and the file the defaults. */
static int
rank(uint32_t line)
{
    return line == WEIR_CONFIG_LINE_OPTION ? 2 : line != 0;
}

static const char *
stands_over(const struct weir_config *config, const char *first, const char *second)
{
    bool by_second = rank(key_line(config, second)) > rank(key_line(config, first));
    return by_second ? second : first;
}

static enum weir_err
fail_listener(const struct weir_config *config, uint32_t number, const char *what)
{
    const struct weir_config_listener *listener = &config->listeners[number];
    const char *proto = config_protos[listener->proto];
    const char *transport = config_transports[listener->transport];
    char option[32];
    snprintf(option, sizeof option, "%s-%s", proto, transport);
    return fail_place(config, config->origin.listener_lines[number], "listeners", option,
        "%s %s port %u is %s", transport, listener->address, listener->port, what);
}

static enum weir_err
check_listeners(const struct weir_config *config)
{
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct weir_config_listener *a = &config->listeners[i];
        if (a->transport == WEIR_CONFIG_TCP && a->port == config->http_port &&
            strcmp(a->address, config->http_address) == 0) {
            if (rank(config->origin.listener_lines[i]) >= rank(key_line(config, "http.address")))
                return fail_listener(config, i, "the HTTP API's already");
            return FAIL_KEY(config, "http.address", "%s port %u is a listener's already",
                a->address, a->port);
        }
        for (uint32_t j = 0; j < i; j++) {
            const struct weir_config_listener *b = &config->listeners[j];
            if (a->transport == b->transport && a->port == b->port &&
                strcmp(a->address, b->address) == 0)
                return fail_listener(config, i, "named twice");
        }
    }
    return WEIR_OK;
}

static enum weir_err
check_ports(const struct weir_config *config)
{
    for (uint32_t i = 0; i < config->port_count; i++)
        if (strncmp(config->ports[i], "net_", 4) != 0)
            return fail_place(config, config->origin.port_lines[i], "ports", "port",
                "'%s' is no DPDK virtual device; they begin with net_, like "
                "net_af_packet0,iface=eth1", config->ports[i]);
    return WEIR_OK;
}

static enum weir_err
check_cores(const struct weir_config *config)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return WEIR_OK; /* more CPUs than cpu_set_t holds: pinning will report it */
    for (uint32_t i = 0; i < config->core_count; i++)
        if (!CPU_ISSET((size_t)config->cores[i], &allowed))
            return FAIL_KEY(config, "dataplane.cores",
                "core %d is not among those this process may use (%d allowed)",
                config->cores[i], CPU_COUNT(&allowed));
    if (config->core_count > 0 && config->workers > config->core_count)
        return FAIL_KEY(config, stands_over(config, "dataplane.workers", "dataplane.cores"),
            "%u workers on %u cores", config->workers, config->core_count);
    return WEIR_OK;
}

static enum weir_err
check_ring(const struct weir_config *config)
{
    if (config->frame_ring_bytes != 0 && config->frame_ring_bytes < FRAME_RING_MIN)
        return FAIL_KEY(config, "ingest.frame_ring", "%llu bytes, at least 32MiB",
            (unsigned long long)config->frame_ring_bytes);
    return WEIR_OK;
}

static enum weir_err
check_log(const struct weir_config *config)
{
    if (config->log_segment_bytes % 4096 != 0)
        return FAIL_KEY(config, "log.segment_size", "no multiple of 4KiB");
    if (config->log_size_max < 2 * config->log_segment_bytes)
        return FAIL_KEY(config, stands_over(config, "log.size_max", "log.segment_size"),
            "log.size_max of %llu bytes is less than two times log.segment_size of %llu",
            (unsigned long long)config->log_size_max,
            (unsigned long long)config->log_segment_bytes);
    if (config->keeper_enabled && config->log_size_max < 4 * config->log_segment_bytes)
        return FAIL_KEY(config,
            stands_over(config, "keeper.enabled",
                stands_over(config, "log.size_max", "log.segment_size")),
            "the keeper needs a log.size_max of four times log.segment_size (%llu bytes)",
            (unsigned long long)config->log_segment_bytes);
    if (config->log_full == WEIR_CONFIG_RECYCLE &&
        config->log_size_max < 4 * config->log_segment_bytes)
        return FAIL_KEY(config,
            stands_over(config, "log.full",
                stands_over(config, "log.size_max", "log.segment_size")),
            "recycle needs a log.size_max of four times log.segment_size (%llu bytes)",
            (unsigned long long)config->log_segment_bytes);
    return WEIR_OK;
}

static enum weir_err
check_intervals(const struct weir_config *config)
{
    if (config->ack_interval_ms > config->flush_interval_ms)
        return FAIL_KEY(config, stands_over(config, "ingest.ack_interval", "ingest.flush_interval"),
            "ingest.ack_interval is longer than ingest.flush_interval");
    return WEIR_OK;
}

static enum weir_err
check_data(const struct weir_config *config)
{
    return config->data[0] == '\0' ? FAIL_KEY(config, "data", "no directory named") : WEIR_OK;
}

enum weir_err
weir_config_check(const struct weir_config *config)
{
    static enum weir_err (*const checks[])(const struct weir_config *) = {check_data, check_ring,
        check_log, check_intervals, check_listeners, check_ports, check_cores};
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        enum weir_err err = config_mistake(config, checks[i](config));
        if (err != WEIR_OK)
            return err;
    }
    return config_mistakes_end(config);
}

const char *
weir_config_doubt(const struct weir_config *config)
{
    uint32_t udp = 0;
    for (uint32_t i = 0; i < config->listener_count; i++)
        udp += config->listeners[i].transport == WEIR_CONFIG_UDP;
    if (config->listener_count == 0)
        return "listeners: there is none, so nothing is received";
    if (config->port_count > 0 && udp == 0)
        return "ports: they take packets to the UDP listeners, and there is none";
    return NULL;
}
