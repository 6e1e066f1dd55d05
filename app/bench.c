/* The dataplane under test is the real one, started as a process with a configuration of its own.
 * The generator is this process, on another core; who reads back is a third one.
 *
 *   warm up: passes over all series until every one is defined   -> first contact
 *   measure: passes for `seconds`; the clock runs until the last sample is durable
 *   check:   another process counts all samples and compares 10,000 bit for bit
 */
#include "app/bench_check.h"
#include "app/bench_feed.h"
#include "app/bench_intervals.h"
#include "app/bench_load.h"
#include "app/bench_overload.h"
#include "app/bench_target.h"
#include "app/bench_values.h"
#include "app/bench_veth.h"
#include "app/commands.h"
#include "app/options.h"
#include "app/words.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/sample.h"
#include "base/shared.h"
#include "storage/log.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_PASSES_MAX 200
#define DURABLE_WAIT_NS (INT64_C(60) * 1000000000)
/* Disk set aside: what the fastest run could write, at the worst bytes a sample seen. */
#define RATE_BOUND 60000000
#define SAMPLE_BYTES_BOUND 10
#define FILLED_SLOTS 65536 /* 142 MB a ring: a worker has some 80 ms of work */
#define TIME_LEAD_MS 1000
/* Reading back is begun anew where a segment was released meanwhile. */
#define RECYCLE_TRIES 10
#define RECYCLE_BYTES_MIN (4 * WEIR_SEGMENT_BYTES_DEFAULT)
#define VETH_VALUES 3 /* options with a value that are for --source veth alone */

struct options {
    enum weir_bench_source source;
    enum weir_bench_proto proto;
    const char *data;
    uint64_t series;
    double seconds;
    uint32_t cores; /* RX workers with a ring each; 0: one ring, workers as by default */
    bool filled;    /* rings are filled while the workers wait */
    bool json;
    uint64_t emit; /* lines to print instead of measuring */
    uint64_t recycle; /* bytes of the log, whose oldest segments are then recycled; 0: it grows */
};

struct report {
    uint64_t offered;
    struct weir_ledger_sum before;
    struct weir_ledger_sum after;
    double seconds;
    double cpu_seconds;
    double worker_seconds[WEIR_WORKERS_MAX]; /* CPU time of each worker's thread */
    double generator_ns;   /* a sample: making the packets alone */
    double generator_cpu_seconds; /* making, sending, and waiting where the dataplane lags */
    uint64_t datagrams_before; /* sent until the measurement; both 0 for other sources */
    uint64_t datagrams_sent;   /* until its end */
    double warm_seconds;
    uint64_t warm_series;  /* newly defined */
    struct weir_ledger_sum warm; /* when they were: of this dataplane's life, which began empty */
    uint64_t log_bytes;    /* appended during the measurement */
    struct weir_bench_found found;
    struct weir_ledger_sum settled; /* with --recycle: of what found has found */
    json_t *intervals;     /* weir_bench_intervals_stop's; owned */
};

void
weir_usage_bench(FILE *out)
{
    fputs("usage: weir bench [--source ring|udp|tcp|veth] [--proto influx|graphite|weir]\n"
          "                  [--series N] [--seconds S] [--cores N] [--json]\n"
          "                  [--recycle BYTES] --data DIR\n"
          "Runs the dataplane on generated packets and measures what becomes durable and can be\n"
          "read back. DIR may hold earlier runs; it has to lie on a disk, not on tmpfs.\n"
          "  --source ring   packets from shared memory, no kernel in between (default)\n"
          "  --source udp    datagrams to a loopback socket from 1,000 source ports\n"
          "  --source tcp    eight loopback connections\n"
          "  --proto influx  text lines of about 100 bytes, one field each (default)\n"
          "  --proto graphite  the same metrics as plaintext with tags, 100000 series at least:\n"
          "                  times are whole seconds\n"
          "  --proto weir    agents of 200 metrics, two packets each\n"
          "  --series N      active series (default 1000000)\n"
          "  --seconds S     length of the measurement (default 10)\n"
          "  --cores N       N RX workers, each with a ring of its own; each host goes to another\n"
          "                  worker from pass to pass (--source ring; --proto weir: 1)\n"
          "  --filled        with --cores: rings are filled while the workers wait, and emptied\n"
          "                  while the generator does, for machines without a core for it\n"
          "  --emit LINES    print at least that many of its lines and measure nothing: the same\n"
          "                  bytes for other programs\n"
          "  --json          one JSON object on standard output instead of a table\n"
          "  --recycle BYTES the log stays at that size, its oldest segments are recycled: a\n"
          "                  long run needs no more disk. DIR must hold no log. What it holds\n"
          "                  in the end is counted against what was stored and not released\n",
        out);
    weir_usage_bench_veth(out);
    weir_usage_bench_overload(out);
}

