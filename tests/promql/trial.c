#include "tests/promql/trial.h"
#include "tests/promql/judge.h"

#include <string.h>

#define MEMORY_MAX (256 * 1024 * 1024)
#define MINUTE_MS 60000

struct run {
    struct weir_promql_arena *arena;
    const struct weir_promql_source *source;
    const struct script_eval *eval;
    struct trial *trial;
    struct weir_promql_text query; /* as written, or pinned */
    int64_t at_ms;
};

static enum weir_err
end(struct run *run, enum trial_outcome outcome, const char *why)
{
    run->trial->outcome = outcome;
    run->trial->why = why;
    return why == NULL && outcome == TRIAL_FAILED ? WEIR_NOMEM : WEIR_OK;
}

/* Ends the trial with the judge's word, and the query that it is about. */
static enum weir_err
conclude(struct run *run, const struct judge *judge, enum weir_err err)
{
    if (err != WEIR_INVALID)
        return err;
    return end(run, TRIAL_FAILED,
        weir_promql_format(run->arena, "%s [%.*s at %lld ms]", judge->why, (int)run->query.size,
            run->query.data, (long long)run->at_ms));
}

static struct weir_promql_request
request_of(const struct run *run)
{
    return (struct weir_promql_request){.text = run->query.data,
        .size = run->query.size,
        .start_ms = run->at_ms,
        .end_ms = run->at_ms,
        .lookback_ms = 5 * MINUTE_MS,
        .subquery_step_ms = MINUTE_MS,
        .memory_max = MEMORY_MAX,
        .source = run->source};
}

/* Runs a request. *went_well: answer is there to be judged; else the trial has ended or the failure
 * was the expected one. */
static enum weir_err
execute(struct run *run, const struct weir_promql_request *request,
    struct weir_promql_answer *answer, bool *went_well)
{
    struct judge judge = {run->arena, run->eval, NULL};
    enum weir_err err = weir_promql_run(request, answer);
    *went_well = err == WEIR_OK;
    if (err == WEIR_NOMEM)
        return err;
    const char *error = answer->error == NULL ? weir_err_text(err) : answer->error;
    if (err == WEIR_UNSUPPORTED && strcmp(error, WEIR_PROMQL_HISTOGRAM_TEXT) == 0)
        return end(run, TRIAL_SKIPPED, NULL);
    if (err != WEIR_OK)
        return conclude(run, &judge, judge_failure(&judge, error));
    if (!judge_expects(run->eval, SCRIPT_FAIL))
        return WEIR_OK;
    *went_well = false;
    judge.why = "a failure was expected";
    return conclude(run, &judge, WEIR_INVALID);
}

static enum weir_err
run_range(struct run *run)
{
    struct weir_promql_request request = request_of(run);
    struct weir_promql_answer answer;
    struct judge judge = {run->arena, run->eval, NULL};
    bool went_well;
    request.end_ms = run->eval->end_ms;
    request.step_ms = run->eval->step_ms;
    enum weir_err err = execute(run, &request, &answer, &went_well);
    if (err == WEIR_OK && went_well)
        err = conclude(run, &judge, judge_answer(&judge, &answer));
    weir_promql_answer_free(&answer);
    return err;
}

/* The query from a minute before to a minute after: its middle step. */
static enum weir_err
run_around(struct run *run, enum weir_promql_type type)
{
    struct weir_promql_request request = request_of(run);
    struct weir_promql_answer answer;
    struct judge judge = {run->arena, run->eval, NULL};
    bool went_well;
    request.start_ms -= MINUTE_MS;
    request.end_ms += MINUTE_MS;
    request.step_ms = MINUTE_MS;
    enum weir_err err = execute(run, &request, &answer, &went_well);
    if (err == WEIR_OK && went_well && !judge_expects(run->eval, SCRIPT_ORDERED))
        err = conclude(run, &judge, judge_step(&judge, &answer, type, 1));
    weir_promql_answer_free(&answer);
    return err;
}

