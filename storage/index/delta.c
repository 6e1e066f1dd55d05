#include "storage/index/delta.h"

#include <stdlib.h>

#define SLOTS_FIRST 4096
#define ARENA_BYTES (256u * 1024)
#define TERM_NUMBERS 2
#define CHUNK_NUMBERS_MAX 64
#define PLACES (WEIR_LABELS_COUNT_MAX + 1)

struct chunk {
    struct chunk *next; /* set before the term's count says that it is used */
    uint16_t capacity;
    uint16_t numbers[];
};

struct weir_delta_term {
    uint64_t hash;
    const uint8_t *name;
    const uint8_t *value;
    uint16_t name_size;
    uint16_t value_size;
    uint16_t numbers[TERM_NUMBERS];
    _Atomic uint32_t count; /* release: after the number is in its place; acquire in readers */
    uint16_t tail_used;
    struct chunk *chunks;
    struct chunk *tail;
    const struct weir_delta_term *next; /* value of the same name, or name */
    /* of a name: release in add_term, acquire in weir_delta_first_value */
    _Atomic(const struct weir_delta_term *) values;
};

struct arena {
    struct arena *before;
    size_t used;
    size_t size;
    alignas(8) uint8_t bytes[];
};

struct slots {
    struct slots *before; /* smaller ones, which a reader may still look into */
    uint32_t count;       /* power of two */
    _Atomic(struct weir_delta_term *) terms[];
};

struct weir_delta {
    const struct weir_hash_key *key;
    uint64_t first_number;
    uint32_t from; /* of the first series added */
    bool begun;
    _Atomic uint32_t until; /* release in weir_delta_add, acquire in weir_delta_span */
    uint32_t term_count;
    struct arena *arena;
    /* release in grow_slots, acquire in weir_delta_find */
    _Atomic(struct slots *) slots;
    /* release in add_term, acquire in weir_delta_first_name */
    _Atomic(const struct weir_delta_term *) names;
    struct weir_delta_term *last[PLACES]; /* terms of the last series */
    struct weir_names_list lists[2];
    unsigned current;
    const uint8_t *labels[WEIR_DELTA_SERIES];
    uint16_t sizes[WEIR_DELTA_SERIES];
    uint16_t day_first[WEIR_DELTA_SERIES];
    uint16_t day_last[WEIR_DELTA_SERIES];
    uint8_t classes[WEIR_DELTA_SERIES];
};

static struct slots *
slots_new(uint32_t count)
{
    struct slots *slots = calloc(1, sizeof *slots + count * sizeof slots->terms[0]);
    if (slots != NULL)
        slots->count = count;
    return slots;
}

enum weir_err
weir_delta_new(const struct weir_hash_key *key, uint64_t first_number, struct weir_delta **out)
{
    struct weir_delta *delta = calloc(1, sizeof *delta);
    struct slots *slots = slots_new(SLOTS_FIRST);
    if (delta == NULL || slots == NULL) {
        free(delta);
        free(slots);
        return weir_fail(WEIR_NOMEM, 0, "a delta of the label index");
    }
    delta->key = key;
    delta->first_number = first_number;
    atomic_init(&delta->slots, slots);
    *out = delta;
    return WEIR_OK;
}

void
weir_delta_free(struct weir_delta *delta)
{
    struct slots *slots = atomic_load_explicit(&delta->slots, memory_order_relaxed);
    for (struct slots *before; slots != NULL; slots = before) {
        before = slots->before;
        free(slots);
    }
    for (struct arena *before; delta->arena != NULL; delta->arena = before) {
        before = delta->arena->before;
        free(delta->arena);
    }
    free(delta);
}

uint64_t
weir_delta_first_number(const struct weir_delta *delta)
{
    return delta->first_number;
}

static void *
arena_get(struct weir_delta *delta, size_t size)
{
    struct arena *arena = delta->arena;
    WEIR_ASSERT(size <= arena->size - arena->used);
    void *at = arena->bytes + arena->used;
    arena->used += (size + 7) & ~(size_t)7;
    arena->used = arena->used < arena->size ? arena->used : arena->size;
    return at;
}

static enum weir_err
arena_reserve(struct weir_delta *delta, size_t size)
{
    struct arena *arena = delta->arena;
    if (arena != NULL && arena->size - arena->used >= size)
        return WEIR_OK;
    arena = malloc(sizeof *arena + ARENA_BYTES);
    if (arena == NULL)
        return weir_fail(WEIR_NOMEM, 0, "labels of the label index");
    *arena = (struct arena){.before = delta->arena, .size = ARENA_BYTES};
    delta->arena = arena;
    return WEIR_OK;
}

