/* Queries over a store in memory: answers, errors, annotations; each allocation fails in turn. */
#include "tests/unit/controlplane/promql/answer.h"
#include "tests/unit/faults/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char series[] = "up{job=\"a\",i=\"0\"} 0 1 2 3 4 5\n"
                             "up{job=\"a\",i=\"1\"} 10 10 stale _ 40 50\n"
                             "up{job=\"b\",i=\"0\"} 5 4 3 2 1 0\n"
                             "requests_total{job=\"a\"} 0 10 20 5 15 25\n"
                             "weight{job=\"a\"} 2 2 2 2 2 2\n"
                             "weight{job=\"b\"} 3 3 3 3 3 3\n"
                             "h_bucket{le=\"1\"} 4 4 4 4 4 4\n"
                             "h_bucket{le=\"2\"} 2 2 2 2 2 2\n"
                             "h_bucket{le=\"+Inf\"} 8 8 8 8 8 8\n"
                             "h_bucket{le=\"none\"} 1 1 1 1 1 1\n"
                             "target_info{job=\"b\",zone=\"z\"} 1 1 1 1 1 1\n"
                             "native{job=\"a\"} 1 {{sum:1 count:1}} 3\n";

/* Queries at 10 s steps from 0 to 50 s, and what each answers. */
static const struct {
    const char *query, *answer;
} ranges[] = {
    {"1 + 2 * 3", "{} 7 7 7 7 7 7\n"},
    {"time()", "{} 0 10 20 30 40 50\n"},
    {"up{job=\"b\"}", "{__name__=up,i=0,job=b} 5 4 3 2 1 0\n"},
    {"up{i=~\"1\"}", "{__name__=up,i=1,job=a} 10 10 _ _ 40 50\n"},
    {"-up{i!~\"0\"} offset 10s", "{i=1,job=a} _ -10 -10 _ _ -40\n"},
    {"up{i=\"1\"} @ 40", "{__name__=up,i=1,job=a} 40 40 40 40 40 40\n"},
    {"up > 3",
        "{__name__=up,i=0,job=a} _ _ _ _ 4 5\n{__name__=up,i=0,job=b} 5 4 _ _ _ _\n"
        "{__name__=up,i=1,job=a} 10 10 _ _ 40 50\n"},
    {"2 <= bool up{job=\"b\"}", "{i=0,job=b} 1 1 1 1 0 0\n"},
    {"round(abs(weight) / 4, 0.5) + on () group_left () minute(vector(120))",
        "{job=a} 2.5 2.5 2.5 2.5 2.5 2.5\n{job=b} 3 3 3 3 3 3\n"},
    {"label_replace(weight, \"to\", \"$1-x\", \"job\", \"(.)\")",
        "{__name__=weight,job=a,to=a-x} 2 2 2 2 2 2\n"
        "{__name__=weight,job=b,to=b-x} 3 3 3 3 3 3\n"},
    {"label_join(weight, \"to\", \"-\", \"job\", \"none\")",
        "{__name__=weight,job=a,to=a-} 2 2 2 2 2 2\n"
        "{__name__=weight,job=b,to=b-} 3 3 3 3 3 3\n"},
    {"sort_by_label_desc(weight, \"job\")",
        "{__name__=weight,job=a} 2 2 2 2 2 2\n{__name__=weight,job=b} 3 3 3 3 3 3\n"
        "PromQL warning: sort is ineffective for range queries since results are always "
        "ordered by labels (1:1)\n"},
    {"absent(gone{job=\"x\"}) + absent_over_time(gone{job=\"x\"}[1m])", "{job=x} 2 2 2 2 2 2\n"},
    {"histogram_quantile(0.25, h_bucket)", "{} 0.5 0.5 0.5 0.5 0.5 0.5\n"
        "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"none\" "
        "for metric name \"h_bucket\" (1:26)\n"
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) "
        "for metric name \"h_bucket\", from buckets 2 to 2, with a max diff of 2, over 6 "
        "samples from 1970-01-01T00:00:00Z to 1970-01-01T00:00:50Z (1:26)\n"},
    {"histogram_quantiles(h_bucket, \"q\", 0.25, 1)",
        "{q=0.25} 0.5 0.5 0.5 0.5 0.5 0.5\n{q=1.0} 2 2 2 2 2 2\n"
        "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"none\" "
        "for metric name \"h_bucket\" (1:21)\n"
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) "
        "for metric name \"h_bucket\", from buckets 2 to 2, with a max diff of 2, over 6 "
        "samples from 1970-01-01T00:00:00Z to 1970-01-01T00:00:50Z (1:21)\n"},
    {"histogram_fraction(0, 1, h_bucket)", "{} 0.5 0.5 0.5 0.5 0.5 0.5\n"
        "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"none\" "
        "for metric name \"h_bucket\" (1:26)\n"},
    {"info(weight, {zone=~\".+\"})", "{__name__=weight,job=b,zone=z} 3 3 3 3 3 3\n"},
    {"sum by (job) (up)", "{job=a} 10 11 2 3 44 55\n{job=b} 5 4 3 2 1 0\n"},
    {"avg without (i) (up{job=\"a\"})", "{job=a} 5 5.5 2 3 22 27.5\n"},
    {"max(up) - min(up)", "{} 10 9 1 1 39 50\n"},
    {"count(up) + group(up)", "{} 4 4 3 3 4 4\n"},
    {"topk(1, up)",
        "{__name__=up,i=0,job=a} _ _ _ 3 _ _\n"
        "{__name__=up,i=0,job=b} _ _ 3 _ _ _\n"
        "{__name__=up,i=1,job=a} 10 10 _ _ 40 50\n"},
    {"quantile(0.5, up)", "{} 5 4 2.5 2.5 4 5\n"},
    {"count_values(\"v\", weight)", "{v=2} 1 1 1 1 1 1\n{v=3} 1 1 1 1 1 1\n"},
    {"up{i=\"0\"} * on (job) group_left () weight",
        "{i=0,job=a} 0 2 4 6 8 10\n{i=0,job=b} 15 12 9 6 3 0\n"},
    {"weight and on (job) requests_total", "{__name__=weight,job=a} 2 2 2 2 2 2\n"},
    {"weight unless on (job) requests_total", "{__name__=weight,job=b} 3 3 3 3 3 3\n"},
    {"requests_total or on (job) weight",
        "{__name__=requests_total,job=a} 0 10 20 5 15 25\n"
        "{__name__=weight,job=b} 3 3 3 3 3 3\n"},
    {"rate(requests_total[20s])", "{job=a} _ 0.5 1 0.5 0.75 1\n"},
    {"increase(up{i=\"1\"}[20s])",
        "{i=1,job=a} _ 0 _ _ _ 20\nPromQL info: metric might not be a counter, name does not end "
        "in _total/_sum/_count/_bucket: \"up\" (1:10)\n"},
    {"sum_over_time(up{job=\"b\"}[20s])", "{i=0,job=b} 5 9 7 5 3 1\n"},
    {"max_over_time(up{job=\"b\"}[30s:10s])", "{i=0,job=b} 5 5 5 4 3 2\n"},
    {"scalar(weight{job=\"b\"}) + vector(1)", "{} 4 4 4 4 4 4\n"},
    {"timestamp(up{i=\"1\"})", "{i=1,job=a} 0 10 _ _ 40 50\n"},
};

