#include "controlplane/api/health.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000

/* Of the reasons one is the control plane's own, and present while it holds. */
bool
weir_is_degraded_by(const struct weir_exposition *from, enum weir_degraded_reason reason)
{
    if (reason == WEIR_DEGRADED_queries_not_current)
        return from->pool.readers_behind > 0;
    return from->shared != NULL &&
        weir_degraded_by(&from->shared->degraded, reason, weir_mono_ns() / NS_PER_MS);
}

struct health {
    const char *reason; /* NULL where all is well */
    const char *message;
};

static struct health
ingest_health(struct weir_shared *shared)
{
    if (shared == NULL)
        return (struct health){"no_dataplane", "no dataplane belongs to this process"};
    /* acquire pairs with the release in announce (app/dataplane/dataplane.c) */
    if (atomic_load_explicit(&shared->epoch, memory_order_acquire) == 0)
        return (struct health){"starting", "the dataplane is starting"};
    uint32_t state = atomic_load_explicit(&shared->state, memory_order_relaxed);
    if (state != WEIR_INGEST_STARTING && state != WEIR_INGEST_STOPPING &&
        weir_heartbeat_age_ns(&shared->heartbeats, weir_mono_ns()) > WEIR_HEARTBEAT_HANGS_NS)
        return (struct health){"dataplane_hangs", "a thread of the dataplane has not gone on for "
            "3 s: it is stopped, or waits for a device; queries answer"};
    switch (state) {
    case WEIR_INGEST_OPEN:
        return (struct health){0};
    case WEIR_INGEST_DISK_FULL:
        return (struct health){"disk_full", "log.size_max is reached, the device is full, or "
            "there is no descriptor or memory for the log's next file (event=segment_not_made says "
            "which): samples are refused, queries answer; it resumes by itself when there is room"};
    case WEIR_INGEST_IO_ERROR:
        return (struct health){"io_error", "a write to the log failed: samples are refused, "
            "queries answer; check the device, then restart"};
    case WEIR_INGEST_STOPPING:
        return (struct health){"stopping", "the dataplane is stopping"};
    default:
        return (struct health){"starting", "the dataplane is starting"};
    }
}

static struct health
reader_health(const struct weir_pool_state *pool)
{
    if (pool->readers_open == 0)
        return (struct health){"starting", pool->detail[0] != '\0' ? pool->detail
            : "the log is being opened for queries"};
    if (pool->readers_failed > 0)
        return (struct health){"reader_failed", pool->detail};
    return (struct health){0};
}

/* Damage does not make the instance unhealthy, but it must be reported. Health waits for nobody: if
 * a stage is in the middle of a publication its counters are missing, and the answer says so. */
static void
write_damage(const struct weir_exposition *from, struct weir_text *text)
{
    uint64_t counters[WEIR_COUNTER_COUNT] = {0};
    if (from->shared != NULL && !weir_ledger_read_counters(&from->shared->ledger, counters))
        weir_text_puts(text, ",\"ledger\":\"unreadable\"");
    uint64_t frames = counters[WEIR_COUNTER_log_frames_corrupt];
    uint64_t definitions = counters[WEIR_COUNTER_definitions_lost];
    if (frames != 0 || definitions != 0 || from->pool.blocks_corrupt != 0)
        weir_text_format(text, ",\"damage\":{\"frames_corrupt\":%" PRIu64
            ",\"definitions_lost\":%" PRIu64 ",\"blocks_corrupt\":%" PRIu64 "}", frames,
            definitions, from->pool.blocks_corrupt);
}

/* Writes the list of reasons where there is one. */
static void
write_degraded_list(const struct weir_exposition *from, struct weir_text *text)
{
    bool any = false;
    for (int i = 0; i < WEIR_DEGRADED_COUNT; i++) {
        if (!weir_is_degraded_by(from, i))
            continue;
        weir_text_format(text, "%s\"%s\"", any ? "," : ",\"degraded\":[", weir_degraded_names[i]);
        any = true;
    }
    weir_text_puts(text, any ? "]" : "");
}

static bool
is_degraded(const struct weir_exposition *from)
{
    bool any = false;
    for (int i = 0; i < WEIR_DEGRADED_COUNT; i++)
        any |= weir_is_degraded_by(from, i);
    return any;
}

static struct health
worst_of(const struct weir_exposition *from)
{
    struct health ingest = ingest_health(from->shared);
    return ingest.reason != NULL ? ingest : reader_health(&from->pool);
}

int
weir_ready_write(const struct weir_exposition *from, struct weir_text *text)
{
    struct health worst = worst_of(from);
    if (worst.reason == NULL) {
        weir_text_puts(text, "Weir is ready.\n");
        return WEIR_STATUS_OK;
    }
    weir_text_format(text, "Weir is not ready: %s: ", worst.reason);
    weir_text_escape(text, WEIR_ESCAPE_TERMINAL, worst.message, strlen(worst.message));
    weir_text_puts(text, "\n");
    return WEIR_STATUS_UNAVAILABLE;
}

int
weir_health_write(const struct weir_exposition *from, struct weir_text *text)
{
    struct health ingest = ingest_health(from->shared);
    struct health reader = reader_health(&from->pool);
    struct health worst = worst_of(from);
    const char *well = is_degraded(from) ? "degraded" : "ok";
    weir_text_format(text, "{\"status\":\"%s\"", worst.reason == NULL ? well : "unavailable");
    if (worst.reason != NULL) {
        weir_text_format(text, ",\"reason\":\"%s\",\"error\":", worst.reason);
        weir_json_string(text, worst.message, strlen(worst.message));
    }
    weir_text_format(text, ",\"ingest\":\"%s\",\"queries\":\"%s\"",
        ingest.reason == NULL ? "open" : ingest.reason,
        reader.reason != NULL ? reader.reason
            : from->pool.readers_behind > 0 ? "not_current" : "current");
    write_degraded_list(from, text);
    if (from->shared != NULL)
        weir_text_format(text, ",\"epoch\":%" PRIu64,
            atomic_load_explicit(&from->shared->epoch, memory_order_relaxed)); /* a figure */
    write_damage(from, text);
    weir_text_puts(text, "}\n");
    return worst.reason == NULL ? WEIR_STATUS_OK : WEIR_STATUS_UNAVAILABLE;
}
