#include "dataplane/protocol/opentsdb/opentsdb.h"
#include "tests/unit/dataplane/protocol/parse_fixture.h"

#define OPENTSDB WEIR_PROTO_OPENTSDB

static void
test_opentsdb_put_is_one_sample(void **unused)
{
    (void)unused;
    char text[256];
    parse_text(OPENTSDB, "put sys.cpu.user 1356998400 42.5 host=webserver01 cpu=0\n");
    assert_int_equal(parsed.record_count, 1);
    assert_int_equal(parsed.point_count, 1);
    assert_true(point_value(0) == 42.5);
    assert_true(parsed.points[0].time_ms == INT64_C(1356998400000));
    assert_int_equal(labels_text(OPENTSDB, 0, text, sizeof text), WEIR_OK);
    assert_string_equal(text, "__name__=sys.cpu.user,cpu=0,host=webserver01");
}

static void
test_opentsdb_times_are_seconds_or_milliseconds_by_their_digits(void **unused)
{
    (void)unused;
    static const struct {
        const char *line;
        int64_t time_ms;
    } cases[] = {
        {"put a 1356998400 1 k=v\n", INT64_C(1356998400000)},
        {"put a 1356998400250 1 k=v\n", INT64_C(1356998400250)},
        {"put a 1356998400.25 1 k=v\n", INT64_C(1356998400250)},
        {"put a 1356998400.0019 1 k=v\n", INT64_C(1356998400001)},
        {"put a 1356998400250.7 1 k=v\n", INT64_C(1356998400250)},
        {"put a 99999999999 1 k=v\n", INT64_C(99999999999000)},
        {"put a 100000000000 1 k=v\n", INT64_C(100000000000)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parse_text(OPENTSDB, cases[i].line);
        assert_int_equal(parsed.point_count, 1);
        assert_true(parsed.points[0].time_ms == cases[i].time_ms);
    }
    parse_bytes(OPENTSDB, "put a 12 1 k=v\n", 15, WEIR_TIME_MS, true, NULL);
    assert_true(parsed.points[0].time_ms == 12);
}

static void
test_opentsdb_refuses_malformed_lines_and_says_where(void **unused)
{
    (void)unused;
    static const struct {
        const char *line;
        size_t refused_at;
    } cases[] = {
        {"put", 3}, {"put a", 5}, {"put a 5", 7}, {"put a x 1 k=v", 6}, {"put a 0 1 k=v", 6},
        {"put a -5 1 k=v", 6}, {"put a 5. 1 k=v", 6}, {"put a 5 x k=v", 8}, {"put a 5 nan k=v", 8},
        {"put a 5 1e400 k=v", 8}, {"put a 5 1 k", 10}, {"put a 5 1 k=", 10}, {"put a 5 1 =v", 10},
        {"put a 5 1 k=v l", 14}, {"put a\tb 5 1 k=v", 4}, {"put \xff 5 1 k=v", 4},
        {"put a 5 1 k=\x01", 10}, {"get a 5 1 k=v", 0}, {"puts a 5 1", 0}, {"Version", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parse_text(OPENTSDB, cases[i].line);
        assert_int_equal(parsed.record_count, 1);
        assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_line);
        assert_int_equal(weir_opentsdb_refused_at(memory, strlen(cases[i].line), 0),
            cases[i].refused_at);
    }
}

static void
test_opentsdb_takes_runs_of_spaces_and_blank_lines(void **unused)
{
    (void)unused;
    parse_text(OPENTSDB, "  put  a   5  1   k=v   l=w  \r\n\r\n   \n\nput b 5 2\n");
    assert_int_equal(parsed.record_count, 2);
    assert_int_equal(parsed.point_count, 2);
    assert_true(parsed.records[0].text == memory + 2);
}

static void
test_opentsdb_labels_follow_the_tags(void **unused)
{
    (void)unused;
    static const struct {
        const char *line, *labels;
    } cases[] = {
        {"put a 5 1\n", "__name__=a"},
        {"put a 5 1 k=v=w\n", "__name__=a,k=v=w"},
        {"put a 5 1 k=v j=u k=v\n", "__name__=a,j=u,k=v"},
        {"put a 5 1 Z=1 a=2\n", "Z=1,__name__=a,a=2"},
    };
    char text[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parse_text(OPENTSDB, cases[i].line);
        assert_int_equal(labels_text(OPENTSDB, 0, text, sizeof text), WEIR_OK);
        assert_string_equal(text, cases[i].labels);
    }
    parse_text(OPENTSDB, "put a 5 1 k=v k=w\n");
    assert_int_equal(labels_text(OPENTSDB, 0, text, sizeof text), WEIR_INVALID);
    parse_text(OPENTSDB, "put a 5 1 __name__=b\n");
    assert_int_equal(labels_text(OPENTSDB, 0, text, sizeof text), WEIR_INVALID);
}

static void
test_opentsdb_labels_report_limits(void **unused)
{
    (void)unused;
    static char line[16384], text[16384];
    for (int tags = 64; tags <= 65; tags++) {
        int used = sprintf(line, "put a 5 1");
        for (int i = 0; i < tags; i++)
            used += sprintf(line + used, " t%d=x", i);
        parse_text(OPENTSDB, line);
        assert_int_equal(labels_text(OPENTSDB, 0, text, sizeof text),
            tags == 64 ? WEIR_OK : WEIR_LIMIT);
    }
    int used = sprintf(line, "put a 5 1 k=");
    memset(line + used, 'v', WEIR_LABELS_BYTES_MAX);
    line[used + WEIR_LABELS_BYTES_MAX] = '\0';
    parse_text(OPENTSDB, line);
    assert_int_equal(labels_text(OPENTSDB, 0, text, sizeof text), WEIR_LIMIT);
}

/* Equal series have equal keys; names and tags that only look alike when joined have not. */
static void
test_opentsdb_raw_key_is_of_metric_and_tags(void **unused)
{
    (void)unused;
    parse_text(OPENTSDB, "put a 5 1 k=v\nput a 6 2 k=v\nput a 5 1 k=w\nput ak 5 1 =v=v\n"
                         "put b 5 1 k=v\nput a 5 1\n");
    const struct weir_point *points = parsed.points;
    assert_int_equal(parsed.point_count, 5);
    assert_memory_equal(&points[0].raw, &points[1].raw, sizeof points[0].raw);
    for (int i = 2; i < 5; i++)
        assert_memory_not_equal(&points[0].raw, &points[i].raw, sizeof points[0].raw);
}

static void
test_opentsdb_last_line_of_a_stream_needs_its_newline(void **unused)
{
    (void)unused;
    stream = true;
    parse_text(OPENTSDB, "put a 5 1 host=web1\nput a 5 1 host=web");
    stream = false;
    assert_int_equal(parsed.record_count, 2);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_NONE);
    assert_int_equal(parsed.records[1].reason, WEIR_REASON_cut_line);
    parse_text(OPENTSDB, "put a 5 1 host=web"); /* a datagram has an end */
    assert_int_equal(parsed.point_count, 1);
}