static bool
parse_source(const char *name, enum weir_bench_source *out)
{
    for (int source = 0; source < WEIR_BENCH_SOURCES; source++) {
        if (strcmp(name, weir_bench_source_names[source]) == 0) {
            *out = (enum weir_bench_source)source;
            return true;
        }
    }
    return false;
}

/* What one option asks of another. */
static enum weir_err
check_together(const struct options *options)
{
    const char *wrong = NULL;
    if (options->data == NULL && options->emit == 0)
        wrong = "--data is missing";
    else if (options->cores > 0 && options->source != WEIR_BENCH_RING)
        wrong = "--cores is for --source ring";
    else if (options->filled && options->cores == 0)
        wrong = "--filled is for --cores";
    else if (options->cores > 1 && options->proto == WEIR_BENCH_WEIR)
        wrong = "--cores above 1: weir packets are taken by the first worker alone";
    else if (options->proto == WEIR_BENCH_GRAPHITE && options->emit == 0 &&
             options->series < WEIR_BENCH_SERIES_OF_SECONDS)
        wrong = "--proto graphite: its times are whole seconds; 100000 series at least";
    return wrong == NULL ? WEIR_OK : weir_fail(WEIR_INVALID, 0, "%s", wrong);
}

/* Options that frames have and others have not. */
static enum weir_err
check_none_of_veth(const struct weir_option *table, const char *const *values, bool socket)
{
    for (; table->name != NULL; table++)
        for (size_t i = 0; i < VETH_VALUES; i++)
            if (table->text == &values[i] && values[i] != NULL)
                return weir_fail(WEIR_INVALID, 0, "--%s is for --source veth", table->name);
    return socket ? weir_fail(WEIR_INVALID, 0, "--socket is for --source veth") : WEIR_OK;
}

static enum weir_err
parse_options(int argc, char **argv, struct options *out)
{
    const char *source = NULL, *proto = NULL, *series = NULL, *seconds = NULL, *cores = NULL;
    const char *emit = NULL, *recycle = NULL, *of_veth[VETH_VALUES] = {NULL};
    bool socket = false;
    *out = (struct options){
        .source = WEIR_BENCH_RING, .proto = WEIR_BENCH_INFLUX, .series = 1000000, .seconds = 10};
    const struct weir_option table[] = {{.name = "source", .text = &source},
        {.name = "proto", .text = &proto}, {.name = "data", .text = &out->data},
        {.name = "series", .text = &series}, {.name = "seconds", .text = &seconds},
        {.name = "cores", .text = &cores}, {.name = "emit", .text = &emit},
        {.name = "recycle", .text = &recycle},
        {.name = "filled", .flag = &out->filled}, {.name = "json", .flag = &out->json},
        {.name = "rate", .text = &of_veth[0]}, {.name = "pairs", .text = &of_veth[1]},
        {.name = "payload", .text = &of_veth[2]}, {.name = "socket", .flag = &socket}, {0}};
    uint64_t core_count = 0;
    int words = 0;
    enum weir_err err = weir_options_parse(table, argc, argv, NULL, &words);
    if (err == WEIR_OK && source != NULL && !parse_source(source, &out->source))
        err = weir_fail(WEIR_INVALID, 0, "--source %s: there are: ring, udp, tcp, veth", source);
    if (err == WEIR_OK)
        err = weir_bench_value_proto(proto, &out->proto);
    if (err == WEIR_OK)
        err = weir_bench_value_series(series, &out->series);
    if (err == WEIR_OK)
        err = weir_bench_value_seconds(seconds, 600, &out->seconds);
    if (err == WEIR_OK)
        err = weir_bench_value_count("cores", cores, 1, WEIR_WORKERS_MAX, &core_count);
    if (err == WEIR_OK)
        err = weir_bench_value_count("emit", emit, 1, UINT64_MAX, &out->emit);
    if (err == WEIR_OK)
        err = weir_bench_value_count("recycle", recycle, RECYCLE_BYTES_MIN, UINT64_MAX / 2,
            &out->recycle);
    if (err == WEIR_OK)
        err = check_none_of_veth(table, of_veth, socket);
    out->cores = (uint32_t)core_count;
    return err == WEIR_OK ? check_together(out) : err;
}

