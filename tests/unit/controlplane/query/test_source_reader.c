/* The engine's source over the fake reader. */
#include "controlplane/query/source_reader.h"
#include "tests/unit/controlplane/fake_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct weir_reader *reader;
static struct weir_source_reader source;
static struct weir_promql_view *view;
static struct weir_promql_arena arena;
static const struct weir_promql_source_functions *calls;

static int
set_up(void **state)
{
    (void)state;
    fake_reset();
    assert_int_equal(fake_open(NULL, &reader), WEIR_OK);
    weir_source_reader_init(&source, reader);
    calls = source.source.functions;
    assert_int_equal(calls->view_open(&source.source, &view), WEIR_OK);
    weir_promql_arena_init(&arena, 1 << 24);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    calls->view_close(view);
    weir_promql_arena_fini(&arena);
    weir_reader_close(reader);
    fake_reset();
    return 0;
}

static struct weir_promql_matcher
matcher(const char *label, enum weir_promql_token operator, const char *value, bool matches_empty)
{
    return (struct weir_promql_matcher){{label, (uint32_t)strlen(label)},
        {value, (uint32_t)strlen(value)}, operator, matches_empty};
}

static struct weir_promql_selection
select_by(const struct weir_promql_matcher *matchers, uint32_t count)
{
    struct weir_promql_selection selection;
    assert_int_equal(
        calls->select(view, &arena, matchers, count, INT64_MIN, INT64_MAX, &selection), WEIR_OK);
    return selection;
}

/* The hosts of what a matcher of label host selects, as "a b ". */
static void
check_hosts(struct weir_promql_matcher by, const char *wanted)
{
    struct weir_promql_selection selection = select_by(&by, 1);
    char hosts[64] = "";
    for (uint32_t i = 0; i < selection.count; i++) {
        const struct weir_promql_label *labels;
        uint32_t count;
        assert_int_equal(calls->labels(view, &arena, &selection, i, &labels, &count), WEIR_OK);
        assert_int_equal(memcmp(labels[0].name.data, "__name__", 8), 0);
        snprintf(hosts + strlen(hosts), sizeof hosts - strlen(hosts), "%.*s ",
            count > 1 ? (int)labels[1].value.size : 1, count > 1 ? labels[1].value.data : "-");
    }
    assert_string_equal(hosts, wanted);
}

static void
test_select_knows_the_four_kinds_of_matchers(void **state)
{
    (void)state;
    fake_series("__name__=cpu,host=a");
    fake_series("__name__=cpu,host=ab");
    fake_series("__name__=cpu");
    fake_series("__name__=mem,host=b");
    check_hosts(matcher("host", WEIR_PROMQL_IS, "a", false), "a ");
    check_hosts(matcher("host", WEIR_PROMQL_IS, "", true), "- ");
    check_hosts(matcher("host", WEIR_PROMQL_DIFFERS, "a", true), "ab - b ");
    check_hosts(matcher("host", WEIR_PROMQL_DIFFERS, "", false), "a ab b ");
    check_hosts(matcher("host", WEIR_PROMQL_MATCHES, "a.*", false), "a ab ");
    check_hosts(matcher("host", WEIR_PROMQL_MATCHES, "b|", true), "- b ");
    check_hosts(matcher("host", WEIR_PROMQL_MATCHES_NOT, "a", true), "ab - b ");
    check_hosts(matcher("host", WEIR_PROMQL_MATCHES_NOT, "a|", false), "ab b ");
    check_hosts(matcher("__name__", WEIR_PROMQL_MATCHES, ".+", false), "a ab - b ");
}

/* A name with a zero byte, which the reader could not be asked for. */
static void
test_select_compares_names_that_hold_a_zero_byte(void **state)
{
    (void)state;
    fake_series("__name__=cpu,host=a");
    struct weir_promql_matcher odd = matcher("host", WEIR_PROMQL_IS, "a", false);
    odd.label = (struct weir_promql_text){"host\0x", 6};
    assert_int_equal(select_by(&odd, 1).count, 0);
    odd.operator = WEIR_PROMQL_DIFFERS;
    assert_int_equal(select_by(&odd, 1).count, 1);
}

static void
test_read_sorts_runs_and_keeps_the_last_of_one_time(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m,host=a"), b = fake_series("__name__=m,host=b");
    fake_sample(a, 30, 3);
    fake_sample(b, 20, 20);
    fake_sample(a, 10, 1);
    fake_sample(a, 20, 2);
    fake_sample(a, 30, 4);
    fake_sample(a, 40, 5);
    fake_sample(b, 21, 21);
    struct weir_promql_matcher by = matcher("__name__", WEIR_PROMQL_IS, "m", false);
    struct weir_promql_selection selection = select_by(&by, 1);
    struct weir_promql_columns columns;
    /* after the first time, up to the last */
    assert_int_equal(calls->read(view, &arena, &selection, 0, 2, 10, 30, &columns), WEIR_OK);
    assert_int_equal(columns.count, 2);
    assert_int_equal(columns.runs[0].count, 2);
    assert_int_equal(columns.runs[0].times_ms[0], 20);
    assert_int_equal(columns.runs[0].times_ms[1], 30);
    assert_true(columns.runs[0].values[0] == 2 && columns.runs[0].values[1] == 4);
    assert_int_equal(columns.runs[1].count, 2);
    assert_true(columns.runs[1].values[0] == 20 && columns.runs[1].values[1] == 21);
    assert_true(columns.runs[0].clock != columns.runs[1].clock);
    /* a part of the selection, all times */
    assert_int_equal(
        calls->read(view, &arena, &selection, 1, 1, INT64_MIN, INT64_MAX, &columns), WEIR_OK);
    assert_int_equal(columns.count, 1);
    assert_int_equal(columns.runs[0].count, 2);
    assert_int_equal(calls->read(view, &arena, &selection, 0, 2, 50, 40, &columns), WEIR_OK);
    assert_int_equal(columns.runs[0].count + columns.runs[1].count, 0);
}

static void
test_read_keeps_within_the_memory_it_is_given(void **state)
{
    (void)state;
    uint64_t a = fake_series("__name__=m");
    for (int i = 0; i < 20000; i++)
        fake_sample(a, i, i);
    struct weir_promql_matcher by = matcher("__name__", WEIR_PROMQL_IS, "m", false);
    struct weir_promql_selection selection = select_by(&by, 1);
    struct weir_promql_columns columns;
    struct weir_promql_arena small;
    weir_promql_arena_init(&small, 1 << 18);
    assert_int_equal(
        calls->read(view, &small, &selection, 0, 1, -1, 20000, &columns), WEIR_NOMEM);
    assert_true(small.over);
    weir_promql_arena_fini(&small);
    assert_int_equal(calls->read(view, &arena, &selection, 0, 1, -1, 20000, &columns), WEIR_OK);
    assert_int_equal(columns.runs[0].count, 20000);
    assert_false(arena.over);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_select_knows_the_four_kinds_of_matchers),
        TEST(test_select_compares_names_that_hold_a_zero_byte),
        TEST(test_read_sorts_runs_and_keeps_the_last_of_one_time),
        TEST(test_read_keeps_within_the_memory_it_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
