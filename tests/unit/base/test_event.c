/* Events: one line each, bounded in rate and size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/event.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int ends[2];
static int kept;
static char text[65537 + 4096];

/* Standard error goes to a pipe until read_lines. */
static void
catch_lines(void)
{
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    kept = dup(STDERR_FILENO);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
}

static size_t
read_lines(void)
{
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)got;
    close(ends[0]);
    text[used] = '\0';
    size_t lines = 0;
    for (size_t i = 0; i < used; i++)
        lines += text[i] == '\n';
    return lines;
}

static void
test_event_is_one_logfmt_line(void **state)
{
    (void)state;
    weir_event_init("test", WEIR_LEVEL_INFO);
    catch_lines();
    weir_event(WEIR_LEVEL_WARN, "disk_full", "free_bytes=%d text=\"a\nb\"", 7);
    weir_event(WEIR_LEVEL_DEBUG, "too_low", "never=%d", 1);
    assert_int_equal(read_lines(), 1);
    assert_non_null(
        strstr(text, "Z level=warn proc=test event=disk_full free_bytes=7 text=\"a b\"\n"));
    assert_memory_equal(text, "ts=2", 4);
}

/* What a sender or a file system chose must not end its value, nor the line. */
static void
test_event_values_are_logfmt_whatever_they_hold(void **state)
{
    (void)state;
    catch_lines();
    weir_event(WEIR_LEVEL_WARN, "v", "a=\"%s\" b=%s c=%s d=%s e=%s f=%.*s n=%d",
        "x\"y\\z\n\x1b[2J\xff", "two words", "plain", "", "k=v", 3, "abcdef", 5);
    assert_int_equal(read_lines(), 1);
    assert_non_null(strstr(text, " event=v a=\"x\\\"y\\\\z\\n\\u001b[2J\\ufffd\" b=\"two words\" "
        "c=plain d=\"\" e=\"k=v\" f=abc n=5\n"));
}

static void
test_event_numbers_print_as_printf_does(void **state)
{
    (void)state;
    char expected[256];
    catch_lines();
    weir_event(WEIR_LEVEL_WARN, "n",
        "a=%d b=%u c=%lld d=%llu e=%zu f=%.3f g=%04x h=%" PRIi64 " i=%g%%", -1, 4000000000u,
        -5000000000ll, 18446744073709551615ull, (size_t)7, 1.5, 0xabu, INT64_MIN, 0.25);
    assert_int_equal(read_lines(), 1);
    snprintf(expected, sizeof expected,
        " a=%d b=%u c=%lld d=%llu e=%zu f=%.3f g=%04x h=%" PRIi64 " i=%g%%\n", -1, 4000000000u,
        -5000000000ll, 18446744073709551615ull, (size_t)7, 1.5, 0xabu, INT64_MIN, 0.25);
    assert_non_null(strstr(text, expected));
}

static void
test_event_cut_within_a_value_closes_its_quote(void **state)
{
    (void)state;
    static char large[5000];
    memset(large, '"', sizeof large - 1);
    struct weir_event_site site = {.second = 0};
    atomic_store(&site.suppressed, 4000000000u);
    catch_lines();
    weir_event_emit(&site, WEIR_LEVEL_ERROR, "large", "text=\"%s\" more=%s", large, "x");
    assert_int_equal(read_lines(), 1);
    assert_non_null(strstr(text, "\\\"\" suppressed=4000000000\n"));
    assert_null(strstr(text, "more"));
    atomic_store(&site.suppressed, 0);
    catch_lines();
    weir_event_emit(&site, WEIR_LEVEL_ERROR, "large", "text=%s more=%s", large, "x");
    assert_int_equal(read_lines(), 1);
    assert_string_equal(text + strlen(text) - 4, "\\\"\"\n");
}

static void
test_event_larger_than_a_line_is_cut_and_ends_with_newline(void **state)
{
    (void)state;
    static char large[5000];
    memset(large, 'x', sizeof large - 1);
    catch_lines();
    weir_event(WEIR_LEVEL_ERROR, "large", "text=%s", large);
    assert_int_equal(read_lines(), 1);
    assert_true(strlen(text) < sizeof large);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void
test_event_site_is_bounded_in_its_rate(void **state)
{
    (void)state;
    catch_lines();
    for (int i = 0; i < 200; i++)
        weir_event(WEIR_LEVEL_INFO, "flood", "i=%d", i);
    /* the loop may cross into a second second */
    assert_in_range(read_lines(), WEIR_EVENT_BURST, 2 * WEIR_EVENT_BURST);
}

static void
test_event_site_says_how_many_it_held_back(void **state)
{
    (void)state;
    struct weir_event_site site = {.second = 0};
    for (int i = 0; i < 3; i++)
        atomic_fetch_add(&site.suppressed, 1);
    catch_lines();
    weir_event_emit(&site, WEIR_LEVEL_INFO, "after", "i=%d", 1);
    assert_int_equal(read_lines(), 1);
    assert_non_null(strstr(text, " i=1 suppressed=3\n"));
}

/* A log that nobody reads must not stop the one who writes it. */
static void
test_event_does_not_wait_for_a_reader(void **state)
{
    (void)state;
    static const char junk[4096];
    struct weir_event_site site = {.second = 0};
    catch_lines();
    while (write(ends[1], junk, sizeof junk) > 0)
        continue;
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0); /* it would block now */
    alarm(60);
    weir_event_emit(&site, WEIR_LEVEL_INFO, "unread", "i=%d", 1);
    weir_event_emit(&site, WEIR_LEVEL_INFO, "unread", "i=%d", 2);
    alarm(0);
    assert_int_equal(atomic_load(&site.suppressed), 2);
    assert_int_equal(read_lines(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_is_one_logfmt_line),
        cmocka_unit_test(test_event_values_are_logfmt_whatever_they_hold),
        cmocka_unit_test(test_event_numbers_print_as_printf_does),
        cmocka_unit_test(test_event_cut_within_a_value_closes_its_quote),
        cmocka_unit_test(test_event_larger_than_a_line_is_cut_and_ends_with_newline),
        cmocka_unit_test(test_event_site_is_bounded_in_its_rate),
        cmocka_unit_test(test_event_site_says_how_many_it_held_back),
        cmocka_unit_test(test_event_does_not_wait_for_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
