/* ethdev_backlog: frames taken off a device ahead of their turn, in order.
 *
 * An AF_XDP driver gives the kernel no more than 2,048 buffers, 3 ms at 700,000 frames a second,
 * and a write to disk may hold the worker up for longer.
 *
 * Owns:    the mbufs that it holds
 * Threads: the port's worker
 * Memory:  one struct in the port's
 * Limits:  the limit given, and WEIR_BACKLOG_MAX; what finds no room stays on the device
 */
#ifndef WEIR_DATAPLANE_ETHDEV_BACKLOG_H
#define WEIR_DATAPLANE_ETHDEV_BACKLOG_H

#include <stdint.h>

#define WEIR_BACKLOG_MAX 16384
#define WEIR_BACKLOG_TAKE 64 /* at a time: as many buffers are allocated, from the pool's cache */
_Static_assert(WEIR_BACKLOG_MAX % WEIR_BACKLOG_TAKE == 0, "it wraps");

struct rte_mbuf;

struct weir_backlog {
    uint16_t ethdev;
    uint16_t queue;
    uint32_t limit;
    uint32_t head, tail; /* count up; the place is modulo WEIR_BACKLOG_MAX */
    struct rte_mbuf *mbufs[WEIR_BACKLOG_MAX];
};

/* limit: frames held at most, from WEIR_BACKLOG_TAKE on. The struct is zeroed. */
void weir_backlog_init(struct weir_backlog *backlog, uint16_t ethdev, uint16_t queue,
    uint32_t limit);
/* Empties the device's queue into the backlog, as far as that has room. */
void weir_backlog_fill(struct weir_backlog *backlog);
/* Hands out the oldest frames, at most want, which are the caller's then. Returns how many. */
uint16_t weir_backlog_take(struct weir_backlog *backlog, struct rte_mbuf **out, uint16_t want);

#endif
