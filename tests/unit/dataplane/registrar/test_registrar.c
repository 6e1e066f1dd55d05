/* Lines, batches and rounds of the registrar. */
#include "tests/unit/dataplane/registrar/registrar_fixture.h"

static void
test_registrar_logs_the_definition_with_the_first_sample(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(0, "a b a", 3);
    line(0, "c b", 2);
    send_deferral(2);
    closed();
    assert_int_equal(weir_registrar_run_once(t.registrar), 2);
    closed();
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_SAMPLES], 5);
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_PACKETS], 2);
    assert_null(pop_batch());
    assert_false(weir_registrar_idle(t.registrar));
    assert_true(weir_registrar_flush(t.registrar));
    closed();
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_int_equal(batch->number, 1);
    assert_int_equal(batch->producer, WEIR_PRODUCER_REGISTRAR);
    assert_int_equal(batch->opened_tsc, 1000);
    assert_int_equal(batch->packets, 2);
    assert_int_equal(batch->records, 2);
    assert_int_equal(batch->definition_first, 0);
    assert_int_equal(batch->definition_count, 3);
    assert_int_equal(batch->series_through, 3);
    assert_int_equal(batch->count, 5);
    static const uint64_t series[] = {0, 1, 0, 2, 1}, values[] = {0, 1, 2, 0, 1};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(weir_sample_series(&batch->samples[i]), series[i]);
        assert_int_equal(batch->samples[i].value, values[i]);
        assert_int_equal(batch->samples[i].time_ms, 1234);
    }
    size_t at = 0, size;
    const uint8_t *labels;
    for (int i = 0; i < 3; i++) {
        struct weir_label label;
        assert_int_equal(weir_definition_next(batch->definitions, batch->definition_bytes, &at,
                             &labels, &size), WEIR_OK);
        assert_true(weir_labels_find(labels, size, WEIR_NAME_LABEL, &label));
        assert_int_equal(label.value[0], 'a' + i);
    }
    assert_int_equal(at, batch->definition_bytes);
    assert_true(weir_registrar_idle(t.registrar));
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_series_defined], 3);
}

static void
test_registrar_does_not_define_a_series_twice(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    stages_give_batch(stages.empties);
    for (uint32_t i = 0; i < 2; i++) {
        line(0, "a b", 2);
        send_deferral(1);
        weir_registrar_run_once(t.registrar);
        weir_registrar_flush(t.registrar);
        struct weir_batch *batch = pop_batch();
        assert_int_equal(batch->definition_count, i == 0 ? 2 : 0);
        assert_int_equal(batch->count, 2);
    }
}

static void
test_registrar_completes_each_run_of_a_source(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(7, "a", 1);
    line(7, "!", 1);
    line(7, "b", 1);
    line(0, "c", 1);
    line(9, "!", 1);
    line(7, "d", 1);
    send_deferral(3);
    assert_int_equal(weir_registrar_run_once(t.registrar), 6);
    const struct weir_deferral *deferral = pop_completed();
    assert_non_null(deferral);
    assert_int_equal(deferral->completion_count, 3);
    expect_completion(deferral, 0, 7, 2, 1, 1);
    expect_completion(deferral, 1, 9, 0, 1, 0);
    expect_completion(deferral, 2, 7, 1, 0, 1);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_bad_labels), 2);
}

static void
test_registrar_keeps_a_record_for_its_good_samples(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(5, "! a !", 3);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    expect_completion(pop_completed(), 0, 5, 1, 0, 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_bad_labels), 2);
    weir_registrar_flush(t.registrar);
    assert_int_equal(pop_batch()->count, 1);
}

/* A sender that defines it before damage does would take the name of a lost series. */
static void
test_registrar_refuses_the_name_of_lost_definitions_by_every_way(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(5, WEIR_LOST_NAME " a", 2);
    resolved_line(5, WEIR_LOST_NAME);
    definition(5, WEIR_LOST_NAME " b", 2);
    line(5, WEIR_LOST_NAME "s", 1);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    expect_completion(pop_completed(), 0, 5, 3, 1, 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_bad_labels), 2);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_definitions_refused], 1);
    assert_int_equal(weir_series_count(stages.series), 3);
}

static void
test_registrar_counts_what_the_worker_counted(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(5, "- a b", 3);  /* parses to two now */
    line(5, "# a b", 2);  /* parses to none */
    line(5, "a b c", 2);  /* parses to three */
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    expect_completion(pop_completed(), 0, 5, 2, 1, 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_bad_line), 3);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_bad_line), 1);
    weir_registrar_flush(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_int_equal(batch->count, 4);
    assert_int_equal(batch->records, 2);
}

