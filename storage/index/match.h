/* index_match: matchers on labels as PromQL has them, made ready for one query.
 *
 * A series without a label has the empty value. Regular expressions match whole values, and a dot
 * matches a newline (base/regex). Those that stand for a few literals are kept as a set, those that
 * begin with a literal are searched in that range of the dictionary alone.
 *
 * Threads: read-only once made
 * Memory:  on the heap, freed by weir_index_matchers_free
 * Errors:  WEIR_INVALID for an expression that is none; WEIR_NOMEM
 */
#ifndef WEIR_STORAGE_INDEX_MATCH_H
#define WEIR_STORAGE_INDEX_MATCH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_index_match_kind {
    WEIR_INDEX_EQUAL,
    WEIR_INDEX_NOT_EQUAL,
    WEIR_INDEX_REGEX,
    WEIR_INDEX_NOT_REGEX,
};

struct weir_index_match {
    const char *name; /* neither is zero terminated */
    size_t name_size;
    const char *value;
    size_t value_size;
    enum weir_index_match_kind kind;
};

struct weir_index_matchers;
/* Borrows nothing after it returns. count 0: every series. */
enum weir_err weir_index_matchers_new(const struct weir_index_match *matches, size_t count,
    struct weir_index_matchers **out) WEIR_MUST_USE;
void weir_index_matchers_free(struct weir_index_matchers *matchers);

#endif
