#include "bench/load/feed.h"

#include "bench/port/memory.h"
#include "model/ledger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* 2 MiB of packets: larger than L2, because the dataplane is to read them from further away. */
#define RING_SLOTS 1024
#define RING_PUBLISH 16
#define DRAIN_WAITS 10000 /* of a millisecond */
#define UDP_SOCKETS 1000
#define UDP_BATCH 64
/* Datagrams ahead have to fit into the socket buffer of 16 MiB, where one of a packet takes about
 * 2,300 bytes, and a larger one up to twice its payload. */
#define UDP_AHEAD 4096
#define UDP_AHEAD_BYTES (UDP_AHEAD * UINT64_C(2300))
#define TCP_CONNECTIONS 8
#define TCP_WRITE (256u << 10)

const char *const weir_bench_source_names[WEIR_BENCH_SOURCES] = {"ring", "udp", "tcp"};

static const enum weir_proto protos[WEIR_BENCH_PROTOS] = {
    [WEIR_BENCH_INFLUX] = WEIR_PROTO_INFLUX,
    [WEIR_BENCH_GRAPHITE] = WEIR_PROTO_GRAPHITE,
    [WEIR_BENCH_WEIR] = WEIR_PROTO_WEIR};

struct ring {
    int fd;
    struct weir_ring_source *source;
    uint64_t committed;
};

struct weir_bench_feed {
    enum weir_bench_source source;
    enum weir_proto proto;
    struct ring rings[WEIR_WORKERS_MAX];
    uint32_t ring_count;
    bool filled;
    uint32_t selected;
    uint16_t port;
    struct weir_shared *shared;
    int *sockets;
    uint32_t socket_count;
    uint32_t socket_at;
    uint8_t *buffer;   /* UDP: datagrams of a batch, payload_max apart; TCP: bytes to write next */
    size_t used;       /* bytes of buffer (TCP) */
    uint32_t payload_max;
    uint32_t queued;   /* whole datagrams of the batch (UDP) */
    size_t sizes[UDP_BATCH + 1]; /* of them, and of the one that is being filled */
    uint64_t datagrams;
    bool unpaced;
    bool broken;
};

/* A port that is free now. */
static enum weir_err
choose_port(struct weir_bench_feed *feed)
{
    int type = feed->source == WEIR_BENCH_UDP ? SOCK_DGRAM : SOCK_STREAM;
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int probe = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (probe < 0 || bind(probe, (struct sockaddr *)&address, size) != 0 ||
        getsockname(probe, (struct sockaddr *)&address, &size) != 0)
        return weir_fail(WEIR_IO, errno, "choose a loopback port");
    close(probe);
    feed->port = ntohs(address.sin_port);
    return WEIR_OK;
}

static enum weir_err
make_rings(struct weir_bench_feed *feed, uint32_t slots, uint32_t count)
{
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && feed->ring_count < count) {
        struct ring *ring = &feed->rings[feed->ring_count];
        err = weir_ring_source_new(WEIR_BENCH_PACKET_MAX, slots != 0 ? slots : RING_SLOTS,
            &ring->fd);
        if (err != WEIR_OK)
            return err;
        feed->ring_count++;
        err = weir_ring_source_attach(ring->fd, &ring->source);
    }
    return err;
}

enum weir_err
weir_bench_feed_new(enum weir_bench_source source, enum weir_bench_proto proto,
    uint32_t ring_slots, uint32_t rings, struct weir_bench_feed **out)
{
    struct weir_bench_feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL)
        return weir_fail(WEIR_NOMEM, 0, "feed");
    feed->source = source;
    feed->proto = protos[proto];
    feed->payload_max = WEIR_BENCH_PACKET_MAX;
    enum weir_err err = source == WEIR_BENCH_RING ? make_rings(feed, ring_slots, rings)
                                                  : choose_port(feed);
    if (err == WEIR_OK && source != WEIR_BENCH_RING) {
        size_t bytes = source == WEIR_BENCH_UDP ? UDP_BATCH * WEIR_BENCH_UDP_PAYLOAD_MAX
                                                : TCP_WRITE + WEIR_BENCH_PACKET_MAX;
        feed->socket_count = source == WEIR_BENCH_UDP ? UDP_SOCKETS : TCP_CONNECTIONS;
        feed->buffer = malloc(bytes);
        feed->sockets = malloc(feed->socket_count * sizeof *feed->sockets);
        if (feed->buffer == NULL || feed->sockets == NULL)
            err = weir_fail(WEIR_NOMEM, 0, "feed");
        for (uint32_t i = 0; i < feed->socket_count && feed->sockets != NULL; i++)
            feed->sockets[i] = -1;
    }
    if (err != WEIR_OK) {
        weir_bench_feed_free(feed);
        return err;
    }
    *out = feed;
    return WEIR_OK;
}

