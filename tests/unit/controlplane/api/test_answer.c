/* Answers of the engine as JSON: whole, and in pieces of every size. */
#include "controlplane/api/answer.h"
#include "controlplane/promql/source_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct weir_promql_memory *memory;

static int
set_up(void **state)
{
    (void)state;
    assert_int_equal(weir_promql_memory_new(&memory), WEIR_OK);
    for (int host = 0; host < 3; host++) {
        char name[8];
        uint32_t series;
        size_t size = (size_t)snprintf(name, sizeof name, "h\"%d", host);
        const struct weir_promql_label labels[] = {
            {WEIR_PROMQL_NAME, WEIR_PROMQL_TEXT("up")},
            {WEIR_PROMQL_TEXT("host"), {name, (uint32_t)size}}};
        assert_int_equal(weir_promql_memory_series(memory, labels, 2, &series), WEIR_OK);
        for (int64_t at = 0; at < 100; at += 7 + host) {
            struct weir_promql_sample sample = {.time_ms = at * 500, .value = (double)at / 4};
            assert_int_equal(weir_promql_memory_add(memory, series, &sample), WEIR_OK);
        }
    }
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    weir_promql_memory_free(memory);
    return 0;
}

static struct weir_promql_answer
run(const char *text, int64_t start_ms, int64_t end_ms, int64_t step_ms)
{
    struct weir_promql_answer answer;
    struct weir_promql_request request = {.text = text, .size = strlen(text), .start_ms = start_ms,
        .end_ms = end_ms, .step_ms = step_ms, .lookback_ms = 1600, .subquery_step_ms = 60000,
        .memory_max = 1 << 24, .source = weir_promql_memory_source(memory)};
    assert_int_equal(weir_promql_run(&request, &answer), WEIR_OK);
    return answer;
}

/* The answer in pieces of so many bytes and a little, joined. */
static struct weir_text
write_pieces(const struct weir_promql_answer *answer, const struct weir_answer_options *options,
    size_t size, size_t *pieces)
{
    struct weir_answer_cursor cursor;
    struct weir_text all;
    bool ended = false;
    weir_text_init(&all, 1 << 20);
    weir_answer_begin(&cursor, answer, options);
    for (*pieces = 0; !ended; (*pieces)++) {
        struct weir_text piece;
        weir_text_init(&piece, 1 << 20);
        ended = weir_answer_next(&cursor, &piece, size);
        assert_true(piece.size > 0 && !piece.full);
        weir_text_append(&all, piece.data, piece.size);
        weir_text_fini(&piece);
    }
    return all;
}

static void
check(const char *query, int64_t step_ms, const struct weir_answer_options *options,
    const char *wanted)
{
    struct weir_promql_answer answer = run(query, 1500, step_ms > 0 ? 9000 : 1500, step_ms);
    size_t pieces;
    struct weir_text text = write_pieces(&answer, options, SIZE_MAX, &pieces);
    assert_int_equal(pieces, 1);
    weir_text_append(&text, "", 1);
    assert_string_equal(text.data, wanted);
    weir_text_fini(&text);
    weir_promql_answer_free(&answer);
}

static void
test_each_type_has_its_form(void **state)
{
    (void)state;
    static const struct weir_answer_options none;
    check("1 / 0", 0, &none,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":"
        "[1.500,\"+Inf\"]}}\n");
    check("'a\"b'", 0, &none,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"string\",\"result\":"
        "[1.500,\"a\\\"b\"]}}\n");
    check("up{host=~'.*0'}", 0, &none,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":"
        "{\"__name__\":\"up\",\"host\":\"h\\\"0\"},\"value\":[1.500,\"0\"]}]}}\n");
    check("sum(nothing)", 0, &none,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}\n");
    check("up{host=~'.*0'}[2s]", 0, &none,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":"
        "{\"__name__\":\"up\",\"host\":\"h\\\"0\"},\"values\":[[0,\"0\"]]}]}}\n");
    /* steps without a value are left out */
    check("up{host=~'.*2'}", 1500, &none,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":"
        "{\"__name__\":\"up\",\"host\":\"h\\\"2\"},\"values\":[[1.500,\"0\"],"
        "[4.500,\"2.25\"],[6,\"2.25\"],[9,\"4.5\"]]}]}}\n");
}