/* Another registrar in place of the one that setup made. */
static void
replace_registrar(int64_t more_deferrals_ns)
{
    weir_registrar_free(t.registrar);
    t.options.more_deferrals_ns = more_deferrals_ns;
    assert_int_equal(weir_registrar_new(&t.options, &t.registrar), WEIR_OK);
}

static void
send_three_deferrals(void)
{
    stages_give_batch(stages.empties);
    for (int i = 0; i < 3; i++) {
        resolved_line(0, "a b");
        send_deferral(1);
    }
}

static void
test_registrar_pops_several_deferrals_in_a_quick_round(void **state)
{
    (void)state;
    replace_registrar(LONG_AGO);
    send_three_deferrals();
    assert_int_equal(weir_registrar_run_once(t.registrar), 3);
    assert_int_equal(weir_registrar_run_once(t.registrar), 0);
}

static void
test_registrar_pops_one_deferral_in_a_slow_round(void **state)
{
    (void)state;
    replace_registrar(0);
    send_three_deferrals();
    for (int round = 0; round < 3; round++)
        assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 0);
}

static void
test_registrar_pops_no_deferral_without_an_empty_batch(void **state)
{
    (void)state;
    line(5, "a", 1);
    send_deferral(1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 0);
    closed();
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_SAMPLES], 1);
    assert_int_equal(weir_ring_count(stages.deferrals), 1);
    assert_false(weir_registrar_idle(t.registrar));
    stages_give_batch(stages.empties);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    assert_int_equal(weir_ring_count(stages.deferrals), 0);
}

static void
test_registrar_flushes_after_the_interval_and_sooner_for_an_ack(void **state)
{
    (void)state;
    weir_registrar_free(t.registrar);
    t.options.ack_interval_ns = 0;
    assert_int_equal(weir_registrar_new(&t.options, &t.registrar), WEIR_OK);
    stages_give_batch(stages.empties);
    line(5, "a", 1);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_null(pop_batch());
    line(5, "b", 1);
    t.deferral->ack_waiting = true;
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_true(batch->ack_waiting);
    assert_int_equal(batch->opened_tsc, 1000);
}

static void
test_registrar_flushes_when_the_writer_wants_definitions(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    stages_give_batch(stages.empties);
    line(5, "a b", 2);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_null(pop_batch());
    atomic_store(&stages.progress.definitions_wanted, 2);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    assert_int_equal(pop_batch()->definition_count, 2);
    line(5, "a", 1); /* what is wanted has been pushed: no hurry */
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_null(pop_batch());
}

/* 250,000 samples do not fit one batch; the only one comes back after the registrar has stopped
 * in the middle of a line. */
static void
test_registrar_goes_on_in_a_line_when_a_batch_comes_back(void **state)
{
    (void)state;
    enum { WORDS = 1000, LINES = 125, LINES_IN_FIRST = WEIR_BATCH_SAMPLES_MAX / WORDS };
    static char text[2 * WORDS + 1];
    for (int i = 0; i < WORDS; i++)
        memcpy(text + 2 * i, "a ", 3);
    stages_give_batch(stages.empties);
    for (int deferral = 0; deferral < 2; deferral++) {
        for (int i = 0; i < LINES; i++)
            line(5, text, WORDS);
        send_deferral(1);
    }
    assert_int_equal(weir_registrar_run_once(t.registrar), LINES);
    weir_registrar_run_once(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_int_equal(batch->count, WEIR_BATCH_SAMPLES_MAX);
    assert_int_equal(batch->records, LINES_IN_FIRST);
    assert_int_equal(batch->packets, 1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 0);
    assert_false(weir_registrar_flush(t.registrar));
    closed();
    assert_true(weir_ring_push(stages.empties, batch));
    assert_int_equal(weir_registrar_run_once(t.registrar), 2 * LINES - LINES_IN_FIRST);
    assert_true(weir_registrar_flush(t.registrar));
    batch = pop_batch();
    assert_int_equal(batch->number, 2);
    assert_int_equal(batch->count, 2 * LINES * WORDS - WEIR_BATCH_SAMPLES_MAX);
    assert_int_equal(batch->records, 2 * LINES - LINES_IN_FIRST);
    assert_int_equal(batch->packets, 1);
    assert_int_equal(batch->definition_count, 0);
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_SAMPLES], 0);
}

