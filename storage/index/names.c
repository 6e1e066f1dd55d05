#include "storage/index/names.h"

#define RECORD_HEAD 4
#define NAME_SIZE (sizeof WEIR_NAME_LABEL - 1)

enum { SAME, SAME_NAME, WHOLE };

static bool
is_metric(const struct weir_label *label)
{
    return label->name_size == NAME_SIZE && memcmp(label->name, WEIR_NAME_LABEL, NAME_SIZE) == 0;
}

static void
begin_label(struct weir_names_list *list, size_t name_size, size_t value_size)
{
    uint16_t sizes[2] = {(uint16_t)name_size, (uint16_t)value_size};
    memcpy(list->bytes + list->size, sizes, RECORD_HEAD);
    list->at[list->count++] = (uint16_t)list->size;
    list->size += RECORD_HEAD;
}

static void
append_label(struct weir_names_list *list, const struct weir_label *label)
{
    begin_label(list, label->name_size, label->value_size);
    memcpy(list->bytes + list->size, label->name, label->name_size);
    list->size += label->name_size;
    if (label->value_size != 0)
        memcpy(list->bytes + list->size, label->value, label->value_size);
    list->size += label->value_size;
}

bool
weir_names_from_labels(const uint8_t *labels, size_t size, struct weir_names_list *list)
{
    struct weir_label label, metric = {(const uint8_t *)WEIR_NAME_LABEL, NULL, NAME_SIZE, 0};
    size_t at = 0, count = 0;
    enum weir_err err;
    if (size > WEIR_LABELS_BYTES_MAX)
        return false;
    while ((err = weir_labels_next(labels, size, &at, &label)) == WEIR_OK) {
        if (is_metric(&label))
            metric = label;
        if (label.name_size == 0 || label.value_size == 0)
            return false;
        count++;
    }
    if (err != WEIR_END || count > WEIR_LABELS_COUNT_MAX)
        return false;
    list->count = list->size = 0;
    append_label(list, &metric);
    for (at = 0; weir_labels_next(labels, size, &at, &label) == WEIR_OK;)
        if (!is_metric(&label))
            append_label(list, &label);
    return true;
}

size_t
weir_names_to_labels(const struct weir_names_list *list, uint8_t *labels)
{
    struct weir_label label;
    uint32_t before = 1; /* labels that sort before the metric's name */
    for (; before < list->count; before++) {
        weir_names_label(list, before, &label);
        if (weir_index_compare(label.name, label.name_size, WEIR_NAME_LABEL, NAME_SIZE) > 0)
            break;
    }
    uint32_t first = list->at[1 < list->count ? 1 : 0];
    first = list->count > 1 ? first : list->size;
    uint32_t middle = before < list->count ? list->at[before] : list->size;
    size_t size = middle - first;
    memcpy(labels, list->bytes + first, size);
    weir_names_label(list, 0, &label);
    if (label.value_size != 0) {
        memcpy(labels + size, list->bytes, first);
        size += first;
    }
    memcpy(labels + size, list->bytes + middle, list->size - middle);
    return size + list->size - middle;
}

static bool
equal_names(const struct weir_label *a, const struct weir_label *b)
{
    return a->name_size == b->name_size && memcmp(a->name, b->name, a->name_size) == 0;
}

static bool
equal_values(const struct weir_label *a, const struct weir_label *b)
{
    return a->value_size == b->value_size &&
           (a->value_size == 0 || memcmp(a->value, b->value, a->value_size) == 0);
}

/* Writes what the code does not say of a label. */
static uint8_t *
encode_label(const struct weir_label *label, const struct weir_label *old, unsigned code,
    uint8_t *out)
{
    size_t shared = 0;
    if (code == SAME)
        return out;
    if (code == SAME_NAME) {
        shared = weir_index_shared(label->value, label->value_size, old->value, old->value_size);
        out = weir_index_put(out, shared);
        out = weir_index_put(out, label->value_size - shared);
    } else {
        out = weir_index_put(out, label->name_size);
        out = weir_index_put(out, label->value_size);
        memcpy(out, label->name, label->name_size);
        out += label->name_size;
    }
    if (label->value_size != shared)
        memcpy(out, label->value + shared, label->value_size - shared);
    return out + label->value_size - shared;
}

