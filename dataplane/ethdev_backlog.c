#include "dataplane/ethdev_backlog.h"

#include <rte_ethdev.h>

void
weir_backlog_init(struct weir_backlog *backlog, uint16_t ethdev, uint16_t queue, uint32_t limit)
{
    backlog->ethdev = ethdev;
    backlog->queue = queue;
    backlog->limit = limit < WEIR_BACKLOG_MAX ? limit : WEIR_BACKLOG_MAX;
}

void
weir_backlog_fill(struct weir_backlog *backlog)
{
    uint16_t got, fits;
    do {
        uint32_t held = backlog->tail - backlog->head;
        uint32_t at = backlog->tail % WEIR_BACKLOG_MAX;
        if (held + WEIR_BACKLOG_TAKE > backlog->limit)
            return;
        /* what fits before the end; the next round begins in front */
        fits = (uint16_t)(WEIR_BACKLOG_MAX - at < WEIR_BACKLOG_TAKE ? WEIR_BACKLOG_MAX - at
                                                                    : WEIR_BACKLOG_TAKE);
        got = rte_eth_rx_burst(backlog->ethdev, backlog->queue, backlog->mbufs + at, fits);
        backlog->tail += got;
    } while (got == fits);
}

uint16_t
weir_backlog_take(struct weir_backlog *backlog, struct rte_mbuf **out, uint16_t want)
{
    uint16_t count = 0;
    for (; count < want && backlog->head != backlog->tail; count++)
        out[count] = backlog->mbufs[backlog->head++ % WEIR_BACKLOG_MAX];
    return count;
}