/* 600 definitions of 8 KiB do not fit one batch's 4 MiB. */
static void
test_registrar_logs_every_definition_once_across_batches(void **state)
{
    (void)state;
    enum { WORDS = 600 };
    static char text[5 * WORDS + 1];
    for (int i = 0; i < WORDS; i++)
        snprintf(text + 5 * i, 6, "L%03d ", i);
    stages_give_batch(stages.empties);
    line(5, text, WORDS);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    uint32_t first = batch->definition_count;
    assert_int_equal(batch->definition_first, 0);
    assert_int_equal(batch->count, first);
    assert_int_equal(batch->series_through, first);
    assert_int_equal(batch->records, 0);
    assert_true(weir_ring_push(stages.empties, batch));
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    weir_registrar_flush(t.registrar);
    batch = pop_batch();
    assert_int_equal(batch->definition_first, first);
    assert_int_equal(batch->definition_count, WORDS - first);
    assert_int_equal(batch->count, WORDS - first);
    assert_int_equal(batch->records, 1);
    expect_completion(pop_completed(), 0, 5, 1, 0, 2);
}

static void
test_registrar_counts_what_is_left_at_the_end_as_dropped(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(5, "a b", 2);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    line(5, "a", 1);
    send_deferral(1);
    weir_registrar_free(t.registrar);
    t.registrar = NULL;
    closed();
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_SAMPLES], 0);
    assert_int_equal(stages.sum->total.unit[WEIR_UNIT_SAMPLES].dropped[WEIR_REASON_shutdown], 3);
    assert_int_equal(stages.sum->total.unit[WEIR_UNIT_PACKETS].dropped[WEIR_REASON_shutdown], 2);
}

static void
test_registrar_with_a_limit_takes_a_deferral_in_several_rounds(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(0, "a b", 2);
    line(7, "c", 1);
    line(0, "a", 1);
    send_deferral(2);
    weir_registrar_limit(t.registrar, 1);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(weir_registrar_run_once(t.registrar), 1);
        assert_false(weir_registrar_idle(t.registrar));
        assert_null(pop_completed());
    }
    weir_registrar_limit(t.registrar, 0);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    expect_completion(pop_completed(), 0, 7, 1, 0, 1);
    assert_true(weir_registrar_flush(t.registrar));
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_int_equal(batch->records, 3);
    assert_int_equal(batch->count, 4);
    assert_int_equal(batch->definition_count, 3);
    assert_true(weir_registrar_idle(t.registrar));
    closed();
}

/* The first line's batch leaves while the deferral is under way; nothing of the others is taken. */
static void
test_registrar_flushes_in_the_middle_of_a_deferral_of_which_the_rest_is_refused(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(7, "a b", 2);
    line(7, "!", 1);
    line(7, "!", 1);
    send_deferral(3);
    weir_registrar_limit(t.registrar, 1);
    atomic_store(&stages.progress.definitions_wanted, 2);
    assert_int_equal(weir_registrar_run_once(t.registrar), 2); /* a line and a batch */
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_int_equal(batch->packets, 3);
    assert_int_equal(batch->records, 1);
    assert_false(weir_registrar_idle(t.registrar));
    weir_registrar_limit(t.registrar, 0);
    assert_int_equal(weir_registrar_run_once(t.registrar), 2);
    expect_completion(pop_completed(), 0, 7, 1, 2, 1);
    assert_true(weir_registrar_idle(t.registrar));
    closed();
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_PACKETS], 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registrar_logs_the_definition_with_the_first_sample),
        TEST(test_registrar_with_a_limit_takes_a_deferral_in_several_rounds),
        TEST(test_registrar_flushes_in_the_middle_of_a_deferral_of_which_the_rest_is_refused),
        TEST(test_registrar_does_not_define_a_series_twice),
        TEST(test_registrar_completes_each_run_of_a_source),
        TEST(test_registrar_keeps_a_record_for_its_good_samples),
        TEST(test_registrar_refuses_the_name_of_lost_definitions_by_every_way),
        TEST(test_registrar_counts_what_the_worker_counted),
        TEST(test_registrar_pops_several_deferrals_in_a_quick_round),
        TEST(test_registrar_pops_one_deferral_in_a_slow_round),
        TEST(test_registrar_pops_no_deferral_without_an_empty_batch),
        TEST(test_registrar_flushes_after_the_interval_and_sooner_for_an_ack),
        TEST(test_registrar_flushes_when_the_writer_wants_definitions),
        TEST(test_registrar_goes_on_in_a_line_when_a_batch_comes_back),
        TEST(test_registrar_logs_every_definition_once_across_batches),
        TEST(test_registrar_counts_what_is_left_at_the_end_as_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
