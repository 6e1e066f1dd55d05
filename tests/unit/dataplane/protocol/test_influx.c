#include "dataplane/protocol/influx/influx.h"
#include "dataplane/protocol/influx/frame.h"
#include "tests/unit/dataplane/protocol/parse_fixture.h"

#define INFLUX WEIR_PROTO_INFLUX

static enum weir_err
labels_field(struct weir_line_labels *line, unsigned field, uint8_t *labels, size_t *size)
{
    return weir_protocol_labels(&weir_protocols[INFLUX], line, field, labels, size);
}

static void
test_influx_line_gives_a_point_for_each_field(void **unused)
{
    (void)unused;
    parse_text(INFLUX, "cpu,host=web1 user=1.5,idle=98i,up=t,n=7u 1700000000000000000\n");
    assert_int_equal(parsed.record_count, 1);
    assert_int_equal(parsed.point_count, 4);
    static const double values[] = {1.5, 98, 1, 7};
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(point_value(i) == values[i]);
        assert_true(parsed.points[i].time_ms == INT64_C(1700000000000));
        assert_int_equal(parsed.points[i].field, i);
    }
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_NONE);
}

static void
test_influx_labels_are_measurement_field_and_tags_verbatim(void **unused)
{
    (void)unused;
    char text[256];
    parse_text(INFLUX, "a.b,host=web1 load=1\na.b,host=web1 value=1\n"
                       "m\\ x\\,y,k\\=1=v\\ 2 f\\,g=\"s\",h\\ i=2\n");
    assert_int_equal(labels_text(INFLUX, 0, text, sizeof text), WEIR_OK);
    assert_string_equal(text, "__name__=a.b_load,host=web1");
    assert_int_equal(labels_text(INFLUX, 1, text, sizeof text), WEIR_OK);
    assert_string_equal(text, "__name__=a.b,host=web1");
    assert_int_equal(labels_text(INFLUX, 2, text, sizeof text), WEIR_OK);
    assert_string_equal(text, "__name__=m x,y_h i,k=1=v 2");
}

static void
test_influx_labels_refuse_duplicate_and_reserved_tags(void **unused)
{
    (void)unused;
    char text[256];
    parse_text(INFLUX, "m,a=1,a=2 v=1\nm,__name__=x v=1\nm,a=1,\\a=2 v=1\n");
    assert_int_equal(parsed.point_count, 3);
    assert_int_equal(labels_text(INFLUX, 0, text, sizeof text), WEIR_INVALID);
    assert_int_equal(labels_text(INFLUX, 1, text, sizeof text), WEIR_INVALID);
    assert_int_equal(labels_text(INFLUX, 2, text, sizeof text), WEIR_OK);
}

static void
test_influx_labels_report_limits(void **unused)
{
    (void)unused;
    static char line[40000], text[256];
    size_t used = 1;
    line[0] = 'm';
    for (int i = 0; i < 64; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, ",t%d=x", i);
    snprintf(line + used, sizeof line - used, " v=1\n");
    parse_text(INFLUX, line);
    static char all[1024];
    assert_int_equal(labels_text(INFLUX, 0, all, sizeof all), WEIR_OK);
    assert_non_null(strstr(all, "t63=x"));
    snprintf(line + used, sizeof line - used, ",t64=x v=1\n");
    parse_text(INFLUX, line);
    assert_int_equal(labels_text(INFLUX, 0, text, sizeof text), WEIR_LIMIT);
    assert_string_equal(weir_err_detail(), "more than 64 tags");
    memset(line, 'x', 9000);
    strcpy(line + 9000, " v=1\n");
    parse_text(INFLUX, line);
    assert_int_equal(labels_text(INFLUX, 0, text, sizeof text), WEIR_LIMIT);
    memset(line, '\\', 30000);
    memcpy(line, "m,a=", 4);
    strcpy(line + 30000, "\\ v=1 v=1\n");
    parse_text(INFLUX, line);
    assert_int_equal(labels_text(INFLUX, 0, text, sizeof text), WEIR_LIMIT);
}

