#include "storage/read/twins.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 1024

void
weir_twins_fini(struct weir_twins *twins)
{
    free(twins->slots);
    free(twins->twins);
    *twins = (struct weir_twins){0};
}

static enum weir_err
slots_grow(struct weir_twins *twins)
{
    uint64_t count = twins->slot_count == 0 ? SLOTS_FIRST : twins->slot_count * 2;
    uint64_t *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return weir_fail(WEIR_NOMEM, 0, "table of %llu label sets", (unsigned long long)count);
    for (uint64_t i = 0; i < twins->slot_count; i++) {
        if (twins->slots[i] == 0)
            continue;
        uint64_t at = (twins->slots[i] >> 32) & (count - 1);
        while (slots[at] != 0)
            at = (at + 1) & (count - 1);
        slots[at] = twins->slots[i];
    }
    free(twins->slots);
    twins->slots = slots;
    twins->slot_count = count;
    return WEIR_OK;
}

enum weir_err
weir_twins_reserve(struct weir_twins *twins)
{
    if (twins->count == twins->capacity) {
        size_t capacity = twins->capacity == 0 ? 16 : twins->capacity * 2;
        struct weir_twin *grown = realloc(twins->twins, capacity * sizeof *grown);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "list of %zu twins", capacity);
        twins->twins = grown;
        twins->capacity = capacity;
    }
    return (twins->used + 1) * 4 > twins->slot_count * 3 ? slots_grow(twins) : WEIR_OK;
}

static bool
same_labels(const uint8_t *a, const uint8_t *b)
{
    uint16_t size;
    memcpy(&size, a, sizeof size);
    return memcmp(a, b, sizeof size + size) == 0; /* the sizes are compared first */
}

void
weir_twins_add(struct weir_twins *twins, uint8_t *const *definitions, uint32_t number,
    uint32_t hash)
{
    uint64_t at = hash & (twins->slot_count - 1);
    for (; twins->slots[at] != 0; at = (at + 1) & (twins->slot_count - 1)) {
        uint32_t there = (uint32_t)twins->slots[at] - 1;
        if (twins->slots[at] >> 32 == hash &&
            same_labels(definitions[there], definitions[number])) {
            twins->twins[twins->count++] = (struct weir_twin){number, there};
            return;
        }
    }
    twins->slots[at] = (uint64_t)hash << 32 | (number + UINT64_C(1));
    twins->used++;
}

bool
weir_twins_is_later(const struct weir_twins *twins, uint64_t number)
{
    size_t low = 0;
    for (size_t count = twins->count; count > 0;) {
        size_t half = count / 2;
        if (twins->twins[low + half].number < number) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low < twins->count && twins->twins[low].number == number;
}
