/* Series selectors. */
#include "controlplane/query/selector.h"

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
/* Writes every byte as an escape between quotes; returns the end. */
static char *
write_quoted(char *to, const char *bytes, size_t size)
{
    *to++ = '"';
    for (size_t i = 0; i < size; i++)
        to += sprintf(to, "\\x%02x", (unsigned char)bytes[i]);
    *to++ = '"';
    return to;
}

/* The selector in its plainest form reads back as the same matches: none was made up, or lost. */
static void
expect_same_when_written_out(const struct weir_selector *selector)
{
    char text[4096];
    char *to = text;
    *to++ = '{';
    for (size_t i = 0; i < selector->count; i++) {
        const struct weir_match *match = &selector->matches[i];
        assert_true(match->name[0] != '\0' && strlen(match->name) + match->value_size < 200);
        if (i > 0)
            *to++ = ',';
        to = write_quoted(to, match->name, strlen(match->name));
        to += sprintf(to, "%s", match->kind == WEIR_MATCH_EQUAL ? "=" : "!=");
        to = write_quoted(to, match->value, match->value_size);
    }
    *to++ = '}';
    struct weir_selector again;
    enum weir_err err = weir_selector_init(&again, text, (size_t)(to - text));
    if (err != WEIR_OK)
        fail_msg("%.*s: %s", (int)(to - text), text, weir_err_detail());
    assert_int_equal(again.count, selector->count);
    for (size_t i = 0; i < again.count; i++) {
        assert_string_equal(again.matches[i].name, selector->matches[i].name);
        assert_int_equal(again.matches[i].kind, selector->matches[i].kind);
        assert_int_equal(again.matches[i].value_size, selector->matches[i].value_size);
        assert_memory_equal(again.matches[i].value, selector->matches[i].value,
            again.matches[i].value_size);
    }
    weir_selector_fini(&again);
}

static void
test_damaged_selectors_are_refused_or_mean_what_they_say(void **state)
{
    (void)state;
    static const char good[] = "cpu{a=\"\\u00fc\\x41\",\"b c\"!='d',e=`f`}";
    static const size_t whole = sizeof good - 1;
    size_t taken = 0;
    for (size_t cut = 0; cut <= whole; cut++) {
        for (int byte = 0; byte < 256; byte++) {
            char *copy = malloc(cut > 0 ? cut : 1); /* exact, so that a read past the end shows */
            memcpy(copy, good, cut);
            if (cut > 0)
                copy[(size_t)byte * 7 % cut] = (char)byte;
            struct weir_selector selector;
            enum weir_err err = weir_selector_init(&selector, copy, cut);
            if (err == WEIR_OK) {
                expect_same_when_written_out(&selector);
                weir_selector_fini(&selector);
                taken++;
            } else {
                /* `=~` is a regular expression */
                assert_true(err == WEIR_INVALID || err == WEIR_UNSUPPORTED);
                assert_string_not_equal(weir_err_detail(), "");
            }
            /* a brace that is open is never closed by what is missing */
            if (cut > strlen("cpu{") && cut < whole && memcmp(copy, good, cut) == 0)
                assert_int_not_equal(err, WEIR_OK);
            free(copy);
        }
    }
    assert_true(taken > 0);
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
        cmocka_unit_test(test_damaged_selectors_are_refused_or_mean_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
