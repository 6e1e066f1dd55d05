/* mutate: a case with one thing of what it expects altered: a value, a label or a text. A runner
 * that does not catch it would not notice a wrong answer either.
 *
 * Threads: one
 * Memory:  the caller's arena; the case itself stays as it is
 * Errors:  WEIR_NOMEM
 */
#ifndef WEIR_TESTS_PROMQL_MUTATE_H
#define WEIR_TESTS_PROMQL_MUTATE_H

#include "tests/promql/script.h"

/* number decides which of the things that it has is altered. */
enum weir_err mutate_eval(struct weir_promql_arena *arena, const struct script_eval *eval,
    uint64_t number, struct script_eval *out) WEIR_MUST_USE;

#endif