static const char *
answer_to(uint32_t record, uint8_t reason)
{
    static char out[WEIR_ANSWER_MAX + 1];
    size_t size = weir_opentsdb_answer(&parsed.records[record], reason, (uint8_t *)out);
    assert_true(size <= WEIR_ANSWER_MAX);
    out[size] = '\0';
    return out;
}

static void
test_opentsdb_commands_are_answered_and_no_data(void **unused)
{
    (void)unused;
    parse_text(OPENTSDB, "version\nstats\nhelp me\nput a 5 1 k=v\n");
    assert_int_equal(parsed.record_count, 4);
    assert_int_equal(parsed.point_count, 1);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_not_equal(parsed.records[i].command, 0);
        assert_int_equal(parsed.records[i].reason, WEIR_REASON_NONE);
        assert_int_equal(parsed.records[i].point_count, 0);
    }
    assert_int_equal(parsed.records[3].command, 0);
    assert_int_equal(parsed.odd_count, 3);
    assert_ptr_equal(strstr(answer_to(0, WEIR_REASON_NONE), "weir "),
        answer_to(0, WEIR_REASON_NONE));
    assert_non_null(strstr(answer_to(1, WEIR_REASON_NONE), "/metrics"));
    assert_string_equal(answer_to(2, WEIR_REASON_NONE),
        "available commands: put stats version help exit\n");
}

