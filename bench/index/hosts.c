#include "bench/index/hosts.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct list {
    struct weir_label labels[24];
    size_t count;
    char text[1024];
    size_t used;
};

static const char *const regions[] = {"eu-west-1", "eu-central-1", "us-east-1", "ap-south-1"};
static const char *const teams[] = {"checkout", "search", "payments", "platform", "data", "ml"};
static const char *const modes[] = {"idle", "iowait", "irq", "nice", "softirq", "steal", "system",
    "user"};
static const char *const devices[] = {"eth0", "eth1", "lo"};
static const char *const network[] = {"receive_bytes", "receive_packets", "receive_errs",
    "transmit_bytes", "transmit_packets", "transmit_errs"};
static const char *const mounts[] = {"/", "/boot", "/var/lib/docker"};
static const char *const filesystem[] = {"size_bytes", "free_bytes", "avail_bytes", "files"};
static const char *const containers[] = {"cpu_usage_seconds_total", "memory_working_set_bytes",
    "memory_rss", "memory_cache", "network_receive_bytes_total", "network_transmit_bytes_total",
    "fs_reads_bytes_total", "fs_writes_bytes_total", "cpu_cfs_throttled_periods_total",
    "last_seen"};
#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Well mixed bits of a number. */
static uint64_t
mix(uint64_t n)
{
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ^ n >> 31;
}

__attribute__((format(printf, 3, 4))) static void
add(struct list *list, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *value = list->text + list->used;
    int size = vsnprintf(value, sizeof list->text - list->used, format, args);
    va_end(args);
    list->used += (size_t)size + 1;
    WEIR_ASSERT(size > 0 && list->used <= sizeof list->text);
    list->labels[list->count++] = (struct weir_label){(const uint8_t *)name,
        (const uint8_t *)value, (uint16_t)strlen(name), (uint16_t)size};
}

void
hosts_instance(uint64_t host, char *out, size_t size)
{
    snprintf(out, size, "ip-10-%" PRIu64 "-%" PRIu64 "-%" PRIu64 ".%s.compute.internal:9100",
        host >> 16 & 255, host >> 8 & 255, host & 255, regions[mix(host) % COUNT(regions)]);
}

void
hosts_pod(uint64_t host, unsigned pod, char *out, size_t size)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    char text[16];
    uint64_t random = mix(host * HOSTS_PODS + pod + 1);
    for (unsigned i = 0; i < 15; i++, random /= 27)
        text[i] = letters[random % 27];
    snprintf(out, size, "%s-%.9s-%.5s", teams[(host + pod) % COUNT(teams)], text, text + 9);
}

/* The node's own: 64 of processors, 18 of networks, 12 of file systems, 6 loads and memories. */
static void
add_node(struct list *list, unsigned n)
{
    add(list, "job", "node");
    if (n < 64) {
        add(list, "__name__", "node_cpu_seconds_total");
        add(list, "cpu", "%u", n / 8);
        add(list, "mode", "%s", modes[n % 8]);
    } else if (n < 82) {
        add(list, "__name__", "node_network_%s_total", network[(n - 64) / 3]);
        add(list, "device", "%s", devices[n % 3]);
    } else if (n < 94) {
        add(list, "__name__", "node_filesystem_%s", filesystem[(n - 82) / 3]);
        add(list, "device", "/dev/nvme0n1p%u", n % 3);
        add(list, "fstype", "ext4");
        add(list, "mountpoint", "%s", mounts[n % 3]);
    } else {
        add(list, "__name__", "node_%s", n < 97 ? "load" : "memory_bytes");
        add(list, "kind", "%u", n);
    }
}

static void
add_pod(struct list *list, uint64_t host, unsigned n)
{
    char pod[64];
    hosts_pod(host, n / 10, pod, sizeof pod);
    add(list, "job", "kubelet");
    add(list, "__name__", "container_%s", containers[n % 10]);
    add(list, "namespace", "%s", teams[(host + n / 10) % COUNT(teams)]);
    add(list, "pod", "%s", pod);
    add(list, "container", "%s", n / 10 % 2 == 0 ? "app" : "sidecar");
}

size_t
hosts_labels(uint64_t n, uint8_t labels[WEIR_LABELS_BYTES_MAX])
{
    uint64_t host = n / HOSTS_SERIES;
    unsigned of_host = (unsigned)(n % HOSTS_SERIES);
    char instance[96];
    size_t size;
    struct list list = {.count = 0};
    hosts_instance(host, instance, sizeof instance);
    add(&list, "instance", "%s", instance);
    add(&list, "region", "%s", regions[mix(host) % COUNT(regions)]);
    add(&list, "zone", "%s%c", regions[mix(host) % COUNT(regions)],
        (char)('a' + mix(host) / 4 % 3));
    add(&list, "cluster", "prod-%" PRIu64, mix(host) / 16 % 12);
    if (of_host < 100)
        add_node(&list, of_host);
    else
        add_pod(&list, host, of_host - 100);
    enum weir_err err = weir_labels_encode(list.labels, list.count, labels, &size);
    WEIR_ASSERT(err == WEIR_OK);
    return size;
}
