/* matcher: matchers of a selector made ready to be asked of many series.
 *
 * Threads: new and free from one; match from any
 * Memory:  the arena; regular expressions on the heap until free
 * Errors:  WEIR_NOMEM; WEIR_INVALID for an expression that RE2 refuses, with a detail
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_MATCHER_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_MATCHER_H

#include "controlplane/promql/source.h"

struct weir_promql_matchers;

enum weir_err weir_promql_matchers_new(struct weir_promql_arena *arena,
    const struct weir_promql_matcher *matchers, uint32_t count,
    struct weir_promql_matchers **out) WEIR_MUST_USE;
/* Gives back the regular expressions. NULL is allowed. */
void weir_promql_matchers_free(struct weir_promql_matchers *matchers);
/* Whether a series passes all of them. A label that is not there has the empty value. */
enum weir_err weir_promql_matchers_match(const struct weir_promql_matchers *matchers,
    const struct weir_promql_label *labels, uint32_t count, bool *out) WEIR_MUST_USE;

#endif
