/* Checks of `weir doctor`: the data's place, the clock that stamps them, their way in. */
#include "app/cli/doctor/parts.h"
#include "app/supervisor/machine.h"

#include "base/clock.h"
#include "config/keys.h"
#include "controlplane/http/listen.h"
#include "dataplane/port/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SYNCS 9
#define SYNCS_NS INT64_C(3000000000) /* a slow device is known by fewer */
#define SYNC_SLOW_US 20000

void
weir_look_clock_sync(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    struct timex clock = {.modes = 0};
    int state = adjtimex(&clock);
    finding->means = "samples that agents stamp may be refused as time_future or time_past, and "
                     "those without a time get this machine's wrong one";
    finding->remedy = "apt-get install chrony (or systemd-timesyncd), and let it run";
    if (state < 0)
        weir_finding_set(finding, WEIR_FINDING_WARN, "unknown: %s", strerror(errno));
    else if (state == TIME_ERROR || (clock.status & STA_UNSYNC) != 0)
        weir_finding_set(finding, WEIR_FINDING_WARN, "not synchronised");
    else
        weir_finding_set(finding, WEIR_FINDING_OK, "synchronised, off by at most %ld ms",
            clock.maxerror / 1000);
}

void
weir_look_swap(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    uint64_t total = weir_doctor_field("/proc/meminfo", "SwapTotal") >> 10;
    uint64_t unused = weir_doctor_field("/proc/meminfo", "SwapFree") >> 10;
    finding->means = "parts of the tables may be on a disk when their series come: the dataplane "
                     "waits for them, and UDP is dropped";
    finding->remedy = "swapoff -a, or MemorySwapMax=0 in the unit";
    if (total == 0)
        weir_finding_set(finding, WEIR_FINDING_OK, "none");
    else
        weir_finding_set(finding, WEIR_FINDING_WARN, "%" PRIu64 " MiB, %" PRIu64
            " MiB of them used", total, total - unused);
}

/* The nearest directory that is there: DATA itself may be made later. */
static void
existing_directory(const char *data, char *out, size_t size)
{
    snprintf(out, size, "%s", data);
    while (access(out, F_OK) != 0) {
        char *slash = strrchr(out, '/');
        if (slash == NULL) {
            snprintf(out, size, ".");
            return;
        }
        slash[slash == out ? 1 : 0] = '\0';
        if (slash == out)
            return;
    }
}

static bool
direct_write_works(const char *directory)
{
    static const _Alignas(4096) uint8_t page[4096];
    int fd = open(directory, O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool works = pwrite(fd, page, sizeof page, 0) == sizeof page && fdatasync(fd) == 0;
    close(fd);
    return works;
}

/* The name of the file system that holds the directory, as /proc/self/mountinfo has it. */
static void
file_system_name(const char *directory, const struct statfs *status, char out[32])
{
    static char mounts[65536];
    struct stat place;
    char device[32] = "";
    char *rest = mounts;
    snprintf(out, 32, "type %#lx", (unsigned long)status->f_type);
    weir_machine_read("/proc/self/mountinfo", mounts, sizeof mounts);
    if (stat(directory, &place) == 0)
        snprintf(device, sizeof device, "%u:%u", major(place.st_dev), minor(place.st_dev));
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char found[32];
        const char *type = strstr(line, " - ");
        if (sscanf(line, "%*d %*d %31s", found) == 1 && strcmp(found, device) == 0 && type != NULL)
            (void)sscanf(type, " - %31s", out);
    }
}

static uint64_t log_bytes;

static int
add_bytes(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)path;
    (void)place;
    if (kind == FTW_F)
        log_bytes += (uint64_t)status->st_blocks * 512;
    return 0;
}

