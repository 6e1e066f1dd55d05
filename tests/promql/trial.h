/* trial: a case run over loaded series: its query, and the queries that must answer the same.
 *
 * An instant query at T is run at T; then, unless a function of it looks at the time, with every
 * selector pinned to T by @ at five other times; and each of these again as a range query around
 * its time, whose middle step counts.
 *
 * Threads: one
 * Memory:  the caller's arena, and the engine's
 */
#ifndef WEIR_TESTS_PROMQL_TRIAL_H
#define WEIR_TESTS_PROMQL_TRIAL_H

#include "controlplane/promql/source.h"
#include "tests/promql/script.h"

enum trial_outcome {
    TRIAL_PASSED,
    TRIAL_FAILED,
    TRIAL_SKIPPED, /* the engine met a native histogram */
};

struct trial {
    enum trial_outcome outcome;
    const char *why; /* FAILED */
};

/* WEIR_NOMEM. */
enum weir_err trial_run(struct weir_promql_arena *arena, const struct weir_promql_source *source,
    const struct script_eval *eval, struct trial *out) WEIR_MUST_USE;

#endif
