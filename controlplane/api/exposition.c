#include "controlplane/api/exposition.h"

#include "base/clock.h"
#include "controlplane/api/health.h"
#include "controlplane/api/rejected.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

/* Upper bounds of the buckets of query times. */
static const struct {
    int64_t below_ns;
    const char *text;
} query_buckets[WEIR_QUERY_BUCKETS] = {
    {1000000, "0.001"}, {2500000, "0.0025"}, {5000000, "0.005"}, {10000000, "0.01"},
    {25000000, "0.025"}, {50000000, "0.05"}, {100000000, "0.1"}, {250000000, "0.25"},
    {500000000, "0.5"}, {1000000000, "1"}, {2500000000, "2.5"}, {5000000000, "5"},
    {10000000000, "10"}, {INT64_MAX, "+Inf"},
};

const char *const weir_outcome_names[WEIR_OUTCOME_COUNT] = {
    [WEIR_OUTCOME_ANSWERED] = "answered",
    [WEIR_OUTCOME_CLIENT_ERROR] = "client_error",
    [WEIR_OUTCOME_LIMIT] = "limit",
    [WEIR_OUTCOME_REFUSED] = "refused",
    [WEIR_OUTCOME_CANCELLED] = "cancelled",
    [WEIR_OUTCOME_FAILED] = "failed",
};

const char *const weir_endpoint_names[WEIR_ENDPOINT_COUNT] = {
#define WEIR_ROUTE_QUERY(NAME, endpoint, path, methods, envelope, run, text) endpoint,
#include "controlplane/api/api_routes.def"
};

void
weir_query_counts_add_time(struct weir_query_times *times, int64_t duration_ns)
{
    int i = 0;
    while (duration_ns > query_buckets[i].below_ns)
        i++;
    times->buckets[i]++;
    times->sum_ns += (uint64_t)duration_ns;
}

static void
write_header(struct weir_text *text, const char *name, const char *type, const char *help)
{
    weir_text_format(text, "# HELP %s ", name);
    weir_text_escape(text, WEIR_ESCAPE_HELP, help, strlen(help));
    weir_text_format(text, "\n# TYPE %s %s\n", name, type);
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
    weir_text_format(text, "weir_ledger_total{unit=\"%s\",class=\"%s\"} %" PRIu64 "\n",
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
        weir_text_format(text, "weir_ledger_total{unit=\"%s\",class=\"dropped\",stage=\"%s\","
            "reason=\"%s\"} %" PRIu64 "\n", weir_unit_names[unit], stages[i],
            weir_reason_names[reason], dropped[i]);
}

static void
write_ledger(struct weir_text *text, const struct weir_ledger_sum *sum)
{
    write_header(text, "weir_ledger_total", "counter", "What became of every packet, record and "
        "sample since the dataplane started: received + generated = stored + absorbed + rejected + "
        "dropped + weir_ledger_in_flight.");
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        const struct weir_ledger_unit *total = &sum->total.unit[unit];
        write_class(text, unit, "received", total->received);
        write_class(text, unit, "generated", total->generated);
        write_class(text, unit, "stored", total->stored);
        write_class(text, unit, "absorbed", total->absorbed);
        for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
            weir_text_format(text, "weir_ledger_total{unit=\"%s\",class=\"rejected\","
                "reason=\"%s\"} %" PRIu64 "\n", weir_unit_names[unit],
                weir_reason_names[reason], total->rejected[reason]);
        for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
            write_dropped(text, sum, unit, reason);
    }
    write_header(text, "weir_ledger_in_flight", "gauge",
        "Taken, and neither durable nor refused yet.");
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        weir_text_format(text, "weir_ledger_in_flight{unit=\"%s\"} %" PRIu64 "\n",
            weir_unit_names[unit], sum->in_flight[unit]);
    write_header(text, "weir_ledger_residual", "gauge",
        "What the ledger cannot account for: 0 where it closes.");
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        weir_text_format(text, "weir_ledger_residual{unit=\"%s\"} %" PRId64 "\n",
            weir_unit_names[unit], sum->residual[unit]);
}

