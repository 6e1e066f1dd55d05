#include "app/cli/doctor/doctor.h"

#include "app/cli/doctor/parts.h"
#include "app/supervisor/doubts.h"
#include "app/supervisor/machine.h"
#include "base/capability.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* First line of a small file, without its newline; "" where it cannot be read. */
static void
read_line(const char *path, char *out, size_t size)
{
    weir_machine_read(path, out, size);
    out[strcspn(out, "\n")] = '\0';
}

/* The number after a name in a file of "name: number" lines; 0 if missing. */
uint64_t
weir_doctor_field(const char *path, const char *name)
{
    char text[8192];
    size_t size = strlen(name);
    weir_machine_read(path, text, sizeof text);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, size) == 0 && line[size] == ':')
            return strtoull(line + size + 1, NULL, 10);
    }
    return 0;
}

static void
look_cpu(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    finding->means = "parsing and hashing take the portable paths: right, but slower";
    finding->remedy = "a CPU with AVX2 and PCLMULQDQ; in a virtual machine pass the host's CPU on";
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2");
    bool avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    bool pclmul = __builtin_cpu_supports("pclmul");
    weir_finding_set(finding, avx2 && pclmul ? WEIR_FINDING_OK : WEIR_FINDING_WARN,
        "AVX2 %s, AVX-512 %s, PCLMULQDQ %s", avx2 ? "yes" : "no", avx512 ? "yes" : "no",
        pclmul ? "yes" : "no");
#else
    weir_finding_set(finding, WEIR_FINDING_WARN, "not x86-64");
#endif
}

static void
look_cores(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    cpu_set_t set;
    int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    char quota[128];
    read_line("/sys/fs/cgroup/cpu.max", quota, sizeof quota);
    double limit = allowed;
    unsigned long long used;
    unsigned long long period;
    if (sscanf(quota, "%llu %llu", &used, &period) == 2 && period > 0)
        limit = (double)used / (double)period;
    finding->means = "receiving, storing and answering share what there is; a CPU quota stops "
                     "the dataplane in the middle of bursts";
    finding->remedy = "give it two cores or more, without a quota";
    weir_finding_set(finding,
        allowed >= 2 && limit >= allowed ? WEIR_FINDING_OK : WEIR_FINDING_WARN,
        "%d online, %d allowed, cgroup quota %s", (int)sysconf(_SC_NPROCESSORS_ONLN), allowed,
        quota[0] == '\0' || strncmp(quota, "max", 3) == 0 ? "none" : quota);
}

static void
look_memory(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    uint64_t available = weir_doctor_field("/proc/meminfo", "MemAvailable") >> 10;
    uint64_t most = weir_machine_cgroup_bytes("") >> 20;
    bool limited = most < (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
    char limit[64] = "none";
    if (limited)
        snprintf(limit, sizeof limit, "%llu MiB", (unsigned long long)most);
    finding->means = "the default sizes (1 M series, 115 MiB of recent frames) want about 1 GiB";
    finding->remedy = "lower series.max and ingest.rate_max, or give it more";
    weir_finding_set(finding,
        available >= 1024 && most >= 1024 ? WEIR_FINDING_OK : WEIR_FINDING_WARN,
        "%llu MiB available, cgroup limit %s", (unsigned long long)available, limit);
}

static char first_doubt[256];
static unsigned doubt_count;

static void
note_doubt(const char *text)
{
    if (doubt_count++ == 0)
        snprintf(first_doubt, sizeof first_doubt, "%s", text);
}

/* Checks whether the planned memory and files fit this machine. */
static void
look_plan(struct weir_finding *finding, const struct weir_config *config)
{
    doubt_count = 0;
    weir_doubts(config, note_doubt);
    finding->means = "weir run starts with event=doubtful_configuration";
    finding->remedy = "weir check prints all of it, and the plan";
    if (doubt_count == 0)
        weir_finding_set(finding, WEIR_FINDING_OK, "memory, open files and file sizes suffice");
    else if (doubt_count == 1)
        weir_finding_set(finding, WEIR_FINDING_WARN, "%s", first_doubt);
    else
        weir_finding_set(finding, WEIR_FINDING_WARN, "%s; and %u more", first_doubt,
            doubt_count - 1);
}

static void
look_huge_pages(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    uint64_t unused = weir_doctor_field("/proc/meminfo", "HugePages_Free");
    char transparent[128], shared[128];
    read_line("/sys/kernel/mm/transparent_hugepage/enabled", transparent, sizeof transparent);
    read_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", shared, sizeof shared);
    finding->means = "tables take ordinary or transparent huge pages: more TLB misses from a few "
                     "million series on; DPDK runs with --no-huge";
    finding->remedy = "sysctl vm.nr_hugepages=512 (2 MiB each); for the frame ring: echo advise > "
                      "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    weir_finding_set(finding, unused > 0 ? WEIR_FINDING_OK : WEIR_FINDING_WARN,
        "%llu free of %llu, transparent: %s, of shared memory: %s", (unsigned long long)unused,
        (unsigned long long)weir_doctor_field("/proc/meminfo", "HugePages_Total"),
        transparent[0] != '\0' ? transparent : "none", shared[0] != '\0' ? shared : "none");
}

