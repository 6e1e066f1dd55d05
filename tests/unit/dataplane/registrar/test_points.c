/* Records that come as lists: points with labels, and definitions. */
#include "tests/unit/dataplane/registrar/registrar_fixture.h"

static void
test_registrar_defines_points_and_says_their_numbers(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    resolved_line(5, "a b");
    line(5, "b c", 2); /* by their text these are the same series */
    resolved_line(5, "1 d a");
    send_deferral(1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 3);
    const struct weir_deferral *deferral = pop_completed();
    expect_completion(deferral, 0, 5, 3, 0, 1);
    const struct weir_deferred_point *point =
        (const void *)(deferral->lines + sizeof(struct weir_deferred_line));
    assert_int_equal(point->number, 0);
    point = (const void *)((const uint8_t *)point + weir_deferred_point_bytes(point->labels_size));
    assert_int_equal(point->number, 1);
    weir_registrar_flush(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_int_equal(batch->definition_count, 4);
    assert_int_equal(batch->count, 7);
    static const uint64_t series[] = {0, 1, 1, 2, 1, 3, 0}, values[] = {0, 1, 0, 1, 0, 1, 2};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(weir_sample_series(&batch->samples[i]), series[i]);
        assert_int_equal(batch->samples[i].value, values[i]);
        assert_int_equal(batch->samples[i].time_ms, i == 2 || i == 3 ? 1234 : 77);
    }
}

/* The number of each series of a definition that is the deferral's first line. */
static void
expect_numbers(const struct weir_deferral *deferral, const uint64_t *numbers, uint32_t count)
{
    const uint8_t *list = deferral->lines + sizeof(struct weir_deferred_line) +
        sizeof(struct weir_definition_text) + sizeof(struct weir_wire_record);
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_deferred_point *point = (const void *)list;
        assert_int_equal(point->number, numbers[i]);
        assert_int_equal(point->index, i);
        list += weir_deferred_point_bytes(point->labels_size);
    }
}

static void
test_registrar_defines_the_series_of_a_definition_without_a_sample(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    definition(5, "a b ! a", 6);
    definition(5, "! !", 2);
    line(6, "b", 1);
    send_deferral(2);
    assert_int_equal(weir_registrar_run_once(t.registrar), 3);
    const struct weir_deferral *deferral = pop_completed();
    expect_completion(deferral, 0, 5, 1, 1, 1);
    expect_completion(deferral, 1, 6, 1, 0, 1);
    expect_numbers(deferral, (const uint64_t[]){0, 1, WEIR_SERIES_UNKNOWN, 0}, 4);
    weir_registrar_flush(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_int_equal(batch->definition_count, 2);
    assert_int_equal(batch->count, 1);
    assert_int_equal(weir_sample_series(&batch->samples[0]), 1);
    assert_int_equal(batch->records, 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_bad_labels), 1);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_series_defined], 2);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_definitions_refused], 3);
}

static void
test_registrar_refuses_series_of_a_definition_when_the_table_is_full(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    for (unsigned i = 1; i < SERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        line(0, name, 1);
    }
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    definition(5, "last new m3", 3);
    definition(5, "newer !", 2);
    send_deferral(2);
    weir_registrar_run_once(t.registrar);
    const struct weir_deferral *deferral = pop_completed();
    expect_completion(deferral, 0, 5, 1, 1, 1);
    expect_numbers(deferral, (const uint64_t[]){SERIES_MAX - 1, WEIR_SERIES_UNKNOWN, 2}, 3);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_definitions_refused], 3);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_no_sample_accepted), 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_table_full), 0);
}

static void
test_registrar_refuses_points_by_name_when_the_table_is_full(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    for (unsigned i = 0; i < SERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        line(0, name, 1);
    }
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    resolved_line(5, "new");
    resolved_line(5, "new 7 m3");
    send_deferral(2);
    weir_registrar_run_once(t.registrar);
    const struct weir_deferral *deferral = pop_completed();
    expect_completion(deferral, 0, 5, 1, 1, 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_table_full), 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_table_full), 1);
    const struct weir_deferred_point *point =
        (const void *)(deferral->lines + sizeof(struct weir_deferred_line));
    assert_true(point->number == WEIR_SERIES_UNKNOWN);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registrar_defines_points_and_says_their_numbers),
        TEST(test_registrar_defines_the_series_of_a_definition_without_a_sample),
        TEST(test_registrar_refuses_series_of_a_definition_when_the_table_is_full),
        TEST(test_registrar_refuses_points_by_name_when_the_table_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
