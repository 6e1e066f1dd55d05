#include "storage/read/aliases.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 1024

void
weir_aliases_fini(struct weir_aliases *aliases)
{
    free(aliases->slots);
    free(aliases->list);
    *aliases = (struct weir_aliases){0};
}

static enum weir_err
slots_grow(struct weir_aliases *aliases)
{
    uint64_t count = aliases->slot_count == 0 ? SLOTS_FIRST : aliases->slot_count * 2;
    uint64_t *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return weir_fail(WEIR_NOMEM, 0, "table of %llu label sets", (unsigned long long)count);
    for (uint64_t i = 0; i < aliases->slot_count; i++) {
        if (aliases->slots[i] == 0)
            continue;
        uint64_t at = (aliases->slots[i] >> 32) & (count - 1);
        while (slots[at] != 0)
            at = (at + 1) & (count - 1);
        slots[at] = aliases->slots[i];
    }
    free(aliases->slots);
    aliases->slots = slots;
    aliases->slot_count = count;
    return WEIR_OK;
}

enum weir_err
weir_aliases_reserve(struct weir_aliases *aliases)
{
    if (aliases->count == aliases->capacity) {
        size_t capacity = aliases->capacity == 0 ? 16 : aliases->capacity * 2;
        struct weir_alias *grown = realloc(aliases->list, capacity * sizeof *grown);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "list of %zu aliases", capacity);
        aliases->list = grown;
        aliases->capacity = capacity;
    }
    return (aliases->used + 1) * 4 > aliases->slot_count * 3 ? slots_grow(aliases) : WEIR_OK;
}

static bool
same_labels(const uint8_t *a, const uint8_t *b)
{
    uint16_t size;
    memcpy(&size, a, sizeof size);
    return memcmp(a, b, sizeof size + size) == 0; /* the sizes are compared first */
}

void
weir_aliases_add(struct weir_aliases *aliases, uint8_t *const *definitions, uint32_t number,
    uint32_t hash)
{
    uint64_t at = hash & (aliases->slot_count - 1);
    for (; aliases->slots[at] != 0; at = (at + 1) & (aliases->slot_count - 1)) {
        uint32_t there = (uint32_t)aliases->slots[at] - 1;
        if (aliases->slots[at] >> 32 == hash &&
            same_labels(definitions[there], definitions[number])) {
            aliases->list[aliases->count++] = (struct weir_alias){number, there};
            return;
        }
    }
    aliases->slots[at] = (uint64_t)hash << 32 | (number + UINT64_C(1));
    aliases->used++;
}

bool
weir_aliases_is_later(const struct weir_aliases *aliases, uint64_t number)
{
    size_t low = 0;
    for (size_t count = aliases->count; count > 0;) {
        size_t half = count / 2;
        if (aliases->list[low + half].number < number) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low < aliases->count && aliases->list[low].number == number;
}