static void
look_memory_lock(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    struct rlimit limit = {0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    bool enough = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= (UINT64_C(256) << 20) ||
                  weir_capability_held(CAP_IPC_LOCK);
    finding->means = "the frame ring is not registered with io_uring: some CPU a write more";
    finding->remedy = "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited";
    if (limit.rlim_cur == RLIM_INFINITY)
        weir_finding_set(finding, WEIR_FINDING_OK, "unlimited");
    else
        weir_finding_set(finding, enough ? WEIR_FINDING_OK : WEIR_FINDING_WARN, "%llu KiB%s",
            (unsigned long long)limit.rlim_cur >> 10,
            weir_capability_held(CAP_IPC_LOCK) ? ", lifted by CAP_IPC_LOCK" : "");
}

static void
look_open_files(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    finding->means = "TCP connections run out of descriptors";
    finding->remedy = "LimitNOFILE=65536 in the unit, or ulimit -Hn 65536";
    weir_finding_set(finding, limit.rlim_max >= 4096 ? WEIR_FINDING_OK : WEIR_FINDING_WARN,
        "%llu, can be raised to %llu", (unsigned long long)limit.rlim_cur,
        (unsigned long long)limit.rlim_max);
}

/* Really makes a ring: kernels, containers and sysctls each have their own way to forbid it. */
static void
look_io_uring(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    struct io_uring_params params = {0};
    int fd = (int)syscall(__NR_io_uring_setup, 8, &params);
    int errnum = errno;
    finding->means = "files are written by pwritev2 and fdatasync: more system calls, one core "
                     "waits for the disk";
    finding->remedy = errnum == ENOSYS ? "a kernel from 5.15 on"
                                       : "allow io_uring_setup in the container's seccomp profile, "
                                         "sysctl kernel.io_uring_disabled=0";
    if (fd >= 0) {
        close(fd);
        weir_finding_set(finding, WEIR_FINDING_OK, "a ring can be made");
    } else {
        weir_finding_set(finding, WEIR_FINDING_WARN, "no ring: %s", strerror(errnum));
    }
}

static void
look_capabilities(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    bool admin = weir_capability_held(CAP_NET_ADMIN);
    bool raw = weir_capability_held(CAP_NET_RAW);
    bool all = weir_capability_held(CAP_SYS_ADMIN);
    /* the driver looks its port's program up by id, which the kernel allows to SYS_ADMIN alone */
    finding->means = "kernel sockets work; DPDK ports on network devices need NET_ADMIN and "
                     "NET_RAW, AF_XDP ports SYS_ADMIN too, and IPC_LOCK where little memory may "
                     "be locked";
    finding->remedy = "run as root, or give the service these capabilities";
    weir_finding_set(finding, admin && raw ? WEIR_FINDING_OK : WEIR_FINDING_WARN,
        "NET_ADMIN %s, NET_RAW %s, SYS_ADMIN %s, IPC_LOCK %s", admin ? "yes" : "no",
        raw ? "yes" : "no", all ? "yes" : "no",
        weir_capability_held(CAP_IPC_LOCK) ? "yes" : "no");
}

/* Makes the packet socket that the af_packet driver needs. */
static void
look_packet_socket(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    finding->means = "DPDK's af_packet port cannot be opened here";
    finding->remedy = "run as root; or listen on kernel sockets (--port none)";
    if (fd < 0) {
        weir_finding_set(finding, WEIR_FINDING_WARN, "no packet socket: %s", strerror(errno));
        return;
    }
    close(fd);
    if (geteuid() != 0) {
        weir_finding_set(finding, WEIR_FINDING_WARN, "DPDK ports need root");
        return;
    }
    weir_finding_set(finding, WEIR_FINDING_OK, "a packet socket can be made");
}

/* Asks the kernel for a map of one entry, the least that XDP needs. */
static void
look_bpf(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = 4;
    attr.value_size = 8;
    attr.max_entries = 1;
    int fd = (int)syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
    finding->means = "no AF_XDP ports, and no XDP filter in front of them";
    finding->remedy = "run as root";
    if (fd < 0) {
        weir_finding_set(finding, WEIR_FINDING_WARN, "no BPF map: %s", strerror(errno));
        return;
    }
    close(fd);
    if (geteuid() != 0) {
        weir_finding_set(finding, WEIR_FINDING_WARN, "AF_XDP ports need root");
        return;
    }
    weir_finding_set(finding, WEIR_FINDING_OK, "BPF maps can be made");
}

static void
look_clock(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    char source[64];
    read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
        sizeof source);
    bool fast = strcmp(source, "tsc") == 0 || strcmp(source, "kvm-clock") == 0 ||
                strcmp(source, "hyperv_clocksource_tsc_page") == 0;
    finding->means = "reading the clock is a system call";
    finding->remedy = "a machine whose time stamp counter is stable";
    weir_finding_set(finding, fast ? WEIR_FINDING_OK : WEIR_FINDING_WARN, "%s",
        source[0] != '\0' ? source : "unknown");
}

