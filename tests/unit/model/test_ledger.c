#include "model/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct weir_ledger *ledger;
static struct weir_ledger_sum *sum;
static struct weir_counts worker, writer;

static int
setup(void **state)
{
    (void)state;
    ledger = aligned_alloc(64, sizeof *ledger);
    memset(ledger, 0, sizeof *ledger);
    sum = malloc(sizeof *sum);
    memset(&worker, 0, sizeof worker);
    memset(&writer, 0, sizeof writer);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    free(sum);
    free(ledger);
    return 0;
}

static void
publish_both(void)
{
    weir_ledger_publish(&ledger->blocks[WEIR_BLOCK_WORKER], &worker);
    weir_ledger_publish(&ledger->blocks[WEIR_BLOCK_WRITER], &writer);
}

static void
test_ledger_of_zero_bytes_is_empty_and_closed(void **state)
{
    (void)state;
    assert_int_equal(weir_ledger_read(ledger, sum), WEIR_OK);
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        assert_int_equal(sum->residual[unit], 0);
        assert_int_equal(sum->in_flight[unit], 0);
    }
}

static void
test_ledger_counts_an_item_wherever_it_is(void **state)
{
    (void)state;
    uint32_t edge = WEIR_EDGE_WORKER_WRITER(0);
    struct weir_ledger_unit *in = &worker.unit[WEIR_UNIT_SAMPLES];
    struct weir_ledger_unit *out = &writer.unit[WEIR_UNIT_SAMPLES];
    in->received = 10;
    in->rejected[WEIR_REASON_bad_line] = 3;
    in->held = 7;
    publish_both();
    assert_int_equal(weir_ledger_read(ledger, sum), WEIR_OK);
    assert_int_equal(sum->residual[WEIR_UNIT_SAMPLES], 0);
    assert_int_equal(sum->in_flight[WEIR_UNIT_SAMPLES], 7);

    in->held = 0; /* now it lies on the edge */
    worker.pushed[edge] = 1;
    weir_edge_put(&ledger->edges[edge], 1, 0, 0, 7);
    publish_both();
    assert_int_equal(weir_ledger_read(ledger, sum), WEIR_OK);
    assert_int_equal(sum->residual[WEIR_UNIT_SAMPLES], 0);
    assert_int_equal(sum->in_flight[WEIR_UNIT_SAMPLES], 7);

    writer.popped[edge] = 1; /* now it is stored */
    out->stored = 7;
    publish_both();
    assert_int_equal(weir_ledger_read(ledger, sum), WEIR_OK);
    assert_int_equal(sum->residual[WEIR_UNIT_SAMPLES], 0);
    assert_int_equal(sum->in_flight[WEIR_UNIT_SAMPLES], 0);
    assert_int_equal(sum->total.unit[WEIR_UNIT_SAMPLES].stored, 7);
    assert_int_equal(sum->block[WEIR_BLOCK_WORKER].unit[WEIR_UNIT_SAMPLES].received, 10);
}

static void
test_ledger_shows_one_lost_sample_as_residual_one(void **state)
{
    (void)state;
    worker.unit[WEIR_UNIT_SAMPLES].received = 10;
    writer.unit[WEIR_UNIT_SAMPLES].stored = 9;
    worker.unit[WEIR_UNIT_RECORDS].received = 4;
    writer.unit[WEIR_UNIT_RECORDS].stored = 4;
    publish_both();
    assert_int_equal(weir_ledger_read(ledger, sum), WEIR_OK);
    assert_int_equal(sum->residual[WEIR_UNIT_SAMPLES], 1);
    assert_int_equal(sum->residual[WEIR_UNIT_RECORDS], 0);
}

static void
test_ledger_reader_gives_up_on_a_block_left_half_written(void **state)
{
    (void)state;
    atomic_store(&ledger->blocks[WEIR_BLOCK_REGISTRAR].sequence, 5);
    assert_int_equal(weir_ledger_read_now(ledger, sum), WEIR_AGAIN);
    assert_int_equal(weir_ledger_read(ledger, sum), WEIR_AGAIN);
}

static void
test_ledger_counters_are_those_of_the_stages_that_can_be_read(void **state)
{
    uint64_t counters[WEIR_COUNTER_COUNT];
    (void)state;
    worker.counter[WEIR_COUNTER_syncs] = 3;
    writer.counter[WEIR_COUNTER_syncs] = 4;
    publish_both();
    assert_int_equal(weir_ledger_read_now(ledger, sum), WEIR_OK);
    assert_true(weir_ledger_read_counters(ledger, counters));
    assert_int_equal(counters[WEIR_COUNTER_syncs], 7);
    atomic_store(&ledger->blocks[WEIR_BLOCK_WORKER].sequence, 5);
    assert_false(weir_ledger_read_counters(ledger, counters));
    assert_int_equal(counters[WEIR_COUNTER_syncs], 4);
}

static void
test_ledger_reader_gives_up_where_an_edge_has_not_the_item(void **state)
{
    (void)state;
    worker.pushed[WEIR_EDGE_WORKER_REGISTRAR(0)] = 3;
    publish_both();
    assert_int_equal(weir_ledger_read(ledger, sum), WEIR_AGAIN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ledger_of_zero_bytes_is_empty_and_closed),
        TEST(test_ledger_counts_an_item_wherever_it_is),
        TEST(test_ledger_shows_one_lost_sample_as_residual_one),
        TEST(test_ledger_reader_gives_up_on_a_block_left_half_written),
        TEST(test_ledger_counters_are_those_of_the_stages_that_can_be_read),
        TEST(test_ledger_reader_gives_up_where_an_edge_has_not_the_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