static uint64_t
ended_samples(const struct weir_ledger_sum *sum)
{
    const struct weir_ledger_unit *samples = &sum->total.unit[WEIR_UNIT_SAMPLES];
    uint64_t ended = samples->stored;
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
        ended += samples->rejected[reason] + samples->dropped[reason];
    return ended;
}

/* All that was offered has ended, or was lost below the socket and is counted there. */
static bool
all_ended(const struct weir_bench_target *target, const struct weir_ledger_sum *sum,
    uint64_t offered)
{
    uint64_t datagrams = weir_bench_target_datagrams(target);
    if (datagrams == 0)
        return ended_samples(sum) >= offered;
    return sum->in_flight[WEIR_UNIT_SAMPLES] == 0 &&
           sum->total.unit[WEIR_UNIT_PACKETS].received +
                   sum->total.counter[WEIR_COUNTER_socket_drops] >=
               datagrams;
}

/* Waits until all `offered` samples of this dataplane's life have ended. */
static bool
wait_durable(struct weir_bench_target *target, uint64_t offered, struct weir_ledger_sum *sum)
{
    int64_t limit_ns = weir_mono_ns() + DURABLE_WAIT_NS;
    do {
        if (!weir_bench_target_ledger(target, sum))
            return false;
        if (all_ended(target, sum, offered))
            return true;
    } while (weir_mono_ns() < limit_ns && weir_bench_target_alive(target));
    fprintf(stderr, "weir bench: %" PRIu64 " of %" PRIu64 " samples ended in time\n",
        ended_samples(sum), offered);
    return false;
}

/* Sends packets until done() says so; counts samples. */
static uint64_t
send_pass(struct weir_bench_target *target, struct weir_bench_load *load, uint32_t workers,
    uint64_t passes, int64_t until_ns)
{
    uint64_t sent = 0;
    for (;;) {
        uint64_t pass = weir_bench_load_passes(load);
        if (pass >= passes && (until_ns == 0 || weir_mono_ns() >= until_ns))
            return sent;
        for (int i = 0; i < 64 && (i == 0 || until_ns != 0 ||
                                   weir_bench_load_passes(load) == pass);
             i++) {
            if (workers > 1)
                weir_bench_target_select(target, weir_bench_load_worker(load, workers));
            uint8_t *slot = weir_bench_target_reserve(target);
            if (slot == NULL)
                return sent;
            uint32_t samples;
            size_t size = weir_bench_load_next(load, slot, &samples);
            weir_bench_target_commit(target, size);
            sent += samples;
        }
    }
}

/* What names the series goes ahead of their first samples. False where the dataplane has died. */
static bool
send_definitions(struct weir_bench_target *target, struct weir_bench_load *load)
{
    for (;;) {
        uint8_t *slot = weir_bench_target_reserve(target);
        if (slot == NULL)
            return false;
        size_t size = weir_bench_load_define(load, slot);
        if (size == 0)
            return true;
        weir_bench_target_commit(target, size);
    }
}

/* First contact: passes until every series is defined and the worker's cache knows the lines, so
 * that what is measured is the steady state. */
