/* The query engine and the catalog over the fake reader; jansson judges every answer. */
#include "controlplane/api/names.h"
#include "controlplane/query/buckets.h"
#include "controlplane/query/query.h"
#include "tests/unit/controlplane/fake_reader.h"

#include "base/clock.h"
#include "model/sample.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define NOW_MS INT64_C(1700003600000)

static struct weir_limits limits;
static _Atomic bool cancelled;
static int status;

static int
set_up(void **state)
{
    (void)state;
    fake_reset();
    limits = (struct weir_limits){100, 10000, 1000000, 60000, 0, 64 << 20};
    cancelled = false;
    return 0;
}

/* Runs one call and returns its answer parsed; status is put aside. */
static json_t *
ask(void (*run)(struct weir_call *), const char *label, const char *query)
{
    struct weir_params params;
    struct weir_reader *reader;
    assert_int_equal(weir_params_init(&params, query, strlen(query)), WEIR_OK);
    assert_int_equal(fake_open(NULL, &reader), WEIR_OK);
    struct weir_call call = {.reader = reader, .params = &params, .limits = &limits,
        .label = label, .now_ms = NOW_MS, .cancelled = &cancelled,
        .deadline_ns = weir_mono_ns() + limits.timeout_ms * INT64_C(1000000),
        .prometheus = run != weir_query_run};
    weir_text_init(&call.answer, weir_call_answer_max(&limits));
    run(&call);
    assert_false(call.answer.full);
    status = call.status;
    json_error_t error;
    json_t *json = json_loadb(call.answer.data, call.answer.size,
        JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    assert_non_null(json);
    weir_text_fini(&call.answer);
    weir_params_fini(&params);
    weir_reader_close(reader);
    return json;
}

/* As `ask`, compared with JSON text whose ' stand for ". */
static void
check(void (*run)(struct weir_call *), const char *label, const char *query, const char *expected)
{
    char text[8192];
    snprintf(text, sizeof text, "%s", expected);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    json_t *wanted = json_loads(text, 0, NULL);
    json_t *got = ask(run, label, query);
    assert_non_null(wanted);
    if (!json_equal(wanted, got))
        print_error("query %s\n got %s\n", query, json_dumps(got, JSON_COMPACT));
    assert_true(json_equal(wanted, got));
    assert_int_equal(status, WEIR_STATUS_OK);
    json_decref(wanted);
    json_decref(got);
}

static void
check_query(const char *query, const char *expected)
{
    check(weir_query_run, NULL, query, expected);
}

/* The error of a refused call contains `part`. */
static void
check_refused(void (*run)(struct weir_call *), const char *query, int wanted, const char *part)
{
    json_t *json = ask(run, NULL, query);
    const char *error = json_string_value(json_object_get(json, "error"));
    assert_int_equal(status, wanted);
    assert_non_null(error);
    if (strstr(error, part) == NULL)
        print_error("query %s\n error %s\n", query, error);
    assert_non_null(strstr(error, part));
    json_decref(json);
}

static void
test_query_buckets_are_aligned_from_inclusive_to_exclusive(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=cpu,host=a");
    for (int64_t s = 95; s <= 130; s += 5)
        fake_sample(a, s * 1000, (double)s);
    check_query("metric=cpu&from=100&to=130&step=10",
        "{'metric':'cpu','resolution':'10s','series':[{'labels':{'host':'a'},"
        "'points':[[100,102.5],[110,112.5],[120,122.5]]}]}");
    check_query("metric=cpu&from=105&to=125.001&step=20s&agg=count",
        "{'metric':'cpu','resolution':'20s','series':[{'labels':{'host':'a'},"
        "'points':[[100,3],[120,2]]}]}");
    check_query("metric=cpu&from=100&to=110&step=250ms&agg=last",
        "{'metric':'cpu','resolution':'0.25s','series':[{'labels':{'host':'a'},"
        "'points':[[100,100],[105,105]]}]}");
}

static void
test_query_takes_the_plus_of_a_zone_as_it_is_or_encoded(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    for (int64_t s = 95; s <= 130; s += 5)
        fake_sample(a, s * 1000, (double)s);
    static const char *const zones[] = {"+01:00", "%2B01:00", "%2b01:00"};
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        char query[128];
        snprintf(query, sizeof query, "metric=m&from=1970-01-01T01:01:40%s&to=101&agg=raw",
            zones[i]);
        check_query(query, "{'metric':'m','resolution':'raw','series':[{'labels':{},"
            "'points':[[100.0,100]]}]}");
    }
    check_refused(weir_query_run, "metric=m&from=%2B100&to=101", 400, "not a time");
}

