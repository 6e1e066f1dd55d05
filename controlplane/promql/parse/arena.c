#include "controlplane/promql/parse/arena.h"

#include <stdlib.h>
#include <string.h>

/* Objects begin at multiples of this; the pointer at the head of a block takes as much. */
#define ALIGNMENT 16

void
weir_promql_arena_init(struct weir_promql_arena *arena, size_t limit)
{
    *arena = (struct weir_promql_arena){.limit = limit};
}

void
weir_promql_arena_fini(struct weir_promql_arena *arena)
{
    while (arena->blocks != NULL) {
        void *next = *(void **)arena->blocks;
        free(arena->blocks);
        arena->blocks = next;
    }
    *arena = (struct weir_promql_arena){.limit = arena->limit, .over = arena->over};
}

static void *
add_block(struct weir_promql_arena *arena, size_t size)
{
    size_t want = size + ALIGNMENT;
    if (want < WEIR_PROMQL_BLOCK_SIZE)
        want = WEIR_PROMQL_BLOCK_SIZE;
    if (want < size || want > arena->limit - arena->taken) {
        arena->over = true;
        return NULL;
    }
    void *block = malloc(want);
    if (block == NULL)
        return NULL;
    *(void **)block = arena->blocks;
    arena->blocks = block;
    arena->taken += want;
    arena->room = want;
    arena->used = ALIGNMENT;
    return block;
}

void *
weir_promql_arena_alloc(struct weir_promql_arena *arena, size_t size)
{
    if (size > arena->limit) {
        arena->over = true;
        return NULL;
    }
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (size > arena->room - arena->used && add_block(arena, size) == NULL)
        return NULL;
    void *out = (char *)arena->blocks + arena->used;
    arena->used += size;
    return memset(out, 0, size);
}