/* Asking for all labels of a line of many fields walks it once, in whatever way the fields are
 * looked for: going back costs one walk more. */
static void
test_influx_labels_of_all_fields_walk_the_line_once(void **unused)
{
    (void)unused;
    static char text[WEIR_LINE_MAX];
    static struct weir_line_labels line;
    static uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t used = (size_t)snprintf(text, sizeof text, "m,host=a,job=b "), size;
    unsigned fields = 0;
    for (; used + 16 < sizeof text; fields++)
        used += (size_t)snprintf(text + used, 16, "%sf%u=1", fields ? "," : "", fields);
    assert_int_equal(weir_influx_labels_begin(&line, (const uint8_t *)text, used), WEIR_OK);
    for (unsigned i = 0; i < fields; i++)
        assert_int_equal(labels_field(&line, i, labels, &size), WEIR_OK);
    assert_int_equal(line.bytes_walked, used);
    assert_int_equal(labels_field(&line, fields, labels, &size), WEIR_INVALID);
    assert_int_equal(labels_field(&line, 0, labels, &size), WEIR_OK);
    assert_true(line.bytes_walked < used + 64);
    struct weir_label name;
    assert_true(weir_labels_find(labels, size, WEIR_NAME_LABEL, &name));
    assert_int_equal(name.value_size, 4);
    assert_memory_equal(name.value, "m_f0", 4);
}

/* Lines whose tags are, or only seem to be, those of the line before: decoded one after the other
 * they give the labels that each gives alone. */
static void
test_influx_labels_do_not_depend_on_the_line_before(void **unused)
{
    (void)unused;
    static const char *const lines[] = {"cpu,job=j,host=a user=1 1", "cpu,job=j,host=a idle=1 1",
        "mem,job=j,host=a  used=1i,value=2 1", "mem,job=j,host=ab used=1 1", "mem used=1",
        "m,job=j,host=a v=1", "m,A=1,z=2,host=a v=1", "m,z=2,A=1,host=a v=1", "m,z=2,A=1 v=1",
        "m\\,x,z=2,A=1 v=1", "m\\,z=2,A=1 v=1", "m,a=b\\  v=1", "m,a=b\\ c v=1", "m,a=b v=1",
        "m,a=b\\ v=1 v=1", "m,a=1,a=2 v=1", "m,a=1 v=1", "m,__name__=1 v=1", "m,a=1 v=1",
        "m,a=1 v\\==1,value=2", "m,a=1 s=\"a,b=c d\",v=1 1", "  m,a=1 v=1", "#,a=1 v=1",
        "m,a=1 v=1\r"};
    static struct weir_line_labels shared, alone;
    static uint8_t labels[2][WEIR_LABELS_BYTES_MAX];
    size_t sizes[2];
    for (size_t n = 0; n < sizeof lines / sizeof lines[0]; n++) {
        const uint8_t *text = (const uint8_t *)lines[n];
        size_t size = strlen(lines[n]);
        memset(&alone, 0, sizeof alone);
        enum weir_err begun = weir_influx_labels_begin(&alone, text, size);
        assert_int_equal(weir_influx_labels_begin(&shared, text, size), begun);
        for (unsigned field = 0; begun == WEIR_OK && field < 3; field++) {
            enum weir_err err = labels_field(&alone, field, labels[0], &sizes[0]);
            assert_int_equal(labels_field(&shared, field, labels[1], &sizes[1]), err);
            if (err != WEIR_OK)
                break;
            assert_int_equal(sizes[0], sizes[1]);
            assert_memory_equal(labels[0], labels[1], sizes[0]);
            assert_int_equal(shared.bytes_walked, alone.bytes_walked);
        }
    }
}

