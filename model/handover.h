/* handover: a stage gives an item to the next one; the ledger shows it in one place at any time.
 *
 * Edge, block, ring, in this order (model/ledger.h): the item's counts are on the edge before the
 * stage's block no longer holds them, and both are before the next stage can have it.
 *
 * Threads: the stage's
 */
#ifndef WEIR_MODEL_HANDOVER_H
#define WEIR_MODEL_HANDOVER_H

#include "base/ring.h"
#include "model/ledger.h"

struct weir_handover {
    struct weir_ledger *ledger;
    uint32_t block;             /* of the stage */
    uint32_t edge;              /* to the next one */
    struct weir_counts *counts; /* of the stage, which no longer hold the item */
    struct weir_ring *ring;     /* has room for every item there is */
};

/* count: packets, records and samples of the item, by enum weir_unit. */
void weir_handover(const struct weir_handover *to, void *item, uint64_t number,
    const uint64_t count[WEIR_UNIT_COUNT]);

#endif