static void
test_query_aggregates(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    double values[] = {3, -1, 7, 2};
    for (int i = 0; i < 4; i++)
        fake_sample(a, 60000 + i * 1000, values[i]);
    static const struct {
        const char *agg;
        const char *value;
    } cases[] = {{"avg", "2.75"}, {"min", "-1"}, {"max", "7"}, {"sum", "11"}, {"count", "4"},
        {"last", "2"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char query[100], expected[200];
        snprintf(query, sizeof query, "metric=m&from=0&to=200&agg=%s", cases[i].agg);
        snprintf(expected, sizeof expected, "{'metric':'m','resolution':'60s','series':"
            "[{'labels':{},'points':[[60,%s]]}]}", cases[i].value);
        check_query(query, expected);
    }
}

static void
test_query_raw_keeps_bits_and_prints_three_decimals(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m,x=1");
    fake_sample(a, 1700000000123, 0.1);
    fake_sample(a, 1700000001000, NAN);
    fake_sample(a, 1700000002000, INFINITY);
    fake_sample(a, 1700000003000, -INFINITY);
    fake_sample(a, 1700000004000, 5e-324);
    check_query("metric=m&agg=raw", "{'metric':'m','resolution':'raw','series':[{'labels':"
        "{'x':'1'},'points':[[1700000000.123,0.1],[1700000001.000,'NaN'],[1700000002.000,'+Inf'],"
        "[1700000003.000,'-Inf'],[1700000004.000,5e-324]]}]}");
}

static void
test_query_defaults_to_the_last_hour(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    fake_sample(a, NOW_MS - 3600001, 1);
    fake_sample(a, NOW_MS - 3600000, 2);
    fake_sample(a, NOW_MS - 1, 3);
    fake_sample(a, NOW_MS, 4);
    check_query("metric=m&agg=raw", "{'metric':'m','resolution':'raw','series':[{'labels':{},"
        "'points':[[1700000000.000,2],[1700003599.999,3]]}]}");
    check_query("metric=m&step=1h&agg=sum", "{'metric':'m','resolution':'3600s','series':"
        "[{'labels':{},'points':[[1699999200,2],[1700002800,3]]}]}");
}

static void
test_query_of_negative_times_floors_their_buckets(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    fake_sample(a, -60001, 1);
    fake_sample(a, -60000, 2);
    fake_sample(a, -1, 3);
    fake_sample(a, 0, 4);
    check_query("metric=m&from=-180&to=60&agg=count", "{'metric':'m','resolution':'60s','series':"
        "[{'labels':{},'points':[[-120,1],[-60,2],[0,1]]}]}");
    assert_int_equal(weir_bucket_number(-1, 60), -1);
    assert_int_equal(weir_bucket_number(-60, 60), -1);
    assert_int_equal(weir_bucket_number(-61, 60), -2);
}

static void
test_query_takes_the_last_by_log_order_before_aggregating(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    fake_sample(a, 10000, 100);
    fake_sample(a, 20000, 1);
    fake_sample(a, 10000, 2); /* supersedes 100 */
    fake_sample(a, 10000, 3); /* and this 2 */
    check_query("metric=m&from=0&to=60&agg=sum",
        "{'metric':'m','resolution':'60s','series':[{'labels':{},'points':[[0,4]]}]}");
    check_query("metric=m&from=0&to=60&agg=max",
        "{'metric':'m','resolution':'60s','series':[{'labels':{},'points':[[0,3]]}]}");
    check_query("metric=m&from=0&to=60&agg=last",
        "{'metric':'m','resolution':'60s','series':[{'labels':{},'points':[[0,1]]}]}");
    check_query("metric=m&from=0&to=60&agg=raw",
        "{'metric':'m','resolution':'raw','series':[{'labels':{},'points':[[10.0,3],[20.0,1]]}]}");
}

static void
test_query_sorts_series_by_labels_and_leaves_out_empty_ones(void **state)
{
    (void)state;
    const char *labels[] = {"__name__=m,host=b", "__name__=m", "__name__=m,host=a,z=1",
        "__name__=m,host=a", "__name__=m,core=9", "__name__=m,host=empty", "__name__=n,host=a"};
    for (size_t i = 0; i < 7; i++) {
        uint64_t number = fake_series(labels[i]);
        if (i != 5)
            fake_sample(number, 1000, (double)i);
    }
    check_query("metric=m&from=0&to=60", "{'metric':'m','resolution':'60s','series':["
        "{'labels':{},'points':[[0,1]]},{'labels':{'core':'9'},'points':[[0,4]]},"
        "{'labels':{'host':'a'},'points':[[0,3]]},{'labels':{'host':'a','z':'1'},'points':[[0,2]]},"
        "{'labels':{'host':'b'},'points':[[0,0]]}]}");
    check_query("metric=m&from=0&to=60&host=a&z=&agg=raw", "{'metric':'m','resolution':'raw',"
        "'series':[{'labels':{'host':'a'},'points':[[1.0,3]]}]}");
    check_query("metric=unknown", "{'metric':'unknown','resolution':'60s','series':[],"
        "'warnings':['no metric is called unknown']}");
    check_query("metric=unknown&agg=raw", "{'metric':'unknown','resolution':'raw','series':[],"
        "'warnings':['no metric is called unknown']}");
}

static void
test_query_says_what_it_did_not_understand(void **state)
{
    (void)state;
    fake_sample(fake_series("__name__=cpu,host=a,core=0"), 1000, 1);
    fake_sample(fake_series("__name__=cpu,host=b,core=1"), 1000, 1);
    fake_sample(fake_series("__name__=mem,zone=x"), 1000, 1);
    fake_sample(fake_series("__name__=rate(cpu[5m])"), 1000, 7);
    static const struct {
        const char *query;
        const char *said;
    } bad[] = {
        {"metric=cpu%7Bhost%3D%22a%22%7D", "PromQL is asked at /api/v1/query"},
        {"metric=sum%28cpu%29", "metric=sum(cpu): no metric has this name"},
        {"metric=cpu+%2B+mem", "PromQL is asked at /api/v1/query"},
        {"metric=cpu&hots=a", "hots is neither a parameter (metric, from, to, step, agg) nor a "
            "label of cpu; a series of it has the labels "},
        {"metric=cpu&zone=x", "zone is neither"}, /* of another metric */
        {"metric=cpu&start=-1h", "start is neither"},
        {"metric=nosuch&query=up", "parameter query is not known here"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_refused(weir_query_run, bad[i].query, WEIR_STATUS_BAD_REQUEST, bad[i].said);
    /* whatever its name looks like, a metric that is there answers */
    check_query("metric=rate%28cpu%5B5m%5D%29&from=0&to=60", "{'metric':'rate(cpu[5m])',"
        "'resolution':'60s','series':[{'labels':{},'points':[[0,7]]}]}");
    check_query("metric=cpu&host=c", "{'metric':'cpu','resolution':'60s','series':[],"
        "'warnings':['no series of cpu has host=c']}");
    check_query("metric=cpu&host=a&core=1", "{'metric':'cpu','resolution':'60s','series':[],"
        "'warnings':['no series of cpu has all of these labels']}");
    check_query("metric=cpu&host=", "{'metric':'cpu','resolution':'60s','series':[],"
        "'warnings':['no series of cpu has all of these labels']}");
    /* known, and without samples at that time: nothing to say */
    check_query("metric=cpu&host=a&from=10&to=20",
        "{'metric':'cpu','resolution':'60s','series':[]}");
}

static void
test_query_takes_times_relative_to_now(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    fake_sample(a, 0, 1);
    fake_sample(a, 86400000, 2);
    check_query("metric=m&from=1970-01-01&to=1970-01-01T12:00&agg=raw", "{'metric':'m',"
        "'resolution':'raw','series':[{'labels':{},'points':[[0.0,1]]}]}");
    check_query("metric=m&from=now-1h&to=now+1h&agg=raw",
        "{'metric':'m','resolution':'raw','series':[]}");
    check_refused(weir_query_run, "metric=m&from=yesterday", WEIR_STATUS_BAD_REQUEST,
        "from=yesterday is not a time: give RFC 3339 like ");
}

static void
test_query_sums_are_compensated_and_averages_do_not_overflow(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    double values[] = {1, 1e100, 1, -1e100};
    for (int i = 0; i < 4; i++)
        fake_sample(a, i, values[i]);
    uint64_t b = fake_series("__name__=n");
    fake_sample(b, 0, DBL_MAX);
    fake_sample(b, 1, DBL_MAX);
    uint64_t c = fake_series("__name__=o");
    fake_sample(c, 0, INFINITY);
    fake_sample(c, 1, 1);
    check_query("metric=m&from=0&to=1&step=1&agg=sum",
        "{'metric':'m','resolution':'1s','series':[{'labels':{},'points':[[0,2]]}]}");
    check_query("metric=n&from=0&to=1&step=1", "{'metric':'n','resolution':'1s','series':"
        "[{'labels':{},'points':[[0,1.7976931348623157e308]]}]}");
    check_query("metric=o&from=0&to=1&step=1",
        "{'metric':'o','resolution':'1s','series':[{'labels':{},'points':[[0,'+Inf']]}]}");
}

static void
test_query_min_and_max_pass_over_nan(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    fake_sample(a, 0, NAN);
    fake_sample(a, 1, 5);
    fake_sample(a, 2, NAN);
    fake_sample(a, 1000, NAN);
    check_query("metric=m&from=0&to=2&step=1&agg=min",
        "{'metric':'m','resolution':'1s','series':[{'labels':{},'points':[[0,5],[1,'NaN']]}]}");
    check_query("metric=m&from=0&to=2&step=1&agg=max",
        "{'metric':'m','resolution':'1s','series':[{'labels':{},'points':[[0,5],[1,'NaN']]}]}");
}

static uint64_t random_state = 2463534242u;

static uint32_t
next_random(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16) % below;
}

/* The slow obvious twin: for each time the last sample by log order, then one bucket at a time. */
struct twin {
    bool set[400];
    double value[400];
};

static double
twin_bucket(const struct twin *twin, int from, int to, const char *agg, int *count)
{
    double sum = 0, least = INFINITY, most = -INFINITY, last = 0;
    *count = 0;
    for (int t = from; t < to; t++) {
        if (!twin->set[t])
            continue;
        sum += twin->value[t];
        least = fmin(least, twin->value[t]);
        most = fmax(most, twin->value[t]);
        last = twin->value[t];
        (*count)++;
    }
    switch (agg[0]) {
    case 'a':
        return sum / *count;
    case 's':
        return sum;
    case 'c':
        return *count;
    case 'l':
        return last;
    default:
        return agg[1] == 'i' ? least : most;
    }
}

static void
check_against_twin(const struct twin twins[3], int from, int to, int step, const char *agg)
{
    char query[200];
    snprintf(query, sizeof query, "metric=m&from=%d.%03d&to=%d.%03d&step=%dms&agg=%s", from / 1000,
        from % 1000, to / 1000, to % 1000, step, agg);
    json_t *json = ask(weir_query_run, NULL, query);
    json_t *series = json_object_get(json, "series");
    size_t at_series = 0;
    assert_int_equal(status, WEIR_STATUS_OK);
    for (int s = 0; s < 3; s++) {
        json_t *points =
            json_object_get(json_array_get(series, at_series), "points");
        size_t at = 0;
        for (int k = from / step; k * step < to; k++) {
            int low = k * step > from ? k * step : from;
            int high = (k + 1) * step < to ? (k + 1) * step : to;
            int count;
            double value = twin_bucket(&twins[s], low, high, agg, &count);
            if (count == 0)
                continue;
            json_t *point = json_array_get(points, at++);
            assert_non_null(point);
            assert_true(json_number_value(json_array_get(point, 0)) == k * step / 1000.0);
            assert_true(json_number_value(json_array_get(point, 1)) == value);
        }
        at_series += at > 0;
        if (at > 0)
            assert_int_equal(at, json_array_size(points));
    }
    assert_int_equal(at_series, json_array_size(series));
    json_decref(json);
}

static void
test_query_agrees_with_a_slow_twin_on_disordered_duplicates(void **state)
{
    (void)state;
    static const char *const aggs[] = {"avg", "min", "max", "sum", "count", "last"};
    for (int round = 0; round < 60; round++) {
        static struct twin twins[3];
        memset(twins, 0, sizeof twins);
        fake_reset();
        const char *labels[] = {"__name__=m,s=0", "__name__=m,s=1", "__name__=m,s=2"};
        for (int s = 0; s < 3; s++)
            fake_series(labels[s]);
        bool ordered = round % 3 == 0;
        for (int i = 0; i < 500; i++) {
            uint32_t s = next_random(3);
            int time = ordered ? i * 400 / 500 : (int)next_random(400);
            double value = (double)next_random(1000) / 8; /* sums are exact */
            fake_sample(s, time, value);
            twins[s].set[time] = true;
            twins[s].value[time] = value;
        }
        /* a small limit forces several rounds over the mixed buckets */
        limits.points_max = round % 2 == 0 ? 10000 : 320;
        int from = (int)next_random(200);
        int to = from + 50 + (int)next_random(150);
        int step = limits.points_max == 320 ? 4 + (int)next_random(20) : 1 + (int)next_random(90);
        check_against_twin(twins, from, to, step, aggs[round % 6]);
    }
}

static void
test_query_raw_of_many_duplicates_needs_room_for_points_only(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    limits.points_max = 10;
    for (int i = 0; i < 1000; i++)
        fake_sample(a, i % 10, i);
    json_t *json = ask(weir_query_run, NULL, "metric=m&from=0&to=1&agg=raw");
    assert_int_equal(status, WEIR_STATUS_OK);
    json_t *points = json_object_get(json_array_get(json_object_get(json, "series"), 0), "points");
    assert_int_equal(json_array_size(points), 10);
    for (size_t i = 0; i < 10; i++)
        assert_true(json_number_value(json_array_get(json_array_get(points, i), 1)) ==
            990 + (double)i);
    json_decref(json);
    fake_sample(a, 10, 1);
    check_refused(weir_query_run, "metric=m&from=0&to=1&agg=raw", 422, "query.points_max = 10");
}

static void
test_query_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        const char *part;
    } cases[] = {{"", "metric is missing"}, {"metric=", "metric is missing"},
        {"metric=a&metric=b", "given twice"},
        {"metric=a&host=1&host=2", "label host is given twice"},
        {"metric=a&from=x", "from=x is not a time"}, {"metric=a&to=", "not a time"},
        {"metric=a&from=2&to=1", "from must be before to"},
        {"metric=a&from=1&to=1", "from must be before to"},
        {"metric=a&step=0", "not a duration"}, {"metric=a&step=-1", "not a duration"},
        {"metric=a&agg=p99", "avg, min, max"}, {"metric=a&from=1&from=2", "given twice"},
        {"metric=a&__name__=b", "parameter metric"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_refused(weir_query_run, cases[i].query, 400, cases[i].part);
}

static void
test_query_limits_name_their_setting(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m,h=1");
    fake_series("__name__=m,h=2");
    for (int i = 0; i < 10000; i++)
        fake_sample(a, i, i);
    check_refused(weir_query_run, "metric=m&from=0&to=10001&step=1", 422,
        "query.points_max = 10000");
    check_refused(weir_query_run, "metric=m&from=0&to=5001&step=1", 422, "query.points_max");
    check_refused(weir_query_run,
        "metric=m&from=0000-01-01T00:00:00Z&to=9999-12-31T00:00:00Z&step=1ms", 422,
        "query.points_max");
    limits.series_max = 1;
    check_refused(weir_query_run, "metric=m", 422, "query.series_max = 1");
    limits.series_max = 2;
    limits.samples_max = 9999;
    check_refused(weir_query_run, "metric=m&from=0&to=100", 422, "query.samples_max = 9999");
    limits.samples_max = 1000000;
    limits.timeout_ms = 0;
    check_refused(weir_query_run, "metric=m&from=0&to=100", 422, "query.timeout = 0ms");
}

static void
test_query_stops_when_cancelled(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    fake_sample(a, 0, 1);
    fake_endless = true; /* would never end by itself */
    limits.samples_max = UINT64_MAX;
    cancelled = true;
    json_decref(ask(weir_query_run, NULL, "metric=m&from=0&to=100&agg=last"));
    assert_int_not_equal(status, WEIR_STATUS_OK);
}

static void
test_answers_are_json_for_labels_of_any_bytes(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        char value[20];
        size_t size = 1 + next_random(sizeof value - 1);
        for (size_t k = 0; k < size; k++)
            value[k] = (char)next_random(256);
        uint64_t number = fake_series_value("m", "v", value, size);
        fake_sample(number, 0, weir_bits_double((uint64_t)next_random(UINT32_MAX) << 32 |
            next_random(UINT32_MAX)));
    }
    limits.series_max = 1000;
    json_t *json = ask(weir_query_run, NULL, "metric=m&from=0&to=100&agg=raw");
    assert_int_equal(status, WEIR_STATUS_OK);
    json_decref(json);
    json_decref(ask(weir_names_values, "v", ""));
    json_decref(ask(weir_names_series, NULL, "match[]=m"));
    assert_int_equal(status, WEIR_STATUS_OK);
}

static void
test_catalog_answers_in_prometheus_envelope(void **state)
{
    (void)state;
    fake_series("__name__=cpu,host=a,core=1");
    fake_series("__name__=cpu,host=b");
    fake_sample(fake_series("__name__=mem.free,host=a,zone=x"), 1000, 7);
    check(weir_names_labels, NULL, "",
        "{'status':'success','data':['__name__','core','host','zone']}");
    check(weir_names_labels, NULL, "match[]={\"mem.free\"}&start=1&end=2026-11-21T05:00:00Z",
        "{'status':'success','data':['__name__','host','zone']}");
    check(weir_names_labels, NULL, "end=1",
        "{'status':'success','data':['__name__','host','zone']}");
    check(weir_names_labels, NULL, "end=0.999", "{'status':'success','data':[]}");
    check(weir_names_labels, NULL, "match[]=cpu&start=0", "{'status':'success','data':[]}");
    check(weir_names_values, "host", "", "{'status':'success','data':['a','b']}");
    check(weir_names_values, "__name__", "", "{'status':'success','data':['cpu','mem.free']}");
    check(weir_names_values, "none", "", "{'status':'success','data':[]}");
    check(weir_names_values, "U__zo_6e_e", "", "{'status':'success','data':['x']}");
    check(weir_names_values, "U__zo_zz_e", "", "{'status':'success','data':[]}");
    check(weir_names_values, "host", "match[]={__name__=~\"c.*\"}",
        "{'status':'success','data':['a','b']}");
    check(weir_names_values, "host", "match[]={core!=\"1\",host=\"a\"}",
        "{'status':'success','data':['a']}");
    check(weir_names_values, "host", "limit=1",
        "{'status':'success','data':['a'],'warnings':['results truncated due to limit']}");
    check(weir_names_series, NULL, "match[]=cpu{host=\"b\"}&match[]={host='b'}",
        "{'status':'success','data':[{'__name__':'cpu','host':'b'}]}");
    check(weir_names_series, NULL, "match[]={zone!=\"\"}&match[]=cpu{core=\"1\"}",
        "{'status':'success','data':[{'__name__':'cpu','core':'1','host':'a'},"
        "{'__name__':'mem.free','host':'a','zone':'x'}]}");
    check(weir_names_series, NULL, "match[]=nothing", "{'status':'success','data':[]}");
}

static void
test_catalog_refuses_with_prometheus_errors(void **state)
{
    (void)state;
    fake_series("__name__=cpu,host=a");
    fake_series("__name__=cpu,host=b");
    check_refused(weir_names_series, "", 400, "no match[] parameter");
    check_refused(weir_names_series, "match[]=cpu{host=~\"a(.*\"}", 400, "missing");
    check_refused(weir_names_series, "match[]={}", 400, "at least one non-empty matcher");
    check_refused(
        weir_names_series, "match[]={host!=\"a\"}", 400, "at least one non-empty matcher");
    check_refused(weir_names_series, "match[]=cpu+offset+5m", 400, "no series selector");
    check_refused(weir_names_series, "match[]=cpu&limit=x", 400, "limit");
    check_refused(weir_names_series, "match[]=cpu&start=x", 400,
        "cannot parse \"x\" to a valid timestamp");
    limits.series_max = 1;
    check_refused(weir_names_series, "match[]=cpu", 422, "query.series_max = 1");
    json_t *json = ask(weir_names_series, NULL, "");
    assert_string_equal(json_string_value(json_object_get(json, "status")), "error");
    assert_string_equal(json_string_value(json_object_get(json, "errorType")), "bad_data");
    json_decref(json);
}

static void
test_query_warns_of_damage_it_passed_over(void **state)
{
    (void)state;
    fake_sample(fake_series("__name__=cpu"), 1000, 7);
    static const char query[] = "metric=cpu&from=0&to=60&agg=raw";
    check_query(query, "{'metric':'cpu','resolution':'raw','series':[{'labels':{},"
        "'points':[[1.0,7]]}]}");
    fake_damage(2, 1);
    check_query(query, "{'metric':'cpu','resolution':'raw','series':[{'labels':{},"
        "'points':[[1.0,7]]}],'warnings':['3 damaged blocks were skipped']}");
    check_query("metric=cpu&from=0&to=60", "{'metric':'cpu','resolution':'60s','series':"
        "[{'labels':{},'points':[[0,7]]}],'warnings':['3 damaged blocks were skipped']}");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, set_up)
        T(test_query_buckets_are_aligned_from_inclusive_to_exclusive),
        T(test_query_takes_the_plus_of_a_zone_as_it_is_or_encoded),
        T(test_query_aggregates),
        T(test_query_raw_keeps_bits_and_prints_three_decimals),
        T(test_query_defaults_to_the_last_hour),
        T(test_query_of_negative_times_floors_their_buckets),
        T(test_query_takes_the_last_by_log_order_before_aggregating),
        T(test_query_sorts_series_by_labels_and_leaves_out_empty_ones),
        T(test_query_says_what_it_did_not_understand),
        T(test_query_takes_times_relative_to_now),
        T(test_query_sums_are_compensated_and_averages_do_not_overflow),
        T(test_query_min_and_max_pass_over_nan),
        T(test_query_agrees_with_a_slow_twin_on_disordered_duplicates),
        T(test_query_raw_of_many_duplicates_needs_room_for_points_only),
        T(test_query_refuses_what_makes_no_sense),
        T(test_query_limits_name_their_setting),
        T(test_query_stops_when_cancelled),
        T(test_query_warns_of_damage_it_passed_over),
        T(test_answers_are_json_for_labels_of_any_bytes),
        T(test_catalog_answers_in_prometheus_envelope),
        T(test_catalog_refuses_with_prometheus_errors),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
