#include "model/labels.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LABEL_HEADER 4
#define DEFINITION_HEADER 4

static int
compare_names(const struct weir_label *a, const struct weir_label *b)
{
    size_t shorter = a->name_size < b->name_size ? a->name_size : b->name_size;
    int order = memcmp(a->name, b->name, shorter);
    return order != 0 ? order : (int)a->name_size - (int)b->name_size;
}

/* Insertion sort: agents send labels nearly sorted, and there are at most 65. */
void
weir_labels_sort(struct weir_label *labels, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct weir_label moving = labels[i];
        size_t to = i;
        for (; to > 0 && compare_names(&labels[to - 1], &moving) > 0; to--)
            labels[to] = labels[to - 1];
        labels[to] = moving;
    }
}

enum weir_err
weir_labels_encode(struct weir_label *labels, size_t count, uint8_t *out, size_t *size)
{
    if (count > WEIR_LABELS_COUNT_MAX)
        return weir_fail(WEIR_LIMIT, 0, "%zu labels, at most %d with the name", count,
            WEIR_LABELS_COUNT_MAX);
    weir_labels_sort(labels, count);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct weir_label *label = &labels[i];
        if (label->name_size == 0 || label->value_size == 0)
            return weir_fail(WEIR_INVALID, 0, "a label without name or value");
        if (i > 0 && compare_names(&labels[i - 1], label) == 0)
            return weir_fail(WEIR_INVALID, 0, "label %.*s given twice", (int)label->name_size,
                (const char *)label->name);
        size_t record = LABEL_HEADER + (size_t)label->name_size + label->value_size;
        if (used + record > WEIR_LABELS_BYTES_MAX)
            return weir_fail(WEIR_LIMIT, 0, "labels larger than %d bytes", WEIR_LABELS_BYTES_MAX);
        memcpy(out + used, &label->name_size, 2);
        memcpy(out + used + 2, &label->value_size, 2);
        memcpy(out + used + LABEL_HEADER, label->name, label->name_size);
        memcpy(out + used + LABEL_HEADER + label->name_size, label->value, label->value_size);
        used += record;
    }
    *size = used;
    return WEIR_OK;
}

enum weir_err
weir_labels_next(const uint8_t *labels, size_t size, size_t *at, struct weir_label *out)
{
    if (*at == size)
        return WEIR_END;
    if (size - *at < LABEL_HEADER)
        return weir_fail(WEIR_CORRUPT, 0, "label header cut at %zu of %zu", *at, size);
    const uint8_t *record = labels + *at;
    memcpy(&out->name_size, record, 2);
    memcpy(&out->value_size, record + 2, 2);
    size_t bytes = LABEL_HEADER + (size_t)out->name_size + out->value_size;
    if (bytes > size - *at)
        return weir_fail(WEIR_CORRUPT, 0, "label runs past the end at %zu of %zu", *at, size);
    out->name = record + LABEL_HEADER;
    out->value = out->name + out->name_size;
    *at += bytes;
    return WEIR_OK;
}

bool
weir_labels_find(const uint8_t *labels, size_t size, const char *name, struct weir_label *out)
{
    size_t wanted = strlen(name);
    size_t at = 0;
    while (weir_labels_next(labels, size, &at, out) == WEIR_OK)
        if (out->name_size == wanted && memcmp(out->name, name, wanted) == 0)
            return true;
    return false;
}

bool
weir_labels_reserved(const uint8_t *labels, size_t size)
{
    struct weir_label name;
    bool reserved = weir_labels_find(labels, size, WEIR_NAME_LABEL, &name) &&
        name.value_size == sizeof WEIR_LOST_NAME - 1 &&
        memcmp(name.value, WEIR_LOST_NAME, sizeof WEIR_LOST_NAME - 1) == 0;
    if (reserved)
        (void)!weir_fail(WEIR_INVALID, 0, "the name %s is reserved", WEIR_LOST_NAME);
    return reserved;
}

_Static_assert(2 * LABEL_HEADER + sizeof WEIR_NAME_LABEL - 1 + sizeof WEIR_LOST_NAME - 1 +
            sizeof "number" - 1 + sizeof "18446744073709551615" - 1 <= WEIR_LOST_LABELS_MAX,
    "any number fits");

void
weir_labels_lost(uint64_t number, uint8_t out[WEIR_LOST_LABELS_MAX], size_t *size)
{
    static const char name[] = WEIR_NAME_LABEL;
    static const char value[] = WEIR_LOST_NAME;
    char text[24];
    int digits = snprintf(text, sizeof text, "%" PRIu64, number);
    struct weir_label labels[2] = {
        {(const uint8_t *)name, (const uint8_t *)value, sizeof name - 1, sizeof value - 1},
        {(const uint8_t *)"number", (const uint8_t *)text, 6, (uint16_t)digits}};
    enum weir_err err = weir_labels_encode(labels, 2, out, size);
    WEIR_ASSERT(err == WEIR_OK);
}

bool
weir_labels_are_lost(uint64_t number, const uint8_t *labels, size_t size)
{
    uint8_t lost[WEIR_LOST_LABELS_MAX];
    size_t lost_size;
    if (size > WEIR_LOST_LABELS_MAX ||
        memmem(labels, size, WEIR_LOST_NAME, sizeof WEIR_LOST_NAME - 1) == NULL)
        return false; /* nearly all: without making the text */
    weir_labels_lost(number, lost, &lost_size);
    return size == lost_size && memcmp(labels, lost, size) == 0;
}

enum weir_err
weir_definition_append(uint8_t *list, size_t capacity, size_t *used, const uint8_t *labels,
    size_t size)
{
    if (capacity - *used < DEFINITION_HEADER + size)
        return WEIR_FULL;
    uint32_t stored = (uint32_t)size;
    memcpy(list + *used, &stored, DEFINITION_HEADER);
    memcpy(list + *used + DEFINITION_HEADER, labels, size);
    *used += DEFINITION_HEADER + size;
    return WEIR_OK;
}

enum weir_err
weir_definition_next(const uint8_t *list, size_t size, size_t *at, const uint8_t **labels,
    size_t *labels_size)
{
    if (*at == size)
        return WEIR_END;
    uint32_t stored;
    if (size - *at < DEFINITION_HEADER)
        return weir_fail(WEIR_CORRUPT, 0, "definition header cut at %zu of %zu", *at, size);
    memcpy(&stored, list + *at, DEFINITION_HEADER);
    if (stored > WEIR_LABELS_BYTES_MAX || stored > size - *at - DEFINITION_HEADER)
        return weir_fail(WEIR_CORRUPT, 0, "definition runs past the end at %zu of %zu", *at, size);
    *labels = list + *at + DEFINITION_HEADER;
    *labels_size = stored;
    *at += DEFINITION_HEADER + stored;
    return WEIR_OK;
}
