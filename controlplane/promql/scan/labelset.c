#include "controlplane/promql/scan/labelset.h"

#include <string.h>
#include <sys/random.h>

#define FIRST_SLOTS 256

int
weir_promql_text_compare(struct weir_promql_text a, struct weir_promql_text b)
{
    uint32_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

enum weir_err
weir_promql_labelsets_init(struct weir_promql_labelsets *sets, struct weir_promql_arena *arena)
{
    *sets = (struct weir_promql_labelsets){.arena = arena, .slot_count = FIRST_SLOTS};
    /* senders choose the labels: a key that they do not know keeps them from choosing the slots */
    if (getrandom(&sets->key, sizeof sets->key, GRND_NONBLOCK) != sizeof sets->key)
        sets->key = (uint64_t)(uintptr_t)arena;
    sets->slots = weir_promql_arena_alloc(arena, FIRST_SLOTS * sizeof *sets->slots);
    return sets->slots == NULL ? WEIR_NOMEM : WEIR_OK;
}

static uint64_t
mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
hash_text(uint64_t hash, struct weir_promql_text text)
{
    uint64_t word;
    uint32_t at = 0;
    for (; at + 8 <= text.size; at += 8) {
        memcpy(&word, text.data + at, 8);
        hash = mix(hash ^ word, UINT64_C(0x9e3779b97f4a7c15));
    }
    word = 0;
    if (at < text.size)
        memcpy(&word, text.data + at, text.size - at);
    return mix(hash ^ word, UINT64_C(0xd6e8feb86659fd93) ^ text.size);
}

static uint64_t
hash_labels(uint64_t key, const struct weir_promql_label *labels, uint32_t count)
{
    uint64_t hash = key ^ UINT64_C(0xa0761d6478bd642f);
    for (uint32_t i = 0; i < count; i++)
        hash = hash_text(hash_text(hash, labels[i].name), labels[i].value);
    return mix(hash, UINT64_C(0xe7037ed1a0b428db) ^ count);
}

static bool
same(const struct weir_promql_labelset *set, const struct weir_promql_label *labels, uint32_t count)
{
    if (set->count != count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!weir_promql_text_equal(set->labels[i].name, labels[i].name) ||
            !weir_promql_text_equal(set->labels[i].value, labels[i].value))
            return false;
    return true;
}

/* The slot of these labels, or the free one where they belong. */
static const struct weir_promql_labelset **
slot_of(const struct weir_promql_labelsets *sets, const struct weir_promql_label *labels,
    uint32_t count, uint64_t hash)
{
    uint32_t mask = sets->slot_count - 1;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        const struct weir_promql_labelset *set = sets->slots[at];
        if (set == NULL || (set->hash == hash && same(set, labels, count)))
            return &sets->slots[at];
    }
}

/* Twice the slots. */
static enum weir_err
grow(struct weir_promql_labelsets *sets)
{
    uint32_t old_count = sets->slot_count, mask = old_count * 2 - 1;
    const struct weir_promql_labelset **old = sets->slots;
    if (old_count > UINT32_MAX / 4)
        return WEIR_NOMEM;
    const struct weir_promql_labelset **slots =
        weir_promql_arena_alloc(sets->arena, (size_t)old_count * 2 * sizeof *slots);
    if (slots == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i] == NULL)
            continue;
        uint32_t at = (uint32_t)old[i]->hash & mask;
        while (slots[at] != NULL)
            at = (at + 1) & mask;
        slots[at] = old[i];
    }
    sets->slots = slots;
    sets->slot_count = old_count * 2;
    return WEIR_OK;
}

static struct weir_promql_text
copy_text(char **to, struct weir_promql_text text)
{
    struct weir_promql_text out = {*to, text.size};
    memcpy(*to, text.data, text.size);
    *to += text.size;
    return out;
}

/* A copy of labels and of their texts, in one piece. */
static struct weir_promql_labelset *
copy(struct weir_promql_arena *arena, const struct weir_promql_label *labels, uint32_t count)
{
    size_t size = sizeof(struct weir_promql_labelset) + count * sizeof *labels, texts = 0;
    for (uint32_t i = 0; i < count; i++)
        texts += (size_t)labels[i].name.size + labels[i].value.size;
    struct weir_promql_labelset *set = weir_promql_arena_alloc(arena, size + texts);
    if (set == NULL)
        return NULL;
    char *to = (char *)set + size;
    set->count = count;
    for (uint32_t i = 0; i < count; i++) {
        set->labels[i].name = copy_text(&to, labels[i].name);
        set->labels[i].value = copy_text(&to, labels[i].value);
    }
    return set;
}

enum weir_err
weir_promql_labelset_of(struct weir_promql_labelsets *sets, const struct weir_promql_label *labels,
    uint32_t count, const struct weir_promql_labelset **out)
{
    uint64_t hash = hash_labels(sets->key, labels, count);
    const struct weir_promql_labelset **slot = slot_of(sets, labels, count, hash);
    if (*slot != NULL) {
        *out = *slot;
        return WEIR_OK;
    }
    if ((sets->count + 1) * 2 > sets->slot_count) {
        enum weir_err err = grow(sets);
        if (err != WEIR_OK)
            return err;
        slot = slot_of(sets, labels, count, hash);
    }
    struct weir_promql_labelset *set = copy(sets->arena, labels, count);
    if (set == NULL)
        return WEIR_NOMEM;
    set->hash = hash;
    set->number = sets->count++;
    *slot = set;
    *out = set;
    return WEIR_OK;
}