static void
test_influx_bad_line_leaves_its_neighbours(void **unused)
{
    (void)unused;
    parse_text(INFLUX, "m v=1\nm v=\nm v=nan\nm v=1e400\nm v=2\n");
    assert_int_equal(parsed.record_count, 5);
    assert_int_equal(parsed.point_count, 2);
    assert_true(point_value(1) == 2);
    for (uint32_t i = 1; i < 4; i++) {
        assert_int_equal(parsed.records[i].reason, WEIR_REASON_bad_line);
        assert_int_equal(parsed.records[i].point_count, 0);
    }
    assert_int_equal(parsed.points[1].record, 4);
}

static void
test_influx_comments_and_blank_lines_are_no_records(void **unused)
{
    (void)unused;
    parse_text(INFLUX, "# c\n\n   \r\n\r\nm v=1\r\n  # d");
    assert_int_equal(parsed.record_count, 1);
    assert_int_equal(parsed.records[0].size, 5);
}

static void
test_influx_string_field_is_one_rejected_sample(void **unused)
{
    (void)unused;
    parse_text(INFLUX, "m s=\"a\nb\",v=1\nm s=\"only\",t=\"two\"\n");
    assert_int_equal(parsed.record_count, 2);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_NONE);
    assert_int_equal(parsed.points[0].field, 1);
    assert_int_equal(parsed.records[1].reason, WEIR_REASON_no_sample_accepted);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_unsupported_type], 3);
}

static void
test_influx_bad_line_counts_no_samples(void **unused)
{
    (void)unused;
    parse_text(INFLUX, "m a=9007199254740993i,s=\"x\",v=1x\n");
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_line);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_unsupported_type], 0);
    assert_int_equal(parsed.integers_rounded, 0);
}

static void
test_influx_implausible_times_reject_their_samples(void **unused)
{
    (void)unused;
    context.time_min_ms = 1000000;
    context.time_max_ms = 2000000;
    parse_text(INFLUX, "m a=1,b=2 999\nm a=1 1000\nm a=1 2000\nm a=1,s=\"x\" 2001\n");
    context.time_min_ms = INT64_MIN;
    context.time_max_ms = INT64_MAX;
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_time_past);
    assert_int_equal(parsed.records[1].reason, WEIR_REASON_NONE);
    assert_int_equal(parsed.records[2].reason, WEIR_REASON_NONE);
    assert_int_equal(parsed.records[3].reason, WEIR_REASON_time_future);
    assert_int_equal(parsed.point_count, 2);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_time_past], 2);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_time_future], 1);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_unsupported_type], 1);
}

static void
test_influx_time_units_by_magnitude_or_fixed(void **unused)
{
    (void)unused;
    parse_text(INFLUX, "m v=1 1700000000\nm v=1 1700000000001\nm v=1 1700000000001999\n"
                       "m v=1 1700000000001999999\nm v=1\nm v=1 -1\n");
    static const int64_t times[] = {1700000000000, 1700000000001, 1700000000001, 1700000000001,
        NOW_MS, -1000};
    for (uint32_t i = 0; i < 6; i++)
        assert_true(parsed.points[i].time_ms == times[i]);
    parse_bytes(INFLUX, "m v=1 -1\n", 9, WEIR_TIME_NS, true, NULL);
    assert_true(parsed.points[0].time_ms == -1);
    parse_bytes(INFLUX, "m v=1 9223372036854775807\n", 26, WEIR_TIME_S, true, NULL);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_line);
}

static void
test_influx_rounded_integers_are_counted(void **unused)
{
    (void)unused;
    parse_text(INFLUX, "m a=9007199254740992i,b=9007199254740993i,c=18446744073709551615u\n");
    assert_int_equal(parsed.integers_rounded, 2);
    assert_true(point_value(2) == 18446744073709551615.0);
}

static void
test_influx_partial_last_line_waits_unless_final(void **unused)
{
    (void)unused;
    assert_int_equal(parse_bytes(INFLUX, "m v=1\nm v=2", 11, WEIR_TIME_AUTO, false, NULL), 6);
    assert_int_equal(parsed.record_count, 1);
    assert_int_equal(parse_bytes(INFLUX, "m v=1\nm v=2", 11, WEIR_TIME_AUTO, true, NULL), 11);
    assert_int_equal(parsed.record_count, 2);
    assert_int_equal(parse_bytes(INFLUX, "m s=\"a\n", 7, WEIR_TIME_AUTO, false, NULL), 0);
}

