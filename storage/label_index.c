#include "storage/label_index.h"

#include "base/assert.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CHUNK_BYTES (UINT64_C(4) << 20)
#define CHUNKS_MAX (1u << 16)
#define SLOTS_FIRST 1024

/* Series that carry one label, ascending because series are added in order. */
struct posting {
    uint64_t hash;
    const uint8_t *name; /* in a chunk of label bytes */
    const uint8_t *value;
    uint16_t name_size;
    uint16_t value_size;
    uint32_t count;
    uint32_t capacity;
    uint32_t *numbers;
};

struct weir_label_index {
    struct weir_hash_key key; /* of this process */
    uint8_t *chunks[CHUNKS_MAX]; /* label bytes: u16 size, then canonical labels */
    uint64_t chunk_count;
    uint64_t chunk_used;
    uint8_t **definitions; /* by series number */
    uint64_t count;
    uint64_t capacity;
    struct posting *slots; /* open addressing; name NULL is empty */
    uint64_t slot_count;   /* power of two */
    uint64_t slots_used;
};

enum weir_err
weir_label_index_new(struct weir_label_index **out)
{
    struct weir_label_index *index = aligned_alloc(alignof(struct weir_label_index), sizeof *index);
    if (index != NULL) {
        memset(index, 0, sizeof *index);
        index->slots = calloc(SLOTS_FIRST, sizeof *index->slots);
    }
    if (index == NULL || index->slots == NULL) {
        free(index);
        return weir_fail(WEIR_NOMEM, 0, "label index");
    }
    uint8_t seed[WEIR_HASH_SEED_BYTES];
    if (getrandom(seed, sizeof seed, 0) != sizeof seed) {
        weir_label_index_free(index);
        return weir_fail(WEIR_IO, errno, "getrandom");
    }
    weir_hash_key_init(&index->key, seed);
    index->slot_count = SLOTS_FIRST;
    *out = index;
    return WEIR_OK;
}

void
weir_label_index_free(struct weir_label_index *index)
{
    for (uint64_t i = 0; i < index->slot_count; i++)
        free(index->slots[i].numbers);
    for (uint64_t i = 0; i < index->chunk_count; i++)
        free(index->chunks[i]);
    free(index->slots);
    free(index->definitions);
    free(index);
}

uint64_t
weir_label_index_count(const struct weir_label_index *index)
{
    return index->count;
}

/* Keyed, since names and values are the senders' choice. */
static uint64_t
label_hash(const struct weir_label_index *index, const struct weir_label *label)
{
    return weir_hash_join(weir_hash_part(&index->key, 0, label->name, label->name_size),
        weir_hash_part(&index->key, 1, label->value, label->value_size)).lo;
}

static bool
slot_is(const struct posting *slot, uint64_t hash, const struct weir_label *label)
{
    return slot->hash == hash && slot->name_size == label->name_size &&
           slot->value_size == label->value_size &&
           memcmp(slot->name, label->name, label->name_size) == 0 &&
           memcmp(slot->value, label->value, label->value_size) == 0;
}

/* The label's slot, or the empty one where it would lie. */
static struct posting *
slot_find(const struct weir_label_index *index, uint64_t hash, const struct weir_label *label)
{
    uint64_t at = hash & (index->slot_count - 1);
    while (index->slots[at].name != NULL && !slot_is(&index->slots[at], hash, label))
        at = (at + 1) & (index->slot_count - 1);
    return &index->slots[at];
}

static enum weir_err
slots_grow(struct weir_label_index *index)
{
    uint64_t before = index->slot_count;
    struct posting *old = index->slots;
    struct posting *slots = calloc(before * 2, sizeof *slots);
    if (slots == NULL)
        return weir_fail(WEIR_NOMEM, 0, "label index of %llu slots",
            (unsigned long long)before * 2);
    index->slots = slots;
    index->slot_count = before * 2;
    for (uint64_t i = 0; i < before; i++) {
        if (old[i].name == NULL)
            continue;
        uint64_t at = old[i].hash & (index->slot_count - 1);
        while (slots[at].name != NULL)
            at = (at + 1) & (index->slot_count - 1);
        slots[at] = old[i];
    }
    free(old);
    return WEIR_OK;
}

static enum weir_err
posting_add(struct weir_label_index *index, const struct weir_label *label, uint32_t number)
{
    if (index->slots_used * 4 >= index->slot_count * 3) {
        enum weir_err err = slots_grow(index);
        if (err != WEIR_OK)
            return err;
    }
    uint64_t hash = label_hash(index, label);
    struct posting *slot = slot_find(index, hash, label);
    if (slot->name == NULL) {
        *slot = (struct posting){.hash = hash,
            .name = label->name,
            .value = label->value,
            .name_size = label->name_size,
            .value_size = label->value_size};
        index->slots_used++;
    }
    if (slot->count == slot->capacity) {
        uint32_t capacity = slot->capacity == 0 ? 1 : slot->capacity * 2;
        uint32_t *numbers = realloc(slot->numbers, capacity * sizeof *numbers);
        if (numbers == NULL)
            return weir_fail(WEIR_NOMEM, 0, "postings");
        slot->numbers = numbers;
        slot->capacity = capacity;
    }
    slot->numbers[slot->count++] = number;
    return WEIR_OK;
}

