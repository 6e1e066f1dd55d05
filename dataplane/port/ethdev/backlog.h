/* ethdev_backlog: frames taken off a device ahead of their turn, in order.
 *
 * An AF_XDP driver gives the kernel no more than 2,048 buffers, 3 ms at 700,000 frames a second,
 * and a write to disk may hold the worker up for longer. A frame keeps the time at which it was
 * taken off. The ledger counts it when it is handed on.
 *
 * Owns:    the mbufs that it holds
 * Threads: the port's worker
 * Memory:  one struct in the port's
 * Limits:  the limit given, and WEIR_BACKLOG_MAX; what finds no room stays on the device
 */
#ifndef WEIR_DATAPLANE_PORT_ETHDEV_BACKLOG_H
#define WEIR_DATAPLANE_PORT_ETHDEV_BACKLOG_H

#include <stdint.h>

#define WEIR_BACKLOG_MAX 16384
#define WEIR_BACKLOG_TAKE 64 /* at a time: as many buffers are allocated, from the pool's cache */
_Static_assert(WEIR_BACKLOG_MAX % WEIR_BACKLOG_TAKE == 0, "it wraps");

/* Fills whose times are kept. Behind so many a further one's frames share the newest's time. */
#define WEIR_BACKLOG_FILLS 1024

struct rte_mbuf;

struct weir_backlog_stamp {
    int64_t ms;   /* wall clock */
    uint64_t tsc;
};

struct weir_backlog_fill {
    uint32_t tail; /* the frames below it, as far as no earlier fill has them */
    struct weir_backlog_stamp stamp;
};

struct weir_backlog {
    uint16_t ethdev;
    uint16_t queue;
    uint32_t limit;
    uint32_t head, tail; /* count up; the place is modulo WEIR_BACKLOG_MAX */
    uint32_t fill_head, fill_tail; /* the same, modulo WEIR_BACKLOG_FILLS */
    struct weir_backlog_fill fills[WEIR_BACKLOG_FILLS]; /* those with frames left */
    struct rte_mbuf *mbufs[WEIR_BACKLOG_MAX];
};

/* limit: frames held at most, WEIR_BACKLOG_TAKE or more. The struct is zeroed. */
void weir_backlog_init(struct weir_backlog *backlog, uint16_t ethdev, uint16_t queue,
    uint32_t limit);
/* Empties the device's queue into the backlog, as far as that has room. */
void weir_backlog_fill(struct weir_backlog *backlog);
/* Hands out the oldest frames, at most want, which are the caller's then, with the time at which
 * each was taken off the device. Returns how many. */
uint16_t weir_backlog_pop(struct weir_backlog *backlog, struct rte_mbuf **out,
    struct weir_backlog_stamp *stamps, uint16_t want);
struct weir_backlog_stamp weir_backlog_stamp_now(void);

#endif