/* A counter of nanoseconds, NAME_ns in the list, is exposed as NAME_seconds. */
static void
write_counter(struct weir_text *text, const char *listed, const char *help, uint64_t value)
{
    static const char suffix[] = "_ns";
    char name[96];
    size_t size = strlen(listed);
    size_t stem = size - (sizeof suffix - 1);
    if (size <= sizeof suffix || strcmp(listed + stem, suffix) != 0) {
        snprintf(name, sizeof name, "weir_%s_total", listed);
        write_value(text, name, "counter", help, value);
        return;
    }
    snprintf(name, sizeof name, "weir_%.*s_seconds_total", (int)stem, listed);
    write_header(text, name, "counter", help);
    weir_text_format(text, "%s %" PRIu64 ".%09" PRIu64 "\n", name, value / NS_PER_S,
        value % NS_PER_S);
}

static void
write_counters(struct weir_text *text, const struct weir_ledger_sum *sum)
{
    for (int i = 0; i < WEIR_COUNTER_COUNT; i++)
        write_counter(text, weir_counter_names[i], weir_counter_helps[i], sum->total.counter[i]);
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

/* Gauges of the shared region: each alone, without a common moment (relaxed). Not while the
 * dataplane starts, which zeroes them. */
static void
write_region(struct weir_text *text, struct weir_shared *shared)
{
    uint64_t durable = atomic_load_explicit(&shared->durable_offset, memory_order_relaxed);
    uint64_t appended = atomic_load_explicit(&shared->appended_offset, memory_order_relaxed);
    int64_t durable_ms = atomic_load_explicit(&shared->durable_time_ms, memory_order_relaxed);
    uint64_t started = atomic_load_explicit(&shared->started_ms, memory_order_relaxed);
    write_header(text, "weir_epoch_start_time_seconds", "gauge",
        "Unix time at which ingest opened in this epoch.");
    weir_text_format(text, "weir_epoch_start_time_seconds %" PRIu64 ".%03" PRIu64 "\n",
        started / 1000, started % 1000);
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
    write_header(text, "weir_durable_sample_timestamp_seconds", "gauge",
        "Newest durable sample time.");
    weir_text_puts(text, "weir_durable_sample_timestamp_seconds ");
    weir_json_seconds(text, durable_ms, true);
    weir_text_puts(text, "\n");
    write_header(text, "weir_dataplane_heartbeat_age_seconds", "gauge",
        "Since the dataplane's slowest thread was last seen to go on.");
    weir_text_format(text, "weir_dataplane_heartbeat_age_seconds %.3f\n",
        (double)weir_heartbeat_age_ns(&shared->heartbeats, weir_mono_ns()) / 1e9);
    write_latency(text, shared);
}

/* The figures of processes: the usual names of Prometheus's clients. */
static const struct {
    const char *name;
    const char *type;
    const char *help;
    size_t offset; /* in struct weir_process_view */
    bool is_ms;    /* and exposed as seconds */
} figures[] = {
#define AT(field) offsetof(struct weir_process_view, field)
    {"process_cpu_seconds_total", "counter", "User and system time, by process.", AT(cpu_ms), true},
    {"process_resident_memory_bytes", "gauge", "Memory the process has in RAM.",
        AT(resident_bytes), false},
    {"process_virtual_memory_bytes", "gauge", "Address space of the process.", AT(virtual_bytes),
        false},
    {"process_open_fds", "gauge", "Open file descriptors.", AT(fds), false},
    {"process_max_fds", "gauge", "File descriptors it may open.", AT(fds_max), false},
    {"process_threads", "gauge", "Threads of the process.", AT(threads), false},
    {"process_start_time_seconds", "gauge", "Unix time of the process's start.", AT(start_ms),
        true},
#undef AT
};

/* The supervisor publishes them once a second. */
static void
write_processes(struct weir_text *text, const struct weir_processes *processes)
{
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        write_header(text, figures[i].name, figures[i].type, figures[i].help);
        for (int k = 0; k < WEIR_PROCESS_COUNT; k++) {
            const struct weir_process_view *view = &processes->at[k];
            if (atomic_load_explicit(&view->pid, memory_order_relaxed) == 0)
                continue;
            uint64_t value = atomic_load_explicit(
                (const _Atomic uint64_t *)((const char *)view + figures[i].offset),
                memory_order_relaxed);
            weir_text_format(text, "%s{process=\"%s\"} ", figures[i].name,
                weir_process_names[k]);
            if (figures[i].is_ms)
                weir_text_format(text, "%" PRIu64 ".%03" PRIu64 "\n", value / 1000, value % 1000);
            else
                weir_text_format(text, "%" PRIu64 "\n", value);
        }
    }
}

