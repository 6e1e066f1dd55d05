/* arena: memory of one query, taken in blocks, bounded, given back at once.
 *
 * Threads: one at a time
 * Memory:  blocks of at least WEIR_PROMQL_BLOCK_SIZE from malloc, at most `limit` bytes in all
 * Errors:  NULL beyond the limit, and where malloc fails
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_ARENA_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#define WEIR_PROMQL_BLOCK_SIZE 65536

struct weir_promql_arena {
    void *blocks;  /* newest first; each begins with a pointer to the next */
    size_t used;   /* bytes given out of the newest block */
    size_t room;   /* bytes it has */
    size_t taken;  /* bytes of all blocks */
    size_t limit;
    bool over;     /* the limit has refused something */
};

void weir_promql_arena_init(struct weir_promql_arena *arena, size_t limit);
void weir_promql_arena_fini(struct weir_promql_arena *arena);
/* size bytes, zeroed, aligned for any object; they live until fini. */
void *weir_promql_arena_alloc(struct weir_promql_arena *arena, size_t size);

#endif
