#include "config/live.h"

#include <string.h>

void
weir_live_set(struct weir_live *live, const struct weir_config *config)
{
    uint32_t next = atomic_load_explicit(&live->generation, memory_order_relaxed) + 1;
    atomic_store_explicit(&live->generation, next, memory_order_relaxed);
    /* release: who sees a byte of what follows sees the odd number too; pairs with the acquire
     * fence in weir_live_get */
    atomic_thread_fence(memory_order_release);
    memcpy(&live->config, config, sizeof live->config);
    /* release pairs with the acquire in weir_live_get */
    atomic_store_explicit(&live->generation, next + 1, memory_order_release);
}

bool
weir_live_get(const struct weir_live *live, uint32_t *seen, struct weir_config *out)
{
    /* acquire pairs with the last release in weir_live_set */
    uint32_t now = atomic_load_explicit(&live->generation, memory_order_acquire);
    if (now == *seen || now % 2 != 0)
        return false;
    memcpy(out, &live->config, sizeof *out);
    /* pairs with the release fence in weir_live_set */
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&live->generation, memory_order_relaxed) != now)
        return false;
    *seen = now;
    return true;
}
