/* Phases of one run against one dataplane, each of the same length:
 *
 *   warm    passes until every series is defined and nothing is refused
 *   peak    as fast as it receives: the generator waits for room
 *   2x, 5x  that many times the peak, whether there is room or not
 *   half    half of the peak: from when on nothing is lost any more
 *   churn   half of the peak, and beside it lines of new series, five times as many as the
 *           registrar has defined in a second while warming up; where DATA knows the series of an
 *           earlier run, that is measured with new ones
 *   half    once more
 *
 * A packet that finds the ring full is lost as on a network card. It is counted as ring_full and
 * not even made: the generator can offer any multiple. Over UDP it is sent, and the kernel counts
 * the datagrams that its socket drops. In the end the offered samples are exactly the received
 * ones and the named losses, and each received one is stored or refused by name. */
#include "bench/overload_internal.h"

#include "app/cli/commands.h"
#include "app/cli/options.h"
#include "base/clock.h"
#include "base/escape.h"
#include "bench/load/digits.h"
#include "bench/report/print.h"
#include "bench/target.h"
#include "bench/values.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WARM_PASSES_MAX 200
#define END_WAIT_NS (INT64_C(60) * 1000000000)
#define LOOK_NS 10000000 /* how often losses are looked for */
#define LATE_NS 1e6
#define RING_SLOTS 4096 /* as many as a network card's queue has */
#define BURST 64
#define CHURN_TIMES 5
#define REACHED_LEAST 0.9  /* of the rate in a phase's name */
#define DISTURBED_LEAST 1.25 /* of the peak: then that was none */
#define CHURN_SERIES_MAX 4000000 /* room in the table */
#define DEFINE_SERIES_MAX 1000000 /* of that, where the rate of definitions is measured apart */
#define RATE_BOUND 30000000      /* samples a second, for the room on disk */
#define SAMPLE_BYTES_BOUND 10

void
weir_usage_bench_overload(FILE *out)
{
    fputs("       weir bench --overload [--source ring|udp] [--series N] [--seconds S] [--json]\n"
          "                  --data DIR\n"
          "Offers 2 and 5 times the rate it can store, then half, then half beside a flood of\n"
          "new series; S seconds each (default 5). Prints goodput, memory, every loss by name.\n",
        out);
}

/* Keeps the reason for the run's end, to be reported once. */
static bool
fail(const char *why)
{
    (void)!weir_fail(WEIR_IO, 0, "%s", why);
    return false;
}

static bool
look(struct weir_bench_overload *bench)
{
    if (weir_bench_target_ledger_now(bench->target, bench->sum))
        return true;
    return fail("the ledger cannot be read");
}

static bool
moment_read(struct weir_bench_overload *bench, struct weir_bench_moment *out)
{
    if (!look(bench))
        return false;
    *out = (struct weir_bench_moment){.ns = weir_mono_ns(),
        .offered = bench->offered,
        .ring_full = bench->ring_full,
        .churn_offered = bench->churn_offered,
        .churn_full = bench->churn_full,
        .sent = weir_bench_target_datagrams(bench->target),
        .total = bench->sum->total};
    weir_bench_target_memory(bench->target, &out->memory);
    return true;
}

/* All losses so far, of packets and samples alike: only whether it grows is asked. */
static uint64_t
losses(const struct weir_bench_overload *bench)
{
    const struct weir_counts *total = &bench->sum->total;
    uint64_t lost =
        bench->ring_full + bench->churn_full + total->counter[WEIR_COUNTER_socket_drops];
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
        lost += total->unit[WEIR_UNIT_SAMPLES].rejected[reason] +
            total->unit[WEIR_UNIT_SAMPLES].dropped[reason];
    return lost;
}

/* Twelve lines, each of a series that never was. */
static size_t
churn_packet(struct weir_bench_overload *bench, uint8_t *out)
{
    static const char text[] =
        "churn,job=run-0000000000,host=node-000000000,region=eu-west-1 v=1i 0000000000000000000\n";
    const size_t bytes = sizeof text - 1;
    for (int i = 0; i < PACKET_LINES; i++) {
        uint8_t *line = out + (size_t)i * bytes;
        memcpy(line, text, bytes);
        weir_bench_put_digits(line + (strstr(text, "run-") - text) + 14, bench->churn_run, 10);
        weir_bench_put_digits(line + (strstr(text, "node-") - text) + 14, bench->churn_host++, 9);
        weir_bench_put_digits(line + bytes - 1, (uint64_t)bench->churn_time_ms * 1000000, 19);
    }
    return PACKET_LINES * bytes;
}