/* Times share their upper digits, where they have some. */
static void
test_times_are_seconds_with_three_decimals_or_none(void **state)
{
    (void)state;
    static const struct weir_answer_options none;
    static const struct {
        int64_t start_ms;
        const char *times[4];
    } cases[] = {
        {INT64_C(1700009999500), {"1700009999.500", "1700010000", "1700010000.500", "1700010001"}},
        {INT64_C(9999500), {"9999.500", "10000", "10000.500", "10001"}},
        {-1000, {"-1", "-0.500", "0", "0.500"}},
        {INT64_C(-10000000500), {"-10000000.500", "-10000000", "-9999999.500", "-9999999"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_promql_answer answer =
            run("vector(7)", cases[i].start_ms, cases[i].start_ms + 1500, 500);
        char wanted[256];
        size_t pieces;
        struct weir_text text = write_pieces(&answer, &none, 1, &pieces);
        int size = snprintf(wanted, sizeof wanted, "\"values\":[");
        for (int k = 0; k < 4; k++)
            size += snprintf(wanted + size, sizeof wanted - (size_t)size, "%s[%s,\"7\"]",
                k > 0 ? "," : "", cases[i].times[k]);
        weir_text_append(&text, "", 1);
        if (strstr(text.data, wanted) == NULL)
            fail_msg("%s is not in %s", wanted, text.data);
        weir_text_fini(&text);
        weir_promql_answer_free(&answer);
    }
}

static void
test_limits_warnings_and_infos_follow_the_result(void **state)
{
    (void)state;
    static const struct weir_answer_options limited = {
        .series_max = 1, .warnings = {"first", "", "third"}};
    check("sum by (host) (rate(up[2s] offset -1s))", 0, &limited,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]},"
        "\"warnings\":[\"first\",\"third\"]}\n");
    check("count(quantile_over_time(2, up[9s]))", 0, &limited,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},"
        "\"value\":[1.500,\"3\"]}]},\"warnings\":[\"PromQL warning: quantile value should be "
        "between 0 and 1, got 2 (1:26)\",\"first\",\"third\"]}\n");
    check("up", 0, &limited,
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":"
        "{\"__name__\":\"up\",\"host\":\"h\\\"0\"},\"value\":[1.500,\"0\"]}]},"
        "\"warnings\":[\"first\",\"third\"]}\n");
}

/* Wherever a piece ends, and after the answer was copied out of the query's arena. */
static void
test_pieces_of_every_size_join_to_the_whole(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "up", "up or up offset 1s or -up", "quantile(2, up)", "1"};
    static const struct weir_answer_options options = {.warnings = {"w"}, .series_max = 7};
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        struct weir_promql_answer answer = run(queries[i], 0, 20000, 250);
        size_t pieces;
        struct weir_text whole = write_pieces(&answer, &options, SIZE_MAX, &pieces);
        size_t taken = answer.arena.taken;
        for (size_t size = 1; size < whole.size + 2; size += 1 + size / 8) {
            if (size > 50 && answer.arena.taken == taken && size < 70)
                assert_int_equal(weir_promql_answer_compact(&answer), WEIR_OK);
            struct weir_text joined = write_pieces(&answer, &options, size, &pieces);
            assert_int_equal(joined.size, whole.size);
            assert_memory_equal(joined.data, whole.data, whole.size);
            assert_true(size > whole.size / 2 || pieces > 1);
            weir_text_fini(&joined);
        }
        weir_text_fini(&whole);
        weir_promql_answer_free(&answer);
    }
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_each_type_has_its_form),
        TEST(test_times_are_seconds_with_three_decimals_or_none),
        TEST(test_limits_warnings_and_infos_follow_the_result),
        TEST(test_pieces_of_every_size_join_to_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
