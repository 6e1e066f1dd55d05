/* port: a source of packets, with one interface for all; see ethdev/, udp.c, tcp/
 * and bench/port/memory.c.
 *
 * Threads: a port belongs to one worker, which makes every call
 * Memory:  taken at open
 * Errors:  open says what is wrong; after that a port counts and goes on
 *
 *   receive -> packets of the port -> worker parses -> release (outcome filled)
 *                                                    complete  (registrar's word, later)
 *                                                      progress (durable, later: answers go out)
 */
#ifndef WEIR_DATAPLANE_PORT_PORT_H
#define WEIR_DATAPLANE_PORT_PORT_H

#include "base/err.h"
#include "base/hash.h"
#include "model/degraded.h"
#include "model/ledger.h"
#include "model/packet.h"
#include "model/progress.h"

#define WEIR_BURST_MAX 64
#define WEIR_LISTENERS_MAX 32
#define WEIR_PORTS_MAX 16

struct weir_port;
struct weir_rules; /* ebpf/rules.h */

/* The fate of records that a release had left deferred. */
struct weir_completion {
    uint32_t source;
    uint32_t accepted;
    uint32_t rejected;
    uint64_t batch; /* of the registrar; 0 where nothing was accepted */
};

struct weir_port_ops {
    const char *kind;
    /* Packets that max of a receive is at least; 0 is 1. */
    uint32_t burst_least;
    /* Takes up to max packets. Packets refused below the protocol (fragments, checksums, ...) are
     * counted into the worker's ledger by the port: received and rejected, unit packets. Packets
     * handed on are counted as received by the worker. Never blocks. */
    size_t (*receive)(struct weir_port *port, struct weir_packet *packets, size_t max);
    /* Takes off the device what would be lost there, while the worker cannot receive; NULL where
     * the device, or the kernel, holds it long enough. */
    void (*collect)(struct weir_port *port);
    /* Gives back all packets of the last receive, in order, outcome filled. */
    void (*release)(struct weir_port *port, struct weir_packet *packets, size_t count);
    /* Hands on again what was released with packet.waits; NULL where that cannot be. */
    void (*resume)(struct weir_port *port);
    /* NULL where no sender is ever answered. */
    void (*complete)(struct weir_port *port, const struct weir_completion *completion);
    /* Sends a line to the sender of source, if it is there and takes it; what it does not take is
     * dropped and counted. NULL as above. */
    void (*answer)(struct weir_port *port, uint32_t source, const uint8_t *line, size_t size);
    /* Called once a round: answers what has become durable. True while a sender waits for an
     * answer: batches are flushed sooner then. NULL as above. */
    bool (*progress)(struct weir_port *port, const struct weir_progress *progress);
    /* Descriptor that polls readable when receive would return packets, or -1: poll the port. */
    int (*wait_fd)(struct weir_port *port);
    /* Updates counters that cost a call (socket drops, ethdev statistics); once a second. */
    void (*statistics)(struct weir_port *port);
    /* UDP or TCP port that a listener is bound to, host order; NULL for ports without sockets. */
    uint16_t (*bound)(const struct weir_port *port, size_t listener);
    void (*close)(struct weir_port *port);
};

struct weir_port {
    const struct weir_port_ops *ops;
    struct weir_counts *counts; /* the worker's; single writer */
    uint32_t index;             /* place in the worker's array, counted from 1 */
    uint32_t worker;            /* index of the worker */
};

/* Port a listener is bound to (it may have asked for 0), or 0 where there is none. */
static inline uint16_t
weir_port_bound(const struct weir_port *port, size_t listener)
{
    return port->ops->bound == NULL ? 0 : port->ops->bound(port, listener);
}

/* Upper bits of weir_packet.source name the port, lower ones its connection; 0 is nobody. */
#define WEIR_SOURCE_BITS 24
static inline uint32_t
weir_source(uint32_t port_index, uint32_t connection)
{
    return port_index << WEIR_SOURCE_BITS | connection;
}