/* Instant queries at 50 s. */
static const struct {
    const char *query, *answer;
} instants[] = {
    {"1 / 0", "inf\n"},
    {"\"text\"", "text\n"},
    {"requests_total[25s]", "{__name__=requests_total,job=a} 5@30000 15@40000 25@50000\n"},
    {"bottomk(2, up)", "{__name__=up,i=0,job=b} 0\n{__name__=up,i=0,job=a} 5\n"},
    {"weight + up", ""},
    {"up + on (job) weight",
        "error: multiple matches for labels: many-to-one matching must be "
        "explicit (group_left/group_right)"},
    {"weight + on (job) up",
        "error: found duplicate series for the match group {job=\"a\"} on the right hand-side of "
        "the operation: [{__name__=\"up\", i=\"1\", job=\"a\"}, {__name__=\"up\", i=\"0\", "
        "job=\"a\"}];many-to-many matching not allowed: matching labels must be unique on one "
        "side"},
    {"-{job=\"a\",__name__=~\"weight|requests_total\"}",
        "error: vector cannot contain metrics with the same labelset"},
    {"topk(NaN, up)", "error: Parameter value is NaN"},
    {"native @ 10", "error: native histograms are not supported yet"},
    {"rate(native[1m])", "error: native histograms are not supported yet"},
    {"native @ 20", "{__name__=native,job=a} 3\n"},
    {"up{", "error: 1:4: parse error: unexpected end of input inside braces"},
    {"up[step()]", "error: 3:9: duration must be greater than 0"},
    {"deriv(up[1m] anchored)",
        "error: anchored modifier can only be used with: changes, delta, "
        "increase, rate, resets - not with deriv"},
    {"quantile(2, up)",
        "{} inf\nPromQL warning: quantile value should be between 0 and 1, got 2 (1:10)\n"},
};