/* Keeps the definition's bytes for good. */
static enum weir_err
keep(struct weir_label_index *index, const uint8_t *labels, size_t size, uint8_t **out)
{
    size_t bytes = 2 + size;
    if (index->chunk_count == 0 || index->chunk_used + bytes > CHUNK_BYTES) {
        if (index->chunk_count == CHUNKS_MAX)
            return weir_fail(WEIR_LIMIT, 0, "label bytes past %u chunks", CHUNKS_MAX);
        uint8_t *chunk = malloc(CHUNK_BYTES);
        if (chunk == NULL)
            return weir_fail(WEIR_NOMEM, 0, "label bytes");
        index->chunks[index->chunk_count++] = chunk;
        index->chunk_used = 0;
    }
    uint8_t *at = index->chunks[index->chunk_count - 1] + index->chunk_used;
    uint16_t stored = (uint16_t)size;
    memcpy(at, &stored, 2);
    memcpy(at + 2, labels, size);
    index->chunk_used += bytes;
    *out = at;
    return WEIR_OK;
}

enum weir_err
weir_label_index_add(struct weir_label_index *index, const uint8_t *labels, size_t size)
{
    WEIR_ASSERT(size <= WEIR_LABELS_BYTES_MAX);
    if (index->count == UINT32_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than 2^32 series");
    if (index->count == index->capacity) {
        uint64_t capacity = index->capacity == 0 ? 1024 : index->capacity * 2;
        uint8_t **grown = realloc(index->definitions, capacity * sizeof *grown);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "definitions");
        index->definitions = grown;
        index->capacity = capacity;
    }
    size_t at = 0;
    struct weir_label label;
    enum weir_err parsed;
    while ((parsed = weir_labels_next(labels, size, &at, &label)) == WEIR_OK)
        continue;
    uint8_t *kept = NULL;
    enum weir_err err = keep(index, labels, parsed == WEIR_END ? size : 0, &kept);
    if (err != WEIR_OK)
        return err;
    index->definitions[index->count] = kept;
    uint32_t number = (uint32_t)index->count++;
    if (parsed != WEIR_END)
        return parsed;
    at = 0;
    while (err == WEIR_OK && weir_labels_next(kept + 2, size, &at, &label) == WEIR_OK)
        err = posting_add(index, &label, number);
    return err;
}

enum weir_err
weir_label_index_add_lost(struct weir_label_index *index)
{
    static const char name[] = WEIR_NAME_LABEL;
    static const char value[] = "weir_lost_definition";
    char number[24];
    int digits = snprintf(number, sizeof number, "%llu", (unsigned long long)index->count);
    struct weir_label labels[2] = {
        {(const uint8_t *)name, (const uint8_t *)value, sizeof name - 1, sizeof value - 1},
        {(const uint8_t *)"number", (const uint8_t *)number, 6, (uint16_t)digits}};
    uint8_t canonical[64 + sizeof number];
    size_t size;
    enum weir_err err = weir_labels_encode(labels, 2, canonical, &size);
    return err == WEIR_OK ? weir_label_index_add(index, canonical, size) : err;
}

void
weir_label_index_labels(const struct weir_label_index *index, uint64_t number,
    const uint8_t **labels, size_t *size)
{
    WEIR_ASSERT(number < index->count);
    uint16_t stored;
    memcpy(&stored, index->definitions[number], 2);
    *labels = index->definitions[number] + 2;
    *size = stored;
}

/* The postings of an equality, NULL where no series has it; false for a match they do not serve. */
static bool
match_postings(const struct weir_label_index *index, const struct weir_match *match,
    const struct posting **out)
{
    size_t name_size = strlen(match->name);
    *out = NULL;
    if (match->kind != WEIR_MATCH_EQUAL || match->value_size == 0)
        return false;
    if (name_size > UINT16_MAX || match->value_size > UINT16_MAX)
        return true;
    struct weir_label label = {.name = (const uint8_t *)match->name,
        .value = (const uint8_t *)match->value,
        .name_size = (uint16_t)name_size,
        .value_size = (uint16_t)match->value_size};
    const struct posting *slot = slot_find(index, label_hash(index, &label), &label);
    *out = slot->name == NULL ? NULL : slot;
    return true;
}

static bool
labels_match(const struct weir_label_index *index, uint64_t number, const struct weir_match *match)
{
    const uint8_t *labels;
    size_t size;
    struct weir_label label;
    weir_label_index_labels(index, number, &labels, &size);
    bool equal = match->value_size == 0;
    if (weir_labels_find(labels, size, match->name, &label))
        equal = label.value_size == match->value_size &&
                memcmp(label.value, match->value, match->value_size) == 0;
    return equal == (match->kind == WEIR_MATCH_EQUAL);
}

enum weir_err
weir_label_index_select(const struct weir_label_index *index, const struct weir_match *matches,
    size_t count, uint64_t **numbers, size_t *number_count)
{
    const struct posting *fewest = NULL;
    bool none = false;
    for (size_t i = 0; i < count; i++) {
        const struct posting *posting;
        if (!match_postings(index, &matches[i], &posting))
            continue;
        none |= posting == NULL;
        if (fewest == NULL || (posting != NULL && posting->count < fewest->count))
            fewest = posting;
    }
    uint64_t candidates = none ? 0 : fewest != NULL ? fewest->count : index->count;
    uint64_t *found = malloc((candidates + 1) * sizeof *found);
    if (found == NULL)
        return weir_fail(WEIR_NOMEM, 0, "selection of %llu series", (unsigned long long)candidates);
    size_t kept = 0;
    for (uint64_t i = 0; i < candidates; i++) {
        uint64_t number = fewest != NULL ? fewest->numbers[i] : i;
        bool all = true;
        for (size_t m = 0; m < count && all; m++)
            all = labels_match(index, number, &matches[m]);
        found[kept] = number;
        kept += all;
    }
    *numbers = found;
    *number_count = kept;
    return WEIR_OK;
}