/* Offers a packet; false where the ring had no room for it. */
static bool
offer(struct weir_bench_overload *bench, bool churn)
{
    uint8_t *slot = weir_bench_target_try_reserve(bench->target);
    bench->offered++;
    bench->churn_offered += churn;
    if (slot == NULL) {
        bench->ring_full += !churn;
        bench->churn_full += churn;
        return false;
    }
    uint32_t samples = PACKET_LINES;
    size_t size = churn ? churn_packet(bench, slot)
                        : weir_bench_load_next(bench->load, slot, &samples);
    WEIR_ASSERT(samples == PACKET_LINES);
    weir_bench_target_commit(bench->target, size);
    return true;
}

static bool
no_room(struct weir_bench_overload *bench)
{
    const char *refuses = weir_bench_target_refuses(bench->target);
    return fail(refuses != NULL ? refuses : "the dataplane has ended");
}

/* Offers until `passes` passes are done, waiting for room. */
static bool
offer_passes(struct weir_bench_overload *bench, uint64_t passes)
{
    while (weir_bench_load_passes(bench->load) < passes) {
        if (weir_bench_target_reserve(bench->target) == NULL)
            return no_room(bench);
        offer(bench, false);
    }
    return true;
}

static bool
ended(struct weir_bench_overload *bench)
{
    const struct weir_counts *total = &bench->sum->total;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        if (bench->sum->in_flight[unit] != 0)
            return false;
    return total->unit[WEIR_UNIT_PACKETS].received + bench->ring_full + bench->churn_full +
        total->counter[WEIR_COUNTER_socket_drops] >= bench->offered;
}

static bool
wait_ended(struct weir_bench_overload *bench)
{
    int64_t limit_ns = weir_mono_ns() + END_WAIT_NS;
    do {
        if (!weir_bench_target_ledger(bench->target, bench->sum))
            return fail("the ledger cannot be read");
        if (ended(bench))
            return true;
    } while (weir_mono_ns() < limit_ns && weir_bench_target_alive(bench->target) &&
             weir_bench_target_refuses(bench->target) == NULL);
    const char *refuses = weir_bench_target_refuses(bench->target);
    return fail(refuses != NULL ? refuses : "not all packets ended in time");
}

/* Offers so many new series, waiting for room, and takes the rate at which they are defined. */
static bool
define_new(struct weir_bench_overload *bench, uint64_t count)
{
    uint64_t series = weir_bench_target_series(bench->target);
    int64_t start_ns = weir_mono_ns();
    for (uint64_t i = 0; i < count; i += PACKET_LINES) {
        if (weir_bench_target_reserve(bench->target) == NULL)
            return no_room(bench);
        offer(bench, true);
    }
    if (!wait_ended(bench))
        return false;
    bench->define_rate = (double)(weir_bench_target_series(bench->target) - series) * 1e9 /
        (double)(weir_mono_ns() - start_ns);
    return true;
}

/* A first pass whose series are known says nothing of how fast new ones are defined. */
static bool
first_pass(struct weir_bench_overload *bench)
{
    uint64_t series = weir_bench_target_series(bench->target);
    int64_t start_ns = weir_mono_ns();
    if (!offer_passes(bench, 1) || !wait_ended(bench))
        return false;
    uint64_t defined = weir_bench_target_series(bench->target) - series;
    bench->define_rate = (double)defined * 1e9 / (double)(weir_mono_ns() - start_ns);
    uint64_t half = bench->options.series / 2;
    return defined >= half ||
        define_new(bench, half < DEFINE_SERIES_MAX ? half : DEFINE_SERIES_MAX);
}

static bool
warm_up(struct weir_bench_overload *bench)
{
    if (!first_pass(bench))
        return false;
    const struct weir_counts *total = &bench->sum->total;
    uint64_t stored = total->unit[WEIR_UNIT_SAMPLES].stored;
    uint64_t misses = total->counter[WEIR_COUNTER_raw_misses];
    for (int i = 1; i < WARM_PASSES_MAX; i++) {
        if (!offer_passes(bench, weir_bench_load_passes(bench->load) + 1) || !wait_ended(bench))
            return false;
        uint64_t now = total->unit[WEIR_UNIT_SAMPLES].stored;
        uint64_t missed = total->counter[WEIR_COUNTER_raw_misses];
        if (now - stored == bench->options.series && missed - misses <= bench->options.series / 100)
            return true;
        stored = now;
        misses = missed;
    }
    return fail("samples of known series are still refused after the last warm-up pass");
}

/* Offers as much as there is room for. */
static bool
run_peak(struct weir_bench_overload *bench)
{
    int64_t end_ns = weir_mono_ns() + (int64_t)(bench->options.seconds * 1e9);
    while (weir_mono_ns() < end_ns) {
        for (int i = 0; i < BURST; i++) {
            if (weir_bench_target_reserve(bench->target) == NULL)
                return no_room(bench);
            offer(bench, false);
        }
    }
    return true;
}