struct weir_listen {
    uint8_t proto;     /* enum weir_proto */
    uint8_t transport; /* 0 UDP, 1 TCP */
    uint8_t time_unit;
    uint8_t listener;  /* as weir_packet.listener */
    char address[64];  /* numeric IPv4 or IPv6 address */
    uint16_t port;     /* host order; 0 takes a free one, see weir_port_bound */
    bool v6_only;      /* [::] takes no IPv4 */
    int bound_fd;      /* a UDP socket bound to it that the port takes over; 0: it makes one */
};

/* Kernel UDP socket; receive_buffer_bytes is asked of SO_RCVBUF(FORCE) and what was granted is
 * reported as an event. */
enum weir_err weir_port_udp_open(const struct weir_listen *listen, uint64_t receive_buffer_bytes,
    struct weir_counts *counts, struct weir_port **out) WEIR_MUST_USE;

/* All TCP listeners of a worker as one port (one epoll). */
#define WEIR_TCP_IDLE_MS 60000
struct weir_tcp_options {
    uint32_t connections_max;
    int64_t idle_ms; /* without a byte, after which a connection makes room where that is short */
    const struct weir_hash_key *key; /* borrowed */
    struct weir_prefixes trusted;    /* sources that no share bounds; borrowed */
    struct weir_degraded *degraded;  /* may be NULL */
};
enum weir_err weir_port_tcp_open(const struct weir_listen *listens, size_t count,
    const struct weir_tcp_options *options, struct weir_counts *counts,
    struct weir_port **out) WEIR_MUST_USE;

/* Address and port of the HTTP API, for clients that speak HTTP to a TCP listener; before the first
 * receive. */
#define WEIR_HTTP_ADDRESS_MAX 80
void weir_port_tcp_http(struct weir_port *port, const char *address);

/* Bytes of an mbuf with its header, at most: a page, which one of an AF_XDP port takes. */
#define WEIR_MBUF_BYTES_MAX 4096

/* One queue of a DPDK ethdev, already probed by EAL (see weir_eal_init). UDP destination ports
 * are matched against the UDP listeners' ports for protocol and unit. Queue 0 configures and
 * starts the device with all its queues: it is opened first and closed last. */
struct weir_ethdev_options {
    uint16_t ethdev_id;
    uint16_t queue;
    uint16_t queue_count;
    uint32_t mbuf_count;
    bool collects; /* takes frames off the device ahead of their turn, as AF_XDP ports do anyway */
    /* AF_XDP ports: where the XDP program is pinned (as long as the port), its first rules */
    const char *xdp_pins;
    const struct weir_rules *rules;
};
enum weir_err weir_port_ethdev_open(const struct weir_ethdev_options *options,
    const struct weir_listen *listens, size_t count, struct weir_counts *counts,
    struct weir_port **out) WEIR_MUST_USE;

/* Initialises EAL for the vdev strings (net_af_packet0,iface=veth0 ...), no PCI, its own prefix,
 * huge pages only where asked for and there. ethdev ids are those found. */
struct weir_eal_options {
    const char *const *vdevs;
    size_t vdev_count;
    const char *prefix; /* per instance */
    const char *runtime_dir; /* EAL makes dpdk/<prefix> below it; NULL for its own choice */
    bool no_huge;
    uint32_t memory_mib;
    int core;           /* the calling thread stays there; -1 keeps its affinity as it was */
};
/* Once a process: DPDK cannot be initialised again after weir_eal_fini or a failure. Errors:
 * WEIR_UNSUPPORTED not root, WEIR_INVALID a driver that is not linked, WEIR_NOT_FOUND an interface
 * that is not there or a vdev string that made no port, WEIR_IO EAL. */
enum weir_err weir_eal_init(const struct weir_eal_options *options, uint16_t *ethdev_ids,
    size_t max, size_t *count) WEIR_MUST_USE;
void weir_eal_fini(void);
/* Queues a found ethdev has been given by its vdev string; 1 where it does not say. */
uint16_t weir_eal_queues(uint16_t ethdev_id);
/* Leaves devices as they are at weir_eal_fini: one of them is not ours any more. */
void weir_eal_leave_devices(void);

/* The benchmark's source: packets in shared memory, see bench/port/memory.h. */
enum weir_err weir_port_memory_open(int fd, struct weir_counts *counts, struct weir_port **out)
    WEIR_MUST_USE;

#endif
