/* Numbers, strings, times, parameters: what requests are read from and answers are made of. */
#include "controlplane/http/params.h"
#include "controlplane/http/text.h"
#include "controlplane/http/time_text.h"

#include "model/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Significant digits of a printed number. */
static int
digits_of(const char *text)
{
    char digits[WEIR_DOUBLE_TEXT_MAX];
    int count = 0;
    for (; *text != '\0' && *text != 'e'; text++)
        if (*text >= '0' && *text <= '9' && (count > 0 || *text != '0'))
            digits[count++] = *text;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return count;
}

/* Fewest digits of a decimal that reads back, from %.*e and its neighbours of one unit. */
static int
fewest_digits(double value)
{
    for (int digits = 1; digits < 17; digits++) {
        char text[64];
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        int exponent = atoi(strchr(text, 'e') + 1) - (digits - 1);
        char plain[32] = {0};
        int used = 0;
        for (const char *at = text; *at != 'e'; at++)
            if (*at >= '0' && *at <= '9')
                plain[used++] = *at;
        long long mantissa = atoll(plain);
        for (long long by = -1; by <= 1; by++) {
            snprintf(text, sizeof text, "%llde%d", mantissa + by, exponent);
            if (strtod(text, NULL) == fabs(value))
                return digits;
        }
    }
    return 17;
}

static void
check_double(double value, bool shortest)
{
    char text[WEIR_DOUBLE_TEXT_MAX];
    size_t size = weir_double_print(value, text);
    assert_int_equal(size, strlen(text));
    double back = strtod(text, NULL);
    assert_memory_equal(&back, &value, sizeof value);
    if (shortest && value != 0)
        assert_int_equal(digits_of(text), fewest_digits(value));
}

static void
test_doubles_read_back_bit_exact_and_are_shortest(void **state)
{
    (void)state;
    static const double edges[] = {0, -0.0, 1, -1, 0.1, 1.0 / 3, 5e-324, 2.2250738585072014e-308,
        2.225073858507201e-308, 1.7976931348623157e308, 9007199254740991, 9007199254740992,
        9007199254740993, 1e15, 1e16, 1e21, 1e22, 123456789012345680.0, 5.684341886080802e-14,
        9.5367431640625e-07, 1e-5, 0.0001};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
        check_double(edges[i], true);
    for (int i = -1074; i < 1024; i++) /* powers of two: the asymmetric case */
        check_double(ldexp(1, i), true);
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 50000; i++) {
        double value = weir_bits_double(next_random(&random));
        if (isfinite(value))
            check_double(value, i % 10 == 0);
        check_double((double)(int64_t)next_random(&random) / 1000, i % 10 == 0);
    }
}

