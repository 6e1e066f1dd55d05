/* config: the settings of an instance, from weir.yaml and the command line.
 *
 * Threads: read only after load
 * Memory:  one struct of fixed size
 * Errors:  WEIR_INVALID; the detail names file, line and key, or the option
 */
#ifndef WEIR_CONFIG_CONFIG_H
#define WEIR_CONFIG_CONFIG_H

#include "base/err.h"
#include "model/packet.h"
#include "model/peer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define WEIR_CONFIG_LISTENERS_MAX 32
#define WEIR_CONFIG_PORTS_MAX 8
#define WEIR_CONFIG_SOURCES_MAX 64
#define WEIR_CONFIG_PATH_MAX 1024
#define WEIR_CONFIG_HOSTS_MAX 16
#define WEIR_CONFIG_HOST_SIZE 256 /* a DNS name is shorter */

enum weir_config_transport { WEIR_CONFIG_UDP, WEIR_CONFIG_TCP };
enum weir_config_full { WEIR_CONFIG_REFUSE, WEIR_CONFIG_RECYCLE };
enum weir_config_choice { WEIR_CONFIG_WHERE_ALLOWED, WEIR_CONFIG_ON, WEIR_CONFIG_OFF };

struct weir_config_listener {
    uint8_t proto;     /* enum weir_proto */
    uint8_t transport; /* enum weir_config_transport */
    uint8_t time_unit; /* enum weir_time_unit */
    uint16_t port;
    char address[64]; /* numeric; IPv6 without brackets */
};

/* The sources of the values, for the errors of weir_config_check. */
#define WEIR_CONFIG_KEYS_MAX 64
#define WEIR_CONFIG_LINE_OPTION UINT32_MAX /* the command line; 0: the defaults */
struct weir_config_mistakes {
    void (*say)(const char *text); /* each one, with its place */
    unsigned count;
};
struct weir_config_origin {
    struct weir_config_mistakes *mistakes; /* borrowed; NULL: the first mistake ends the loading */
    char file[WEIR_CONFIG_PATH_MAX];             /* that lines are of */
    uint32_t key_lines[WEIR_CONFIG_KEYS_MAX];    /* by place in config_keys */
    uint32_t listener_lines[WEIR_CONFIG_LISTENERS_MAX];
    uint32_t port_lines[WEIR_CONFIG_PORTS_MAX];
};

struct weir_config {
    char data[WEIR_CONFIG_PATH_MAX];
    char http_address[64];
    uint16_t http_port; /* 0: no HTTP */
    char http_hosts[WEIR_CONFIG_HOSTS_MAX][WEIR_CONFIG_HOST_SIZE]; /* controlplane/http/host.h */
    uint32_t http_host_count;
    char http_cors[WEIR_CONFIG_HOSTS_MAX][WEIR_CONFIG_HOST_SIZE]; /* origins */
    uint32_t http_cors_count;
    uint64_t http_answers_max; /* bytes */
    struct weir_config_listener listeners[WEIR_CONFIG_LISTENERS_MAX];
    uint32_t listener_count;
    bool ipv6_only; /* [::] takes no IPv4 */
    char ports[WEIR_CONFIG_PORTS_MAX][256]; /* DPDK vdev strings; none: count 0 */
    uint32_t port_count;
    uint8_t huge_pages;          /* enum weir_config_choice */
    bool prefault;               /* take tables and frame ring at start */
    uint32_t eal_memory_mib;
    uint32_t workers;            /* RX workers; 0 = 1 below four cores, else (cores - 2) / 2 */
    int32_t cores[16];           /* dataplane's cores */
    uint32_t core_count;         /* 0 = the last core(s) allowed */
    bool pin;
    uint64_t series_max;
    uint64_t series_label_bytes; /* gone: taken for one release, without effect */
    uint64_t rate_max;           /* ingest.rate_max: samples a second the frame ring is sized for */
    uint64_t frame_ring_bytes;   /* 0 = from rate_max: weir_config_frame_ring_bytes() */
    uint64_t udp_buffer_bytes;
    uint32_t tcp_connections_max;
    uint32_t channels_max;       /* of senders of the weir protocol */
    struct weir_prefix trusted_sources[WEIR_CONFIG_SOURCES_MAX]; /* no share bounds them */
    uint32_t trusted_source_count;
    bool keep_rejected;          /* the last refused lines, not counts alone */
    uint64_t log_size_max;
    bool keeper_enabled;
    uint64_t keeper_memory_bytes;
    uint8_t log_full;            /* enum weir_config_full: refuse or recycle at log_size_max */
    uint64_t log_segment_bytes;
    uint32_t flush_interval_ms;
    uint32_t keeper_merge_interval_ms;
    uint32_t ack_interval_ms;
    uint8_t io_backend;          /* 0 auto, 1 io_uring, 2 sync: as enum weir_io_backend */
    uint64_t retention_raw_ms;
    /* query limits of the control plane */
    uint32_t query_series_max;
    uint64_t query_points_max;
    uint64_t query_samples_max;
    uint64_t query_memory_bytes;
    uint32_t query_timeout_ms;
    bool api_admin;              /* other machines may read refused lines and forget senders */
    uint8_t log_level;           /* enum weir_level */
    struct weir_config_origin origin; /* last: not a part of the configuration */
};

