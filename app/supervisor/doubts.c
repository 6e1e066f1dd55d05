#include "app/supervisor/doubts.h"

#include "app/supervisor/machine.h"
#include "app/topology.h"
#include "controlplane/http/http.h"
#include "model/shared.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

__attribute__((format(printf, 2, 3))) static void
report(weir_doubt_fn *say, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say(text);
}

static void
doubt_memory(const struct weir_config *config, weir_doubt_fn *say)
{
    int32_t cores[CPU_SETSIZE];
    char text[256];
    struct weir_topology topology;
    struct weir_machine_memory memory = weir_machine_memory("");
    /* a plan that fails is refused by the dataplane, which says why */
    if (weir_topology_plan(config, cores, weir_topology_cores(cores, CPU_SETSIZE), &topology) ==
            WEIR_OK &&
        weir_topology_doubt(&topology, memory.bytes, memory.whose, text, sizeof text))
        say(text);
}

/* The hard limit: the soft one follows it. */
static uint64_t
hard_limit(int resource)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_max == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_max;
}

static void
doubt_files(const struct weir_config *config, weir_doubt_fn *say)
{
    uint64_t limit = hard_limit(RLIMIT_NOFILE);
    uint64_t ingest = WEIR_DATAPLANE_FILES + config->listener_count;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].transport == WEIR_CONFIG_TCP) {
            ingest += config->tcp_connections_max;
            break;
        }
    }
    uint64_t answers = config->http_port != 0
        ? WEIR_HTTP_FILES + WEIR_HTTP_CONNECTIONS_MAX + WEIR_HTTP_REFUSALS_MAX : 0;
    uint64_t wanted = ingest > answers ? ingest : answers;
    if (limit < wanted)
        report(say, "open files: %" PRIu64 " are allowed (RLIMIT_NOFILE, ulimit -Hn), and %" PRIu64
            " are needed where all connections come: fewer are taken, and the others closed or "
            "answered with 503", limit, wanted);
}

static void
doubt_file_size(const struct weir_config *config, weir_doubt_fn *say)
{
    uint64_t limit = hard_limit(RLIMIT_FSIZE);
    uint64_t shared = weir_shared_bytes(weir_config_frame_ring_bytes(config));
    uint64_t wanted = shared > config->log_segment_bytes ? shared : config->log_segment_bytes;
    if (limit < wanted)
        report(say,
            "file size: a file may have %" PRIu64 " bytes (RLIMIT_FSIZE, ulimit -f), and the "
            "largest of ours has %" PRIu64 "; lower log.segment_size and ingest.frame_ring, or "
            "raise it",
            limit, wanted);
}

void
weir_doubts(const struct weir_config *config, weir_doubt_fn *say)
{
    const char *doubt = weir_config_doubt(config);
    if (doubt != NULL)
        say(doubt);
    doubt_memory(config, say);
    doubt_files(config, say);
    doubt_file_size(config, say);
}