static void
look_udp_buffer(struct weir_finding *finding, const struct weir_config *config)
{
    (void)config;
    char most[64];
    read_line("/proc/sys/net/core/rmem_max", most, sizeof most);
    uint64_t bytes = strtoull(most, NULL, 10);
    bool enough = bytes >= (UINT64_C(16) << 20) || weir_capability_held(CAP_NET_ADMIN);
    finding->means = "bursts beyond the buffer are dropped by the kernel (counted as socket_drops)";
    finding->remedy = "sysctl net.core.rmem_max=16777216";
    weir_finding_set(finding, enough ? WEIR_FINDING_OK : WEIR_FINDING_WARN,
        "net.core.rmem_max %llu bytes%s", (unsigned long long)bytes,
        weir_capability_held(CAP_NET_ADMIN) ? ", lifted by CAP_NET_ADMIN" : "");
}

const struct weir_check weir_checks[] = {
    {"cpu", look_cpu},
    {"cores", look_cores},
    {"memory", look_memory},
    {"plan", look_plan},
    {"huge_pages", look_huge_pages},
    {"memory_lock", look_memory_lock},
    {"open_files", look_open_files},
    {"clock", look_clock},
    {"clock_sync", weir_look_clock_sync},
    {"swap", weir_look_swap},
    {"io_uring", look_io_uring},
    {"data", weir_look_data},
    {"data_sync", weir_look_data_sync},
    {"ports", weir_look_ports},
    {"capabilities", look_capabilities},
    {"dpdk_port", look_packet_socket},
    {"xdp", look_bpf},
    {"udp_buffer", look_udp_buffer},
};
const size_t weir_check_count = sizeof weir_checks / sizeof weir_checks[0];