static struct weir_promql_memory *
store(void)
{
    struct weir_promql_memory *memory;
    assert_int_equal(weir_promql_memory_new(&memory), WEIR_OK);
    promql_load(memory, 10000, series);
    return memory;
}

static void
check(const struct weir_promql_request *request, const char *wanted)
{
    struct weir_promql_answer answer;
    char got[4096];
    enum weir_err err = weir_promql_run(request, &answer);
    promql_answer_text(err, &answer, got, sizeof got);
    weir_promql_answer_free(&answer);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s\ngot:    %s\nwanted: %s", request->text, got, wanted);
}

static void
test_range_queries_answer_a_row_a_series(void **state)
{
    (void)state;
    struct weir_promql_memory *memory = store();
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct weir_promql_request request = promql_request(memory, ranges[i].query, 0);
        request.end_ms = 50000;
        request.step_ms = 10000;
        check(&request, ranges[i].answer);
    }
    weir_promql_memory_free(memory);
}

static void
test_instant_queries_answer_by_type(void **state)
{
    (void)state;
    struct weir_promql_memory *memory = store();
    for (size_t i = 0; i < sizeof instants / sizeof instants[0]; i++) {
        struct weir_promql_request request = promql_request(memory, instants[i].query, 50000);
        check(&request, instants[i].answer);
    }
    weir_promql_memory_free(memory);
}

static void
test_limits_are_named(void **state)
{
    (void)state;
    struct weir_promql_memory *memory = store();
    struct weir_promql_request request = promql_request(memory, "up", 50000);
    request.samples_max = 3;
    check(&request,
        "error: query processing would load too many samples into memory in query "
        "execution");
    request.samples_max = 0;
    request.memory_max = 65535;
    check(&request, "error: out of memory");
    request.step_ms = 1;
    request.end_ms = request.start_ms + WEIR_PROMQL_STEPS_MAX;
    request.memory_max = 1 << 20;
    check(&request, "error: query of 10000001 steps, at most 10000000");
    request.end_ms = request.start_ms - 1;
    check(&request, "error: end timestamp must not be before start time");
    weir_promql_memory_free(memory);
}

/* Ends a query when it asks for the n-th time. */
struct patience {
    long asks;
    enum weir_promql_verdict after;
};

static enum weir_promql_verdict
lose_patience(void *state)
{
    struct patience *patience = state;
    return patience->asks-- > 0 ? WEIR_PROMQL_GO_ON : patience->after;
}