static void
test_influx_long_line_is_refused_once_and_skipped(void **unused)
{
    (void)unused;
    static char line[WEIR_LINE_MAX + 100];
    memset(line, 'x', sizeof line);
    bool skip = false;
    assert_int_equal(
        parse_bytes(INFLUX, line, WEIR_LINE_MAX, WEIR_TIME_AUTO, false, &skip), 0);
    assert_int_equal(
        parse_bytes(INFLUX, line, sizeof line, WEIR_TIME_AUTO, false, &skip), sizeof line);
    assert_int_equal(parsed.record_count, 1);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_line_too_long);
    assert_true(skip);
    assert_int_equal(parse_bytes(INFLUX, "m v=1", 5, WEIR_TIME_AUTO, false, &skip), 5);
    assert_int_equal(parsed.record_count, 0);
    assert_true(skip);
    assert_int_equal(parse_bytes(INFLUX, "m v=1\nm v=2\n", 12, WEIR_TIME_AUTO, false, &skip), 12);
    assert_false(skip);
    assert_int_equal(parsed.record_count, 1);
    assert_true(point_value(0) == 2);
}

static void
test_influx_control_bytes_are_refused_but_in_strings(void **unused)
{
    (void)unused;
    static const char *const before[] = {"m", "m,k", "m,k=x", "m k"};
    static const char *const behind[] = {" v=1\n", "=x v=1\n", "y v=1\n", "=1\n"};
    for (int byte = 0; byte < 128; byte++) {
        if ((byte >= 32 && byte != 127) || byte == '\n' || byte == '\r')
            continue;
        for (size_t i = 0; i < 4; i++) {
            char text[64];
            size_t size = (size_t)snprintf(text, sizeof text, "%s#%s", before[i], behind[i]);
            *strchr(text, '#') = (char)byte;
            parse_bytes(INFLUX, text, size, WEIR_TIME_AUTO, true, NULL);
            assert_int_equal(parsed.record_count, 1);
            assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_line);
        }
        char text[] = "m s=\"a#b\",v=1\n";
        *strchr(text, '#') = (char)byte;
        parse_bytes(INFLUX, text, sizeof text - 1, WEIR_TIME_AUTO, true, NULL);
        assert_int_equal(parsed.point_count, 1);
    }
}

static void
test_influx_strings_escape_quote_backslash_and_white_space(void **unused)
{
    (void)unused;
    static const char raw[] = "a\\n\\r\\t\\\"\\\\\\x";
    struct weir_slice slice = {(const uint8_t *)raw, strlen(raw)};
    uint8_t plain[32];
    size_t size = weir_influx_unescape(slice, WEIR_INFLUX_TEXT, plain);
    assert_int_equal(size, 8);
    assert_memory_equal(plain, "a\n\r\t\"\\\\x", size);
    /* elsewhere n, r and t are letters */
    size = weir_influx_unescape(slice, WEIR_INFLUX_KEY, plain);
    assert_int_equal(size, strlen(raw));
}

#define LINES_BEHIND 400

/* A line with an open quote, then LINES_BEHIND good ones. */
static size_t
open_quote_text(char *text, const char *behind)
{
    size_t used = (size_t)sprintf(text, "s,h=p up=\"5 days,v=1 1700000000\n");
    for (int i = 0; i < LINES_BEHIND; i++)
        used += (size_t)sprintf(text + used, "%s", behind);
    return used;
}