static bool
warm_up(struct weir_bench_target *target, struct weir_bench_load *load,
    const struct options *options, int64_t *time_ms, int64_t step_ms, struct report *report,
    uint64_t *sent)
{
    uint64_t known = weir_bench_target_series(target);
    int64_t start_ns = weir_mono_ns();
    uint64_t rejected = 1, missed = 1, last_missed = 0;
    for (int i = 0; i < WARM_PASSES_MAX && (rejected > 0 || missed > options->series / 100); i++) {
        uint64_t before = report->before.total.unit[WEIR_UNIT_SAMPLES].stored;
        weir_bench_load_restart(load, *time_ms);
        if (!send_definitions(target, load))
            return false;
        uint64_t pass_sent = send_pass(target, load, options->cores, 1, 0);
        *time_ms += 2 * step_ms;
        *sent += pass_sent;
        if (!wait_durable(target, *sent, &report->before))
            return false;
        rejected = before + pass_sent - report->before.total.unit[WEIR_UNIT_SAMPLES].stored;
        missed = report->before.total.counter[WEIR_COUNTER_raw_misses] - last_missed;
        last_missed += missed;
        if (report->warm_seconds == 0 &&
            weir_bench_target_series(target) - known >= options->series) {
            report->warm_seconds = (double)(weir_mono_ns() - start_ns) / 1e9;
            report->warm = report->before;
        }
    }
    report->warm_series = weir_bench_target_series(target) - known;
    if (report->warm_seconds == 0)
        report->warm_seconds = (double)(weir_mono_ns() - start_ns) / 1e9;
    if (rejected > 0)
        fprintf(stderr, "weir bench: %" PRIu64 " sample%s of the last warm-up pass refused\n",
            rejected, weir_plural(rejected));
    return rejected == 0;
}

/* Nanoseconds a sample, on packets that nobody gets; of a load of its own, whose numbers count. */
static double
generator_cost(const struct options *options)
{
    static uint8_t slot[WEIR_BENCH_PACKET_MAX];
    struct weir_bench_load *load;
    uint64_t samples = 0;
    if (weir_bench_load_new(options->proto, options->series, 0, 1000, &load) != WEIR_OK)
        return 0;
    int64_t start_ns = weir_mono_ns();
    for (int i = 0; i < 100000; i++) {
        uint32_t count;
        weir_bench_load_next(load, slot, &count);
        samples += count;
    }
    weir_bench_load_free(load);
    return (double)(weir_mono_ns() - start_ns) / (double)samples;
}

static void
read_worker_seconds(const struct weir_bench_target *target, const struct options *options,
    double seconds[WEIR_WORKERS_MAX])
{
    for (uint32_t i = 0; i < options->cores; i++)
        seconds[i] = weir_bench_target_worker_seconds(target, i) - seconds[i];
}

/* The first pass of which nothing can have been released: all its times are later than any in a
 * released frame. */
static bool
find_pass_kept(const struct weir_bench_target *target, struct weir_bench_run *run)
{
    int64_t released_ms;
    if (weir_bench_target_released_ms(target, &released_ms) != WEIR_OK) {
        fprintf(stderr, "weir bench: %s\n", weir_err_detail());
        return false;
    }
    run->pass_first = released_ms < run->start_ms
        ? 0
        : (uint64_t)((released_ms - run->start_ms) / run->step_ms) + 1;
    if (run->pass_first < run->passes)
        return true;
    fprintf(stderr, "weir bench: --recycle is too small: the log holds no whole pass\n");
    return false;
}

/* Until nothing was released while it was read, so that both sides speak of the same log: a
 * checkpoint or two may still be under way. */
