/* Which hosts a request may name. */
#include "controlplane/http/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char names[][WEIR_CONFIG_HOST_SIZE] = {"weir.example.com", ".internal.example"};

static void
test_host_is_an_address_this_machine_or_a_listed_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum weir_host_verdict verdict;
    } cases[] = {
        {"127.0.0.1", WEIR_HOST_OURS}, {"127.0.0.1:9880", WEIR_HOST_OURS},
        {"203.0.113.9:80", WEIR_HOST_OURS}, {"[::1]", WEIR_HOST_OURS},
        {"[::1]:9880", WEIR_HOST_OURS}, {"[2001:DB8::7]:", WEIR_HOST_OURS},
        {"localhost", WEIR_HOST_OURS}, {"LocalHost:9880", WEIR_HOST_OURS},
        {"localhost.", WEIR_HOST_OURS}, {"box7", WEIR_HOST_OURS},
        {"BOX7.rack.example:1", WEIR_HOST_OURS}, {"box7.rack.example.", WEIR_HOST_OURS},
        {"weir.example.com:9880", WEIR_HOST_OURS}, {"Weir.Example.COM.", WEIR_HOST_OURS},
        {"a.internal.example", WEIR_HOST_OURS}, {"a.b.internal.example:1", WEIR_HOST_OURS},
        {"internal.example", WEIR_HOST_OTHER}, {"evilinternal.example", WEIR_HOST_OTHER},
        {"evil.example", WEIR_HOST_OTHER}, {"weir.example.com.evil.example", WEIR_HOST_OTHER},
        {"box", WEIR_HOST_OTHER}, {"box7.evil.example", WEIR_HOST_OTHER},
        {"box77", WEIR_HOST_OTHER}, {"rack.example", WEIR_HOST_OTHER},
        {"a.localhost", WEIR_HOST_OTHER}, {"127.0.0.1.evil.example", WEIR_HOST_OTHER},
        {"127.1", WEIR_HOST_OTHER}, {"2130706433", WEIR_HOST_OTHER},
        {"", WEIR_HOST_INVALID}, {":9880", WEIR_HOST_INVALID}, {".", WEIR_HOST_INVALID},
        {"localhost:x", WEIR_HOST_INVALID}, {"localhost:65536", WEIR_HOST_INVALID},
        {"localhost:80:80", WEIR_HOST_INVALID}, {"::1", WEIR_HOST_INVALID},
        {"[::1", WEIR_HOST_INVALID}, {"[::1]x", WEIR_HOST_INVALID},
        {"[127.0.0.1]", WEIR_HOST_INVALID}, {"[]", WEIR_HOST_INVALID},
        {"a b", WEIR_HOST_INVALID}, {"user@localhost", WEIR_HOST_INVALID},
        {"localhost/", WEIR_HOST_INVALID}, {"a..b", WEIR_HOST_INVALID},
        {".internal.example", WEIR_HOST_INVALID}, {"*", WEIR_HOST_INVALID},
        {"\xc3\xa9.example", WEIR_HOST_INVALID}};
    struct weir_http_hosts hosts = {.names = names, .count = 2, .machine = "box7.rack.example"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (weir_http_host_check(&hosts, cases[i].text) != cases[i].verdict)
            fail_msg("%s", cases[i].text);
}

static void
test_host_longer_than_a_name_is_refused(void **state)
{
    (void)state;
    struct weir_http_hosts hosts = {.machine = ""};
    char text[2 * WEIR_CONFIG_HOST_SIZE];
    memset(text, 'a', sizeof text);
    text[WEIR_CONFIG_HOST_SIZE] = '\0';
    assert_int_equal(weir_http_host_check(&hosts, text), WEIR_HOST_INVALID);
    text[WEIR_CONFIG_HOST_SIZE - 1] = '\0';
    assert_int_equal(weir_http_host_check(&hosts, text), WEIR_HOST_OTHER);
}

static void
test_host_star_stands_for_any_name(void **state)
{
    (void)state;
    static const char any[][WEIR_CONFIG_HOST_SIZE] = {"*"};
    struct weir_http_hosts hosts = {.names = any, .count = 1};
    assert_int_equal(weir_http_host_check(&hosts, "evil.example:1"), WEIR_HOST_OURS);
    assert_int_equal(weir_http_host_check(&hosts, "a b"), WEIR_HOST_INVALID);
}

static void
test_host_of_this_machine_is_found_out(void **state)
{
    (void)state;
    struct weir_http_hosts hosts;
    char name[WEIR_CONFIG_HOST_SIZE];
    weir_http_hosts_init(&hosts, NULL, 0);
    assert_int_equal(gethostname(name, sizeof name), 0);
    assert_int_equal(weir_http_host_check(&hosts, name), WEIR_HOST_OURS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_is_an_address_this_machine_or_a_listed_name),
        cmocka_unit_test(test_host_longer_than_a_name_is_refused),
        cmocka_unit_test(test_host_star_stands_for_any_name),
        cmocka_unit_test(test_host_of_this_machine_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
