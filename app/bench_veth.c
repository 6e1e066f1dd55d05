/* weir bench --source veth: real frames through AF_XDP. A program in the kernel makes them and
 * sends them over a veth pair of its own at a steady rate; an instance (`weir run`) takes them.
 *
 * The kernel's work on both ends of the pair, the XDP program's too, is done on the generator's
 * core. Frames are not read back here: what is stored is what the ledger says.
 */
#include "app/bench_veth.h"

#include "app/commands.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/shared.h"
#include "ebpf/generator.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define TMPFS_MAGIC_NUMBER 0x01021994
#define RATE_DEFAULT 300000
#define WARM_RATE 50000   /* frames a second while series are defined: 600,000 series */
#define OPEN_WAIT_NS (INT64_C(60) * 1000000000)
#define STOP_WAIT_NS (INT64_C(10) * 1000000000)
/* The XDP counters are read once a second: quiet for longer, and they have been. */
#define QUIET_NS (INT64_C(2500) * 1000000)
#define LOG_BYTES_A_SAMPLE 12

extern char **environ;

struct options {
    const char *data;
    uint64_t series;
    double seconds;
    uint64_t rate; /* frames a second */
    bool json;
};

struct run {
    const struct options *options;
    uint16_t port; /* of the listener: another for each process */
    char programs[WEIR_CONFIG_PATH_MAX];
    char near[IFNAMSIZ];
    char far[IFNAMSIZ];
    bool linked;
    pid_t pid; /* weir run */
    struct weir_shared *shared;
    struct weir_generator *generator;
    struct weir_ledger_sum before;
    struct weir_ledger_sum after;
    uint64_t interface_drops; /* of the measurement */
    uint64_t sent;
    double seconds;
    double cpu_seconds;
};

void
weir_usage_bench_veth(FILE *out)
{
    fputs("  --source veth   real frames over a veth pair through AF_XDP; needs root. It takes\n"
          "                  --series, --seconds, --json, --data and\n"
          "  --rate FRAMES   frames of 12 lines a second (default 300000)\n",
        out);
}