/* The embedded defaults. */
void weir_config_init(struct weir_config *config);

/* Reads a YAML file over config. Unknown keys, wrong types and bad values are errors. If
 * origin.mistakes is set they are reported and counted instead, except that a file which is no YAML
 * is an error. */
enum weir_err weir_config_load(struct weir_config *config, const char *path) WEIR_MUST_USE;

/* Applies command-line options (--data DIR, --http ADDR:PORT, --influx-udp ADDR:PORT, ...; --config
 * is loaded first, at whatever place it is). Naming any listener replaces all defaults. argv[0] is
 * the first option. WEIR_INVALID names the option, or follows from counted mistakes. */
enum weir_err weir_config_arguments(struct weir_config *config, int argc, char **argv)
    WEIR_MUST_USE;
/* The options' help, one line each. */
void weir_config_usage(FILE *out);

/* Checks values against each other (ports in use twice, ring below its minimum, cores there are).
 * The detail names the file and line, or the option, of the value. */
enum weir_err weir_config_check(const struct weir_config *config) WEIR_MUST_USE;
/* A doubt about a checked configuration: it is valid, but hardly meant. NULL if there is none. */
const char *weir_config_doubt(const struct weir_config *config);

/* "influx-udp 127.0.0.1:8089" */
void weir_config_listener_name(const struct weir_config_listener *listener, char *out, size_t size);

/* ingest.trusted_sources, borrowed from config. */
struct weir_prefixes weir_config_trusted(const struct weir_config *config);

/* Whether the IPv6 listener of this transport and port takes IPv6 alone: where it is configured so,
 * and where an IPv4 address of the same port is one too, HTTP among them. Else [::] takes both. */
bool weir_config_v6_only(const struct weir_config *config, enum weir_config_transport transport,
    uint16_t port);

/* Bytes of the frame ring: as configured, or 15 s at rate_max with 8 bytes a sample. */
uint64_t weir_config_frame_ring_bytes(const struct weir_config *config);

/* Room for the names of all keys. */
#define WEIR_CONFIG_KEYS_TEXT (WEIR_CONFIG_KEYS_MAX * 26)
/* Keys of a changed configuration, parted by blanks; "" where there is none. */
struct weir_config_changes {
    char taken[WEIR_CONFIG_KEYS_TEXT];         /* the running instance follows them at once */
    char needs_restart[WEIR_CONFIG_KEYS_TEXT]; /* it keeps its own until it is started again */
};
/* Gives running the values of wanted that may change while an instance runs. Both are checked;
 * where running would not be valid with them it is WEIR_INVALID and unchanged. */
enum weir_err weir_config_apply_live(struct weir_config *running, const struct weir_config *wanted,
    struct weir_config_changes *out) WEIR_MUST_USE;

/* Writes the effective configuration as YAML that weir_config_load reads back to the same. */
void weir_config_print(const struct weir_config *config, FILE *out);

#endif