enum weir_err
weir_bench_feed_connect(struct weir_bench_feed *feed, struct weir_shared *shared)
{
    feed->shared = shared;
    int type = feed->source == WEIR_BENCH_UDP ? SOCK_DGRAM : SOCK_STREAM;
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(feed->port)};
    for (uint32_t i = 0; i < feed->socket_count; i++) {
        feed->sockets[i] = socket(AF_INET, type | SOCK_CLOEXEC, 0);
        if (feed->sockets[i] < 0 ||
            connect(feed->sockets[i], (struct sockaddr *)&address, sizeof address) != 0)
            return weir_fail(WEIR_IO, errno, "connect to 127.0.0.1:%u", feed->port);
    }
    return WEIR_OK;
}

void
weir_bench_feed_free(struct weir_bench_feed *feed)
{
    for (uint32_t i = 0; i < feed->ring_count; i++) {
        if (feed->rings[i].source != NULL)
            weir_ring_source_detach(feed->rings[i].source);
        close(feed->rings[i].fd);
    }
    for (uint32_t i = 0; i < feed->socket_count && feed->sockets != NULL; i++)
        if (feed->sockets[i] >= 0)
            close(feed->sockets[i]);
    free(feed->sockets);
    free(feed->buffer);
    free(feed);
}

int
weir_bench_feed_ring_fd(const struct weir_bench_feed *feed, uint32_t worker)
{
    return worker < feed->ring_count ? feed->rings[worker].fd : -1;
}

void
weir_bench_feed_select(struct weir_bench_feed *feed, uint32_t worker)
{
    feed->selected = worker;
}

uint16_t
weir_bench_feed_port(const struct weir_bench_feed *feed)
{
    return feed->port;
}

uint64_t
weir_bench_feed_datagrams(const struct weir_bench_feed *feed)
{
    return feed->datagrams;
}

/* Samples that the first worker has received, one word of its block: a hint needs no
 * consistency. */
static uint64_t
packets_received(const struct weir_bench_feed *feed)
{
    size_t word = offsetof(struct weir_counts, unit[WEIR_UNIT_PACKETS].received) / 8;
    return atomic_load_explicit(
        &feed->shared->ledger.blocks[WEIR_BLOCK_WORKER].words[word], memory_order_relaxed);
}

