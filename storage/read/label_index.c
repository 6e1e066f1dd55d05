#include "storage/read/label_index.h"

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
    struct weir_aliases aliases;
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
    weir_aliases_fini(&index->aliases);
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

/* The label's slot, or the empty one where it would be. */
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

/* Room for one more number in the postings of a label, which gets its slot where it is new. The
 * slots do not move: there is room for it. */
static enum weir_err
posting_prepare(struct weir_label_index *index, const struct weir_label *label,
    struct posting **out)
{
    uint64_t hash = label_hash(index, label);
    struct posting *slot = slot_find(index, hash, label);
    if (slot->count == slot->capacity) {
        uint32_t capacity = slot->capacity == 0 ? 1 : slot->capacity * 2;
        uint32_t *numbers = realloc(slot->numbers, (size_t)capacity * sizeof *numbers);
        if (numbers == NULL)
            return weir_fail(WEIR_NOMEM, 0, "postings");
        slot->numbers = numbers;
        slot->capacity = capacity;
    }
    if (slot->name == NULL) {
        slot->hash = hash;
        slot->name = label->name;
        slot->value = label->value;
        slot->name_size = label->name_size;
        slot->value_size = label->value_size;
        index->slots_used++;
    }
    *out = slot;
    return WEIR_OK;
}

/* Empties the slots without a number. The latest comes first: no label was placed past it since. */
static void
postings_undo(struct weir_label_index *index, struct posting **slots, size_t count)
{
    while (count-- > 0) {
        if (slots[count]->name == NULL || slots[count]->count != 0)
            continue;
        free(slots[count]->numbers);
        *slots[count] = (struct posting){0};
        index->slots_used--;
    }
}

/* Enters the number under all labels of a definition, or under none. */
static enum weir_err
postings_add(struct weir_label_index *index, const uint8_t *labels, size_t size, uint32_t number)
{
    struct posting *slots[WEIR_LABELS_BYTES_MAX / 4]; /* a label takes more */
    struct weir_label label;
    size_t count = 0, at = 0;
    enum weir_err err = WEIR_OK;
    while (weir_labels_next(labels, size, &at, &label) == WEIR_OK)
        count++;
    while (err == WEIR_OK && (index->slots_used + count) * 4 >= index->slot_count * 3)
        err = slots_grow(index);
    if (err != WEIR_OK)
        return err;
    for (count = at = 0; weir_labels_next(labels, size, &at, &label) == WEIR_OK; count++) {
        err = posting_prepare(index, &label, &slots[count]);
        if (err != WEIR_OK) {
            postings_undo(index, slots, count);
            return err;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (slots[i]->count == 0 || slots[i]->numbers[slots[i]->count - 1] != number)
            slots[i]->numbers[slots[i]->count++] = number;
    return WEIR_OK;
}

/* Writes the definition's bytes after the others. They are kept once chunk_used counts them. */
static enum weir_err
place(struct weir_label_index *index, const uint8_t *labels, size_t size, uint8_t **out)
{
    if (index->chunk_count == 0 || index->chunk_used + 2 + size > CHUNK_BYTES) {
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
    if (parsed != WEIR_END)
        size = 0;
    uint8_t *placed = NULL;
    enum weir_err err = weir_aliases_reserve(&index->aliases);
    if (err == WEIR_OK)
        err = place(index, labels, size, &placed);
    if (err == WEIR_OK)
        err = postings_add(index, placed + 2, size, (uint32_t)index->count);
    if (err != WEIR_OK)
        return err;
    index->definitions[index->count] = placed;
    if (size != 0)
        weir_aliases_add(&index->aliases, index->definitions, (uint32_t)index->count,
            (uint32_t)weir_hash_part(&index->key, 0, labels, size).lo);
    index->count++;
    index->chunk_used += 2 + size;
    return parsed == WEIR_END ? WEIR_OK : parsed;
}

enum weir_err
weir_label_index_add_lost(struct weir_label_index *index)
{
    uint8_t labels[WEIR_LOST_LABELS_MAX];
    size_t size;
    weir_labels_lost(index->count, labels, &size);
    return weir_label_index_add(index, labels, size);
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

const struct weir_aliases *
weir_label_index_aliases(const struct weir_label_index *index)
{
    return &index->aliases;
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
        if (index->aliases.count != 0)
            all = all && !weir_aliases_is_later(&index->aliases, number);
        found[kept] = number;
        kept += all;
    }
    *numbers = found;
    *number_count = kept;
    return WEIR_OK;
}
