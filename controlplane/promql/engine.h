/* engine: one PromQL query, from its text to its answer.
 *
 * Threads: any, a request each; the source says whether it may be shared
 * Memory:  an answer and everything that made it is in arenas bounded by memory_max; run takes them
 *          and weir_promql_answer_free gives them back
 * Errors:  the text in the answer is the reference's, with its position where it has one:
 *          WEIR_INVALID     the text is no query, or (`ran`) not one for these data
 *          WEIR_LIMIT       a limit of the request was reached
 *          WEIR_UNSUPPORTED the query met a native histogram, or a function that is not there
 *          WEIR_NOMEM       without memory, or at memory_max
 *          WEIR_IO          the source's, with a detail
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_ENGINE_H
#define WEIR_CONTROLPLANE_PROMQL_ENGINE_H

#include "controlplane/promql/scan/row.h"
#include "controlplane/promql/source.h"

/* Error text of a query that met a native histogram. */
#define WEIR_PROMQL_HISTOGRAM_TEXT "native histograms are not supported yet"

/* Whether a query may go on. */
enum weir_promql_verdict {
    WEIR_PROMQL_GO_ON,
    WEIR_PROMQL_CANCELED, /* nobody waits for its answer */
    WEIR_PROMQL_TIMED_OUT,
};

struct weir_promql_request {
    const char *text;
    size_t size;
    int64_t start_ms, end_ms;
    int64_t step_ms;          /* 0: an instant query at start_ms */
    int64_t lookback_ms;      /* greatest age of a sample that is a series' value: 300000 */
    int64_t subquery_step_ms; /* of subqueries that name none: 60000 */
    size_t memory_max;
    uint64_t samples_max; /* read in all; 0: no limit */
    const struct weir_promql_source *source;
    /* Asked about once a millisecond while the query runs; NULL: it always goes on. */
    enum weir_promql_verdict (*verdict)(void *state);
    void *verdict_state;
};

/* One series of an answer. A row of steps has a value where its bit in present is set; points have
 * times of their own. */
struct weir_promql_result {
    const struct weir_promql_labelset *labels;
    const double *values;
    const uint64_t *present; /* of steps; NULL for points */
    const int64_t *times_ms; /* of points; NULL for steps */
    uint32_t count;          /* steps or points */
};

struct weir_promql_annotation {
    const char *text; /* "PromQL warning: ... (1:6)" */
    uint32_t bare;    /* bytes of it before the place; one of equal ones is kept */
    bool is_info;
    struct weir_promql_annotation *next;
};

struct weir_promql_answer {
    enum weir_promql_type type; /* a range query answers MATRIX */
    struct weir_promql_grid grid;
    double scalar;                            /* SCALAR */
    struct weir_promql_text string;           /* STRING */
    const struct weir_promql_result *results; /* VECTOR: in their order; MATRIX: by labels */
    uint32_t result_count;
    struct weir_promql_annotation *annotations; /* in the order they came */
    uint32_t warning_count, info_count;
    const char *error; /* unless WEIR_OK; NULL after WEIR_NOMEM and WEIR_IO */
    enum weir_promql_verdict verdict; /* that ended the query, with WEIR_LIMIT */
    bool ran;          /* it was parsed and prepared: what failed is its execution */
    uint64_t samples_read;
    bool over_memory; /* with WEIR_NOMEM: memory_max was reached */
    struct weir_promql_arena arena;
};

/* The answer is to be freed whatever comes back. */
enum weir_err weir_promql_run(
    const struct weir_promql_request *request, struct weir_promql_answer *out) WEIR_MUST_USE;
/* Copies the answer's results and annotations to memory of their own, and gives back all that made
 * them. The answer stays as it is where memory is short: WEIR_NOMEM. */
enum weir_err weir_promql_answer_compact(struct weir_promql_answer *answer) WEIR_MUST_USE;
void weir_promql_answer_free(struct weir_promql_answer *answer);

#endif
