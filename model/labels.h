/* labels: the canonical form of a series' identity, and the list of definitions.
 *
 * A series is a set of labels; its metric name is the label __name__. The canonical form is
 *
 *   | u16 name size | u16 value size | name | value |  ...  one record a label
 *
 * little-endian, sorted by name (bytewise), names unique, values not empty. Two series are the
 * same exactly where these bytes are.
 *
 * A definition list, as batches and frames carry it, is
 *
 *   | u32 size of labels | labels |  ...  series numbers ascend by one from the first
 *
 * Threads: any; no state
 * Limits:  WEIR_LABELS_COUNT_MAX labels, WEIR_LABELS_BYTES_MAX bytes of canonical form
 */
#ifndef WEIR_MODEL_LABELS_H
#define WEIR_MODEL_LABELS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_TAGS_COUNT_MAX 64 /* labels beside the name */
#define WEIR_LABELS_COUNT_MAX (WEIR_TAGS_COUNT_MAX + 1)
#define WEIR_LABELS_BYTES_MAX 8192
#define WEIR_NAME_LABEL "__name__"
/* Metric name of series whose definition damage has taken. No sender may use it. */
#define WEIR_LOST_NAME "weir_lost_definition"
#define WEIR_LOST_LABELS_MAX 64 /* bytes of the labels of such a series */

struct weir_label {
    const uint8_t *name; /* borrowed */
    const uint8_t *value;
    uint16_t name_size;
    uint16_t value_size;
};

/* Sorts labels by name, as the canonical form has them. */
void weir_labels_sort(struct weir_label *labels, size_t count);

/* Sorts labels in place and writes the canonical form to out (WEIR_LABELS_BYTES_MAX bytes).
 * Errors: WEIR_INVALID two labels of one name, or an empty name or value; WEIR_LIMIT too many or
 * too large. */
enum weir_err weir_labels_encode(struct weir_label *labels, size_t count, uint8_t *out,
    size_t *size) WEIR_MUST_USE;

/* Reads the label at *at and moves *at past it. The bytes may come from disk.
 * Returns WEIR_OK, WEIR_END at size, or WEIR_CORRUPT where a record runs past size. */
enum weir_err weir_labels_next(const uint8_t *labels, size_t size, size_t *at,
    struct weir_label *out) WEIR_MUST_USE;

/* Finds one label by name. False where it is not there. */
bool weir_labels_find(const uint8_t *labels, size_t size, const char *name,
    struct weir_label *out);

/* Is the metric name one that only the log gives? weir_err_detail() says so then. */
bool weir_labels_reserved(const uint8_t *labels, size_t size);

/* Labels of series `number` whose definition damage has taken:
 * {__name__="weir_lost_definition", number="NUMBER"}, in canonical form. */
void weir_labels_lost(uint64_t number, uint8_t out[WEIR_LOST_LABELS_MAX], size_t *size);
/* Are they the labels that weir_labels_lost gives to this number? */
bool weir_labels_are_lost(uint64_t number, const uint8_t *labels, size_t size);

/* Appends one definition to a list of *used bytes. WEIR_FULL where capacity does not hold it. */
enum weir_err weir_definition_append(uint8_t *list, size_t capacity, size_t *used,
    const uint8_t *labels, size_t size) WEIR_MUST_USE;

/* Reads the definition at *at of a list of size bytes and moves *at past it.
 * Returns WEIR_OK, WEIR_END, or WEIR_CORRUPT. */
enum weir_err weir_definition_next(const uint8_t *list, size_t size, size_t *at,
    const uint8_t **labels, size_t *labels_size) WEIR_MUST_USE;

#endif
