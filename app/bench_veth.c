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
#include "app/bench_veth.h"

#include "app/bench_check.h"
#include "app/bench_cpu.h"
#include "app/bench_frames.h"
#include "app/bench_load.h"
#include "app/bench_search.h"
#include "app/commands.h"
#include "app/words.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define TMPFS_MAGIC_NUMBER 0x01021994
#define RATE_DEFAULT 100000
#define RATE_MAX 5000000
#define RATE_SEARCH 0 /* of options: to be found */
#define WARM_RATE 25000 /* frames a second while series are defined: 300,000 series */
#define WARM_RATE_MIN 2000
#define WARM_PASSES_MAX 30
#define TRIAL_NS (INT64_C(3) * 1000000000)
#define OPEN_WAIT_NS (INT64_C(60) * 1000000000)
#define STOP_WAIT_NS (INT64_C(10) * 1000000000)
/* The XDP counters are read once a second: quiet for longer, and they have been. */
#define QUIET_NS (INT64_C(2500) * 1000000)
#define LOG_BYTES_A_SAMPLE 10
/* A datagram takes 4.4 KiB of it and the kernel doubles it: 65 ms at 460,000 a second, more than
 * others keep a shared machine's core, and less than hides a rate that is too high from a trial. */
#define UDP_BUFFER_MIB 64
#define ARGUMENTS_MAX 32
#define FRAME_SAMPLES_MAX 164 /* of a weir packet */
#define FRAME_LINES_MAX 15    /* of some 104 bytes each */

struct options {
    enum weir_bench_proto proto;
    const char *data;
    uint64_t series;
    double seconds;
    uint64_t rate; /* frames a second; 0: --rate max */
    bool socket; /* no AF_XDP */
    uint32_t pairs; /* of veth, each with an AF_XDP port at its end */
    uint32_t payload_max; /* bytes of a filled datagram; 0: a host's lines each */
    bool json;
};

/* What was counted up to a moment. */
struct snapshot {
    struct weir_ledger_sum ledger;
    struct weir_bench_frames_counts sent;
    struct weir_bench_cpu cpu;
    uint64_t log_end;
    int64_t time_ns;
};

struct run {
    const struct options *options;
    uint16_t port; /* of the listener: another for each process */
    char programs[WEIR_CONFIG_PATH_MAX];
    pid_t pid; /* weir run */
    int shared_fd;
    struct weir_shared *shared;
    struct weir_bench_frames *frames;
    struct weir_bench_load *load;
    uint64_t rate;
    struct weir_bench_search search; /* for it, where it is searched for */
    unsigned runs;                   /* measurements; the last one counts */
    double first_loss;               /* of the first one, where there are two */
    int64_t time_ms; /* of the load's next pass 0 */
    int64_t step_ms;
    uint64_t passes; /* whole ones of the measurement */
    struct snapshot before;
    struct snapshot after;
    struct weir_bench_found found;
};

void
weir_usage_bench_veth(FILE *out)
{
    fputs("  --source veth   real frames over a veth pair through AF_XDP; needs root. It takes\n"
          "                  --proto, --series, --seconds, --json, --data and\n"
          "  --pairs N       1 (default), 2 or 4 veth pairs, each with a port and its buffers;\n"
          "                  Influx lines, not with --socket\n"
          "  --socket        the frames go through the kernel's stack to its UDP socket\n"
          "  --payload N     each datagram is filled with Influx lines up to N bytes (256-1472;\n"
          "                  without it each is one host's 12 lines, 1,250 bytes)\n"
          "  --rate FRAMES   frames a second (default 100000); max: searches for the highest rate\n"
          "                  at which no more than one of 100,000 is lost\n",
        out);
}

/* Frames are made of influx lines and weir packets alone. */
static bool
parse_proto(const char *name, enum weir_bench_proto *out)
{
    for (int proto = 0; proto < WEIR_BENCH_PROTOS; proto++) {
        if (proto != WEIR_BENCH_GRAPHITE &&
            strcmp(name, weir_bench_proto_names[proto]) == 0) {
            *out = (enum weir_bench_proto)proto;
            return true;
        }
    }
    return false;
}