static uint64_t
label_hash(const struct weir_delta *delta, const struct weir_label *label)
{
    return weir_hash_join(weir_hash_part(delta->key, 0, label->name, label->name_size),
        weir_hash_part(delta->key, 1, label->value, label->value_size)).lo;
}

static bool
is_label(const struct weir_delta_term *term, uint64_t hash, const struct weir_label *label)
{
    return term->hash == hash && term->name_size == label->name_size &&
           term->value_size == label->value_size &&
           memcmp(term->name, label->name, label->name_size) == 0 &&
           (label->value_size == 0 || memcmp(term->value, label->value, label->value_size) == 0);
}

/* The slot of a label, or the empty one where it would be. The acquire pairs with the release in
 * new_term: a term that is found is whole. */
static _Atomic(struct weir_delta_term *) *
find_slot(struct slots *slots, uint64_t hash, const struct weir_label *label,
    struct weir_delta_term **out)
{
    uint64_t at = hash & (slots->count - 1);
    while ((*out = atomic_load_explicit(&slots->terms[at], memory_order_acquire)) != NULL &&
           !is_label(*out, hash, label))
        at = (at + 1) & (slots->count - 1);
    return &slots->terms[at];
}

/* Room for `more` terms in slots that are at most two thirds full. */
static enum weir_err
grow_slots(struct weir_delta *delta, uint32_t more)
{
    struct slots *old = atomic_load_explicit(&delta->slots, memory_order_relaxed);
    if ((delta->term_count + more) * 3 <= old->count * 2)
        return WEIR_OK;
    struct slots *slots = slots_new(old->count * 4);
    if (slots == NULL)
        return weir_fail(WEIR_NOMEM, 0, "slots of the label index");
    for (uint32_t i = 0; i < old->count; i++) {
        struct weir_delta_term *term =
            atomic_load_explicit(&old->terms[i], memory_order_relaxed);
        if (term == NULL)
            continue;
        uint64_t at = term->hash & (slots->count - 1);
        while (atomic_load_explicit(&slots->terms[at], memory_order_relaxed) != NULL)
            at = (at + 1) & (slots->count - 1);
        atomic_store_explicit(&slots->terms[at], term, memory_order_relaxed);
    }
    slots->before = old;
    /* release: pairs with the acquire in weir_delta_find */
    atomic_store_explicit(&delta->slots, slots, memory_order_release);
    return WEIR_OK;
}

/* Makes a term whose texts lie in the arena. */
static struct weir_delta_term *
new_term(struct weir_delta *delta, _Atomic(struct weir_delta_term *) *slot, uint64_t hash,
    const struct weir_label *label)
{
    struct weir_delta_term *term = arena_get(delta, sizeof *term);
    memset(term, 0, sizeof *term);
    term->hash = hash;
    term->name = label->name;
    term->value = label->value;
    term->name_size = label->name_size;
    term->value_size = label->value_size;
    delta->term_count++;
    /* release: pairs with the acquire in find_slot */
    atomic_store_explicit(slot, term, memory_order_release);
    return term;
}

/* The term of a label; a new one is entered in the lists of its name and of the names. */
static struct weir_delta_term *
add_term(struct weir_delta *delta, const struct weir_label *label)
{
    struct slots *slots = atomic_load_explicit(&delta->slots, memory_order_relaxed);
    struct weir_delta_term *term, *name;
    uint64_t hash = label_hash(delta, label);
    _Atomic(struct weir_delta_term *) *slot = find_slot(slots, hash, label, &term);
    if (term != NULL)
        return term;
    term = new_term(delta, slot, hash, label);
    struct weir_label name_label = {label->name, label->value, label->name_size, 0};
    hash = label_hash(delta, &name_label);
    slot = find_slot(slots, hash, &name_label, &name);
    if (name == NULL) {
        name = new_term(delta, slot, hash, &name_label);
        name->next = atomic_load_explicit(&delta->names, memory_order_relaxed);
        /* release: pairs with the acquire in weir_delta_first_name */
        atomic_store_explicit(&delta->names, name, memory_order_release);
    }
    term->next = atomic_load_explicit(&name->values, memory_order_relaxed);
    /* release: pairs with the acquire in weir_delta_first_value */
    atomic_store_explicit(&name->values, term, memory_order_release);
    return term;
}

