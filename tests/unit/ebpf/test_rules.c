#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/replace.h"
#include "ebpf/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
expect_text(const struct weir_rules *rules, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    weir_rules_print(rules, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void
test_rules_change_as_told_and_print_as_lines(void **state)
{
    (void)state;
    struct weir_rules rules = {0};
    static const char *const lines[] = {"deny 10.0.0.0/8", "allow 10.1.2.3", "deny 2001:db8::/32",
        "allow 10.0.0.0/8", "deny 0.0.0.0/0", "deny ::/0", "limit 1000 50", "remove 10.1.2.3"};
    expect_text(&rules, "limit off\n");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(weir_rules_change(&rules, lines[i]), WEIR_OK);
    expect_text(&rules, "limit 1000 50\nallow 10.0.0.0/8\ndeny 2001:db8::/32\ndeny 0.0.0.0/0\n"
                        "deny ::/0\n");
    assert_int_equal(weir_rules_change(&rules, "limit 1000"), WEIR_OK);
    assert_int_equal(rules.burst, 100);
    assert_int_equal(weir_rules_change(&rules, "limit 3"), WEIR_OK);
    assert_int_equal(rules.burst, 1);
    assert_int_equal(weir_rules_change(&rules, "limit off"), WEIR_OK);
    assert_int_equal(rules.rate, 0);
}

static void
test_rules_refuse_what_is_not_clear_and_stay_as_they_were(void **state)
{
    (void)state;
    static const char *const lines[] = {"", " ", "deny", "deny  ", "deny 10.0.0.1/8",
        "deny 10.0.0.0/33", "deny 10.0.0.0/", "deny 10.0.0.0/-1", "deny 10.0.0.0/8 x",
        "deny 10.0.0", "deny 10.0.0.0/8/8", "deny host", "deny 2001:db8::1/64", "deny ::/129",
        "deny /8", "Deny 10.0.0.0/8", "limit", "limit 0", "limit -1", "limit 1.5", "limit 1 0",
        "limit 10000001", "limit 1 10000001", "limit 99999999999999999999", "limit off 1",
        "limit 1 1 1", "remove", "show", "deny 10.0.0.0/8\n", "deny fe80::1%eth0",
        "deny 1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb"};
    struct weir_rules rules = {0};
    assert_int_equal(weir_rules_change(&rules, "deny 192.0.2.1"), WEIR_OK);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (weir_rules_change(&rules, lines[i]) != WEIR_INVALID)
            fail_msg("\"%s\" was taken", lines[i]);
    assert_int_equal(weir_rules_change(&rules, "remove 192.0.2.2"), WEIR_NOT_FOUND);
    char longer[WEIR_RULE_LINE_MAX + 1];
    memset(longer, ' ', sizeof longer - 1);
    memcpy(longer, "deny 10.0.0.1", 13);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(weir_rules_change(&rules, longer), WEIR_INVALID);
    expect_text(&rules, "limit off\ndeny 192.0.2.1/32\n");
}

static void
test_rules_come_back_from_their_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/weir-test-rules-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/rules", folder);
    struct weir_rules rules = {0};
    struct weir_rules back = {.count = 9};
    assert_int_equal(weir_rules_load(&back, path), WEIR_OK);
    assert_int_equal(back.count, 0);
    assert_int_equal(weir_rules_change(&rules, "deny 2001:db8::/32"), WEIR_OK);
    assert_int_equal(weir_rules_change(&rules, "limit 7 9"), WEIR_OK);
    assert_int_equal(weir_rules_save(&rules, path), WEIR_OK);
    assert_int_equal(weir_rules_load(&back, path), WEIR_OK);
    expect_text(&back, "limit 7 9\ndeny 2001:db8::/32\n");
    FILE *file = fopen(path, "a");
    fputs("deny nobody\n", file);
    fclose(file);
    assert_int_equal(weir_rules_load(&back, path), WEIR_INVALID);
    assert_non_null(strstr(weir_err_detail(), "line 3"));
    file = fopen(path, "w");
    fputs("deny 10.0.0.0/8", file); /* cut off by a crash of somebody's editor */
    fclose(file);
    assert_int_equal(weir_rules_load(&back, path), WEIR_INVALID);
    unlink(path);
    rmdir(folder);
}

static int
no_rename(void *context, const char *step)
{
    (void)context;
    return strcmp(step, "rename") == 0 ? EIO : 0;
}

static void
test_rules_that_cannot_be_saved_leave_the_file_alone_and_nothing_beside_it(void **state)
{
    (void)state;
    char folder[] = "/tmp/weir-test-rules-XXXXXX";
    char path[64];
    char aside[80];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/rules", folder);
    snprintf(aside, sizeof aside, "%s.new", path);
    struct weir_rules rules = {0};
    struct weir_rules back;
    assert_int_equal(weir_rules_change(&rules, "deny 10.0.0.1"), WEIR_OK);
    assert_int_equal(weir_rules_save(&rules, path), WEIR_OK);
    assert_int_equal(weir_rules_change(&rules, "deny 10.0.0.2"), WEIR_OK);
    weir_replace_set_fault(no_rename, NULL);
    assert_int_equal(weir_rules_save(&rules, path), WEIR_IO);
    weir_replace_set_fault(NULL, NULL);
    assert_int_equal(weir_rules_load(&back, path), WEIR_OK);
    expect_text(&back, "limit off\ndeny 10.0.0.1/32\n");
    assert_int_not_equal(access(aside, F_OK), 0);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* never waited for */
    assert_int_equal(weir_rules_load(&back, path), WEIR_INVALID);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_change_as_told_and_print_as_lines),
        cmocka_unit_test(test_rules_refuse_what_is_not_clear_and_stay_as_they_were),
        cmocka_unit_test(test_rules_come_back_from_their_file),
        cmocka_unit_test(
            test_rules_that_cannot_be_saved_leave_the_file_alone_and_nothing_beside_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