static void
test_influx_open_quote_costs_its_own_line_only(void **unused)
{
    (void)unused;
    static char text[LINES_BEHIND * 80 + 80];
    static const char *const behind[] = {"m,h=a v=1 1700000000\n", "m s=\"x\",v=1 1700000000\n",
        "m s=\"\",v=1 1700000000\n"};
    for (size_t i = 0; i < 3; i++) {
        open_quote_text(text, behind[i]);
        parse_text(INFLUX, text);
        assert_int_equal(parsed.records[0].reason, WEIR_REASON_unclosed_string);
        assert_int_equal(parsed.records[0].size, strchr(text, '\n') - text);
        assert_int_equal(parsed.odd_count, 1);
        assert_int_equal(parsed.point_count, LINES_BEHIND);
    }
}

static void
test_influx_open_quote_of_a_stream_is_completed_by_64_kib(void **unused)
{
    (void)unused;
    static char text[2 * WEIR_LINE_MAX];
    size_t used = (size_t)sprintf(text, "s up=\"5 days 1700000000\n"), lines = 0;
    bool skip = false;
    while (used <= WEIR_LINE_MAX)
        used += (size_t)sprintf(text + used, "m,h=a%060d v=1 1700000000\n", 1);
    assert_int_equal(parse_bytes(INFLUX, text, WEIR_LINE_MAX, WEIR_TIME_AUTO, false, &skip), 0);
    assert_int_equal(parsed.record_count, 0);
    for (size_t at = 0, before = 1; at != before;) {
        before = at;
        at += parse_bytes(INFLUX, text + at, used - at, WEIR_TIME_AUTO, false, &skip);
        lines += parsed.point_count;
        assert_int_equal(parsed.odd_count, before == 0);
        if (at == used)
            break;
    }
    assert_int_equal(parsed.records[parsed.record_count - 1].reason, WEIR_REASON_NONE);
    assert_int_equal(lines, (used - 24) / 81);
    assert_false(skip);
}

static void
test_influx_closed_string_hides_its_newlines_in_a_bad_line_too(void **unused)
{
    (void)unused;
    parse_text(INFLUX, "m s=\"a\nx v=1\nb\",v=oops 1\nm v=2\n");
    assert_int_equal(parsed.record_count, 2);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_line);
    parse_text(INFLUX, "m s=\"a\"b\nm s=\"open");
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_line);
    assert_int_equal(parsed.records[1].reason, WEIR_REASON_unclosed_string);
}

/* What a FIN has cut off is not what its sender meant: usage=12 of usage=12.5. */
static void
test_influx_last_line_of_a_stream_needs_newline_or_timestamp(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        uint8_t reason;
    } last[] = {{"m usage=12", WEIR_REASON_cut_line}, {"m usage=12 ", WEIR_REASON_cut_line},
        {"m s=\"a", WEIR_REASON_cut_line}, {"m,k=v", WEIR_REASON_cut_line},
        {"m usage=12\r", WEIR_REASON_cut_line}, {"m usage=12 x", WEIR_REASON_cut_line},
        {"m usage=12 1700000000", WEIR_REASON_NONE}, {"m usage=12\n", WEIR_REASON_NONE},
        {"m usage=12 1700000000\r", WEIR_REASON_NONE}, {"m usage=\n", WEIR_REASON_bad_line}};
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "m v=1\n%s", last[i].text);
        stream = true;
        parse_text(INFLUX, text);
        stream = false;
        assert_int_equal(parsed.record_count, 2);
        assert_int_equal(parsed.records[1].reason, last[i].reason);
        assert_int_equal(parsed.point_count, 1 + (last[i].reason == WEIR_REASON_NONE));
    }
    parse_text(INFLUX, "m usage=12"); /* a datagram's end is a line's end */
    assert_int_equal(parsed.point_count, 1);
}

/* What each record of a mixed text is, and the place that is told as the wrong one. */
static void
test_influx_refused_records_report_their_place(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        size_t at;
    } cases[] = {{"m,k= v=1\n", 4}, {"m v=12x 1\n", 4}, {"m v=1,w=oops,s=\"a\nb\" 1\n", 8},
        {"m s=\"open 1\nm v=1\n", 4}, {"m v=1 12a\n", 8}, {"m v=1 9223372036854775808\n", 6},
        {"m\n", 1}, {"m,k=a\x01 v=1\n", 5}, {"m s=\"a\"b\n", 4}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t text[128] = {0};
        size_t size = strlen(cases[i].text);
        memcpy(text, cases[i].text, size);
        assert_int_equal(weir_influx_refused_at(text, size, 0), cases[i].at);
    }
}

