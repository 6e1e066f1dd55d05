/* index_delta: up to 65,536 series in memory, found by their labels while more are added.
 *
 *   slots --> term (name, value) --> numbers, ascending: two in the term, then chunks
 *         --> term (name, "")    --> list of the name's values
 *
 * The writer publishes a series by the count (release), after its labels and postings. A reader
 * loads the count first (acquire): everything of the series below it is then there, and what is
 * above it is passed over. Terms and chunks never move and go with the delta.
 *
 * Threads: one writer; any number of readers
 * Memory:  on the heap: 1 MiB, 15 bytes a series beside its labels, 2 to 3 bytes a label, 72 bytes
 *          and a slot a distinct label
 * Errors:  WEIR_NOMEM: nothing has changed
 */
#ifndef WEIR_STORAGE_INDEX_DELTA_H
#define WEIR_STORAGE_INDEX_DELTA_H

#include "base/hash.h"
#include "storage/index/index.h"
#include "storage/index/matcher.h"
#include "storage/index/names.h"
#include "storage/index/ordinals.h"

#include <stdatomic.h>

#define WEIR_DELTA_SERIES 65536

struct weir_delta;
struct weir_delta_term;

/* key: for what senders chose; kept. first_number: of the range, a multiple of
 * WEIR_DELTA_SERIES. */
enum weir_err weir_delta_new(const struct weir_hash_key *key, uint64_t first_number,
    struct weir_delta **out) WEIR_MUST_USE;
void weir_delta_free(struct weir_delta *delta);
uint64_t weir_delta_first_number(const struct weir_delta *delta);

/* Adds the series of a number in its range; numbers ascend by one from the first one added. */
enum weir_err weir_delta_add(struct weir_delta *delta, const struct weir_index_series *series)
    WEIR_MUST_USE;

/* Numbers (from first_number) of the series that are there: from .. until - 1. */
struct weir_delta_span {
    uint32_t from;
    uint32_t until;
};
struct weir_delta_span weir_delta_span(const struct weir_delta *delta);

/* Of a series in the span. labels->labels are in the form of storage/index/names.h. */
void weir_delta_series(const struct weir_delta *delta, uint32_t at, struct weir_index_series *out);

/* Brings numbers of the span into (metric, labels) order, by merging. WEIR_NOMEM. */
enum weir_err weir_delta_sort(const struct weir_delta *delta, uint32_t *numbers, size_t count)
    WEIR_MUST_USE;

/* Terms: the one of a name is that with an empty value. NULL where there is none. */
const struct weir_delta_term *weir_delta_find(const struct weir_delta *delta, const void *name,
    size_t name_size, const void *value, size_t value_size);
/* The values of a name, in no order: first, and the next of each. */
const struct weir_delta_term *weir_delta_first_value(const struct weir_delta_term *name);
const struct weir_delta_term *weir_delta_next_value(const struct weir_delta_term *value);
/* The names, in no order. */
const struct weir_delta_term *weir_delta_first_name(const struct weir_delta *delta);
const struct weir_delta_term *weir_delta_next_name(const struct weir_delta_term *name);
void weir_delta_term_label(const struct weir_delta_term *term, struct weir_label *out);
/* Adds the numbers of a term that are below until. */
void weir_delta_term_add(const struct weir_delta_term *term, uint32_t until,
    struct weir_ordinals *set);
/* Has the set one of them? */
bool weir_delta_term_meets(const struct weir_delta_term *term, uint32_t until,
    const struct weir_ordinals *set);

/* The series of the span that meet matchers: out = reader's set, two others are scratch. */
enum weir_err weir_delta_match(const struct weir_delta *delta, struct weir_delta_span span,
    const struct weir_index_matchers *matchers, struct weir_index_range range,
    struct weir_ordinals sets[3]) WEIR_MUST_USE;

#endif
