#include "model/handover.h"

#include "base/assert.h"

void
weir_handover(const struct weir_handover *to, void *item, uint64_t number,
    const uint64_t count[WEIR_UNIT_COUNT])
{
    weir_edge_put(&to->ledger->edges[to->edge], number, count[WEIR_UNIT_PACKETS],
        count[WEIR_UNIT_RECORDS], count[WEIR_UNIT_SAMPLES]);
    to->counts->pushed[to->edge] = number;
    weir_ledger_publish(&to->ledger->blocks[to->block], to->counts);
    bool pushed = weir_ring_push(to->ring, item);
    WEIR_ASSERT(pushed);
}
