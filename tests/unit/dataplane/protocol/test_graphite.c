#include "tests/unit/dataplane/protocol/parse_fixture.h"

#include <math.h>

#define GRAPHITE WEIR_PROTO_GRAPHITE

static void
test_graphite_path_is_kept_verbatim(void **unused)
{
    (void)unused;
    char text[256];
    parse_text(GRAPHITE, "servers.web1.load 0.25 1700000000\n");
    assert_int_equal(parsed.point_count, 1);
    assert_true(point_value(0) == 0.25);
    assert_true(parsed.points[0].time_ms == INT64_C(1700000000000));
    assert_int_equal(labels_text(GRAPHITE, 0, text, sizeof text), WEIR_OK);
    assert_string_equal(text, "__name__=servers.web1.load");
}

static void
test_graphite_tags_become_labels(void **unused)
{
    (void)unused;
    char text[256];
    parse_text(GRAPHITE, "disk;rack=a;host=w=1 5 1700000000\r\n");
    assert_int_equal(labels_text(GRAPHITE, 0, text, sizeof text), WEIR_OK);
    assert_string_equal(text, "__name__=disk,host=w=1,rack=a");
    parse_text(GRAPHITE, "a;__name__=x 1 1\n");
    assert_int_equal(labels_text(GRAPHITE, 0, text, sizeof text), WEIR_INVALID);
}

/* As carbon 1.1.7 reads a path: its TaggedSeries.parse() gave these, but for the name, which is
 * kept as it came. */
static void
test_graphite_paths_have_the_tags_that_carbon_reads(void **unused)
{
    (void)unused;
    static const struct {
        const char *path, *labels;
    } cases[] = {
        {"a;x", "__name__=a;x"},
        {"a;=b", "__name__=a;=b"},
        {"a;b=", "__name__=a;b="},
        {";a=b", "__name__=;a=b"},
        {"a;", "__name__=a;"},
        {"a;b=1;c", "__name__=a;b=1;c"},
        {"a;b!=1", "__name__=a;b!=1"},
        {"a;^b=1", "__name__=a;^b=1"},
        {"a;b=~1", "__name__=a;b=~1"},
        {"~;b=1", "__name__=~;b=1"},
        {"~~", "__name__=~~"},
        {"a;b==", "__name__=a,b=="},
        {"a;b=1;b=2", "__name__=a,b=2"},
        {"a;name=x;b=1", "__name__=a,b=1"},
        {"a{b=\"1\"}", "__name__=a,b=1"},
        {"a{b=\"1\",c=\"2\"}", "__name__=a,b=1,c=2"},
        {"a{b=\"1\",c=\"2\",}", "__name__=a{b=\"1\",c=\"2\",}"},
        {"a{b=\"1\":,c=\"2\"}", "__name__=a,b=1,c=2"},
        {"a{b=\"1\":c=\"2\"}", "__name__=a{b=\"1\":c=\"2\"}"},
        {"a{b=\"x\\\"y\\\\\"}", "__name__=a,b=x\"y\\"},
        {"a{b=\"x\\y\"}", "__name__=a{b=\"x\\y\"}"},
        {"a{b=\"\"}", "__name__=a{b=\"\"}"},
        {"a{b=1\"}", "__name__=a{b=1\"}"},
        {"a{b=\"1;2\"}", "__name__=a{b=\"1;2\"}"},
        {"a{b=\"{\"}", "__name__=a{b=\"{\"}"},
        {"a{}", "__name__=a{}"},
        {"{b=\"1\"}", "__name__={b=\"1\"}"},
        {"a;x=1{b=\"1\"}", "__name__=a;x=1,b=1"},
        {"a;b=\"1\"}", "__name__=a,b=\"1\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[128], text[256];
        snprintf(line, sizeof line, "%s 1 1700000000\n", cases[i].path);
        parse_text(GRAPHITE, line);
        assert_int_equal(parsed.point_count, 1);
        assert_int_equal(labels_text(GRAPHITE, 0, text, sizeof text), WEIR_OK);
        assert_string_equal(text, cases[i].labels);
    }
}

static void
test_graphite_labels_report_limits(void **unused)
{
    (void)unused;
    static char line[10000], text[1024];
    size_t used = (size_t)sprintf(line, "m");
    for (int i = 0; i < 64; i++)
        used += (size_t)sprintf(line + used, ";t%d=x", i);
    sprintf(line + used, " 1 1\n");
    parse_text(GRAPHITE, line);
    assert_int_equal(labels_text(GRAPHITE, 0, text, sizeof text), WEIR_OK);
    assert_non_null(strstr(text, "t63=x"));
    sprintf(line + used, ";t64=x 1 1\n");
    parse_text(GRAPHITE, line);
    assert_int_equal(labels_text(GRAPHITE, 0, text, sizeof text), WEIR_LIMIT);
    assert_string_equal(weir_err_detail(), "more than 64 tags");
    memset(line, 'x', 9000);
    sprintf(line + 9000, " 1 1\n");
    parse_text(GRAPHITE, line);
    assert_int_equal(labels_text(GRAPHITE, 0, text, sizeof text), WEIR_LIMIT);
}

static void
test_graphite_last_line_of_a_stream_needs_newline_or_timestamp(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        uint8_t reason;
    } last[] = {{"a 12", WEIR_REASON_cut_line}, {"a", WEIR_REASON_cut_line},
        {"a 12 ", WEIR_REASON_cut_line}, {"a 12 x", WEIR_REASON_cut_line},
        {"a 12 1700000000", WEIR_REASON_NONE}, {"a 12\n", WEIR_REASON_bad_line}};
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "m 1 1\n%s", last[i].text);
        stream = true;
        parse_text(GRAPHITE, text);
        stream = false;
        assert_int_equal(parsed.record_count, 2);
        assert_int_equal(parsed.records[1].reason, last[i].reason);
    }
    parse_text(GRAPHITE, "a 12");
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_line);
}