/* Bytes on the device that the log of DATA has already, of log.size_max. */
static uint64_t
log_has(const char *data)
{
    char path[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/log", data);
    log_bytes = 0;
    return nftw(path, add_bytes, 8, FTW_PHYS) == 0 ? log_bytes : 0;
}

void
weir_look_data(struct weir_finding *finding, const struct weir_config *config)
{
    char directory[1024];
    struct statfs status;
    existing_directory(config->data, directory, sizeof directory);
    if (statfs(directory, &status) != 0 || access(directory, W_OK) != 0) {
        finding->means = "nothing can be kept there";
        finding->remedy = "name another directory with --data, or change its owner";
        weir_finding_set(finding, WEIR_FINDING_FAIL, "%s: %s", directory, strerror(errno));
        return;
    }
    uint64_t bytes = (uint64_t)status.f_bavail * (uint64_t)status.f_bsize;
    bool room = bytes + log_has(config->data) >= config->log_size_max;
    bool in_memory = status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC;
    bool direct = direct_write_works(directory);
    char name[32];
    file_system_name(directory, &status, name);
    finding->means = in_memory ? "a file system in memory: a power cut loses all"
                               : !direct ? "through the page cache: more CPU, uneven times"
                                         : "less than log.size_max allows: disk_full comes first";
    finding->remedy = "a directory on ext4 or XFS with that much free, or a smaller log.size_max";
    weir_finding_set(finding,
        !in_memory && direct && room ? WEIR_FINDING_OK : WEIR_FINDING_WARN,
        "%s: %llu GiB free on %s%s, O_DIRECT %s", directory,
        (unsigned long long)(bytes >> 30), name,
        in_memory ? " in memory" : "", direct ? "works" : "does not work");
}

static int
by_size(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a;
    int64_t second = *(const int64_t *)b;
    return (first > second) - (first < second);
}

/* Writes 4 KiB and syncs them, a few times, in a file without a name. Returns how often it did;
 * *median_us is of those. */
static size_t
measure_syncs(const char *directory, int64_t *median_us)
{
    static const char block[4096];
    int64_t took_us[SYNCS];
    size_t count = 0;
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return 0;
    int64_t begin_ns = weir_mono_ns();
    for (; count < SYNCS; count++) {
        int64_t now_ns = weir_mono_ns();
        if (now_ns - begin_ns > SYNCS_NS ||
            pwrite(fd, block, sizeof block, (off_t)(count * sizeof block)) != sizeof block ||
            fdatasync(fd) != 0)
            break;
        took_us[count] = (weir_mono_ns() - now_ns) / 1000;
    }
    close(fd);
    qsort(took_us, count, sizeof took_us[0], by_size);
    *median_us = count > 0 ? took_us[count / 2] : 0;
    return count;
}

void
weir_look_data_sync(struct weir_finding *finding, const struct weir_config *config)
{
    char directory[WEIR_CONFIG_PATH_MAX];
    int64_t median_us;
    existing_directory(config->data, directory, sizeof directory);
    size_t count = measure_syncs(directory, &median_us);
    finding->means = "an answer that lines are durable, and a sample's way to queries, waits for "
                     "this each time";
    finding->remedy = "a local SSD or NVMe device, better one with power-loss protection";
    if (count == 0)
        weir_finding_set(finding, WEIR_FINDING_WARN, "%s: not measured: %s", directory,
            strerror(errno));
    else
        weir_finding_set(finding,
            median_us < SYNC_SLOW_US ? WEIR_FINDING_OK : WEIR_FINDING_WARN,
            "%s: 4 KiB are durable in %.2f ms (median of %zu)", directory,
            (double)median_us / 1000, count);
}

/* Is there an instance on DATA, which then has its ports? */
static bool
instance_runs(const char *data)
{
    char path[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/lock", data);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

static enum weir_err
try_listener(const struct weir_config *config, const struct weir_config_listener *listener)
{
    int fd;
    struct weir_listen listen_at = {.port = listener->port,
        .v6_only = weir_config_v6_only(config, listener->transport, listener->port)};
    snprintf(listen_at.address, sizeof listen_at.address, "%s", listener->address);
    enum weir_err err = weir_socket_bind(&listen_at,
        listener->transport == WEIR_CONFIG_UDP ? SOCK_DGRAM : SOCK_STREAM, &fd);
    /* the address of a TCP listener may be reused; that another one listens shows here */
    if (err == WEIR_OK && listener->transport == WEIR_CONFIG_TCP && listen(fd, 1) != 0)
        err = weir_fail(errno == EADDRINUSE ? WEIR_BUSY : WEIR_IO, errno, "listen");
    if (err == WEIR_OK)
        close(fd);
    return err;
}

struct in_use {
    char text[400]; /* those that cannot be had, and why */
};

static void
note_in_use(struct in_use *in_use, const char *what, const char *address, uint16_t port)
{
    char name[80];
    size_t used = strlen(in_use->text);
    config_address_text(address, port, name, sizeof name);
    snprintf(in_use->text + used, sizeof in_use->text - used, "%s%s %s: %s", used > 0 ? "; " : "",
        what, name, strerror(weir_err_errno()));
}

void
weir_look_ports(struct weir_finding *finding, const struct weir_config *config)
{
    struct in_use in_use = {.text = ""};
    int fd;
    finding->means = "weir run ends at its start: another program has the address, or this machine "
                     "has not";
    finding->remedy = "ss -lntup names the program; or other addresses in the configuration";
    if (instance_runs(config->data)) {
        weir_finding_set(finding, WEIR_FINDING_OK, "an instance runs on %s and has its own",
            config->data);
        return;
    }
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct weir_config_listener *listener = &config->listeners[i];
        if (try_listener(config, listener) != WEIR_OK)
            note_in_use(&in_use, config_transports[listener->transport], listener->address,
                listener->port);
    }
    if (config->http_port != 0 && weir_http_listen(config->http_address, config->http_port,
            weir_config_v6_only(config, WEIR_CONFIG_TCP, config->http_port), &fd) != WEIR_OK)
        note_in_use(&in_use, "http", config->http_address, config->http_port);
    else if (config->http_port != 0)
        close(fd);
    if (in_use.text[0] == '\0')
        weir_finding_set(finding, WEIR_FINDING_OK, "%u listeners%s: all addresses can be had",
            config->listener_count, config->http_port != 0 ? " and HTTP" : "");
    else
        weir_finding_set(finding, WEIR_FINDING_FAIL, "%s", in_use.text);
}