static bool
read_recycled(struct weir_bench_target *target, struct weir_bench_run *run,
    struct report *report)
{
    struct weir_ledger_sum *settled = &report->settled;
    static struct weir_ledger_sum later;
    run->all_times = true;
    for (int tries = 0; tries < RECYCLE_TRIES; tries++) {
        uint64_t first = weir_bench_target_first(target);
        if (!weir_bench_target_ledger(target, settled) || !find_pass_kept(target, run))
            return false;
        if (weir_bench_check(run, &report->found) != WEIR_OK) {
            fprintf(stderr, "weir bench: %s\n", weir_err_detail());
            return false;
        }
        if (!weir_bench_target_ledger(target, &later))
            return false;
        if (weir_bench_target_first(target) == first &&
            later.total.counter[WEIR_COUNTER_log_samples_recycled] ==
                settled->total.counter[WEIR_COUNTER_log_samples_recycled])
            return true;
    }
    fprintf(stderr, "weir bench: the log is recycled on and on\n");
    return false;
}

static bool
read_back(struct weir_bench_target *target, const struct options *options,
    struct weir_bench_run *run, struct report *report)
{
    if (options->recycle != 0)
        return read_recycled(target, run, report);
    bool ok = weir_bench_check(run, &report->found) == WEIR_OK;
    if (!ok)
        fprintf(stderr, "weir bench: %s\n", weir_err_detail());
    return ok;
}

/* Samples that the log has to hold: those stored and not released, since it began empty. */
static uint64_t
log_samples_wanted(const struct report *report)
{
    const struct weir_counts *total = &report->settled.total;
    return total->unit[WEIR_UNIT_SAMPLES].stored -
        total->counter[WEIR_COUNTER_log_samples_recycled];
}

/* What lies between two readings of everything; `sent` samples came before. */
static bool
measure_passes(struct weir_bench_target *target, struct weir_bench_load *load,
    const struct options *options, int64_t time_ms, uint64_t sent, struct report *report)
{
    struct weir_bench_intervals *intervals;
    if (weir_bench_intervals_start(weir_bench_target_shared_ledger(target), &intervals) != WEIR_OK) {
        fprintf(stderr, "weir bench: %s\n", weir_err_detail());
        return false;
    }
    weir_bench_load_restart(load, time_ms);
    uint64_t end_before = weir_bench_target_end(target);
    report->datagrams_before = weir_bench_target_datagrams(target);
    double cpu = weir_bench_target_cpu_seconds(target);
    read_worker_seconds(target, options, report->worker_seconds);
    int64_t own_ns = weir_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t start_ns = weir_mono_ns();
    report->offered = send_pass(target, load, options->cores, 1,
        start_ns + (int64_t)(options->seconds * 1e9));
    report->generator_cpu_seconds =
        (double)(weir_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_ns) / 1e9;
    bool ok = wait_durable(target, sent + report->offered, &report->after);
    report->seconds = (double)(weir_mono_ns() - start_ns) / 1e9;
    report->cpu_seconds = weir_bench_target_cpu_seconds(target) - cpu;
    read_worker_seconds(target, options, report->worker_seconds);
    report->log_bytes = weir_bench_target_end(target) - end_before;
    report->datagrams_sent = weir_bench_target_datagrams(target);
    report->intervals = weir_bench_intervals_stop(intervals);
    return ok;
}

static bool
measure(struct weir_bench_target *target, const struct options *options, struct report *report)
{
    int64_t step_ms = weir_bench_step_ms(options->proto, options->series);
    int64_t time_ms = weir_wall_ms() - WEIR_BENCH_TIMES_BACK_MS;
    int64_t newest_ms = weir_bench_target_newest_ms(target) + TIME_LEAD_MS;
    if (newest_ms > time_ms)
        time_ms = newest_ms;
    time_ms = weir_bench_time_whole_ms(options->proto, time_ms);
    struct weir_bench_load *load;
    if (weir_bench_load_new(options->proto, options->series, time_ms, step_ms, &load) != WEIR_OK) {
        fprintf(stderr, "weir bench: %s\n", weir_err_detail());
        return false;
    }
    uint64_t sent = 0;
    report->generator_ns = generator_cost(options);
    bool ok = warm_up(target, load, options, &time_ms, step_ms, report, &sent);
    if (ok)
        ok = measure_passes(target, load, options, time_ms, sent, report);
    if (ok) {
        struct weir_bench_run run = {.data = options->data,
            .shared_fd = weir_bench_target_shared_fd(target),
            .proto = options->proto,
            .series = options->series,
            .start_ms = time_ms,
            .step_ms = step_ms,
            .passes = weir_bench_load_passes(load),
            .seed = (uint64_t)time_ms};
        ok = read_back(target, options, &run, report);
    }
    weir_bench_load_free(load);
    return ok;
}