static bool
parse(int argc, char **argv, struct options *out)
{
    static const struct option table[] = {{"source", required_argument, NULL, 's'},
        {"proto", required_argument, NULL, 'p'}, {"data", required_argument, NULL, 'd'},
        {"series", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'}, {"json", no_argument, NULL, 'j'},
        {"socket", no_argument, NULL, 'k'}, {"payload", required_argument, NULL, 'l'},
        {"pairs", required_argument, NULL, 'm'}, {NULL, 0, NULL, 0}};
    *out = (struct options){
        .proto = WEIR_BENCH_INFLUX, .series = 1000000, .seconds = 10, .pairs = 1,
        .rate = RATE_DEFAULT};
    char none[] = "";
    char *end = none;
    int option;
    while ((option = getopt_long(argc + 1, argv - 1, "", table, NULL)) != -1) {
        if (option == 'd')
            out->data = optarg;
        else if (option == 'n')
            out->series = strtoull(optarg, &end, 10);
        else if (option == 't')
            out->seconds = strtod(optarg, &end);
        else if (option == 'r' && strcmp(optarg, "max") == 0)
            out->rate = RATE_SEARCH;
        else if (option == 'r' && (out->rate = strtoull(optarg, &end, 10)) == 0)
            return false;
        else if (option == 'j')
            out->json = true;
        else if (option == 'k')
            out->socket = true;
        else if (option == 'm')
            out->pairs = (uint32_t)strtoul(optarg, &end, 10);
        else if (option == 'l')
            out->payload_max = (uint32_t)strtoul(optarg, &end, 10);
        else if (option == '?' || (option == 'p' && !parse_proto(optarg, &out->proto)))
            return false;
        if (*end != '\0')
            return false;
    }
    return out->data != NULL && out->series > 0 && out->series <= WEIR_BENCH_SERIES_MAX &&
           out->seconds > 0 && out->seconds <= 600 && out->rate <= RATE_MAX &&
           (out->pairs == 1 || (!out->socket && (out->pairs == 2 || out->pairs == 4))) &&
           (out->payload_max == 0 ||
               (out->proto == WEIR_BENCH_INFLUX &&
                   out->payload_max >= WEIR_BENCH_FRAMES_PAYLOAD_MIN &&
                   out->payload_max <= WEIR_BENCH_FRAMES_PAYLOAD_MAX));
}

/* Frames a second that no trial goes beyond. */
static uint64_t
rate_bound(const struct options *options)
{
    return options->proto == WEIR_BENCH_INFLUX ? 1000000 : 300000;
}

/* Room of the log: what a run could write. Trials have half the bound on average, or less. */
static uint64_t
log_bytes_of(const struct options *options)
{
    bool lines = options->proto == WEIR_BENCH_INFLUX;
    bool searches = options->rate == RATE_SEARCH;
    double trials = searches ? (double)rate_bound(options) / 2 *
                                   (WEIR_BENCH_TRIALS_MAX * (double)TRIAL_NS / 1e9)
                             : 0;
    double rate = (double)(searches ? rate_bound(options) * 3 / 4 : options->rate);
    double frames = trials + rate * (options->seconds * (searches ? 2 : 1) + 2);
    uint64_t samples = (uint64_t)frames * (lines ? FRAME_LINES_MAX : FRAME_SAMPLES_MAX);
    return samples * LOG_BYTES_A_SAMPLE + options->series * 300 + (UINT64_C(2) << 30);
}

static enum weir_err
start_instance(struct run *run)
{
    char program[WEIR_CONFIG_PATH_MAX + 16];
    char ports[WEIR_BENCH_FRAMES_PAIRS_MAX][64] = {"none"};
    const char *arguments[ARGUMENTS_MAX] = {NULL};
    char listener[32];
    char series[24];
    char log_size[24];
    char buffer[24];
    const struct options *options = run->options;
    bool lines = options->proto == WEIR_BENCH_INFLUX;
    snprintf(program, sizeof program, "%s/weir", run->programs);
    for (uint32_t i = 0; i < options->pairs && !options->socket; i++)
        snprintf(ports[i], sizeof ports[i], "net_af_xdp%u,iface=%s", i,
            weir_bench_frames_interface(run->frames, i));
    snprintf(listener, sizeof listener, "%s:%u%s",
        options->socket ? WEIR_BENCH_FRAMES_ADDRESS : "127.0.0.1", run->port,
        lines ? ",unit=ns" : "");
    snprintf(buffer, sizeof buffer, "%dMiB", UDP_BUFFER_MIB);
    snprintf(series, sizeof series, "%" PRIu64, options->series * 2 + 1024);
    snprintf(log_size, sizeof log_size, "%" PRIu64 "B", log_bytes_of(options));
    const char *fixed[] = {"weir", "run", "--data", options->data, "--http", "none",
        lines ? "--influx-udp" : "--weir-udp", listener, "--series-max", series, "--udp-buffer",
        buffer, "--log-size-max", log_size, "--frame-ring", "512MiB", "--prefault", "true",
        "--log-level", "warn", "--eal-memory", "512MiB"};
    size_t count = sizeof fixed / sizeof fixed[0];
    _Static_assert(sizeof fixed / sizeof fixed[0] + 2 * WEIR_BENCH_FRAMES_PAIRS_MAX <
                       ARGUMENTS_MAX, "room for all, and a NULL");
    memcpy(arguments, fixed, sizeof fixed);
    for (uint32_t i = 0; i < options->pairs; i++) {
        arguments[count++] = "--port";
        arguments[count++] = ports[i];
    }
    run->pid = fork();
    if (run->pid < 0)
        return weir_fail(WEIR_IO, errno, "fork");
    if (run->pid == 0) {
        (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* ours is the report's */
        execv(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    return WEIR_OK;
}

static bool
instance_lives(const struct run *run)
{
    return waitpid(run->pid, NULL, WNOHANG) == 0;
}

/* Maps the instance's shared region, which its supervisor holds as a memfd, and waits until
 * ingest is open. */
static enum weir_err
wait_open(struct run *run)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)run->pid, WEIR_SHARED_FD);
    int64_t limit_ns = weir_mono_ns() + OPEN_WAIT_NS;
    while (weir_mono_ns() < limit_ns && instance_lives(run)) {
        usleep(10000);
        if (run->shared == NULL) {
            int fd = open(path, O_RDWR | O_CLOEXEC);
            if (fd < 0)
                continue;
            if (weir_shared_map(fd, &run->shared) == WEIR_OK)
                run->shared_fd = fd;
            else
                close(fd);
        } else if (atomic_load_explicit(&run->shared->epoch, memory_order_acquire) != 0) {
            return WEIR_OK;
        }
    }
    return weir_fail(WEIR_IO, 0, "the instance did not open: see its messages above");
}

static void
stop_instance(struct run *run)
{
    if (run->pid <= 0)
        return;
    kill(run->pid, SIGTERM);
    int64_t limit_ns = weir_mono_ns() + STOP_WAIT_NS;
    while (instance_lives(run) && weir_mono_ns() < limit_ns)
        usleep(10000);
}

/* Counters of frames that were sent and not received, each with its name. */
static const enum weir_counter losses[] = {WEIR_COUNTER_socket_drops,
    WEIR_COUNTER_xsk_dropped, WEIR_COUNTER_xsk_ring_full,
    WEIR_COUNTER_xdp_denied, WEIR_COUNTER_xdp_malformed, WEIR_COUNTER_xdp_fragments,
    WEIR_COUNTER_xdp_limited, WEIR_COUNTER_xdp_no_socket};
#define LOSSES (sizeof losses / sizeof losses[0])

static uint64_t
lost(const struct snapshot *before, const struct snapshot *after)
{
    uint64_t sum = after->sent.interface_drops - before->sent.interface_drops;
    for (size_t i = 0; i < LOSSES; i++)
        sum += after->ledger.total.counter[losses[i]] - before->ledger.total.counter[losses[i]];
    return sum;
}

static uint64_t
received(const struct snapshot *before, const struct snapshot *after)
{
    return after->ledger.total.unit[WEIR_UNIT_PACKETS].received -
           before->ledger.total.unit[WEIR_UNIT_PACKETS].received;
}

static uint64_t
stored(const struct snapshot *before, const struct snapshot *after)
{
    return after->ledger.total.unit[WEIR_UNIT_SAMPLES].stored -
           before->ledger.total.unit[WEIR_UNIT_SAMPLES].stored;
}

static double
loss(const struct snapshot *before, const struct snapshot *after)
{
    return (double)lost(before, after) /
           (double)(after->sent.frames - before->sent.frames);
}

/* Every frame sent has met a fate that is counted. */
static bool
accounted(const struct snapshot *now)
{
    static const struct snapshot none;
    return received(&none, now) + lost(&none, now) == now->sent.frames;
}

/* Waits until all that was sent has ended: at once where nothing was lost, else when the counters
 * of losses are up to date. now->time_ns: when a sample last became durable. */
static enum weir_err
settle(struct run *run, struct snapshot *now)
{
    uint64_t before = UINT64_MAX;
    bool read;
    int64_t limit_ns = weir_mono_ns() + OPEN_WAIT_NS;
    weir_bench_frames_counts(run->frames, &now->sent);
    do {
        if (weir_mono_ns() > limit_ns || !instance_lives(run))
            return weir_fail(WEIR_IO, 0, "what was sent did not come to an end in time");
        read = weir_ledger_read(&run->shared->ledger, &now->ledger) == WEIR_OK;
        if (read && now->ledger.total.unit[WEIR_UNIT_SAMPLES].stored != before) {
            before = now->ledger.total.unit[WEIR_UNIT_SAMPLES].stored;
            now->time_ns = weir_mono_ns();
        }
        usleep(200);
    } while (!read || now->ledger.in_flight[WEIR_UNIT_SAMPLES] != 0 ||
             (!accounted(now) && weir_mono_ns() - now->time_ns < QUIET_NS));
    now->cpu = weir_bench_cpu_read(run->pid);
    now->log_end = atomic_load_explicit(&run->shared->appended_offset, memory_order_relaxed);
    return WEIR_OK;
}

/* Sends whole passes for a while and waits for the end of all of it. */
static enum weir_err
send_passes(struct run *run, uint64_t rate, uint64_t passes, int64_t ns, struct snapshot *now)
{
    weir_bench_load_restart(run->load, run->time_ms);
    struct weir_bench_sending sending = {
        .load = run->load, .payload_max = run->options->payload_max, .passes = passes,
        .until_ns = weir_mono_ns() + ns, .rate = rate};
    enum weir_err err = weir_bench_frames_send(run->frames, &sending);
    run->passes = weir_bench_load_passes(run->load);
    run->time_ms += (int64_t)(run->passes + 2) * run->step_ms;
    return err == WEIR_OK ? settle(run, now) : err;
}

/* First contact, and on until the worker's cache knows the lines: what is measured is the steady
 * state. */
static enum weir_err
warm_up(struct run *run)
{
    uint64_t missed = UINT64_MAX, rejected = UINT64_MAX, rate = WARM_RATE;
    enum weir_err err = WEIR_OK;
    for (int i = 0; i < WARM_PASSES_MAX && (rejected > 0 || missed > run->options->series / 100);
         i++) {
        struct weir_bench_sending names = {
            .load = run->load, .definitions = true, .rate = rate / 2};
        err = weir_bench_frames_send(run->frames, &names);
        if (err == WEIR_OK)
            err = settle(run, &run->before);
        struct snapshot now;
        if (err == WEIR_OK)
            err = send_passes(run, rate, 1, 0, &now);
        if (err != WEIR_OK)
            return err;
        missed = now.ledger.total.counter[WEIR_COUNTER_raw_misses] -
                 run->before.ledger.total.counter[WEIR_COUNTER_raw_misses];
        rejected = now.sent.samples - run->before.sent.samples - stored(&run->before, &now);
        if (lost(&run->before, &now) > 0 && rate > WARM_RATE_MIN)
            rate /= 2; /* others need this machine too */
        else if (rate == WARM_RATE)
            rate *= 2; /* from here on most are known */
        run->before = now;
    }
    return rejected == 0 ? WEIR_OK : weir_fail(WEIR_IO, 0, "%" PRIu64 " sample%s of the last "
        "warm-up pass lost or refused", rejected, weir_plural(rejected));
}

/* Trials of TRIAL_NS until app/bench_search.h is content. */
static enum weir_err
search(struct run *run)
{
    struct snapshot now;
    struct weir_bench_search *search = &run->search;
    weir_bench_search_init(search, (double)rate_bound(run->options));
    while (search->state != WEIR_BENCH_SEARCHED) {
        enum weir_err err = send_passes(run, (uint64_t)search->rate, 0, TRIAL_NS, &now);
        if (err != WEIR_OK)
            return err;
        double sent = (double)(now.sent.frames - run->before.sent.frames) * 1e9 / TRIAL_NS;
        double lost_share = loss(&run->before, &now);
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
read_back(struct run *run)
{
    const struct options *options = run->options;
    struct weir_bench_run check = {.data = options->data,
        .shared_fd = run->shared_fd,
        .proto = options->proto,
        .series = options->series,
        .start_ms = run->time_ms - (int64_t)(run->passes + 2) * run->step_ms,
        .step_ms = run->step_ms,
        .passes = run->passes,
        .seed = (uint64_t)run->time_ms};
    return weir_bench_check(&check, &run->found);
}

static enum weir_err
measure_once(struct run *run)
{
    run->runs++;
    run->before.cpu = weir_bench_cpu_read(run->pid);
    weir_bench_frames_counts(run->frames, &run->before.sent);
    run->before.time_ns = weir_mono_ns();
    enum weir_err err =
        send_passes(run, run->rate, 1, (int64_t)(run->options->seconds * 1e9), &run->after);
    if (err == WEIR_OK && loss(&run->before, &run->after) > WEIR_BENCH_LOSS_GREAT)
        fprintf(stderr, "weir bench: %.1e of the frames were lost: at %" PRIu64
            " a second this is a figure of overload\n", loss(&run->before, &run->after),
            run->rate);
    return err;
}

static enum weir_err
measure(struct run *run)
{
    const struct options *options = run->options;
    /* a pass over few series is quick: then time moves on in small steps, so that a run's times
     * stay within the hour that may lie ahead */
    run->step_ms = options->series >= 100000 ? 1000 : 1;
    run->time_ms = weir_wall_ms() - 600000;
    int64_t newest_ms =
        atomic_load_explicit(&run->shared->durable_time_ms, memory_order_relaxed) + 1000;
    if (newest_ms > run->time_ms)
        run->time_ms = newest_ms;
    enum weir_err err = weir_bench_load_new(options->proto, options->series, run->time_ms,
        run->step_ms, &run->load);
    if (err == WEIR_OK)
        err = weir_bench_frames_start(run->frames);
    if (err == WEIR_OK)
        err = warm_up(run);
    run->rate = options->rate;
    if (err == WEIR_OK && run->rate == RATE_SEARCH)
        err = search(run);
    if (err == WEIR_OK)
        err = measure_once(run);
    if (err == WEIR_OK && options->rate == RATE_SEARCH &&
        loss(&run->before, &run->after) > WEIR_BENCH_LOSS_GREAT) {
        run->first_loss = loss(&run->before, &run->after);
        run->before = run->after;
        run->rate = (uint64_t)weir_bench_search_below(weir_bench_search_below((double)run->rate));
        err = measure_once(run);
    }
    weir_bench_frames_stop(run->frames);
    return err == WEIR_OK ? read_back(run) : err;
}

/* report */

static void
set_count(json_t *out, const char *name, uint64_t value)
{
    json_object_set_new(out, name, json_integer((json_int_t)value));
}

static void
set_real(json_t *out, const char *name, double value)
{
    json_object_set_new(out, name, json_real(value));
}

static uint64_t
residual(const struct run *run)
{
    uint64_t total = 0;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        total += (uint64_t)llabs(run->after.ledger.residual[unit]);
    return total;
}

static void
report_frames(const struct run *run, json_t *out)
{
    const struct snapshot *before = &run->before, *after = &run->after;
    uint64_t sent = after->sent.frames - before->sent.frames;
    set_count(out, "frames_asked_per_sec", run->rate);
    if (run->options->rate == RATE_SEARCH) {
        set_count(out, "search_trials", run->search.trials);
        json_object_set_new(out, "rate_confirmed", json_boolean(run->search.confirmed));
    }
    if (run->runs > 1)
        set_real(out, "first_run_loss", run->first_loss);
    set_count(out, "frames_sent", sent);
    set_count(out, "frames_received", received(before, after));
    set_count(out, "interface_drops",
        after->sent.interface_drops - before->sent.interface_drops);
    for (size_t i = 0; i < LOSSES; i++)
        set_count(out, weir_counter_names[losses[i]],
            after->ledger.total.counter[losses[i]] - before->ledger.total.counter[losses[i]]);
    json_object_set_new(out, "frames_unaccounted",
        json_integer((json_int_t)(sent - received(before, after) - lost(before, after))));
    set_real(out, "loss", loss(before, after));
    set_real(out, "frame_samples",
        (double)(after->sent.samples - before->sent.samples) / (double)sent);
    set_real(out, "frame_bytes",
        (double)(after->sent.bytes - before->sent.bytes) / (double)sent);
}

static void
report_cost(const struct run *run, json_t *out)
{
    const struct snapshot *before = &run->before, *after = &run->after;
    struct weir_bench_cpu cpu = weir_bench_cpu_between(&before->cpu, &after->cpu);
    double seconds = (double)(after->time_ns - before->time_ns) / 1e9;
    double frames = (double)(after->sent.frames - before->sent.frames);
    uint64_t durable = stored(before, after);
    double load = after->sent.load_seconds - before->sent.load_seconds;
    double kernel = after->sent.kernel_seconds - before->sent.kernel_seconds;
    set_real(out, "seconds", seconds);
    set_real(out, "samples_per_sec_durable", (double)durable / seconds);
    set_real(out, "cores", (cpu.dataplane + cpu.others + cpu.kernel) / seconds);
    set_real(out, "cores_dataplane", cpu.dataplane / seconds);
    set_real(out, "cores_other_processes", cpu.others / seconds);
    set_real(out, "cores_kernel_threads", cpu.kernel / seconds);
    set_real(out, "samples_per_sec_core",
        (double)durable / (cpu.dataplane + cpu.others + cpu.kernel));
    json_t *cycles = json_object();
    for (int i = 0; i < WEIR_STAGE_COUNT; i++)
        set_real(cycles, weir_stage_names[i],
            (double)(after->ledger.total.cycles[i] - before->ledger.total.cycles[i]) /
                (double)(durable != 0 ? durable : 1));
    json_object_set_new(out, "cycles_per_sample", cycles);
    set_real(out, "tsc_hz", weir_tsc_hz());
    set_real(out, "generator_load_ns_per_frame", load * 1e9 / frames);
    set_real(out, "generator_kernel_ns_per_frame", kernel * 1e9 / frames);
    set_real(out, "bytes_per_sample",
        (double)(after->log_end - before->log_end) / (double)(durable != 0 ? durable : 1));
}

static json_t *
report(const struct run *run)
{
    const struct snapshot *before = &run->before, *after = &run->after;
    json_t *out = json_object();
    json_object_set_new(out, "source", json_string("veth"));
    json_object_set_new(out, "receiver",
        json_string(run->options->socket ? "kernel UDP" : "AF_XDP"));
    set_count(out, "pairs", run->options->pairs);
    if (run->options->socket)
        set_count(out, "udp_buffer_bytes", (uint64_t)UDP_BUFFER_MIB << 20);
    json_object_set_new(out, "proto",
        json_string(weir_bench_proto_names[run->options->proto]));
    set_count(out, "series", run->options->series);
    report_frames(run, out);
    set_count(out, "samples_sent", after->sent.samples - before->sent.samples);
    set_count(out, "durable", stored(before, after));
    set_count(out, "queryable", run->found.samples);
    set_count(out, "compared", run->found.compared);
    set_count(out, "mismatched", run->found.mismatched);
    set_count(out, "missing", run->found.missing);
    set_real(out, "read_back_seconds", run->found.seconds);
    report_cost(run, out);
    set_count(out, "ledger_residual", residual(run));
    json_object_set_new(out, "kernel_receive_core", json_string("generator"));
    json_object_set_new(out, "simd", json_string(run->shared->simd));
    json_object_set_new(out, "fsync", json_true());
    return out;
}

/* Frames add up, samples can be read back, and none differs; one may be missing where a frame was
 * lost. */
static bool
is_right(const struct run *run)
{
    const struct snapshot *before = &run->before, *after = &run->after;
    uint64_t frames_lost = lost(before, after);
    return after->sent.frames - before->sent.frames == received(before, after) + frames_lost &&
           stored(before, after) == run->found.samples &&
           run->found.mismatched == run->found.missing &&
           (run->found.missing == 0 || frames_lost > 0) && residual(run) == 0;
}

static void
print(const struct options *options, json_t *out)
{
    const char *key;
    json_t *value;
    if (options->json) {
        json_dumpf(out, stdout, JSON_REAL_PRECISION(9));
        putchar('\n');
        return;
    }
    json_object_foreach (out, key, value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        printf("%-26s %s\n", key, text);
        free(text);
    }
}

static enum weir_err
find_programs(struct run *run)
{
    ssize_t size = readlink("/proc/self/exe", run->programs, sizeof run->programs - 1);
    if (size <= 0)
        return weir_fail(WEIR_IO, errno, "readlink /proc/self/exe");
    run->programs[size] = '\0';
    char *slash = strrchr(run->programs, '/');
    if (slash != NULL)
        *slash = '\0';
    return WEIR_OK;
}

/* A disk, and enough of it. */
static bool
check_disk(const struct options *options)
{
    struct statfs kind;
    if ((mkdir(options->data, 0755) != 0 && errno != EEXIST) ||
        statfs(options->data, &kind) != 0 || kind.f_type == TMPFS_MAGIC_NUMBER) {
        fprintf(stderr, "weir bench: %s is no directory on a disk\n", options->data);
        return false;
    }
    uint64_t room = (uint64_t)kind.f_bavail * (uint64_t)kind.f_bsize;
    if (room < log_bytes_of(options)) {
        fprintf(stderr, "weir bench: %s has %" PRIu64 " MiB free, this run may need %" PRIu64
            "\n", options->data, room >> 20, log_bytes_of(options) >> 20);
        return false;
    }
    return true;
}

int
weir_bench_veth(int argc, char **argv)
{
    struct options options;
    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "weir bench --source veth: see weir bench --help\n");
        return WEIR_EXIT_USAGE;
    }
    if (!check_disk(&options))
        return EXIT_FAILURE;
    static struct run run;
    run = (struct run){.options = &options, .port = (uint16_t)(20000 + getpid() % 10000)};
    enum weir_err err = find_programs(&run);
    if (err == WEIR_OK)
        err = weir_bench_frames_new(run.programs, run.port, options.socket, options.pairs,
            &run.frames);
    if (err == WEIR_OK)
        err = start_instance(&run);
    if (err == WEIR_OK)
        err = wait_open(&run);
    if (err == WEIR_OK)
        err = measure(&run);
    if (err == WEIR_OK) {
        json_t *out = report(&run);
        print(&options, out);
        json_decref(out);
    } else {
        fprintf(stderr, "weir bench: %s\n", weir_err_detail());
    }
    stop_instance(&run);
    if (run.frames != NULL)
        weir_bench_frames_free(run.frames);
    if (run.load != NULL)
        weir_bench_load_free(run.load);
    return err == WEIR_OK && is_right(&run) ? EXIT_SUCCESS : EXIT_FAILURE;
}
