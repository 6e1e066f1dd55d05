#include "dataplane/port/ethdev/xdp.h"

#include "base/event.h"

#include <dirent.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_xdp.h>

static bool
list_has(const struct weir_xsk_list *list, int fd)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->fd[i] == fd)
            return true;
    return false;
}

static bool
is_xsk(int fd)
{
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_XDP;
}

/* Adds AF_XDP sockets of this process that neither list has. */
static void
find(const struct weir_xsk_list *before, struct weir_xsk_list *out)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || !is_xsk(fd) || list_has(out, fd) ||
            (before != NULL && list_has(before, fd)))
            continue;
        if (out->count < sizeof out->fd / sizeof out->fd[0])
            out->fd[out->count++] = fd;
    }
    closedir(directory);
}

void
weir_ethdev_xdp_begin(struct weir_ethdev_xdp *xdp)
{
    find(NULL, &xdp->before);
}

void
weir_ethdev_xdp_queue(struct weir_ethdev_xdp *xdp)
{
    find(&xdp->before, &xdp->sockets);
}

enum weir_err
weir_ethdev_xdp_open(struct weir_ethdev_xdp *xdp, uint32_t interface_index,
    const struct weir_ethdev_options *options, const struct weir_listen *listens, size_t count)
{
    uint16_t ports[WEIR_LISTENERS_MAX];
    if (options->xdp_pins == NULL || options->rules == NULL || count > WEIR_LISTENERS_MAX)
        return weir_fail(WEIR_INVALID, 0, "an AF_XDP port without a place for its XDP program");
    xdp->pins = options->xdp_pins;
    for (size_t i = 0; i < count; i++)
        ports[i] = listens[i].port;
    enum weir_err err = weir_xdp_adopt(interface_index, xdp->pins, &xdp->xdp);
    if (err == WEIR_OK)
        err = weir_xdp_rules_set(xdp->xdp, options->rules);
    if (err == WEIR_OK)
        err = weir_xdp_ports_set(xdp->xdp, ports, count);
    if (err != WEIR_OK)
        return err;
    char name[IF_NAMESIZE] = "?";
    (void)if_indextoname(interface_index, name);
    weir_event(WEIR_LEVEL_INFO, "xdp_open",
        "interface=%s mode=native program=%u sockets=%u ports=%zu "
        "rules=%u limit=%u",
        name, weir_xdp_program_id(xdp->xdp), xdp->sockets.count, count, options->rules->count,
        options->rules->rate);
    return WEIR_OK;
}

/* Sums over the sockets. */
static struct weir_xsk_counts
xsk_counts(const struct weir_xsk_list *sockets)
{
    struct weir_xsk_counts sum = {0};
    for (uint32_t i = 0; i < sockets->count; i++) {
        struct xdp_statistics statistics = {0};
        socklen_t size = sizeof statistics;
        if (getsockopt(sockets->fd[i], SOL_XDP, XDP_STATISTICS, &statistics, &size) != 0)
            continue;
        sum.dropped += statistics.rx_dropped;
        sum.ring_full += statistics.rx_ring_full;
        sum.invalid_descriptors += statistics.rx_invalid_descs;
        sum.fill_empty += statistics.rx_fill_ring_empty_descs;
    }
    return sum;
}

static void
count_since(struct weir_counts *counts, enum weir_counter counter, uint64_t now, uint64_t *seen)
{
    counts->counter[counter] += now - *seen;
    *seen = now;
}

/* Once: kernels before 5.19 may refuse maps to a process without capabilities. */
static void
report_unread(struct weir_ethdev_xdp *xdp)
{
    if (!xdp->unread_reported)
        weir_event(WEIR_LEVEL_WARN, "xdp_not_counted", "reason=\"%s\"", weir_err_detail());
    xdp->unread_reported = true;
}

void
weir_ethdev_xdp_statistics(struct weir_ethdev_xdp *xdp, struct weir_counts *counts)
{
    static const enum weir_counter counters[WEIR_XDP_VERDICTS] = {
        [WEIR_XDP_PASSED] = WEIR_COUNTER_xdp_passed,
        [WEIR_XDP_NO_SOCKET] = WEIR_COUNTER_xdp_no_socket,
        [WEIR_XDP_REDIRECTED] = WEIR_COUNTER_xdp_redirected,
        [WEIR_XDP_DENIED] = WEIR_COUNTER_xdp_denied,
        [WEIR_XDP_MARTIAN] = WEIR_COUNTER_xdp_martian,
        [WEIR_XDP_MALFORMED] = WEIR_COUNTER_xdp_malformed,
        [WEIR_XDP_FRAGMENT] = WEIR_COUNTER_xdp_fragments,
        [WEIR_XDP_LIMITED] = WEIR_COUNTER_xdp_limited};
    uint64_t verdicts[WEIR_XDP_VERDICTS];
    if (weir_xdp_verdicts(xdp->xdp, verdicts) == WEIR_OK)
        for (int i = 0; i < WEIR_XDP_VERDICTS; i++)
            count_since(counts, counters[i], verdicts[i], &xdp->verdicts_seen[i]);
    else
        report_unread(xdp);
    struct weir_xsk_counts now = xsk_counts(&xdp->sockets);
    struct weir_xsk_counts *seen = &xdp->xsk_seen;
    count_since(counts, WEIR_COUNTER_xsk_dropped, now.dropped, &seen->dropped);
    count_since(counts, WEIR_COUNTER_xsk_ring_full, now.ring_full, &seen->ring_full);
    count_since(counts, WEIR_COUNTER_xsk_invalid_descriptors, now.invalid_descriptors,
        &seen->invalid_descriptors);
    count_since(counts, WEIR_COUNTER_xsk_fill_empty, now.fill_empty, &seen->fill_empty);
}

bool
weir_ethdev_xdp_may_close(const struct weir_ethdev_xdp *xdp)
{
    if (xdp->xdp == NULL || weir_xdp_attached(xdp->xdp))
        return true;
    weir_event(WEIR_LEVEL_WARN, "xdp_replaced",
        "program=%u hint=\"the interface is gone, or carries "
        "another program, which stays\"",
        weir_xdp_program_id(xdp->xdp));
    return false;
}

void
weir_ethdev_xdp_close(struct weir_ethdev_xdp *xdp)
{
    if (xdp->xdp == NULL)
        return;
    /* If this process may not detach the program any more, its pins stay, by which the
     * supervisor finds it and does. */
    if (!weir_xdp_attached(xdp->xdp))
        weir_xdp_unpin(xdp->xdp, xdp->pins);
    weir_xdp_close(xdp->xdp);
    xdp->xdp = NULL;
}
