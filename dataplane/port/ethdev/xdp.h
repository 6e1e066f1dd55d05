/* ethdev_xdp: what an AF_XDP port has beside an ethdev: its XDP program and its sockets.
 *
 * The driver keeps its sockets to itself; they are found among this process's descriptors, so
 * that their statistics can be read and idle threads sleep on them.
 *
 * Threads: the port's worker
 * Memory:  one struct in the port's
 * Errors:  as ebpf/loader.h; open leaves the interface as the driver made it where it fails
 * Limits:  WEIR_XDP_QUEUES_MAX queues
 */
#ifndef WEIR_DATAPLANE_PORT_ETHDEV_XDP_H
#define WEIR_DATAPLANE_PORT_ETHDEV_XDP_H

#include "dataplane/port/port.h"
#include "ebpf/loader.h"
#include "model/ledger.h"

#define WEIR_AF_XDP_DRIVER "net_af_xdp"
/* With fewer the fill ring runs dry between bursts, and the driver's own count of it is off. */
#define WEIR_AF_XDP_DESCRIPTORS 2048

/* AF_XDP sockets of this process. */
struct weir_xsk_list {
    uint32_t count;
    int fd[4 * WEIR_XDP_QUEUES_MAX];
};

/* Named as in /metrics; see struct xdp_statistics. */
struct weir_xsk_counts {
    uint64_t dropped;
    uint64_t ring_full;
    uint64_t invalid_descriptors;
    uint64_t fill_empty;
};

struct weir_ethdev_xdp {
    struct weir_xdp *xdp; /* NULL: not an AF_XDP port */
    const char *pins;     /* the caller's, as long as the port */
    struct weir_xsk_list before;
    struct weir_xsk_list sockets; /* in the order of the queues */
    uint64_t verdicts_seen[WEIR_XDP_VERDICTS];
    bool unread_reported;     /* that they cannot be read */
    struct weir_xsk_counts xsk_seen;
};

/* Before the first queue is set up, and after each. */
void weir_ethdev_xdp_begin(struct weir_ethdev_xdp *xdp);
void weir_ethdev_xdp_queue(struct weir_ethdev_xdp *xdp);

/* After all queues are: takes the program over, gives it rules and then ports. From here on packets
 * come. */
enum weir_err weir_ethdev_xdp_open(struct weir_ethdev_xdp *xdp, uint32_t interface_index,
    const struct weir_ethdev_options *options, const struct weir_listen *listens, size_t count)
    WEIR_MUST_USE;

/* Adds what has been counted since the last call. */
void weir_ethdev_xdp_statistics(struct weir_ethdev_xdp *xdp, struct weir_counts *counts);

/* Whether the driver may close the device: it detaches whatever program is there. */
bool weir_ethdev_xdp_may_close(const struct weir_ethdev_xdp *xdp);
/* Removes the pins; after the device is closed. */
void weir_ethdev_xdp_close(struct weir_ethdev_xdp *xdp);

#endif
