/* senders_internal: what senders.c and templates.c share.
 *
 * Template blocks are 64 << order bytes. A free block's first word is the next one of its list.
 *
 *   | head | channels, open addressing | arena of blocks, from block 1 |
 */
#ifndef WEIR_DATAPLANE_SENDERS_INTERNAL_H
#define WEIR_DATAPLANE_SENDERS_INTERNAL_H

#include "dataplane/senders.h"

#define WEIR_TEMPLATE_UNIT 64u
/* Largest order: 256 KiB hold the numbers of WEIR_WIRE_TEMPLATE_SERIES_MAX series. */
#define WEIR_TEMPLATE_ORDERS 12

/* Orders channels by what they lost. */
struct weir_loss {
    uint64_t gaps;
    uint64_t duplicates;
    uint64_t reorderings;
};

struct weir_senders {
    const struct weir_hash_key *key;
    struct weir_channel *channels;
    uint8_t *arena;
    uint64_t units;
    uint64_t units_used;
    uint32_t slots;
    uint32_t channels_max;
    uint32_t channel_count;
    uint32_t dirty_count;
    uint32_t free[WEIR_TEMPLATE_ORDERS + 1]; /* first free block by order; 0 none */
    uint32_t dirty[WEIR_SENDERS_DIRTY_MAX];
    uint32_t now_s;
    struct weir_senders_view *view;
    uint32_t worst_count;
    uint32_t worst[WEIR_SENDERS_ROWS]; /* slots of the channels with most gaps, then duplicates */
    struct weir_loss worst_least;      /* no channel in worst has less; 0 while there is room */
};
#define WEIR_SENDERS_HEAD (64u << 10)
_Static_assert(sizeof(struct weir_senders) <= WEIR_SENDERS_HEAD, "the head fits");

/* Enters a channel among the worst where it belongs there. */
void weir_worst_note(struct weir_senders *senders, struct weir_channel *channel);
/* Frees all templates of a channel. */
void weir_templates_drop(struct weir_senders *senders, struct weir_channel *channel);
/* Writes the changed templates into the batch; false where one found no room. */
bool weir_templates_mark(struct weir_senders *senders, struct weir_channel *channel,
    struct weir_batch *batch);
void weir_template_restore(struct weir_senders *senders, struct weir_channel *channel,
    const struct weir_mark *mark, uint64_t series_count);

#endif
