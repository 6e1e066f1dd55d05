/* judge: whether an answer is the one that a case expects, as the reference's runner decides:
 * values within a relative 1e-6, series in any order unless "expect ordered", annotations by text.
 *
 * Threads: one
 * Memory:  messages in the caller's arena
 * Errors:  WEIR_INVALID: it is not; *why says so. WEIR_NOMEM
 */
#ifndef WEIR_TESTS_PROMQL_JUDGE_H
#define WEIR_TESTS_PROMQL_JUDGE_H

#include "controlplane/promql/engine.h"
#include "tests/promql/script.h"

struct judge {
    struct weir_promql_arena *arena;
    const struct script_eval *eval;
    const char *why; /* after WEIR_INVALID */
};

/* The answer of a query that went well: annotations and values. */
enum weir_err judge_answer(
    struct judge *judge, const struct weir_promql_answer *answer) WEIR_MUST_USE;
/* One step of a range query's answer against what an instant query expects. */
enum weir_err judge_step(struct judge *judge, const struct weir_promql_answer *answer,
    enum weir_promql_type type, uint32_t step) WEIR_MUST_USE;
/* The warnings and infos alone. */
enum weir_err judge_annotations(
    struct judge *judge, const struct weir_promql_answer *answer) WEIR_MUST_USE;
/* The error of a query that failed. */
enum weir_err judge_failure(struct judge *judge, const char *error) WEIR_MUST_USE;

bool judge_expects(const struct script_eval *eval, enum script_check_kind kind);
/* Whether the two are the same value within the tolerance; NaN equals NaN. */
bool judge_almost_equal(double a, double b);

#endif
