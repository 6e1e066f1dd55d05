/* The keeper on a log of the log's own writer: what was appended is in parts once, whatever happens
 * in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/reader.h"
#include "tests/unit/faults/alloc.h"
#include "tests/unit/storage/keeper/keeper_fixture.h"

struct answer {
    uint64_t bits[SERIES][TIMES];
    bool there[SERIES][TIMES];
    uint64_t calls;
};

static enum weir_err
on_sample(void *context, size_t index, int64_t time_ms, double value)
{
    struct answer *answer = context;
    uint32_t t = (uint32_t)(time_ms >= BASE_MS ? time_ms - BASE_MS : time_ms - BASE_MS + 9 * HOUR);
    assert_true(index < SERIES && t < TIMES);
    answer->bits[index][t] = weir_double_bits(value);
    answer->there[index][t] = true;
    answer->calls++;
    return WEIR_OK;
}

/* What queries are answered with: all series; every third one; a range of times of one. */
static void
ask(struct answer answers[3])
{
    struct weir_reader *reader;
    const struct weir_reader_options options = {.directory = fixture.directory, .store = store};
    assert_int_equal(weir_reader_open_with(&options, &reader), WEIR_OK);
    memset(answers, 0, 3 * sizeof *answers);
    uint64_t numbers[SERIES / 3];
    for (uint32_t i = 0; i < SERIES / 3; i++)
        numbers[i] = i * 3 + 1;
    const uint64_t one = 17;
    assert_int_equal(
        weir_reader_scan(reader, NULL, 0, INT64_MIN, INT64_MAX, on_sample, &answers[0]), WEIR_OK);
    assert_int_equal(
        weir_reader_scan(reader, numbers, SERIES / 3, INT64_MIN, INT64_MAX, on_sample, &answers[1]),
        WEIR_OK);
    assert_int_equal(
        weir_reader_scan(reader, &one, 1, BASE_MS + 20, BASE_MS + 90, on_sample, &answers[2]),
        WEIR_OK);
    assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
    weir_reader_close(reader);
}

static void
test_queries_have_the_same_answers_before_and_after_each_merge(void **state)
{
    (void)state;
    static struct answer before[3], after[3];
    batch_number = 0;
    append_batches(45);
    ask(before);
    open_keeper(0);
    for (bool more = true; more;) {
        uint64_t generation = weir_keeper_manifest(keeper)->generation;
        do
            more = weir_keeper_run_once(keeper);
        while (more && weir_keeper_manifest(keeper)->generation == generation);
        ask(after);
        for (unsigned i = 0; i < 3; i++) {
            assert_memory_equal(before[i].bits, after[i].bits, sizeof before[i].bits);
            assert_memory_equal(before[i].there, after[i].there, sizeof before[i].there);
            assert_true(after[i].calls > 0 && after[i].calls <= before[i].calls);
        }
    }
    check_all_is_in_parts();
}

static void
test_keeper_moves_the_log_into_parts(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(40);
    open_keeper(0);
    struct weir_keeper_status status = run_until_idle();
    assert_int_equal(status.state, WEIR_KEEPER_IDLE);
    assert_int_equal(status.frames_waiting, 0);
    assert_true(status.units >= 3);
    check_all_is_in_parts();
    append_batches(25);
    run_until_idle();
    check_all_is_in_parts();
    close_keeper();
    append_batches(1);
    open_keeper(0);
    assert_int_equal(run_until_idle().units, 1);
    check_all_is_in_parts();
}

static void
test_unit_waits_for_frames_or_for_its_age(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(5);
    open_keeper(64000);
    struct weir_keeper_status status = run_until_idle();
    assert_int_equal(status.units, 0);
    assert_int_equal(status.frames_waiting, 5);
    now_ns += INT64_C(63999) * 1000000;
    assert_int_equal(run_until_idle().units, 0);
    now_ns += 1000000;
    assert_int_equal(run_until_idle().units, 1);
    append_batches(17);
    status = run_until_idle();
    assert_int_equal(status.units, 2);
    assert_int_equal(status.frames_waiting, 1);
}

static void
test_keeper_killed_at_any_operation_loses_and_doubles_nothing(void **state)
{
    (void)state;
    batch_number = 0;
    unsigned kills = 0;
    append_batches(20);
    for (bool died = true; died; kills++) {
        death.left = kills;
        death.answer = -EIO;
        weir_io_set_fault(store_io, die_here, NULL);
        struct weir_keeper_options options = options_of(0);
        if (weir_keeper_open(&options, &keeper) == WEIR_OK) {
            for (unsigned i = 0; i < 4000 && death.left > 0 && weir_keeper_run_once(keeper); i++)
                continue;
            died = death.left == 0;
            weir_keeper_close(keeper);
            keeper = NULL;
        }
        weir_io_set_fault(store_io, NULL, NULL);
        /* every other start after a kill goes on with what is there, the rest with more */
        if (kills % 2 == 0) {
            open_keeper(0);
            run_until_idle();
            check_all_is_in_parts();
            close_keeper();
        }
        append_batches(20);
    }
    assert_true(kills > 40);
    open_keeper(0);
    run_until_idle();
    check_all_is_in_parts();
}

