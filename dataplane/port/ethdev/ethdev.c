/* Any DPDK ethdev: bursts of frames, verified, with packets that point into their mbufs. One of
 * AF_XDP has its XDP program and sockets beside it (dataplane/port/ethdev/xdp.h).
 *
 * Opening queue 0 configures the device, all its queues and one pool for each, and starts it; the
 * other queues' ports are opened after it and closed before it.
 *
 * Limits: a frame of FRAME_MAX bytes in one mbuf; longer ones and chains of mbufs are refused as
 *         truncated. Destination addresses are not compared: what the device delivers is ours.
 *         A sender on this machine whose end of a veth pair offloads checksums sends frames with
 *         checksums that do not match; `ethtool -K IFACE tx off` mends that.
 */
#include "base/event.h"
#include "dataplane/port/ethdev/af_packet.h"
#include "dataplane/port/ethdev/backlog.h"
#include "dataplane/port/ethdev/xdp.h"
#include "dataplane/port/net.h"
#include "dataplane/port/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#define FRAME_MAX 2048
/* Slack follows the longest frame in the mbuf's own room. A frame that a driver lets grow
 * into it is refused: no load leaves the pool. */
#define MBUF_ROOM (RTE_PKTMBUF_HEADROOM + FRAME_MAX + WEIR_PACKET_SLACK)
#define MBUF_CACHE 256
/* An mbuf of an AF_XDP port with its header takes a page. Its driver declares to the kernel that
 * mbufs are neighbours, and DPDK lets none cross a page. With any other size the last ones are
 * outside of what the kernel knows. It then swallows them, uncounted, as they come round. */
#define XDP_MBUF_BYTES 4096
#define XDP_MBUF_ROOM (XDP_MBUF_BYTES - RTE_CACHE_LINE_SIZE - sizeof(struct rte_mbuf))
_Static_assert(sizeof(struct rte_mempool_objhdr) <= RTE_CACHE_LINE_SIZE, "the header's room");
_Static_assert(XDP_MBUF_BYTES <= WEIR_MBUF_BYTES_MAX, "the plan counts that much");
_Static_assert(XDP_MBUF_ROOM > MBUF_ROOM + 256, "the kernel keeps 256 bytes in front of a frame");
/* Asked for; a device may have fewer. They are to outlast a nap of the worker, 200 us: datagrams of
 * 512 bytes fill so many in 470 us at 40 Gbit/s. */
#define DESCRIPTORS 4096
#define NO_LISTENER 0xff
/* Mbufs the backlog must leave free in a pool: for the device, the pool's cache and one burst. */
#define BACKLOG_REST 4096
#define BACKLOG_DESCRIPTORS (BACKLOG_REST / 2)

struct port_ethdev {
    struct weir_port port;
    uint16_t ethdev;
    uint16_t queue;
    bool started;  /* by this port, which then stops it */
    bool af_xdp;
    bool collects;
    int packet_fd; /* af_packet: of this queue; -1: none */
    uint64_t missed_seen, errors_seen, no_mbuf_seen;
    struct weir_ethdev_xdp xdp;
    uint16_t pool_count;
    struct rte_mempool *pools[RTE_MAX_QUEUES_PER_PORT];
    struct {
        uint8_t proto;
        uint8_t time_unit;
        uint8_t listener;
    } listeners[WEIR_LISTENERS_MAX];
    uint8_t listener_by_port[1 << 16]; /* index into listeners, or NO_LISTENER */
    struct weir_backlog backlog; /* where the port collects */
    /* the burst's */
    struct rte_mbuf *mbufs[WEIR_BURST_MAX];
    struct weir_backlog_stamp stamps[WEIR_BURST_MAX];
    struct weir_net_frame frames[WEIR_BURST_MAX];
};

static struct port_ethdev *
of(struct weir_port *port)
{
    return (struct port_ethdev *)port;
}

static void
refuse(struct port_ethdev *ethdev, struct rte_mbuf *mbuf, enum weir_reason reason)
{
    struct weir_ledger_unit *packets = &ethdev->port.counts->unit[WEIR_UNIT_PACKETS];
    packets->received++;
    packets->rejected[reason]++;
    rte_pktmbuf_free(mbuf);
}