static uint64_t
delta(const struct report *report, size_t word)
{
    return ((const uint64_t *)&report->after.total)[word] -
           ((const uint64_t *)&report->before.total)[word];
}

#define DELTA(report, field) delta(report, offsetof(struct weir_counts, field) / 8)

static uint64_t
residual_sum(const struct weir_ledger_sum *sum)
{
    uint64_t total = 0;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        total += (uint64_t)llabs(sum->residual[unit]);
    return total;
}

/* Datagrams that were sent in this dataplane's life, and neither received nor counted as lost by
 * the kernel. */
static int64_t
datagrams_unaccounted(const struct report *report)
{
    const struct weir_counts *total = &report->after.total;
    return report->datagrams_sent == 0
               ? 0
               : (int64_t)(report->datagrams_sent - total->unit[WEIR_UNIT_PACKETS].received -
                           total->counter[WEIR_COUNTER_socket_drops]);
}

static void
report_datagrams(const struct report *report, json_t *out)
{
    uint64_t sent = report->datagrams_sent - report->datagrams_before;
    uint64_t lost = DELTA(report, counter[WEIR_COUNTER_socket_drops]);
    json_object_set_new(out, "datagrams_sent", json_integer((json_int_t)sent));
    json_object_set_new(out, "datagrams_received",
        json_integer((json_int_t)DELTA(report, unit[WEIR_UNIT_PACKETS].received)));
    json_object_set_new(out, "datagrams_lost", json_integer((json_int_t)lost));
    json_object_set_new(out, "datagrams_unaccounted",
        json_integer((json_int_t)datagrams_unaccounted(report)));
    json_object_set_new(out, "loss", json_real((double)lost / (double)sent));
    json_object_set_new(out, "datagrams_ahead_max", json_integer(WEIR_BENCH_UDP_AHEAD));
}

/* A stage counts where it runs: those of a worker are receive to batch. Where one thread runs all
 * stages its CPU time is that of all. */
static json_t *
report_worker(const struct report *report, uint32_t worker)
{
    const struct weir_counts *before = &report->before.block[WEIR_BLOCK_WORKER + worker];
    const struct weir_counts *after = &report->after.block[WEIR_BLOCK_WORKER + worker];
    uint64_t samples = after->unit[WEIR_UNIT_SAMPLES].received -
        before->unit[WEIR_UNIT_SAMPLES].received;
    double each = (double)(samples ? samples : 1);
    double seconds = report->worker_seconds[worker];
    json_t *cycles = json_object();
    for (int stage = 0; stage < WEIR_STAGE_COUNT; stage++)
        if (after->cycles[stage] != before->cycles[stage])
            json_object_set_new(cycles, weir_stage_names[stage],
                json_real((double)(after->cycles[stage] - before->cycles[stage]) / each));
    json_t *out = json_object();
    json_object_set_new(out, "samples", json_integer((json_int_t)samples));
    json_object_set_new(out, "cycles_per_sample", cycles);
    json_object_set_new(out, "cpu_seconds", json_real(seconds));
    json_object_set_new(out, "cores", json_real(seconds / report->seconds));
    json_object_set_new(out, "samples_per_cpu_sec",
        json_real(seconds > 0 ? (double)samples / seconds : 0));
    return out;
}

static json_t *
report_workers(const struct options *options, const struct report *report)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < options->cores; i++)
        json_array_append_new(out, report_worker(report, i));
    return out;
}

static void
report_recycled(const struct report *report, json_t *out)
{
    const struct weir_counts *total = &report->settled.total;
    json_object_set_new(out, "log_segments_recycled",
        json_integer((json_int_t)total->counter[WEIR_COUNTER_log_segments_recycled]));
    json_object_set_new(out, "log_samples_recycled",
        json_integer((json_int_t)total->counter[WEIR_COUNTER_log_samples_recycled]));
    json_object_set_new(out, "log_samples", json_integer((json_int_t)report->found.log_samples));
    json_object_set_new(out, "log_samples_wanted",
        json_integer((json_int_t)log_samples_wanted(report)));
}