static void
test_graphite_refuses_malformed_lines(void **unused)
{
    (void)unused;
    parse_text(GRAPHITE, "a\na 1\na 1 2 3\na x 1\n"
                         "a 1 x\na 1 nan\na 1_0 1\na\x01 1 1\na\xff 1 1\n");
    assert_int_equal(parsed.record_count, 9);
    assert_int_equal(parsed.point_count, 0);
    for (uint32_t i = 0; i < parsed.record_count; i++)
        assert_int_equal(parsed.records[i].reason, WEIR_REASON_bad_line);
}

static void
test_graphite_takes_spaces_tabs_and_blank_lines(void **unused)
{
    (void)unused;
    parse_text(GRAPHITE, "  a\t 1   2 \r\n\r\n \t\n\nb 2 3");
    assert_int_equal(parsed.record_count, 2);
    assert_int_equal(parsed.point_count, 2);
    assert_int_equal(parsed.records[0].text[0], 'a');
}

static void
test_graphite_refuses_nan_and_takes_infinities(void **unused)
{
    (void)unused;
    parse_text(GRAPHITE, "a nan 1\na -Inf 1\na infinity 1\na 1e400 1\n");
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_no_sample_accepted);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_not_a_number], 1);
    assert_int_equal(parsed.point_count, 3);
    assert_true(point_value(0) == -HUGE_VAL);
    assert_true(point_value(1) == HUGE_VAL);
    assert_true(point_value(2) == HUGE_VAL);
}

static void
test_graphite_times_may_be_now_or_have_a_fraction(void **unused)
{
    (void)unused;
    parse_text(GRAPHITE, "a 1 -1\na 1 -1.0\na 1 1700000000.1239\na 1 -1.5\na 1 1.7e9\n"
                         "a 1 1700000000123\na 1 -0.0001\na 1 1e30\n");
    static const int64_t times[] = {NOW_MS, NOW_MS, 1700000000123, -1500, 1700000000000,
        1700000000123, -1};
    assert_int_equal(parsed.point_count, 7);
    for (uint32_t i = 0; i < 7; i++)
        assert_true(parsed.points[i].time_ms == times[i]);
    assert_int_equal(parsed.records[7].reason, WEIR_REASON_bad_line);
    parse_bytes(GRAPHITE, "a 1 -15555555555555555550555", 28, WEIR_TIME_S, true, NULL);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_line);
}

static void
test_graphite_implausible_times_reject_the_sample(void **unused)
{
    (void)unused;
    context.time_min_ms = 1000000;
    context.time_max_ms = 2000000;
    parse_text(GRAPHITE, "a 1 999\na 1 1000\na 1 2001\n");
    context.time_min_ms = INT64_MIN;
    context.time_max_ms = INT64_MAX;
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_time_past);
    assert_int_equal(parsed.records[1].reason, WEIR_REASON_NONE);
    assert_int_equal(parsed.records[2].reason, WEIR_REASON_time_future);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_time_past], 1);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_time_future], 1);
}

static void
test_graphite_long_line_is_refused_once_and_skipped(void **unused)
{
    (void)unused;
    static char line[WEIR_LINE_MAX + 1];
    memset(line, 'x', sizeof line);
    bool skip = false;
    assert_int_equal(
        parse_bytes(GRAPHITE, line, sizeof line, WEIR_TIME_AUTO, false, &skip), sizeof line);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_line_too_long);
    assert_true(skip);
    assert_int_equal(
        parse_bytes(GRAPHITE, "x 1 1\ny 2 1\n", 12, WEIR_TIME_AUTO, false, &skip), 12);
    assert_false(skip);
    assert_int_equal(parsed.point_count, 1);
    assert_true(point_value(0) == 2);
}

static int
set_up(void **unused)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1, 2, 3};
    (void)unused;
    weir_hash_key_init(&key, seed);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graphite_path_is_kept_verbatim),
        cmocka_unit_test(test_graphite_tags_become_labels),
        cmocka_unit_test(test_graphite_paths_have_the_tags_that_carbon_reads),
        cmocka_unit_test(test_graphite_labels_report_limits),
        cmocka_unit_test(test_graphite_last_line_of_a_stream_needs_newline_or_timestamp),
        cmocka_unit_test(test_graphite_refuses_malformed_lines),
        cmocka_unit_test(test_graphite_takes_spaces_tabs_and_blank_lines),
        cmocka_unit_test(test_graphite_refuses_nan_and_takes_infinities),
        cmocka_unit_test(test_graphite_times_may_be_now_or_have_a_fraction),
        cmocka_unit_test(test_graphite_implausible_times_reject_the_sample),
        cmocka_unit_test(test_graphite_long_line_is_refused_once_and_skipped),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