static void
add_number(struct weir_delta *delta, struct weir_delta_term *term, uint16_t number)
{
    uint32_t count = atomic_load_explicit(&term->count, memory_order_relaxed);
    if (count < TERM_NUMBERS) {
        term->numbers[count] = number;
    } else {
        if (term->tail == NULL || term->tail_used == term->tail->capacity) {
            uint16_t capacity = term->tail == NULL ? 4 : term->tail->capacity * 2;
            capacity = capacity < CHUNK_NUMBERS_MAX ? capacity : CHUNK_NUMBERS_MAX;
            struct chunk *chunk = arena_get(delta, sizeof *chunk + 2u * capacity);
            chunk->next = NULL;
            chunk->capacity = capacity;
            if (term->tail == NULL)
                term->chunks = chunk;
            else
                term->tail->next = chunk;
            term->tail = chunk;
            term->tail_used = 0;
        }
        term->tail->numbers[term->tail_used++] = number;
    }
    /* release: pairs with the acquire in walk_numbers */
    atomic_store_explicit(&term->count, count + 1, memory_order_release);
}

/* Arena bytes that a series may need. */
static size_t
series_bytes(const struct weir_names_list *list)
{
    size_t label = 2 * sizeof(struct weir_delta_term) + sizeof(struct chunk) +
                   2 * CHUNK_NUMBERS_MAX + 24;
    return list->size + 8 + list->count * label;
}
_Static_assert(WEIR_NAMES_LIST_MAX + 8 + PLACES * (2 * sizeof(struct weir_delta_term) +
                   sizeof(struct chunk) + 2 * CHUNK_NUMBERS_MAX + 24) <= ARENA_BYTES,
    "any series fits one piece of the arena");

/* Appends the number to the term of each label; most are those of the series before. */
static void
add_labels(struct weir_delta *delta, const struct weir_names_list *before,
    const uint8_t *labels, uint16_t number)
{
    const struct weir_names_list *list = &delta->lists[delta->current];
    for (uint32_t i = 0; i < list->count; i++) {
        const uint8_t *record = labels + list->at[i];
        struct weir_label label = {record + 4, record + 4 + weir_index_u16(record),
            weir_index_u16(record), weir_index_u16(record + 2)};
        if (label.value_size == 0) {
            delta->last[i] = NULL;
            continue;
        }
        size_t size = 4u + label.name_size + label.value_size;
        bool same = i < before->count && delta->last[i] != NULL &&
                    before->size - before->at[i] >= size &&
                    memcmp(before->bytes + before->at[i], record, size) == 0;
        if (!same)
            delta->last[i] = add_term(delta, &label);
        add_number(delta, delta->last[i], number);
    }
    for (uint32_t i = list->count; i < before->count; i++)
        delta->last[i] = NULL;
}

enum weir_err
weir_delta_add(struct weir_delta *delta, const struct weir_index_series *series)
{
    uint64_t at = series->number - delta->first_number;
    WEIR_ASSERT(at < WEIR_DELTA_SERIES &&
                (!delta->begun || at == atomic_load_explicit(&delta->until, memory_order_relaxed)));
    struct weir_names_list *list = &delta->lists[!delta->current];
    if (!weir_names_from_labels(series->labels, series->size, list))
        return weir_fail(WEIR_INVALID, 0, "labels of series %llu",
            (unsigned long long)series->number);
    enum weir_err err = arena_reserve(delta, series_bytes(list));
    if (err == WEIR_OK)
        err = grow_slots(delta, 2 * list->count);
    if (err != WEIR_OK)
        return err;
    uint8_t *labels = arena_get(delta, list->size);
    memcpy(labels, list->bytes, list->size);
    delta->labels[at] = labels;
    delta->sizes[at] = (uint16_t)list->size;
    delta->day_first[at] = series->day_first;
    delta->day_last[at] = series->day_last;
    delta->classes[at] = series->retention_class;
    delta->current = !delta->current;
    add_labels(delta, &delta->lists[!delta->current], labels, (uint16_t)at);
    if (!delta->begun) {
        delta->from = (uint32_t)at;
        delta->begun = true;
    }
    /* release: pairs with the acquire in weir_delta_span */
    atomic_store_explicit(&delta->until, (uint32_t)at + 1, memory_order_release);
    return WEIR_OK;
}

struct weir_delta_span
weir_delta_span(const struct weir_delta *delta)
{
    /* `from` is written before the first release of `until` */
    uint32_t until = atomic_load_explicit(&delta->until, memory_order_acquire);
    return (struct weir_delta_span){until == 0 ? 0 : delta->from, until};
}

