#include "bench/veth/parts.h"

#include "app/programs.h"
#include "base/clock.h"
#include "bench/target.h"
#include "model/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_WAIT_NS (INT64_C(10) * 1000000000)
#define LOG_BYTES_A_SAMPLE 10
#define ARGUMENTS_MAX 40

static const char *const listener_options[WEIR_BENCH_PROTOS] = {
    [WEIR_BENCH_INFLUX] = "--influx-udp",
    [WEIR_BENCH_GRAPHITE] = "--graphite-udp",
    [WEIR_BENCH_WEIR] = "--weir-udp"};
static const char *const listener_units[WEIR_BENCH_PROTOS] = {
    [WEIR_BENCH_INFLUX] = ",unit=ns",
    [WEIR_BENCH_GRAPHITE] = ",unit=s",
    [WEIR_BENCH_WEIR] = ""};

/* Room of the log: for everything that a run could write. */
static uint64_t
log_bytes_of(const struct weir_veth_options *options)
{
    return weir_veth_samples_bound(options) * LOG_BYTES_A_SAMPLE + options->series * 300 +
           (UINT64_C(2) << 30);
}

enum weir_err
weir_veth_disk_check(const struct weir_veth_options *options)
{
    return weir_bench_target_prepare(options->data, log_bytes_of(options));
}

enum weir_err
weir_veth_find_programs(struct weir_veth *run)
{
    enum weir_err err = weir_programs_own(run->program, sizeof run->program - sizeof "/weir");
    if (err != WEIR_OK)
        return err;
    strcat(run->program, "/weir");
    return weir_programs_private(run->programs, sizeof run->programs);
}

enum weir_err
weir_veth_instance_start(struct weir_veth *run)
{
    char ports[WEIR_BENCH_FRAMES_PAIRS_MAX][64] = {"none"};
    const char *arguments[ARGUMENTS_MAX] = {NULL};
    char listener[32];
    char series[24];
    char log_size[24];
    char buffer[24];
    const struct weir_veth_options *options = run->options;
    for (uint32_t i = 0; i < options->pairs && !options->socket; i++)
        snprintf(ports[i], sizeof ports[i], "net_af_xdp%u,iface=%s", i,
            weir_bench_frames_interface(run->frames, i));
    snprintf(listener, sizeof listener, "%s:%u%s",
        options->socket ? WEIR_BENCH_FRAMES_ADDRESS : "127.0.0.1", run->port,
        listener_units[options->proto]);
    snprintf(buffer, sizeof buffer, "%dMiB", WEIR_VETH_UDP_BUFFER_MIB);
    snprintf(series, sizeof series, "%" PRIu64, options->series * 2 + 1024);
    snprintf(log_size, sizeof log_size, "%" PRIu64 "B", log_bytes_of(options));
    const char *fixed[] = {"weir", "run", "--data", options->data, "--http", "none",
        listener_options[options->proto], listener, "--series-max", series, "--udp-buffer",
        buffer, "--log-size-max", log_size, "--frame-ring", "512MiB", "--prefault", "true",
        "--log-level", "warn", "--eal-memory", "512MiB",
        "--trusted-sources", "0.0.0.0/0"}; /* one address sends for all hosts */
    size_t count = sizeof fixed / sizeof fixed[0];
    _Static_assert(sizeof fixed / sizeof fixed[0] + 2 * WEIR_BENCH_FRAMES_PAIRS_MAX <
                       ARGUMENTS_MAX, "room for all, and a NULL");
    memcpy(arguments, fixed, sizeof fixed);
    for (uint32_t i = 0; i < options->pairs; i++) {
        arguments[count++] = "--port";
        arguments[count++] = ports[i];
    }
    pid_t own = getpid();
    run->pid = fork();
    if (run->pid < 0)
        return weir_fail(WEIR_IO, errno, "fork");
    if (run->pid == 0) {
        /* however the benchmark ends, its instance ends too */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != own)
            _exit(127);
        (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* ours is the report's */
        execv(run->program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    return WEIR_OK;
}

bool
weir_veth_instance_lives(const struct weir_veth *run)
{
    return waitpid(run->pid, NULL, WNOHANG) == 0;
}

enum weir_err
weir_veth_instance_wait_open(struct weir_veth *run)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)run->pid, WEIR_SHARED_FD);
    int64_t limit_ns = weir_mono_ns() + WEIR_VETH_OPEN_WAIT_NS;
    while (weir_mono_ns() < limit_ns && weir_veth_instance_lives(run)) {
        usleep(10000);
        if (run->shared == NULL) {
            int fd = open(path, O_RDWR | O_CLOEXEC);
            if (fd < 0)
                continue;
            if (weir_shared_map(fd, &run->shared) == WEIR_OK)
                run->shared_fd = fd;
            else
                close(fd);
        /* acquire pairs with the release in announce (app/dataplane/dataplane.c) */
        } else if (atomic_load_explicit(&run->shared->epoch, memory_order_acquire) != 0) {
            return WEIR_OK;
        }
    }
    return weir_fail(WEIR_IO, 0, "the instance did not open: see its messages above");
}

pid_t
weir_veth_dataplane_pid(const struct weir_veth *run)
{
    char path[WEIR_CONFIG_PATH_MAX + 32];
    int pid = 0;
    snprintf(path, sizeof path, "%s/run/dataplane.pid", run->options->data);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    return (pid_t)pid;
}

void
weir_veth_instance_stop(struct weir_veth *run)
{
    if (run->pid <= 0)
        return;
    kill(run->pid, SIGTERM);
    int64_t limit_ns = weir_mono_ns() + STOP_WAIT_NS;
    while (weir_veth_instance_lives(run) && weir_mono_ns() < limit_ns)
        usleep(10000);
}
