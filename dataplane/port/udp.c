/* Kernel UDP: bursts by recvmmsg into buffers of the largest datagram.
 *
 * The supervisor holds a copy of the socket: datagrams wait in its buffer while no dataplane
 * runs. socket_drops counts from when the socket was bound, and names what was dropped meanwhile
 * too.
 *
 * Memory: WEIR_BURST_MAX buffers in one mapping; pages come when a datagram first needs them, so
 *         that a port of small datagrams stays small.
 */
#include "base/clock.h"
#include "base/event.h"
#include "dataplane/port/port.h"
#include "dataplane/port/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_MAX (64u << 10)
/* From buffer to buffer: 33 cache lines more than 64 KiB. The heads of the datagrams of a
 * burst then do not fall into the same sets of the cache. */
#define BUFFER_STRIDE (DATAGRAM_MAX + 33 * WEIR_CACHE_LINE)
_Static_assert(BUFFER_STRIDE - DATAGRAM_MAX >= WEIR_PACKET_SLACK, "slack after each datagram");

struct port_udp {
    struct weir_port port;
    int fd;
    uint8_t proto;
    uint8_t time_unit;
    uint8_t listener;
    uint32_t drops_seen; /* the kernel's count, which wraps */
    uint8_t *buffers;
    struct iovec vectors[WEIR_BURST_MAX];
    struct mmsghdr messages[WEIR_BURST_MAX];
    struct sockaddr_in6 peers[WEIR_BURST_MAX]; /* or sockaddr_in, which is shorter */
};

static struct port_udp *
of(struct weir_port *port)
{
    return (struct port_udp *)port;
}

static void
count_rejected(struct port_udp *udp, enum weir_reason reason)
{
    struct weir_ledger_unit *packets = &udp->port.counts->unit[WEIR_UNIT_PACKETS];
    packets->received++;
    packets->rejected[reason]++;
}

static size_t
udp_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct port_udp *udp = of(port);
    unsigned want = max < WEIR_BURST_MAX ? (unsigned)max : WEIR_BURST_MAX;
    int got = recvmmsg(udp->fd, udp->messages, want, MSG_DONTWAIT, NULL);
    if (got <= 0)
        return 0;
    int64_t now_ms = weir_wall_ms();
    uint64_t now_tsc = weir_tsc();
    size_t count = 0;
    for (int i = 0; i < got; i++) {
        if ((udp->messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
            count_rejected(udp, WEIR_REASON_truncated);
            continue;
        }
        packets[count] = (struct weir_packet){.data = udp->vectors[i].iov_base,
            .size = udp->messages[i].msg_len,
            .proto = udp->proto,
            .time_unit = udp->time_unit,
            .listener = udp->listener,
            .final = true,
            .receive_ms = now_ms,
            .receive_tsc = now_tsc};
        weir_peer_of_socket((struct sockaddr *)&udp->peers[i], &packets[count++].peer);
    }
    return count;
}

/* The buffers are free again by themselves. */
static void
udp_release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    (void)port;
    (void)packets;
    (void)count;
}

static int
udp_wait_fd(struct weir_port *port)
{
    return of(port)->fd;
}

/* SO_MEMINFO has the count that SO_RXQ_OVFL would put beside each datagram, without its cost for
 * each, and without waiting for a datagram that gets through. */
static void
udp_statistics(struct weir_port *port)
{
    struct port_udp *udp = of(port);
    uint32_t memory[SK_MEMINFO_VARS];
    socklen_t size = sizeof memory;
    if (getsockopt(udp->fd, SOL_SOCKET, SO_MEMINFO, memory, &size) != 0 ||
        size < (SK_MEMINFO_DROPS + 1) * sizeof memory[0])
        return;
    uint32_t drops = memory[SK_MEMINFO_DROPS] - udp->drops_seen;
    udp->drops_seen = memory[SK_MEMINFO_DROPS];
    port->counts->counter[WEIR_COUNTER_socket_drops] += drops;
}

static uint16_t
udp_bound(const struct weir_port *port, size_t listener)
{
    return listener == 0 ? weir_socket_port(((const struct port_udp *)port)->fd) : 0;
}

static void
udp_close(struct weir_port *port)
{
    struct port_udp *udp = of(port);
    if (udp->fd >= 0) {
        udp_statistics(port);
        close(udp->fd);
    }
    if (udp->buffers != NULL)
        munmap(udp->buffers, (size_t)WEIR_BURST_MAX * BUFFER_STRIDE);
    free(udp);
}

static const struct weir_port_ops udp_ops = {
    .kind = "udp",
    .receive = udp_receive,
    .release = udp_release,
    .wait_fd = udp_wait_fd,
    .statistics = udp_statistics,
    .bound = udp_bound,
    .close = udp_close,
};

static enum weir_err
allocate_buffers(struct port_udp *udp)
{
    size_t bytes = (size_t)WEIR_BURST_MAX * BUFFER_STRIDE;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return weir_fail(WEIR_NOMEM, errno, "UDP buffers of %zu bytes", bytes);
    udp->buffers = memory;
    for (size_t i = 0; i < WEIR_BURST_MAX; i++) {
        udp->vectors[i] = (struct iovec){udp->buffers + i * BUFFER_STRIDE, DATAGRAM_MAX};
        udp->messages[i].msg_hdr.msg_iov = &udp->vectors[i];
        udp->messages[i].msg_hdr.msg_iovlen = 1;
        /* the kernel writes the size of the socket's family here, which stays as it is */
        udp->messages[i].msg_hdr.msg_name = &udp->peers[i];
        udp->messages[i].msg_hdr.msg_namelen = sizeof udp->peers[i];
    }
    return WEIR_OK;
}

enum weir_err
weir_port_udp_open(const struct weir_listen *listen, uint64_t receive_buffer_bytes,
    struct weir_counts *counts, struct weir_port **out)
{
    struct port_udp *udp = calloc(1, sizeof *udp);
    if (udp == NULL)
        return weir_fail(WEIR_NOMEM, 0, "UDP port");
    udp->port.ops = &udp_ops;
    udp->port.counts = counts;
    udp->fd = -1;
    udp->proto = listen->proto;
    udp->time_unit = listen->time_unit;
    udp->listener = listen->listener;
    enum weir_err err = allocate_buffers(udp);
    if (err == WEIR_OK && listen->bound_fd != 0)
        udp->fd = listen->bound_fd;
    else if (err == WEIR_OK)
        err = weir_socket_bind(listen, SOCK_DGRAM, &udp->fd);
    if (err != WEIR_OK) {
        udp_close(&udp->port);
        return err;
    }
    uint64_t granted = weir_socket_receive_buffer(udp->fd, receive_buffer_bytes);
    char name[WEIR_SOCKET_NAME_MAX];
    weir_socket_name(udp->fd, name);
    weir_event(granted < receive_buffer_bytes ? WEIR_LEVEL_WARN : WEIR_LEVEL_INFO, "port_open",
        "kind=udp addr=%s buffer_bytes=%" PRIu64 " asked_bytes=%" PRIu64, name, granted,
        receive_buffer_bytes);
    *out = &udp->port;
    return WEIR_OK;
}