/* Samples of a class, in the order of struct weir_parts_ledger. */
static void
write_parts_ledger(struct weir_text *text, const struct weir_keeper_view *view)
{
    static const char *const places[WEIR_PARTS_LEDGER_FIELDS] = {
        "merged", "live", "superseded", "expired", "deleted", "damaged"};
    write_header(text, "weir_parts_ledger", "gauge", "Samples that the keeper has taken out of the "
        "log, ever (merged), and where they are; merged is the sum of the others.");
    for (int i = 0; i < WEIR_RETENTION_CLASSES; i++)
        for (size_t k = 0; k < WEIR_PARTS_LEDGER_FIELDS; k++) {
            uint64_t value = atomic_load_explicit(&view->ledger[i][k], memory_order_relaxed);
            if (i == 0 || value != 0)
                weir_text_format(text, "weir_parts_ledger{class=\"%d\",samples=\"%s\"} %" PRIu64
                    "\n", i, places[k], value);
        }
}

static void
write_keeper(struct weir_text *text, const struct weir_keeper_view *view)
{
    static const char *const states[WEIR_KEEPER_STATES] = {[WEIR_KEEPER_IDLE] = "idle",
        [WEIR_KEEPER_MERGING] = "merging", [WEIR_KEEPER_PAUSED] = "paused",
        [WEIR_KEEPER_STOPPED] = "stopped"};
    if (atomic_load_explicit(&view->pid, memory_order_relaxed) == 0)
        return;
    uint32_t state = atomic_load_explicit(&view->state, memory_order_relaxed);
    write_header(text, "weir_keeper_state", "gauge", "1 at the state the keeper is in.");
    for (uint32_t i = 0; i < WEIR_KEEPER_STATES; i++)
        weir_text_format(text, "weir_keeper_state{state=\"%s\"} %d\n", states[i], i == state);
    write_value(text, "weir_keeper_offset", "gauge", "The log below it is in parts.",
        atomic_load_explicit(&view->offset, memory_order_relaxed));
    write_value(text, "weir_keeper_units_total", "counter", "Merges of this keeper.",
        atomic_load_explicit(&view->units, memory_order_relaxed));
    write_value(text, "weir_keeper_failures_total", "counter", "Merges of this keeper that failed.",
        atomic_load_explicit(&view->failures, memory_order_relaxed));
    write_value(text, "weir_parts", "gauge", "Parts in the store.",
        atomic_load_explicit(&view->parts, memory_order_relaxed));
    write_parts_ledger(text, view);
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
    write_header(text, "weir_tsc_hertz", "gauge", "Rate of the time stamp counter that "
        "weir_stage_cycles_total counts in.");
    weir_text_format(text, "weir_tsc_hertz %.0f\n", weir_tsc_hz());
    write_header(text, "weir_build_info", "gauge",
        "Version, and the paths chosen on this machine.");
    weir_text_puts(text, "weir_build_info{version=\"" WEIR_VERSION "\"");
    if (shared != NULL) {
        weir_text_puts(text, ",simd=\"");
        weir_text_escape(text, WEIR_ESCAPE_LABEL, shared->simd,
            strnlen(shared->simd, sizeof shared->simd));
        weir_text_puts(text, "\",io_backend=\"");
        weir_text_escape(text, WEIR_ESCAPE_LABEL, shared->io_backend,
            strnlen(shared->io_backend, sizeof shared->io_backend));
        weir_text_puts(text, "\"");
    }
    weir_text_puts(text, "} 1\n");
}

