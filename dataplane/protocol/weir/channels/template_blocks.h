/* template_blocks: memory for templates, in blocks of powers of two that split and merge.
 *
 *   | free, 4 units          | taken, 2    | free, 1 | taken, 1 |     a unit is 64 bytes
 *
 * A block of order n has 64 << n bytes and begins at a multiple of its size. If a larger one is
 * split, the two halves are buddies; when both are free again they become one. So memory that was
 * given back serves blocks of every size, whatever was asked for before.
 *
 * Threads: one
 * Memory:  the arena and a byte for each unit, from the caller, zeroed; pages come when used
 * Limits:  WEIR_BLOCK_ORDER_MAX
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_CHANNELS_TEMPLATE_BLOCKS_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_CHANNELS_TEMPLATE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define WEIR_BLOCK_UNIT 64u
#define WEIR_BLOCK_ORDER_MAX 11 /* 128 KiB */

struct weir_blocks {
    uint8_t *arena;
    uint8_t *states;   /* of each unit: what begins there */
    uint32_t units;
    uint32_t carved;   /* units that have been part of a block so far */
    uint32_t used;     /* units of blocks that are taken */
    uint32_t free[WEIR_BLOCK_ORDER_MAX + 1]; /* first free block by order; 0 none */
};

/* Bytes for an arena of so many bytes, with its states. */
size_t weir_blocks_footprint(uint64_t arena_bytes);
void weir_blocks_init(struct weir_blocks *blocks, void *memory, uint64_t arena_bytes);

/* A block of this order, or 0 where there is none. Its content means nothing. Block n begins at
 * unit n - 1. Given back by weir_block_free. */
uint32_t weir_block_allocate(struct weir_blocks *blocks, unsigned order);
void weir_block_free(struct weir_blocks *blocks, uint32_t block);
/* Of a block that is taken. */
unsigned weir_block_order(const struct weir_blocks *blocks, uint32_t block);

static inline void *
weir_block_at(const struct weir_blocks *blocks, uint32_t block)
{
    return blocks->arena + (uint64_t)(block - 1) * WEIR_BLOCK_UNIT;
}

#endif
