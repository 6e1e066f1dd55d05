/* index_matcher: a matcher as the files of this folder use it.
 *
 * A matcher's expression (its value, without its negation) is one of
 *
 *   literals    a sorted set of values
 *   prefix      every value that begins with the prefix and has `more` bytes after it at least
 *   pattern     values that begin with the prefix and that the regular expression matches
 */
#ifndef WEIR_STORAGE_INDEX_MATCHER_H
#define WEIR_STORAGE_INDEX_MATCHER_H

#include "base/regex/regex.h"
#include "storage/index/match.h"

enum weir_matcher_form { WEIR_MATCHER_LITERALS, WEIR_MATCHER_PREFIX, WEIR_MATCHER_PATTERN };

struct weir_match_text {
    const char *data;
    size_t size;
};

struct weir_matcher {
    struct weir_match_text name;
    bool negated;
    bool takes_empty; /* the expression has the empty value */
    enum weir_matcher_form form;
    struct weir_match_text *literals; /* sorted by bytes, each once, none empty */
    size_t literal_count;
    struct weir_match_text prefix; /* "" for none */
    size_t more;
    struct weir_regex *regex; /* of a pattern, else NULL */
    char *memory;             /* of all texts */
};

struct weir_index_matchers {
    size_t count;
    struct weir_matcher list[];
};

/* Whether the expression has this value, which may be empty; the negation does not count. */
enum weir_err weir_matcher_has(const struct weir_matcher *matcher, const void *value, size_t size,
    bool *out) WEIR_MUST_USE;

/* What a regular expression stands for, if it is simple: fills in form, literals, prefix, more and
 * takes_empty. The prefix is found of any. WEIR_NOMEM. */
enum weir_err weir_pattern_analyze(const char *pattern, size_t size, struct weir_matcher *out)
    WEIR_MUST_USE;

#endif
