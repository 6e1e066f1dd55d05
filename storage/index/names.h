/* index_names: label lists of a segment in ordinal order, each written as what changed since the
 * one before.
 *
 * The form of a list here is the canonical one (model/labels.h), but the metric's name comes first,
 * with an empty value where there is none: its first bytes change least.
 *
 *   block   | series ... | offsets of groups, u16 each |   a group: up to 64 series, the first of
 *                                                          which stands for itself
 *   series  | varint labels | codes, 2 bits a label, padded to a byte | for each label, by code:
 *     0  as in the series before, at the same place
 *     1  same name; of the value: varint bytes shared, varint bytes that follow, these
 *     2  varint name size, varint value size, name, value
 *
 * Threads: a coder belongs to one
 * Memory:  of the caller's
 * Errors:  a decoder takes any bytes; false where they are no series
 */
#ifndef WEIR_STORAGE_INDEX_NAMES_H
#define WEIR_STORAGE_INDEX_NAMES_H

#include "model/labels.h"
#include "storage/index/bytes.h"
#include "storage/index/format.h"

#define WEIR_NAMES_LIST_MAX (WEIR_LABELS_BYTES_MAX + 4 + sizeof WEIR_NAME_LABEL)
/* Bytes of one series at most. */
#define WEIR_NAMES_SERIES_MAX (WEIR_NAMES_LIST_MAX + 8 * (WEIR_LABELS_COUNT_MAX + 2))

struct weir_names_list {
    uint32_t count;
    uint32_t size;
    uint16_t at[WEIR_LABELS_COUNT_MAX + 2]; /* of each label's record in bytes, and their end */
    uint8_t bytes[WEIR_NAMES_LIST_MAX];
};

static inline void
weir_names_label(const struct weir_names_list *list, uint32_t index, struct weir_label *out)
{
    const uint8_t *record = list->bytes + list->at[index];
    out->name_size = weir_index_u16(record);
    out->value_size = weir_index_u16(record + 2);
    out->name = record + 4;
    out->value = out->name + out->name_size;
}

/* Reorders a canonical list. False where it is none. */
bool weir_names_from_labels(const uint8_t *labels, size_t size, struct weir_names_list *list);
/* The canonical list: at most WEIR_LABELS_BYTES_MAX bytes. */
size_t weir_names_to_labels(const struct weir_names_list *list, uint8_t *labels);

/* Appends a series; before: NULL at the begin of a group. */
uint8_t *weir_names_encode(const struct weir_names_list *list, const struct weir_names_list *before,
    uint8_t *out);
bool weir_names_decode(struct weir_index_cursor *cursor, const struct weir_names_list *before,
    struct weir_names_list *list);

/* The list of such bytes, which came from a list. */
void weir_names_from_bytes(const uint8_t *bytes, size_t size, struct weir_names_list *list);

/* (metric, labels) order of lists' bytes. */
int weir_names_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

#endif