static json_t *
report_json(const struct options *options, const struct report *report,
    struct weir_bench_target *target)
{
    uint64_t durable = DELTA(report, unit[WEIR_UNIT_SAMPLES].stored);
    double cores = report->cpu_seconds / report->seconds;
    json_t *cycles = json_object();
    for (int stage = 0; stage < WEIR_STAGE_COUNT; stage++)
        json_object_set_new(cycles, weir_stage_names[stage],
            json_real((double)delta(report, offsetof(struct weir_counts, cycles) / 8 +
                                                (size_t)stage) /
                      (double)(durable ? durable : 1)));
    json_t *out = json_object();
    json_object_set_new(out, "source", json_string(weir_bench_source_names[options->source]));
    json_object_set_new(out, "proto", json_string(weir_bench_proto_names[options->proto]));
    json_object_set_new(out, "series", json_integer((json_int_t)options->series));
    json_object_set_new(out, "offered", json_integer((json_int_t)report->offered));
    json_object_set_new(out, "received",
        json_integer((json_int_t)DELTA(report, unit[WEIR_UNIT_SAMPLES].received)));
    /* samples are counted there by parsers of text; packets of the weir protocol are groups */
    if (options->proto != WEIR_BENCH_WEIR)
        json_object_set_new(out, "parsed",
            json_integer((json_int_t)DELTA(report, samples[WEIR_STAGE_parse])));
    json_object_set_new(out, "durable", json_integer((json_int_t)durable));
    json_object_set_new(out, "queryable", json_integer((json_int_t)report->found.samples));
    json_object_set_new(out, "compared", json_integer((json_int_t)report->found.compared));
    json_object_set_new(out, "mismatched", json_integer((json_int_t)report->found.mismatched));
    json_object_set_new(out, "read_back_seconds", json_real(report->found.seconds));
    if (options->recycle != 0)
        report_recycled(report, out);
    if (report->datagrams_sent > 0)
        report_datagrams(report, out);
    json_object_set_new(out, "seconds", json_real(report->seconds));
    json_object_set_new(out, "samples_per_sec_durable",
        json_real((double)durable / report->seconds));
    json_object_set_new(out, "cores", json_real(cores));
    json_object_set_new(out, "samples_per_sec_core",
        json_real((double)durable / report->cpu_seconds));
    json_object_set_new(out, "cycles_per_sample", cycles);
    json_object_set(out, "interval_cycles_per_sample", report->intervals);
    if (options->cores > 0)
        json_object_set_new(out, "workers", report_workers(options, report));
    json_object_set_new(out, "tsc_hz", json_real(weir_tsc_hz()));
    json_object_set_new(out, "ledger_residual",
        json_integer((json_int_t)residual_sum(&report->after)));
    json_t *contact = json_object();
    for (int stage = 0; stage < WEIR_STAGE_COUNT; stage++)
        json_object_set_new(contact, weir_stage_names[stage],
            json_real((double)report->warm.total.cycles[stage] /
                      (double)(report->warm_series ? report->warm_series : 1)));
    json_object_set_new(out, "first_contact_cycles", contact);
    json_object_set_new(out, "first_contact_series", json_integer((json_int_t)report->warm_series));
    json_object_set_new(out, "first_contact_seconds", json_real(report->warm_seconds));
    json_object_set_new(out, "generator_ns_per_sample", json_real(report->generator_ns));
    json_object_set_new(out, "generator_cores",
        json_real(report->generator_cpu_seconds / report->seconds));
    json_object_set_new(out, "bytes_per_sample",
        json_real((double)report->log_bytes / (double)(durable ? durable : 1)));
    json_object_set_new(out, "frames", json_integer((json_int_t)DELTA(report,
                                           counter[WEIR_COUNTER_frames_written])));
    json_object_set_new(out, "syncs",
        json_integer((json_int_t)DELTA(report, counter[WEIR_COUNTER_syncs])));
    json_object_set_new(out, "fsync", json_true());
    weir_bench_target_describe(target, out);
    return out;
}