static void
test_influx_raw_key_depends_on_key_bytes_and_field_only(void **unused)
{
    (void)unused;
    parse_text(INFLUX, "m,a=b x=1,y=2 1\nm,a=b   y=3,x=\"s\" 2 \nm,a=c x=1\nma=b x=1\n");
    struct weir_point *points = parsed.points;
    assert_int_equal(parsed.point_count, 5);
    assert_memory_equal(&points[1].raw, &points[2].raw, sizeof points[1].raw);
    assert_memory_not_equal(&points[0].raw, &points[1].raw, sizeof points[0].raw);
    assert_memory_not_equal(&points[0].raw, &points[3].raw, sizeof points[0].raw);
    struct weir_hash128 field = points[0].raw;
    parse_text(WEIR_PROTO_GRAPHITE, "m,a=b 1 1\n");
    assert_memory_not_equal(&parsed.points[0].raw, &field, sizeof field);
}

static void
test_influx_call_stops_at_its_targets(void **unused)
{
    (void)unused;
    static char text[WEIR_RECORDS_MAX * 6 + 60];
    for (size_t i = 0; i < WEIR_RECORDS_MAX + 10; i++)
        memcpy(text + 6 * i, "m v=1\n", 6);
    assert_int_equal(parse_bytes(INFLUX, text, sizeof text, WEIR_TIME_AUTO, true, NULL),
        6 * WEIR_RECORDS_MAX);
    assert_int_equal(parsed.point_count, WEIR_RECORDS_MAX);
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
        cmocka_unit_test(test_influx_line_gives_a_point_for_each_field),
        cmocka_unit_test(test_influx_labels_are_measurement_field_and_tags_verbatim),
        cmocka_unit_test(test_influx_labels_refuse_duplicate_and_reserved_tags),
        cmocka_unit_test(test_influx_labels_report_limits),
        cmocka_unit_test(test_influx_labels_of_all_fields_walk_the_line_once),
        cmocka_unit_test(test_influx_labels_do_not_depend_on_the_line_before),
        cmocka_unit_test(test_influx_bad_line_leaves_its_neighbours),
        cmocka_unit_test(test_influx_comments_and_blank_lines_are_no_records),
        cmocka_unit_test(test_influx_string_field_is_one_rejected_sample),
        cmocka_unit_test(test_influx_bad_line_counts_no_samples),
        cmocka_unit_test(test_influx_implausible_times_reject_their_samples),
        cmocka_unit_test(test_influx_time_units_by_magnitude_or_fixed),
        cmocka_unit_test(test_influx_rounded_integers_are_counted),
        cmocka_unit_test(test_influx_partial_last_line_waits_unless_final),
        cmocka_unit_test(test_influx_long_line_is_refused_once_and_skipped),
        cmocka_unit_test(test_influx_control_bytes_are_refused_but_in_strings),
        cmocka_unit_test(test_influx_strings_escape_quote_backslash_and_white_space),
        cmocka_unit_test(test_influx_open_quote_costs_its_own_line_only),
        cmocka_unit_test(test_influx_open_quote_of_a_stream_is_completed_by_64_kib),
        cmocka_unit_test(test_influx_closed_string_hides_its_newlines_in_a_bad_line_too),
        cmocka_unit_test(test_influx_last_line_of_a_stream_needs_newline_or_timestamp),
        cmocka_unit_test(test_influx_refused_records_report_their_place),
        cmocka_unit_test(test_influx_raw_key_depends_on_key_bytes_and_field_only),
        cmocka_unit_test(test_influx_call_stops_at_its_targets),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
