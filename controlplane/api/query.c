#include "controlplane/api/query.h"

#include "base/clock.h"
#include "controlplane/api/answer.h"
#include "controlplane/api/param.h"
#include "controlplane/api/quoted_name.h"
#include "controlplane/promql/parse/parse.h"
#include "controlplane/query/source_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_SIZE 1024
#define NS_PER_MS INT64_C(1000000)
#define SIMPLE_RANGE_MS 3600000
#define SIMPLE_STEP_MS 60000

/* A query under way, and its answer while a client reads it. */
struct run {
    struct weir_stream stream; /* first: the run is freed as one */
    struct weir_answer_cursor cursor;
    struct weir_call *call; /* NULL once it has ended */
    struct weir_promql_request request;
    struct weir_promql_answer answer;
    struct weir_source_reader source;
    struct weir_answer_options options;
    bool own_timeout; /* the parameter is shorter than the setting */
    uint64_t corrupt_before;
    char warning[WEIR_CALL_WARNING_MAX]; /* the call's */
    char damage[64];
};

static enum weir_promql_verdict
verdict(void *state)
{
    switch (weir_call_check_silently(state)) {
    case WEIR_OK:
        return WEIR_PROMQL_GO_ON;
    case WEIR_END:
        return WEIR_PROMQL_CANCELED;
    default:
        return WEIR_PROMQL_TIMED_OUT;
    }
}

/* Parameters of both paths: query, timeout, lookback_delta, limit, stats. */
static bool
read_common(struct run *run)
{
    struct weir_call *call = run->call;
    const struct weir_param *text = weir_param_find(call, "query");
    int64_t timeout_ms = call->limits->timeout_ms;
    uint64_t limit;
    run->request = (struct weir_promql_request){.text = text != NULL ? text->value : "",
        .size = text != NULL ? text->value_size : 0,
        .lookback_ms = WEIR_API_LOOKBACK_MS, .subquery_step_ms = WEIR_API_SUBQUERY_STEP_MS,
        .memory_max = call->limits->memory_max / 2, .samples_max = call->limits->samples_max,
        .source = &run->source.source, .verdict = verdict, .verdict_state = call};
    if (!weir_param_duration(call, "timeout", false, &timeout_ms) ||
        !weir_param_duration(call, "lookback_delta", false, &run->request.lookback_ms) ||
        !weir_param_limit(call, &limit))
        return false;
    if (run->request.lookback_ms <= 0) {
        weir_param_refuse(call, "lookback_delta", "it must be more than 0");
        return false;
    }
    if (timeout_ms < call->limits->timeout_ms) {
        run->own_timeout = true;
        call->deadline_ns -= (call->limits->timeout_ms - timeout_ms) * NS_PER_MS;
    }
    run->options.series_max = limit < UINT32_MAX ? (uint32_t)limit : 0;
    run->options.stats = weir_param_find(call, "stats") != NULL;
    return true;
}

/* needed: as Prometheus has it; else start and end are the last hour, and step is a minute, unless
 * they are given. */
static bool
read_range(struct run *run, bool needed)
{
    struct weir_call *call = run->call;
    struct weir_promql_request *request = &run->request;
    int64_t span_ms;
    request->end_ms = call->now_ms;
    request->step_ms = SIMPLE_STEP_MS;
    if (!weir_param_time(call, "start", needed, &request->start_ms) ||
        !weir_param_time(call, "end", needed, &request->end_ms))
        return false;
    if (weir_param_find(call, "start") == NULL)
        request->start_ms = request->end_ms - SIMPLE_RANGE_MS;
    if (request->end_ms < request->start_ms) {
        weir_param_refuse(call, "end", "end timestamp must not be before start time");
        return false;
    }
    if (!weir_param_duration(call, "step", needed, &request->step_ms))
        return false;
    if (request->step_ms <= 0) {
        weir_param_refuse(call, "step",
            "zero or negative query resolution step widths are not accepted. Try a positive "
            "integer");
        return false;
    }
    span_ms = request->end_ms - request->start_ms;
    if (span_ms / request->step_ms > WEIR_API_POINTS_MAX) {
        weir_call_fail_kind(call, WEIR_ERROR_BAD_DATA,
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
            "resolution (?step=XX)", NULL);
        return false;
    }
    return true;
}

