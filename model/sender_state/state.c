#include "model/sender_state/state.h"

static enum weir_err
damaged(size_t at)
{
    return weir_fail(WEIR_CORRUPT, 0, "state entry at %zu does not check out", at);
}

enum weir_err
weir_state_next(const uint8_t *list, size_t size, size_t *at, const struct weir_state_entry **out)
{
    if (*at == size)
        return WEIR_END;
    if (size - *at < sizeof(struct weir_state_entry))
        return damaged(*at);
    const struct weir_state_entry *entry = (const struct weir_state_entry *)(list + *at);
    if (entry->bytes < sizeof *entry || entry->bytes % 8 != 0 || entry->bytes > size - *at)
        return damaged(*at);
    if (entry->type == WEIR_STATE_SEQUENCE && entry->bytes != sizeof *entry &&
        entry->bytes != WEIR_STATE_ENTRY_BYTES_MAX)
        return damaged(*at);
    if (entry->type == WEIR_STATE_TEMPLATE &&
        entry->bytes < sizeof *entry + sizeof(struct weir_state_template))
        return damaged(*at);
    if (entry->type == WEIR_STATE_FORGOTTEN && entry->bytes != sizeof *entry)
        return damaged(*at);
    if (entry->type < WEIR_STATE_SEQUENCE || entry->type > WEIR_STATE_FORGOTTEN)
        return weir_fail(
            WEIR_UNSUPPORTED, 0, "state entry of type %u is a later program's", entry->type);
    *at += entry->bytes;
    *out = entry;
    return WEIR_OK;
}

enum weir_err
weir_state_check(const uint8_t *list, size_t size)
{
    const struct weir_state_entry *entry;
    size_t at = 0;
    enum weir_err err;
    while ((err = weir_state_next(list, size, &at, &entry)) == WEIR_OK)
        continue;
    return err == WEIR_UNSUPPORTED ? err : WEIR_OK;
}