static void
test_opentsdb_exit_ends_a_stream_and_no_datagram(void **unused)
{
    (void)unused;
    const char *text = "put a 5 1 k=v\nexit\nput a 6 1 k=v\n";
    stream = true;
    parse_text(OPENTSDB, text); /* which is all taken */
    stream = false;
    assert_int_equal(parsed.record_count, 2);
    assert_int_equal(parsed.point_count, 1);
    assert_string_equal(answer_to(1, WEIR_REASON_NONE), "");
    parse_text(OPENTSDB, text);
    assert_int_equal(parsed.point_count, 2);
}

static void
test_opentsdb_refused_lines_are_answered_with_reason_and_line(void **unused)
{
    (void)unused;
    static char line[1000], wanted[WEIR_ANSWER_MAX + 1];
    parse_text(OPENTSDB, "put a x 1 k=v\nget a\n");
    assert_string_equal(answer_to(0, WEIR_REASON_bad_line), "put: bad_line: put a x 1 k=v\n");
    assert_string_equal(answer_to(0, WEIR_REASON_table_full), "put: table_full: put a x 1 k=v\n");
    assert_string_equal(answer_to(1, WEIR_REASON_bad_line), "unknown command: get\n");
    assert_string_equal(answer_to(1, WEIR_REASON_cut_line), "put: cut_line: get a\n");
    /* one that fits to the byte, and one that is cut */
    size_t room = WEIR_ANSWER_MAX - strlen("put: bad_line: \n");
    for (size_t size = room; size <= room + 1; size++) {
        memset(line, 'x', size);
        memcpy(line, "put ", 4);
        line[size] = '\0';
        parse_text(OPENTSDB, line);
        snprintf(wanted, sizeof wanted, "put: bad_line: %.*s%s\n",
            (int)(size == room ? room : room - 3), line, size == room ? "" : "...");
        assert_string_equal(answer_to(0, WEIR_REASON_bad_line), wanted);
    }
}

static void
test_opentsdb_implausible_times_reject_the_sample(void **unused)
{
    (void)unused;
    context.time_min_ms = 1000000;
    context.time_max_ms = 2000000;
    parse_text(OPENTSDB, "put a 999 1 k=v\nput a 1000 1 k=v\nput a 2001 1 k=v\n");
    context.time_min_ms = INT64_MIN;
    context.time_max_ms = INT64_MAX;
    assert_int_equal(parsed.point_count, 1);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_time_past);
    assert_int_equal(parsed.records[2].reason, WEIR_REASON_time_future);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_time_past], 1);
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
        cmocka_unit_test(test_opentsdb_put_is_one_sample),
        cmocka_unit_test(test_opentsdb_times_are_seconds_or_milliseconds_by_their_digits),
        cmocka_unit_test(test_opentsdb_refuses_malformed_lines_and_says_where),
        cmocka_unit_test(test_opentsdb_takes_runs_of_spaces_and_blank_lines),
        cmocka_unit_test(test_opentsdb_labels_follow_the_tags),
        cmocka_unit_test(test_opentsdb_labels_report_limits),
        cmocka_unit_test(test_opentsdb_raw_key_is_of_metric_and_tags),
        cmocka_unit_test(test_opentsdb_last_line_of_a_stream_needs_its_newline),
        cmocka_unit_test(test_opentsdb_commands_are_answered_and_no_data),
        cmocka_unit_test(test_opentsdb_exit_ends_a_stream_and_no_datagram),
        cmocka_unit_test(test_opentsdb_refused_lines_are_answered_with_reason_and_line),
        cmocka_unit_test(test_opentsdb_implausible_times_reject_the_sample),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