static void
test_failing_device_stops_merging_after_three_tries(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(20);
    open_keeper(0);
    death.left = 0;
    death.answer = -EIO;
    weir_io_set_fault(store_io, die_here, NULL);
    for (unsigned i = 0; i < 3; i++) {
        struct weir_keeper_status status = run_until_idle();
        assert_int_equal(status.failures, i + 1);
        assert_int_equal(status.state, i < 2 ? WEIR_KEEPER_PAUSED : WEIR_KEEPER_STOPPED);
        now_ns += INT64_C(30) * 1000000000;
    }
    weir_io_set_fault(store_io, NULL, NULL);
    assert_int_equal(run_until_idle().units, 0);
    close_keeper();
    open_keeper(0);
    run_until_idle();
    check_all_is_in_parts();
}

static void
test_full_device_is_waited_for(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(20);
    open_keeper(0);
    death.left = 0;
    death.answer = -ENOSPC;
    weir_io_set_fault(store_io, die_here, NULL);
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(run_until_idle().state, WEIR_KEEPER_PAUSED);
        now_ns += INT64_C(30) * 1000000000;
    }
    weir_io_set_fault(store_io, NULL, NULL);
    run_until_idle();
    check_all_is_in_parts();
}

static void
test_parts_are_joined_by_level(void **state)
{
    (void)state;
    batch_number = 0;
    now_ms = BASE_MS + HOUR; /* the older one of two partitions has ended */
    append_batches(40);
    open_keeper(0);
    run_until_idle();
    assert_int_equal(parts_of_level(3), 1);
    assert_int_equal(parts_of_level(2), 0);
    assert_int_equal(parts_of_level(1), weir_keeper_manifest(keeper)->part_count - 1);
    check_all_is_in_parts();
    for (unsigned i = 0; i < 2 * WEIR_PLAN_L1_PARTS; i++) {
        append_batches(1);
        run_until_idle();
        assert_true(parts_of_level(1) <= 2 * WEIR_PLAN_L1_PARTS);
    }
    assert_int_equal(parts_of_level(2), 2);
    check_all_is_in_parts();
    now_ns += WEIR_PLAN_L2_NS;
    append_batches(2);
    run_until_idle();
    assert_true(parts_of_level(2) >= 3);
    now_ms = BASE_MS + 3 * HOUR;
    run_until_idle();
    assert_int_equal(parts_of_level(3), 2);
    check_all_is_in_parts();
}

static void
test_partitions_past_their_age_go(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(40);
    retention_ms = 101 * HOUR; /* the younger partition ends two hours after BASE_MS */
    open_keeper(0);
    run_until_idle();
    const struct weir_manifest *manifest = weir_keeper_manifest(keeper);
    assert_int_equal(manifest->part_count, 1);
    assert_int_equal(manifest->parts[0].partition_ms, BASE_MS);
    assert_true(manifest->ledger[0].expired > 0);
    now_ms += 3 * HOUR;
    run_until_idle();
    assert_int_equal(manifest->part_count, 0);
    assert_int_equal(manifest->ledger[0].live, 0);
    assert_int_equal(
        manifest->ledger[0].merged, manifest->ledger[0].expired + manifest->ledger[0].superseded);
    char path[300];
    snprintf(path, sizeof path, "store/parts/%lld", (long long)BASE_MS);
    char **names;
    size_t count;
    assert_int_equal(weir_io_list(store_io, temp_path(path), &names, &count), WEIR_OK);
    assert_int_equal(count, 0);
    weir_io_list_free(names, count);
}

static void
make_file(const char *name)
{
    FILE *file = fopen(temp_path(name), "w");
    assert_non_null(file);
    fputs("x", file);
    fclose(file);
}

static void
test_files_that_no_manifest_names_go_and_others_stay(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(3);
    open_keeper(0);
    run_until_idle();
    char name[3][200];
    int64_t partition = weir_keeper_manifest(keeper)->parts[0].partition_ms;
    close_keeper();
    static const char *const files[] = {
        "00000000000000ff.part", "00000000000000fe.part.tmp", "00000000000000ff.part.kept"};
    for (unsigned i = 0; i < 3; i++) {
        snprintf(name[i], sizeof name[i], "store/parts/%lld/%s", (long long)partition, files[i]);
        make_file(name[i]);
    }
    make_file("store/notes");
    open_keeper(0);
    assert_int_equal(access(temp_path(name[0]), F_OK), -1);
    assert_int_equal(access(temp_path(name[1]), F_OK), -1);
    assert_int_equal(access(temp_path(name[2]), F_OK), 0);
    assert_int_equal(access(temp_path("store/notes"), F_OK), 0);
    run_until_idle();
    check_all_is_in_parts();
}