static void
print_table(json_t *report)
{
    const char *key;
    json_t *value;
    json_object_foreach (report, key, value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        printf("%-26s %s\n", key, text);
        free(text);
    }
}

static int
emit_lines(const struct options *options)
{
    struct weir_bench_load *load;
    int64_t start_ms = weir_bench_time_whole_ms(options->proto,
        weir_wall_ms() - WEIR_BENCH_TIMES_BACK_MS);
    if (weir_bench_load_new(options->proto, options->series, start_ms,
            weir_bench_step_ms(options->proto, options->series), &load) != WEIR_OK) {
        fprintf(stderr, "weir bench: %s\n", weir_err_detail());
        return EXIT_FAILURE;
    }
    uint8_t packet[WEIR_BENCH_PACKET_MAX];
    bool ok = true;
    for (uint64_t emitted = 0; emitted < options->emit && ok;) {
        uint32_t samples;
        size_t size = weir_bench_load_next(load, packet, &samples);
        ok = fwrite(packet, 1, size, stdout) == size;
        emitted += samples;
    }
    weir_bench_load_free(load);
    return ok && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Frames of the veth source are made in the kernel: nothing of the others' fits it. */
static bool
source_is_veth(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--source=veth") == 0 ||
            (strcmp(argv[i], "--source") == 0 && i + 1 < argc && strcmp(argv[i + 1], "veth") == 0))
            return true;
    return false;
}

int
weir_command_bench(int argc, char **argv)
{
    if (source_is_veth(argc, argv))
        return weir_bench_veth(argc, argv);
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--overload") == 0)
            return weir_bench_overload(argc, argv);
    struct options options;
    if (parse_options(argc, argv, &options) != WEIR_OK) {
        fprintf(stderr, "weir bench: %s\n", weir_err_detail());
        return WEIR_EXIT_USAGE;
    }
    if (options.emit > 0)
        return emit_lines(&options);
    uint64_t need = (uint64_t)(options.seconds + 2) * RATE_BOUND * SAMPLE_BYTES_BOUND +
                    options.series * 300 + (UINT64_C(1) << 30);
    if (options.recycle != 0)
        need = options.recycle + options.series * 300;
    const struct weir_bench_room room = {.series = options.series,
        .log_bytes = options.recycle != 0 ? options.recycle : need,
        .recycles = options.recycle != 0};
    struct weir_bench_target *target;
    if (weir_bench_target_prepare(options.data) != WEIR_OK ||
        weir_bench_target_check_disk(options.data, need) != WEIR_OK ||
        weir_bench_target_open(options.data, options.source, options.proto,
            options.filled ? FILLED_SLOTS : 0, options.cores,
            &room, &target) != WEIR_OK) {
        fprintf(stderr, "weir bench: %s\n", weir_err_detail());
        return EXIT_FAILURE;
    }
    if (options.recycle != 0 && weir_bench_target_end(target) != 0) {
        fprintf(stderr, "weir bench: --recycle: %s holds a log already\n", options.data);
        (void)weir_bench_target_close(target);
        return EXIT_FAILURE;
    }
    weir_bench_target_filled(target, options.filled);
    struct report *report = calloc(1, sizeof *report);
    WEIR_ASSERT(report != NULL);
    bool ok = measure(target, &options, report);
    if (ok) {
        json_t *out = report_json(&options, report, target);
        if (options.json)
            json_dumpf(out, stdout, JSON_REAL_PRECISION(9));
        else
            print_table(out);
        if (options.json)
            putchar('\n');
        json_decref(out);
    }
    bool clean = weir_bench_target_close(target);
    bool right = ok && clean && report->found.mismatched == 0 &&
                 residual_sum(&report->after) == 0 && datagrams_unaccounted(report) == 0 &&
                 (options.recycle == 0 || report->found.log_samples == log_samples_wanted(report));
    json_decref(report->intervals);
    free(report);
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
