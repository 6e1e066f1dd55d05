/* The buddy system (Knowlton, CACM 8(10), 1965). Free blocks are in a list for each order; the
 * first unit's state says whether a block begins there, of which order, and whether it is free:
 * that is how a block that is given back finds out whether its buddy is free too. */
#include "dataplane/protocol/weir/channels/template_blocks.h"

#include "base/assert.h"

#define STATE_FREE 0x40u
#define STATE_TAKEN 0x80u
#define STATE_ORDER 0x3fu

/* In the first bytes of a free block. */
struct links {
    uint32_t next, previous; /* blocks; 0 none */
};

size_t
weir_blocks_footprint(uint64_t arena_bytes)
{
    uint64_t units = arena_bytes / WEIR_BLOCK_UNIT;
    return (size_t)(units * WEIR_BLOCK_UNIT + ((units + 63) & ~UINT64_C(63)));
}

void
weir_blocks_init(struct weir_blocks *blocks, void *memory, uint64_t arena_bytes)
{
    uint64_t units = arena_bytes / WEIR_BLOCK_UNIT;
    *blocks = (struct weir_blocks){.arena = memory,
        .states = (uint8_t *)memory + units * WEIR_BLOCK_UNIT,
        .units = units < UINT32_MAX ? (uint32_t)units : UINT32_MAX};
}

static struct links *
links_of(const struct weir_blocks *blocks, uint32_t block)
{
    return weir_block_at(blocks, block);
}

static void
put_free(struct weir_blocks *blocks, uint32_t block, unsigned order)
{
    uint32_t next = blocks->free[order];
    *links_of(blocks, block) = (struct links){.next = next};
    if (next != 0)
        links_of(blocks, next)->previous = block;
    blocks->free[order] = block;
    blocks->states[block - 1] = (uint8_t)(STATE_FREE | order);
}

static void
remove_free(struct weir_blocks *blocks, uint32_t block, unsigned order)
{
    const struct links links = *links_of(blocks, block);
    if (links.next != 0)
        links_of(blocks, links.next)->previous = links.previous;
    if (links.previous != 0)
        links_of(blocks, links.previous)->next = links.next;
    else
        blocks->free[order] = links.next;
    blocks->states[block - 1] = 0;
}

/* Makes a free block after all blocks: the largest that begins there and fits. */
static unsigned
carve(struct weir_blocks *blocks)
{
    unsigned order = WEIR_BLOCK_ORDER_MAX;
    while (blocks->carved % (UINT32_C(1) << order) != 0 ||
           blocks->units - blocks->carved < UINT32_C(1) << order)
        order--;
    put_free(blocks, blocks->carved + 1, order);
    blocks->carved += UINT32_C(1) << order;
    return order;
}

uint32_t
weir_block_allocate(struct weir_blocks *blocks, unsigned order)
{
    unsigned from = order;
    while (from <= WEIR_BLOCK_ORDER_MAX && blocks->free[from] == 0)
        from++;
    while (from > WEIR_BLOCK_ORDER_MAX) {
        if (blocks->carved == blocks->units)
            return 0;
        unsigned carved = carve(blocks);
        from = carved >= order ? carved : from;
    }
    uint32_t block = blocks->free[from];
    remove_free(blocks, block, from);
    while (from > order) {
        from--;
        put_free(blocks, block + (UINT32_C(1) << from), from);
    }
    blocks->states[block - 1] = (uint8_t)(STATE_TAKEN | order);
    blocks->used += UINT32_C(1) << order;
    return block;
}

unsigned
weir_block_order(const struct weir_blocks *blocks, uint32_t block)
{
    WEIR_ASSERT((blocks->states[block - 1] & STATE_TAKEN) != 0);
    return blocks->states[block - 1] & STATE_ORDER;
}

void
weir_block_free(struct weir_blocks *blocks, uint32_t block)
{
    unsigned order = weir_block_order(blocks, block);
    uint32_t unit = block - 1;
    blocks->used -= UINT32_C(1) << order;
    blocks->states[unit] = 0;
    for (; order < WEIR_BLOCK_ORDER_MAX; order++) {
        uint32_t buddy = unit ^ UINT32_C(1) << order;
        if (buddy >= blocks->carved || blocks->states[buddy] != (STATE_FREE | order))
            break;
        remove_free(blocks, buddy + 1, order);
        unit &= ~(UINT32_C(1) << order);
    }
    put_free(blocks, unit + 1, order);
}