static void
test_doubles_look_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"}, {-0.0, "-0"}, {42, "42"}, {0.1, "0.1"}, {-1.5, "-1.5"},
        {5e-324, "5e-324"}, {1e300, "1e+300"}, {123456789012, "123456789012"},
        {9007199254740991, "9007199254740991"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[WEIR_DOUBLE_TEXT_MAX];
        weir_double_print(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void
test_json_strings_parse_whatever_the_bytes(void **state)
{
    (void)state;
    uint64_t random = 4101842887655102017u;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[24];
        size_t size = next_random(&random) % sizeof bytes;
        for (size_t i = 0; i < size; i++) {
            uint64_t r = next_random(&random);
            /* lean towards bytes that begin or go on a sequence */
            bytes[i] = r & 256 ? (uint8_t)(0x80 | r) : (uint8_t)r;
        }
        struct weir_text text;
        weir_text_init(&text, 1000);
        weir_json_string(&text, bytes, size);
        json_error_t error;
        json_t *json = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        assert_non_null(json);
        assert_true((json_string_length(json) > 0) == (size > 0));
        json_decref(json);
        weir_text_fini(&text);
    }
}

static void
check_json_string(const char *bytes, size_t size, const char *expected)
{
    struct weir_text text;
    weir_text_init(&text, 1000);
    weir_json_string(&text, bytes, size);
    weir_text_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    weir_text_fini(&text);
}

static void
test_json_string_keeps_utf8_and_replaces_what_is_none(void **state)
{
    (void)state;
    check_json_string("a\"b\\c\n\x01", 7, "\"a\\\"b\\\\c\\n\\u0001\"");
    check_json_string("gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\x8a", 11,
        "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\x8a\"");
    check_json_string("\xff", 1, "\"\xef\xbf\xbd\"");
    check_json_string("\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json_string("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json_string("\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json_string("\0", 1, "\"\\u0000\"");
}

static void
test_text_past_its_bound_is_full_and_keeps_nothing_more(void **state)
{
    (void)state;
    struct weir_text text;
    weir_text_init(&text, 8);
    weir_text_puts(&text, "12345678");
    assert_false(text.full);
    weir_text_puts(&text, "9");
    assert_true(text.full);
    assert_int_equal(text.size, 8);
    weir_text_clear(&text);
    weir_text_format(&text, "%d", 1234567);
    assert_false(text.full);
    assert_int_equal(text.size, 7);
    weir_text_fini(&text);
}

static void
check_seconds(int64_t time_ms, bool three, const char *expected)
{
    struct weir_text text;
    weir_text_init(&text, 100);
    weir_json_seconds(&text, time_ms, three);
    weir_text_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    weir_text_fini(&text);
}

static void
test_seconds_print_with_three_decimals_or_as_few_as_needed(void **state)
{
    (void)state;
    check_seconds(1700000000000, false, "1700000000");
    check_seconds(1700000000250, false, "1700000000.25");
    check_seconds(1700000000000, true, "1700000000.000");
    check_seconds(-1, true, "-0.001");
    check_seconds(-1500, false, "-1.5");
    check_seconds(0, false, "0");
}

#define NOW_MS INT64_C(1795300000250)

static void
test_times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t time_ms;
    } cases[] = {{"0", 0}, {"1700000000", 1700000000000}, {"1700000000.5", 1700000000500},
        {"-1.25", -1250}, {"1.0001", 1001}, {"-1.0001", -1000}, {"1.000", 1000},
        {"1970-01-01T00:00:00Z", 0}, {"2026-11-21T05:00:00Z", 1795237200000},
        {"2026-11-21T06:00:00+01:00", 1795237200000}, {"2026-11-21T06:00:00 01:00", 1795237200000},
        {"2026-11-21t00:30:00.25-04:30", 1795237200250}, {"1969-12-31T23:59:59.999Z", -1},
        {"2024-02-29T00:00:00Z", 1709164800000}, {"2000-02-29T12:00:00Z", 951825600000},
        {"2016-12-31T23:59:60Z", 1483228800000}, {"0000-01-01T00:00:00Z", WEIR_TIME_MIN_MS},
        {"0000-03-01T00:00:00Z", WEIR_TIME_MIN_MS + INT64_C(60) * 86400000},
        {"9999-12-31T23:59:59.999Z", WEIR_TIME_MAX_MS - 1},
        /* without what goes without saying: UTC, midnight */
        {"2026-11-21", 1795219200000}, {"2026-11-21T05:00:00", 1795237200000},
        {"2026-11-21 05:00", 1795237200000}, {"2026-11-21 06:00+01:00", 1795237200000},
        /* from now */
        {"now", NOW_MS}, {"-1h", NOW_MS - 3600000}, {"now-1h30m", NOW_MS - 5400000},
        {"now-0.5s", NOW_MS - 500}, {"+5m", NOW_MS + 300000}, {" 5m", NOW_MS + 300000},
        {"now+1d", NOW_MS + 86400000}, {"now 1d", NOW_MS + 86400000}, {"now-60", NOW_MS - 60000},
        {"-1", -1000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t time_ms;
        assert_int_equal(weir_time_parse(cases[i].text, NOW_MS, &time_ms), WEIR_OK);
        assert_true(time_ms == cases[i].time_ms);
    }
}

static void
test_every_day_of_a_millennium_agrees_with_timegm(void **state)
{
    (void)state;
    for (int64_t day = -365 * 470; day < 365 * 630; day += 3) {
        time_t seconds = (time_t)(day * 86400 + 3661);
        struct tm utc;
        char text[64];
        int64_t time_ms;
        gmtime_r(&seconds, &utc);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
        assert_int_equal(weir_time_parse(text, NOW_MS, &time_ms), WEIR_OK);
        assert_true(time_ms == seconds * 1000);
    }
}

static void
test_what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "-", ".", "1e9", "1700000000s", "1 ",
        "now-", "now1h", "nowhere", "-1hour", "1h", "--1h", "-", "2026-11-21T", "2026-11-21T05",
        "2026-11-21T5:00", "2026-11-21Z", "2026-11", "yesterday", "-9999999d",
        "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
        "2026-11-21T24:00:00Z", "2026-11-21T05:00:00.Z", "2026-11-21T05:00:00+0100",
        "2026-11-21T05:00:00Zx", "1700000000000", "99999999999999999999", "0x10", "1.", "+1"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t time_ms;
        assert_int_equal(weir_time_parse(cases[i], NOW_MS, &time_ms), WEIR_INVALID);
        assert_true(strlen(weir_err_detail()) > 0);
    }
}