/* A frame that was taken off the device and that nobody will parse. */
static void
drop(struct port_ethdev *ethdev, struct rte_mbuf *mbuf, enum weir_reason reason)
{
    struct weir_ledger_unit *packets = &ethdev->port.counts->unit[WEIR_UNIT_PACKETS];
    packets->received++;
    packets->dropped[reason]++;
    rte_pktmbuf_free(mbuf);
}

/* Frames that the device found bad are refused without a look. */
static bool
device_refuses(const struct rte_mbuf *mbuf)
{
    return (mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD ||
           (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

/* Takes out what cannot be verified; fills frames of the rest and moves their mbufs and stamps
 * together. */
static size_t
frames_of(struct port_ethdev *ethdev, size_t got)
{
    size_t count = 0;
    for (size_t i = 0; i < got; i++) {
        struct rte_mbuf *mbuf = ethdev->mbufs[i];
        if (mbuf->nb_segs != 1 || rte_pktmbuf_tailroom(mbuf) < WEIR_PACKET_SLACK) {
            refuse(ethdev, mbuf, WEIR_REASON_truncated);
            continue;
        }
        if (device_refuses(mbuf)) {
            refuse(ethdev, mbuf, WEIR_REASON_bad_checksum);
            continue;
        }
        uint64_t flags = mbuf->ol_flags;
        struct weir_net_frame *frame = &ethdev->frames[count];
        frame->data = rte_pktmbuf_mtod(mbuf, const uint8_t *);
        frame->size = rte_pktmbuf_data_len(mbuf);
        frame->ip_checked =
            (flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
        frame->udp_checked =
            (flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
        ethdev->stamps[count] = ethdev->stamps[i];
        ethdev->mbufs[count++] = mbuf;
    }
    return count;
}

static uint16_t
frames_receive(struct port_ethdev *ethdev, uint16_t want)
{
    if (ethdev->collects) {
        weir_backlog_fill(&ethdev->backlog);
        return weir_backlog_pop(&ethdev->backlog, ethdev->mbufs, ethdev->stamps, want);
    }
    uint16_t got = rte_eth_rx_burst(ethdev->ethdev, ethdev->queue, ethdev->mbufs, want);
    struct weir_backlog_stamp now = {0};
    if (got > 0)
        now = weir_backlog_stamp_now();
    for (uint16_t i = 0; i < got; i++)
        ethdev->stamps[i] = now;
    return got;
}

static void
ethdev_collect(struct weir_port *port)
{
    if (of(port)->collects)
        weir_backlog_fill(&of(port)->backlog);
}

static size_t
ethdev_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct port_ethdev *ethdev = of(port);
    uint16_t want = max < WEIR_BURST_MAX ? (uint16_t)max : WEIR_BURST_MAX;
    uint16_t got = frames_receive(ethdev, want);
    if (got == 0)
        return 0;
    /* each is a page from the next: few stay in the cache from the backlog to here */
    for (uint16_t i = 0; i < got; i++)
        rte_prefetch0(ethdev->mbufs[i]);
    size_t framed = frames_of(ethdev, got);
    weir_net_verify(ethdev->frames, framed);
    size_t count = 0;
    for (size_t i = 0; i < framed; i++) {
        const struct weir_net_frame *frame = &ethdev->frames[i];
        struct rte_mbuf *mbuf = ethdev->mbufs[i];
        if (frame->reason != WEIR_NET_OK) {
            refuse(ethdev, mbuf, frame->reason);
            continue;
        }
        uint8_t listener = ethdev->listener_by_port[frame->port];
        if (listener == NO_LISTENER) {
            refuse(ethdev, mbuf, WEIR_REASON_no_listener);
            continue;
        }
        packets[count] = (struct weir_packet){.data = frame->data + frame->payload_at,
            .size = frame->payload_size,
            .proto = ethdev->listeners[listener].proto,
            .time_unit = ethdev->listeners[listener].time_unit,
            .listener = ethdev->listeners[listener].listener,
            .final = true,
            .receive_ms = ethdev->stamps[i].ms,
            .receive_tsc = ethdev->stamps[i].tsc,
            .owner = mbuf};
        weir_net_peer(frame, &packets[count++].peer);
    }
    return count;
}

static void
ethdev_release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    struct port_ethdev *ethdev = of(port);
    for (size_t i = 0; i < count; i++) {
        ethdev->mbufs[i] = packets[i].owner;
        rte_prefetch0(ethdev->mbufs[i]);
        rte_prefetch0(&ethdev->mbufs[i]->pool);
    }
    rte_pktmbuf_free_bulk(ethdev->mbufs, (unsigned)count);
}

/* AF_XDP and af_packet sockets can be slept on; another device is polled. */
static int
ethdev_wait_fd(struct weir_port *port)
{
    const struct port_ethdev *ethdev = of(port);
    const struct weir_xsk_list *sockets = &ethdev->xdp.sockets;
    return sockets->count > 0 ? sockets->fd[0] : ethdev->packet_fd;
}

static void
count_since(struct weir_counts *counts, enum weir_counter counter, uint64_t now, uint64_t *seen)
{
    counts->counter[counter] += now - *seen;
    *seen = now;
}

/* The device's counts are for all its queues: the port that started it reports them. A packet
 * socket's are its queue's. */
static void
ethdev_statistics(struct weir_port *port)
{
    struct port_ethdev *ethdev = of(port);
    struct rte_eth_stats stats;
    if (ethdev->xdp.xdp != NULL) {
        /* its driver's counts are some of the same again */
        weir_ethdev_xdp_statistics(&ethdev->xdp, port->counts);
        return;
    }
    if (ethdev->packet_fd >= 0)
        port->counts->counter[WEIR_COUNTER_ethdev_missed] +=
            weir_ethdev_packet_missed(ethdev->packet_fd);
    if (!ethdev->started || rte_eth_stats_get(ethdev->ethdev, &stats) != 0)
        return;
    struct weir_counts *counts = port->counts;
    count_since(counts, WEIR_COUNTER_ethdev_missed, stats.imissed, &ethdev->missed_seen);
    count_since(counts, WEIR_COUNTER_ethdev_errors, stats.ierrors, &ethdev->errors_seen);
    count_since(counts, WEIR_COUNTER_ethdev_no_mbuf, stats.rx_nombuf, &ethdev->no_mbuf_seen);
}

static void
ethdev_close(struct weir_port *port)
{
    struct port_ethdev *ethdev = of(port);
    uint16_t got;
    while ((got = weir_backlog_pop(&ethdev->backlog, ethdev->mbufs, ethdev->stamps,
                WEIR_BURST_MAX)) > 0)
        for (uint16_t i = 0; i < got; i++)
            drop(ethdev, ethdev->mbufs[i], WEIR_REASON_shutdown);
    ethdev_statistics(port);
    if (ethdev->started) {
        (void)rte_eth_dev_stop(ethdev->ethdev);
        if (weir_ethdev_xdp_may_close(&ethdev->xdp))
            (void)rte_eth_dev_close(ethdev->ethdev);
        else
            weir_eal_leave_devices();
    }
    weir_ethdev_xdp_close(&ethdev->xdp);
    for (uint16_t i = 0; i < ethdev->pool_count; i++)
        rte_mempool_free(ethdev->pools[i]);
    free(ethdev);
}

static const struct weir_port_ops ethdev_ops = {
    .kind = "ethdev",
    .burst_least = 8, /* some drivers take whole eights alone */
    .receive = ethdev_receive,
    .collect = ethdev_collect,
    .release = ethdev_release,
    .wait_fd = ethdev_wait_fd,
    .statistics = ethdev_statistics,
    .close = ethdev_close,
};

/* One payload cannot be of two kinds: UDP listeners of one port number have to agree. */
static enum weir_err
index_listeners(struct port_ethdev *ethdev, const struct weir_listen *listens, size_t count)
{
    memset(ethdev->listener_by_port, NO_LISTENER, sizeof ethdev->listener_by_port);
    if (count > WEIR_LISTENERS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d UDP listeners", WEIR_LISTENERS_MAX);
    for (size_t i = 0; i < count; i++) {
        ethdev->listeners[i].proto = listens[i].proto;
        ethdev->listeners[i].time_unit = listens[i].time_unit;
        ethdev->listeners[i].listener = listens[i].listener;
        uint8_t *entry = &ethdev->listener_by_port[listens[i].port];
        uint8_t other = *entry == NO_LISTENER ? (uint8_t)i : *entry;
        if (ethdev->listeners[other].proto != listens[i].proto ||
            ethdev->listeners[other].time_unit != listens[i].time_unit)
            return weir_fail(WEIR_INVALID, 0,
                "UDP listeners of port %u differ in protocol or unit, which a DPDK port refuses",
                listens[i].port);
        *entry = (uint8_t)i;
    }
    return WEIR_OK;
}

/* A pool of pages: XDP_MBUF_BYTES an mbuf, nothing between them. NULL and rte_errno otherwise. */
static struct rte_mempool *
xdp_pool_create(const char *name, uint32_t mbuf_count, int socket)
{
    struct rte_pktmbuf_pool_private kind = {.mbuf_data_room_size = XDP_MBUF_ROOM};
    struct rte_mempool *pool = rte_mempool_create_empty(name, mbuf_count,
        sizeof(struct rte_mbuf) + XDP_MBUF_ROOM, MBUF_CACHE, sizeof kind, socket,
        RTE_MEMPOOL_F_NO_SPREAD);
    if (pool == NULL)
        return NULL;
    WEIR_ASSERT(pool->header_size + pool->elt_size + pool->trailer_size == XDP_MBUF_BYTES);
    rte_pktmbuf_pool_init(pool, &kind);
    if (rte_mempool_populate_default(pool) < 0) {
        rte_mempool_free(pool);
        rte_errno = ENOMEM;
        return NULL;
    }
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    return pool;
}

/* Half of the pool at most: the rest is for frames that the worker has. */
static uint16_t
descriptors_wanted(const struct port_ethdev *ethdev, uint32_t mbuf_count)
{
    if (ethdev->af_xdp)
        return WEIR_AF_XDP_DESCRIPTORS;
    uint32_t count = ethdev->collects ? BACKLOG_DESCRIPTORS : DESCRIPTORS;
    return (uint16_t)(count < mbuf_count / 2 ? count : mbuf_count / 2);
}

static enum weir_err
queue_setup(struct port_ethdev *ethdev, uint16_t queue, uint32_t mbuf_count)
{
    char name[RTE_MEMPOOL_NAMESIZE];
    snprintf(name, sizeof name, "weir_%u_%u", ethdev->ethdev, queue);
    int socket = rte_eth_dev_socket_id(ethdev->ethdev);
    struct rte_mempool *pool = ethdev->af_xdp
        ? xdp_pool_create(name, mbuf_count, socket)
        : rte_pktmbuf_pool_create(name, mbuf_count, MBUF_CACHE, 0, MBUF_ROOM, socket);
    if (pool == NULL)
        return weir_fail(WEIR_NOMEM, rte_errno, "pool of %u mbufs for DPDK port %u", mbuf_count,
            ethdev->ethdev);
    ethdev->pools[ethdev->pool_count++] = pool;
    uint16_t receive = descriptors_wanted(ethdev, mbuf_count);
    uint16_t transmit = 0;
    int failed = rte_eth_dev_adjust_nb_rx_tx_desc(ethdev->ethdev, &receive, &transmit);
    if (failed == 0)
        failed = rte_eth_rx_queue_setup(ethdev->ethdev, queue, receive, (unsigned)socket, NULL,
            pool);
    if (failed == 0 && ethdev->af_xdp) {
        weir_ethdev_xdp_queue(&ethdev->xdp);
        /* its queues come in pairs, though nothing is ever sent */
        failed = rte_eth_tx_queue_setup(ethdev->ethdev, queue, receive, (unsigned)socket, NULL);
    }
    if (failed != 0)
        return weir_fail(WEIR_IO, -failed, "receive queue %u of DPDK port %u", queue,
            ethdev->ethdev);
    return WEIR_OK;
}

/* Asks for the checksum offloads that there are, and spreads over queues by address and port. */
static enum weir_err
configure(struct port_ethdev *ethdev, uint16_t queue_count, uint32_t *interface_index)
{
    struct rte_eth_dev_info info;
    int failed = rte_eth_dev_info_get(ethdev->ethdev, &info);
    if (failed != 0)
        return weir_fail(WEIR_IO, -failed, "DPDK port %u", ethdev->ethdev);
    *interface_index = info.if_index;
    struct rte_eth_conf conf = {0};
    conf.rxmode.offloads = info.rx_offload_capa &
                           (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
    if (queue_count > 1 && !ethdev->af_xdp) { /* there the kernel's driver spreads */
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf =
            info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
    }
    failed = rte_eth_dev_configure(ethdev->ethdev, queue_count, ethdev->af_xdp ? queue_count : 0,
        &conf);
    if (failed != 0)
        return weir_fail(WEIR_IO, -failed, "configuring DPDK port %u for %u queues",
            ethdev->ethdev, queue_count);
    return WEIR_OK;
}

static bool
is_af_xdp(uint16_t ethdev_id)
{
    struct rte_eth_dev_info info;
    return rte_eth_dev_info_get(ethdev_id, &info) == 0 &&
           strcmp(info.driver_name, WEIR_AF_XDP_DRIVER) == 0;
}

static enum weir_err
device_start(struct port_ethdev *ethdev, const struct weir_ethdev_options *options,
    const struct weir_listen *listens, size_t count)
{
    uint32_t interface_index = 0;
    if (options->queue_count == 0 || options->queue_count > RTE_MAX_QUEUES_PER_PORT)
        return weir_fail(WEIR_INVALID, 0, "%u queues of DPDK port %u", options->queue_count,
            ethdev->ethdev);
    enum weir_err err = configure(ethdev, options->queue_count, &interface_index);
    if (ethdev->af_xdp)
        weir_ethdev_xdp_begin(&ethdev->xdp);
    for (uint16_t queue = 0; queue < options->queue_count && err == WEIR_OK; queue++)
        err = queue_setup(ethdev, queue, options->mbuf_count);
    if (err != WEIR_OK)
        return err;
    int failed = rte_eth_dev_start(ethdev->ethdev);
    if (failed != 0)
        return weir_fail(WEIR_IO, -failed, "starting DPDK port %u", ethdev->ethdev);
    ethdev->started = true;
    weir_ethdev_packet_discard(ethdev->ethdev, options->queue_count);
    if (ethdev->af_xdp)
        err = weir_ethdev_xdp_open(&ethdev->xdp, interface_index, options, listens, count);
    return err;
}

enum weir_err
weir_port_ethdev_open(const struct weir_ethdev_options *options, const struct weir_listen *listens,
    size_t count, struct weir_counts *counts, struct weir_port **out)
{
    struct port_ethdev *ethdev = calloc(1, sizeof *ethdev);
    if (ethdev == NULL)
        return weir_fail(WEIR_NOMEM, 0, "DPDK port");
    ethdev->port.ops = &ethdev_ops;
    ethdev->port.counts = counts;
    ethdev->ethdev = options->ethdev_id;
    ethdev->queue = options->queue;
    ethdev->packet_fd = -1;
    ethdev->af_xdp = is_af_xdp(options->ethdev_id);
    ethdev->collects = ethdev->af_xdp || options->collects;
    weir_backlog_init(&ethdev->backlog, options->ethdev_id, options->queue,
        options->mbuf_count > BACKLOG_REST + WEIR_BACKLOG_TAKE
            ? options->mbuf_count - BACKLOG_REST
            : WEIR_BACKLOG_TAKE);
    enum weir_err err = index_listeners(ethdev, listens, count);
    if (err == WEIR_OK && options->queue == 0)
        err = device_start(ethdev, options, listens, count);
    if (err != WEIR_OK) {
        ethdev_close(&ethdev->port);
        return err;
    }
    ethdev->packet_fd = weir_ethdev_packet_fd(options->ethdev_id, options->queue);
    if (ethdev->packet_fd >= 0) /* of other interfaces, like the frames discarded at the start */
        (void)weir_ethdev_packet_missed(ethdev->packet_fd);
    char name[RTE_ETH_NAME_MAX_LEN] = "?";
    (void)rte_eth_dev_get_name_by_port(ethdev->ethdev, name);
    weir_event(WEIR_LEVEL_INFO, "port_open", "kind=ethdev name=%s queue=%u mbufs=%u", name,
        options->queue, options->mbuf_count);
    *out = &ethdev->port;
    return WEIR_OK;
}
