/* shares: how much of a bounded table each owner holds, and whether it may hold more.
 *
 * One rule for connections, channels, templates and new series:
 *
 *   at most half of the table used     everybody may add
 *   more than half of it used          an owner may hold WEIR_SHARE_PART of the table: an eighth
 *
 * An owner is a source address (of IPv6 its /64, which one machine may have whole) or a sender id
 * of the weir protocol. Entries of trusted sources (`ingest.trusted_sources`), and those without a
 * sender, are counted to nobody: they use the table and have no bound.
 *
 * The caller keeps the share of an entry, and gives it back with the same weight. An owner without
 * weight is forgotten. Owners beyond owners_max hold one
 * share together.
 *
 * Threads: one, or as the caller orders them
 * Memory:  weir_shares_footprint() bytes from the caller, zeroed; pages come when used; none after
 * Limits:  owners_max owners
 */
#ifndef WEIR_MODEL_SHARES_H
#define WEIR_MODEL_SHARES_H

#include "base/hash.h"
#include "model/peer.h"

#define WEIR_SHARE_PART 8

/* Of an entry that no owner is counted for. */
#define WEIR_SHARE_NOBODY 0u

/* Equal where the owner is the same one. */
struct weir_owner {
    uint64_t high, low;
    uint64_t kind;
};
_Static_assert(sizeof(struct weir_owner) == 24, "hashed as bytes");

/* The peer exists. */
struct weir_owner weir_owner_source(const struct weir_peer *peer);
struct weir_owner weir_owner_sender(uint64_t sender);

struct weir_shares;

size_t weir_shares_footprint(uint32_t owners_max);
/* capacity: weight that the table holds. The key is borrowed. */
struct weir_shares *weir_shares_init(void *memory, uint64_t capacity, uint32_t owners_max,
    const struct weir_hash_key *key);

/* True where the owner may add this weight now; owner NULL is nobody, who always may. */
bool weir_shares_allow(const struct weir_shares *shares, const struct weir_owner *owner,
    uint64_t weight);
/* Counts weight for the owner, allowed or not, and returns its share. owner NULL: only the table's
 * use grows, and the share is WEIR_SHARE_NOBODY. */
uint32_t weir_shares_add(struct weir_shares *shares, const struct weir_owner *owner,
    uint64_t weight);
/* Gives back what was added with this share. */
void weir_shares_remove(struct weir_shares *shares, uint32_t share, uint64_t weight);

/* Weight of all, and of one owner. */
uint64_t weir_shares_used(const struct weir_shares *shares);
uint64_t weir_shares_held(const struct weir_shares *shares, const struct weir_owner *owner);

#endif
