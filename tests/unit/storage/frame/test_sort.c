#include "storage/frame/sort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct weir_batch *batch;
static struct weir_sort *sort;
static uint64_t state = 1;

static uint32_t
draw(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % below);
}

static void
append(uint64_t series)
{
    weir_batch_append(batch, weir_sample_key(series, WEIR_VALUE_DECIMAL, -1), 1, 2);
}

/* The order is right where series do not fall, places ascend within a series, and every place is
 * there once with its own series. */
static void
check_order(void)
{
    static uint8_t seen[WEIR_BATCH_SAMPLES_MAX];
    const uint32_t *order = weir_sort_batch(sort, batch);
    memset(seen, 0, sizeof seen);
    uint64_t before = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t place = order[i];
        assert_true(place < batch->count && !seen[place]);
        seen[place] = 1;
        uint64_t series = weir_sample_series(&batch->samples[place]);
        assert_true(i == 0 || before < series || (before == series && order[i - 1] < place));
        before = series;
    }
    weir_batch_reset(batch);
}

static int
setup(void **unused)
{
    (void)unused;
    batch = aligned_alloc(WEIR_CACHE_LINE, sizeof *batch);
    sort = aligned_alloc(WEIR_CACHE_LINE, (sizeof *sort + 63) & ~(size_t)63);
    weir_batch_reset(batch);
    return 0;
}

static int
teardown(void **unused)
{
    (void)unused;
    free(batch);
    free(sort);
    return 0;
}

/* Packets of `length` series from `hosts` hosts, in any order. */
static void
fill_packets(uint32_t hosts, uint32_t length, uint32_t count)
{
    while (batch->count + length <= count) {
        uint64_t first = (uint64_t)draw(hosts) * length;
        for (uint32_t i = 0; i < length; i++)
            append(first + i);
    }
}

static void
test_sort_orders_packets_of_many_lengths(void **unused)
{
    (void)unused;
    static const uint32_t lengths[] = {1, 3, 4, 12, 100, 126, 127, 128, 200, 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        fill_packets(1000000 / lengths[i] + 1, lengths[i], WEIR_BATCH_SAMPLES_MAX);
        check_order();
        fill_packets(50, lengths[i], 20000); /* every host many times */
        check_order();
    }
}

static void
test_sort_merges_runs_that_overlap(void **unused)
{
    (void)unused;
    /* a few hosts twice, and runs that interleave: 0 2 4 ... and 1 3 5 ... */
    fill_packets(1000000, 12, 60000);
    for (int packet = 0; packet < 20; packet++) {
        uint64_t first = draw(1000000) * UINT64_C(12) + draw(2);
        for (uint32_t i = 0; i < 12; i++)
            append(first + 2 * i);
    }
    fill_packets(3, 12, 62000);
    check_order();
}

/* Parts of packets: runs that begin anywhere in a sender's series, more or fewer of them, near and
 * far apart. */
static void
test_sort_merges_parts_of_packets(void **unused)
{
    (void)unused;
    static const uint32_t bands[] = {20, 200, 5000, 8180, 9000, 100000, 3000000};
    for (size_t i = 0; i < sizeof bands / sizeof bands[0]; i++) {
        for (uint32_t count = 30; count < WEIR_BATCH_SAMPLES_MAX; count *= 5) {
            while (batch->count + 12 <= count) {
                uint64_t first = UINT64_C(1000000) * draw(3) + draw(bands[i]);
                uint32_t length = 4 + draw(8), step = 1 + draw(2);
                for (uint32_t k = 0; k < length; k++)
                    append(first + k * step);
            }
            check_order();
        }
    }
}

/* Few senders: every run is a whole pass and overlaps the one before from end to end. */
static void
test_sort_takes_passes_over_the_same_series(void **unused)
{
    (void)unused;
    for (uint32_t series = 1; series < 40000; series = series * 3 + 1) {
        while (batch->count + series <= WEIR_BATCH_SAMPLES_MAX)
            for (uint32_t i = 0; i < series; i++)
                append(i);
        check_order();
    }
}

static void
test_sort_takes_any_order(void **unused)
{
    (void)unused;
    check_order();
    append(WEIR_SERIES_LIMIT - 1);
    check_order();
    append(7);
    append(7);
    append(0);
    append(WEIR_SERIES_LIMIT - 1);
    append(WEIR_SERIES_LIMIT - 2);
    check_order();
    for (uint32_t i = 0; i < WEIR_BATCH_SAMPLES_MAX; i++)
        append(WEIR_BATCH_SAMPLES_MAX - i);
    check_order();
    for (uint32_t i = 0; i < WEIR_BATCH_SAMPLES_MAX; i++)
        append(i);
    check_order();
    for (uint32_t i = 0; i < WEIR_BATCH_SAMPLES_MAX; i++)
        append((uint64_t)draw(1u << 31) << draw(10) | draw(4));
    check_order();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sort_orders_packets_of_many_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sort_merges_runs_that_overlap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sort_merges_parts_of_packets, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_sort_takes_passes_over_the_same_series, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sort_takes_any_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
