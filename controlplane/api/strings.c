#include "controlplane/api/strings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS_FIRST 64
#define BYTES_FIRST 4096
#define SIZE_BYTES 2
#define COUNT_BYTES 4
#define HEAD_BYTES (SIZE_BYTES + COUNT_BYTES)

enum weir_err
weir_strings_init(struct weir_strings *strings, size_t bytes_max)
{
    uint8_t seed[WEIR_HASH_SEED_BYTES];
    *strings = (struct weir_strings){.bytes_max = bytes_max};
    if (getentropy(seed, sizeof seed) != 0)
        return weir_fail(WEIR_IO, errno, "getentropy");
    weir_hash_key_init(&strings->key, seed);
    return WEIR_OK;
}

void
weir_strings_fini(struct weir_strings *strings)
{
    free(strings->bytes);
    free(strings->slots);
    strings->bytes = NULL;
    strings->slots = NULL;
}

static struct weir_string
string_at(const struct weir_strings *strings, size_t place)
{
    uint16_t size;
    uint32_t count;
    memcpy(&size, strings->bytes + place, SIZE_BYTES);
    memcpy(&count, strings->bytes + place + SIZE_BYTES, COUNT_BYTES);
    return (struct weir_string){strings->bytes + place + HEAD_BYTES, size, count};
}

/* The slot that holds the string, or the free one where it belongs. There is always a free one. */
static uint64_t *
find_slot(const struct weir_strings *strings, const uint8_t *bytes, size_t size)
{
    size_t mask = strings->slot_count - 1;
    for (size_t i = weir_hash_part(&strings->key, 0, bytes, size).lo & mask;; i = (i + 1) & mask) {
        uint64_t *slot = &strings->slots[i];
        if (*slot == 0)
            return slot;
        struct weir_string held = string_at(strings, *slot - 1);
        if (held.size == size && memcmp(held.bytes, bytes, size) == 0)
            return slot;
    }
}

static enum weir_err
grow_slots(struct weir_strings *strings)
{
    size_t count = strings->slot_count == 0 ? SLOTS_FIRST : strings->slot_count * 2;
    uint64_t *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return weir_fail(WEIR_NOMEM, 0, "set of %zu strings", count);
    free(strings->slots);
    strings->slots = slots;
    strings->slot_count = count;
    for (size_t place = 0; place < strings->used;) {
        struct weir_string held = string_at(strings, place);
        *find_slot(strings, held.bytes, held.size) = place + 1;
        place += HEAD_BYTES + held.size;
    }
    return WEIR_OK;
}

static enum weir_err
grow_bytes(struct weir_strings *strings, size_t needed)
{
    if (needed > strings->bytes_max)
        return weir_fail(WEIR_LIMIT, 0, "the answer grew too large: choose by match[]; its size "
            "follows query.points_max");
    size_t capacity = strings->capacity == 0 ? BYTES_FIRST : strings->capacity;
    while (capacity < needed)
        capacity *= 2;
    uint8_t *bytes = realloc(strings->bytes, capacity);
    if (bytes == NULL)
        return weir_fail(WEIR_NOMEM, 0, "strings of %zu bytes", capacity);
    strings->bytes = bytes;
    strings->capacity = capacity;
    return WEIR_OK;
}

static void
count_one_more(struct weir_strings *strings, size_t place)
{
    uint32_t count = string_at(strings, place).count;
    count += count < UINT32_MAX;
    memcpy(strings->bytes + place + SIZE_BYTES, &count, COUNT_BYTES);
}

enum weir_err
weir_strings_add(struct weir_strings *strings, const uint8_t *bytes, uint16_t size)
{
    enum weir_err err = WEIR_OK;
    if (strings->count * 2 >= strings->slot_count)
        err = grow_slots(strings);
    if (err != WEIR_OK)
        return err;
    uint64_t *slot = find_slot(strings, bytes, size);
    if (*slot != 0) {
        count_one_more(strings, *slot - 1);
        return WEIR_OK;
    }
    size_t needed = strings->used + HEAD_BYTES + size;
    if (needed > strings->capacity || needed > strings->bytes_max)
        err = grow_bytes(strings, needed);
    if (err != WEIR_OK)
        return err;
    *slot = strings->used + 1;
    uint32_t once = 1;
    memcpy(strings->bytes + strings->used, &size, SIZE_BYTES);
    memcpy(strings->bytes + strings->used + SIZE_BYTES, &once, COUNT_BYTES);
    memcpy(strings->bytes + strings->used + HEAD_BYTES, bytes, size);
    strings->used = needed;
    strings->count++;
    return WEIR_OK;
}

static int
compare(const void *left, const void *right)
{
    const struct weir_string *a = left;
    const struct weir_string *b = right;
    int order = memcmp(a->bytes, b->bytes, a->size < b->size ? a->size : b->size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

enum weir_err
weir_strings_sort(const struct weir_strings *strings, struct weir_string **sorted)
{
    *sorted = malloc((strings->count + 1) * sizeof **sorted);
    if (*sorted == NULL)
        return weir_fail(WEIR_NOMEM, 0, "%zu strings", strings->count);
    size_t at = 0;
    for (size_t place = 0; place < strings->used; at++) {
        (*sorted)[at] = string_at(strings, place);
        place += HEAD_BYTES + (*sorted)[at].size;
    }
    qsort(*sorted, strings->count, sizeof **sorted, compare);
    return WEIR_OK;
}