/* Byte of line:column, which an error begins with. */
static size_t
place_of(const char *error, const char *text, size_t size)
{
    unsigned line = 1, column = 1;
    size_t at = 0;
    if (sscanf(error, "%u:%u:", &line, &column) != 2)
        return 0;
    for (unsigned i = 1; i < line && at < size; at++)
        i += text[at] == '\n';
    return at + column - 1;
}

/* The text is no query, or not one that these parameters allow. */
static void
fail_query(struct run *run)
{
    const struct weir_promql_request *request = &run->request;
    const char *error = run->answer.error != NULL ? run->answer.error : weir_err_detail();
    char message[MESSAGE_SIZE], hint[WEIR_QUOTED_NAME_HINT_MAX];
    size_t at = place_of(error, request->text, request->size);
    bool quoted = strstr(error, "parse error") != NULL &&
        weir_quoted_name_hint(request->text, request->size, at, hint);
    snprintf(message, sizeof message, "invalid parameter \"query\": %s", error);
    weir_call_fail_kind(run->call, WEIR_ERROR_BAD_DATA, message, quoted ? hint : NULL);
}

static void
fail_timeout(struct run *run)
{
    char message[MESSAGE_SIZE];
    if (run->own_timeout)
        snprintf(message, sizeof message,
            "query timed out in expression evaluation; the limit is the parameter timeout");
    else
        snprintf(message, sizeof message, "query timed out in expression evaluation; the limit is "
            "query.timeout = %" PRIu32 "ms", run->call->limits->timeout_ms);
    weir_call_fail_kind(run->call, WEIR_ERROR_TIMEOUT, message, NULL);
}

/* What failed while the query ran. */
static void
fail_run(struct run *run, enum weir_err err)
{
    struct weir_call *call = run->call;
    const struct weir_promql_answer *answer = &run->answer;
    enum weir_err stopped = weir_call_check_silently(call);
    if (stopped == WEIR_END)
        weir_call_fail_kind(call, WEIR_ERROR_CANCELED,
            "query was canceled in expression evaluation", NULL);
    else if (stopped == WEIR_LIMIT)
        fail_timeout(run);
    else if (err == WEIR_NOMEM && answer->over_memory)
        weir_call_limit(call, "query.memory_max", call->limits->memory_max,
            "the query needs more memory: ask for a shorter range, fewer series or less detail");
    else if (err == WEIR_NOMEM)
        weir_call_fail_kind(call, WEIR_ERROR_UNAVAILABLE, "not enough memory for this query", NULL);
    else if (err == WEIR_LIMIT && answer->samples_read > call->limits->samples_max)
        weir_call_limit(call, "query.samples_max", call->limits->samples_max, "%s", answer->error);
    else if (answer->error != NULL)
        weir_call_fail_kind(call, WEIR_ERROR_EXECUTION, answer->error, NULL);
    else
        weir_call_fail_kind(call, WEIR_ERROR_INTERNAL, weir_err_detail(), NULL);
}

static uint64_t
count_points(const struct weir_promql_answer *answer)
{
    uint64_t points = 0;
    for (uint32_t i = 0; i < answer->result_count; i++) {
        const struct weir_promql_result *result = &answer->results[i];
        if (result->present == NULL)
            points += result->count;
        for (uint32_t k = 0; result->present != NULL && k < weir_promql_words(result->count); k++)
            points += (uint64_t)__builtin_popcountll(result->present[k]);
    }
    return points;
}

/* Whether the answer keeps to the limits. */
static bool
check_answer(struct run *run)
{
    struct weir_call *call = run->call;
    const struct weir_promql_answer *answer = &run->answer;
    uint32_t limit = run->options.series_max;
    bool cut = limit > 0 && limit < answer->result_count;
    uint64_t series = cut ? limit : answer->result_count;
    uint64_t points = count_points(answer);
    if (series > call->limits->series_max)
        weir_call_limit(call, "query.series_max", call->limits->series_max,
            "%" PRIu64 " series in the answer: aggregate, choose fewer, or give limit", series);
    else if (points > call->limits->points_max)
        weir_call_limit(call, "query.points_max", call->limits->points_max,
            "%" PRIu64 " points in the answer: take a longer step or fewer series", points);
    else
        return true;
    return false;
}

/* Samples may be missing: a block that this query skipped, or a place of the log that is lost. */
static void
note_damage(struct run *run)
{
    uint64_t damaged = weir_reader_blocks_corrupt(run->call->reader) - run->corrupt_before +
        weir_reader_gaps(run->call->reader);
    if (damaged != 0)
        snprintf(run->damage, sizeof run->damage, "%" PRIu64 " damaged blocks were skipped",
            damaged);
}

