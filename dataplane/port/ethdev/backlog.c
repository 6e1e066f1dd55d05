#include "dataplane/port/ethdev/backlog.h"

#include "base/assert.h"
#include "base/clock.h"

#include <stdbool.h>

#include <rte_ethdev.h>

void
weir_backlog_init(struct weir_backlog *backlog, uint16_t ethdev, uint16_t queue, uint32_t limit)
{
    WEIR_ASSERT(limit >= WEIR_BACKLOG_TAKE);
    backlog->ethdev = ethdev;
    backlog->queue = queue;
    backlog->limit = limit < WEIR_BACKLOG_MAX ? limit : WEIR_BACKLOG_MAX;
}

struct weir_backlog_stamp
weir_backlog_stamp_now(void)
{
    return (struct weir_backlog_stamp){.ms = weir_wall_ms(), .tsc = weir_tsc()};
}

/* One burst. False where the device is empty or the backlog full. */
static bool
fill_some(struct weir_backlog *backlog)
{
    uint32_t held = backlog->tail - backlog->head;
    uint32_t at = backlog->tail % WEIR_BACKLOG_MAX;
    if (held + WEIR_BACKLOG_TAKE > backlog->limit)
        return false;
    /* what fits before the end; the next burst begins in front */
    uint16_t fits = (uint16_t)(WEIR_BACKLOG_MAX - at < WEIR_BACKLOG_TAKE ? WEIR_BACKLOG_MAX - at
                                                                         : WEIR_BACKLOG_TAKE);
    uint16_t got = rte_eth_rx_burst(backlog->ethdev, backlog->queue, backlog->mbufs + at, fits);
    backlog->tail += got;
    return got == fits;
}

void
weir_backlog_fill(struct weir_backlog *backlog)
{
    uint32_t before = backlog->tail;
    while (fill_some(backlog))
        ;
    if (backlog->tail == before)
        return;
    bool full = backlog->fill_tail - backlog->fill_head == WEIR_BACKLOG_FILLS;
    struct weir_backlog_fill *fill =
        &backlog->fills[(backlog->fill_tail - full) % WEIR_BACKLOG_FILLS];
    if (!full) {
        fill->stamp = weir_backlog_stamp_now();
        backlog->fill_tail++;
    }
    fill->tail = backlog->tail;
}

uint16_t
weir_backlog_pop(struct weir_backlog *backlog, struct rte_mbuf **out,
    struct weir_backlog_stamp *stamps, uint16_t want)
{
    uint16_t count = 0;
    for (; count < want && backlog->head != backlog->tail; count++) {
        const struct weir_backlog_fill *fill =
            &backlog->fills[backlog->fill_head % WEIR_BACKLOG_FILLS];
        stamps[count] = fill->stamp;
        out[count] = backlog->mbufs[backlog->head++ % WEIR_BACKLOG_MAX];
        backlog->fill_head += backlog->head == fill->tail;
    }
    return count;
}