static void
write_queries(struct weir_text *text, const struct weir_query_counts *queries)
{
    static const char name[] = "weir_query_duration_seconds";
    write_header(text, "weir_queries_total", "counter", "Queries by endpoint and outcome.");
    for (int i = 0; i < WEIR_ENDPOINT_COUNT; i++)
        for (int k = 0; k < WEIR_OUTCOME_COUNT; k++)
            weir_text_format(text, "weir_queries_total{endpoint=\"%s\",outcome=\"%s\"} %" PRIu64
                "\n", weir_endpoint_names[i], weir_outcome_names[k], queries->outcomes[i][k]);
    write_header(text, name, "histogram",
        "Time of queries from request to answer, by endpoint, whatever the answer says.");
    for (int i = 0; i < WEIR_ENDPOINT_COUNT; i++) {
        const struct weir_query_times *times = &queries->times[i];
        uint64_t count = 0;
        for (int k = 0; k < WEIR_QUERY_BUCKETS; k++) {
            count += times->buckets[k];
            weir_text_format(text, "%s_bucket{endpoint=\"%s\",le=\"%s\"} %" PRIu64 "\n", name,
                weir_endpoint_names[i], query_buckets[k].text, count);
        }
        weir_text_format(text, "%s_sum{endpoint=\"%s\"} %" PRIu64 ".%09" PRIu64 "\n"
            "%s_count{endpoint=\"%s\"} %" PRIu64 "\n", name, weir_endpoint_names[i],
            times->sum_ns / NS_PER_S, times->sum_ns % NS_PER_S, name, weir_endpoint_names[i],
            count);
    }
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
    write_header(text, "weir_http_connections_cut_total", "counter",
        "HTTP connections closed to make room, or because an answer was not read in time.");
    weir_text_format(text, "weir_http_connections_cut_total{reason=\"idle\"} %" PRIu64 "\n"
        "weir_http_connections_cut_total{reason=\"slow\"} %" PRIu64 "\n",
        http->connections_cut_idle, http->connections_cut_slow);
    write_value(text, "weir_http_answers_bytes", "gauge",
        "Answers that their clients have not read yet.", http->answers_bytes);
    write_value(text, "weir_http_answers_refused_total", "counter",
        "Answers refused for want of room.", http->answers_refused);
    write_value(text, "weir_http_clients_gone_total", "counter",
        "HTTP requests whose client did not wait for the answer.", http->gone);
    write_value(text, "weir_queries_waiting", "gauge", "Queries in the queue.",
        from->pool.waiting);
    write_value(text, "weir_queries_running", "gauge", "Queries at work.", from->pool.running);
    write_value(text, "weir_reader_durable_offset", "gauge", "Log offset that queries saw at the "
        "readers' last refresh.", from->pool.durable_offset);
    write_value(text, "weir_reader_series", "gauge", "Series that queries know.",
        from->pool.series);
    write_value(text, "weir_reader_blocks_corrupt_total", "counter", "Damaged blocks that queries "
        "passed over, each time.", from->pool.blocks_corrupt);
}

/* The dataplane's part. A region that is being reset is no ledger: it is left out. If the writer
 * stopped in the middle of a publication there is no consistent read: WEIR_AGAIN, or without_ledger
 * the answer has everything else. */
static enum weir_err
write_dataplane(struct weir_text *text, struct weir_shared *shared, bool without_ledger)
{
    /* acquire pairs with the release in announce (app/dataplane/dataplane.c) */
    uint64_t epoch = atomic_load_explicit(&shared->epoch, memory_order_acquire);
    write_value(text, "weir_epoch", "gauge", "Dataplane epoch; 0 while it starts.", epoch);
    write_value(text, "weir_ingest_state", "gauge", "0 starting, 1 open, 2 disk full, 3 device "
        "error, 4 stopping.",
        epoch == 0 ? 0 : atomic_load_explicit(&shared->state, memory_order_relaxed));
    if (epoch == 0)
        return WEIR_OK;
    struct weir_ledger_sum *sum = malloc(sizeof *sum);
    if (sum == NULL)
        return weir_fail(WEIR_NOMEM, 0, "ledger");
    enum weir_err err = weir_ledger_read_now(&shared->ledger, sum);
    if (err != WEIR_OK && !without_ledger) {
        free(sum);
        return err;
    }
    /* relaxed, after the acquires of the ledger's words, which pair with the fence in
     * weir_shared_reset */
    if (err == WEIR_OK && atomic_load_explicit(&shared->epoch, memory_order_relaxed) == epoch) {
        write_ledger(text, sum);
        write_counters(text, sum);
    }
    free(sum);
    write_region(text, shared);
    return WEIR_OK;
}

enum weir_err
weir_exposition_write(const struct weir_exposition *from, struct weir_text *text)
{
    if (from->shared != NULL) {
        enum weir_err err = write_dataplane(text, from->shared, from->without_ledger);
        if (err != WEIR_OK)
            return err;
        write_processes(text, &from->shared->processes);
        write_keeper(text, &from->shared->keeper);
        weir_rejected_write_counts(from->shared, text);
    }
    write_degraded(text, from);
    write_queries(text, from->queries);
    write_control(text, from);
    write_build(text, from->shared);
    return WEIR_OK;
}
