#include "config/live.h"

#include "base/seqlock.h"

#define WORDS (sizeof(struct weir_config) / 8)

void
weir_live_set(struct weir_live *live, const struct weir_config *config)
{
    weir_seqlock_write(&live->sequence, live->words, (const uint64_t *)config, WORDS);
}

bool
weir_live_get(const struct weir_live *live, uint64_t *seen, struct weir_config *out)
{
    return weir_seqlock_has_moved(&live->sequence, *seen) &&
        weir_seqlock_read(&live->sequence, live->words, (uint64_t *)out, WORDS, seen);
}