/* Packets due at a rate. A generator that was held up does not make up for it by a burst: packets
 * more than a millisecond late are not offered at all. */
static uint64_t
due(double per_ns, double at_ns, uint64_t *done)
{
    double want = at_ns * per_ns, ahead = want - (double)*done, most = per_ns * LATE_NS + 1;
    if (ahead > most) {
        *done += (uint64_t)(ahead - most);
        ahead = most;
    }
    return ahead > 0 ? (uint64_t)ahead : 0;
}

/* Offers at fixed rates of samples; *quiet_ns is when the last loss was seen. */
static bool
run_paced(struct weir_bench_overload *bench, double rate, double churn_rate, int64_t *quiet_ns)
{
    int64_t start_ns = weir_mono_ns(), look_ns = start_ns;
    double per_ns = rate / PACKET_LINES / 1e9, churn_per_ns = churn_rate / PACKET_LINES / 1e9;
    uint64_t known = 0, churned = 0;
    if (!look(bench))
        return false;
    uint64_t lost = losses(bench);
    *quiet_ns = start_ns;
    for (;;) {
        int64_t now_ns = weir_mono_ns();
        double due_ns = (double)(now_ns - start_ns);
        if (due_ns >= bench->options.seconds * 1e9)
            return true;
        uint64_t now_known = due(per_ns, due_ns, &known);
        uint64_t now_churned = due(churn_per_ns, due_ns, &churned);
        for (uint64_t i = 0; i < BURST && i < now_known; i++, known++)
            offer(bench, false);
        for (uint64_t i = 0; i < BURST && i < now_churned; i++, churned++)
            offer(bench, true);
        weir_bench_target_flush(bench->target);
        if (now_ns - look_ns < LOOK_NS)
            continue;
        look_ns = now_ns;
        if (!look(bench))
            return false;
        if (losses(bench) != lost)
            *quiet_ns = now_ns;
        lost = losses(bench);
    }
}

static bool
peak_phase(struct weir_bench_overload *bench)
{
    struct weir_bench_moment before, after;
    if (!moment_read(bench, &before) || !run_peak(bench) || !moment_read(bench, &after))
        return false;
    weir_bench_overload_phase(bench, "peak", &before, &after, NULL);
    json_t *phase = json_array_get(bench->phases, json_array_size(bench->phases) - 1);
    bench->peak = json_real_value(json_object_get(phase, "durable_per_sec"));
    return bench->peak > 0 || fail("nothing was durable at the peak");
}

/* Reports a phase that was not as its name promises, and names it in the report. */
static void
report_doubts(json_t *phase, const char *name, double times, bool churn)
{
    json_t *doubts = json_array();
    double offered = weir_bench_number_of(phase, "offered_of_peak");
    double durable = weir_bench_number_of(phase, "durable_of_peak");
    bool fell_short = offered < REACHED_LEAST * times, disturbed = durable > DISTURBED_LEAST;
    if (fell_short)
        json_array_append_new(doubts, json_string("offered"));
    if (disturbed)
        json_array_append_new(doubts, json_string("peak"));
    json_object_set_new(phase, "doubts", doubts);
    if (fell_short)
        fprintf(stderr, "weir bench: phase %s offered %.2f times the peak, not %.1f: the "
            "generator came no further\n", name, offered, times);
    if (disturbed)
        fprintf(stderr, "weir bench: phase %s made %.2f times the peak durable: the peak was "
            "disturbed, and no multiple of it is what it says\n", name, durable);
    if (churn && json_object_get(phase, "new_offered_per_sec") == NULL)
        weir_line_print(stderr, "weir bench: phase %s offered no new series", name);
}

static bool
paced_phase(struct weir_bench_overload *bench, const char *name, double times, double churn_rate)
{
    struct weir_bench_moment before, after;
    int64_t quiet_ns;
    weir_bench_target_unpaced(bench->target, true);
    if (!moment_read(bench, &before) ||
        !run_paced(bench, bench->peak * times, churn_rate, &quiet_ns) ||
        !moment_read(bench, &after))
        return false;
    json_t *extra = json_object();
    if (times < 1)
        json_object_set_new(extra, "last_loss_after_seconds",
            json_real((double)(quiet_ns - before.ns) / 1e9));
    weir_bench_overload_phase(bench, name, &before, &after, extra);
    report_doubts(extra, name, times, strcmp(name, "churn") == 0);
    return true;
}