static void
run_free(struct weir_stream *stream)
{
    struct run *run = (struct run *)stream;
    weir_promql_answer_free(&run->answer);
    free(run);
}

static bool
next_piece(struct weir_stream *stream, struct weir_text *text, size_t size)
{
    return weir_answer_next(&((struct run *)stream)->cursor, text, size);
}

static void
set_options(struct run *run, int64_t begun_ns)
{
    struct weir_answer_options *options = &run->options;
    note_damage(run);
    memcpy(run->warning, run->call->warning, sizeof run->warning);
    if (options->series_max > 0 && run->answer.result_count > options->series_max)
        options->warnings[0] = "results truncated due to limit";
    options->warnings[1] = run->warning;
    options->warnings[2] = run->damage;
    options->seconds = (double)(weir_mono_ns() - begun_ns) / 1e9;
    options->memory = run->answer.arena.taken;
    options->seconds_waited = (double)run->call->waited_ns / 1e9;
}

/* The answer, or its first piece. True where more is to come: then the run is the call's. */
static bool
answer(struct run *run, int64_t begun_ns)
{
    struct weir_call *call = run->call;
    uint64_t held_max = call->limits->answer_max;
    if (!check_answer(run))
        return false;
    set_options(run, begun_ns);
    call->status = WEIR_STATUS_OK;
    weir_answer_begin(&run->cursor, &run->answer, &run->options);
    bool ended = weir_answer_next(
        &run->cursor, &call->answer, call->may_stream ? WEIR_STREAM_PIECE : SIZE_MAX);
    if (call->answer.full) {
        weir_call_full(call, "take a longer step or fewer series");
        return false;
    }
    if (ended)
        return false;
    run->answer.error = NULL;
    /* without memory for the copy it is held as it is */
    enum weir_err err = weir_promql_answer_compact(&run->answer);
    (void)err;
    uint64_t held = sizeof *run + run->answer.arena.taken;
    if (held_max != 0 && held > held_max) {
        weir_call_limit(call, "http.answers_max", held_max,
            "the answer takes %" PRIu64 " bytes of memory: take a longer step or fewer series",
            held);
        return false;
    }
    run->stream = (struct weir_stream){next_piece, run_free, held};
    run->call = NULL;
    call->stream = &run->stream;
    return true;
}

/* An expression that the parser lets through and RE2 does not: its program would be too large. */
static bool
is_bad_regex(const struct weir_promql_answer *answer, enum weir_err err)
{
    return err == WEIR_INVALID && answer->error == NULL;
}

/* Runs the query, and frees it unless its answer goes on. */
static void
execute(struct run *run)
{
    struct weir_call *call = run->call;
    int64_t begun_ns = weir_mono_ns();
    bool goes_on = false;
    weir_source_reader_init(&run->source, call->reader);
    run->corrupt_before = weir_reader_blocks_corrupt(call->reader);
    weir_reader_set_check(call->reader, weir_call_check_silently, call);
    enum weir_err err = weir_promql_run(&run->request, &run->answer);
    if (err == WEIR_OK)
        goes_on = answer(run, begun_ns);
    else if (err != WEIR_NOMEM && (!run->answer.ran || is_bad_regex(&run->answer, err)))
        fail_query(run);
    else
        fail_run(run, err);
    if (!goes_on)
        run_free(&run->stream);
}

/* NULL: the call carries the error. */
static struct run *
run_new(struct weir_call *call)
{
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        weir_call_fail_kind(call, WEIR_ERROR_UNAVAILABLE, "not enough memory for this query", NULL);
        return NULL;
    }
    run->call = call;
    if (read_common(run))
        return run;
    free(run);
    return NULL;
}

void
weir_api_query(struct weir_call *call)
{
    struct run *run = run_new(call);
    if (run == NULL)
        return;
    run->request.start_ms = call->now_ms;
    if (!weir_param_time(call, "time", false, &run->request.start_ms)) {
        free(run);
        return;
    }
    run->request.end_ms = run->request.start_ms;
    execute(run);
}

static void
run_range(struct weir_call *call, bool needed)
{
    struct run *run = run_new(call);
    if (run != NULL && read_range(run, needed))
        execute(run);
    else
        free(run);
}

void
weir_api_query_range(struct weir_call *call)
{
    run_range(call, true);
}

void
weir_api_simple_query_range(struct weir_call *call)
{
    run_range(call, false);
}