enum weir_err
weir_promql_labelset_empty(
    struct weir_promql_labelsets *sets, const struct weir_promql_labelset **out)
{
    return weir_promql_labelset_of(sets, NULL, 0, out);
}

/* Room for a set of count labels in the draft. */
static enum weir_err
draft(struct weir_promql_labelsets *sets, uint32_t count)
{
    if (count <= sets->draft_room)
        return WEIR_OK;
    uint32_t room = count * 2 < 64 ? 64 : count * 2;
    struct weir_promql_label *labels = weir_promql_arena_alloc(sets->arena, room * sizeof *labels);
    if (labels == NULL)
        return WEIR_NOMEM;
    sets->draft = labels;
    sets->draft_room = room;
    return WEIR_OK;
}

static bool
is_among(struct weir_promql_text name, const struct weir_promql_text *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (weir_promql_text_equal(name, names[i]))
            return true;
    return false;
}

/* Labels whose being among names is wanted. */
static enum weir_err
pick(struct weir_promql_labelsets *sets, const struct weir_promql_labelset *set,
    const struct weir_promql_text *names, uint32_t count, bool wanted,
    const struct weir_promql_labelset **out)
{
    enum weir_err err = draft(sets, set->count);
    if (err != WEIR_OK)
        return err;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < set->count; i++)
        if (is_among(set->labels[i].name, names, count) == wanted)
            sets->draft[kept++] = set->labels[i];
    if (kept == set->count) {
        *out = set;
        return WEIR_OK;
    }
    return weir_promql_labelset_of(sets, sets->draft, kept, out);
}

enum weir_err
weir_promql_labelset_keep(struct weir_promql_labelsets *sets,
    const struct weir_promql_labelset *set, const struct weir_promql_text *names, uint32_t count,
    const struct weir_promql_labelset **out)
{
    return pick(sets, set, names, count, true, out);
}

enum weir_err
weir_promql_labelset_drop(struct weir_promql_labelsets *sets,
    const struct weir_promql_labelset *set, const struct weir_promql_text *names, uint32_t count,
    const struct weir_promql_labelset **out)
{
    return pick(sets, set, names, count, false, out);
}

enum weir_err
weir_promql_labelset_nameless(struct weir_promql_labelsets *sets,
    const struct weir_promql_labelset *set, const struct weir_promql_labelset **out)
{
    const struct weir_promql_text names[] = {
        WEIR_PROMQL_NAME, WEIR_PROMQL_TEXT("__type__"), WEIR_PROMQL_TEXT("__unit__")};
    return weir_promql_labelset_drop(sets, set, names, 3, out);
}

enum weir_err
weir_promql_labelset_with(struct weir_promql_labelsets *sets,
    const struct weir_promql_labelset *set, struct weir_promql_text name,
    struct weir_promql_text value, const struct weir_promql_labelset **out)
{
    enum weir_err err = draft(sets, set->count + 1);
    if (err != WEIR_OK)
        return err;
    uint32_t count = 0, at = 0;
    while (at < set->count && weir_promql_text_compare(set->labels[at].name, name) < 0)
        sets->draft[count++] = set->labels[at++];
    if (value.size > 0)
        sets->draft[count++] = (struct weir_promql_label){name, value};
    if (at < set->count && weir_promql_text_equal(set->labels[at].name, name))
        at++;
    while (at < set->count)
        sets->draft[count++] = set->labels[at++];
    return weir_promql_labelset_of(sets, sets->draft, count, out);
}

struct weir_promql_text
weir_promql_labelset_get(const struct weir_promql_labelset *set, struct weir_promql_text name)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (weir_promql_text_equal(set->labels[i].name, name))
            return set->labels[i].value;
    return (struct weir_promql_text){"", 0};
}

int
weir_promql_labelset_compare(
    const struct weir_promql_labelset *a, const struct weir_promql_labelset *b)
{
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        int order = weir_promql_text_compare(a->labels[i].name, b->labels[i].name);
        if (order == 0)
            order = weir_promql_text_compare(a->labels[i].value, b->labels[i].value);
        if (order != 0)
            return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

/* Length of a name as it is printed; written to out unless NULL. */
static size_t
write_name(struct weir_promql_text name, char *out)
{
    if (!weir_promql_label_is_plain(name))
        return weir_promql_quote(name, out);
    if (out != NULL)
        memcpy(out, name.data, name.size);
    return name.size;
}

const char *
weir_promql_labelset_text(struct weir_promql_arena *arena, const struct weir_promql_labelset *set)
{
    size_t size = 3;
    for (uint32_t i = 0; i < set->count; i++)
        size += write_name(set->labels[i].name, NULL) +
            weir_promql_quote(set->labels[i].value, NULL) + 3;
    char *out = weir_promql_arena_alloc(arena, size), *to = out;
    if (out == NULL)
        return NULL;
    *to++ = '{';
    for (uint32_t i = 0; i < set->count; i++) {
        if (i > 0) {
            *to++ = ',';
            *to++ = ' ';
        }
        to += write_name(set->labels[i].name, to);
        *to++ = '=';
        to += weir_promql_quote(set->labels[i].value, to);
    }
    *to = '}';
    return out;
}