/* Whether the query asks for the bounds of its own range. */
static bool
asks_for_bounds(struct weir_promql_text query)
{
    static const char *const calls[] = {"start()", "end()", "range()", "step()"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (memmem(query.data, query.size, calls[i], strlen(calls[i])) != NULL)
            return true;
    return false;
}

static enum weir_err
run_instant(struct run *run)
{
    struct weir_promql_request request = request_of(run);
    struct weir_promql_answer answer;
    struct judge judge = {run->arena, run->eval, NULL};
    bool went_well;
    enum weir_err err = execute(run, &request, &answer, &went_well);
    if (err == WEIR_OK && went_well)
        err = conclude(run, &judge, judge_answer(&judge, &answer));
    enum weir_promql_type type = answer.type;
    weir_promql_answer_free(&answer);
    bool again = err == WEIR_OK && went_well && run->trial->outcome == TRIAL_PASSED &&
        !run->eval->expects_points && !run->eval->expects_string && !asks_for_bounds(run->query);
    return again ? run_around(run, type) : err;
}

/* Pins selectors and subqueries to a time, but for those inside of a subquery. False where the
 * value depends on the time all the same. */
static bool pin(struct weir_promql_node *node, int64_t at_ms);

static void
pin_shift(struct weir_promql_shift *shift, int64_t at_ms)
{
    if (shift->at_set)
        return;
    shift->at_set = true;
    shift->at_ms = at_ms;
    shift->edge = WEIR_PROMQL_EOF;
}

static bool
pin_all(const struct weir_promql_list *list, int64_t at_ms)
{
    bool fixed = true;
    for (uint32_t i = 0; i < list->count; i++)
        fixed = pin(list->nodes[i], at_ms) && fixed;
    return fixed;
}

static bool
pin_two(struct weir_promql_node *first, struct weir_promql_node *second, int64_t at_ms)
{
    bool fixed = first == NULL || pin(first, at_ms);
    return (second == NULL || pin(second, at_ms)) && fixed;
}

static bool
pin(struct weir_promql_node *node, int64_t at_ms)
{
    switch (node->kind) {
    case WEIR_PROMQL_NODE_VECTOR:
        pin_shift(&node->vector.shift, at_ms);
        return true;
    case WEIR_PROMQL_NODE_MATRIX:
        return pin(node->matrix.vector, at_ms);
    case WEIR_PROMQL_NODE_SUBQUERY:
        pin_shift(&node->subquery.shift, at_ms);
        return true;
    case WEIR_PROMQL_NODE_CALL:
        return pin_all(&node->call.arguments, at_ms) &&
            (node->call.function->flags & WEIR_PROMQL_VARIES) == 0;
    case WEIR_PROMQL_NODE_AGGREGATE:
        return pin_two(node->aggregate.inner, node->aggregate.parameter, at_ms);
    case WEIR_PROMQL_NODE_BINARY:
        return pin_two(node->binary.left, node->binary.right, at_ms);
    case WEIR_PROMQL_NODE_UNARY:
        return pin(node->unary.inner, at_ms);
    case WEIR_PROMQL_NODE_PAREN:
        return pin(node->paren, at_ms);
    default:
        return true;
    }
}

/* The query with its selectors pinned; *out empty where it cannot be. */
static enum weir_err
pinned_query(struct run *run, struct weir_promql_text *out)
{
    struct weir_promql_parsed parsed;
    *out = (struct weir_promql_text){"", 0};
    enum weir_err err = weir_promql_parse(run->arena, run->query.data, run->query.size, &parsed);
    if (err != WEIR_OK)
        return err == WEIR_NOMEM ? err : WEIR_OK;
    return pin(parsed.root, run->at_ms) ? weir_promql_print(run->arena, parsed.root, out) : WEIR_OK;
}

static enum weir_err
run_pinned(struct run *run)
{
    const int64_t at_ms = run->at_ms;
    int64_t times[] = {-10 * at_ms, 0, at_ms / 5, at_ms, 10 * at_ms};
    size_t count = 5;
    if (at_ms == 0) {
        times[0] = -1000;
        times[2] = 1000;
        count = 3;
    }
    struct weir_promql_text query;
    enum weir_err err = pinned_query(run, &query);
    if (query.size == 0)
        return err;
    run->query = query;
    for (size_t i = 0; err == WEIR_OK && i < count; i++) {
        run->at_ms = times[i];
        err = run->trial->outcome == TRIAL_PASSED ? run_instant(run) : WEIR_OK;
    }
    return err;
}

enum weir_err
trial_run(struct weir_promql_arena *arena, const struct weir_promql_source *source,
    const struct script_eval *eval, struct trial *out)
{
    *out = (struct trial){TRIAL_PASSED, NULL};
    struct run run = {arena, source, eval, out, eval->query, eval->start_ms};
    if (eval->is_range)
        return run_range(&run);
    /* expected points lie at times of their own; the pinned queries look from their end */
    if (eval->expects_points)
        run.at_ms = eval->points_end_ms;
    enum weir_err err = run_instant(&run);
    return err == WEIR_OK && out->outcome == TRIAL_PASSED ? run_pinned(&run) : err;
}