/* Queries that would take long: each asks in all of its loops. */
static void
test_queries_end_by_verdict(void **state)
{
    (void)state;
    static const char *const slow[] = {"stddev_over_time(up[1h:1ms])",
        "quantile_over_time(0.5, up[1h:1ms])", "predict_linear(up[1h:1ms], 1)",
        "mad_over_time(up[1h:1ms])", "double_exponential_smoothing(up[1h:1ms], 0.5, 0.5)",
        "topk(1, up)", "quantile(0.5, up)", "up * on (i, job) up", "rate(up[1h:1ms])",
        "max_over_time(up[1h:1ms])", "up or up"};
    struct weir_promql_memory *memory = store();
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        struct patience patience = {2, i % 2 ? WEIR_PROMQL_CANCELED : WEIR_PROMQL_TIMED_OUT};
        struct weir_promql_request request = promql_request(memory, slow[i], 0);
        request.end_ms = 1000000;
        request.step_ms = strchr(slow[i], '[') == NULL ? 1 : 1000;
        request.memory_max = (size_t)1 << 30;
        request.verdict = lose_patience;
        request.verdict_state = &patience;
        check(&request, i % 2 ? "error: query was canceled in expression evaluation"
                              : "error: query timed out in expression evaluation");
        assert_int_equal(patience.asks, -1);
    }
    weir_promql_memory_free(memory);
}

/* Runs a query with its n-th allocation failing, for each n; the answer comes once none fails. */
static void
check_failures(struct weir_promql_request *request, const char *wanted)
{
    for (long n = 1;; n++) {
        struct weir_promql_answer answer;
        char got[4096];
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = weir_promql_run(request, &answer);
        bool failed = alloc_faults_disarm();
        promql_answer_text(err, &answer, got, sizeof got);
        weir_promql_answer_free(&answer);
        if (!failed) {
            assert_string_equal(got, wanted);
            return;
        }
        assert_int_equal(err, WEIR_NOMEM);
    }
}

static void
test_each_failed_allocation_is_out_of_memory(void **state)
{
    (void)state;
    struct weir_promql_memory *memory = store();
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct weir_promql_request request = promql_request(memory, ranges[i].query, 0);
        request.end_ms = 50000;
        request.step_ms = 10000;
        check_failures(&request, ranges[i].answer);
    }
    weir_promql_memory_free(memory);
}

/* Blocks hold many objects: each of those taken from an arena fails in turn. The linker leads the
 * calls through here. */
static long objects_left = -1; /* until the one that fails; below 0: none does */
static bool object_failed;

void *__real_weir_promql_arena_alloc(struct weir_promql_arena *arena, size_t size);
void *__wrap_weir_promql_arena_alloc(struct weir_promql_arena *arena, size_t size);
void *
__wrap_weir_promql_arena_alloc(struct weir_promql_arena *arena, size_t size)
{
    if (objects_left == 0) {
        object_failed = true;
        return NULL;
    }
    if (objects_left > 0)
        objects_left--;
    return __real_weir_promql_arena_alloc(arena, size);
}

static void
check_objects(const struct weir_promql_request *request, const char *wanted)
{
    for (long n = 0;; n++) {
        struct weir_promql_answer answer;
        char got[4096];
        objects_left = n;
        object_failed = false;
        enum weir_err err = weir_promql_run(request, &answer);
        objects_left = -1;
        promql_answer_text(err, &answer, got, sizeof got);
        weir_promql_answer_free(&answer);
        if (!object_failed) {
            assert_string_equal(got, wanted);
            return;
        }
        assert_int_equal(err, WEIR_NOMEM);
    }
}

static void
test_each_object_beyond_the_arena_is_out_of_memory(void **state)
{
    (void)state;
    struct weir_promql_memory *memory = store();
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct weir_promql_request request = promql_request(memory, ranges[i].query, 0);
        request.end_ms = 50000;
        request.step_ms = 10000;
        check_objects(&request, ranges[i].answer);
    }
    for (size_t i = 0; i < sizeof instants / sizeof instants[0]; i++) {
        struct weir_promql_request request = promql_request(memory, instants[i].query, 50000);
        check_objects(&request, instants[i].answer);
    }
    weir_promql_memory_free(memory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range_queries_answer_a_row_a_series),
        cmocka_unit_test(test_instant_queries_answer_by_type),
        cmocka_unit_test(test_limits_are_named),
        cmocka_unit_test(test_queries_end_by_verdict),
        cmocka_unit_test(test_each_failed_allocation_is_out_of_memory),
        cmocka_unit_test(test_each_object_beyond_the_arena_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
