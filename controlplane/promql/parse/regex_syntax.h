/* regex_syntax: whether a matcher's regular expression is one of RE2's, and whether it matches the
 * empty text. The search itself is not here.
 *
 * The syntax is https://github.com/google/re2/wiki/Syntax as the reference takes it: Perl classes,
 * non-greedy repetition, named groups, flags, \Q...\E, \p{..}; at most 1,000 repetitions.
 *
 * Threads: any; no state
 * Memory:  messages in the arena
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_REGEX_SYNTAX_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_REGEX_SYNTAX_H

#include "controlplane/promql/parse/go_text.h"

/* Groups in groups: beyond it the expression is refused as too deep, as the reference does. */
#define WEIR_PROMQL_REGEX_DEPTH_MAX 1000

/* *matches_empty: the whole expression matches "". *problem is NULL, or the message, which begins
 * "error parsing regexp: ". WEIR_NOMEM. */
enum weir_err weir_promql_regex_check(struct weir_promql_arena *arena,
    struct weir_promql_text pattern, bool *matches_empty, const char **problem) WEIR_MUST_USE;

#endif
