/* weir bench --source veth: real frames through AF_XDP, or with --socket through the kernel's
 * stack into its UDP socket. A program in the kernel sends them over a veth pair of its own at a
 * steady rate; an instance (`weir run`) takes them.
 *
 *   warm up: definitions and passes until every series is known
 *   search:  --rate max only: short runs until the highest rate is found that loses next to nothing
 *   measure: passes for `seconds`; the clock runs until the last sample is durable. Where a rate
 *            that was searched for loses more than one frame of 1,000, once more, slower.
 *   check:   another process counts all samples and compares 10,000 bit for bit
 *
 * The kernel's work on both ends of the pair is done on the generator's core: the XDP program's
 * too, and all of IP and UDP up to the socket's queue.
 */
#include "bench/veth/parts.h"

#include "app/cli/commands.h"
#include "app/cli/words.h"
#include "base/clock.h"
#include "base/escape.h"
#include "bench/report/intervals.h"
#include "bench/report/print.h"
#include "model/shared.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WARM_RATE 25000 /* frames a second while series are defined: 300,000 series */
#define WARM_RATE_MIN 2000

/* A generator that sends less than it should reports it. */
#define RATE_KEPT 0.95

/* Sends whole passes for a while and waits for the end of all of it. */
static enum weir_err
send_passes(struct weir_veth *run, uint64_t rate, uint64_t passes, int64_t ns,
    struct weir_veth_snapshot *now)
{
    weir_bench_load_restart(run->load, run->time_ms);
    struct weir_bench_sending sending = {
        .load = run->load, .payload_max = run->options->payload_max, .passes = passes,
        .until_ns = weir_mono_ns() + ns, .rate = rate};
    enum weir_err err = weir_bench_frames_send(run->frames, &sending);
    run->passes = weir_bench_load_passes(run->load);
    run->time_ms += (int64_t)(run->passes + WEIR_VETH_PASSES_APART) * run->step_ms;
    return err == WEIR_OK ? weir_veth_wait_idle(run, now) : err;
}

/* First contact, and on until the worker's cache knows the lines: the steady state is measured
 * after it. */
static enum weir_err
warm_up(struct weir_veth *run)
{
    uint64_t missed = UINT64_MAX, rejected = UINT64_MAX, rate = WARM_RATE;
    enum weir_err err = WEIR_OK;
    for (int i = 0; i < WEIR_VETH_WARM_PASSES_MAX &&
                    (rejected > 0 || missed > run->options->series / 100);
         i++) {
        struct weir_bench_sending names = {
            .load = run->load, .definitions = true, .rate = rate / 2};
        err = weir_bench_frames_send(run->frames, &names);
        if (err == WEIR_OK)
            err = weir_veth_wait_idle(run, &run->before);
        struct weir_veth_snapshot now;
        if (err == WEIR_OK)
            err = send_passes(run, rate, 1, 0, &now);
        if (err == WEIR_OK && weir_veth_received(&run->before, &now) == 0 &&
            weir_veth_lost(&run->before, &now) == 0)
            err = weir_fail(WEIR_IO, 0, "of %" PRIu64 " frames none arrived, and none was counted "
                "as lost: does a firewall or a route of this machine drop them?",
                now.sent.frames - run->before.sent.frames);
        if (err != WEIR_OK)
            return err;
        missed = now.ledger.total.counter[WEIR_COUNTER_raw_misses] -
                 run->before.ledger.total.counter[WEIR_COUNTER_raw_misses];
        rejected = now.sent.samples - run->before.sent.samples -
                   weir_veth_stored(&run->before, &now);
        if (weir_veth_lost(&run->before, &now) > 0 && rate > WARM_RATE_MIN)
            rate /= 2; /* others need this machine too */
        else if (rate == WARM_RATE)
            rate *= 2; /* from here on most are known */
        run->before = now;
    }
    return rejected == 0 ? WEIR_OK : weir_fail(WEIR_IO, 0, "%" PRIu64 " sample%s of the last "
        "warm-up pass lost or refused", rejected, weir_plural(rejected));
}

/* Trials of WEIR_VETH_TRIAL_NS until bench/search.h is content. */
static enum weir_err
search(struct weir_veth *run)
{
    struct weir_veth_snapshot now;
    struct weir_bench_search *search = &run->search;
    weir_bench_search_init(search, (double)weir_veth_rate_bound(run->options));
    while (search->state != WEIR_BENCH_SEARCHED) {
        enum weir_err err = send_passes(run, (uint64_t)search->rate, 0, WEIR_VETH_TRIAL_NS, &now);
        if (err != WEIR_OK)
            return err;
        double sent =
            (double)(now.sent.frames - run->before.sent.frames) * 1e9 / WEIR_VETH_TRIAL_NS;
        double lost_share = weir_veth_loss(&run->before, &now);
        fprintf(stderr, "weir bench: at %.0f frames/s, of %.0f asked for, %.1e lost\n", sent,
            search->rate, lost_share);
        weir_bench_search_note(search, sent, lost_share);
        run->before = now;
    }
    run->rate = (uint64_t)search->rate;
    if (run->rate > 0 && !search->confirmed)
        fprintf(stderr, "weir bench: frames were lost at every rate tried twice; going on at "
            "%" PRIu64 "\n", run->rate);
    return run->rate > 0 ? WEIR_OK
                         : weir_fail(WEIR_IO, 0, "frames are lost at every rate tried");
}

