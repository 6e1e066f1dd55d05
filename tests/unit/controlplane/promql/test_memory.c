/* Every allocation of the PromQL front end fails in turn: WEIR_NOMEM, or the same answer as ever.
 * Texts beyond a limit are refused by name. */
#include "controlplane/promql/parse/series.h"
#include "tests/unit/faults/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const queries[] = {
    "sum by (a, \"b c\") (rate(x{l=~\"a.*\",m!=\"\\u00e9\"}[5m:step()*2] offset 1m)) / on (a) "
    "group_left (b, c, d, e, f) fill (1) topk(5, y @ 12.5)",
    "sum(a b)", "x{l=~\"(\"}", "1 == 2 + nope(\"\\z\")", "5mm", "a[5y1hs]", "",
};

/* Parses and prints text; the result, and what was printed or the first message in out. */
static enum weir_err
run(const char *text, size_t size, size_t limit, char *out, size_t room)
{
    struct weir_promql_arena arena;
    struct weir_promql_parsed parsed;
    struct weir_promql_text printed;
    weir_promql_arena_init(&arena, limit);
    out[0] = '\0';
    enum weir_err err = weir_promql_parse(&arena, text, size, &parsed);
    if (err == WEIR_OK)
        err = weir_promql_pretty(&arena, parsed.root, 20, &printed);
    if (err == WEIR_OK)
        snprintf(out, room, "%s", printed.data);
    else if (err != WEIR_NOMEM)
        snprintf(out, room, "%s", parsed.errors->message);
    weir_promql_arena_fini(&arena);
    return err;
}

static void
test_each_failed_allocation_is_out_of_memory(void **state)
{
    (void)state;
    char wanted[1024], got[1024];
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        size_t size = strlen(queries[i]);
        enum weir_err err = run(queries[i], size, WEIR_PROMQL_ARENA_MAX, wanted, sizeof wanted);
        for (long n = 1;; n++) {
            alloc_faults_arm(n, alloc_faults_one);
            enum weir_err failed = run(queries[i], size, WEIR_PROMQL_ARENA_MAX, got, sizeof got);
            if (!alloc_faults_disarm()) {
                assert_int_equal(failed, err);
                assert_string_equal(got, wanted);
                break;
            }
            assert_int_equal(failed, WEIR_NOMEM);
        }
    }
}

/* Blocks hold many objects: an arena that is full after n bytes fails at each object in turn. */
static void
test_each_object_beyond_the_arena_is_out_of_memory(void **state)
{
    (void)state;
    char wanted[1024], got[1024];
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        size_t size = strlen(queries[i]);
        enum weir_err err = run(queries[i], size, WEIR_PROMQL_ARENA_MAX, wanted, sizeof wanted);
        /* the first block is used up but for n bytes, and no other is allowed */
        for (size_t room = 0; room < WEIR_PROMQL_BLOCK_SIZE - 16; room += 16) {
            struct weir_promql_arena arena;
            struct weir_promql_parsed parsed;
            struct weir_promql_text printed;
            weir_promql_arena_init(&arena, WEIR_PROMQL_BLOCK_SIZE);
            assert_non_null(weir_promql_arena_alloc(&arena, WEIR_PROMQL_BLOCK_SIZE - 16 - room));
            enum weir_err failed = weir_promql_parse(&arena, queries[i], size, &parsed);
            if (failed == WEIR_OK)
                failed = weir_promql_pretty(&arena, parsed.root, 20, &printed);
            if (failed != WEIR_NOMEM) {
                assert_int_equal(failed, err);
                snprintf(got, sizeof got, "%s",
                    failed == WEIR_OK ? printed.data : parsed.errors->message);
                assert_string_equal(got, wanted);
                room = WEIR_PROMQL_BLOCK_SIZE;
            }
            weir_promql_arena_fini(&arena);
        }
    }
}

/* count times piece, then tail. */
static char *
repeated(const char *piece, size_t count, const char *tail)
{
    size_t size = strlen(piece);
    char *text = malloc(size * count + strlen(tail) + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * size, piece, size);
    strcpy(text + size * count, tail);
    return text;
}

static void
check_limit(const char *piece, size_t count, const char *tail, enum weir_err err,
    const char *message)
{
    char got[1024];
    char *text = repeated(piece, count, tail);
    assert_int_equal(run(text, strlen(text), WEIR_PROMQL_ARENA_MAX, got, sizeof got), err);
    if (err == WEIR_LIMIT)
        assert_string_equal(got, message);
    free(text);
}

static void
test_limits_have_names(void **state)
{
    (void)state;
    static const char deep[] = "expression is nested more than 1000 deep";
    check_limit("(", 65536, "1", WEIR_LIMIT, deep);
    check_limit("-", 65536, "a", WEIR_LIMIT, deep);
    check_limit("a+", 65535, "a", WEIR_LIMIT, deep);
    check_limit("a^", 65535, "a", WEIR_LIMIT, deep);
    check_limit("sum(", 30000, "a", WEIR_LIMIT, deep);
    check_limit("a[1m:", 1, "((((1m))))]", WEIR_OK, NULL);
    check_limit("a[", 1, "-", WEIR_INVALID, NULL);
    check_limit("a+", 999, "a", WEIR_OK, NULL);
    check_limit("a+", 1000, "a", WEIR_LIMIT, deep);
    check_limit(" ", WEIR_PROMQL_TEXT_MAX, "a", WEIR_LIMIT, "query is longer than 131072 bytes");
    check_limit(" ", WEIR_PROMQL_TEXT_MAX - 1, "a", WEIR_OK, NULL);
    check_limit("a+on(", 1, "x)b", WEIR_OK, NULL);
    char *labels = repeated("x,", 1001, ")b");
    check_limit("a+on(", 1, labels, WEIR_LIMIT, "more than 1000 labels in one list");
    free(labels);
}

