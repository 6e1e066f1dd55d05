/* Regular expressions: whole values, UTF-8, groups, and refusals by text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/regex/regex.h"
#include "tests/unit/faults/alloc.h"

static struct weir_regex *
compiled(const char *pattern)
{
    struct weir_regex *regex = NULL;
    assert_int_equal(weir_regex_new(pattern, strlen(pattern), &regex), WEIR_OK);
    return regex;
}

static bool
matches(const struct weir_regex *regex, const char *text, size_t size)
{
    bool out = false;
    assert_int_equal(weir_regex_matches(regex, text, size, &out), WEIR_OK);
    return out;
}

static void
check(const char *pattern, const char *text, bool wanted)
{
    struct weir_regex *regex = compiled(pattern);
    assert_int_equal(matches(regex, text, strlen(text)), wanted);
    weir_regex_free(regex);
}

static void
test_whole_values_match(void **state)
{
    (void)state;
    check("a", "a", true);
    check("a", "ab", false);
    check("a", "ba", false);
    check("a|ab", "ab", true); /* the longer alternative counts, though it comes second */
    check("a?b*", "", true);
    check(".+", "", false);
    check("", "", true);
    check("", "x", false);
    check("api-.*", "api-server", true);
    check("(?i)API", "api", true);
}

static void
test_dot_is_any_character(void **state)
{
    (void)state;
    check("a.b", "a\nb", true);
    check("(?-s:a.b)", "a\nb", false);
    check(".", "\xc3\xa9", true); /* one character of two bytes */
    check("..", "\xc3\xa9", false);
    check("^a$", "a\n", false);
    check("\\x{e9}", "\xc3\xa9", true);
}

static void
test_text_may_hold_zeros(void **state)
{
    (void)state;
    struct weir_regex *regex = compiled("a.b");
    assert_true(matches(regex, "a\0b", 3));
    assert_false(matches(regex, "a\0b", 2));
    weir_regex_free(regex);
}

static void
test_groups_have_parts(void **state)
{
    (void)state;
    struct weir_regex_part parts[WEIR_REGEX_GROUPS_MAX];
    struct weir_regex *regex = compiled("(?P<first>a+)(b)?-(.*)");
    bool matched = false;
    assert_int_equal(weir_regex_parts(regex, "aa-x", 4, parts, &matched), WEIR_OK);
    assert_true(matched);
    assert_int_equal(parts[0].size, 4);
    assert_int_equal(parts[1].size, 2);
    assert_null(parts[2].data);
    assert_memory_equal(parts[3].data, "x", 1);
    assert_null(parts[4].data);
    assert_int_equal(weir_regex_parts(regex, "b-x", 3, parts, &matched), WEIR_OK);
    assert_false(matched);
    assert_int_equal(weir_regex_group(regex, "first", 5), 1);
    assert_int_equal(weir_regex_group(regex, "firs", 4), -1);
    weir_regex_free(regex);
}

static void
test_bad_expressions_are_refused_by_text(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"(", "missing"}, {"a**", "bad repetition"},
        {"[z-a]", "range"}, {"\\8", "escape"}, {"(?=a)", "perl operator"},
        {"((((a{100}){100}){100}){100}){100}", "repetition"}, {"\xff", "UTF-8"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weir_regex *regex = NULL;
        assert_int_equal(weir_regex_new(bad[i][0], strlen(bad[i][0]), &regex), WEIR_INVALID);
        assert_null(regex);
        if (strstr(weir_err_detail(), bad[i][1]) == NULL)
            fail_msg("%s: %s", bad[i][0], weir_err_detail());
    }
}

static void
test_large_programs_are_refused(void **state)
{
    (void)state;
    struct weir_regex *regex = NULL;
    size_t size = 128 * 1024;
    char *pattern = malloc(size);
    assert_non_null(pattern);
    for (size_t i = 0; i + 8 <= size; i += 8)
        memcpy(pattern + i, "\\pL{999}", 8);
    assert_int_equal(weir_regex_new(pattern, size, &regex), WEIR_INVALID);
    assert_non_null(strstr(weir_err_detail(), "too large"));
    free(pattern);
}

/* Backtracking would take 2^40 steps here. */
static void
test_time_is_linear_to_the_text(void **state)
{
    (void)state;
    check("(a*)*(a*)*(a*)*(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false);
}

/* Compiles and matches; what was done before memory ran out is given back. */
static enum weir_err
run(const char *pattern, const char *text)
{
    struct weir_regex *regex = NULL;
    bool out = false;
    enum weir_err err = weir_regex_new(pattern, strlen(pattern), &regex);
    if (err == WEIR_OK)
        err = weir_regex_matches(regex, text, strlen(text), &out);
    weir_regex_free(regex);
    return err;
}

/* RE2 itself loses memory where its allocations fail, which a leak checker would report. */
static void
test_each_failed_allocation_is_out_of_memory(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    static const char pattern[] = "(?i)(a|b+)(?P<x>[c-f]{2,9})|x.*y";
    assert_int_equal(run(pattern, "bbcdef"), WEIR_OK);
    for (long n = 1;; n++) {
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = run(pattern, "bbcdef");
        if (!alloc_faults_disarm()) {
            assert_int_equal(err, WEIR_OK);
            assert_true(n > 10);
            break;
        }
        assert_int_equal(err, WEIR_NOMEM);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_values_match),
        cmocka_unit_test(test_dot_is_any_character),
        cmocka_unit_test(test_text_may_hold_zeros),
        cmocka_unit_test(test_groups_have_parts),
        cmocka_unit_test(test_bad_expressions_are_refused_by_text),
        cmocka_unit_test(test_large_programs_are_refused),
        cmocka_unit_test(test_each_failed_allocation_is_out_of_memory),
        cmocka_unit_test(test_time_is_linear_to_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
