#include "controlplane/exposition.h"

#include "base/clock.h"
#include "controlplane/health.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const weir_endpoint_names[WEIR_ENDPOINT_COUNT] = {
    [WEIR_ENDPOINT_QUERY] = "query",
    [WEIR_ENDPOINT_LABELS] = "labels",
    [WEIR_ENDPOINT_VALUES] = "values",
    [WEIR_ENDPOINT_SERIES] = "series",
};

static void
write_header(struct weir_text *text, const char *name, const char *type, const char *help)
{
    weir_text_format(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
write_value(struct weir_text *text, const char *name, const char *type, const char *help,
    uint64_t value)
{
    write_header(text, name, type, help);
    weir_text_format(text, "%s %" PRIu64 "\n", name, value);
}

static void
write_class(struct weir_text *text, int unit, const char *class, uint64_t value)
{
    weir_text_format(text, "weir_ledger{unit=\"%s\",class=\"%s\"} %" PRIu64 "\n",
        weir_unit_names[unit], class, value);
}

/* Drops of one unit and reason by the kind of stage they happened in. */
static void
write_dropped(struct weir_text *text, const struct weir_ledger_sum *sum, int unit, int reason)
{
    static const char *const stages[] = {"writer", "registrar", "worker"};
    uint64_t dropped[3] = {0};
    for (int i = 0; i < WEIR_BLOCKS_MAX; i++)
        dropped[i < WEIR_BLOCK_WORKER ? i : 2] += sum->block[i].unit[unit].dropped[reason];
    for (int i = 0; i < 3; i++)
        weir_text_format(text, "weir_ledger{unit=\"%s\",class=\"dropped\",stage=\"%s\","
            "reason=\"%s\"} %" PRIu64 "\n", weir_unit_names[unit], stages[i],
            weir_reason_names[reason], dropped[i]);
}

static void
write_ledger(struct weir_text *text, const struct weir_ledger_sum *sum)
{
    write_header(text, "weir_ledger", "untyped", "What became of every packet, record and sample "
        "since the dataplane started: received + generated = stored + absorbed + rejected + "
        "dropped + in_flight.");
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        const struct weir_ledger_unit *total = &sum->total.unit[unit];
        write_class(text, unit, "received", total->received);
        write_class(text, unit, "generated", total->generated);
        write_class(text, unit, "stored", total->stored);
        write_class(text, unit, "absorbed", total->absorbed);
        write_class(text, unit, "in_flight", sum->in_flight[unit]);
        for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
            weir_text_format(text, "weir_ledger{unit=\"%s\",class=\"rejected\",reason=\"%s\"} %"
                PRIu64 "\n", weir_unit_names[unit], weir_reason_names[reason],
                total->rejected[reason]);
        for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
            write_dropped(text, sum, unit, reason);
    }
    write_header(text, "weir_ledger_residual", "gauge",
        "What the ledger cannot account for: 0 where it closes.");
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        weir_text_format(text, "weir_ledger_residual{unit=\"%s\"} %" PRId64 "\n",
            weir_unit_names[unit], sum->residual[unit]);
}

static void
write_counters(struct weir_text *text, const struct weir_ledger_sum *sum)
{
    for (int i = 0; i < WEIR_COUNTER_COUNT; i++) {
        char name[96];
        snprintf(name, sizeof name, "weir_%s_total", weir_counter_names[i]);
        write_value(text, name, "counter", weir_counter_helps[i], sum->total.counter[i]);
    }
    write_header(text, "weir_stage_cycles_total", "counter", "Cycles of the time stamp counter "
        "spent, by stage.");
    for (int i = 0; i < WEIR_STAGE_COUNT; i++)
        weir_text_format(text, "weir_stage_cycles_total{stage=\"%s\"} %" PRIu64 "\n",
            weir_stage_names[i], sum->total.cycles[i]);
    write_header(text, "weir_stage_samples_total", "counter", "Samples that passed, by stage.");
    for (int i = 0; i < WEIR_STAGE_COUNT; i++)
        weir_text_format(text, "weir_stage_samples_total{stage=\"%s\"} %" PRIu64 "\n",
            weir_stage_names[i], sum->total.samples[i]);
}

/* Bucket i of the shared region counts times below 2^i * 64 us, each sample once. */
static void
write_latency(struct weir_text *text, struct weir_shared *shared)
{
    static const char name[] = "weir_packet_to_queryable_seconds";
    uint64_t count = 0;
    write_header(text, name, "histogram", "Time from a packet's arrival until its samples could "
        "be queried, by sample.");
    for (int i = 0; i < WEIR_LATENCY_BUCKETS; i++) {
        count += atomic_load_explicit(&shared->latency_buckets[i], memory_order_relaxed);
        weir_text_format(text, "%s_bucket{le=\"", name);
        if (i == WEIR_LATENCY_BUCKETS - 1)
            weir_text_puts(text, "+Inf");
        else
            weir_text_format(text, "%.6f", (double)(UINT64_C(64) << i) / 1e6);
        weir_text_format(text, "\"} %" PRIu64 "\n", count);
    }
    uint64_t sum_us = atomic_load_explicit(&shared->latency_sum_us, memory_order_relaxed);
    weir_text_format(text, "%s_sum %" PRIu64 ".%06u\n%s_count %" PRIu64 "\n", name,
        sum_us / 1000000, (unsigned)(sum_us % 1000000), name, count);
}

/* Gauges of the shared region: each alone, without a common moment (relaxed). */
static void
write_region(struct weir_text *text, struct weir_shared *shared)
{
    uint64_t durable = atomic_load_explicit(&shared->durable_offset, memory_order_relaxed);
    uint64_t appended = atomic_load_explicit(&shared->appended_offset, memory_order_relaxed);
    int64_t durable_ms = atomic_load_explicit(&shared->durable_time_ms, memory_order_relaxed);
    uint64_t started = atomic_load_explicit(&shared->started_ms, memory_order_relaxed);
    write_value(text, "weir_epoch", "gauge", "Dataplane epoch; 0 while it starts.",
        atomic_load_explicit(&shared->epoch, memory_order_acquire));
    write_value(text, "weir_started_seconds", "gauge", "Unix time of the epoch's start.",
        started / 1000);
    write_value(text, "weir_ingest_state", "gauge", "0 starting, 1 open, 2 disk full, 3 device "
        "error, 4 stopping.", atomic_load_explicit(&shared->state, memory_order_relaxed));
    write_value(text, "weir_series", "gauge", "Series defined.",
        atomic_load_explicit(&shared->series_count, memory_order_relaxed));
    write_value(text, "weir_series_max", "gauge", "Series the table holds at most.",
        atomic_load_explicit(&shared->series_max, memory_order_relaxed));
    write_value(text, "weir_log_bytes", "gauge", "Size of the log's segment files.",
        atomic_load_explicit(&shared->log_bytes, memory_order_relaxed));
    write_value(text, "weir_durable_offset", "gauge", "Everything below it in the log is "
        "synced.", durable);
    write_value(text, "weir_log_first_offset", "gauge", "The log begins here: what was below it "
        "is released, and its files are recycled.",
        atomic_load_explicit(&shared->log_first_offset, memory_order_relaxed));
    write_value(text, "weir_durable_lag_bytes", "gauge",
        "Submitted to the log and not yet durable.", appended > durable ? appended - durable : 0);
    write_header(text, "weir_durable_sample_seconds", "gauge", "Newest durable sample time.");
    weir_text_puts(text, "weir_durable_sample_seconds ");
    weir_json_seconds(text, durable_ms, true);
    weir_text_puts(text, "\n");
    write_header(text, "weir_dataplane_heartbeat_age_seconds", "gauge",
        "Since the dataplane's slowest thread was last seen to go on.");
    weir_text_format(text, "weir_dataplane_heartbeat_age_seconds %.3f\n",
        (double)weir_heartbeat_age_ns(&shared->heartbeats, weir_mono_ns()) / 1e9);
    write_latency(text, shared);
}

static void
write_degraded(struct weir_text *text, const struct weir_exposition *from)
{
    write_header(text, "weir_degraded", "gauge", "1 where the instance is degraded by the reason, "
        "or was in the last minute.");
    for (int i = 0; i < WEIR_DEGRADED_COUNT; i++)
        weir_text_format(text, "weir_degraded{reason=\"%s\"} %d\n", weir_degraded_names[i],
            weir_is_degraded_by(from, i));
}

static void
write_build(struct weir_text *text, const struct weir_shared *shared)
{
    write_header(text, "weir_build_info", "gauge",
        "Version, and the paths chosen on this machine.");
    weir_text_puts(text, "weir_build_info{version=\"" WEIR_VERSION "\"");
    if (shared != NULL)
        weir_text_format(text, ",simd=\"%.*s\",io_backend=\"%.*s\"",
            (int)strnlen(shared->simd, sizeof shared->simd), shared->simd,
            (int)strnlen(shared->io_backend, sizeof shared->io_backend), shared->io_backend);
    weir_text_puts(text, "} 1\n");
}

static void
write_queries(struct weir_text *text, const struct weir_query_counts *queries)
{
    write_header(text, "weir_queries_total", "counter", "Queries by endpoint and outcome.");
    for (int i = 0; i < WEIR_ENDPOINT_COUNT; i++) {
        const struct {
            const char *name;
            uint64_t count;
        } outcomes[] = {{"answered", queries->answered[i]}, {"failed", queries->failed[i]},
            {"refused", queries->refused[i]}, {"cancelled", queries->cancelled[i]}};
        for (size_t k = 0; k < sizeof outcomes / sizeof outcomes[0]; k++)
            weir_text_format(text, "weir_queries_total{endpoint=\"%s\",outcome=\"%s\"} %" PRIu64
                "\n", weir_endpoint_names[i], outcomes[k].name, outcomes[k].count);
    }
    write_header(text, "weir_query_duration_seconds", "summary",
        "Time of queries from request to answer, by endpoint.");
    for (int i = 0; i < WEIR_ENDPOINT_COUNT; i++)
        weir_text_format(text, "weir_query_duration_seconds_sum{endpoint=\"%s\"} %.9f\n"
            "weir_query_duration_seconds_count{endpoint=\"%s\"} %" PRIu64 "\n",
            weir_endpoint_names[i], (double)queries->nanoseconds[i] / 1e9,
            weir_endpoint_names[i], queries->answered[i] + queries->failed[i]);
}

static void
write_control(struct weir_text *text, const struct weir_exposition *from)
{
    const struct weir_http_stats *http = &from->http;
    write_header(text, "weir_http_responses_total", "counter", "HTTP answers by class of status.");
    for (int i = 2; i < 6; i++)
        weir_text_format(text, "weir_http_responses_total{code=\"%dxx\"} %" PRIu64 "\n", i,
            http->responses[i]);
    write_value(text, "weir_http_connections", "gauge", "HTTP connections open.",
        http->connections);
    write_value(text, "weir_http_connections_opened_total", "counter", "HTTP connections accepted.",
        http->connections_total);
    write_value(text, "weir_http_connections_refused_total", "counter",
        "HTTP connections refused at the limit.", http->connections_refused);
    write_value(text, "weir_http_clients_gone_total", "counter",
        "HTTP requests whose client did not wait for the answer.", http->gone);
    write_value(text, "weir_queries_waiting", "gauge", "Queries in the queue.",
        from->pool.waiting);
    write_value(text, "weir_queries_running", "gauge", "Queries at work.", from->pool.running);
    write_value(text, "weir_reader_durable_offset", "gauge", "Log offset that queries saw at the "
        "readers' last refresh.", from->pool.durable_offset);
    write_value(text, "weir_reader_series", "gauge", "Series that queries know.",
        from->pool.series);
    write_value(text, "weir_reader_blocks_corrupt", "gauge", "Damaged blocks that queries passed "
        "over.", from->pool.blocks_corrupt);
}

enum weir_err
weir_exposition_write(const struct weir_exposition *from, struct weir_text *text)
{
    if (from->shared != NULL) {
        struct weir_ledger_sum *sum = malloc(sizeof *sum);
        if (sum == NULL)
            return weir_fail(WEIR_NOMEM, 0, "ledger");
        /* a region that is being reset is no ledger: acquire pairs with the release of epoch */
        uint64_t epoch = atomic_load_explicit(&from->shared->epoch, memory_order_acquire);
        enum weir_err err = epoch == 0
            ? weir_fail(WEIR_AGAIN, 0, "the dataplane is starting")
            : weir_ledger_read(&from->shared->ledger, sum);
        if (err == WEIR_OK &&
            atomic_load_explicit(&from->shared->epoch, memory_order_acquire) != epoch)
            err = weir_fail(WEIR_AGAIN, 0, "the dataplane has restarted");
        if (err == WEIR_OK) {
            write_ledger(text, sum);
            write_counters(text, sum);
        }
        free(sum);
        if (err != WEIR_OK)
            return err;
        write_region(text, from->shared);
    }
    write_degraded(text, from);
    write_queries(text, from->queries);
    write_control(text, from);
    write_build(text, from->shared);
    return WEIR_OK;
}
