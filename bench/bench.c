/* The dataplane under test is the real one, started as a process with a configuration of its own.
 * The generator is this process, on another core; a third one reads back.
 *
 *   warm up: passes over all series until every one is defined   -> first contact
 *   measure: passes for `seconds`; the clock runs until the last sample is durable
 *   check:   another process counts all samples and compares 10,000 bit for bit
 */
#include "bench/parts.h"

#include "app/cli/commands.h"
#include "app/cli/words.h"
#include "base/clock.h"
#include "base/escape.h"
#include "bench/overload.h"
#include "bench/report/intervals.h"
#include "bench/report/print.h"
#include "bench/veth/veth.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_PASSES_MAX 200
#define DURABLE_WAIT_NS (INT64_C(60) * 1000000000)
/* Disk set aside: for the output of the fastest run, at the worst bytes a sample seen. */
#define RATE_BOUND 60000000
#define SAMPLE_BYTES_BOUND 10
#define FILLED_SLOTS 65536 /* 142 MB a ring: a worker has some 80 ms of work */
#define TIME_LEAD_MS 1000
/* Reading back is begun anew where a segment was trimmed meanwhile. */
#define RECYCLE_TRIES 10

/* Says why there is no measurement, and keeps it for the JSON. */
static bool __attribute__((format(printf, 2, 3)))
fail(struct weir_bench_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(report->failed, sizeof report->failed, format, args);
    va_end(args);
    weir_line_print(stderr, "weir bench: %s", report->failed);
    return false;
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
wait_durable(struct weir_bench_target *target, uint64_t offered,
    struct weir_bench_report *report, struct weir_ledger_sum *sum)
{
    int64_t limit_ns = weir_mono_ns() + DURABLE_WAIT_NS;
    do {
        if (!weir_bench_target_ledger(target, sum))
            return fail(report, "the ledger cannot be read");
        if (all_ended(target, sum, offered))
            return true;
    } while (weir_mono_ns() < limit_ns && weir_bench_target_alive(target) &&
             weir_bench_target_refuses(target) == NULL);
    const char *refuses = weir_bench_target_refuses(target);
    return fail(report, "%" PRIu64 " of %" PRIu64 " samples ended%s%s", ended_samples(sum),
        offered, refuses != NULL ? ": " : " in time", refuses != NULL ? refuses : "");
}

/* Sends whole passes, and where there is a time, on until that or until the log is nearly full;
 * counts samples. */
static uint64_t
send_pass(struct weir_bench_target *target, struct weir_bench_load *load, uint32_t workers,
    uint64_t passes, int64_t until_ns)
{
    uint64_t sent = 0;
    for (;;) {
        uint64_t pass = weir_bench_load_passes(load);
        if (pass >= passes && (until_ns == 0 || weir_mono_ns() >= until_ns ||
                                  weir_bench_target_nearly_full(target)))
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

/* Packets that name the series, ahead of their first samples. False if the dataplane has died. */
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

/* First contact: passes until every series is defined and the worker's cache knows the lines. After
 * it the steady state is measured. */
static bool
warm_up(struct weir_bench_target *target, struct weir_bench_load *load,
    const struct weir_bench_options *options, int64_t *time_ms, int64_t step_ms,
    struct weir_bench_report *report, uint64_t *sent)
{
    uint64_t known = weir_bench_target_series(target);
    int64_t start_ns = weir_mono_ns();
    uint64_t rejected = 1, missed = 1, last_missed = 0;
    for (int i = 0; i < WARM_PASSES_MAX && (rejected > 0 || missed > options->series / 100); i++) {
        uint64_t before = report->before.total.unit[WEIR_UNIT_SAMPLES].stored;
        weir_bench_load_restart(load, *time_ms);
        if (!send_definitions(target, load)) {
            const char *refuses = weir_bench_target_refuses(target);
            return fail(report, "%s",
                refuses != NULL ? refuses : "the dataplane took no definitions");
        }
        uint64_t pass_sent = send_pass(target, load, options->cores, 1, 0);
        *time_ms += 2 * step_ms;
        *sent += pass_sent;
        if (!wait_durable(target, *sent, report, &report->before))
            return false;
        /* samples refused now are refused in the next pass too */
        const char *refuses = weir_bench_target_refuses(target);
        if (refuses != NULL)
            return fail(report, "%s", refuses);
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
    return rejected == 0 || fail(report, "%" PRIu64 " sample%s of the last warm-up pass refused",
                                rejected, weir_plural(rejected));
}

/* Nanoseconds a sample, on packets that are not sent; of a load of its own, whose numbers count. */
static double
generator_cost(const struct weir_bench_options *options)
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
read_worker_seconds(const struct weir_bench_target *target,
    const struct weir_bench_options *options, double seconds[WEIR_WORKERS_MAX])
{
    for (uint32_t i = 0; i < options->cores; i++)
        seconds[i] = weir_bench_target_worker_seconds(target, i) - seconds[i];
}

/* The first pass of which nothing can have been trimmed: all its times are later than any in a
 * trimmed frame. */
static bool
find_pass_kept(const struct weir_bench_target *target, struct weir_bench_run *run,
    struct weir_bench_report *report)
{
    int64_t trimmed_ms;
    if (weir_bench_target_trimmed_ms(target, &trimmed_ms) != WEIR_OK)
        return fail(report, "%s", weir_err_detail());
    run->pass_first = trimmed_ms < run->start_ms
        ? 0
        : (uint64_t)((trimmed_ms - run->start_ms) / run->step_ms) + 1;
    return run->pass_first < run->passes ||
        fail(report, "--recycle is too small: the log holds no whole pass");
}

/* Reads again until nothing was trimmed meanwhile: both sides must describe the same log, and a
 * checkpoint or two may still be under way. */
static bool
read_recycled(struct weir_bench_target *target, struct weir_bench_run *run,
    struct weir_bench_report *report)
{
    struct weir_ledger_sum *readback = &report->readback;
    static struct weir_ledger_sum later;
    run->all_times = true;
    for (int tries = 0; tries < RECYCLE_TRIES; tries++) {
        uint64_t first = weir_bench_target_first(target);
        if (!weir_bench_target_ledger(target, readback))
            return fail(report, "the ledger cannot be read");
        if (!find_pass_kept(target, run, report))
            return false;
        if (weir_bench_check(run, &report->found) != WEIR_OK)
            return fail(report, "%s", weir_err_detail());
        if (!weir_bench_target_ledger(target, &later))
            return fail(report, "the ledger cannot be read");
        if (weir_bench_target_first(target) == first &&
            later.total.counter[WEIR_COUNTER_log_samples_recycled] ==
                readback->total.counter[WEIR_COUNTER_log_samples_recycled])
            return true;
    }
    return fail(report, "the log is recycled on and on");
}

static bool
read_back(struct weir_bench_target *target, const struct weir_bench_options *options,
    struct weir_bench_run *run, struct weir_bench_report *report)
{
    if (options->recycle != 0)
        return read_recycled(target, run, report);
    return weir_bench_check(run, &report->found) == WEIR_OK ||
        fail(report, "%s", weir_err_detail());
}

/* The difference of two readings of everything; `sent` samples came before. */
static bool
measure_passes(struct weir_bench_target *target, struct weir_bench_load *load,
    const struct weir_bench_options *options, int64_t time_ms, uint64_t sent,
    struct weir_bench_report *report)
{
    struct weir_bench_intervals *intervals;
    struct weir_ledger *ledger = weir_bench_target_shared_ledger(target);
    if (weir_bench_intervals_start(ledger, &intervals) != WEIR_OK)
        return fail(report, "%s", weir_err_detail());
    weir_bench_load_restart(load, time_ms);
    uint64_t end_before = weir_bench_target_end(target);
    report->datagrams_before = weir_bench_target_datagrams(target);
    double cpu = weir_bench_target_cpu_seconds(target);
    read_worker_seconds(target, options, report->worker_seconds);
    int64_t own_ns = weir_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t start_ns = weir_mono_ns();
    int64_t until_ns = start_ns + (int64_t)(options->seconds * 1e9);
    report->offered = send_pass(target, load, options->cores, 1, until_ns);
    report->ended_early = weir_bench_target_nearly_full(target) && weir_mono_ns() < until_ns;
    report->generator_cpu_seconds =
        (double)(weir_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_ns) / 1e9;
    bool ok = wait_durable(target, sent + report->offered, report, &report->after);
    report->seconds = (double)(weir_mono_ns() - start_ns) / 1e9;
    report->cpu_seconds = weir_bench_target_cpu_seconds(target) - cpu;
    read_worker_seconds(target, options, report->worker_seconds);
    report->log_bytes = weir_bench_target_end(target) - end_before;
    report->datagrams_sent = weir_bench_target_datagrams(target);
    report->intervals = weir_bench_intervals_stop(intervals);
    return ok;
}

static bool
measure(struct weir_bench_target *target, const struct weir_bench_options *options,
    struct weir_bench_report *report)
{
    int64_t step_ms = weir_bench_step_ms(options->proto, options->series);
    int64_t time_ms = weir_wall_ms() - WEIR_BENCH_TIMES_BACK_MS;
    int64_t newest_ms = weir_bench_target_newest_ms(target) + TIME_LEAD_MS;
    if (newest_ms > time_ms)
        time_ms = newest_ms;
    time_ms = weir_bench_time_whole_ms(options->proto, time_ms);
    struct weir_bench_load *load;
    if (weir_bench_load_new(options->proto, options->series, time_ms, step_ms, &load) != WEIR_OK)
        return fail(report, "%s", weir_err_detail());
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

static int
emit_lines(const struct weir_bench_options *options)
{
    struct weir_bench_load *load;
    int64_t start_ms = weir_bench_time_whole_ms(options->proto,
        weir_wall_ms() - WEIR_BENCH_TIMES_BACK_MS);
    if (weir_bench_load_new(options->proto, options->series, start_ms,
            weir_bench_step_ms(options->proto, options->series), &load) != WEIR_OK) {
        weir_line_print(stderr, "weir bench: %s", weir_err_detail());
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

/* Room for the log: as given, or for the output of the fastest machine measured. */
static struct weir_bench_room
room_of(const struct weir_bench_options *options)
{
    struct weir_bench_room room = {.series = options->series,
        .log_bytes = (uint64_t)(options->seconds + 2) * RATE_BOUND * SAMPLE_BYTES_BOUND +
            options->series * 300 + (UINT64_C(1) << 30)};
    if (options->log_bytes != 0) {
        room.log_bytes = options->log_bytes;
        room.segment_bytes = WEIR_BENCH_SEGMENT_BYTES;
    } else if (options->recycle != 0) {
        room.log_bytes = options->recycle;
        room.recycles = true;
    }
    return room;
}

static bool
open_target(const struct weir_bench_options *options, struct weir_bench_report *report,
    struct weir_bench_target **target)
{
    const struct weir_bench_room room = room_of(options);
    uint64_t need = room.log_bytes + (room.recycles ? options->series * 300 : 0);
    if (weir_bench_target_prepare(options->data, need) != WEIR_OK ||
        weir_bench_target_open(options->data, options->source, options->proto,
            options->filled ? FILLED_SLOTS : 0, options->cores, &room, target) != WEIR_OK)
        return fail(report, "%s", weir_err_detail());
    if (options->recycle != 0 && weir_bench_target_end(*target) != 0)
        return fail(report, "--recycle: %s holds a log already", options->data);
    weir_bench_target_filled(*target, options->filled);
    if (options->payload_max != 0)
        weir_bench_target_payload(*target, options->payload_max);
    return true;
}

int
weir_command_bench(int argc, char **argv)
{
    if (source_is_veth(argc, argv))
        return weir_bench_veth(argc, argv);
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--overload") == 0)
            return weir_bench_overload(argc, argv);
    struct weir_bench_options options;
    if (weir_bench_options_parse(argc, argv, &options) != WEIR_OK) {
        weir_line_print(stderr, "weir bench: %s", weir_err_detail());
        return WEIR_EXIT_USAGE;
    }
    if (options.emit > 0)
        return emit_lines(&options);
    struct weir_bench_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        fprintf(stderr, "weir bench: no memory for the report\n");
        return EXIT_FAILURE;
    }
    struct weir_bench_target *target = NULL;
    bool ok = open_target(&options, report, &target) && measure(target, &options, report);
    json_t *out = ok ? weir_bench_report_json(&options, report, target)
                     : weir_bench_report_failed_json(&options, report->failed);
    if (ok || options.json)
        weir_bench_print(out, options.json);
    json_decref(out);
    bool clean = target != NULL && weir_bench_target_close(target);
    bool right = ok && clean && report->found.mismatched == 0 &&
                 weir_bench_residual(report) == 0 &&
                 weir_bench_datagrams_unaccounted(report) == 0 &&
                 (options.recycle == 0 ||
                     report->found.log_samples == weir_bench_log_samples_wanted(report));
    json_decref(report->intervals);
    free(report);
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