static void
test_every_failed_allocation_is_told_and_the_next_try_is_whole(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(12);
    struct weir_keeper_options options = options_of(0);
    long n = 1;
    for (bool failed = true; failed; n++) {
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = weir_keeper_open(&options, &keeper);
        if (err == WEIR_OK) {
            while (weir_keeper_run_once(keeper))
                continue;
            weir_keeper_close(keeper);
        }
        failed = alloc_faults_disarm();
        keeper = NULL;
        assert_true(err == WEIR_OK || err == WEIR_NOMEM);
        assert_true(failed || err == WEIR_OK);
    }
    assert_true(n > 8);
    check_all_is_in_parts();
}

/* A part that cannot grow any more stops neither the keeper nor the frames after it. */
static void
test_join_that_would_be_too_large_is_left_and_frames_go_on(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(1);
    /* values of 120 KB in all: two blocks */
    for (uint32_t t = 0; t < TIMES; t += 6) {
        fill_batch(++batch_number, 0, 0, 0);
        for (uint32_t i = 0; i < 6 * SERIES; i++) {
            uint32_t series = i % SERIES, at = t + i / SERIES;
            uint64_t value = draw();
            weir_batch_append(
                &batch, weir_sample_key(series, WEIR_VALUE_DOUBLE, 0), time_of(at), value);
            expected[series][at].bits = value;
            expected[series][at].sent = true;
        }
        appended += 6 * SERIES;
        append();
    }
    make_durable();
    struct weir_keeper_options options = options_of(0);
    options.writer.blocks_max = 6; /* of each kind one that is open and one more */
    options.frames_max = 4;
    assert_int_equal(weir_keeper_open(&options, &keeper), WEIR_OK);
    struct weir_keeper_status status = run_until_idle();
    assert_int_equal(status.state, WEIR_KEEPER_IDLE);
    assert_int_equal(status.frames_waiting, 0);
    assert_true(status.failures > 0);
    check_all_is_in_parts();
    append_batches(4);
    assert_int_equal(run_until_idle().frames_waiting, 0);
    check_all_is_in_parts();
}

/* One frame has samples of more partitions than a unit of several frames may have. */
static void
test_samples_of_hundreds_of_partitions_are_merged_a_frame_at_a_time(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(2);
    fill_batch(++batch_number, 0, 0, 0);
    for (uint32_t i = 0; i < 300; i++)
        weir_batch_append(
            &batch, weir_sample_key(7, WEIR_VALUE_DECIMAL, 0), BASE_MS - (100 + i * 2) * HOUR, i);
    append();
    appended += 300;
    append_batches(2);
    open_keeper(0);
    struct weir_keeper_status status = run_until_idle();
    while (status.frames_waiting > 0)
        status = run_until_idle();
    const struct weir_manifest *manifest = weir_keeper_manifest(keeper);
    assert_true(manifest->partition_count >= 300);
    assert_int_equal(manifest->ledger[0].merged, appended);
    assert_true(manifest->ledger[0].live >= 300);
    assert_int_not_equal(status.state, WEIR_KEEPER_STOPPED);
    assert_int_equal(weir_manifest_check(manifest), WEIR_OK);
}

static void
test_unit_that_does_not_fit_is_made_smaller(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(3);
    /* 12 frames of one series: more samples of it than a slice holds */
    for (unsigned i = 0; i < 12; i++) {
        fill_batch(++batch_number, 0, 0, 0);
        for (uint32_t j = 0; j < 600; j++) {
            uint32_t t = (uint32_t)(draw() % TIMES);
            weir_batch_append(
                &batch, weir_sample_key(7, WEIR_VALUE_DECIMAL, 0), time_of(t), j + i * 1000);
            expected[7][t].bits = weir_double_bits((double)(j + i * 1000));
            expected[7][t].sent = true;
        }
        appended += 600;
        append();
    }
    make_durable();
    open_keeper(0);
    struct weir_keeper_status status = run_until_idle();
    while (status.frames_waiting > 0)
        status = run_until_idle();
    assert_true(status.failures > 0 && status.units > 2);
    check_all_is_in_parts();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keeper_moves_the_log_into_parts),
        TEST(test_queries_have_the_same_answers_before_and_after_each_merge),
        TEST(test_unit_waits_for_frames_or_for_its_age),
        TEST(test_keeper_killed_at_any_operation_loses_and_doubles_nothing),
        TEST(test_failing_device_stops_merging_after_three_tries),
        TEST(test_full_device_is_waited_for),
        TEST(test_parts_are_joined_by_level),
        TEST(test_partitions_past_their_age_go),
        TEST(test_files_that_no_manifest_names_go_and_others_stay),
        TEST(test_every_failed_allocation_is_told_and_the_next_try_is_whole),
        TEST(test_unit_that_does_not_fit_is_made_smaller),
        TEST(test_join_that_would_be_too_large_is_left_and_frames_go_on),
        TEST(test_samples_of_hundreds_of_partitions_are_merged_a_frame_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
