/* refusals: what is reported of senders that are refused for want of room, or because they hold
 * their share of a table (model/shares.h).
 *
 * One event when it begins, one a minute while it lasts, one when nobody was refused for a minute:
 *
 *   event=over_share table=series who=192.0.2.7
 *   event=over_share_lasts table=series listener=- who=192.0.2.7 refused=7000 since_s=60
 *   event=over_share_ended table=series listener=- refused=7100 lasted_s=75
 *
 * who is the one that was refused last. If the table is a listener's, the event names it too.
 *
 * Threads: its owner's
 * Memory:  the struct, zeroed but for its names
 */
#ifndef WEIR_DATAPLANE_PORT_REFUSALS_H
#define WEIR_DATAPLANE_PORT_REFUSALS_H

#include "base/condition.h"
#include "model/peer.h"

struct weir_refusals {
    const char *event;    /* at most 40 bytes */
    const char *table;
    const char *listener; /* NULL: it is nobody's */
    struct weir_condition condition;
};

/* A sender was refused: a source, or where that is NULL the id of a sender. */
void weir_refusals_met(struct weir_refusals *refusals, const struct weir_peer *source,
    uint64_t sender, int64_t now_ns);
/* Time passes. */
void weir_refusals_look(struct weir_refusals *refusals, int64_t now_ns);

#endif