static bool
udp_send(struct weir_bench_feed *feed)
{
    struct mmsghdr messages[UDP_BATCH];
    struct iovec parts[UDP_BATCH];
    memset(messages, 0, sizeof messages);
    for (uint32_t i = 0; i < feed->queued; i++) {
        parts[i] = (struct iovec){feed->buffer + (size_t)i * feed->payload_max, feed->sizes[i]};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int fd = feed->sockets[feed->socket_at++ % feed->socket_count];
    for (uint32_t at = 0; at < feed->queued;) {
        int sent = sendmmsg(fd, messages + at, feed->queued - at, 0);
        if (sent < 0 && errno != EINTR)
            return false;
        at += sent > 0 ? (uint32_t)sent : 0;
    }
    feed->datagrams += feed->queued;
    feed->queued = 0;
    feed->sizes[0] = 0;
    return true;
}

static bool
tcp_send(struct weir_bench_feed *feed)
{
    int fd = feed->sockets[feed->socket_at++ % feed->socket_count];
    for (size_t at = 0; at < feed->used;) {
        ssize_t sent = send(fd, feed->buffer + at, feed->used - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        at += sent > 0 ? (size_t)sent : 0;
    }
    uint8_t acks[4096]; /* read: they block nobody */
    while (recv(fd, acks, sizeof acks, MSG_DONTWAIT) > 0)
        ;
    feed->used = 0;
    return true;
}

void
weir_bench_feed_filled(struct weir_bench_feed *feed, bool filled)
{
    feed->filled = filled;
}

/* One ring is full: all are shown to the workers, and nothing is made until they are empty. */
static void
let_drain(struct weir_bench_feed *feed)
{
    for (uint32_t i = 0; i < feed->ring_count; i++)
        weir_ring_source_publish(feed->rings[i].source);
    /* bounded: a dataplane that died is the caller's to find */
    for (uint32_t wait = 0; wait < DRAIN_WAITS; wait++) {
        bool empty = true;
        for (uint32_t i = 0; i < feed->ring_count; i++)
            empty &= weir_ring_source_released(feed->rings[i].source) == feed->rings[i].committed;
        if (empty)
            return;
        usleep(1000);
    }
}

uint8_t *
weir_bench_feed_reserve(struct weir_bench_feed *feed)
{
    switch (feed->source) {
    case WEIR_BENCH_UDP:
        if (feed->queued == UDP_BATCH) {
            if (!feed->unpaced &&
                feed->datagrams + UDP_BATCH > packets_received(feed) + weir_bench_feed_ahead(feed))
                return NULL;
            feed->broken |= !udp_send(feed);
        }
        return feed->broken ? NULL
                            : feed->buffer + (size_t)feed->queued * feed->payload_max +
                                  feed->sizes[feed->queued];
    case WEIR_BENCH_TCP:
        if (feed->used >= TCP_WRITE)
            feed->broken |= !tcp_send(feed);
        return feed->broken ? NULL : feed->buffer + feed->used;
    default: {
        struct weir_ring_source *ring = feed->rings[feed->selected].source;
        uint8_t *slot = weir_ring_source_reserve(ring);
        if (slot == NULL && feed->filled)
            let_drain(feed);
        else if (slot == NULL)
            weir_ring_source_publish(ring);
        return slot;
    }
    }
}

void
weir_bench_feed_unpaced(struct weir_bench_feed *feed, bool unpaced)
{
    feed->unpaced = unpaced;
}

void
weir_bench_feed_payload(struct weir_bench_feed *feed, uint32_t payload_max)
{
    feed->payload_max = payload_max;
}

uint64_t
weir_bench_feed_ahead(const struct weir_bench_feed *feed)
{
    return feed->payload_max == WEIR_BENCH_PACKET_MAX
               ? UDP_AHEAD
               : UDP_AHEAD_BYTES / (2 * feed->payload_max);
}

void
weir_bench_feed_commit(struct weir_bench_feed *feed, size_t size)
{
    switch (feed->source) {
    case WEIR_BENCH_UDP:
        feed->sizes[feed->queued] += size;
        if (feed->sizes[feed->queued] + WEIR_BENCH_PACKET_MAX > feed->payload_max)
            feed->sizes[++feed->queued] = 0;
        break;
    case WEIR_BENCH_TCP:
        feed->used += size;
        break;
    default: {
        struct ring *ring = &feed->rings[feed->selected];
        weir_ring_source_commit(ring->source, (uint32_t)size, feed->proto,
            feed->proto == WEIR_PROTO_GRAPHITE ? WEIR_TIME_S : WEIR_TIME_NS);
        if (++ring->committed % RING_PUBLISH == 0 && !feed->filled)
            weir_ring_source_publish(ring->source);
    }
    }
}

bool
weir_bench_feed_flush(struct weir_bench_feed *feed)
{
    for (uint32_t i = 0; i < feed->ring_count; i++)
        weir_ring_source_publish(feed->rings[i].source);
    if (feed->source == WEIR_BENCH_UDP) {
        feed->queued += feed->sizes[feed->queued] > 0;
        if (feed->queued > 0)
            feed->broken |= !udp_send(feed);
    } else if (feed->source == WEIR_BENCH_TCP && feed->used > 0) {
        feed->broken |= !tcp_send(feed);
    }
    return !feed->broken;
}