/* The longest texts of many nodes fit the arena that is meant for them. */
static void
test_longest_queries_fit_their_arena(void **state)
{
    (void)state;
    check_limit("label_join(a,\"\",\"\"", 1, "", WEIR_INVALID, NULL);
    char *arguments = repeated(",\"\"", (WEIR_PROMQL_TEXT_MAX - 32) / 3, ")");
    check_limit("label_join(a,\"\",\"\"", 1, arguments, WEIR_OK, NULL);
    free(arguments);
    char *matchers = repeated(",a!=\"\"", (WEIR_PROMQL_TEXT_MAX - 32) / 6, "}");
    check_limit("{a=\"b\"", 1, matchers, WEIR_OK, NULL);
    free(matchers);
    char *bad = repeated(",1+\"\"", (WEIR_PROMQL_TEXT_MAX - 32) / 5, ")");
    check_limit("label_join(a,\"\",\"\"", 1, bad, WEIR_INVALID, NULL);
    free(bad);
}

static const char histogram[] =
    "a{x=\"\\n\",\"b c\"=\"d\"} 0+10x5 _x3 stale {{schema:-53 sum:5.5 count:4 buckets:[1 -2 3] "
    "custom_values:[1 2] counter_reset_hint:gauge}}-{{sum:1}}x2 1 2 3 4 5 6";

static void
test_series_hold_native_histograms(void **state)
{
    (void)state;
    struct weir_promql_arena arena;
    struct weir_promql_series series;
    weir_promql_arena_init(&arena, WEIR_PROMQL_ARENA_MAX);
    assert_int_equal(weir_promql_parse_series(&arena, histogram, strlen(histogram), &series),
        WEIR_OK);
    assert_true(weir_promql_text_is(series.name, "a"));
    assert_int_equal(series.label_count, 3);
    assert_true(weir_promql_text_is(series.labels[0].value, "\n"));
    assert_true(weir_promql_text_is(series.labels[1].label, "b c"));
    assert_int_equal(series.count, 10);
    assert_int_equal(series.points[0].count, 6);
    assert_float_equal(series.points[0].step, 10, 0);
    assert_int_equal(series.points[1].kind, WEIR_PROMQL_POINT_OMITTED);
    assert_int_equal(series.points[1].count, 3);
    assert_int_equal(series.points[2].kind, WEIR_PROMQL_POINT_STALE);
    const struct weir_promql_points *points = &series.points[3];
    assert_int_equal(points->kind, WEIR_PROMQL_POINT_HISTOGRAM);
    assert_int_equal(points->count, 3);
    assert_true(points->subtracts);
    assert_float_equal(points->change->sum, 1, 0);
    assert_int_equal(points->histogram->schema, -53);
    assert_int_equal(points->histogram->buckets.count, 3);
    assert_float_equal(points->histogram->buckets.values[1], -2, 0);
    assert_int_equal(points->histogram->hint, WEIR_PROMQL_HINT_GAUGE);
    weir_promql_arena_fini(&arena);
}

static void
test_bad_series_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int at;
    } cases[] = {{"", 0}, {"a 1x", 4}, {"a 1+2", 5}, {"a 1;", 3}, {"a{x!=\"1\"} 1", 9},
        {"a {{schema:1 schema:1}}", 20}, {"a {{nope:1}}", 4}, {"a {{buckets:1}}", 12}, {"a {{", 4},
        {"a{x=\"1\"", 7}, {"a 1x99999999999", 13}, {"a stalex2", 7}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_promql_arena arena;
        struct weir_promql_series series;
        weir_promql_arena_init(&arena, WEIR_PROMQL_ARENA_MAX);
        assert_int_equal(weir_promql_parse_series(&arena, cases[i].text, strlen(cases[i].text),
            &series), WEIR_INVALID);
        assert_int_equal(series.error->at.start, cases[i].at);
        weir_promql_arena_fini(&arena);
    }
}

static void
test_series_beyond_the_arena_is_out_of_memory(void **state)
{
    (void)state;
    for (size_t room = 0;; room += 16) {
        struct weir_promql_arena arena;
        struct weir_promql_series series;
        weir_promql_arena_init(&arena, WEIR_PROMQL_BLOCK_SIZE);
        assert_non_null(weir_promql_arena_alloc(&arena, WEIR_PROMQL_BLOCK_SIZE - 16 - room));
        enum weir_err err = weir_promql_parse_series(&arena, histogram, strlen(histogram), &series);
        weir_promql_arena_fini(&arena);
        if (err == WEIR_OK)
            break;
        assert_int_equal(err, WEIR_NOMEM);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_failed_allocation_is_out_of_memory),
        cmocka_unit_test(test_each_object_beyond_the_arena_is_out_of_memory),
        cmocka_unit_test(test_limits_have_names),
        cmocka_unit_test(test_longest_queries_fit_their_arena),
        cmocka_unit_test(test_series_hold_native_histograms),
        cmocka_unit_test(test_bad_series_say_where),
        cmocka_unit_test(test_series_beyond_the_arena_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
