/* feed: the ways a benchmark's packets reach the dataplane.
 *
 *   ring   slots in shared memory, no kernel in between (bench/port/memory.h); a ring a worker
 *   udp    datagrams to a loopback socket from a thousand source ports
 *   tcp    a few loopback connections
 *
 * The generator runs ahead of the dataplane by a bounded number of datagrams: it
 * measures how fast the dataplane receives, and not how fast a socket buffer overflows. The kernel
 * counts the datagrams that are lost all the same, and they are shown.
 *
 * Threads: one
 * Memory:  taken at open
 */
#ifndef WEIR_BENCH_LOAD_FEED_H
#define WEIR_BENCH_LOAD_FEED_H

#include "base/err.h"
#include "bench/load/load.h"
#include "model/shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_bench_source { WEIR_BENCH_RING, WEIR_BENCH_UDP, WEIR_BENCH_TCP, WEIR_BENCH_SOURCES };
extern const char *const weir_bench_source_names[WEIR_BENCH_SOURCES];

/* Bytes of payloads that a datagram over IPv4 may have. */
#define WEIR_BENCH_UDP_PAYLOAD_MAX 65507

struct weir_bench_feed;

/* Before the dataplane starts: makes the ring (its descriptor goes to the dataplane) or chooses a
 * free port (the dataplane listens there). ring_slots: of a ring, 0 for as many as suit. rings: as
 * many as the dataplane has workers, or 1. */
enum weir_err weir_bench_feed_new(enum weir_bench_source source, enum weir_bench_proto proto,
    uint32_t ring_slots, uint32_t rings, struct weir_bench_feed **out) WEIR_MUST_USE;
/* Once ingest is open: connects. shared is the instance's region. */
enum weir_err weir_bench_feed_connect(struct weir_bench_feed *feed, struct weir_shared *shared)
    WEIR_MUST_USE;
void weir_bench_feed_free(struct weir_bench_feed *feed);

/* Of the ring of a worker; -1 for none. */
int weir_bench_feed_ring_fd(const struct weir_bench_feed *feed, uint32_t worker);
uint16_t weir_bench_feed_port(const struct weir_bench_feed *feed); /* 0 for none */

/* Packets go to this worker's ring from now on. */
void weir_bench_feed_select(struct weir_bench_feed *feed, uint32_t worker);
/* Room for one packet of WEIR_BENCH_PACKET_MAX bytes, or NULL: try again, it is full. */
uint8_t *weir_bench_feed_reserve(struct weir_bench_feed *feed);
/* A worker sees nothing of its ring until one ring is full, and nothing is made then until all are
 * empty: so generator and workers never run at the same time. */
void weir_bench_feed_filled(struct weir_bench_feed *feed, bool filled);
/* Datagrams are sent however late the dataplane is. */
void weir_bench_feed_unpaced(struct weir_bench_feed *feed, bool unpaced);
void weir_bench_feed_commit(struct weir_bench_feed *feed, size_t size);
/* UDP: packets go together in datagrams of up to so many bytes, WEIR_BENCH_PACKET_MAX ..
 * WEIR_BENCH_UDP_PAYLOAD_MAX, which are not as full as can be: a packet may be that long. For
 * packets that may be joined. Before the first packet. */
void weir_bench_feed_payload(struct weir_bench_feed *feed, uint32_t payload_max);
/* Datagrams the generator may be ahead. */
uint64_t weir_bench_feed_ahead(const struct weir_bench_feed *feed);
/* Sends the samples that are still held back. False if a connection has broken. */
bool weir_bench_feed_flush(struct weir_bench_feed *feed);
/* Datagrams sent so far; 0 for the other ways. */
uint64_t weir_bench_feed_datagrams(const struct weir_bench_feed *feed);

#endif