void
weir_delta_series(const struct weir_delta *delta, uint32_t at, struct weir_index_series *out)
{
    *out = (struct weir_index_series){.number = delta->first_number + at,
        .labels = delta->labels[at],
        .size = delta->sizes[at],
        .day_first = delta->day_first[at],
        .day_last = delta->day_last[at],
        .retention_class = delta->classes[at]};
}

const struct weir_delta_term *
weir_delta_find(const struct weir_delta *delta, const void *name, size_t name_size,
    const void *value, size_t value_size)
{
    struct weir_delta_term *term;
    if (name_size > UINT16_MAX || value_size > UINT16_MAX)
        return NULL;
    struct weir_label label = {name, value, (uint16_t)name_size, (uint16_t)value_size};
    /* pairs with the release in grow_slots */
    struct slots *slots = atomic_load_explicit(&delta->slots, memory_order_acquire);
    find_slot(slots, label_hash(delta, &label), &label, &term);
    return term;
}

const struct weir_delta_term *
weir_delta_first_value(const struct weir_delta_term *name)
{
    return atomic_load_explicit(&name->values, memory_order_acquire); /* release in add_term */
}

const struct weir_delta_term *
weir_delta_next_value(const struct weir_delta_term *value)
{
    return value->next;
}

const struct weir_delta_term *
weir_delta_first_name(const struct weir_delta *delta)
{
    return atomic_load_explicit(&delta->names, memory_order_acquire); /* release in add_term */
}

const struct weir_delta_term *
weir_delta_next_name(const struct weir_delta_term *name)
{
    return name->next;
}

void
weir_delta_term_label(const struct weir_delta_term *term, struct weir_label *out)
{
    *out = (struct weir_label){term->name, term->value, term->name_size, term->value_size};
}

/* Calls for each number below until; ends where the call says so. */
struct number_walk {
    const struct weir_delta_term *term;
    const struct chunk *chunk;
    uint32_t left;
    uint32_t at;
    uint32_t until;
};

static struct number_walk
walk_numbers(const struct weir_delta_term *term, uint32_t until)
{
    /* release in add_number */
    uint32_t count = atomic_load_explicit(&term->count, memory_order_acquire);
    return (struct number_walk){.term = term, .left = count, .until = until};
}

/* The next number; until after the last. */
static uint32_t
next_number(struct number_walk *walk)
{
    if (walk->left == 0)
        return walk->until;
    walk->left--;
    uint32_t number;
    if (walk->chunk == NULL && walk->at < TERM_NUMBERS) {
        number = walk->term->numbers[walk->at++];
    } else {
        if (walk->chunk == NULL || walk->at == walk->chunk->capacity) {
            walk->chunk = walk->chunk == NULL ? walk->term->chunks : walk->chunk->next;
            walk->at = 0;
        }
        number = walk->chunk->numbers[walk->at++];
    }
    return number < walk->until ? number : walk->until;
}

void
weir_delta_term_add(const struct weir_delta_term *term, uint32_t until, struct weir_ordinals *set)
{
    struct number_walk walk = walk_numbers(term, until);
    for (uint32_t number; (number = next_number(&walk)) != until;)
        weir_ordinals_add(set, number);
}

bool
weir_delta_term_meets(const struct weir_delta_term *term, uint32_t until,
    const struct weir_ordinals *set)
{
    struct number_walk walk = walk_numbers(term, until);
    for (uint32_t number; (number = next_number(&walk)) != until;)
        if (weir_ordinals_has(set, number))
            return true;
    return false;
}

static int
compare_numbers(const struct weir_delta *delta, uint32_t a, uint32_t b)
{
    struct weir_index_series one, other;
    weir_delta_series(delta, a, &one);
    weir_delta_series(delta, b, &other);
    return weir_names_compare(one.labels, one.size, other.labels, other.size);
}

enum weir_err
weir_delta_sort(const struct weir_delta *delta, uint32_t *numbers, size_t count)
{
    uint32_t *scratch = malloc((count + 1) * sizeof *scratch);
    if (scratch == NULL)
        return weir_fail(WEIR_NOMEM, 0, "selection of %zu series", count);
    uint32_t *from = numbers, *to = scratch;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = low + 2 * width < count ? low + 2 * width : count;
            size_t a = low, b = middle;
            for (size_t at = low; at < high; at++) {
                bool first = a < middle &&
                    (b == high || compare_numbers(delta, from[a], from[b]) <= 0);
                to[at] = first ? from[a++] : from[b++];
            }
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != numbers)
        memcpy(numbers, from, count * sizeof *numbers);
    free(scratch);
    return WEIR_OK;
}