static bool
parse(int argc, char **argv, struct options *out)
{
    static const struct option table[] = {{"source", required_argument, NULL, 's'},
        {"proto", required_argument, NULL, 'p'}, {"data", required_argument, NULL, 'd'},
        {"series", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'}, {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0}};
    *out = (struct options){.series = 1000000, .seconds = 10, .rate = RATE_DEFAULT};
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
        else if (option == 'r')
            out->rate = strtoull(optarg, &end, 10);
        else if (option == 'j')
            out->json = true;
        else if (option == '?' || (option == 'p' && strcmp(optarg, "influx") != 0))
            return false;
        if (*end != '\0')
            return false;
    }
    return out->data != NULL && out->series >= WEIR_GEN_LINES && out->series <= 100000000 &&
           out->seconds > 0 && out->seconds <= 600 && out->rate > 0 && out->rate <= 5000000;
}

/* Runs a command of iproute2 and waits for it. */
static enum weir_err
ip(const char *const *arguments)
{
    pid_t pid;
    int status;
    int failed = posix_spawnp(&pid, "ip", NULL, NULL, (char *const *)(uintptr_t)arguments, environ);
    if (failed != 0)
        return weir_fail(WEIR_UNSUPPORTED, failed, "run ip");
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return weir_fail(WEIR_IO, 0, "ip %s %s failed", arguments[1], arguments[2]);
    return WEIR_OK;
}

static enum weir_err
make_link(struct run *run)
{
    snprintf(run->near, sizeof run->near, "wbn%d", (int)getpid() % 100000);
    snprintf(run->far, sizeof run->far, "wbf%d", (int)getpid() % 100000);
    const char *add[] = {"ip", "link", "add", run->near, "type", "veth", "peer", "name", run->far,
        NULL};
    const char *near_up[] = {"ip", "link", "set", run->near, "up", NULL};
    const char *far_up[] = {"ip", "link", "set", run->far, "up", NULL};
    enum weir_err err = ip(add);
    run->linked = err == WEIR_OK;
    if (err == WEIR_OK)
        err = ip(near_up);
    return err == WEIR_OK ? ip(far_up) : err;
}

static void
remove_link(struct run *run)
{
    const char *del[] = {"ip", "link", "del", run->near, NULL};
    if (run->linked && ip(del) != WEIR_OK)
        fprintf(stderr, "weir bench: %s\n", weir_err_detail());
}

static uint64_t
interface_drops(const struct run *run)
{
    char path[128];
    uint64_t drops = 0;
    snprintf(path, sizeof path, "/sys/class/net/%s/statistics/tx_dropped", run->far);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%" SCNu64, &drops) != 1)
        drops = 0;
    fclose(file);
    return drops;
}

static enum weir_err
start_instance(struct run *run)
{
    char program[WEIR_CONFIG_PATH_MAX + 16];
    char port[64];
    char listener[32];
    char series[24];
    char log_size[24];
    const struct options *options = run->options;
    uint64_t log_bytes = (uint64_t)((double)options->rate * (options->seconds + 2)) *
                             WEIR_GEN_LINES * LOG_BYTES_A_SAMPLE + (UINT64_C(4) << 30);
    snprintf(program, sizeof program, "%s/weir", run->programs);
    snprintf(port, sizeof port, "net_af_xdp0,iface=%s", run->near);
    snprintf(listener, sizeof listener, "127.0.0.1:%u,unit=ns", run->port);
    snprintf(series, sizeof series, "%" PRIu64, options->series * 2 + 1024);
    snprintf(log_size, sizeof log_size, "%" PRIu64 "B", log_bytes);
    run->pid = fork();
    if (run->pid < 0)
        return weir_fail(WEIR_IO, errno, "fork");
    if (run->pid == 0) {
        (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* ours is the report's */
        execl(program, "weir", "run", "--data", options->data, "--http", "none", "--influx-udp",
            listener, "--port", port, "--no-huge", "--series-max", series, "--log-size-max",
            log_size, "--frame-ring", "512MiB", "--log-level", "warn", (char *)NULL);
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
            if (weir_shared_map(fd, &run->shared) != WEIR_OK)
                run->shared = NULL;
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

/* CPU time of the dataplane so far. */
static double
cpu_seconds(const struct run *run)
{
    char path[WEIR_CONFIG_PATH_MAX + 32];
    int pid = 0;
    clockid_t clock;
    snprintf(path, sizeof path, "%s/run/dataplane.pid", run->options->data);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    if (pid == 0 || clock_getcpuclockid(pid, &clock) != 0)
        return 0;
    return (double)weir_clock_ns(clock) / 1e9;
}

/* Waits until nothing changes any more; *last_ns: when something last did. */
static bool
settle(struct run *run, struct weir_ledger_sum *sum, int64_t *last_ns)
{
    uint64_t stored = 0;
    *last_ns = weir_mono_ns();
    int64_t limit_ns = *last_ns + OPEN_WAIT_NS;
    while (weir_mono_ns() - *last_ns < QUIET_NS || sum->in_flight[WEIR_UNIT_SAMPLES] != 0) {
        usleep(500);
        if (weir_mono_ns() > limit_ns || !instance_lives(run))
            return false;
        if (weir_ledger_read(&run->shared->ledger, sum) != WEIR_OK)
            continue;
        uint64_t now = sum->total.unit[WEIR_UNIT_SAMPLES].stored;
        if (now != stored)
            *last_ns = weir_mono_ns();
        stored = now;
    }
    return true;
}

/* Sends and waits for the end of all of it. */
static enum weir_err
send_frames(struct run *run, struct weir_gen_config *config, uint64_t rate, uint64_t frames,
    struct weir_ledger_sum *sum)
{
    int64_t last_ns;
    config->interval_ns = 1000000000 / rate;
    int64_t start_ns = weir_mono_ns();
    double cpu = cpu_seconds(run);
    uint64_t drops = interface_drops(run);
    enum weir_err err = weir_generator_run(run->generator, config, (uint32_t)frames);
    if (err != WEIR_OK)
        return err;
    if (!settle(run, sum, &last_ns))
        return weir_fail(WEIR_IO, 0, "what was sent did not come to an end in time");
    run->sent = weir_generator_sent(run->generator);
    run->interface_drops = interface_drops(run) - drops;
    run->seconds = (double)(last_ns - start_ns) / 1e9;
    run->cpu_seconds = cpu_seconds(run) - cpu;
    return WEIR_OK;
}

static void
pin_to_first_core(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return;
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &set))
            continue;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        (void)sched_setaffinity(0, sizeof set, &set);
        return;
    }
}

static enum weir_err
measure(struct run *run)
{
    const struct options *options = run->options;
    struct weir_gen_config config = {.hosts = options->series / WEIR_GEN_LINES,
        .start_ns = (uint64_t)(weir_wall_ms() - 600000) * 1000000,
        .step_ns = options->series >= 100000 ? 1000000000 : 1000000,
        .target = if_nametoindex(run->far)};
    pin_to_first_core(); /* the dataplane has taken the last one */
    enum weir_err err = send_frames(run, &config, WARM_RATE, config.hosts * 2, &run->before);
    if (err != WEIR_OK)
        return err;
    config.start_ns += 2 * config.step_ns;
    return send_frames(run, &config, options->rate,
        (uint64_t)((double)options->rate * options->seconds), &run->after);
}

static uint64_t
counter(const struct run *run, enum weir_counter which)
{
    return run->after.total.counter[which] - run->before.total.counter[which];
}

static void
set_count(json_t *out, const char *name, uint64_t value)
{
    json_object_set_new(out, name, json_integer((json_int_t)value));
}

static json_t *
report(const struct run *run)
{
    const struct weir_ledger_unit *packets = &run->after.total.unit[WEIR_UNIT_PACKETS];
    uint64_t received = packets->received - run->before.total.unit[WEIR_UNIT_PACKETS].received;
    uint64_t durable = run->after.total.unit[WEIR_UNIT_SAMPLES].stored -
                       run->before.total.unit[WEIR_UNIT_SAMPLES].stored;
    static const enum weir_counter losses[] = {WEIR_COUNTER_xsk_dropped,
        WEIR_COUNTER_xsk_ring_full, WEIR_COUNTER_xdp_denied, WEIR_COUNTER_xdp_malformed,
        WEIR_COUNTER_xdp_fragments, WEIR_COUNTER_xdp_limited, WEIR_COUNTER_xdp_no_socket};
    json_t *out = json_object();
    json_object_set_new(out, "source", json_string("veth"));
    json_object_set_new(out, "proto", json_string("influx"));
    set_count(out, "series", run->options->series);
    set_count(out, "frame_bytes", WEIR_GEN_FRAME);
    set_count(out, "frames_sent", run->sent);
    set_count(out, "frames_received", received);
    set_count(out, "interface_drops", run->interface_drops);
    uint64_t lost = run->interface_drops;
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        set_count(out, weir_counter_names[losses[i]], counter(run, losses[i]));
        lost += counter(run, losses[i]);
    }
    json_object_set_new(out, "frames_unaccounted",
        json_integer((json_int_t)run->sent - (json_int_t)received - (json_int_t)lost));
    set_count(out, "durable", durable);
    json_object_set_new(out, "seconds", json_real(run->seconds));
    json_object_set_new(out, "samples_per_sec_durable", json_real((double)durable / run->seconds));
    json_object_set_new(out, "cores", json_real(run->cpu_seconds / run->seconds));
    json_object_set_new(out, "samples_per_sec_core",
        json_real(run->cpu_seconds > 0 ? (double)durable / run->cpu_seconds : 0));
    json_t *cycles = json_object();
    for (int i = 0; i < WEIR_STAGE_COUNT; i++)
        json_object_set_new(cycles, weir_stage_names[i],
            json_real((double)(run->after.total.cycles[i] - run->before.total.cycles[i]) /
                      (double)(durable != 0 ? durable : 1)));
    json_object_set_new(out, "cycles_per_sample", cycles);
    json_object_set_new(out, "ledger_residual",
        json_integer((json_int_t)run->after.residual[WEIR_UNIT_SAMPLES]));
    json_object_set_new(out, "simd", json_string(run->shared->simd));
    json_object_set_new(out, "fsync", json_true());
    return out;
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

/* Where the programs lie, and the generator's object beside them. */
static enum weir_err
load_generator(struct run *run)
{
    char object[WEIR_CONFIG_PATH_MAX + 32];
    ssize_t size = readlink("/proc/self/exe", run->programs, sizeof run->programs - 1);
    if (size <= 0)
        return weir_fail(WEIR_IO, errno, "readlink /proc/self/exe");
    run->programs[size] = '\0';
    char *slash = strrchr(run->programs, '/');
    if (slash != NULL)
        *slash = '\0';
    snprintf(object, sizeof object, "%s/" WEIR_GEN_OBJECT, run->programs);
    return weir_generator_new(object, run->port, &run->generator);
}

int
weir_bench_veth(int argc, char **argv)
{
    struct options options;
    struct statfs kind;
    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "weir bench --source veth: see weir bench --help\n");
        return WEIR_EXIT_USAGE;
    }
    if ((mkdir(options.data, 0755) != 0 && errno != EEXIST) || statfs(options.data, &kind) != 0 ||
        kind.f_type == TMPFS_MAGIC_NUMBER) {
        fprintf(stderr, "weir bench: %s is no directory on a disk\n", options.data);
        return EXIT_FAILURE;
    }
    static struct run run;
    run = (struct run){.options = &options, .port = (uint16_t)(20000 + getpid() % 10000)};
    enum weir_err err = load_generator(&run);
    if (err == WEIR_OK)
        err = make_link(&run);
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
    remove_link(&run);
    if (run.generator != NULL)
        weir_generator_free(run.generator);
    return err == WEIR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
