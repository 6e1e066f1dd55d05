/* label_index: definitions in memory, and postings from label to series.
 *
 * Threads: its reader's
 * Memory:  bytes of labels once, 8 bytes a series and 11 to 22 to find equal ones, 4 bytes a series
 *          and label in postings, about 56 bytes a distinct label; grows, never shrinks
 * Errors:  WEIR_NOMEM leaves the index as it was
 * Limits:  2^32 series
 */
#ifndef WEIR_STORAGE_READ_LABEL_INDEX_H
#define WEIR_STORAGE_READ_LABEL_INDEX_H

#include "base/err.h"
#include "storage/read/aliases.h"
#include "storage/reader.h"

struct weir_label_index;

enum weir_err weir_label_index_new(struct weir_label_index **out) WEIR_MUST_USE;
void weir_label_index_free(struct weir_label_index *index);

uint64_t weir_label_index_count(const struct weir_label_index *index);
/* Adds the definition of the next series. WEIR_CORRUPT for labels that do not parse: the number
 * is then taken, with no labels. WEIR_NOMEM, WEIR_LIMIT: nothing has changed. */
enum weir_err weir_label_index_add(struct weir_label_index *index, const uint8_t *labels,
    size_t size) WEIR_MUST_USE;
/* Adds the next series under the name that recovery gives to one whose definition was damaged. */
enum weir_err weir_label_index_add_lost(struct weir_label_index *index) WEIR_MUST_USE;
void weir_label_index_labels(const struct weir_label_index *index, uint64_t number,
    const uint8_t **labels, size_t *size);
/* Numbers whose labels are those of an earlier one. */
const struct weir_aliases *weir_label_index_aliases(const struct weir_label_index *index);
/* As weir_reader_select. */
enum weir_err weir_label_index_select(const struct weir_label_index *index,
    const struct weir_match *matches, size_t count, uint64_t **numbers, size_t *number_count)
    WEIR_MUST_USE;

#endif
