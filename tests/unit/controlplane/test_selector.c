/* Series selectors. */
#include "controlplane/selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Prints the matches as name=value or name!value, joined by |. */
static void
print_matches(const struct weir_selector *selector, char *out, size_t size)
{
    int used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < selector->count; i++)
        used += snprintf(out + used, size - (size_t)used, "%s%s%c%s", i > 0 ? "|" : "",
            selector->matches[i].name,
            selector->matches[i].kind == WEIR_MATCH_EQUAL ? '=' : '!', selector->matches[i].value);
}

static void
test_selectors_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *matches;
    } cases[] = {{"cpu", "__name__=cpu"}, {" cpu ", "__name__=cpu"}, {"cpu{}", "__name__=cpu"},
        {"cpu{a=\"b\"}", "__name__=cpu|a=b"}, {"cpu{a=\"b\",c!=\"d\"}", "__name__=cpu|a=b|c!d"},
        {"cpu { a = 'b' , c != `d\\n` , }", "__name__=cpu|a=b|c!d\\n"}, {"{a=\"b\"}", "a=b"},
        {"{__name__=\"x\"}", "__name__=x"}, {"{\"servers.web 1\"}", "__name__=servers.web 1"},
        {"{\"m\",\"label name\"=\"v\"}", "__name__=m|label name=v"},
        {"servers.web-1.load", "__name__=servers.web-1.load"}, {"a:b", "__name__=a:b"},
        {"cpu{a=\"\\\"\\\\\\n\\t\\x41\\101\\u00fc\\U0001f30a\"}",
            "__name__=cpu|a=\"\\\n\tAA\xc3\xbc\xf0\x9f\x8c\x8a"},
        {"cpu{a=\"\"}", "__name__=cpu|a="}, {"{a!=\"\"}", "a!"},
        {"cpu{a=\"}\"}", "__name__=cpu|a=}"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_selector selector;
        char matches[200];
        if (weir_selector_init(&selector, cases[i].text, strlen(cases[i].text)) != WEIR_OK)
            fail_msg("%s: %s", cases[i].text, weir_err_detail());
        print_matches(&selector, matches, sizeof matches);
        assert_string_equal(matches, cases[i].matches);
        weir_selector_fini(&selector);
    }
}

static void
test_bad_selectors_are_refused_with_a_place(void **state)
{
    (void)state;
    static const char *const cases[] = {"", " ", "{", "}", "cpu{", "cpu}", "cpu{a}", "cpu{a=}",
        "cpu{a=b}", "cpu{a=\"b}", "cpu{a=\"b\"", "cpu{a=\"b\"}x", "cpu{=\"b\"}", "cpu{,}",
        "cpu{a=\"\\q\"}", "cpu{a=\"\\x4\"}", "cpu{a=\"\\ud800\"}", "cpu{a=\"\\",
        "cpu{a=\"\\777\"}", "\"cpu\"",
        "cpu{a=\"b\" c=\"d\"}", "cpu{a==\"b\"}", "cpu{a!\"b\"}", "cpu mem", "cpu[5m]", "rate(cpu)",
        "{a=\"\"}", "{a!=\"b\"}", "{\"\"=\"x\"}", "cpu{a=\"x\ny\"}"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_selector selector;
        if (weir_selector_init(&selector, cases[i], strlen(cases[i])) != WEIR_INVALID)
            fail_msg("taken: %s", cases[i]);
        assert_non_null(strstr(weir_err_detail(), "selector:"));
    }
}

static void
test_regular_expressions_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const cases[] = {"cpu{a=~\"b\"}", "cpu{a!~\"b\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct weir_selector selector;
        assert_int_equal(weir_selector_init(&selector, cases[i], strlen(cases[i])),
            WEIR_UNSUPPORTED);
        assert_non_null(strstr(weir_err_detail(), "regular expressions"));
    }
}

static void
test_values_may_hold_zero_bytes_and_names_may_not(void **state)
{
    (void)state;
    struct weir_selector selector;
    static const char value[] = "cpu{a=\"x\\x00y\"}";
    assert_int_equal(weir_selector_init(&selector, value, sizeof value - 1), WEIR_OK);
    assert_int_equal(selector.matches[1].value_size, 3);
    weir_selector_fini(&selector);
    static const char name[] = "cpu{\"a\\x00\"=\"x\"}";
    assert_int_equal(weir_selector_init(&selector, name, sizeof name - 1), WEIR_INVALID);
}

static void
test_too_many_matchers_are_refused(void **state)
{
    (void)state;
    char text[WEIR_SELECTOR_MATCHES_MAX * 6 + 20] = "m{";
    for (int i = 0; i < WEIR_SELECTOR_MATCHES_MAX; i++)
        strcat(text, "a=\"b\",");
    strcat(text, "}");
    struct weir_selector selector;
    assert_int_equal(weir_selector_init(&selector, text, strlen(text)), WEIR_INVALID);
    assert_int_equal(weir_selector_init(&selector, text + 1, strlen(text) - 1), WEIR_OK);
    weir_selector_fini(&selector);
}

/* Every truncation and every changed byte of a good selector: no crash, and sanitizers watch. */
static void
test_damaged_selectors_never_read_or_write_astray(void **state)
{
    (void)state;
    static const char good[] = "cpu{a=\"\\u00fc\\x41\",\"b c\"!='d',e=`f`}";
    for (size_t cut = 0; cut < sizeof good; cut++) {
        for (int byte = 0; byte < 256; byte++) {
            char *copy = malloc(cut > 0 ? cut : 1); /* exact, so that a read past the end shows */
            memcpy(copy, good, cut);
            struct weir_selector selector;
            if (cut > 0)
                copy[(size_t)byte * 7 % cut] = (char)byte;
            if (weir_selector_init(&selector, copy, cut) == WEIR_OK)
                weir_selector_fini(&selector);
            free(copy);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selectors_are_read),
        cmocka_unit_test(test_bad_selectors_are_refused_with_a_place),
        cmocka_unit_test(test_regular_expressions_are_refused_by_name),
        cmocka_unit_test(test_values_may_hold_zero_bytes_and_names_may_not),
        cmocka_unit_test(test_too_many_matchers_are_refused),
        cmocka_unit_test(test_damaged_selectors_never_read_or_write_astray),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
