/* DPDK's environment layer, once a process. */
#include "base/event.h"
#include "dataplane/port/ethdev/xdp.h"
#include "dataplane/port/port.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_devargs.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_kvargs.h>

#define HUGE_PAGES_DIRECTORY "/sys/kernel/mm/hugepages"
#define ARGUMENTS_MAX (16 + 2 * WEIR_PORTS_MAX)

struct arguments {
    int count;
    char *values[ARGUMENTS_MAX + 1];
};

static void
add(struct arguments *arguments, const char *value)
{
    WEIR_ASSERT(arguments->count < ARGUMENTS_MAX);
    arguments->values[arguments->count++] = (char *)value; /* EAL orders them, and copies texts */
}

/* Free huge pages of one size, in MiB; name is "hugepages-2048kB". */
static uint64_t
huge_free_mib(const char *name)
{
    unsigned kib;
    char path[512];
    if (sscanf(name, "hugepages-%ukB", &kib) != 1)
        return 0;
    snprintf(path, sizeof path, HUGE_PAGES_DIRECTORY "/%s/free_hugepages", name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    uint64_t pages = 0;
    if (fscanf(file, "%" SCNu64, &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * kib / 1024;
}

static bool
huge_pages_free(uint32_t memory_mib)
{
    DIR *directory = opendir(HUGE_PAGES_DIRECTORY);
    if (directory == NULL)
        return false;
    uint64_t most = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        uint64_t mib = huge_free_mib(entry->d_name);
        most = mib > most ? mib : most;
    }
    closedir(directory);
    return most >= memory_mib;
}

/* The core EAL calls lcore 0: the one asked for, else the first that is allowed. */
static int
core_for(const struct weir_eal_options *options, const cpu_set_t *allowed)
{
    if (options->core >= 0)
        return options->core;
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET(core, allowed))
            return core;
    }
    return 0;
}

/* Calls rte_eal_init, which reorders its arguments and keeps copies of what it needs. */
static enum weir_err
init(const struct weir_eal_options *options, int core)
{
    bool huge = !options->no_huge && huge_pages_free(options->memory_mib);
    char prefix[128];
    char lcores[32];
    char memory[16];
    snprintf(prefix, sizeof prefix, "--file-prefix=%s", options->prefix);
    snprintf(lcores, sizeof lcores, "--lcores=0@%d", core);
    snprintf(memory, sizeof memory, "%u", options->memory_mib);
    struct arguments arguments = {.count = 0};
    add(&arguments, "weir");
    add(&arguments, prefix);
    add(&arguments, lcores);
    add(&arguments, "-m");
    add(&arguments, memory);
    add(&arguments, "--no-pci");
    add(&arguments, "--no-telemetry");
    add(&arguments, "--log-level=4"); /* errors */
    if (huge) {
        add(&arguments, "--in-memory"); /* leaves no files, and excludes --no-huge */
    } else {
        add(&arguments, "--no-huge");
        add(&arguments, "--no-shconf");
    }
    for (size_t i = 0; i < options->vdev_count; i++) {
        add(&arguments, "--vdev");
        add(&arguments, options->vdevs[i]);
    }
    if (rte_eal_init(arguments.count, arguments.values) < 0)
        return weir_fail(WEIR_IO, rte_errno, "DPDK's EAL refuses to start (%u MiB, %s huge pages)",
            options->memory_mib, huge ? "with" : "without");
    weir_event(WEIR_LEVEL_INFO, "eal_open", "memory_mib=%u huge_pages=%s core=%d vdevs=%zu",
        options->memory_mib, huge ? "yes" : "no", core, options->vdev_count);
    return WEIR_OK;
}

/* Before DPDK starts, which would say it in words of its own: the driver is one that is linked, and
 * the interface is there. */
static enum weir_err
check_vdev(const char *vdev)
{
    struct rte_devargs device;
    if (rte_devargs_parse(&device, vdev) != 0)
        return weir_fail(WEIR_INVALID, 0, "port %s: the driver is not one that this program "
            "has (net_af_xdp, net_af_packet, net_pcap, net_ring, net_null)", vdev);
    struct rte_kvargs *arguments = rte_kvargs_parse(device.args, NULL);
    const char *interface = arguments != NULL ? rte_kvargs_get(arguments, "iface") : NULL;
    enum weir_err err = WEIR_OK;
    /* libpcap has interfaces of its own making */
    bool kernel = strncmp(device.name, "net_af_", strlen("net_af_")) == 0;
    if (kernel && interface != NULL && if_nametoindex(interface) == 0)
        err = weir_fail(WEIR_NOT_FOUND, errno, "port %s: interface %s", vdev, interface);
    rte_kvargs_free(arguments);
    free(device.data); /* all that rte_devargs_reset does, which is not of the stable ABI */
    return err;
}

static enum weir_err
collect(const struct weir_eal_options *options, uint16_t *ethdev_ids, size_t max, size_t *count)
{
    size_t found = 0;
    uint16_t id;
    RTE_ETH_FOREACH_DEV(id) {
        if (found == max)
            return weir_fail(WEIR_LIMIT, 0, "more than %zu DPDK ports", max);
        ethdev_ids[found++] = id;
    }
    *count = found;
    if (found >= options->vdev_count)
        return WEIR_OK;
    return weir_fail(WEIR_NOT_FOUND, 0,
        "DPDK made %zu ports of %zu vdev strings (the first is \"%s\"): see its messages above",
        found, options->vdev_count, options->vdevs[0]);
}

enum weir_err
weir_eal_init(const struct weir_eal_options *options, uint16_t *ethdev_ids, size_t max,
    size_t *count)
{
    *count = 0;
    if (geteuid() != 0)
        return weir_fail(WEIR_UNSUPPORTED, 0,
            "DPDK ports need root; start as root, or with --port none for kernel sockets alone");
    if (options->vdev_count > WEIR_PORTS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d DPDK ports", WEIR_PORTS_MAX);
    for (size_t i = 0; i < options->vdev_count; i++) {
        enum weir_err wrong = check_vdev(options->vdevs[i]);
        if (wrong != WEIR_OK)
            return wrong;
    }
    /* EAL makes <dir>/dpdk/<prefix>; systemd's name for the place is the only one it asks as
     * root. */
    if (options->runtime_dir != NULL && setenv("RUNTIME_DIRECTORY", options->runtime_dir, 1) != 0)
        return weir_fail(WEIR_NOMEM, errno, "RUNTIME_DIRECTORY");
    cpu_set_t allowed;
    int failed = pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed);
    if (failed != 0)
        return weir_fail(WEIR_IO, failed, "affinity of the calling thread");
    enum weir_err err = init(options, core_for(options, &allowed));
    if (options->core < 0 || err != WEIR_OK) /* EAL has pinned the calling thread */
        (void)pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
    if (err != WEIR_OK)
        return err;
    err = collect(options, ethdev_ids, max, count);
    if (err != WEIR_OK)
        (void)rte_eal_cleanup();
    return err;
}

static bool leave_devices;

void
weir_eal_leave_devices(void)
{
    leave_devices = true;
}

void
weir_eal_fini(void)
{
    if (!leave_devices)
        (void)rte_eal_cleanup(); /* closes devices that are still open */
}

uint16_t
weir_eal_queues(uint16_t ethdev_id)
{
    struct rte_eth_dev_info info;
    if (rte_eth_dev_info_get(ethdev_id, &info) != 0 ||
        strcmp(info.driver_name, WEIR_AF_XDP_DRIVER) != 0)
        return 1;
    return info.max_rx_queues;
}