uint8_t *
weir_names_encode(const struct weir_names_list *list, const struct weir_names_list *before,
    uint8_t *out)
{
    struct weir_label label, old;
    out = weir_index_put(out, list->count);
    uint8_t *codes = out;
    out += (list->count + 3) / 4;
    memset(codes, 0, (size_t)(out - codes));
    for (uint32_t i = 0; i < list->count; i++) {
        unsigned code = WHOLE;
        weir_names_label(list, i, &label);
        if (before != NULL && i < before->count) {
            weir_names_label(before, i, &old);
            if (equal_names(&label, &old))
                code = equal_values(&label, &old) ? SAME : SAME_NAME;
        }
        codes[i / 4] |= (uint8_t)(code << i % 4 * 2);
        out = encode_label(&label, &old, code, out);
    }
    return out;
}

/* The label's name and as much of its value as it has from the series before. */
static bool
decode_same_name(struct weir_index_cursor *cursor, const struct weir_label *old,
    struct weir_names_list *list)
{
    uint64_t shared = weir_index_get(cursor), more = weir_index_get(cursor);
    const uint8_t *rest = weir_index_get_bytes(cursor, more);
    if (rest == NULL || shared > old->value_size ||
        list->size + RECORD_HEAD + old->name_size + shared + more > WEIR_NAMES_LIST_MAX)
        return false;
    begin_label(list, old->name_size, shared + more);
    memcpy(list->bytes + list->size, old->name, old->name_size);
    list->size += old->name_size;
    memcpy(list->bytes + list->size, old->value, shared);
    memcpy(list->bytes + list->size + shared, rest, more);
    list->size += (uint32_t)(shared + more);
    return true;
}

static bool
decode_whole(struct weir_index_cursor *cursor, struct weir_names_list *list)
{
    uint64_t name_size = weir_index_get(cursor), value_size = weir_index_get(cursor);
    if (name_size > WEIR_NAMES_LIST_MAX || value_size > WEIR_NAMES_LIST_MAX)
        return false;
    const uint8_t *bytes = weir_index_get_bytes(cursor, name_size + value_size);
    if (bytes == NULL || list->size + RECORD_HEAD + name_size + value_size > WEIR_NAMES_LIST_MAX)
        return false;
    begin_label(list, name_size, value_size);
    memcpy(list->bytes + list->size, bytes, name_size + value_size);
    list->size += (uint32_t)(name_size + value_size);
    return true;
}

bool
weir_names_decode(struct weir_index_cursor *cursor, const struct weir_names_list *before,
    struct weir_names_list *list)
{
    struct weir_label old;
    uint64_t count = weir_index_get(cursor);
    list->count = list->size = 0;
    if (count == 0 || count > WEIR_LABELS_COUNT_MAX + 1)
        return false;
    const uint8_t *codes = weir_index_get_bytes(cursor, (count + 3) / 4);
    if (codes == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        unsigned code = codes[i / 4] >> i % 4 * 2 & 3;
        bool good;
        if (code == WHOLE) {
            good = decode_whole(cursor, list);
        } else if (before == NULL || i >= before->count) {
            good = false;
        } else {
            weir_names_label(before, i, &old);
            size_t record = RECORD_HEAD + (size_t)old.name_size + old.value_size;
            good = code == SAME_NAME && decode_same_name(cursor, &old, list);
            if (code == SAME && list->size + record <= WEIR_NAMES_LIST_MAX) {
                append_label(list, &old);
                good = true;
            }
        }
        if (!good)
            return false;
    }
    weir_names_label(list, 0, &old);
    uint32_t empty = old.value_size == 0 ? RECORD_HEAD + NAME_SIZE : 0;
    return is_metric(&old) && list->size - empty <= WEIR_LABELS_BYTES_MAX &&
           count - (empty != 0) <= WEIR_LABELS_COUNT_MAX;
}

void
weir_names_from_bytes(const uint8_t *bytes, size_t size, struct weir_names_list *list)
{
    WEIR_ASSERT(size <= WEIR_NAMES_LIST_MAX);
    memcpy(list->bytes, bytes, size);
    list->size = (uint32_t)size;
    list->count = 0;
    for (size_t at = 0; at < size; list->count++) {
        list->at[list->count] = (uint16_t)at;
        at += RECORD_HEAD + (size_t)weir_index_u16(bytes + at) + weir_index_u16(bytes + at + 2);
    }
}

int
weir_names_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    const uint8_t *a_end = a + a_size, *b_end = b + b_size;
    while (a < a_end && b < b_end) {
        size_t name = weir_index_u16(a), value = weir_index_u16(a + 2);
        size_t other_name = weir_index_u16(b), other_value = weir_index_u16(b + 2);
        a += RECORD_HEAD;
        b += RECORD_HEAD;
        int order = weir_index_compare(a, name, b, other_name);
        if (order == 0)
            order = weir_index_compare(a + name, value, b + other_name, other_value);
        if (order != 0)
            return order;
        a += name + value;
        b += other_name + other_value;
    }
    return (a < a_end) - (b < b_end);
}
