/* regex: regular expressions over whole values; RE2 with an interface in C.
 *
 * Syntax: https://github.com/google/re2/wiki/Syntax; a dot matches a newline, text is UTF-8.
 *
 * Threads: new and free from one; the rest from any
 * Memory:  at most WEIR_REGEX_MEMORY_MAX bytes an expression, on the heap
 * Errors:  WEIR_INVALID for an expression that is none, or whose program would be too large, with
 *          the reason as detail; WEIR_NOMEM
 */
#ifndef WEIR_BASE_REGEX_REGEX_H
#define WEIR_BASE_REGEX_REGEX_H

#include <stdbool.h>
#include <stddef.h>

/* RE2 gives two thirds of it to the program and the rest to states it keeps; where those do not
 * fit, it searches more slowly without them. */
#define WEIR_REGEX_MEMORY_MAX (8 * 1024 * 1024)
/* Groups whose places are reported: the whole match and those numbered up to 31. */
#define WEIR_REGEX_GROUPS_MAX 32

#ifdef __cplusplus
extern "C" {
#endif

#include "base/err.h"

struct weir_regex;

/* A part of the text; data is NULL where the group took no part in the match. */
struct weir_regex_part {
    const char *data;
    size_t size;
};

enum weir_err weir_regex_new(const char *pattern, size_t size, struct weir_regex **out)
    WEIR_MUST_USE;
/* NULL is allowed. */
void weir_regex_free(struct weir_regex *regex);

/* Whether all of text matches. WEIR_NOMEM. */
enum weir_err weir_regex_matches(const struct weir_regex *regex, const char *text, size_t size,
    bool *out) WEIR_MUST_USE;
/* The same, and the parts that the groups matched: parts[0] is the whole. Groups beyond those of
 * the expression have no part. WEIR_NOMEM. */
enum weir_err weir_regex_parts(const struct weir_regex *regex, const char *text, size_t size,
    struct weir_regex_part parts[WEIR_REGEX_GROUPS_MAX], bool *out) WEIR_MUST_USE;
/* Number of the group (?P<name>...); -1 where there is none. */
int weir_regex_group(const struct weir_regex *regex, const char *name, size_t size);

#ifdef __cplusplus
}
#endif

#endif