static void
test_durations_are_read_and_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"60", 60000}, {"0.25", 250}, {"30s", 30000}, {"5m", 300000}, {"1h", 3600000},
        {"250ms", 250}, {"1h30m", 5400000}, {"1.5h", 5400000}, {"1d", 86400000}, {"1w", 604800000},
        {"366d", WEIR_DURATION_MAX_MS}};
    static const char *const bad[] = {"", "0", "0s", "-5s", "abc", "1x", "0.1ms", "1h30", "367d",
        "99999999999999", "999999999999999", "0.0001", "s", "5 m", "1e3"};
    int64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(weir_duration_parse(good[i].text, &ms), WEIR_OK);
        assert_true(ms == good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(weir_duration_parse(bad[i], &ms), WEIR_INVALID);
}

static void
test_params_are_decoded(void **state)
{
    (void)state;
    static const char text[] = "metric=cpu%2Eload&host=a+b%2Bc&empty=&flag&&x=a%00b=c";
    struct weir_params params;
    assert_int_equal(weir_params_init(&params, text, sizeof text - 1), WEIR_OK);
    assert_int_equal(params.count, 5);
    assert_string_equal(params.items[0].value, "cpu.load");
    assert_string_equal(params.items[1].value, "a b+c");
    assert_int_equal(params.items[2].value_size, 0);
    assert_string_equal(params.items[3].name, "flag");
    assert_int_equal(params.items[4].value_size, 5);
    assert_memory_equal(params.items[4].value, "a\0b=c", 5);
    const struct weir_param *found;
    assert_int_equal(weir_params_find(&params, "x", &found), WEIR_INVALID);
    assert_int_equal(weir_params_find(&params, "host", &found), WEIR_OK);
    assert_ptr_equal(found, &params.items[1]);
    weir_params_fini(&params);
}

static void
test_bad_params_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"a=%", "a=%1", "a=%zz", "%=1", "=1", "%00=1", "a%00b=1"};
    struct weir_params params;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(weir_params_init(&params, cases[i], strlen(cases[i])), WEIR_INVALID);
    char many[(WEIR_PARAMS_MAX + 1) * 2];
    for (size_t i = 0; i < sizeof many; i += 2)
        memcpy(many + i, "a&", 2);
    assert_int_equal(weir_params_init(&params, many, sizeof many), WEIR_LIMIT);
    assert_int_equal(weir_params_init(&params, many, sizeof many - 2), WEIR_OK);
    assert_int_equal(params.count, WEIR_PARAMS_MAX);
    weir_params_fini(&params);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_read_back_bit_exact_and_are_shortest),
        cmocka_unit_test(test_doubles_look_as_people_write_them),
        cmocka_unit_test(test_json_strings_parse_whatever_the_bytes),
        cmocka_unit_test(test_json_string_keeps_utf8_and_replaces_what_is_none),
        cmocka_unit_test(test_text_past_its_bound_is_full_and_keeps_nothing_more),
        cmocka_unit_test(test_seconds_print_with_three_decimals_or_as_few_as_needed),
        cmocka_unit_test(test_times_are_read),
        cmocka_unit_test(test_every_day_of_a_millennium_agrees_with_timegm),
        cmocka_unit_test(test_what_is_no_time_is_refused),
        cmocka_unit_test(test_durations_are_read_and_refused),
        cmocka_unit_test(test_params_are_decoded),
        cmocka_unit_test(test_bad_params_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
