/* What the generator writes is what the checker expects: every line is parsed back by hand. */
#include "app/bench_lines.h"
#include "base/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SERIES 1003 /* the last host has fewer lines */
#define START_MS INT64_C(1700000000000)
#define STEP_MS 1000

/* Series, value and time of "m,job=..,host=node-N,.. f=V T". */
static uint64_t
read_line(char *line, double *value, int64_t *time_ms)
{
    char *host = strstr(line, "host=node-");
    char *field = strchr(line, ' ') + 1;
    char *equals = strchr(field, '=');
    char metric[64];
    assert_non_null(host);
    snprintf(metric, sizeof metric, "%.*s_%.*s", (int)strcspn(line, ","), line,
        (int)(equals - field), field);
    char *end;
    *value = strtod(equals + 1, &end);
    end += *end == 'i';
    assert_int_equal(*end, ' ');
    *time_ms = strtoll(end + 1, &end, 10) / 1000000;
    assert_int_equal(*end, '\0');
    uint64_t first = strtoull(host + 10, NULL, 10) * WEIR_BENCH_HOST_LINES;
    for (uint64_t series = first; series < first + WEIR_BENCH_HOST_LINES; series++)
        if (strcmp(weir_bench_metric(series), metric) == 0)
            return series;
    fail_msg("no series has the metric %s", metric);
    return 0;
}

static void
test_every_line_says_what_the_checker_computes(void **state)
{
    (void)state;
    struct weir_bench_lines *lines;
    assert_int_equal(weir_bench_lines_new(SERIES, START_MS, STEP_MS, &lines), WEIR_OK);
    static uint8_t seen[SERIES];
    for (uint64_t pass = 0; pass < 40; pass++) {
        memset(seen, 0, sizeof seen);
        while (weir_bench_lines_passes(lines) == pass) {
            char packet[WEIR_BENCH_PACKET_MAX + 1];
            uint32_t samples;
            size_t size = weir_bench_lines_next(lines, (uint8_t *)packet, &samples);
            packet[size] = '\0';
            char *next = packet;
            for (uint32_t i = 0; i < samples; i++) {
                char *line = next;
                next = strchr(line, '\n');
                assert_non_null(next);
                *next++ = '\0';
                double value;
                int64_t time_ms;
                uint64_t series = read_line(line, &value, &time_ms);
                assert_true(series < SERIES);
                assert_true(weir_double_bits(value) ==
                    weir_double_bits(weir_bench_value(series, pass)));
                assert_int_equal(time_ms, weir_bench_time_ms(START_MS, STEP_MS, series, pass));
                seen[series]++;
            }
            assert_int_equal(*next, '\0');
        }
        for (uint64_t series = 0; series < SERIES; series++)
            assert_int_equal(seen[series], 1); /* each series once a pass */
    }
    weir_bench_lines_free(lines);
}

static void
test_passes_differ_in_order_time_and_values(void **state)
{
    (void)state;
    uint64_t same = 0;
    for (uint64_t series = 0; series < SERIES; series++) {
        same += weir_bench_value(series, 3) == weir_bench_value(series, 4);
        assert_true(weir_bench_time_ms(START_MS, STEP_MS, series, 4) >
            weir_bench_time_ms(START_MS, STEP_MS, series, 3));
    }
    assert_true(same < SERIES / 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_line_says_what_the_checker_computes),
        cmocka_unit_test(test_passes_differ_in_order_time_and_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
