#include "storage/index/interner.h"

#include <stdlib.h>
#include <string.h>

struct weir_interned {
    uint64_t hash;
    size_t at; /* in bytes */
    size_t size;
};

void
weir_interner_init(struct weir_interner *interner, const struct weir_hash_key *key)
{
    *interner = (struct weir_interner){.key = key};
}

void
weir_interner_fini(struct weir_interner *interner)
{
    free(interner->entries);
    free(interner->slots);
    free(interner->bytes);
}

/* Room for one more string of this size. */
static enum weir_err
reserve(struct weir_interner *interner, size_t size)
{
    if (interner->count == INT32_MAX)
        return weir_fail(WEIR_LIMIT, 0, "too many distinct strings");
    if (interner->bytes_capacity - interner->bytes_used < size) {
        size_t capacity = (interner->bytes_used + size) * 2;
        uint8_t *grown = realloc(interner->bytes, capacity);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "distinct strings");
        interner->bytes = grown;
        interner->bytes_capacity = capacity;
    }
    if (interner->count == interner->capacity) {
        uint32_t capacity = interner->capacity * 2 + 64;
        struct weir_interned *grown = realloc(interner->entries, capacity * sizeof *grown);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "distinct strings");
        interner->entries = grown;
        interner->capacity = capacity;
    }
    if ((interner->count + 1) * UINT64_C(2) <= interner->slot_count)
        return WEIR_OK;
    uint32_t slot_count = interner->slot_count == 0 ? 256 : interner->slot_count * 2;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL)
        return weir_fail(WEIR_NOMEM, 0, "distinct strings");
    for (uint32_t i = 0; i < interner->count; i++) {
        uint32_t at = (uint32_t)interner->entries[i].hash & (slot_count - 1);
        while (slots[at] != 0)
            at = (at + 1) & (slot_count - 1);
        slots[at] = i + 1;
    }
    free(interner->slots);
    interner->slots = slots;
    interner->slot_count = slot_count;
    return WEIR_OK;
}

enum weir_err
weir_interner_add(struct weir_interner *interner, const void *text, size_t size, uint32_t *number)
{
    enum weir_err err = reserve(interner, size);
    if (err != WEIR_OK)
        return err;
    uint64_t hash = weir_hash_part(interner->key, 0, text, size).lo;
    uint32_t at = (uint32_t)hash & (interner->slot_count - 1);
    for (; interner->slots[at] != 0; at = (at + 1) & (interner->slot_count - 1)) {
        const struct weir_interned *entry = &interner->entries[interner->slots[at] - 1];
        if (entry->hash == hash && entry->size == size &&
            (size == 0 || memcmp(interner->bytes + entry->at, text, size) == 0)) {
            *number = interner->slots[at];
            return WEIR_OK;
        }
    }
    interner->entries[interner->count++] =
        (struct weir_interned){hash, interner->bytes_used, size};
    if (size != 0)
        memcpy(interner->bytes + interner->bytes_used, text, size);
    interner->bytes_used += size;
    interner->slots[at] = interner->count;
    *number = interner->count;
    return WEIR_OK;
}
