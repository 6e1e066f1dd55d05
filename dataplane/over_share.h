/* over_share: what is reported of senders that were refused because they hold their share of a
 * table (base/shares.h).
 *
 * One event when it begins, one a minute while it lasts, one when nobody was refused for a minute:
 *
 *   event=over_share table=series who=192.0.2.7
 *   event=over_share_lasts table=series who=192.0.2.7 refused=7000 since_s=60
 *   event=over_share_ended table=series refused=7100 lasted_s=75
 *
 * Threads: its owner's
 * Memory:  the struct, zeroed but for the table's name
 */
#ifndef WEIR_DATAPLANE_OVER_SHARE_H
#define WEIR_DATAPLANE_OVER_SHARE_H

#include "base/peer.h"
#include "base/spell.h"

struct weir_over_share {
    const char *table;
    struct weir_spell spell;
};

/* A sender was refused: a source, or where that is NULL the id of a sender. */
void weir_over_share_met(struct weir_over_share *over, const struct weir_peer *source,
    uint64_t sender, int64_t now_ns);
/* Time passes. */
void weir_over_share_look(struct weir_over_share *over, int64_t now_ns);

#endif