static bool
run(struct weir_bench_overload *bench, json_t *out)
{
    bool ok = warm_up(bench) && peak_phase(bench) && paced_phase(bench, "2x", 2, 0) &&
        paced_phase(bench, "5x", 5, 0) && paced_phase(bench, "half", 0.5, 0) &&
        paced_phase(bench, "churn", 0.5, CHURN_TIMES * bench->define_rate) &&
        paced_phase(bench, "half", 0.5, 0) && wait_ended(bench);
    return ok && weir_bench_overload_sums(bench, out);
}

static enum weir_err
parse_options(int argc, char **argv, struct weir_bench_overload_options *out)
{
    const char *source = NULL, *series = NULL, *seconds = NULL;
    bool overload;
    *out = (struct weir_bench_overload_options){
        .source = WEIR_BENCH_RING, .series = 1000000, .seconds = 5};
    const struct weir_option table[] = {{.name = "overload", .flag = &overload},
        {.name = "source", .text = &source}, {.name = "data", .text = &out->data},
        {.name = "series", .text = &series}, {.name = "seconds", .text = &seconds},
        {.name = "json", .flag = &out->json}, {0}};
    int words = 0;
    enum weir_err err = weir_options_parse(table, argc, argv, NULL, &words);
    if (err == WEIR_OK && source != NULL && strcmp(source, "udp") == 0)
        out->source = WEIR_BENCH_UDP;
    else if (err == WEIR_OK && source != NULL && strcmp(source, "ring") != 0)
        err = weir_fail(WEIR_INVALID, 0, "--source %s: with --overload there are: ring, udp",
            source);
    if (err == WEIR_OK)
        err = weir_bench_value_series(series, &out->series);
    if (err == WEIR_OK)
        err = weir_bench_value_seconds(seconds, 60, &out->seconds);
    if (err == WEIR_OK && out->data == NULL)
        err = weir_fail(WEIR_INVALID, 0, "--data is missing");
    out->series = (out->series + PACKET_LINES - 1) / PACKET_LINES * PACKET_LINES;
    return err;
}

static bool
start(struct weir_bench_overload *bench)
{
    const struct weir_bench_overload_options *options = &bench->options;
    uint64_t need = (uint64_t)(options->seconds * 7 + 5) * RATE_BOUND * SAMPLE_BYTES_BOUND +
        options->series * 300 + (UINT64_C(2) << 30);
    int64_t time_ms = weir_wall_ms() - WEIR_BENCH_TIMES_BACK_MS;
    const struct weir_bench_room room = {
        .series = options->series + CHURN_SERIES_MAX, .log_bytes = need};
    if (weir_bench_target_prepare(options->data, need) != WEIR_OK ||
        weir_bench_target_open(options->data, options->source, WEIR_BENCH_INFLUX, RING_SLOTS, 0,
            &room, &bench->target) != WEIR_OK)
        return false;
    int64_t newest_ms = weir_bench_target_newest_ms(bench->target) + 1000;
    time_ms = newest_ms > time_ms ? newest_ms : time_ms;
    bench->churn_time_ms = weir_wall_ms();
    bench->churn_run = (uint64_t)bench->churn_time_ms / 1000;
    return weir_bench_load_new(WEIR_BENCH_INFLUX, options->series, time_ms,
               weir_bench_step_ms(WEIR_BENCH_INFLUX, options->series), &bench->load) == WEIR_OK;
}

int
weir_bench_overload(int argc, char **argv)
{
    struct weir_bench_overload bench = {.phases = json_array()};
    if (parse_options(argc, argv, &bench.options) != WEIR_OK) {
        weir_line_print(stderr, "weir bench: %s", weir_err_detail());
        weir_line_print(stderr,
            "weir bench: --overload takes --source, --series, --seconds, --json and --data");
        json_decref(bench.phases);
        return WEIR_EXIT_USAGE;
    }
    json_t *out = json_object(), *sums = json_object();
    bench.sum = calloc(1, sizeof *bench.sum);
    bool ok = bench.sum != NULL || fail("no memory for the report");
    ok = ok && start(&bench) && run(&bench, sums);
    if (!ok) {
        weir_line_print(stderr, "weir bench: %s", weir_err_detail());
        json_object_set_new(out, "failed", json_string(weir_err_detail()));
    }
    json_object_set_new(out, "source", json_string(weir_bench_source_names[bench.options.source]));
    json_object_set_new(out, "series", json_integer((json_int_t)bench.options.series));
    json_object_set_new(out, "phases", bench.phases);
    json_object_set_new(out, "sums", sums);
    if (bench.target != NULL)
        weir_bench_target_describe(bench.target, out);
    if (bench.options.json)
        weir_bench_print(out, true);
    else
        weir_bench_overload_print(out);
    if (bench.load != NULL)
        weir_bench_load_free(bench.load);
    if (bench.target != NULL)
        ok = weir_bench_target_close(bench.target) && ok;
    json_decref(out);
    free(bench.sum);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
