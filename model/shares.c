#include "model/shares.h"

#include "base/assert.h"

/* Shares are in an array, chained by the keyed hash of their owner:
 *
 *   heads[hash] -> share -> share -> 0        free list: share -> share -> 0
 *
 * Share 0 is nobody, share 1 that of all owners who found no place of their own. */
#define REST 1u
#define FIRST 2u

struct share {
    struct weir_owner owner;
    uint64_t weight;
    uint32_t next; /* of its chain, or of the free list */
};

struct weir_shares {
    const struct weir_hash_key *key;
    uint64_t capacity;
    uint64_t used;
    uint32_t heads_mask;
    uint32_t shares_end; /* places in `list` */
    uint32_t fresh;      /* the first place that was never used */
    uint32_t free_first; /* of those that were */
    uint32_t *heads;
    struct share *list;
};

static uint32_t
heads_for(uint32_t owners_max)
{
    uint32_t heads = 16;
    while (heads < owners_max && heads < UINT32_C(1) << 31)
        heads *= 2;
    return heads;
}

static size_t
align(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

size_t
weir_shares_footprint(uint32_t owners_max)
{
    return align(sizeof(struct weir_shares)) + align(heads_for(owners_max) * sizeof(uint32_t)) +
        align(((size_t)owners_max + FIRST) * sizeof(struct share));
}

struct weir_shares *
weir_shares_init(void *memory, uint64_t capacity, uint32_t owners_max,
    const struct weir_hash_key *key)
{
    struct weir_shares *shares = memory;
    uint32_t heads = heads_for(owners_max);
    WEIR_ASSERT(owners_max <= UINT32_MAX - FIRST);
    shares->key = key;
    shares->capacity = capacity;
    shares->heads_mask = heads - 1;
    shares->shares_end = owners_max + FIRST;
    shares->fresh = FIRST;
    shares->heads = (uint32_t *)((uint8_t *)memory + align(sizeof *shares));
    shares->list = (struct share *)((uint8_t *)shares->heads + align(heads * sizeof(uint32_t)));
    return shares;
}

struct weir_owner
weir_owner_source(const struct weir_peer *peer)
{
    struct weir_owner owner = {.kind = 1};
    memcpy(&owner.high, peer->address, sizeof owner.high);
    if (weir_peer_is_ipv4(peer))
        memcpy(&owner.low, peer->address + sizeof owner.high, sizeof owner.low);
    return owner;
}

struct weir_owner
weir_owner_sender(uint64_t sender)
{
    return (struct weir_owner){.low = sender, .kind = 2};
}

/* Keyed, because senders choose their ids and some of them their addresses. */
static uint32_t *
head_of(const struct weir_shares *shares, const struct weir_owner *owner)
{
    uint64_t hash = weir_hash_part(shares->key, 0, owner, sizeof *owner).lo;
    return &shares->heads[hash & shares->heads_mask];
}

static bool
same(const struct weir_owner *a, const struct weir_owner *b)
{
    return a->low == b->low && a->high == b->high && a->kind == b->kind;
}

/* The owner's share, or WEIR_SHARE_NOBODY where it has none of its own. */
static uint32_t
find(const struct weir_shares *shares, const struct weir_owner *owner)
{
    uint32_t at = *head_of(shares, owner);
    while (at != 0 && !same(&shares->list[at].owner, owner))
        at = shares->list[at].next;
    return at;
}

static bool
place_left(const struct weir_shares *shares)
{
    return shares->free_first != 0 || shares->fresh < shares->shares_end;
}

/* The weight that counts against the owner's bound. */
static uint64_t
weight_of(const struct weir_shares *shares, const struct weir_owner *owner)
{
    uint32_t share = find(shares, owner);
    if (share == WEIR_SHARE_NOBODY && !place_left(shares))
        share = REST;
    return share == WEIR_SHARE_NOBODY ? 0 : shares->list[share].weight;
}

bool
weir_shares_allow(const struct weir_shares *shares, const struct weir_owner *owner,
    uint64_t weight)
{
    if (owner == NULL || shares->used <= shares->capacity / 2)
        return true;
    uint64_t most = shares->capacity / WEIR_SHARE_PART;
    if (most == 0)
        most = 1;
    return weight <= most && weight_of(shares, owner) <= most - weight;
}

static uint32_t
share_new(struct weir_shares *shares, const struct weir_owner *owner)
{
    uint32_t at = shares->free_first;
    if (!place_left(shares))
        return REST;
    if (at != 0)
        shares->free_first = shares->list[at].next;
    else
        at = shares->fresh++;
    uint32_t *head = head_of(shares, owner);
    shares->list[at] = (struct share){.owner = *owner, .next = *head};
    *head = at;
    return at;
}

uint32_t
weir_shares_add(struct weir_shares *shares, const struct weir_owner *owner, uint64_t weight)
{
    shares->used += weight;
    if (owner == NULL || weight == 0)
        return WEIR_SHARE_NOBODY;
    uint32_t share = find(shares, owner);
    if (share == WEIR_SHARE_NOBODY)
        share = share_new(shares, owner);
    shares->list[share].weight += weight;
    return share;
}

/* Unchains the share of an owner that holds nothing any more. */
static void
share_free(struct weir_shares *shares, uint32_t share)
{
    uint32_t *at = head_of(shares, &shares->list[share].owner);
    while (*at != share)
        at = &shares->list[*at].next;
    *at = shares->list[share].next;
    shares->list[share].next = shares->free_first;
    shares->free_first = share;
}

void
weir_shares_remove(struct weir_shares *shares, uint32_t share, uint64_t weight)
{
    WEIR_ASSERT(weight <= shares->used && share < shares->fresh);
    shares->used -= weight;
    if (share == WEIR_SHARE_NOBODY)
        return;
    WEIR_ASSERT(weight <= shares->list[share].weight);
    shares->list[share].weight -= weight;
    if (share != REST && shares->list[share].weight == 0)
        share_free(shares, share);
}

uint64_t
weir_shares_used(const struct weir_shares *shares)
{
    return shares->used;
}

uint64_t
weir_shares_held(const struct weir_shares *shares, const struct weir_owner *owner)
{
    return weight_of(shares, owner);
}