static enum weir_err
read_back(struct weir_veth *run)
{
    const struct weir_veth_options *options = run->options;
    struct weir_bench_run check = {.data = options->data,
        .shared_fd = run->shared_fd,
        .proto = options->proto,
        .series = options->series,
        .start_ms =
            run->time_ms - (int64_t)(run->passes + WEIR_VETH_PASSES_APART) * run->step_ms,
        .step_ms = run->step_ms,
        .passes = run->passes,
        .seed = (uint64_t)run->time_ms};
    return weir_bench_check(&check, &run->found);
}

static enum weir_err
measure_once(struct weir_veth *run)
{
    run->runs++;
    run->before.cpu = weir_bench_cpu_read(run->pid);
    weir_bench_frames_counts(run->frames, &run->before.sent);
    struct weir_bench_intervals *intervals;
    enum weir_err err = weir_bench_intervals_start(&run->shared->ledger, &intervals);
    if (err != WEIR_OK)
        return err;
    run->before.time_ns = weir_mono_ns();
    err = send_passes(run, run->rate, 1, (int64_t)(run->options->seconds * 1e9), &run->after);
    json_decref(run->intervals);
    run->intervals = weir_bench_intervals_stop(intervals);
    if (err == WEIR_OK && weir_veth_loss(&run->before, &run->after) > WEIR_BENCH_LOSS_GREAT)
        fprintf(stderr, "weir bench: %.1e of the frames were lost: at %" PRIu64
            " a second this is a figure of overload\n", weir_veth_loss(&run->before, &run->after),
            run->rate);
    uint64_t sent = run->after.sent.frames - run->before.sent.frames;
    double asked = (double)run->rate * run->options->seconds;
    if (err == WEIR_OK && (double)sent < asked * RATE_KEPT)
        fprintf(stderr, "weir bench: %" PRIu64 " frames a second were asked for, and the generator "
            "sent %.0f\n", run->rate, (double)sent / run->options->seconds);
    return err;
}

static enum weir_err
measure(struct weir_veth *run)
{
    const struct weir_veth_options *options = run->options;
    run->step_ms = weir_bench_step_ms(options->proto, options->series);
    run->time_ms = weir_wall_ms() - WEIR_BENCH_TIMES_BACK_MS;
    int64_t newest_ms =
        atomic_load_explicit(&run->shared->durable_time_ms, memory_order_relaxed) + 1000;
    if (newest_ms > run->time_ms)
        run->time_ms = newest_ms;
    run->time_ms = weir_bench_time_whole_ms(options->proto, run->time_ms);
    enum weir_err err = weir_bench_load_new(options->proto, options->series, run->time_ms,
        run->step_ms, &run->load);
    if (err == WEIR_OK)
        err = weir_bench_frames_start(run->frames);
    if (err == WEIR_OK)
        err = warm_up(run);
    run->rate = options->rate;
    if (err == WEIR_OK && run->rate == WEIR_VETH_RATE_SEARCH)
        err = search(run);
    if (err == WEIR_OK)
        err = measure_once(run);
    if (err == WEIR_OK && options->rate == WEIR_VETH_RATE_SEARCH &&
        weir_veth_loss(&run->before, &run->after) > WEIR_BENCH_LOSS_GREAT) {
        run->first_loss = weir_veth_loss(&run->before, &run->after);
        run->before = run->after;
        run->rate = (uint64_t)weir_bench_search_below(weir_bench_search_below((double)run->rate));
        err = measure_once(run);
    }
    weir_bench_frames_stop(run->frames);
    return err == WEIR_OK ? read_back(run) : err;
}

int
weir_bench_veth(int argc, char **argv)
{
    struct weir_veth_options options;
    if (weir_veth_options_parse(argc, argv, &options) != WEIR_OK) {
        weir_line_print(stderr, "weir bench: %s", weir_err_detail());
        weir_line_print(stderr, "weir bench: --source veth takes --proto, --series, --seconds, "
            "--rate, --pairs, --payload, --socket, --json and --data");
        return WEIR_EXIT_USAGE;
    }
    static struct weir_veth run;
    run = (struct weir_veth){.options = &options, .port = (uint16_t)(20000 + getpid() % 10000)};
    enum weir_err err = weir_veth_rights_check(&options);
    if (err == WEIR_OK)
        err = weir_veth_disk_check(&options);
    if (err == WEIR_OK)
        err = weir_veth_find_programs(&run);
    if (err == WEIR_OK)
        err = weir_bench_frames_new(run.programs, run.port, options.socket, options.pairs,
            &run.frames);
    if (err == WEIR_OK)
        err = weir_veth_instance_start(&run);
    if (err == WEIR_OK)
        err = weir_veth_instance_wait_open(&run);
    if (err == WEIR_OK)
        err = measure(&run);
    if (err == WEIR_OK) {
        json_t *out = weir_veth_report(&run);
        weir_bench_print(out, options.json);
        json_decref(out);
    } else {
        weir_line_print(stderr, "weir bench: %s", weir_err_detail());
        json_t *out = json_object();
        json_object_set_new(out, "source", json_string("veth"));
        json_object_set_new(out, "failed", json_string(weir_err_detail()));
        if (options.json)
            weir_bench_print(out, true);
        json_decref(out);
    }
    weir_veth_instance_stop(&run);
    if (run.frames != NULL)
        weir_bench_frames_free(run.frames);
    if (run.load != NULL)
        weir_bench_load_free(run.load);
    json_decref(run.intervals);
    return err == WEIR_OK && weir_veth_is_right(&run) ? EXIT_SUCCESS : EXIT_FAILURE;
}
