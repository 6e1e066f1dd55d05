#include "dataplane/port/ethdev/af_packet.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_packet.h>
#include <rte_ethdev.h>

#define DRIVER "net_af_packet"
#define QUEUES_MAX 64
#define DISCARD_BURST 32
#define DISCARD_MAX 65536 /* frames of a queue: more than its ring has */

static bool
is_of_interface(int fd, uint32_t interface_index)
{
    struct sockaddr_ll address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    return getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
           address.sll_family == AF_PACKET && address.sll_ifindex == (int)interface_index;
}

static int
compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static bool
is_packet(uint16_t ethdev_id, struct rte_eth_dev_info *info)
{
    return rte_eth_dev_info_get(ethdev_id, info) == 0 && strcmp(info->driver_name, DRIVER) == 0;
}

void
weir_ethdev_packet_discard(uint16_t ethdev_id, uint16_t queue_count)
{
    struct rte_eth_dev_info info;
    struct rte_mbuf *frames[DISCARD_BURST];
    if (!is_packet(ethdev_id, &info))
        return;
    for (uint16_t queue = 0; queue < queue_count; queue++) {
        uint16_t got = DISCARD_BURST;
        for (int left = DISCARD_MAX; got > 0 && left > 0; left -= got) {
            got = rte_eth_rx_burst(ethdev_id, queue, frames, DISCARD_BURST);
            rte_pktmbuf_free_bulk(frames, got);
        }
    }
}

int
weir_ethdev_packet_fd(uint16_t ethdev_id, uint16_t queue)
{
    struct rte_eth_dev_info info;
    int fds[QUEUES_MAX];
    uint32_t count = 0;
    if (!is_packet(ethdev_id, &info))
        return -1;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return -1;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && is_of_interface(fd, info.if_index)) {
            if (count < QUEUES_MAX)
                fds[count] = fd;
            count++;
        }
    }
    closedir(directory);
    /* one a queue, opened in their order; if there are others too, nobody knows which is which */
    if (count != info.max_rx_queues || count > QUEUES_MAX || queue >= count)
        return -1;
    qsort(fds, count, sizeof fds[0], compare);
    return fds[queue];
}

uint64_t
weir_ethdev_packet_missed(int fd)
{
    struct tpacket_stats since = {0};
    socklen_t size = sizeof since;
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &since, &size) != 0)
        return 0;
    return since.tp_drops;
}
